"""Whether a zero among the elements of a tensor is to be expected, and not only not ruled out.

The square of something unknown is as unlikely to be zero as that thing itself; the square of a difference is zero
wherever two values are equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stablint.static.facts.conditions import leaves_out_zero
from stablint.static.facts.guards import tests
from stablint.static.facts.intervals import TOP, has_exponential, interval
from stablint.static.facts.provenance import REARRANGING
from stablint.static.facts.terms import Either, Item, Operation, Question, Term, once, options

if TYPE_CHECKING:
    from stablint.static.facts.sites import Site
    from stablint.static.source import SourceFile

_SPECTRA = {"stft", "fft", "rfft", "fft2", "rfft2", "fftn", "rfftn", "view_as_complex", "view_as_real"}
"""Silence has none of any frequency."""

_MASKS = {
    "compare",
    "eq",
    "ne",
    "gt",
    "lt",
    "ge",
    "le",
    "logical_and",
    "logical_or",
    "logical_not",
    "not",
    "isnan",
}
"""Zeros and ones: who takes their logarithm wants the minus infinity."""

_LIKE_FIRST = REARRANGING | {"mean", "amin", "min", "nan_to_num", "neg", "sqrt"}


@once
def expects_zero(term: Term, look: Question) -> bool:
    """Whether elements that are exactly zero are to be expected."""
    match term:
        case Either(options=options):
            return any(map(look, options))
        case Item(base=base):
            return look(base)
        case Operation(name="add", operands=(left, right)):
            if interval(left).is_non_negative and interval(right).is_non_negative:
                return look(left) and look(right)
            return interval(term) != TOP
        case Operation(name="mul", operands=(left, right)):
            return look(left) or look(right)
        case Operation(name="div", operands=(above, below)):
            return look(above) or has_exponential(below)
        case Operation(name="abs" | "square" | "pow", operands=(inner, *_)):
            return look(inner)
        case Operation(name="sum" | "prod" | "mean", operands=(inner, *_)):
            return _is_mask(inner) or look(inner)
        case Operation(name=name, operands=(inner, *_)) if name in _LIKE_FIRST:
            return look(inner)
        case Operation(name=name) if name == "sub" or name in _SPECTRA:
            return True
        case _:
            return interval(term) != TOP and interval(term).has_zero and not _is_mask(term)


@once
def _is_mask(term: Term, look: Question) -> bool:
    match term:
        case Operation(name=name) if name in _MASKS:
            return True
        case Operation(name="mul" | "bitwise_and" | "bitwise_or", operands=parts):
            return all(map(look, parts))
        case Operation(name=name, operands=(inner, *_)) if name in REARRANGING:
            return look(inner)
        case _:
            return False


def is_tested(source: SourceFile, site: Site) -> bool:
    """Whether a test around an operation leaves out that what it works on is zero."""
    operands = [
        option.operands[0]
        for option in options(site.raw)
        if isinstance(option, Operation) and option.node is site.node and option.operands
    ]
    raw = site.values.raw
    return any(
        leaves_out_zero(raw(test), operand, held)
        for test, held in tests(source, site.node, site.statement)
        for operand in operands
    )
