"""Running the states of a rule along the paths of a training program.

Loops run twice, the second time from where the first round ended, so that what stands at the end of a body meets what
stands at its start; calls of functions of the file are followed.  A rule's transfer sees all states that can reach an
event at once and so can ask for what holds on every path.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, TypeVar

import libcst as cst

from stablint.static.facts.events import Event, Kind
from stablint.static.facts.identity import same_object
from stablint.static.facts.programs import Branch, Leave, Loop, Program, Programs, Run, Step, training
from stablint.static.facts.scopes import Scope
from stablint.static.facts.terms import Term
from stablint.static.interpret.interpreter import Invocation
from stablint.static.interpret.substitution import Substitution

if TYPE_CHECKING:
    from stablint.static.source import SourceFile

State = TypeVar("State", bound=Hashable)
States = frozenset[State]

_DEEPEST = 6
_MOST_STEPS = 4000


@dataclass(frozen=True, slots=True, eq=False)
class Inlined:
    """The body of a called function, where it is called."""

    node: cst.Call = field(repr=False)
    statement: cst.CSTNode | None = field(repr=False)
    function: Scope = field(repr=False)
    body: Path


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """A Branch of an inlined program."""

    node: cst.CSTNode = field(repr=False)
    ways: tuple[Path, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """A Loop of an inlined program."""

    node: cst.CSTNode = field(repr=False)
    body: Path


PathStep = Event | Ways | Rounds | Leave | Inlined
Path = tuple[PathStep, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Root:
    """A function, or the module, with all that happens when it runs."""

    scope: Scope = field(repr=False)
    path: Path


def training_paths(source: SourceFile) -> tuple[Root, ...]:
    """Return the functions in which something is stepped or back-propagated, each with its calls followed."""
    programs = source.ask(training)
    shape = programs.syntax
    # Gluon's `loss.backward(); trainer.step(n)` looks the same and overwrites gradients by default.
    if not shape.identifiers & {"backward", "manual_backward"} or "mxnet" in shape.packages:
        return ()
    roots = (Root(scope, Inliner(programs).path(scope)) for scope in programs.roots())
    return tuple(root for root in roots if events_in(root.path, Kind.STEP, Kind.BACKWARD))


class Inliner:
    """Follows the calls of one root function; what is given to a callee replaces its parameters."""

    def __init__(self, programs: Programs) -> None:
        self.programs = programs
        self.steps = 0

    def path(self, scope: Scope) -> Path:
        """Return the program of a scope with its calls followed."""
        return self._program(self.programs.of(scope), None, (scope,))

    def _program(self, program: Program, given: Substitution | None, inside: tuple[Scope, ...]) -> Path:
        found: list[PathStep] = []
        for step in program:
            self.steps += 1
            if self.steps > _MOST_STEPS:
                break
            one = self._step(step, given, inside)
            if one is not None:
                found.append(one)
        return tuple(found)

    def _step(self, step: Step, given: Substitution | None, inside: tuple[Scope, ...]) -> PathStep | None:
        match step:
            case Event():
                return step if given is None else _rebuilt(step, given)
            case Branch(node=node, ways=ways):
                return Ways(node, tuple(self._program(way, given, inside) for way in ways))
            case Loop(node=node, body=body):
                inner = self._program(body, given, inside)
                return Rounds(node, inner) if inner else None
            case Run(invocation=invocation):
                return self._run(step, invocation, given, inside)
            case _:
                return step

    def _run(
        self, step: Run, invocation: Invocation, given: Substitution | None, inside: tuple[Scope, ...]
    ) -> PathStep | None:
        function = invocation.function
        if function in inside or len(inside) > _DEEPEST:
            return None
        program = self.programs.of(function)
        if not program:
            return None
        arguments, receiver = invocation.given, invocation.receiver
        if given is not None:
            arguments = {name: given.rebuild(term) for name, term in arguments.items()}
            receiver = given.rebuild(receiver) if receiver is not None else None
        inner = Substitution(self.programs.values.interpreter, arguments, function, receiver)
        body = self._program(program, inner, (*inside, function))
        if not step.graph:
            body = _without_graph(body)
        return Inlined(step.node, step.statement, function, body) if any_event(body) else None


def _rebuilt(event: Event, given: Substitution) -> Event:
    def put(term: Term | None) -> Term | None:
        return given.rebuild(term) if term is not None else None

    return replace(event, target=put(event.target), subject=put(event.subject), scaler=put(event.scaler))


def _without_graph(path: Path) -> Path:
    changed: list[PathStep] = []
    for step in path:
        match step:
            case Event():
                changed.append(replace(step, graph=False))
            case Ways(ways=ways):
                changed.append(replace(step, ways=tuple(_without_graph(way) for way in ways)))
            case Rounds(body=body) | Inlined(body=body):
                changed.append(replace(step, body=_without_graph(body)))
            case _:
                changed.append(step)
    return tuple(changed)


def any_event(path: Path) -> bool:
    """Whether anything happens on a path."""
    return any(True for _ in events_in(path))


def events_in(path: Path, *kinds: Kind) -> list[Event]:
    """Return the events of a path in order, those of followed calls included."""
    found: list[Event] = []
    for step in path:
        match step:
            case Event():
                if not kinds or step.kind in kinds:
                    found.append(step)
            case Ways(ways=ways):
                for way in ways:
                    found += events_in(way, *kinds)
            case Rounds(body=body) | Inlined(body=body):
                found += events_in(body, *kinds)
            case _:
                pass
    return found


def rounds_in(path: Path) -> list[Rounds]:
    """Return every loop of a path, outer ones first."""
    found: list[Rounds] = []
    for step in path:
        match step:
            case Rounds(body=body):
                found += [step, *rounds_in(body)]
            case Ways(ways=ways):
                for way in ways:
                    found += rounds_in(way)
            case Inlined(body=body):
                found += rounds_in(body)
            case _:
                pass
    return found


@dataclass(frozen=True, slots=True)
class Flow(Generic[State]):
    """The states in which a path goes on, or leaves a loop or function."""

    on: States[State]
    returns: States[State] = frozenset()
    breaks: States[State] = frozenset()
    continues: States[State] = frozenset()


@dataclass(frozen=True, slots=True)
class Automaton(Generic[State]):
    """`transfer` says what an event makes of the states that reach it; `enter` what entering a loop does to a state."""

    transfer: Callable[[States[State], Event], States[State]]
    enter: Callable[[State], State] = lambda state: state

    def run(self, path: Path, states: States[State]) -> Flow[State]:
        """Run along a path."""
        returns: States[State] = frozenset()
        breaks: States[State] = frozenset()
        continues: States[State] = frozenset()
        for step in path:
            if not states:
                break
            match step:
                case Event():
                    states = self.transfer(states, step)
                    continue
                case Leave(how="return"):
                    returns, states = returns | states, frozenset()
                    continue
                case Leave(how="break"):
                    breaks, states = breaks | states, frozenset()
                    continue
                case Leave():
                    continues, states = continues | states, frozenset()
                    continue
                case Ways(ways=ways):
                    flows = [self.run(way, states) for way in ways]
                    flow = Flow(
                        *(frozenset().union(*parts) for parts in zip(*map(_parts, flows), strict=True))
                    )
                case Rounds(body=body):
                    flow = self._rounds(body, states)
                case Inlined(body=body):
                    inner = self.run(body, states)
                    flow = Flow(inner.on | inner.returns)
            states = flow.on
            returns, breaks, continues = (
                returns | flow.returns,
                breaks | flow.breaks,
                continues | flow.continues,
            )
        return Flow(states, returns, breaks, continues)

    def _rounds(self, body: Path, states: States[State]) -> Flow[State]:
        entered = frozenset(self.enter(state) for state in states)
        first = self.run(body, entered)
        second = self.run(body, first.on | first.continues)
        on = entered | first.breaks | second.on | second.continues | second.breaks
        return Flow(on, first.returns | second.returns)


def _parts(flow: Flow[State]) -> tuple[States[State], ...]:
    return flow.on, flow.returns, flow.breaks, flow.continues


def steps_by_optimizer(path: Path) -> list[Event]:
    """Return the first step of every optimizer."""
    found: list[Event] = []
    for event in events_in(path, Kind.STEP):
        if not any(same_object(event.target, other.target) for other in found):
            found.append(event)
    return found


def own_rounds(path: Path) -> list[Rounds]:
    """Return the loops that stand in the root's own code, outer ones first."""
    found: list[Rounds] = []
    for step in path:
        match step:
            case Rounds(body=body):
                found += [step, *own_rounds(body)]
            case Ways(ways=ways):
                for way in ways:
                    found += own_rounds(way)
            case _:
                pass
    return found


def outermost(path: Path, event: Event) -> cst.CSTNode:
    """Return the call on this path that leads to an event, or the event's own node where it stands on it."""
    for step in path:
        match step:
            case Ways(ways=ways):
                inner = [way for way in ways if event in events_in(way)]
                if inner:
                    return outermost(inner[0], event)
            case Rounds(body=body) if event in events_in(body):
                return outermost(body, event)
            case Inlined(node=node, body=body) if event in events_in(body):
                return node
            case _:
                pass
    return event.node
