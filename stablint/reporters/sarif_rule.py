"""Rules and texts in SARIF's words."""

from __future__ import annotations

from typing import Any

from stablint.finding import Confidence, Finding, Severity
from stablint.reporters.report import RunReport
from stablint.reporters.safe_text import safe_text

LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
PRECISION = {Confidence.HIGH: "high", Confidence.MEDIUM: "medium", Confidence.LOW: "low"}
PROBLEM = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "recommendation"}
LONGEST = 1000
"""Services refuse texts of 1,024 characters; Markdown may be longer."""


def rule_object(finding: Finding, report: RunReport) -> dict[str, Any]:
    """Describe the rule of a finding; its page is the help."""
    summary = message(report.summary(finding.code) or finding.name)
    rule: dict[str, Any] = {
        "id": finding.code,
        "name": finding.name,
        "shortDescription": {"text": summary},
        "fullDescription": {"text": summary},
        "defaultConfiguration": {"level": LEVELS[finding.severity]},
        "properties": {
            "precision": PRECISION[finding.confidence],
            "problem.severity": PROBLEM[finding.severity],
            "tags": ["numerical-stability", "pytorch"],
        },
    }
    page = report.page(finding.code)
    if page:
        rule["help"] = {"text": clipped(_lines(page)), "markdown": _lines(page)}
    url = report.url(finding.code)
    if url:
        rule["helpUri"] = url
    return rule


def message(text: str) -> str:
    """Return a plain text message: one line, short enough, and no `[text](target)`, which would be a link."""
    return clipped(safe_text(text)).replace("](", "] (")


def clipped(text: str) -> str:
    """Cut a text that is too long after a word."""
    if len(text) <= LONGEST:
        return text
    return text[: LONGEST - 4].rsplit(" ", 1)[0].rstrip() + " ..."


def _lines(page: str) -> str:
    return "\n".join(safe_text(line) for line in page.splitlines())
