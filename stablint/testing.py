"""The cases of a rule, run as its tests."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from textwrap import dedent

from stablint.diagnostics import DIAGNOSTICS
from stablint.finding import Finding
from stablint.rule import Rule, StaticRule
from stablint.static.edits import apply_fixes
from stablint.static.examine import examine
from stablint.static.prefilter import may_concern_torch
from stablint.static.project.folders import Entries
from stablint.static.project.project import Project
from stablint.static.source import SourceFile

_FILE = re.compile(r"^# file: (\S+)\n", re.MULTILINE)
_MARK = re.compile(r"[ \t]*# flagged[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Case:
    """One `bad` or `good` case of a rule."""

    rule: type[Rule]
    kind: str
    index: int
    code: str

    def __str__(self) -> str:
        return f"{self.rule.name()}-{self.kind}-{self.index}"

    def verify(self) -> None:
        """Raise AssertionError unless exactly the marked lines are flagged, and fixed as promised."""
        source = self.source()
        findings = self.findings(source)
        flagged = sorted({finding.location.start.line for finding in findings})
        marked = self.marked()
        if flagged != marked:
            raise AssertionError(
                f"{self}: lines {marked} are marked, {flagged} flagged\n{self.shown(findings)}"
            )
        if self.kind == "bad":
            self._verify_fixes(source, findings)
            if issubclass(self.rule, StaticRule) and not may_concern_torch(source.data):
                raise AssertionError(f"{self}: the prefilter would skip a file that reads so")

    def _verify_fixes(self, source: SourceFile, findings: list[Finding]) -> None:
        expected = self.rule.fixed[self.index] if self.index < len(self.rule.fixed) else None
        fixes = [finding.fix for finding in findings if finding.fix is not None]
        if expected is None:
            if fixes:
                raise AssertionError(
                    f"{self}: a fix is offered ({fixes[0].message}), but `fixed` promises none"
                )
            return
        if not fixes:
            raise AssertionError(f"{self}: no fix is offered, but `fixed` promises one")
        got, wanted = apply_fixes(source, fixes), _MARK.sub("", dedent(expected))
        if got != wanted:
            raise AssertionError(f"{self}: the fixes make of it\n{got}\ninstead of\n{wanted}")

    def files(self) -> dict[str, str]:
        """Return the files of the case; `# file: models/net.py` begins one, and the last one is checked."""
        first, *others = _FILE.split(dedent(self.code))
        if not others:
            return {"case.py": first}
        return dict(zip(others[::2], others[1::2], strict=True))

    def checked(self) -> tuple[str, str]:
        """Return the name and the text of the file that is checked."""
        return list(self.files().items())[-1]

    def source(self) -> SourceFile:
        """Return the file that is checked, without its marks."""
        path, text = self.checked()
        source = SourceFile(path, _MARK.sub("", text).encode())
        others = {os.path.abspath(name): code.encode() for name, code in self.files().items()}
        Project(others.__getitem__, partial(_entries, others)).adopt(source)
        return source

    def marked(self) -> list[int]:
        """Return the lines that end in the mark."""
        lines = self.checked()[1].split("\n")
        return [line for line, text in enumerate(lines, start=1) if _MARK.search(text)]

    def findings(self, source: SourceFile) -> list[Finding]:
        """Return what the rule, and nothing else, says of the case."""
        rules = [self.rule()] if issubclass(self.rule, StaticRule) else []
        findings = examine(source, rules, known={} if self.rule in DIAGNOSTICS else None)
        if any(finding.code != self.rule.code for finding in findings):
            raise AssertionError(f"{self}: something else was found\n{self.shown(findings)}")
        return findings

    def shown(self, findings: list[Finding]) -> str:
        """Return the case with line numbers, and the findings, for a message."""
        lines = [f"{line:3} {text}" for line, text in enumerate(self.checked()[1].split("\n"), start=1)]
        lines += [f"line {found.location.start.line}: {found.code} {found.message}" for found in findings]
        return "\n".join(lines)


def _entries(files: Mapping[str, object], folder: str) -> Entries:
    """Return what a folder of files that are only in memory holds."""
    inside = [path[len(folder) + 1 :] for path in files if path.startswith(folder + os.sep)]
    return {path.split(os.sep)[0]: os.sep in path for path in inside}


def cases(rules: Iterable[type[Rule]]) -> list[Case]:
    """Return all cases of the rules."""
    return [
        Case(rule, kind, index, code)
        for rule in rules
        for kind, codes in (("bad", rule.bad), ("good", rule.good))
        for index, code in enumerate(codes)
    ]
