"""One file and some rules -> findings; whatever the file holds or a rule does."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import libcst as cst

from stablint.diagnostics import InternalError
from stablint.finding import Finding, Location, Position, Related, Severity
from stablint.rule import Report, Rule, StaticRule
from stablint.static.deep import deeply
from stablint.static.edits import resolve_fix
from stablint.static.elsewhere import found_elsewhere, nodes_of, settled
from stablint.static.source import SourceFile
from stablint.static.suppressions import suppress
from stablint.static.switches import names
from stablint.static.unreadable import UnreadableError

_START = Position(1, 1)


def examine(
    source: SourceFile,
    rules: Sequence[StaticRule],
    known: Mapping[str, str] | None = None,
    seconds: dict[str, float] | None = None,
) -> list[Finding]:
    """Run the rules on a file and return all findings, sorted; never raise for what the file contains.

    `known` are the codes of all rules by name, whether they run or not: without it, no name in a comment
    can be called unknown.  `seconds`, if given, is filled with the time that each rule took, by name.
    """
    return deeply(lambda: _examine(source, rules, known, {} if seconds is None else seconds))


def _examine(
    source: SourceFile,
    rules: Sequence[StaticRule],
    known: Mapping[str, str] | None,
    seconds: dict[str, float],
) -> list[Finding]:
    try:
        _ = source.tree
    except UnreadableError as error:
        return [_finding(error.diagnostic, _place(source, error.position), error.message)]
    outcomes = [_run(source, rule, seconds) for rule in rules]
    _find_places(source, outcomes)
    findings = [finding for outcome in outcomes for finding in _findings(source, outcome)]
    ran = names([outcome.rule for outcome in outcomes if outcome.failure is None], known)
    left = suppress(source, _distinct(findings), ran)
    return sorted(left, key=lambda finding: (finding.order, finding.message))


@dataclass(slots=True)
class _Outcome:
    """What a rule yielded, or how it failed."""

    rule: StaticRule
    reports: list[Report]
    failure: str | None = None

    def fail(self, error: BaseException) -> None:
        first = (str(error).strip().splitlines() or [""])[0]
        self.failure = f"{self.rule.name()} failed: {type(error).__name__}: {first}".rstrip(": ")
        self.reports = []  # where a rule fails, there is no telling which half of it is right


def _run(source: SourceFile, rule: StaticRule, seconds: dict[str, float]) -> _Outcome:
    outcome = _Outcome(rule, [])
    began = time.perf_counter()
    try:
        outcome.reports.extend(rule.check(source))
    except BaseException as error:  # a rule may even call sys.exit
        outcome.fail(error)
    seconds[rule.name()] = seconds.get(rule.name(), 0.0) + time.perf_counter() - began
    return outcome


def _find_places(source: SourceFile, outcomes: Iterable[_Outcome]) -> None:
    """Let each file look for all nodes that are reported, in one pass."""
    wanted: list[cst.CSTNode] = []
    for outcome in outcomes:
        try:
            wanted += [node for report in outcome.reports for node in nodes_of(source, report)]
        except BaseException as error:
            outcome.fail(error)
    elsewhere = found_elsewhere(source, wanted)
    for outcome in outcomes:
        outcome.reports = settled(source, outcome.reports, elsewhere)


def _findings(source: SourceFile, outcome: _Outcome) -> list[Finding]:
    """Return a rule's findings; where it failed, that it did."""
    findings: list[Finding] = []
    try:
        findings = [_resolved(source, outcome.rule, report) for report in outcome.reports]
    except BaseException as error:
        outcome.fail(error)
    if outcome.failure is None:
        return findings
    return [_finding(InternalError, Location(source.path, _START, _START), outcome.failure)]


def _resolved(source: SourceFile, rule: StaticRule, report: Report) -> Finding:
    """Turn a report's nodes into places and its proposed fix into edits."""
    return Finding(
        location=_located(source, report.node),
        code=rule.code,
        name=rule.name(),
        message=report.message,
        severity=_severity(rule, report),
        confidence=report.confidence or rule.confidence,
        related=tuple(
            Related(_located(mark.source or source, mark.node), mark.message) for mark in report.related
        ),
        fix=resolve_fix(source, report.fix) if report.fix else None,
    )


def _severity(rule: StaticRule, report: Report) -> Severity:
    """Give the configuration, which speaks through the instance, the last word."""
    configured: Severity | None = vars(rule).get("severity")
    return configured or report.severity or rule.severity


def _located(source: SourceFile, node: cst.CSTNode) -> Location:
    place = source.locate([node]).get(id(node))
    if place is None:
        raise LookupError(f"a reported {type(node).__name__} is not in the tree of {source.path}")
    return place


def _place(source: SourceFile, position: Position) -> Location:
    """Return where something is wrong in a text, or at least in a file that has none."""
    try:
        lines = source.lines
    except UnreadableError:
        return Location(source.path, position, position)
    line = min(position.line, len(lines.starts))
    offset = lines.offset(Position(line, position.column))
    return source.location(offset, offset)


def _distinct(findings: Iterable[Finding]) -> list[Finding]:
    """Leave out what is said twice of one place."""
    distinct: dict[tuple[Location, str, str], Finding] = {}
    for finding in findings:
        distinct.setdefault((finding.location, finding.code, finding.message), finding)
    return list(distinct.values())


def _finding(rule: type[Rule], location: Location, message: str) -> Finding:
    return Finding(location, rule.code, rule.name(), message, rule.severity, rule.confidence)
