"""Walking expressions: names, calls, lambdas, comprehensions."""

from __future__ import annotations

from collections.abc import Callable

import libcst as cst

from stablint.static.facts.scopes import Binding, CallSite, Scope, Store
from stablint.static.nodes import all_parameters, last_name, meaningful_children
from stablint.static.walk.walk import Place, Walk, bind


def expression(walk: Walk, node: cst.CSTNode, place: Place) -> None:
    """Walk an expression, or any node in a statement that has no meaning of its own here."""
    handler = _EXPRESSIONS.get(type(node))
    if handler is not None:
        handler(walk, node, place)
    else:
        for child in meaningful_children(node):
            expression(walk, child, place)


def _name(walk: Walk, node: cst.Name, place: Place) -> None:
    walk.identifiers.add(node.value)


def _attribute(walk: Walk, node: cst.Attribute, place: Place) -> None:
    walk.identifiers.add(node.attr.value)
    expression(walk, node.value, place)


def _call(walk: Walk, node: cst.Call, place: Place) -> None:
    site = CallSite(node, place.scope, place.statement, place.block)
    walk.calls.setdefault(last_name(node.func), []).append(site)
    expression(walk, node.func, place)
    for argument in node.args:
        expression(walk, argument.value, place)


def _lambda(walk: Walk, node: cst.Lambda, place: Place) -> None:
    inner = Scope("lambda", node, place.scope, "<lambda>", place.block)
    place.scope.children.append(inner)
    walk.functions.append(inner)
    parameters(walk, node.params, inner, place)
    expression(walk, node.body, Place(inner, place.statement, None))


def parameters(walk: Walk, node: cst.Parameters, inner: Scope, place: Place) -> None:
    """Walk a signature: its names belong to the function, its defaults and annotations to the scope around."""
    for parameter in all_parameters(node):
        name = parameter.name.value
        walk.identifiers.add(name)
        inner.bindings.setdefault(name, []).append(Binding("parameter", parameter))
        if parameter.default is not None:
            expression(walk, parameter.default, place)
        if parameter.annotation is not None:
            expression(walk, parameter.annotation.annotation, place)


def _comprehension(walk: Walk, node: cst.BaseComp, place: Place) -> None:
    inner = place._replace(scope=Scope("comprehension", node, place.scope, "", place.block))
    _comprehension_for(walk, node.for_in, inner)
    if isinstance(node, cst.DictComp):
        expression(walk, node.key, inner)
        expression(walk, node.value, inner)
    elif isinstance(node, cst.BaseSimpleComp):
        expression(walk, node.elt, inner)


def _comprehension_for(walk: Walk, node: cst.CompFor, place: Place) -> None:
    expression(walk, node.iter, place)
    _comprehension_target(walk, node.target, place.scope)
    for test in node.ifs:
        expression(walk, test.test, place)
    if node.inner_for_in is not None:
        _comprehension_for(walk, node.inner_for_in, place)


def _comprehension_target(walk: Walk, node: cst.CSTNode, scope: Scope) -> None:
    match node:
        case cst.Name(value=name):
            walk.identifiers.add(name)
            scope.bindings.setdefault(name, []).append(Binding("other", node))
        case cst.Tuple(elements=elements) | cst.List(elements=elements):
            for element in elements:
                _comprehension_target(walk, element.value, scope)


def _walrus(walk: Walk, node: cst.NamedExpr, place: Place) -> None:
    expression(walk, node.value, place)
    target(walk, node.target, place, node.value)


def target(walk: Walk, node: cst.CSTNode, place: Place, value: cst.BaseExpression | None) -> None:
    """Walk what is assigned to; `value` is what a plain name gets."""
    match node:
        case cst.Name(value=name):
            walk.identifiers.add(name)
            bind(place.scope, name, Binding("assign", place.statement, value))
        case cst.Tuple(elements=elements) | cst.List(elements=elements):
            for element in elements:
                target(walk, element.value, place, None)
        case cst.Attribute(value=cst.Name(value=base), attr=cst.Name(value=name)):
            walk.stores.append(Store(node, place.scope, place.statement, value))
            written = Binding("assign", place.statement, value)
            place.scope.function.writes.setdefault(f"{base}.{name}", []).append(written)
            expression(walk, node, place)
        case cst.Attribute() | cst.Subscript():
            walk.stores.append(Store(node, place.scope, place.statement, value))
            expression(walk, node, place)
        case _:
            expression(walk, node, place)


def _nothing(walk: Walk, node: cst.CSTNode, place: Place) -> None:
    pass


_EXPRESSIONS: dict[type[cst.CSTNode], Callable[..., None]] = {
    cst.Name: _name,
    cst.Attribute: _attribute,
    cst.Call: _call,
    cst.Lambda: _lambda,
    cst.ListComp: _comprehension,
    cst.SetComp: _comprehension,
    cst.DictComp: _comprehension,
    cst.GeneratorExp: _comprehension,
    cst.NamedExpr: _walrus,
    cst.SimpleString: _nothing,
    cst.Integer: _nothing,
    cst.Float: _nothing,
    cst.Ellipsis: _nothing,
}
