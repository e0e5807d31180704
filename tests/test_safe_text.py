from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stablint.reporters.safe_text import safe_line, safe_text


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("\x1b]8;;http://x\x07link", "\\x1b]8;;http://x\\x07link"),
        ("\x9b31m", "\\x9b31m"),
        ("one\ntwo\rthree\tfour\x0bfive\x0c", "one\\ntwo\\rthree\\tfour\\x0bfive\\x0c"),
        ("if admin\u202e\u2066: pass", "if admin\\u202e\\u2066: pass"),
        ("\u2028\u2029\u200b\ufeff", "\\u2028\\u2029\\u200b\\ufeff"),
        ("\udcff\ud800", "\\udcff\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("##[add-mask]x", "#\\x23[add-mask]x"),
        ("# ##vso[task.setvariable]y", "# #\\x23vso[task.setvariable]y"),
    ],
)
def test_what_could_drive_a_terminal_or_a_log_is_written_out(hostile: str, shown: str) -> None:
    assert safe_text(hostile) == shown


@pytest.mark.parametrize(
    "text", ["", "x = a[/b] # [red]", "größer ≥ 2π", "👩‍👩‍👧 ❤️", "日本語", "## Title", "a\\x1b"]
)
def test_text_that_drives_nothing_stays(text: str) -> None:
    assert safe_text(text) == text


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "L", "P", "Zs"])))
def test_nothing_gets_through(text: str) -> None:
    safe = safe_text(text)
    safe.encode("utf-8")
    assert not [char for char in safe if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")]
    assert not [
        char for char in safe if unicodedata.bidirectional(char) in ("LRE", "RLE", "LRO", "RLO", "PDF")
    ]
    assert not [char for char in safe if unicodedata.bidirectional(char) in ("LRI", "RLI", "FSI", "PDI")]
    assert "##[" not in safe
    assert safe_text(safe) == safe


@pytest.mark.parametrize("start", ["", " ", "    ", "\u3000"])
def test_a_line_that_begins_like_a_command_is_none(start: str) -> None:
    assert safe_line(f"{start}::error::x") == f"{start}\\x3a:error::x"
    assert safe_line(f"{start}a::error::x") == f"{start}a::error::x"
