"""A thread with a large stack, in which everything that recurses over a tree runs.

libcst dies of nested brackets on an ordinary stack, and Python's own recursion limit is far below the depth
of trees that people write (a sum of 500 terms is 500 deep).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

STACKS = (512 << 20, 128 << 20, 32 << 20)
"""Sizes to try: address space only, but a limit on it may forbid the largest."""
RECURSION_LIMIT = 50_000

_Answer = SimpleQueue[tuple[bool, Any]]


class _DeepThread:
    """One thread that runs what is handed to it, one after another."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.jobs: SimpleQueue[tuple[Callable[[], Any], _Answer]] = SimpleQueue()
        self.thread = _start(self._work)

    def _work(self) -> None:
        while True:
            job, answer = self.jobs.get()
            answer.put(_outcome(job))
            del job, answer  # or an idle thread keeps the last tree alive

    def run(self, job: Callable[[], Any]) -> Any:
        answer: _Answer = SimpleQueue()
        self.jobs.put((job, answer))
        done, value = answer.get()
        if done:
            return value
        raise value


_lock = threading.Lock()
_deep: _DeepThread | None = None


def deeply(job: Callable[[], T]) -> T:
    """Run `job` on the large stack, and return or raise what it does."""
    global _deep
    with _lock:
        if _deep is None or _deep.pid != os.getpid():
            _deep = _DeepThread()
        deep = _deep
    if threading.current_thread() is deep.thread:
        return job()
    result: T = deep.run(job)
    return result


def forsake() -> None:
    """Leave the thread to a job that does not come back; the next job gets a new thread."""
    global _deep
    with _lock:
        _deep = None


def _outcome(job: Callable[[], Any]) -> tuple[bool, Any]:
    _raised.enter()
    try:
        return True, job()
    except BaseException as error:
        return False, error
    finally:
        _raised.leave()


class _RaisedLimit:
    """The recursion limit, which is the whole process's: high while any job runs, a forsaken one among them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.jobs = 0
        self.before = 0

    def enter(self) -> None:
        with self.lock:
            if self.jobs == 0:
                self.before = sys.getrecursionlimit()
                sys.setrecursionlimit(max(self.before, RECURSION_LIMIT))
            self.jobs += 1

    def leave(self) -> None:
        with self.lock:
            self.jobs -= 1
            if self.jobs == 0:
                sys.setrecursionlimit(self.before)


_raised = _RaisedLimit()


def _start(target: Callable[[], None]) -> threading.Thread:
    """Start a daemon thread with the largest stack that can be had."""
    for size in STACKS:
        before = threading.stack_size(size)
        try:
            thread = threading.Thread(target=target, name="stablint-deep", daemon=True)
            thread.start()
        except RuntimeError:
            if size == STACKS[-1]:
                raise
        else:
            return thread
        finally:
            threading.stack_size(before)
    raise AssertionError("unreachable")
