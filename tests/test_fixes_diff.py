from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from stablint.fixes import unified_diff

OLD = "".join(f"line {number}\n" for number in range(1, 12))


def test_nothing_changed_is_nothing() -> None:
    assert unified_diff("a.py", b"x\n", b"x\n") == ""


def test_a_diff_in_the_usual_form() -> None:
    new = OLD.replace("line 6\n", "line six\nand more\n")
    assert unified_diff("src/a.py", OLD.encode(), new.encode()) == (
        "--- src/a.py\n+++ src/a.py\n@@ -3,7 +3,8 @@\n line 3\n line 4\n line 5\n"
        "-line 6\n+line six\n+and more\n line 7\n line 8\n line 9\n"
    )


@pytest.mark.skipif(shutil.which("patch") is None, reason="patch is not installed")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (OLD, OLD.replace("line 1\n", "").replace("11\n", "eleven\n")),
        ("a\n\tb", "a\n\tc"),
        ("a\nb", "a\nb\n"),
        ("a\nb\n", "a\nb"),
        ("x = 'ü 🤗'\r\ny\r\n", "x = 'ü 🤗'\r\nz\r\n"),
        ("", "a\n"),
    ],
)
def test_patch_makes_of_it_what_was_meant(old: str, new: str, tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_bytes(old.encode())
    diff = unified_diff("a.py", old.encode(), new.encode())
    subprocess.run(
        ["patch", "--binary", "-p0"], cwd=tmp_path, input=diff.encode(), check=True, capture_output=True
    )
    assert file.read_bytes() == new.encode()


def test_a_diff_drives_no_terminal_and_no_log() -> None:
    old = b"::error::x\n\x1b[31m\x9b\n##[group]\nbad\n"
    diff = unified_diff("a\n\x1b.py", old, old.replace(b"bad", "good \u202e".encode()))
    assert "\n \\x3a:error::x\n" in diff
    assert "\n \\x1b[31m" in diff
    assert diff.startswith("--- a\\n\\x1b.py\n")
    assert "\\u202e" in diff
    assert "##[" not in diff
    assert not [char for char in diff if char in "\x1b\x9b\u202e"]


def test_a_file_in_another_encoding_is_shown_as_text() -> None:
    old = "# coding: latin-1\nx = 'ü'\nbad\n".encode("latin-1")
    assert " x = 'ü'\n" in unified_diff("a.py", old, old.replace(b"bad", b"good"))
