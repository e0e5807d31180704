from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from reporters_sample import ALL, EMOJI, HOSTILE, LINES, NOTEBOOK, PLAIN, SYNTAX, UNREAD, report
from rich.cells import cell_len
from runner_commands import commands
from syrupy.assertion import SnapshotAssertion

import stablint
from stablint.errors import UsageError
from stablint.finding import Finding
from stablint.reporters import FORMATS, render
from stablint.reporters.report import RunReport

CASES: dict[str, tuple[Finding, ...]] = {
    "plain": (PLAIN, LINES),
    "emoji": (EMOJI,),
    "notebook": (NOTEBOOK,),
    "syntax error": (SYNTAX, UNREAD),
    "no findings": (),
    "hostile name": (HOSTILE,),
}
SCHEMA = json.loads((Path(__file__).parent / "vendor" / "sarif-schema-2.1.0.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", FORMATS)
def test_each_format_says_what_it_said_before(name: str, case: str, snapshot: SnapshotAssertion) -> None:
    said = render(name, report(*CASES[case]))
    assert said.replace(f'ersion": "{stablint.__version__}"', 'ersion": "(ours)"') == snapshot


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_report_is_said_in_the_same_words(name: str) -> None:
    assert render(name, report(*ALL)) == render(name, report(*ALL))


def test_an_unknown_format_is_the_users_mistake() -> None:
    with pytest.raises(UsageError, match="choose one of full, concise, json, sarif, github"):
        render("xml", report())


def test_plain_output_fits_80_columns_and_ends_no_line_in_space() -> None:
    for line in render("full", report(*ALL)).splitlines():
        assert cell_len(line) <= 80
        assert line == line.rstrip()


@pytest.mark.parametrize("name", ["full", "concise"])
def test_colours_only_when_asked_and_they_change_no_letter(name: str) -> None:
    plain, painted = render(name, report(*ALL)), render(name, report(*ALL, color=True))
    assert "\x1b" not in plain
    assert "\x1b[1;31merror\x1b[0m" in painted
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == plain


def test_the_footer_counts_and_names_the_option() -> None:
    said = render("concise", report(PLAIN, LINES, EMOJI))
    assert "Found 2 errors and 1 warning in 12 checked files.\n" in said
    assert "[*] 1 fixable with --fix.\n1 more fixable with --fix --unsafe-fixes" in said
    assert render("full", report()) == "All checks passed! (12 files)\n"
    assert render("full", replace(report(), files_checked=0)) == "No file was checked.\n"


def test_what_was_fixed_is_counted_and_listed_when_asked() -> None:
    fixed = replace(report(), fixed=(PLAIN, NOTEBOOK), refused=(("x.py", "the fixed text does not parse"),))
    said = render("full", fixed)
    assert "Fixed 2 findings in 2 files.\n" in said
    assert "Left as it was: x.py: the fixed text does not parse\n" in said
    assert "log-of-softmax" not in said
    assert "  train.py:4:9: error STB101 [*] log-of-softmax" in render(
        "full", replace(fixed, show_fixes=True)
    )


def test_json_is_in_ruffs_form_with_what_is_ours() -> None:
    (said,) = json.loads(render("json", report(PLAIN)))
    assert set(said) == {
        "cell", "code", "confidence", "end_location", "filename", "fix", "location", "message", "name",
        "noqa_row", "related", "severity", "url",
    }  # fmt: skip
    assert said["location"] == {"row": 4, "column": 9}
    assert said["fix"]["edits"] == [
        {
            "content": "torch.log_softmax(logits, dim=1)",
            "location": {"row": 4, "column": 9},
            "end_location": {"row": 4, "column": 48},
        }
    ]
    assert said["related"][0]["filename"] == "models/net.py"
    assert json.loads(render("json", report())) == []


def sarif_run(*findings: Finding) -> dict[str, Any]:
    log = json.loads(render("sarif", report(*findings)))
    jsonschema.Draft4Validator(SCHEMA).validate(log)
    return log["runs"][0]


@pytest.mark.parametrize("case", CASES)
def test_sarif_is_valid(case: str) -> None:
    assert len(sarif_run(*CASES[case])["results"]) == len(CASES[case])


def test_the_schema_can_refuse() -> None:
    log = json.loads(render("sarif", report(PLAIN)))
    log["runs"][0]["results"][0]["level"] = "fatal"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(SCHEMA).validate(log)


def test_sarif_tells_that_a_file_was_not_examined() -> None:
    assert sarif_run(PLAIN)["invocations"][0]["executionSuccessful"] is True
    (invocation,) = sarif_run(PLAIN, SYNTAX, UNREAD)["invocations"]
    assert invocation["executionSuccessful"] is False
    told = [note["descriptor"]["id"] for note in invocation["toolExecutionNotifications"]]
    assert told == ["STB901", "STB900"]


def test_sarif_names_files_relative_and_percent_encoded() -> None:
    (result,) = sarif_run(HOSTILE)["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "a%0A%3A%3Aerror%3A%3Ax%1B%5B31m%20%250A%2Cb%3Ac%FF.py"


def test_sarif_offers_safe_fixes_of_files_only() -> None:
    plain, emoji, notebook = sarif_run(PLAIN, EMOJI, NOTEBOOK)["results"]
    (change,) = plain["fixes"][0]["artifactChanges"]
    assert change["replacements"][0]["insertedContent"]["text"] == "torch.log_softmax(logits, dim=1)"
    assert "fixes" not in emoji
    assert "fixes" not in notebook
    assert notebook["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "lab.ipynb:cell 3:2:5"


def test_sarif_texts_stay_under_the_limit_and_hold_no_links() -> None:
    long = replace(PLAIN, message="see [here](https://example.org) " + "word " * 1000)
    (result,) = sarif_run(long)["results"]
    text = result["message"]["text"]
    assert len(text) < 1024
    assert text.startswith("see [here] (https://example.org) word")
    assert text.endswith("word ...")


def test_sarif_fingerprints_survive_lines_added_above() -> None:
    shown = report(PLAIN)
    moved = replace(PLAIN, location=replace(PLAIN.location, start=replace(PLAIN.location.start, line=5)))
    lines = ["", *(shown.source_lines("train.py", None) or ())]
    prints = [
        json.loads(render("sarif", one))["runs"][0]["results"][0]["partialFingerprints"]
        for one in (shown, replace(shown, findings=(moved,), source_lines=lambda path, cell: lines))
    ]
    assert prints[0] == prints[1]
    twice = sarif_run(PLAIN, PLAIN)["results"]
    assert twice[0]["partialFingerprints"] != twice[1]["partialFingerprints"]


def test_github_gets_one_command_a_finding() -> None:
    told = commands(render("github", report(*ALL)))
    assert [name for name, _, _ in told] == ["notice", "error", "error", "error", "error", "warning", "error"]
    by_title = {properties["title"]: properties for _, properties, _ in told}
    assert by_title["stablint (STB303)"]["file"] == "a\\n::error::x\\x1b[31m %0A,b:c\\udcff.py"
    assert by_title["stablint (STB102)"] == {
        "title": "stablint (STB102)",
        "file": "train.py",
        "line": "4",
        "endline": "5",
    }
    assert by_title["stablint (STB201)"]["col"] == "40"


@pytest.mark.parametrize("name", FORMATS)
def test_paths_are_relative_and_name_no_machine(name: str) -> None:
    inside = replace(
        PLAIN, location=replace(PLAIN.location, path="/project/src/train.py"), related=(), fix=None
    )
    beside = replace(inside, location=replace(PLAIN.location, path="/elsewhere/train.py"))
    said = render(name, report(inside, beside))
    assert "src/train.py" in said
    assert "../elsewhere/train.py" in said
    assert "project" not in said.replace("example.org", "")


def test_the_source_can_be_missing() -> None:
    silent = RunReport(findings=ALL, files_checked=1)
    for name in FORMATS:
        assert "STB101" in render(name, silent)
