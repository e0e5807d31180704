"""One worker process seen from the supervisor: starting it, talking to it, ending it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import stablint
from stablint.static.plan import Plan
from stablint.static.result import too_late
from stablint.static.workers.protocol import (
    LOAD_LIMIT,
    Answer,
    Batch,
    BrokenFrameError,
    Done,
    Loading,
    Message,
    pack,
    read_answer,
)


class LostError(Exception):
    """A worker that is no more, why, and whether it was still importing, which is no file's fault."""

    def __init__(self, reason: str, loading: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.loading = loading


@dataclass(slots=True, eq=False)
class Worker:
    """A running worker process."""

    process: subprocess.Popen[bytes]
    time_limit: float
    loading: bool = True
    due: float | None = None
    """When the next answer must have come; None while it owes none."""
    late: bool = False
    """Whether it was killed because the answer did not come."""
    lock: threading.Lock = field(default_factory=threading.Lock)


def start(plan: Plan) -> Worker:
    """Start a worker and tell it the plan."""
    command = [sys.executable, "-P", *(["-s"] if sys.flags.no_user_site else [])]
    try:
        process = subprocess.Popen(
            [*command, "-m", "stablint.static.workers.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(_search_path())},
            start_new_session=True,
        )
    except OSError as error:
        raise LostError(str(error.strerror), loading=True) from error
    worker = Worker(process, plan.time_limit)
    _send(worker, plan)
    return worker


def give(worker: Worker, batch: Batch) -> None:
    """Hand a worker the files it is to check next."""
    _expect_answer(worker)
    _send(worker, batch)


def receive(worker: Worker) -> Answer:
    """Wait for the next answer; from then on the one after it is due."""
    assert worker.process.stdout is not None
    try:
        answer = read_answer(worker.process.stdout.read)
    except BrokenFrameError as broken:
        raise LostError(
            f"the process that checked it does not make sense: {broken}", worker.loading
        ) from broken
    if answer is None:
        raise LostError(_last_words(worker), worker.loading)
    if not isinstance(answer, Done):
        worker.loading = isinstance(answer, Loading)
    _expect_answer(worker)
    return answer


def rest(worker: Worker) -> None:
    """Expect nothing of a worker until it is given files again."""
    with worker.lock:
        worker.due = None


def is_alive(worker: Worker) -> bool:
    """Say whether a worker can be given files."""
    return not worker.late and worker.process.poll() is None


def kill_if_late(worker: Worker) -> None:
    """Kill a worker whose answer is overdue."""
    with worker.lock:
        worker.late = worker.late or (worker.due is not None and time.monotonic() > worker.due)
    if worker.late:
        kill(worker)


def kill(worker: Worker) -> None:
    """Kill a worker, whatever it is doing, and everything that it started."""
    if worker.process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            if sys.platform == "win32":
                worker.process.kill()
            else:
                os.killpg(worker.process.pid, signal.SIGKILL)


def end(worker: Worker) -> None:
    """Kill a worker and put away what belonged to it."""
    rest(worker)
    kill(worker)
    for pipe in (worker.process.stdin, worker.process.stdout, worker.process.stderr):
        with contextlib.suppress(OSError):  # what is still in a buffer has nowhere to go
            assert pipe is not None
            pipe.close()
    worker.process.wait()


def _expect_answer(worker: Worker) -> None:
    with worker.lock:
        worker.due = time.monotonic() + (LOAD_LIMIT if worker.loading else worker.time_limit)


def _send(worker: Worker, message: Message) -> None:
    assert worker.process.stdin is not None
    # That a worker is gone shows when its answer is read, and there it is known how it ended.
    with contextlib.suppress(OSError):
        worker.process.stdin.write(pack(message))
        worker.process.stdin.flush()


def _last_words(worker: Worker) -> str:
    """Say how a worker ended that answers no more."""
    if worker.late:
        return "importing took too long" if worker.loading else too_late(worker.time_limit)
    with contextlib.suppress(subprocess.TimeoutExpired):
        worker.process.wait(timeout=1)
    status = worker.process.poll()
    if status is None:
        return "the process that checked it fell silent"
    if status < 0:
        return f"the process that checked it died of {_signal_name(-status)}"
    said = _last_line(worker) if worker.loading else ""
    return said or f"the process that checked it ended with status {status}"


def _last_line(worker: Worker) -> str:
    assert worker.process.stderr is not None
    lines = worker.process.stderr.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _search_path() -> list[str]:
    """Return where this process imports from, without the current folder, where the checked code is."""
    entries = [entry for entry in sys.path if entry and not _is_current_folder(entry)]
    # stablint's own folder may be the current one; behind all others, nothing in it can take another's place.
    return [*entries, str(Path(stablint.__file__).parents[1])]


def _is_current_folder(entry: str) -> bool:
    try:
        return os.path.samefile(entry, os.curdir)
    except OSError:  # an entry need not exist
        return False
