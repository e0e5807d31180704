"""What a comment switches off that need not be, and the comment without it."""

from __future__ import annotations

from stablint.diagnostics import UnusedSuppression
from stablint.finding import Applicability, Edit, Finding, Fix
from stablint.static.source import SourceFile
from stablint.static.switches import VERBS, Comment, Names, Switch


def unused(source: SourceFile, comment: Comment, names: Names) -> Finding | None:
    """Report what in a comment is not needed, if anything."""
    reasons = comment.idle | {
        switch.item: _reason(switch) for switch in comment.switches if _is_idle(switch, names)
    }
    if not reasons:
        return None
    rule = UnusedSuppression
    return Finding(
        location=source.location(comment.directive.start, comment.directive.shown),
        code=rule.code,
        name=rule.name(),
        message="; ".join(reasons.values()),
        severity=rule.severity,
        confidence=rule.confidence,
        fix=_fix(source, comment, reasons),
    )


def _is_idle(switch: Switch, names: Names) -> bool:
    """Say that a switch is not needed; of a rule that did not run there is no telling."""
    if switch.ends is not None:
        return all(_is_idle(off, names) for off in switch.ends)
    return switch.code in names.ran and not switch.used


def _reason(switch: Switch) -> str:
    if switch.ends is None:
        return f"no finding here needs `{switch.item}`"
    return (
        f"nothing that needs `{switch.item}` is disabled here" if switch.item else "nothing is disabled here"
    )


def _fix(source: SourceFile, comment: Comment, reasons: dict[str, str]) -> Fix | None:
    directive = comment.directive
    if directive.verb not in (*VERBS, "noqa"):
        return None
    left = [item for item in directive.items or () if item not in reasons]
    if left:
        (start, end), text = directive.listed, ", ".join(left)
    else:
        (start, end), text = _whole(source, directive.start, directive.end), ""
    if not source.editable(start, end):
        return None
    message = "Take out what is not needed" if left else "Remove the comment"
    return Fix(message, Applicability.SAFE, (Edit(source.location(start, end), text),))


def _whole(source: SourceFile, start: int, end: int) -> tuple[int, int]:
    """Return the range that goes with a directive: its line, the blanks before it, or those behind it."""
    text, lines = source.text, source.lines
    line = lines.position(start).line
    line_start, line_end = lines.span(line)
    before = line_start + len(text[line_start:start].rstrip())
    if text[end:line_end].strip():
        return start, end
    if before > line_start:
        return before, line_end
    return line_start, lines.starts[line] if line < len(lines.starts) else line_end
