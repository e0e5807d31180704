"""A target that is written into, taken apart: the object at its root, and the way from there to the tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stablint.static.facts.terms import (
    Attribute,
    Call,
    Display,
    Either,
    Item,
    Operation,
    Reference,
    Repeated,
    Term,
    Unknown,
)
from stablint.static.torch_api.groups import IN_PLACE_INIT, words


@dataclass(frozen=True, slots=True)
class Aim:
    """A written target, taken apart: `root.inner...parameters()[...].path`."""

    root: Term
    inner: tuple[str, ...]
    listing: str
    path: tuple[str, ...]


SAME = words("data detach view reshape index transpose t flatten requires_grad chunk")
"""What gives the same memory, or a part of it."""
_LISTINGS = {
    "parameters": "parameters", "named_parameters": "parameters", "modules": "modules", "named_modules": "modules",
    "children": "modules", "named_children": "modules",
}  # fmt: skip
_ITERATORS = {"list", "tuple", "enumerate", "zip", "reversed", "sorted", "filter", "iter", "tqdm"}


def _is_in_place(made: Operation) -> bool:
    """Whether what an operation gives is what it wrote into: `w.normal_()`, `nn.init.zeros_(w)`."""
    is_method = made.dotted.startswith("torch.Tensor.") and made.dotted.endswith("_")
    return is_method or made.dotted in IN_PLACE_INIT


def _copies(term: Term) -> bool:
    """Whether what is stored into an element is copied, as a tensor does, and not kept, as a list does."""
    while isinstance(term, Operation) and term.name == "setitem":
        term = term.operands[0]
    if isinstance(term, Either):
        bottoms = [part for part in _rounds(term) if not _is_store(part)]
        return bool(bottoms) and all(map(_copies, bottoms))
    return isinstance(term, Operation) and not term.dotted.startswith("builtins.")


def _rounds(joined: Either) -> tuple[Term, ...]:
    """Return what a name may hold; what is unknown beside stores into it only says that there were many rounds."""
    if not any(map(_is_store, joined.options)):
        return joined.options
    return tuple(part for part in joined.options if not isinstance(part, Unknown))


def _is_store(term: Term) -> bool:
    return isinstance(term, Operation) and term.name == "setitem"


def aims(
    term: Term, listing: str = "", path: tuple[str, ...] = (), after: tuple[str, ...] = ()
) -> Iterator[Aim]:
    """Yield what a target may be; the other arguments are what was seen of it already."""
    while True:
        match term:
            case Either():
                for part in _rounds(term):
                    yield from aims(part, listing, path, after)
                return
            case Display(items=parts):
                for part in parts:
                    yield from aims(part, listing, path, after)
                return
            case Operation(name="setitem", operands=(inner, value)):
                if not _copies(inner):
                    yield from aims(value, listing, path, after)
                term = inner
            case Operation(name=name, operands=(inner, *_)) if name in SAME or _is_in_place(term):
                term = inner
            case Operation(name=name, operands=parts) if name in _ITERATORS:
                for part in parts:
                    yield from aims(part, listing, path, after)
                return
            case Attribute(base=base, name=name):
                term, path = base, (name, *path)
            case Item(base=base) | Repeated(item=base):
                term = base
            case Call(callee=Attribute(base=base, name=name)) if name in _LISTINGS:
                if not listing:
                    listing, path, after = _LISTINGS[name], (), path
                term = base
            case Call(callee=Attribute(base=base, name="values" | "items")):
                term = base
            case Call(callee=Reference(dotted="itertools.chain"), positional=parts):
                for part in parts:
                    yield from aims(part, listing, path, after)
                return
            case _:
                yield Aim(term, path, listing, after) if listing else Aim(term, (), "", path)
                return
