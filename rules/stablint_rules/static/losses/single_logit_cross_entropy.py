"""STB206 single-logit-cross-entropy: a softmax over a single output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.sites import Site
    from stablint.static.facts.sizes import Shape
    from stablint.static.facts.terms import Instance, Operation, Term
    from stablint.static.source import SourceFile


class SingleLogitCrossEntropy(StaticRule):
    """A cross-entropy or softmax is taken over one output: the loss is always 0, the probability always 1.

    ## What it does

    Follows the sizes of tensors from the layers that make them. Reports `cross_entropy` where there is one
    class, and `softmax`, `log_softmax` and `softmin` along a dimension of one element, behind
    `nn.Linear(n, 1)`, a convolution with one output channel, `view(-1, 1)` and their like.

    ## Why it is bad

    A softmax divides by the sum over a dimension. Of one element that is itself, so the probability is 1
    and its logarithm 0, whatever the network says. `cross_entropy` of a `(8, 1)` tensor with target 0 is
    0.0, with a gradient of exactly 0 everywhere (torch 2.13): the loss looks perfect from the first step
    and nothing is trained. As attention, a softmax over the one score of each position weighs every
    position with 1: the attention is a plain sum.

    ## Example

    ```python
    self.fc = nn.Linear(64, 1)
    ...
    loss = F.cross_entropy(self.fc(x), y)
    ```

    ## Use instead

    ```python
    self.fc = nn.Linear(64, 1)
    ...
    loss = F.binary_cross_entropy_with_logits(self.fc(x).squeeze(-1), y.float())
    ```

    Or two outputs and `cross_entropy`. For attention, take the softmax over the positions: `dim=1` of
    scores of shape `(batch, positions, 1)`.

    ## When to ignore it

    Where the number of classes is a setting that happens to be 1 in this file and another branch is used
    for it. A test of that number around the loss is seen.

    ## Fix safety

    No fix is offered: whether two classes or one logit were meant is not in the code.

    ## References

    - [torch.nn.CrossEntropyLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html)
    - [torch.nn.BCEWithLogitsLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html)
    - [torch.nn.functional.softmax](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html)
    """

    code = "STB206"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # a model with one output, trained elsewhere in the file
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(16, 64)
        self.out = nn.Linear(64, 1)

    def forward(self, x):
        return self.out(F.relu(self.hidden(x)))

def train(loader):
    model = Net()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)  # flagged
        loss.backward()
        optimizer.step()
""",
        # through a helper that computes the loss
        """\
import torch.nn.functional as F
from torch import nn

net = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 1))

def step(model, x, y):
    logits = model(x)
    return F.cross_entropy(logits, y)  # flagged

def run(loader):
    for x, y in loader:
        step(net, x, y).backward()
""",
        # probabilities of one output
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 1)

    def forward(self, x):
        x = torch.flatten(x, 1)
        return F.softmax(self.fc(x), dim=1)  # flagged

    def log(self, x):
        return self.fc(x).log_softmax(-1)  # flagged
""",
        # the softmax is a layer of the Sequential
        """\
from torch import nn

head = nn.Sequential(
    nn.Linear(128, 64),
    nn.ReLU(),
    nn.Linear(64, 1),
    nn.Softmax(dim=-1),  # flagged
)
""",
        # attention over the one score of each position
        """\
import torch
from torch import nn

class Pool(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.score = nn.Linear(dim, 1)

    def forward(self, x):
        weights = torch.softmax(torch.tanh(self.score(x)), dim=-1)  # flagged
        return (weights * x).sum(1)
""",
        # one channel is one class
        """\
import torch.nn.functional as F
from torch import nn

class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 16, 3, padding=1)
        self.head = nn.Conv2d(16, 1, kernel_size=1)

    def forward(self, x):
        return self.head(self.body(x).relu())

def loss(x, mask):
    model = Segmenter()
    logits = model(x)
    mask_probs = F.softmax(logits, dim=1)  # flagged
    return F.cross_entropy(logits, mask) + mask_probs.mean()  # flagged
""",
        # made to one column first
        """\
import torch.nn.functional as F

def loss(model, x, y):
    logits = model(x).view(-1, 1)
    return F.cross_entropy(logits, y.view(-1))  # flagged
""",
        # the two halves are in two files
        """\
# file: models/net.py
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16, 1)

    def forward(self, x):
        return self.fc(x)

# file: train.py
import torch.nn.functional as F
from models.net import Net

model = Net()

def step(x, y):
    return F.cross_entropy(model(x), y)  # flagged
""",
    ]

    good = [
        # two outputs, or a number of them that is not known
        """\
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.two = nn.Linear(64, 2)
        self.some = nn.Linear(64, classes)

    def forward(self, x, y):
        return F.cross_entropy(self.two(x), y) + F.cross_entropy(self.some(x), y)
""",
        # one score for each candidate: the softmax is over the candidates
        """\
import torch.nn.functional as F
from torch import nn

class Choice(nn.Module):
    def __init__(self, encoder, dim):
        super().__init__()
        self.encoder = encoder
        self.score = nn.Linear(dim, 1)

    def forward(self, x, y, choices):
        scores = self.score(self.encoder(x))
        return F.cross_entropy(scores.view(-1, choices), y)

class Pointer(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.score = nn.Linear(dim, 1)

    def forward(self, states, y):
        scores = self.score(states).squeeze(-1)
        return F.cross_entropy(scores, y), F.softmax(scores, dim=-1)
""",
        # attention over the positions
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Pool(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.score = nn.Sequential(nn.Linear(dim, 32), nn.Tanh(), nn.Linear(32, 1), nn.Softmax(dim=1))
        self.other = nn.Linear(dim, 1)
        self.pixels = nn.Conv2d(dim, 1, 1)

    def forward(self, x):
        weights = F.softmax(self.other(x), dim=1)
        return (self.score(x) * x).sum(1) + (weights * x).sum(1)

    def over_pixels(self, x):
        return F.softmax(self.pixels(x).flatten(2), dim=-1)
""",
        # one logit, with the loss for it
        """\
import torch.nn.functional as F
from torch import nn

fc = nn.Linear(64, 1)

def loss(x, y):
    return F.binary_cross_entropy_with_logits(fc(x).squeeze(1), y.float())
""",
        # the number decides the loss
        """\
import torch.nn.functional as F
from torch import nn

class Classifier(nn.Module):
    def __init__(self, num_labels):
        super().__init__()
        self.num_labels = num_labels
        self.fc = nn.Linear(64, num_labels)

    def forward(self, x, y):
        logits = self.fc(x)
        if self.num_labels == 1:
            return F.mse_loss(logits.squeeze(), y)
        return F.cross_entropy(logits, y)

    def probabilities(self, x):
        logits = self.fc(x)
        return logits.sigmoid() if self.num_labels == 1 else logits.softmax(-1)

model = Classifier(1)
""",
        # one logit beside others
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Contrast(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.head = nn.Linear(dim, 1)

    def forward(self, positive, negatives, y):
        scores = torch.cat([self.head(positive), self.head(negatives)], dim=1)
        return F.cross_entropy(scores, y)
""",
        # the other dimension
        """\
import torch.nn.functional as F
from torch import nn

fc = nn.Linear(64, 1)

def weights(x):
    return F.softmax(fc(x), dim=0), fc(x).transpose(0, 1).softmax(dim=1)
""",
        # a duelling or actor-critic head: the value is not a class
        """\
import torch.nn.functional as F
from torch import nn

class ActorCritic(nn.Module):
    def __init__(self, actions):
        super().__init__()
        self.actor = nn.Linear(64, actions)
        self.critic = nn.Linear(64, 1)

    def forward(self, x):
        return F.softmax(self.actor(x), dim=-1), self.critic(x)

model = ActorCritic(4)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report softmaxes along a dimension of one element, taken alone or inside a cross-entropy."""
        known = source.ask(facts.operations)
        for site, made in known.named(*_RESULTS):
            if _is_over_one(made) and not _is_tested(source, site):
                message = (
                    f"{made.name} over a single element is {_RESULTS[made.name]}, whatever that element is"
                )
                yield Report(site.node, message, related=_layer(made.operands[0]))
        for site, loss in known.named("cross_entropy"):
            if _is_of_one_class(loss) and not _is_tested(source, site):
                message = "cross_entropy over a single class is 0, and so is its gradient"
                yield Report(site.node, message, related=_layer(loss.operands[0]))
        for _, container in known.instances("torch.nn.Sequential"):
            for layer, before in facts.shapes.through(container.positional):
                name = layer.dotted.rsplit(".", 1)[-1]
                if name in _SOFTMAXES and _size(before, _dim_of(layer)) == 1:
                    yield Report(
                        layer.node, f"{name} over a single element: it gives the same, whatever that is"
                    )


_RESULTS = {"softmax": "1", "log_softmax": "0", "softmin": "1", "gumbel_softmax": "1"}
_SOFTMAXES = ("Softmax", "LogSoftmax", "Softmin")


def _is_over_one(made: Operation) -> bool:
    dim = _dim_of(made.module) if made.module is not None else _whole(made.argument("dim", 0))
    return bool(made.operands) and _size(facts.shapes.shape(made.operands[0]), dim) == 1


def _dim_of(layer: Instance) -> int | None:
    return _whole(layer.keywords.get("dim") or next(iter(layer.positional), None))


def _whole(term: Term | None) -> int | None:
    found = facts.terms.number(term)
    return found if isinstance(found, int) else None


def _size(shape: Shape, dim: int | None) -> int | None:
    """Return a size; of a batch of images dimension 1 holds the channels, also where the batch is not seen.

    Dimension 1 of what a linear layer gives may be that of positions: so is attention written.
    """
    if dim == 1 and not shape.is_whole:
        return shape.at(-len(shape.sizes)) if len(shape.sizes) > 1 else None
    return shape.at(dim) if dim is not None else None


def _is_of_one_class(loss: Operation) -> bool:
    """Whether there is one class; what a linear layer gives to a cross-entropy is a batch of rows."""
    if not loss.operands or facts.provenance.made_by(loss.operands[0], *_RESULTS) is not None:
        return False  # that softmax is reported
    shape = facts.shapes.shape(loss.operands[0])
    return _size(shape, 1) == 1 or (len(shape.sizes) == 1 and not shape.is_whole and shape.at(-1) == 1)


def _layer(term: Term) -> tuple[Mark, ...]:
    made = facts.provenance.made_by(term, "linear", "conv1d", "conv2d", "conv3d")
    return (Mark(made.module.node, "one output"),) if made is not None and made.module is not None else ()


def _is_tested(source: SourceFile, site: Site) -> bool:
    """Whether something on the way asks for a number of 1, as `if self.num_labels == 1` does."""
    tests = facts.guards.tests(source, site.node, site.statement)
    return any("1" in source.code(test) for test, _ in tests)
