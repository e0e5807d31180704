"""What all calls of a file give to a parameter, where that is written out: the sizes and the depth of a model."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.scopes import CallSite, Scope
from stablint.static.facts.terms import ClassObject, Constant, Display, Parameter, Term
from stablint.static.nodes import all_parameters, last_name

if TYPE_CHECKING:
    from stablint.static.interpret.interpreter import Interpreter


MOST_ROUNDS = 64
"""Longer lists are no sizes of a model."""


def builds_layers(scope: Scope) -> bool:
    """Whether a function makes a model: a constructor, or what returns layers in a row."""
    node = scope.node
    if not isinstance(node, cst.FunctionDef):
        return False
    last = node.body.body[-1] if node.body.body else None
    small = last.body[-1] if isinstance(last, cst.SimpleStatementLine) and last.body else last
    made = small.value if isinstance(small, cst.Return) else None
    is_made = isinstance(made, cst.Call) and last_name(made.func) in ("Sequential", "ModuleList")
    return is_made or scope.name == "__init__"


def agreed(interpreter: Interpreter, parameter: Parameter) -> Term | None:
    """Return the number, text or list of them that every call gives; the default where nobody calls."""
    interpreter = interpreter.home(parameter.function)
    if parameter not in interpreter.agreed:
        interpreter.agreed[parameter] = _agreed(interpreter, parameter)
    return interpreter.agreed[parameter]


def _agreed(interpreter: Interpreter, parameter: Parameter) -> Term | None:
    function = parameter.function
    owner = function.owner
    name = function.name
    if owner is not None and name == "__init__":
        if any(_inherits(interpreter, scope, owner) for scope in interpreter.syntax.classes):
            return None
        name = owner.name
    calls = interpreter.syntax.calls.get(name, ())
    default = parameter.node.default if isinstance(parameter.node, cst.Param) else None
    given = [_given(call, parameter) for call in calls]
    written = [default if one is None else one for one in given] or [default]
    values = [_literal(interpreter, one) if isinstance(one, cst.BaseExpression) else None for one in written]
    return _term(values[0]) if values[0] is not None and all(value == values[0] for value in values) else None


def _inherits(interpreter: Interpreter, scope: Scope, owner: Scope) -> bool:
    bases = interpreter.hierarchy.bases(scope)
    return any(isinstance(base, ClassObject) and base.scope is owner for base in bases)


def _given(call: CallSite, parameter: Parameter) -> cst.CSTNode | None:
    """Return what a call gives to a parameter; the call itself where that cannot be seen, None for the default."""
    function = parameter.function
    assert isinstance(function.node, cst.FunctionDef | cst.Lambda)
    names = [one.name.value for one in all_parameters(function.node.params)]
    position = names.index(parameter.name) - (1 if function.owner is not None else 0)
    for index, argument in enumerate(call.node.args):
        if argument.star:
            return argument
        if argument.keyword.value == parameter.name if argument.keyword is not None else index == position:
            return argument.value
    return None


def _literal(interpreter: Interpreter, node: cst.BaseExpression) -> object:
    """Return the value that is written out, if need be under a name of the module; None for anything else."""
    match node:
        case cst.Name(value=name):
            bindings = interpreter.syntax.module.bindings.get(name, ())
            bound = bindings[0].value if len(bindings) == 1 else None
            return (
                _literal(interpreter, bound)
                if bound is not None and not isinstance(bound, cst.Name)
                else None
            )
        case cst.BinaryOperation(left=left, operator=symbol, right=right):
            return _combined(_literal(interpreter, left), symbol, _literal(interpreter, right))
        case cst.Integer() | cst.SimpleString() | cst.List() | cst.Tuple():
            return _evaluated(cst.Module([]).code_for_node(node))
        case _:
            return None


def _combined(left: object, symbol: cst.BaseBinaryOp, right: object) -> object:
    """Put lists together: `[64] * 8 + [1]`."""
    if isinstance(symbol, cst.Multiply) and isinstance(left, list) and isinstance(right, int):
        return left * right if len(left) * right <= MOST_ROUNDS else None
    return (
        left + right
        if isinstance(symbol, cst.Add) and isinstance(left, list) and isinstance(right, list)
        else None
    )


def _evaluated(code: str) -> object:
    try:
        value: object = ast.literal_eval(code)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return list(value) if isinstance(value, tuple) else value


def _term(value: object) -> Term:
    if isinstance(value, list | tuple):
        return Display("list", tuple(_term(one) for one in value))
    return Constant(value)
