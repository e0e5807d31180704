"""Findings and comments -> the findings that are left, and what is to be said of the comments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from stablint.diagnostics import NEVER_IGNORED, BlanketSuppression, UnusedSuppression
from stablint.finding import Finding
from stablint.static.source import SourceFile
from stablint.static.switches import Comment, Names, Switch, read_comments
from stablint.static.unused import unused


def suppress(source: SourceFile, findings: Sequence[Finding], names: Names) -> list[Finding]:
    """Leave out the findings that comments switch off, and add what is to be said of the comments."""
    if not _worth_reading(source.text, findings, names):
        return list(findings)
    comments = read_comments(source.text, names)
    left = _left(source, findings, comments)
    left += _left(
        source, (_blanket(source, comment) for comment in comments if _is_blanket(comment)), comments
    )
    idle = [finding for comment in comments if (finding := unused(source, comment, names)) is not None]
    return left + _left(source, idle, comments)


def _worth_reading(text: str, findings: Sequence[Finding], names: Names) -> bool:
    """Say whether comments can make a difference: to read them costs a fifth of the parse."""
    folded = text.lower()
    if "stablint:" in folded or (findings and "noqa" in folded):
        return True
    ours = "|".join(sorted({code.rstrip("0123456789").lower() for code in names.codes.values()}))
    return "noqa" in folded and re.search(rf"noqa[^\r\n]*\b(?:{ours})\d", folded) is not None


def _left(source: SourceFile, findings: Iterable[Finding], comments: Sequence[Comment]) -> list[Finding]:
    """Return the findings that nothing switches off, and note which switches were needed."""
    left: list[Finding] = []
    for finding in findings:
        offset = source.offset(finding.location)
        needed = [
            switch
            for comment in comments
            for switch in comment.switches
            if switch.covers(finding.code, offset) and _may_cover(switch, finding)
        ]
        for switch in needed:
            switch.used = True
        if not needed:
            left.append(finding)
    return left


def _may_cover(switch: Switch, finding: Finding) -> bool:
    """Let nothing hide what must be seen, and a comment without a name not hide what is said of comments."""
    if finding.code in NEVER_IGNORED:
        return False
    return switch.code is not None or finding.code not in (BlanketSuppression.code, UnusedSuppression.code)


def _is_blanket(comment: Comment) -> bool:
    return comment.directive.items is None and comment.directive.verb in ("ignore", "disable", "file-ignore")


def _blanket(source: SourceFile, comment: Comment) -> Finding:
    directive = comment.directive
    message = (
        f"`{directive.verb}` names no rule and hides every finding; name the one that is meant in brackets"
    )
    rule = BlanketSuppression
    location = source.location(directive.start, directive.shown)
    return Finding(location, rule.code, rule.name(), message, rule.severity, rule.confidence)
