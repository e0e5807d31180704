"""Whether a gradient flows through a tensor, and what is made of constants alone."""

import pytest
from term_text import looked_at, read

from stablint.static import facts
from stablint.static.facts.gradients import carries_graph, detaches, is_constant
from stablint.static.facts.terms import Operation
from stablint.static.source import SourceFile

KNOWN = """\
    w, layer = nn.Parameter(torch.zeros(3)), nn.Linear(8, 8)
    leaf = torch.randn(3, requires_grad=True)
    fixed, same = torch.zeros(3), nn.Parameter(torch.zeros(3), requires_grad=False)
    cell, model, loss = nn.LSTM(8, 8), nn.Sequential(nn.Linear(8, 8), nn.ReLU()), F.cross_entropy(layer(x), y)
"""


def of(code: str) -> bool | None:
    (term,) = looked_at(f"def f(x, y, n, self):\n{KNOWN}    look({code})\n")
    return carries_graph(term)


CERTAIN = (
    "w", "leaf", "w * 2", "-w", "w.sum()", "torch.exp(w + x)", "layer(x)", "layer(fixed)", "model(x)",
    "cell(x)[0]",
    "cell(x)[1][0]", "loss", "loss * 0.5", "w.view(-1)[0]", "w.T", "w[1:]", "w.float()",
    "w.half().to('cuda')", "w.clone()",
    "torch.cat([fixed, w])", "[w, fixed]", "(w, 1)[0]", "{'a': w}", "[layer(z) for z in x]", "sum([w, w])",
    "w.max(1)[0]",
    "w.max(1).values", "torch.max(fixed, w)", "torch.where(x > 0, w, fixed)", "torch.clamp(fixed, w)",
    "w if n else leaf",
    "torch.einsum('i,i->', fixed, w)", "F.linear(fixed, w)", "F.embedding(x.long(), w)",
    "torch.addmm(fixed, fixed, w)",
    "torch.lerp(fixed, w, 0.5)", "fixed.masked_fill(x, 1) + w", "torch.as_tensor(w)",
    "fixed.requires_grad_()", "w.sort()[0]",
    "torch.autograd.Variable(x, requires_grad=True)", "torch.tensor(1.0, requires_grad=True)",
    "nn.LayerNorm(8)(fixed)",
    "F.dropout(w)", "F.mse_loss(fixed, w)", "max(w, w)", "w.gather(0, x)", "w.topk(2)[0]",
    "w.to(torch.float64)", "nn.Embedding(3, 3)(fixed.long())",
)  # fmt: skip

NONE = (
    "1", "None", "'a'", "fixed", "same", "same * 2", "fixed + 1", "w.detach()", "w.data", "w.item()",
    "loss.item()", "w.numpy()",
    "w.tolist()", "w.argmax()", "w > 0", "w == fixed", "w.max(1)[1]", "w.max(dim=1).indices", "w.topk(2)[1]",
    "w.sort()[1]",
    "w.shape", "w.size(0)", "w.grad", "w.requires_grad", "w.long()", "w.int()", "w.bool()",
    "w.to(torch.int64)", "w.type(torch.LongTensor)",
    "float(w)", "int(w)", "len(w)", "torch.zeros_like(w)", "torch.ones(3)", "torch.rand(3)",
    "torch.tensor(w)", "torch.arange(3)",
    "F.one_hot(w)", "w.nonzero()", "torch.isnan(w)", "w.detach().exp() * 2", "[fixed, 1]",
    "torch.cat([fixed, same])", "not w",
    "leaf.detach().requires_grad_(False)", "fixed.view(n, 3)", "fixed.sum(n)",
    "torch.einsum('i,i->', fixed, fixed)", "math.pi",
    "w.round()", "torch.sign(w)", "w.floor()", "torch.nn", "w.cpu().detach().numpy()",
    "torch.zeros(3, requires_grad=False)", "fixed if n else same",
)  # fmt: skip

UNKNOWN = (
    "x", "x * 2", "x.exp()", "self.x", "unknown(x)", "x.unknown()", "x[0]", "w if n else fixed",
    "torch.max(fixed, x)",
    "torch.einsum('i,i->', fixed, x)", "F.linear(fixed, x)", "torch.zeros(3, requires_grad=n)",
    "nn.Parameter(x, requires_grad=n)",
    "torch.as_tensor(x)", "[x, fixed]", "max(w, fixed)", "w or fixed", "F.embedding(x.long(), y)",
    "nn.ReLU()(x)", "self.layer(x)",
)  # fmt: skip


@pytest.mark.parametrize("code", CERTAIN)
def test_a_gradient_flows(code: str) -> None:
    assert of(code) is True


@pytest.mark.parametrize("code", NONE)
def test_no_gradient_flows(code: str) -> None:
    assert of(code) is False


@pytest.mark.parametrize("code", UNKNOWN)
def test_it_is_not_known(code: str) -> None:
    assert of(code) is None


PLACES = {
    "under no_grad": ("with torch.no_grad():\n        look(w * 2)", False),
    "under no_grad in a called function": ("with torch.no_grad():\n        look(double(w))", False),
    "in a called function": ("look(double(w))", True),
    "made before": ("v = w * 2\n    with torch.no_grad():\n        look(v)", True),
    "made of what was made before": ("v = w * 2\n    with torch.no_grad():\n        look(v + 1)", False),
    "made a leaf under no_grad": (
        "with torch.no_grad():\n        look(torch.zeros(1, requires_grad=True))",
        True,
    ),
    "a parameter under no_grad": ("with torch.no_grad():\n        look(nn.Parameter(w))", True),
    "a model under no_grad": ("with torch.no_grad():\n        look(model(x))", False),
    "something unknown under no_grad": ("with torch.no_grad():\n        look(self.net(x), 1)", False),
    "summed": ("total = 0\n    for z in x:\n        total = total + layer(z)\n    look(total)", None),
    "summed in the loop": (
        "total = 0\n    for z in x:\n        total = total + layer(z)\n        look(total)",
        True,
    ),
    "summed as numbers": (
        "total = 0\n    for z in x:\n        total += layer(z).item()\n        look(total)",
        None,
    ),
    "detached in place": ("v = w * 2\n    v.detach_()\n    look(v)", False),
    "written into": ("v = torch.zeros(3)\n    v[0] = w\n    look(v)", True),
    "asked to be trained": ("v = torch.zeros(3)\n    v.requires_grad = True\n    look(v)", True),
}


@pytest.mark.parametrize(("body", "expected"), PLACES.values(), ids=PLACES)
def test_places(body: str, expected: bool | None) -> None:
    code = f"def double(z):\n    return z * 2\n\ndef f(x, y, n, self):\n{KNOWN}    {body}\n"
    assert carries_graph(looked_at(code)[0]) is expected


def test_a_model_of_the_file_that_cannot_be_followed_carries_a_graph() -> None:
    code = "class A(nn.Module):\n    def f(self, x):\n        look(self(x))\nlook(A()(torch.ones(3)))"
    assert [carries_graph(term) for term in looked_at(code)] == [True, True]


def test_deep_terms_are_unknown_and_no_error() -> None:
    deep = "    x = torch.relu(x)\n" * 90
    (term,) = looked_at(f"def f(x):\n{deep}    look(x)\n")
    assert carries_graph(term) is None


DETACHING = {
    "x.detach()": True, "x.item()": True, "x.float()": False, "float(x)": True, "x.int()": True,
    "x.to('cuda')": False,
    "x.to(torch.long)": True, "x.to(y)": False, "x.exp()": False, "x.argmax()": True, "x.view(1)": False,
    "x.any()": True,
}  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), DETACHING.items(), ids=DETACHING)
def test_what_detaches(code: str, expected: bool) -> None:
    (term,) = looked_at(f"def f(x, y):\n    look({code})")
    assert isinstance(term, Operation)
    assert detaches(term) is expected


CONSTANTS = {
    "1": True, "torch.zeros(3)": True, "torch.arange(n) / 2": True, "torch.tensor([1, 2])": True,
    "torch.tensor(x)": False,
    "x": False, "x.size(0)": True, "x.shape[0] * 2": True, "torch.full((3,), 2.0).log()": True,
    "torch.full((3,), x)": True,
    "nn.Parameter(torch.zeros(3))": False, "torch.zeros(3, requires_grad=True)": False,
    "nn.ReLU()(torch.zeros(3))": False,
    "eps": True, "self.eps": True, "self.x": False, "torch.zeros(3) + x": False, "[1, 2]": True,
    "[1, x]": False, "torch.randn(3)": True,
    "torch.zeros(3).index_add(0, n, x)": False, "torch.zeros(3).clamp(min=x)": False,
    "math.pi * 2": True, "x.dtype": True, "scale": True, "other": False,
}  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), CONSTANTS.items(), ids=CONSTANTS)
def test_what_is_constant(code: str, expected: bool) -> None:
    (term,) = looked_at(f"def f(x, n, eps, self, other, scale=2.0):\n    look({code})")
    assert is_constant(term) is expected


TRAINED = {
    "plain": ("def f(x):\n    y = x.log()\n    return y", True),
    "of a constant": ("def f(x):\n    return torch.ones(3).log()", False),
    "under no_grad": ("def f(x):\n    with torch.no_grad():\n        return x.log()", False),
    "only printed": ("def f(x):\n    print(x.log())", False),
    "only compared": ("def f(x):\n    return x.log() > 0", False),
    "printed and returned": ("def f(x):\n    y = x.log()\n    print(y)\n    return y", True),
    "in an optimizer": (
        "class A(torch.optim.Optimizer):\n    def step(self, x):\n        return x.log()",
        False,
    ),
    "in a Function": (
        "class A(torch.autograd.Function):\n    def forward(ctx, x):\n        return x.log()",
        False,
    ),
    "called under no_grad alone": ("def g(x): return x.log()\n@torch.no_grad()\ndef f(x): g(x)", False),
    "called under no_grad and not": (
        "def g(x): return x.log()\n@torch.no_grad()\ndef f(x): g(x)\ng(1.0)",
        True,
    ),
    "called by one that is": (
        "def h(x): return x.log()\ndef g(x): h(x)\n@torch.no_grad()\ndef f(x): g(x)",
        False,
    ),
}


@pytest.mark.parametrize(("code", "expected"), TRAINED.values(), ids=TRAINED)
def test_what_is_trained_through(code: str, expected: bool) -> None:
    source = read(code)
    found = [
        facts.differentiation.is_trained_through(source, site, operation)
        for site, operation in source.ask(facts.operations).named("log")
    ]
    assert found == [expected]


ABOUT_NETWORKS = {
    "imports torch.nn": ("import torch.nn as nn\ndef f(x): return x.log()", False),
    "names it": ("import torch\nclass A(torch.nn.Module):\n    def forward(self, x): return x.log()", False),
    "goes backward": ("import torch\ndef f(x): return x.log()\nf(x).backward()", False),
    "only computes": ("import torch\ndef f(x): return x.log()", True),
    "measures": ("from torch import nn\ndef accuracy(x): return x.log()", True),
}


@pytest.mark.parametrize(("code", "expected"), ABOUT_NETWORKS.values(), ids=ABOUT_NETWORKS)
def test_what_may_be_for_show(code: str, expected: bool) -> None:
    source = SourceFile("f.py", code.encode())
    (found,) = [
        facts.differentiation.may_be_for_show(source, site.scope)
        for site, _ in source.ask(facts.operations).named("log")
    ]
    assert found is expected
