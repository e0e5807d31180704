"""Checking code never imports or runs it, nor anything that stands beside it."""

import json
import os
import sys
from pathlib import Path

import pytest
from audited import FIXTURES, Audited, audited

from stablint.__main__ import leave_current_folder

MODULES = (
    # what stablint imports, now or later
    *("click", "libcst", "msgspec", "pathspec", "rich_click", "stablint_rules", "torch"),
    *("csv", "dataclasses", "difflib", "email", "enum", "faulthandler", "gc", "inspect", "json", "pickle"),
    *("queue", "re", "resource", "string", "struct", "subprocess", "tempfile", "textwrap", "threading"),
    *("tokenize", "tomllib", "typing", "zipfile"),
    # what tools run in a folder
    *("__init__", "__main__", "conftest", "helper", "noxfile", "setup", "sitecustomize", "usercustomize"),
)
"""Not among them is what Python imports for `-m` before stablint has a say: contextlib, types and so on."""

RUN = "-c", "import sys; from stablint.__main__ import main; sys.exit(main())"
"""What the script `stablint` does."""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    tree.mkdir()
    marker = tmp_path / "was-run"
    code = f"import os\nos.mkdir({str(marker)!r})\nimport torch\nfrom torch import *\n"
    for name in MODULES:
        tree.joinpath(f"{name}.py").write_text(code)
    tree.joinpath("rich").mkdir()
    tree.joinpath("rich/__init__.py").write_text(code)
    tree.joinpath("evil.pth").write_text(f"import os; os.mkdir({str(marker)!r})\n")
    info = tree / "evil-1.0.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    info.joinpath("entry_points.txt").write_text("[stablint.rules]\nevil = conftest\n")
    tree.joinpath("pyproject.toml").write_text(
        '[project.entry-points."stablint.rules"]\nevil = "conftest"\n[tool.stablint]\nselect = ["ACM101"]\n'
    )
    tree.joinpath(".git").mkdir()
    tree.joinpath(".git/config").write_text(f'[core]\nfsmonitor = "touch {marker}"\n')
    tree.joinpath(".gitignore").write_text("*.log\n")
    return tree


def assert_harmless(run: Audited, tree: Path, *, workers: bool) -> None:
    assert run.status == 1, run.err
    assert not tree.parent.joinpath("was-run").exists()
    assert not [
        name for name in run.executed() if Path(tree, name).is_relative_to(tree) and name.endswith(".py")
    ]
    assert run.opened(writing=True) <= {os.devnull}
    started = [event for event in run.others() if event[0] == "subprocess.Popen"]
    for _, executable, arguments, _ in started:
        assert executable == sys.executable
        assert "'-P', '-m', 'stablint.static.workers." in str(arguments)
    assert bool(started) is workers
    assert [event for event in run.others() if event not in started and event[0] not in HARMLESS] == []


HARMLESS = {"os.putenv", "os.unsetenv", "os.killpg", "ctypes.dlopen"}
"""What workers are ended with among them."""


@pytest.mark.parametrize("start", [("-m", "stablint"), RUN], ids=["module", "script"])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_folder(start: tuple[str, ...], jobs: str, tree: Path) -> None:
    run = audited(
        *start, "check", "-j", jobs, "--no-cache", "--output-format", "json",
        cwd=tree, log=tree.parent / "log", path=(FIXTURES / "acme",),
    )  # fmt: skip
    assert_harmless(run, tree, workers=True)
    found = {(each["filename"], each["code"]) for each in json.loads(run.out)}
    assert found == {(f"{name}.py", "ACM101") for name in (*MODULES, "rich/__init__")}


@pytest.mark.parametrize("start", [("-m", "stablint"), RUN], ids=["module", "script"])
def test_one_file(start: tuple[str, ...], tree: Path) -> None:
    run = audited(
        *start, "check", "json.py", "--no-cache", cwd=tree, log=tree.parent / "log", path=(FIXTURES / "acme",)
    )
    assert_harmless(run, tree, workers=False)


def test_what_is_remembered_is_written_into_one_folder(tree: Path) -> None:
    command = ("-m", "stablint", "check", "json.py")
    for _ in range(2):
        run = audited(*command, cwd=tree, log=tree.parent / "log", path=(FIXTURES / "acme",))
        assert run.status == 1, run.err
        assert not tree.parent.joinpath("was-run").exists()
        written = {Path(tree, name).parent for name in run.opened(writing=True) - {os.devnull}}
        assert written <= {tree / ".stablint_cache"}
    assert tree.joinpath(".stablint_cache").is_dir()


@pytest.mark.parametrize("start", [("-m", "stablint"), RUN], ids=["module", "script"])
def test_standard_input(start: tuple[str, ...], tree: Path) -> None:
    run = audited(
        *start, "check", "-", "--stdin-filename", "torch.py",
        cwd=tree, log=tree.parent / "log", path=(FIXTURES / "acme",),
        stdin=tree.joinpath("torch.py").read_bytes(),
    )  # fmt: skip
    assert_harmless(run, tree, workers=False)


def test_fix_writes_the_file_and_a_temporary_one_beside_it(tree: Path) -> None:
    run = audited(
        "-m", "stablint", "check", "json.py", "--fix-only", "--exit-non-zero-on-fix", "--no-cache",
        cwd=tree, log=tree.parent / "log", path=(FIXTURES / "acme",),
    )  # fmt: skip
    assert run.status == 1, run.err
    assert not tree.parent.joinpath("was-run").exists()
    assert {Path(tree, name).parent for name in run.opened(writing=True) - {os.devnull}} == {tree}
    assert tree.joinpath("json.py").read_text().endswith("import torch\nimport torch\n")
    assert sorted(tree.iterdir()) == sorted(path for path in tree.iterdir() if ".stablint" not in path.name)


def test_running_the_tree_would_be_seen(tree: Path) -> None:
    run = audited("json.py", cwd=tree, log=tree.parent / "log")
    assert tree.parent.joinpath("was-run").exists()
    with pytest.raises(AssertionError):
        assert_harmless(run, tree, workers=False)


@pytest.mark.parametrize("entry", ["", ".", "{here}"])
def test_current_folder_leaves_the_path_before_the_library(
    entry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    library = os.path.dirname(os.__file__)
    monkeypatch.setattr(sys, "path", [entry.format(here=tmp_path), "/other", library, "/site", str(tmp_path)])
    leave_current_folder()
    assert sys.path == ["/other", library, "/site", str(tmp_path)]
