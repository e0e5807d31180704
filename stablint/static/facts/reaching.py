"""Which layers and parameters a fill reaches: through attributes, loops over modules and parameters, and `apply`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.aims import SAME, Aim, aims
from stablint.static.facts.allocation import is_sized
from stablint.static.facts.classes import Models, models
from stablint.static.facts.contents import Contents, weight_of
from stablint.static.facts.evaluation import values
from stablint.static.facts.filling import Fill, Fills, fills
from stablint.static.facts.guards import tests
from stablint.static.facts.narrowing import Candidate, passes, scope_of
from stablint.static.facts.terms import (
    Attribute,
    Call,
    Display,
    Instance,
    Item,
    Operation,
    Parameter,
    Receiver,
    Reference,
    Term,
    Unknown,
    options,
)
from stablint.static.torch_api.groups import CREATIONS

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


@dataclass(frozen=True, slots=True)
class Reach:
    """What a fill writes into: `hits` by where the layer or tensor is made and which parameter of it."""

    hits: frozenset[tuple[cst.CSTNode, str]]
    """The name is "" for a tensor itself, or where it is not known; a class stands for all its parameters."""
    possible: frozenset[tuple[cst.CSTNode, str]] = frozenset()
    """What may be hit: the code says the name of an attribute only when it runs."""
    names: frozenset[str] = frozenset()
    """Parameters of these names may be written too, of objects that are not known; "*" is any name."""


@dataclass(frozen=True, slots=True, eq=False)
class Reaches:
    """The fills of a file with what they reach."""

    known: tuple[tuple[Fill, Reach], ...]
    _tests: dict[Fill, list[tuple[Term, bool]]] = field(repr=False)
    _models: Models = field(repr=False)

    def of(
        self, node: cst.CSTNode, name: str, candidate: Candidate, *, kinds: tuple[str, ...] = ("values",)
    ) -> Iterator[tuple[Fill, bool]]:
        """Yield the fills of a parameter of what is made at a node, and whether that is certain."""
        for fill, reach in self.known:
            if fill.kind not in kinds:
                continue
            places = {(node, name), (node, "")}
            if places & reach.hits:
                yield fill, fill.is_certain
            elif places & reach.possible or (
                reach.names & {name, "*"} and self.lets_through(fill, candidate)
            ):
                yield fill, False

    def lets_through(self, fill: Fill, candidate: Candidate) -> bool:
        """Whether the tests around a fill let a candidate through."""
        return all(
            passes(self._models.interpreter, test, held, candidate) for test, held in self._tests[fill]
        )


def reaches(source: SourceFile) -> Reaches:
    """Find out what every fill of a file reaches."""
    known, found = source.ask(models), source.ask(values)
    every = source.ask(fills)
    around = {
        fill: [(found.raw(test), held) for test, held in tests(source, fill.node, fill.statement)]
        for fill in every.all
    }
    reaching = Reaches((), around, known)
    follow = _Following(known, every, reaching)
    return Reaches(tuple((fill, follow.reach(fill)) for fill in every.all), around, known)


_CONTAINERS = {"torch.nn.ParameterList", "torch.nn.ParameterDict"}


class _Following:
    """Follows targets to what they are parts of."""

    def __init__(self, known: Models, every: Fills, reaching: Reaches) -> None:
        self.contents = Contents(known)
        self.applied = every.applied
        self.reaching = reaching

    def reach(self, fill: Fill) -> Reach:
        hits: set[tuple[cst.CSTNode, str]] = set()
        possible: set[tuple[cst.CSTNode, str]] = set()
        names: set[str] = set()
        for aim in (aim for target in fill.targets for aim in aims(target)):
            owner = _looked_up(aim)
            found = self._aimed(fill, aim) if owner is None else set()
            if owner is not None:
                possible |= self._among(fill, self.contents.of(owner), "parameters", ())
            elif found is None:
                names.add("*" if aim.listing == "parameters" or not aim.path else aim.path[-1])
            hits |= found or set()
        return Reach(frozenset(hits), frozenset(possible), frozenset(names))

    def _aimed(self, fill: Fill, aim: Aim) -> set[tuple[cst.CSTNode, str]] | None:
        """Return what an aim hits; None where its root is not known."""
        root = aim.root
        if "grad" in aim.path or (aim.listing == "parameters" and aim.path) or _is_weightless(fill, aim):
            return set()
        if isinstance(root, Parameter) and root.function in self.applied:
            bases = self.applied[root.function]
            if any(not isinstance(option, Instance | Receiver) for base in bases for option in options(base)):
                return None
            modules = [
                one for base in bases for option in options(base) for one in self.contents.modules(option)
            ]
            return self._among(fill, modules, aim.listing, aim.path)
        if isinstance(root, Operation):
            is_tensor = root.name == "parameter" or root.name in CREATIONS or is_sized(root)
            return {(root.node, "")} if is_tensor else set()
        if not isinstance(root, Instance | Receiver):
            return None if isinstance(root, Parameter | Unknown | Call | Display) else set()
        if aim.inner:
            return set()
        inside = self.contents.of(root)
        if isinstance(root, Instance) and root.dotted in _CONTAINERS and not aim.path:
            return {(one.term.node, one.name) for one in inside if isinstance(one.term, Instance | Operation)}
        if aim.listing:
            among = inside if aim.listing == "parameters" else self.contents.modules(root)
            return self._among(fill, among, aim.listing, aim.path)
        return self._part(root, aim.path)

    def _among(
        self, fill: Fill, candidates: list[Candidate], listing: str, path: tuple[str, ...]
    ) -> set[tuple[cst.CSTNode, str]]:
        hits: set[tuple[cst.CSTNode, str]] = set()
        for candidate in candidates:
            scope = scope_of(candidate.term)
            if listing == "parameters":
                made = scope.node if scope is not None else getattr(candidate.term, "node", None)
                is_named = bool(candidate.name) or scope is not None
                if made is not None and is_named and self.reaching.lets_through(fill, candidate):
                    hits.add((made, candidate.name))
            elif not candidate.name and self.reaching.lets_through(fill, candidate):
                hits |= self._part(candidate.term, path) or set()
        return hits

    def _part(self, whole: Term, path: tuple[str, ...]) -> set[tuple[cst.CSTNode, str]] | None:
        """Return a part of an object: `weight` of a layer, `fc.weight` of an object of a class of the file."""
        scope = scope_of(whole)
        if scope is None:
            return {(whole.node, path[0] if path else "")} if isinstance(whole, Instance) else None
        if not path:
            return None
        hits: set[tuple[cst.CSTNode, str]] = set()
        for model in self.contents.lineage(scope):
            for held in model.attributes.get(path[0], ()):
                for option in options(held.term):
                    if isinstance(option, Operation):
                        hits.add((option.node, ""))
                    elif isinstance(option, Instance):
                        hits |= self._part(option, path[1:]) or set()
        return hits


def _is_weightless(fill: Fill, aim: Aim) -> bool:
    """Whether a bare tensor is no weight: one that a forward works with, one shown somewhere, an array of numpy."""
    if aim.path or aim.listing or not isinstance(aim.root, Parameter | Unknown | Call | Display):
        return False
    callee = aim.root.callee if isinstance(aim.root, Call) else None
    return (
        fill.scope.name == "forward"
        or not fill.is_said
        or (isinstance(callee, Reference) and callee.dotted.startswith(("numpy.", "builtins.")))
    )


def _looked_up(aim: Aim) -> Instance | Receiver | None:
    """Return the object of which an attribute is written whose name is not known: `getattr(self, name)`."""
    root = aim.root
    if isinstance(root, Operation) and root.name == "builtin_getattr" and root.operands:
        root = root.operands[0]
    elif "_parameters" not in (*aim.inner, *aim.path):
        return None
    return root if isinstance(root, Instance | Receiver) else None


def is_whole(fill: Fill) -> bool:
    """Whether a fill writes into tensors as a whole, not into some of their elements."""
    return not any(_is_element(target) for target in fill.targets)


def _is_element(term: Term) -> bool:
    while isinstance(term, Operation) and term.name in SAME and term.operands:
        if term.name == "index":
            return True
        term = term.operands[0]
    return isinstance(term, Item) and isinstance(term.base, Attribute | Operation)


def layer_fills(source: SourceFile, layer: Instance, *kinds: str) -> list[tuple[Fill, bool]]:
    """Return the fills of a layer's weight, each with whether it is certain."""
    known = source.ask(reaches)
    return list(known.of(layer.node, "weight", weight_of(layer), kinds=kinds or ("values",)))


def is_initialised(source: SourceFile, layers: list[Instance]) -> bool:
    """Whether something writes, or may write, into the weight of one of these layers."""
    return any(layer_fills(source, layer) for layer in layers)
