"""Gradients that are not cleared, or cleared too late."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mutants.operator import Mutant, moved, operator, removed
from mutants.text import LOOPS, Text, calls_in, expression, method, spelled

ONCE = "the file shows no loop around the step"


@operator(b"zero_grad", "missing-zero-grad")
def remove_zero_grad(text: Text) -> Iterator[Mutant]:
    """Gradients of all iterations add up, where `x.zero_grad()` stands with backward and a step in one loop (or in
    a function that a loop of the file calls) and nothing else there clears: no other zero_grad but those of
    optimizers that step too, nothing that writes `.grad`.
    """
    for call in text.calls:
        statement = text.statement(call)
        receiver = method(call, "zero_grad")
        if receiver is None or expression(statement) is not call:
            continue
        place = _iteration(text, call)
        names = {each.func.attr for each in calls_in(place) if isinstance(each.func, ast.Attribute)}
        if {"backward", "step"} <= names and not _cleared_elsewhere(place, call):
            doubt = "" if isinstance(place, LOOPS) or _is_repeated(text, place) else ONCE
            yield Mutant(removed(text, statement), call.lineno, doubt)


def _iteration(text: Text, node: ast.AST) -> ast.AST:
    """Return the innermost loop that a node shares with a step, else its function."""
    for each in text.around(node):
        if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Module)):
            return each
        if isinstance(each, LOOPS) and any(method(call, "step") for call in calls_in(each)):
            return each
    return text.tree


def _cleared_elsewhere(place: ast.AST, removed_call: ast.Call) -> bool:
    stepped = {spelled(receiver) for call in calls_in(place) if (receiver := method(call, "step"))}
    stepped |= {spelled(call.args[0]) for call in calls_in(place) if method(call, "step") and call.args}
    own = method(removed_call, "zero_grad")
    assert own is not None
    others = [
        spelled(receiver)
        for call in calls_in(place)
        if call is not removed_call and (receiver := method(call, "zero_grad"))
    ]
    if any(other not in stepped or other == spelled(own) for other in others) or spelled(own) not in stepped:
        return True
    return any(isinstance(each, ast.Attribute) and _writes_gradient(each) for each in ast.walk(place))


def _writes_gradient(node: ast.Attribute) -> bool:
    """Tell whether it is `p.grad = ...` or `p.grad.zero_`."""
    if node.attr == "grad":
        return isinstance(node.ctx, (ast.Store, ast.Del))
    return node.attr.endswith("_") and any(
        isinstance(each, ast.Attribute) and each.attr == "grad" for each in ast.walk(node.value)
    )


def _is_repeated(text: Text, function: ast.AST) -> bool:
    """Tell whether a loop of the file calls a function, by its name, or an optimizer does."""
    name = getattr(function, "name", None)
    for call in text.calls:
        called = getattr(call.func, "attr", getattr(call.func, "id", None))
        if called == name and text.loop(call) is not None:
            return True
        if method(call, "step") and any(isinstance(each, ast.Name) and each.id == name for each in call.args):
            return True
    return False


@operator(b"zero_grad", "zero-grad-before-step")
def zero_grad_behind_backward(text: Text) -> Iterator[Mutant]:
    """The step sees no gradient, where one block has zero_grad, then backward, then the step of the same thing."""
    for call in text.calls:
        statement = text.statement(call)
        receiver = method(call, "zero_grad")
        if receiver is None or expression(statement) is not call:
            continue
        block = text.block(statement)
        behind = block[block.index(statement) + 1 :]
        step = next((one for one in behind if _steps(one, spelled(receiver))), None)
        backward = [one for one in behind[: behind.index(step)] if _goes_back(one)] if step else []
        if backward and (edits := moved(text, statement, backward[-1])):
            yield Mutant(edits, call.lineno)


def _steps(statement: ast.stmt, optimizer: str) -> bool:
    call = expression(statement)
    if not isinstance(call, ast.Call):
        return False
    receiver = method(call, "step")
    return receiver is not None and optimizer in (spelled(receiver), *map(spelled, call.args))


def _goes_back(statement: ast.stmt) -> bool:
    return method(expression(statement), "backward") is not None
