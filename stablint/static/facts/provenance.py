"""What made a tensor, looking through everything that only rearranges or casts its elements."""

from __future__ import annotations

from collections.abc import Iterator

from stablint.static.facts.terms import (
    Attribute,
    Constant,
    Display,
    Either,
    Item,
    Operation,
    Parameter,
    Reference,
    Repeated,
    Term,
    number,
    same,
    within,
)
from stablint.static.torch_api.groups import SHAPE_ONLY

REARRANGING = SHAPE_ONLY | {
    "index", "gather", "index_select", "masked_select", "select", "narrow", "chunk", "split", "unbind", "to", "float",
    "double", "half", "cuda", "cpu", "clone", "contiguous", "view", "reshape", "cat", "stack", "type", "type_as",
    "requires_grad", "detach", "data", "setitem",
}  # fmt: skip
"""Operations after which every element is one that was there before."""

_TUPLE_VALUED = {"max", "min", "topk", "sort", "lstm", "gru", "rnn", "multiheadattention"}


def origins(term: Term, through: frozenset[str] | set[str] = REARRANGING) -> Iterator[Term]:
    """Yield what a tensor was made by, one for each alternative; operations in `through` are looked through."""
    seen: set[Term] = set()
    stack = [term]
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        match current:
            case Either(options=options):
                stack.extend(options)
            case Operation(name=name, operands=(inner, *_)) if name in through:
                if isinstance(inner, Display) and name in ("cat", "stack"):
                    stack.extend(inner.items)
                elif isinstance(inner, Repeated) and name in ("cat", "stack"):
                    stack.append(inner.item)
                else:
                    stack.append(inner)
            case Item(base=Operation(name=name) as base, key=key) if name not in _TUPLE_VALUED or (
                isinstance(key, Constant) and key.value == 0 and name in ("topk", "sort")
            ):
                stack.append(base)
            case Item(base=Either() | Item() as base):
                stack.append(base)
            case Attribute(base=Operation() as base, name="values" | "T"):
                stack.append(base)
            case _:
                yield current


def made_by(term: Term, *names: str, through: frozenset[str] | set[str] = REARRANGING) -> Operation | None:
    """Return the operation that made a tensor where, on every path, it is one of these."""
    found: Operation | None = None
    for origin in origins(term, through):
        if not isinstance(origin, Operation) or origin.name not in names:
            return None
        found = found or origin
    return found


def is_tensor(term: Term) -> bool:
    """Whether something in a term shows that it is a tensor of torch: one of torch's functions or methods."""
    found = False
    for part in within(term):
        match part:
            case Reference(dotted=dotted) if dotted.startswith("numpy."):
                return False
            case Parameter(annotation=str(annotation)) if annotation.startswith("numpy."):
                return False
            case Operation(keywords=keywords) if "axis" in keywords:
                return False
            case Operation(dotted=dotted) if dotted.startswith("torch."):
                found = True
            case _:
                pass
    return found


def is_difference_of_means(term: Term) -> bool:
    """Whether a term is `(x ** 2).mean() - x.mean() ** 2`: a variance that cancels."""
    difference = made_by(term, "sub")
    if difference is None or len(difference.operands) < 2:
        return False
    left, right = (made_by(operand, "mean", "pow", "square", "mul") for operand in difference.operands[:2])
    if left is None or right is None or left.name != "mean":
        return False
    squared, mean = squared_by(left.operands[0]), squared_by(right)
    made = made_by(mean, "mean") if mean is not None else None
    return squared is not None and made is not None and same(squared, made.operands[0])


def squared_by(term: Term) -> Term | None:
    """Return x where a term is its square."""
    match term:
        case Operation(name="square", operands=(inner, *_)):
            return inner
        case Operation(name="pow", operands=(inner, exponent)) if number(exponent) == 2:
            return inner
        case Operation(name="mul", operands=(inner, other)) if same(inner, other):
            return inner
        case _:
            return None
