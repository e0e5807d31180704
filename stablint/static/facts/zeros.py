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
from stablint.static.facts.terms import Either, Item, Operation, Term, options

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


def expects_zero(term: Term) -> bool:
    """Whether elements that are exactly zero are to be expected."""
    match term:
        case Either(options=options):
            return any(expects_zero(option) for option in options)
        case Item(base=base):
            return expects_zero(base)
        case Operation(name="add", operands=(left, right)):
            if interval(left).is_non_negative and interval(right).is_non_negative:
                return expects_zero(left) and expects_zero(right)
            return interval(term) != TOP
        case Operation(name="mul", operands=(left, right)):
            return expects_zero(left) or expects_zero(right)
        case Operation(name="div", operands=(above, below)):
            return expects_zero(above) or has_exponential(below)
        case Operation(name="abs" | "square" | "pow", operands=(inner, *_)):
            return expects_zero(inner)
        case Operation(name="sum" | "prod" | "mean", operands=(inner, *_)):
            return _is_mask(inner) or expects_zero(inner)
        case Operation(name=name, operands=(inner, *_)) if name in _LIKE_FIRST:
            return expects_zero(inner)
        case Operation(name=name) if name == "sub" or name in _SPECTRA:
            return True
        case _:
            return interval(term) != TOP and interval(term).has_zero and not _is_mask(term)


def _is_mask(term: Term) -> bool:
    match term:
        case Operation(name=name) if name in _MASKS:
            return True
        case Operation(name="mul" | "bitwise_and" | "bitwise_or", operands=parts):
            return all(_is_mask(part) for part in parts)
        case Operation(name=name, operands=(inner, *_)) if name in REARRANGING:
            return _is_mask(inner)
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
