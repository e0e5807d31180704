"""Every comparison that a file writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stablint.static.facts.evaluation import values
from stablint.static.facts.terms import Operation, options

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


def comparisons(source: SourceFile) -> tuple[Operation, ...]:
    """Return the comparisons by operators, `compare` of the compared with the names of the operators behind them.

    They are in terms of the parameters of their functions.
    """
    found: dict[int, Operation] = {}
    for key, term in source.ask(values).interpreter.terms.items():
        for option in options(term):
            if isinstance(option, Operation) and option.name == "compare" and id(option.node) == key:
                found[key] = option
    return tuple(found.values())
