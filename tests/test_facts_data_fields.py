"""What is read and written through `.data`."""

import pytest
from term_text import read

from stablint.static import facts
from stablint.static.facts.data_fields import data_edits, data_reads


@pytest.mark.parametrize(
    ("line", "edit"),
    [
        ("x.data.mul_(2)", ("x", "mul_", False)),
        ("x.data.mul_(2).add_(1)", ("x", "mul_", False)),
        ("x.data[0] = 1", ("x", "", True)),
        ("x.data[0].zero_()", ("x", "zero_", True)),
        ("x.data.masked_fill_(y, 0)", ("x", "masked_fill_", True)),
        ("x.data *= 2", ("x", "", False)),
        ("x.y.data = y", ("x.y", "", False)),
    ],
)
def test_what_is_written(line: str, edit: tuple[str, str, bool]) -> None:
    source = read(f"def f(x, y):\n    {line}\n")
    (found,) = data_edits(source)
    assert (source.code(found.base), found.method, found.is_part) == edit


@pytest.mark.parametrize(
    "line", ["x.mul_(2)", "y = x.data", "x.data.mul(2)", "x.data.__len__()", "x.databank = 1"]
)
def test_what_is_not(line: str) -> None:
    assert data_edits(read(f"def f(x, y):\n    {line}\n")) == ()


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("return x * self.w.data", 1),
        ("return self.w.data.exp() + self.w.data", 2),
        ("return x.view(self.w.data.size(0))", 0),
        ("return self.w.data.shape, x.data", 0),
        ("return self.w.data * self.w", None),
        ("return self.w.sum()", None),
    ],
)
def test_what_is_read(body: str, count: int | None) -> None:
    source = read(f"def f(self, x):\n    {body}\n")
    (scope,) = source.ask(facts.syntax).functions
    found = data_reads(scope, "self.w")
    assert (None if found is None else len(found)) == count
