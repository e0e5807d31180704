"""Where a finding stands, as people write it."""

from stablint.finding import Finding, Location
from stablint.reporters.report import RunReport
from stablint.reporters.safe_text import safe_text


def path_of(location: Location, report: RunReport) -> str:
    """Return the path of a location, relative and harmless."""
    return safe_text(report.relative(location.path))


def address(location: Location, report: RunReport) -> str:
    """Return `train.py:12:5`, in a notebook `lab.ipynb:cell 3:1:8`."""
    cell = "" if location.cell is None else f"cell {location.cell}:"
    return f"{path_of(location, report)}:{cell}{location.start.line}:{location.start.column}"


def is_whole_file(location: Location) -> bool:
    """Say whether a location means the file and no place in it: nothing, at its very beginning."""
    return location.start == location.end and (location.start.line, location.start.column) == (1, 1)


def source_line(location: Location, report: RunReport) -> str | None:
    """Return the line of the source on which a location begins, or None."""
    lines = report.source_lines(location.path, location.cell)
    if lines is None or not 1 <= location.start.line <= len(lines):
        return None
    return lines[location.start.line - 1].rstrip("\r\n")


def headline(finding: Finding) -> str:
    """Return severity, code, `[*]` where a safe fix exists, name and message."""
    mark = "[*] " if finding.fix is not None and finding.fix.applicability == "safe" else ""
    return f"{finding.severity} {finding.code} {mark}{finding.name}: {safe_text(finding.message)}"
