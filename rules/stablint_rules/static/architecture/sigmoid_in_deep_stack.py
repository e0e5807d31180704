"""STB501 sigmoid-in-deep-stack."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.layers import Row
    from stablint.static.facts.terms import Operation
    from stablint.static.source import SourceFile


class SigmoidInDeepStack(StaticRule):
    """Several hidden layers in a row end in a sigmoid, and nothing restores the gradient between them.

    ## What it does
    Reports a chain of layers with three or more hidden sigmoids (from four on with high confidence), or
    twelve or more hidden tanh with the default initialisation, without normalisation or a residual
    connection between them. A sigmoid at the output, in a gate (its result is multiplied with something)
    or in a head beside others does not count. A model that is one `nn.Sequential` is reported where that
    is made, a model whose chain runs through `forward` at its class.

    ## Why it is bad
    The derivative of the sigmoid is at most 0.25, at 10 it is 4.5e-5, and at 17 exactly 0 in float32.
    Each layer multiplies the gradient by it once more. Relative gradient of the first hidden layer over
    the last one, by number of hidden layers (median over seeds and widths, measured with torch 2.13):

    | activation | 2 | 3 | 4 | 6 | 10 |
    |---|---|---|---|---|---|
    | sigmoid, default initialisation | 0.2 | 3e-2 | 5e-3 | 9e-5 | 3e-8 |
    | sigmoid with batch normalisation | about 1 | about 1 | about 1 | about 1 | about 1 |
    | ReLU, default initialisation | 1 | 1 | 0.8 | 0.3 | 8e-3 |
    | tanh, default initialisation | 1 | 1 | 0.9 | 0.7 | 9e-2 |

    The early layers hardly move while the late ones learn. Xavier initialisation does not save a sigmoid
    (2e-2 at 4 layers, 5e-5 at 8); it does save tanh.

    ## Example
    ```python
    net = nn.Sequential(
        nn.Linear(784, 256), nn.Sigmoid(),
        nn.Linear(256, 128), nn.Sigmoid(),
        nn.Linear(128, 64), nn.Sigmoid(),
        nn.Linear(64, 32), nn.Sigmoid(),
        nn.Linear(32, 10),
    )
    ```

    ## Use instead
    ```python
    net = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(),
        nn.Linear(256, 128), nn.ReLU(),
        nn.Linear(128, 64), nn.ReLU(),
        nn.Linear(64, 32), nn.ReLU(),
        nn.Linear(32, 10),
    )
    ```
    Or GELU, or a `BatchNorm` before each sigmoid.

    ## When to ignore it
    When the model reproduces a historical network, or each layer is trained on its own. In a class or function that
    is called LeNet it is a note.

    ## Fix safety
    There is no fix: another activation is another model.

    ## References
    - [torch.nn.Sigmoid](https://docs.pytorch.org/docs/stable/generated/torch.nn.Sigmoid.html)
    - [torch.nn.ReLU](https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU.html)
    - [Understanding the difficulty of training deep feedforward networks (Glorot and Bengio, 2010)](https://proceedings.mlr.press/v9/glorot10a.html)
    - [Dive into Deep Learning: vanishing gradients](https://d2l.ai/chapter_multilayer-perceptrons/numerical-stability-and-init.html)
    """

    code = "STB501"
    severity = Severity.WARNING
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # The page's example.
        """\
from torch import nn

net = nn.Sequential(  # flagged
    nn.Linear(784, 256),
    nn.Sigmoid(),
    nn.Linear(256, 128),
    nn.Sigmoid(),
    nn.Linear(128, 64),
    nn.Sigmoid(),
    nn.Linear(64, 32),
    nn.Sigmoid(),
    nn.Linear(32, 10),
)
""",
        # Exactly three, before an output sigmoid that does not count; reported with medium confidence.
        """\
from torch import nn

classifier = nn.Sequential(  # flagged
    nn.Linear(30, 20),
    nn.Sigmoid(),
    nn.Linear(20, 20),
    nn.Sigmoid(),
    nn.Linear(20, 10),
    nn.Sigmoid(),
    nn.Linear(10, 1),
    nn.Sigmoid(),
)
""",
        # One activation, used again and again in forward.
        """\
from torch import nn


class Net(nn.Module):  # flagged
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(8, 64)
        self.fc2 = nn.Linear(64, 64)
        self.fc3 = nn.Linear(64, 64)
        self.fc4 = nn.Linear(64, 64)
        self.out = nn.Linear(64, 1)
        self.act = nn.Sigmoid()

    def forward(self, x):
        x = self.act(self.fc1(x))
        x = self.act(self.fc2(x))
        x = self.act(self.fc3(x))
        x = self.act(self.fc4(x))
        return self.out(x)
""",
        # The functional spellings, nested and by method.
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):  # flagged
    def __init__(self, n):
        super().__init__()
        self.a = nn.Linear(n, n)
        self.b = nn.Linear(n, n)
        self.c = nn.Linear(n, n)
        self.d = nn.Linear(n, n)
        self.e = nn.Linear(n, 2)

    def forward(self, x):
        h = torch.sigmoid(self.b(torch.sigmoid(self.a(x))))
        h = F.sigmoid(self.c(h))
        return self.e(self.d(h).sigmoid())
""",
        # The convolutional network of 1998, as taught.
        """\
from torch import nn

lenet = nn.Sequential(  # flagged
    nn.Conv2d(1, 6, kernel_size=5, padding=2),
    nn.Sigmoid(),
    nn.AvgPool2d(kernel_size=2, stride=2),
    nn.Conv2d(6, 16, kernel_size=5),
    nn.Sigmoid(),
    nn.AvgPool2d(kernel_size=2, stride=2),
    nn.Flatten(),
    nn.Linear(16 * 5 * 5, 120),
    nn.Sigmoid(),
    nn.Linear(120, 84),
    nn.Sigmoid(),
    nn.Linear(84, 10),
)
""",
        # A list filled by a loop, as the attribute of a module; dropout restores nothing.
        """\
from torch import nn


class MLP(nn.Module):
    def __init__(self, n):
        super().__init__()
        layers = []
        for _ in range(6):
            layers.append(nn.Linear(n, n))
            layers.append(nn.Sigmoid())
            layers.append(nn.Dropout(0.2))
        layers.append(nn.Linear(n, 10))
        self.net = nn.Sequential(*layers)  # flagged

    def forward(self, x):
        return self.net(x)
""",
        # A ModuleList, gone through in forward.
        """\
import torch
from torch import nn


class Deep(nn.Module):  # flagged
    def __init__(self, width=100):
        super().__init__()
        self.first = nn.Linear(28 * 28, width)
        self.hidden = nn.ModuleList([nn.Linear(width, width) for _ in range(5)])
        self.last = nn.Linear(width, 10)

    def forward(self, x):
        x = torch.sigmoid(self.first(x.flatten(1)))
        for layer in self.hidden:
            x = torch.sigmoid(layer(x))
        return self.last(x)
""",
        # Encoder and decoder, two and two.
        """\
from torch import nn


class AutoEncoder(nn.Module):  # flagged
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(784, 256), nn.Sigmoid(), nn.Linear(256, 64), nn.Sigmoid(), nn.Linear(64, 8)
        )
        self.decoder = nn.Sequential(
            nn.Linear(8, 64), nn.Sigmoid(), nn.Linear(64, 256), nn.Sigmoid(), nn.Linear(256, 784)
        )

    def forward(self, x):
        code = self.encoder(x)
        return self.decoder(code)
""",
        # Blocks made by a function.
        """\
from torch import nn


def dense(n, m):
    return nn.Sequential(nn.Linear(n, m), nn.Sigmoid())


model = nn.Sequential(dense(64, 64), dense(64, 64), dense(64, 64), dense(64, 32), nn.Linear(32, 1))  # flagged
""",
        # Xavier initialisation does not save a sigmoid.
        """\
from torch import nn

net = nn.Sequential(  # flagged
    nn.Linear(64, 64),
    nn.Sigmoid(),
    nn.Linear(64, 64),
    nn.Sigmoid(),
    nn.Linear(64, 64),
    nn.Sigmoid(),
    nn.Linear(64, 64),
    nn.Sigmoid(),
    nn.Linear(64, 10),
)
for m in net:
    if isinstance(m, nn.Linear):
        nn.init.xavier_uniform_(m.weight)
""",
        # Named layers.
        """\
from collections import OrderedDict

from torch import nn

net = nn.Sequential(  # flagged
    OrderedDict(
        [
            ("fc1", nn.Linear(16, 16)),
            ("s1", nn.Sigmoid()),
            ("fc2", nn.Linear(16, 16)),
            ("s2", nn.Sigmoid()),
            ("fc3", nn.Linear(16, 16)),
            ("s3", nn.Sigmoid()),
            ("fc4", nn.Linear(16, 16)),
            ("s4", nn.Sigmoid()),
            ("out", nn.Linear(16, 1)),
        ]
    )
)
""",
        # Fourteen times tanh, as PyTorch initialises it.
        """\
from torch import nn


class Physics(nn.Module):  # flagged
    def __init__(self):
        super().__init__()
        self.inputs = nn.Linear(2, 50)
        self.layers = nn.ModuleList([nn.Linear(50, 50) for _ in range(13)])
        self.outputs = nn.Linear(50, 1)
        self.tanh = nn.Tanh()

    def forward(self, x):
        x = self.tanh(self.inputs(x))
        for layer in self.layers:
            x = self.tanh(layer(x))
        return self.outputs(x)
""",
        # the two halves are in two files
        """\
# file: models/blocks.py
from torch import nn

def block(size):
    return nn.Sequential(nn.Linear(size, size), nn.Sigmoid())

# file: models/net.py
from torch import nn
from .blocks import block

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*[block(64) for _ in range(8)])  # flagged

    def forward(self, x):
        return self.layers(x)
""",
    ]

    good = [
        # The remedy.
        """\
from torch import nn

net = nn.Sequential(
    nn.Linear(784, 256),
    nn.ReLU(),
    nn.Linear(256, 128),
    nn.ReLU(),
    nn.Linear(128, 64),
    nn.ReLU(),
    nn.Linear(64, 32),
    nn.ReLU(),
    nn.Linear(32, 10),
)
""",
        # A normalisation before each sigmoid.
        """\
import torch
from torch import nn


class Iris(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.bn1 = nn.Linear(4, 64), nn.BatchNorm1d(64)
        self.fc2, self.bn2 = nn.Linear(64, 64), nn.BatchNorm1d(64)
        self.fc3, self.bn3 = nn.Linear(64, 64), nn.BatchNorm1d(64)
        self.fc4, self.bn4 = nn.Linear(64, 64), nn.BatchNorm1d(64)
        self.out = nn.Linear(64, 3)

    def forward(self, x):
        x = torch.sigmoid(self.bn1(self.fc1(x)))
        x = torch.sigmoid(self.bn2(self.fc2(x)))
        x = torch.sigmoid(self.bn3(self.fc3(x)))
        x = torch.sigmoid(self.bn4(self.fc4(x)))
        return self.out(x)


lenet = nn.Sequential(
    nn.Conv2d(1, 6, 5),
    nn.BatchNorm2d(6),
    nn.Sigmoid(),
    nn.AvgPool2d(2),
    nn.Conv2d(6, 16, 5),
    nn.BatchNorm2d(16),
    nn.Sigmoid(),
    nn.Flatten(),
    nn.Linear(256, 120),
    nn.LayerNorm(120),
    nn.Sigmoid(),
    nn.Linear(120, 84),
    nn.LayerNorm(84),
    nn.Sigmoid(),
    nn.Linear(84, 10),
)
""",
        # Two hidden sigmoids, and one at the output.
        """\
from torch import nn

small = nn.Sequential(
    nn.Linear(2, 8), nn.Sigmoid(), nn.Linear(8, 8), nn.Sigmoid(), nn.Linear(8, 1), nn.Sigmoid()
)
""",
        # Only the output of each of several networks.
        """\
from torch import nn


class GAN(nn.Module):
    def __init__(self):
        super().__init__()
        self.decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid())
        self.critic = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 1), nn.Sigmoid())
        self.mask = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid())
        self.other = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 1), nn.Sigmoid())

    def forward(self, z):
        x = self.decoder(z)
        return x, self.critic(x), self.mask(x), self.other(x)
""",
        # The gates of a recurrent cell.
        """\
import torch
from torch import nn


class LSTMCell(nn.Module):
    def __init__(self, n, h):
        super().__init__()
        self.ih = nn.Linear(n, 4 * h)
        self.hh = nn.Linear(h, 4 * h)

    def forward(self, x, state):
        h, c = state
        i, f, g, o = (self.ih(x) + self.hh(h)).chunk(4, dim=-1)
        i = torch.sigmoid(i)
        f = torch.sigmoid(f)
        o = torch.sigmoid(o)
        c = f * c + i * torch.tanh(g)
        return o * torch.tanh(c), c


class Stacked(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.cells = nn.ModuleList([LSTMCell(n, n) for _ in range(4)])

    def forward(self, x, states):
        for cell, state in zip(self.cells, states):
            x, _ = cell(x, state)
        return x
""",
        # Squeeze and excitation in every block.
        """\
import torch
from torch import nn


class SqueezeExcite(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.down = nn.Conv2d(c, c // 4, 1)
        self.up = nn.Conv2d(c // 4, c, 1)

    def forward(self, x):
        s = x.mean((2, 3), keepdim=True)
        s = torch.sigmoid(self.up(torch.relu(self.down(s))))
        return x * s


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.se1 = nn.Conv2d(3, 32, 3), SqueezeExcite(32)
        self.conv2, self.se2 = nn.Conv2d(32, 32, 3), SqueezeExcite(32)
        self.conv3, self.se3 = nn.Conv2d(32, 32, 3), SqueezeExcite(32)
        self.conv4, self.se4 = nn.Conv2d(32, 32, 3), SqueezeExcite(32)

    def forward(self, x):
        x = self.se1(torch.relu(self.conv1(x)))
        x = self.se2(torch.relu(self.conv2(x)))
        x = self.se3(torch.relu(self.conv3(x)))
        return self.se4(torch.relu(self.conv4(x)))
""",
        # Swish, gated linear units, highway layers: the sigmoid is one factor of two.
        """\
import torch
from torch import nn


class Swish(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


class Highway(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.plain = nn.Linear(n, n)
        self.gate = nn.Linear(n, n)

    def forward(self, x):
        g = torch.sigmoid(self.gate(x))
        return g * torch.relu(self.plain(x)) + (1 - g) * x


class Gated(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(n, 2 * n) for _ in range(6)])

    def forward(self, x):
        for layer in self.layers:
            a, b = layer(x).chunk(2, dim=-1)
            x = a * torch.sigmoid(b)
        return x


swish = nn.Sequential(*[m for _ in range(6) for m in (nn.Linear(64, 64), Swish())])
highway = nn.Sequential(*[Highway(64) for _ in range(6)])
""",
        # Detection heads and attributes side by side.
        """\
import torch
from torch import nn


class Head(nn.Module):
    def __init__(self, c, classes):
        super().__init__()
        self.box = nn.Conv2d(c, 4, 1)
        self.objectness = nn.Conv2d(c, 1, 1)
        self.cls = nn.Conv2d(c, classes, 1)
        self.attributes = nn.ModuleList([nn.Linear(c, 1) for _ in range(5)])

    def forward(self, x):
        xy, wh = torch.sigmoid(self.box(x)).chunk(2, dim=1)
        objectness = torch.sigmoid(self.objectness(x))
        scores = torch.sigmoid(self.cls(x))
        pooled = x.mean((2, 3))
        return xy, wh, objectness, scores, [torch.sigmoid(a(pooled)) for a in self.attributes]
""",
        # A residual connection around each layer.
        """\
import torch
from torch import nn


class Residual(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(n, n) for _ in range(8)])

    def forward(self, x):
        for layer in self.layers:
            x = x + torch.sigmoid(layer(x))
        return x
""",
        # Six tanh; and twelve with Xavier initialisation.
        """\
from torch import nn

six = nn.Sequential(*[m for _ in range(6) for m in (nn.Linear(64, 64), nn.Tanh())], nn.Linear(64, 1))
twelve = nn.Sequential(*[m for _ in range(12) for m in (nn.Linear(64, 64), nn.Tanh())], nn.Linear(64, 1))


def init(m):
    if isinstance(m, nn.Linear):
        nn.init.xavier_normal_(m.weight, gain=nn.init.calculate_gain("tanh"))


twelve.apply(init)
""",
        # The depth is a parameter: not known here.
        """\
from torch import nn


def mlp(sizes, activation=nn.Tanh, output_activation=nn.Identity):
    layers = []
    for j in range(len(sizes) - 1):
        act = activation if j < len(sizes) - 2 else output_activation
        layers += [nn.Linear(sizes[j], sizes[j + 1]), act()]
    return nn.Sequential(*layers)


def deep(depth, width):
    return nn.Sequential(*[m for _ in range(depth) for m in (nn.Linear(width, width), nn.Sigmoid())])
""",
        # Other activations in between keep the number of sigmoids in a row small.
        """\
from torch import nn

mixed = nn.Sequential(
    nn.Linear(32, 32),
    nn.ReLU(),
    nn.Linear(32, 32),
    nn.Sigmoid(),
    nn.Linear(32, 32),
    nn.ReLU(),
    nn.Linear(32, 32),
    nn.Sigmoid(),
    nn.Linear(32, 1),
)
""",
        # Sigmoids without layers between them, and on parameters.
        """\
import torch
from torch import nn


class Mixer(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(n))
        self.beta = nn.Parameter(torch.zeros(n))
        self.gamma = nn.Parameter(torch.zeros(n))
        self.fc = nn.Linear(n, n)

    def forward(self, x):
        x = torch.sigmoid(self.alpha) * x
        x = torch.sigmoid(self.beta) * self.fc(x)
        return torch.sigmoid(self.gamma) * x
""",
        # A branch each: no path has more than two.
        """\
import torch
from torch import nn


class Switch(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.a = nn.Linear(n, n)
        self.b = nn.Linear(n, n)
        self.c = nn.Linear(n, n)
        self.out = nn.Linear(n, 1)

    def forward(self, x, kind):
        if kind == "a":
            x = torch.sigmoid(self.a(x))
        elif kind == "b":
            x = torch.sigmoid(self.b(x))
        else:
            x = torch.sigmoid(self.c(x))
        return self.out(x)
""",
        # Attention over time: the sigmoid weighs, it does not transform.
        """\
import torch
from torch import nn


class Attend(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.scores = nn.ModuleList([nn.Linear(n, 1) for _ in range(4)])
        self.fc = nn.Linear(n, n)

    def forward(self, x):
        for score in self.scores:
            weight = torch.sigmoid(score(x))
            x = torch.relu(self.fc(x)) * weight
        return x
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the chains of layers with many sigmoids, or very many tanh, in a row."""
        seen: set[object] = set()
        for chain in source.ask(facts.chains):
            nodes = {layer.node for layer in chain.layers}
            for name in ("sigmoid", "tanh"):
                run = _longest_run(chain, name)
                if len(run) < _FEWEST[name] or nodes & seen:
                    continue
                if name == "tanh" and facts.reaching.is_initialised(source, chain.layers):
                    continue
                seen |= nodes
                yield _report(source, chain, run, name)


_FEWEST = {"sigmoid": 3, "tanh": 12}
_MEASURED = {
    "sigmoid": {3: "3e-2", 4: "5e-3", 5: "7e-4", 6: "9e-5", 8: "2e-6", 10: "3e-8", 15: "2e-12", 20: "1e-16"},
    "tanh": {10: "9e-2", 15: "6e-3", 20: "3e-4", 30: "1e-6"},
}
"""The relative gradient of the first hidden layer over that of the last, by number of hidden layers."""


def _longest_run(chain: Row, name: str) -> list[Operation]:
    """Return such activations between layers, most of them in a row."""
    between = [activations for activations in chain.activations if activations]
    groups = groupby(between, key=lambda activations: name in {one.name for one in activations})
    runs = [
        [one for activations in run for one in activations if one.name == name]
        for found, run in groups
        if found
    ]
    return max(runs, key=len, default=[])


def _report(source: SourceFile, chain: Row, run: list[Operation], name: str) -> Report:
    ratio = _MEASURED[name][max(known for known in _MEASURED[name] if known <= len(run))]
    marks = tuple(Mark(activation.node, f"{name} {n}") for n, activation in enumerate(run[:4], start=1))
    severity = Severity.WARNING if name == "tanh" else None
    return Report(
        chain.owner,
        f"{len(run)} hidden {name}s in a row: the gradient of the first layer is {ratio} of that of the last, or less",
        severity=Severity.NOTE if _is_historical(source, chain) else severity,
        confidence=None if name == "sigmoid" and len(run) > 3 else Confidence.MEDIUM,
        related=marks,
    )


def _is_historical(source: SourceFile, chain: Row) -> bool:
    """Whether a network of 1998 is rebuilt as it was, with its sigmoids: textbooks do."""
    syntax = source.ask(facts.syntax)
    scope = next((one for one in (*syntax.classes, *syntax.functions) if one.node is chain.owner), None)
    if scope is None:
        sites = (site for sites in syntax.calls.values() for site in sites)
        scope = next((site.scope for site in sites if site.node is chain.owner), None)
    while scope is not None:
        if "lenet" in scope.name.lower():
            return True
        scope = scope.parent
    return False
