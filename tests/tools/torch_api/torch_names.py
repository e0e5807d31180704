"""Which names of torch are public, what they are, and under which other names they can be imported."""

import inspect
import sys
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from typing import Any

torch: Any = import_module("torch")

NAMESPACES = (
    # Where two of them hold the same object, the earlier one gives it its public name.
    "torch.amp",
    "torch",
    "torch.nn",
    "torch.nn.init",
    "torch.nn.utils",
    "torch.nn.utils.rnn",
    "torch.nn.utils.parametrizations",
    "torch.nn.utils.parametrize",
    "torch.nn.parallel",
    "torch.nn.attention",
    "torch.optim",
    "torch.optim.lr_scheduler",
    "torch.optim.swa_utils",
    "torch.utils.data",
    "torch.utils.data.distributed",
    "torch.utils.checkpoint",
    "torch.linalg",
    "torch.special",
    "torch.fft",
    "torch.autograd",
    "torch.autograd.functional",
    "torch.distributions",
    "torch.func",
    "torch.jit",
    "torch.cuda",
    "torch.cuda.amp",
    "torch.cpu.amp",
    "torch.nn.functional",
)
FUNCTIONAL = "torch.nn.functional"
"""What it shares with `torch` has two public names; neither is an alias of the other."""

HELPERS = ("torch._C", "torch._utils", "torch._jit_internal", "torch.overrides", "torch.types")
BACKENDS = ("cudnn_", "fake_quant", "fbgemm_", "miopen_", "mkldnn_", "native_", "q_", "quantized_", "sym_")
NOT_FOR_USERS = ("torch.ao", "torch.nn.qat", "torch.nn.quant", "torch.nn.intrinsic")

KINDS = (
    (torch.nn.Module, "module"),
    (torch.optim.Optimizer, "optimizer"),
    (torch.optim.lr_scheduler.LRScheduler, "scheduler"),
    (torch.amp.GradScaler, "scaler"),
    (torch.utils.data.DataLoader, "loader"),
    (torch.utils.data.Dataset, "dataset"),
    (torch.utils.data.Sampler, "sampler"),
    (torch.distributions.Distribution, "distribution"),
    (torch.nn.Parameter, "parameter"),
    (torch.nn.UninitializedParameter, "parameter"),
    (torch.nn.Buffer, "buffer"),
    (torch.nn.UninitializedBuffer, "buffer"),
    (torch.amp.autocast, "autocast"),
    (torch.autograd.grad_mode._DecoratorContextManager, "context"),
    (torch.Tensor, "tensor"),
    (torch.autograd.Variable, "tensor"),
)
CLASSES = ("Event", "Generator", "Size", "Stream", "device", "dtype", "finfo", "iinfo", "memory_format")
"""The other classes directly in `torch` that people use, beside torch's own machinery."""


def public(namespace: str) -> Iterator[tuple[str, Any]]:
    """The public functions and classes of a namespace that are torch's own."""
    module = import_module(namespace)
    for name, thing in sorted(vars(module).items()):
        home = getattr(thing, "__module__", None) or "torch"
        if name.startswith(("_", *BACKENDS)) or not callable(thing):
            continue
        if not home.startswith("torch") or (home in HELPERS and name not in CLASSES):
            continue
        if namespace == FUNCTIONAL and inspect.isclass(thing):
            continue
        if namespace == "torch" and kind(thing) == "class" and name not in CLASSES:
            continue
        yield name, thing


def private_layers() -> Iterator[tuple[str, str, Any]]:
    """The base classes of layers (`_BatchNorm`, `_Loss`), which people inherit from and test for."""
    for module_name, module in sorted(sys.modules.items()):
        if module_name.startswith("torch.nn.modules."):
            for name, thing in sorted(vars(module).items()):
                if name.startswith("_") and _is_layer(thing) and thing.__module__ == module_name:
                    yield module_name, name, thing


def _is_layer(thing: Any) -> bool:
    return inspect.isclass(thing) and issubclass(thing, torch.nn.Module)


def kind(thing: Any) -> str | None:
    """What a call of the class makes; None for what is no class."""
    if not inspect.isclass(thing):
        return None
    word = next((word for base, word in KINDS if issubclass(thing, base)), "class")
    if word == "module" and thing.__name__.endswith(("Loss", "Loss2d")):
        return "loss"
    return "tensor" if isinstance(thing, type(torch.FloatTensor)) else word


def other_names(names: dict[int, str]) -> tuple[dict[str, str], dict[str, str]]:
    """From the public names by identity: modules whose names are public elsewhere, and single such names."""
    moved: dict[str, str] = {}
    single: dict[str, str] = {}
    for module_name, module in sorted(sys.modules.items()):
        if not _can_be_imported_from(module_name):
            continue
        found = {
            name: names[id(thing)]
            for name, thing in vars(module).items()
            if not name.startswith("_") and id(thing) in names and _belongs(thing, module)
        }
        home = _home(module_name, found, names)
        if home:
            moved[module_name] = home
        for name, public_name in found.items():
            if public_name not in (f"{module_name}.{name}", f"{home}.{name}"):
                single[f"{module_name}.{name}"] = public_name
    return moved, single


def _can_be_imported_from(module_name: str) -> bool:
    parts = module_name.split(".")
    is_private = any(part.startswith("_") for part in parts)
    return parts[0] == "torch" and not is_private and not module_name.startswith((FUNCTIONAL, *NOT_FOR_USERS))


def _belongs(thing: Any, module: Any) -> bool:
    """Whether the module defines or re-exports it, rather than merely using it."""
    defined = getattr(thing, "__module__", None) or "torch"
    is_own = defined == module.__name__ or defined.startswith(f"{module.__name__}.")
    return is_own or (module.__name__ in NAMESPACES and thing is not torch.Tensor)


def _home(module_name: str, found: dict[str, str], names: dict[int, str]) -> str | None:
    """The namespace above the module where its names are public, if nothing else there has such a name."""
    homes = Counter(known.rpartition(".")[0] for name, known in found.items() if known.endswith(f".{name}"))
    home = homes.most_common(1)[0][0] if homes else ""
    if not home or module_name in NAMESPACES or not module_name.startswith(f"{home}."):
        return None
    known = set(names.values())
    for name, thing in vars(sys.modules[module_name]).items():
        if f"{home}.{name}" in known and names.get(id(thing)) != f"{home}.{name}":
            return None
    return home
