"""STB208 bce-on-raw-logits: the loss of probabilities is given none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class BceOnRawLogits(StaticRule):
    """`BCELoss` is fed the raw output of a layer, or something else that is no probability.

    ## What it does

    Follows the first argument of `BCELoss` and `F.binary_cross_entropy` back to where it was made.
    Reports it where, on every path, that is a linear or convolutional layer, or an activation whose
    values leave the range from 0 to 1: ReLU, tanh, `log_softmax` and their like.

    ## Why it is bad

    `BCELoss` takes logarithms of its input and of one minus it. Outside of [0, 1] PyTorch stops with "all
    elements of input should be between 0 and 1"; on CUDA that is an assertion on the device, which
    names another line and makes the process useless. A network of two layers gave a batch of 32 that
    stops it with each of 50 seeds (torch 2.13). A NaN is refused with the same words, so this fault and
    a network that has diverged are taken for each other. With ReLU the run lasts until the first output
    above 1.

    ## Example

    ```python
    logits = nn.Linear(64, 1)(h)
    loss = F.binary_cross_entropy(logits, y)
    ```

    ## Use instead

    ```python
    logits = nn.Linear(64, 1)(h)
    loss = F.binary_cross_entropy_with_logits(logits, y)
    ```

    Compare logits with 0 then, or take the sigmoid where probabilities are shown.

    ## When to ignore it

    When the layer's weights keep its output between 0 and 1.

    ## Fix safety

    Unsafe: the loss changes, to the one that was meant. The function, or the class where every call of
    the loss is reported, becomes the one with logits. No fix is offered for an activation.

    ## References

    - [torch.nn.BCELoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html)
    - [torch.nn.BCEWithLogitsLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html)
    """

    code = "STB208"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # inside the call and through names
        """\
import torch.nn.functional as F
from torch import nn

def losses(x, y, fc: nn.Linear):
    a = F.binary_cross_entropy(fc(x), y)  # flagged
    logits = fc(x).squeeze(1)
    b = F.binary_cross_entropy(input=logits, target=y, reduction="sum")  # flagged
    c = nn.BCELoss(reduction="mean")(logits.view(-1), y)  # flagged
    return a + b + c
""",
        # a model of the file
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(20, 64)
        self.fc2 = nn.Linear(64, 1)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))

def train(loader):
    model = Net()
    criterion = nn.BCELoss()
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)  # flagged
        loss.backward()
        optimizer.step()
""",
        # a Sequential, held by a trainer, and the step in a helper
        """\
from torch import nn

class Trainer:
    def __init__(self):
        self.model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 1, 1))
        self.criterion = nn.BCELoss()

    def loss(self, predicted, mask):
        return self.criterion(predicted, mask)  # flagged

    def step(self, x, mask):
        return self.loss(self.model(x), mask)
""",
        # logarithms, which are never above 0
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(22, 10)
        self.fc2 = nn.Linear(10, 2)

    def forward(self, x):
        return F.log_softmax(self.fc2(F.relu(self.fc1(x))), dim=1)

criterion = nn.BCELoss()

def loss(x, y):
    return criterion(Classifier()(x), y)  # flagged
""",
        # activations that are no sigmoid
        """\
import torch
import torch.nn.functional as F
from torch import nn

generator = nn.Sequential(nn.Linear(8, 784), nn.Tanh())

def losses(x, y, z, fc: nn.Linear):
    a = F.binary_cross_entropy(torch.relu(fc(x)), y)  # flagged
    return a + F.binary_cross_entropy(generator(z), y)  # flagged
""",
        # one model of two, where the loss serves both
        """\
from torch import nn

criterion = nn.BCELoss()
good = nn.Sequential(nn.Linear(8, 1), nn.Sigmoid())
bad = nn.Sequential(nn.Linear(8, 1))

def loss(x, y):
    return criterion(good(x), y) + criterion(bad(x), y)  # flagged
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
        return self.fc(x).squeeze(1)

# file: train.py
import torch.nn.functional as F
from models.net import Net

model = Net()

def step(x, y):
    return F.binary_cross_entropy(model(x), y)  # flagged
""",
    ]

    fixed = [
        """\
import torch.nn.functional as F
from torch import nn

def losses(x, y, fc: nn.Linear):
    a = F.binary_cross_entropy_with_logits(fc(x), y)
    logits = fc(x).squeeze(1)
    b = F.binary_cross_entropy_with_logits(input=logits, target=y, reduction="sum")
    c = nn.BCEWithLogitsLoss(reduction="mean")(logits.view(-1), y)
    return a + b + c
""",
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(20, 64)
        self.fc2 = nn.Linear(64, 1)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))

def train(loader):
    model = Net()
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
""",
        """\
from torch import nn

class Trainer:
    def __init__(self):
        self.model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 1, 1))
        self.criterion = nn.BCEWithLogitsLoss()

    def loss(self, predicted, mask):
        return self.criterion(predicted, mask)

    def step(self, x, mask):
        return self.loss(self.model(x), mask)
""",
        None,
        None,
        None,
        """\
import torch.nn.functional as F
from models.net import Net

model = Net()

def step(x, y):
    return F.binary_cross_entropy_with_logits(model(x), y)
""",
    ]

    good = [
        # probabilities
        """\
import torch
import torch.nn.functional as F
from torch import nn

model = nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 1), nn.Sigmoid())

def losses(x, y, fc: nn.Linear):
    a = nn.BCELoss()(model(x), y)
    b = F.binary_cross_entropy(torch.sigmoid(fc(x)), y)
    c = F.binary_cross_entropy(F.softmax(fc(x), dim=1), y)
    return a + b + c
""",
        # the loss that takes logits
        """\
import torch.nn.functional as F
from torch import nn

def losses(x, y, fc: nn.Linear):
    return F.binary_cross_entropy_with_logits(fc(x), y) + nn.BCEWithLogitsLoss()(fc(x), y)
""",
        # brought into the range by hand
        """\
import torch
import torch.nn.functional as F
from torch import nn

def losses(x, y, fc: nn.Linear):
    a = F.binary_cross_entropy(fc(x).clamp(0, 1), y)
    b = F.binary_cross_entropy((torch.tanh(fc(x)) + 1) / 2, y)
    c = F.binary_cross_entropy(F.hardsigmoid(fc(x)), y)
    d = F.binary_cross_entropy(F.log_softmax(fc(x), dim=1).exp(), y)
    return a + b + c + d + F.binary_cross_entropy(F.hardtanh(fc(x), 0.0, 1.0), y)
""",
        # a model of which nothing is known
        """\
import torch.nn.functional as F
from torch import nn
from models import Discriminator

def loss(x, y, body):
    head = Discriminator()
    return nn.BCELoss()(head(x), y) + F.binary_cross_entropy(body(x), y)
""",
        # the sigmoid on one path, by an option
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self, final):
        super().__init__()
        self.fc = nn.Linear(8, 1)
        self.final = final

    def forward(self, x):
        x = self.fc(x)
        return torch.sigmoid(x) if self.final else x

def loss(x, y):
    return F.binary_cross_entropy(Net(True)(x), y)
""",
        # of several outputs, the probability
        """\
import torch
from torch import nn

class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.mu = nn.Linear(784, 20)
        self.decode = nn.Linear(20, 784)

    def forward(self, x):
        mu = self.mu(x)
        return torch.sigmoid(self.decode(mu)), mu

def loss(net: Vae, x):
    out, mu = net(x)
    return nn.functional.binary_cross_entropy(out, x) + mu.pow(2).mean()
""",
        # a loss of one's own with that name
        """\
import torch
import torch.nn.functional as F
from torch import nn

class BCELoss(nn.Module):
    def forward(self, logits, y):
        return F.binary_cross_entropy_with_logits(logits, y)

def binary_cross_entropy(logits, y):
    return F.softplus(-logits * y).mean()

def loss(x, y, fc: nn.Linear):
    return BCELoss()(fc(x), y) + binary_cross_entropy(fc(x), y)
""",
        # a target that is raw: that is another matter
        """\
import torch
import torch.nn.functional as F
from torch import nn

def loss(x, teacher, fc: nn.Linear):
    return F.binary_cross_entropy(torch.sigmoid(fc(x)), (teacher > 0).float())
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the binary cross-entropies of what is certainly no probability."""
        losses = [
            loss for _, loss in source.ask(facts.operations).named("binary_cross_entropy") if loss.operands
        ]
        for loss in losses:
            made = _raw(loss.operands[0]) or facts.provenance.made_by(loss.operands[0], *_OUTSIDE)
            if made is None or facts.intervals.interval(made).is_unit:
                continue
            is_raw = made.name in facts.outputs.KINDS and made.name != "log_softmax"
            what = f"the raw output of {made.name}" if is_raw else made.name
            yield Report(
                loss.node,
                f"binary_cross_entropy of {what}: PyTorch stops at the first number outside [0, 1]",
                related=(Mark(made.node, f"the {made.name}"),),
                fix=_fix(source, loss, losses) if is_raw else None,
            )


_OUTSIDE = (
    "log_softmax",
    "logsigmoid",
    "relu",
    "leaky_relu",
    "prelu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "tanh",
    "softplus",
)
"""Activations whose values leave the range of probabilities."""


def _raw(term: Term) -> Operation | None:
    return facts.outputs.output(term, "raw")


def _fix(source: SourceFile, loss: Operation, losses: list[Operation]) -> ProposedFix | None:
    """Use the loss that takes logits; one that is made elsewhere only where all that it is given are such."""
    renamed, old = facts.spelling.renamed(loss.node, _STABLE), loss.node
    if renamed is None and loss.module is not None:
        made = loss.module.node
        if any(_raw(other.operands[0]) is None for other in losses if _is_by(other, made)):
            return None
        renamed, old = facts.spelling.renamed(made, _STABLE), made
    if renamed is None:
        return None
    change = Replace(getattr(old, "func", old), source.code(renamed.func))
    return ProposedFix("use the binary cross-entropy with logits", Applicability.UNSAFE, (change,))


def _is_by(loss: Operation, made: object) -> bool:
    return loss.module is not None and loss.module.node is made


_STABLE = {
    "binary_cross_entropy": "binary_cross_entropy_with_logits",
    "BCELoss": "BCEWithLogitsLoss",
}
