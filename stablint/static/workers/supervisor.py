"""Many files over several workers: one that dies or is late costs the file it was on, and is replaced."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from stablint.static.plan import Plan
from stablint.static.result import FileResult, not_checked
from stablint.static.workers import process
from stablint.static.workers.process import LostError, Worker
from stablint.static.workers.protocol import Batch, Done

BATCH = 32
"""Files that a worker is given at once, at most: so many that it does not wait, so few that all have some."""
FAILED_STARTS = 3
"""After so many workers in a row that did not come up, none will."""

Outcome = tuple[int, FileResult]


@dataclass(slots=True)
class Run:
    """One run: the files, those not yet given to a worker, what came of the others, and who is at it."""

    files: Sequence[str]
    plan: Plan
    count: int
    waiting: deque[int]
    outcomes: queue.SimpleQueue[Outcome | BaseException] = field(default_factory=queue.SimpleQueue)
    workers: set[Worker] = field(default_factory=set)
    failed_starts: int = 0
    over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


def supervise(files: Sequence[str], plan: Plan, count: int) -> Generator[Outcome, None, None]:
    """Check files with `count` workers; yield index and result of each as they come."""
    run = Run(files, plan, count, deque(range(len(files))))
    threads = [threading.Thread(target=_keep_working, args=(run,), daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        for _ in files:
            yield _next(run)
    finally:
        with run.lock:
            run.over = True
            for worker in run.workers:
                process.kill(worker)
        for thread in threads:
            thread.join()


def _next(run: Run) -> Outcome:
    while True:
        with run.lock:
            workers = tuple(run.workers)
        for worker in workers:
            process.kill_if_late(worker)
        try:
            outcome = run.outcomes.get(timeout=_patience(workers))
        except queue.Empty:
            continue
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def _patience(workers: Sequence[Worker]) -> float:
    """Return how long to wait before looking after the workers again; there may be new ones by then."""
    now = time.monotonic()
    return min([1.0, *(max(due - now, 0.01) for worker in workers if (due := worker.due) is not None)])


def _keep_working(run: Run) -> None:
    """In a thread: one worker after the other, each for as long as it lives, until nothing is left to do."""
    try:
        while run.waiting and not run.over:
            _work_with_one(run)
    except BaseException as error:
        run.outcomes.put(error)


def _work_with_one(run: Run) -> None:
    batch: deque[int] = deque()
    try:
        with _worker(run) as worker:
            while (worker.loading or process.is_alive(worker)) and not run.over:
                _take(run, batch)
                if not batch:
                    return
                _check(run, worker, batch)
    except LostError as lost:
        if not run.over:
            _account_for(run, batch, lost)
    with run.lock:
        run.waiting.extendleft(reversed(batch))


@contextmanager
def _worker(run: Run) -> Iterator[Worker]:
    worker = process.start(run.plan)
    try:
        with run.lock:
            run.workers.add(worker)
        yield worker
    finally:
        with run.lock:
            run.workers.discard(worker)
        process.end(worker)


def _take(run: Run, batch: deque[int]) -> None:
    """Move files from those that wait into a batch: ever fewer, so that all workers end together."""
    with run.lock:
        share = len(run.waiting) // (4 * run.count)
        for _ in range(min(max(share, 1), BATCH, len(run.waiting))):
            batch.append(run.waiting.popleft())


def _check(run: Run, worker: Worker, batch: deque[int]) -> None:
    """Have a worker check a batch; what is left in it afterwards, or when it is lost, is not checked."""
    process.give(worker, Batch(tuple(run.files[index] for index in batch)))
    while batch and not worker.late:
        answer = process.receive(worker)
        if isinstance(answer, Done):
            if answer.result.path != run.files[batch[0]]:
                raise LostError("the process that checked it answered for another file", loading=False)
            run.outcomes.put((batch.popleft(), answer.result))
            run.failed_starts = 0
    process.rest(worker)


def _account_for(run: Run, batch: deque[int], lost: LostError) -> None:
    """Blame the file that a lost worker was on; when workers do not even come up, give up all files."""
    if not lost.loading:
        index = batch.popleft()
        run.outcomes.put((index, not_checked(run.files[index], lost.reason)))
        return
    with run.lock:
        run.failed_starts += 1
        if run.failed_starts < FAILED_STARTS:
            return
        given_up = [*batch, *run.waiting]
        batch.clear()
        run.waiting.clear()
    for index in given_up:
        reason = f"no process to check it could be started: {lost.reason}"
        run.outcomes.put((index, not_checked(run.files[index], reason)))
