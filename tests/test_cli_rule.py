"""`stablint rule`."""

import json
import sys
from pathlib import Path

import pytest

from stablint.cli.app import run
from stablint.diagnostics import DIAGNOSTICS
from stablint.registry import load_rules

pytestmark = pytest.mark.usefixtures("acme")


@pytest.mark.parametrize("word", ["ACM101", "star-import"])
def test_page_is_plain_markdown_in_a_pipe(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rule", word]) == 0
    title, _, facts, *_ = capsys.readouterr().out.split("\n")
    assert title == "# star-import (ACM101)"
    assert facts == "Severity **error** · confidence **high** · on by default · since 1.0 · fix: always"


def test_page_is_set_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(["rule", "ACM101"]) == 0
    out = capsys.readouterr().out
    assert "star-import (ACM101)" in out
    assert "**" not in out


def test_the_run_s_own_codes_have_pages_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rule", "syntax-error"]) == 0
    assert capsys.readouterr().out.startswith("# syntax-error (STB901)")


def test_all_lists_every_rule_on_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rule", "--all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        [rule.code, rule.name()] for rule in (*load_rules(), *DIAGNOSTICS)
    ]
    assert "off" in next(line for line in lines if line.startswith("ACM201")).split()


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rule", "long-file", "--output-format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.pop("page").startswith("# long-file (ACM201)")
    assert told == {
        "code": "ACM201",
        "name": "long-file",
        "summary": "A file has more lines than the team likes.",
        "severity": "note",
        "confidence": "high",
        "default": False,
        "since": "1.0",
        "fix": "none",
        "options": {"most-lines": 3},
    }
    assert run(["rule", "--all", "--output-format", "json"]) == 0
    assert {each["code"] for each in json.loads(capsys.readouterr().out)} >= {
        "ACM101",
        "ACM102",
        "ACM201",
        "STB900",
    }


def test_flawed_pack_is_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    info = tmp_path / "gone-1.0.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: gone\nVersion: 1.0\n")
    info.joinpath("entry_points.txt").write_text("[stablint.rules]\ngone = gone_rules\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    load_rules.cache_clear()
    assert run(["rule", "--all"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: rule pack gone of gone 1.0 cannot be imported: ModuleNotFoundError: ")
    assert told.count("\n") == 1


def test_shells_complete_names_and_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_STABLINT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "stablint rule ACM")
    monkeypatch.setenv("COMP_CWORD", "2")
    with pytest.raises(SystemExit):
        run([])
    assert capsys.readouterr().out.splitlines() == ["plain,ACM101", "plain,ACM102", "plain,ACM201"]
