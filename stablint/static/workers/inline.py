"""Checking a few small files in this process: starting another costs more than they do."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence

from stablint.static.deep import deeply, forsake
from stablint.static.plan import Plan
from stablint.static.result import FileResult, not_checked
from stablint.static.workers.job import check_each
from stablint.static.workers.process import too_late
from stablint.static.workers.protocol import LOAD_LIMIT, Answer, Done, Loading

_Answers = queue.SimpleQueue[Answer | BaseException]


def check_here(files: Sequence[str], plan: Plan) -> Iterator[FileResult]:
    """Yield the results in order, in a thread that can be left alone.

    A file that is late is not checked, and the results end with it: the thread cannot be killed, and what
    follows is for a worker.
    """
    answers: _Answers = queue.SimpleQueue()
    over = threading.Event()
    work = _reporting(lambda: deeply(lambda: check_each(_until(over, files), plan, answers.put)), answers)
    threading.Thread(target=work, daemon=True, name="stablint-check").start()
    try:
        for path in files:
            result = _next(answers, plan.time_limit)
            if result is None:
                forsake()
                yield not_checked(path, too_late(plan.time_limit), plan.time_limit)
                return
            yield result
    finally:
        over.set()


def _next(answers: _Answers, time_limit: float) -> FileResult | None:
    """Wait for the next result; None when it is late."""
    limit = time_limit
    while True:
        try:
            answer = answers.get(timeout=limit)
        except queue.Empty:
            return None
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, Done):
            return answer.result
        limit = LOAD_LIMIT if isinstance(answer, Loading) else time_limit


def _until(over: threading.Event, files: Sequence[str]) -> Iterator[str]:
    for path in files:
        if over.is_set():
            return
        yield path


def _reporting(work: Callable[[], None], answers: _Answers) -> Callable[[], None]:
    def run() -> None:
        try:
            work()
        except BaseException as error:
            answers.put(error)

    return run
