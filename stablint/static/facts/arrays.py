"""The sizes of arrays that tensors are made of: what numpy, pandas and scikit-learn return."""

from __future__ import annotations

from stablint.static.facts.sizes import SCALAR, UNKNOWN, Look, Shape, joined, stated
from stablint.static.facts.terms import (
    Attribute,
    Call,
    Constant,
    Display,
    Item,
    Reference,
    Repeated,
    Term,
    within,
)

ROW = Shape((None,), True)


def array_shape(term: Term, look: Look) -> Shape:
    """Return the sizes of what is no tensor, where the library that made it says them."""
    match term:
        case (
            Attribute(base=base, name="values")
            | Call(callee=Attribute(base=base, name="to_numpy" | "astype" | "copy"))
        ):
            return look(base)
        case (
            Attribute(base=Call(callee=Reference(dotted=dotted)), name="target")
            | Item(base=Call(callee=Reference(dotted=dotted)), key=Constant(value="target"))
        ) if dotted.startswith(_LOADED):
            return ROW
        case Call(callee=Reference(dotted=dotted)) if dotted.startswith("numpy."):
            return _numpy(term, dotted.removeprefix("numpy."), look)
        case Item(base=Call(callee=Reference(dotted=dotted)) as made, key=Constant(value=int(place))):
            return _part(made, dotted, place, look)
        case _:
            return ROW if is_column(term) else UNKNOWN


def is_column(term: Term) -> bool:
    """Whether a term is one column of a table of pandas."""
    match term:
        case Item(base=base, key=Constant(value=str())):
            return any(
                isinstance(one, Reference) and one.dotted.startswith("pandas.read_") for one in within(base)
            )
        case _:
            return False


def _numpy(made: Call, name: str, look: Look) -> Shape:
    given = made.positional
    if name in _SIZED_BY_ALL:
        return stated(given) if given else UNKNOWN
    if name in _SIZED_BY_FIRST:
        return stated(given[:1]) if given else UNKNOWN
    if name in ("arange", "linspace"):
        return ROW
    if name in ("array", "asarray", "float32", "float64") and given:
        return nested(given[0], look)
    return UNKNOWN


_SIZED_BY_ALL = ("random.rand", "random.randn")
_SIZED_BY_FIRST = ("zeros", "ones", "empty", "random.random")


def _part(made: Call, dotted: str, place: int, look: Look) -> Shape:
    """Return the sizes of `X_train` or `y_test`, and of the targets of a data set that is made up."""
    if dotted == "sklearn.model_selection.train_test_split" and 0 <= place // 2 < len(made.positional):
        rows = look(made.positional[place // 2])
        return Shape((None, *rows.sizes[1:]), True) if rows.is_whole and rows.sizes else UNKNOWN
    if dotted.startswith(_LOADED):
        return ROW if place == 1 and "return_X_y" in made.keywords else UNKNOWN
    if dotted.startswith("sklearn.datasets.make_") and "n_targets" not in made.keywords:
        return ROW if place == 1 and dotted.rsplit("_", 1)[-1] in _ONE_TARGET else UNKNOWN
    return UNKNOWN


_LOADED = tuple(
    f"sklearn.datasets.{name}"
    for name in (
        "load_boston", "load_diabetes", "load_iris", "load_wine", "load_breast_cancer", "load_digits",
        "fetch_california_housing",
    )
)  # fmt: skip
"""Data sets with one target for each row."""
_ONE_TARGET = (
    "regression",
    "classification",
    "moons",
    "circles",
    "blobs",
    "friedman1",
    "friedman2",
    "friedman3",
)


def nested(term: Term, look: Look) -> Shape:
    """Return the sizes of lists in lists."""
    if isinstance(term, Display):
        inner = joined([nested(item, look) for item in term.items]) if term.items else SCALAR
        return Shape((len(term.items), *inner.sizes), True) if inner.is_whole else UNKNOWN
    if isinstance(term, Repeated):
        inner = nested(term.item, look)
        is_grown = term.start is not None and not (isinstance(term.start, Display) and not term.start.items)
        return Shape((None, *inner.sizes), True) if inner.is_whole and not is_grown else UNKNOWN
    return look(term)
