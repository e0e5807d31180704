"""What the walk gathers, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import libcst as cst

from stablint.static.facts.scopes import Binding, Block, CallSite, Scope, Store


@dataclass(slots=True)
class Walk:
    """The collections of one walk."""

    functions: list[Scope] = field(default_factory=list)
    classes: list[Scope] = field(default_factory=list)
    calls: dict[str, list[CallSite]] = field(default_factory=dict)
    identifiers: set[str] = field(default_factory=set)
    blocks: dict[cst.CSTNode, tuple[Scope, Block | None]] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    has_star_import: bool = False
    stores: list[Store] = field(default_factory=list)


class Place(NamedTuple):
    """Where the walk stands: the scope, the statement, the block around it."""

    scope: Scope
    statement: cst.CSTNode
    block: Block | None


def bind(scope: Scope, name: str, binding: Binding) -> None:
    """Note that a name is bound, in the scope that `global` or `nonlocal` say."""
    home = scope.function
    if name in home.outer_names:
        home = _declared_home(home, name)
    home.bindings.setdefault(name, []).append(binding)


def _declared_home(scope: Scope, name: str) -> Scope:
    home = scope
    while home.parent is not None:
        home = home.parent
        if name in home.bindings:
            return home
    return home
