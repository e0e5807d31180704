from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stablint.fixes.write import ChangedError, write_atomically

ROOT = Path(__file__).parent.parent


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_bytes(b"old\r\n")
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("mode", [0o644, 0o755, 0o600, 0o664])
def test_the_text_is_replaced_and_the_mode_kept(file: Path, mode: int) -> None:
    file.chmod(mode)
    write_atomically(str(file), b"old\r\n", b"new\r\n")
    assert file.read_bytes() == b"new\r\n"
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert names(file.parent) == ["train.py"]


def test_a_file_that_changed_meanwhile_is_left_alone(file: Path) -> None:
    with pytest.raises(ChangedError):
        write_atomically(str(file), b"what was read", b"new")
    assert file.read_bytes() == b"old\r\n"
    assert names(file.parent) == ["train.py"]


def test_a_linked_file_that_changed_meanwhile_is_left_alone(file: Path) -> None:
    os.link(file, file.parent / "second.py")
    with pytest.raises(ChangedError):
        write_atomically(str(file), b"what was read", b"new")
    assert file.read_bytes() == b"old\r\n"
    assert names(file.parent) == ["second.py", "train.py"]


def test_a_symbolic_link_stays_one(file: Path) -> None:
    folder = file.parent / "links"
    folder.mkdir()
    link = folder / "link.py"
    link.symlink_to("../train.py")
    write_atomically(str(link), b"old\r\n", b"new")
    assert link.is_symlink()
    assert file.read_bytes() == b"new"
    assert names(folder) == ["link.py"]


def test_hard_links_stay_one_file(file: Path) -> None:
    second = file.parent / "second.py"
    os.link(file, second)
    write_atomically(str(file), b"old\r\n", b"n")
    assert second.read_bytes() == file.read_bytes() == b"n"
    assert file.stat().st_ino == second.stat().st_ino
    assert names(file.parent) == ["second.py", "train.py"]


def test_a_file_of_somebody_else_is_written_in_place(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inode = file.stat().st_ino
    monkeypatch.setattr("stablint.fixes.write._same_owner", lambda *_: False)
    write_atomically(str(file), b"old\r\n", b"new")
    assert file.read_bytes() == b"new"
    assert file.stat().st_ino == inode
    assert names(file.parent) == ["train.py"]


@pytest.mark.parametrize("failing", ["os.replace", "os.fsync", "os.chmod"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    file: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(failing, fail)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(str(file), b"old\r\n", b"new")
    monkeypatch.undo()
    assert file.read_bytes() == b"old\r\n"
    assert names(file.parent) == ["train.py"]


def test_a_write_in_place_that_fails_keeps_a_copy_and_says_where(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.link(file, file.parent / "second.py")
    calls = []

    def fail_the_second_time(_: int) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", fail_the_second_time)
    with pytest.raises(OSError, match="no space left") as caught:
        write_atomically(str(file), b"old\r\n", b"new")
    (copy,) = (path for path in file.parent.iterdir() if path.name.startswith(".stablint-"))
    assert copy.read_bytes() == b"old\r\n"
    assert str(copy) in caught.value.__notes__[0]


def test_what_is_read_only_or_no_file_is_not_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(file.parent / "pipe.py")
    with pytest.raises(OSError, match="not a regular file"):
        write_atomically(str(file.parent / "pipe.py"), b"", b"new")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(PermissionError):
        write_atomically(str(file), b"old\r\n", b"new")
    assert file.read_bytes() == b"old\r\n"


def test_a_killed_writer_leaves_old_or_new() -> None:
    script = ROOT / "tests" / "campaigns" / "kill_while_writing.py"
    done = subprocess.run(
        [sys.executable, str(script), "10"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(int(told.split("=")[1]) for told in done.stdout.split()) == 10
