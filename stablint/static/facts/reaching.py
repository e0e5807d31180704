"""Which layers and parameters a fill reaches: through attributes, loops over modules and parameters, and `apply`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.allocation import is_sized, rank_of
from stablint.static.facts.classes import Model, Models, models
from stablint.static.facts.evaluation import values
from stablint.static.facts.filling import Fill, Fills, fills
from stablint.static.facts.guards import tests
from stablint.static.facts.narrowing import Candidate, passes, scope_of
from stablint.static.facts.terms import (
    Attribute,
    Call,
    Display,
    Either,
    Instance,
    Item,
    Operation,
    Parameter,
    Receiver,
    Reference,
    Repeated,
    Term,
    options,
    within,
)
from stablint.static.torch_api import operation
from stablint.static.torch_api.groups import AFFINE, CREATIONS, NORMALISATIONS

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


@dataclass(frozen=True, slots=True)
class Reach:
    """What a fill writes into: `hits` by where the layer or tensor is made and which parameter of it."""

    hits: frozenset[tuple[cst.CSTNode, str]]
    """The name is "" for a tensor itself, or where it is not known; a class stands for all its parameters."""
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
            if (node, name) in reach.hits or (node, "") in reach.hits:
                yield fill, fill.is_certain
            elif reach.names & {name, "*"} and self.lets_through(fill, candidate):
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


@dataclass(frozen=True, slots=True)
class _Aim:
    """A written target, taken apart: `root.inner...parameters()[...].path`."""

    root: Term
    inner: tuple[str, ...]
    listing: str
    path: tuple[str, ...]


_SAME = {
    "data",
    "detach",
    "view",
    "reshape",
    "setitem",
    "index",
    "transpose",
    "t",
    "flatten",
    "requires_grad",
    "chunk",
}
_LISTINGS = {
    "parameters": "parameters", "named_parameters": "parameters", "modules": "modules", "named_modules": "modules",
    "children": "modules", "named_children": "modules",
}  # fmt: skip
_CONTAINERS = {"torch.nn.ParameterList", "torch.nn.ParameterDict"}
_ITERATORS = {"list", "tuple", "enumerate", "zip", "reversed", "sorted", "filter", "iter", "tqdm"}


def _aims(
    term: Term, listing: str = "", path: tuple[str, ...] = (), after: tuple[str, ...] = ()
) -> Iterator[_Aim]:
    while True:
        match term:
            case Either(options=parts) | Display(items=parts):
                for part in parts:
                    yield from _aims(part, listing, path, after)
                return
            case Operation(name="setitem", operands=(inner, value)):
                yield from _aims(value, listing, path, after)
                term = inner
            case Operation(name=name, operands=(inner, *_)) if name in _SAME:
                term = inner
            case Operation(name=name, operands=parts) if name in _ITERATORS:
                for part in parts:
                    yield from _aims(part, listing, path, after)
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
                    yield from _aims(part, listing, path, after)
                return
            case _:
                yield _Aim(term, path, listing, after) if listing else _Aim(term, (), "", path)
                return


class _Following:
    """Follows targets to what they are parts of; what an object contains is found once."""

    def __init__(self, known: Models, every: Fills, reaching: Reaches) -> None:
        self.known = known
        self.applied = every.applied
        self.reaching = reaching
        self._contents: dict[Term, list[Candidate]] = {}

    def reach(self, fill: Fill) -> Reach:
        hits: set[tuple[cst.CSTNode, str]] = set()
        names: set[str] = set()
        for target in fill.targets:
            for aim in _aims(target):
                found = self._aimed(fill, aim)
                if found is None:
                    names.add("*" if aim.listing == "parameters" or not aim.path else aim.path[-1])
                else:
                    hits.update(found)
        return Reach(frozenset(hits), frozenset(names))

    def _aimed(self, fill: Fill, aim: _Aim) -> set[tuple[cst.CSTNode, str]] | None:
        """Return what an aim hits; None where its root is not known."""
        root = aim.root
        if "grad" in aim.path:
            return set()
        if isinstance(root, Parameter) and root.function in self.applied:
            bases = self.applied[root.function]
            if any(not isinstance(option, Instance | Receiver) for base in bases for option in options(base)):
                return None
            modules = [one for base in bases for option in options(base) for one in self._modules(option)]
            return self._among(fill, modules, aim.listing, aim.path)
        if isinstance(root, Operation):
            return (
                {(root.node, "")}
                if root.name == "parameter" or root.name in CREATIONS or is_sized(root)
                else set()
            )
        if not isinstance(root, Instance | Receiver):
            return None
        if aim.inner:
            return set()
        if isinstance(root, Instance) and root.dotted in _CONTAINERS and not aim.path:
            return {
                (one.term.node, one.name)
                for one in self.contents(root)
                if isinstance(one.term, Instance | Operation)
            }
        if aim.listing:
            among = self.contents(root) if aim.listing == "parameters" else self._modules(root)
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
        for model in self._lineage(scope):
            for held in model.attributes.get(path[0], ()):
                for option in options(held.term):
                    if isinstance(option, Operation):
                        hits.add((option.node, ""))
                    elif isinstance(option, Instance):
                        hits |= self._part(option, path[1:]) or set()
        return hits

    def _lineage(self, scope: object) -> list[Model]:
        found = self.known.interpreter.lineage(scope)  # type: ignore[arg-type]
        return [self.known.by_class[one] for one in found if one in self.known.by_class]

    def _modules(self, whole: Term) -> list[Candidate]:
        return [candidate for candidate in self.contents(whole) if not candidate.name]

    def contents(self, whole: Term) -> list[Candidate]:
        """Return the modules inside an object, itself among them, and their parameters by name."""
        if whole not in self._contents:
            found: dict[tuple[object, str], Candidate] = {}
            self._collect(whole, found, set())
            self._contents[whole] = list(found.values())
        return self._contents[whole]

    def _collect(self, whole: Term, found: dict[tuple[object, str], Candidate], seen: set[object]) -> None:
        for part in within(whole):
            scope = scope_of(part)
            if isinstance(part, Receiver):
                found.setdefault((scope, ""), Candidate(part))
            elif isinstance(part, Instance):
                found.setdefault((part.node, ""), Candidate(part))
                if scope is None:
                    found.setdefault((part.node, "weight"), Candidate(part, "weight", _rank(part)))
                    found.setdefault((part.node, "bias"), Candidate(part, "bias", 1))
            if scope is None or scope in seen or not isinstance(part, Instance | Receiver):
                continue
            seen.add(scope)
            model = self.known.by_class.get(scope)
            related = (
                [] if model is None else self.known.family(model) if part is whole else self._lineage(scope)
            )
            for held in (held for one in related for held in one.held):
                self._collect(held.term, found, seen)
                for option in (option for outer in options(held.term) for option in within(outer)):
                    if isinstance(option, Operation) and option.name == "parameter":
                        found.setdefault(
                            (option.node, held.name),
                            Candidate(
                                option, held.name, rank_of(option.operands[0] if option.operands else None)
                            ),
                        )


def _rank(layer: Instance) -> int | None:
    short = operation(layer.dotted)
    return 2 if short in AFFINE else 1 if short in NORMALISATIONS else None


def is_whole(fill: Fill) -> bool:
    """Whether a fill writes into tensors as a whole, not into some of their elements."""
    return not any(_is_element(target) for target in fill.targets)


def _is_element(term: Term) -> bool:
    while isinstance(term, Operation) and term.name in _SAME and term.operands:
        if term.name == "index":
            return True
        term = term.operands[0]
    return isinstance(term, Item) and isinstance(term.base, Attribute | Operation)


def layer_fills(source: SourceFile, layer: Instance, *kinds: str) -> list[tuple[Fill, bool]]:
    """Return the fills of a layer's weight, each with whether it is certain."""
    candidate = Candidate(layer, "weight", _rank(layer))
    return list(source.ask(reaches).of(layer.node, "weight", candidate, kinds=kinds or ("values",)))


def is_initialised(source: SourceFile, layers: list[Instance]) -> bool:
    """Whether something writes, or may write, into the weight of one of these layers."""
    return any(layer_fills(source, layer) for layer in layers)
