"""What a loss makes of the losses of its samples: their mean, their sum, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from stablint.static.facts.terms import Constant, Operation, Term
from stablint.static.torch_api.groups import LOSSES

_CHOOSING = {"reduction", "size_average", "reduce"}


def reduction(loss: Operation) -> Literal["mean", "sum", "none"] | None:
    """Say how a loss of torch reduces; None where it is no loss of torch, or the choice is not known."""
    if (
        loss.name not in LOSSES
        or loss.open_arguments
        or (loss.module is not None and loss.module.open_arguments)
    ):
        return None
    found: Literal["mean", "sum", "none"] = "mean"
    for name, given in _arguments(loss):
        if isinstance(given, Constant) and given.value in ("sum", "none"):
            found = given.value
        elif name in _CHOOSING and not (isinstance(given, Constant) and given.value in ("mean", None, True)):
            return None
    return found


def _arguments(loss: Operation) -> Iterator[tuple[str | None, Term]]:
    for owner in (loss, loss.module):
        if owner is not None:
            yield from ((None, given) for given in owner.positional)
            yield from owner.keywords.items()
