"""What a logarithm is taken of: which softmax or sigmoid, bare, or one minus it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stablint.static.facts.intervals import INF, interval, single
from stablint.static.facts.provenance import REARRANGING, made_by, origins
from stablint.static.facts.sites import Operations, Site
from stablint.static.facts.terms import Operation, Term, join, number

SPELLINGS = ("log", "log2", "log10", "log1p")

SOFTMAXES = ("softmax", "softmin", "gumbel_softmax")

_UNCHANGED = REARRANGING - {"setitem"}
"""What is written into a tensor may be what lifts its zeros."""


@dataclass(frozen=True, slots=True)
class Logarithm:
    """A logarithm of `argument`, or of one minus it where `complement`."""

    site: Site
    operation: Operation
    argument: Term
    complement: bool

    @property
    def softmax(self) -> Operation | None:
        """The softmax that the logarithm is taken of, where it certainly is one and nothing guards it."""
        if self.complement and self.operation.name != "log1p":
            return None
        return self._made_by(*SOFTMAXES)

    @property
    def sigmoid(self) -> Operation | None:
        """The sigmoid that the logarithm, or the logarithm of one minus it, is taken of."""
        return self._made_by("sigmoid")

    def _made_by(self, *names: str) -> Operation | None:
        found = made_by(_unguarded(self.argument), *names, through=_UNCHANGED)
        return found if found is not None and self.reaches_zero else None

    @property
    def reaches_zero(self) -> bool:
        """Whether the number whose logarithm is taken is known to reach zero."""
        if self.operation.name == "log1p":
            held = interval(self.argument)
            return held.low > -INF and held.high == 1 and not held.high_open
        held = interval(self.operation.operands[0])
        return held.low > -INF and held.has_zero


def logarithms(operations: Operations) -> Iterator[Logarithm]:
    """Yield every logarithm of a file."""
    for site, operation in operations.named(*SPELLINGS):
        if operation.operands:
            found = _logarithm(site, operation)
            if found is not None:
                yield found


def _logarithm(site: Site, operation: Operation) -> Logarithm | None:
    argument = operation.operands[0]
    if operation.name != "log1p":
        rest = complement_of(argument)
        return Logarithm(site, operation, argument if rest is None else rest, rest is not None)
    if isinstance(argument, Operation) and argument.name == "neg":
        return Logarithm(site, operation, argument.operands[0], True)
    return None


def complement_of(term: Term) -> Term | None:
    """Return x where the term is certainly `1 - x`, looking through views."""
    rests = [_rest(origin) for origin in origins(term, _UNCHANGED)]
    known = [rest for rest in rests if rest is not None]
    return join(*known) if known and len(known) == len(rests) else None


def _rest(term: Term) -> Term | None:
    match term:
        case Operation(name="sub", operands=(one, rest)) if number(one) == 1:
            return rest
        case Operation(name="add", operands=(one, Operation(name="neg", operands=(rest,)))) if (
            number(one) == 1
        ):
            return rest
        case Operation(name="add", operands=(Operation(name="neg", operands=(rest,)), one)) if (
            number(one) == 1
        ):
            return rest
        case _:
            return None


def _unguarded(term: Term) -> Term:
    """Return the term without an epsilon that is 0 in single precision."""
    while isinstance(term, Operation) and term.name == "add" and len(term.operands) == 2:
        kept = [part for part in term.operands if (value := number(part)) is None or single(value) != 0]
        if len(kept) != 1:
            break
        term = kept[0]
    return term
