"""Models as graphs of layers: chains of linear and convolution layers with nothing between that restores the signal.

A chain ends at a normalisation, a sum or product of two values, a concatenation, and at anything that is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.classes import models
from stablint.static.facts.scopes import syntax
from stablint.static.facts.sites import operations
from stablint.static.facts.terms import Constant, Either, Instance, Operation, Term, Unknown, options, within
from stablint.static.interpret.calls import Arguments, apply
from stablint.static.interpret.frame import Frame
from stablint.static.interpret.interpreter import Interpreter
from stablint.static.torch_api.groups import ACTIVATIONS, AFFINE, DROPOUTS, JOINS, SHAPE_ONLY, SPLITS, words

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """A layer of a chain, and the activations between the layer before and this one."""

    layer: Operation
    previous: Link | None = field(repr=False)
    activations: tuple[Operation, ...] = ()

    def backward(self) -> Iterator[Link]:
        """Yield this link and those before it, last one first."""
        link: Link | None = self
        while link is not None:
            yield link
            link = link.previous


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Layers in a row; `owner` is the class whose forward goes through them, or the Sequential that they are."""

    owner: cst.CSTNode
    links: tuple[Link, ...]

    @property
    def layers(self) -> list[Instance]:
        """The layers, first one first."""
        return [link.layer.module for link in self.links if link.layer.module is not None]


@dataclass(frozen=True, slots=True)
class _State:
    """What lies behind a value: the last layer of its chain, and the activations since."""

    link: Link | None = None
    pending: tuple[Operation, ...] = ()


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
    """Finds the chains behind values; each term is looked at once."""

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
        name = term.name
        if name in AFFINE:
            return self._layer(term)
        before = self.state(term.operands[0])
        if name in ACTIVATIONS and name != "glu":
            return _State(before.link, (*before.pending, term))
        if name in _PASSING:
            return before
        if name in _SCALING and len(term.operands) == 2:
            left, right = term.operands
            if isinstance(right, Constant):
                return before
            return self.state(right) if isinstance(left, Constant) else _NOTHING
        return _NOTHING

    def _layer(self, term: Operation) -> _State:
        """A layer of torch whose weight is as it was made; whatever else multiplies is not known."""
        if term.module is None or term.module.scope is not None or term.module.node in self.wrapped:
            return _NOTHING
        before = self.state(term.operands[0])
        link = Link(term, before.link, before.pending if before.link is not None else ())
        self.links[link] = None
        return _State(link)

    def ends(self) -> list[Link]:
        """Return the links that no other goes on from."""
        inner = {link.previous for link in self.links}
        return [link for link in self.links if link not in inner]


def _length(state: _State) -> int:
    return sum(1 for _ in state.link.backward()) if state.link is not None else 0


def chains(source: SourceFile) -> tuple[Chain, ...]:
    """Return the chains of every Sequential, then those of every model's forward, the shortest first."""
    interpreter = source.ask(operations).values.interpreter
    wrapped = _wrapped(source)
    if wrapped is None:
        return ()
    alone = [
        chain
        for instance in _sequentials(source)
        for chain in _of(instance.node, _applied(interpreter, instance), wrapped)
    ]
    inside: list[Chain] = []
    for model in source.ask(models).by_class.values():
        forward = interpreter.method_of(model.scope, "forward")
        outcome = interpreter.outcome(forward) if forward is not None else None
        if outcome is not None:
            inside += _of(model.scope.node, outcome.returns, wrapped)
    return (*sorted(alone, key=_depth), *sorted(inside, key=_depth))


def _depth(chain: Chain) -> int:
    return len(chain.links)


def _of(owner: cst.CSTNode, value: Term, wrapped: set[cst.CSTNode]) -> list[Chain]:
    tracing = _Tracing(wrapped)
    for term in within(value, 20_000):
        tracing.state(term)
    return [Chain(owner, tuple(link.backward())[::-1]) for link in tracing.ends()]


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
