"""What intervals and gradients say of tensors is true of the tensors that torch computes."""

import math
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from generated_tensors import HELPERS, lines
from term_text import looks, read, text

from stablint.static import facts
from stablint.static.facts.intervals import TOP, Interval
from stablint.static.facts.terms import Operation, Term, within
from stablint.static.torch_api.groups import ZERO_GRADIENT

torch: Any = pytest.importorskip("torch")

SEEDS = range(100)
LENGTH = 30

REFUSALS = (
    RuntimeError,
    TypeError,
    AttributeError,
    NotImplementedError,
    IndexError,
    ValueError,
    ArithmeticError,
)
"""What torch and Python raise for a line that makes no sense."""

UNDERFLOWING = {"exp", "exp2", "pow", "softplus", "cosh"}
"""Never zero on paper, and taken for positive: in single precision they are zero far from it."""


@dataclass(frozen=True)
class Value:
    """What a line of a program made, and what is claimed of it."""

    line: str
    term: Term
    made: Any

    def __str__(self) -> str:
        return f"{self.line!r}, read as {text(self.term)}"


def inputs(seed: int) -> dict[str, Any]:
    """One tensor of ordinary numbers, one of zeros, tiny and large ones; half of the time one is trained."""
    torch.manual_seed(seed)
    a, b = torch.randn(4, 3), torch.randn(4, 3) * 10 ** torch.randint(-3, 4, (4, 3)).float()
    b[0], b[1, 1] = 0.0, 3e4
    return {"a": a.requires_grad_(seed % 2 == 0), "b": b}


def run(seed: int) -> dict[str, tuple[str, Any]]:
    """The lines that torch could run, and what each bound its name to."""
    space: dict[str, Any] = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "math": math}
    exec(HELPERS, space)
    space.update(inputs(seed))
    done: dict[str, tuple[str, Any]] = {}
    for name, line in lines(seed, ("a", "b"), LENGTH):
        used = set(re.findall(r"\bt\d+\b", line)) - {name}
        if used <= done.keys():
            try:
                exec(line, space)
            except REFUSALS:
                continue
            done[name] = (line, space[name])
    return done


def program(seed: int) -> Iterator[Value]:
    done = run(seed)
    body = "\n".join(f"{line}\nlook({name})" for name, (line, _) in done.items())
    source = read(f"{HELPERS}def program(a, b):\n{textwrap.indent(body, '    ')}")
    values = source.ask(facts.values)
    held = [values.of(site.node.args[0].value) for site in looks(source)]
    assert len(held) == len(done)
    for (line, made), term in zip(done.values(), held, strict=True):
        yield Value(line, term, torch.as_tensor(made))


@pytest.fixture(scope="module")
def values() -> list[Value]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [value for seed in SEEDS for value in program(seed)]


def ends(made: Any) -> tuple[float, float] | None:
    """The smallest and the largest element; what is not a number lies nowhere."""
    numbers = made.detach().double().flatten()
    numbers = numbers[~numbers.isnan()]
    return (numbers.min().item(), numbers.max().item()) if len(numbers) else None


def about(bound: float) -> float:
    return 1e-6 + 1e-4 * abs(bound)


def holds(held: Interval, low: float, high: float) -> bool:
    """Whether numbers lie in an interval, give or take what rounding does; those that overflow may lie outside."""
    above = low >= held.low - about(held.low) or (low == -math.inf and held.low < 0)
    below = high <= held.high + about(held.high) or high == math.inf
    return above and below


def test_elements_lie_in_their_interval(values: list[Value]) -> None:
    outside = []
    for value in values:
        held = facts.intervals.interval(value.term)
        assert held.low <= held.high, str(value)
        found = ends(value.made)
        if found is not None and not holds(held, *found):
            outside.append(f"{value}: {found} is not in {held}")
    assert outside == []


def may_underflow(term: Term) -> bool:
    return any(isinstance(part, Operation) and part.name in UNDERFLOWING for part in within(term))


def test_positive_elements_are_not_zero(values: list[Value]) -> None:
    wrong = []
    for value in values:
        found = ends(value.made)
        claimed = facts.intervals.interval(value.term).is_positive and not may_underflow(value.term)
        if claimed and found is not None and found[0] <= 0:
            wrong.append(f"{value}: {found[0]}")
    assert wrong == []


def is_stepwise(term: Term) -> bool:
    """Whether a gradient is zero on the way, which counts as none; torch records the operation all the same."""
    names = {part.name for part in within(term) if isinstance(part, Operation)}
    return bool(names & (ZERO_GRADIENT | {"floor_divide"}))


def test_graphs_are_where_they_are_claimed_to_be(values: list[Value]) -> None:
    wrong = []
    for value in values:
        claimed = facts.gradients.carries_graph(value.term)
        if claimed is not None and claimed is not value.made.requires_grad and not is_stepwise(value.term):
            wrong.append(f"{value}: claimed {claimed}")
    assert wrong == []


def test_much_is_claimed(values: list[Value]) -> None:
    assert len(values) > 2000
    narrowed = [value for value in values if facts.intervals.interval(value.term) != TOP]
    claimed = [facts.gradients.carries_graph(value.term) for value in values]
    assert len(narrowed) > 0.3 * len(values)
    assert claimed.count(True) > 0.05 * len(values)
    assert claimed.count(False) > 0.3 * len(values)


def test_a_wrong_claim_would_be_seen() -> None:
    assert holds(Interval(0, 1), 0.0, 1.00001)
    assert not holds(Interval(0, 1), -0.1, 1.0)
    assert not holds(Interval(0, 1), 0.0, 1.1)
    assert holds(Interval(0, 5), 0.0, math.inf)
    assert not holds(Interval(0, 5), -math.inf, 5.0)
