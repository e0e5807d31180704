"""Where the strings of a JSON document stand, so that one can be edited and no other byte changes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"|[{}\[\],:]', re.DOTALL)
_UNIT = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a surrogate pair is one code point
    rb"|\\u[0-9a-fA-F]{4}|\\.|[\x00-\x7f]|[\xc2-\xf4][\x80-\xbf]+",
    re.DOTALL,
)

Path = tuple[str | int, ...]
"""Keys and indices from the top of the document down to a value."""


@dataclass(frozen=True, slots=True)
class JsonString:
    """A string value: its path and the offsets of what stands between its quotes."""

    path: Path
    start: int
    end: int


def strings(data: bytes) -> Iterator[JsonString]:
    """Yield the string values of a valid document in their order; a key is one whose path ends in nothing."""
    path: list[str | int] = []
    string = b'""'
    for token in _TOKEN.finditer(data):
        match token[0]:
            case b"{":
                path.append("")
            case b"[":
                path.append(0)
            case b"}" | b"]":
                path.pop()
            case b",":
                path[-1] = path[-1] + 1 if isinstance(path[-1], int) else ""
            case b":":
                path[-1] = json.loads(string)
            case _:
                string = token[0]
                yield JsonString(tuple(path), token.start(1), token.end(1))


def offsets(data: bytes, string: JsonString) -> list[int]:
    """Return the offset of each code point of a string, and of its closing quote."""
    return [*(unit.start() for unit in _UNIT.finditer(data, string.start, string.end)), string.end]
