"""What names, literals, operators and targets hold."""

import pytest
from term_text import shown, shown_raw

from stablint.static import facts
from stablint.static.source import SourceFile

IMPORTED = {
    "through the package": ("look(torch.nn.functional.softmax)", "torch.nn.functional.softmax"),
    "through an alias": ("look(F.softmax, nn.Linear)", "torch.nn.functional.softmax", "torch.nn.Linear"),
    "from": (
        "from torch.nn import functional as G, Linear\nlook(G.relu, Linear)",
        "torch.nn.functional.relu",
        "torch.nn.Linear",
    ),
    "by a canonical name": (
        "from torch.nn.parameter import Parameter\nlook(Parameter)",
        "torch.nn.Parameter",
    ),
    "in a function": ("def f():\n    import torch as t\n    look(t.exp)", "torch.exp"),
    "submodule binds the package": ("import os.path\nlook(os, os.path.join)", "os", "os.path.join"),
    "relative": ("from . import layers\nfrom ..a.b import c as d\nlook(layers.x, d)", ".layers.x", "..a.b.c"),
    "one of two": (
        "try:\n    from fast import norm\nexcept ImportError:\n    from torch import norm\nlook(norm)",
        "fast.norm | torch.norm",
    ),
    "assigned": (
        "act = F.relu\nG = F\nlook(act, G.elu)",
        "torch.nn.functional.relu",
        "torch.nn.functional.elu",
    ),
    "builtin": ("look(len, print)", "builtins.len", "builtins.print"),
    "shadowed builtin": ("len = torch.log\nlook(len)", "torch.log"),
    "star of torch": ("from torch import *\nlook(log, len, other)", "torch.log", "builtins.len", "?other"),
    "star of two": (
        "from torch.nn.functional import *\nfrom elsewhere import *\nlook(softmax, other)",
        "torch.nn.functional.softmax",
        "?other",
    ),
    "star of something else": ("from elsewhere import *\nlook(softmax, print)", "?softmax", "builtins.print"),
}


@pytest.mark.parametrize(
    ("code", *["expected"]), [(code, expected) for code, *expected in IMPORTED.values()], ids=IMPORTED
)
def test_names_through_imports(code: str, expected: list[str]) -> None:
    assert shown(code) == expected


SCOPED = {
    "module in function": ("x = 1\ndef f():\n    look(x)", "1"),
    "last assignment of the module": ("x = 1\ndef f():\n    look(x)\nx = 2", "2"),
    "own before outer": ("x = 1\ndef f():\n    x = 2\n    look(x)\nf()\nlook(x)", "2", "1"),
    "enclosing function": ("def f(p):\n    q = p.log()\n    def g():\n        look(q)\n    g()", "log(p)"),
    "class body is no enclosing scope": (
        "x = 1\nclass A:\n    x = 2\n    look(x)\n    def f(self):\n        look(x)",
        "2",
        "1",
    ),
    "class body reads itself": ("class A:\n    x = 1\n    y = x + 1\n    look(y)", "2"),
    "global": ("x = 1\ndef f():\n    global x\n    x = 2\n    look(x)\nf()\nlook(x)", "2", "1 | 2"),
    "global read elsewhere": ("x = 1\ndef f():\n    look(x)\ndef g():\n    global x\n    x = 2", "1 | 2"),
    "nonlocal": (
        "def f(p):\n    x = p.exp()\n    def g():\n        nonlocal x\n        x = p.log()\n    g()\n    look(x)",
        "exp(p) | log(p)",
    ),
    "nonlocal leaves the module alone": (
        "def f():\n    x = 1\n    def g():\n        nonlocal x\n        x = 2\n    g()\nlook(x)",
        "?x",
    ),
    "comprehension has its own": ("def f(x, z):\n    [x.log() for x in z]\n    look(x)", "x"),
    "recursive": ("def f(x):\n    return x if c else f(x.log())\nlook(f(1.0))", "1.0 | def f(log(1.0))"),
    "unbound": ("def f():\n    look(x)\n    x = 1", "?x"),
    "deleted": ("def f():\n    x = 1\n    del x\n    look(x)", "?x"),
    "a function before its def": ("look(f)\ndef f(): pass\nlook(f)", "def f", "def f"),
    "def in two branches": (
        "if c:\n    def f(x): return x.log()\nelse:\n    def f(x): return x.exp()\nlook(f(1.0))",
        "exp(1.0) | log(1.0)",
    ),
}


def test_a_fragment_leaves_out_the_imports_that_all_know() -> None:
    source = SourceFile("fragment.py", b"a = torch.exp\nb = nn.Linear\nc = np.exp\n")
    interpreter = source.ask(facts.values).interpreter
    held = [getattr(interpreter.value_in_module(name), "dotted", None) for name in "abc"]
    assert held == ["torch.exp", "torch.nn.Linear", None]


@pytest.mark.parametrize(
    ("code", "expected"), [(code, expected) for code, *expected in SCOPED.values()], ids=SCOPED
)
def test_names_in_scopes(code: str, expected: list[str]) -> None:
    assert shown(code) == expected


TARGETS = {
    "several": ("m = n = p.abs()\nlook(m, n)", "abs(p)", "abs(p)"),
    "tuple": ("a, b = p.exp(), 1\nlook(a, b)", "exp(p)", "1"),
    "nested": ("(a, b), [c, d] = (1, 2), p\nlook(a, b, c, d)", "1", "2", "p[0]", "p[1]"),
    "swapped": ("a, b = 1, 2\na, b = b, a\nlook(a, b)", "2", "1"),
    "star in the middle": ("a, *b, c = p, 1, 2, 3\nlook(a, b, c)", "p", "?", "3"),
    "star first": ("*a, b, c = 1, 2, 3, 4\nlook(b, c)", "3", "4"),
    "unknown tuple": ("a, b = p\nlook(a, b)", "p[0]", "p[1]"),
    "walrus": ("if (y := p.log()) > 0:\n    look(y)\nlook((z := y), z)", "log(p)", "log(p)", "log(p)"),
    "annotated": ("q: torch.Tensor = p.exp()\nr: int\nlook(q, r)", "exp(p)", "?r"),
    "augmented": ("q = p\nq += 1\nq *= q\nlook(q)", "mul(add(p, 1), add(p, 1))"),
    "augmented element": ("q = [p]\nq[0] += 1\nlook(q[0])", "add(p, 1) | p"),
    "attribute": ("p.x = 1\np.y.z = 2\nlook(p.x, p.y.z, p.w)", "1", "2", "p.w"),
    "attribute of something rebound": ("p.x.y = 1\np.x = 2\nlook(p.x, p.x.y)", "2", "2.y"),
    "attribute of a variable rebound": ("p.x = 1\np = p.y\nlook(p.x)", "p.y.x"),
    "element": ("q = p.exp()\nq[0] = 1\nlook(q)", "setitem(exp(p), 1)"),
    "slice": ("q = p.exp()\nq[1:] = p\nlook(q)", "setitem(exp(p), p)"),
    "element of a dict": ("d = {'a': 1}\nd['b'] = p\nd['a'] = 2\nlook(d['a'], d['b'])", "2", "p"),
    "with": ("with open(p) as h:\n    look(h)", "builtin_open(p)"),
    "loop": ("for a, (b, c) in p:\n    look(a, b, c)", "p[EACH][0]", "p[EACH][1][0]", "p[EACH][1][1]"),
    "exception": ("e = 1\ntry:\n    pass\nexcept ValueError as e:\n    look(e)", "?e"),
    "requires_grad": ("w = torch.zeros(1)\nw.requires_grad = True\nlook(w)", "requires_grad(zeros(1))"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "expected"), [(code, expected) for code, *expected in TARGETS.values()], ids=TARGETS
)
def test_targets(code: str, expected: list[str]) -> None:
    body = "".join(f"    {line}\n" for line in code.split("\n"))
    assert shown_raw(f"def f(p):\n{body}") == expected


EXPRESSIONS = {
    "None": "None", "True": "True", "0x10": "16", "1_000": "1000", "1.5e3": "1500.0", "'a'": "'a'",
    "b'a'": "b'a'",
    "...": "?", "1j": "?", "'a' 'b'": "?", "f'{x.log()}'": "?text",
    "-1": "-1", "+x": "x", "-x": "neg(x)", "~x": "bitwise_not(x)", "not x": "not(x)", "- - 1": "1",
    "1 - 1e-8": "0.99999999", "2 ** 3": "8", "7 // 2": "3", "7 % 4": "3", "1 / 0": "?", "2 ** 1000": "?",
    "True + 1": "add(True, 1)", "x + 1": "add(x, 1)", "1 - x": "sub(1, x)", "x @ x": "matmul(x, x)",
    "x / 2 * x": "mul(div(x, 2), x)", "x ** -0.5": "pow(x, -0.5)",
    "x // 2 % 3": "remainder(floor_divide(x, 2), 3)",
    "x & x | x ^ x": "bitwise_or(bitwise_and(x, x), bitwise_xor(x, x))", "x << 1": "shift(x, 1)",
    "x < 1": "compare(x, 1, 'LessThan')", "0 < x <= 1": "compare(0, x, 1, 'LessThan', 'LessThanEqual')",
    "x is not None": "compare(x, None, 'IsNot')", "x and 1 or 2": "or(and(x, 1), 2)",
    "x.log() if x else x": "log(x) | x", "1 if x else 1": "1",
    "[x, 1][0]": "x", "(1, x)[-1]": "x", "[1, 2, 3][1:]": "[2, 3]", "[1, 2, 3][::-1]": "[3, 2, 1]",
    "[1, 2][5]": "[1, 2][5]",
    "[1, 2][x]": "[1, 2][x]", "[1, 2][:x]": "[1 | 2*]", "{1, x}": "{1, x}", "(x,)": "(x)",
    "[1] + [x]": "[1, x]",
    "[x] * 3": "[x, x, x]", "[x] * n": "[x*]", "[*[1, 2], x]": "[1, 2, x]", "[*x, 1]": "[1 | x[EACH]*]",
    "{'a': x}['a']": "x", "{'a': x, **{'a': 1}}['a']": "1", "{'a': 1, **x}['a']": "1",
    "{**x}['a']": "{...}['a']",
    "x[0]": "x[0]", "x['k']": "x['k']", "x[1:2]": "index(x, ?slice)", "x[..., 0]": "index(x, ?, 0)",
    "x[None]": "x[None]",
    "x.shape[0]": "x.shape[0]", "x.T": "transpose(x)", "x.data": "data(x)", "x.a.b": "x.a.b",
    "lambda: 1": "def <lambda>", "(yield x)": "?", "(await x)": "x",
    "getattr(x, 'log')()": "log(x)", "len([1, x])": "2", "len(x)": "len(x)", "list((1, x))": "[1, x]",
    "dict(a=x)['a']": "x",
    "next(iter([x, x]))": "x", "sum([x, x])": "builtin_sum([x, x])", "max(x, 1e-8)": "builtin_max(x, 1e-08)",
    "int(x)": "int(x)",
    "abs(x)": "abs(x)", "round(x)": "round(x)", "reversed(x)": "reversed(x)", "sorted([2, x])": "[2, x]",
    "tuple()": "()",
}  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), EXPRESSIONS.items(), ids=EXPRESSIONS)
def test_expressions(code: str, expected: str) -> None:
    start = "async def" if "await" in code else "def"
    assert shown_raw(f"{start} f(x, n):\n    look({code})") == [expected]


SPELLINGS = {
    "torch.softmax(x, dim=1)": "softmax(x, dim=1)", "x.softmax(1)": "softmax(x, 1)",
    "F.softmax(x, 1)": "softmax(x, 1)",
    "nn.Softmax(1)(x)": "softmax(x)", "nn.functional.softmax(input=x, dim=1)": "softmax(x, dim=1)",
    "torch.special.expit(x)": "sigmoid(x)", "torch.sigmoid(x)": "sigmoid(x)", "nn.Sigmoid()(x)": "sigmoid(x)",
    "x.clamp_(min=0)": "clamp(x, min=0)", "torch.clip(x, 0, 1)": "clamp(x, 0, 1)", "x.add(1)": "add(x, 1)",
    "nn.CrossEntropyLoss()(x, n)": "cross_entropy(x, n)",
    "F.cross_entropy(target=n, input=x)": "cross_entropy(x, n)",
    "nn.Sequential(nn.Linear(8, 8), nn.ReLU())(x)": "relu(linear(x))", "nn.Identity()(x)": "x",
    "nn.DataParallel(nn.ReLU())(x)": "relu(x)", "torch.compile(nn.ReLU())(x)": "relu(x)",
    "torch.autograd.Variable(x)": "x", "partial(F.softmax, dim=1)(x)": "softmax(x, dim=1)",
    "x.unknown(1)": "x.unknown(1)",
    "torch.utils.checkpoint.checkpoint(torch.exp, x, use_reentrant=False)": "exp(x)",
    "nn.Linear(8, n)": "Linear(8, n)",
    "unheard_of(x)": "?unheard_of(x)", "math.log(x)": "math.log(x)",
    "torch.nn.Parameter(x)": "parameter(x)",
    "torch.max(x, n)": "max(x, n)", "torch.where(x > 0, x, 1.0)": "where(compare(x, 0, 'GreaterThan'), x, 1.0)",
    "F.softmax(*n)": "softmax()", "F.softmax(x, **n)": "softmax(x)", "F.softmax(*(x, 1))": "softmax(x, 1)",
    "F.softmax(x, **{'dim': 1})": "softmax(x, dim=1)",
}  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), SPELLINGS.items(), ids=SPELLINGS)
def test_one_name_for_an_operation(code: str, expected: str) -> None:
    assert shown_raw(f"from functools import partial\ndef f(x, n):\n    look({code})") == [expected]


def test_arguments_that_may_be_more_are_open() -> None:
    code = b"import torch.nn.functional as F\ndef f(x, k):\n    F.dropout(x, **k)\n    F.dropout(x)\n"
    found = SourceFile("a.py", code).ask(facts.operations)
    assert [made.open_arguments for _, made in found.named("dropout")] == [True, False]
