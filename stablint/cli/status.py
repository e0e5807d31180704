"""Exit statuses."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from stablint.diagnostics import InternalError
from stablint.finding import Finding, Severity


class Status(IntEnum):
    """What the exit status means; of CLEAN to BUG, the largest that applies is returned."""

    CLEAN = 0
    FINDINGS = 1
    MISTAKE = 2
    """The user's mistake: a bad option, a bad configuration, a path that is not there."""
    BUG = 3
    """Ours: a rule failed, or stablint itself."""
    INTERRUPTED = 130
    BROKEN_PIPE = 141


def status_of(findings: Iterable[Finding], *, fail_on: str, max_warnings: int) -> Status:
    """Return what findings mean for the exit status: notes nothing, warnings as asked for, errors always."""
    errors = warnings = 0
    for finding in findings:
        if finding.code == InternalError.code:
            return Status.BUG
        errors += finding.severity is Severity.ERROR
        warnings += finding.severity is Severity.WARNING
    gates = errors or (fail_on == "warning" and warnings > max_warnings)
    return Status.FINDINGS if gates else Status.CLEAN
