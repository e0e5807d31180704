"""One file and some rules -> findings; whatever the file holds or a rule does."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst

from stablint.diagnostics import InternalError
from stablint.finding import Finding, Location, Position, Related
from stablint.rule import Report, Rule, StaticRule
from stablint.static.deep import deeply
from stablint.static.edits import resolve_fix
from stablint.static.source import SourceFile
from stablint.static.unreadable import UnreadableError


def examine(source: SourceFile, rules: Sequence[StaticRule]) -> list[Finding]:
    """Run the rules on a file and return all findings, sorted; never raise for what the file contains."""
    return deeply(lambda: _examine(source, rules))


def _examine(source: SourceFile, rules: Sequence[StaticRule]) -> list[Finding]:
    try:
        _ = source.tree
    except UnreadableError as unreadable:
        place = Location(source.path, unreadable.position, unreadable.position)
        return [_finding(unreadable.diagnostic, place, unreadable.message)]
    findings = {finding: None for rule in rules for finding in findings_of(source, rule)}
    return sorted(findings, key=lambda finding: finding.order)


def findings_of(source: SourceFile, rule: StaticRule) -> list[Finding]:
    """Run one rule; where it raises, the one finding is what it raised."""
    try:
        reports = list(rule.check(source))
        return _resolved(source, rule, reports) if reports else []
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        first = (str(error).strip().splitlines() or [""])[0]
        message = f"{rule.name()} failed: {type(error).__name__}: {first}".rstrip(": ")
        start = Position(1, 1)
        return [_finding(InternalError, Location(source.path, start, start), message)]


def _resolved(source: SourceFile, rule: StaticRule, reports: Sequence[Report]) -> list[Finding]:
    """Turn a rule's nodes into places and its proposed fixes into edits."""
    wanted: dict[SourceFile, list[cst.CSTNode]] = {source: [report.node for report in reports]}
    for mark in (mark for report in reports for mark in report.related):
        wanted.setdefault(mark.source or source, []).append(mark.node)
    places = {file: file.locate(nodes) for file, nodes in wanted.items()}

    def place(node: cst.CSTNode, file: SourceFile | None = None) -> Location:
        if id(node) not in places[file or source]:
            raise LookupError(f"a reported {type(node).__name__} is not in the tree of {(file or source).path}")
        return places[file or source][id(node)]

    return [
        Finding(
            location=place(report.node),
            code=rule.code,
            name=rule.name(),
            message=report.message,
            severity=report.severity or rule.severity,
            confidence=report.confidence or rule.confidence,
            related=tuple(Related(place(mark.node, mark.source), mark.message) for mark in report.related),
            fix=resolve_fix(source, report.fix) if report.fix else None,
        )
        for report in reports
    ]


def _finding(rule: type[Rule], location: Location, message: str) -> Finding:
    return Finding(location, rule.code, rule.name(), message, rule.severity, rule.confidence)
