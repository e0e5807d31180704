"""Checking a few small files in this process: starting another costs more than they do."""

from __future__ import annotations

import gc
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from stablint.static.deep import deeply, forsake
from stablint.static.plan import Plan
from stablint.static.result import FileResult, not_checked, too_late
from stablint.static.workers.job import check_each
from stablint.static.workers.protocol import LOAD_LIMIT, Answer, Done, Loading
from stablint.static.workers.reading import read_file

_Answers = queue.SimpleQueue[Answer | BaseException]


def check_here(
    files: Sequence[str], plan: Plan, read: Callable[[str], bytes] = read_file
) -> Iterator[FileResult]:
    """Yield the results in order, in a thread that can be left alone.

    A file that is late is not checked, and the results end with it: the thread cannot be killed, and what
    follows is for a worker.
    """
    answers: _Answers = queue.SimpleQueue()
    over = threading.Event()
    collecting = gc.isenabled()
    files_left = _until(over, files)
    work = partial(deeply, partial(check_each, files_left, plan, answers.put, read))
    threading.Thread(target=_report, args=(work, answers), daemon=True, name="stablint-check").start()
    try:
        for path in files:
            result = _next(answers, plan.time_limit)
            if result is None:
                forsake()
                if collecting:  # the thread has switched it off, for longer than it meant to
                    gc.enable()
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


def _until(over: threading.Event, files: Iterable[str]) -> Iterator[str]:
    for path in files:
        if over.is_set():
            return
        yield path


def _report(work: Callable[[], None], answers: _Answers) -> None:
    try:
        work()
    except BaseException as error:
        answers.put(error)
