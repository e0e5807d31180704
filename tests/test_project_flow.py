"""What comes out of functions and classes of other files: layers, probabilities, tuples, attributes, settings."""

from __future__ import annotations

import pytest
from projects import shown

HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"

FLOWS = {
    "probabilities": (
        """\
# file: net.py
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 3)
    def forward(self, x):
        return F.softmax(self.fc(x), dim=1)
# file: train.py
from net import Net
model = Net()
look(model(x), Net()(x), model.fc)
""",
        ["softmax(linear(?x), dim=1)", "softmax(linear(?x), dim=1)", "Linear(2, 3)"],
    ),
    "layers that a method of the model makes": (
        """\
# file: net.py
class ResNet(nn.Module):
    def __init__(self, n=10):
        super().__init__()
        self.inplanes = 64
        self.layer1 = self._make(64)
        self.layer2 = self._make(128)
        self.fc = nn.Linear(128, n)
    def _make(self, planes):
        layers = [nn.Linear(self.inplanes, planes)]
        self.inplanes = planes
        return nn.Sequential(*layers, nn.ReLU())
    def forward(self, x):
        return self.fc(self.layer2(self.layer1(x)))
# file: train.py
from net import ResNet
model = ResNet(3)
look(model.layer2, model.fc, model(x))
""",
        ["Sequential(Linear(64, 128), ReLU())", "Linear(128, 3)", "linear(relu(linear(relu(linear(?x)))))"],
    ),
    "attribute that forward changes": (
        """\
# file: net.py
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.steps = 0
        self.fc = nn.Linear(2, 3)
    def forward(self, x):
        self.steps += 1
        if self.steps > 3:
            x = x + 1
        return self.fc(x)
# file: train.py
from net import Net
look(Net()(x))
""",
        ["linear(?x | add(?x, 1))"],
    ),
    "base class": (
        """\
# file: base.py
class Base(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc = nn.Linear(n, 3)
    def forward(self, x):
        return torch.sigmoid(self.fc(x))
# file: net.py
from base import Base
class Net(Base):
    def __init__(self):
        super().__init__(5)
        self.head = nn.ReLU()
    def forward(self, x):
        return self.head(super().forward(x))
# file: train.py
from net import Net
look(Net()(x), Net().fc)
""",
        ["relu(sigmoid(linear(?x)))", "Linear(5, 3)"],
    ),
    "forward of the base": (
        """\
# file: base.py
class Base(nn.Module):
    def forward(self, x):
        return torch.sigmoid(self.fc(x))
# file: train.py
from base import Base
class Net(Base):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(5, 3)
look(Net()(x))
""",
        ["sigmoid(linear(?x))"],
    ),
    "attributes of the base": (
        """\
# file: base.py
class Base(nn.Module):
    size = 7
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(self.size, 3)
# file: train.py
import base
class Net(base.Base):
    def forward(self, x):
        return self.fc(x)
look(Net()(x), Net().size, Net().fc)
""",
        ["linear(?x)", "7", "Linear(7, 3)"],
    ),
    "base of a base": (
        """\
# file: a.py
class A(nn.Module):
    def act(self, x):
        return x.exp()
# file: b.py
from a import A
class B(A):
    pass
# file: train.py
from b import B
class C(B):
    def forward(self, x):
        return self.act(x)
look(C()(x))
""",
        ["exp(?x)"],
    ),
    "model that a factory builds": (
        """\
# file: net.py
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, dim=1)
def build(name):
    return Net()
# file: trainer.py
from net import build
class Trainer:
    def __init__(self):
        self.model = build('net')
    def step(self, x):
        look(self.model(x))
""",
        ["softmax(x, dim=1)"],
    ),
    "one of two models": (
        """\
# file: net.py
class A(nn.Module):
    def forward(self, x):
        return x.exp()
class B(nn.Module):
    def forward(self, x):
        return x.log()
MODELS = {'a': A, 'b': B}
def build(name):
    if name == 'a':
        return A()
    return B()
# file: train.py
from net import build, MODELS
look(build(name)(x), MODELS['a']()(x))
""",
        ["exp(?x) | log(?x)", "exp(?x)"],
    ),
    "layer": (
        "# file: net.py\ndef head(n, m=4):\n    return nn.Sequential(nn.Linear(n, m), nn.Softmax(dim=1))\n"
        "# file: train.py\nfrom net import head\nlook(head(2), head(2, m=5)(x))\n",
        ["Sequential(Linear(2, 4), Softmax(dim=1))", "softmax(linear(?x))"],
    ),
    "tuple": (
        "# file: net.py\ndef both(x):\n    return x.exp(), x.log()\n# file: train.py\nfrom net import both\n"
        "a, b = both(x)\nlook(a, b)\n",
        ["exp(?x)", "log(?x)"],
    ),
    "dict": (
        "# file: net.py\ndef both(x):\n    return {'a': x.exp(), 'b': x.log()}\n# file: train.py\n"
        "from net import both\nlook(both(x)['b'])\n",
        ["log(?x)"],
    ),
    "default of a parameter": (
        "# file: net.py\nEPS = 1e-8\ndef safe(x, eps=EPS, n=2):\n    return (x + eps) ** n\n# file: train.py\n"
        "from net import safe\nlook(safe(x), safe(x, n=3))\n",
        ["pow(add(?x, 1e-08), 2)", "pow(add(?x, 1e-08), 3)"],
    ),
    "decorator that keeps the call": (
        "# file: net.py\n@torch.no_grad()\ndef f(x):\n    return x.log()\n# file: train.py\nfrom net import f\n"
        "look(f(x))\n",
        ["log~(?x)"],
    ),
    "decorator that makes something else of it": (
        "# file: net.py\nfrom contextlib import contextmanager\n@contextmanager\ndef f(x):\n    yield x.log()\n"
        "# file: train.py\nfrom net import f\nlook(f(x))\n",
        ["?"],
    ),
    "dataclass": (
        """\
# file: config.py
from dataclasses import dataclass
@dataclass
class Config:
    n: int = 5
    eps: float = 1e-8
# file: train.py
from config import Config
cfg = Config()
look(cfg.n, nn.Linear(cfg.n, 2), Config.eps)
""",
        ["5", "Linear(5, 2)", "1e-08"],
    ),
    "dataclass that is told something else": (
        """\
# file: config.py
from dataclasses import dataclass
@dataclass
class Config:
    n: int = 5
# file: train.py
from config import Config
look(Config(n=3).n, Config(7).n)
""",
        ["3", "7"],
    ),
    "dataclass that somebody hands over": (
        """\
# file: config.py
from dataclasses import dataclass
@dataclass(frozen=True)
class Config:
    n: int = 5
    m: int = 6
# file: train.py
from config import Config
def build(cfg: Config):
    look(cfg.n)
look(Config(1, m=2).m, Config(1, 3).m, Config(1).m, Config(**given).m)
""",
        ["cfg.n", "2", "3", "6", "Config().m"],
    ),
    "function that calls what it is given": (
        "# file: net.py\ndef twice(f, x):\n    return f(f(x))\n# file: train.py\nfrom net import twice\n"
        "look(twice(torch.exp, x), twice(lambda y: y + 1, x))\n",
        ["exp(exp(?x))", "add(add(?x, 1), 1)"],
    ),
    "function inside a function": (
        "# file: net.py\ndef maker(n):\n    def inner(x):\n        return x ** n\n    return inner\n# file: train.py\n"
        "from net import maker\nlook(maker(3)(x))\n",
        ["pow(?x, 3)"],
    ),
    "generator": (
        "# file: net.py\ndef items(x):\n    yield x.exp()\n# file: train.py\nfrom net import items\n"
        "for one in items(x):\n    look(one)\n",
        ["exp(?x)"],
    ),
    "static and class methods": (
        """\
# file: net.py
class A:
    @staticmethod
    def f(x):
        return x.exp()
    @classmethod
    def make(cls):
        return cls()
# file: train.py
from net import A
look(A.f(x), A().f(x))
""",
        ["exp(?x)", "exp(?x)"],
    ),
    "property": (
        "# file: net.py\nclass A:\n    @property\n    def p(self):\n        return torch.zeros(3)\n"
        "# file: train.py\nfrom net import A\nlook(A().p)\n",
        ["zeros(3)"],
    ),
    "layer subclass": (
        "# file: net.py\nclass Act(nn.ReLU):\n    pass\nclass Wide(nn.Linear):\n    def forward(self, x):\n"
        "        return super().forward(x).exp()\n# file: train.py\nfrom net import Act, Wide\n"
        "look(Wide(2, 3)(x))\n",
        ["exp(Wide(2, 3).super().forward(?x))"],
    ),
    "a folder called torch": (
        "# file: torch/__init__.py\ndef log(x):\n    return 1\n# file: torch/nn/__init__.py\nclass Linear:\n    pass\n"
        "# file: train.py\nlook(torch.log(x), nn.Linear(2, 3))\n",
        ["log(?x)", "Linear(2, 3)"],
    ),
    "annotation of a parameter": (
        """\
# file: net.py
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 3)
    def forward(self, x):
        return F.softmax(self.fc(x), dim=1)
# file: train.py
from net import Net
def step(model: Net, x):
    look(model(x))
""",
        ["softmax(linear(x), dim=1)"],
    ),
    "recursion in another file": (
        "# file: net.py\ndef f(x, n):\n    return x if n == 0 else f(x.log(), n - 1)\n# file: train.py\n"
        "from net import f\nlook(f(x, 3))\n",
        ["?f"],
    ),
}


@pytest.mark.parametrize(("code", "expected"), FLOWS.values(), ids=FLOWS)
def test_what_comes_out_of_other_files(code: str, expected: list[str]) -> None:
    assert shown(with_imports(code)) == expected


def with_imports(code: str) -> str:
    """The code with the usual imports above each of its files."""
    lines = code.split("\n")
    return "\n".join(f"{line}\n{HEAD.rstrip()}" if line.startswith("# file:") else line for line in lines)
