"""Where nodes stand, compared with libcst's own positions, and where libcst does not give back what it read."""

from collections.abc import Sequence

import libcst as cst
import pytest
from libcst import metadata

from stablint.static.source import SourceFile

PROGRAM = '''\
"""Docstring."""
# comment
import torch.nn.functional as F

@decorator(
    1,
)
# between
class A(B, metaclass=C):  # trailing
    x: int = (  # why
        1
    ); y = ((2)) ;

    async def f(self, *args, k=1, **kw) -> None:
        # comment
        async with a as b, c:
            for i in range(10): print(i); break
            else:
                pass
        try:
            return await (a + b) * -c if d else [e for e in f if g]
        except (E, F) as e:
            raise X from e
        finally: del x, y
        # footer


if a:
    pass
elif b:  # b
    lambda *a, b=1: (yield)
else:
    match a:  # m
        # before
        case [1, {"b": x}, C(d=e)] if f:
            global z
while (n := f"{x!r:>{w}}" "b"): x[1:2, ...] @= {**a, "b": {1, 2}}
'''


def all_nodes(module: cst.Module) -> Sequence[cst.CSTNode]:
    nodes: list[cst.CSTNode] = []

    class Collector(cst.CSTVisitor):
        def on_visit(self, node: cst.CSTNode) -> bool:
            nodes.append(node)
            return True

    module.visit(Collector())
    return nodes


def text_of(source: SourceFile, node: cst.CSTNode) -> str:
    span = source.spans([node])[id(node)]
    return source.text[span.start : span.end]


def shown(source: SourceFile, node: cst.CSTNode) -> str:
    location = source.locate([node])[id(node)]
    return source.text[source.lines.offset(location.start) : source.lines.offset(location.end)]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_places_are_those_of_libcst(newline: str) -> None:
    source = SourceFile("x.py", PROGRAM.replace("\n", newline).encode())
    assert source.tree.code == source.text
    ranges = metadata.MetadataWrapper(source.tree, unsafe_skip_copy=True).resolve(metadata.PositionProvider)
    nodes = [node for node in all_nodes(source.tree) if "whitespace" not in type(node).__module__]
    spans = source.spans(nodes)
    assert len(nodes) > 200
    for node in nodes:
        span, expected = spans[id(node)], ranges[node]
        start = source.lines.starts[expected.start.line - 1] + expected.start.column
        end = source.lines.starts[expected.end.line - 1] + expected.end.column
        ours, theirs = source.text[span.start : span.end], source.text[start:end]
        assert start <= span.start <= span.end <= end
        assert theirs.rstrip().endswith(ours), type(node)
        assert all(
            not line.strip() or line.strip().startswith("#")
            for line in theirs.strip().removesuffix(ours).splitlines()
        )


def test_compound_statements_are_shown_by_their_headers() -> None:
    source = SourceFile("x.py", PROGRAM.encode())
    headers = [
        shown(source, node)
        for node in all_nodes(source.tree)
        if isinstance(getattr(node, "body", None), cst.BaseSuite) or isinstance(node, cst.Match)
    ]
    assert headers == [
        "class A(B, metaclass=C):",
        "async def f(self, *args, k=1, **kw) -> None:",
        "async with a as b, c:",
        "for i in range(10):",
        "else:",
        "try:",
        "except (E, F) as e:",
        "finally:",
        "if a:",
        "elif b:",
        "else:",
        "match a:",
        'case [1, {"b": x}, C(d=e)] if f:',
        'while (n := f"{x!r:>{w}}" "b"):',
    ]


def test_leading_comments_and_own_parentheses_are_left_out() -> None:
    source = SourceFile("x.py", b"# one\n\n# two\nx = (\n  # three\n  ((a + b))  # four\n)\n")
    (line,) = source.tree.body
    assert isinstance(line, cst.SimpleStatementLine)
    assert isinstance(line.body[0], cst.Assign)
    assert shown(source, line).startswith("x = (")
    assert shown(source, line).endswith(")")
    assert shown(source, line.body[0].value) == "a + b"


def test_one_pass_serves_all_and_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    source = SourceFile("x.py", b"a\nb\nc\n")
    passes: list[int] = []
    original = cst.Module._codegen_impl
    monkeypatch.setattr(
        cst.Module, "_codegen_impl", lambda self, state: (passes.append(1), original(self, state))[1]
    )
    source.locate(source.tree.body)
    source.locate(source.tree.body[1:])
    source.spans(source.tree.body[:2])
    assert passes == [1]


def test_a_node_of_another_tree_has_no_place() -> None:
    source = SourceFile("x.py", b"a\n")
    assert source.locate([cst.Name("a")]) == {}


LOSSY = {
    "blank before a colon": "try:\n    a()\nexcept OSError :\n    b('é')\n",
    "form feed at the start of a line": "\x0ca()\n\x0cb('é')\n",
    "empty line joined to the next": "a()\n\\\nb('é')\n",
    "lost comments": "a()\r\n \t\r\n \t\t#c\r\n \t\t \t\n\r\n  \t#d\r\nb('é')\r\n",
    "lone CR at the end": "a()\nb('é')\n\r",
    "lone CR": "a()\rb('é')\r",
    "two of them": "\x0ctry: a()\nexcept E : pass\n\x0ctry: pass\nexcept F :\n  b('é')\n",
}


@pytest.mark.parametrize("name", LOSSY)
def test_places_hold_where_libcst_loses_something(name: str) -> None:
    source = SourceFile("x.py", LOSSY[name].encode())
    for node in all_nodes(source.tree):
        if isinstance(node, cst.Call | cst.Name | cst.SimpleString):
            assert text_of(source, node) == source.code(node)
    calls = [node for node in all_nodes(source.tree) if isinstance(node, cst.Call)]
    assert [shown(source, call) for call in calls] == ["a()", "b('é')"]


def test_most_of_them_are_lost_indeed() -> None:
    lossy = [name for name, text in LOSSY.items() if SourceFile("x.py", text.encode()).tree.code != text]
    assert len(lossy) >= 5


def test_where_tokens_are_lost_there_is_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    source = SourceFile("x.py", b"a()\nb()\n")
    tree = source.tree.with_changes(body=source.tree.body[1:])
    source.__dict__["tree"] = tree
    assert source.locate(tree.body) == {}
