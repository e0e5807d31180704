"""What a fix brought up that was not there before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stablint.finding import Finding
from stablint.fixes.choice import Choice
from stablint.fixes.splice import moved
from stablint.static.positions import LineMap

Texts = Mapping[int | None, LineMap]

Kept = tuple[str, int | None, int, int]
"""Code and cell of a finding that was there, and the range of offsets in which it may be now."""


def gained(
    before: Iterable[Finding], choice: Choice, after: Iterable[Finding], old: Texts, new: Texts
) -> Finding | None:
    """Return the first finding of `after` that is none of `before`, moved by the edits, or a mended one."""
    mended = set(choice.findings)
    kept = sorted((_kept(finding, choice, old) for finding in before if finding not in mended), key=_width)
    for finding in after:
        place = next((one for one in kept if _may_be(one, finding, new)), None)
        if place is None:
            return finding
        kept.remove(place)
    return None


def _kept(finding: Finding, choice: Choice, texts: Texts) -> Kept:
    cell = finding.location.cell
    return (finding.code, cell, *moved(_offset(finding, texts), choice.splices.get(cell, ())))


def _width(kept: Kept) -> int:
    return kept[3] - kept[2]


def _may_be(kept: Kept, finding: Finding, texts: Texts) -> bool:
    code, cell, first, last = kept
    return (code, cell) == (finding.code, finding.location.cell) and first <= _offset(finding, texts) <= last


def _offset(finding: Finding, texts: Texts) -> int:
    """Return where a finding begins; one that stands in no text, at the very beginning."""
    lines = texts.get(finding.location.cell)
    if lines is None or finding.location.start.line > len(lines.starts):
        return 0
    return lines.offset(finding.location.start)
