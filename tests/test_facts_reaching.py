"""Which layers something that writes into tensors reaches."""

from textwrap import dedent, indent

import pytest

from stablint.static import facts
from stablint.static.source import SourceFile

MODEL = """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.bn = nn.BatchNorm1d(8)
        self.free = nn.Parameter(torch.empty(8))

net = Net()
"""


def written(code: str) -> set[str]:
    """Return what code writes into for certain, by the names in the model above."""
    source = SourceFile("model.py", (MODEL + dedent(code)).encode())
    known = source.ask(facts.reaches)
    (model,) = source.ask(facts.models).by_class.values()
    made = {name: held[0].term for name, held in model.attributes.items()}
    found = set()
    for attribute, name in (("fc", "weight"), ("fc", "bias"), ("bn", "weight"), ("free", "")):
        term = made[attribute]
        key = name or attribute
        candidate = facts.narrowing.Candidate(term, key, facts.allocation.rank_of(term) if not name else None)
        if any(certain for _, certain in known.of(term.node, key, candidate)):  # type: ignore[union-attr]
            found.add(f"{attribute}.{name}".rstrip("."))
    return found


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("nn.init.zeros_(net.fc.weight)", {"fc.weight"}),
        ("net.fc.weight.data.uniform_(-1, 1)", {"fc.weight"}),
        ("net.fc.bias.data[:] = 0", {"fc.bias"}),
        ("net.fc.weight.grad.zero_()", set()),
        ("torch.randn_like(net.fc.weight)", set()),
        ("for p in net.parameters():\n    nn.init.normal_(p)", {"fc.weight", "fc.bias", "bn.weight", "free"}),
        ("for n, p in net.named_parameters():\n    if 'bias' in n:\n        p.data.zero_()", {"fc.bias"}),
        ("for p in net.parameters():\n    if p.dim() == 1:\n        pass\n    else:\n        p.data.zero_()",
         {"fc.weight"}),
        ("for m in net.modules():\n    if isinstance(m, nn.Linear):\n        m.weight.data.zero_()", {"fc.weight"}),
        ("for m in net.modules():\n    if not isinstance(m, nn.Linear):\n        continue\n    m.weight.data.zero_()",
         {"fc.weight"}),
        ("def init(m):\n    if type(m) == nn.BatchNorm1d:\n        m.weight.data.fill_(1)\nnet.apply(init)",
         {"bn.weight"}),
        ("def init(m):\n    if m.__class__.__name__.find('Linear') != -1:\n        m.bias.data.fill_(0)\n"
         "net.apply(init)", {"fc.bias"}),
        ("def init(m):\n    if hasattr(m, 'free'):\n        nn.init.ones_(m.free)\nnet.apply(init)", {"free"}),
        ("def fill(w):\n    w.data.normal_()\nfill(net.free)", {"free"}),
        ("def init(m):\n    nn.init.zeros_(m.weight)", set()),
    ],
)  # fmt: skip
def test_what_is_written_is_what_the_code_says(code: str, expected: set[str]) -> None:
    assert written(code) == expected


@pytest.mark.parametrize(
    "code",
    [
        "net.fc.weight.data.normal_()\nnet.fc.weight.data.mul_(0.1)",
        "nn.init.normal_(net.fc.weight).mul_(0.1)",
        "w = net.fc.weight.data\nw.normal_().mul_(0.1)",
    ],
)
def test_what_was_written_into_is_the_tensor_that_it_was(code: str) -> None:
    source = SourceFile("model.py", (MODEL + code).encode())
    (model,) = source.ask(facts.models).by_class.values()
    (held,) = model.attributes["fc"]
    fills = facts.reaching.layer_fills(source, held.term, "values", "change")  # type: ignore[arg-type]
    assert {fill.kind for fill, certain in fills if certain} == {"values", "change"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("other.load_state_dict(saved)", True),
        ("show(other[0])", False),
        ("init(other[0])", True),
        ("other.reset(seed=1)", False),
        ("other.reset_parameters()", True),
        ("other[:] = net(other)", True),
        (
            "seen = torch.zeros((3, 8) + other.shape).to('cpu')\nfor i in range(3):\n    seen[i] = other.step()",
            False,
        ),
        (
            "seen = torch.zeros(3)\nfor i in range(3):\n    for j in range(3):\n        seen[i] = other.step(seen)",
            False,
        ),
        ("kept = other.kept\n" + "kept[1] = kept[0]\n" * 40 + "kept[1].zero_()", False),
    ],
)
def test_what_may_be_written(code: str, expected: bool) -> None:
    text = (
        MODEL + f"def run(other, saved, show, init):\n{indent(code, '    ')}\nrun(make(), {{}}, show, init)\n"
    )
    source = SourceFile("model.py", text.encode())
    (model,) = source.ask(facts.models).by_class.values()
    term = model.attributes["fc"][0].term
    candidate = facts.narrowing.Candidate(term, "weight", None)
    assert bool(list(source.ask(facts.reaches).of(term.node, "weight", candidate))) is expected  # type: ignore[union-attr]
