"""An array of objects in the form that ruff's users know, with what is ours besides."""

from __future__ import annotations

from typing import Any

from stablint.finding import Edit, Finding, Fix, Position, Related
from stablint.reporters.machine import dumps, is_unicode
from stablint.reporters.place import path_of
from stablint.reporters.report import RunReport
from stablint.reporters.safe_text import safe_text


def render(report: RunReport) -> str:
    """Return a JSON array; columns are 1-based code points, ends exclusive."""
    return dumps([_finding(finding, report) for finding in report.findings])


def _finding(finding: Finding, report: RunReport) -> dict[str, Any]:
    return {
        "cell": finding.location.cell,
        "code": finding.code,
        "confidence": finding.confidence,
        "end_location": _position(finding.location.end),
        "filename": path_of(finding.location, report),
        "fix": None if finding.fix is None else _fix(finding.fix),
        "location": _position(finding.location.start),
        "message": safe_text(finding.message),
        "name": finding.name,
        "noqa_row": finding.location.start.line,
        "related": [_related(related, report) for related in finding.related],
        "severity": finding.severity,
        "url": report.url(finding.code),
    }


def _related(related: Related, report: RunReport) -> dict[str, Any]:
    return {
        "cell": related.location.cell,
        "end_location": _position(related.location.end),
        "filename": path_of(related.location, report),
        "location": _position(related.location.start),
        "message": safe_text(related.message),
    }


def _position(position: Position) -> dict[str, int]:
    return {"column": position.column, "row": position.line}


def _fix(fix: Fix) -> dict[str, Any] | None:
    if not all(is_unicode(edit.text) for edit in fix.edits):
        return None
    return {
        "applicability": fix.applicability,
        "edits": [_edit(edit) for edit in fix.edits],
        "message": safe_text(fix.message),
    }


def _edit(edit: Edit) -> dict[str, Any]:
    return {
        "content": edit.text,  # to the letter: it is to be written into the file
        "end_location": _position(edit.location.end),
        "location": _position(edit.location.start),
    }
