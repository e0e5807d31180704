"""Many files -> what came of each, in the order of the files, whatever happens to the processes at work."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence

from stablint.static.plan import Plan
from stablint.static.result import FileResult
from stablint.static.workers.inline import check_here

__all__ = ["FileResult", "check_files", "check_text"]

FEW_FILES = 8
FEW_BYTES = 50_000
"""At most so much is checked in this process, which takes about as long as starting a worker.

While libcst parses, nothing can stop it; the worst 50 KB that pass the pre-scan (sums, subscripts, chains of
attributes with 2,000 links each) keep it busy for about the time limit.
"""
BYTES_PER_WORKER = 100_000
"""A further worker must have so much to do, or it costs more than it saves."""


def check_files(
    files: Sequence[str],
    plan: Plan,
    *,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[FileResult]:
    """Check files and yield what came of each, in their order.

    A file that kills or hangs the process at work on it, or that is no readable file, costs one finding.
    `jobs` is the number of worker processes, at most; `progress` is told how many files of how many are done.
    """
    finished: dict[int, FileResult] = {}
    up = 0
    for done, (index, result) in enumerate(_outcomes(files, plan, jobs or os.cpu_count() or 1), start=1):
        if progress:
            progress(done, len(files))
        finished[index] = result
        while up in finished:
            yield finished.pop(up)
            up += 1


def check_text(path: str, data: bytes, plan: Plan) -> FileResult:
    """Check what stands in the file `path`, or will."""
    (result,) = check_here([path], plan, lambda _: data)
    return result


def _outcomes(files: Sequence[str], plan: Plan, jobs: int) -> Iterator[tuple[int, FileResult]]:
    total = sum(_size(path) for path in files)
    done = 0
    if len(files) <= FEW_FILES and total <= FEW_BYTES:
        for result in check_here(files, plan):
            yield done, result
            done += 1
    rest = files[done:]
    if rest:
        from stablint.static.workers.supervisor import supervise  # late: a small run needs none of it

        count = min(jobs, len(rest), 1 + total // BYTES_PER_WORKER)
        yield from ((done + index, result) for index, result in supervise(rest, plan, count))


def _size(path: str) -> int:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0
