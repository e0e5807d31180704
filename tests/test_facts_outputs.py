"""What a tensor is as the input of a loss, what logarithms are taken of, and what a test says of zero."""

import pytest
from term_text import looked_at, looks, read, text

from stablint.static import facts
from stablint.static.facts.conditions import leaves_out_zero
from stablint.static.facts.logarithms import logarithms
from stablint.static.facts.outputs import OutputKind, output, pairings

MODELS = """
class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.gate = nn.Linear(8, 8), nn.Linear(8, 1)
    def forward(self, x):
        x = self.fc(x)
        return x, torch.sigmoid(self.gate(x))
model, heads = nn.Sequential(nn.Linear(8, 8), nn.Softmax(1)), Heads()
"""

KINDS: dict[str, OutputKind | None] = {
    "F.softmax(x, 1)": "softmax",
    "nn.Softmax(1)(x)": "softmax",
    "F.gumbel_softmax(x)": "softmax",
    "x.softmax(1).view(-1)": "softmax",
    "torch.sigmoid(x)": "sigmoid",
    "torch.cat([torch.sigmoid(x)] * 2)": "sigmoid",
    "F.log_softmax(x, 1)": "log-softmax",
    "nn.Linear(8, 8)(x)": "raw",
    "nn.Conv2d(1, 1, 1)(x)": "raw",
    "model(x)": "softmax",
    "heads(x)[0]": "raw",
    "heads(x)[1]": "sigmoid",
    "F.softmax(x, 1) if n else torch.sigmoid(x)": "softmax",
    "F.softmax(x, 1) if n else x": None,
    "F.softmax(x, 1) + 1": None,
    "F.relu(x)": None,
    "x": None,
}


@pytest.mark.parametrize(("code", "expected"), KINDS.items(), ids=KINDS)
def test_kinds(code: str, expected: OutputKind | None) -> None:
    (term,) = looked_at(f"{MODELS}\ndef f(x, n):\n    look({code})")
    kinds: tuple[OutputKind, ...] = ("softmax", "sigmoid", "log-softmax", "raw")
    made = output(term, *kinds)
    assert (facts.outputs.KINDS[made.name] if made is not None else None) == expected
    if expected is not None:
        others: list[OutputKind] = [kind for kind in kinds if kind != expected]
        assert output(term, *others) is None


def test_an_activation_is_paired_with_every_loss_that_takes_it() -> None:
    source = read(
        f"{MODELS}\ncriterion = nn.CrossEntropyLoss()\ndef f(x, y, z):\n    p = model(x)\n    criterion(p, y)\n"
        "    F.cross_entropy(p.view(-1), z)\n    F.cross_entropy(x, y)\n    return F.nll_loss(p, y)\n"
    )
    (pairing,) = pairings(source, "cross_entropy", "softmax")
    assert sorted(source.code(loss.node) for loss in pairing.losses) == [
        "F.cross_entropy(p.view(-1), z)",
        "criterion(p, y)",
    ]
    assert source.code(pairing.made.node) == "nn.Softmax(1)"
    assert [len(one.losses) for one in pairings(source, "nll_loss", "softmax")] == [1]
    assert pairings(source, "cross_entropy", "sigmoid") == []


LOGARITHMS = {
    "torch.log(p)": ("p", False),
    "p.log2()": ("p", False),
    "torch.log(1 - p)": ("p", True),
    "torch.log1p(-p)": ("p", True),
    "torch.log(1 + -p)": ("p", True),
    "(-p + 1).log()": ("p", True),
    "torch.log((1 - p).view(-1))": ("p", True),
    "torch.log(2 - p)": ("sub(2, p)", False),
}


@pytest.mark.parametrize(("code", "expected"), LOGARITHMS.items(), ids=LOGARITHMS)
def test_what_logarithms_are_taken_of(code: str, expected: tuple[str, bool]) -> None:
    (found,) = logarithms(read(f"def f(p):\n    return {code}").ask(facts.operations))
    assert (text(found.argument), found.complement) == expected


def test_a_plain_log1p_is_no_logarithm_of_probabilities() -> None:
    assert list(logarithms(read("def f(p):\n    return torch.log1p(p)").ask(facts.operations))) == []


UNGUARDED = {
    "torch.log(F.softmax(x, 1))": "softmax",
    "torch.log(F.softmax(x, 1)[0])": "softmax",
    "torch.log1p(-F.softmax(x, 1))": "softmax",
    "torch.log(F.softmax(x, 1) + 1e-50)": "softmax",
    "torch.log(torch.sigmoid(x))": "sigmoid",
    "torch.log(1 - torch.sigmoid(x))": "sigmoid",
    "torch.log(1 - F.softmax(x, 1))": None,
    "torch.log(torch.sigmoid(x) + 1e-8)": None,
    "torch.log(torch.sigmoid(x).clamp(min=1e-8))": None,
    "torch.log(F.softmax(x, 1).max(1)[0])": None,
    "torch.log(F.softmax(torch.tanh(x), 1))": None,
    "torch.log(1 - torch.sigmoid(x) + 1e-6)": None,
    "torch.log(x)": None,
}


@pytest.mark.parametrize(("code", "expected"), UNGUARDED.items(), ids=UNGUARDED)
def test_softmax_or_sigmoid_without_a_guard(code: str, expected: str | None) -> None:
    (found,) = logarithms(read(f"def f(x):\n    return {code}").ask(facts.operations))
    made = found.softmax or found.sigmoid
    assert (made.name if made is not None else None) == expected


HOLDS = {
    "x > 0": (True, False),
    "x >= 0": (False, False),
    "x >= 1e-6": (True, False),
    "x > n": (True, False),
    "0 < x": (True, False),
    "x < 0": (False, False),
    "x <= 0": (False, True),
    "x < 1e-6": (False, True),
    "x == 0": (False, True),
    "0 == x": (False, True),
    "x != 0": (True, False),
    "x > -1": (False, False),
    "y > 0": (False, False),
    "not x > 0": (False, True),
    "~(x == 0)": (True, False),
    "x.gt(0)": (True, False),
    "x.eq(0)": (False, True),
    "x.le(0)": (False, True),
    "(x > 0) & (y > 0)": (True, False),
    "(x == 0) | (y > 0)": (False, True),
    "x > 0 and y": (True, False),
    "x == 0 or y": (False, True),
    "x > 0 or y": (False, False),
    "(x > 0).all()": (True, False),
    "(x > 0).any()": (False, False),
    "(x == 0).any()": (False, True),
    "(x > 0).float()": (True, False),
    "torch.logical_and(x > 0, y)": (True, False),
    "x": (False, False),
    "x is None": (False, False),
    "0 < x < 1": (False, False),
}


@pytest.mark.parametrize(("code", "expected"), HOLDS.items(), ids=HOLDS)
def test_what_leaves_out_zero(code: str, expected: tuple[bool, bool]) -> None:
    condition, value = looked_at(f"def f(x, y, n):\n    look({code}, x)")
    assert (leaves_out_zero(condition, value), leaves_out_zero(condition, value, holds=False)) == expected


def test_a_number_is_not_larger_for_being_compared() -> None:
    condition, zero = looked_at("def f(x):\n    look(x <= 0, 0)")
    assert not leaves_out_zero(condition, zero)


GUARDED = {
    "if x > 0:\n        look(x)": ["x > 0: True"],
    "if x > 0:\n        pass\n    else:\n        look(x)": ["x > 0: False"],
    "if y:\n        pass\n    elif x > 0:\n        look(x)": ["x > 0: True", "y: False"],
    "while x > 0:\n        look(x)": ["x > 0: True"],
    "z = look(x) if x > 0 else 1": ["x > 0: True"],
    "z = 1 if x > 0 else look(x)": ["x > 0: False"],
    "z = x > 0 and look(x)": ["x > 0: True"],
    "z = x > 0 or look(x)": ["x > 0: False"],
    "if x == 0:\n        return\n    look(x)": ["x == 0: False"],
    "if x == 0:\n        raise ValueError(x)\n    look(x)": ["x == 0: False"],
    "if x == 0:\n        y = 1\n    look(x)": [],
    "for z in x:\n        if z == 0:\n            continue\n        look(z)": ["z == 0: False"],
    "look(x)\n    if x == 0:\n        return": [],
    "assert x > 0\n    look(x)": [],
}


@pytest.mark.parametrize(("body", "expected"), GUARDED.items(), ids=GUARDED)
def test_what_was_tested_before_a_place(body: str, expected: list[str]) -> None:
    source = read(f"def f(x, y):\n    {body}\n")
    (site,) = looks(source)
    found = facts.guards.tests(source, site.node, site.statement)
    assert [f"{source.code(test)}: {held}" for test, held in found] == expected
