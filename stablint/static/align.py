"""Places in generated code -> places in the text that it was parsed from.

libcst does not always give back what it read between the tokens: a blank in `except OSError :`, a form feed at the
start of a line, an empty line that a backslash joins to the next, some comments, a lone CR at the end.  The tokens
it does give back, so the n-th visible character of the one is the n-th of the other.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace

from stablint.static.lexer import Kind, tokens
from stablint.static.locate import Span


def aligned(code: str, text: str, spans: dict[int, Span]) -> dict[int, Span]:
    """Move spans of the generated code to the text; those that have no certain place there are left out."""
    if code.startswith(text) or text.startswith(code):
        return spans
    there, here = _visible(code), _visible(text)
    if there.characters != here.characters:
        return {}
    return {key: _moved(span, there, here) for key, span in spans.items() if span.start < span.end}


@dataclass(frozen=True, slots=True)
class _Visible:
    """The characters of a text's tokens, comments and white space left out, and their offsets."""

    characters: str
    offsets: list[int]


def _visible(text: str) -> _Visible:
    offsets = [
        offset
        for kind, start, end in tokens(text)
        if kind not in (Kind.COMMENT, Kind.NEWLINE)
        for offset in range(start, end)
        if not text[offset].isspace()
    ]
    return _Visible("".join(text[offset] for offset in offsets), offsets)


def _moved(span: Span, there: _Visible, here: _Visible) -> Span:
    def begin(offset: int) -> int:
        index = bisect_left(there.offsets, offset)
        return here.offsets[index] if index < len(here.offsets) else end(offset)

    def end(offset: int) -> int:
        index = bisect_left(there.offsets, offset)
        return here.offsets[index - 1] + 1 if index else 0

    return replace(span, start=begin(span.start), end=end(span.end), header=end(span.header))
