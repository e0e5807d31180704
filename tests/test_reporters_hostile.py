"""Nothing in a file name, a source or a message drives the terminal, the log or a reader of the report."""

from __future__ import annotations

import json
import re
import unicodedata
from itertools import islice, product
from pathlib import Path

import jsonschema
import pytest
from reporters_sample import at
from runner_commands import commands

from stablint.finding import Applicability, Edit, Finding, Fix, Related, Severity
from stablint.reporters import FORMATS, render
from stablint.reporters.report import RunReport

ATTACKS = [
    "\x1b[2J\x1b[31mred", "\x1b]0;title\x07", "\x1b]8;;https://example.org\x1b\\here\x1b]8;;\x1b\\",
    "\x9b31m", "\x90q\x9c", "\x00", "\x07\x08\x7f", "\r\nall is well", "\n::error::owned", "::add-mask::e",
    "##[stop-commands]quiet", "##vso[task.setvariable variable=x]y", "\u202egnp.exe\u202c",
    "\u2066\u2069\u200f", "\ud800", "\udcff\udcfe", "\u2028\u2029", "%0A::error::x", ",line=1,title=x::",
    "[red]a[/red] a[/b]", "</script><script>alert(1)</script>", "](https://example.org) [x](y)",
    "{0} {{1}} %s %(x)s", '"},"x":{"', "\ufeff\u200b\U000e0041", "${{ secrets.X }}", "\u0085\u000b\u000c",
    "'; --", "\\u001b[31m", "a" * 300,
]  # fmt: skip
FRAMES = ["{}", "x{}y", "    {}", "{0}{0}", "words before {} and after", "\n{}\n", "\t{}::", "##{}[group]"]
PAYLOADS = list(
    islice((frame.replace("{0}", "{}").replace("{}", text) for text, frame in product(ATTACKS, FRAMES)), 240)
)
VALIDATOR = jsonschema.Draft4Validator(
    json.loads((Path(__file__).parent / "vendor" / "sarif-schema-2.1.0.json").read_text("utf-8"))
)


def hostile(payload: str, *, color: bool = False) -> RunReport:
    path = f"{payload}.py"
    place = at(path, (2, 3), (2, 9))
    fix = Fix(payload, Applicability.SAFE, (Edit(place, payload),))
    first = Finding(
        place,
        "STB101",
        "log-of-softmax",
        payload,
        Severity.ERROR,
        related=(Related(place, payload),),
        fix=fix,
    )
    second = Finding(at("nb.ipynb", (1, 1), (9, 9), 2), "STB909", "internal-error", payload, Severity.WARNING)
    return RunReport(
        findings=(first, second),
        files_checked=1,
        fixed=(first,),
        refused=((path, payload),),
        source_lines=lambda _path, _cell: [payload, f"ab{payload}cd", payload],
        summary=lambda _: payload,
        page=lambda _: f"# Title\n\n{payload}",
        color=color,
        show_fixes=True,
    )


def driving(text: str) -> list[str]:
    return [
        repr(char)
        for char in text
        if char != "\n"
        and (
            unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in "\u202e\u2066\u200f\u200b\ufeff"
        )
    ]


def test_there_are_enough_of_them() -> None:
    assert len(set(PAYLOADS)) >= 200
    assert sum(bool(driving(payload) or commands(payload)) for payload in PAYLOADS) >= 100


@pytest.mark.parametrize("name", FORMATS)
def test_no_payload_gets_through(name: str) -> None:
    for payload in PAYLOADS:
        said = render(name, hostile(payload))
        said.encode("utf-8")
        assert driving(said) == [], payload
        told = [command for command, _, _ in commands(said)]
        assert told == (["error", "warning"] if name == "github" else []), payload
        assert not re.search(r"##[\w.-]*\[", said), payload


@pytest.mark.parametrize("name", ["full", "concise"])
def test_painted_output_holds_our_colours_only(name: str) -> None:
    for payload in PAYLOADS:
        said = re.sub(r"\x1b\[(0|[1-9][0-9]?(;[0-9]+)*)m", "", render(name, hostile(payload, color=True)))
        assert driving(said) == [], payload
        assert commands(said) == [], payload


def test_json_holds_the_edit_to_the_letter() -> None:
    for payload in PAYLOADS:
        first, _ = json.loads(render("json", hostile(payload)))
        if any("\ud800" <= char <= "\udfff" for char in payload):
            assert first["fix"] is None
        else:
            assert first["fix"]["edits"][0]["content"] == payload


def test_sarif_stays_valid() -> None:
    for payload in PAYLOADS:
        log = json.loads(render("sarif", hostile(payload)))
        VALIDATOR.validate(log)
        assert len(log["runs"][0]["results"]) == 2
        assert "](" not in log["runs"][0]["results"][0]["message"]["text"]
