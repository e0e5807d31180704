"""What optimizers are given: of which modules they take the parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.static.facts.evaluation import values
from stablint.static.facts.roles import made_as
from stablint.static.facts.sites import Site, operations
from stablint.static.facts.statements import assignments
from stablint.static.facts.terms import (
    Attribute,
    Call,
    Dictionary,
    Display,
    Either,
    Instance,
    Operation,
    Reference,
    Term,
    number,
    options,
    within,
)

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.facts.scopes import Scope
    from stablint.static.source import SourceFile

_TAKING = {"parameters", "named_parameters"}


def optimizers(source: SourceFile) -> tuple[tuple[Site, Instance], ...]:
    """Return the optimizers that the file makes, with the places (a fact)."""
    made = source.ask(operations).made
    return tuple(
        (site, option)
        for sites in made.values()
        for site in sites
        for option in options(site.raw)
        if isinstance(option, Instance) and option.node is site.node and made_as(option) == "optimizer"
    )


def optimizers_of(source: SourceFile, function: Scope) -> list[tuple[cst.CSTNode, Instance]]:
    """Return the optimizers that a function makes, or gets from functions of the file, with the statements."""
    found = [
        (site.statement, made)
        for site, made in source.ask(optimizers)
        if site.statement is not None and site.scope.function is function
    ]
    own = {made.node for _, made in found}
    known = source.ask(values)
    for statement, _, value in assignments(source, {function}):
        for option in options(known.raw(value)):
            for part in option.items if isinstance(option, Display) else (option,):
                if isinstance(part, Instance) and part.node not in own and made_as(part) == "optimizer":
                    found.append((statement, part))
    return found


def given(optimizer: Instance) -> Term | None:
    """Return what an optimizer is given to train; None where that is not seen."""
    if optimizer.positional:
        return optimizer.positional[0]
    return optimizer.keywords.get("params")


def taken(term: Term) -> Iterator[Term]:
    """Yield the modules whose parameters are all taken by what is given to an optimizer."""
    for part in within(term, 400):
        if isinstance(part, Call) and isinstance(part.callee, Attribute) and part.callee.name in _TAKING:
            yield part.callee.base


def is_all_known(term: Term) -> bool:
    """Whether the modules that `taken` names are all there is: nothing comes from where nothing is known."""
    match term:
        case Call(callee=Attribute(name="parameters")):
            return True
        case Call(callee=Reference(dotted="itertools.chain"), positional=parts):
            return all(map(is_all_known, parts))
        case Operation(name="list" | "tuple" | "add" | "chain", operands=parts):
            return all(map(is_all_known, parts))
        case Display(items=items):
            return all(map(is_all_known, items))
        case Dictionary(items=items, open=False):
            return all(is_all_known(value) for _, value in items if number(value) is None)
        case Either(options=parts):
            return all(map(is_all_known, parts))
        case _:
            return False
