"""Writing what came of a run, in the format and to the place asked for."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from stablint.cli.outcome import Outcome
from stablint.cli.request import Request
from stablint.cli.terminal import complain, wants_color
from stablint.errors import UsageError
from stablint.finding import Finding
from stablint.page import page
from stablint.reporters import render
from stablint.reporters.footer import counted
from stablint.reporters.report import RunReport
from stablint.reporters.safe_text import safe_text
from stablint.rule import Rule

SLOWEST = 10
TEXT = ("full", "concise")
"""Formats for people; in all others an empty report is a report."""

Lines = Callable[[str, int | None], Sequence[str] | None]


def write_outcome(
    outcome: Outcome, request: Request, format: str, lines: Lines, rules: Sequence[type[Rule]]
) -> None:
    """Write diffs, statistics or the report, and then the timings."""
    if request.diff or request.fix_only:
        _write("".join(outcome.diffs), request)
        _complain(outcome)
    elif request.statistics:
        _write(_statistics(outcome.findings, format), request)
    elif outcome.findings or not request.quiet or format not in TEXT:
        _write(render(format, _report(outcome, request, lines, rules)), request)
    if request.timings:
        sys.stderr.write("".join(f"{line}\n" for line in _timings(outcome)))


def _complain(outcome: Outcome) -> None:
    """Say what would go unsaid without a report."""
    for finding in outcome.findings:
        complain("error", f"{finding.location.path}: {finding.message}")
    for path, reason in outcome.refused:
        complain("warning", f"{path} is left as it was: {reason}")


def _report(outcome: Outcome, request: Request, lines: Lines, rules: Sequence[type[Rule]]) -> RunReport:
    by_code = {rule.code: rule for rule in rules}
    return RunReport(
        findings=tuple(outcome.findings),
        files_checked=len(outcome.seconds),
        fixed=tuple(outcome.fixed),
        refused=tuple(outcome.refused),
        source_lines=lines,
        page=lambda code: page(by_code[code]) if code in by_code else None,
        color=not request.output_file and wants_color(request.color, sys.stdout),
        show_fixes=request.show_fixes,
    )


def _write(text: str, request: Request) -> None:
    if text and not text.endswith("\n"):
        text += "\n"
    if request.output_file is None:
        # With --fix, standard output is where the mended text of standard input goes.
        stream = sys.stderr if request.from_stdin and request.mends and not request.diff else sys.stdout
        stream.write(text)
        return
    try:
        with open(request.output_file, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(
            f"--output-file: {request.output_file} cannot be written: {error.strerror}"
        ) from None


def _statistics(findings: Sequence[Finding], format: str) -> str:
    counts = Counter((finding.code, finding.name, finding.severity) for finding in findings)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if format == "json":
        keys = ("code", "name", "severity", "count")
        return json.dumps([dict(zip(keys, (*key, count), strict=True)) for key, count in ordered], indent=2)
    return "".join(f"{count:6}  {code}  {severity:7}  {name}\n" for (code, name, severity), count in ordered)


def _timings(outcome: Outcome) -> Iterator[str]:
    for seconds, noun in ((outcome.seconds, "file"), (outcome.rule_seconds, "rule")):
        yield f"{sum(seconds.values()):8.3f} s in {counted(len(seconds), noun)}, the slowest:"
        slowest = sorted(seconds.items(), key=lambda item: -item[1])[:SLOWEST]
        yield from (f"{each:8.3f} s  {safe_text(name)}" for name, each in slowest)
