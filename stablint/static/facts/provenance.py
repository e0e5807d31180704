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
    Repeated,
    Term,
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


def made_by(
    term: Term, *names: str, through: frozenset[str] | set[str] = REARRANGING
) -> Operation | None:
    """Return the operation that made a tensor where, on every path, it is one of these."""
    found: Operation | None = None
    for origin in origins(term, through):
        if not isinstance(origin, Operation) or origin.name not in names:
            return None
        found = found or origin
    return found
