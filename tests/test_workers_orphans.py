"""However the parent ends, its workers end with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostile_site import install_hostile_pack, write_files

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")

PARENT = r"""
import sys
from stablint.static.plan import Plan
from stablint.static.workers import process, supervisor

start = process.start

def spy(plan):
    worker = start(plan)
    sys.stdout.write(f"{worker.process.pid}\n")  # in one piece: two threads come by here
    sys.stdout.flush()
    return worker

process.start = spy
for _ in supervisor.supervise(sys.argv[2:], Plan(("BAD001",), time_limit=float(sys.argv[1])), 2):
    pass
"""


@pytest.fixture
def hung(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A parent and its two workers, both of which hang."""
    order, time_limit = request.param
    install_hostile_pack(tmp_path / "site")
    files = write_files(tmp_path, {"1.py": order, "2.py": order})
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(time_limit), *files],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), *filter(None, sys.path)])},
    )
    with parent:
        assert parent.stdout is not None
        workers = [int(parent.stdout.readline()) for _ in range(2)]
        assert comes_true(lambda: all(Path(f"{file}.reached").exists() for file in files))
        yield parent, workers
        parent.kill()


def comes_true(condition: Callable[[], bool], within: float = 60.0) -> bool:
    end = time.monotonic() + within
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def is_running(pid: int) -> bool:
    try:
        # "pid (name) state": one that has ended may stand as Z where nobody waits for it.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("hung", [("hang", 300)], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_worker_outlives_its_parent(
    number: signal.Signals, hung: tuple[subprocess.Popen[str], list[int]]
) -> None:
    parent, workers = hung
    assert all(is_running(worker) for worker in workers)
    parent.send_signal(number)
    assert parent.wait(timeout=60) in (-number, 1)
    assert comes_true(lambda: not any(is_running(worker) for worker in workers))


@pytest.mark.parametrize("hung", [("hang in C", 0.5)], indirect=True)
def test_a_worker_that_hangs_in_c_outlives_its_parent_by_seconds(
    hung: tuple[subprocess.Popen[str], list[int]],
) -> None:
    parent, workers = hung
    os.kill(parent.pid, signal.SIGKILL)
    assert comes_true(lambda: not any(is_running(worker) for worker in workers))
