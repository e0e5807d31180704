"""STB405 init-scale-out-of-range."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from libcst import CSTNode

    from stablint.static.facts.layers import Row
    from stablint.static.facts.links import Link
    from stablint.static.facts.terms import Instance, Operation
    from stablint.static.source import SourceFile


class InitScaleOutOfRange(StaticRule):
    """The weights of hidden layers are drawn from a range that does not fit their number of inputs.

    ## What it does
    Looks at what draws the weights of linear and convolution layers that stand in a row: `nn.init.normal_`,
    `trunc_normal_` and `uniform_`, the methods of the same names, and parameters made of `torch.randn` or
    `torch.rand`. It reports

    - weights of root mean square `s` where `s * sqrt(inputs)` is 4 or more, of 16 inputs at least; or,
      where the number of inputs is not known, `s` is 0.5 or more, as for `normal_` and `uniform_` without
      arguments;
    - small weights in four or more layers in a row that let less than a thousandth of the signal through.

    Layers whose output is normalised, frozen ones, and weights that something else fills or scales as
    well are left alone.

    ## Why it is bad
    A layer multiplies the size of its input by `s * sqrt(inputs)`, and the gradient on its way back alike.
    That has to be about 1 (1.41 before ReLU), so the range has to shrink with the number of inputs: for 256
    inputs Kaiming's deviation is 0.088. Five hidden layers of 128 units, ten classes of 64 inputs, 100 steps
    of Adam, accuracy on new data (three seeds, torch 2.13):

    | weights | ReLU: first loss | accuracy | tanh: first loss | accuracy |
    |---|---|---|---|---|
    | Xavier | 2.4 | 100 % | 2.5 | 100 % |
    | N(0, 1) | 6.1e5 | 77 % | 18 | 15 % |
    | U(0, 1) | 2.8e8 | 9 % | 5.8 | 18 % |
    | U(-1, 1) | 2.2e4 | 82 % | 9.0 | 24 % |
    | N(0, 0.01) | 2.3 | 58 % | 2.3 | 80 % |
    | N(0, 0.001) | 2.3 | 16 % | 2.3 | 19 % |

    Guessing has a loss of 2.3 and 10 % accuracy.

    ## Example
    ```python
    def init_weights(m):
        if isinstance(m, nn.Linear):
            nn.init.normal_(m.weight)
    ```

    ## Use instead
    ```python
    def init_weights(m):
        if isinstance(m, nn.Linear):
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
    ```

    ## When to ignore it
    When the size is corrected in a way that is not seen here, or wide weights are the point (random
    features, sine activations of a chosen frequency).

    ## Fix safety
    No fix is offered: the right initialiser depends on the activation.

    ## References
    - [torch.nn.init](https://docs.pytorch.org/docs/stable/nn.init.html)
    - [Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks](https://proceedings.mlr.press/v9/glorot10a.html)
    - [He et al.: Delving Deep into Rectifiers](https://arxiv.org/abs/1502.01852)
    """

    code = "STB405"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # The page's example.
        """\
from torch import nn


def init_weights(m):
    if isinstance(m, nn.Linear):
        nn.init.normal_(m.weight)  # flagged
        nn.init.zeros_(m.bias)


net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
net.apply(init_weights)
""",
        # In the constructor, by the tensor's methods; the sizes are not known.
        """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, 1)
        self.fc1.weight.data.normal_(0, 1)  # flagged
        self.fc2.weight.data.uniform_(-1, 1)  # flagged

    def forward(self, x):
        return self.fc2(torch.tanh(self.fc1(x)))
""",
        # A loop over the modules, with convolutions.
        """\
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3)
        self.conv2 = nn.Conv2d(32, 32, kernel_size=3)
        self.act = nn.ReLU()
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.uniform_(m.weight)  # flagged

    def forward(self, x):
        return self.conv2(self.act(self.conv1(x)))
""",
        # Put in the place of what torch made.
        """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 64)
        self.fc2 = nn.Linear(64, 2)
        self.fc1.weight = nn.Parameter(torch.randn(64, 64))  # flagged
        self.fc2.weight.data = torch.randn(2, 64)  # flagged

    def forward(self, x):
        return self.fc2(torch.sigmoid(self.fc1(x)))
""",
        # Half a unit is too much for many inputs.
        """\
from torch import nn

net = nn.Sequential(nn.Linear(784, 256), nn.Tanh(), nn.Linear(256, 10))
nn.init.uniform_(net[0].weight, -0.5, 0.5)  # flagged
nn.init.trunc_normal_(net[2].weight, mean=0.0, std=0.5)  # flagged
""",
        # Weights made by hand.
        """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.w1 = nn.Parameter(torch.randn(n, m))  # flagged
        self.b1 = nn.Parameter(torch.zeros(m))
        self.w2 = nn.Parameter(torch.rand(m, 10))  # flagged

    def forward(self, x):
        h = torch.relu(x @ self.w1 + self.b1)
        return torch.mm(h, self.w2)
""",
        # Small weights, one after the other.
        """\
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(64, 128), nn.ReLU(),
            nn.Linear(128, 128), nn.ReLU(),
            nn.Linear(128, 128), nn.ReLU(),
            nn.Linear(128, 10),
        )
        self.apply(self.reset)

    def reset(self, module):
        if isinstance(module, nn.Linear):
            module.weight.data.normal_(mean=0.0, std=0.01)  # flagged

    def forward(self, x):
        return self.body(x)
""",
        # The same, sizes unknown, through a function of layers.
        """\
from torch import nn


def weights(layer):
    nn.init.normal_(layer.weight, std=1e-3)  # flagged
    return layer


def build(n):
    return nn.Sequential(
        weights(nn.Linear(n, n)), nn.ReLU(),
        weights(nn.Linear(n, n)), nn.ReLU(),
        weights(nn.Linear(n, n)), nn.ReLU(),
        weights(nn.Linear(n, n)), nn.ReLU(),
        weights(nn.Linear(n, 1)),
    )
""",
    ]

    good = [
        # Initialisers that look at the number of inputs.
        """\
import math
from torch import nn


def init_weights(m):
    if isinstance(m, nn.Linear):
        nn.init.kaiming_normal_(m.weight)
    elif isinstance(m, nn.Conv2d):
        m.weight.data.normal_(0, math.sqrt(2.0 / (m.kernel_size[0] ** 2 * m.out_channels)))


net = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.Flatten(), nn.Linear(128, 10))
net.apply(init_weights)
""",
        # Usual small numbers, in nets that are not deep or are wide.
        """\
from torch import nn

net = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
for m in net:
    if isinstance(m, nn.Linear):
        nn.init.normal_(m.weight, std=0.01)

wide = nn.Sequential(
    nn.Linear(768, 3072), nn.GELU(), nn.Linear(3072, 768), nn.GELU(),
    nn.Linear(768, 768), nn.GELU(), nn.Linear(768, 768), nn.GELU(), nn.Linear(768, 768),
)
for m in wide:
    if isinstance(m, nn.Linear):
        nn.init.trunc_normal_(m.weight, std=0.02)
""",
        # The output is normalised: its size does not matter.
        """\
from torch import nn

net = nn.Sequential(
    nn.Linear(64, 128), nn.BatchNorm1d(128), nn.ReLU(),
    nn.Linear(128, 128), nn.LayerNorm(128), nn.ReLU(),
    nn.Linear(128, 10),
)
nn.init.normal_(net[0].weight)
nn.init.normal_(net[3].weight)
""",
        # Drawn, then scaled.
        """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.fc1 = nn.Linear(n, m)
        self.fc2 = nn.Linear(m, 1)
        self.w = nn.Parameter(torch.randn(m, m) / m**0.5)
        for layer in (self.fc1, self.fc2):
            layer.weight.data.normal_(0, 1)
            layer.weight.data.mul_(1 / layer.weight.data.pow(2).sum(1, keepdim=True).sqrt())

    def forward(self, x):
        return self.fc2(torch.tanh(torch.relu(self.fc1(x)) @ self.w))
""",
        # Embeddings, tokens, biases, gains.
        """\
import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, n, width):
        super().__init__()
        self.embedding = nn.Embedding(n, width)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.fc1, self.fc2 = nn.Linear(width, width), nn.Linear(width, 1)
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.embedding.weight)
        nn.init.uniform_(self.fc1.bias)
        nn.init.normal_(self.norm.weight, 1.0, 0.02)

    def forward(self, ids):
        x = self.norm(self.embedding(ids) + self.token)
        return self.fc2(torch.relu(self.fc1(x)))
""",
        # One layer alone, and few inputs.
        """\
from torch import nn

regression = nn.Linear(64, 1)
nn.init.normal_(regression.weight)
small = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
nn.init.uniform_(small[0].weight, -1, 1)
nn.init.normal_(small[2].weight, 0, 0.5)
""",
        # Somewhat wide: what a layer makes of its input is not much larger.
        """\
from torch import nn

net = nn.Sequential(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Conv2d(64, 128, 3), nn.ReLU(), nn.Conv2d(128, 128, 3))
for m in net:
    if isinstance(m, nn.Conv2d):
        m.weight.data.normal_(0, 0.05)
""",
        # A number that is not known.
        """\
from torch import nn


def build(config, std):
    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    nn.init.normal_(net[0].weight, std=config.initializer_range)
    nn.init.uniform_(net[2].weight, -std, std)
    return net
""",
        # Random features that are not trained.
        """\
import torch
from torch import nn


class Features(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.project = nn.Linear(n, m)
        nn.init.normal_(self.project.weight)
        self.project.weight.requires_grad = False
        self.out = nn.Linear(m, 1)

    def forward(self, x):
        return self.out(torch.cos(self.project(x)).relu())
""",
        # One branch of several.
        """\
from torch import nn


def init_weights(m, kind="xavier"):
    if isinstance(m, nn.Linear):
        if kind == "xavier":
            nn.init.xavier_normal_(m.weight)
        else:
            nn.init.normal_(m.weight)


net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
net.apply(init_weights)
""",
        # The second factor of a low-rank update starts from zero.
        """\
import torch
from torch import nn


class Lora(nn.Module):
    def __init__(self, n, rank):
        super().__init__()
        self.a = nn.Parameter(torch.randn(n, rank))
        self.b = nn.Parameter(torch.zeros(rank, n))

    def forward(self, x):
        return x @ self.a @ self.b
""",
        # A last layer that starts near zero, and small weights in a residual block.
        """\
import torch
from torch import nn


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.mean = nn.Linear(8, 64), nn.Linear(64, 64), nn.Linear(64, 2)
        nn.init.normal_(self.mean.weight, std=1e-3)
        nn.init.uniform_(self.fc2.weight, -3e-3, 3e-3)

    def forward(self, x):
        return self.mean(torch.tanh(self.fc2(torch.tanh(self.fc1(x)))))
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report what draws the weights of hidden layers from a range that does not fit their number of inputs."""
        if _DRAWING.isdisjoint(source.ask(facts.syntax).identifiers):
            return
        seen: set[CSTNode] = set()
        for row in source.ask(facts.rows):
            for draw, link in _large(source, row):
                if draw.node not in seen:
                    seen.add(draw.node)
                    yield Report(draw.node, _largeness(draw), related=(Mark(link.layer.node, "the layer"),))
        for row in source.ask(facts.chains):
            small = [one for link in row.links if (one := _drawn(source, link)) is not None and one.is_small]
            left = math.prod(draw.gain for draw in small) / math.sqrt(2) ** len(small)
            if len(small) >= _MANY and left < _LITTLE and not seen & {draw.node for draw in small}:
                seen.update(draw.node for draw in small)
                message = f"weights of size {small[0].size:.2g} in {len(small)} layers leave {left:.0e} of the signal"
                yield Report(small[0].node, message)


def _large(source: SourceFile, row: Row) -> Iterator[tuple[_Draw, Link]]:
    """Yield what draws large weights in a row, unless the output is normalised, or multiplied by zero."""
    if len(row.links) < 2 or any(map(_is_zero, row.links)):
        return
    for place, link in enumerate(row.links):
        is_restored = place + 1 < len(row.links) and row.links[place + 1].is_restored
        draw = None if is_restored else _drawn(source, link)
        if draw is not None and draw.is_large:
            yield draw, link


def _is_zero(link: Link) -> bool:
    """Whether a weight starts from zero: the second factor of a low-rank update."""
    weight = link.weight
    return weight is not None and any(
        getattr(part, "name", "") in ("zeros", "zeros_like") for part in facts.terms.within(weight)
    )


_DRAWING = {"normal_", "uniform_", "trunc_normal_", "randn", "rand", "normal", "uniform", "randn_like"}
_MANY, _LITTLE = 4, 1e-3
_WIDE = 1024
"""The number of inputs that a layer of unknown size is granted where small weights are looked for."""


@dataclass(frozen=True, slots=True)
class _Draw:
    """A place that draws the weights of a layer: their root mean square, and the number of the layer's inputs."""

    node: CSTNode
    size: float
    inputs: int | None

    @property
    def gain(self) -> float:
        """How many times larger than its input the output of the layer is."""
        return self.size * math.sqrt(self.inputs or _WIDE)

    @property
    def is_large(self) -> bool:
        if self.inputs is None:
            return self.size >= 0.5
        return self.inputs >= 16 and self.gain >= 4

    @property
    def is_small(self) -> bool:
        return 0 < self.size <= 1e-3 if self.inputs is None else 0 < self.gain < 0.3


def _largeness(draw: _Draw) -> str:
    if draw.inputs is None:
        return f"weights of size {draw.size:.2g}: of N inputs they make one about sqrt(N) times as large"
    return f"weights of size {draw.size:.2g}: of {draw.inputs} inputs they make one {draw.gain:.2g} times as large"


_WRITING = ("values", "change", "freeze")


def _drawn(source: SourceFile, link: Link) -> _Draw | None:
    """Return what alone draws the weights of a layer."""
    layer = link.layer.module
    if layer is not None:
        fills = facts.reaching.layer_fills(source, layer, *_WRITING)
        if len(fills) != 1 or not fills[0][1] or not facts.reaching.is_whole(fills[0][0]):
            return None
        node = fills[0][0].node
        stores = source.ask(facts.syntax).stores
        stored = next((store.value for store in stores if store.statement is node), None)
        drawing = facts.terms.options(source.ask(facts.values).of(stored or node))
        sizes = {_size(one) for one in drawing if isinstance(one, facts.terms.Operation)}
        size = sizes.pop() if len(sizes) == 1 else None
        return _Draw(node, size, _inputs(layer)) if size is not None else None
    return _made_by_hand(source, link)


def _made_by_hand(source: SourceFile, link: Link) -> _Draw | None:
    """Return how a parameter is drawn that is made of `torch.randn` or `torch.rand`, and never written."""
    weight = link.weight
    if weight is None:
        return None
    candidate = facts.narrowing.Candidate(weight, "", facts.allocation.rank_of(weight))
    if any(True for _ in source.ask(facts.reaches).of(weight.node, "", candidate, kinds=_WRITING)):
        return None
    size = _size(weight)
    return _Draw(weight.node, size, None) if size is not None else None


def _size(fill: Operation) -> float | None:
    """Return the root mean square of what is drawn, where that is known."""
    number = facts.terms.number
    inner = fill.operands[0] if fill.name == "parameter" and fill.operands else fill
    if isinstance(inner, facts.terms.Operation) and inner.name in ("randn", "rand"):
        return 1.0 if inner.name == "randn" else 3**-0.5
    name = fill.name.rstrip("_")
    first = {"normal": "mean", "trunc_normal": "mean", "uniform": "a"}.get(name)
    second = {"normal": "std", "trunc_normal": "std", "uniform": "b"}.get(name)
    if first is None or second is None or fill.open_arguments:
        return None
    one, other = fill.argument(first, 0), fill.argument(second, 1)
    low, high = number(one) if one is not None else 0.0, number(other) if other is not None else 1.0
    if low is None or high is None:
        return None
    if name == "uniform":
        return math.sqrt((low * low + low * high + high * high) / 3)
    return math.hypot(low, high)


def _inputs(layer: Instance) -> int | None:
    """Return the number of inputs of each unit of a linear or convolution layer."""
    number = facts.terms.number
    at = layer.positional
    kind = layer.dotted.rsplit(".", 1)[-1]
    width = number(
        layer.keywords.get("in_features" if kind == "Linear" else "in_channels") or (at[0] if at else None)
    )
    if kind == "Linear":
        return int(width) if width is not None else None
    kernel = layer.keywords.get("kernel_size") or (at[2] if len(at) > 2 else None)
    side = number(kernel)
    if (
        width is None
        or side is None
        or "groups" in layer.keywords
        or not kind.startswith("Conv")
        or "Transpose" in kind
    ):
        return None
    return int(width * side ** int(kind[-2]))
