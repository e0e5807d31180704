"""Whether two terms are one object, and whether clearing one clears what another steps."""

from __future__ import annotations

from stablint.static.facts.evaluation import without_none
from stablint.static.facts.events import Event
from stablint.static.facts.roles import called, made_as, role
from stablint.static.facts.terms import Instance, Term, options, same, within


def same_object(a: Term | None, b: Term | None) -> bool:
    """Whether two terms are certainly one object, or collections of the same ones."""
    if a is None or b is None:
        return False
    left, right = options(without_none(a)), options(without_none(b))
    return all(any(same(one, other) for other in right) for one in left) and len(left) <= len(right)


def clears(event: Event, optimizer: Term | None) -> bool | None:
    """Whether a zero_grad certainly (True), possibly (None) or certainly not (False) clears what an optimizer steps."""
    target = event.target
    if target is None or optimizer is None:
        return None
    left, right = options(without_none(target)), options(without_none(optimizer))
    if any(same(one, other) for one in left for other in right):
        return True
    optimizers = [one for one in right if isinstance(one, Instance)]
    if all(isinstance(one, Instance) and made_as(one) == "optimizer" for one in left):
        return False if len(optimizers) == len(right) else None
    if optimizers and len(optimizers) == len(right):
        made_of = [part for one in optimizers for part in within(one, 400)]
        if any(one is part for one in left for part in made_of):
            return True
        if all(isinstance(one, Instance) for one in left) and _modules_in(made_of):
            return False
    if role(target) == "optimizer":
        return False if _distinct(left, right) else None
    return None


def _modules_in(terms: list[Term]) -> bool:
    return any(
        isinstance(term, Instance) and (term.scope is not None or made_as(term) == "module") for term in terms
    )


def _distinct(left: tuple[Term, ...], right: tuple[Term, ...]) -> bool:
    """Two optimizers with names of their own (`opt_d`, `self.opt_g`) are two optimizers."""
    names = [{called(term, None) for term in side} for side in (left, right)]
    return all(names) and "" not in names[0] | names[1] and not names[0] & names[1]
