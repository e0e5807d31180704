"""Elements of lists, tuples, dicts and containers of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.terms import (
    EACH,
    Constant,
    Dictionary,
    Display,
    Either,
    Instance,
    Item,
    Operation,
    Parameter,
    Repeated,
    Term,
    Unknown,
    join,
    number,
)
from stablint.static.interpret.agreed import agreed
from stablint.static.interpret.records import field_at, given_field, is_record

if TYPE_CHECKING:
    from stablint.static.interpret.interpreter import Interpreter

MOST_ROUNDS = 64
"""A loop over more than this many known elements is not unrolled."""

MOST_ITEMS = 256
"""A list is not known to have more than this many elements."""

MOST_REPEATS = 512
"""Loops inside one another are unrolled as long as nothing is interpreted more often than this."""

LAYER_LISTS = {"torch.nn.ModuleList", "torch.nn.Sequential", "torch.nn.ParameterList"}
LAYER_DICTS = {"torch.nn.ModuleDict", "torch.nn.ParameterDict"}


def item(interpreter: Interpreter, base: Term, key: Term, node: cst.CSTNode) -> Term:
    """Return `base[key]`."""
    match base:
        case Either(options=options):
            return join(*(item(interpreter, option, key, node) for option in options))
        case Display(items=items):
            index = number(key)
            if isinstance(index, int) and -len(items) <= index < len(items):
                return items[index]
            return join(*items) if items and key is EACH else Item(base, key, node)
        case Dictionary(items=items) if isinstance(key, Constant):
            for known, value in reversed(items):
                if isinstance(known, Constant) and known.value == key.value:
                    return value
        case Repeated():
            return base.item
        case Instance(scope=scope) if scope is not None:
            name = field_at(interpreter, base, key) if is_record(interpreter, scope) else None
            held = given_field(interpreter, base, name) if name is not None else None
            return held if held is not None else Item(base, key, node)
        case Instance(dotted=dotted):
            inner = elements(interpreter, base)
            if inner is not None and dotted in LAYER_LISTS:
                return item(interpreter, inner, key, node)
            if dotted in LAYER_DICTS and base.positional:
                return item(interpreter, base.positional[0], key, node)
        case _:
            pass
    return Item(base, key, node)


def elements(interpreter: Interpreter, container: Term) -> Display | Repeated | None:
    """Return the layers of a ModuleList or Sequential, or the items of a list, in order."""
    match container:
        case Display() | Repeated():
            return container
        case Instance(dotted="torch.nn.Sequential", positional=positional):
            if len(positional) == 1 and isinstance(positional[0], Repeated):
                return positional[0]
            if len(positional) == 1 and isinstance(positional[0], Dictionary | Operation):
                return _ordered_layers(positional[0])
            return Display("list", tuple(_without_names(positional)), container.node)
        case Instance(dotted=dotted, positional=positional) if dotted in LAYER_LISTS:
            return elements(interpreter, positional[0]) if positional else Display("list", (), container.node)
        case Operation(name="reversed", operands=(inner, *_)):
            found = elements(interpreter, inner)
            return Display("list", found.items[::-1], found.node) if isinstance(found, Display) else found
        case Either(options=options):
            return _any_of([elements(interpreter, option) for option in options])
        case _:
            return None


def _any_of(lists: Sequence[Display | Repeated | None]) -> Repeated | None:
    """Return what is one of several lists: a list of unknown length, as after a loop that may not run."""
    known = [one for one in lists if one is not None]
    items = [item for one in known for item in (one.items if isinstance(one, Display) else (one.item,))]
    return Repeated(join(*items), known[0].node) if items and len(known) == len(lists) else None


def _ordered_layers(layers: Term) -> Display | Repeated | None:
    """`Sequential(OrderedDict([("name", layer), ...]))`: the layers of its pairs."""
    inner = layers.operands[0] if isinstance(layers, Operation) and layers.operands else layers
    if isinstance(inner, Dictionary):
        return None if inner.open else Display("list", tuple(value for _, value in inner.items), inner.node)
    if isinstance(inner, Display) and all(
        isinstance(pair, Display) and len(pair.items) == 2 for pair in inner.items
    ):
        return Display(
            "list", tuple(pair.items[1] for pair in inner.items if isinstance(pair, Display)), inner.node
        )
    return None


def _without_names(layers: Sequence[Term]) -> list[Term]:
    return [
        layer.items[1]
        if isinstance(layer, Display) and len(layer.items) == 2 and isinstance(layer.items[0], Constant)
        else layer
        for layer in layers
    ]


def iterated(interpreter: Interpreter, iterable: Term, node: cst.CSTNode) -> Term:
    """Return what the variable of a loop over `iterable` holds."""
    match iterable:
        case Either(options=options):
            return join(*(iterated(interpreter, option, node) for option in options))
        case Operation(name="enumerate", operands=(inner, *_)):
            return Display("tuple", (Unknown(node, "index"), iterated(interpreter, inner, node)), node)
        case Operation(name="zip", operands=inner):
            return Display("tuple", tuple(iterated(interpreter, one, node) for one in inner), node)
        case Operation(name="reversed" | "tqdm" | "list" | "tuple" | "sorted", operands=(inner, *_)):
            return iterated(interpreter, inner, node)
        case Operation(name="range"):
            return Unknown(node, "index")
        case Display() | Repeated() | Instance():
            found = elements(interpreter, iterable)
            if isinstance(found, Display) and found.items:
                return join(*found.items)
            if isinstance(found, Repeated):
                return found.item
        case _:
            pass
    return Item(iterable, EACH, node)


def unrolled(interpreter: Interpreter, iterable: Term, builds: bool = False) -> Sequence[Term] | None:
    """Return the elements of a loop whose rounds are known and few.

    Where the loop `builds` a model, its depth may be what all calls of the file give to a parameter.
    """
    rounds: Sequence[Term] | None = None
    match iterable:
        case Operation(name="range", operands=bounds):
            numbers = [_count(interpreter, bound) if builds else number(bound) for bound in bounds]
            if all(isinstance(value, int) for value in numbers) and 1 <= len(numbers) <= 3:
                counted = range(*numbers) if 0 not in numbers[2:] else range(0)  # type: ignore[arg-type]
                if len(counted) <= MOST_ROUNDS:
                    # No node: the rounds of a loop are no literals that the code states.
                    rounds = [Constant(value) for value in counted]
        case Operation(name="enumerate", operands=(inner,)):
            found = unrolled(interpreter, inner, builds)
            if found is not None:
                rounds = [Display("tuple", (Constant(index), value)) for index, value in enumerate(found)]
        case Operation(name="zip", operands=inner):
            columns = [unrolled(interpreter, one, builds) for one in inner]
            if columns and all(column is not None for column in columns):
                rounds = [Display("tuple", row) for row in zip(*columns, strict=False)]
        case Operation(name="reversed", operands=(inner,)):
            found = unrolled(interpreter, inner, builds)
            rounds = None if found is None else list(found)[::-1]
        case Parameter() if builds and (given := agreed(interpreter, iterable)) is not None:
            rounds = unrolled(interpreter, given)
        case Display() | Instance():
            inside = elements(interpreter, iterable)
            if isinstance(inside, Display):
                rounds = inside.items or None  # what is empty here may be filled elsewhere
        case _:
            pass
    return rounds if rounds is not None and len(rounds) <= MOST_ROUNDS else None


def _count(interpreter: Interpreter, term: Term) -> float | int | None:
    """Return a number, or that which the calls of the file agree on: `depth`, `len(sizes) - 1`."""
    match term:
        case Parameter():
            return number(agreed(interpreter, term))
        case Operation(name="len", operands=(Parameter() as parameter,)):
            given = agreed(interpreter, parameter)
            return len(given.items) if isinstance(given, Display) else None
        case Operation(name="add" | "sub" as name, operands=(left, right)):
            a, b = _count(interpreter, left), _count(interpreter, right)
            return None if a is None or b is None else a + b if name == "add" else a - b
        case _:
            return number(term)


def stated_by_loop(element: Term) -> Term:
    """Return an element as the variable of an unrolled loop holds it: no literal that the code states there."""
    match element:
        case Constant(node=node) if node is not None:
            return Constant(element.value)
        case Display(kind="tuple", items=items):
            return Display("tuple", tuple(stated_by_loop(item) for item in items), element.node)
        case _:
            return element


def inserted(container: Term, index: Term, value: Term, node: cst.CSTNode, looping: bool) -> Term:
    """Return a list after `insert(index, value)`."""
    place = number(index)
    if isinstance(container, Display) and isinstance(place, int) and not looping:
        items = list(container.items)
        items.insert(place, value)
        return Display(container.kind, tuple(items), container.node)
    return appended(container, value, node, True)


def without(container: Display | Repeated, index: Term, looping: bool) -> Display | Repeated:
    """Return a list after `del items[index]`."""
    place = number(index)
    if not isinstance(container, Display) or not container.items:
        return container
    if not isinstance(place, int) or not -len(container.items) <= place < len(container.items) or looping:
        return Repeated(join(*container.items), container.node)
    items = list(container.items)
    del items[place]
    return Display(container.kind, tuple(items), container.node)


def reordered(container: Display | Repeated, name: str) -> Display | Repeated:
    """Return a list after `clear()`, `reverse()`, `sort()` or `remove(...)`."""
    if not isinstance(container, Display) or not container.items:
        return container
    if name in ("clear", "reverse"):
        return Display(container.kind, () if name == "clear" else container.items[::-1], container.node)
    return Repeated(join(*container.items), container.node)


def appended(container: Term, value: Term, node: cst.CSTNode, looping: bool) -> Term:
    """Return a list after `append(value)`; in a loop that is not unrolled it holds any number of such values."""
    if isinstance(container, Display) and not looping and len(container.items) < MOST_ITEMS:
        return Display(container.kind, (*container.items, value), container.node)
    if isinstance(container, Repeated):
        return Repeated(join(container.item, value), container.node, container.start)
    if isinstance(container, Display):
        if not container.items:
            return Repeated(value, container.node, container)
        return Repeated(join(*container.items, value), container.node, container)
    if isinstance(container, Either):
        return join(*(appended(option, value, node, looping) for option in container.options))
    return Operation("append", (container, value), node)


def updated(
    base: Dictionary, given: Sequence[Term], keywords: Mapping[str, Term], node: cst.CSTNode
) -> Dictionary:
    """Return a dict after `update(...)`; what is given may hold anything where it is no dict that is known."""
    items, is_open = list(base.items), base.open
    for one in given:
        if isinstance(one, Dictionary):
            items += one.items
        else:
            items = [(key, join(value, Unknown(node))) for key, value in items]
        is_open = is_open or not isinstance(one, Dictionary) or one.open
    items += [(Constant(name), value) for name, value in keywords.items()]
    return Dictionary(tuple(items), base.node, is_open)


def stored(interpreter: Interpreter, before: Term, value: Term, node: cst.CSTNode) -> Term:
    """Return a container or tensor after `before[...] = value`."""
    from stablint.static.facts.terms import Dictionary

    if isinstance(before, Either) and all(isinstance(one, Dictionary) for one in before.options):
        items = {pair: None for one in before.options if isinstance(one, Dictionary) for pair in one.items}
        before = Dictionary(tuple(items), node, open=True)
    if isinstance(before, Dictionary) and isinstance(node, cst.Subscript) and len(node.slice) == 1:
        index = node.slice[0].slice
        key = interpreter.terms.get(id(index.value)) if isinstance(index, cst.Index) else None
        if key is None and isinstance(index, cst.Index) and isinstance(index.value, cst.SimpleString):
            key = Constant(index.value.evaluated_value, index.value)
        return Dictionary(
            (*before.items, (key or Unknown(node), value)), before.node, before.open or key is None
        )
    if isinstance(before, Display | Repeated):
        inside = before.item if isinstance(before, Repeated) else join(*before.items, value)
        return Repeated(join(inside, value), before.node, before)
    return Operation("setitem", (before, value), node)
