"""Files that kill or stall parsers, readers and rules: each costs itself one finding, others nothing."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostile_site import install_hostile_pack, write_files

from stablint.finding import Finding
from stablint.registry import load_rules
from stablint.static import check
from stablint.static.check import check_files
from stablint.static.plan import Plan

PLAN = Plan(("BAD001",), time_limit=20.0)
GOOD = ["1.py", "2.py", "3.py", "5.py", "6.py"]
KILLER = "4.py"

TEXTS = {
    "brackets": "(" * 10_000 + ")" * 10_000,
    "brackets never closed": "[" * 20_000,
    "brackets in an f-string": "f'{" + "(" * 5_000 + ")" * 5_000 + "}'",
    "calls": "f(" * 1_500 + ")" * 1_500,
    "dictionaries": "{0:" * 2_000 + "0" + "}" * 2_000,
    "operands": "+".join(["1"] * 20_000),
    "operands over lines": "(" + "\n+".join(["1"] * 2_500) + ")",
    "attributes": "a" + ".a" * 2_500,
    "calls of calls": "a" + "()" * 2_500,
    "subscripts": "a" + "[0]" * 2_500,
    "minuses": "-" * 2_500 + "1",
    "nots": "not " * 2_500 + "1",
    "lambdas": "lambda:" * 2_500 + "1",
    "conditions": "1 if 1 else " * 2_500 + "1",
    "comparisons": "<".join(["1"] * 2_500),
    "elifs": "if a: pass\n" + "elif a: pass\n" * 2_500,
    "indentation": "".join("\t" * depth + "if a:\n" for depth in range(120)) + "\t" * 120 + "a",
    "NUL bytes": "a = '\0'\n\0\0\0",
    "a NUL at the end": "a = 1\n\0",
    "patterns": "match a:\n    case " + "[" * 90 + "b" + "]" * 90 + ": pass",
    "two megabytes": "a = [\n" + "    [0, 1, 2, 3, 4, 5, 6, 7],\n" * 70_000 + "]",
    "a Latin letter": "# \udce9",
    "Python 2": "print 'torch'",
    "half a statement": "def f(",
}
"""Texts that are refused, or take no time."""

DEEP = {
    "operands": "+".join(["1"] * 800),
    "attributes": "a" + ".a" * 800,
    "calls of calls": "a" + "()" * 300,
    "elifs": "if a: pass\n" + "elif a: pass\n" * 800,
    "brackets": "(" * 90 + ")" * 90,
    "nested functions": "".join(" " * depth + "def f():\n" for depth in range(90)) + " " * 90 + "pass",
    "a long table": "a = [" + "0, " * 2_000 + "]",
}
"""Texts that kill a parser on an ordinary stack, or a recursive function, and are checked like any other."""


@pytest.fixture(scope="module", autouse=True)
def _pack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    site = tmp_path_factory.mktemp("site")
    install_hostile_pack(site)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        load_rules.cache_clear()
        yield
    load_rules.cache_clear()


def findings_of_killer(folder: Path, plan: Plan = PLAN) -> list[Finding]:
    """Check five good files and the killer; return the killer's findings."""
    files = sorted([*write_files(folder, dict.fromkeys(GOOD, "")), str(folder / KILLER)])
    results = {result.path: list(result.findings) for result in check_files(files, plan, jobs=1)}
    assert list(results) == files
    of_killer = results.pop(str(folder / KILLER))
    assert [[finding.code for finding in findings] for findings in results.values()] == [["BAD001"]] * 5
    return of_killer


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_kills_costs_one_finding(name: str, tmp_path: Path) -> None:
    data = f"import torch\n{TEXTS[name]}\n".encode("utf-8", "surrogateescape")
    tmp_path.joinpath(KILLER).write_bytes(data)
    (finding,) = findings_of_killer(tmp_path)
    assert finding.code in ("STB900", "STB901")


@pytest.mark.parametrize("name", DEEP)
def test_a_deep_text_is_checked(name: str, tmp_path: Path) -> None:
    tmp_path.joinpath(KILLER).write_text(f"import torch\n{DEEP[name]}\n")
    assert [finding.code for finding in findings_of_killer(tmp_path)] == ["BAD001"]


def test_deep_texts_are_checked_by_a_worker_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "FEW_FILES", 0)
    files = [tmp_path / f"{number}.py" for number in range(len(DEEP))]
    for path, text in zip(files, DEEP.values(), strict=True):
        path.write_text(f"import torch\n{text}\n")
    results = check_files([str(path) for path in files], PLAN, jobs=1)
    assert [[finding.code for finding in result.findings] for result in results] == [["BAD001"]] * len(DEEP)


def test_a_text_that_takes_too_long_costs_one_finding(tmp_path: Path) -> None:
    tmp_path.joinpath(KILLER).write_text("import torch\n" + "a = [0, 1, 2, 3, 4, 5, 6, 7]\n" * 60_000)
    (finding,) = findings_of_killer(tmp_path, Plan(("BAD001",), time_limit=2.0))
    assert finding.message == "not checked: it took longer than 2 s, the time limit"


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)  # such a name must be short


def make_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100_000_000)


ODD: dict[str, Callable[[Path], None]] = {
    "folder": Path.mkdir,
    "fifo": make_fifo,
    "socket": make_socket,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "loop": lambda path: path.symlink_to(path.name),
    "a hundred megabytes": make_huge,
    "gone": lambda path: None,
}


@pytest.mark.skipif(os.name == "nt", reason="POSIX files")
@pytest.mark.parametrize("name", ODD)
def test_what_is_no_file_costs_one_finding(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ODD[name](tmp_path / KILLER)
    (finding,) = findings_of_killer(tmp_path)
    assert finding.code == "STB900"


@pytest.mark.skipif(os.name == "nt", reason="POSIX files")
def test_what_is_no_file_keeps_no_worker_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "FEW_FILES", 0)
    monkeypatch.chdir(tmp_path)
    files = [tmp_path / f"{number}.py" for number in range(len(ODD))]
    for path, make in zip(files, ODD.values(), strict=True):
        make(path)
    results = check_files([str(path) for path in files], PLAN, jobs=1)
    assert [[finding.code for finding in result.findings] for result in results] == [["STB900"]] * len(ODD)
