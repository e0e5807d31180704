"""Which files are checked: everything that is named is, and nothing is opened or lost on the way."""

import inspect
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from stablint.settings.layer import layer
from stablint.settings.settings import Settings
from stablint.static.discover import Discovered, discover


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, so that no .gitignore of the machine has a say."""
    tmp_path.joinpath("repo/.git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "repo")
    return tmp_path / "repo"


def make(*paths: str) -> None:
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()


def find(*paths: str, force_exclude: bool = False, **table: Sequence[str] | bool) -> Discovered:
    given = {name.replace("_", "-"): value for name, value in table.items()}
    settings = Settings(**layer(given, "test", os.getcwd()).values)
    return discover(paths or (".",), lambda _: settings, force_exclude=force_exclude)


def files(*paths: str, force_exclude: bool = False, **table: Sequence[str] | bool) -> list[str]:
    return find(*paths, force_exclude=force_exclude, **table).files


def test_python_and_notebooks_in_folders_sorted() -> None:
    make("b.py", "a.ipynb", "c.pyi", "d.txt", "sub/deeper/e.py", "sub/a.py", "x.pyc")
    assert files() == ["a.ipynb", "b.py", "sub/a.py", "sub/deeper/e.py"]


def test_named_file_is_checked_whatever_it_is_called() -> None:
    make("script", "b.py")
    assert files("script") == ["script"]


def test_paths_are_said_as_they_were_named_and_each_file_is_checked_once(folder: Path) -> None:
    make("sub/a.py", "b.py")
    assert files("sub/../b.py") == ["sub/../b.py"]
    assert files("./b.py", "b.py", "sub", "sub/a.py", ".") == ["b.py", "sub/a.py"]
    assert files(str(folder), "b.py") == [f"{folder}/b.py", f"{folder}/sub/a.py"]
    assert files("b.py", str(folder)) == [f"{folder}/sub/a.py", "b.py"]


def test_what_is_not_there_is_named_and_the_rest_is_found() -> None:
    make("a.py")
    found = find("gone.py", "a.py", "gone")
    assert (found.missing, found.files) == (["gone.py", "gone"], ["a.py"])


def test_usual_folders_are_left_out_unless_they_are_named() -> None:
    make("a.py", ".venv/b.py", "sub/node_modules/c.py", "build/d.py", "dist/e.py")
    assert files() == ["a.py", "build/d.py"]
    assert files(".venv") == [".venv/b.py"]


def test_exclude() -> None:
    make("a.py", "a_test.py", "sub/b.py", "sub/c/d.py", "other/sub/c/e.py", ".venv/f.py")
    assert files(exclude=["*_test.py", "sub/c"]) == [".venv/f.py", "a.py", "other/sub/c/e.py", "sub/b.py"]
    assert files(extend_exclude=["other", "sub/*.py"]) == ["a.py", "a_test.py"]


def test_named_files_are_excluded_only_by_force() -> None:
    make("sub/c/d.py", "a.py")
    assert files("sub/c/d.py", "a.py", exclude=["sub"]) == ["a.py", "sub/c/d.py"]
    assert files("sub/c/d.py", "a.py", exclude=["sub"], force_exclude=True) == ["a.py"]
    assert files("sub/c", exclude=["sub"], force_exclude=True) == []
    assert files("sub/c", exclude=["d.py"], force_exclude=True) == []


def test_gitignore_files_of_all_depths() -> None:
    make(
        "a.py",
        "gen.py",
        "out/b.py",
        "sub/gen.py",
        "sub/keep.py",
        "sub/out/c.py",
        "sub/deep/x.py",
        "sub/deep/y.py",
    )
    Path(".gitignore").write_text("# comment\ngen.py\nout/\n/sub/keep.py\n")
    Path("sub/.gitignore").write_text("!keep.py\n")
    Path("sub/deep/.gitignore").write_text("*\n!y.py\n")
    assert files() == ["a.py", "sub/deep/y.py", "sub/keep.py"]
    assert files("gen.py") == ["gen.py"]
    assert "gen.py" in files(respect_gitignore=False)


def test_gitignore_above_counts_as_far_as_the_repository_goes(folder: Path) -> None:
    make("sub/deep/a.py", "sub/deep/b.py", "sub/deep/c.py")
    folder.parent.joinpath(".gitignore").write_text("a.py\n")
    Path(".gitignore").write_text("b.py\n")
    assert files("sub/deep") == ["sub/deep/a.py", "sub/deep/c.py"]
    folder.joinpath(".git").rmdir()
    assert files("sub/deep") == ["sub/deep/a.py", "sub/deep/b.py", "sub/deep/c.py"]


def test_odd_patterns_are_told_and_the_others_hold() -> None:
    make("a.py", "b.py", "c.py")
    Path(".gitignore").write_bytes(b"a.py\n!\n\xff\xfe*\x00\n[z-a].py\nb.py\n")
    found = find()
    assert found.files == ["c.py"]
    assert found.warnings
    assert all(each.startswith(".gitignore:") for each in found.warnings)
    assert ".gitignore:2: this pattern is not understood" in found.warnings


def test_gitignore_that_is_a_folder_or_a_pipe_is_passed_over() -> None:
    make("a.py", "sub/b.py")
    Path(".gitignore").mkdir()
    os.mkfifo("sub/.gitignore")
    assert files() == ["a.py", "sub/b.py"]


def test_links() -> None:
    make("a.py", "sub/b.py", "outside.txt")
    os.symlink("a.py", "link.py")
    os.symlink("gone.py", "dangling.py")
    os.symlink("loop.py", "loop.py")
    os.symlink(".", "round")
    os.symlink("sub", "folder.py")
    assert files() == ["a.py", "dangling.py", "link.py", "loop.py", "sub/b.py"]
    assert files("round/sub", "dangling.py", "loop.py") == ["dangling.py", "loop.py", "round/sub/b.py"]


def test_odd_files_are_handed_on_unopened() -> None:
    os.mkfifo("pipe.py")
    os.symlink("/dev/zero", "zero.py")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.py")
        assert files() == ["pipe.py", "socket.py", "zero.py"]
        assert files("pipe.py", "/dev/null") == ["/dev/null", "pipe.py"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_folder_without_permission_is_handed_on() -> None:
    make("a.py", "shut/b.py")
    os.chmod("shut", 0)
    try:
        assert files() == ["a.py", "shut"]
    finally:
        os.chmod("shut", 0o700)


def test_folder_that_is_gone_when_its_turn_comes_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    make("a.py", "shut/b.py")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("shut"):
            raise PermissionError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert files() == ["a.py", "shut"]


def test_folders_may_lie_deeper_in_each_other_than_calls() -> None:
    make("d/" * 200 + "a.py")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        assert files() == ["d/" * 200 + "a.py"]
    finally:
        sys.setrecursionlimit(limit)


def test_names_that_are_no_text() -> None:
    make(os.fsdecode(b"caf\xe9.py"), "new\nline.py", "[a].py")
    assert files() == ["[a].py", os.fsdecode(b"caf\xe9.py"), "new\nline.py"]
