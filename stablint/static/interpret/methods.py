"""What the definition of a function says: static, property, setter, what it calls its object."""

from __future__ import annotations

import libcst as cst

from stablint.static.facts.scopes import Scope
from stablint.static.nodes import all_parameters, dotted_name


def function_in(scope: Scope, name: str) -> Scope | None:
    """Return the function that a class itself defines under a name; the last one wins."""
    found = None
    for child in scope.children:
        if child.kind == "function" and child.name == name and not is_setter(child):
            found = child
    return found


def _decorator_names(function: Scope) -> set[str]:
    return {dotted_name(decorator.decorator).rsplit(".", 1)[-1] for decorator in function.decorators}


def is_static(function: Scope) -> bool:
    """Whether a method takes no receiver."""
    return "staticmethod" in _decorator_names(function)


def is_class_method(function: Scope) -> bool:
    """Whether a method is given the class."""
    return function.name == "__new__" or "classmethod" in _decorator_names(function)


def is_property(function: Scope) -> bool:
    """Whether reading the method's name calls it."""
    return bool(_decorator_names(function) & {"property", "cached_property"})


def is_setter(function: Scope) -> bool:
    """Whether a function sets or deletes a property."""
    return any(
        isinstance(decorator.decorator, cst.Attribute)
        and decorator.decorator.attr.value in ("setter", "deleter")
        for decorator in function.decorators
    )


def is_transforming(decorator: cst.Decorator) -> bool:
    """Whether a decorator makes something else of what the function returns."""
    name = dotted_name(decorator.decorator) or dotted_name(getattr(decorator.decorator, "func", None))
    return name.rsplit(".", 1)[-1] in (
        "contextmanager",
        "asynccontextmanager",
        "singledispatch",
        "vmap",
        "jit",
    )


def own_name(scope: Scope) -> str:
    """Return what code of a method, or of a function inside one, calls the object."""
    around: Scope | None = scope
    while around is not None:
        if around.owner is not None:
            return first_parameter(around)
        around = around.parent
    return "self"


def first_parameter(function: Scope) -> str:
    """Return the name of `self` in a method; "" where there is no parameter."""
    node = function.node
    if not isinstance(node, cst.FunctionDef):
        return ""
    return next((parameter.name.value for parameter in all_parameters(node.params)), "")
