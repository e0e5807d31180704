"""A rule pack of somebody else's, through the same door as ours: nothing else is touched to make it work."""

import json
from pathlib import Path

import pytest
from subprocesses import stablint

from stablint.registry import load_rules
from stablint.testing import cases

ROOT = Path(__file__).parent.parent


def test_its_rules_run_and_can_be_selected(acme: Path, tmp_path: Path) -> None:
    tmp_path.joinpath("a.py").write_text("from torch import *\n\n\n\nbreakpoint()\n")
    for selector, codes in (("ACM", ["ACM101", "ACM201", "ACM102"]), ("forgotten-breakpoint", ["ACM102"])):
        run = stablint("check", "--select", selector, "--output-format", "json", cwd=tmp_path, path=acme)
        assert run.stderr == b""
        assert run.returncode == 1
        assert [each["code"] for each in json.loads(run.stdout)] == codes


def test_it_is_told_what_the_configuration_says(acme: Path, tmp_path: Path) -> None:
    tmp_path.joinpath("a.py").write_text("import torch\nx = 1\n")
    tmp_path.joinpath("stablint.toml").write_text('select = ["ACM201"]\nrules.long-file.most-lines = 1\n')
    run = stablint("check", "--output-format", "concise", cwd=tmp_path, path=acme)
    assert b"2 lines are more than 1" in run.stdout


def test_its_pages_are_shown(acme: Path, tmp_path: Path) -> None:
    assert stablint("rule", "ACM101", cwd=tmp_path, path=acme).stdout.startswith(b"# star-import (ACM101)\n")
    listed = stablint("rule", "--all", cwd=tmp_path, path=acme).stdout.splitlines()
    ours = stablint("rule", "--all", cwd=tmp_path).stdout.splitlines()
    assert {line.split()[0] for line in listed} - {line.split()[0] for line in ours} == {
        b"ACM101",
        b"ACM102",
        b"ACM201",
    }


def test_it_can_be_ignored_in_the_code(acme: Path, tmp_path: Path) -> None:
    tmp_path.joinpath("a.py").write_text(
        "from torch import *  # stablint: ignore[star-import] it is a test\n"
    )
    assert stablint("check", "--select", "ACM,STB902", cwd=tmp_path, path=acme).returncode == 0


@pytest.mark.usefixtures("acme")
def test_its_cases_run_in_our_harness() -> None:
    theirs = [case for case in cases(load_rules()) if case.rule.code.startswith("ACM")]
    assert len(theirs) == 6
    for case in theirs:
        case.verify()


def test_nothing_of_ours_knows_it() -> None:
    for folder in ("stablint", "rules"):
        for file in (ROOT / folder).rglob("*.py"):
            assert "acme" not in file.read_text(encoding="utf-8").lower(), file
