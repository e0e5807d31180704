"""The bar: only for runs that take long, only on a terminal, and gone at the end."""

import contextlib
import io
import subprocess
import sys

import pytest

from stablint.cli import progress
from stablint.cli.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")


def shown(screen: io.StringIO, *steps: int, wanted: bool = True, broken_off: bool = False) -> str:
    """Return what a run of eight files writes to stderr that says how many are done at each step."""
    with contextlib.redirect_stderr(screen), progress_bar(wanted=wanted) as tell:
        for step in steps:
            if tell is not None:
                tell(step, 8)
        if broken_off:
            raise KeyboardInterrupt
    return screen.getvalue()


def test_a_long_run_is_shown_and_leaves_nothing() -> None:
    text = shown(Terminal(), 3, 8)
    assert "8/8" in text
    assert text.endswith("\x1b[2K")  # the line is wiped


def test_a_short_run_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 1000.0)
    assert shown(Terminal(), 3, 8) == ""


def test_a_run_that_is_already_over_shows_nothing() -> None:
    assert shown(Terminal(), 8) == ""


def test_a_run_that_is_not_on_a_terminal_shows_nothing() -> None:
    assert shown(io.StringIO(), 3, 8) == ""


def test_a_quiet_run_shows_nothing() -> None:
    assert shown(Terminal(), 3, 8, wanted=False) == ""


def test_a_terminal_that_cannot_move_its_cursor_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert shown(Terminal(), 3, 8) == ""


def test_the_terminal_is_as_before_when_the_run_is_broken_off() -> None:
    screen = Terminal()
    with pytest.raises(KeyboardInterrupt):
        shown(screen, 3, broken_off=True)
    text = screen.getvalue()
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is back


def test_rich_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, stablint.cli.progress; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
