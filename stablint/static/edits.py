"""Proposed fixes, which speak of nodes -> edits of ranges of the text.

The tree is never written back: libcst does not always give back what it read.  What cannot be edited for sure
is refused, and the finding has no fix then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import libcst as cst

from stablint.finding import Edit, Fix
from stablint.rule import Change, InsertAfter, InsertBefore, ProposedFix, Remove, Replace
from stablint.static.positions import newline_of
from stablint.static.seats import Seat, seats
from stablint.static.source import SourceFile

_SMALL = (cst.SimpleStatementLine, cst.SimpleStatementSuite)


class _RefusedError(Exception):
    """A change that cannot be made for sure."""


@dataclass(frozen=True, slots=True)
class _Splice:
    """Put `text` between two offsets of the text."""

    start: int
    end: int
    text: str


def anchors(source: SourceFile, fix: ProposedFix) -> list[cst.CSTNode]:
    """Return the nodes whose places are needed to resolve the fix."""
    nodes: list[cst.CSTNode] = []
    for change in fix.changes:
        nodes.append(change.node)
        nodes.extend(getattr(change.node, "decorators", ())[:1])
        if seat := source.ask(seats).get(id(change.node)):
            nodes.extend(seat.row[max(seat.index - 1, 0) : seat.index + 2])
            nodes += [seat.block] if isinstance(seat.block, cst.SimpleStatementLine) else []
    return nodes


def resolve_fix(source: SourceFile, fix: ProposedFix) -> Fix | None:
    """Turn a proposed fix into edits, or return None where that cannot be done for sure."""
    resolver = _Resolver(source)
    try:
        splices = _merged([splice for change in fix.changes for splice in resolver.splices(change)])
    except _RefusedError:
        return None
    edits: list[Edit] = []
    for splice in splices:
        if not source.editable(splice.start, splice.end):
            return None
        edits.append(Edit(source.location(splice.start, splice.end), splice.text))
    return Fix(fix.message, fix.applicability, tuple(edits)) if edits else None


def apply_fixes(source: SourceFile, fixes: Sequence[Fix]) -> str:
    """Return a Python file's text with those of the fixes applied that do not overlap an earlier one."""
    chosen: list[_Splice] = []
    for fix in fixes:
        more = [
            _Splice(
                source.lines.offset(edit.location.start), source.lines.offset(edit.location.end), edit.text
            )
            for edit in fix.edits
        ]
        try:
            chosen = _merged([*chosen, *(splice for splice in more if splice not in chosen)])
        except _RefusedError:
            continue
    text = source.text
    for splice in reversed(chosen):
        text = text[: splice.start] + splice.text + text[splice.end :]
    return text


def _merged(splices: list[_Splice]) -> list[_Splice]:
    """Sort splices; join insertions at one place in the order given; refuse overlaps."""
    merged: list[_Splice] = []
    for splice in sorted(splices, key=lambda splice: (splice.start, splice.end)):
        last = merged[-1] if merged else None
        if last is not None and splice.start < last.end:
            raise _RefusedError
        if last is not None and last.start == last.end == splice.start == splice.end:
            merged[-1] = _Splice(last.start, last.end, last.text + splice.text)
        else:
            merged.append(splice)
    return merged


class _Resolver:
    """Knows, of one source, where statements begin and end and how they are indented."""

    def __init__(self, source: SourceFile) -> None:
        self.source = source
        self.newline = newline_of(source.text)

    def splices(self, change: Change) -> list[_Splice]:
        node = change.node
        seat = self.source.ask(seats).get(id(node))
        if isinstance(change, Replace):
            start, end = self.span(node)
            return [
                _Splice(start, end, self.indented(change.text, start) if seat else self.lines(change.text))
            ]
        if seat is None:
            raise _RefusedError
        if isinstance(seat.block, _SMALL):
            if isinstance(seat.block, cst.SimpleStatementLine) and len(seat.row) == 1:
                node, seat = seat.block, self.source.ask(seats)[id(seat.block)]
            else:
                return [self.within_line(change, node, seat)]
        return [self.whole(change, node, seat)]

    def within_line(self, change: Change, node: cst.CSTNode, seat: Seat) -> _Splice:
        """Change a line of statements joined by semicolons, or a one-line body."""
        start, end = self.span(node)
        if isinstance(change, Remove):
            if len(seat.row) == 1:
                return _Splice(start, end, "pass")
            if seat.index + 1 < len(seat.row):
                return _Splice(start, self.span(seat.row[seat.index + 1])[0], "")
            return _Splice(self.span(seat.row[seat.index - 1])[1], end, "")
        assert isinstance(change, InsertBefore | InsertAfter)
        text = change.text.strip()
        if not _is_small(text):
            raise _RefusedError
        if isinstance(change, InsertBefore):
            return _Splice(start, start, f"{text}; ")
        return _Splice(end, end, f"; {text}")

    def whole(self, change: Change, node: cst.CSTNode, seat: Seat) -> _Splice:
        """Change a block by whole lines."""
        start, end = self.span(node)
        for decorator in getattr(node, "decorators", ())[:1]:
            start = self.span(decorator)[0]
        line = self.source.lines.starts[self.source.lines.position(start).line - 1]
        if self.source.text[line:start].strip():
            raise _RefusedError
        last = self.source.lines.position(end).line
        if isinstance(change, Remove):
            if len(seat.row) == 1 and isinstance(seat.block, cst.IndentedBlock):
                return _Splice(start, end, "pass")
            starts = self.source.lines.starts
            return _Splice(line, starts[last] if last < len(starts) else len(self.source.text), "")
        assert isinstance(change, InsertBefore | InsertAfter)
        text = self.indented(change.text.strip("\n"), start)
        indent = self.source.text[line:start]
        if isinstance(change, InsertBefore):
            return _Splice(start, start, text + self.newline + indent)
        behind = self.source.lines.span(last)[1]
        return _Splice(behind, behind, self.newline + indent + text)

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """Return a node's start and end."""
        span = self.source.spans([node]).get(id(node))
        if span is None:
            raise _RefusedError
        return span.start, span.end

    def lines(self, text: str) -> str:
        """Give a text the line breaks of the file."""
        return text.replace("\n", self.newline)

    def indented(self, text: str, offset: int) -> str:
        """Indent all lines of a text but the first like the line that an offset stands in."""
        line = self.source.lines.line(self.source.lines.position(offset).line)
        indent = line[: len(line) - len(line.lstrip())]
        first, *rest = text.split("\n")
        return self.newline.join([first, *(indent + more if more.strip() else "" for more in rest)])


def _is_small(text: str) -> bool:
    """Say whether a text is simple statements that may be joined to others by a semicolon."""
    try:
        return (
            "\n" not in text
            and isinstance(cst.parse_statement(text), cst.SimpleStatementLine)
            and "#" not in text
        )
    except cst.ParserSyntaxError:
        return False
