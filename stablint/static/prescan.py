"""Refusing, before it is parsed, what would kill the parser or keep it busy for minutes.

Measured on libcst 1.9 with a stack of 512 MB: it dies of a few thousand brackets; 1,500 nested calls take 21
s, a sum of 20,000 terms minutes; nested patterns of a `case` double the time with each bracket and quadruple
it with each brace.  What passes here takes seconds at worst.
"""

from __future__ import annotations

import re

from stablint.static.lexer import Kind, tokens
from stablint.static.positions import line_map
from stablint.static.unreadable import not_checked

BRACKETS = 100
"""How deep brackets may be nested."""
CHAIN = 2_000
"""How many operators, keywords, brackets and adjacent strings may follow each other without a comma."""
ELIFS = 2_000
"""How many `elif` one `if` may have."""
PATTERN = 16
"""How deep brackets may be nested in a `case`, where a brace counts twice."""

_WORDS = ("and", "or", "not", "if", "else", "in", "is", "for", "async", "await")
_LINKS = dict.fromkeys(_WORDS, 1) | {"lambda": 2}

_PATTERN = re.compile(r"case\b(?![ \t]*[=.:,+/%|&^<>@])")  # no variable of that name
_CASE = re.compile(rf"(?:^|\r)[ \t\f]*{_PATTERN.pattern}", re.MULTILINE)
_FIELD = r"\{{(?:[^{0}{{}}\\\r\n]|\{{[^{0}{{}}\\\r\n]*\}}){{0,100}}\}}"
_OUTLINE = re.compile(
    rf"""
    [(\[][^()\[\]{{}}"'#\\\r\n]*[)\]]
    |([(\[{{])
    |([)\]}}])
    |(\r\n?|\n)
    |(\#[^\r\n]*
      |\\(?:\r\n?|\n)
      |(?<![fFtT])(?<![fFtT][rR])(?:
        \"\"\"(?:[^"\\]|\\.|"(?!""))*+\"\"\"
        |'''(?:[^'\\]|\\.|'(?!''))*+'''
        |"(?:[^"\\\r\n]|\\\r\n|\\.)*+"
        |'(?:[^'\\\r\n]|\\\r\n|\\.)*+')
      |(?<=[fFtTrR])(?:
        "(?!"")(?:[^"\\{{}}\r\n]|\\[^{{}}N]|{_FIELD.format('"')}|\{{\{{|\}}\}})*+"
        |'(?!'')(?:[^'\\{{}}\r\n]|\\[^{{}}N]|{_FIELD.format("'")}|\{{\{{|\}}\}})*+'))
    |(["'])
    """,
    re.VERBOSE | re.DOTALL,
)
_OPEN, _CLOSE, _NEWLINE, _SKIPPED, _COMPLEX = 1, 2, 3, 4, 5


def prescan(text: str) -> None:
    """Raise UnreadableError for a text that is too deep or too long to be parsed."""
    if not _harmless(text):
        _measure(text)


def _harmless(text: str) -> bool:
    """Say that no logical line is long enough to matter, at a quarter of the price of looking at its tokens.

    As deep as a tree may be, its line has at least so many characters outside of strings.
    """
    if text.count("elif") > ELIFS or _CASE.search(text):
        return False
    depth = start = strings = 0
    for found in _OUTLINE.finditer(text):
        group = found.lastindex
        if group is None:  # an innermost pair of brackets: one level more than is counted, at half the price
            continue
        if group == _OPEN:
            depth += 1
            if depth > BRACKETS:
                return False
        elif group == _CLOSE:
            depth -= depth > 0
        elif group == _SKIPPED:
            strings += found.end() - found.start() - 1
        elif group == _COMPLEX:
            return False
        elif depth == 0:
            if found.end() - start - strings > CHAIN:
                return False
            start, strings = found.end(), 0
    return len(text) - start - strings <= CHAIN


def _measure(text: str) -> None:
    chains = [0]  # the links so far, for each open bracket
    links = 0  # their sum: as deep may the tree be here
    line = 0
    fresh = True
    elifs: dict[int, int] = {}
    pattern: int | None = None
    for kind, start, end in tokens(text):
        if kind is Kind.NEWLINE:
            line = end
            if len(chains) == 1:
                links, chains[0], fresh, pattern = 0, 0, True, None
            continue
        if kind is Kind.COMMENT:
            continue
        if fresh:
            fresh = False
            first = text[start:end]
            _count_elif(text, start, start - line, first == "elif", elifs)
            pattern = 0 if _PATTERN.match(text, start) else None
        weight = 1
        if kind is Kind.WORD:
            weight = _LINKS.get(text[start:end], 0)
        elif kind is Kind.OPEN:
            chains.append(0)
            if len(chains) > BRACKETS + 1:
                _refuse(text, start, f"brackets are nested more than {BRACKETS} deep")
            if pattern is not None:
                pattern += 1 if text[start] != "{" else 2
                if pattern > PATTERN:
                    _refuse(text, start, f"the patterns of a `case` are nested more than {PATTERN} deep")
            continue
        elif kind is Kind.CLOSE:
            if len(chains) > 1:
                links -= chains.pop()
            if pattern:
                pattern -= 1 if text[start] != "}" else 2
        elif kind is Kind.OPERATOR and text[start] in ",;":
            links, chains[-1] = links - chains[-1], 0
            continue
        links += weight
        chains[-1] += weight
        if links > CHAIN:
            _refuse(text, start, f"more than {CHAIN:,} operators follow each other in one expression")


def _count_elif(text: str, start: int, indent: int, is_elif: bool, counts: dict[int, int]) -> None:
    """Count the `elif`s at each indentation; a line that is not one of them ends all at its own or deeper."""
    if is_elif:
        counts[indent] = counts.get(indent, 0) + 1
        if counts[indent] > ELIFS:
            _refuse(text, start, f"an `if` has more than {ELIFS:,} `elif`")
    elif counts:
        for deeper in [other for other in counts if other >= indent]:
            del counts[deeper]


def _refuse(text: str, offset: int, reason: str) -> None:
    raise not_checked(f"{reason}: parsers may die of that", line_map(text).position(offset))
