"""One line a finding."""

from __future__ import annotations

from stablint.reporters.footer import footer
from stablint.reporters.paint import STYLES, Piece, paint
from stablint.reporters.place import address, headline
from stablint.reporters.report import RunReport


def render(report: RunReport) -> str:
    """Return a line a finding and a summary."""
    lines: list[list[Piece]] = []
    for finding in report.findings:
        severity, rest = headline(finding).split(" ", 1)
        place = f"{address(finding.location, report)}: "
        lines.append([("", place), (STYLES[finding.severity], severity), ("", f" {rest}")])
    return paint([*lines, *footer(report)], color=report.color)
