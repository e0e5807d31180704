"""Masking what IPython understands and Python does not, so that everything else keeps its place.

`%matplotlib inline`, `!pip install x`, `x?`, `files = !ls` and `x = %magic` become a bare `_` and blanks: a
name that nobody knows the value of.
"""

from __future__ import annotations

import re

from stablint.static.lexer import Kind, tokens

_CELL_MAGIC = re.compile(r"\s*%%(\w*)")
_PYTHON_CELLS = frozenset(
    {"capture", "debug", "ipytest", "memit", "prun", "python", "python3", "time", "timeit"}
)
"""Cell magics after which comes Python; after all others comes another language, or text."""

_LINE_MAGIC = re.compile(
    r"""
    (?P<kept>[ \t\f]*)(?:[%!?/,;]|[^\s#"'][^#"'\r\n]*\?[ \t]*(?=[\r\n]|\Z))
    |(?P<assigned>(?:[^=#"'(){}\[\]\r\n]|\[[^\]\r\n]*\])+(?<![<>!+*/%@&|^:-])=[ \t]*)[%!]
    """,
    re.VERBOSE,
)
_LOGICAL_LINE = re.compile(r"(?:\\(?:\r\n?|\n)|[^\r\n])*")


def masked(cell: str) -> str | None:
    """Return a code cell as Python of equal length, or None for one that is not Python at all."""
    found = _CELL_MAGIC.match(cell)
    if found and found.group(1) not in _PYTHON_CELLS:
        return None
    if found:
        first = found.end() - len(found.group().lstrip())
        end = _line_end(cell, first)
        cell = cell[:first] + _blank(cell[first:end]) + cell[end:]
    done: list[str] = []
    at = 0
    while at < len(cell):
        end = _masked_end(cell, at, done)
        if end == at:
            end = _statement_end(cell, at)
            done.append(cell[at:end])
        at = end
    return "".join(done)


def _masked_end(cell: str, at: int, done: list[str]) -> int:
    """Mask the line that starts at `at` if it is a magic, and return its end."""
    found = _LINE_MAGIC.match(cell, at)
    if not found:
        return at
    keep = at + len(found["kept"] or found["assigned"] or "")
    end = _line_end(cell, at)
    done += [cell[at:keep], _blank(cell[keep:end])]
    return end


def _line_end(cell: str, at: int) -> int:
    """Return where a line ends that may go on behind a backslash, its line break left out."""
    found = _LOGICAL_LINE.match(cell, at)
    return found.end() if found else at


def _statement_end(cell: str, at: int) -> int:
    """Return where the next line that is not within brackets or a string starts."""
    depth = 0
    for kind, _, end in tokens(cell, at):
        if kind is Kind.OPEN:
            depth += 1
        elif kind is Kind.CLOSE:
            depth -= 1
        elif kind is Kind.NEWLINE and depth <= 0:
            return end
    return len(cell)


def _blank(magic: str) -> str:
    """Put a name and blanks where a magic stood; line breaks stay."""
    return "_" + re.sub(r"[^\r\n]", " ", magic[1:])
