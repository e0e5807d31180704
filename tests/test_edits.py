"""Proposed fixes -> edits of the text, right or refused."""

import libcst as cst
import pytest
from notebooks import notebook

from stablint.finding import Applicability
from stablint.rule import Change, InsertAfter, InsertBefore, ProposedFix, Remove, Replace
from stablint.static.edits import apply_fixes, resolve_fix
from stablint.static.source import SourceFile


def named(source: SourceFile, name: str) -> cst.CSTNode:
    """Return the small statement that calls `name`, or the compound one whose header mentions it."""
    found: list[cst.CSTNode] = []

    class Finder(cst.CSTVisitor):
        def on_visit(self, node: cst.CSTNode) -> bool:
            if isinstance(node, cst.BaseSmallStatement) and source.code(node).strip(" ;") == f"{name}()":
                found.append(node)
            header = {"For": "target", "If": "test", "FunctionDef": "name", "ClassDef": "name", "Else": ""}
            part = getattr(node, header.get(type(node).__name__, "none"), None)
            if isinstance(part, cst.Name) and part.value == name:
                found.append(node)
            return True

    source.tree.visit(Finder())
    (node,) = found
    return node


def fixed(text: str, *changes: tuple[type[Change], str] | tuple[type[Change], str, str]) -> str | None:
    source = SourceFile("x.py", text.encode())
    made = tuple(kind(named(source, name), *rest) for kind, name, *rest in changes)  # type: ignore[call-arg]
    fix = resolve_fix(source, ProposedFix("mend", Applicability.SAFE, made))
    return None if fix is None else apply_fixes(source, [fix])


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        # whole lines
        ("a()\nb()\n", (Remove, "a"), "b()\n"),
        ("a()\nb()\n", (Remove, "b"), "a()\n"),
        ("a()\nb()", (Remove, "b"), "a()\n"),
        ("a()\n", (Remove, "a"), ""),
        ("# keep\na()  # gone\n# keep\nb()\n", (Remove, "a"), "# keep\n# keep\nb()\n"),
        ("a()\r\nb()\r\n", (Remove, "a"), "b()\r\n"),
        ("if x:\n    a()\n    b()\n", (Remove, "a"), "if x:\n    b()\n"),
        ("if x:\n    a()  # why\n", (Remove, "a"), "if x:\n    pass  # why\n"),
        ("for f in x:\n    b()\nc()\n", (Remove, "f"), "c()\n"),
        ("if x:\n    for f in x:\n        b()\n", (Remove, "f"), "if x:\n    pass\n"),
        ("@d\n@e\ndef f():\n    b()\nc()\n", (Remove, "f"), "c()\n"),
        ("a()\nb()\n", (InsertBefore, "b", "n()"), "a()\nn()\nb()\n"),
        ("# about a\na()\n", (InsertBefore, "a", "n()"), "# about a\nn()\na()\n"),
        ("a()\nb()\n", (InsertAfter, "a", "n()"), "a()\nn()\nb()\n"),
        ("a()  # why\nb()\n", (InsertAfter, "a", "n()"), "a()  # why\nn()\nb()\n"),
        ("a()", (InsertAfter, "a", "n()"), "a()\nn()"),
        ("a()\r\n", (InsertAfter, "a", "n()\nm()"), "a()\r\nn()\r\nm()\r\n"),
        ("a();\n", (InsertAfter, "a", "n()"), "a();\nn()\n"),
        ("if x:\n\ta()\n", (InsertBefore, "a", "n()"), "if x:\n\tn()\n\ta()\n"),
        ("if x:\n  a()\n", (InsertAfter, "a", "if y:\n    n()\n"), "if x:\n  a()\n  if y:\n      n()\n"),
        ("if x:\n  a()\n", (InsertBefore, "a", "if y:\n\n    n()"), "if x:\n  if y:\n\n      n()\n  a()\n"),
        ("@d\ndef f():\n    b()\n", (InsertBefore, "f", "n()"), "n()\n@d\ndef f():\n    b()\n"),
        ("def f():\n b()  # c\n\n# d\ne()\n", (InsertAfter, "f", "n()"), "def f():\n b()  # c\nn()\n\n# d\ne()\n"),
        ("for f in x: a(); b()\nc()\n", (InsertBefore, "f", "n()"), "n()\nfor f in x: a(); b()\nc()\n"),
        ("for f in x: a(); b()\nc()\n", (InsertAfter, "f", "n()"), "for f in x: a(); b()\nn()\nc()\n"),
        ("if f:\n    a()\nelse:\n    b()\n", (InsertAfter, "f", "n()"), "if f:\n    a()\nelse:\n    b()\nn()\n"),
        # statements joined by semicolons
        ("a(); b(); c()\n", (Remove, "a"), "b(); c()\n"),
        ("a(); b(); c()\n", (Remove, "b"), "a(); c()\n"),
        ("a(); b(); c()  # d\n", (Remove, "c"), "a(); b()  # d\n"),
        ("a(); b();\n", (Remove, "b"), "a();\n"),
        ("a() ; \\\n b()\n", (Remove, "b"), "a()\n"),
        ("a(); b()\n", (InsertBefore, "a", "n()"), "n(); a(); b()\n"),
        ("a(); b()\n", (InsertBefore, "b", "n()"), "a(); n(); b()\n"),
        ("a(); b()\n", (InsertAfter, "a", "n()"), "a(); n(); b()\n"),
        ("a(); b();  # c\n", (InsertAfter, "b", "n()\n"), "a(); b(); n();  # c\n"),
        ("a(); b()\n", (InsertAfter, "b", "if x: n()"), None),
        ("a(); b()\n", (InsertAfter, "b", "n()\nm()"), None),
        ("a(); b()\n", (InsertAfter, "a", "n()  # c"), None),
        ("a(); b()\n", (InsertAfter, "a", "n("), None),
        # one-line bodies
        ("for x in y: a(); b()\n", (Remove, "a"), "for x in y: b()\n"),
        ("for x in y: a(); b()\n", (Remove, "b"), "for x in y: a()\n"),
        ("for x in y: a()\n", (Remove, "a"), "for x in y: pass\n"),
        ("for x in y: a()\n", (InsertBefore, "a", "n()"), "for x in y: n(); a()\n"),
        ("for x in y: a()\n", (InsertAfter, "a", "n()"), "for x in y: a(); n()\n"),
        ("for x in y: a()\n", (InsertAfter, "a", "while z: n()"), None),
        # what has no place of its own
        ("if x: pass\nelif f:\n    a()\n", (Remove, "f"), None),
        ("if x: pass\nelif f:\n    a()\n", (InsertBefore, "f", "n()"), None),
        # replacing
        ("a()  # why\n", (Replace, "a", "n()"), "n()  # why\n"),
        ("if x: a(); b()\n", (Replace, "a", "n()"), "if x: n(); b()\n"),
        ("if x:\n    a()\n", (Replace, "a", "with y:\n    n()"), "if x:\n    with y:\n        n()\n"),
        ("if x:\r\n    for f in y: a()\r\n", (Replace, "f", "n()\nm()"), "if x:\r\n    n()\r\n    m()\r\n"),
        # where libcst loses something
        ("try: x\nexcept E :\n    a()\n\x0cb()\n", (Replace, "b", "n()"), "try: x\nexcept E :\n    a()\n\x0cn()\n"),
        ("try: x\nexcept E :\n    a()\n", (InsertAfter, "a", "n()"), "try: x\nexcept E :\n    a()\n    n()\n"),
    ],
)  # fmt: skip
def test_changes(before: str, change: tuple[type[Change], str], after: str | None) -> None:
    assert fixed(before, change) == after
    if after is not None:
        assert cst.parse_module(after)


def test_the_line_of_a_statement_will_do_for_it() -> None:
    source = SourceFile("x.py", b"a(); b()\nc()\n")
    for change, after in (
        (Remove(source.tree.body[0]), "c()\n"),
        (InsertAfter(source.tree.body[0], "n()"), "a(); b()\nn()\nc()\n"),
        (InsertBefore(source.tree.body[0], "n()"), "n()\na(); b()\nc()\n"),
        (Replace(source.tree.body[0], "n()"), "n()\nc()\n"),
    ):
        fix = resolve_fix(source, ProposedFix("mend", Applicability.SAFE, (change,)))
        assert fix is not None
        assert apply_fixes(source, [fix]) == after


def test_expressions_keep_their_parentheses() -> None:
    source = SourceFile("x.py", "x = '😀', (a + b) * c\n".encode())
    call = cst.ensure_type(cst.ensure_type(source.tree.body[0], cst.SimpleStatementLine).body[0], cst.Assign)
    product = cst.ensure_type(cst.ensure_type(call.value, cst.Tuple).elements[1].value, cst.BinaryOperation)
    fix = resolve_fix(source, ProposedFix("mend", Applicability.SAFE, (Replace(product.left, "d - e"),)))
    assert fix is not None
    assert apply_fixes(source, [fix]) == "x = '😀', (d - e) * c\n"


def test_changes_of_one_fix_are_made_together() -> None:
    assert (
        fixed("a()\nb()\nc()\n", (Remove, "a"), (InsertBefore, "c", "n()"), (Replace, "b", "m()"))
        == "m()\nn()\nc()\n"
    )
    assert fixed("a()\n", (InsertBefore, "a", "n()"), (InsertBefore, "a", "m()")) == "n()\nm()\na()\n"
    assert fixed("a()\n", (InsertBefore, "a", "n()"), (InsertAfter, "a", "m()")) == "n()\na()\nm()\n"


def test_changes_that_overlap_are_refused() -> None:
    assert fixed("a()\n", (Remove, "a"), (Replace, "a", "n()")) is None
    assert fixed("a()\n", (Remove, "a"), (InsertAfter, "a", "n()")) is None


def test_a_node_that_is_not_in_the_tree_is_refused() -> None:
    source = SourceFile("x.py", b"a()\n")
    for change in (Replace(cst.Name("a"), "b"), Remove(cst.Expr(cst.Name("a")))):
        assert resolve_fix(source, ProposedFix("mend", Applicability.SAFE, (change,))) is None


def test_fixes_that_overlap_an_earlier_one_wait() -> None:
    source = SourceFile("x.py", b"a()\nb()\n")
    fixes = [
        resolve_fix(source, ProposedFix("mend", Applicability.SAFE, (change,)))
        for change in (
            Replace(source.tree.body[0], "n()"),
            Remove(source.tree.body[0]),
            Remove(source.tree.body[1]),
        )
    ]
    assert apply_fixes(source, [fix for fix in fixes if fix is not None]) == "n()\n"


def test_in_a_notebook_edits_stand_in_the_cell() -> None:
    source = notebook(("markdown", "x"), "a()", "b()\nc()")
    changes = (InsertAfter(source.tree.body[0], "n()"), Remove(source.tree.body[2]))
    fix = resolve_fix(source, ProposedFix("mend", Applicability.SAFE, changes))
    assert fix is not None
    assert [
        (edit.location.cell, edit.location.start.line, edit.location.start.column) for edit in fix.edits
    ] == [
        (2, 1, 4),
        (3, 2, 1),
    ]
    assert fix.edits[1].location.end.column == 4  # the line break behind the last line is not the cell's


def test_in_a_notebook_magics_are_not_touched() -> None:
    source = notebook("x = !ls\n%cd\na()")
    fixes = [
        resolve_fix(source, ProposedFix("mend", Applicability.SAFE, (Replace(line, "n()"),)))
        for line in source.tree.body
    ]
    assert [fix is None for fix in fixes] == [True, True, False]
