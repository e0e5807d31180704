"""What a constructor makes: a module, an optimizer, a scheduler, ..."""

from fnmatch import fnmatchcase
from functools import cache, lru_cache
from typing import Literal, TypeAlias, get_args

from stablint.static.torch_api.data import third_party, torch_api
from stablint.static.torch_api.names import canonical, is_public

Kind: TypeAlias = Literal[
    "module",
    "loss",
    "optimizer",
    "scheduler",
    "scaler",
    "loader",
    "dataset",
    "sampler",
    "parameter",
    "buffer",
    "tensor",
    "distribution",
    "autocast",
    "context",
    "class",
    "function",
    "method",
]
KINDS: frozenset[str] = frozenset(get_args(Kind))


@lru_cache(maxsize=4096)
def kind(dotted: str) -> Kind | None:
    """What a call of this name makes; None where that is not known.

    A loss class is "loss" and also a module (see `is_module`). "tensor" is `torch.Tensor` and the like of
    `torch.FloatTensor`, "context" is `no_grad` and its like, "class" any other class of torch, "function" a
    function, "method" a method of a class. Constructors outside torch are in `third_party.json`: exact names
    first, then the first pattern that fits, where null says that it makes nothing of interest.
    """
    name = canonical(dotted)
    found = _torch_kinds().get(name) or _third_party(name)
    if found is None and is_public(name):
        return "method" if name.rpartition(".")[0] in _torch_kinds() else "function"
    return found


def is_module(dotted: str) -> bool:
    """Whether a call of this name makes a `torch.nn.Module`, losses included."""
    return kind(dotted) in ("module", "loss")


@cache
def _torch_kinds() -> dict[str, Kind]:
    return {
        f"{namespace}.{name}": word
        for namespace, by_kind in torch_api()["kinds"].items()
        for word, names in by_kind.items()
        for name in names
    }


def _third_party(name: str) -> Kind | None:
    if name.partition(".")[0] not in _roots():
        return None
    table = third_party()
    if name in table["names"]:
        return table["names"][name]
    return next((word for pattern, word in table["patterns"].items() if fnmatchcase(name, pattern)), None)


@cache
def _roots() -> frozenset[str]:
    """The packages that the table speaks of: nearly every other name is answered by this alone."""
    table = third_party()
    names = (*table["names"], *table["patterns"])
    return frozenset(name.partition(".")[0] for name in names if not name.startswith("*"))


MODULE_BASES = {
    "pytorch_lightning.LightningModule",
    "lightning.LightningModule",
    "lightning.pytorch.LightningModule",
    "pytorch_lightning.core.LightningModule",
    "transformers.PreTrainedModel",
    "torch.nn.Module",
    "torch_geometric.nn.MessagePassing",
    "torch_geometric.nn.conv.MessagePassing",
    "fairseq.models.FairseqEncoder",
    "fairseq.models.FairseqDecoder",
}
"""Base classes from outside torch whose subclasses are modules."""
