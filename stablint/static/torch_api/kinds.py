"""What a constructor makes: a module, an optimizer, a scheduler, ..."""

from fnmatch import fnmatchcase
from functools import cache, lru_cache
from typing import Literal, TypeAlias

from stablint.static.torch_api.data import third_party, torch_api
from stablint.static.torch_api.names import canonical, is_public

Kind: TypeAlias = Literal[
    "module", "loss", "optimizer", "scheduler", "scaler", "loader", "dataset", "sampler", "parameter", "buffer",
    "distribution", "autocast", "context", "function", "method",
]  # fmt: skip


@lru_cache(maxsize=4096)
def kind(dotted: str) -> Kind | None:
    """What a call of this name makes; None where that is not known.

    A loss class of torch is "loss" and also a module (see `is_module`). "context" is `no_grad` and its like,
    "function" any other callable of torch that is no class, "method" a method of a tensor. Constructors outside torch
    are in `third_party.json`.
    """
    name = canonical(dotted)
    found = _torch_kinds().get(name) or _third_party(name)
    if found is None and is_public(name):
        found = "method" if name.startswith("torch.Tensor.") else _callable_kind(name)
    return found


def is_module(dotted: str) -> bool:
    """Whether a call of this name makes a `torch.nn.Module`, losses included."""
    return kind(dotted) in ("module", "loss")


def _callable_kind(name: str) -> Kind | None:
    owner, _, last = name.rpartition(".")
    return "function" if last[:1].islower() and owner not in _torch_kinds() else None


@cache
def _torch_kinds() -> dict[str, Kind]:
    return {
        f"{namespace}.{name}": word  # type: ignore[misc]
        for namespace, by_kind in torch_api()["kinds"].items()
        for word, names in by_kind.items()
        for name in names
    }


def _third_party(name: str) -> Kind | None:
    table = third_party()
    found = table["names"].get(name) or next(
        (word for pattern, word in table["patterns"].items() if fnmatchcase(name, pattern)), None
    )
    return found  # type: ignore[return-value]
