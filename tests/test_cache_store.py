"""The cache on disk: whatever is in its folder, a run comes to its end, and deletes nothing that is not its own."""

from __future__ import annotations

import json
import os
import threading
import zlib
from pathlib import Path

import msgspec
import pytest
from cached_projects import PLAN, Checked, python_files, write

from stablint.cache import store
from stablint.cache.memory import Entry, Memory, Node, Told
from stablint.cache.store import load, save
from stablint.finding import Finding, Location, Position, Severity
from stablint.static.result import Link, digest

TEXT = "import torch\ndef f(x):\n    return torch.log(torch.softmax(x, dim=1))\n"
PLACE = Location("odd\udcff.py", Position(1, 1), Position(1, 2))
FINDING = Finding(PLACE, "STB301", "log-of-softmax", "log of softmax", Severity.ERROR)
MEMORY = Memory(
    {"x.py": Entry(None, (), Node("12", ("/y.py",), {"file /y.py": True}))},
    {"/y.py": Node("34", (), {})},
)
ODD = Memory({"odd\udcff.py": Entry(("STB301",), (FINDING,), Node("12", (), {}))})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("memory", [MEMORY, ODD, Memory()], ids=["plain", "no unicode", "nothing"])
def test_what_is_saved_is_loaded(memory: Memory) -> None:
    save("cache", "ab12", memory)
    assert load("cache", "ab12") == memory
    assert load("cache", "ab13") == Memory()
    assert not list(Path("cache").glob("*new"))


def sealed(body: bytes) -> bytes:
    """A file as stablint writes it, of whatever content."""
    packed = zlib.compress(body)
    return digest(packed).encode() + b"\n" + packed


WHOLE = json.dumps(msgspec.to_builtins(MEMORY)).encode()
BROKEN = {
    "empty": b"",
    "one line": b"0" * 32,
    "no digest": WHOLE,
    "wrong digest": b"0" * 32 + b"\n" + WHOLE,
    "half": sealed(WHOLE)[: len(WHOLE) // 2],
    "one bit": sealed(WHOLE)[:-9] + b"x" + sealed(WHOLE)[-8:],
    "nothing behind the digest": digest(b"").encode() + b"\n",
    "not packed": digest(WHOLE).encode() + b"\n" + WHOLE,
    "nothing is packed": sealed(b""),
    "binary": bytes(range(256)) * 20,
    "not JSON": sealed(b"{"),
    "other JSON": sealed(b"[1, 2]"),
    "a number": sealed(b"1"),
    "other fields": sealed(b'{"entries": {"x.py": 3}}'),
    "too few fields": sealed(b'{"entries": {"x.py": [null, []]}}'),
    "other answers": sealed(WHOLE.replace(b"true", b'"yes"')),
    "deep": sealed(b"[" * 100_000 + b"]" * 100_000),
    "not UTF-8": sealed(b'{"entries": {"\xff": 3}}'),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_a_damaged_file_is_nothing(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("cache").mkdir()
    Path("cache/ab12.stablint").write_bytes(data)
    assert load("cache", "ab12") == Memory()
    Path("cache/ab12.stablint").unlink()
    checked = Checked(monkeypatch)
    write({"x.py": TEXT})
    checked()
    (path,) = Path(".cache").glob("*.stablint")
    path.write_bytes(data)
    assert checked() == ["x.py"]
    assert checked() == []


def test_a_question_that_nobody_asks_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = Checked(monkeypatch)
    write({"x.py": TEXT})
    checked()
    (path,) = Path(".cache").glob("*.stablint")
    for asked in ({"": True}, {"top /a\0b": True}, {"file /\ud800": True}, {"\0": True}):
        own = Node(digest(TEXT.encode()), ("/a\0b", "\ud800"), asked)
        save(".cache", path.stem, Memory({"x.py": Entry(None, (), own)}, {"/a\0b": own, "\ud800": own}))
        assert checked() == ["x.py"]


def test_a_huge_file_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = Checked(monkeypatch)
    write({"x.py": TEXT})
    checked()
    (path,) = Path(".cache").glob("*.stablint")
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    assert checked() == ["x.py"]
    assert checked() == []


@pytest.mark.parametrize("kind", ["file", "link to nothing", "unwritable", "inside a file", "no name"])
def test_a_folder_that_cannot_be(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = Checked(monkeypatch)
    if kind == "file":
        Path(".cache").write_text("mine\n")
    elif kind == "link to nothing":
        os.symlink("/nowhere/at/all", ".cache")
    elif kind == "unwritable":
        checked.folder = "/proc/cache"  # where even root makes no folder
    elif kind == "inside a file":
        Path("mine").write_text("mine\n")
        checked.folder = "mine/cache"
    else:
        checked.folder = "a\0b"
    write({"x.py": TEXT})
    assert checked() == ["x.py"]
    assert checked() == ["x.py"]
    assert not Path("mine").exists() or Path("mine").read_text() == "mine\n"


def test_a_full_disk_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    save("cache", "ab12", MEMORY)
    assert sorted(os.listdir("cache")) == [".gitignore", "CACHEDIR.TAG"]


def test_the_folder_says_what_it_is() -> None:
    save("cache", "ab12", MEMORY)
    assert Path("cache/CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    assert Path("cache/.gitignore").read_text() == "*\n"


def test_a_folder_of_others_is_left_as_it_is() -> None:
    Path("data").mkdir()
    names = [f"data/{number:024x}.json" for number in range(100)] + ["data/notes.stablint"]
    for name in names:
        Path(name).write_text("mine\n")
        os.utime(name, (0, 0))
    for number in range(store.KEPT + 3):
        save("data", f"{number:024x}", MEMORY)
    assert all(Path(name).read_text() == "mine\n" for name in names)
    assert not Path("data/.gitignore").exists()
    assert len(list(Path("data").iterdir())) == len(names) + store.KEPT


def test_what_was_used_last_is_kept() -> None:
    for number in range(store.KEPT):
        save("cache", f"{number:02x}", MEMORY)
        os.utime(f"cache/{number:02x}.stablint", (number, number))
    load("cache", "00")
    save("cache", "ff", MEMORY)
    assert Path("cache/00.stablint").exists()
    assert not Path("cache/01.stablint").exists()


def test_what_a_killed_run_has_left_goes() -> None:
    Path("cache").mkdir()
    for name, when in (("old", 0), ("mine", None)):
        Path(f"cache/{name}.stablint-new").touch()
        if when is not None:
            os.utime(f"cache/{name}.stablint-new", (when, when))
    save("cache", "ab12", MEMORY)
    assert sorted(os.listdir("cache")) == ["ab12.stablint", "mine.stablint-new"]


def test_many_write_at_once() -> None:
    memories = [
        Memory({f"{number}.py": Entry(None, (FINDING,) * 50, Node("12", (), {}))}) for number in range(8)
    ]

    def often(memory: Memory) -> None:
        for _ in range(20):
            save("cache", "ab12", memory)
            assert load("cache", "ab12") in memories

    failures: list[object] = []
    monitor, threading.excepthook = threading.excepthook, failures.append
    try:
        threads = [threading.Thread(target=often, args=(memory,)) for memory in memories]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        threading.excepthook = monitor
    assert failures == []
    assert load("cache", "ab12") in memories
    assert sorted(os.listdir("cache")) == [".gitignore", "CACHEDIR.TAG", "ab12.stablint"]


def entry(*leads: str) -> Entry:
    return Entry(None, (), Node("own", leads, {}))


def test_what_two_workers_tell_is_put_together() -> None:
    told = Told({}, {"x.py": entry("/net.py")})
    told.add([Link("/net.py", "1", ("/a.py",), {"file /a.py": True})])
    told.add([Link("/net.py", "1", ("/b.py",), {"file /b.py": True}), Link("/a.py", "2", (), {})])
    memory = Memory()
    memory.learn(told)
    assert memory.entries == {}  # nobody has told of b.py
    told.add([Link("/b.py", "3", (), {})])
    memory.learn(told)
    assert list(memory.entries) == ["x.py"]
    assert memory.nodes["/net.py"] == Node("1", ("/a.py", "/b.py"), {"file /a.py": True, "file /b.py": True})


@pytest.mark.parametrize(
    "other",
    [Link("/net.py", "2", (), {}), Link("/net.py", "1", (), {"file /a.py": False})],
    ids=["content", "answer"],
)
def test_what_two_workers_have_seen_differently_is_not_remembered(other: Link) -> None:
    first = Link("/net.py", "1", (), {"file /a.py": True})
    for told_last in (first, other):
        memory = Memory({"z.py": entry("/net.py")}, {"/net.py": Node("1", (), {})})
        told = Told({}, {"x.py": entry("/mid.py"), "y.py": entry()})
        told.add([Link("/mid.py", "5", ("/net.py",), {}), first])
        told.add([other])
        told.add([told_last])
        memory.learn(told)
        assert list(memory.entries) == ["y.py"]
        assert "/net.py" not in memory.nodes


def test_results_that_rest_on_older_files_go() -> None:
    memory = Memory({"z.py": entry("/net.py"), "y.py": entry()}, {"/net.py": Node("1", (), {})})
    told = Told({}, {"x.py": entry("/net.py")})
    told.add([Link("/net.py", "2", (), {})])
    memory.learn(told)
    assert sorted(memory.entries) == ["x.py", "y.py"]


def test_nothing_is_written_where_nothing_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = Checked(monkeypatch)
    write({"x.py": TEXT})
    checked()
    (path,) = Path(".cache").glob("*.stablint")
    before = path.stat().st_ino
    assert checked() == []
    assert path.stat().st_ino == before
    assert checked.found(PLAN, python_files())["x.py"]
