"""One line of source with the part that matters, fitted into the terminal."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len

from stablint.finding import Location
from stablint.reporters.safe_text import safe_text

TAB = "    "
DOTS = "..."
MOST = 500
"""Code points looked at on either side: more than any terminal shows, and a minified line costs nothing."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A line as shown, cut where it is too wide, and the columns of the terminal to underline."""

    text: str
    offset: int
    length: int


def excerpt(line: str, location: Location, width: int) -> Excerpt:
    """Fit the first line of `location` into `width` columns; carets line up under wide characters."""
    start = min(location.start.column - 1, len(line))
    one_line = location.end.line == location.start.line
    end = max(start, min(location.end.column - 1, len(line)) if one_line else len(line))
    before, marked = _shown(line[:start][-MOST:]), _shown(line[start:end][:MOST])
    after = _shown(line[end:][:MOST])
    if start > MOST or cell_len(before) + cell_len(marked) + cell_len(after) > width:
        marked = _cut_right(marked, width * 2 // 3)
        before = _cut_left(before, max(width - cell_len(marked) - 2 * len(DOTS), len(DOTS)), cut=start > MOST)
        after = _cut_right(after, width - cell_len(before) - cell_len(marked))
    return Excerpt((before + marked + after).rstrip(), cell_len(before), max(1, cell_len(marked.rstrip())))


def _shown(text: str) -> str:
    return safe_text(text.replace("\t", TAB))


def _cut_right(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    kept = text[: max(width - len(DOTS), 0)]
    while kept and cell_len(kept) > width - len(DOTS):
        kept = kept[:-1]
    return kept + DOTS


def _cut_left(text: str, width: int, *, cut: bool) -> str:
    if cell_len(text) <= width and not cut:
        return text
    kept = text[-max(width - len(DOTS), 1) :]
    while kept and cell_len(kept) > width - len(DOTS):
        kept = kept[1:]
    return DOTS + kept
