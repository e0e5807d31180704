"""What names hold, as far as assignments in the same file show it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mutants.text import FUNCTIONS, Text, method

CARRIES = ("cuda", "to", "cpu", "float", "double", "half", "train", "eval", "contiguous")
"""Methods that give back what they are called on, for our purposes."""
WRAPPERS = ("DataParallel", "DistributedDataParallel", "DDP", "compile")


def values_of(text: Text, node: ast.expr) -> list[ast.expr]:
    """Return everything that is assigned to a name in its scope, or to an attribute of self in its class."""
    if isinstance(node, ast.Name):
        for scope in _scopes(text, node):
            if found := text.assigned.get((scope, node.id)):
                return found
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        owner = text.owner(node)
        return text.attributes.get((owner, node.attr), []) if owner else []
    return []


def constructor(text: Text, node: ast.expr) -> ast.Call | None:
    """Return the call that makes what a name holds, where all that is assigned to it is made by the same."""
    made = [_peeled(text, value, node) for value in values_of(text, node)]
    calls = [each for each in made if isinstance(each, ast.Call)]
    others = [each for each in made if each is not None and not isinstance(each, ast.Call)]
    if not calls or others or len({ast.dump(call.func) for call in calls}) > 1:
        return None
    return calls[0]


def last_value(text: Text, node: ast.expr) -> ast.expr | None:
    """Return what a local name was assigned last before its use, where every path comes by that assignment."""
    if not isinstance(node, ast.Name):
        return None
    statement = text.statement(node)
    while not isinstance(statement, (*FUNCTIONS, ast.Module, ast.ClassDef)):
        block = text.block(statement)
        for before in reversed(block[: block.index(statement)]):
            if isinstance(before, ast.Assign) and _is_name(before.targets[0], node.id):
                return before.value if len(before.targets) == 1 else None
            if _binds(before, node.id):
                return None
        parent = text.parents[statement]
        if isinstance(parent, (ast.For, ast.While, ast.AsyncFor)) and _binds(parent, node.id):
            return None
        if not isinstance(parent, ast.stmt) or isinstance(parent, (*FUNCTIONS, ast.ClassDef)):
            return None
        statement = parent
    return None


def traced(text: Text, node: ast.expr, steps: int = 3) -> ast.expr:
    """Follow names to the expressions that they were assigned, a few steps."""
    for _ in range(steps):
        value = last_value(text, node)
        if value is None:
            break
        node = value
    return node


def parameters(function: ast.AST) -> set[str]:
    """Return the names of a function's parameters."""
    if not isinstance(function, FUNCTIONS):
        return set()
    found = function.args
    everything = [*found.posonlyargs, *found.args, *found.kwonlyargs, found.vararg, found.kwarg]
    return {each.arg for each in everything if each is not None}


def _scopes(text: Text, node: ast.Name) -> Iterator[ast.AST]:
    for scope in text.around(node):
        if isinstance(scope, (*FUNCTIONS, ast.Module)):
            yield scope
            if node.id in parameters(scope):
                return


def _peeled(text: Text, value: ast.expr, name: ast.expr) -> ast.expr | None:
    """Take off `.cuda()` and DataParallel; None for a name that only goes through them again."""
    while isinstance(value, ast.Call):
        last = value.func.attr if isinstance(value.func, ast.Attribute) else ""
        if (inner := method(value, *CARRIES)) is not None:
            value = inner
        elif (last in WRAPPERS or text.name(value.func).endswith(WRAPPERS)) and value.args:
            value = value.args[0]
        else:
            return value
    return None if ast.dump(value) == ast.dump(name).replace("Store", "Load") else value


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _binds(node: ast.AST, name: str) -> bool:
    return any(
        isinstance(each, ast.Name) and each.id == name and not isinstance(each.ctx, ast.Load)
        for each in ast.walk(node)
    )
