"""Checking files with what earlier runs have found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from stablint.cache.fingerprint import fingerprint
from stablint.cache.memory import Entry, Memory, affected, behind, learn
from stablint.cache.store import load, save
from stablint.diagnostics import FileNotChecked, InternalError
from stablint.static.check import check_files
from stablint.static.plan import Plan
from stablint.static.project.folders import Folders
from stablint.static.result import FileResult, digest
from stablint.static.workers.reading import RefusedError, read_file

Progress = Callable[[int, int], None]

_PASSING = {FileNotChecked.code, InternalError.code}
"""Findings that the next run may not have: a file that took too long, or could not be read."""


def check_with_cache(
    files: Sequence[str],
    plan: Plan,
    folder: str,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Iterator[FileResult]:
    """Yield what came of each file, in their order; only those are checked for which it may be something new."""
    key = fingerprint(plan)
    memory = load(folder, key)
    contents = _Contents()
    good = _remembered(files, plan, memory, contents)
    left = [path for path in files if path not in good]
    fresh = check_files(left, plan, jobs=jobs, progress=_shifted(progress, len(good), len(files)))
    told: list[FileResult] = []
    for path in files:
        result = good.get(path)
        if result is None:
            result = next(fresh)
            told.append(result)
        yield result
    if told:
        _remember(told, plan, memory, contents)
        save(folder, key, memory)


class _Contents:
    """The digests of files, each read once."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def digest(self, path: str) -> str:
        """Return the digest of a file; empty where it cannot be read."""
        if path not in self._known:
            try:
                self._known[path] = digest(read_file(path))
            except RefusedError:
                self._known[path] = ""
        return self._known[path]


def _remembered(
    files: Sequence[str], plan: Plan, memory: Memory, contents: _Contents
) -> dict[str, FileResult]:
    """Return the results that still hold, and forget those that do not."""
    folders = Folders()
    changed = {
        path
        for path, node in memory.nodes.items()
        if (node.digest and contents.digest(path) != node.digest)
        or any(folders.ask(question) is not answer for question, answer in node.asked.items())
    }
    old = affected(memory, changed)
    memory.nodes = {path: node for path, node in memory.nodes.items() if path not in changed}
    memory.entries = {shown: entry for shown, entry in memory.entries.items() if entry.path not in old}
    good: dict[str, FileResult] = {}
    for shown in files:
        entry = memory.entries.get(shown)
        if entry is None or entry.codes != plan.file_codes.get(shown, ()):
            continue
        if entry.digest == contents.digest(entry.path):
            good[shown] = FileResult(shown, entry.findings)
    return good


def _remember(results: Sequence[FileResult], plan: Plan, memory: Memory, contents: _Contents) -> None:
    for result in results:
        learn(memory, result.links)
    for result in results:
        path = os.path.abspath(result.path)
        if any(finding.code in _PASSING for finding in result.findings):
            continue
        # A file that does not concern torch has told of nothing; it was read, like all, before it was checked.
        node = memory.nodes.get(path) if result.links else None
        content = node.digest if node is not None else contents.digest(path)
        if content and (not result.links or all(behind(memory, path).values())):
            memory.entries[result.path] = Entry(
                path, content, plan.file_codes.get(result.path, ()), result.findings
            )


def _shifted(progress: Progress | None, done: int, total: int) -> Progress | None:
    return None if progress is None else lambda count, _: progress(done + count, total)
