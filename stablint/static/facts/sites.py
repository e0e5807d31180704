"""Every tensor operation of a file, by its one short name however it is spelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.evaluation import Values, values
from stablint.static.facts.losses_elsewhere import losses_elsewhere
from stablint.static.facts.scopes import Block, Scope, syntax
from stablint.static.facts.terms import Call, Instance, Operation, Term, options
from stablint.static.nodes import last_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stablint.static.interpret.interpreter import Place
    from stablint.static.source import SourceFile


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A place in the code where something is computed or called, and what it gives there."""

    node: Place
    raw: Term
    """In terms of the parameters of the function that it stands in."""
    scope: Scope
    statement: cst.CSTNode | None
    block: Block | None
    values: Values

    @property
    def term(self) -> Term:
        """What is computed, with the arguments that this file's calls give to parameters."""
        return self.values.resolve(self.raw)

    def operation(self, *names: str) -> Operation | None:
        """Return the operation that this place performs, where it is one of these."""
        for option in options(self.term):
            if isinstance(option, Operation) and option.node is self.node and option.name in names:
                return option
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Operations:
    """The operations of a file by short name, and the objects made by dotted name."""

    by_name: dict[str, list[Site]]
    made: dict[str, list[Site]]
    calls: dict[str, list[Site]]
    """Calls of anything else, by the last name of the callee."""
    values: Values

    def named(
        self, *names: str, when: Callable[[Operation], bool] | None = None
    ) -> Iterator[tuple[Site, Operation]]:
        """Yield the places where one of these operations is performed; parameters hold what callers give.

        Where many places are to be seen, `when` leaves out those whose operation, still in terms of parameters,
        cannot be of interest: that is cheap.
        """
        for name in names:
            for site in self.by_name.get(name, ()):
                if when is not None and not any(_passes(option, when) for option in options(site.raw)):
                    continue
                operation = site.operation(name)
                if operation is not None:
                    yield site, operation

    def statements(self) -> Iterator[tuple[Site, Operation]]:
        """Yield the operations that are statements of their own: nothing takes their result."""
        for sites in self.by_name.values():
            for site in sites:
                if isinstance(site.statement, cst.Expr) and site.statement.value is site.node:
                    for option in options(site.term):
                        if isinstance(option, Operation) and option.node is site.node:
                            yield site, option
                            break

    def of_layer(self, layer: Instance) -> Iterator[Operation]:
        """Yield what a layer is called for, also as the last one of a Sequential; of a layer, not of many."""
        for raw in self.values.interpreter.terms.values():
            if any(_is_of(option, layer) for option in options(raw)):
                for option in options(self.values.resolve(raw)):
                    if isinstance(option, Operation) and _is_of(option, layer):
                        yield option

    def instances(self, *dotted: str) -> Iterator[tuple[Site, Instance]]:
        """Yield the places where an object of one of these classes is made."""
        for name in dotted:
            for site in self.made.get(name, ()):
                for option in options(site.term):
                    if isinstance(option, Instance) and option.dotted == name:
                        yield site, option


def _is_of(term: Term, layer: Instance) -> bool:
    return isinstance(term, Operation) and term.module is not None and term.module.node is layer.node


def _passes(term: Term, when: Callable[[Operation], bool]) -> bool:
    return not isinstance(term, Operation) or not term.operands or when(term)


def operations(source: SourceFile) -> Operations:
    """Collect what the interpreter met; arguments are put in for parameters when a rule looks."""
    known = source.ask(values)
    shape = source.ask(syntax)
    by_name: dict[str, list[Site]] = {}
    made: dict[str, list[Site]] = {}
    calls: dict[str, list[Site]] = {}

    def site_of(node: Place, raw: Term) -> Site:
        _, scope, statement = known.interpreter.sites[id(node)]
        stands = shape.blocks.get(statement) if statement is not None else None
        block = stands[1] if stands is not None else scope.block
        return Site(node, raw, scope, statement, block, known)

    for node, _, _ in known.interpreter.sites.values():
        raw = known.interpreter.terms[id(node)]
        site = site_of(node, raw)
        for option in options(_indexed(raw, known)):
            if isinstance(option, Operation) and option.node is node:
                by_name.setdefault(option.name, []).append(site)
            elif isinstance(option, Instance) and option.node is node:
                made.setdefault(option.dotted, []).append(site)
            elif isinstance(option, Call) and option.node is node and isinstance(node, cst.Call):
                calls.setdefault(last_name(node.func), []).append(site)
    for node, loss in losses_elsewhere(known.interpreter):
        by_name.setdefault(loss.name, []).append(site_of(node, loss))
    return Operations(by_name, made, calls, known)


def _indexed(raw: Term, known: Values) -> Term:
    """Return the term by which a place is found: what is called may be a parameter, and another thing then."""
    for option in options(raw):
        if isinstance(option, Call) and known.resolve(option.callee) is not option.callee:
            return known.resolve(raw)
    return raw
