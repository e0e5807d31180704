"""The training events of a function as a small program: in order, with branches, loops and the functions it calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import libcst as cst

from stablint.static.facts.evaluation import Values, values
from stablint.static.facts.events import Event, Kind, events_of
from stablint.static.facts.gradient_fields import gradient_written
from stablint.static.facts.scopes import Scope, Syntax, syntax
from stablint.static.facts.terms import Closure, Operation, options
from stablint.static.interpret.invocations import Invocation
from stablint.static.interpret.statements import SET_GRAD_ENABLED, grad_mode
from stablint.static.nodes import meaningful_children, suite_of

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """One of several ways on; `node` is the If, Try or conditional expression."""

    node: cst.CSTNode = field(repr=False)
    ways: tuple[Program, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """A body that runs any number of times."""

    node: cst.CSTNode = field(repr=False)
    body: Program


@dataclass(frozen=True, slots=True, eq=False)
class Leave:
    """A jump: out of the function, out of the loop, or to its next round."""

    how: Literal["return", "break", "continue"]


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A call of a function of the file, which does what its program says with what it is given."""

    node: cst.Call = field(repr=False)
    statement: cst.CSTNode | None = field(repr=False)
    invocation: Invocation = field(repr=False)
    graph: bool


@dataclass(frozen=True, slots=True, eq=False)
class Inlined:
    """The body of a called function, where it is called."""

    node: cst.Call = field(repr=False)
    statement: cst.CSTNode | None = field(repr=False)
    function: Scope = field(repr=False)
    body: Program


Step = Event | Branch | Loop | Leave | Run | Inlined
Program = tuple[Step, ...]


class Programs:
    """The programs of a file's functions, each built when first asked for."""

    def __init__(self, shape: Syntax, known: Values) -> None:
        self.syntax = shape
        self.values = known
        self._built: dict[Scope, Program] = {}

    def of(self, scope: Scope) -> Program:
        """Return the program of a function, lambda or module."""
        interpreter = self.values.interpreter
        home = interpreter.home(scope)
        if home is not interpreter:
            return home.source.ask(training).of(scope)
        built = self._built.get(scope)
        if built is None:
            interpreter.outcome(scope)
            builder = _Builder(self.values, scope)
            node = scope.node
            if isinstance(node, cst.Lambda):
                built = tuple(builder.expression(node.body))
            else:
                for decorator in scope.decorators:
                    if grad_mode(self.values.raw(decorator.decorator)) is False:
                        builder.graph = False
                built = builder.suite(suite_of(node))
            self._built[scope] = built
        return built

    def roots(self) -> list[Scope]:
        """Return every scope that a program may start in."""
        return [self.syntax.module, *(scope for scope in self.syntax.functions if scope.kind == "function")]


def training(source: SourceFile) -> Programs:
    """Return the training programs of a file."""
    return Programs(source.ask(syntax), source.ask(values))


class _Builder:
    """Builds one program; `graph` is whether gradients are recorded here, `statement` where we are."""

    def __init__(self, known: Values, scope: Scope) -> None:
        self.known = known
        self.scope = scope
        self.graph = True
        self.statement: cst.CSTNode | None = None

    def suite(self, body: Sequence[cst.CSTNode]) -> Program:
        steps: list[Step] = []
        for statement in body:
            if isinstance(statement, cst.SimpleStatementLine):
                for part in statement.body:
                    self.statement = statement if len(statement.body) == 1 else part
                    steps += self.simple(part)
                continue
            self.statement = statement
            if isinstance(statement, cst.BaseSmallStatement):  # `if done: optimizer.step()` in one line
                steps += self.simple(statement)
                continue
            graph = self.graph
            steps += self.compound(statement)
            self.graph = graph
        return tuple(steps)

    def inside(self, node: cst.BaseSuite) -> Program:
        return self.suite(node.body)

    def simple(self, part: cst.CSTNode) -> list[Step]:
        match part:
            case cst.Return(value=value):
                return [*(self.expression(value) if value is not None else ()), Leave("return")]
            case cst.Raise(exc=exc):
                return [*(self.expression(exc) if exc is not None else ()), Leave("return")]
            case cst.Break():
                return [Leave("break")]
            case cst.Continue():
                return [Leave("continue")]
            case _:
                steps = self.expression(part)
                written = gradient_written(part)
                if written is not None:
                    kind = Kind.ZERO_GRAD if written == "cleared" else Kind.OPAQUE
                    steps.append(Event(kind, part, self.statement, self.scope))
                self.switch(part)
                return steps

    def switch(self, part: cst.CSTNode) -> None:
        """Note what `torch.set_grad_enabled(False)` on a line of its own switches off."""
        held = self.known.raw(part.value) if isinstance(part, cst.Expr) else None
        if isinstance(held, Operation) and held.dotted in SET_GRAD_ENABLED:
            self.graph = grad_mode(held) is not False

    def compound(self, node: cst.CSTNode) -> list[Step]:
        match node:
            case cst.If(test=test, body=body, orelse=orelse):
                steps = self.expression(test)
                first = self.inside(body)
                if isinstance(orelse, cst.If):
                    second = tuple(self.compound(orelse))
                else:
                    second = self.inside(orelse.body) if orelse is not None else ()
                return [*steps, Branch(node, (first, second))] if first or second else steps
            case cst.For(iter=iterable, body=body, orelse=orelse):
                steps = self.expression(iterable)
                inner = self.inside(body)
                after = self.inside(orelse.body) if orelse is not None else ()
                if inner and all(_is_by_hand(step) for step in inner):
                    return [*steps, *inner, *after]
                return [*steps, *self.loop(node, inner), *after]
            case cst.While(test=test, body=body, orelse=orelse):
                after = self.inside(orelse.body) if orelse is not None else ()
                return [*self.loop(node, (*self.expression(test), *self.inside(body))), *after]
            case cst.With(items=items, body=body):
                return self.with_statement(items, body)
            case cst.Try() | cst.TryStar():
                return self.try_statement(node)
            case cst.Match(cases=cases):
                ways = tuple(self.inside(case.body) for case in cases)
                return [Branch(node, (*ways, ()))] if any(ways) else []
            case _:
                return []

    def loop(self, node: cst.CSTNode, body: Program) -> list[Step]:
        return [Loop(node, body)] if body else []

    def with_statement(self, items: Sequence[cst.WithItem], body: cst.BaseSuite) -> list[Step]:
        steps: list[Step] = []
        for item in items:
            steps += self.expression(item.item)
            switched = grad_mode(self.known.raw(item.item))
            self.graph = self.graph if switched is None else switched
        steps += self.inside(body)
        return steps

    def try_statement(self, node: cst.Try | cst.TryStar) -> list[Step]:
        body = self.inside(node.body)
        orelse = self.inside(node.orelse.body) if node.orelse is not None else ()
        handlers = tuple(self.inside(handler.body) for handler in node.handlers)
        final = self.inside(node.finalbody.body) if node.finalbody is not None else ()
        body, orelse = _finally(body, final), _finally(orelse, final)
        # A handler runs after some part of the body; what training does there is the exception, not the rule.
        if handlers and any(any(isinstance(step, Event | Run) for step in handler) for handler in handlers):
            ways = tuple(_finally(handler, final) for handler in handlers)
            return [Branch(node, ((*body, *orelse), *ways)), *final]
        return [*body, *orelse, *final]

    def expression(self, node: cst.CSTNode) -> list[Step]:
        """Return what evaluating an expression does, innermost calls first."""
        match node:
            case cst.Call(func=func, args=arguments):
                steps: list[Step] = self.expression(func) if not isinstance(func, cst.Name) else []
                for argument in arguments:
                    steps += self.expression(argument.value)
                return [*steps, *self.call(node)]
            case cst.Lambda() | cst.Name() | cst.SimpleString() | cst.Integer() | cst.Float():
                return []
            case cst.IfExp(test=test, body=body, orelse=orelse):
                steps = self.expression(test)
                ways = (tuple(self.expression(body)), tuple(self.expression(orelse)))
                return [*steps, Branch(node, ways)] if any(ways) else steps
            case cst.DictComp(key=key, value=value, for_in=for_in):
                return self.comprehension(node, for_in, (key, value))
            case cst.BaseSimpleComp(elt=element, for_in=for_in):
                return self.comprehension(node, for_in, (element,))
            case _:
                found: list[Step] = []
                for child in meaningful_children(node):
                    found += self.expression(child)
                return found

    def comprehension(
        self, node: cst.CSTNode, part: cst.CompFor, made: Sequence[cst.BaseExpression]
    ) -> list[Step]:
        inner: list[Step] = []
        for test in part.ifs:
            inner += self.expression(test.test)
        if part.inner_for_in is not None:
            inner += self.comprehension(part.inner_for_in, part.inner_for_in, made)
        else:
            inner += [step for element in made for step in self.expression(element)]
        return [*self.expression(part.iter), *self.loop(node, tuple(inner))]

    def call(self, node: cst.Call) -> list[Step]:
        runs = self.runs(node)
        if runs:
            return runs
        events = events_of(node, self.known, self.scope, self.statement, self.graph)
        if any(event.kind in (Kind.STEP, Kind.OPAQUE) for event in events):
            return [*self.closures(node), *events]
        return list(events)

    def runs(self, node: cst.Call) -> list[Step]:
        """Return the calls of functions of the file that a call makes; several are ways on."""
        invoked = self.known.interpreter.invocations.get(id(node), {})
        runs = [Run(node, self.statement, one, self.graph) for one in invoked.values()]
        if not runs:
            return []
        module = self.known.raw(node.func)
        forward: list[Step] = []
        if any(
            run.invocation.function.name == "forward" and run.invocation.receiver is not None for run in runs
        ):
            forward = [Event(Kind.FORWARD, node, self.statement, self.scope, module, graph=self.graph)]
        return (
            [*forward, *runs] if len(runs) == 1 else [*forward, Branch(node, tuple((run,) for run in runs))]
        )

    def closures(self, node: cst.Call) -> list[Step]:
        """`optimizer.step(closure)` runs the closure first."""
        found: list[Step] = []
        for argument in node.args:
            for option in options(self.known.raw(argument.value)):
                if isinstance(option, Closure):
                    invocation = Invocation(option.function, {}, option.receiver)
                    found.append(Run(node, self.statement, invocation, self.graph))
        return found


def _is_by_hand(step: Step) -> bool:
    """Whether a step does something to `p.grad`: a loop of nothing else goes over all parameters, at least one."""
    return (
        isinstance(step, Event)
        and step.kind in (Kind.ZERO_GRAD, Kind.CLIP, Kind.OPAQUE)
        and step.target is None
    )


def _finally(program: Program, final: Program, inside_loop: bool = False) -> Program:
    """Return a program that also does what stands under `finally` when it leaves early."""
    if not final:
        return program
    steps: list[Step] = []
    for step in program:
        match step:
            case Leave(how=how) if how == "return" or not inside_loop:
                steps += [*final, step]
            case Branch(ways=ways):
                steps.append(replace(step, ways=tuple(_finally(way, final, inside_loop) for way in ways)))
            case Loop(body=body):
                steps.append(replace(step, body=_finally(body, final, inside_loop=True)))
            case _:
                steps.append(step)
    return tuple(steps)
