"""Every tensor operation of a file, by its one short name however it is spelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.evaluation import Values, values
from stablint.static.facts.scopes import Block, Scope, syntax
from stablint.static.facts.terms import Call, Instance, Operation, Term, options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stablint.static.source import SourceFile


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A place in the code where something is computed or called, and what it gives there."""

    node: cst.BaseExpression
    term: Term
    scope: Scope
    statement: cst.CSTNode | None
    block: Block | None

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

    def named(self, *names: str) -> Iterator[tuple[Site, Operation]]:
        """Yield the places where one of these operations is performed; parameters hold what callers give."""
        for name in names:
            for site in self.by_name.get(name, ()):
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

    def instances(self, *dotted: str) -> Iterator[tuple[Site, Instance]]:
        """Yield the places where an object of one of these classes is made."""
        for name in dotted:
            for site in self.made.get(name, ()):
                for option in options(site.term):
                    if isinstance(option, Instance) and option.dotted == name:
                        yield site, option


def operations(source: SourceFile) -> Operations:
    """Collect what the interpreter met, with parameters resolved."""
    known = source.ask(values)
    shape = source.ask(syntax)
    by_name: dict[str, list[Site]] = {}
    made: dict[str, list[Site]] = {}
    calls: dict[str, list[Site]] = {}
    for node, scope, statement in known.interpreter.sites.values():
        raw = known.interpreter.terms[id(node)]
        term = known.resolve(raw)
        block = shape.blocks[statement][1] if statement in shape.blocks else scope.block
        site = Site(node, term, scope, statement, block)
        for option in options(term):
            if isinstance(option, Operation) and option.node is node:
                by_name.setdefault(option.name, []).append(site)
            elif isinstance(option, Instance) and option.node is node:
                made.setdefault(option.dotted, []).append(site)
            elif isinstance(option, Call) and option.node is node and isinstance(node, cst.Call):
                from stablint.static.facts.scopes import last_name

                calls.setdefault(last_name(node.func), []).append(site)
    return Operations(by_name, made, calls, known)
