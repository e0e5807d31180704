"""How operations are written in a file: where their operand stands, how a name of torch can be spelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.scopes import Scope, syntax
from stablint.static.facts.terms import Operation

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


def spelled(source: SourceFile, scope: Scope, dotted: str) -> str | None:
    """Return the shortest way to say a dotted name in a scope, by what is imported at the top of the file."""
    module = source.ask(syntax).module
    ways: list[str] = []
    for name, bindings in module.bindings.items():
        if any(binding.kind != "import" for binding in bindings) or _is_hidden(name, scope):
            continue
        imported = {binding.dotted for binding in bindings}
        if len(imported) != 1:
            continue
        start = imported.pop() or ""
        if dotted == start:
            ways.append(name)
        elif dotted.startswith(f"{start}."):
            ways.append(name + dotted[len(start) :])
    return min(ways, key=len, default=None)


def _is_hidden(name: str, scope: Scope | None) -> bool:
    """Whether the name means something else in the scope than in the module."""
    while scope is not None and scope.kind != "module":
        if name in scope.bindings:
            return True
        scope = scope.parent
    return False


def written_operand(operation: Operation) -> cst.BaseExpression | None:
    """Return the expression an operation works on: `x` of `torch.log(x)`, `x.log()`, `nn.Softmax(1)(x)`."""
    node = operation.node
    if not isinstance(node, cst.Call):
        return None
    if operation.dotted.startswith("torch.Tensor.") and isinstance(node.func, cst.Attribute):
        return node.func.value
    first = node.args[0] if node.args else None
    if first is None or first.star or (first.keyword is not None and first.keyword.value != "input"):
        return None
    return first.value


def written_operands(operation: Operation) -> tuple[cst.BaseExpression, ...]:
    """Return the two sides of an operator, or the expression that a call works on."""
    if isinstance(operation.node, cst.BinaryOperation):
        return operation.node.left, operation.node.right
    operand = written_operand(operation)
    return () if operand is None else (operand,)


def written_argument(operation: Operation, position: int, *names: str) -> cst.BaseExpression | None:
    """Return the expression of an argument by its names, or by its place behind the operand."""
    node = operation.node
    if not isinstance(node, cst.Call) or any(argument.star for argument in node.args):
        return None
    given = {argument.keyword.value: argument.value for argument in node.args if argument.keyword is not None}
    found = next((given[name] for name in names if name in given), None)
    place = position if operation.dotted.startswith("torch.Tensor.") else position + 1
    if found is None and place < len(node.args) and node.args[place].keyword is None:
        return node.args[place].value
    return found


def is_alone(operation: Operation, arguments: int = 0) -> bool:
    """Whether a call has only its operand and at most so many arguments, and does not work in place."""
    if operation.open_arguments or operation.dotted.endswith("_"):
        return False
    return len(operation.positional) + len(operation.keywords) <= arguments


def renamed(call: cst.CSTNode, names: Mapping[str, str]) -> cst.Call | None:
    """Return a call of `a.name(...)` or `a.name(...)(...)` with the name exchanged; None for any other."""
    if not isinstance(call, cst.Call):
        return None
    callee = call.func
    if isinstance(callee, cst.Attribute) and callee.attr.value in names:
        attr = callee.attr.with_changes(value=names[callee.attr.value])
        return call.with_changes(func=callee.with_changes(attr=attr))
    made = renamed(callee, names)
    return call.with_changes(func=made) if made is not None else None


def loses_comment(source: SourceFile, whole: cst.CSTNode, kept: cst.CSTNode) -> bool:
    """Whether a comment would go if only a part of an expression were kept."""
    return source.code(whole).count("#") > source.code(kept).count("#")


def last_operand(node: cst.BaseExpression) -> cst.BaseExpression:
    """Return `x` of `1 - x` and of `-x`, as it is written."""
    if isinstance(node, cst.BinaryOperation):
        return node.right
    return node.expression if isinstance(node, cst.UnaryOperation) else node


def bare(source: SourceFile, node: cst.BaseExpression) -> str:
    """Return the code of an expression without parentheses around it."""
    return source.code(node.with_changes(lpar=(), rpar=()))


def in_parentheses(source: SourceFile, node: cst.BaseExpression) -> str:
    """Return the code of an expression such that an operator may stand before it."""
    code = source.code(node)
    return code if isinstance(node, _ATOMS) or node.lpar else f"({code})"


_ATOMS = cst.Name | cst.Attribute | cst.Call | cst.Subscript | cst.Integer | cst.Float
