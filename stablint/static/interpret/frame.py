"""The variables of one function while it is interpreted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.terms import (
    Constant,
    Dictionary,
    Display,
    Instance,
    Repeated,
    Term,
    Unknown,
    join,
    number,
    within,
)

if TYPE_CHECKING:
    from stablint.static.facts.scopes import Scope

Environment = dict[str, Term]
"""Names, and dotted paths that were assigned (`self.x`), with what they hold."""


@dataclass(slots=True)
class Loop:
    """Where `break` and `continue` of a loop leave the variables."""

    breaks: list[Environment] = field(default_factory=list)
    continues: list[Environment] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Frame:
    """The state of interpreting one scope; `env` is None where no path leads to (after a return)."""

    scope: Scope
    env: Environment | None = field(default_factory=dict)
    returns: list[Term] = field(default_factory=list)
    yields: list[Term] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)
    exits: list[Environment] = field(default_factory=list)
    graph: bool = True
    depth: int = 0
    """How many loops that are not unrolled the current statement stands in."""
    rounds: int = 0
    """How many loops that are unrolled it stands in."""
    repeats: int = 1
    """How often these loops make it run."""
    statement: cst.CSTNode | None = None


def join_environments(*environments: Environment | None) -> Environment | None:
    """Return what holds after any of several paths; dead paths do not count."""
    alive = [env for env in environments if env is not None]
    if not alive:
        return None
    if len(alive) == 1:
        return alive[0]
    first, *others = alive
    joined = dict(first)
    for other in others:
        for name, term in other.items():
            known = joined.get(name)
            if known is None:
                # A plain name bound on one path only holds that wherever it may be read; an attribute may
                # still hold what it held before.
                joined[name] = join(term, Unknown(None, name)) if "." in name else term
            elif known is not term:
                joined[name] = join(known, term)
        for name in joined.keys() - other.keys():
            if "." in name:
                joined[name] = join(joined[name], Unknown(None, name))
    return joined


def widen(before: Environment, after: Environment | None) -> Environment:
    """Return the variables at the head of a loop.

    A number that changes in the loop is no longer known; what each round makes of what the one before it left may be
    anything that further rounds lead to.
    """
    if after is None:
        return dict(before)
    head = join_environments(before, after) or {}
    changed = {name: term for name, term in before.items() if head[name] is not term}
    left = {term for term in changed.values() if not isinstance(term, Constant)}
    for name, term in changed.items():
        if isinstance(term, Constant) and number(term) is not None:
            head[name] = Unknown(term.node, name)
        elif not isinstance(term, _CONTAINERS) and name in after and not left.isdisjoint(within(after[name])):
            head[name] = join(head[name], Unknown(None, name))
    return head


_CONTAINERS = (Display, Repeated, Dictionary, Instance)
"""What is filled in a loop and not computed."""
