"""Bytes to text and back, as Python itself does it: byte order mark, PEP 263 cookie, else UTF-8."""

from __future__ import annotations

import codecs
import re
import warnings
from dataclasses import dataclass

from stablint.finding import Position
from stablint.static.unreadable import whose_fault

_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.ASCII)
_TWO_LINES = re.compile(rb"([^\r\n]*)(?:\r\n?|\n)?([^\r\n]*)")
_BLANK = re.compile(rb"^[ \t\f]*(?:#.*)?$")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text, and what is needed to write it back; the byte order mark is not part of it."""

    text: str
    encoding: str
    bom: bytes

    def encode(self, text: str) -> bytes:
        """Turn a text of the file into bytes; UnicodeEncodeError where its encoding lacks a character."""
        return self.bom + text.encode(self.encoding)


def decode(data: bytes) -> Decoded:
    """Decode a Python file; raise UnreadableError for one that is not text in the encoding that it claims."""
    bom = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    body = data[len(bom) :]
    encoding = cookie(body) or "utf-8"
    if bom and encoding != "utf-8":
        raise whose_fault(data, f"a UTF-8 byte order mark and a cookie for {encoding} contradict each other")
    try:
        with warnings.catch_warnings():  # unicode_escape warns of odd escapes
            warnings.simplefilter("ignore")
            text = body.decode(encoding)
            text.encode("utf-8")
    except Exception as error:  # codecs raise whatever they like
        raise whose_fault(data, f"cannot be read as {encoding}: {error}", _place(body, error)) from None
    return Decoded(text, encoding, bom)


def _place(body: bytes, error: Exception) -> Position:
    """Return the line of the first byte that is no text."""
    before = body[: error.start] if isinstance(error, UnicodeDecodeError) else b""
    return Position(len(re.findall(rb"\r\n?|\n", before)) + 1, 1)


def cookie(data: bytes) -> str | None:
    """Return the encoding that one of the first two lines declares, normalised as Python does."""
    lines = _TWO_LINES.match(data)
    if lines is None:
        return None
    found = _COOKIE.match(lines[1]) or (_BLANK.match(lines[1]) and _COOKIE.match(lines[2]))
    if not found:
        return None
    name = found.group(1).decode("ascii").lower().replace("_", "-")
    if name == "utf-8" or name.startswith("utf-8-"):
        return "utf-8"
    if re.match(r"(?:latin-1|iso-8859-1|iso-latin-1)(?:-|$)", name):
        return "iso-8859-1"
    return name
