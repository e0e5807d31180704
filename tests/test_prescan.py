"""The shapes that kill parsers are refused in linear time; everything that people write passes."""

import libcst as cst
import pytest

from stablint.finding import Position
from stablint.static.examine import examine
from stablint.static.lexer import Kind, tokens
from stablint.static.prescan import BRACKETS, CHAIN, ELIFS, prescan
from stablint.static.source import SourceFile
from stablint.static.unreadable import UnreadableError

DEADLY: dict[str, str] = {
    "parentheses": "x = " + "(" * 6000 + "1" + ")" * 6000,
    "open parentheses": "x = " + "(" * 6000,
    "lists": "x = " + "[" * 6000 + "]" * 6000,
    "dicts": "x = " + "{1:" * 3000 + "1" + "}" * 3000,
    "calls": "x = " + "f(" * 1500 + "1" + ")" * 1500,
    "subscripts": "x = " + "f[" * 1500 + "1" + "]" * 1500,
    "all brackets": "x = " + "([{" * 1000 + "}])" * 1000,
    "over many lines": "x = (\n" + "f(  # (\n" * 1500 + "1" + ")\n" * 1500 + ")",
    "lambdas in parentheses": "x = " + "(lambda: " * 500 + "1" + ")" * 500,
    "brackets in an f-string": 'x = f"{' + "(" * 500 + "1" + ")" * 500 + '}"',
    "f-strings in f-strings": "x = " + 'f"{' * 500 + "1" + '}"' * 500,
    "formats in formats": 'x = f"{a' + ":{a" * 500 + "}" * 500 + '}"',
    "brackets between strings": 'x = f"{""' + "+(" * 500 + "1" + ")" * 500 + '}"',
    "sum": "x = " + "+".join("a" * 20_000),
    "sum over lines": "x = (" + "+\n".join("a" * 5_000) + ")",
    "sum over joined lines": "x = " + "+ \\\n".join("a" * 5_000),
    "powers": "x = " + "**".join("a" * 5_000),
    "attributes": "x = " + ".".join("a" * 5_000),
    "method calls": "x = a" + ".b()" * 2_500,
    "calls of calls": "x = a" + "()" * 5_000,
    "and": "x = " + " and ".join("a" * 5_000),
    "not": "x = " + "not " * 5_000 + "a",
    "minus": "x = " + "-" * 5_000 + "a",
    "lambdas": "x = " + "lambda: " * 5_000 + "a",
    "conditions": "x = " + "a if b else " * 5_000 + "a",
    "adjacent strings": "x = " + '"a" ' * 5_000,
    "adjacent strings without blanks": "x = " + """'a'"b\"""" * 2_500,
    "strings with line breaks": "x = " + '"""\n""" + ' * 5_000 + "1",
    "comprehension": "x = [a " + "for a in b " * 2_000 + "]",
    "elif": "if a: pass\n" + "elif a: pass\n" * 5_000,
    "indented elif": "def f():\n  if a:\n    pass\n" + "  elif a:\n    pass\n    b()\n" * 5_000,
    "import": "import " + ".".join("a" * 5_000),
    "patterns": "match a:\n case " + "(" * 40 + "1" + ")" * 40 + ": pass",
    "list patterns": "match a:\n case " + "[" * 40 + "1" + "]" * 40 + ": pass",
    "class patterns": "match a:\n case " + "A(x=" * 40 + "1" + ")" * 40 + ": pass",
    "patterns and lone CR": "match a:\r case " + "(" * 40 + "1" + ")" * 40 + ": pass",
    "mapping patterns": "match a:\n case " + "{1: " * 12 + "a" + "}" * 12 + ": pass",
}

HARMLESS: dict[str, str] = {
    "nothing": "",
    "brackets next to each other": "x = [" + "(), " * 5_000 + "]",
    "brackets in strings": "x = '" + "(" * 5_000 + "'",
    "brackets in a raw string": "x = r'" + "\\'(" * 500 + "'",
    "brackets in a docstring": '"""\n' + "((\n" * 5_000 + '"""',
    "brackets in comments": "x = 1  # (" + "(" * 5_000,
    "brackets in an f-string's text": "x = f'" + "(" * 200 + "'",
    "braces in an f-string's text": "x = f'" + "{{" * 200 + "{a}'",
    "a hundred brackets": "x = " + "(" * BRACKETS + "1" + ")" * BRACKETS,
    "a table": "x = [\n" + "    [-1.0, 2e-5 + 1, not a.b, 'c' 'd'],\n" * 2_000 + "]",
    "many arguments": "f(" + "a.b.c(d), " * 2_000 + ")",
    "many statements": "a = b + c\n" * 5_000,
    "many statements on a line": "a.b(); " * 2_000,
    "a long sum": "x = " + " + ".join(["a"] * (CHAIN // 2)),
    "many ifs": "if a:\n    pass\nelif b:\n    pass\n" * (ELIFS + 1),
    "a variable called case": "case = " + "((((" * 6 + "1" + "))))" * 6,
    "a match": "match a:\n" + "    case [A(x=1), {'b': (1 | 2)}]: pass\n" * 100,
    "nested fields": "x = f'{a:{b}.{c}f} {d!r:>{e}} {f[\"g\"]}'\n" * 100,
}


@pytest.mark.parametrize("name", DEADLY)
def test_deadly(name: str) -> None:
    text = DEADLY[name] + "\n"
    with pytest.raises(UnreadableError) as caught:
        prescan(text)
    assert caught.value.diagnostic.code == "STB900"
    (finding,) = examine(SourceFile("x.py", text.encode()), [])
    assert finding.code == "STB900"
    assert finding.message == caught.value.message


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless(name: str) -> None:
    text = HARMLESS[name] + "\n"
    prescan(text)
    assert examine(SourceFile("x.py", text.encode()), []) == []


def test_the_place_of_what_is_too_deep_is_told() -> None:
    with pytest.raises(UnreadableError) as caught:
        prescan("import torch\nx = (\n" + "(" * 100 + "\n")
    assert caught.value.position == Position(3, 100)


def test_a_million_brackets_are_refused() -> None:  # in quadratic time, the test would time out
    with pytest.raises(UnreadableError):
        prescan("x = " + '"' + "(" * 1_000_000 + '"' + "(" * 1_000_000)


@pytest.mark.parametrize(
    "line",
    [
        "x = f'{a}' + b",
        "x = f'{a!r:>{w}}' + b",
        "x = f'{{}}' + b",
        "x = f'{x:%Y-%m}' + b",
        "x = rf'\\{a}' + b",
        "x = f'\\N{DASH}{a}' + b",
        "x = f'{d[\"a\"]}' + b",
        'x = f"{d["a"]}" + b',
        'x = f"{d["#"]}" + b',
        'x = f"{f"{f"{a}"}"}" + b',
        "x = f'''{a}\n{b}''' + b",
        "x = f'''{\na\n}''' + b",
        'x = f"""{"""a"""}""" + b',
        "x = f'{(lambda y: y)(1):>3}' + b",
        "x = f'{a == b}{a != b}' + b",
        "x = b'#' + b",
        "x = '\\\n#' + b",
        'x = """\\"""#""" + b',
        "x = '' + b",
        'x = 1if a else"#" + b',
        "x = '#\n(+ b",
        "x = f'#{\n(+ b",
    ],
)
def test_strings_end_where_they_end(line: str) -> None:
    text = line + "  # comment\n"
    comments = [text[start:end] for kind, start, end in tokens(text) if kind is Kind.COMMENT]
    assert comments == ["# comment"]


def test_the_lexer_sees_what_libcst_sees() -> None:
    text = 'def f(a, *, b: "c" = {1: [2]}):\n    return f"{a[0]!r:{b}}" \\\n        + b"c"\n'
    assert cst.parse_module(text).code == text
    opened = [text[start] for kind, start, _ in tokens(text) if kind is Kind.OPEN]
    closed = [text[start] for kind, start, _ in tokens(text) if kind is Kind.CLOSE]
    assert "".join(opened) == "({[{[{"
    assert "".join(closed) == "]})]}}"
    assert sum(kind is Kind.NEWLINE for kind, _, _ in tokens(text)) == 2
