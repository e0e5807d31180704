"""What a file defines and imports, by the statement that does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.scopes import Binding, Scope, syntax

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


@dataclass(frozen=True, slots=True, eq=False)
class Definitions:
    """An index of a file's scopes and imports."""

    scopes: dict[cst.CSTNode, Scope]
    """The scope that a def, class, lambda or module opens."""
    imports: dict[cst.CSTNode, list[tuple[str, Binding]]]
    """The names that an import statement binds."""
    writers: dict[str, list[Scope]]
    """The functions that assign a name of an outer scope."""
    written: set[str]
    """The attributes of names that are assigned anywhere, as dotted paths."""


def definitions(source: SourceFile) -> Definitions:
    """Return the index of a file, made once for all who look at it."""
    return source.original.ask(_collected)


def _collected(source: SourceFile) -> Definitions:
    shape = source.ask(syntax)
    scopes = (shape.module, *shape.functions, *shape.classes)
    found = Definitions({scope.node: scope for scope in scopes}, {}, {}, set())
    for scope in shape.functions:
        for name in scope.outer_names:
            found.writers.setdefault(name, []).append(scope)
    for scope in scopes:
        found.written.update(scope.writes)
        for name, bindings in scope.bindings.items():
            for binding in bindings:
                if binding.kind == "import":
                    found.imports.setdefault(binding.node, []).append((name, binding))
    return found
