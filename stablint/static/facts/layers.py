"""Models as graphs of layers: rows of linear and convolution layers, one working on what the one before it gives.

A row ends at a sum or product of two values, a concatenation, and at anything that is not known.  A chain is a part
of a row in which nothing restores the signal, and all layers are torch's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.classes import models
from stablint.static.facts.scopes import syntax
from stablint.static.facts.sites import operations
from stablint.static.facts.terms import Constant, Either, Instance, Operation, Term, Unknown, options, within
from stablint.static.interpret.calls import Arguments, apply
from stablint.static.interpret.frame import Frame
from stablint.static.interpret.interpreter import Interpreter
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

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


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


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Layers in a row; `owner` is the class or function that goes through them, or the Sequential that they are."""

    owner: cst.CSTNode
    links: tuple[Link, ...]

    @property
    def layers(self) -> list[Instance]:
        """The modules, first one first."""
        return [link.layer.module for link in self.links if link.layer.module is not None]

    @property
    def activations(self) -> list[tuple[Operation, ...]]:
        """What stands between the layers: one less than there are layers."""
        return [link.activations for link in self.links[1:]]


@dataclass(frozen=True, slots=True)
class _State:
    """What lies behind a value: the last layer of its row, and what came since."""

    link: Link | None = None
    pending: tuple[Operation, ...] = ()
    is_restored: bool = False


_NOTHING = _State()
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


class _Tracing:
    """Finds the rows behind values; each term is looked at once."""

    def __init__(self, wrapped: set[cst.CSTNode]) -> None:
        self.wrapped = wrapped
        self.states: dict[Term, _State] = {}
        self.links: dict[Link, None] = {}

    def state(self, term: Term) -> _State:
        known = self.states.get(term)
        if known is None:
            self.states[term] = _NOTHING
            known = self.states[term] = self._state(term)
        return known

    def _state(self, term: Term) -> _State:
        if isinstance(term, Either):
            return min(map(self.state, term.options), key=_length)
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

    def _layer(self, term: Operation) -> _State:
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
        return _State(link)

    def _is_own(self, module: Instance) -> bool:
        """Whether a layer is of a class of the file, or has something that scales its weight."""
        return module.scope is not None or module.node in self.wrapped

    def ends(self) -> list[Link]:
        """Return the links that no other goes on from."""
        inner = {link.previous for link in self.links}
        return [link for link in self.links if link not in inner]


def _length(state: _State) -> int:
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


def rows(source: SourceFile) -> tuple[Row, ...]:
    """Return the rows of every Sequential, of every model's forward, and of the functions outside of classes."""
    interpreter = source.ask(operations).values.interpreter
    wrapped = _wrapped(source)
    if wrapped is None:
        return ()
    found: list[Row] = []
    for instance in _sequentials(source):
        found += _of(instance.node, _applied(interpreter, instance), wrapped)
    for model in source.ask(models).by_class.values():
        forward = interpreter.method_of(model.scope, "forward")
        outcome = interpreter.outcome(forward) if forward is not None else None
        if outcome is not None:
            found += _of(model.scope.node, outcome.returns, wrapped)
    for scope in source.ask(syntax).functions:
        outcome = interpreter.outcome(scope) if scope.kind == "function" and scope.owner is None else None
        if outcome is not None:
            found += _of(scope.node, outcome.returns, wrapped)
    return tuple(found)


def _of(owner: cst.CSTNode, value: Term, wrapped: set[cst.CSTNode]) -> list[Row]:
    tracing = _Tracing(wrapped)
    for term in within(value, 20_000):
        tracing.state(term)
    return [Row(owner, tuple(link.backward())[::-1]) for link in tracing.ends()]


def chains(source: SourceFile) -> tuple[Row, ...]:
    """Return the chains of every Sequential and model: those of a Sequential first, and shorter ones first."""
    found = [
        Row(row.owner, part)
        for row in source.ask(rows)
        if not isinstance(row.owner, cst.FunctionDef)
        for part in _plain_parts(row.links)
    ]
    return tuple(sorted(found, key=lambda row: (isinstance(row.owner, cst.ClassDef), len(row.links))))


def _plain_parts(links: tuple[Link, ...]) -> Iterator[tuple[Link, ...]]:
    part: list[Link] = []
    for link in links:
        if part and (link.is_restored or link.layer.module is None):
            yield tuple(part)
            part = []
        if link.layer.module is not None:
            part.append(link)
    if part:
        yield tuple(part)


def _sequentials(source: SourceFile) -> list[Instance]:
    """Return every Sequential as it is when its function is done: layers may have been added."""
    known = source.ask(operations)
    found: dict[cst.CSTNode, Instance] = {}
    for site in known.made.get(_SEQUENTIAL, ()):
        for option in options(site.raw):
            if isinstance(option, Instance) and option.dotted == _SEQUENTIAL:
                found[option.node] = option
    for outcome in known.values.interpreter.outcomes.values() if found else ():
        for term in outcome.env.values():
            for option in options(term):
                if isinstance(option, Instance) and option.node in found:
                    found[option.node] = max(found[option.node], option, key=lambda one: len(one.positional))
    return list(found.values())


_SEQUENTIAL = "torch.nn.Sequential"


def _applied(interpreter: Interpreter, layers: Instance) -> Term:
    """Return what a Sequential makes of something."""
    frame = Frame(interpreter.syntax.module)
    frame.env = None
    assert isinstance(layers.node, cst.Call)
    return apply(interpreter, frame, layers, Arguments((Unknown(),)), layers.node)


_WRAPPERS = ("spectral_norm", "weight_norm", "orthogonal", "equal_lr", "equalized_lr")


def _wrapped(source: SourceFile) -> set[cst.CSTNode] | None:
    """Return where layers are made whose weight something else scales; None where that cannot be seen."""
    known = source.ask(operations).values
    found: set[cst.CSTNode] = set()
    for call in (call for name in _WRAPPERS for call in source.ask(syntax).calls.get(name, ())):
        for option in options(known.of(call.node.args[0].value) if call.node.args else Unknown()):
            if not isinstance(option, Instance):
                return None
            found.add(option.node)
    return found
