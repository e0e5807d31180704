"""Whether two terms are one object, and whether clearing one clears what another steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.evaluation import without_none
from stablint.static.facts.events import Event
from stablint.static.facts.optimised import taken
from stablint.static.facts.roles import called, made_as, role
from stablint.static.facts.scopes import Scope, syntax
from stablint.static.facts.terms import Instance, Term, options, same, within
from stablint.static.nodes import last_name

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


def same_object(a: Term | None, b: Term | None) -> bool:
    """Whether two terms are certainly one object, or collections of the same ones."""
    if a is None or b is None:
        return False
    left, right = options(without_none(a)), options(without_none(b))
    return all(any(same(one, other) for other in right) for one in left) and len(left) <= len(right)


def clears(source: SourceFile, event: Event, optimizer: Term | None) -> bool | None:
    """Whether a zero_grad certainly (True), possibly (None) or certainly not (False) clears what an optimizer steps."""
    target = event.target
    if target is None or optimizer is None:
        return None
    left, right = options(without_none(target)), options(without_none(optimizer))
    if any(same(one, other) for one in left for other in right):
        return True
    optimizers = [one for one in right if isinstance(one, Instance)]
    if all(isinstance(one, Instance) and made_as(one) == "optimizer" for one in left):
        shares = any(_share(one, other) for one in left for other in optimizers)
        return False if len(optimizers) == len(right) and not shares else None
    if optimizers and len(optimizers) == len(right):
        made_of = [part for one in optimizers for part in within(one, 400)]
        if any(one is part for one in left for part in made_of):
            return True
        cleared, trained = [one for one in left if isinstance(one, Instance)], _modules_in(made_of)
        if len(cleared) == len(left) and trained:
            apart = not any(_may_hold(source, whole, part) for whole in cleared for part in trained)
            return False if apart else None
    if role(target) == "optimizer":
        return False if _distinct(left, right) else None
    return None


def _share(one: Term, other: Instance) -> bool:
    """Whether two optimizers have a model in common, so that clearing for one clears some of the other."""
    parts = list(taken(other))
    return any(same(module, part) for module in taken(one) for part in parts)


def _modules_in(terms: list[Term]) -> list[Instance]:
    return [
        term
        for term in terms
        if isinstance(term, Instance) and (term.scope is not None or made_as(term) == "module")
    ]


def _may_hold(source: SourceFile, whole: Instance, part: Instance) -> bool:
    """Whether a module may be inside another: it is made for it, or by a class, as its own or that of a third.

    `encoder.zero_grad()` clears what `Adam(encoder.head.parameters())` steps.  What one function or one object makes
    stands side by side.
    """
    if any(isinstance(inner, Instance) and inner.node is part.node for inner in within(whole, 400)):
        return True
    maker = _maker(source, part)
    return maker is None or (maker.kind == "class" and maker is not _maker(source, whole))


def _maker(source: SourceFile, made: Instance) -> Scope | None:
    """Return the class, else the function or the module, whose code makes an object; None of another file's."""
    name = last_name(made.node.func) if isinstance(made.node, cst.Call) else ""
    sites = source.ask(syntax).calls.get(name, ())
    scope = next((site.scope for site in sites if site.node is made.node), None)
    outward = scope
    while outward is not None and outward.kind != "class":
        outward = outward.parent
    return outward or (scope.function if scope is not None else None)


def _distinct(left: tuple[Term, ...], right: tuple[Term, ...]) -> bool:
    """Two optimizers with names of their own (`opt_d`, `self.opt_g`) are two optimizers."""
    names = [{called(term, None) for term in side} for side in (left, right)]
    return all(names) and "" not in names[0] | names[1] and not names[0] & names[1]
