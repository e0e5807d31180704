"""Reading what may be anything but a file."""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stablint.static.workers import reading
from stablint.static.workers.reading import RefusedError, read_file


def fifo(path: Path) -> None:
    os.mkfifo(path)


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def linked_to_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100_000_000)


ODD: list[tuple[Callable[[Path], None], str]] = [
    (Path.mkdir, "it is a folder, not a regular file"),
    (fifo, "it is a named pipe, not a regular file"),
    (linked_to_fifo, "it is a named pipe, not a regular file"),
    (bound_socket, "it is a socket, not a regular file"),
    (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a regular file"),
    (lambda path: path.symlink_to("nowhere"), "it is a link to something that does not exist"),
    (lambda path: path.symlink_to(path.name), "its links lead in a circle"),
    (lambda path: None, "it does not exist"),
    (huge, "it has more than 50,000,000 bytes"),
]


@pytest.mark.skipif(os.name == "nt", reason="POSIX files")
@pytest.mark.parametrize(("make", "reason"), ODD, ids=[reason for _, reason in ODD])
def test_what_is_no_file_is_named(
    make: Callable[[Path], None], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    make(Path("odd.py"))
    with pytest.raises(RefusedError) as refused:
        read_file("odd.py")
    assert str(refused.value) == reason


@pytest.fixture
def nobody() -> Iterator[None]:
    """Be no longer root, who may read everything."""
    if os.name == "nt":
        pytest.skip("POSIX permissions")
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)


def test_a_file_without_permission_is_named(nobody: None) -> None:
    with tempfile.TemporaryDirectory() as folder:  # one that nobody may enter
        path = Path(folder, "secret.py")
        path.touch(mode=0)
        with pytest.raises(RefusedError, match="permission denied"):
            read_file(str(path))


def test_a_name_that_none_can_have_is_named() -> None:
    with pytest.raises(RefusedError, match="its name cannot be that of a file"):
        read_file("a\0b.py")


@pytest.mark.parametrize("data", [b"", b"import torch\n", os.urandom(100_000)])
def test_a_file_is_read_whole(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(data)
    assert read_file(str(path)) == data


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux")
def test_a_file_that_claims_to_be_empty_is_read_whole() -> None:
    assert b"VmRSS" in read_file("/proc/self/status")


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux")
def test_a_file_that_is_larger_than_it_claims_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "READ_LIMIT", 100)
    with pytest.raises(RefusedError, match="more than 100 bytes"):
        read_file("/proc/self/status")
