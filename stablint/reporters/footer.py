"""The last lines for people: how many, how bad, and which option mends them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from stablint.finding import Applicability, Severity
from stablint.reporters.paint import STRONG, Piece
from stablint.reporters.place import address, headline
from stablint.reporters.report import RunReport
from stablint.reporters.safe_text import safe_text


def footer(report: RunReport) -> Iterator[list[Piece]]:
    """Yield the summary of a run."""
    for path, reason in report.refused:
        yield [("", f"Left as it was: {safe_text(report.relative(path))}: {safe_text(reason)}")]
    if report.fixed:
        files = len({finding.location.path for finding in report.fixed})
        yield [(STRONG, f"Fixed {counted(len(report.fixed), 'finding')} in {counted(files, 'file')}.")]
    if report.show_fixes:
        for finding in report.fixed:
            yield [("", f"  {address(finding.location, report)}: {headline(finding)}")]
    if report.findings:
        yield [(STRONG, f"Found {_by_severity(report)} in {counted(report.files_checked, 'checked file')}.")]
        yield from _fixable(report)
    elif report.files_checked:
        yield [("bold green", f"All checks passed! ({counted(report.files_checked, 'file')})")]
    else:
        yield [("", "No file was checked.")]


def counted(number: int, noun: str) -> str:
    """Return `1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _by_severity(report: RunReport) -> str:
    numbers = Counter(finding.severity for finding in report.findings)
    told = [counted(numbers[severity], severity) for severity in Severity if numbers[severity]]
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)


def _fixable(report: RunReport) -> Iterator[list[Piece]]:
    fixes = Counter(finding.fix.applicability for finding in report.findings if finding.fix is not None)
    safe, unsafe = fixes[Applicability.SAFE], fixes[Applicability.UNSAFE]
    if safe:
        yield [("", f"[*] {safe} fixable with --fix.")]
    if unsafe:
        more = "more " if safe else ""
        yield [("", f"{unsafe} {more}fixable with --fix --unsafe-fixes; read the help first.")]
