"""What training loops hand from one round to the next."""

import pytest
from term_text import read

from stablint.static import facts

LOOP = """\
def train(loader, rnn, h, c):
    for x, y in loader:
        {before}
        {line}
        F.mse_loss(out, y).backward()
        {after}
"""


def paths(line: str, before: str = "pass", after: str = "pass") -> list[str]:
    source = read(LOOP.format(line=line, before=before, after=after))
    return [one.path for one in source.ask(facts.carried_states)]


@pytest.mark.parametrize(
    ("line", "carried"),
    [
        ("out, h = rnn(x, h)", ["h"]),
        ("out, (h, c) = rnn(x, (h, c))", ["h", "c"]),
        ("out, rnn.state = rnn(x, hx=rnn.state)", ["rnn.state"]),
        ("out = h = rnn(x)", []),
        ("out, h = rnn(x, h.detach())", []),
        ("out, h = rnn(x, c)", []),
        ("out = rnn(x, h)", []),
    ],
)
def test_what_a_call_is_given_and_returns_is_carried(line: str, carried: list[str]) -> None:
    assert paths(line) == carried


@pytest.mark.parametrize(
    "other",
    [
        "h = h.detach()", "h = None", "h, c = c, h", "h.detach_()", "h = h.data", "h *= 0", "del h", "forget(h)",
        "for s in h: s.detach_()", "for h in x: pass",
    ],
)  # fmt: skip
def test_what_something_else_sets_is_not(other: str) -> None:
    assert paths("out, h = rnn(x, h)", before=other) == []
    assert paths("out, h = rnn(x, h)", after=other) == []


def test_only_the_innermost_loop_that_trains_counts() -> None:
    source = read(
        "def train(batches, rnn):\n"
        "    for xs, y in batches:\n"
        "        h = None\n"
        "        for x in xs:\n"
        "            out, h = rnn(x, h)\n"
        "        F.mse_loss(out, y).backward()\n"
    )
    assert source.ask(facts.carried_states) == ()
    assert read("for x in xs:\n    out, h = rnn(x, h)\n").ask(facts.carried_states) == ()


MODEL = """\
class Model(nn.Module):
    def __init__(self):
        self.rnn, self.state = nn.GRU(3, 4), None

    def forward(self, x):
        out, self.state = self.rnn(x, self.state)
        {inside}
        return out

model = Model()
for x in loader:
    {outside}
    model(x).sum().backward()
"""


def test_what_an_object_keeps_from_call_to_call_is_carried() -> None:
    (found,) = read(MODEL.format(inside="pass", outside="pass")).ask(facts.carried_states)
    assert found.path == "self.state"


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("self.state = self.state.detach()", "pass"),
        ("pass", "model.state = None"),
        ("self.state.detach_()", "pass"),
        ("pass", "for s in model.state: s.detach_()"),
    ],
)
def test_what_is_set_elsewhere_is_not_kept(inside: str, outside: str) -> None:
    assert read(MODEL.format(inside=inside, outside=outside)).ask(facts.carried_states) == ()
