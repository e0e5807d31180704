"""In-place methods change variables, and where no gradient is recorded is known."""

import pytest
from term_text import read, shown_raw

from stablint.static import facts


def of(code: str) -> list[str]:
    """What is looked at in the body of a function of p, q and n."""
    body = "".join(f"    {line}\n" for line in code.split("\n"))
    return shown_raw(f"def f(p, q, n):\n{body}")


IN_PLACE = {
    "a variable": ("p.clamp_(0)\nlook(p)", "clamp(p, 0)"),
    "not without the underscore": ("p.clamp(0)\nlook(p)", "p"),
    "what is assigned": ("x = p.clone().clamp_(0)\nlook(x, p)", "clamp(clone(p), 0)", "p"),
    "a chain": ("p.mul_(2).add_(1)\nlook(p)", "add(mul(p, 2), 1)"),
    "a chain that goes on": ("x = p.mul_(2).log()\nlook(p, x)", "mul(p, 2)", "log(mul(p, 2))"),
    "an attribute": ("p.x.clamp_(0)\nlook(p.x)", "clamp(p.x, 0)"),
    "an element": ("x = p.exp()\nx[0].zero_()\nlook(x)", "setitem(exp(p), zero(exp(p)[0]))"),
    "either of two": ("x = p if n else q\nx.exp_()\nlook(x)", "exp(p) | exp(q)"),
    "in one branch": ("if n:\n    p.exp_()\nlook(p)", "exp(p) | p"),
    "in a loop": ("for y in q:\n    p.exp_()\nlook(p)", "exp(?p) | exp(exp(p)) | exp(p) | p"),
    "in a call": ("def g(x):\n    return x.exp_()\ny = g(p)\nlook(y, p)", "exp(p)", "p"),
    "augmented": ("p += 1\np **= 2\nlook(p)", "pow(add(p, 1), 2)"),
    "requires_grad": ("p.requires_grad_()\nlook(p)", "requires_grad(p)"),
    "a module stays": ("m = nn.ReLU()\nm.requires_grad_(False)\nlook(m)", "ReLU()"),
    "something unknown": ("p.step_()\nlook(p)", "p"),
}


@pytest.mark.parametrize(
    ("code", "expected"), [(code, expected) for code, *expected in IN_PLACE.values()], ids=IN_PLACE
)
def test_in_place(code: str, expected: list[str]) -> None:
    assert of(code) == expected


GRAPH = {
    "recorded": ("look(p.log(), p + q, -p, m(p))", "log(p)", "add(p, q)", "neg(p)", "?m(p)"),
    "no_grad": (
        "with torch.no_grad():\n    look(p.log(), p + q, -p, p.x(q), p[1:])\nlook(p.log())",
        "log~(p)",
        "add~(p, q)",
        "neg~(p)",
        "p.x~(q)",
        "index~(p, ?slice)",
        "log(p)",
    ),
    "inference_mode": ("with torch.inference_mode():\n    look(p.log())", "log~(p)"),
    "inference_mode that is off": ("with torch.inference_mode(False):\n    look(p.log())", "log(p)"),
    "inference_mode that may be off": ("with torch.inference_mode(mode=n):\n    look(p.log())", "log(p)"),
    "set_grad_enabled": ("with torch.set_grad_enabled(False):\n    look(p.log())", "log~(p)"),
    "set_grad_enabled by name": ("with torch.set_grad_enabled(mode=False):\n    look(p.log())", "log~(p)"),
    "set_grad_enabled that may be on": ("with torch.set_grad_enabled(n):\n    look(p.log())", "log(p)"),
    "enable_grad inside": (
        "with torch.no_grad():\n    with torch.enable_grad():\n        look(p.log())\n    look(p.log())",
        "log(p)",
        "log~(p)",
    ),
    "several managers": ("with open(n) as h, torch.no_grad():\n    look(p.log())", "log~(p)"),
    "something else": ("with torch.autograd.profiler.profile():\n    look(p.log())", "log(p)"),
    "switched off from here": (
        "torch.set_grad_enabled(False)\nlook(p.log())\ntorch.set_grad_enabled(True)\nlook(p.log())",
        "log~(p)",
        "log(p)",
    ),
    "switched off in a branch": (
        "if n:\n    torch.set_grad_enabled(False)\n    look(p.log())\nlook(p.log())",
        "log~(p)",
        "log(p)",
    ),
    "in a called function": (
        "def g(x):\n    return x.log(), h(x)\ndef h(x):\n"
        "    return x + 1\nwith torch.no_grad():\n    look(g(p))\nlook(g(p))",
        "(log~(p), add~(p, 1))",
        "(log(p), add(p, 1))",
    ),
    "what it was given": (
        "def g(x):\n    return x.log()\ny = p.exp()\nwith torch.no_grad():\n    look(g(y))",
        "log~(exp(p))",
    ),
    "in a called model": ("m = nn.Sequential(nn.ReLU())\nwith torch.no_grad():\n    look(m(p))", "relu~(p)"),
    "nested function": ("with torch.no_grad():\n    def g(x):\n        return x.log()\nlook(g(p))", "log(p)"),
    "comprehension": ("with torch.no_grad():\n    look([x.log() for x in p])", "[log~(p[EACH])*]"),
    "sum": ("with torch.no_grad():\n    look(sum([p, q]))", "builtin_sum~([p, q])"),
    "transposed": ("with torch.no_grad():\n    look(p.T)", "transpose~(p)"),
    "after a return": ("with torch.no_grad():\n    if n:\n        return\n    look(p.log())", "log~(p)"),
    "loop inside": ("with torch.no_grad():\n    for x in p:\n        look(x.log())", "log~(p[EACH])"),
    "loop around": (
        "for x in p:\n    with torch.no_grad():\n        y = x.log()\n    look(x.exp())",
        "exp(p[EACH])",
    ),
}


@pytest.mark.parametrize(
    ("code", "expected"), [(code, expected) for code, *expected in GRAPH.values()], ids=GRAPH
)
def test_where_no_gradient_is_recorded(code: str, expected: list[str]) -> None:
    assert of(code) == expected


DECORATORS = {
    "torch.no_grad()": "log~(p)",
    "torch.no_grad": "log~(p)",
    "torch.inference_mode()": "log~(p)",
    "torch.set_grad_enabled(False)": "log~(p)",
    "torch.enable_grad()": "log(p)",
    "torch.jit.script": "log(p)",
    "unknown": "log(p)",
}


@pytest.mark.parametrize(("decorator", "expected"), DECORATORS.items(), ids=DECORATORS)
def test_decorators(decorator: str, expected: str) -> None:
    assert shown_raw(f"@{decorator}\ndef f(p):\n    look(p.log())\n    return p.log()\n") == [expected]


def test_a_decorated_method_is_called() -> None:
    code = (
        "class A:\n    @torch.no_grad()\n    def f(self, x):\n"
        "        return x.log()\n    def g(self, p):\n        look(self.f(p))"
    )
    assert shown_raw(code) == ["log~(p)"]


def test_masks_of_elements_that_are_written_are_read() -> None:
    """What selects the elements to write is evaluated like any other comparison."""
    source = read("def f(x, y):\n    x[x == float('nan')] = 0\n    return y < x\n")
    found = [comparison.positional[0] for comparison in source.ask(facts.comparisons)]
    assert sorted(str(getattr(name, "value", "")) for name in found) == ["Equal", "LessThan"]
