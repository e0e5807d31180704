"""What stays the same of a finding when lines are added above it."""

from __future__ import annotations

import hashlib
from collections import Counter

from stablint.reporters.place import path_of, source_line
from stablint.reporters.report import RunReport


def fingerprints(report: RunReport) -> list[str]:
    """Return one hash a finding: of rule, path, normalised line and its occurrence, never of line numbers."""
    seen: Counter[tuple[str, str, str]] = Counter()
    answer = []
    for finding in report.findings:
        line = " ".join((source_line(finding.location, report) or "").split())
        key = (finding.code, path_of(finding.location, report), line)
        told = "\0".join([*key, str(seen[key])])
        answer.append(hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32])
        seen[key] += 1
    return answer
