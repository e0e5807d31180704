"""What came of a run, and how it comes about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from stablint.cache.check import check_with_cache
from stablint.cli.inputs import Inputs
from stablint.cli.job import Job
from stablint.cli.progress import Progress, progress_bar
from stablint.cli.request import Request
from stablint.diagnostics import DIAGNOSTICS, NEVER_IGNORED
from stablint.finding import Finding
from stablint.static.check import FileResult, check_files, check_text

IGNORABLE = frozenset(rule.code for rule in DIAGNOSTICS) - NEVER_IGNORED


@dataclass(slots=True)
class Outcome:
    """The findings left, and what became of the others."""

    findings: list[Finding] = field(default_factory=list)
    fixed: list[Finding] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Files whose fixes were not applied, and why."""
    diffs: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """By path."""
    rule_seconds: Counter[str] = field(default_factory=Counter)
    """By rule name, over all files."""


def check_jobs(jobs: Sequence[Job], request: Request, inputs: Inputs) -> Iterator[tuple[FileResult, Job]]:
    """Check the files of all jobs; yield what came of each, and the job it was part of."""
    total = sum(len(job.files) for job in jobs)
    before = 0
    with progress_bar(wanted=not request.quiet) as tell:
        for job in jobs:
            progress = None if tell is None else partial(_tell, tell, before, total)
            results: Iterator[FileResult]
            if inputs.stdin is None and request.cache and not request.timings:
                folder = job.configuration.settings.cache_dir
                results = check_with_cache(job.files, job.plan, folder, jobs=request.jobs, progress=progress)
            elif inputs.stdin is None:
                results = check_files(job.files, job.plan, jobs=request.jobs, progress=progress)
            else:
                results = (check_text(path, inputs.stdin, job.plan) for path in job.files)
            yield from ((result, job) for result in results)
            before += len(job.files)


def _tell(tell: Progress, before: int, total: int, done: int, _: int) -> None:
    tell(before + done, total)


def wanted(findings: Iterable[Finding], path: str, job: Job) -> list[Finding]:
    """Leave out unwanted fixes, and the run's own codes if not selected: no rule reports them."""
    return [
        replace(finding, fix=None) if finding.code in job.unfixable else finding
        for finding in findings
        if finding.code not in IGNORABLE or finding.code in job.codes(path)
    ]
