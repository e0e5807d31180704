"""Interpreting statements: what they do to the variables of a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.terms import (
    NONE,
    ClassObject,
    Closure,
    Constant,
    Display,
    Operation,
    Reference,
    Repeated,
    Term,
    Unknown,
)
from stablint.static.interpret.agreed import builds_layers
from stablint.static.interpret.containers import (
    MOST_REPEATS,
    item,
    iterated,
    stated_by_loop,
    stored,
    unrolled,
    without,
)
from stablint.static.interpret.expressions import binary, evaluate
from stablint.static.interpret.frame import Frame, Loop, join_environments, widen
from stablint.static.nodes import dotted_name, meaningful_children

if TYPE_CHECKING:
    from stablint.static.interpret.interpreter import Interpreter

_LARGEST_UNROLLED_BODY = 12


def run_suite(interpreter: Interpreter, frame: Frame, body: Sequence[cst.CSTNode]) -> None:
    """Interpret statements until no path goes on."""
    for statement in body:
        if frame.env is None:
            return
        if isinstance(statement, cst.SimpleStatementLine):
            run_suite(interpreter, frame, statement.body)
            continue
        frame.statement = statement
        handler = _STATEMENTS.get(type(statement))
        if handler is not None:
            graph = frame.graph
            handler(interpreter, frame, statement)
            if not isinstance(statement, cst.Expr):
                frame.graph = graph  # a mode that was set inside a branch or a loop may have been set or not


def _expression(interpreter: Interpreter, frame: Frame, node: cst.Expr) -> None:
    value = evaluate(interpreter, frame, node.value)
    if isinstance(value, Operation) and value.dotted in SET_GRAD_ENABLED:
        frame.graph = grad_mode(value) is not False


def _assign(interpreter: Interpreter, frame: Frame, node: cst.Assign) -> None:
    value = evaluate(interpreter, frame, node.value)
    for target in node.targets:
        bind(interpreter, frame, target.target, value)


def _annotated(interpreter: Interpreter, frame: Frame, node: cst.AnnAssign) -> None:
    if node.value is not None:
        bind(interpreter, frame, node.target, evaluate(interpreter, frame, node.value))


def _augmented(interpreter: Interpreter, frame: Frame, node: cst.AugAssign) -> None:
    before = evaluate(interpreter, frame, node.target)
    value = evaluate(interpreter, frame, node.value)
    after = binary(
        interpreter, frame, type(node.operator).__name__.removesuffix("Assign"), before, value, node
    )
    interpreter.record(node, after)
    interpreter.sites[id(node)] = (node, frame.scope, frame.statement)
    bind(interpreter, frame, node.target, after)


def bind(interpreter: Interpreter, frame: Frame, target: cst.CSTNode, value: Term) -> None:
    """Assign a value to a target: a name, an attribute path, an element, or a tuple of targets."""
    env = frame.env
    if env is None:
        return
    match target:
        case cst.Name(value=name):
            interpreter.assign(frame, name, value)
            interpreter.record(target, value)
        case cst.Attribute(value=base):
            evaluate(interpreter, frame, base)
            path = dotted_name(target)
            if path.endswith(".requires_grad") and isinstance(value, Constant) and value.value is True:
                path = path.removesuffix(".requires_grad")
                value = Operation("requires_grad", (interpreter.terms[id(base)],), target)
            if path:
                interpreter.assign(frame, path, value)
            interpreter.record(target, value)
        case cst.Subscript(value=base, slice=keys):
            for key in keys:
                if isinstance(key.slice, cst.Index) and isinstance(key.slice.value, cst.Comparison):
                    evaluate(interpreter, frame, key.slice.value)  # a mask: `x[x == 0] = 1`
            store(interpreter, frame, base, value, target)
        case cst.Tuple(elements=elements) | cst.List(elements=elements):
            places = range(len(elements))
            for place, element in enumerate(elements):
                index = places[place]
                if isinstance(element, cst.StarredElement):
                    bind(interpreter, frame, element.value, Unknown(element))
                    places = range(-len(elements), 0)
                else:
                    bind(
                        interpreter,
                        frame,
                        element.value,
                        item(interpreter, value, Constant(index), element.value),
                    )
        case _:
            pass


def store(
    interpreter: Interpreter, frame: Frame, base: cst.BaseExpression, value: Term, node: cst.CSTNode
) -> None:
    """`base[...] = value`: the base now holds something that was written into."""
    before = evaluate(interpreter, frame, base)
    path = dotted_name(base)
    if path and frame.env is not None:
        interpreter.assign(frame, path, stored(interpreter, before, value, node))


def _if(interpreter: Interpreter, frame: Frame, node: cst.If) -> None:
    test = evaluate(interpreter, frame, node.test)
    before = dict(frame.env or {})
    verdict = truth(test, node.test)
    after = before if verdict is not True else None
    if verdict is not False:
        run_suite(interpreter, frame, node.body.body)
    else:
        frame.env = None
    taken = frame.env
    if verdict is True:
        return
    frame.env = dict(after or {})
    if isinstance(node.orelse, cst.If):
        _if(interpreter, frame, node.orelse)
    elif node.orelse is not None:
        run_suite(interpreter, frame, node.orelse.body.body)
    frame.env = join_environments(taken, frame.env)


def truth(test: Term, node: cst.BaseExpression) -> bool | None:
    """Return what a test certainly is.

    Only a literal in its place decides, or what differs from round to round: a flag may be edited by its reader.
    """
    if isinstance(test, Constant) and isinstance(test.value, bool) and test.node is node:
        return test.value
    return None


def _for(interpreter: Interpreter, frame: Frame, node: cst.For) -> None:
    iterable = evaluate(interpreter, frame, node.iter)
    rounds = unrolled(interpreter, iterable, builds_layers(frame.scope))
    is_short = _statements(node.body) <= _LARGEST_UNROLLED_BODY
    if rounds is not None and is_short and len(rounds) * frame.repeats <= MOST_REPEATS:
        _unrolled_for(interpreter, frame, node, rounds)
    else:

        def bind_target() -> None:
            bind(interpreter, frame, node.target, iterated(interpreter, iterable, node))

        _loop(interpreter, frame, node.body.body, bind_target)
    if node.orelse is not None:
        run_suite(interpreter, frame, node.orelse.body.body)


def _statements(suite: cst.BaseSuite) -> int:
    count = 0
    for statement in suite.body:
        inner = getattr(statement, "body", None)
        count += 1 + (_statements(inner) if isinstance(inner, cst.BaseSuite) else 0)
    return count


def _unrolled_for(interpreter: Interpreter, frame: Frame, node: cst.For, rounds: Sequence[Term]) -> None:
    loop = Loop()
    frame.loops.append(loop)
    frame.rounds += 1
    repeats = frame.repeats
    frame.repeats *= max(1, len(rounds))
    for element in rounds:
        if frame.env is None:
            break
        bind(interpreter, frame, node.target, stated_by_loop(element))
        run_suite(interpreter, frame, node.body.body)
        frame.env = join_environments(frame.env, *loop.continues)
        loop.continues.clear()
    frame.rounds -= 1
    frame.repeats = repeats
    frame.loops.pop()
    frame.env = join_environments(frame.env, *loop.breaks)


def _while(interpreter: Interpreter, frame: Frame, node: cst.While) -> None:
    def test() -> None:
        evaluate(interpreter, frame, node.test)

    _loop(interpreter, frame, node.body.body, test)
    if node.orelse is not None:
        run_suite(interpreter, frame, node.orelse.body.body)


def _loop(
    interpreter: Interpreter, frame: Frame, body: Sequence[cst.CSTNode], start: Callable[[], None]
) -> None:
    before = dict(frame.env or {})
    loop = Loop()
    head = before
    end = None
    frame.depth += 1
    # Deeply nested loops run their bodies once: the second pass would cost 2 ** depth.
    for _ in range(2 if frame.depth <= 3 else 1):
        frame.loops.append(loop)
        loop.breaks.clear()
        loop.continues.clear()
        frame.env = dict(head)
        start()
        run_suite(interpreter, frame, body)
        frame.loops.pop()
        end = join_environments(frame.env, *loop.continues)
        head = widen(before, end)
    frame.depth -= 1
    frame.env = join_environments(before, end, *loop.breaks)


def _with(interpreter: Interpreter, frame: Frame, node: cst.With) -> None:
    for with_item in node.items:
        manager = evaluate(interpreter, frame, with_item.item)
        switched = grad_mode(manager)
        if switched is not None:
            frame.graph = switched
        if with_item.asname is not None:
            bind(interpreter, frame, with_item.asname.name, manager)
    run_suite(interpreter, frame, node.body.body)


def grad_mode(manager: Term) -> bool | None:
    """Return what a context manager or decorator does to gradient recording; None where it does nothing."""
    if isinstance(manager, Operation | Reference):
        name = manager.dotted
    else:
        callee = getattr(manager, "callee", None)
        name = callee.dotted if isinstance(callee, Reference) else getattr(manager, "dotted", "")
    given: list[Term] = []
    if isinstance(manager, Operation):
        given = [*manager.operands, *manager.positional, *manager.keywords.values()]
    flag = given[0].value if len(given) == 1 and isinstance(given[0], Constant) else None
    if name in _NO_GRAD:
        return None if given and flag is not True else False
    if name in _ENABLE_GRAD:
        return True
    return False if name in SET_GRAD_ENABLED and flag is False else None


_ENABLE_GRAD = {"torch.enable_grad", "torch.autograd.enable_grad", "torch.autograd.grad_mode.enable_grad"}
SET_GRAD_ENABLED = {
    "torch.set_grad_enabled",
    "torch.autograd.set_grad_enabled",
    "torch.autograd.grad_mode.set_grad_enabled",
}


_NO_GRAD = {
    "torch.no_grad",
    "torch.inference_mode",
    "torch.autograd.no_grad",
    "torch.autograd.grad_mode.no_grad",
    "torch.autograd.inference_mode",
    "torch.autograd.grad_mode.inference_mode",
}


def _try(interpreter: Interpreter, frame: Frame, node: cst.Try | cst.TryStar) -> None:
    before = dict(frame.env or {})
    run_suite(interpreter, frame, node.body.body)
    after = frame.env
    interrupted = join_environments(before, after)
    ends = []
    for handler in node.handlers:
        frame.env = dict(interrupted or before)
        if handler.name is not None:
            bind(interpreter, frame, handler.name.name, Unknown(handler, dotted_name(handler.name.name)))
        run_suite(interpreter, frame, handler.body.body)
        ends.append(frame.env)
    frame.env = after
    if node.orelse is not None and frame.env is not None:
        run_suite(interpreter, frame, node.orelse.body.body)
    frame.env = join_environments(frame.env, *ends)
    if node.finalbody is not None:
        alive = frame.env is not None
        frame.env = frame.env if alive else dict(before)
        run_suite(interpreter, frame, node.finalbody.body.body)
        frame.env = frame.env if alive else None


def _match(interpreter: Interpreter, frame: Frame, node: cst.Match) -> None:
    subject = evaluate(interpreter, frame, node.subject)
    before = dict(frame.env or {})
    ends: list[dict[str, Term] | None] = []
    is_complete = False
    for case in node.cases:
        frame.env = dict(before)
        _capture(interpreter, frame, case.pattern, subject)
        if case.guard is not None:
            evaluate(interpreter, frame, case.guard)
        run_suite(interpreter, frame, case.body.body)
        ends.append(frame.env)
        takes_all = isinstance(case.pattern, cst.MatchAs) and case.pattern.pattern is None
        is_complete = is_complete or (takes_all and case.guard is None)
    frame.env = join_environments(*(ends if is_complete else [before, *ends]))


def _capture(interpreter: Interpreter, frame: Frame, pattern: cst.CSTNode, subject: Term | None) -> None:
    """Bind the names of a pattern: to the subject where they stand for the whole of it, else to something unknown."""
    match pattern:
        case cst.MatchAs(name=cst.Name(value=name)) | cst.MatchStar(name=cst.Name(value=name)):
            interpreter.assign(frame, name, subject or Unknown(pattern, name))
        case cst.MatchMapping(rest=cst.Name(value=name)):
            interpreter.assign(frame, name, Unknown(pattern, name))
        case _:
            pass
    whole = subject if isinstance(pattern, cst.MatchAs) else None
    for child in meaningful_children(pattern):
        if not isinstance(child, cst.BaseExpression):
            _capture(interpreter, frame, child, whole)


def _return(interpreter: Interpreter, frame: Frame, node: cst.Return) -> None:
    frame.returns.append(NONE if node.value is None else evaluate(interpreter, frame, node.value))
    _leave(frame)


def _raise(interpreter: Interpreter, frame: Frame, node: cst.Raise) -> None:
    if node.exc is not None:
        evaluate(interpreter, frame, node.exc)
    frame.env = None


def _leave(frame: Frame) -> None:
    if frame.env is not None:
        frame.exits.append(frame.env)
    frame.env = None


def _break(interpreter: Interpreter, frame: Frame, node: cst.Break) -> None:
    if frame.loops and frame.env is not None:
        frame.loops[-1].breaks.append(frame.env)
    frame.env = None


def _continue(interpreter: Interpreter, frame: Frame, node: cst.Continue) -> None:
    if frame.loops and frame.env is not None:
        frame.loops[-1].continues.append(frame.env)
    frame.env = None


def _assert(interpreter: Interpreter, frame: Frame, node: cst.Assert) -> None:
    evaluate(interpreter, frame, node.test)


def _delete(interpreter: Interpreter, frame: Frame, node: cst.Del) -> None:
    path = dotted_name(node.target)
    if path and frame.env is not None:
        frame.env.pop(path, None)
    if isinstance(node.target, cst.Subscript):
        _delete_item(interpreter, frame, node.target)


def _delete_item(interpreter: Interpreter, frame: Frame, target: cst.Subscript) -> None:
    held = evaluate(interpreter, frame, target.value)
    path = dotted_name(target.value)
    if not path or not isinstance(held, Display | Repeated):
        return
    index = target.slice[0].slice if len(target.slice) == 1 else None
    key = evaluate(interpreter, frame, index.value) if isinstance(index, cst.Index) else Unknown(target)
    interpreter.assign(frame, path, without(held, key, frame.depth > 0))


def _function(interpreter: Interpreter, frame: Frame, node: cst.FunctionDef) -> None:
    scope = interpreter.scope_of(node)
    receiver = None
    interpreter.assign(frame, node.name.value, Closure(scope, receiver))


def _class(interpreter: Interpreter, frame: Frame, node: cst.ClassDef) -> None:
    interpreter.assign(frame, node.name.value, ClassObject(interpreter.scope_of(node)))


def _import(interpreter: Interpreter, frame: Frame, node: cst.Import | cst.ImportFrom) -> None:
    for name, binding in interpreter.imports_of(node):
        if binding.dotted is not None and frame.env is not None:
            interpreter.assign(frame, name, interpreter.pending(binding.dotted))


_STATEMENTS: dict[type[cst.CSTNode], Callable[..., None]] = {
    cst.Expr: _expression,
    cst.Assign: _assign,
    cst.AnnAssign: _annotated,
    cst.AugAssign: _augmented,
    cst.If: _if,
    cst.For: _for,
    cst.While: _while,
    cst.With: _with,
    cst.Try: _try,
    cst.TryStar: _try,
    cst.Match: _match,
    cst.Return: _return,
    cst.Raise: _raise,
    cst.Break: _break,
    cst.Continue: _continue,
    cst.Assert: _assert,
    cst.Del: _delete,
    cst.FunctionDef: _function,
    cst.ClassDef: _class,
    cst.Import: _import,
    cst.ImportFrom: _import,
}
