"""`stablint check -`: code by standard input."""

import io
import json
import sys
import time
from pathlib import Path

import pytest

from stablint.cli.app import run
from stablint.registry import find_rule, load_rules

CODE = b"from torch import *\nbreakpoint()\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, acme: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CODE)))


@pytest.mark.usefixtures("give")
def test_name_is_used_in_findings_and_to_find_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    Path("sub").mkdir()
    Path("sub/stablint.toml").write_text('select = ["ACM"]\n[per-file-ignores]\n"net.py" = ["ACM102"]\n')
    assert run(["check", "-", "--stdin-filename", "sub/net.py", "--output-format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(each["filename"], each["code"]) for each in found] == [("sub/net.py", "ACM101")]


@pytest.mark.usefixtures("give")
def test_excerpt_is_of_what_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    Path("net.py").write_text("something else\n")
    run(["check", "-", "--stdin-filename", "net.py", "--select", "ACM101"])
    assert "1 | from torch import *" in capsys.readouterr().out


@pytest.mark.usefixtures("give")
def test_without_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "-", "--select", "ACM", "--output-format", "concise"]) == 1
    assert capsys.readouterr().out.startswith("-:1:1: error ACM101")


@pytest.mark.usefixtures("give")
def test_excluded_name_is_checked_unless_forced(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["check", "-", "--stdin-filename", "sub/net.py", "--select", "ACM", "--exclude", "sub"]
    assert run(arguments) == 1
    assert run([*arguments, "--force-exclude"]) == 0


@pytest.mark.usefixtures("give")
def test_fix_writes_the_text_and_reports_beside_it(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["check", "-", "--fix", "--select", "ACM", "--output-format", "concise"]) == 1
    output = capsysbinary.readouterr()
    assert output.out == b"import torch\nbreakpoint()\n"
    assert b"-:2:1: warning ACM102" in output.err


@pytest.mark.usefixtures("give")
def test_text_comes_through_even_if_there_is_nothing_to_fix(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    assert run(["check", "-", "--fix", "--select", "ACM102"]) == 1
    assert capsysbinary.readouterr().out == CODE


@pytest.mark.usefixtures("give")
def test_diff(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "-", "--diff", "--stdin-filename", "net.py", "--select", "ACM"]) == 1
    assert "-from torch import *\n+import torch\n" in capsys.readouterr().out


def test_no_code_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert run(["check", "-", "--select", "ACM"]) == 0


def test_too_much_code_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CODE)))
    assert run(["check", "-", "--size-limit", "10", "--select", "ACM"]) == 1
    assert "STB900" in capsys.readouterr().out


def test_code_that_kills_parsers_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    killer = b"import torch\nx = " + b"(" * 3000 + b")" * 3000
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(killer)))
    assert run(["check", "-", "--select", "ACM"]) == 1
    assert "STB900" in capsys.readouterr().out


def test_code_that_takes_too_long_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CODE)))
    monkeypatch.setattr(find_rule("star-import", load_rules()), "check", lambda *_: time.sleep(1))
    assert run(["check", "-", "--select", "ACM", "--time-limit", "0.1"]) == 1
    assert "took longer than 0.1 s" in capsys.readouterr().out
