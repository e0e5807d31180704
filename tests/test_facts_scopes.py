"""The walk over a file: scopes and what binds their names, calls, blocks, identifiers."""

import ast
import inspect

import libcst as cst
import pytest
from term_text import read

from stablint.static import facts
from stablint.static.facts.scopes import Scope, Syntax
from stablint.static.nodes import dotted_name
from stablint.static.source import SourceFile


def syntax(code: str) -> Syntax:
    return SourceFile("a.py", code.encode()).ask(facts.syntax)


def bound(scope: Scope) -> dict[str, list[str]]:
    return {name: [binding.kind for binding in bindings] for name, bindings in scope.bindings.items()}


BINDINGS = {
    "import a": {"a": ["import"]},
    "import a.b.c": {"a": ["import"]},
    "import a.b as c": {"c": ["import"]},
    "from a import b, c as d": {"b": ["import"], "d": ["import"]},
    "from a import *": {"*": ["import"]},
    "x = y = 1": {"x": ["assign"], "y": ["assign"]},
    "x = 1\nx = 2": {"x": ["assign", "assign"]},
    "x, (y, *z) = a": {"x": ["assign"], "y": ["assign"], "z": ["assign"]},
    "[x, y] = a": {"x": ["assign"], "y": ["assign"]},
    "x: int = 1": {"x": ["assign"]},
    "x: int": {"x": ["assign"]},
    "x += 1": {"x": ["assign"]},
    "x.y = 1": {},
    "x[0] = 1": {},
    "for x, y in a: pass": {"x": ["assign"], "y": ["assign"]},
    "with a as x, b as (y, z): pass": {"x": ["assign"], "y": ["assign"], "z": ["assign"]},
    "try: pass\nexcept A as x: pass": {"x": ["assign"]},
    "try: pass\nexcept* A as x: pass": {"x": ["assign"]},
    "def x(y): z = 1": {"x": ["def"]},
    "async def x(): pass": {"x": ["def"]},
    "class x: y = 1": {"x": ["class"]},
    "print(x := 1)": {"x": ["assign"]},
    "[x for x in a]": {},
    "[y := x for x in a]": {"y": ["assign"]},
    "lambda x: 1": {},
    "if a: x = 1\nelse: x = 2": {"x": ["assign", "assign"]},
    "while a: x = 1": {"x": ["assign"]},
    "match a:\n    case [x, *y]: pass": {"x": ["other"], "y": ["other"]},
    "match a:\n    case {'k': x, **y}: pass": {"x": ["other"], "y": ["other"]},
    "match a:\n    case A(x, k=y) | (x as y): b": {"x": ["other", "other"], "y": ["other", "other"]},
    "match a:\n    case _: pass": {},
    "del x": {},
}


@pytest.mark.parametrize(("code", "expected"), BINDINGS.items(), ids=BINDINGS)
def test_bindings(code: str, expected: dict[str, list[str]]) -> None:
    assert bound(syntax(code).module) == expected


def test_imports_say_what_they_bind() -> None:
    module = syntax(
        "import a.b\nimport c.d as e\nfrom f import g as h\n"
        "from .. import i\nfrom .j import k\nfrom l import *"
    ).module
    dotted = {name: bindings[0].dotted for name, bindings in module.bindings.items()}
    assert dotted == {"a": "a", "e": "c.d", "h": "f.g", "i": "..i", "k": ".j.k", "*": "l"}


def test_assignments_say_what_they_assign() -> None:
    source = SourceFile("a.py", b"x = y = f(1)\na, b = 1, 2\n")
    values = {
        name: source.code(bindings[0].value) if bindings[0].value is not None else None
        for name, bindings in source.ask(facts.syntax).module.bindings.items()
    }
    assert values == {"x": "f(1)", "y": "f(1)", "a": None, "b": None}


PARAMETERS = "def f(a, /, b: int = c, *d, e=1, **g): pass"


def test_parameters_belong_to_the_function_and_what_stands_there_does_not() -> None:
    shape = syntax(PARAMETERS)
    (function,) = shape.functions
    assert bound(function) == {name: ["parameter"] for name in "abdeg"}
    assert {"int", "c"} <= shape.identifiers


def test_global_and_nonlocal_names_live_elsewhere() -> None:
    shape = syntax(
        "def f():\n    y = 0\n    def g():\n        global x\n"
        "        nonlocal y\n        x = 1\n        y = 2\n        z = 3"
    )
    f, g = shape.functions
    assert bound(shape.module) == {"f": ["def"], "x": ["assign"]}
    assert bound(f) == {"y": ["assign", "assign"], "g": ["def"]}
    assert bound(g) == {"z": ["assign"]}
    assert g.outer_names == {"x", "y"}


def test_comprehensions_have_a_scope_of_their_own() -> None:
    shape = syntax(
        "def f(a):\n"
        "    return [x for x, (y, *z) in a if g(x)], {k: v for k, v in a}, (i for i in a), {j for j in a}"
    )
    assert set(shape.functions[0].bindings) == {"a"}
    (call,) = shape.calls["g"]
    assert call.scope.kind == "comprehension"
    assert set(call.scope.bindings) == {"x", "y", "z"}
    assert call.scope.function is shape.functions[0]


def test_scopes_stand_in_one_another() -> None:
    shape = syntax(
        "class A:\n    class B:\n        def f(self):\n"
        "            return lambda: 1\n    def g(self): pass\ndef h(): pass"
    )
    names = {scope.name: scope for scope in (*shape.functions, *shape.classes)}
    assert names["f"].owner is names["B"]
    assert names["B"].owner is names["A"]
    assert names["B"].parent is names["A"]
    assert names["<lambda>"].parent is names["f"]
    assert names["<lambda>"].owner is None
    assert names["h"].owner is None
    assert [child.name for child in shape.module.children] == ["A", "h"]
    assert [scope.kind for scope in (names["A"], names["f"], names["<lambda>"])] == [
        "class",
        "function",
        "lambda",
    ]


def test_writes_are_the_attributes_of_names_that_are_assigned() -> None:
    shape = syntax(
        "def f(self, other):\n    self.x = 1\n    self.y, other.z = 1, 2\n"
        "    self.x += 1\n    self.a.b = 1\n    self[0] = 1\n"
        "    for self.i in a: pass\n    with b as self.j: pass\n    [1 for self.k in a]\n"
    )
    (function,) = shape.functions
    assert {name: len(written) for name, written in function.writes.items()} == {
        "self.x": 2,
        "self.y": 1,
        "other.z": 1,
        "self.i": 1,
        "self.j": 1,
    }


def test_calls_are_found_by_their_last_name() -> None:
    shape = syntax(
        "f(1)\na.b.f(g(2))\n@h(3)\ndef k(x=m(4)): pass\n"
        "class A(n(5), metaclass=o(6)): pass\np()()\nq[0](1)\nf'{r(1)}'"
    )
    assert {name: len(sites) for name, sites in shape.calls.items()} == {
        "f": 2, "g": 1, "h": 1, "m": 1, "n": 1, "o": 1, "p": 1, "": 2, "r": 1,
    }  # fmt: skip


BLOCKS = {
    "if a: look()": ["if"],
    "if a: pass\nelse: look()": ["else"],
    "if a: pass\nelif b: look()": ["if", "else"],
    "if a: pass\nelif b: pass\nelse: look()": ["else", "else"],
    "for x in a: look()": ["for"],
    "for x in a: pass\nelse: look()": ["loop-else"],
    "while a: look()": ["while"],
    "while look(): pass": ["while"],
    "while a: pass\nelse: look()": ["loop-else"],
    "for x in look(): pass": [],
    "with a: look()": ["with"],
    "try: look()\nfinally: pass": ["try"],
    "try: pass\nexcept A: look()": ["except"],
    "try: pass\nexcept A: pass\nelse: look()": ["try"],
    "try: pass\nfinally: look()": ["finally"],
    "match a:\n    case 1: look()": ["case"],
    "for x in a:\n    if b:\n        with c: look()": ["with", "if", "for"],
    "def f():\n    for x in a: look()": ["for"],
    "if a:\n    def f(): look()": [],
    "if a:\n    class A: look()": [],
}


@pytest.mark.parametrize(("code", "expected"), BLOCKS.items(), ids=BLOCKS)
def test_blocks(code: str, expected: list[str]) -> None:
    (site,) = syntax(code).calls["look"]
    assert [block.kind for block in (site.block.outward() if site.block else ())] == expected


def test_every_statement_has_a_place() -> None:
    code = inspect.cleandoc(EVERYTHING)
    source = SourceFile("a.py", code.encode())
    placed = {type(node).__name__ for node in source.ask(facts.syntax).blocks}
    written = {type(node).__name__ for node in ast.walk(ast.parse(code)) if isinstance(node, ast.stmt)}
    assert written == {kind.__name__ for kind in ast.stmt.__subclasses__()} - NEWER
    assert placed >= {
        "AnnAssign", "Assert", "Assign", "AugAssign", "Break", "ClassDef", "Continue", "Del", "Expr", "For",
        "FunctionDef", "Global", "If", "Import", "ImportFrom", "Match", "Nonlocal", "Pass", "Raise", "Return",
        "SimpleStatementLine", "Try", "TryStar", "While", "With",
    }  # fmt: skip


NEWER = {"TypeAlias"}
"""Statements that the oldest Python cannot parse."""

EVERYTHING = """
    import a
    from b import c
    x: int = 1
    async def f(y):
        global x
        async for z in y: break
        async with y as z: x += 1
        def g():
            nonlocal z
            z = 1
        return x
    class A:
        pass
    for i in x:
        continue
    while x: del x
    if x: assert x
    with x: raise x
    try: x
    except A: x
    try: x
    except* A: x
    match x:
        case 1: x
"""


def test_every_name_of_a_file_is_an_identifier() -> None:
    code = inspect.cleandoc(EVERYTHING)
    names = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    assert names <= syntax(code).identifiers
    assert syntax("a.b.c(d=e)[f].g").identifiers == {"a", "b", "c", "e", "f", "g"}


def test_packages_are_those_imported_anywhere() -> None:
    shape = syntax(
        "import a.b, c as d\ndef f():\n    from e.f import g\n    from . import h\nfrom i import *"
    )
    assert shape.packages == {"a", "c", "e", "i", ""}
    assert shape.has_star_import
    assert not syntax("import a").has_star_import


def test_a_statement_knows_its_scope_and_block() -> None:
    source = read("def f():\n    for i in x:\n        y = 1; z = 2\n")
    shape = source.ask(facts.syntax)
    places = {
        source.code(node).strip("; "): (scope.name, [one.kind for one in block.outward()] if block else [])
        for node, (scope, block) in shape.blocks.items()
        if isinstance(node, cst.Assign)
    }
    assert places == {"y = 1": ("f", ["for"]), "z = 2": ("f", ["for"])}


def test_decorators_belong_to_what_they_decorate() -> None:
    shape = syntax("@a\n@b.c(1)\ndef f(): pass\n@d\nclass A: pass")
    (f,), (a,) = shape.functions, shape.classes
    assert [len(scope.decorators) for scope in (f, a)] == [2, 1]
    assert dotted_name(a.decorators[0].decorator) == "d"


def test_stores_are_the_elements_and_attributes_that_are_assigned() -> None:
    source = read("x = 1\nx[0] = 1\nx.y, z = 1, 2\nx.y.z += 1\ndef f():\n    a[1:].b = 3\n")
    stores = source.ask(facts.syntax).stores
    assert [source.code(store.target) for store in stores] == ["x[0]", "x.y", "x.y.z", "a[1:].b"]
    assert [store.scope.name for store in stores] == ["", "", "", "f"]
