"""Workers that die, hang, shout or are killed: each costs the file it was on and nothing else."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from hostile_site import install_hostile_pack, write_files

from stablint.static.plan import Plan
from stablint.static.result import FileResult
from stablint.static.workers import process, supervisor
from stablint.static.workers.process import Worker
from stablint.static.workers.supervisor import supervise

PLAN = Plan(("BAD001",), time_limit=2.0)
GOOD = ["BAD001"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


@pytest.fixture(autouse=True)
def _pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_hostile_pack(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Worker]:
    """All workers that are started during a test."""
    workers: list[Worker] = []
    start = process.start

    def spy(plan: Plan) -> Worker:
        workers.append(start(plan))
        return workers[-1]

    monkeypatch.setattr(process, "start", spy)
    return workers


def run(files: list[str], count: int, plan: Plan = PLAN) -> list[FileResult]:
    results = dict(supervise(files, plan, count))
    assert sorted(results) == list(range(len(files)))
    assert [results[index].path for index in range(len(files))] == files
    return [results[index] for index in range(len(files))]


def codes(result: FileResult) -> list[str]:
    return [finding.code for finding in result.findings]


KILLERS = {
    "hang": "not checked: it took longer than 2 s, the time limit",
    "hang in C": "not checked: it took longer than 2 s, the time limit",
    "exit": "not checked: the process that checked it ended with status 7",
    "die": "not checked: the process that checked it died of SIGKILL",
    "crash": "not checked: the process that checked it died of SIGSEGV",
}


@pytest.mark.parametrize("count", [1, 2])
def test_five_good_files_and_every_killer(count: int, tmp_path: Path, started: list[Worker]) -> None:
    orders = {"1.py": "", "2.py": "", "3.py": "", "4.py": "", "5.py": ""}
    for place, order in enumerate(KILLERS):
        orders[f"{place}-{order}.py"] = order
    files = write_files(tmp_path, dict(sorted(orders.items())))
    results = run(files, count)
    for result in results:
        order = Path(result.path).stem.partition("-")[2]
        if order:
            assert codes(result) == ["STB900"]
            assert result.findings[0].message == KILLERS[order]
        else:
            assert codes(result) == GOOD
    assert len(started) >= len(KILLERS)
    assert all(worker.process.returncode is not None for worker in started)


def test_what_a_rule_raises_costs_no_worker(tmp_path: Path, started: list[Worker]) -> None:
    orders = {"1.py": "", "raise.py": "raise", "leave.py": "leave", "eat.py": "eat", "5.py": ""}
    results = run(write_files(tmp_path, orders), 1)
    assert [codes(result) for result in results] == [GOOD, ["STB909"], ["STB909"], ["STB909"], GOOD]
    assert "Obeys" not in results[1].findings[0].message
    assert "obeys failed: KeyError: 'dim'" in results[1].findings[0].message
    assert len(started) == 1


def test_what_a_rule_prints_is_no_answer(tmp_path: Path, started: list[Worker]) -> None:
    results = run(write_files(tmp_path, {"1.py": "", "2.py": "shout", "3.py": ""}), 1)
    assert [codes(result) for result in results] == [GOOD, GOOD, GOOD]
    assert len(started) == 1


def test_a_worker_killed_from_outside_is_replaced(tmp_path: Path, started: list[Worker]) -> None:
    files = write_files(tmp_path, {"1.py": "", "2.py": "hang", "3.py": "", "4.py": ""})

    def kill() -> None:
        while not Path(f"{files[1]}.reached").exists():
            time.sleep(0.01)
        os.kill(started[0].process.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    results = run(files, 1, Plan(("BAD001",), time_limit=120.0))
    killer.join()
    assert [codes(result) for result in results] == [GOOD, ["STB900"], GOOD, GOOD]
    assert results[1].findings[0].message == "not checked: the process that checked it died of SIGKILL"
    assert len(started) == 2


def test_nothing_is_left_when_the_run_is_given_up(tmp_path: Path, started: list[Worker]) -> None:
    files = write_files(tmp_path, {"1.py": "", **{f"{number}.py": "hang" for number in range(2, 20)}})
    outcomes = supervise(files, PLAN, 2)
    next(outcomes)
    outcomes.close()
    assert started
    assert all(worker.process.returncode == -signal.SIGKILL for worker in started)


def test_workers_that_do_not_come_up_leave_no_file_out(tmp_path: Path, started: list[Worker]) -> None:
    tmp_path.joinpath("site/sitecustomize.py").write_text("import os; os.write(2, b'no.\\n'); os._exit(9)\n")
    results = run(write_files(tmp_path, {f"{number}.py": "" for number in range(10)}), 2)
    assert {codes(result)[0] for result in results} == {"STB900"}
    assert {result.findings[0].message for result in results} == {
        "not checked: no process to check it could be started: no."
    }
    assert len(started) <= supervisor.FAILED_STARTS + 1


def test_an_interpreter_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    (result,) = run(write_files(tmp_path, {"1.py": ""}), 1)
    assert "No such file or directory" in result.findings[0].message


def test_a_slow_start_is_no_fault_of_the_first_file(tmp_path: Path) -> None:
    slow = tmp_path / "site/hostile/__init__.py"
    slow.write_text(slow.read_text() + "\ntime.sleep(1.5)\n")
    (result,) = run(write_files(tmp_path, {"1.py": ""}), 1, Plan(("BAD001",), time_limit=1.0))
    assert codes(result) == GOOD


@pytest.mark.parametrize(
    "answer",
    ["b'nonsense'", "pack(Done(FileResult('another.py')))", "b'\\xff' * 9", "pack(Batch(('a.py',)))"],
)
def test_a_worker_that_answers_nonsense_is_dead(answer: str, tmp_path: Path) -> None:
    tmp_path.joinpath("site/hostile/__init__.py").write_text(
        "import time\n"
        "from stablint.static.result import FileResult\n"
        "from stablint.static.workers import worker\n"
        "from stablint.static.workers.protocol import Batch, Done, pack\n"
        f"worker.pack = __import__('sys').modules['__main__'].pack = lambda _: {answer}\n"
    )
    results = run(write_files(tmp_path, {"1.py": "", "2.py": ""}), 1)
    assert [codes(result) for result in results] == [["STB900"], ["STB900"]]


def test_a_worker_imports_nothing_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("json", "libcst", "torch", "msgspec", "sitecustomize", "stablint"):
        project.joinpath(f"{name}.py").write_text(f"open({str(tmp_path / 'seen')!r}, 'w')\n")
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend("")
    monkeypatch.syspath_prepend(project)
    (result,) = run(write_files(tmp_path, {"1.py": ""}), 1)
    assert codes(result) == GOOD
    assert not tmp_path.joinpath("seen").exists()


def test_time_spent_waiting_for_the_reader_counts_for_no_file(tmp_path: Path) -> None:
    files = write_files(tmp_path, {f"{number:02}.py": "" for number in range(12)})
    plan = Plan(("BAD001",), time_limit=1.0)
    results: list[list[str]] = []
    for _, result in supervise(files, plan, 1):
        if not results:
            time.sleep(1.5)
        results.append(codes(result))
    assert results == [GOOD] * 12
