"""What an expression holds, as a symbolic term: how a tensor was made, which object a name is bound to.

The interpreter builds terms; facts about them (intervals, provenance, layers) are functions of terms.  Two terms
are the same value only where they are the same object or `same` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.torch_api.groups import ACTIVATIONS, DROPOUTS, RANDOM, SOFTMAXES

if TYPE_CHECKING:
    from stablint.static.facts.scopes import Scope
    from stablint.static.project.modules import Module


@dataclass(frozen=True, slots=True, eq=False)
class Unknown:
    """Something about which nothing is known; `label` is what the code calls it."""

    node: cst.CSTNode | None = field(default=None, repr=False)
    label: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Parameter:
    """An argument of a function, seen from inside.

    Where it is annotated, `annotation` is the dotted name of a type from outside, `kind` a class of the file.
    """

    function: Scope = field(repr=False)
    name: str
    node: cst.CSTNode = field(repr=False)
    annotation: str | None = None
    default: Term | None = None
    kind: Scope | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A number, string, boolean or None that the code states."""

    value: object
    node: cst.CSTNode | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Something from outside the file, by its canonical dotted name (`torch.nn.functional.softmax`)."""

    dotted: str
    node: cst.CSTNode | None = field(default=None, repr=False)
    module: Module | None = field(default=None, repr=False)
    """The module of the project that it is."""
    is_pending: bool = False
    """Whether it was imported, and nobody has asked yet where the import leads."""


@dataclass(frozen=True, slots=True, eq=False)
class Closure:
    """A function of the file; a method bound to `receiver`."""

    function: Scope = field(repr=False)
    receiver: Term | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ClassObject:
    """A class of the file."""

    scope: Scope = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Receiver:
    """`self` (or `cls`) inside the methods of a class."""

    scope: Scope = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """An object made by calling a class: of the file (`scope`) or from outside (`dotted`)."""

    dotted: str
    scope: Scope | None = field(repr=False)
    positional: tuple[Term, ...]
    keywords: Mapping[str, Term]
    node: cst.CSTNode = field(repr=False)
    open_arguments: bool = False
    """Whether `*args` or `**kwargs` may hold more arguments."""


@dataclass(frozen=True, slots=True, eq=False)
class Display:
    """A list, tuple or set whose items are known, in order."""

    kind: str
    items: tuple[Term, ...]
    node: cst.CSTNode | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Dictionary:
    """A dict with what is known of its items (a later one wins); `open` where there may be more."""

    items: tuple[tuple[Term, Term], ...]
    node: cst.CSTNode | None = field(default=None, repr=False)
    open: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Repeated:
    """A list of unknown length whose items are all like `item` (a comprehension, a loop that appends)."""

    item: Term
    node: cst.CSTNode | None = field(default=None, repr=False)
    start: Term | None = None
    """What the list held before."""
    lazy: bool = False
    """Whether it is a generator."""


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """An attribute of something, where no more is known."""

    base: Term
    name: str
    node: cst.CSTNode | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """An element of something: `key` is a Constant, another term, or EACH for the element of an iteration."""

    base: Term
    key: Term
    node: cst.CSTNode | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """A tensor operation, operator or layer applied: `name` is its one short name however it was spelled.

    `operands` are the values worked on, `positional` and `keywords` the arguments as written behind them; `module`
    is the layer where one was called, `graph` is False where it was computed under no_grad.
    """

    name: str
    operands: tuple[Term, ...]
    node: cst.CSTNode = field(repr=False)
    dotted: str = ""
    positional: tuple[Term, ...] = ()
    keywords: Mapping[str, Term] = field(default_factory=dict)
    module: Instance | None = None
    graph: bool = True
    open_arguments: bool = False

    def argument(self, name: str, position: int | None = None) -> Term | None:
        """Return an argument by keyword, or by its place behind the operands."""
        if name in self.keywords:
            return self.keywords[name]
        if position is not None and position < len(self.positional):
            return self.positional[position]
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call of something of which no more is known."""

    callee: Term
    positional: tuple[Term, ...]
    keywords: Mapping[str, Term]
    node: cst.Call = field(repr=False)
    graph: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Either:
    """One of several terms: what branches and loops join."""

    options: tuple[Term, ...]


Term = (
    Unknown
    | Parameter
    | Constant
    | Reference
    | Closure
    | ClassObject
    | Receiver
    | Instance
    | Display
    | Dictionary
    | Repeated
    | Attribute
    | Item
    | Operation
    | Call
    | Either
)

EACH = Constant("each element")
"""The key of an Item that stands for the element of one iteration."""

NONE = Constant(None)

MOST_OPTIONS = 6
"""A join of more than these is unknown: no rule can say anything useful of it."""


def options(term: Term) -> tuple[Term, ...]:
    """Return the alternatives of a term; itself alone where it is no join."""
    return term.options if isinstance(term, Either) else (term,)


def join(*terms: Term) -> Term:
    """Return what is either of the terms."""
    found: list[Term] = []
    for term in terms:
        for option in options(term):
            if not any(option is other or _equal_constants(option, other) for other in found):
                found.append(option)
    if len(found) == 1:
        return found[0]
    if not found or len(found) > MOST_OPTIONS:
        return Unknown()
    return Either(tuple(found))


def _equal_constants(a: Term, b: Term) -> bool:
    if isinstance(a, Constant) and isinstance(b, Constant):
        return type(a.value) is type(b.value) and a.value == b.value
    if isinstance(a, Reference) and isinstance(b, Reference):
        return a.dotted == b.dotted
    if isinstance(a, Closure) and isinstance(b, Closure):
        return a.function is b.function and a.receiver is b.receiver
    return isinstance(a, ClassObject) and isinstance(b, ClassObject) and a.scope is b.scope


def same(a: Term, b: Term) -> bool:
    """Whether two terms certainly hold equal values: one object, or the same pure expression of equal ones."""
    if a is b or _equal_constants(a, b):
        return True
    return type(a) is type(b) and _same(a, b, 40, {})


_Pairs = dict[tuple["Term", "Term"], bool]
"""Terms that were compared: of `x = x + f(x)`, over and over, each part is compared once."""


def _same(a: Term, b: Term, depth: int, known: _Pairs) -> bool:
    if a is b or _equal_constants(a, b):
        return True
    if depth == 0 or type(a) is not type(b):
        return False
    if (a, b) not in known:
        known[a, b] = _alike(a, b, depth - 1, known)
    return known[a, b]


def _alike(a: Term, b: Term, depth: int, known: _Pairs) -> bool:
    match a, b:
        case Operation(), Operation():
            return (
                a.name == b.name
                and a.name not in _RANDOM
                and _weights(a) is _weights(b)
                and _same_all(a.operands, b.operands, depth, known)
                and _same_all(a.positional, b.positional, depth, known)
                and a.keywords.keys() == b.keywords.keys()
                and all(_same(a.keywords[name], b.keywords[name], depth, known) for name in a.keywords)
            )
        case Attribute(), Attribute():
            return a.name == b.name and _same(a.base, b.base, depth, known)
        case Item(), Item():
            is_one = a.key is not EACH and _same(a.key, b.key, depth, known)
            return is_one and _same(a.base, b.base, depth, known)
        case Receiver(), Receiver():
            return a.scope is b.scope
        case Display(), Display():
            return a.kind == b.kind and _same_all(a.items, b.items, depth, known)
        case _:
            return False


def _same_all(left: tuple[Term, ...], right: tuple[Term, ...], depth: int, known: _Pairs) -> bool:
    return len(left) == len(right) and all(
        _same(a, b, depth, known) for a, b in zip(left, right, strict=True)
    )


def _weights(made: Operation) -> cst.CSTNode | None:
    """Return where the layer is made whose weights an operation works with: those of another one are others."""
    has_weights = made.module is not None and made.name not in _WITHOUT_WEIGHTS
    return made.module.node if has_weights and made.module is not None else None


_WITHOUT_WEIGHTS = (ACTIVATIONS | SOFTMAXES) - {"prelu"}
_RANDOM = RANDOM | DROPOUTS | {"rrelu", "gumbel_softmax"}


def parts(term: Term) -> Iterator[Term]:
    """Yield the terms that a term is made of, one level down."""
    match term:
        case Operation():
            yield from term.operands
            yield from term.positional
            yield from term.keywords.values()
        case Call():
            yield term.callee
            yield from term.positional
            yield from term.keywords.values()
        case Instance():
            yield from term.positional
            yield from term.keywords.values()
        case Display():
            yield from term.items
        case Dictionary():
            for key, value in term.items:
                yield key
                yield value
        case Repeated():
            yield term.item
            if term.start is not None:
                yield term.start
        case Attribute():
            yield term.base
        case Item():
            yield term.base
            yield term.key
        case Either():
            yield from term.options
        case _:
            pass


def within(term: Term, limit: int = 2000) -> Iterator[Term]:
    """Yield a term and all that it is made of, each once, at most `limit`."""
    seen: set[int] = set()
    stack = [term]
    while stack and len(seen) < limit:
        current = stack.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        stack.extend(parts(current))


Question = Callable[["Term"], bool]


def once(ask: Callable[[Term, Question], bool]) -> Question:
    """Make a question about terms of one that asks about the parts of a term; each part is asked once.

    In `x = x + f(x)`, over and over, what stands first is a part of the last one in 2 ** n ways.
    """

    def question(term: Term) -> bool:
        known: dict[Term, bool] = {}

        def answer(part: Term) -> bool:
            if part not in known:
                known[part] = False
                known[part] = ask(part, answer)
            return known[part]

        return answer(term)

    return question


def number(term: Term | None) -> float | int | None:
    """Return the number that a constant states (booleans are none)."""
    if (
        isinstance(term, Constant)
        and isinstance(term.value, int | float)
        and not isinstance(term.value, bool)
    ):
        return term.value
    return None
