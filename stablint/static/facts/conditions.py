"""What a test says of a value: whether zero is left out where it holds, or where it does not."""

from __future__ import annotations

from collections.abc import Iterator

from stablint.static.facts.terms import Constant, Operation, Term, number, same

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
    if isinstance(value, Constant):
        return False
    return any(_compared(part, value, held) for part, held in _certain(condition, holds))


def _certain(condition: Term, holds: bool) -> Iterator[tuple[Operation, bool]]:
    """Yield what certainly holds, or does not, where a condition does, or does not."""
    seen: set[tuple[Term, bool]] = set()
    stack = [(condition, holds)]
    while stack:
        current, held = pair = stack.pop()
        if pair in seen:
            continue
        seen.add(pair)
        match current:
            case Operation(name="and" | "bitwise_and" | "logical_and", operands=parts):
                stack += [(part, True) for part in parts if held]
            case Operation(name="or" | "bitwise_or" | "logical_or", operands=parts):
                stack += [(part, False) for part in parts if not held]
            case Operation(name="any" | "all" as name, operands=(inner,)):
                stack += [(inner, held)] if held is (name == "all") else []
            case Operation(name="not" | "bitwise_not" | "logical_not", operands=(inner,)):
                stack.append((inner, not held))
            case Operation(name=name, operands=(inner, *_)) if name in _CASTS:
                stack.append((inner, held))
            case Operation():
                yield current, held
            case _:
                pass


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
