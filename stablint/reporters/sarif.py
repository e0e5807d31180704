"""SARIF 2.1.0, for code scanning services and viewers."""

from __future__ import annotations

from typing import Any

import stablint
from stablint.finding import Applicability, Finding
from stablint.reporters.fingerprint import fingerprints
from stablint.reporters.machine import dumps, is_unicode
from stablint.reporters.place import address
from stablint.reporters.report import RunReport
from stablint.reporters.sarif_location import BASE, artifact, location_object, region
from stablint.reporters.sarif_rule import LEVELS, message, rule_object

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FAILURES = {"STB900", "STB901", "STB909"}
"""The run's own codes that mean that something was not examined."""


def render(report: RunReport) -> str:
    """Return one run: rules, results, and an invocation that failed if a file could not be examined."""
    rules = _first_of_each_code(report)
    order = {finding.code: index for index, finding in enumerate(rules)}
    prints = fingerprints(report)
    failures = [finding for finding in report.findings if finding.code in FAILURES]
    run = {
        "tool": {
            "driver": {
                "name": "stablint",
                "version": stablint.__version__,
                "semanticVersion": stablint.__version__,
                "rules": [rule_object(finding, report) for finding in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {BASE: {"description": {"text": "The folder in which stablint was run."}}},
        "invocations": [
            {
                "executionSuccessful": not failures,
                "toolExecutionNotifications": [_notification(finding, report) for finding in failures],
            }
        ],
        "results": [
            _result(finding, order[finding.code], print_, report)
            for finding, print_ in zip(report.findings, prints, strict=True)
        ],
    }
    return dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _first_of_each_code(report: RunReport) -> list[Finding]:
    first: dict[str, Finding] = {}
    for finding in report.findings:
        first.setdefault(finding.code, finding)
    return [first[code] for code in sorted(first)]


def _result(finding: Finding, index: int, fingerprint: str, report: RunReport) -> dict[str, Any]:
    cell = finding.location.cell
    where = "" if cell is None else f"{address(finding.location, report)}: "
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": LEVELS[finding.severity],
        "message": {"text": message(where + finding.message)},
        "locations": [location_object(finding.location, report)],
        "partialFingerprints": {"stablint/v1": fingerprint},
        "properties": {"confidence": finding.confidence, "name": finding.name},
    }
    if finding.related:
        result["relatedLocations"] = [
            {
                "id": number,
                "message": {"text": message(other.message)},
                **location_object(other.location, report),
            }
            for number, other in enumerate(finding.related, 1)
        ]
    fixes = _fixes(finding, report)
    if fixes:
        result["fixes"] = fixes
    return result


def _notification(finding: Finding, report: RunReport) -> dict[str, Any]:
    return {
        "descriptor": {"id": finding.code},
        "level": "error",
        "message": {"text": message(f"{address(finding.location, report)}: {finding.message}")},
        "locations": [location_object(finding.location, report)],
    }


def _fixes(finding: Finding, report: RunReport) -> list[dict[str, Any]]:
    """Return the safe fix; none for a notebook, as its lines are not those of the file a viewer edits."""
    fix = finding.fix
    if fix is None or fix.applicability is not Applicability.SAFE or finding.location.cell is not None:
        return []
    if not all(is_unicode(edit.text) for edit in fix.edits):
        return []
    replacements = [
        {"deletedRegion": region(edit.location), "insertedContent": {"text": edit.text}} for edit in fix.edits
    ]
    change = {"artifactLocation": artifact(finding.location.path, report), "replacements": replacements}
    return [{"description": {"text": message(fix.message)}, "artifactChanges": [change]}]
