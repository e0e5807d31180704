"""How the code of a file can spell a name of torch at a place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stablint.static.facts.scopes import Scope, syntax

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


def spelled(source: SourceFile, scope: Scope, dotted: str) -> str | None:
    """Return the shortest way to say a dotted name in a scope with the imports that the file has at its top."""
    module = source.ask(syntax).module
    ways: list[str] = []
    for name, bindings in module.bindings.items():
        if any(binding.kind != "import" for binding in bindings) or _is_hidden(name, scope):
            continue
        imported = {binding.dotted for binding in bindings}
        if len(imported) != 1:
            continue
        start = imported.pop() or ""
        if dotted == start:
            ways.append(name)
        elif dotted.startswith(f"{start}."):
            ways.append(name + dotted[len(start) :])
    return min(ways, key=len, default=None)


def _is_hidden(name: str, scope: Scope | None) -> bool:
    """Whether the name means something else in the scope than in the module."""
    while scope is not None and scope.kind != "module":
        if name in scope.bindings:
            return True
        scope = scope.parent
    return False
