"""What was tested on the way to a place, and whether it held there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.evaluation import values
from stablint.static.facts.scopes import Block, Scope, syntax
from stablint.static.facts.statements import block_of
from stablint.static.facts.terms import Constant, Operation, Parameter, Term
from stablint.static.nodes import meaningful_children

if TYPE_CHECKING:
    from stablint.static.facts.sites import Site
    from stablint.static.source import SourceFile

Test = tuple[cst.BaseExpression, bool]
"""The condition, and whether it held."""


def tests(source: SourceFile, node: cst.CSTNode, statement: cst.CSTNode | None) -> Iterator[Test]:
    """Yield the tests around an expression, inside its statement, and of what left before it was reached."""
    if statement is not None:
        yield from within(statement, node)
        yield from around(source, statement)
        yield from before(source, statement)


def around(source: SourceFile, statement: cst.CSTNode) -> Iterator[Test]:
    """Yield the tests of the branches and loops that a statement stands in."""
    block = block_of(source, statement)
    for one in block.outward() if block is not None else ():
        if isinstance(one.node, cst.If | cst.While) and one.kind in ("if", "else", "while"):
            yield one.node.test, one.kind != "else"


def within(statement: cst.CSTNode, node: cst.CSTNode) -> Iterator[Test]:
    """Yield the tests of the conditional expressions between a statement and an expression in it."""
    inner = node
    for outer in _parents(statement, node) or ():
        if isinstance(outer, cst.IfExp) and inner is not outer.test:
            yield outer.test, inner is outer.body
        if isinstance(outer, cst.BooleanOperation) and inner is outer.right:
            yield outer.left, isinstance(outer.operator, cst.And)
        inner = outer


def _parents(around: cst.CSTNode, node: cst.CSTNode) -> list[cst.CSTNode] | None:
    """Return what lies around an expression, innermost first; None where it is not inside."""
    for child in meaningful_children(around):
        found = [] if child is node else _parents(child, node)
        if found is not None:
            return [*found, around]
    return None


def before(source: SourceFile, statement: cst.CSTNode) -> Iterator[Test]:
    """Yield what left the function or the round before a statement: `if not self.training: return x`."""
    scope, block = source.ask(syntax).blocks.get(statement, (None, None))
    inner = statement
    while scope is not None:
        for other in _suite(scope, block):
            if other is inner or (isinstance(other, cst.SimpleStatementLine) and inner in other.body):
                break
            if isinstance(other, cst.If) and _leaves(other.body):
                yield other.test, False
        if block is None:
            return
        inner, block = block.node, block.parent


def _suite(scope: Scope, block: Block | None) -> Sequence[cst.CSTNode]:
    owner: cst.CSTNode | None = scope.node if block is None else block.node
    if isinstance(owner, cst.If) and block is not None and block.kind == "else":
        owner = owner.orelse if isinstance(owner.orelse, cst.Else) else None  # an `elif` stands alone
    body = getattr(owner, "body", None)
    return body.body if isinstance(body, cst.BaseSuite) else ()


def _leaves(suite: cst.BaseSuite) -> bool:
    last = suite.body[-1] if suite.body else None
    small = last.body[-1] if isinstance(last, cst.SimpleStatementLine) and last.body else last
    return isinstance(small, cst.Return | cst.Raise | cst.Continue)


def needs_another_option(source: SourceFile, site: Site) -> bool:
    """Whether a place is reached only with an option of its function that is neither the default nor given here.

    `elif reduction == "mean":` in a function with `reduction="batchmean"` that no call of the file gives "mean".
    """
    known = source.ask(values)
    function = site.scope.function
    return any(
        _is_about_option(known.raw(test), function) and _holds(known.of(test)) is (not held)
        for test, held in tests(source, site.node, site.statement)
    )


def _is_about_option(test: Term, function: Scope) -> bool:
    """Whether a test asks for a text or a truth that an argument of the function is."""
    match test:
        case Parameter(function=owner, default=Constant(value=str() | bool())):
            return owner is function
        case Operation(name="not", operands=(inner,)):
            return _is_about_option(inner, function)
        case Operation(name="compare", operands=(left, Constant(value=str() | bool()))):
            return _is_about_option(left, function)
        case _:
            return False


def _holds(test: Term) -> bool | None:
    """Whether a test holds with the options that are given, or with the defaults; None where that is not known."""
    match test:
        case Constant(value=bool() as value):
            return value
        case Parameter(default=Constant(value=bool() as value)):
            return value
        case Operation(name="not", operands=(inner,)):
            held = _holds(inner)
            return None if held is None else not held
        case Operation(
            name="compare",
            operands=(Constant(value=left) | Parameter(default=Constant(value=left)), Constant(value=right)),
            positional=(Constant(value="Equal" | "NotEqual" as how),),
        ):
            return (left == right) is (how == "Equal")
        case _:
            return None
