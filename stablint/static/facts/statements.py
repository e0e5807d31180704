"""Where a statement stands, and how it may be moved: what fixes ask."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.evaluation import values
from stablint.static.facts.scopes import Block, Scope, Syntax, syntax
from stablint.static.facts.terms import Operation, within
from stablint.static.nodes import last_name, meaningful_children

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


def block_of(source: SourceFile, statement: cst.CSTNode | None) -> Block | None:
    """Return the block that a statement stands in; None at the top of its function."""
    known = source.ask(syntax).blocks.get(statement) if statement is not None else None
    return known[1] if known is not None else None


def same_suite(source: SourceFile, *statements: cst.CSTNode | None) -> bool:
    """Whether simple statements stand in one suite, each on a line of its own."""
    places = source.ask(syntax).blocks
    homes = {places.get(statement) if statement is not None else None for statement in statements}
    return (
        len(homes) == 1
        and None not in homes
        and all(isinstance(one, cst.SimpleStatementLine) for one in statements)
    )


def text_of(source: SourceFile, statement: cst.CSTNode) -> str:
    """Return the text of a simple statement without its comments."""
    parts = statement.body if isinstance(statement, cst.SimpleStatementLine) else [statement]
    return "; ".join(source.code(part).rstrip("; ") for part in parts)


def guards(source: SourceFile, statement: cst.CSTNode | None) -> list[str]:
    """Return the texts of the conditions between a statement and its innermost loop, innermost first."""
    found = []
    block = block_of(source, statement)
    while block is not None and block.kind not in ("for", "while"):
        if block.kind in ("if", "else") and isinstance(block.node, cst.If):
            found.append(source.code(block.node.test))
        block = block.parent
    return found


def every_nth_round(source: SourceFile, statement: cst.CSTNode | None) -> bool:
    """Whether a statement runs in every n-th round of its loop only: `if (i + 1) % n == 0`."""
    return any("%" in guard for guard in guards(source, statement))


def modulus(source: SourceFile, node: cst.CSTNode) -> cst.BaseExpression | None:
    """Return the n of a branch that asks `i % n`, also by a name: it parts every n-th round from the others.

    A counter that the branch sets back to 0 does the same: `if i == n: ...; i = 0`.
    """
    if not isinstance(node, cst.If | cst.IfExp):
        return None
    written = _modulus(node.test) or _counted_to(node)
    if written is not None or not isinstance(node.test, cst.Name | cst.Attribute):
        return written
    asked = within(source.ask(values).raw(node.test), 20)
    made = (part.node for part in asked if isinstance(part, Operation))
    return next((n for n in map(_modulus, made) if n is not None), None)


def _modulus(test: cst.CSTNode) -> cst.BaseExpression | None:
    if isinstance(test, cst.BinaryOperation) and isinstance(test.operator, cst.Modulo):
        return test.right
    found = (_modulus(child) for child in meaningful_children(test))
    return next((n for n in found if n is not None), None)


def _counted_to(node: cst.If | cst.IfExp) -> cst.BaseExpression | None:
    match node:
        case cst.If(
            test=cst.Comparison(
                left=cst.Name(value=counter),
                comparisons=[
                    cst.ComparisonTarget(operator=cst.Equal() | cst.GreaterThanEqual(), comparator=n)
                ],
            ),
            body=cst.IndentedBlock(body=body),
        ):
            small = (part for line in body if isinstance(line, cst.SimpleStatementLine) for part in line.body)
            return n if any(_sets_back(part, counter) for part in small) else None
        case _:
            return None


def _sets_back(part: cst.CSTNode, counter: str) -> bool:
    match part:
        case cst.Assign(
            targets=[cst.AssignTarget(target=cst.Name(value=name))], value=cst.Integer(value="0")
        ):
            return name == counter
        case _:
            return False


def test_of(source: SourceFile, node: cst.CSTNode) -> str:
    """Return the condition of a branch as it is written."""
    return source.code(node.test) if isinstance(node, cst.If | cst.IfExp) else ""


def chunks(loop: cst.CSTNode) -> cst.BaseExpression | None:
    """Return the n of a loop over the pieces of a tensor: `x.chunk(n)`, `zip(torch.chunk(x, n), ...)`."""
    if not isinstance(loop, cst.For):
        return None
    inner: cst.CSTNode = loop.iter
    while (
        isinstance(inner, cst.Call) and last_name(inner.func) in ("zip", "enumerate", "tqdm") and inner.args
    ):
        inner = inner.args[0].value
    match inner:
        case cst.Call(
            func=cst.Attribute(value=cst.Name(value="torch"), attr=cst.Name(value="chunk")), args=[_, n, *_]
        ):
            return n.value
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="chunk")), args=[n, *_]):
            return n.value
        case _:
            return None


def times(loop: cst.CSTNode) -> cst.BaseExpression | None:
    """Return the n of a loop over `range(n)`."""
    match loop:
        case cst.For(iter=cst.Call(func=cst.Name(value="range"), args=[cst.Arg(value=n, star="")])):
            return n
        case _:
            return None


def end_of_range(loop: cst.CSTNode) -> cst.BaseExpression | None:
    """Return the n of a loop over `range(n)`, `range(first, n)` or `trange(n)`."""
    match loop:
        case cst.For(iter=cst.Call(func=func, args=[first, *rest])) if last_name(func) in ("range", "trange"):
            return rest[0].value if rest and rest[0].keyword is None else first.value
        case _:
            return None


@dataclass(frozen=True, slots=True)
class LoopTexts:
    """What the head of a loop says."""

    target: str
    iterated: str

    @property
    def text(self) -> str:
        """All of it."""
        return f"{self.target} {self.iterated}"


def loop_texts(source: SourceFile, loop: cst.CSTNode) -> LoopTexts:
    """Return how a `for` names its element and what it goes over; the test of a `while` as the latter."""
    match loop:
        case cst.For(target=target, iter=iterable):
            return LoopTexts(source.code(target), source.code(iterable))
        case cst.While(test=test):
            return LoopTexts("", source.code(test))
        case _:
            return LoopTexts("", "")


def innermost_loop(source: SourceFile, statement: cst.CSTNode | None) -> Block | None:
    """Return the innermost loop around a statement."""
    block = block_of(source, statement)
    while block is not None and block.kind not in ("for", "while"):
        block = block.parent
    return block


def tested(block: Block) -> cst.BaseExpression | None:
    """Return the condition of a branch: of `if` and `elif`, and of the `else` that belongs to it."""
    is_branch = block.kind in ("if", "else") and isinstance(block.node, cst.If)
    return block.node.test if is_branch and isinstance(block.node, cst.If) else None


def header(source: SourceFile, loop: cst.CSTNode) -> str:
    """Return what a loop or comprehension goes over, or a `with` enters, as it is written; empty for others."""
    match loop:
        case cst.With(items=items):
            return ", ".join(source.code(item.item) for item in items)
        case cst.For(iter=iterable) | cst.CompFor(iter=iterable):
            return source.code(iterable)
        case cst.DictComp(for_in=part) | cst.BaseSimpleComp(for_in=part):
            return source.code(part.iter)
        case _:
            return ""


def outermost_without(
    source: SourceFile, statement: cst.CSTNode | None, limits: Sequence[cst.CSTNode]
) -> cst.CSTNode | None:
    """Return the outermost loop or `with` around a statement that stands in these loops, or the statement."""
    found = statement
    block = block_of(source, statement)
    while block is not None and block.kind in ("for", "while", "with") and block.node not in limits:
        found, block = block.node, block.parent
    return found


def rest_of_loop(source: SourceFile, statement: cst.CSTNode) -> list[cst.CSTNode]:
    """Return the statements after one that stands directly in a loop's body; empty where it does not."""
    block = block_of(source, statement)
    if block is None or block.kind not in ("for", "while") or not isinstance(block.node, cst.For | cst.While):
        return []
    body: list[cst.CSTNode] = list(block.node.body.body)
    return body[body.index(statement) + 1 :] if statement in body else []


def names_in(text: str) -> set[str]:
    """Return the names in a piece of code."""
    return set(re.findall(r"[A-Za-z_]\w*", text))


def counters(source: SourceFile, loop: cst.CSTNode) -> set[str]:
    """Return the names that a loop counts its rounds with: its targets, and what it adds a number to."""
    found = names_in(source.code(loop.target)) if isinstance(loop, cst.For) else set()
    if isinstance(loop, cst.For | cst.While):
        for statement in loop.body.body:
            for part in statement.body if isinstance(statement, cst.SimpleStatementLine) else ():
                if isinstance(part, cst.AugAssign):
                    found |= names_in(source.code(part.target))
    return found


def bare_expressions(shape: Syntax) -> int:
    """Return how many statements at the top of the file do nothing but show a value: a name, an attribute, a call."""
    return sum(
        isinstance(part, cst.Expr) and isinstance(part.value, cst.Name | cst.Attribute | cst.Subscript)
        for part, (scope, _) in shape.blocks.items()
        if scope.kind == "module"
    )


def contains(node: cst.CSTNode, inner: cst.CSTNode) -> bool:
    """Whether a node stands inside an expression."""
    return node is inner or any(contains(child, inner) for child in node.children)


def worked_on(call: cst.CSTNode) -> str | None:
    """Return the plain name that a call works on: `x` of `x.clamp(0)` and of `F.relu(x)`."""
    match call:
        case cst.Call(func=cst.Attribute(value=cst.Name(value=name)), args=arguments):
            first = arguments[0].value if arguments else None
            return (
                first.value
                if isinstance(first, cst.Name) and name in _NAMESPACES
                else name
                if name not in _NAMESPACES
                else None
            )
        case cst.Call(args=[cst.Arg(value=cst.Name(value=name), keyword=None), *_]):
            return name
        case _:
            return None


_NAMESPACES = {"torch", "F", "functional", "nn"}


def stands_in(source: SourceFile, node: cst.CSTNode, loop: cst.CSTNode) -> bool:
    """Whether a call stands in the body of a loop."""
    place = source.ask(values).interpreter.sites.get(id(node))
    block = block_of(source, place[2]) if place is not None else None
    return block is not None and any(one.node is loop for one in block.outward())


def attribute_assignments(source: SourceFile, *names: str) -> Iterator[tuple[cst.Assign, cst.Attribute]]:
    """Yield the statements that assign to an attribute of one of these names, with the attribute."""
    shape = source.ask(syntax)
    if shape.identifiers.isdisjoint(names):
        return
    for statement in shape.blocks:
        if isinstance(statement, cst.Assign):
            for target in statement.targets:
                if isinstance(target.target, cst.Attribute) and target.target.attr.value in names:
                    yield statement, target.target


def bases(target: cst.CSTNode) -> Iterator[cst.BaseExpression]:
    """Yield what an attribute or element belongs to, innermost first: `a.b[0]`, `a.b` and `a` of `a.b[0].c`."""
    while isinstance(target, cst.Attribute | cst.Subscript):
        target = target.value
        yield target


def assignments(
    source: SourceFile, functions: Collection[Scope]
) -> Iterator[tuple[cst.Assign | cst.AnnAssign, str, cst.BaseExpression]]:
    """Yield the assignments to one target in some functions: the statement, the target as written, the value."""
    for statement, (scope, _) in source.ask(syntax).blocks.items():
        if scope.function not in functions:
            continue
        match statement:
            case cst.Assign(targets=[cst.AssignTarget(target=target)], value=value):
                yield statement, source.code(target), value
            case cst.AnnAssign(target=target, value=cst.BaseExpression() as value):
                yield statement, source.code(target), value
            case _:
                pass


def first_of(loop: cst.CSTNode) -> cst.CSTNode | None:
    """Return the first statement of a loop's body where it stands on a line of its own."""
    if isinstance(loop, cst.For | cst.While) and isinstance(loop.body, cst.IndentedBlock):
        return loop.body.body[0]
    return None
