"""Whether code asks which mode its module is in, before something runs that belongs to training only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.scopes import Block, Scope, syntax
from stablint.static.facts.statements import block_of
from stablint.static.facts.terms import Attribute, Parameter, Term, Unknown, within

if TYPE_CHECKING:
    from stablint.static.source import SourceFile

_MODE = re.compile(r"train|eval|infer|deterministic|mc_?drop", re.IGNORECASE)
"""How flags are called that say whether a model is being trained."""


def names_a_mode(text: str) -> bool:
    """Whether a piece of code names a flag of the mode."""
    return _MODE.search(text) is not None


def is_of_mode(term: Term) -> bool:
    """Whether a value is made of such a flag: `self.p * self.training`."""
    for part in within(term):
        match part:
            case Attribute(name=name) | Parameter(name=name) | Unknown(label=name) if names_a_mode(name):
                return True
            case _:
                pass
    return False


def is_asked(
    source: SourceFile, node: cst.BaseExpression, statement: cst.CSTNode | None, scope: Scope
) -> bool:
    """Whether a place runs only after the mode was asked: inside a test, after a return, or where it is called from."""
    if _is_asked_here(source, node, statement):
        return True
    calls = source.ask(syntax).calls.get(scope.name, ()) if scope.kind == "function" else ()
    return bool(calls) and all(_is_asked_here(source, call.node, call.statement) for call in calls)


def _is_asked_here(source: SourceFile, node: cst.BaseExpression, statement: cst.CSTNode | None) -> bool:
    if statement is None:
        return False
    tests = (
        *_tests_around(source, statement),
        *_tests_within(statement, node),
        *_exits_before(source, statement),
    )
    return any(names_a_mode(source.code(test)) for test in tests)


def _tests_around(source: SourceFile, statement: cst.CSTNode) -> Iterator[cst.CSTNode]:
    block = block_of(source, statement)
    for one in block.outward() if block is not None else ():
        if isinstance(one.node, cst.If | cst.While):
            yield one.node.test


def _tests_within(around: cst.CSTNode, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Yield the tests of conditional expressions between a statement and an expression in it."""
    for child in around.children:
        if child is node or any(True for _ in _path(child, node)):
            if isinstance(around, cst.IfExp) and child is not around.test:
                yield around.test
            if isinstance(around, cst.BooleanOperation) and child is around.right:
                yield around.left
            yield from _tests_within(child, node)
            return


def _path(around: cst.CSTNode, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    if around is node:
        yield node
    else:
        for child in around.children:
            yield from _path(child, node)


def _exits_before(source: SourceFile, statement: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Yield the tests of what left the function or the round before a statement: `if not self.training: return x`."""
    scope, block = source.ask(syntax).blocks.get(statement, (None, None))
    inner = statement
    while scope is not None:
        for other in _suite(scope, block):
            if other is inner or (isinstance(other, cst.SimpleStatementLine) and inner in other.body):
                break
            if isinstance(other, cst.If) and _leaves(other.body):
                yield other.test
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
