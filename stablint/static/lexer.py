"""Text -> tokens, linear and never failing: what must be known of a text before it is safe to parse it.

Python's tokenize raises on broken text, knows no nested f-strings before 3.12 and costs more than the parse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """What a token is; an f-string is its literal parts, and its fields are code between brackets."""

    STRING = 1
    COMMENT = 2
    WORD = 3
    OPEN = 4
    CLOSE = 5
    OPERATOR = 6
    NEWLINE = 7
    """A line break outside of strings, within brackets or not; one behind a backslash is no token."""


class Token(NamedTuple):
    """A token: its kind and its offsets in the text."""

    kind: Kind
    start: int
    end: int


class _Frame(NamedTuple):
    """Something open: a bracket, an f-string (`string`), a `field` of it or the field's format (`spec`)."""

    what: str
    quote: str = ""
    raw: bool = False


_BRACKET = _Frame("bracket")
_CODE = re.compile(
    r"""
    (?P<formatted>(?:[fFtT][rR]?|[rR][fFtT])(?P<quote>\"\"\"|'''|"|'))
    |(?P<string>(?:[bBrRuU]|[bB][rR]|[rR][bB])?(?:
        \"\"\"(?:[^"\\]|\\.|"(?!""))*+(?:\"\"\")?
        |'''(?:[^'\\]|\\.|'(?!''))*+(?:''')?
        |"(?:[^"\\\r\n]|\\\r\n|\\.)*+"?
        |'(?:[^'\\\r\n]|\\\r\n|\\.)*+'?))
    |(?P<word>\w+)
    |(?P<newline>\r\n?|\n)
    |(?P<open>[(\[{])
    |(?P<close>[)\]}])
    |(?P<comment>\#[^\r\n]*)
    |\\(?:\r\n?|\n)
    |(?P<operator>[^\s\w])
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS = {kind.name.lower(): kind for kind in Kind}
_LITERAL_STOP = re.compile(r"""\\N\{[^}"'\r\n]*\}|\\[^{}]?|\{\{|\}\}|\"\"\"|'''|["'{}\r\n]""", re.DOTALL)


def tokens(text: str, at: int = 0) -> Iterator[Token]:
    """Yield the tokens of a text from an offset on, white space left out."""
    stack: list[_Frame] = []
    while at < len(text):
        if stack and stack[-1].what in ("string", "spec"):
            start, (at, token) = at, _literal(text, at, stack)
            if token.start > start:
                yield Token(Kind.STRING, start, token.start)
            yield token
            continue
        for found in _CODE.finditer(text, at):
            group = found.lastgroup
            if group is None:
                continue
            at = found.end()
            kind = _KINDS.get(group, Kind.STRING)
            yield Token(kind, found.start(), at)
            if kind > Kind.WORD and _moves(text[at - 1], kind, stack):
                break
            if group == "formatted":
                stack.append(_Frame("string", found["quote"], "r" in found.group().lower()))
                break
        else:
            return


def _moves(char: str, kind: Kind, stack: list[_Frame]) -> bool:
    """Keep the stack; say whether the text goes on as part of an f-string."""
    top = stack[-1] if stack else None
    if kind is Kind.OPEN:
        stack.append(_BRACKET)
    elif top is not None and kind is Kind.CLOSE:
        if top is _BRACKET:
            stack.pop()
        elif char == "}":
            stack.pop()
            return True
    elif top is not None and top.what == "field" and char == ":":
        stack.append(top._replace(what="spec"))
        return True
    return False


def _literal(text: str, at: int, stack: list[_Frame]) -> tuple[int, Token]:
    """Skip literal text of an f-string; return where to go on, and the token that ended it."""
    frame = stack[-1]
    while found := _LITERAL_STOP.search(text, at):
        start, mark = found.start(), found.group()
        at = found.end()
        if mark[0] == "\\":
            at = start + 2 if frame.raw or not mark.startswith("\\N{") else at
        elif mark[0] == "{":
            if frame.what == "spec" or mark == "{":
                stack.append(frame._replace(what="field"))
                return start + 1, Token(Kind.OPEN, start, start + 1)
        elif mark[0] == "}":
            if frame.what == "spec":
                del stack[-2:]
                return start + 1, Token(Kind.CLOSE, start, start + 1)
        elif mark.startswith(frame.quote):
            _leave_string(stack)
            return start + len(frame.quote), Token(Kind.STRING, start, start + len(frame.quote))
        elif mark[0] in "\r\n" and len(frame.quote) == 1:
            _leave_string(stack)
            return start, Token(Kind.STRING, start, start)
    stack.clear()
    return len(text), Token(Kind.STRING, len(text), len(text))


def _leave_string(stack: list[_Frame]) -> None:
    while stack.pop().what != "string":
        pass
