"""Exit statuses, and the one line that explains a mistake."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stablint.cli.app import run
from stablint.errors import UsageError
from stablint.registry import find_rule, load_rules

BOTH = "from torch import *\nbreakpoint()\n"
ACM = ["--isolated", "--select", "ACM"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, acme: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("error.py").write_text("from torch import *\n")
    tmp_path.joinpath("warning.py").write_text("import torch\nbreakpoint()\n")
    tmp_path.joinpath("note.py").write_text("import torch\n\n\n\n\n")
    tmp_path.joinpath("clean.py").write_text("import torch\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["clean.py"], 0),
        (["note.py"], 0),
        (["warning.py"], 1),
        (["error.py"], 1),
        (["clean.py", "error.py"], 1),
        (["warning.py", "--fail-on", "error"], 0),
        (["error.py", "--fail-on", "error"], 1),
        (["warning.py", "--max-warnings", "1"], 0),
        (["warning.py", "error.py", "--max-warnings", "1"], 1),
        (["error.py", "--exit-zero"], 0),
        (["error.py", "--fix"], 0),
        (["error.py", "--fix", "--exit-non-zero-on-fix"], 1),
        (["error.py", "--diff"], 1),
        (["warning.py", "--diff"], 0),
        (["clean.py", "nowhere.py"], 2),
        (["error.py", "nowhere.py"], 2),
        (["error.py", "nowhere.py", "--exit-zero"], 2),
    ],
)
def test_status(arguments: list[str], status: int) -> None:
    assert run(["check", *ACM, *arguments]) == status


def test_missing_path_is_named_and_the_others_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", *ACM, "--output-format", "concise", "nowhere.py", "error.py"]) == 2
    output = capsys.readouterr()
    assert output.err == "error: no such file or folder: nowhere.py\n"
    assert "error.py:1:1: error ACM101" in output.out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["check", "--slect", "ACM"], "error: No such option '--slect'. (Did you mean "),
        (["check", "--jobs", "0"], "error: Invalid value for '-j' / '--jobs'"),
        (["chek", "."], 'error: no command is called "chek"; did you mean "check"?'),
        (["error.py"], 'error: "error.py" is a path, not a command; to check it: stablint check error.py'),
        (["sub/gone.py"], 'error: no command is called "sub/gone.py"; to check a path: stablint check PATH'),
        (
            ["check", "--select", "ACM9"],
            'error: command line: select: no rule is called "ACM9"; did you mean "ACM',
        ),
        (
            ["check", "--ignore", "star-imprt"],
            'error: command line: ignore: no rule is called "star-imprt"; did you mean "star-import"?',
        ),
        (
            ["check", "--ignore", "syntax-error"],
            "error: command line: ignore: syntax-error cannot be ignored; exclude the file instead",
        ),
        (["check", "--per-file-ignores", "ACM101"], 'error: --per-file-ignores: "ACM101" is not GLOB:RULE'),
        (["check", "--config", "gone.toml"], "error: gone.toml: no such configuration file"),
        (
            ["check", "--config", "slect=['ACM']"],
            "error: --config 'slect=['ACM']': unknown key \"slect\"; did you mean \"select\"?",
        ),
        (
            ["check", "--config", "output-format=json"],
            "error: --config 'output-format=json': neither a file nor TOML",
        ),
        (
            ["check", "--config", "error.py", "--isolated"],
            "error: --config with a file and --isolated contradict",
        ),
        (
            ["check", "--config", "error.py", "--config", "note.py"],
            "error: --config: error.py and note.py are both",
        ),
        (["check", "-", "error.py"], "error: - is standard input, which is not checked together with files"),
        (
            ["check", "-o", "nowhere/report"],
            "error: --output-file: nowhere/report cannot be written: No such file",
        ),
        (["rule", "star-imprt"], 'error: no rule is called "star-imprt"; did you mean "star-import"?'),
        (["rule"], "error: stablint rule: give the name or code of one rule, or --all"),
        (["rule", "ACM101", "--all"], "error: stablint rule: give the name or code of one rule, or --all"),
    ],
)
def test_mistake_is_one_line_and_status_2(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    output = capsys.readouterr()
    assert output.err.startswith(line)
    assert output.err.count("\n") == 1
    assert output.out == ""


def test_mistake_in_a_selector_counts_even_if_there_is_nothing_to_check() -> None:
    os.mkdir("empty")
    assert run(["check", "empty"]) == 0
    assert run(["check", "empty", "--select", "ACM9"]) == 2


def test_mistake_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "a\x1b[2Jb\nc.py"]) == 2
    assert capsys.readouterr().err == "error: no such file or folder: a\\x1b[2Jb\\nc.py\n"


def test_unexpected_failure_asks_for_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("stablint.cli.run.discover", _fail)
    assert run(["check"]) == 3
    assert capsys.readouterr().err == "internal error: KeyError: 'x'; please report it (-v shows where)\n"
    assert run(["check", "-v"]) == 3
    told = capsys.readouterr().err
    assert told.startswith("Traceback")
    assert told.endswith("internal error: KeyError: 'x'; please report it\n")


def _fail(*_: object, **__: object) -> None:
    raise KeyError("x")


def test_rule_that_raises_is_status_3_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(find_rule("star-import", load_rules()), "check", _fail)
    Path("both.py").write_text(BOTH)
    assert run(["check", *ACM, "both.py", "nowhere.py", "--output-format", "concise", "--exit-zero"]) == 3
    told = capsys.readouterr().out
    assert "both.py:1:1: error STB909 internal-error: star-import failed: KeyError: 'x'" in told
    assert "both.py:2:1: warning ACM102" in told


def test_interruption_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stablint.cli.run.discover", interrupt)
    assert run(["check"]) == 130


def test_usage_error_is_told_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise UsageError("try something else")

    monkeypatch.setattr("stablint.cli.run.discover", refuse)
    assert run(["check"]) == 2
    assert capsys.readouterr().err == "error: try something else\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals of that kind")
def test_closed_pipe_is_silent(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "stablint", "rule", "--all"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 128 + signal.SIGPIPE
