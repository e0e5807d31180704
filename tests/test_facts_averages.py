"""Moving averages of parameters that are computed with a graph."""

import pytest
from term_text import read

from stablint.static import facts

PAIRS = "for p, q in zip(net.parameters(), other.parameters()):"


@pytest.mark.parametrize(
    ("line", "paths"),
    [
        (f"{PAIRS} q.mul_(d).add_(p, alpha=1 - d)", ["q"]),
        (f"{PAIRS} q.copy_(d * q + (1 - d) * p)", ["q"]),
        (f"{PAIRS} q.lerp_(p.float(), d)", ["q"]),
        ("for n, p in net.named_parameters(): kept[n] = d * kept[n] + (1 - d) * p", ["kept[n]"]),
        (f"{PAIRS} q.mul_(d).add_(p.data, alpha=1 - d)", []),
        (f"{PAIRS} q.data.mul_(d).add_(p, alpha=1 - d)", []),
        (f"{PAIRS} q.mul_(d).add_(q, alpha=1 - d)", []),
        (f"{PAIRS} q = d * q + (1 - d) * p", []),
        ("for p in net.parameters(): p.add_(p.grad, alpha=-d)", []),
        ("for n, p in net.named_parameters(): kept[n] = d * kept[n] + (1 - d) * p.detach()", []),
        ("for n, p in net.named_parameters(): kept[n] = p", []),
        ("for n, p in net.state_dict().items(): kept[n] = d * kept[n] + (1 - d) * p", []),
    ],
)
def test_averages_of_parameters(line: str, paths: list[str]) -> None:
    source = read(f"def f(net, other, kept, d):\n    {line}\n")
    assert [one.path for one in source.ask(facts.parameter_averages)] == paths


def test_none_are_recorded_without_a_graph() -> None:
    line = f"{PAIRS} q.mul_(0.9).add_(p, alpha=0.1)"
    assert read(f"@torch.no_grad()\ndef f(net, other):\n    {line}\n").ask(facts.parameter_averages) == ()
    assert (
        read(f"def f(net, other):\n  with torch.no_grad():\n    {line}\n").ask(facts.parameter_averages) == ()
    )
