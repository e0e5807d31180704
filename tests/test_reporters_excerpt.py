from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reporters_sample import at
from rich.cells import cell_len

from stablint.finding import Applicability, Edit, Fix
from stablint.reporters.excerpt import excerpt
from stablint.reporters.rewrite import rewrite


def shown(line: str, start: int, end: int, width: int = 70, *, lines: int = 1) -> tuple[str, str]:
    """Return the line and the carets under it as they stand in a terminal."""
    found = excerpt(line, at("a.py", (1, start), (lines, end)), width)
    return found.text, " " * found.offset + "^" * found.length


@pytest.mark.parametrize(
    ("line", "start", "end", "text", "carets"),
    [
        ("x = bad", 5, 8, "x = bad", "    ^^^"),
        ("\tx = bad", 6, 9, "    x = bad", "        ^^^"),
        ("日本 = bad", 6, 9, "日本 = bad", "       ^^^"),
        ('"🤗", bad', 6, 9, '"🤗", bad', "      ^^^"),
        ("e\u0301 = bad", 6, 9, "e\u0301 = bad", "    ^^^"),
        ("bad 日本", 5, 7, "bad 日本", "    ^^^^"),
        ("\x1b = bad", 5, 8, "\\x1b = bad", "       ^^^"),
        ("def f(", 7, 7, "def f(", "      ^"),
        ("", 1, 1, "", "^"),
        ("x", 40, 50, "x", " ^"),
    ],
)
def test_carets_stand_under_the_range(line: str, start: int, end: int, text: str, carets: str) -> None:
    assert shown(line, start, end) == (text, carets)


def test_a_range_of_several_lines_is_marked_to_the_end_of_the_first() -> None:
    assert shown("  f(a,  ", 3, 2, lines=3) == ("  f(a,", "  ^^^^")


def test_a_long_line_is_cut_around_the_range() -> None:
    line = "a" * 100 + "bad" + "c" * 100
    text, carets = shown(line, 101, 104, 40)
    assert text[carets.index("^") : len(carets)] == "bad"
    assert text.startswith("...aaa")
    assert text.endswith("ccc...")
    assert len(text) == 40


def test_a_line_of_a_megabyte_is_no_matter() -> None:
    text, carets = shown("x" * 1_000_000 + "bad" + "y" * 1_000_000, 1_000_001, 1_000_004)
    assert text[carets.index("^") : len(carets)] == "bad"
    assert len(text) <= 70


@given(
    st.text(st.sampled_from("ab \t日🤗\u0301\x1b"), max_size=200),
    st.integers(1, 210),
    st.integers(1, 210),
    st.integers(30, 90),
)
def test_nothing_is_wider_than_allowed(line: str, start: int, end: int, width: int) -> None:
    text, carets = shown(line, start, end, width)
    assert cell_len(text) <= width
    assert carets.endswith("^")
    assert len(carets) <= width + 1


def fix(*edits: tuple[tuple[int, int], tuple[int, int], str]) -> Fix:
    return Fix(
        "", Applicability.SAFE, tuple(Edit(at("a.py", start, end), text) for start, end, text in edits)
    )


LINES = ["one", "two", "three", "four"]


@pytest.mark.parametrize(
    ("edits", "changes"),
    [
        ([((2, 1), (2, 4), "2")], [(2, ["two"], ["2"])]),
        ([((2, 1), (2, 1), "new\n")], [(2, [], ["new"])]),
        ([((2, 4), (2, 4), "\nnew")], [(3, [], ["new"])]),
        ([((2, 1), (3, 1), "")], [(2, ["two"], [])]),
        ([((4, 1), (5, 1), "")], [(4, ["four"], [])]),
        ([((1, 1), (1, 4), "1"), ((4, 1), (4, 5), "4")], [(1, ["one"], ["1"]), (4, ["four"], ["4"])]),
        ([((3, 3), (3, 3), "X"), ((3, 1), (3, 2), "")], [(3, ["three"], ["hXree"])]),
        ([((2, 1), (2, 4), "2"), ((2, 1), (2, 4), "2")], [(2, ["two"], ["2"])]),
        ([((1, 1), (1, 4), "a\r\nb")], [(1, ["one"], ["a", "b"])]),
    ],
)
def test_what_a_fix_makes_of_the_lines(
    edits: list[tuple[tuple[int, int], tuple[int, int], str]], changes: list[tuple[int, list[str], list[str]]]
) -> None:
    assert rewrite(fix(*edits), LINES) == changes


@pytest.mark.parametrize(
    "edits",
    [
        [((9, 1), (9, 2), "x")],
        [((1, 1), (9, 2), "x")],
        [((2, 1), (2, 3), "x"), ((2, 2), (2, 4), "y")],
        [((2, 3), (2, 1), "x")],
    ],
)
def test_edits_that_do_not_fit_are_not_shown(
    edits: list[tuple[tuple[int, int], tuple[int, int], str]],
) -> None:
    assert rewrite(fix(*edits), LINES) is None
