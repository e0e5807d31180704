"""What is inside an object: the modules, itself among them, and their parameters by name."""

from __future__ import annotations

from stablint.static.facts.allocation import rank_of
from stablint.static.facts.classes import Model, Models
from stablint.static.facts.narrowing import Candidate, scope_of
from stablint.static.facts.scopes import Scope
from stablint.static.facts.terms import Instance, Operation, Receiver, Term, within
from stablint.static.torch_api import operation
from stablint.static.torch_api.groups import AFFINE, NORMALISATIONS

_Found = dict[tuple[object, str], Candidate]


class Contents:
    """Answers what objects contain; each is looked through once."""

    def __init__(self, known: Models) -> None:
        self.known = known
        self._of: dict[Term, list[Candidate]] = {}

    def of(self, whole: Term) -> list[Candidate]:
        """Return the modules inside an object, and their parameters, which have names."""
        if whole not in self._of:
            found: _Found = {}
            self._collect(whole, found, set())
            self._of[whole] = list(found.values())
        return self._of[whole]

    def modules(self, whole: Term) -> list[Candidate]:
        """Return the modules inside an object."""
        return [candidate for candidate in self.of(whole) if not candidate.name]

    def lineage(self, scope: Scope) -> list[Model]:
        """Return a class and the models of the file that it inherits from."""
        found = self.known.interpreter.hierarchy.lineage(scope)
        return [model for one in found if (model := self.known.of(one)) is not None]

    def _collect(self, whole: Term, found: _Found, seen: set[Scope]) -> None:
        for part in within(whole):
            scope = scope_of(part)
            if isinstance(part, Instance):
                found.setdefault((part.node, ""), Candidate(part))
                if scope is None:
                    found.setdefault((part.node, "weight"), weight_of(part))
                    found.setdefault((part.node, "bias"), Candidate(part, "bias", 1))
            elif isinstance(part, Receiver):
                found.setdefault((scope, ""), Candidate(part))
            elif isinstance(part, Operation) and part.name == "parameter":
                found.setdefault((part.node, ""), Candidate(part))
            if scope is not None and scope not in seen:
                seen.add(scope)
                self._held(scope, found, seen, with_heirs=part is whole)

    def _held(self, scope: Scope, found: _Found, seen: set[Scope], with_heirs: bool) -> None:
        """Collect what the attributes of a class hold; `self` may be of a class that inherits from it."""
        model = self.known.of(scope)
        related = self.known.family(model) if model is not None and with_heirs else self.lineage(scope)
        for held in (held for one in related for held in one.held):
            self._collect(held.term, found, seen)
            for part in within(held.term):
                if isinstance(part, Operation) and part.name == "parameter" and part.operands:
                    made = Candidate(part, held.name, rank_of(part.operands[0]))
                    found.setdefault((part.node, held.name), made)


def weight_of(layer: Instance) -> Candidate:
    """Return the weight of a layer of torch."""
    short = operation(layer.dotted)
    return Candidate(layer, "weight", 2 if short in AFFINE else 1 if short in NORMALISATIONS else None)
