"""Walking statements: blocks, definitions, imports, assignments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import libcst as cst

from stablint.static.facts.scopes import Binding, Block, Scope
from stablint.static.nodes import dotted_name, meaningful_children
from stablint.static.walk.expressions import expression, parameters, target
from stablint.static.walk.walk import Place, Walk, bind


def suite(walk: Walk, body: Sequence[cst.CSTNode], scope: Scope, block: Block | None) -> None:
    """Walk the statements of a suite."""
    for node in body:
        statement(walk, node, Place(scope, node, block))


def statement(walk: Walk, node: cst.CSTNode, place: Place) -> None:
    """Walk one statement."""
    walk.blocks[node] = (place.scope, place.block)
    if type(node) is cst.SimpleStatementLine:
        for part in node.body:
            walk.blocks[part] = (place.scope, place.block)
            _small(walk, part, place)
        return
    handler = _COMPOUND.get(type(node))
    if handler is not None:
        handler(walk, node, place)
    else:
        _small(walk, node, place)


def _inside(walk: Walk, body: cst.BaseSuite, place: Place, block: Block | None) -> None:
    suite(walk, body.body, place.scope, block)


def _if(walk: Walk, node: cst.If, place: Place) -> None:
    expression(walk, node.test, place)
    _inside(walk, node.body, place, Block("if", node, place.block))
    if node.orelse is None:
        return
    other = Block("else", node, place.block)
    if isinstance(node.orelse, cst.If):
        statement(walk, node.orelse, Place(place.scope, node.orelse, other))
    else:
        _inside(walk, node.orelse.body, place, other)


def _for(walk: Walk, node: cst.For, place: Place) -> None:
    expression(walk, node.iter, place)
    target(walk, node.target, place, None)
    _inside(walk, node.body, place, Block("for", node, place.block))
    if node.orelse is not None:
        _inside(walk, node.orelse.body, place, Block("loop-else", node, place.block))


def _while(walk: Walk, node: cst.While, place: Place) -> None:
    inner = Block("while", node, place.block)
    expression(walk, node.test, place._replace(block=inner))
    _inside(walk, node.body, place, inner)
    if node.orelse is not None:
        _inside(walk, node.orelse.body, place, Block("loop-else", node, place.block))


def _with(walk: Walk, node: cst.With, place: Place) -> None:
    for item in node.items:
        expression(walk, item.item, place)
        if item.asname is not None:
            target(walk, item.asname.name, place, None)
    _inside(walk, node.body, place, Block("with", node, place.block))


def _try(walk: Walk, node: cst.Try | cst.TryStar, place: Place) -> None:
    _inside(walk, node.body, place, Block("try", node, place.block))
    for handler in node.handlers:
        if handler.type is not None:
            expression(walk, handler.type, place)
        if handler.name is not None:
            target(walk, handler.name.name, place._replace(statement=handler), None)
        _inside(walk, handler.body, place, Block("except", handler, place.block))
    if node.orelse is not None:
        _inside(walk, node.orelse.body, place, Block("try", node, place.block))
    if node.finalbody is not None:
        _inside(walk, node.finalbody.body, place, Block("finally", node, place.block))


def _match(walk: Walk, node: cst.Match, place: Place) -> None:
    expression(walk, node.subject, place)
    for case in node.cases:
        _pattern(walk, case.pattern, place)
        if case.guard is not None:
            expression(walk, case.guard, place)
        _inside(walk, case.body, place, Block("case", case, place.block))


def _pattern(walk: Walk, node: cst.CSTNode, place: Place) -> None:
    if isinstance(node, cst.MatchAs | cst.MatchStar) and node.name is not None:
        bind(place.scope, node.name.value, Binding("other", place.statement))
    if isinstance(node, cst.MatchMapping) and node.rest is not None:
        bind(place.scope, node.rest.value, Binding("other", place.statement))
    for child in meaningful_children(node):
        if isinstance(child, cst.BaseExpression):
            expression(walk, child, place)
        else:
            _pattern(walk, child, place)


def _function(walk: Walk, node: cst.FunctionDef, place: Place) -> None:
    name = node.name.value
    for decorator in node.decorators:
        expression(walk, decorator.decorator, place)
    walk.identifiers.add(name)
    bind(place.scope, name, Binding("def", node))
    inner = Scope("function", node, place.scope, name, place.block, decorators=node.decorators)
    place.scope.children.append(inner)
    walk.functions.append(inner)
    parameters(walk, node.params, inner, place)
    if node.returns is not None:
        expression(walk, node.returns.annotation, place)
    suite(walk, node.body.body, inner, None)


def _class(walk: Walk, node: cst.ClassDef, place: Place) -> None:
    name = node.name.value
    for decorator in node.decorators:
        expression(walk, decorator.decorator, place)
    for argument in (*node.bases, *node.keywords):
        expression(walk, argument.value, place)
    walk.identifiers.add(name)
    bind(place.scope, name, Binding("class", node))
    inner = Scope("class", node, place.scope, name, place.block, decorators=node.decorators)
    place.scope.children.append(inner)
    walk.classes.append(inner)
    suite(walk, node.body.body, inner, None)


def _small(walk: Walk, node: cst.CSTNode, place: Place) -> None:
    handler = _SMALL.get(type(node))
    if handler is not None:
        handler(walk, node, place)
    else:
        for child in meaningful_children(node):
            expression(walk, child, place)


def _assign(walk: Walk, node: cst.Assign, place: Place) -> None:
    expression(walk, node.value, place)
    for one in node.targets:
        target(walk, one.target, place, node.value)


def _annotated(walk: Walk, node: cst.AnnAssign, place: Place) -> None:
    expression(walk, node.annotation.annotation, place)
    if node.value is not None:
        expression(walk, node.value, place)
    target(walk, node.target, place, node.value)


def _augmented(walk: Walk, node: cst.AugAssign, place: Place) -> None:
    expression(walk, node.value, place)
    target(walk, node.target, place, None)
    expression(walk, node.target, place)


def _outer_names(walk: Walk, node: cst.Global | cst.Nonlocal, place: Place) -> None:
    place.scope.outer_names.update(item.name.value for item in node.names)


def _import(walk: Walk, node: cst.Import, place: Place) -> None:
    for alias in node.names:
        dotted = dotted_name(alias.name)
        top = dotted.split(".")[0]
        walk.identifiers.update(dotted.split("."))
        walk.packages.add(top)
        if alias.asname is not None and isinstance(alias.asname.name, cst.Name):
            bind(place.scope, alias.asname.name.value, Binding("import", node, dotted=dotted))
        else:
            bind(place.scope, top, Binding("import", node, dotted=top))


def _import_from(walk: Walk, node: cst.ImportFrom, place: Place) -> None:
    package = "." * len(node.relative) + dotted_name(node.module)
    walk.identifiers.update(package.split("."))
    walk.packages.add(package.split(".")[0])
    if isinstance(node.names, cst.ImportStar):
        walk.has_star_import = True
        bind(place.scope, "*", Binding("import", node, dotted=package))
        return
    for alias in node.names:
        name = dotted_name(alias.name)
        walk.identifiers.add(name)
        bound = alias.asname.name if alias.asname is not None else alias.name
        if isinstance(bound, cst.Name):
            dotted = f"{package}{name}" if package.endswith(".") else f"{package}.{name}"
            bind(place.scope, bound.value, Binding("import", node, dotted=dotted))


_COMPOUND: dict[type[cst.CSTNode], Callable[..., None]] = {
    cst.If: _if,
    cst.For: _for,
    cst.While: _while,
    cst.With: _with,
    cst.Try: _try,
    cst.TryStar: _try,
    cst.Match: _match,
    cst.FunctionDef: _function,
    cst.ClassDef: _class,
}
_SMALL: dict[type[cst.CSTNode], Callable[..., None]] = {
    cst.Assign: _assign,
    cst.AnnAssign: _annotated,
    cst.AugAssign: _augmented,
    cst.Import: _import,
    cst.ImportFrom: _import_from,
    cst.Global: _outer_names,
    cst.Nonlocal: _outer_names,
}
