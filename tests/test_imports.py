"""What is imported when: nothing slow for help, never torch for `check`; and that these tests can fail."""

from pathlib import Path

import pytest
from audited import FIXTURES, audited

SLOW = {"libcst", "torch", "pygls"}

GREEDY_RULE = '''
from stablint.finding import Severity
from stablint.rule import StaticRule


class GreedyRule(StaticRule):
    """A rule that imports torch."""

    code = "GRD101"
    severity = Severity.ERROR
    since = "1.0"
    bad = ["import torch  # flagged"]
    good = ["x = 1"]

    def check(self, source):
        import torch

        return iter(())
'''


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["check", "--help"],
        ["rule", "--help"],
        ["rule", "--all"],
        ["rule", "STB902"],
        ["rule", "--all", "--output-format", "json"],
        ["rule", "no-such-rule"],
        ["check", "--select", "no-such-rule"],
        ["check", "--show-settings"],
        ["chekc"],
    ],
)
def test_nothing_slow_is_imported(arguments: list[str], tmp_path: Path) -> None:
    run = audited("-m", "stablint", *arguments, cwd=tmp_path, log=tmp_path / "log")
    assert run.status in (0, 2), run.err
    assert "stablint" in run.imported()
    assert not run.imported() & SLOW


def test_version_imports_nothing_of_others_at_all(tmp_path: Path) -> None:
    run = audited("-m", "stablint", "--version", cwd=tmp_path, log=tmp_path / "log")
    assert run.out.startswith("stablint ")
    assert not run.imported() & {"click", "rich_click", "msgspec", "stablint_rules", "importlib_metadata"}


def test_files_that_do_not_concern_torch_cost_no_parser(tmp_path: Path) -> None:
    tmp_path.joinpath("a.py").write_text("print(1)\n")
    run = audited("-m", "stablint", "check", "a.py", cwd=tmp_path, log=tmp_path / "log")
    assert run.status == 0, run.err
    assert not run.imported() & SLOW


def check(tmp_path: Path, *path: Path) -> set[str]:
    """Return what is imported when a folder is checked, here and in worker processes."""
    for number in range(4):
        filler = "x = 1  # filler, so that it is worth a worker\n" * 3000
        tmp_path.joinpath(f"file{number}.py").write_text("import torch\n" + filler)
    arguments = (
        "check",
        "-j",
        "2",
        "--select",
        "ACM,GRD" if len(path) > 1 else "ACM",
        "--fix",
        "--exit-zero",
    )
    run = audited("-m", "stablint", *arguments, cwd=tmp_path, log=tmp_path / "log", path=path)
    assert run.status in (0, 3), run.err
    assert any(event[0] == "subprocess.Popen" for event in run.events)
    return run.imported()


def test_check_never_imports_torch(tmp_path: Path) -> None:
    imported = check(tmp_path, FIXTURES / "acme")
    assert "libcst" in imported  # so the tests above can fail
    assert "torch" not in imported


def test_an_import_of_torch_would_be_seen(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.joinpath("greedy-1.0.dist-info").mkdir(parents=True)
    site.joinpath("greedy.py").write_text(GREEDY_RULE)
    site.joinpath("greedy-1.0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: greedy\nVersion: 1.0\n"
    )
    site.joinpath("greedy-1.0.dist-info/entry_points.txt").write_text("[stablint.rules]\ngreedy = greedy\n")
    site.joinpath("torch.py").write_text("")  # the real one takes seconds
    assert "torch" in check(tmp_path, FIXTURES / "acme", site)
