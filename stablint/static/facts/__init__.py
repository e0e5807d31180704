"""What rules share: one fact a file, asked for with `source.ask(facts.NAME)`, imported when first asked for.

A rule file imports this package and so no libcst; see `__getattr__`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stablint.static.facts.syntax import syntax as syntax

_HOMES: dict[str, str] = {"syntax": "syntax"}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
