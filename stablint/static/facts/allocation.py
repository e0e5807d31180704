"""Tensors that are made without values, and how many dimensions a tensor is made with."""

from __future__ import annotations

import re

from stablint.static.facts.provenance import origins
from stablint.static.facts.terms import (
    Attribute,
    Constant,
    Display,
    Item,
    Operation,
    Parameter,
    Repeated,
    Term,
    number,
    within,
)
from stablint.static.torch_api import kind
from stablint.static.torch_api.groups import CREATIONS, UNINITIALISED

_SIZE = re.compile(
    r"size|dim|features|channels|hidden|width|height|heads|classes|units|length|count|num|depth"
)
"""How arguments are called that are numbers and no data."""


def uninitialised(term: Term) -> Operation | None:
    """Return what made a tensor, where that only takes memory: `torch.empty(n)`, `torch.Tensor(n, m)`."""
    for origin in origins(term):
        if isinstance(origin, Operation) and _takes_memory(origin):
            return origin
    return None


def _takes_memory(made: Operation) -> bool:
    device = made.keywords.get("device")
    if isinstance(device, Constant) and device.value == "meta":
        return False
    if any(number(size) == 0 for size in sizes(made)):
        return False
    if made.name in UNINITIALISED - {"new"}:
        return True
    return is_sized(made) or (made.name == "new" and len(sizes(made)) > 1)


def is_sized(made: Operation) -> bool:
    """Whether `torch.Tensor(...)` is given sizes and not data."""
    if kind(made.dotted) != "tensor":
        return False
    given = (*made.operands, *made.positional)
    return len(given) > 1 or (len(given) == 1 and _is_size(given[0]))


def _is_size(term: Term) -> bool:
    match term:
        case Constant():
            return number(term) is not None
        case Parameter(name=name, annotation=annotation, default=default):
            return (
                annotation == "builtins.int" or number(default) is not None or _SIZE.search(name) is not None
            )
        case Attribute(name=name):
            return _SIZE.search(name) is not None
        case Item(base=Attribute(name="shape")) | Operation(name="size" | "len" | "numel"):
            return True
        case Operation(name="add" | "sub" | "mul" | "floor_divide", operands=operands):
            return all(map(_is_size, operands))
        case _:
            return False


def _is_shape(term: Term) -> bool:
    """Whether what is given alone may be all sizes at once."""
    match term:
        case Constant():
            return False
        case Parameter(name=name) | Attribute(name=name):
            return re.search(r"shape|size|dims", name) is not None
        case _:
            return not _is_size(term)


def sizes(made: Operation) -> tuple[Term, ...]:
    """Return the sizes that a tensor is made with, as far as they are written out."""
    given = (*made.operands, *made.positional)
    if "size" in made.keywords:
        given = (made.keywords["size"],)
    elif made.name.startswith("new"):
        given = given[1:]
    if len(given) == 1 and isinstance(given[0], Display):
        return given[0].items
    return given


def rank_of(term: Term | None) -> int | None:
    """Return how many dimensions a tensor has whose sizes are written out where it is made."""
    for part in within(term) if term is not None else ():
        if not isinstance(part, Operation) or not (part.name in CREATIONS or is_sized(part)):
            continue
        if (
            part.open_arguments
            or part.name.endswith("_like")
            or part.name in ("tensor", "as_tensor", "from_numpy")
        ):
            return None
        found = part.operands[:1] if part.name in ("full", "normal") else sizes(part)
        if len(found) == 1 and isinstance(found[0], Display):
            return len(found[0].items)
        if any(isinstance(size, Repeated) for size in found) or (len(found) == 1 and _is_shape(found[0])):
            return None
        return len(found)
    return None
