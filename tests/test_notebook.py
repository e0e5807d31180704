"""Notebooks: code cells as one text, magics masked, places in cells."""

import ast
import json

import libcst as cst
import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from notebooks import notebook

from stablint.finding import Location, Position
from stablint.static.examine import examine
from stablint.static.magics import masked
from stablint.static.source import SourceFile


def test_code_cells_follow_each_other_and_others_are_left_out() -> None:
    source = notebook(("markdown", "# no code ("), "a = 1", ("raw", "("), "b = 2\nc = 3", "", "d = 4\n")
    assert source.kind == "notebook"
    assert source.text == "a = 1\nb = 2\nc = 3\n\nd = 4\n\n"
    assert source.notebook is not None
    assert [(cell.number, cell.line) for cell in source.notebook.cells] == [(2, 1), (4, 2), (5, 4), (6, 5)]


def test_cells_are_what_nbformat_says() -> None:
    source = notebook(("markdown", "x"), "a = 1\n\nb = 2", "c")
    read = nbformat.reads(source.data.decode(), as_version=4)  # type: ignore[no-untyped-call]
    assert source.notebook is not None
    for cell in source.notebook.cells:
        assert read.cells[cell.number - 1].source == cell.source


def test_places_count_within_cells() -> None:
    source = notebook(("markdown", "x"), "%load_ext foo\na = 1", "# first\n\nb = (2,\n  3)  # last")
    places = list(source.locate(source.tree.body).values())
    assert places[1] == Location("n.ipynb", Position(2, 1), Position(2, 6), cell=2)
    assert places[2] == Location("n.ipynb", Position(3, 1), Position(4, 5), cell=3)
    assert source.location(0, len(source.text)).end == Position(2, 6)  # no further than its cell


def test_offsets_come_back() -> None:
    source = notebook("a = 1\nb = 2", "", "c = 3\n\nd = 4")
    for offset in range(len(source.text)):
        location = source.location(offset, offset)
        text = source.text[offset]
        assert source.offset(location) == offset or text == "\n"


@pytest.mark.parametrize(
    ("cell", "python"),
    [
        ("%matplotlib inline", "_                 "),
        ("!pip install it's (\nx = 1", "_                  \nx = 1"),
        ("  %time f(\n", "  _       \n"),
        ("if a:\n    !ls\n    %cd ..\nelse:\n    b()", "if a:\n    _  \n    _     \nelse:\n    b()"),
        ("!cat a \\\n  b (\nx", "_       \n     \nx"),
        ("f?\n?f\nf.g??", "_ \n_ \n_    "),
        ("!!ls\n/f 1\n,f a b\n;f a", "_   \n_   \n_     \n_   "),
        ("a = !ls (\nb=%pwd\nc, d[0] = !x", "a = _    \nb=_   \nc, d[0] = _ "),
        ('e["k"] = !ls', 'e["k"] = _  '),
        ('x: list = !ls "a" = 1', "x: list = _          "),
        ("x = 7 \\\n% 3", "x = 7 \\\n% 3"),
        ("x = (7\n% 3\n!= 2)", "x = (7\n% 3\n!= 2)"),
        ('s = """\n%no\n!no\n?no\n"""', 's = """\n%no\n!no\n?no\n"""'),
        ('print(f"{x=!r}")', 'print(f"{x=!r}")'),
        ("x = 'a = !ls'", "x = 'a = !ls'"),
        ("# %no\n# what?\nx = 1  # why?", "# %no\n# what?\nx = 1  # why?"),
        ("x = y != z", "x = y != z"),
        ("x %= 3", "x %= 3"),
        ("print('really?')", "print('really?')"),
        ("%%time\nx = 1\n%cd\ny", "_     \nx = 1\n_  \ny"),
        ("\n%%timeit -n 1 x = 2\nf(x)", "\n_                  \nf(x)"),
        ("%%capture out\r\nf(x)\r\n", "_            \r\nf(x)\r\n"),
    ],
)
def test_magics_are_masked_to_equal_length(cell: str, python: str) -> None:
    assert masked(cell) == python
    assert len(python) == len(cell)
    ast.parse(python.replace("  _ ", "_"))


@pytest.mark.parametrize("magic", ["bash", "html", "writefile a.py", "javascript", "R", "sql", "", "sh"])
def test_cells_in_other_languages_are_left_out(magic: str) -> None:
    assert masked(f"%%{magic}\nls (") is None
    source = notebook("a = 1", f"%%{magic}\nls (", "b = 2")
    assert source.text == "a = 1\nb = 2\n"


@given(st.text(st.sampled_from("%!?=\\ \n\r'\"#({)}fx,;/[]é😀"), max_size=30))
def test_masking_keeps_every_place(cell: str) -> None:
    python = masked(cell)
    if python is not None:
        assert len(python) == len(cell)
        assert [char for char in python if char in "\r\n"] == [char for char in cell if char in "\r\n"]


@given(st.lists(st.text(st.sampled_from("%x=1\n\r "), max_size=8), max_size=4))
def test_each_line_belongs_to_its_cell(cells: list[str]) -> None:
    document = {"cells": [{"cell_type": "code", "source": cell} for cell in cells]}
    source = SourceFile("n.ipynb", json.dumps(document).encode())
    assert source.notebook is not None
    assert len(source.notebook.text) == len(source.notebook.original)
    for cell in source.notebook.cells:
        assert source.notebook.original[cell.start : cell.end] == cell.source
        assert source.location(cell.start, cell.end).start == Position(1, 1)
        assert source.location(cell.start, cell.end).cell == cell.number


@pytest.mark.parametrize(
    ("metadata", "python"),
    [
        ({}, True),
        ({"language_info": {"name": "python"}}, True),
        ({"kernelspec": {"language": "python", "name": "conda"}}, True),
        ({"language_info": {"name": "R"}}, False),
        ({"kernelspec": {"language": "julia"}}, False),
        ({"language_info": {"name": None}, "kernelspec": 3}, True),
    ],
)
def test_other_languages_have_no_cells(metadata: dict[str, object], python: bool) -> None:
    assert (notebook("x = 1", **metadata).text == "x = 1\n") is python


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no valid JSON"),
        (b"{", "no valid JSON"),
        (b"\xff\xfe\xfd", "no valid JSON"),
        (b"[" * 100_000, "no valid JSON"),
        (b"1" * 10_000, "no"),
        (b"[]", "no notebook"),
        (b'{"cells": 3}', "no notebook"),
        (b'{"worksheets": []}', "format 3"),
        (b'{"cells": [{"cell_type": "code", "source": 3}]}', "cell 1"),
        (b'{"cells": [{"cell_type": "code", "source": ["a", 3]}]}', "cell 1"),
        (b'{"cells": [{}, {"cell_type": "code", "source": "\\ud83e"}]}', "cell 2"),
    ],
)
def test_what_is_no_notebook_is_not_checked(data: bytes, reason: str) -> None:
    (finding,) = examine(SourceFile("n.ipynb", data), [])
    assert finding.code == "STB900"
    assert reason in finding.message
    assert finding.location.cell is None


def test_odd_cells_are_no_code() -> None:
    data = (
        b'{"cells": [3, null, {}, {"cell_type": "code"}, {"cell_type": "heading", "source": "("}], "x": NaN}'
    )
    assert SourceFile("n.ipynb", data).text == "\n"


def test_a_syntax_error_stands_in_its_cell() -> None:
    (finding,) = examine(notebook("x = 1", "%cd\nfor y in z\n    pass"), [])
    assert finding.code == "STB901"
    assert finding.location.cell == 2
    assert finding.location.start.line == 2


def test_await_at_the_top_is_fine() -> None:
    assert examine(notebook("x = await f()"), []) == []


def test_what_a_cell_shows() -> None:
    source = notebook(
        "a.f()\nb.f()",
        "c.f();",
        "d.f()\n%cd",
        "e = 1; f.f()  # shown",
        "if g:\n    g.f()",
        "h.f()\n\n# end\n",
        ("markdown", "i.f()"),
        "j.f()\n\n",
    )
    shown = [
        source.code(small).strip()
        for line in source.tree.body
        if isinstance(line, cst.SimpleStatementLine)
        for small in line.body
        if isinstance(small, cst.Expr) and source.is_displayed(small)
    ]
    assert shown == ["b.f()", "_", "f.f()", "h.f()", "j.f()"]


def test_a_python_file_shows_nothing() -> None:
    source = SourceFile("x.py", b"f()\n")
    (line,) = source.tree.body
    assert isinstance(line, cst.SimpleStatementLine)
    assert isinstance(line.body[0], cst.Expr)
    assert not source.is_displayed(line.body[0])
