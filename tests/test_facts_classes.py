"""The models of a file, what they hold and know of, and the places where operations are performed."""

import pytest
from term_text import looks, read, text

from stablint.static import facts
from stablint.static.facts.classes import receiver_name
from stablint.static.facts.exponentials import formulas, is_bounded, summands
from stablint.static.facts.registration import plain_items, registered
from stablint.static.facts.terms import Operation
from stablint.static.facts.zeros import expects_zero
from stablint.static.source import SourceFile

MODELS = """
import elsewhere
import pytorch_lightning as pl
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.act = nn.Linear(8, 8), None
    def build(self):
        self.act = nn.ReLU()
    @staticmethod
    def make(self):
        self.nothing = 1
class B(A):
    def forward(self, x): return x
class C(elsewhere.Base):
    def forward(self, x): return x
class D(elsewhere.Base):
    def fit(self, x): return x
class E(pl.LightningModule): pass
class F_(nn.Linear): pass
class G:
    def forward(self, x): return x
class H(unknown(nn.Module)):
    def forward(self, x): return x
"""


def test_which_classes_are_models() -> None:
    known = read(MODELS).ask(facts.models)
    found = {scope.name: (model.is_certain, model.is_open) for scope, model in known.by_class.items()}
    assert found == {
        "A": (True, False),
        "B": (True, False),
        "C": (False, True),
        "E": (True, False),
        "F_": (True, False),
        "H": (False, True),
    }


def test_what_models_hold_by_method() -> None:
    known = read(MODELS).ask(facts.models)
    (model,) = [model for model in known.by_class.values() if model.scope.name == "A"]
    held = {
        name: [(one.method.name, text(one.term)) for one in each] for name, each in model.attributes.items()
    }
    assert held == {"fc": [("__init__", "Linear(8, 8)")], "act": [("__init__", "None"), ("build", "ReLU()")]}
    assert [len(one.lines) for one in model.held] == [1, 1, 1]


def test_families_and_the_model_around_a_place() -> None:
    known = read(MODELS).ask(facts.models)
    by_name = {model.scope.name: model for model in known.by_class.values()}
    assert {one.scope.name for one in known.family(by_name["A"])} == {"A", "B"}
    assert {one.scope.name for one in known.family(by_name["C"])} == {"C"}
    (method,) = [child for child in by_name["B"].scope.children if child.name == "forward"]
    assert known.around(method) is by_name["B"]
    assert known.around(None) is None


def test_what_self_is_called() -> None:
    source = read(
        "class A:\n    def f(this):\n        def g(x): pass\n    @staticmethod\n    def h(x): pass\n"
        "    def i(): pass\ndef j(self): pass"
    )
    names = {scope.name: receiver_name(scope) for scope in source.ask(facts.syntax).functions}
    assert names == {"f": "this", "g": "this", "h": None, "i": None, "j": None}


REGISTERED = {
    "self.a = nn.Linear(1, 1)": {"nn.Linear(1, 1)"},
    "self.a = [nn.Linear(1, 1)]": set(),
    "self.a = nn.ModuleList([nn.Linear(1, 1)])": {"nn.Linear(1, 1)", "nn.ModuleList([nn.Linear(1, 1)])"},
    "self.a = nn.Parameter(x)": {"nn.Parameter(x)"},
    "self.add_module('a', nn.Linear(1, 1))": {"nn.Linear(1, 1)"},
    "self.register_parameter('a', nn.Parameter(x))": {"nn.Parameter(x)"},
    "setattr(self, x, nn.Linear(1, 1))": {"nn.Linear(1, 1)"},
    "self.a = wrap(nn.Linear(1, 1))": {"nn.Linear(1, 1)"},
    "a = nn.Linear(1, 1)": set(),
    "a = [nn.Linear(1, 1)]\n        self.b = nn.ModuleList(a)": {"nn.Linear(1, 1)", "nn.ModuleList(a)"},
}


@pytest.mark.parametrize(("line", "expected"), REGISTERED.items(), ids=REGISTERED)
def test_what_a_model_knows_of(line: str, expected: set[str]) -> None:
    source = read(
        f"class A(nn.Module):\n    def __init__(self, x):\n        super().__init__()\n        {line}\n"
    )
    (model,) = source.ask(facts.models).by_class.values()
    assert {source.code(node) for node in registered(source, model)} == expected


def test_items_of_plain_containers() -> None:
    source = read("look([1, (2, {'a': 3})])\nlook([4 for _ in x])\nlook(nn.ModuleList([5]))\n")
    values = source.ask(facts.values)
    found = [[text(one) for one in plain_items(values.of(site.node.args[0].value))] for site in looks(source)]
    assert found == [["1", "2", "3"], ["4"], []]


def named(source: SourceFile, *names: str) -> list[str]:
    return [source.code(site.node) for site, _ in source.ask(facts.operations).named(*names)]


def test_operations_are_found_by_their_short_name() -> None:
    source = read(
        "def f(x):\n    torch.log(x)\n    x.log_()\n    y = x + 1\n    y += x\n    nn.ReLU()(x)\n    F.relu(x)\n"
    )
    assert named(source, "log") == ["torch.log(x)", "x.log_()"]
    assert named(source, "add") == ["x + 1", "y += x"]
    assert named(source, "relu") == ["nn.ReLU()(x)", "F.relu(x)"]
    assert named(source, "exp") == []


def test_operations_hold_what_callers_give() -> None:
    source = read("def f(x):\n    return x.log()\nf(torch.softmax(z, 1))")
    ((site, operation),) = source.ask(facts.operations).named("log")
    assert text(operation) == "log(softmax(?z, 1))"
    assert text(site.raw) == "log(x)"
    assert site.scope.name == "f"
    assert site.operation("exp") is None


def test_operations_may_be_left_out_before_arguments_are_put_in() -> None:
    source = read("def f(x):\n    x.exp().log()\n    x.log()\n")

    def of_exponential(operation: Operation) -> bool:
        inner = operation.operands[0]
        return isinstance(inner, Operation) and inner.name == "exp"

    found = [
        source.code(site.node) for site, _ in source.ask(facts.operations).named("log", when=of_exponential)
    ]
    assert found == ["x.exp().log()"]


def test_objects_calls_and_statements() -> None:
    source = read(
        "def f(x):\n    m = nn.Linear(8, 8)\n    x.log()\n    y = x.exp()\n    x.unknown(y)\n    other.unknown()\n"
    )
    operations = source.ask(facts.operations)
    assert [source.code(site.node) for site, _ in operations.instances("torch.nn.Linear")] == [
        "nn.Linear(8, 8)"
    ]
    assert [source.code(site.node) for site in operations.calls["unknown"]] == [
        "x.unknown(y)",
        "other.unknown()",
    ]
    assert [source.code(site.node) for site, _ in operations.statements()] == ["x.log()"]


def test_a_parameter_that_is_called_is_found_by_what_is_given() -> None:
    source = read("def f(g, x):\n    return g(x)\nf(torch.log, 1.0)\nf(nn.Softmax(1), 2.0)")
    assert named(source, "log") == ["g(x)"]
    assert named(source, "softmax") == ["g(x)"]


def test_a_place_knows_its_block() -> None:
    source = read("def f(x):\n    for y in x:\n        if y: y.log()\n")
    ((site, _),) = source.ask(facts.operations).named("log")
    assert site.block is not None
    assert [block.kind for block in site.block.outward()] == ["if", "for"]


FORMULAS = {
    "torch.log(torch.exp(x).sum())": ["logsumexp"],
    "x.exp().sum(1).log()": ["logsumexp"],
    "x.exp().mean().log()": ["logmeanexp"],
    "torch.log(1 + torch.exp(x))": ["softplus"],
    "torch.log1p(x.exp())": ["softplus"],
    "torch.log(x.exp() + y.exp())": ["logaddexp"],
    "x.exp() / x.exp().sum()": ["softmax"],
    "x.exp() / (x.exp().sum() + 1e-8)": ["softmax"],
    "torch.log(x.exp().sum() + 1e-8)": ["logsumexp"],
    "x.exp() / y.exp().sum()": [],
    "torch.log(x.exp())": [],
    "torch.log(x.sum())": [],
    "torch.log(2 + torch.exp(x))": [],
    "x / x.sum()": [],
    "x.exp()": [],
}


@pytest.mark.parametrize(("code", "expected"), FORMULAS.items(), ids=FORMULAS)
def test_formulas_around_an_exponential(code: str, expected: list[str]) -> None:
    source = read(f"def f(x, y):\n    return {code}\n")
    assert [formula.kind for formula in formulas(source.ask(facts.operations))] == expected


BOUNDED = {
    "x": False, "x - x.max()": True, "x - x.amax(1, keepdim=True)": True, "x - y": False, "-x.abs()": True,
    "x.clamp(max=10)": True,
    "x.clamp(max=100)": False, "torch.tanh(x)": True, "torch.sigmoid(x) * 50": True, "-(x ** 2) / y": True,
    "(x - x.max()) / y": True,
    "x - self.max_logit": True, "3": True, "-(x ** 2 / y)": True,
}  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), BOUNDED.items(), ids=BOUNDED)
def test_exponents_that_stay_down(code: str, expected: bool) -> None:
    source = read(f"def f(x, y, self):\n    look({code})\n")
    (site,) = looks(source)
    assert is_bounded(source.ask(facts.values).of(site.node.args[0].value)) is expected


def test_sums_of_sums() -> None:
    source = read(
        "def f(x, y):\n    look(x + (y + 1) + x, x * y)\n    for i in range(60): x = x + x\n    look(x)\n"
    )
    values = source.ask(facts.values)
    first, second = ([values.of(one.value) for one in site.node.args] for site in looks(source))
    assert [[text(part) for part in summands(term)] for term in first] == [
        ["x", "y", "1", "x"],
        ["mul(x, y)"],
    ]
    assert 50 < len(list(summands(second[0]))) < 500


ZEROS = {
    "x - y": True, "(x - y) ** 2": True, "x ** 2": False, "torch.softmax(x, 1)": True, "torch.relu(x)": True,
    "x": False,
    "torch.relu(x) + 1": False, "torch.relu(x) + torch.relu(y)": True, "(x > 0).sum()": True, "x > 0": False,
    "x.exp()": False,
    "torch.zeros(3)": True, "((x - y) ** 2).sum().sqrt()": True, "torch.relu(x) * y": True,
    "torch.relu(x) / y": True,
}  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), ZEROS.items(), ids=ZEROS)
def test_whether_zeros_are_to_be_expected(code: str, expected: bool) -> None:
    source = read(f"def f(x, y):\n    look({code})\n")
    (site,) = looks(source)
    assert expects_zero(source.ask(facts.values).of(site.node.args[0].value)) is expected


def test_what_a_layer_is_called_for() -> None:
    source = read(
        "class A(nn.Module):\n"
        "    def __init__(self):\n"
        "        self.tail = nn.Sequential(nn.Linear(8, 3), nn.Softmax(1))\n"
        "        self.alone, self.idle = nn.Softmax(2), nn.Softmax(0)\n"
        "    def forward(self, x):\n"
        "        return self.tail(x.view(-1, 8)), self.alone(x)\n"
    )
    known = source.ask(facts.operations)
    found = [len(list(known.of_layer(layer))) for _, layer in known.instances("torch.nn.Softmax")]
    assert found == [1, 1, 0]
