"""Which fixes of a round are applied: those that do not touch each other, the first ones first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stablint.finding import Finding, Fix
from stablint.fixes.splice import Splice
from stablint.static.positions import LineMap, newline_of

_LINE_END = re.compile(r"\r\n?|\n")


@dataclass(frozen=True, slots=True)
class Choice:
    """The findings that are mended, and the ordered splices that do it, by cell."""

    findings: tuple[Finding, ...]
    splices: dict[int | None, list[Splice]]


def choose(findings: Iterable[Finding], texts: Mapping[int | None, LineMap]) -> Choice:
    """Choose from findings with fixes; an edit that two fixes share is made once."""
    chosen: list[Finding] = []
    made: dict[int | None, set[Splice]] = {cell: set() for cell in texts}
    for finding in findings:
        splices = _splices(finding.fix, finding.location.path, texts) if finding.fix else None
        if splices is None or any(_clashes(splice, made[cell]) for cell, splice in splices):
            continue
        chosen.append(finding)
        for cell, splice in splices:
            made[cell].add(splice)
    return Choice(tuple(chosen), {cell: sorted(splices) for cell, splices in made.items() if splices})


def _clashes(splice: Splice, made: set[Splice]) -> bool:
    return splice not in made and any(splice.clashes(other) for other in made)


def _splices(
    fix: Fix, path: str, texts: Mapping[int | None, LineMap]
) -> set[tuple[int | None, Splice]] | None:
    """Turn edits into splices; None where one lies outside the file, two overlap or nothing would change."""
    splices: set[tuple[int | None, Splice]] = set()
    for edit in fix.edits:
        cell, start, end = edit.location.cell, edit.location.start, edit.location.end
        lines = texts.get(cell)
        if (
            lines is None
            or edit.location.path != path
            or not 1 <= start.line <= end.line <= len(lines.starts)
        ):
            return None
        text = _LINE_END.sub(newline_of(lines.text), edit.text)
        splices.add((cell, Splice(lines.offset(start), lines.offset(end), text)))
    same = all(texts[cell].text[one.start : one.end] == one.text for cell, one in splices)
    return None if same or _overlap(splices) else splices


def _overlap(splices: set[tuple[int | None, Splice]]) -> bool:
    """Say whether ranges of one fix overlap; an insertion at the end of a replaced range does not."""
    return any(
        cell == other and one is not two and one.start < two.end and two.start < one.end
        for cell, one in splices
        for other, two in splices
    )
