"""Many files in, as many results out, in their order, whether checked in this process or in others."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_site import install_hostile_pack, write_files

from stablint.registry import load_rules
from stablint.static import check
from stablint.static.check import check_files, check_text
from stablint.static.deep import deeply
from stablint.static.plan import Plan
from stablint.static.result import FileResult
from stablint.static.workers import supervisor

PLAN = Plan(("BAD001",), time_limit=5.0)


@pytest.fixture(autouse=True)
def _pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    install_hostile_pack(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    load_rules.cache_clear()
    yield
    load_rules.cache_clear()


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many workers were asked for, each time that some were."""
    asked: list[int] = []

    def spy(files: list[str], plan: Plan, count: int) -> Iterator[tuple[int, FileResult]]:
        asked.append(count)
        return ((index, FileResult(path)) for index, path in enumerate(files))

    monkeypatch.setattr(supervisor, "supervise", spy)
    return asked


def codes(results: Iterator[FileResult]) -> list[list[str]]:
    return [[finding.code for finding in result.findings] for result in results]


def test_no_files_give_no_results(counts: list[int]) -> None:
    assert list(check_files([], PLAN)) == []
    assert counts == []


def test_a_small_run_needs_no_worker(tmp_path: Path, counts: list[int]) -> None:
    files = write_files(tmp_path, {"1.py": "", "2.py": "raise", "3.py": "leave"})
    assert codes(check_files(files, PLAN)) == [["BAD001"], ["STB909"], ["STB909"]]
    assert counts == []


@pytest.mark.parametrize(
    ("number", "size", "jobs", "count"),
    [
        (1, 60_000, 4, 1),
        (9, 10, 4, 1),  # many files, little to do
        (9, 30_000, 4, 3),
        (9, 60_000, 4, 4),
        (2, 1_000_000, 4, 2),  # never more than files
        (9, 60_000, 1, 1),
    ],
)
def test_workers_are_as_many_as_are_worth_it(
    number: int, size: int, jobs: int, count: int, tmp_path: Path, counts: list[int]
) -> None:
    files = [str(tmp_path / f"{index}.py") for index in range(number)]
    for path in files:
        Path(path).write_bytes(b"#" * size)
    assert [result.path for result in check_files(files, PLAN, jobs=jobs)] == files
    assert counts == [count]


def test_without_a_number_there_are_as_many_workers_as_processors(
    tmp_path: Path, counts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    tmp_path.joinpath("a.py").write_bytes(b"#" * 1_000_000)
    list(check_files([str(tmp_path / "a.py")] * 10, PLAN))
    assert counts == [3]


def test_a_file_that_hangs_here_is_left_and_the_others_go_to_a_worker(tmp_path: Path) -> None:
    files = write_files(tmp_path, {"1.py": "", "2.py": "hang", "3.py": "", "4.py": ""})
    try:
        results = list(check_files(files, Plan(("BAD001",), time_limit=2.0)))
        assert codes(iter(results)) == [["BAD001"], ["STB900"], ["BAD001"], ["BAD001"]]
        assert results[1].findings[0].message == "not checked: it took longer than 2 s, the time limit"
        assert deeply(lambda: "the large stack is free") == "the large stack is free"
    finally:
        Path(f"{files[1]}.released").touch()


def test_progress_is_told_of_every_file(tmp_path: Path) -> None:
    files = write_files(tmp_path, {f"{number}.py": "" for number in range(3)})
    told: list[tuple[int, int]] = []
    list(check_files(files, PLAN, progress=lambda done, total: told.append((done, total))))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_results_come_in_order_however_late_the_first_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def backwards(files: list[str], plan: Plan, count: int) -> Iterator[tuple[int, FileResult]]:
        return ((index, FileResult(files[index])) for index in reversed(range(len(files))))

    monkeypatch.setattr(supervisor, "supervise", backwards)
    files = [str(tmp_path / f"{number}.py") for number in range(20)]
    assert [result.path for result in check_files(files, PLAN)] == files


@pytest.mark.parametrize("here", [True, False])
def test_a_name_that_is_no_unicode_is_no_obstacle(
    here: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff.py")
    try:
        Path(path).write_text("import torch\n")
    except OSError:
        pytest.skip("not possible in this file system")
    if not here:
        monkeypatch.setattr(check, "FEW_FILES", 0)
    (result,) = check_files([path], PLAN)
    assert result.path == path
    assert [finding.location.path for finding in result.findings] == [path]


def test_what_cannot_concern_torch_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("this is no Python\n")
    assert codes(check_files([str(path)], PLAN)) == [[]]
    assert codes(check_files([str(path)], Plan(("BAD001",), prefilter=False))) == [["STB901"]]


@pytest.mark.parametrize("name", ["a.py", "b.ipynb"])
@pytest.mark.parametrize("text", ["import torch\n", "import math\n"])
def test_the_size_limit_is_for_python_that_would_be_parsed(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text * 100)
    (result,) = check_files([str(path)], Plan(("BAD001",), size_limit=1_000))
    too_large = [finding for finding in result.findings if "more than the size limit" in finding.message]
    assert bool(too_large) == (name == "a.py" and "torch" in text)


def test_a_text_is_checked_like_the_file_that_it_may_become() -> None:
    result = check_text("not/there.py", b"import torch\n", PLAN)
    assert [finding.code for finding in result.findings] == ["BAD001"]
    assert result.findings[0].location.path == "not/there.py"
    assert check_text("not/there.py", b"import math\n", PLAN).findings == ()


def test_the_time_of_every_rule_is_told() -> None:
    assert list(check_text("a.py", b"import torch\n", PLAN).rule_seconds) == ["obeys"]


SCRIPT = """
import json, sys, msgspec
from stablint.registry import load_rules
from stablint.static import check
from stablint.static.plan import Plan

jobs, *files = sys.argv[1:]
check.BYTES_PER_WORKER = 1
check.FEW_FILES = 0 if int(jobs) else len(files)
check.FEW_BYTES = 10**9
plan = Plan(tuple(rule.code for rule in load_rules()))
for result in check.check_files(files, plan, jobs=int(jobs)):
    print(json.dumps(msgspec.to_builtins(result.findings)))
"""


def test_the_results_are_the_same_to_the_byte_however_they_came_about(tmp_path: Path) -> None:
    cases = [case for rule in load_rules() for case in rule.bad]
    files = [str(tmp_path / f"{number:03}.py") for number in range(len(cases))]
    for path, case in zip(files, cases, strict=True):
        Path(path).write_text(textwrap.dedent(case))
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT, jobs, *files],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for jobs, seed in (("0", "0"), ("3", "1"))
    }
    (output,) = outputs
    assert sum(bool(json.loads(line)) for line in output.splitlines()) > len(load_rules()) / 2


def test_a_run_over_what_cannot_concern_torch_imports_no_libcst(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("import math\n")
    code = (
        "import sys\n"
        "from stablint.static.check import check_files\n"
        "from stablint.static.plan import Plan\n"
        "list(check_files([sys.argv[1]], Plan(())))\n"
        "sys.exit('libcst' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == 0
