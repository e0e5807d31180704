"""What keeps graphs alive over iterations, or cuts them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mutants.operator import Mutant, operator, replaced, wrapped
from mutants.text import Text, calls_in, expression, method, spelled


@operator(b"item()", "loss-history-retained")
def add_up_loss_tensors(text: Text) -> Iterator[Mutant]:
    """Graphs of all iterations stay alive, where a loop adds up `loss.item()` of a loss that goes backward there."""
    for statement in ast.walk(text.tree):
        if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add):
            for call in calls_in(statement.value):
                yield from _kept(text, statement, call, statement.target)


@operator(b"item()", "loss-history-retained")
def append_loss_tensors(text: Text) -> Iterator[Mutant]:
    """Graphs of all iterations stay alive, where a loop appends `loss.item()` of a loss that goes backward there."""
    for statement in ast.walk(text.tree):
        appended = expression(statement)
        if isinstance(appended, ast.Call) and (target := method(appended, "append")) is not None:
            for call in appended.args:
                yield from _kept(text, statement, call, target)


def _kept(text: Text, statement: ast.AST, call: ast.AST, target: ast.expr) -> Iterator[Mutant]:
    loss = method(call, "item")
    loop = text.loop(statement)
    if loss is None or loop is None or text.without_gradients(statement):
        return
    assert isinstance(call, ast.Call)
    name = spelled(loss).removesuffix(".data").removesuffix(".detach()")
    if not any(spelled(gone) == name for each in calls_in(loop) if (gone := method(each, "backward"))):
        return
    doubt = "the loop starts afresh" if _is_reset(loop, spelled(target)) else ""
    yield Mutant((replaced(text, call, name),), call.lineno, doubt)


def _is_reset(loop: ast.AST, name: str) -> bool:
    return any(
        isinstance(each, ast.Assign) and any(spelled(target) == name for target in each.targets)
        for each in ast.walk(loop)
    )


@operator(b"detach", "hidden-state-not-detached")
def carry_hidden_state(text: Text) -> Iterator[Mutant]:
    """Backward goes through all earlier iterations (which torch refuses, or memory grows), where a loop detaches a
    name that a call in the loop takes and gives back, keeps it under that name, and goes backward.
    """
    for call in text.calls:
        state = method(call, "detach")
        loop = text.loop(call)
        statement = text.statement(call)
        if state is None or loop is None or not isinstance(statement, ast.Assign):
            continue
        name = next((each.id for each in ast.walk(state) if isinstance(each, ast.Name)), "")
        kept = any(_mentions(target, name) for target in statement.targets)
        if kept and _is_carried(loop, name) and any(method(each, "backward") for each in calls_in(loop)):
            yield Mutant((replaced(text, call, text.code(state)),), call.lineno)


def _is_carried(loop: ast.AST, name: str) -> bool:
    """Tell whether a call in a loop takes a name and gives it back."""
    return any(
        isinstance(each, ast.Assign)
        and isinstance(each.value, ast.Call)
        and any(_mentions(target, name) for target in each.targets)
        and any(_mentions(argument, name) for argument in each.value.args)
        and method(each.value, "detach") is None
        for each in ast.walk(loop)
    )


def _mentions(node: ast.AST, name: str) -> bool:
    return any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(node))


@operator(b"backward", "reattached-loss")
def rewrap_loss(text: Text) -> Iterator[Mutant]:
    """Nothing is learnt, wherever a loss goes backward that was made a new leaf before."""
    if text.imports.get("torch") != "torch":
        return
    for call in text.calls:
        loss = method(call, "backward")
        if not isinstance(loss, ast.Name) or call.args or call.keywords:
            continue
        if any(method(each, "step") for each in calls_in(text.function(call))):
            edits = wrapped(text, loss, "torch.tensor(", ".item(), requires_grad=True)")
            yield Mutant(edits, call.lineno)


@operator(b"torch", "discarded-result")
def discard_result(text: Text) -> Iterator[Mutant]:
    """The call has no effect, where `x = f(x)` loses its `x =` and f is functional and returns another tensor."""
    for statement in ast.walk(text.tree):
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
            if isinstance(target, ast.Name) and _is_functional(text, value, target.id):
                yield Mutant((replaced(text, statement, text.code(value)),), statement.lineno)


PURE = (
    "dropout",
    "relu",
    "leaky_relu",
    "gelu",
    "softmax",
    "log_softmax",
    "sigmoid",
    "tanh",
    "normalize",
    "clamp",
)
METHODS = ("clamp", "detach", "relu", "sigmoid", "softmax", "masked_fill")


def _is_functional(text: Text, value: ast.expr, name: str) -> bool:
    if not isinstance(value, ast.Call) or any(each.arg in ("inplace", "out") for each in value.keywords):
        return False
    if isinstance(receiver := method(value, *METHODS), ast.Name) and receiver.id == name:
        return True
    module, _, last = text.name(value.func).rpartition(".")
    first = value.args[0] if value.args else None
    known = module in ("torch", "torch.nn.functional") and last in PURE
    return known and isinstance(first, ast.Name) and first.id == name
