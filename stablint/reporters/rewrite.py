"""What a fix makes of the lines that it touches, as a small diff."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stablint.finding import Edit, Fix

Change = tuple[int, list[str], list[str]]
"""The number of the first line, the lines that go and the lines that come."""


def rewrite(fix: Fix, lines: Sequence[str]) -> list[Change] | None:
    """Return the changes that a fix makes, from the top down, or None where its edits do not fit the text."""
    edits = sorted(set(fix.edits), key=lambda edit: (edit.location.start, edit.location.end))
    changes = []
    for group in _neighbours(edits):
        first, last = group[0].location.start.line, max(edit.location.end.line for edit in group)
        if not 1 <= first <= last <= len(lines) + 1:
            return None
        old = [line.rstrip("\r\n") for line in lines[first - 1 : last]]
        if last > len(lines):  # an edit of whole lines ends at the beginning of the line after them
            old.append("")
        new = _edited("\n".join(old), group, first)
        if new is None:
            return None
        changes.append(_trimmed(first, old, new.split("\n")))
    return changes


def _neighbours(edits: Sequence[Edit]) -> Iterator[list[Edit]]:
    """Group edits that share lines."""
    group: list[Edit] = []
    for edit in edits:
        if group and edit.location.start.line > max(one.location.end.line for one in group):
            yield group
            group = []
        group.append(edit)
    if group:
        yield group


def _edited(text: str, edits: Sequence[Edit], first: int) -> str | None:
    """Apply ordered edits to `text`, which begins at line `first`; None if they overlap or lie outside."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    parts, done = [], 0
    for edit in edits:
        ends = (edit.location.start, edit.location.end)
        start, end = (starts[place.line - first] + place.column - 1 for place in ends)
        if not done <= start <= end <= len(text):
            return None
        parts += [text[done:start], edit.text.replace("\r\n", "\n")]
        done = end
    return "".join([*parts, text[done:]])


def _trimmed(first: int, old: list[str], new: list[str]) -> Change:
    """Leave out the lines at both ends that stay as they are."""
    while old and new and old[0] == new[0]:
        first, old, new = first + 1, old[1:], new[1:]
    while old and new and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    return first, old, new
