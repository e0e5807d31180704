"""Editing the cells of a notebook inside its JSON; every byte outside the edited strings stays."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from stablint.fixes.json_strings import JsonString, offsets, strings
from stablint.fixes.refused import RefusedError
from stablint.fixes.splice import Splice, spliced

_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell's text and the JSON strings that hold it: one, or a list of one a line."""

    text: str
    pieces: tuple[JsonString, ...]


def cells(data: bytes) -> dict[int, Cell]:
    """Return the cells of a notebook by their number, counted from 1 over code and text."""
    pieces: dict[int, list[JsonString]] = {}
    for string in strings(data):
        match string.path:
            case ("cells", int(index), "source") | ("cells", int(index), "source", int()):
                pieces.setdefault(index + 1, []).append(string)
    return {
        number: Cell("".join(json.loads(data[one.start - 1 : one.end + 1]) for one in found), tuple(found))
        for number, found in pieces.items()
    }


def edit_cells(data: bytes, edits: Mapping[int, Sequence[Splice]]) -> bytes:
    """Return the notebook with ordered splices made in its cells; refuse if anything else would change."""
    parts: list[tuple[int, int, bytes]] = []
    known = cells(data)
    for number, splices in edits.items():
        parts += [_part(data, known[number], splice) for splice in splices]
    new, done = [], 0
    for start, end, text in sorted(parts):
        new += [data[done:start], text]
        done = end
    edited = b"".join([*new, data[done:]])
    texts = {number: spliced(known[number].text, splices) for number, splices in edits.items()}
    if _document(edited, {}) != _document(data, texts):
        raise RefusedError("its cells cannot be edited without changing other parts of the notebook")
    return edited


def _part(data: bytes, cell: Cell, splice: Splice) -> tuple[int, int, bytes]:
    """Return the byte range that a splice replaces, and by what."""
    start, end = _byte(data, cell, splice.start), _byte(data, cell, splice.end)
    if not splice.text and splice.end == len(cell.text) and splice.start in _firsts(data, cell)[1:]:
        # the last lines go with the comma before them
        start = cell.pieces[_firsts(data, cell).index(splice.start) - 1].end
    text = _escaped(data, cell, splice.text)
    if splice.text.endswith("\n") and _is_list(cell) and data[end : end + 1] != b'"':
        text += _separator(data, cell)
    return start, end, text


def _byte(data: bytes, cell: Cell, offset: int) -> int:
    """Return the byte at which a code point of the cell stands; between two strings, in the second."""
    firsts = _firsts(data, cell)
    index = bisect_right(firsts, offset) - 1
    places = offsets(data, cell.pieces[index])
    return places[offset - firsts[index]]


def _firsts(data: bytes, cell: Cell) -> list[int]:
    """Return the offset in the cell's text at which each string begins."""
    lengths = [len(offsets(data, piece)) - 1 for piece in cell.pieces]
    return list(accumulate(lengths[:-1], initial=0))


def _escaped(data: bytes, cell: Cell, text: str) -> bytes:
    """Write a text as the notebook writes its own: in ASCII or not, one string a line or one in all."""
    ascii_only = data.isascii() and b"\\u" in data
    lines = [json.dumps(line, ensure_ascii=ascii_only)[1:-1] for line in _LINE.findall(text)]
    joint = _separator(data, cell) if _is_list(cell) else b""
    return joint.join(line.encode("utf-8") for line in lines)


def _is_list(cell: Cell) -> bool:
    return isinstance(cell.pieces[0].path[-1], int)


def _separator(data: bytes, cell: Cell) -> bytes:
    """Return what stands between two lines of a list: quote, comma, white space, quote."""
    first, *others = cell.pieces
    if others:
        return data[first.end : others[0].start]
    before = data[: first.start - 1]
    return b'",' + (before[len(before.rstrip()) :] or b" ") + b'"'


def _document(data: bytes, texts: Mapping[int, str]) -> Any:
    """Read a notebook with each cell's source as one string, some of them replaced."""
    document = json.loads(data, parse_constant=str)
    for number, cell in enumerate(document["cells"], 1):
        if "source" in cell:
            cell["source"] = texts.get(number, "".join(cell["source"]))
    return document
