"""A worker process: a plan and batches of files come in by stdin, answers go out by stdout."""

from __future__ import annotations

import faulthandler
import gc
import itertools
import os
import queue
import sys
import threading
import traceback
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from stablint.static.deep import deeply
from stablint.static.plan import Plan
from stablint.static.workers.job import check_each
from stablint.static.workers.protocol import (
    LOAD_LIMIT,
    Answer,
    Loading,
    Ready,
    pack,
    read_batch,
    read_plan,
)

MEMORY_LIMIT = 4 * 1024**3
GRACE = 5.0
"""Seconds past its time limit after which a worker that nobody has killed ends itself."""

SWEEP_EVERY = 8
"""Files after which what is no longer needed of them is cleared away."""

_Files = queue.SimpleQueue[str]


def main() -> None:
    """Work until stdin ends; the parent's death arrives here in the same way."""
    answers = _take_stdout()
    _limit_resources()
    plan = read_plan(sys.stdin.buffer.read)
    if plan is not None:
        files: _Files = queue.SimpleQueue()
        threading.Thread(target=_work, args=(files, plan, answers), daemon=True).start()
        while batch := read_batch(sys.stdin.buffer.read):
            for path in batch.files:
                files.put(path)
    # Not by returning: the thread may be in the middle of a file that nobody waits for any more.
    os._exit(0)


def _work(files: _Files, plan: Plan, answers: BinaryIO) -> None:
    try:
        _send(answers, Ready())
        deeply(lambda: check_each(_arriving(files, plan), plan, partial(_answer, answers, plan)))
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _arriving(files: _Files, plan: Plan) -> Iterator[str]:
    # Trees that are kept are most of the memory and no garbage: looked at once, they are left alone from then on.
    gc.disable()
    for count in itertools.count(1):
        faulthandler.cancel_dump_traceback_later()
        path = files.get()
        _end_after(plan.time_limit)
        yield path
        if count % SWEEP_EVERY == 0:
            gc.collect()
            gc.freeze()


def _answer(answers: BinaryIO, plan: Plan, answer: Answer) -> None:
    if isinstance(answer, Loading):
        _end_after(LOAD_LIMIT)
    if isinstance(answer, Ready):
        _settle()
        _end_after(plan.time_limit)
    _send(answers, answer)


def _send(answers: BinaryIO, answer: Answer) -> None:
    answers.write(pack(answer))
    answers.flush()


def _end_after(seconds: float) -> None:
    # A thread in C needs no lock of the interpreter: the parent may be gone, and libcst parse for hours.
    faulthandler.dump_traceback_later(seconds + GRACE, exit=True)


def _settle() -> None:
    """After the imports: nothing of them is garbage, and stderr has said what it had to say."""
    _trust_the_parser()
    gc.collect()
    gc.freeze()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _trust_the_parser() -> None:
    """Let libcst not look again at every node that its own parser makes: that is a sixth of the parse.

    Trees are only read here, and nobody else uses libcst in this process.
    """
    from libcst import CSTNode

    def believe(self: CSTNode) -> None:
        """Find nothing wrong."""

    CSTNode.__post_init__ = believe  # type: ignore[method-assign]


def _take_stdout() -> BinaryIO:
    """Keep stdout for answers; what a rule prints goes where errors go."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _limit_resources() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY or soft > MEMORY_LIMIT:
        try:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, hard))
        except (OSError, ValueError):  # macOS has the name but not the thing
            return


if __name__ == "__main__":
    main()
