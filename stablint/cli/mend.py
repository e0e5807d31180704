"""Applying fixes, or showing what they would change."""

from __future__ import annotations

import sys

from stablint.cli.inputs import Inputs
from stablint.cli.job import Job
from stablint.cli.outcome import IGNORABLE, Outcome, wanted
from stablint.cli.request import Request
from stablint.finding import Applicability, Finding
from stablint.fixes import ChangedError, Fixed, fix_source, unified_diff, write_atomically
from stablint.static.plan import rules_for
from stablint.static.project.project import Project
from stablint.static.source import SourceFile
from stablint.static.workers.reading import RefusedError


def mend(
    path: str, findings: list[Finding], job: Job, request: Request, inputs: Inputs, outcome: Outcome
) -> None:
    """Fix one file as asked for; enter into `outcome` what was fixed and what is left."""
    fixed = None
    if any(_can_be_applied(finding, request) for finding in findings):
        fixed = _fixed(path, job, request, inputs, outcome)
    if request.from_stdin and not request.diff:
        sys.stdout.flush()
        sys.stdout.buffer.write(fixed.data if fixed else inputs.read(path))
    outcome.fixed += fixed.applied if fixed else ()
    outcome.findings += wanted(fixed.remaining, path, job) if fixed else findings


def _can_be_applied(finding: Finding, request: Request) -> bool:
    if finding.fix is None:
        return False
    return request.unsafe_fixes or finding.fix.applicability is Applicability.SAFE


def _fixed(path: str, job: Job, request: Request, inputs: Inputs, outcome: Outcome) -> Fixed | None:
    """Compute the fixes and write them, or their diff; None if that cannot be done."""
    try:
        old = inputs.read(path)
        off = job.unfixable | (IGNORABLE - {*job.codes(path)})
        rules = rules_for(job.plan, path)
        source = SourceFile(path, old)
        Project(inputs.read, roots=job.plan.src).adopt(source)
        fixed = fix_source(source, rules, unsafe=request.unsafe_fixes, unfixable=off)
        if fixed.refused is not None:
            outcome.refused.append((path, fixed.refused))
        if fixed.data != old and request.diff:
            outcome.diffs.append(unified_diff(path, old, fixed.data))
        elif fixed.data != old and not request.from_stdin:
            write_atomically(path, old, fixed.data)
    except ChangedError:
        outcome.refused.append((path, "it was changed by somebody else while it was checked"))
    except (OSError, RefusedError) as error:
        outcome.refused.append((path, f"it cannot be written: {error}"))
    else:
        return fixed
    return None
