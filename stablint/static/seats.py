"""Where each statement stands among its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

if TYPE_CHECKING:
    from stablint.static.source import SourceFile

_BODIES = ("body", "orelse", "finalbody")
_CLAUSES = ("handlers", "cases")


@dataclass(frozen=True, slots=True)
class Seat:
    """A statement's block and neighbours.

    The block of a whole statement is a module or an indented block; that of a small statement is the line or
    the one-line body that it shares with those joined to it by semicolons.
    """

    block: cst.CSTNode
    index: int
    row: Sequence[cst.CSTNode]


def seats(source: SourceFile) -> dict[int, Seat]:
    """A fact: the seat of every statement by its id.

    An `elif` has none: nothing can be put before it or taken away from where it stands.
    """
    found: dict[int, Seat] = {}
    todo: list[cst.CSTNode] = [source.tree]
    while todo:
        node = todo.pop()
        for name in _BODIES:
            part = getattr(node, name, None)
            if isinstance(part, cst.CSTNode):
                todo.append(part)
            elif isinstance(part, tuple | list):
                found.update((id(child), Seat(node, index, part)) for index, child in enumerate(part))
                todo.extend(part)
        for name in _CLAUSES:
            todo.extend(getattr(node, name, ()))
    return found
