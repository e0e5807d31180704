"""What counts as near a fault: the function or class at the top of the file that holds it, or else the code outside."""

from __future__ import annotations

import ast

from mutants.operator import Mutant
from mutants.text import parse
from stablint.finding import Finding

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
FEW_LINES = 10


class Neighbourhood:
    """The places in a mutant at which its fault may be reported."""

    def __init__(self, mutant: Mutant, original: bytes, broken: bytes) -> None:
        self._spans = [
            (
                min(each.lineno, *(one.lineno for one in each.decorator_list), each.lineno),
                each.end_lineno or 0,
            )
            for each in parse(broken).body
            if isinstance(each, DEFINITIONS)
        ]
        self._lines = [_line_behind(mutant, original, line) for line in (mutant.line, *mutant.also)]

    def has(self, finding: Finding) -> bool:
        """Tell whether a finding stands near the fault, or relates to a place that does."""
        places = [finding.location, *(related.location for related in finding.related)]
        return any(self._is_near(place.start.line, line) for place in places for line in self._lines)

    def _is_near(self, one: int, other: int) -> bool:
        return abs(one - other) <= FEW_LINES or self._definition(one) == self._definition(other)

    def _definition(self, line: int) -> tuple[int, int] | None:
        return next((span for span in self._spans if span[0] <= line <= span[1]), None)


def _line_behind(mutant: Mutant, original: bytes, line: int) -> int:
    """Return where a line of the original is in the mutant."""
    start = sum(len(each) for each in original.splitlines(keepends=True)[: line - 1])
    moved = 0
    for edit in mutant.edits:
        if edit.start <= start:
            moved += edit.text.count(b"\n") - original[edit.start : min(edit.end, start)].count(b"\n")
    return line + moved
