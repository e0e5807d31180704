"""Programs that no person would write: whatever they are, they are examined without an exception."""

import warnings
from collections.abc import Iterator, Sequence

import hypothesmith
import libcst as cst
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from stablint.finding import Severity
from stablint.registry import load_rules
from stablint.rule import Report, StaticRule
from stablint.static.examine import examine
from stablint.static.source import SourceFile
from stablint.static.unreadable import UnreadableError

RULES = [rule() for rule in load_rules() if issubclass(rule, StaticRule)]
FUZZ = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],  # a failing program is short enough
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


class EveryExpression(StaticRule):
    """Reports every expression and statement of a file, so that all are placed."""

    code, severity, since, bad, good = "STB998", Severity.NOTE, "0.1.0", (), ()

    def check(self, source: SourceFile) -> Iterator[Report]:
        nodes: list[cst.CSTNode] = []

        class Collector(cst.CSTVisitor):
            def on_visit(self, node: cst.CSTNode) -> bool:
                if isinstance(node, cst.BaseExpression | cst.BaseSmallStatement | cst.BaseCompoundStatement):
                    nodes.append(node)
                return True

        source.tree.visit(Collector())
        for number, node in enumerate(nodes):
            yield Report(node, f"{number} {source.code(node).strip().lstrip('(')[:1]}")


def check(text: str, rules: Sequence[StaticRule]) -> None:
    source = SourceFile("x.py", text.encode("utf-8", "surrogatepass"))
    findings = examine(source, [*rules, EveryExpression()])
    assert not [finding for finding in findings if finding.code == "STB909"]
    for finding in findings:
        if finding.code == "STB998" and finding.message[-1:] not in (" ", "#", "@"):
            assert source.text[source.offset(finding.location)] == finding.message[-1]


@settings(FUZZ, max_examples=270)
@given(hypothesmith.from_grammar())
def test_programs_by_the_grammar(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the programs
        check(text, RULES)


@settings(FUZZ, max_examples=30)
@given(hypothesmith.from_node())
def test_programs_by_the_tree(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(text, RULES)


PIECES = st.sampled_from(
    [
        *(
            b"import torch\n",
            b"x = ",
            b"torch.log(",
            b")",
            b"\n",
            b"\r",
            b"\r\n",
            b"\x0c",
            b"\0",
            b"\xff",
            b"\xef\xbb\xbf",
        ),
        *(
            b"# coding: latin-1\n",
            b"# stablint: ignore[",
            b"]",
            b"# noqa: STB101",
            b'"""',
            b"'",
            b"f'{",
            b"}",
            b"\\",
        ),
        *(
            b"if x:\n",
            b"    ",
            b"\t",
            b"for i in y: a(); ",
            b"else:\n",
            b"\xc3\xa9",
            b"\xed\xa0\x80",
            b"match x:\n case ",
        ),
    ]
)


@settings(FUZZ, max_examples=500)
@given(st.lists(PIECES, max_size=25).map(b"".join), st.sampled_from(["x.py", "x.ipynb"]))
def test_pieces_of_files(data: bytes, path: str) -> None:
    findings = examine(SourceFile(path, data), RULES, known={})
    assert not [finding for finding in findings if finding.code == "STB909"]


@settings(FUZZ, max_examples=200)
@given(st.data())
def test_files_with_a_few_bytes_changed(data: st.DataObject) -> None:
    with open(__file__, "rb") as file:
        changed = bytearray(file.read()[:1500])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    source = SourceFile("x.py", bytes(changed))
    assert not [finding for finding in examine(source, RULES) if finding.code == "STB909"]
    try:
        decoded = source.decoded
    except UnreadableError:
        return
    if decoded.encoding == "utf-8":
        assert decoded.encode(decoded.text) == source.data


def test_the_fuzz_sees_a_rule_that_raises() -> None:
    class Raises(StaticRule):
        code, severity, since, bad, good = "STB997", Severity.NOTE, "0.1.0", (), ()

        def check(self, source: SourceFile) -> Iterator[Report]:
            raise ValueError

    with pytest.raises(AssertionError):
        check("x = 1\n", [Raises()])
    check("x = 1\n", [])
