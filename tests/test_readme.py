"""What a newcomer types works as the README says."""

import shlex
from pathlib import Path

import pytest
from documents import ROOT, Block, blocks
from subprocesses import stablint

from stablint.registry import load_rules
from stablint.testing import cases

README = blocks(ROOT / "README.md")
FIRST, OUTPUT, _, TESTS, RULE, ENTRY_POINT = README


def test_commands_are_one_line_each() -> None:
    assert FIRST.language == TESTS.language == "sh"
    assert FIRST.text.count("\n") == TESTS.text.count("\n") == 1
    assert TESTS.text == "python -m pip install -e . --group dev && python -m pytest\n"


def test_first_command_prints_what_is_shown_and_ends_with_1() -> None:
    install, check = FIRST.text.split(" && ")
    assert install == "python -m pip install ."
    run = stablint(*shlex.split(check)[1:], cwd=ROOT)
    assert run.returncode == 1, run.stderr.decode()
    assert run.stdout.decode() == OUTPUT.text
    assert OUTPUT.text.count(" -->") == 5


def test_mended_example_is_clean() -> None:
    run = stablint("check", "docs/examples/train_digits_mended.py", cwd=ROOT)
    assert run.returncode == 0, run.stdout.decode()


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Install the README's rule in a pack of its own, by the README's entry point."""
    site = tmp_path / "site"
    info = site / "our_lab_rules-1.0.dist-info"
    info.mkdir(parents=True)
    site.joinpath("our_lab_rules.py").write_text(RULE.text)
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: our-lab-rules\nVersion: 1.0\n")
    info.joinpath("entry_points.txt").write_text(entry_points(ENTRY_POINT))
    return site


def entry_points(block: Block) -> str:
    head, line = block.text.splitlines()
    assert head == '[project.entry-points."stablint.rules"]'
    return f"[stablint.rules]\n{line.replace(chr(34), '')}\n"


def test_rule_keeps_its_promises(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(lab))
    load_rules.cache_clear()
    try:
        [rule] = [rule for rule in load_rules() if rule.code == "LAB301"]
    finally:
        load_rules.cache_clear()
    assert rule.name() == "exp-of-exp"
    assert len(cases([rule])) == 2
    for case in cases([rule]):
        case.verify()


def test_rule_is_found_by_the_command(lab: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.py"
    model.write_text("from torch import exp as e\n\ndef rate(x):\n    return e(e(x))\n")
    run = stablint(
        "check", "--select", "exp-of-exp", "--output-format", "concise", "model.py", cwd=tmp_path, path=lab
    )
    assert run.returncode == 1
    assert "model.py:4:12: warning LAB301 exp-of-exp: exp of exp is inf in float32" in run.stdout.decode()
