"""What the attributes of an object of a class of the file hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.scopes import Scope
from stablint.static.facts.terms import (
    ClassObject,
    Closure,
    Constant,
    Dictionary,
    Display,
    Instance,
    Receiver,
    Reference,
    Term,
    Unknown,
    join,
)
from stablint.static.interpret.frame import Environment
from stablint.static.interpret.invocations import given_to
from stablint.static.interpret.methods import (
    first_parameter,
    function_in,
    is_class_method,
    is_property,
    is_static,
)
from stablint.static.interpret.records import given_field, is_field
from stablint.static.interpret.substitution import Substitution

if TYPE_CHECKING:
    from stablint.static.interpret.interpreter import Interpreter


def member(interpreter: Interpreter, scope: Scope, name: str, base: Receiver | Instance) -> Term:
    """Return what `base.name` holds for an object of a class of the file."""
    function = interpreter.hierarchy.method_of(scope, name)
    if function is not None:
        if is_property(function):
            outcome = interpreter.outcome(function)
            return _made_with(interpreter, outcome.returns, base) if outcome else Unknown(None, name)
        return bind_method(function, base)
    if is_field(interpreter, base, name):
        return _field(interpreter, scope, name, base)
    held = _attribute_held(interpreter, scope, name)
    if held is None:
        return interpreter.home(scope).attribute_of(_owner(interpreter, scope, base), name, None)
    return _made_with(interpreter, held, base)


def _made_with(interpreter: Interpreter, held: Term, base: Receiver | Instance) -> Term:
    """Return what an object holds, with the arguments it was made with."""
    if not isinstance(base, Instance) or base.scope is None:
        return held
    init = interpreter.hierarchy.method_of(base.scope, "__init__")
    if init is None:
        return held
    from stablint.static.interpret.calls import Arguments

    arguments = Arguments(base.positional, dict(base.keywords), base.open_arguments)
    given = given_to(interpreter, init, arguments, True)
    return Substitution(interpreter, given, init).rebuild(held)


def _field(interpreter: Interpreter, scope: Scope, name: str, base: Receiver | Instance) -> Term:
    """Return what a field of a record holds: what it was given, or its default where that is all that is left."""
    unknown = interpreter.home(scope).attribute_of(_owner(interpreter, scope, base), name, None)
    if not isinstance(base, Instance):
        return unknown
    given = given_field(interpreter, base, name)
    if given is not None:
        return given
    if base.open_arguments or _is_written(interpreter, scope, name):
        return unknown
    held = _attribute_held(interpreter, scope, name)
    return held if isinstance(held, Constant | Closure | Reference | Display | Dictionary) else unknown


def _owner(interpreter: Interpreter, scope: Scope, base: Receiver | Instance) -> Term:
    return base if isinstance(base, Instance) else interpreter.receiver(scope)


def _is_written(interpreter: Interpreter, scope: Scope, name: str) -> bool:
    """Whether a method sets the field."""
    return any(
        f"{first_parameter(function)}.{name}" in function.writes
        for one in interpreter.hierarchy.lineage(scope)
        for function in one.children
        if function.kind == "function"
    )


def class_member(interpreter: Interpreter, base: ClassObject, name: str, node: cst.CSTNode | None) -> Term:
    """Return what `A.name` holds for a class of the file."""
    for one in interpreter.hierarchy.lineage(base.scope):
        function = function_in(one, name)
        if function is not None and not is_property(function):
            return Closure(function, base if is_class_method(function) else None)
        outcome = interpreter.outcome(one)
        if outcome is not None and name in outcome.env:
            return outcome.env[name]
    return interpreter.attribute_of(base, name, node)


def _attribute_held(interpreter: Interpreter, scope: Scope, name: str) -> Term | None:
    interpreter = interpreter.home(scope)
    for one in interpreter.hierarchy.lineage(scope):
        interpreter.home(one).begin_class(one)
    key = (scope, name)
    if key in interpreter._members:
        return interpreter._members[key]
    if key in interpreter._resolving:
        return None
    interpreter._resolving.add(key)
    try:
        held, is_complete = _written(interpreter, scope, name)
    finally:
        interpreter._resolving.discard(key)
    if is_complete and held is not None:
        interpreter._members[key] = held
    return held


def _written(interpreter: Interpreter, scope: Scope, name: str) -> tuple[Term | None, bool]:
    """Return what the methods of a class leave in an attribute, and whether all of them are done."""
    held: list[Term] = []
    is_complete = True
    for one in interpreter.hierarchy.lineage(scope):
        for function in one.children:
            if function.kind != "function" or (path := f"{first_parameter(function)}.{name}") == f".{name}":
                continue
            if function.name != "__init__" and path not in function.writes:
                continue
            env, finished = _env_of(interpreter, function)
            is_complete = is_complete and finished
            if env is not None and path in env:
                held.append(env[path])
        if not held:
            outcome = interpreter.outcome(one)
            if outcome is not None and name in outcome.env:
                held.append(outcome.env[name])
        if held:
            break
    return (join(*held) if held else None), is_complete


def _env_of(interpreter: Interpreter, function: Scope) -> tuple[Environment | None, bool]:
    outcome = interpreter.outcome(function)
    if outcome is not None:
        return outcome.env, True
    frame = interpreter.home(function).frames.get(function)
    return (frame.env if frame is not None else None), False


def inherited_instance(interpreter: Interpreter, scope: Scope) -> Instance | None:
    """Return what `super().__init__(...)` made of an object whose base is a layer: class Net(nn.Sequential)."""
    init = interpreter.hierarchy.method_of(scope, "__init__")
    outcome = interpreter.outcome(init) if init is not None else None
    made = outcome.env.get("super().__init__") if outcome is not None else None
    return made if isinstance(made, Instance) else None


def bind_method(function: Scope, receiver: Term) -> Closure:
    """Return a method bound to an object (a static method to nothing)."""
    return Closure(function, None if is_static(function) else receiver)
