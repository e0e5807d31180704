"""A notebook -> the Python text of its code cells, one after another, and where each line of it stands."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stablint.finding import Position
from stablint.static.magics import masked
from stablint.static.positions import line_map
from stablint.static.unreadable import not_checked


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell: its number among all cells, counted from 1, and where it stands in the notebook's text."""

    number: int
    source: str
    line: int
    start: int

    @property
    def end(self) -> int:
        """The offset of its end; behind it, the text has a line break that the cell has not."""
        return self.start + len(self.source)

    def inside(self, position: Position) -> Position:
        """Turn a place in the notebook's text into one in the cell."""
        return Position(position.line - self.line + 1, position.column)


@dataclass(frozen=True, slots=True)
class Notebook:
    """The text of the code cells; `original` is as long, and has the magics that are masked in `text`."""

    text: str
    original: str
    cells: tuple[Cell, ...]

    def cell_at(self, line: int) -> Cell | None:
        """Return the cell that a line of the text stands in."""
        index = bisect_right(self.cells, line, key=lambda cell: cell.line)
        return self.cells[max(index - 1, 0)] if self.cells else None

    def cell(self, number: int) -> Cell:
        """Return the code cell of a number."""
        return next(cell for cell in self.cells if cell.number == number)

    def editable(self, start: int, end: int) -> bool:
        """Say whether a range of the text is in one cell and stands in it as it does here."""
        index = bisect_right(self.cells, start, key=lambda cell: cell.start) - 1
        return end <= self.cells[index].end + 1 and self.original[start:end] == self.text[start:end]


def read_notebook(data: bytes) -> Notebook:
    """Read a notebook; raise UnreadableError for what is none.  One in another language has no cells."""
    cells: list[Cell] = []
    texts: list[str] = []
    originals: list[str] = []
    line, start = 1, 0
    for number, source in _code_cells(_document(data)):
        python = masked(source)
        if python is None:
            continue
        ending = " \n" if source.endswith("\r") else "\n"
        cells.append(Cell(number, source, line, start))
        texts.append(python + ending)
        originals.append(source + ending)
        line += len(line_map(source).starts)
        start += len(source + ending)
    return Notebook("".join(texts), "".join(originals), tuple(cells))


def _document(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise not_checked(f"no valid JSON, as a notebook has to be: {error}") from None
    if isinstance(document, dict) and "worksheets" in document:
        raise not_checked("a notebook of format 3; `jupyter nbconvert --to notebook` brings it up to date")
    if not isinstance(document, dict) or not isinstance(document.get("cells"), list):
        raise not_checked("JSON, but no notebook: it has no list of cells")
    return document


def _code_cells(document: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield number and source of the code cells of a Python notebook."""
    if not _is_python(document.get("metadata")):
        return
    for number, cell in enumerate(document["cells"], start=1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source", "")
        try:
            source = source if isinstance(source, str) else "".join(source)
            source.encode("utf-8")
        except (TypeError, UnicodeEncodeError):
            raise not_checked(f"cell {number} of the notebook has a source that is no text") from None
        yield number, source


def _is_python(metadata: Any) -> bool:
    """Say whether a notebook is in Python, which it is unless it says otherwise."""
    named: list[Any] = []
    if isinstance(metadata, dict):
        for part, key in (("language_info", "name"), ("kernelspec", "language")):
            if isinstance(metadata.get(part), dict):
                named.append(metadata[part].get(key))
    languages = [name.lower() for name in named if isinstance(name, str) and name]
    return not languages or "python" in languages[0]
