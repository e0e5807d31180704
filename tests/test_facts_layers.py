"""Chains of layers as they are read from the ways in which people build models."""

from textwrap import dedent, indent

import pytest

from stablint.static import facts
from stablint.static.source import SourceFile


def lengths(code: str) -> list[int]:
    source = SourceFile("model.py", f"import torch\nfrom torch import nn\n{dedent(code)}".encode())
    return [len(chain.links) for chain in source.ask(facts.chains)]


def depth(build: str) -> int:
    return max(lengths(build), default=0)


@pytest.mark.parametrize(
    "build",
    [
        "net = nn.Sequential(*[nn.Linear(8, 8) for _ in range(5)])",
        "net = nn.Sequential(*[m for _ in range(5) for m in (nn.Linear(8, 8), nn.ReLU())])",
        "net = nn.Sequential(*[nn.Linear(8, 8)] * 5)",
        "net = nn.Sequential(*([nn.Linear(8, 8)] * 4 + [nn.Linear(8, 1)]))",
        "layers = []\nfor _ in range(5):\n    layers += [nn.Linear(8, 8), nn.Tanh()]\nnet = nn.Sequential(*layers)",
        "net = nn.Sequential()\nfor i in range(5):\n    net.add_module(f'fc{i}', nn.Linear(8, 8))",
        "net = nn.Sequential()\nfor i in range(5):\n    net.append(nn.Linear(8, 8))",
        "sizes = [8, 7, 6, 5, 4, 3]\nnet = nn.Sequential(*[nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:])])",
        "def block():\n    return nn.Sequential(nn.Linear(8, 8), nn.ReLU())\n"
        "net = nn.Sequential(*[block() for _ in range(5)])",
        "layers = [nn.Linear(8, 8) for _ in range(9)]\nnet = nn.Sequential(*layers[2:-2])",
        "layers = []\nfor v in [1, 'M', 2, 3, 'M', 4, 5]:\n    if v == 'M':\n        layers.append(nn.MaxPool2d(2))\n"
        "    else:\n        layers.append(nn.Conv2d(8, 8, 3))\nnet = nn.Sequential(*layers)",
        "def make(n):\n    layers = []\n    for _ in range(n):\n        layers.append(nn.Linear(8, 8))\n"
        "    return nn.Sequential(*layers)\nnet = make(5)",
    ],
)
def test_five_layers_are_five_however_they_are_built(build: str) -> None:
    assert depth(build) == 5


@pytest.mark.parametrize(
    "build",
    [
        "def make(n):\n    return nn.Sequential(*[nn.Linear(8, 8) for _ in range(n)])",
        "def make(n):\n    return nn.Sequential(*[nn.Linear(8, 8) for _ in range(n)])\na, b = make(3), make(30)",
        "from elsewhere import layers\nnet = nn.Sequential(nn.Linear(8, 8), *layers, nn.Linear(8, 8))",
    ],
)
def test_a_depth_that_is_not_known_is_not_guessed(build: str) -> None:
    assert depth(build) <= 1


def forward(body: str) -> list[int]:
    head = """\
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
            self.norm = nn.LayerNorm(8)

        def forward(self, x):
    """
    return lengths(dedent(head) + indent(dedent(body), " " * 8))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return self.c(self.b(self.a(x).relu()).relu())", [3]),
        ("x = torch.tanh(self.a(x))\nx = x.view(1, -1) * 2\nreturn self.c(self.b(x))", [3]),
        ("return self.c(self.norm(self.b(self.a(x))))", [1, 2]),
        ("return self.c(x + self.b(self.a(x)))", [1, 2]),
        ("return self.c(torch.cat([x, self.b(self.a(x))], 1))", [1, 2]),
        ("return self.c(self.b(x) * torch.sigmoid(self.a(x)))", [1, 1, 1]),
        ("if x.sum() > 0:\n    x = self.a(x)\nelse:\n    x = self.b(x)\nreturn self.c(x)", [1, 2]),
        ("with torch.no_grad():\n    x = self.b(self.a(x))\nreturn self.c(x)", [1]),
    ],
)
def test_what_restores_the_signal_ends_a_chain(body: str, expected: list[int]) -> None:
    assert forward(body) == expected
