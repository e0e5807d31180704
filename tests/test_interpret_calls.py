"""What calls of the file's functions give, and what their parameters hold."""

import pytest
from term_text import read, shown, shown_raw

from stablint.static import facts

RESULTS = {
    "argument": ("def g(x):\n    return x.log()\nlook(g(1.0), g(x=2.0))", "log(1.0)", "log(2.0)"),
    "default": (
        "def g(x, n=2):\n    return x ** n\nlook(g(x), g(x, 3), g(x, n=4))",
        "pow(?x, 2)",
        "pow(?x, 3)",
        "pow(?x, 4)",
    ),
    "default that is computed": ("def g(x=torch.zeros(1)):\n    return x\nlook(g())", "zeros(1)"),
    "keyword only": ("def g(*, a, b=2):\n    return (a, b)\nlook(g(a=1))", "(1, 2)"),
    "positional only": ("def g(a, /, b):\n    return (a, b)\nlook(g(1, 2))", "(1, 2)"),
    "given as a list": (
        "def g(a, b):\n    return (a, b)\nlook(g(*[1, 2]), g(*(1,), b=2))",
        "(1, 2)",
        "(1, 2)",
    ),
    "given as a dict": ("def g(a, b=3):\n    return (a, b)\nlook(g(**{'a': 1}))", "(1, 3)"),
    "missing": ("def g(a, b):\n    return (a, b)\nlook(g(1))", "(1, ?b)"),
    "not known what is given": ("def g(a, b=3):\n    return (a, b)\nlook(g(1, **k))", "(1, ?b)"),
    "the rest": ("def g(a, *b, **c):\n    return b, c\nlook(g(1, 2))", "(?b, ?c)"),
    "through two": (
        "def g(x):\n    return h(x) + 1\ndef h(x):\n    return x.log()\nlook(g(1.0))",
        "add(log(1.0), 1)",
    ),
    "tuple": ("def g(x):\n    return x.log(), x.exp()\na, b = g(1.0)\nlook(a, b)", "log(1.0)", "exp(1.0)"),
    "lambda": ("g = lambda x, n=2: x * n * 0.5\nlook(g(y))", "mul(mul(?y, 2), 0.5)"),
    "function as an argument": (
        "def g(f, x):\n    return f(x)\nlook(g(torch.log, y), g(lambda z: z + 1, y))",
        "log(?y)",
        "add(?y, 1)",
    ),
    "method as an argument": (
        "def g(x):\n    return x.unknown()\nlook(g(torch.zeros(1)))",
        "zeros(1).unknown()",
    ),
    "layer as an argument": (
        "def g(layer, x):\n    return layer(x)\nlook(g(nn.ReLU(), y))",
        "relu(?y)",
    ),
    "partial": (
        "from functools import partial\ndef g(a, b):\n    return (a, b)\nlook(partial(g, 1)(2), partial(g, b=3)(4))",
        "(1, 2)",
        "(4, 3)",
    ),
    "one of two functions": (
        "def g(x): return x.log()\ndef h(x): return x.exp()\nf = g if c else h\nlook(f(y))",
        "exp(?y) | log(?y)",
    ),
    "recursion": (
        "def g(x, n):\n    if n == 0:\n        return x\n    return g(x.log(), n - 1)\nlook(g(1.0, 2))",
        "1.0 | def g(log(1.0), sub(2, 1))",
    ),
    "mutual recursion": (
        "def g(x): return h(x)\ndef h(x): return g(x) if x else x\nlook(g(1.0))",
        "1.0 | def g(1.0)",
    ),
    "generator": (
        "def g(x):\n    for i in range(2):\n        yield x ** i\nlook(g(y), next(g(y)))",
        "[pow(?y, 0) | pow(?y, 1)*]",
        "pow(?y, 0) | pow(?y, 1)",
    ),
    "context manager": ("@contextmanager\ndef g(x):\n    yield x\nlook(g(1))", "?"),
    "decorated": ("@wraps(f)\ndef g(x):\n    return x.log()\nlook(g(1.0))", "log(1.0)"),
    "coroutine": ("async def g(x):\n    return x.log()\nasync def f():\n    look(await g(1.0))", "log(1.0)"),
    "nothing returned": ("def g(x):\n    x.log()\nlook(g(1))", "None"),
    "class": ("class A:\n    def __init__(self, x):\n        self.x = x\nlook(A(1).x, A)", "1", "class A"),
    "nested calls": ("def g(x): return x + 1\nlook(g(g(g(y))))", "add(add(add(?y, 1), 1), 1)"),
    "comprehension of calls": ("def g(x): return [x, 1]\nlook([g(i) for i in (2, 3)])", "[[2, 1], [3, 1]]"),
}


@pytest.mark.parametrize(
    ("code", "expected"), [(code, expected) for code, *expected in RESULTS.values()], ids=RESULTS
)
def test_results(code: str, expected: list[str]) -> None:
    assert shown_raw(code) == expected


PARAMETERS = {
    "one call": ("def g(x):\n    look(x.log())\ng(1.0)", "log(1.0)"),
    "two calls": ("def g(x):\n    look(x)\ng(1.0)\ng(x=2.0)", "1.0 | 2.0"),
    "no call": ("def g(x):\n    look(x)", "x"),
    "default too": ("def g(x=1):\n    look(x)\ng()\ng(2)", "1 | 2"),
    "default alone": ("def g(x=1):\n    look(x)", "x"),
    "through two": ("def g(x):\n    h(x.exp())\ndef h(y):\n    look(y.log())\ng(1.0)", "log(exp(1.0))"),
    "unknown stays the parameter": ("def g(x):\n    look(x)\ng(*a)", "x"),
    "some unknown": ("def g(x):\n    look(x)\ng(*a)\ng(1)", "1 | x"),
    "method": ("class A:\n    def f(self, x):\n        look(x)\n    def g(self):\n        self.f(1)", "1"),
    "constructor": ("class A:\n    def __init__(self, n):\n        look(n)\nA(3)", "3"),
    "forward": (
        "class A(nn.Module):\n    def forward(self, x):\n        look(x)\nA()(torch.ones(1))",
        "ones(1)",
    ),
    "recursive": ("def g(x, n):\n    look(x)\n    g(x, n - 1)\ng(1.0, 2)", "1.0 | x"),
    "too many": ("def g(x):\n    look(x)\n" + "".join(f"g({i})\n" for i in range(9)), "x"),
    "closure": ("def f(p):\n    def g(x):\n        look(x + p)\n    g(1)\nf(2.0)", "add(1, 2.0)"),
    "captured": (
        "def g(n):\n    def h(x):\n        return x ** n\n    return h\nlook(g(2)(y), g(3)(y))",
        "pow(?y, 2 | 3)",
        "pow(?y, 2 | 3)",
    ),
    "lambda": ("g = lambda x: look(x)\ng(1)", "1"),
    "loop": ("def g(x):\n    look(x)\nfor y in (1, 2):\n    g(y)", "1 | 2"),
    "mapped": ("def g(x):\n    look(x)\nmap(g, [1, 2])", "x"),
}


@pytest.mark.parametrize(
    ("code", "expected"), [(code, expected) for code, *expected in PARAMETERS.values()], ids=PARAMETERS
)
def test_what_the_files_calls_give_to_parameters(code: str, expected: list[str]) -> None:
    assert shown(code) == expected


def test_calls_below_a_depth_are_unknown() -> None:
    chain = "def f0(x): return x.log()\n" + "".join(
        f"def f{i}(x): return f{i - 1}(x)\n" for i in range(1, 60)
    )
    (near,) = shown(f"{chain}look(f5(1.0))")
    (far,) = shown(f"{chain}look(f59(1.0))")
    assert near == "log(1.0)"
    assert far.startswith("def f")


def test_who_calls_is_known() -> None:
    code = (
        "def g(x): return x\ndef f(x):\n    g(x)\n    with torch.no_grad():\n"
        "        g(x)\n@torch.no_grad()\ndef h(x):\n    g(x)"
    )
    source = read(code)
    callers = source.ask(facts.values).interpreter.callers
    found = {
        called.name: {(scope.name, graph) for scope, graph in calls} for called, calls in callers.items()
    }
    assert found == {"g": {("f", True), ("f", False), ("h", False)}}


def test_which_functions_a_call_runs_is_known() -> None:
    source = read("def g(x): pass\ndef h(x): pass\nf = g if c else h\nf(1)\ng(2)")
    invocations = source.ask(facts.values).interpreter.invocations
    found = sorted(sorted(scope.name for scope in runs) for runs in invocations.values())
    assert found == [["g"], ["g", "h"]]


def test_an_attribute_that_may_be_itself_is_called_once() -> None:
    source = read(
        "class A:\n"
        "    def __init__(self, get=None):\n"
        "        self.get = self.get or get\n"
        "        self.f = self.g\n"
        "        self.g = self.f\n"
        "    def run(self, x):\n"
        "        return self.get(x), self.f(x), self.g(x)\n"
        "A().run(1)\n"
    )
    assert source.ask(facts.operations).values.interpreter.outcomes
