"""Formulas around an exponential for which torch has a function that does not overflow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from stablint.static.facts.gradients import is_constant
from stablint.static.facts.intervals import interval, is_epsilon
from stablint.static.facts.provenance import REARRANGING, made_by, origins
from stablint.static.facts.sites import Operations, Site
from stablint.static.facts.terms import (
    Attribute,
    Call,
    Item,
    Operation,
    Parameter,
    Reference,
    Term,
    Unknown,
    number,
    same,
    within,
)

Kind = Literal["softmax", "logsumexp", "logmeanexp", "softplus", "logaddexp"]

_LARGEST_EXPONENT = 88.7
"""The exponential of more than this is infinite in single precision."""

_UNCHANGED = REARRANGING - {"setitem"}
_LOGARITHMS = ("log", "log2", "log10", "log1p")
_EXTREMES = {"max", "amax", "builtin_max", "logsumexp", "argmax", "topk", "maximum", "cummax", "aminmax"}


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that a place computes out of bare exponentials; `inner` is the sum or mean between them."""

    site: Site
    operation: Operation
    kind: Kind
    exponentials: tuple[Operation, ...]
    inner: Operation | None = None

    @property
    def may_overflow(self) -> bool:
        """Whether nothing is seen that keeps the exponents down: a shift by their maximum, a bound."""
        exponents = [exponential.operands[0] for exponential in self.exponentials]
        return not any(is_bounded(exponent) for exponent in exponents)


def formulas(operations: Operations) -> Iterator[Formula]:
    """Yield the formulas of a file."""
    if next(operations.named("exp"), None) is None:
        return
    for site, operation in operations.named(*_LOGARITHMS):
        formula = _of_logarithm(site, operation) if operation.operands else None
        if formula is not None:
            yield formula
    for site, operation in operations.named("div", when=_may_divide_exponential):
        formula = _of_division(site, operation) if len(operation.operands) == 2 else None
        if formula is not None:
            yield formula


def _of_logarithm(site: Site, operation: Operation) -> Formula | None:
    argument = operation.operands[0]
    if operation.name == "log1p":
        inside = _exponential(argument)
        return Formula(site, operation, "softplus", (inside,)) if inside is not None else None
    added = made_by(without_epsilon(argument), "add", through=_UNCHANGED)
    parts = list(summands(added)) if added is not None else []
    bare = tuple(found for part in parts if (found := _exponential(part)) is not None)
    if len(parts) == 2 and len(bare) == 2:
        return Formula(site, operation, "logaddexp", bare, added)
    if len(parts) == 2 and len(bare) == 1 and 1 in map(number, parts):
        return Formula(site, operation, "softplus", bare, added)
    sums = [_summed(part) for part in parts or [without_epsilon(argument)]]
    exponentials = (*bare, *(inside for _, inside in filter(None, sums)))
    if not exponentials or len(exponentials) < len(parts):
        return None
    reduction = sums[0][0] if sums[0] is not None and not parts else None
    is_mean = reduction is not None and reduction.name == "mean"
    return Formula(site, operation, "logmeanexp" if is_mean else "logsumexp", exponentials, reduction)


def _summed(term: Term) -> tuple[Operation, Operation] | None:
    """Return a sum or mean and the exponential inside it."""
    reduction = made_by(term, "sum", "builtin_sum", "mean", through=_UNCHANGED)
    inside = _exponential(reduction.operands[0]) if reduction is not None else None
    return None if reduction is None or inside is None else (reduction, inside)


def summands(term: Term) -> Iterator[Term]:
    """Yield what is added up in a term, looking into sums of sums."""
    stack = [term]
    for _ in range(_MOST_SUMS):
        if not stack:
            return
        inner = made_by(stack[-1], "add", through=_UNCHANGED)
        if inner is None:
            yield stack.pop()
        else:
            stack[-1:] = inner.operands[::-1]
    yield from stack[::-1]


_MOST_SUMS = 100
"""A value that is added to itself over and over is a sum of 2 ** n."""


def _of_division(site: Site, operation: Operation) -> Formula | None:
    above, below = operation.operands
    inside = _exponential(above)
    reduction = made_by(without_epsilon(below), "sum", "builtin_sum", through=_UNCHANGED)
    summed = reduction.operands[0] if reduction is not None else _scattered(without_epsilon(below))
    total = _exponential(summed) if summed is not None else None
    if inside is None or total is None or not same(inside.operands[0], total.operands[0]):
        return None
    return Formula(site, operation, "softmax", (inside, total), reduction)


def _scattered(term: Term) -> Term | None:
    """Return what a graph library sums over the members of each group."""
    while isinstance(term, Item):
        term = term.base
    match list(origins(term, _UNCHANGED)):
        case [Call(callee=Reference(dotted=dotted), positional=(values, *_), keywords=keywords)]:
            name = dotted.rsplit(".", 1)[-1]
            how = getattr(keywords.get("reduce"), "value", None)
            is_sum = name in ("scatter_add", "scatter_sum", "segment_sum") or how in ("sum", "add")
            return values if is_sum else None
        case _:
            return None


def _may_divide_exponential(operation: Operation) -> bool:
    """Whether the numerator is an exponential, or nothing is known of it before arguments are put in."""
    made = origins(operation.operands[0], _UNCHANGED)
    return any(not isinstance(origin, Operation) or origin.name == "exp" for origin in made)


def _exponential(term: Term) -> Operation | None:
    found = made_by(term, "exp", through=_UNCHANGED)
    return found if found is not None and found.operands else None


def without_epsilon(term: Term) -> Term:
    """Return a term without the small number that is added to it."""
    match term:
        case Operation(name="add", operands=(inner, small)) if _is_small(small):
            return inner
        case Operation(name="add", operands=(small, inner)) if _is_small(small):
            return inner
        case _:
            return term


def _is_small(term: Term) -> bool:
    value = number(term)
    return abs(value) < 1e-2 if value is not None else is_epsilon(term)


def is_bounded(exponent: Term) -> bool:
    """Whether an exponent stays below what overflows, or is shifted by something like its maximum."""
    if interval(exponent).high < _LARGEST_EXPONENT or is_constant(exponent):
        return True
    match exponent:
        case Operation(name="sub", operands=(_, shift)):
            return any(_is_extreme(part) for part in within(shift))
        case Operation(name="mul", operands=(factor, inner)) if is_constant(factor):
            return is_bounded(inner)
        case Operation(name="mul" | "div", operands=(inner, _)) if interval(inner).high <= 0:
            return True  # never positive, times or over something of unknown sign: a width, a temperature
        case Operation(name="mul", operands=(_, inner)) if interval(inner).high <= 0:
            return True
        case Operation(name="neg", operands=(Operation(name="mul" | "div", operands=(inner, _)),)):
            return interval(inner).is_non_negative
        case Operation(name="mul" | "div" | "neg" | "index" | "to" | "float", operands=(inner, *_)):
            return is_bounded(inner)
        case _:
            return False


def _is_extreme(term: Term) -> bool:
    """Whether something is a maximum, or is called one."""
    match term:
        case Operation(name=name):
            return name in _EXTREMES
        case Call(keywords=keywords) if getattr(keywords.get("reduce"), "value", None) == "max":
            return True
        case Reference(dotted=name) | Attribute(name=name) | Parameter(name=name) | Unknown(label=name):
            return "max" in name.rsplit(".", 1)[-1].lower()
        case _:
            return False
