"""Calls of functions and classes of the file: what they are given, what comes out, what they change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.scopes import Scope
from stablint.static.facts.terms import (
    Call,
    Closure,
    Instance,
    Parameter,
    Receiver,
    Repeated,
    Term,
    Unknown,
)
from stablint.static.interpret.frame import Frame
from stablint.static.interpret.methods import (
    first_parameter,
    is_class_method,
    is_static,
    is_transforming,
    own_name,
)
from stablint.static.interpret.substitution import Substitution

if TYPE_CHECKING:
    from stablint.static.interpret.calls import Arguments
    from stablint.static.interpret.interpreter import Interpreter


_MOST_INSIDE = 3
"""What calls itself is not followed for ever; `Residual(Residual(layer))` runs the same forward inside another."""


@dataclass(frozen=True, slots=True, eq=False)
class Invocation:
    """A call of a function of the file: its arguments by parameter name, and the receiver of a method."""

    function: Scope
    given: dict[str, Term]
    receiver: Term | None


def instantiate(interpreter: Interpreter, scope: Scope, arguments: Arguments, node: cst.Call) -> Instance:
    """Return a new object of a class of the file."""
    init = interpreter.hierarchy.method_of(scope, "__init__")
    if init is not None:
        given = given_to(interpreter, init, arguments, True)
        interpreter.actuals.setdefault(init, []).append(given)
    return Instance(scope.name, scope, arguments.positional, arguments.keywords, node, arguments.open)


def call_closure(
    interpreter: Interpreter, frame: Frame, closure: Closure, arguments: Arguments, node: cst.Call
) -> Term:
    """Return what a call of a function of the file gives, and let it change what it changes."""
    function = closure.function
    bound = closure.receiver is not None and function.owner is not None and not is_static(function)
    given = given_to(interpreter, function, arguments, bound)
    if frame.env is not None:  # else arguments are being put in for parameters: nobody calls here
        interpreter.actuals.setdefault(function, []).append(given)
        interpreter.callers.setdefault(function, set()).add((frame.scope, frame.graph))
        interpreter.invocations.setdefault(id(node), {})[function] = Invocation(
            function, given, closure.receiver
        )
    outcome = interpreter.outcome(function)
    if outcome is None:
        return Call(closure, arguments.positional, arguments.keywords, node, frame.graph)
    if frame.env is None and interpreter.expanding.count(function) >= _MOST_INSIDE:
        return Call(closure, arguments.positional, arguments.keywords, node, frame.graph)
    substitution = Substitution(interpreter, given, function, closure.receiver, frame.graph)
    if isinstance(closure.receiver, Receiver) and frame.env is not None:
        own = own_name(frame.scope)
        inner = first_parameter(function)
        for path, term in outcome.env.items():
            if path.startswith(f"{inner}.") and (path in function.writes or function.name == "__init__"):
                frame.env[f"{own}.{path.removeprefix(f'{inner}.')}"] = substitution.rebuild(term)
    if any(is_transforming(decorator) for decorator in function.decorators):
        return Unknown(node)
    if is_class_method(function) and getattr(closure.receiver, "scope", None) is not function.owner:
        return Unknown(node)  # what it makes for a subclass
    interpreter.expanding.append(function)
    try:
        result = substitution.rebuild(outcome.returns)
    finally:
        interpreter.expanding.pop()
    return Repeated(result, node, lazy=True) if outcome.is_generator else result


def given_to(interpreter: Interpreter, function: Scope, arguments: Arguments, bound: bool) -> dict[str, Term]:
    """Return the arguments of a call by parameter name; defaults fill what is not given."""
    node = function.node
    if not isinstance(node, cst.FunctionDef | cst.Lambda):
        return {}
    parameters = node.params
    named = [*parameters.posonly_params, *parameters.params]
    names = [parameter.name.value for parameter in named][1 if bound else 0 :]
    given = dict(zip(names, arguments.positional, strict=False))
    known = {*names, *(parameter.name.value for parameter in parameters.kwonly_params)}
    given |= {name: value for name, value in arguments.keywords.items() if name in known}
    for name in known - given.keys():
        parameter = _parameter_term(interpreter.home(function), function, name)
        default = parameter.default if parameter is not None else None
        given[name] = Unknown(None, name) if default is None or arguments.open else default
    return given


def _parameter_term(interpreter: Interpreter, function: Scope, name: str) -> Parameter | None:
    from stablint.static.interpret.expressions import evaluate

    binding = function.bindings.get(name, [None])[0]
    if binding is None or not isinstance(binding.node, cst.Param) or binding.node.default is None:
        return None
    value = binding.node.default
    default = interpreter.terms.get(id(value))
    if default is None:
        default = evaluate(interpreter, Frame(function.parent or interpreter.syntax.module), value)
    return Parameter(function, name, binding.node, None, default)
