"""Checking files with what earlier runs have found."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence

from stablint.cache.fingerprint import fingerprint
from stablint.cache.memory import Entry, Memory, Node, Told
from stablint.cache.store import load, save
from stablint.cache.today import Today
from stablint.diagnostics import FileNotChecked, InternalError
from stablint.static.check import check_files
from stablint.static.plan import Plan
from stablint.static.result import FileResult

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
) -> Generator[FileResult, None, None]:
    """Yield what came of each file, in their order; only those are checked for which it may be something new."""
    key = fingerprint(plan)
    memory = load(folder, key)
    good = _good(files, plan, memory)
    left = [path for path in files if path not in good]
    fresh = check_files(left, plan, jobs=jobs, progress=_shifted(progress, len(good), len(files)))
    told = Told()
    try:
        for path in files:
            result = good.get(path)
            if result is None:
                result = next(fresh)
                _add(told, result, plan)
            yield result
    finally:  # of a run that is interrupted too
        if told.nodes or told.entries:
            memory.learn(told)
            memory.tidy(os.path.lexists)
            save(folder, key, memory)


def _good(files: Sequence[str], plan: Plan, memory: Memory) -> dict[str, FileResult]:
    """Return the results that still hold, and forget those that do not."""
    today = Today()
    asked_for = [entry for path in files if (entry := memory.entries.get(path)) is not None]
    memory.forget(
        [
            path
            for path in memory.behind(asked_for)
            if (node := memory.nodes.get(path)) is None or not today.holds(path, node)
        ]
    )
    good: dict[str, FileResult] = {}
    for path in files:
        entry = memory.entries.get(path)
        if entry is None:
            continue
        if entry.codes == plan.file_codes.get(path) and today.holds(path, entry.own):
            good[path] = FileResult(path, entry.findings)
        else:
            del memory.entries[path]
    return good


def _add(told: Told, result: FileResult, plan: Plan) -> None:
    told.add(result.links)
    own = result.own
    if own is not None and not any(finding.code in _PASSING for finding in result.findings):
        told.entries[result.path] = Entry(
            plan.file_codes.get(result.path), result.findings, Node(own.digest, own.leads, own.asked)
        )


def _shifted(progress: Progress | None, done: int, total: int) -> Progress | None:
    return None if progress is None else lambda count, _: progress(done + count, total)
