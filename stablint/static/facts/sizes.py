"""What is known of the sizes of a tensor or an array, and how sizes join."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stablint.static.facts.terms import Constant, Display, Term, number

Size = int | None


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of the last dimensions, None where one is not known; `is_whole` where there are no others."""

    sizes: tuple[Size, ...] = ()
    is_whole: bool = False

    @property
    def rank(self) -> int | None:
        """How many dimensions there are, where that is known."""
        return len(self.sizes) if self.is_whole else None

    def at(self, dim: int) -> Size:
        """Return the size of a dimension; negative ones count from the last."""
        index = dim + len(self.sizes) if dim < 0 else dim
        is_known = (self.is_whole or dim < 0) and 0 <= index < len(self.sizes)
        return self.sizes[index] if is_known else None


UNKNOWN = Shape()
SCALAR = Shape((), True)

Look = Callable[[Term], Shape]


def joined(shapes: list[Shape]) -> Shape:
    """Return what several shapes have in common."""
    ranks = {one.rank for one in shapes}
    is_whole = len(ranks) == 1 and None not in ranks
    shortest = min((len(one.sizes) for one in shapes), default=0)
    tails = [one.sizes[len(one.sizes) - shortest :] for one in shapes]
    return Shape(tuple(_agreed(sizes) for sizes in zip(*tails, strict=True)), is_whole)


def _agreed(sizes: tuple[Size, ...]) -> Size:
    return sizes[0] if len(set(sizes)) == 1 else None


def broadcast(shapes: list[Shape]) -> Shape:
    """Return the shape of what is computed from tensors element by element."""
    length = max((len(one.sizes) for one in shapes), default=0)
    sizes = tuple(_common([_padded(one, place) for one in shapes]) for place in range(-length, 0))
    return Shape(sizes, all(one.is_whole for one in shapes))


def _padded(given: Shape, place: int) -> Size:
    return given.sizes[place] if -place <= len(given.sizes) else 1 if given.is_whole else None


def _common(sizes: list[Size]) -> Size:
    wide = [size for size in sizes if size != 1]
    return 1 if not wide else next((size for size in wide if size is not None), None)


def stated(given: tuple[Term, ...]) -> Shape:
    """Return the shape of `(n, 1)` or `n, 1`; a single argument that is not known may be one size or all of them."""
    if len(given) == 1 and isinstance(given[0], Display):
        given = given[0].items
    elif len(given) == 1 and number(given[0]) is None:
        return UNKNOWN
    return Shape(tuple(stated_size(one) for one in given), True) if given else UNKNOWN


def stated_size(term: Term | None) -> Size:
    """Return the size that a term states."""
    found = number(term) if isinstance(term, Constant) else None
    return found if isinstance(found, int) and found >= 0 else None
