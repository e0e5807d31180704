"""Models as graphs of layers: rows of linear and convolution layers, one working on what the one before it gives.

A row ends at a sum or product of two values, a concatenation, and at anything that is not known.  A chain is a part
of a row in which nothing restores the signal, and all layers are torch's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.classes import Model, models
from stablint.static.facts.links import Link, Tracing
from stablint.static.facts.scopes import syntax
from stablint.static.facts.sites import operations
from stablint.static.facts.terms import Instance, Operation, Term, Unknown, options, within
from stablint.static.interpret.calls import Arguments, apply
from stablint.static.interpret.frame import Frame
from stablint.static.interpret.interpreter import Interpreter
from stablint.static.interpret.members import inherited_instance

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


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
        value = _forward(interpreter, model)
        found += _of(model.scope.node, value, wrapped) if value is not None else []
    for scope in source.ask(syntax).functions:
        outcome = interpreter.outcome(scope) if scope.kind == "function" and scope.owner is None else None
        if outcome is not None:
            found += _of(scope.node, outcome.returns, wrapped)
    return tuple(found)


def _forward(interpreter: Interpreter, model: Model) -> Term | None:
    """Return what a model makes of something: by its forward, or as the Sequential that it inherits from."""
    forward = interpreter.hierarchy.method_of(model.scope, "forward")
    if forward is not None:
        outcome = interpreter.outcome(forward)
        return outcome.returns if outcome is not None else None
    layers = inherited_instance(interpreter, model.scope)
    return _applied(interpreter, layers) if layers is not None and layers.dotted == _SEQUENTIAL else None


def _of(owner: cst.CSTNode, value: Term, wrapped: set[cst.CSTNode]) -> list[Row]:
    tracing = Tracing(wrapped)
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
