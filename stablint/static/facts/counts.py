"""Counts that can be 0: how often something occurs, how many a mask picks, how many edges a node has."""

from __future__ import annotations

from collections.abc import Iterator

from stablint.static.facts.provenance import made_by, origins
from stablint.static.facts.terms import Attribute, Call, Item, Operation, Reference, Term, parts, same, within

_CASTS = {
    "to", "type", "type_as", "float", "double", "half", "cuda", "cpu", "clone", "view", "reshape", "unsqueeze",
    "squeeze", "expand", "item",
}  # fmt: skip
_EDGES = {"in_degrees", "out_degrees"}
"""The methods of a graph of DGL that count the edges of its nodes."""
_TESTS = ("compare", "eq", "ne", "gt", "ge", "lt", "le")


def counted(term: Term) -> Term | None:
    """Return what counts, where a term is a count that can be 0, looking through conversions.

    Where only those are looked up that were counted, each occurs once at least; and with an edge to itself, every
    node has one.
    """
    while True:
        if isinstance(term, Operation) and term.name in _CASTS and term.operands:
            term = term.operands[0]
            continue
        whole = _looked_up_in(term)
        if whole is None:
            break
        made = counted(whole)
        return made if made is not None and not is_looked_up_where_counted(term, made) else None
    is_safe = not _counts(term) or any(map(_adds_self_loops, within(term, 200)))
    return None if is_safe else term


def is_looked_up_where_counted(term: Term, made: Term) -> bool:
    """Whether a term is `count[index]` of `bincount(index)`."""
    given = list(parts(made))
    return any(same(key, one) for key in _keys(term) for one in given)


def _looked_up_in(term: Term) -> Term | None:
    match term:
        case Operation(name="index" | "index_select" | "gather", operands=(whole, *_)) | Item(base=whole):
            return whole
        case _:
            return None


def _keys(term: Term) -> Iterator[Term]:
    match term:
        case Operation(name="index" | "index_select" | "gather"):
            yield from term.operands[1:]
            yield from term.positional
            yield from term.keywords.values()
        case Item(key=key):
            yield key
        case _:
            pass


def _counts(made: Term) -> bool:
    match made:
        case Call(callee=Reference(dotted=dotted)):
            return dotted.endswith("utils.degree")  # of torch_geometric, or inside it
        case Call(callee=Attribute(name=name)):
            return name in _EDGES
        case Operation(name="bincount" | "histc"):
            return True
        case Operation(name="sum", operands=(inner, *_)):
            return made_by(inner, *_TESTS, through=_CASTS) is not None or _is_of_samples(made, inner)
        case Operation(name="scatter_add" | "index_add", operands=operands, positional=positional):
            tensors = [one for one in (*operands, *positional) if isinstance(one, Operation)]
            return len(tensors) > 1 and all(map(_is_made_of_ones, tensors))
        case _:
            return False


def _is_of_samples(total: Operation, codes: Term) -> bool:
    """Whether one-hot codes are counted over the samples: a class may be missing."""
    dim = total.argument("dim", 0)
    return getattr(dim, "value", None) == 0 and made_by(codes, "one_hot", through=_CASTS) is not None


def _is_made_of_ones(term: Term) -> bool:
    made = list(origins(term, _CASTS))
    return all(
        isinstance(one, Operation) and one.name in ("zeros", "zeros_like", "ones", "ones_like")
        for one in made
    )


def _adds_self_loops(term: Term) -> bool:
    callee = term.callee if isinstance(term, Call) else None
    name = getattr(callee, "dotted", getattr(callee, "name", "")).rsplit(".", 1)[-1]
    return "self_loop" in name and not name.startswith("remove")
