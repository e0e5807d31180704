"""Clean files are broken, one at a time, and read again."""

from __future__ import annotations

import gc
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mutants.modules import Modules
from mutants.near import Neighbourhood
from mutants.operator import Mutant, Operator
from mutants.text import Text, parse
from stablint.finding import Finding, Severity
from stablint.rule import StaticRule
from stablint.static.examine import examine
from stablint.static.project.folders import Entries, folder_listing
from stablint.static.project.project import Project
from stablint.static.source import SourceFile

FOUND, NOTED, FAR, MISSED = "found", "noted", "far", "missed"
"""An error or warning near the fault; only a note; a finding elsewhere in the file; none."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many mutants an operator makes, at most."""

    operator: int = 40
    repository: int = 6
    file: int = 1
    unsure: int = 15
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A mutant that could be made."""

    repo: str
    path: str
    operator: Operator
    mutant: Mutant


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a mutant."""

    candidate: Candidate
    verdict: str
    messages: tuple[str, ...]


@dataclass(slots=True)
class Tally:
    """What came of an operator."""

    operator: Operator
    outcomes: list[Outcome]
    originals: dict[str, tuple[str, ...]]
    """Of each file that was looked at, what the operator's own rules say of it unbroken."""


class Corpus:
    """The files of a folder of repositories `owner+name` that mention torch."""

    def __init__(self, folder: Path, without: Sequence[str] = ()) -> None:
        self.folder = folder
        found = (
            path
            for repo in sorted(folder.iterdir())
            if repo.name not in without
            for path in repo.rglob("*.py")
        )
        self.paths = sorted(path.relative_to(folder).as_posix() for path in found if path.is_file())
        self.modules = Modules(self.paths, self.read)

    def read(self, path: str) -> bytes:
        """Return the bytes of a file."""
        return self.folder.joinpath(path).read_bytes()

    def candidates(self, operators: Sequence[Operator]) -> dict[str, list[Candidate]]:
        """Return what each operator could do, by its name; a file that is no Python of today is passed over."""
        found: dict[str, list[Candidate]] = {operator.name: [] for operator in operators}
        for path in self.paths:
            data = self.read(path)
            able = [each for each in operators if each.word in data] if b"torch" in data else []
            if not able or b"\r" in data:
                continue
            try:
                text = Text(path, data, self.modules)
            except (SyntaxError, ValueError):
                continue
            repo = path.partition("/")[0]
            for operator in able:
                found[operator.name] += [
                    Candidate(repo, path, operator, one) for one in operator.breaks(text)
                ]
        return found


class Reader:
    """stablint, with all rules that are on by default, and what it said of the originals."""

    def __init__(self, corpus: Corpus, rules: Sequence[type[StaticRule]]) -> None:
        self.corpus = corpus
        self.rules = [rule() for rule in rules if rule.default]
        self._originals: dict[str, list[Finding]] = {}
        self._reads = 0

    def original(self, path: str) -> list[Finding]:
        """Return the findings in a file as it is."""
        if path not in self._originals:
            self._originals[path] = self.read(path, self.corpus.read(path), self.rules)
        return self._originals[path]

    def broken(self, one: Candidate, data: bytes) -> list[Finding]:
        """Return what the operator's rules say of the mutant."""
        rules = [rule for rule in self.rules if rule.name() in one.operator.rules]
        return self.read(one.path, data, rules, dict(one.mutant.files))

    def read(
        self, path: str, data: bytes, rules: Sequence[StaticRule], changed: Mapping[str, bytes] | None = None
    ) -> list[Finding]:
        """Return the findings of some rules in a text, where other files of the project are changed."""
        self._reads += 1
        if self._reads % 200 == 0:
            gc.collect()
        source = SourceFile(str(self.corpus.folder / path), data)
        texts = {os.path.abspath(self.corpus.folder / name): text for name, text in (changed or {}).items()}
        listing = partial(_entries, texts)
        Project(lambda name: texts[name] if name in texts else Path(name).read_bytes(), listing).adopt(source)
        found = examine(source, rules)
        return [each for each in found if not each.code.startswith("STB90") or each.name == "internal-error"]


def run(corpus: Corpus, reader: Reader, operators: Sequence[Operator], limits: Limits) -> Iterator[Tally]:
    """Break the corpus, operator by operator."""
    for name, candidates in corpus.candidates(operators).items():
        (operator,) = [each for each in operators if each.name == name]
        yield _tally(reader, operator, _shuffled(candidates, limits.seed), limits)


def _shuffled(candidates: Sequence[Candidate], seed: int) -> list[Candidate]:
    """Return candidates in an order that depends on what they are and on nothing else."""

    def key(one: Candidate) -> bytes:
        words = (str(seed), one.operator.name, one.path, str([edit.start for edit in one.mutant.edits]))
        return hashlib.sha256("\n".join(words).encode()).digest()

    return sorted(candidates, key=key)


def _tally(reader: Reader, operator: Operator, candidates: Sequence[Candidate], limits: Limits) -> Tally:
    tally = Tally(operator, [], {})
    taken: Counter[tuple[str, ...]] = Counter()
    for one in candidates:
        kind = "unsure" if one.mutant.doubt else "sure"
        most = limits.unsure if one.mutant.doubt else limits.operator
        keys = ((kind,), (kind, one.repo), (kind, one.repo, one.path))
        bounds = (most, limits.repository, limits.file)
        if any(taken[key] >= bound for key, bound in zip(keys, bounds, strict=True)):
            continue
        before = reader.original(one.path)
        own = tuple(
            f"{each.name}: {each.message}" for each in before if each.name in operator.rules and _gates(each)
        )
        tally.originals[one.path] = own
        if not any(map(_gates, before)) and (outcome := _outcome(reader, one, before)) is not None:
            tally.outcomes.append(outcome)
            taken.update(keys)
    return tally


def _gates(finding: Finding) -> bool:
    return finding.severity is not Severity.NOTE


def _outcome(reader: Reader, one: Candidate, before: Sequence[Finding]) -> Outcome | None:
    """Return what came of a mutant; None where it does not parse."""
    original = reader.corpus.read(one.path)
    data = one.mutant.applied(original)
    try:
        parse(data)
    except (SyntaxError, ValueError):
        return None
    new = _new(reader.broken(one, data), before)
    hood = Neighbourhood(one.mutant, original, data)
    near = [finding for finding in new if hood.has(finding)]
    messages = tuple(
        f"{each.location.start.line}: {each.severity.value} {each.name}: {each.message}" for each in new
    )
    if any(map(_gates, near)):
        return Outcome(one, FOUND, messages)
    return Outcome(one, NOTED if near else FAR if new else MISSED, messages)


def _entries(texts: Mapping[str, bytes], folder: str) -> Entries:
    """Return what is in a folder, with the files of a mutant."""
    names = [os.path.basename(path) for path in texts if os.path.dirname(path) == os.path.abspath(folder)]
    return {**folder_listing(folder), **dict.fromkeys(names, False)}


def _new(after: Sequence[Finding], before: Sequence[Finding]) -> list[Finding]:
    known = Counter((finding.name, finding.message) for finding in before)
    new = []
    for finding in after:
        if known[finding.name, finding.message]:
            known[finding.name, finding.message] -= 1
        else:
            new.append(finding)
    return new
