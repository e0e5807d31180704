"""Following the calls of a training program into the functions of the file."""

from __future__ import annotations

from dataclasses import replace

from stablint.static.facts.events import Event, Kind
from stablint.static.facts.programs import Branch, Inlined, Loop, Program, Programs, Run, Step
from stablint.static.facts.roles import role
from stablint.static.facts.scopes import Scope
from stablint.static.facts.terms import Term
from stablint.static.interpret.invocations import Invocation
from stablint.static.interpret.substitution import Substitution

_DEEPEST = 6
_MOST_STEPS = 4000


class Inliner:
    """Follows the calls of one root function; what is given to a callee replaces its parameters."""

    def __init__(self, programs: Programs) -> None:
        self.programs = programs
        self.steps = 0

    def path(self, scope: Scope) -> Program:
        """Return the program of a scope with its calls followed."""
        return self._program(self.programs.of(scope), None, (scope,))

    def _program(self, program: Program, given: Substitution | None, inside: tuple[Scope, ...]) -> Program:
        found: list[Step] = []
        for step in program:
            self.steps += 1
            if self.steps > _MOST_STEPS:
                break
            one = self._step(step, given, inside)
            if one is not None:
                found.append(one)
        return tuple(found)

    def _step(self, step: Step, given: Substitution | None, inside: tuple[Scope, ...]) -> Step | None:
        match step:
            case Event():
                rebuilt = step if given is None else _rebuilt(step, given)
                return _settled(rebuilt) if step.is_supposed else rebuilt
            case Branch(node=node, ways=ways):
                return Branch(node, tuple(self._program(way, given, inside) for way in ways))
            case Loop(node=node, body=body):
                inner = self._program(body, given, inside)
                return Loop(node, inner) if inner else None
            case Run(invocation=invocation):
                return self._run(step, invocation, given, inside)
            case _:
                return step

    def _run(
        self, step: Run, invocation: Invocation, given: Substitution | None, inside: tuple[Scope, ...]
    ) -> Step | None:
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
        return Inlined(step.node, step.statement, function, body) if body else None


def _settled(event: Event) -> Event | None:
    """Return what a step of something given by the caller is; None where that is no optimizer."""
    match role(event.target) if event.target is not None else None:
        case "optimizer":
            return replace(event, is_supposed=False)
        case "scheduler":
            return replace(event, kind=Kind.SCHEDULER_STEP, is_supposed=False)
        case _:
            return None


def _rebuilt(event: Event, given: Substitution) -> Event:
    def put(term: Term | None) -> Term | None:
        return given.rebuild(term) if term is not None else None

    return replace(event, target=put(event.target), subject=put(event.subject), scaler=put(event.scaler))


def _without_graph(path: Program) -> Program:
    changed: list[Step] = []
    for step in path:
        match step:
            case Event():
                changed.append(replace(step, graph=False))
            case Branch(ways=ways):
                changed.append(replace(step, ways=tuple(_without_graph(way) for way in ways)))
            case Loop(body=body) | Inlined(body=body):
                changed.append(replace(step, body=_without_graph(body)))
            case _:
                changed.append(step)
    return tuple(changed)
