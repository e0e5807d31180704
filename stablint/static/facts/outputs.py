"""What a tensor is as the input of a loss: probabilities, log-probabilities, raw outputs of a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import libcst as cst

from stablint.static.facts.provenance import REARRANGING, origins
from stablint.static.facts.sites import operations
from stablint.static.facts.spelling import loses_comment, written_operand
from stablint.static.facts.terms import Operation, Term

if TYPE_CHECKING:
    from stablint.static.source import SourceFile

OutputKind = Literal["softmax", "sigmoid", "log-softmax", "raw"]

KINDS: dict[str, OutputKind] = {
    "softmax": "softmax",
    "softmin": "softmax",
    "gumbel_softmax": "softmax",
    "sigmoid": "sigmoid",
    "log_softmax": "log-softmax",
    "linear": "raw",
    "conv1d": "raw",
    "conv2d": "raw",
    "conv3d": "raw",
}
"""What the result of an operation is; of any other one nothing is said."""

_THROUGH = REARRANGING - {"setitem"}


def output(term: Term, *kinds: OutputKind) -> Operation | None:
    """Return what made a tensor where, on every path, it is of one of these kinds; the worst first."""
    found: list[Operation] = []
    for origin in origins(term, _THROUGH):
        if not isinstance(origin, Operation) or KINDS.get(origin.name) not in kinds:
            return None
        found.append(origin)
    return min(found, key=lambda made: kinds.index(KINDS[made.name]), default=None)


@dataclass(frozen=True, slots=True, eq=False)
class Pairing:
    """An activation and the losses of one kind that are given its result."""

    made: Operation
    losses: tuple[Operation, ...]


def pairings(source: SourceFile, loss: str, *kinds: OutputKind) -> list[Pairing]:
    """Return the activations whose result is given to a loss, each once however many losses take it."""
    found: dict[cst.CSTNode, tuple[Operation, list[Operation]]] = {}
    for _, taking in source.ask(operations).named(loss):
        made = output(taking.operands[0], *kinds) if taking.operands else None
        if made is not None:
            _, losses = found.setdefault(made.node, (made, []))
            if all(other.node is not taking.node for other in losses):
                losses.append(taking)
    return [Pairing(made, tuple(losses)) for made, losses in found.values()]


def written_inside(source: SourceFile, loss: Operation, made: Operation) -> cst.BaseExpression | None:
    """Return what an activation is applied to, where its call is written inside the call of the loss."""
    if written_operand(loss) is not made.node:
        return None
    operand = written_operand(made)
    return None if operand is None or loses_comment(source, made.node, operand) else operand
