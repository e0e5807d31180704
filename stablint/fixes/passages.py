"""The texts of a file that can be edited: a Python file's one, or a notebook's cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stablint.fixes.encoded import edit_file
from stablint.fixes.notebook import cells, edit_cells
from stablint.fixes.splice import Splice
from stablint.static.positions import LineMap, line_map
from stablint.static.source import SourceFile

Splices = Mapping[int | None, Sequence[Splice]]
"""Ordered splices by cell."""


def passages(source: SourceFile) -> dict[int | None, LineMap]:
    """Return the lines of each text of a file, by cell."""
    if source.kind == "notebook":
        return {number: line_map(cell.text) for number, cell in cells(source.data).items()}
    return {None: source.lines}


def edited(source: SourceFile, splices: Splices) -> bytes:
    """Return the bytes of the file with the splices made; raise RefusedError where that is not sure."""
    if source.kind == "notebook":
        return edit_cells(source.data, {cell: made for cell, made in splices.items() if cell is not None})
    return edit_file(source, splices.get(None, ()))
