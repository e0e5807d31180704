"""Bytes to text as Python does it; what cannot be decoded is a finding, whoever is to blame."""

import ast
import codecs
import warnings

import pytest

from stablint.static.encoding import cookie, decode
from stablint.static.examine import examine
from stablint.static.source import SourceFile

BOM = codecs.BOM_UTF8

READABLE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", ""),
    "one line break": (b"\n", "\n"),
    "no line break at the end": (b"x = 1", "x = 1"),
    "CR LF": (b"x = 1\r\ny = 2\r\n", "x = 1\r\ny = 2\r\n"),
    "lone CR": (b"x = 1\ry = 2\r", "x = 1\ry = 2\r"),
    "all line breaks": (b"x = 1\ny = 2\r\nz = 3\rw = 4\n", "x = 1\ny = 2\r\nz = 3\rw = 4\n"),
    "lone CR at the end": (b"x = 1\n\r", "x = 1\n\r"),
    "CR in a string": (b'x = """a\rb"""\n', 'x = """a\rb"""\n'),
    "form feed at the start": (b"\x0cx = 1\n", "\x0cx = 1\n"),
    "form feed on a line": (b"x = 1\n\x0c\ny = 2\n", "x = 1\n\x0c\ny = 2\n"),
    "form feed before an indented line": (b"if x:\n\x0c    y = 1\n", "if x:\n\x0c    y = 1\n"),
    "form feed in a line": (b"x = \x0c1\n", "x = \x0c1\n"),
    "BOM": (BOM + b"x = 1\n", "x = 1\n"),
    "BOM and CR LF": (BOM + b"x = 1\r\n", "x = 1\r\n"),
    "BOM only": (BOM, ""),
    "BOM and cookie": (BOM + b"# coding: utf-8\n", "# coding: utf-8\n"),
    "UTF-8": ('x = "é😀"\n'.encode(), 'x = "é😀"\n'),
    "UTF-8 name": ("é = 1\n".encode(), "é = 1\n"),
    "UTF-8 cookie": (b'# coding: UTF8\nx = "\xc3\xa9"\n', '# coding: UTF8\nx = "é"\n'),
    "UTF-8 cookie with underscore": (b'# coding: utf_8\nx = "\xc3\xa9"\n', '# coding: utf_8\nx = "é"\n'),
    "UTF-8 cookie of emacs": (b"# -*- coding: utf-8-unix -*-\n", "# -*- coding: utf-8-unix -*-\n"),
    "not a character": ('x = "\uffff"\n'.encode(), 'x = "\uffff"\n'),
    "line separator in a comment": ("x = 1 # \u2028 y\n".encode(), "x = 1 # \u2028 y\n"),
    "right to left": ('x = "\u202e"\n'.encode(), 'x = "\u202e"\n'),
    "escape character": (b'x = "\x1b[31m"\n', 'x = "\x1b[31m"\n'),
    "escaped lone surrogate": (b'x = "\\ud83e"\n', 'x = "\\ud83e"\n'),
    "latin-1": (b'# coding: latin-1\nx = "\xe9"\n', '# coding: latin-1\nx = "é"\n'),
    "latin-1 of emacs": (b'# -*- coding: Latin-1-unix -*-\nx = "\xe9"\n', '# -*- coding: Latin-1-unix -*-\nx = "é"\n'),
    "latin-1 of vim, second line": (
        b'#!/bin/py\n# vim: set fileencoding=iso-8859-1 :\n"\xe9"\n',
        '#!/bin/py\n# vim: set fileencoding=iso-8859-1 :\n"é"\n',
    ),
    "latin-1 below an empty line": (b'\n# coding: latin-1\ny = "\xe9"\n', '\n# coding: latin-1\ny = "é"\n'),
    "latin-1 behind a form feed": (b'\x0c# coding: latin-1\nx = "\xe9"\n', '\x0c# coding: latin-1\nx = "é"\n'),
    "latin-1 with lone CR": (b'# coding: latin-1\rx = "\xe9"\r', '# coding: latin-1\rx = "é"\r'),
    "latin-1 far to the right": (
        b"#" + b" " * 5000 + b'coding: l1\nx = "\xe9"\n',
        "#" + " " * 5000 + 'coding: l1\nx = "é"\n',
    ),
    "first cookie wins": (
        b'# coding: latin-1\n# coding: utf-8\nx = "\xe9"\n',
        '# coding: latin-1\n# coding: utf-8\nx = "é"\n',
    ),
    "cp1252": (b'# coding: cp1252\nx = "\x80"\n', '# coding: cp1252\nx = "€"\n'),
    "koi8-r": (b'# coding: koi8-r\nx = "\xc1"\n', '# coding: koi8-r\nx = "а"\n'),
    "shift_jis with a backslash byte": (
        '# coding: shift_jis\nx = "表"\n'.encode("shift_jis"),
        '# coding: shift_jis\nx = "表"\n',
    ),
    "gbk": ('# coding: gbk\nx = "中"\n'.encode("gbk"), '# coding: gbk\nx = "中"\n'),
    "iso-2022-jp": ('# coding: iso-2022-jp\nx = "日"\n'.encode("iso-2022-jp"), '# coding: iso-2022-jp\nx = "日"\n'),
    "utf7": (b'# coding: utf7\nx = "+AOk-"\n', '# coding: utf7\nx = "é"\n'),
    "code hidden in utf7": (b"# coding: utf7\n+AHg-=1\n", "# coding: utf7\nx=1\n"),
    "unicode_escape": (b'# coding: unicode_escape\nx = "\\u00e9"\n', '# coding: unicode_escape\nx = "é"\n'),
}  # fmt: skip

SYNTAX_ERRORS: dict[str, tuple[bytes, int]] = {
    "two BOMs": (BOM + BOM + b"x = 1\n", 1),
    "BOM in the middle": (b"x = 1\n" + BOM + b"y = 2\n", 2),
    "BOM and a cookie against it": (BOM + b"# coding: latin-1\nx = 1\n", 1),
    "latin-1 without cookie": (b'\nx = "\xe9"\n', 2),
    "latin-1 with a cookie on line 3": (b'#\n#\n# coding: latin-1\nx = "\xe9"\n', 4),
    "latin-1 with a cookie behind code": (b'x = 1\n# coding: latin-1\ny = "\xe9"\n', 3),
    "latin-1 with a cookie in a docstring": (b'"""\n# coding: latin-1\n"""\ny = "\xe9"\n', 4),
    "UTF-8 cookie, latin-1 text": (b'# coding: utf-8\nx = "\xe9"\n', 2),
    "ascii cookie": (b'# coding: ascii\nx = "\xe9"\n', 2),
    "byte that cp1252 has not": (b'# coding: cp1252\nx = "\x81"\n', 2),
    "surrogate in UTF-8": (b'x = "\xed\xa0\x80"\n', 1),
    "surrogate by unicode_escape": (b'# coding: unicode_escape\nx = "\\ud83e"\n', 1),
    "overlong UTF-8": (b'x = "\xc0\x80"\n', 1),
    "UTF-8 cut off": (b'x = "\xe2\x82', 1),
    "beyond Unicode": (b'x = "\xf4\x90\x80\x80"\n', 1),
    "UTF-16 little": ("import torch\n".encode("utf-16"), 1),
    "UTF-16 big": (codecs.BOM_UTF16_BE + "import torch\n".encode("utf-16-be"), 1),
    "UTF-16 without BOM": ("import torch\n".encode("utf-16-le"), 1),
    "UTF-32": ("import torch\n".encode("utf-32"), 1),
    "utf-16 cookie": (b"# coding: utf-16\nx = 1\n", 1),
    "utf-32 cookie": (b"# coding: utf-32\nx = 1\n", 1),
    "cp037 cookie": (b"# coding: cp037\nx = 1\n", 1),
    "rot13": (b"# coding: rot13\nk = 1\n", 1),
    "base64": (b"# coding: base64\nx = 1\n", 1),
    "zlib": (b"# coding: zlib\n", 1),
    "hex": (b"# coding: hex\n", 1),
    "undefined": (b"# coding: undefined\nx = 1\n", 1),
    "punycode": (b"# coding: punycode\nx = 1\n", 1),
    "unknown cookie": (b"# coding: no-such-codec\nx = 1\n", 1),
    "a cookie that is a path": (b"# coding: ..evil\nx = 1\n", 1),
    "NUL only": (b"\0", 1),
    "NUL behind code": (b"x = 1\n\0", 1),
    "control character": (b"x = 1\ny = 2 \x01\n", 2),
    "vertical tab": (b"x = 1\n\x0b\ny = 2\n", 2),
    "end of file of DOS": (b"x = 1\n\x1a", 2),
    "no-break space": ("x =\u00a01\n".encode(), 1),
    "next line character": ("x = 1\u0085y = 2\n".encode(), 1),
    "zero-width space": ("x\u200b = 1\n".encode(), 1),
    "emoji name": ("😀 = 1\n".encode(), 1),
    "Python 2 print": (b'x = 1\nprint "x"\n', 2),
    "Python 2 backticks": (b"x = `1`\n", 1),
    "Python 2 octal": (b"x = 0777\n", 1),
    "Python 2 unequal": (b"if 1 <> 2: pass\n", 1),
    "tabs against spaces": (b"if x:\n\ty = 1\n        z = 2\n", 3),
    "dedent to nowhere": (b"if x:\n    y = 1\n  z = 2\n", 3),
    "backslash at the end": (b"x = 1 \\", 1),
    "string without end": (b'x = "abc\n', 1),
    "HTML": (b"<html>torch</html>\n", 1),
    "ELF": (b"\x7fELF\x02\x01\x01\0\0\0torch", 1),
    "PNG": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 1),
    "pickle": (b"\x80\x04\x95\x0b\0\0torch", 1),
    "every byte": (bytes(range(256)), 1),
}  # fmt: skip


def test_there_are_enough() -> None:
    assert len(READABLE) + len(SYNTAX_ERRORS) >= 60


@pytest.mark.parametrize("name", READABLE)
def test_readable(name: str) -> None:
    data, text = READABLE[name]
    decoded = decode(data)
    assert decoded.text == text
    assert SourceFile("x.py", data).text == text
    assert examine(SourceFile("x.py", data), []) == []


@pytest.mark.parametrize("name", sorted(set(READABLE) - {"utf7", "code hidden in utf7", "unicode_escape"}))
def test_text_goes_back_to_the_same_bytes(name: str) -> None:
    data, _ = READABLE[name]
    decoded = decode(data)
    assert decoded.encode(decoded.text) == data


@pytest.mark.parametrize("name", READABLE)
def test_python_agrees_on_the_text(name: str) -> None:
    data, text = READABLE[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert ast.dump(ast.parse(data)) == ast.dump(ast.parse(text))


@pytest.mark.parametrize("name", SYNTAX_ERRORS)
def test_syntax_error(name: str) -> None:
    data, line = SYNTAX_ERRORS[name]
    (finding,) = examine(SourceFile("x.py", data), [])
    assert finding.code == "STB901"
    assert finding.message.startswith("not valid Python as far as 3.")
    if line > 1:  # CPython itself does not always say which line
        assert finding.location.start.line == line


def test_latin1_in_a_comment_is_not_checked() -> None:
    # CPython compiles these bytes, but does not run a file that holds them.
    (finding,) = examine(SourceFile("x.py", b"x = 1\n# caf\xe9\n"), [])
    assert finding.code == "STB900"
    assert finding.location.start.line == 2
    assert "cannot be read as utf-8" in finding.message


@pytest.mark.parametrize(
    ("line", "encoding"),
    [
        (b"# coding: latin-1", "iso-8859-1"),
        (b"# coding=ISO_8859_1", "iso-8859-1"),
        (b"# coding = latin-1", None),
        (b"# -*- mode: python; coding: koi8-r -*-", "koi8-r"),
        (b"x = 1  # coding: latin-1", None),
        (b"\t\x0c # encoding: cp1252", "cp1252"),
        (b"#!/usr/bin/python\r# coding: cp1252", "cp1252"),
        (b"import x\n# coding: cp1252", None),
        (b"", None),
    ],
)
def test_cookie(line: bytes, encoding: str | None) -> None:
    assert cookie(line) == encoding


@pytest.mark.parametrize(
    ("codec", "codes"),
    [
        ("charmap", []),
        ("unicode_escape", ["STB901"]),
        ("utf-7", ["STB901"]),
        ("idna", ["STB901"]),
        ("quopri", ["STB901"]),
        ("bz2", ["STB901"]),
    ],
)
def test_odd_codecs_warn_of_nothing_and_raise_nothing(codec: str, codes: list[str]) -> None:
    data = f"# coding: {codec}\n".encode() + b'x = "\\q \\N{nothing} \xff"\n'
    assert [finding.code for finding in examine(SourceFile("x.py", data), [])] == codes
