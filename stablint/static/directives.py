"""Comments that switch rules off: what they say, and which lines they say it of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from stablint.static.lexer import Kind, tokens

_DIRECTIVE = re.compile(
    r"""
    \#\s*(?:
        stablint:\s*(?P<verb>[a-z][\w-]*)(?P<list>\s*\[(?P<items>[^\]]*)\])?
        |(?P<noqa>noqa)\b(?:\s*:\s*(?P<codes>[A-Z]+[0-9]+(?:(?:\s*,\s*|\s+)[A-Z]+[0-9]+\b)*))?
    )
    (?:(?!\#\s*[A-Za-z]).)*  # the reason, up to the next comment in the comment
    """,
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Directive:
    """One thing that a comment says; its places are offsets in the text.

    `items` is None where it names no rule at all, `listed` where it names them.  It stands in or above the logical
    line from `line_start` to before `line_end`.
    """

    verb: str
    items: tuple[str, ...] | None
    start: int
    end: int
    shown: int
    """The end without blanks."""
    listed: tuple[int, int]
    line_start: int
    line_end: int
    alone: bool

    @property
    def begins(self) -> int:
        """Where what it switches changes: with its line, or where it stands alone."""
        return self.start if self.alone else self.line_start


@dataclass(slots=True)
class _Comment:
    start: int
    end: int
    line: int  # the logical line it stands in, or the next one where it stands alone
    alone: bool


@dataclass(slots=True)
class _Outline:
    """The comments of a text, and where its logical lines start; decorators belong to what they decorate."""

    comments: list[_Comment] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    end: int = 0

    def span(self, line: int) -> tuple[int, int]:
        """Return the range of a logical line; an empty one behind the last."""
        if line >= len(self.starts):
            return self.end, self.end
        return self.starts[line], self.starts[line + 1] if line + 1 < len(self.starts) else self.end


def directives(text: str) -> list[Directive]:
    """Return what the comments of a text say, in the order of the text."""
    outline = _outline(text)
    return [each for comment in outline.comments for each in _in_comment(text, comment, outline)]


def _in_comment(text: str, comment: _Comment, outline: _Outline) -> Iterator[Directive]:
    for found in _DIRECTIVE.finditer(text, comment.start, comment.end):
        group = "items" if found["verb"] else "codes"
        named = found[group]
        yield Directive(
            verb=(found["verb"] or found["noqa"]).lower(),
            items=None if named is None else tuple(item for item in re.split(r"[\s,]+", named) if item),
            start=found.start(),
            end=found.end(),
            shown=found.start() + len(found.group().rstrip()),
            listed=found.span(group),
            line_start=outline.span(comment.line)[0],
            line_end=outline.span(comment.line)[1],
            alone=comment.alone,
        )


def _outline(text: str) -> _Outline:
    outline = _Outline(end=len(text) + 1)
    depth = 0
    fresh = True  # at the start of a logical line
    decorated = False
    for kind, start, end in tokens(text):
        if kind is Kind.COMMENT:
            line = len(outline.starts) - (0 if fresh and not decorated else 1)
            outline.comments.append(_Comment(start, end, line, fresh))
        elif kind is Kind.NEWLINE:
            if depth <= 0:
                fresh = True
        else:
            if fresh:
                if not decorated:
                    outline.starts.append(start)
                decorated = text[start] == "@"
                fresh = False
            depth += (kind is Kind.OPEN) - (kind is Kind.CLOSE)
    return outline
