"""`stablint check --fix` and its kin."""

import os
from pathlib import Path

import pytest

from stablint.cli.app import run
from stablint.fixes import ChangedError

BOTH = "from torch import *\nbreakpoint()\n"
ACM = ["check", "--isolated", "--select", "ACM", "--output-format", "concise"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, acme: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("both.py").write_text(BOTH)


def test_fix_applies_what_is_safe_and_reports_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ACM, "--fix"]) == 1
    assert Path("both.py").read_text() == "import torch\nbreakpoint()\n"
    out = capsys.readouterr().out
    assert "both.py:2:1: warning ACM102" in out
    assert "ACM101" not in out
    assert "Fixed 1 finding in 1 file." in out


def test_second_fix_changes_nothing() -> None:
    run([*ACM, "--fix", "--unsafe-fixes"])
    before = Path("both.py").stat()
    assert run([*ACM, "--fix", "--unsafe-fixes"]) == 0
    assert Path("both.py").stat().st_mtime_ns == before.st_mtime_ns


def test_unsafe_fixes_are_applied_if_asked_for() -> None:
    assert run([*ACM, "--fix", "--unsafe-fixes"]) == 0
    assert Path("both.py").read_text() == "import torch\n"


def test_show_fixes_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    run([*ACM, "--fix", "--show-fixes"])
    assert "  both.py:1:1: error ACM101" in capsys.readouterr().out


@pytest.mark.parametrize("option", [["--unfixable", "star-import"], ["--fixable", "ACM102"]])
def test_fixes_of_some_rules_only(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ACM, "--fix", "--unsafe-fixes", *option]) == 1
    assert Path("both.py").read_text() == "from torch import *\n"
    out = capsys.readouterr().out
    assert "both.py:1:1: error ACM101 star-import" in out  # and no [*]
    run([*ACM, *option, "both.py"])
    assert "fixable with --fix" not in capsys.readouterr().out


def test_fix_only_reports_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ACM, "--fix-only"]) == 0
    assert Path("both.py").read_text() == "import torch\nbreakpoint()\n"
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "")


def test_fix_only_does_not_keep_quiet_about_what_was_not_checked(capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.py").write_text("import torch\nx = (\n")
    for option in ("--fix-only", "--diff"):
        assert run([*ACM, option, "broken.py"]) == 1
        assert capsys.readouterr().err.startswith("error: broken.py: ")


def test_diff_shows_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ACM, "--diff"]) == 1
    assert Path("both.py").read_text() == BOTH
    assert capsys.readouterr().out.splitlines() == [
        "--- both.py",
        "+++ both.py",
        "@@ -1,2 +1,2 @@",
        "-from torch import *",
        "+import torch",
        " breakpoint()",
    ]


def test_diff_of_nothing_is_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ACM, "--diff", "--ignore", "ACM101"]) == 0
    assert capsys.readouterr().out == ""


def test_file_that_somebody_changes_meanwhile_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def changed(path: str, *_: bytes) -> None:
        raise ChangedError(path)

    monkeypatch.setattr("stablint.cli.mend.write_atomically", changed)
    assert run([*ACM, "--fix"]) == 1
    out = capsys.readouterr().out
    assert "Left as it was: both.py: it was changed by somebody else" in out
    assert "both.py:1:1: error ACM101" in out


def test_file_that_cannot_be_written_is_reported_and_the_others_are_fixed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from stablint.cli import mend

    write = mend.write_atomically

    def refuse(path: str, old: bytes, new: bytes) -> None:
        if path == "both.py":
            raise PermissionError(13, "Permission denied")
        write(path, old, new)

    monkeypatch.setattr(mend, "write_atomically", refuse)
    Path("other.py").write_text(BOTH)
    assert run([*ACM, "--fix"]) == 1
    assert Path("other.py").read_text() == "import torch\nbreakpoint()\n"
    assert "Left as it was: both.py: it cannot be written: " in capsys.readouterr().out


def test_link_stays_a_link() -> None:
    os.rename("both.py", "real.py")
    os.symlink("real.py", "both.py")
    run([*ACM, "--fix", "both.py"])
    assert os.path.islink("both.py")
    assert Path("real.py").read_text() == "import torch\nbreakpoint()\n"
