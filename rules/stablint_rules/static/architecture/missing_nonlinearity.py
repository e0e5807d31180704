"""STB505 missing-nonlinearity."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.links import Link
    from stablint.static.facts.terms import Instance, Operation, Term
    from stablint.static.source import SourceFile


class MissingNonlinearity(StaticRule):
    """A linear layer works on what another one gives, with no activation between them.

    ## What it does
    Follows the layers of every model, `Sequential` and function. Reports a `Linear` whose input is the
    output of another `Linear`, with nothing between them but dropout, batch normalisation or a change of
    device or type.

    ## Why it is bad
    A linear map of a linear map is one linear map: the first layer adds parameters and no capacity. Which
    of two points lies in the first or third quadrant, 300 steps of Adam (torch 2.13):

    | network | parameters | accuracy |
    |---|---|---|
    | `Linear(2, 2)` | 6 | 52 % |
    | three linear layers, 64 wide | 4,482 | 52 % |
    | the same with ReLU between them | 4,482 | 100 % |

    Usually the activation was forgotten, or stands in a part of `__init__` that `forward` does not use.

    ## Example
    ```python
    nn.Sequential(nn.Linear(400, 120), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))
    ```

    ## Use instead
    ```python
    nn.Sequential(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))
    ```

    ## When to ignore it
    When the product of two matrices is meant: a deep linear network that is studied, a factor that is
    cut off after training. Not reported are a bottleneck narrower than what it stands between, a first
    layer without bias (low-rank factors are written so), layers that are made in different classes, and
    a first layer whose output is used elsewhere too. In a class that calls itself a dummy it is a note.

    ## Fix safety
    No fix is offered: which activation was meant is not known.

    ## References
    - [torch.nn.Linear](https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html)
    - [CS231n: Neural networks](https://cs231n.github.io/neural-networks-1/)
    """

    code = "STB505"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # The page's example.
        """\
from torch import nn

net = nn.Sequential(
    nn.Linear(400, 120),
    nn.Linear(120, 84),  # flagged
    nn.ReLU(),
    nn.Linear(84, 10),
)
""",
        # In forward, with sizes that are not known.
        """\
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, width, hidden, classes):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, classes)

    def forward(self, x):
        x = F.relu(self.fc1(x))
        x = self.fc2(x)
        return self.fc3(x)  # flagged
""",
        # Dropout and batch normalisation are no activations.
        """\
import torch
from torch import nn


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(768, 768)
        self.norm = nn.BatchNorm1d(768)
        self.dropout = nn.Dropout(0.1)
        self.out = nn.Linear(768, 3)

    def forward(self, x):
        x = self.norm(self.dense(x))
        return self.out(self.dropout(x).float())  # flagged
""",
        # A loop, and layers from a list of sizes.
        """\
from torch import nn

sizes = [784, 512, 512]
layers = []
for n, m in zip(sizes[:-1], sizes[1:]):
    layers.append(nn.Linear(n, m))  # flagged
net = nn.Sequential(*layers)
""",
        # A helper makes the parts, another goes through them.
        """\
import torch
from torch import nn


def fc(n, m):
    return nn.Linear(n, m)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = fc(64, 64)
        self.outer = fc(64, 64)
        self.act = nn.ReLU()

    def encode(self, x):
        return self.inner(x)

    def forward(self, x):
        return self.outer(self.encode(x))  # flagged
""",
        # After convolutions: the activation is between those only.
        """\
from torch import nn


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2))
        self.fc = nn.Sequential(
            nn.Linear(864, 120),
            nn.Linear(120, 120),  # flagged
        )

    def forward(self, x):
        return self.fc(self.conv(x).flatten(1))
""",
        # the two halves are in two files
        """\
# file: models/blocks.py
from torch import nn

def block(size):
    return nn.Linear(size, size)

# file: models/net.py
from torch import nn
from .blocks import block

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = block(64)
        self.two = block(64)

    def forward(self, x):
        return self.two(self.one(x))  # flagged
""",
    ]

    good = [
        # A bottleneck between as many units as there are pixels.
        """\
import torch
from torch import nn

class Critic(nn.Module):
    def __init__(self, size=32):
        super().__init__()
        self.size = size
        self.conv = nn.Conv2d(1, 64, 4, 2, 1)
        self.fc = nn.Sequential(
            nn.Linear(64 * (self.size // 2) ** 2, 32),
            nn.Linear(32, 64 * (self.size // 2) ** 2),
        )

    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).flatten(1))
""",
        # An activation between any two.
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(8, 8) for _ in range(4))
        self.act = act

    def forward(self, x):
        x = F.relu(self.a(x))
        x = torch.tanh(F.dropout(self.b(x), 0.1, self.training))
        x = self.act(self.c(x))
        return self.d(x)


net = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 8), nn.Dropout(0.1), nn.GELU(), nn.Linear(8, 1))
""",
        # A bottleneck is a factor of low rank.
        """\
from torch import nn

autoencoder = nn.Sequential(nn.Linear(12, 3), nn.Linear(3, 12))


class Embedding(nn.Module):
    def __init__(self, vocabulary, rank, width):
        super().__init__()
        self.down = nn.Linear(vocabulary, rank, bias=False)
        self.up = nn.Linear(rank, width)

    def forward(self, x):
        return self.up(self.down(x))
""",
        # Attention between the projections, gates, products.
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(n, n), nn.Linear(n, n), nn.Linear(n, n)
        self.gate, self.out = nn.Linear(n, n), nn.Linear(n, n)

    def forward(self, x):
        h = F.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x))
        return self.out(h * torch.sigmoid(self.gate(x)))
""",
        # The first output is one of the model's own.
        """\
from torch import nn


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(128, 128)
        self.head = nn.Linear(128, 128)

    def forward(self, x):
        z = self.embed(x)
        return z, self.head(z)


class Both(Two):
    def forward(self, x):
        z = self.embed(x)
        y = self.head(z)
        return z.norm(dim=1) + y.sum(1)
""",
        # Along other axes: each mixes something else.
        """\
from torch import nn


class Mixer(nn.Module):
    def __init__(self, tokens, channels):
        super().__init__()
        self.tokens = nn.Linear(tokens, tokens)
        self.channels = nn.Linear(channels, channels)
        self.out = nn.Linear(tokens * channels, 10)

    def forward(self, x):
        x = self.tokens(x.transpose(1, 2)).transpose(1, 2)
        x = self.channels(x)
        return self.out(x.flatten(1))
""",
        # One path has the activation, or may have it.
        """\
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, linear):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)
        self.linear = linear

    def forward(self, x):
        x = self.a(x)
        if not self.linear:
            x = F.relu(x)
        return self.b(x)
""",
        # Layers of different classes; the encoder's last is a code.
        """\
from torch import nn


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 64)

    def forward(self, x):
        return self.fc(x)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.head = nn.Linear(64, 64)

    def forward(self, x):
        return self.head(self.encoder(x))
""",
        # Recurrent layers, embeddings, convolutions.
        """\
from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(100, 16)
        self.project = nn.Linear(16, 16)
        self.lstm = nn.LSTM(16, 16)
        self.out = nn.Linear(16, 5)
        self.separable = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 16, 1))

    def forward(self, x):
        h, _ = self.lstm(self.project(self.embedding(x)))
        return self.out(h)
""",
        # A residual sum between them.
        """\
from torch import nn


class Residual(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.a, self.b = nn.Linear(n, n), nn.Linear(n, n)

    def forward(self, x):
        return self.b(x + self.a(x).relu())
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the linear layers that work straight on the output of another."""
        seen: set[object] = set()
        for row in source.ask(facts.rows):
            for link in row.links:
                pair = _pair(link)
                if pair is None or (first := pair[0].module) is None or (second := pair[1].module) is None:
                    continue
                if second.node in seen or not _is_meant_as_two(source, *pair):
                    continue
                seen.add(second.node)
                # A Sequential is called in one place, and its layers are told apart where they are made.
                is_one_call = pair[0].node is pair[1].node
                yield Report(
                    second.node if is_one_call else pair[1].node,
                    f"two linear layers with no activation between them are one{_count(first, second)}",
                    severity=Severity.NOTE if _is_dummy(source, second) else None,
                    related=(Mark(first.node if is_one_call else pair[0].node, "the first layer"),),
                )


def _pair(link: Link) -> tuple[Operation, Operation] | None:
    """Return two layers of torch that follow each other, and nothing between them that could matter."""
    if link.previous is None:
        return None
    first, second = link.previous.layer, link.layer
    for layer in (first, second):
        if layer.name != "linear" or layer.module is None or layer.module.dotted != "torch.nn.Linear":
            return None
    between: Term = second.operands[0]
    while between is not first:
        if not isinstance(between, facts.terms.Operation) or between.name not in _AFFINE:
            return None
        between = between.operands[0]
    return first, second


_AFFINE = {
    "dropout", "alpha_dropout", "batch_norm", "identity", "contiguous", "clone", "to", "float", "double", "half",
    "cuda", "cpu", "requires_grad",
}  # fmt: skip
"""What may stand between two layers that are one all the same."""


def _is_meant_as_two(source: SourceFile, first: Operation, second: Operation) -> bool:
    """Whether two layers are parts of one network, each with a width of its own, and no factors of a matrix."""
    one, other = first.module, second.module
    if one is None or other is None or _scope(source, one) is not _scope(source, other):
        return False
    if _is_false(one.keywords.get("bias") or _at(one, 2)) or source.ask(facts.uses).is_shared(first):
        return False
    sizes = _size(one, 0), _size(one, 1), _size(other, 1)
    width, inner, outer = map(facts.terms.number, sizes)
    if inner is not None and width is None and sizes[0] is not None and sizes[2] is not None:
        # Back to the pixels that it came from, over a number of its own: the code of an autoencoder.
        return not facts.terms.same(sizes[0], sizes[2])
    return inner is None or width is None or outer is None or inner >= min(width, outer)


def _scope(source: SourceFile, layer: Instance) -> object:
    """Return the class or function in which a layer is made, as far as models are concerned."""
    site = source.ask(facts.operations).values.interpreter.sites.get(id(layer.node))
    model = source.ask(facts.models).around(site[1]) if site is not None else None
    return model.scope if model is not None else site[1].function if site is not None else None


def _is_dummy(source: SourceFile, layer: Instance) -> bool:
    """Whether the class says that it only stands in for a model: `DummyEncoder`, whose speed is measured."""
    return (
        re.search(r"dummy|fake|mock", getattr(_scope(source, layer), "name", ""), re.IGNORECASE) is not None
    )


def _size(layer: Instance, position: int) -> Term | None:
    return layer.keywords.get(("in_features", "out_features")[position]) or _at(layer, position)


def _at(layer: Instance, position: int) -> Term | None:
    return layer.positional[position] if position < len(layer.positional) else None


def _is_false(term: Term | None) -> bool:
    return isinstance(term, facts.terms.Constant) and term.value is False


def _count(first: Instance, second: Instance) -> str:
    """Say how many parameters do what how many could, where the sizes are known."""
    sizes = [facts.terms.number(size) for size in (_size(first, 0), _size(first, 1), _size(second, 1))]
    n, inner, m = (int(size) if size is not None else 0 for size in sizes)
    if not n or not inner or not m:
        return ""
    return f": {(n + 1) * inner + (inner + 1) * m:,} parameters do what {(n + 1) * m:,} could"
