"""One public name for each thing in torch, whatever path it was imported by."""

from functools import lru_cache

from stablint.static.torch_api.data import torch_api

RENAMED = {
    # Old or device-bound wrappers of the same thing: other objects than what they stand for, so the generated
    # data, which goes by identity, cannot know them. Add a name here when torch deprecates one for another.
    "torch.cuda.amp.GradScaler": "torch.amp.GradScaler",
    "torch.cpu.amp.GradScaler": "torch.amp.GradScaler",
    "torch.GradScaler": "torch.amp.GradScaler",
    "torch.cuda.amp.autocast": "torch.amp.autocast",
    "torch.cpu.amp.autocast": "torch.amp.autocast",
    "torch.autocast": "torch.amp.autocast",
    "torch.cuda.amp.custom_fwd": "torch.amp.custom_fwd",
    "torch.cuda.amp.custom_bwd": "torch.amp.custom_bwd",
    "torch.nn.utils.clip_grad_norm": "torch.nn.utils.clip_grad_norm_",
    "torch.nn.NLLLoss2d": "torch.nn.NLLLoss",
    "torch.optim.lr_scheduler._LRScheduler": "torch.optim.lr_scheduler.LRScheduler",
    "torch.nn.parallel.DistributedDataParallelCPU": "torch.nn.parallel.DistributedDataParallel",
} | {
    f"torch.nn.init.{name}": f"torch.nn.init.{name}_"
    for name in (
        "uniform", "normal", "constant", "eye", "dirac", "xavier_uniform", "xavier_normal", "kaiming_uniform",
        "kaiming_normal", "orthogonal", "sparse",
    )
}  # fmt: skip


@lru_cache(maxsize=4096)
def canonical(dotted: str) -> str:
    """The public name: `torch.optim.adam.Adam.step` -> `torch.optim.Adam.step`; an unknown name, unchanged.

    Functions that are equal but have two public names (`torch.relu`, `torch.nn.functional.relu`) keep both:
    that they are the same operation is said by `operation`.
    """
    if not dotted.startswith("torch."):
        return dotted
    parts = dotted.split(".")
    for end in range(len(parts), 1, -1):
        public = _public(".".join(parts[:end]))
        if public is not None:
            return ".".join([public, *parts[end:]])
    return dotted


def _public(dotted: str) -> str | None:
    """The other name of exactly this thing, None if it has none."""
    api = torch_api()
    namespace, _, name = dotted.rpartition(".")
    found = RENAMED.get(dotted) or api["aliases"].get(dotted)
    if found is None and namespace in api["modules"] and is_public(f"{api['modules'][namespace]}.{name}"):
        found = f"{api['modules'][namespace]}.{name}"
    return RENAMED.get(found, found) if found else None


def is_public(dotted: str) -> bool:
    """Whether torch has a callable of this public name."""
    api = torch_api()
    namespace, _, name = dotted.rpartition(".")
    if name in api["signatures"].get(namespace, ()):
        return True
    return any(name in names for names in api["kinds"].get(namespace, {}).values())
