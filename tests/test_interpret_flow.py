"""What variables hold after branches, loops, exceptions and jumps."""

import pytest
from term_text import shown_raw


def of(code: str) -> list[str]:
    """What is looked at in the body of a function of p, q and n."""
    body = "".join(f"    {line}\n" for line in code.split("\n"))
    return shown_raw(f"def f(p, q, n):\n{body}")


BRANCHES = {
    "either": ("if n:\n    x = p\nelse:\n    x = q\nlook(x)", "p | q"),
    "maybe": ("x = p\nif n:\n    x = q\nlook(x)", "p | q"),
    "inside": ("x = p\nif n:\n    x = q\n    look(x)\nelse:\n    look(x)", "q", "p"),
    "elif": ("if n:\n    x = 1\nelif p:\n    x = 2\nelse:\n    x = 3\nlook(x)", "1 | 2 | 3"),
    "equal on both": ("if n:\n    x = 1\nelse:\n    x = 1\nlook(x)", "1"),
    "bound on one": ("if n:\n    x = p\nlook(x)", "p"),
    "attribute set on one": ("if n:\n    p.x = q\nlook(p.x)", "?p.x | q"),
    "literal": ("x = p\nif True:\n    x = q\nlook(x)\nif False:\n    x = 1\nlook(x)", "q", "q"),
    "a flag decides nothing": ("flag = True\nx = p\nif flag:\n    x = q\nlook(x)", "p | q"),
    "left": ("x = p\nif n:\n    x = q\n    return x\nlook(x)", "p"),
    "raised": ("x = p\nif n:\n    x = q\n    raise ValueError(x)\nlook(x)", "p"),
    "both leave": ("if n:\n    return 1\nelse:\n    return 2\nlook(p)", "?"),
    "too many": (
        "if n: x = 1\n" + "".join(f"elif n > {i}: x = {i}\n" for i in range(2, 9)) + "look(x)",
        "1 | ?",
    ),
    "test binds": ("if (x := p.log()) and n:\n    pass\nlook(x)", "log(p)"),
    "match": ("match n:\n    case 1:\n        x = p\n    case _:\n        x = q\nlook(x)", "p | q"),
    "match may match nothing": ("x = 1\nmatch n:\n    case 1:\n        x = p\nlook(x)", "1 | p"),
    "pattern": (
        "x = p\nmatch n:\n    case [x, *y] if look(x):\n        look(y)\n    case x:\n        look(x)",
        "?x",
        "?y",
        "n",
    ),
    "mapping pattern": ("x = y = p\nmatch n:\n    case {'a': x, **y}:\n        look(x, y)", "?x", "?y"),
    "class pattern": (
        "x = p\nmatch n:\n    case Point(x=x) | [x]:\n        look(x)\nlook(x)",
        "?x",
        "?x | p",
    ),
}


@pytest.mark.parametrize(
    ("code", "expected"), [(code, expected) for code, *expected in BRANCHES.values()], ids=BRANCHES
)
def test_branches(code: str, expected: list[str]) -> None:
    assert of(code) == expected


LOOPS = {
    "element": ("for x in p:\n    look(x)\nlook(x)", "p[EACH]", "p[EACH]"),
    "may not run": ("x = q\nfor y in p:\n    x = y\nlook(x)", "p[EACH] | q"),
    "carried": ("x = p\nfor y in q:\n    look(x)\n    x = y\nlook(x)", "p | q[EACH]", "p | q[EACH]"),
    "grows out of itself": (
        "x = p\nfor y in q:\n    look(x)\n    x = x.log()\nlook(x)",
        "?x | log(p) | p",
        "log(?x) | log(log(p)) | log(p) | p",
    ),
    "two that grow": ("a, b = p, q\nfor y in n:\n    a, b = b, a.log()\n    look(a)", "?b | log(p) | q"),
    "a number that changes": ("i = 0\nfor y in p:\n    look(i)\n    i += 1\nlook(i)", "?i", "0 | add(?i, 1)"),
    "a number that stays": ("i = 2\nfor y in p:\n    look(i)\nlook(i)", "2", "2"),
    "in the loop": ("for y in p:\n    x = y.log()\nlook(x)", "log(p[EACH])"),
    "break": ("x = 1\nfor y in p:\n    x = 2\n    if n:\n        break\n    x = 3\nlook(x)", "1 | 2 | 3"),
    "continue": ("x = 1\nfor y in p:\n    if n:\n        continue\n    x = 3\nlook(x)", "1 | 3 | ?x"),
    "always breaks": ("x = 1\nfor y in p:\n    x = 2\n    break\nlook(x)", "1 | 2"),
    "return": ("x = 1\nfor y in p:\n    x = 2\n    return x\nlook(x)", "1"),
    "else": ("for y in p:\n    x = 1\nelse:\n    x = 2\nlook(x)", "2"),
    "while": ("x = p\nwhile x.sum() > 1:\n    x = q\nlook(x)", "p | q"),
    "while with a walrus": ("while (x := p.log()) > 1:\n    look(x)\nlook(x)", "log(p)", "log(p)"),
    "enumerate": ("for i, (a, b) in enumerate(p):\n    look(i, a)", "?index", "p[EACH][0]"),
    "zip": ("for a, b in zip(p, q):\n    look(a, b)", "p[EACH]", "q[EACH]"),
    "range": ("for i in range(n):\n    look(i)", "?index"),
    "tqdm": ("from tqdm import tqdm\nfor i in tqdm(p):\n    look(i)", "p[EACH]"),
    "items": ("for k, v in {'a': p, 'b': q}.items():\n    look(v)", "q"),
    "nested": ("x = 1\nfor a in p:\n    for b in q:\n        x = 2\nlook(x)", "1 | 2 | ?x"),
}


@pytest.mark.parametrize(
    ("code", "expected"), [(code, expected) for code, *expected in LOOPS.values()], ids=LOOPS
)
def test_loops(code: str, expected: list[str]) -> None:
    assert of(code) == expected


UNROLLED = {
    "range": ("x = 0\nfor i in range(4):\n    x = x * 10 + i\nlook(x)", "123"),
    "bounds and step": ("x = []\nfor i in range(6, 0, -2):\n    x.append(i)\nlook(x)", "[6, 4, 2]"),
    "list": ("x = p\nfor f in [torch.exp, F.relu]:\n    x = f(x)\nlook(x)", "relu(exp(p))"),
    "enumerate and zip": (
        "x = []\nfor i, (a, b) in enumerate(zip((1, 2), (p, q))):\n    x += [(i, a, b)]\nlook(x)",
        "[(0, 1, p), (1, 2, q)]",
    ),
    "reversed": ("x = []\nfor i in reversed([1, 2]):\n    x.append(i)\nlook(x)", "[2, 1]"),
    "layers": (
        "x = []\nfor i in range(2):\n    x += [nn.Linear(8, 8), nn.ReLU()]\nlook(x)",
        "[Linear(8, 8), ReLU(), Linear(8, 8), ReLU()]",
    ),
    "test of the round": (
        "x = []\nfor i in range(3):\n    if i > 0:\n        x.append(p)\n    if i == 2:\n        x.append(q)\nlook(x)",
        "[p, p, q]",
    ),
    "break": ("x = 0\nfor i in range(5):\n    x = i\n    if i == 2:\n        break\nlook(x)", "2"),
    "break that may be": (
        "x = 0\nfor i in range(3):\n    x = i\n    if n:\n        break\nlook(x)",
        "0 | 1 | 2",
    ),
    "continue": (
        "x = []\nfor i in range(3):\n    if i == 1:\n        continue\n    x.append(i)\nlook(x)",
        "[0, 2]",
    ),
    "two loops": (
        "x = []\nfor i in range(2):\n    for j in range(i + 1):\n        x.append(j)\nlook(x)",
        "[0, 0, 1]",
    ),
    "calls": (
        "def g(x, i):\n    return x ** i\nx = p\nfor i in range(2, 4):\n    x = g(x, i)\nlook(x)",
        "pow(pow(p, 2), 3)",
    ),
    "no rounds": ("x = p\nfor i in range(0):\n    x = q\nlook(x)", "p"),
    "too many rounds": ("x = 0\nfor i in range(65):\n    x = i\nlook(x)", "0 | ?index"),
    "too much in it": (
        "x = p\nfor i in range(3):\n" + "    y = i\n" * 13 + "    x = y\nlook(x)",
        "?index | p",
    ),
    "too often": ("x = 0\n" + "for i in range(60):\n    for j in range(60):\n        x = j\nlook(x)", "?"),
    "empty list may be filled elsewhere": ("x = p\nfor y in []:\n    x = q\nlook(x)", "p | q"),
}


@pytest.mark.parametrize(
    ("code", "expected"), [(code, expected) for code, *expected in UNROLLED.values()], ids=UNROLLED
)
def test_unrolled_loops(code: str, expected: list[str]) -> None:
    assert of(code) == expected


OTHERS = {
    "try": ("x = 1\ntry:\n    x = 2\nexcept ValueError:\n    pass\nlook(x)", "1 | 2"),
    "handler": (
        "x = 1\ntry:\n    x = 2\nexcept ValueError:\n    look(x)\n    x = 3\nlook(x)",
        "1 | 2",
        "2 | 3",
    ),
    "handler leaves": ("x = 1\ntry:\n    x = 2\nexcept ValueError:\n    return\nlook(x)", "2"),
    "else": ("try:\n    x = 1\nexcept ValueError:\n    x = 2\nelse:\n    x = 3\nlook(x)", "2 | 3"),
    "finally": ("x = 1\ntry:\n    x = 2\nfinally:\n    look(x)\n    x = 3\nlook(x)", "2", "3"),
    "finally after return": ("x = 1\ntry:\n    return 2\nfinally:\n    look(x)\nlook(x)", "1", "?"),
    "with": ("x = 1\nwith q as y:\n    x = 2\nlook(x, y)", "2", "q"),
    "assert": ("assert (x := p)\nlook(x)", "p"),
    "del": ("x = [p, q, n]\ndel x[0]\nlook(x)\ndel x[n]\nlook(x)", "[q, n]", "[n | q*]"),
    "after return": ("return p\nlook(p)", "?"),
}


@pytest.mark.parametrize(
    ("code", "expected"), [(code, expected) for code, *expected in OTHERS.values()], ids=OTHERS
)
def test_exceptions_and_the_rest(code: str, expected: list[str]) -> None:
    assert of(code) == expected


RETURNED = {
    "one": ("return p.log()", "log(1.0)"),
    "either": ("if n:\n    return p\nreturn q", "1.0 | 2.0"),
    "None beside something": ("if n:\n    return p", "1.0"),
    "nothing": ("pass", "None"),
    "tuple": ("return p, q", "(1.0, 2.0)"),
    "in a loop": ("for x in [q, q]:\n    return x\nreturn p", "2.0"),
    "generator": ("yield p\nyield q", "[1.0 | 2.0*]"),
    "from inside try": ("try:\n    return p\nfinally:\n    q = 1", "1.0"),
}


@pytest.mark.parametrize(("code", "expected"), RETURNED.values(), ids=RETURNED)
def test_what_functions_return(code: str, expected: str) -> None:
    body = "".join(f"    {line}\n" for line in code.split("\n"))
    assert shown_raw(f"def f(p, q, n=0):\n{body}\nlook(f(1.0, 2.0))") == [expected]
