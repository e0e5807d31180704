from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stablint.fixes.json_strings import offsets, strings
from stablint.fixes.notebook import cells, edit_cells
from stablint.fixes.refused import RefusedError
from stablint.fixes.splice import Splice, spliced


def notebook(*sources: str | list[str], **style: Any) -> bytes:
    document = {
        "nbformat": 4,
        "metadata": {"source": "no cell", "cells": [{"source": "neither"}]},
        "cells": [
            {
                "metadata": {},
                "outputs": [{"source": ["x"], "text": 'a \\ "[{,'}],
                "source": source,
                "cell_type": "code",
            }
            for source in sources
        ],
    }
    return json.dumps(document, **style).encode("utf-8")


def sources(data: bytes) -> list[Any]:
    return [cell["source"] for cell in json.loads(data)["cells"]]


def test_strings_are_found_by_path() -> None:
    data = rb'{"a": ["x", {"b\n": "y\"", "c": 1}, "z"], "d": "\ud83e\udd17"}'
    found = {string.path: data[string.start : string.end] for string in strings(data)}
    assert found["a", 0] == b"x"
    assert found["a", 1, "b\n"] == b'y\\"'
    assert found["a", 2] == b"z"
    assert found["d",] == rb"\ud83e\udd17"


def test_code_points_are_found_behind_escapes() -> None:
    data = r'["a\n\u00e9é🤗\ud83e\udd17\ud83e\\"]'.encode()
    (string,) = strings(data)
    assert "".join(chr(data[at]) for at in offsets(data, string)[:3]) == "a\\\\"
    assert len(offsets(data, string)) - 1 == len(json.loads(data)[0])


def test_cells_are_counted_over_code_and_text() -> None:
    data = notebook("one", ["two\n", "lines"], [])
    assert {number: cell.text for number, cell in cells(data).items()} == {1: "one", 2: "two\nlines"}


@pytest.mark.parametrize(
    ("source", "splice", "expected"),
    [
        (["a\n", "b\n", "c"], Splice(2, 2, "x = 1\n"), ["a\n", "x = 1\n", "b\n", "c"]),
        (["a\n", "b\n", "c"], Splice(3, 3, "\nx"), ["a\n", "b\n", "x\n", "c"]),
        (["a\n", "b\n", "c"], Splice(5, 5, "\nx"), ["a\n", "b\n", "c\n", "x"]),
        (["a\n", "b\n", "c"], Splice(2, 4, ""), ["a\n", "c"]),
        (["a\n", "b\n", "c"], Splice(4, 5, ""), ["a\n", "b\n"]),
        (["a\n", "b\n", "c"], Splice(0, 2, ""), ["b\n", "c"]),
        (["a\n", "b\n", "c"], Splice(1, 2, " "), ["a b\n", "c"]),
        (["a"], Splice(0, 0, "x\n"), ["x\n", "a"]),
        (["a = 1"], Splice(4, 5, '"\\é"'), ['a = "\\é"']),
        (["    a\n"], Splice(4, 4, "x\n    "), ["    x\n", "    a\n"]),
        ("a\nb\n", Splice(2, 2, "x\n"), "a\nx\nb\n"),
    ],
)
@pytest.mark.parametrize("indent", [None, 1, 4])
def test_a_list_of_lines_stays_one(
    source: str | list[str], splice: Splice, expected: str | list[str], indent: int | None
) -> None:
    data = notebook("first", source, indent=indent)
    assert sources(edit_cells(data, {2: [splice]})) == ["first", expected]
    assert edit_cells(data, {2: [splice]}) == notebook("first", expected, indent=indent, ensure_ascii=False)


def test_a_notebook_in_ascii_stays_so() -> None:
    data = notebook("é", "x", ensure_ascii=True)
    assert edit_cells(data, {2: [Splice(0, 1, "ü")]}) == notebook("é", "ü", ensure_ascii=True)


def test_what_is_unusual_elsewhere_stays_to_the_byte() -> None:
    data = (
        rb'{"x" : NaN,  "y":"\u00e9\/",'
        b"\r\n"
        rb' "cells":[ {"source":["\u0061\/\n" , "b"]} ] }  '
    )
    assert edit_cells(data, {1: [Splice(3, 4, "c")]}) == data.replace(b'"b"', b'"c"')


def test_a_notebook_that_says_a_thing_twice_is_refused() -> None:
    data = b'{"cells": [{"source": ["a\\n", "b"], "source": ["c"]}]}'
    with pytest.raises(RefusedError):
        edit_cells(data, {1: [Splice(0, 1, "x")]})


TEXT = st.text(st.sampled_from('ab \n\\"é🤗\t[]{},:'), max_size=20)


@given(
    st.lists(TEXT, min_size=1, max_size=4),
    st.data(),
    st.booleans(),
    st.sampled_from([None, 1, 2]),
    st.booleans(),
)
def test_only_the_edited_text_changes(
    texts: list[str], data: st.DataObject, ascii_only: bool, indent: int | None, lines: bool
) -> None:
    as_told: list[Any] = [text.splitlines(keepends=True) if lines else text for text in texts]
    before = notebook(*as_told, ensure_ascii=ascii_only, indent=indent)
    number = data.draw(st.integers(1, len(texts)))
    text = texts[number - 1]
    if lines and not text:
        return
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=4, max_size=4, unique=False)))
    splices = [Splice(places[0], places[1], data.draw(TEXT))]
    if places[2] > places[1]:
        splices.append(Splice(places[2], places[3], data.draw(TEXT)))
    after = edit_cells(before, {number: splices})
    expected = [*texts[: number - 1], spliced(text, splices), *texts[number:]]
    assert ["".join(source) for source in sources(after)] == expected
    cell = cells(before)[number]
    head, tail = before[: cell.pieces[0].start], before[cell.pieces[-1].end :]
    assert after.startswith(head)
    assert after.endswith(tail)
