"""Applying fixes to a file until nothing is left to apply."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from stablint.finding import Applicability, Finding
from stablint.fixes.choice import Choice, choose
from stablint.fixes.gained import gained
from stablint.fixes.passages import edited, passages
from stablint.fixes.refused import RefusedError
from stablint.rule import StaticRule
from stablint.static.examine import examine
from stablint.static.source import SourceFile

ROUNDS = 10
UNREADABLE = {"STB900", "STB901"}


@dataclass(frozen=True, slots=True)
class Fixed:
    """What fixing a file made of it; if it was refused, nothing."""

    data: bytes
    applied: tuple[Finding, ...]
    """The findings that were mended, with their places before the round that mended them."""
    remaining: tuple[Finding, ...]
    """The findings of `data`."""
    refused: str | None = None
    """Why the file was left as it was, or None."""


def fix_source(
    source: SourceFile,
    rules: Sequence[StaticRule],
    *,
    unsafe: bool,
    fixable: Collection[str] | None = None,
    unfixable: Collection[str] = (),
) -> Fixed:
    """Apply the fixes of the codes in `fixable` (None: all) and not in `unfixable`, a round at a time.

    Each round's text is examined anew; if it does not parse or shows what was not there, or if there is no
    end after ten rounds, the file is left as it was.
    """
    first = findings = examine(source, rules)
    applied: list[Finding] = []
    now = source
    try:
        for _ in range(ROUNDS):
            wanted = [one for one in findings if _is_wanted(one, unsafe, fixable, unfixable)]
            choice = choose(wanted, passages(now)) if wanted else Choice((), {})
            if not choice.findings:
                return Fixed(now.data, tuple(applied), tuple(findings))
            now, findings = _round(now, findings, choice, rules)
            applied += choice.findings
    except RefusedError as refused:
        return Fixed(source.data, (), tuple(first), str(refused))
    return Fixed(source.data, (), tuple(first), f"its fixes call for further fixes after {ROUNDS} rounds")


def _is_wanted(
    finding: Finding, unsafe: bool, fixable: Collection[str] | None, unfixable: Collection[str]
) -> bool:
    if (
        finding.fix is None
        or finding.code in unfixable
        or (fixable is not None and finding.code not in fixable)
    ):
        return False
    return unsafe or finding.fix.applicability is Applicability.SAFE


def _round(
    old: SourceFile, before: Sequence[Finding], choice: Choice, rules: Sequence[StaticRule]
) -> tuple[SourceFile, list[Finding]]:
    """Make the chosen edits and look at what came of it; raise RefusedError if it is not better."""
    new = SourceFile(old.path, edited(old, choice.splices))
    if old.project is not None:
        old.project.adopt(new)
    after = examine(new, rules)
    for finding in after:
        if finding.code in UNREADABLE:
            raise RefusedError(f"the fixed text does not parse: {finding.message}")
    if old.kind == "python" and compiles(old.data) and not compiles(new.data):
        raise RefusedError("Python does not compile the fixed text")
    surplus = gained(before, choice, after, passages(old), passages(new))
    if surplus is not None:
        place = f"{surplus.location.start.line}:{surplus.location.start.column}"
        raise RefusedError(
            f"the fixed text has {surplus.code} ({surplus.name}) at {place}: {surplus.message}"
        )
    return new, after


def compiles(data: bytes) -> bool:
    """Say whether CPython compiles a file: it sees more than a parser, as a late __future__ import."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(data, "<fixed>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return False
    return True
