"""What happens when a function runs, its calls followed: the events of training, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.evaluation import values
from stablint.static.facts.events import Event, Kind
from stablint.static.facts.identity import same_object
from stablint.static.facts.inlining import Inliner
from stablint.static.facts.programs import Branch, Inlined, Loop, Program, training
from stablint.static.facts.scopes import Scope, Syntax, syntax

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


@dataclass(frozen=True, slots=True, eq=False)
class Root:
    """A function, or the module, with all that happens when it runs."""

    scope: Scope = field(repr=False)
    path: Program


def training_paths(source: SourceFile) -> tuple[Root, ...]:
    """Return the functions in which something is stepped or back-propagated, each with its calls followed."""
    shape = source.ask(syntax)
    # Gluon's `loss.backward(); trainer.step(n)` looks the same and overwrites gradients by default.
    if "mxnet" in shape.packages or not (_goes_backward(shape) or _leads_backward(source)):
        return ()
    return tuple(root for root in source.ask(running_paths) if events_in(root.path, Kind.STEP, Kind.BACKWARD))


def _goes_backward(shape: Syntax) -> bool:
    return not shape.identifiers.isdisjoint(("backward", "manual_backward"))


def _leads_backward(source: SourceFile) -> bool:
    """Whether a function of another file that is called here stands where something goes backward."""
    interpreter = source.ask(values).interpreter
    called = {scope.top for invoked in interpreter.invocations.values() for scope in invoked}
    return any(
        _goes_backward(interpreter.home(module).syntax)
        for module in called
        if module is not interpreter.syntax.module
    )


def running_paths(source: SourceFile) -> tuple[Root, ...]:
    """Return every function in which anything happens that concerns training, each with its calls followed."""
    programs = source.ask(training)
    roots = (Root(scope, Inliner(programs).path(scope)) for scope in programs.roots())
    return tuple(root for root in roots if events_in(root.path))


def events_in(path: Program, *kinds: Kind) -> list[Event]:
    """Return the events of a path in order, those of followed calls included."""
    found: list[Event] = []
    for step in path:
        match step:
            case Event():
                if not kinds or step.kind in kinds:
                    found.append(step)
            case Branch(ways=ways):
                for way in ways:
                    found += events_in(way, *kinds)
            case Loop(body=body) | Inlined(body=body):
                found += events_in(body, *kinds)
            case _:
                pass
    return found


def rounds_in(path: Program) -> list[Loop]:
    """Return every loop of a path, outer ones first."""
    found: list[Loop] = []
    for step in path:
        match step:
            case Loop(body=body):
                found += [step, *rounds_in(body)]
            case Branch(ways=ways):
                for way in ways:
                    found += rounds_in(way)
            case Inlined(body=body):
                found += rounds_in(body)
            case _:
                pass
    return found


def events_of_round(body: Program, *kinds: Kind) -> list[Event]:
    """Return the events of a loop's body in order that stand in no loop inside it."""
    found: list[Event] = []
    for step in body:
        match step:
            case Event():
                if not kinds or step.kind in kinds:
                    found.append(step)
            case Branch(ways=ways):
                for way in ways:
                    found += events_of_round(way, *kinds)
            case Inlined(body=inner):
                found += events_of_round(inner, *kinds)
            case _:
                pass
    return found


def inner_rounds(body: Program) -> list[Loop]:
    """Return the loops of a body that stand in no loop inside it."""
    found: list[Loop] = []
    for step in body:
        match step:
            case Loop():
                found.append(step)
            case Branch(ways=ways):
                for way in ways:
                    found += inner_rounds(way)
            case Inlined(body=inner):
                found += inner_rounds(inner)
            case _:
                pass
    return found


def functions_in(root: Root) -> set[Scope]:
    """Return the functions that run when a root does."""
    found = {root.scope}
    stack = [root.path]
    while stack:
        for step in stack.pop():
            match step:
                case Inlined(function=function, body=body):
                    found.add(function)
                    stack.append(body)
                case Loop(body=body):
                    stack.append(body)
                case Branch(ways=ways):
                    stack += ways
                case _:
                    pass
    return found


def steps_by_optimizer(path: Program) -> list[Event]:
    """Return the first step of every optimizer."""
    found: list[Event] = []
    for event in events_in(path, Kind.STEP):
        if not any(same_object(event.target, other.target) for other in found):
            found.append(event)
    return found


def own_rounds(path: Program) -> list[Loop]:
    """Return the loops that stand in the root's own code, outer ones first."""
    found: list[Loop] = []
    for step in path:
        match step:
            case Loop(body=body):
                found += [step, *own_rounds(body)]
            case Branch(ways=ways):
                for way in ways:
                    found += own_rounds(way)
            case _:
                pass
    return found


def outermost(path: Program, event: Event) -> cst.CSTNode:
    """Return the call on this path that leads to an event, or the event's own node where it stands on it."""
    for step in path:
        match step:
            case Branch(ways=ways):
                inner = [way for way in ways if event in events_in(way)]
                if inner:
                    return outermost(inner[0], event)
            case Loop(body=body) if event in events_in(body):
                return outermost(body, event)
            case Inlined(node=node, body=body) if event in events_in(body):
                return node
            case _:
                pass
    return event.node
