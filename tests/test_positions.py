"""Lines, columns, offsets, and the units of other programs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stablint.finding import Position
from stablint.static.positions import (
    column_of_utf8,
    column_of_utf16,
    line_map,
    newline_of,
    utf8_column,
    utf16_column,
)
from stablint.static.source import SourceFile

TEXTS = st.text(st.sampled_from("ab é😀\r\n\x0c\u2028\x85\v\ud83e"), max_size=40)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("a", ["a"]),
        ("a\n", ["a", ""]),
        ("a\r\nb\rc\nd", ["a", "b", "c", "d"]),
        ("a\n\r\n\r\r", ["a", "", "", "", ""]),
        ("a\x0cb\x0bc\x85d\u2028e\x1cf", ["a\x0cb\x0bc\x85d\u2028e\x1cf"]),
    ],
)
def test_lines(text: str, lines: list[str]) -> None:
    found = line_map(text)
    assert [found.line(number) for number in range(1, len(found.starts) + 1)] == lines


@given(TEXTS)
def test_every_offset_comes_back(text: str) -> None:
    lines = line_map(text)
    for offset in range(len(text) + 1):
        position = lines.position(offset)
        if not (text[offset - 1 : offset + 1] == "\r\n" and offset):  # within a line break
            assert lines.offset(position) == offset


def test_columns_behind_the_line_are_its_end() -> None:
    lines = line_map("abc\r\nd")
    assert lines.offset(Position(1, 99)) == 3
    assert lines.offset(Position(2, 99)) == 6


def test_an_emoji_counts_one_four_and_two() -> None:
    line = 'print("😀é", x)'
    column = line.index("x") + 1
    assert column == 13
    assert utf8_column(line, column) == 12 + 3 + 1
    assert utf16_column(line, column) == 12 + 1


@given(TEXTS.filter(lambda text: "\n" not in text and "\r" not in text))
def test_units_come_back(line: str) -> None:
    for column in range(1, len(line) + 2):
        assert column_of_utf8(line, utf8_column(line, column)) == column
        assert column_of_utf16(line, utf16_column(line, column)) == column


def test_a_unit_inside_a_character_is_the_character() -> None:
    assert [column_of_utf8("a😀b", offset) for offset in range(8)] == [1, 2, 2, 2, 2, 3, 4, 4]
    assert [column_of_utf16("a😀b", offset) for offset in range(6)] == [1, 2, 2, 3, 4, 4]


def test_the_first_line_break_is_the_one_used() -> None:
    assert newline_of("a\r\nb\n") == "\r\n"
    assert newline_of("a\rb\n") == "\r"
    assert newline_of("a") == "\n"


def test_a_finding_behind_an_emoji() -> None:
    source = SourceFile("x.py", 'x = "😀"; y = log(z)\r\n'.encode())
    (line,) = source.tree.body
    second = line.body[1]  # type: ignore[union-attr]
    assert not isinstance(second, str)
    location = source.locate([second])[id(second)]
    assert (location.start, location.end) == (Position(1, 10), Position(1, 20))
