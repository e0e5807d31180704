"""What a value went through on its way: layers, each with what stands between it and the layer before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import libcst as cst

from stablint.static.facts.terms import Constant, Either, Instance, Operation, Term, options
from stablint.static.torch_api.groups import (
    ACTIVATIONS,
    AFFINE,
    DROPOUTS,
    JOINS,
    NORMALISATIONS,
    SHAPE_ONLY,
    SPLITS,
    words,
)


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """A layer of a row, and what stands between the layer before and this one."""

    layer: Operation
    previous: Link | None = field(repr=False)
    activations: tuple[Operation, ...] = ()
    is_restored: bool = False
    """Whether the signal is normalised before this layer."""
    weight: Operation | None = None
    """The parameter made by hand that the signal is multiplied with, where no module does it."""

    def backward(self) -> Iterator[Link]:
        """Yield this link and those before it, last one first."""
        link: Link | None = self
        while link is not None:
            yield link
            link = link.previous


@dataclass(frozen=True, slots=True)
class State:
    """What lies behind a value: the last layer of its row, and what came since."""

    link: Link | None = None
    pending: tuple[Operation, ...] = ()
    is_restored: bool = False


_NOTHING = State()
_PASSING = (
    (SHAPE_ONLY - JOINS - SPLITS)
    | DROPOUTS
    | words(
        "index pad interpolate mean max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d lp_pool2d"
    )
    | words(
        "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d"
    )
    | words("adaptive_max_pool3d channel_shuffle unflatten requires_grad amax")
)
"""What a signal goes through without being restored."""
_SCALING = words("mul div add sub")


class Tracing:
    """Finds the rows behind values; each term is looked at once."""

    def __init__(self, wrapped: set[cst.CSTNode]) -> None:
        self.wrapped = wrapped
        self.states: dict[Term, State] = {}
        self.links: dict[Link, None] = {}

    def state(self, term: Term) -> State:
        """Return what lies behind a value."""
        known = self.states.get(term)
        if known is None:
            self.states[term] = _NOTHING
            known = self.states[term] = self._state(term)
        return known

    def _state(self, term: Term) -> State:
        if isinstance(term, Either):
            return min(map(self.state, term.options), key=lambda state: (_length(state), len(state.pending)))
        if not isinstance(term, Operation) or not term.operands or not term.graph:
            return _NOTHING
        if term.name in AFFINE or term.name in _PRODUCTS:
            return self._layer(term)
        before = self.state(term.operands[0])
        if term.name in ACTIVATIONS and term.name != "glu":
            return replace(before, pending=(*before.pending, term))
        if term.name in NORMALISATIONS:
            return replace(before, is_restored=True)
        if term.name in _PASSING:
            return before
        if term.name in _SCALING and len(term.operands) == 2:
            left, right = term.operands
            if isinstance(right, Constant) or (term.name == "add" and _parameter(right) is not None):
                return before
            return self.state(right) if isinstance(left, Constant) else _NOTHING
        return _NOTHING

    def _layer(self, term: Operation) -> State:
        """A layer of torch, or a product with a parameter; what else multiplies is not known."""
        signal, weight = term.operands[0], None
        if term.module is None:
            signal, weight = _product(term)
        if (weight is None and term.module is None) or (
            term.module is not None and self._is_own(term.module)
        ):
            return _NOTHING
        before = self.state(signal)
        between = before.pending if before.link is not None else ()
        link = Link(term, before.link, between, before.is_restored, weight)
        self.links[link] = None
        return State(link)

    def _is_own(self, module: Instance) -> bool:
        """Whether a layer is of a class of the file, or has something that scales its weight."""
        return module.scope is not None or module.node in self.wrapped

    def ends(self) -> list[Link]:
        """Return the links that no other goes on from."""
        inner = {link.previous for link in self.links}
        return [link for link in self.links if link not in inner]


def _length(state: State) -> int:
    return sum(1 for _ in state.link.backward()) if state.link is not None else 0


_PRODUCTS = words("matmul mm")


def _product(term: Operation) -> tuple[Term, Operation | None]:
    """Return what is multiplied, and the parameter it is multiplied with."""
    if term.name in AFFINE:
        return term.operands[0], _parameter(term.argument("weight", 0))
    for signal, weight in ((0, 1), (1, 0)) if len(term.operands) == 2 else ():
        found = _parameter(term.operands[weight])
        if found is not None:
            return term.operands[signal], found
    return term.operands[0], None


def _parameter(term: Term | None) -> Operation | None:
    """Return the parameter that a term is, looking through views of it."""
    for option in options(term) if term is not None else ():
        while isinstance(option, Operation) and option.name in SHAPE_ONLY and option.operands:
            option = option.operands[0]
        if isinstance(option, Operation) and (option.name == "parameter" or _is_trained(option)):
            return option
    return None


def _is_trained(made: Operation) -> bool:
    wanted = made.keywords.get("requires_grad")
    return isinstance(wanted, Constant) and wanted.value is True
