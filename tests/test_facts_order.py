"""Whether one statement runs after another, as far as the blocks show it."""

import libcst as cst
import pytest
from term_text import looks, read

from stablint.static.facts import order
from stablint.static.source import SourceFile


def marked(code: str) -> tuple[SourceFile, list[cst.CSTNode]]:
    """The file, and the statements that call `look`."""
    source = read(code)
    return source, [site.statement for site in looks(source)]


FOLLOWS = {
    "look(1)\nlook(2)": True,
    "look(1)\nif a: look(2)": True,
    "if a: look(1)\nlook(2)": True,
    "if a: look(1)\nelse: look(2)": False,
    "if a: look(1)\nelif b: look(2)": False,
    "if a: look(1)\nif b: look(2)": False,
    "if a: look(1)\nif a: look(2)": True,
    "def f():\n    if a: return look(1)\n    look(2)": False,
    "def f():\n    if a:\n        look(1)\n        return\n    look(2)": False,
    "for x in y:\n    if a:\n        look(1)\n        continue\n    look(2)": False,
    "try: look(1)\nexcept E: look(2)": False,
    "try: look(1)\nfinally: look(2)": True,
    "for x in y: look(1)\nlook(2)": True,
    "with a: look(1)\nwith b: look(2)": True,
}


@pytest.mark.parametrize("code", FOLLOWS)
def test_what_follows(code: str) -> None:
    source, (first, second) = marked(code)
    assert order.follows(source, first, second) is FOLLOWS[code]
    assert not order.follows(source, second, first)


REPEATS = {
    "look(1)\nfor x in y: look(2)": True,
    "look(1)\nwhile a:\n    with b: look(2)": True,
    "for x in y:\n    look(1)\n    look(2)": False,
    "for x in y:\n    look(1)\n    for z in x: look(2)": True,
    "look(1)\nfor x in y:\n    if a: look(2)": False,
    "look(1)\nfor x in y:\n    if i % 4 == 0: look(2)": True,
    "look(1)\nfor x in y:\n    if i % 4 == 0:\n        look(2)\n        break": False,
    "def f():\n    look(1)\n    for x in y: return look(2)": False,
    "look(1)\nlook(2)": False,
    "look(1)\nfor x in y:\n    look(2)\n    break": False,
}


@pytest.mark.parametrize("code", REPEATS)
def test_what_repeats(code: str) -> None:
    source, (made, statement) = marked(code)
    assert (order.repeats(source, statement, made) is not None) is REPEATS[code]


NAMED = {
    "opt = look(1)\nlook(2)\nuse(opt)": True,
    "opt = look(1)\nlook(2)\nuse(other)": False,
    "opt = look(1)\nuse(opt)\nlook(2)": False,
    "self.opt = look(1)\nlook(2)": True,
    "look(1)\nlook(2)": False,
}


@pytest.mark.parametrize("code", NAMED)
def test_what_is_named_afterwards(code: str) -> None:
    source, (made, statement) = marked(code)
    assert order.is_named_after(source, made, statement) is NAMED[code]
    assert order.is_later(source, made, statement)
