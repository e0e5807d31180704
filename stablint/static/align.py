"""Places in generated code -> places in the text that it was parsed from.

libcst does not always give back the white space that it read (`except OSError :`, a form feed at the start of
a line, a lone CR at the end).  Everything else it does give back, so the n-th visible character of the one is
the n-th of the other.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, replace

from stablint.static.locate import Span

_VISIBLE = re.compile(r"\S")


def aligned(code: str, text: str, spans: dict[int, Span]) -> dict[int, Span]:
    """Move spans of the generated code to the text; spans that have no certain place there are left out."""
    if code == text or code.startswith(text):
        return spans
    there, here = _visible(code), _visible(text)
    if there.characters != here.characters:
        return {}
    return {key: _moved(span, there, here) for key, span in spans.items()}


@dataclass(frozen=True, slots=True)
class _Visible:
    """The characters of a text that are no white space, and their offsets."""

    characters: str
    offsets: list[int]


def _visible(text: str) -> _Visible:
    return _Visible("".join(text.split()), [found.start() for found in _VISIBLE.finditer(text)])


def _moved(span: Span, there: _Visible, here: _Visible) -> Span:
    def begin(offset: int) -> int:
        index = bisect_left(there.offsets, offset)
        return here.offsets[index] if index < len(here.offsets) else end(offset)

    def end(offset: int) -> int:
        index = bisect_left(there.offsets, offset)
        return here.offsets[index - 1] + 1 if index else 0

    return replace(span, start=begin(span.start), end=end(span.end), header=end(span.header))
