from __future__ import annotations

import json
from collections.abc import Iterator
from typing import ClassVar

import libcst as cst
import libcst.matchers as m
import pytest

from stablint.finding import Applicability, Severity
from stablint.fixes import Fixed, fix_source
from stablint.rule import Change, InsertBefore, ProposedFix, Replace, Report, StaticRule
from stablint.static.source import SourceFile


class Named(StaticRule):
    """Flag every name in `replacements` and offer to put another text in its place."""

    severity = Severity.ERROR
    since = "0.1.0"
    replacements: ClassVar[dict[str, str | None]] = {}
    applicability = Applicability.SAFE
    code = "TST101"
    bad = ("bad  # flagged",)
    good = ("good",)

    def check(self, source: SourceFile) -> Iterator[Report]:
        for node in m.findall(source.tree, m.Name()):
            assert isinstance(node, cst.Name)
            if node.value in self.replacements:
                yield Report(node, f"{node.value} is bad", fix=self.fix(source, node))

    def fix(self, source: SourceFile, node: cst.Name) -> ProposedFix | None:
        text = self.replacements[node.value]
        if text is None:
            return None
        return ProposedFix(f"Use {text}", self.applicability, (Replace(node, text),))


def named(
    code: str = "TST101", applicability: Applicability = Applicability.SAFE, **replacements: str | None
) -> StaticRule:
    rule = type(
        "Named", (Named,), {"code": code, "applicability": applicability, "replacements": replacements}
    )
    made: StaticRule = rule()
    return made


def fixed(
    text: str | bytes, *rules: StaticRule, unsafe: bool = False, path: str = "a.py", **codes: set[str]
) -> Fixed:
    data = text if isinstance(text, bytes) else text.encode("utf-8")
    return fix_source(SourceFile(path, data), rules, unsafe=unsafe, **codes)


def test_what_is_found_is_mended_and_gone() -> None:
    result = fixed("x = bad + other\ny = bad\n", named(bad="good"))
    assert result.data == b"x = good + other\ny = good\n"
    assert [finding.location.start.line for finding in result.applied] == [1, 2]
    assert result.remaining == ()
    assert result.refused is None


def test_fixing_again_changes_nothing() -> None:
    once = fixed("x = bad\n", named(bad="good"))
    again = fixed(once.data, named(bad="good"))
    assert again == Fixed(once.data, (), ())


def test_what_has_no_fix_remains_and_is_where_it_is_now() -> None:
    result = fixed("x = bad; hopeless\n", named(bad="much_better", hopeless=None))
    assert result.data == b"x = much_better; hopeless\n"
    (left,) = result.remaining
    assert left.location.start.column == 18


def test_unsafe_fixes_only_when_allowed() -> None:
    rules = named("TST101", bad="good"), named("TST102", Applicability.UNSAFE, risky="changed")
    assert fixed("bad; risky\n", *rules).data == b"good; risky\n"
    assert fixed("bad; risky\n", *rules, unsafe=True).data == b"good; changed\n"


def test_codes_can_be_chosen_and_left_out() -> None:
    rules = named("TST101", one="eins"), named("TST102", two="zwei"), named("TST103", three="drei")
    assert fixed("one; two; three\n", *rules, fixable={"TST102"}).data == b"one; zwei; three\n"
    assert fixed("one; two; three\n", *rules, unfixable={"TST102"}).data == b"eins; two; drei\n"
    assert fixed("one\n", *rules, fixable={"TST101"}, unfixable={"TST101"}).data == b"one\n"


class Wrapped(Named):
    """Flag `wrap(x)`, which is x."""

    code = "TST201"

    def check(self, source: SourceFile) -> Iterator[Report]:
        for node in m.findall(source.tree, m.Call(m.Name("wrap"))):
            assert isinstance(node, cst.Call)
            inner = source.code(node.args[0].value)
            fix = ProposedFix("Unwrap it", Applicability.SAFE, (Replace(node, inner),))
            yield Report(node, "this does nothing", fix=fix)


@pytest.mark.parametrize("depth", [1, 2, 9, 10])
def test_overlapping_fixes_take_a_round_each(depth: int) -> None:
    result = fixed("wrap(" * depth + "x" + ")" * depth + "\n", Wrapped())
    if depth < 10:
        assert result.data == b"x\n"
        assert len(result.applied) == depth
    else:
        assert result.refused == "its fixes call for further fixes after 10 rounds"
        assert (result.applied, len(result.remaining)) == ((), depth)


class Imported(Named):
    """Replace a name by one of a module that must be imported."""

    code = "TST301"

    def fix(self, source: SourceFile, node: cst.Name) -> ProposedFix:
        text = self.replacements[node.value] or ""
        changes: list[Change] = [Replace(node, text)]
        if "import torch" not in source.text:
            changes.insert(0, InsertBefore(source.tree.body[0], "import torch"))
        return ProposedFix(f"Use {text}", Applicability.SAFE, tuple(changes))


def test_an_edit_that_two_fixes_share_is_made_once() -> None:
    rule = type("Shared", (Imported,), {"replacements": {"ln": "torch.log", "pow": "torch.exp"}})()
    result = fixed("x = ln(pow(1))\n", rule)
    assert result.data == b"import torch\nx = torch.log(torch.exp(1))\n"
    assert len(result.applied) == 2


def refusal(text: str, *rules: StaticRule) -> str:
    result = fixed(text, *rules)
    assert result.data == text.encode()
    assert result.applied == ()
    assert result.refused is not None
    return result.refused


def test_a_text_that_does_not_parse_is_refused() -> None:
    assert refusal("x = bad\n", named(bad="(")).startswith("the fixed text does not parse: ")


def test_a_text_that_only_the_compiler_rejects_is_refused() -> None:
    rule = type("Late", (Imported,), {"replacements": {"ln": "torch.log"}})()
    text = "from __future__ import annotations\nx = ln(1)\n"
    assert refusal(text, rule) == "Python does not compile the fixed text"


def test_a_fix_that_brings_up_something_new_is_refused() -> None:
    told = refusal("x = 1; bad\n", named("TST101", bad="worse"), named("TST102", worse=None))
    assert told == "the fixed text has TST102 (named) at 1:8: worse is bad"


def test_a_fix_that_does_not_mend_is_refused() -> None:
    assert "TST101" in refusal("bad\n", named(bad="(bad)"))
    assert "TST101" in refusal("bad\n", named(bad="also_bad", also_bad="bad"))


def test_a_fix_that_cures_one_and_moves_another_is_no_gain() -> None:
    result = fixed("bad; hopeless; bad\n\nhopeless\n", named(bad="(\n  good)", hopeless=None))
    assert result.refused is None
    places = [(one.location.start.line, one.location.start.column) for one in result.remaining]
    assert places == [
        (2, 10),
        (5, 1),
    ]


def test_a_fix_that_changes_nothing_is_not_applied() -> None:
    result = fixed("bad\n", named(bad="bad"))
    assert (result.applied, len(result.remaining), result.refused) == ((), 1, None)


def test_a_file_that_does_not_parse_is_left_alone() -> None:
    result = fixed("def f(:\n", named(f="g"))
    assert result.data == b"def f(:\n"
    assert [finding.code for finding in result.remaining] == ["STB901"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"\xef\xbb\xbfx = '\xc3\xbc\xc3\x9f'; bad\r\n", b"\xef\xbb\xbfx = '\xc3\xbc\xc3\x9f'; good\r\n"),
        (b"# coding: latin-1\nx = '\xfc'; bad; '\xe9'\n", b"# coding: latin-1\nx = '\xfc'; good; '\xe9'\n"),
        ("# coding: shift-jis\nx = '表示'; bad; '日'".encode("shift-jis"),
         "# coding: shift-jis\nx = '表示'; good; '日'".encode("shift-jis")),
        ("x = '🤗'; bad; bad".encode(), "x = '🤗'; good; good".encode()),
        (b"if x:\r\n\tbad\r\ny = 1\n", b"if x:\r\n\tgood\r\ny = 1\n"),
        (b"x = 1 \x0c\nbad\n\x0c\ny\n", b"x = 1 \x0c\ngood\n\x0c\ny\n"),
    ],
)  # fmt: skip
def test_every_other_byte_stays(before: bytes, after: bytes) -> None:
    result = fixed(before, named(bad="good"))
    assert result.refused is None
    assert result.data == after


def test_inserted_lines_end_like_the_files() -> None:
    rule = type("Shared", (Imported,), {"replacements": {"ln": "torch.log"}})()
    assert fixed(b"x = ln(1)\r\n", rule).data == b"import torch\r\nx = torch.log(1)\r\n"


def test_a_text_that_the_encoding_lacks_is_refused() -> None:
    text = b"# coding: latin-1\nx = '\xfc'; bad\n"
    result = fixed(text, named(bad="'日'"))
    assert result.data == text
    assert result.refused is not None
    assert result.refused.startswith("the fixed text cannot be written in iso-8859-1")


def notebook(*sources: list[str]) -> bytes:
    cells = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": one}
        for one in sources
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1).encode()


def test_a_notebook_is_mended_in_its_cells() -> None:
    before = notebook(["x = 1\n", "y = bad"], ["%matplotlib inline\n", "bad"], ["good"])
    result = fixed(before, named(bad="good"), path="lab.ipynb")
    assert result.refused is None
    assert result.data == before.replace(b"bad", b"good")
    assert [(one.location.cell, one.location.start.line) for one in result.applied] == [(1, 2), (2, 2)]
