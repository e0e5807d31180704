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


_State = tuple[Term, str, tuple[str, ...], tuple[str, ...]]
"""A part of a target that is still to be taken apart: the part, and listing, path and after of what was seen."""


def aims(target: Term) -> Iterator[Aim]:
    """Yield what a target may be.

    What stands in it several times is taken apart once: of `x[j] = x[i]`, over and over, what stands first is a
    part of the last one in 2 ** n ways.
    """
    seen: set[_State] = set()
    waiting: list[_State] = [(target, "", (), ())]
    while waiting:
        state = waiting.pop()
        if state in seen:
            continue
        seen.add(state)
        found = _taken_apart(*state)
        if isinstance(found, Aim):
            yield found
        else:
            waiting.extend(reversed(found))


def _taken_apart(
    term: Term, listing: str, path: tuple[str, ...], after: tuple[str, ...]
) -> Aim | list[_State]:
    """Return the parts of a target one level down, or what it is where it has none."""
    match term:
        case Either():
            parts = _rounds(term)
        case Display(items=parts) if parts:  # else something was put into it that nobody has seen
            pass
        case Operation(name="setitem", operands=(inner, value)):
            parts = (inner,) if _copies(inner) else (value, inner)
        case Operation(name=name, operands=(inner, *_)) if name in SAME or _is_in_place(term):
            parts = (inner,)
        case Operation(name=name, operands=parts) if name in _ITERATORS:
            pass
        case Attribute(base=base, name=name):
            parts, path = (base,), (name, *path)
        case Item(base=base) | Repeated(item=base):
            parts = (base,)
        case Call(callee=Attribute(base=base, name=name)) if name in _LISTINGS:
            if not listing:
                listing, path, after = _LISTINGS[name], (), path
            parts = (base,)
        case Call(callee=Attribute(base=base, name="values" | "items")):
            parts = (base,)
        case Call(callee=Reference(dotted="itertools.chain"), positional=parts):
            pass
        case _:
            return Aim(term, path, listing, after) if listing else Aim(term, (), "", path)
    return [(part, listing, path, after) for part in parts]
