"""What a test says of a value: whether zero is left out where it holds, or where it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.terms import Operation, Term, number, options, same

if TYPE_CHECKING:
    from stablint.static.facts.evaluation import Values
    from stablint.static.facts.sites import Site

_MIRRORED = {
    "GreaterThan": "LessThan",
    "GreaterThanEqual": "LessThanEqual",
    "LessThan": "GreaterThan",
    "LessThanEqual": "GreaterThanEqual",
}
_METHODS = {
    "gt": "GreaterThan", "ge": "GreaterThanEqual", "lt": "LessThan", "le": "LessThanEqual", "ne": "NotEqual",
    "eq": "Equal",
}  # fmt: skip
_CASTS = {"float", "bool", "to", "type", "int", "long", "builtin_bool", "unsqueeze", "expand", "view"}


def leaves_out_zero(condition: Term, value: Term, holds: bool = True) -> bool:
    """Whether a value, known not to be negative, is above zero where the condition holds (or does not)."""
    match condition:
        case Operation(name="and" | "bitwise_and" | "logical_and", operands=parts):
            return holds and any(leaves_out_zero(part, value, holds) for part in parts)
        case Operation(name="or" | "bitwise_or" | "logical_or", operands=parts):
            return not holds and any(leaves_out_zero(part, value, holds) for part in parts)
        case Operation(name="any" | "all" as name, operands=(inner,)):
            return holds is (name == "all") and leaves_out_zero(inner, value, holds)
        case Operation(name="not" | "bitwise_not" | "logical_not", operands=(inner,)):
            return leaves_out_zero(inner, value, not holds)
        case Operation(name=name, operands=(inner, *_)) if name in _CASTS:
            return leaves_out_zero(inner, value, holds)
        case Operation():
            return _compared(condition, value, holds)
        case _:
            return False


def _compared(condition: Operation, value: Term, holds: bool) -> bool:
    if condition.name == "compare" and len(condition.operands) == 2:
        (left, right), symbol = condition.operands, str(getattr(condition.positional[0], "value", ""))
        if same(right, value):
            left, right, symbol = right, left, _MIRRORED.get(symbol, symbol)
    elif condition.name in _METHODS and condition.operands:
        others = (*condition.operands[1:], *condition.positional, *condition.keywords.values())
        if not others:
            return False
        left, right, symbol = condition.operands[0], others[0], _METHODS[condition.name]
    else:
        return False
    bound = number(right)
    if not same(left, value):
        return False
    if symbol in ("GreaterThan", "GreaterThanEqual"):
        return holds and (bound is None or bound > 0 or (bound == 0 and symbol == "GreaterThan"))
    if symbol in ("LessThan", "LessThanEqual"):
        return not holds and (bound is None or bound > 0 or (bound == 0 and symbol == "LessThanEqual"))
    return bound == 0 and (holds if symbol in ("NotEqual", "IsNot") else not holds)


def tests_around(values: Values, site: Site) -> Iterator[tuple[Term, bool]]:
    """Yield what was tested on the way to a place, in terms of its own function, and whether it held."""
    inside: cst.CSTNode | None = site.statement
    for block in site.block.outward() if site.block is not None else ():
        node = block.node
        if isinstance(node, cst.If | cst.While) and block.kind in ("if", "else", "while"):
            yield values.raw(node.test), block.kind != "else"
        yield from _left_before(values, node, inside)
        inside = node
    yield from _left_before(values, site.scope.function.node, inside)


def _left_before(
    values: Values, around: cst.CSTNode, inside: cst.CSTNode | None
) -> Iterator[tuple[Term, bool]]:
    """Yield the tests of `if x == 0: return` above a statement of a suite: none of them held."""
    for suite in (around, getattr(around, "orelse", None)):
        body = getattr(suite, "body", None)
        statements = body.body if isinstance(body, cst.BaseSuite) else body
        if not isinstance(statements, Sequence):
            continue
        place = next((index for index, one in enumerate(statements) if _is_or_holds(one, inside)), None)
        for one in statements[:place] if place is not None else ():
            if isinstance(one, cst.If) and one.orelse is None and _leaves(one.body):
                yield values.raw(one.test), False


def _is_or_holds(statement: cst.CSTNode, inside: cst.CSTNode | None) -> bool:
    return statement is inside or (
        isinstance(statement, cst.SimpleStatementLine) and any(part is inside for part in statement.body)
    )


def _leaves(suite: cst.BaseSuite) -> bool:
    last = suite.body[-1] if suite.body else None
    parts = last.body if isinstance(last, cst.SimpleStatementLine) else suite.body
    return bool(parts) and isinstance(parts[-1], cst.Return | cst.Raise | cst.Continue | cst.Break)


def is_tested(values: Values, site: Site) -> bool:
    """Whether a test around an operation leaves out that what it works on is zero."""
    operands = [
        option.operands[0]
        for option in options(values.raw(site.node))
        if isinstance(option, Operation) and option.node is site.node and option.operands
    ]
    return any(
        leaves_out_zero(test, operand, held)
        for operand in operands
        for test, held in tests_around(values, site)
    )
