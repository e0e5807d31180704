"""Workflow commands: GitHub shows each finding at its line of the pull request."""

from __future__ import annotations

from stablint.finding import Finding, Severity
from stablint.reporters.place import address, is_whole_file, path_of
from stablint.reporters.report import RunReport
from stablint.reporters.safe_text import safe_text

COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def render(report: RunReport) -> str:
    """Return one command a finding; nothing else, so that a log without findings stays empty."""
    return "".join(_command(finding, report) + "\n" for finding in report.findings)


def _command(finding: Finding, report: RunReport) -> str:
    properties = {"title": f"stablint ({finding.code})", "file": path_of(finding.location, report)}
    properties |= _region(finding)
    told = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    place = address(finding.location, report)
    message = _data(f"{place}: {finding.code} {finding.name}: {safe_text(finding.message)}")
    return f"::{COMMANDS[finding.severity]} {told}::{message}"


def _region(finding: Finding) -> dict[str, str]:
    """Return the lines, and the columns if there is but one; a cell's lines are not the lines of the file."""
    location = finding.location
    if location.cell is not None or is_whole_file(location):
        return {}
    lines = {"line": str(location.start.line), "endLine": str(location.end.line)}
    if location.start.line != location.end.line:
        return lines
    return lines | {"col": str(location.start.column), "endColumn": str(location.end.column)}


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
