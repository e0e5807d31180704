"""What a fix changes, as a diff."""

from __future__ import annotations

import difflib

from stablint.reporters.safe_text import safe_line, safe_text
from stablint.static.encoding import decode
from stablint.static.unreadable import UnreadableError


def unified_diff(path: str, old: bytes, new: bytes) -> str:
    """Return a unified diff, empty if nothing changed; control characters but tabs are written out."""
    name = safe_text(path)
    lines = difflib.unified_diff(_lines(old), _lines(new), name, name)
    return "".join(_shown(line) for line in lines)


def _lines(data: bytes) -> list[str]:
    try:
        text = decode(data).text
    except UnreadableError:  # a notebook may well be one
        text = data.decode("utf-8", "surrogateescape")
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _shown(line: str) -> str:
    body, end = (line[:-1], "\n") if line.endswith("\n") else (line, "\n\\ No newline at end of file\n")
    carriage = "\r" if body.endswith("\r") else ""
    body = "\t".join(safe_text(part) for part in body[: len(body) - len(carriage)].split("\t"))
    return safe_line(body) + carriage + end
