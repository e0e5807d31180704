"""The format for people: each finding with its source, its related places and what would mend it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from stablint.finding import Applicability, Finding, Fix, Location
from stablint.reporters.excerpt import TAB, excerpt
from stablint.reporters.footer import footer
from stablint.reporters.paint import FRAME, HELP, STYLES, Piece, paint
from stablint.reporters.place import address, headline, is_whole_file, source_line
from stablint.reporters.report import RunReport
from stablint.reporters.rewrite import rewrite
from stablint.reporters.safe_text import safe_text

WIDTH = 80

Line = list[Piece]


def render(report: RunReport) -> str:
    """Return the findings one after another and a summary."""
    lines: list[Line] = []
    for finding in report.findings:
        lines += [*_finding(finding, report), []]
    lines += footer(report)
    if report.findings:
        lines.append([("", f"Read about a rule with `stablint rule {report.findings[0].name}`.")])
    return paint(lines, color=report.color)


def _finding(finding: Finding, report: RunReport) -> Iterator[Line]:
    gutter = " " * len(str(max(_line_numbers(finding))))
    style = STYLES[finding.severity]
    yield from _folded(headline(finding), finding.severity, style)
    yield [(FRAME, f"{gutter}--> "), ("", address(finding.location, report))]
    yield from _source(finding.location, style, gutter, report)
    for related in finding.related:
        arrow = f"{gutter}+-> "
        told = f"{arrow}{address(related.location, report)}: {safe_text(related.message)}"
        yield from _folded(told, arrow, FRAME)
        yield from _source(related.location, FRAME, gutter, report)
    if finding.fix is not None:
        yield from _fix(finding.fix, finding.location, gutter, report)


def _line_numbers(finding: Finding) -> Iterator[int]:
    yield finding.location.start.line
    for related in finding.related:
        yield related.location.start.line
    for edit in finding.fix.edits if finding.fix is not None else ():
        yield edit.location.end.line


def _source(location: Location, style: str, gutter: str, report: RunReport) -> Iterator[Line]:
    line = None if is_whole_file(location) else source_line(location, report)
    if line is None:
        return
    shown = excerpt(line, location, WIDTH - len(gutter) - len(" | "))
    number = str(location.start.line).rjust(len(gutter))
    yield [(FRAME, f"{gutter} |")]
    yield [(FRAME, f"{number} | "), ("", shown.text)]
    yield [(FRAME, f"{gutter} | "), ("", " " * shown.offset), (style, "^" * shown.length)]


def _fix(fix: Fix, location: Location, gutter: str, report: RunReport) -> Iterator[Line]:
    label = "help (unsafe):" if fix.applicability is Applicability.UNSAFE else "help:"
    yield from _folded(f"{label} {safe_text(fix.message)}", label, HELP)
    lines = report.source_lines(location.path, location.cell)
    here = (location.path, location.cell)
    if lines is None or any((edit.location.path, edit.location.cell) != here for edit in fix.edits):
        return
    for first, old, new in rewrite(fix, lines) or ():
        for sign, style, group in (("-", "red", old), ("+", "green", new)):
            for number, text in enumerate(group, first):
                told = safe_text(text.replace("\t", TAB))
                yield [(FRAME, str(number).rjust(len(gutter)) + " "), (style, f"{sign} {told}")]


def _folded(text: str, head: str, style: str) -> Iterator[Line]:
    """Fold a text to the width, its beginning styled; a word that is longer than a line is not broken."""
    first, *others = textwrap.wrap(
        text, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    yield [(style, first[: len(head)]), ("", first[len(head) :])]
    for line in others:
        yield [("", line)]
