"""The benchmarks that are run by hand still run; how fast anything is they do not test."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"


def run(name: str, *arguments: str, folder: Path) -> str:
    for number in range(3):
        folder.joinpath(f"model{number}.py").write_text(f"import torch\n\nx = torch.zeros({number})\n")
    folder.joinpath("other.py").write_text("print('no tensor here')\n")
    folder.joinpath("broken.py").write_text("import torch\nx = = 1\n")
    command = [sys.executable, str(BENCHMARKS / name), str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def rows(table: str) -> dict[str, list[str]]:
    cells = [re.split(r" *\| *", line.strip("| ")) for line in table.splitlines() if line.startswith("| ")]
    return {first: rest for first, *rest in cells[1:]}


def test_contest(tmp_path: Path) -> None:
    arguments = ("--repeats", "1", "--tools", "parse", "stablint", "--absent-rules", "2")
    table = run("static.py", *arguments, folder=tmp_path)
    assert table.startswith("3 files, 9 lines, median of 1 runs")
    parse, ours, more = rows(table).items()
    assert parse[0].startswith("libcst.parse_module ")
    assert parse[1][2] == "1.00"
    assert ours[0].startswith("stablint ")
    assert ours[1][3] == "1.00"
    assert more[0].startswith("stablint with 2 more rules")
    assert all(float(seconds) > 0 for seconds, *_ in (parse[1], ours[1], more[1]))


def test_stages(tmp_path: Path) -> None:
    table = run("stages.py", folder=tmp_path)
    assert table.startswith("3 files, 9 lines")
    assert "libcst: QualifiedNameProvider" in rows(table)


def test_again(tmp_path: Path) -> None:
    told = run("again.py", "--repeats", "1", folder=tmp_path)
    assert re.match(r"5 files: \d+\.\d s, then \d+\.\d\d s: \d+ times faster, ", told)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory(tmp_path: Path) -> None:
    told = run("memory.py", "--copies", "2", "--jobs", "1", folder=tmp_path)
    assert re.match(r"[1-9]\d* MB at most, 10 files, 1 workers, ", told)
