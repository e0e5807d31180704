"""Counts that can be 0."""

import pytest
from term_text import looked_at

from stablint.static.facts.counts import counted, is_looked_up_where_counted

IMPORTS = "from torch_geometric.utils import add_self_loops, degree, remove_self_loops\n"

COUNTS = {
    # how often something occurs
    "torch.bincount(x)": True, "torch.bincount(x, minlength=n).float().unsqueeze(1)": True, "torch.histc(x, 9)": True,
    "degree(x, n)": True, "degree(x[0]).view(-1, 1)": True, "g.in_degrees()": True, "g.out_degrees().float()": True,
    "torch.zeros(n).scatter_add(0, x, torch.ones(9))": True, "(x > 0).sum()": True, "x.eq(0).float().sum(1)": True,
    "torch.zeros_like(x).index_add_(0, y, torch.ones_like(x))": True, "F.one_hot(x, 9).sum(0)": True,
    "(x != 0).sum().item()": True,
    # not, or never none
    "x": False, "x.sum()": False, "x.numel()": False, "torch.bincount(x) + 1": False, "F.one_hot(x, 9).sum(1)": False,
    "torch.bincount(x).clamp(min=1)": False, "torch.zeros(n).scatter_add(0, x, y.exp())": False,
    "degree(add_self_loops(x)[0])": False, "degree(remove_self_loops(x)[0])": True,
    # looked up
    "torch.bincount(x)[y]": True, "torch.bincount(x)[x]": False, "degree(x)[x].view(-1, 1)": False,
    "degree(x).index_select(0, x)": False, "degree(x, n).gather(0, y)": True, "degree(x)[0]": True,
}  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), COUNTS.items(), ids=COUNTS)
def test_what_counts_and_can_be_none(code: str, expected: bool) -> None:
    (term,) = looked_at(f"{IMPORTS}def f(x, y, n, g):\n    look({code})\n")
    assert (counted(term) is not None) is expected


@pytest.mark.parametrize(("key", "expected"), [("x", True), ("y", False), ("n", False)])
def test_where_a_count_is_looked_up(key: str, expected: bool) -> None:
    whole, part = looked_at(f"def f(x, y, n):\n    c = torch.bincount(x)\n    look(c)\n    look(c[{key}])\n")
    made = counted(whole)
    assert made is not None
    assert is_looked_up_where_counted(part, made) is expected
