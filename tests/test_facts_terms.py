"""Terms as values: joining, comparing, looking into them, and where they come from."""

import pytest
from term_text import looked_at, text

from stablint.static.facts.provenance import (
    is_difference_of_means,
    is_tensor,
    made_by,
    origins,
    squared_by,
)
from stablint.static.facts.terms import (
    EACH,
    NONE,
    Constant,
    Either,
    Question,
    Reference,
    Term,
    Unknown,
    join,
    number,
    once,
    options,
    parts,
    same,
    within,
)


def terms(*codes: str) -> list[Term]:
    """What expressions of x, y, n and self hold."""
    return looked_at(f"class A:\n    def f(self, x, y, n):\n        look({', '.join(codes)})\n")


ONE, TWO, OTHER = Constant(1), Constant(2), Unknown(None, "x")


def test_joining() -> None:
    assert join(ONE) is ONE
    assert join(ONE, Constant(1)) is ONE
    assert options(join(ONE, TWO)) == (ONE, TWO)
    assert options(join(join(ONE, OTHER), join(TWO, OTHER))) == (ONE, OTHER, TWO)
    assert isinstance(join(), Unknown)
    assert isinstance(join(*map(Constant, range(7))), Unknown)
    assert isinstance(join(*map(Constant, range(6))), Either)
    assert options(ONE) == (ONE,)


def test_constants_are_equal_by_type_and_value() -> None:
    assert len(options(join(Constant(1), Constant(True), Constant(1.0), Constant("1")))) == 4
    assert join(NONE, Constant(None)) is NONE
    assert len(options(join(Reference("a.b"), Reference("a.b"), Reference("a.c")))) == 2


SAME = (
    ("x", "x"),
    ("x + 1", "x + 1"),
    ("x.exp().sum()", "torch.sum(torch.exp(x))"),
    ("self.x", "self.x"),
    ("x[0]", "x[0]"),
    ("x[n]", "x[n]"),
    ("[x, 1]", "[x, 1]"),
    ("(x, y)[0]", "x"),
    ("torch.sum(x, dim=1)", "x.sum(dim=1)"),
    ("x.shape[0]", "x.shape[0]"),
    ("nn.ReLU()(x)", "x.relu()"),
)

DIFFERENT = (
    ("x", "y"),
    ("x + 1", "1 + x"),
    ("x.sum(1)", "x.sum(2)"),
    ("x.sum(dim=1)", "x.sum(1)"),
    ("x[0]", "x[1]"),
    ("[x, 1]", "(x, 1)"),
    ("torch.rand(3)", "torch.rand(3)"),
    ("F.dropout(x)", "F.dropout(x)"),
    ("torch.empty(3).uniform_()", "torch.empty(3).uniform_()"),
    ("nn.Dropout()(x)", "nn.Dropout()(x)"),
    ("nn.Linear(3, 3)(x)", "nn.Linear(3, 3)(x)"),
    ("nn.PReLU()(x)", "nn.PReLU()(x)"),
    ("x.unknown()", "x.unknown()"),
    ("self.x", "self.y"),
    ("x.a", "y.a"),
)


@pytest.mark.parametrize("pair", SAME, ids=" / ".join)
def test_what_certainly_holds_the_same(pair: tuple[str, str]) -> None:
    assert same(*terms(*pair))


@pytest.mark.parametrize("pair", DIFFERENT, ids=" / ".join)
def test_what_may_differ(pair: tuple[str, str]) -> None:
    assert not same(*terms(*pair))


def test_the_element_of_a_loop_is_another_one_in_each_round() -> None:
    one, other = looked_at("def f(x):\n    for y in x: look(y)\n    for z in x: look(z)\n")
    assert text(one) == text(other) == "x[EACH]"
    assert not same(one, other)
    assert same(one, one)


def test_one_variable_holds_one_value() -> None:
    a, b = looked_at("x = torch.rand(3)\nlook(x, x)")
    assert same(a, b)


def test_looking_into_terms() -> None:
    (term,) = terms("F.softmax([x + 1, y], dim=self.n)[0]")
    assert [text(part) for part in parts(term)] == ["softmax([add(x, 1), y], dim=self.n)", "0"]
    found = [text(part) for part in within(term)]
    assert found[0] == text(term)
    assert {"x", "y", "1", "0", "self.n", "self", "add(x, 1)", "[add(x, 1), y]"} <= set(found)
    assert len(found) == 10
    assert len(list(within(term, 3))) == 3
    assert list(parts(ONE)) == []


def test_numbers() -> None:
    assert number(Constant(2.5)) == 2.5
    assert number(Constant(3)) == 3
    others = (Constant(True), Constant("1"), Constant(None), OTHER, EACH, None)
    assert [number(term) for term in others] == [None] * 6


def test_a_question_is_asked_once_of_each_part() -> None:
    asked: list[str] = []

    @once
    def has_y(term: Term, look: Question) -> bool:
        asked.append(text(term))
        return text(term) == "y" or any(map(look, parts(term)))

    (term,) = looked_at("def f(x, y):\n    a = x + x\n    b = a + a\n    c = b + b\n    look(c + y)\n")
    assert has_y(term)
    assert len(asked) == len(set(asked)) == 6


ORIGINS = {
    "x": ["x"],
    "x.view(-1).t()[0].float().detach()": ["x"],
    "F.softmax(x, 1).squeeze()": ["softmax(x, 1)"],
    "torch.cat([x.exp(), y], 0)": ["exp(x)", "y"],
    "torch.stack([z.exp() for z in x])": ["exp(x[EACH])"],
    "x.exp() if n else y": ["exp(x)", "y"],
    "x.chunk(2)[0]": ["x"],
    "x.max(1)[0]": ["max(x, 1)[0]"],
    "x.topk(2)[1]": ["topk(x, 2)[1]"],
    "x.T": ["x"],
    "x + 1": ["add(x, 1)"],
    "x[x > 0]": ["x[compare(x, 0, 'GreaterThan')]"],
    "self.x.data": ["self.x"],
}


@pytest.mark.parametrize(("code", "expected"), ORIGINS.items(), ids=ORIGINS)
def test_origins(code: str, expected: list[str]) -> None:
    (term,) = terms(code)
    assert sorted(map(text, origins(term))) == expected


def test_what_made_a_tensor_on_every_path() -> None:
    softmax, either, mixed, log = terms(
        "F.softmax(x, 1).view(-1)",
        "F.softmax(x, 1) if n else F.softmin(x, 1)",
        "F.softmax(x, 1) if n else x",
        "x.log()",
    )
    made = made_by(softmax, "softmax")
    assert made is not None
    assert text(made) == "softmax(x, 1)"
    assert made_by(either, "softmax") is None
    assert made_by(either, "softmax", "softmin") is not None
    assert made_by(mixed, "softmax") is None
    assert made_by(log, "softmax", "exp") is None
    assert made_by(softmax, "softmax", through=frozenset()) is None


TENSORS = {
    "x.exp()": True,
    "torch.ones(3)": True,
    "torch.sum(x) + 1": True,
    "x + 1": False,
    "x": False,
    "np.exp(x) + x.exp()": False,
    "x.sum(axis=0)": False,
    "len(x)": False,
}


@pytest.mark.parametrize(("code", "expected"), TENSORS.items(), ids=TENSORS)
def test_what_is_certainly_a_tensor(code: str, expected: bool) -> None:
    (term,) = looked_at(f"import numpy as np\ndef f(x):\n    look({code})")
    assert is_tensor(term) is expected


VARIANCES = {
    "(x ** 2).mean() - x.mean() ** 2": True,
    "x.pow(2).mean(0) - x.mean(0).pow(2)": True,
    "(x * x).mean() - x.mean() * x.mean()": True,
    "x.square().mean() - x.mean().square()": True,
    "(x ** 2).mean() - y.mean() ** 2": False,
    "(x ** 3).mean() - x.mean() ** 2": False,
    "(x ** 2).sum() - x.mean() ** 2": False,
    "(x ** 2).mean() - x.mean()": False,
    "x.var()": False,
    "x - y": False,
}


@pytest.mark.parametrize(("code", "expected"), VARIANCES.items(), ids=VARIANCES)
def test_variances_that_cancel(code: str, expected: bool) -> None:
    (term,) = terms(code)
    assert is_difference_of_means(term) is expected


def test_what_is_squared() -> None:
    found = [squared_by(term) for term in terms("x ** 2", "x.square()", "x * x", "x * y", "x ** 3", "x")]
    assert [text(term) if term is not None else None for term in found] == ["x", "x", "x", None, None, None]


def test_a_layer_gives_the_same_for_the_same_and_another_layer_does_not() -> None:
    a, b, c = looked_at("m, n = nn.Linear(3, 3), nn.Linear(3, 3)\nlook(m(x), m(x), n(x))")
    assert same(a, b)
    assert not same(a, c)
