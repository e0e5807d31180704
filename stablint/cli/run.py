"""One run of `stablint check`: paths -> files -> findings -> fixes -> report -> exit status."""

from __future__ import annotations

import os
import sys

from stablint.cli.all_rules import all_rules
from stablint.cli.inputs import Inputs
from stablint.cli.job import Job, jobs_for, plan_for
from stablint.cli.outcome import Outcome, check_jobs, wanted
from stablint.cli.output import write_outcome
from stablint.cli.request import Request, sources_of
from stablint.cli.show import shown_settings
from stablint.cli.status import Status, status_of
from stablint.cli.terminal import complain
from stablint.diagnostics import NEVER_IGNORED
from stablint.errors import UsageError
from stablint.reporters.footer import counted
from stablint.settings.configuration import Sources, configuration_for
from stablint.settings.settings import Settings
from stablint.static.discover import Discovered, discover


def run_check(request: Request) -> Status:
    """Do what was asked for and return the exit status."""
    if "-" in request.paths and not request.from_stdin:
        raise UsageError("- is standard input, which is not checked together with files")
    sources = sources_of(request)
    main = configuration_for(sources, _folder(request.named[0]))
    plan = plan_for(main, (), all_rules(), prefilter=request.prefilter)  # a mistake is one without files too
    if request.show_settings:
        sys.stdout.writelines(f"{line}\n" for line in shown_settings(main, plan, all_rules()))
        return Status.CLEAN
    found = _find(request, sources)
    if request.show_files:
        sys.stdout.writelines(f"{path}\n" for path in found.files)
        return Status.MISTAKE if found.missing else Status.CLEAN
    inputs = Inputs(sys.stdin.buffer.read() if request.from_stdin else None)
    jobs = jobs_for(found.files, sources, prefilter=request.prefilter)
    _tell_configurations(jobs, request)
    outcome = _outcome(jobs, request, inputs)
    write_outcome(outcome, request, main.settings.output_format, inputs.lines, all_rules())
    status = _status(outcome, request, main.settings)
    return max(status, Status.MISTAKE) if found.missing else status


def _folder(path: str) -> str:
    return path if os.path.isdir(path) else os.path.dirname(path) or "."


def _find(request: Request, sources: Sources) -> Discovered:
    found = discover(
        request.named,
        lambda folder: configuration_for(sources, folder).settings,
        force_exclude=request.force_exclude,
        given=request.from_stdin,
    )
    for path in found.missing:
        complain("error", f"no such file or folder: {path}")
    for warning in found.warnings if not request.quiet else ():
        complain("warning", warning)
    return found


def _tell_configurations(jobs: list[Job], request: Request) -> None:
    for job in jobs if request.verbose else ():
        origins = ", ".join(layer.origin for layer in job.configuration.layers)
        complain("note", f"{counted(len(job.files), 'file')} with the settings of: {origins}")


def _outcome(jobs: list[Job], request: Request, inputs: Inputs) -> Outcome:
    outcome = Outcome()
    # All is read before anything is written.
    for result, job in list(check_jobs(jobs, request, inputs)):
        outcome.seconds[result.path] = result.seconds
        outcome.rule_seconds.update(result.rule_seconds)
        findings = wanted(result.findings, result.path, job)
        if request.mends:
            from stablint.cli.mend import mend  # late: it imports libcst

            mend(result.path, findings, job, request, inputs, outcome)
        else:
            outcome.findings += findings
    if request.fix_only or request.diff:
        # Nothing else is reported, but what was not examined must not go unsaid.
        outcome.findings = [finding for finding in outcome.findings if finding.code in NEVER_IGNORED]
    outcome.findings.sort(key=lambda finding: finding.order)
    return outcome


def _status(outcome: Outcome, request: Request, settings: Settings) -> Status:
    status = status_of(outcome.findings, fail_on=settings.fail_on, max_warnings=request.max_warnings)
    if request.diff and outcome.diffs:
        status = max(status, Status.FINDINGS)
    if request.exit_zero and status is Status.FINDINGS:
        status = Status.CLEAN
    if request.exit_non_zero_on_fix and outcome.fixed:
        status = max(status, Status.FINDINGS)
    return status
