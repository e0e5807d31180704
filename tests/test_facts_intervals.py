"""The interval of a tensor's elements: what the analysis of logarithms, roots and quotients rests on."""

import math

import pytest
from term_text import looked_at

from stablint.static.deep import deeply
from stablint.static.facts.intervals import Interval, above_zero, hull, interval, larger, single, smaller

INF = math.inf


def of(code: str) -> Interval:
    """The interval of an expression of x and y, of which nothing is known, and of some that something is known of."""
    (term,) = looked_at(f"def f(x, y, n, eps, self):\n{KNOWN}    look({code})\n")
    return interval(term)


KNOWN = """\
    unit, positive, natural = torch.sigmoid(x), x.exp(), torch.abs(x)
    signed, negative = torch.tanh(x), -torch.relu(x)
    two, half = torch.full((3,), 2.0), torch.full((3,), 0.5)
"""


def shown(held: Interval) -> str:
    """`[0, inf)`; an end that is infinite is always open."""
    low = "(" if held.low_open or held.low == -INF else "["
    high = ")" if held.high_open or held.high == INF else "]"
    return f"{low}{held.low:g}, {held.high:g}{high}"


TABLE = {
    # what is not known
    "x": "(-inf, inf)", "x + 1": "(-inf, inf)", "x.unknown()": "(-inf, inf)", "unknown(x)": "(-inf, inf)",
    "F.linear(x, y)": "(-inf, inf)", "torch.empty(3)": "(-inf, inf)", "'text'": "(-inf, inf)",
    # the table: probabilities
    "torch.sigmoid(x)": "[0, 1]", "torch.softmax(x, 1)": "[0, 1]", "F.softmin(x, 1)": "[0, 1]",
    "nn.Softmax(1)(x)": "[0, 1]",
    "F.gumbel_softmax(x)": "[0, 1]", "F.hardsigmoid(x)": "[0, 1]", "x > y": "[0, 1]", "x.eq(y)": "[0, 1]",
    "~(x > y)": "(-inf, inf)",
    "1 - unit": "[0, 1]", "unit * unit": "[0, 1]", "unit ** 2": "[0, 1]", "unit.prod()": "[0, 1]",
    "unit.mean()": "[0, 1]",
    "torch.rand(3)": "[0, 1)", "F.one_hot(x)": "[0, 1]", "torch.bernoulli(unit)": "[0, 1]",
    # never negative
    "torch.relu(x)": "[0, inf)", "F.relu6(x)": "[0, inf)", "abs(x)": "[0, inf)",
    "torch.square(x)": "[0, inf)", "x * x": "[0, inf)",
    "x ** 2": "[0, inf)", "x ** 3": "(-inf, inf)", "x ** 4": "[0, inf)", "x ** 0.5": "(-inf, inf)",
    "x ** n": "(-inf, inf)",
    "natural.sum()": "[0, inf)", "natural.mean()": "[0, inf)", "x.norm()": "[0, inf)", "x.var()": "[0, inf)",
    "x.std(0)": "[0, inf)",
    "natural @ natural": "[0, inf)", "natural @ x": "(-inf, inf)", "torch.sqrt(x)": "[0, inf)",
    "torch.cdist(x, y)": "[0, inf)",
    "F.mse_loss(x, y)": "[0, inf)", "F.cross_entropy(x, y)": "[0, inf)", "natural ** 0.5": "[0, inf)",
    "natural ** n": "[0, inf)",
    "torch.log1p(natural)": "[0, inf)", "len(x)": "[0, inf)", "natural / 3": "[0, inf)",
    "natural * 3": "[0, inf)",
    # positive
    "torch.exp(x)": "(0, inf)", "F.softplus(x)": "(0, inf)", "torch.cosh(x)": "[1, inf)",
    "natural + 1": "[1, inf)",
    "natural + eps": "(0, inf)", "unit + 1e-6": "[1e-06, 1]", "x.clamp(min=1e-6)": "[1e-06, inf)",
    "x.clamp_min(2)": "[2, inf)",
    "torch.maximum(x, two)": "[2, inf)", "positive.sum()": "(0, inf)", "positive.mean()": "(0, inf)",
    "positive ** n": "(0, inf)",
    "positive * 2": "(0, inf)", "1 / F.softplus(x)": "(0, inf)", "1 / positive": "[0, inf)",
    "1 / (1 + positive)": "[0, 1]", "positive.sqrt()": "(0, inf)", "positive ** -2": "(0, inf)",
    "x.numel()": "[1, inf)", "x.size(0)": "[1, inf)", "x.shape[0]": "[1, inf)", "x.size()[0]": "[1, inf)",
    # others
    "torch.log(unit)": "(-inf, 0]", "torch.log(two)": "[0.693147, 0.693147]",
    "torch.log(natural)": "(-inf, inf)",
    "F.log_softmax(x, 1)": "(-inf, 0]", "F.logsigmoid(x)": "(-inf, 0]", "torch.tanh(x)": "[-1, 1]",
    "torch.sin(x)": "[-1, 1]",
    "F.cosine_similarity(x, y)": "[-1, 1]", "F.hardtanh(x)": "[-1, 1]", "F.hardtanh(x, 0, 6)": "[0, 6]",
    "nn.Hardtanh(-2, 2)(x)": "[-2, 2]", "F.hardtanh(x, min_val=n)": "(-inf, inf)", "-natural": "(-inf, 0]",
    # arithmetic
    "unit + unit": "[0, 2]", "unit - unit": "[-1, 1]", "signed * 2": "[-2, 2]", "signed * -2": "[-2, 2]",
    "signed * unit": "[-1, 1]",
    "-signed": "[-1, 1]", "signed / 4": "[-0.25, 0.25]", "two / two": "(-inf, inf)", "two / 4": "[0.5, 0.5]",
    "unit / two": "[0, 0.5]",
    "two / unit": "[2, inf)", "signed / unit": "(-inf, inf)", "abs(signed)": "[0, 1]",
    "abs(signed - 3)": "[2, 4]",
    "signed ** 2": "[0, 1]", "(signed + 3) ** 2": "[4, 16]", "half ** 4": "[0.0625, 0.0625]",
    "two ** 4": "[16, 16]",
    "(signed * 2) ** 4": "[0, 16]", "unit ** 0.5": "[0, inf)", "two ** -1": "(0, inf)",
    "torch.exp(signed)": "[0.367879, 2.71828]",
    "torch.exp2(signed)": "[0.5, 2]", "torch.sqrt(two)": "[1.41421, inf)",
    "torch.sigmoid(signed)": "[0.268941, 0.731059]",
    "negative.sum()": "(-inf, 0]", "torch.nansum(natural)": "[0, inf)", "two.sum()": "[2, inf)",
    "two.cumsum(0)": "[2, inf)",
    "torch.add(unit, unit, alpha=-1)": "(-inf, inf)", "torch.sub(unit, unit, alpha=n)": "(-inf, inf)",
    "torch.div(unit, two, rounding_mode='floor')": "(-inf, inf)",
    "torch.addcmul(unit, unit, unit)": "(-inf, inf)",
    "0.5 + 0.25": "[0.75, 0.75]", "1 - 1e-8 - unit": "[0, 1]", "1e39 - 1e39": "[0, 0]",
    "unit - 1e39": "(-inf, -inf]",
    "torch.exp(unit * -200)": "[0, 1]", "two * 1e-30 * 1e-30": "[0, 2e-60]",
    # bounds
    "x.clamp(0, 1)": "[0, 1]", "torch.clamp(x, min=-1, max=1)": "[-1, 1]", "unit.clamp(min=2)": "[2, 2]",
    "two.clamp(max=1)": "[1, 1]",
    "x.clamp(min=None, max=1)": "(-inf, 1]", "unit.clamp(None, None)": "[0, 1]",
    "unit.clamp(min=n)": "(-inf, inf)",
    "unit.clamp(max=n)": "[0, 1]", "unit.clamp(min=eps)": "(0, 1]", "unit.clamp(eps, 1 - eps)": "(0, 1)",
    "unit.clamp(1e-7, 1 - 1e-7)": "[1e-07, 1]", "unit.clamp(min=unit)": "[0, 1]",
    "unit.clamp(min=signed * 3)": "[0, 3]",
    "unit.clamp_max(0.5)": "[0, 0.5]", "unit.clamp_min(0.5)": "[0.5, 1]",
    "torch.clip(unit, 0.25, 0.5)": "[0.25, 0.5]",
    "torch.maximum(unit, signed)": "[0, 1]", "torch.minimum(unit, signed)": "[-1, 1]",
    "torch.minimum(unit, two)": "[0, 1]",
    "torch.maximum(natural, positive)": "(0, inf)", "torch.minimum(positive, two)": "(0, 2]",
    "torch.maximum(unit, x)": "[0, inf)",
    "max(unit, 1e-8)": "[1e-08, inf)", "max(unit)": "(-inf, inf)", "min(unit, 1)": "(-inf, inf)",
    "x or 1": "(-inf, inf)", "unit or 2": "[0, 2]",
    # extremes
    "unit.max()": "[0, 1]", "unit.max(1)": "[0, 1]", "unit.max(1)[0]": "[0, 1]",
    "unit.max(1)[1]": "(-inf, inf)",
    "unit.max(dim=1).values": "[0, 1]", "unit.max(dim=1).indices": "(-inf, inf)",
    "torch.max(unit, two)": "[2, 2]",
    "torch.max(unit, x)": "(-inf, inf)", "torch.min(unit, x)": "(-inf, 1]",
    "torch.min(unit, dim=1)[0]": "[0, 1]",
    "torch.max(unit, torch.tensor(1e-6))": "[1e-06, 1]", "unit.min()": "[0, 1]", "unit.topk(2)[0]": "[0, 1]",
    "unit.topk(2)[1]": "(-inf, inf)",
    "unit.sort()[0][0]": "[0, 1]", "torch.softmax(x, 1).max(1)[0]": "(0, 1]",
    "torch.softmax(signed, 1)": "(0, 1]",
    "torch.softmax(unit * 100, 1)": "[0, 1]",
    # choices
    "torch.where(x > 0, unit, two)": "[0, 2]", "torch.where(natural > 0, natural, two)": "(0, inf)",
    "torch.where(natural == 0, two, natural)": "(0, inf)",
    "torch.where(natural <= 0, 1.0, natural)": "(0, inf)",
    "torch.where(x > 0, x, two)": "(-inf, inf)", "torch.where(x <= 0, 0, natural)": "[0, inf)",
    "torch.where(x)": "(-inf, inf)",
    "torch.where((natural > 0) & (x > 1), natural, two)": "(0, inf)", "unit if n else two": "[0, 2]",
    "unit.masked_fill(x > 0, 2.0)": "[0, 2]", "natural.masked_fill(natural == 0, 1.0)": "(0, inf)",
    "natural[natural > 0]": "(0, inf)", "natural[natural != 0]": "(0, inf)", "natural[x > 0]": "[0, inf)",
    "x[x > 0]": "(-inf, inf)",
    "torch.masked_select(natural, natural > 0)": "(0, inf)", "natural + (natural == 0) * 1e-8": "(0, inf)",
    # made and rearranged
    "torch.zeros(3)": "[0, 0]", "torch.ones_like(x)": "[1, 1]", "torch.full((3,), -2)": "[-2, -2]",
    "torch.full_like(x, n)": "(-inf, inf)",
    "torch.tensor(3)": "[3, 3]", "torch.tensor([1, 2, 4])": "[1, 4]", "torch.tensor(x)": "(-inf, inf)",
    "torch.arange(5)": "[0, 5]",
    "torch.arange(n)": "[0, inf)", "torch.arange(2, 5)": "[2, 5]", "torch.arange(5, 2, -1)": "[2, 5]",
    "torch.arange(start=2, end=5)": "[2, 5]",
    "torch.linspace(-1, 2, 3)": "[-1, 2]", "torch.linspace(start=1, end=5, steps=3)": "[1, 5]",
    "torch.randn(3)": "(-inf, inf)",
    "unit.view(-1).t().unsqueeze(0)[0, 1:]": "[0, 1]", "torch.cat([unit, two], 1)": "[0, 2]",
    "torch.stack((unit, x))": "(-inf, inf)",
    "unit.gather(1, x)": "[0, 1]", "unit.chunk(2)[0]": "[0, 1]", "unit[0]": "[0, 1]",
    "unit.detach().cpu().float()": "[0, 1]",
    "unit.data": "[0, 1]", "unit.T": "[0, 1]", "unit.item()": "[0, 1]",
    "F.unfold(half, 3, padding=1)": "(-inf, inf)", "[unit, two][n]": "(-inf, inf)",
    "[u for u in unit]": "[0, 1]", "unit.mean(0).expand(3, 4)": "[0, 1]", "F.dropout(unit)": "[0, inf)",
    "F.dropout(signed)": "(-inf, inf)",
    "F.dropout(negative)": "(-inf, 0]", "torch.einsum('i,i->', unit, unit)": "(-inf, inf)",
    # whole numbers
    "half.int()": "[0, 0]", "half.long()": "[0, 0]", "int(unit)": "[0, 1]", "(signed * 2.5).int()": "[-2, 2]",
    "half.to(torch.int64)": "[0, 0]",
    "half.type(torch.LongTensor)": "[0, 0]", "half.to(x.device)": "[0.5, 0.5]",
    "half.to('cuda', torch.float16)": "[0.5, 0.5]",
    "x.to(torch.bool)": "[0, 1]", "half.round()": "[0, 0]", "(two * 0.8).round()": "[2, 2]",
    "half.trunc()": "[0, 0]", "round(half)": "[0, 0]",
    "round(half, 2)": "(-inf, inf)", "half.floor()": "(-inf, inf)", "natural.long()": "[0, inf)",
    "positive.int()": "[0, inf)",
    # numbers
    "0.1": "[0.1, 0.1]", "True": "[1, 1]", "1e-46": "[0, 0]", "1 - 1e-8": "[1, 1]", "1e39": "[inf, inf)",
    "-1e39": "(-inf, -inf]",
    "2 ** 10": "[1024, 1024]", "float('inf')": "(-inf, inf)", "math.pi": "(-inf, inf)", "None": "(-inf, inf)",
    # names of small numbers
    "eps": "(0, 0.5]", "self.eps": "(0, 0.5]", "self.layer_norm_epsilon": "(0, 0.5]",
    "epsilon": "(0, 0.5]", "steps": "(-inf, inf)",
    "1 - eps": "[0.5, 1)", "unit + self.eps": "(0, 1.5]", "natural / (natural + eps)": "[0, inf)",
    "two + eps": "(2, 2.5]",
    "-eps": "[-0.5, 0)", "eps - eps": "(-0.5, 0.5)",
}  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), TABLE.items(), ids=TABLE)
def test_table(code: str, expected: str) -> None:
    assert shown(of(code)) == expected


BY_CALLS = {
    "argument": ("def f(x):\n    look(x.sqrt())\nf(torch.ones(3))", "[1, inf)"),
    "of two calls": ("def f(x):\n    look(x)\nf(torch.ones(3))\nf(torch.zeros(3))", "[0, 1]"),
    "default": ("def f(x, scale=2.0):\n    look(scale)", "(0, inf)"),
    "small default": ("def f(x, eps=1e-5):\n    look(eps)", "[1e-05, 1e-05]"),
    "default of zero": ("def f(x, bias=0.0):\n    look(bias)", "(-inf, inf)"),
    "function": ("def g(p):\n    return torch.sigmoid(p)\ndef f(p):\n    look(1 - g(p))", "[0, 1]"),
    "model": ("m = nn.Sequential(nn.Linear(8, 8), nn.Sigmoid())\ndef f(x):\n    look(1 - m(x))", "[0, 1]"),
    "attribute": (
        "class A:\n    c = 1e-8\n    def f(self, p):\n        look(p.abs() + self.c)",
        "[1e-08, inf)",
    ),
    "constant of the module": ("TINY = 1e-8\ndef f(p):\n    look(p.abs() + TINY)", "[1e-08, inf)"),
    "either": ("def f(p, n):\n    q = p.abs()\n    if n:\n        q = q + 1\n    look(q)", "[0, inf)"),
    "loop": ("def f(n):\n    q = torch.ones(3)\n    for i in n: q = q - 0.5\n    look(q)", "(-inf, inf)"),
    "rounds": (
        "def f(p):\n    q = torch.ones(3)\n    for i in range(3): q = q / 2\n    look(q)",
        "[0.125, 0.125]",
    ),
    "recursion": ("def f(p):\n    look(p)\n    f(p.abs())\nf(torch.ones(1))", "[0, inf)"),
}


@pytest.mark.parametrize(("code", "expected"), BY_CALLS.values(), ids=BY_CALLS)
def test_through_calls_and_variables(code: str, expected: str) -> None:
    (term,) = looked_at(code)
    assert shown(interval(term)) == expected


@pytest.mark.parametrize(
    ("held", "has_zero", "is_positive", "is_non_negative", "is_unit"),
    [
        (Interval(0, 1), True, False, True, True),
        (Interval(0, 1, low_open=True), False, True, True, True),
        (Interval(-1, 0), True, False, False, False),
        (Interval(-1, 0, high_open=True), False, False, False, False),
        (Interval(-1, 1), True, False, False, False),
        (Interval(1, 2), False, True, True, False),
        (Interval(-2, -1), False, False, False, False),
        (Interval(-INF, INF), True, False, False, False),
        (Interval(0, 0), True, False, True, True),
    ],
)
def test_what_an_interval_says(
    held: Interval, has_zero: bool, is_positive: bool, is_non_negative: bool, is_unit: bool
) -> None:
    assert held.has_zero is has_zero
    assert held.is_positive is is_positive
    assert held.is_non_negative is is_non_negative
    assert held.is_unit is is_unit


CLOSED, OPEN = Interval(0, 1), Interval(0, 1, low_open=True, high_open=True)


def test_ends_of_joined_intervals() -> None:
    assert hull([]) == Interval(-INF, INF)
    assert hull([OPEN, OPEN]) == OPEN
    assert hull([OPEN, CLOSED]) == CLOSED
    assert hull([OPEN, Interval(-1, 2)]) == Interval(-1, 2)
    assert larger(OPEN, CLOSED) == Interval(0, 1, low_open=True)
    assert larger(CLOSED, Interval(-1, 3)) == Interval(0, 3)
    assert smaller(OPEN, CLOSED) == Interval(0, 1, high_open=True)
    assert smaller(CLOSED, Interval(-1, 3)) == Interval(-1, 1)
    assert above_zero(CLOSED) == Interval(0, 1, low_open=True)
    assert above_zero(Interval(2, 3)) == Interval(2, 3)
    assert above_zero(Interval(-1, 3)) == Interval(-INF, INF)


def test_numbers_are_those_of_single_precision() -> None:
    assert single(1 - 1e-8) == 1
    assert single(1e-46) == 0
    assert single(1e39) == INF
    assert single(-1e39) == -INF
    assert single(0.5) == 0.5


def test_deep_terms_are_unknown_and_no_error() -> None:
    deep = "    x = torch.relu(x) + 1\n" * 400
    (term,) = deeply(lambda: looked_at(f"def f(x):\n{deep}    look(torch.sigmoid(x))\n"))
    assert deeply(lambda: interval(term)).is_unit
