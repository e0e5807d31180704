"""The shape of a file: scopes with what binds their names, functions, classes, calls, and the blocks around them.

One walk over the fields that carry meaning; whitespace and punctuation are never visited.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal

import libcst as cst

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stablint.static.source import SourceFile

BlockKind = Literal["if", "else", "for", "while", "loop-else", "with", "try", "except", "finally", "case"]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A branch, loop body or other suite that a statement stands in, and the block around it."""

    kind: BlockKind
    node: cst.CSTNode
    parent: Block | None

    def outward(self) -> Iterator[Block]:
        """Yield this block, then those around it, innermost first."""
        block: Block | None = self
        while block is not None:
            yield block
            block = block.parent


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """One thing that binds a name: an import, an assignment (with its value where it has one), a def, a class."""

    kind: Literal["import", "assign", "def", "class", "parameter", "other"]
    node: cst.CSTNode
    value: cst.BaseExpression | None = None
    dotted: str | None = None


@dataclass(slots=True, eq=False)
class Scope:
    """A module, function, lambda, class or comprehension: where names live."""

    kind: Literal["module", "function", "lambda", "class", "comprehension"]
    node: cst.CSTNode
    parent: Scope | None
    name: str = ""
    block: Block | None = None
    """The block that the definition itself stands in."""
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    outer_names: set[str] = field(default_factory=set)
    """Names declared global or nonlocal here."""
    writes: dict[str, list[Binding]] = field(default_factory=dict)
    """Attributes of names that are assigned here (`self.x`), with the lines that do it."""
    children: list[Scope] = field(default_factory=list)
    decorators: Sequence[cst.Decorator] = ()

    @property
    def owner(self) -> Scope | None:
        """The class that a method belongs to."""
        return self.parent if self.parent is not None and self.parent.kind == "class" else None

    @property
    def function(self) -> Scope:
        """The function, lambda, class or module whose code this is (comprehensions run in theirs)."""
        scope = self
        while scope.kind == "comprehension" and scope.parent is not None:
            scope = scope.parent
        return scope


@dataclass(frozen=True, slots=True, eq=False)
class CallSite:
    """A call: who calls, in which statement, inside which blocks."""

    node: cst.Call
    scope: Scope
    statement: cst.CSTNode
    block: Block | None


@dataclass(frozen=True, slots=True, eq=False)
class Syntax:
    """What the walk found; `calls` by the last name of the callee (`loss.backward()` under "backward")."""

    module: Scope
    functions: list[Scope]
    classes: list[Scope]
    calls: dict[str, list[CallSite]]
    identifiers: set[str]
    """Every name and attribute name in the file: a cheap test of whether a subject occurs at all."""
    blocks: dict[cst.CSTNode, tuple[Scope, Block | None]]
    """Where each statement stands."""
    has_star_import: bool
    packages: set[str]
    """The top-level packages imported anywhere in the file."""


def syntax(source: SourceFile) -> Syntax:
    """Walk the tree once."""
    walk = _Walk()
    module = Scope("module", source.tree, None)
    walk.suite(source.tree.body, module, None)
    return Syntax(
        module,
        walk.functions,
        walk.classes,
        walk.calls,
        walk.identifiers,
        walk.blocks,
        walk.has_star_import,
        walk.packages,
    )


_SKIPPED = (
    "whitespace", "paren", "lpar", "rpar", "semicolon", "comma", "lines", "header", "footer", "indent", "equal",
    "dot", "bracket", "brace", "trailing", "colon", "asynchronous", "operator", "tok", "default_",
)  # fmt: skip
"""Parts of the names of fields that hold layout."""
_children: dict[type[cst.CSTNode], tuple[str, ...]] = {}


def meaningful_fields(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    """Name the fields of a node class that hold code rather than layout."""
    names = _children.get(kind)
    if names is None:
        names = tuple(
            item.name
            for item in fields(kind)
            if not any(part in item.name for part in _SKIPPED)
            or (item.name == "operator" and "Bool" in kind.__name__)
        )
        _children[kind] = names
    return names


class _Walk:
    """The walk's collections; one instance a file."""

    def __init__(self) -> None:
        self.functions: list[Scope] = []
        self.classes: list[Scope] = []
        self.calls: dict[str, list[CallSite]] = {}
        self.identifiers: set[str] = set()
        self.blocks: dict[cst.CSTNode, tuple[Scope, Block | None]] = {}
        self.has_star_import = False
        self.packages: set[str] = set()

    def suite(self, body: Sequence[cst.CSTNode], scope: Scope, block: Block | None) -> None:
        for statement in body:
            self.statement(statement, scope, block)

    def inside(self, suite: cst.BaseSuite, scope: Scope, block: Block | None) -> None:
        self.suite(suite.body, scope, block)

    def statement(self, node: cst.CSTNode, scope: Scope, block: Block | None) -> None:
        self.blocks[node] = (scope, block)
        match node:
            case cst.SimpleStatementLine(body=parts):
                for part in parts:
                    self.blocks[part] = (scope, block)
                    self.simple(part, node, scope, block)
            case cst.FunctionDef():
                self.definition(node, scope, block)
            case cst.ClassDef():
                self.class_definition(node, scope, block)
            case cst.If(test=test, body=body, orelse=orelse):
                self.expression(test, scope, node, block)
                self.inside(body, scope, Block("if", node, block))
                if isinstance(orelse, cst.If):
                    self.statement(orelse, scope, Block("else", node, block))
                elif orelse is not None:
                    self.inside(orelse.body, scope, Block("else", node, block))
            case cst.For(target=target, iter=iterable, body=body, orelse=orelse):
                self.expression(iterable, scope, node, block)
                self.target(target, scope, node, block, None)
                self.inside(body, scope, Block("for", node, block))
                if orelse is not None:
                    self.inside(orelse.body, scope, Block("loop-else", node, block))
            case cst.While(test=test, body=body, orelse=orelse):
                inner = Block("while", node, block)
                self.expression(test, scope, node, inner)
                self.inside(body, scope, inner)
                if orelse is not None:
                    self.inside(orelse.body, scope, Block("loop-else", node, block))
            case cst.With(items=items, body=body):
                for item in items:
                    self.expression(item.item, scope, node, block)
                    if item.asname is not None:
                        self.target(item.asname.name, scope, node, block, None)
                self.inside(body, scope, Block("with", node, block))
            case cst.Try() | cst.TryStar():
                self.try_statement(node, scope, block)
            case cst.Match(subject=subject, cases=cases):
                self.expression(subject, scope, node, block)
                for case in cases:
                    self.pattern(case.pattern, scope, node, block)
                    if case.guard is not None:
                        self.expression(case.guard, scope, node, block)
                    self.inside(case.body, scope, Block("case", case, block))
            case cst.BaseSmallStatement():
                self.simple(node, node, scope, block)
            case _:
                self.expression(node, scope, node, block)

    def try_statement(self, node: cst.Try | cst.TryStar, scope: Scope, block: Block | None) -> None:
        self.inside(node.body, scope, Block("try", node, block))
        for handler in node.handlers:
            if handler.type is not None:
                self.expression(handler.type, scope, node, block)
            if handler.name is not None:
                self.target(handler.name.name, scope, handler, block, None)
            self.inside(handler.body, scope, Block("except", handler, block))
        if node.orelse is not None:
            self.inside(node.orelse.body, scope, Block("try", node, block))
        if node.finalbody is not None:
            self.inside(node.finalbody.body, scope, Block("finally", node, block))

    def simple(self, part: cst.CSTNode, line: cst.CSTNode, scope: Scope, block: Block | None) -> None:
        match part:
            case cst.Assign(targets=targets, value=value):
                self.expression(value, scope, line, block)
                for target in targets:
                    self.target(target.target, scope, line, block, value)
            case cst.AnnAssign(target=target, annotation=annotation, value=value):
                self.expression(annotation.annotation, scope, line, block)
                if value is not None:
                    self.expression(value, scope, line, block)
                self.target(target, scope, line, block, value)
            case cst.AugAssign(target=target, value=value):
                self.expression(value, scope, line, block)
                self.target(target, scope, line, block, None)
                self.expression(target, scope, line, block)
            case cst.Import(names=names):
                for alias in names:
                    self.plain_import(alias, part, scope)
            case cst.ImportFrom():
                self.from_import(part, scope)
            case cst.Global(names=items) | cst.Nonlocal(names=items):
                scope.outer_names.update(item.name.value for item in items)
            case _:
                self.children(part, scope, line, block)

    def plain_import(self, alias: cst.ImportAlias, node: cst.CSTNode, scope: Scope) -> None:
        dotted = dotted_name(alias.name)
        self.identifiers.update(dotted.split("."))
        self.packages.add(dotted.split(".")[0])
        if alias.asname is not None and isinstance(alias.asname.name, cst.Name):
            self.bind(scope, alias.asname.name.value, Binding("import", node, dotted=dotted))
        else:
            top = dotted.split(".")[0]
            self.bind(scope, top, Binding("import", node, dotted=top))

    def from_import(self, node: cst.ImportFrom, scope: Scope) -> None:
        package = "." * len(node.relative) + (dotted_name(node.module) if node.module is not None else "")
        self.identifiers.update(package.split("."))
        self.packages.add(package.split(".")[0])
        if isinstance(node.names, cst.ImportStar):
            self.has_star_import = True
            self.bind(scope, "*", Binding("import", node, dotted=package))
            return
        for alias in node.names:
            name = dotted_name(alias.name)
            self.identifiers.add(name)
            bound = alias.asname.name if alias.asname is not None else alias.name
            if isinstance(bound, cst.Name):
                dotted = f"{package}{name}" if package.endswith(".") else f"{package}.{name}"
                self.bind(scope, bound.value, Binding("import", node, dotted=dotted))

    def bind(self, scope: Scope, name: str, binding: Binding) -> None:
        home = scope.function
        if name in home.outer_names:
            home = next(
                (outer for outer in _outward(home.parent) if name in outer.bindings), _outermost(home)
            )
        home.bindings.setdefault(name, []).append(binding)

    def target(
        self,
        node: cst.CSTNode,
        scope: Scope,
        line: cst.CSTNode,
        block: Block | None,
        value: cst.BaseExpression | None,
    ) -> None:
        match node:
            case cst.Name(value=name):
                self.identifiers.add(name)
                self.bind(scope, name, Binding("assign", line, value))
            case cst.Tuple(elements=elements) | cst.List(elements=elements):
                for element in elements:
                    self.target(element.value, scope, line, block, None)
            case cst.Attribute(value=cst.Name(value=base), attr=cst.Name(value=name)):
                scope.function.writes.setdefault(f"{base}.{name}", []).append(Binding("assign", line, value))
                self.expression(node, scope, line, block)
            case _:
                self.expression(node, scope, line, block)

    def pattern(self, node: cst.CSTNode, scope: Scope, line: cst.CSTNode, block: Block | None) -> None:
        if isinstance(node, cst.MatchAs | cst.MatchStar) and node.name is not None:
            self.bind(scope, node.name.value, Binding("other", line))
        for name in meaningful_fields(type(node)):
            value = getattr(node, name)
            for child in value if isinstance(value, list | tuple) else (value,):
                if isinstance(child, cst.BaseExpression):
                    self.expression(child, scope, line, block)
                elif isinstance(child, cst.CSTNode):
                    self.pattern(child, scope, line, block)

    def definition(self, node: cst.FunctionDef, scope: Scope, block: Block | None) -> None:
        for decorator in node.decorators:
            self.expression(decorator.decorator, scope, node, block)
        self.identifiers.add(node.name.value)
        self.bind(scope, node.name.value, Binding("def", node))
        inner = Scope("function", node, scope, node.name.value, block, decorators=node.decorators)
        scope.children.append(inner)
        self.functions.append(inner)
        self.parameters(node.params, inner, scope, node, block)
        if node.returns is not None:
            self.expression(node.returns.annotation, scope, node, block)
        self.inside(node.body, inner, None)

    def parameters(
        self, node: cst.Parameters, inner: Scope, outer: Scope, line: cst.CSTNode, block: Block | None
    ) -> None:
        for parameter in all_parameters(node):
            self.identifiers.add(parameter.name.value)
            inner.bindings.setdefault(parameter.name.value, []).append(Binding("parameter", parameter))
            if parameter.default is not None:
                self.expression(parameter.default, outer, line, block)
            if parameter.annotation is not None:
                self.expression(parameter.annotation.annotation, outer, line, block)

    def class_definition(self, node: cst.ClassDef, scope: Scope, block: Block | None) -> None:
        for decorator in node.decorators:
            self.expression(decorator.decorator, scope, node, block)
        for argument in (*node.bases, *node.keywords):
            self.expression(argument.value, scope, node, block)
        self.identifiers.add(node.name.value)
        self.bind(scope, node.name.value, Binding("class", node))
        inner = Scope("class", node, scope, node.name.value, block, decorators=node.decorators)
        scope.children.append(inner)
        self.classes.append(inner)
        self.inside(node.body, inner, None)

    def expression(self, node: cst.CSTNode, scope: Scope, line: cst.CSTNode, block: Block | None) -> None:
        match node:
            case cst.Name(value=name):
                self.identifiers.add(name)
            case cst.Attribute(value=value, attr=attr):
                self.identifiers.add(attr.value)
                self.expression(value, scope, line, block)
            case cst.Call(func=func, args=arguments):
                last = last_name(func)
                self.calls.setdefault(last, []).append(CallSite(node, scope, line, block))
                self.expression(func, scope, line, block)
                for argument in arguments:
                    self.expression(argument.value, scope, line, block)
            case cst.Lambda(params=params, body=body):
                inner = Scope("lambda", node, scope, "<lambda>", block)
                scope.children.append(inner)
                self.functions.append(inner)
                self.parameters(params, inner, scope, line, block)
                self.expression(body, inner, line, None)
            case cst.BaseComp(for_in=for_in):
                inner = Scope("comprehension", node, scope, "", block)
                self.comprehension(for_in, inner, line, block)
                if isinstance(node, cst.DictComp):
                    self.expression(node.key, inner, line, block)
                    self.expression(node.value, inner, line, block)
                elif isinstance(node, cst.BaseSimpleComp):
                    self.expression(node.elt, inner, line, block)
            case cst.NamedExpr(target=target, value=value):
                self.expression(value, scope, line, block)
                self.target(target, scope, line, block, value)
            case cst.SimpleString() | cst.Integer() | cst.Float() | cst.Ellipsis():
                pass
            case _:
                self.children(node, scope, line, block)

    def comprehension(self, node: cst.CompFor, scope: Scope, line: cst.CSTNode, block: Block | None) -> None:
        self.expression(node.iter, scope, line, block)
        self.comprehension_target(node.target, scope)
        for test in node.ifs:
            self.expression(test.test, scope, line, block)
        if node.inner_for_in is not None:
            self.comprehension(node.inner_for_in, scope, line, block)

    def comprehension_target(self, node: cst.CSTNode, scope: Scope) -> None:
        match node:
            case cst.Name(value=name):
                self.identifiers.add(name)
                scope.bindings.setdefault(name, []).append(Binding("other", node))
            case cst.Tuple(elements=elements) | cst.List(elements=elements):
                for element in elements:
                    self.comprehension_target(element.value, scope)

    def children(self, node: cst.CSTNode, scope: Scope, line: cst.CSTNode, block: Block | None) -> None:
        for name in meaningful_fields(type(node)):
            value = getattr(node, name)
            if isinstance(value, cst.CSTNode):
                self.expression(value, scope, line, block)
            elif isinstance(value, list | tuple):
                for child in value:
                    if isinstance(child, cst.CSTNode):
                        self.expression(child, scope, line, block)


def all_parameters(node: cst.Parameters) -> Iterator[cst.Param]:
    """Yield every parameter of a signature, in order."""
    yield from node.posonly_params
    yield from node.params
    if isinstance(node.star_arg, cst.Param):
        yield node.star_arg
    yield from node.kwonly_params
    if node.star_kwarg is not None:
        yield node.star_kwarg


def dotted_name(node: cst.BaseExpression | cst.Name | cst.Attribute | None) -> str:
    """Return `a.b.c` for a chain of names; "" for anything else."""
    parts: list[str] = []
    while isinstance(node, cst.Attribute):
        parts.append(node.attr.value)
        node = node.value
    if not isinstance(node, cst.Name):
        return ""
    parts.append(node.value)
    return ".".join(reversed(parts))


def suite_of(node: cst.CSTNode) -> Sequence[cst.CSTNode]:
    """Return the statements of a module, class or function."""
    body = node.body if isinstance(node, cst.Module | cst.FunctionDef | cst.ClassDef) else ()
    return body.body if isinstance(body, cst.BaseSuite) else body


def last_name(node: cst.BaseExpression) -> str:
    """Return the last name of a callee: `backward` for `loss.sum().backward`; "" where it has none."""
    if isinstance(node, cst.Attribute):
        return node.attr.value
    return node.value if isinstance(node, cst.Name) else ""


def _outward(scope: Scope | None) -> Iterator[Scope]:
    while scope is not None:
        yield scope
        scope = scope.parent


def _outermost(scope: Scope) -> Scope:
    return list(_outward(scope))[-1]
