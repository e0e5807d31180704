"""Places in a text: offsets, lines and columns, and the units that other programs count in.

A line ends at LF, CR LF or a lone CR, as for Python, and nowhere else: a form feed or U+2028 ends none.
Columns count code points; the two `*_column` functions say what the same place is called where bytes or
UTF-16 units are counted.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from stablint.finding import Position

_LINE_END = re.compile(r"\r\n?|\n")


@dataclass(frozen=True, slots=True)
class LineMap:
    """Where the lines of a text start."""

    text: str
    starts: tuple[int, ...]

    def position(self, offset: int) -> Position:
        """Return the line and column of an offset in code points."""
        line = bisect_right(self.starts, offset)
        return Position(line, offset - self.starts[line - 1] + 1)

    def offset(self, position: Position) -> int:
        """Return the offset of a place; one behind the end of its line is the end of the line."""
        start, end = self.span(position.line)
        return min(start + position.column - 1, end)

    def span(self, line: int) -> tuple[int, int]:
        """Return the offsets of a line's start and end, its line break left out."""
        start = self.starts[line - 1]
        if line == len(self.starts):
            return start, len(self.text)
        end = self.starts[line]
        return start, end - (2 if self.text[end - 2 : end] == "\r\n" else 1)

    def line(self, line: int) -> str:
        """Return a line without its line break."""
        start, end = self.span(line)
        return self.text[start:end]


def line_map(text: str) -> LineMap:
    """Find the lines of a text."""
    return LineMap(text, (0, *(found.end() for found in _LINE_END.finditer(text))))


def newline_of(text: str) -> str:
    """Return the line break that a text uses first; LF where it has none."""
    found = _LINE_END.search(text)
    return found.group() if found else "\n"


def utf8_column(line: str, column: int) -> int:
    """Turn a column (1-based, code points) of a line into the 0-based offset in its UTF-8 bytes."""
    return len(line[: column - 1].encode("utf-8", "surrogatepass"))


def utf16_column(line: str, column: int) -> int:
    """Turn a column (1-based, code points) of a line into the 0-based offset in UTF-16 units."""
    return len(line[: column - 1].encode("utf-16-le", "surrogatepass")) // 2


def column_of_utf8(line: str, offset: int) -> int:
    """Turn a 0-based offset in a line's UTF-8 bytes into a column; inside a character, it is that one's."""
    return _column(line, offset, lambda char: len(char.encode("utf-8", "surrogatepass")))


def column_of_utf16(line: str, offset: int) -> int:
    """Turn a 0-based offset in UTF-16 units into a column; inside a surrogate pair, it is the pair's."""
    return _column(line, offset, lambda char: 2 if ord(char) > 0xFFFF else 1)


def _column(line: str, offset: int, units: Callable[[str], int]) -> int:
    passed = 0
    for column, char in enumerate(line, start=1):
        passed += units(char)
        if passed > offset:
            return column
    return len(line) + 1
