"""`stablint check` with what it remembers: which options use it, and where it is."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from cached_projects import write

from stablint.cli.app import run

SOFT = "import torch\ndef head(x):\n    return torch.softmax(x, dim=1)\n"
LOSS = "import torch\nfrom net import head\ndef loss(x):\n    return torch.log(head(x))\n"
OWN = "import torch\ndef loss(x):\n    return torch.log(torch.softmax(x, dim=1))\n"
CONCISE = ["check", "--select", "STB301", "--output-format", "concise"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write({"net.py": SOFT, "train.py": LOSS, "own.py": OWN})


def remembered(folder: str = ".stablint_cache") -> int:
    return len(list(Path(folder).glob("*.stablint")))


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    run([*CONCISE, *arguments])
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [[], ["--output-format", "json"], ["--output-format", "full"], ["--statistics"]]
)
def test_what_is_said_is_the_same(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    expected = said(capsys, *arguments, "--no-cache")
    assert remembered() == 0
    assert "log-of-softmax" in expected
    assert [said(capsys, *arguments) for _ in range(2)] == [expected] * 2
    assert remembered() == 1


def test_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "--cache-dir", "sub/of/mine")
    assert remembered("sub/of/mine") == 1
    write({"stablint.toml": 'cache-dir = "configured"\n'})
    said(capsys)
    assert remembered("configured") == 1
    assert remembered() == 0


def test_it_is_not_checked_itself(capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys)
    write({".stablint_cache/x.py": OWN})
    run(["check", "--no-respect-gitignore", "--show-files"])
    assert capsys.readouterr().out == "net.py\nown.py\ntrain.py\n"


def test_times_are_not_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "--timings")
    assert remembered() == 0
    said(capsys)
    run([*CONCISE, "--timings"])
    assert "s  log-of-softmax" in capsys.readouterr().err


def test_standard_input_is_not_remembered(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said(capsys)
    before = {path: path.read_bytes() for path in Path(".stablint_cache").iterdir()}
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"import torch\n")))
    assert "own.py" not in said(capsys, "--stdin-filename", "own.py", "-")
    assert {path: path.read_bytes() for path in Path(".stablint_cache").iterdir()} == before


def test_what_was_fixed_is_checked_again(capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys)
    assert "Fixed 1 finding" in said(capsys, "--fix", "own.py")
    assert "log_softmax" in Path("own.py").read_text()
    assert "own.py" not in said(capsys)
    assert "train.py" in said(capsys)
    write({"own.py": OWN})
    assert "own.py" in said(capsys)


def test_a_setting_that_changes(capsys: pytest.CaptureFixture[str]) -> None:
    assert "own.py:3:12: error STB301" in said(capsys)
    write({"stablint.toml": '[rules.log-of-softmax]\nseverity = "note"\n'})
    assert "own.py:3:12: note STB301" in said(capsys)
    write({"stablint.toml": '[per-file-ignores]\n"own.py" = ["STB301"]\n'})
    assert "own.py" not in said(capsys)
    assert "train.py" in said(capsys)
    write({"stablint.toml": None})
    assert "own.py:3:12: error STB301" in said(capsys)
    assert "[*]" in said(capsys)
    assert "[*]" not in said(capsys, "--unfixable", "STB301")


def test_a_folder_that_nobody_may_write(capsys: pytest.CaptureFixture[str]) -> None:
    os.symlink("/proc/nowhere", ".stablint_cache")
    assert run([*CONCISE]) == 1
    output = capsys.readouterr()
    assert "own.py" in output.out
    assert output.err == ""
