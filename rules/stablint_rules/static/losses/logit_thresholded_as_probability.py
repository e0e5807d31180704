"""STB209 logit-thresholded-as-probability: the limit is that of a probability, the number is a logit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from libcst import CSTNode

    from stablint.static.facts.terms import Term
    from stablint.static.source import SourceFile


class LogitThresholdedAsProbability(StaticRule):
    """The output of a model that is trained with `BCEWithLogitsLoss` is compared with 0.5, or rounded.

    ## What it does

    Looks for comparisons with a number between 0 and 1, and for `round`, of what is also given to
    `BCEWithLogitsLoss` or `F.binary_cross_entropy_with_logits`, with no sigmoid in between: the same
    tensor, the same layer of the model, or another call of the same model.

    ## Why it is bad

    The loss takes the sigmoid itself, so the model's output is a logit: 0 is the even chance, and 0.5 is
    a probability of 0.62. Of logits drawn from N(0, 1), 19 % are decided differently. Rounded, a logit
    of 1.6 even becomes class 2. Training is right, but accuracy, recall and what is deployed are not, and
    so are the decisions taken by them (when to stop, which model to keep).

    ## Example

    ```python
    logits = model(x)
    loss = F.binary_cross_entropy_with_logits(logits, y)
    correct = ((logits > 0.5) == y).sum()
    ```

    ## Use instead

    ```python
    logits = model(x)
    loss = F.binary_cross_entropy_with_logits(logits, y)
    correct = ((logits > 0) == y).sum()
    ```

    Or `torch.sigmoid(logits) > 0.5`.

    ## When to ignore it

    When the limit was chosen on logits, for instance to favour precision.

    ## Fix safety

    No fix is offered: a limit other than 0.5 may have been chosen either way.

    ## References

    - [torch.nn.BCEWithLogitsLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html)
    - [torch.sigmoid](https://docs.pytorch.org/docs/stable/generated/torch.sigmoid.html)
    """

    code = "STB209"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # the same tensor, in many spellings
        """\
import torch
import torch.nn.functional as F

def step(model, x, y):
    logits = model(x).squeeze(1)
    loss = F.binary_cross_entropy_with_logits(logits, y)
    a = (logits > 0.5).float()  # flagged
    b = logits.ge(0.5)  # flagged
    c = torch.gt(logits.detach(), 0.5)  # flagged
    d = logits.detach().cpu().numpy() >= 0.5  # flagged
    e = torch.where(0.5 < logits, 1, 0)  # flagged
    return loss, a, b, c, d, e
""",
        # another call of the same model
        """\
import torch
from torch import nn
from models import Net

model = Net()
criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0]))
optimizer = torch.optim.Adam(model.parameters())

def train(loader):
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()

@torch.no_grad()
def evaluate(loader):
    right = 0
    for x, y in loader:
        right += ((model(x) > 0.5) == y).sum().item()  # flagged
    return right
""",
        # the layer that makes the logits, in a model of the file
        """\
import torch
import torch.nn as nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(20, 64)
        self.fc2 = nn.Linear(64, 1)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))

class Trainer:
    def __init__(self):
        self.net = Net()
        self.loss = nn.BCEWithLogitsLoss()

    def training_step(self, x, y):
        return self.loss(self.net(x).squeeze(), y)

    def predict(self, x):
        self.net.eval()
        with torch.no_grad():
            return (self.net(x).squeeze() > 0.5).long()  # flagged
""",
        # a helper with a limit of its own
        """\
import torch.nn.functional as F

def accuracy(out, y, threshold=0.5):
    return ((out > threshold).float() == y).float().mean()  # flagged

def run(model, loader):
    for x, y in loader:
        out = model(x)
        loss = F.binary_cross_entropy_with_logits(out, y)
        loss.backward()
        print(loss.item(), accuracy(out, y))
""",
        # rounded
        """\
import torch
from torch import nn

criterion = nn.BCEWithLogitsLoss()
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))

def step(x, y):
    out = model(x)
    loss = criterion(out, y)
    predicted = torch.round(out)  # flagged
    return loss, (predicted == y).float().mean()
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
    return (model(x) > 0.5).float(), F.binary_cross_entropy_with_logits(model(x), y)  # flagged
""",
    ]

    good = [
        # zero, or the sigmoid first
        """\
import torch
import torch.nn.functional as F

def step(model, x, y):
    logits = model(x)
    loss = F.binary_cross_entropy_with_logits(logits, y)
    probs = torch.sigmoid(logits)
    a = (logits > 0).float()
    b = (probs > 0.5).float()
    c = torch.round(torch.sigmoid(logits))
    d = logits.sigmoid().ge(0.3)
    return loss, a, b, c, d
""",
        # a loss of probabilities
        """\
import torch
from torch import nn

model = nn.Sequential(nn.Linear(8, 1), nn.Sigmoid())
criterion = nn.BCELoss()

def step(x, y):
    out = model(x)
    return criterion(out, y), (out > 0.5).float(), out.round()
""",
        # another tensor: a target, a mask, noise, another output
        """\
import torch
import torch.nn.functional as F

def step(model, x, y):
    logits, gate = model(x)
    keep = torch.rand(len(x)) < 0.5
    loss = F.binary_cross_entropy_with_logits(logits, (y > 0.5).float())
    sure = torch.sigmoid(gate) > 0.9
    return loss, keep, sure, gate > 0.5, loss.item() < 0.5
""",
        # the model takes the sigmoid where it is not trained
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(20, 1)

    def forward(self, x):
        return self.fc(x)

    def predict(self, x):
        return torch.sigmoid(self.forward(x))

net = Net()

def loss(x, y):
    return F.binary_cross_entropy_with_logits(net(x), y)

def decide(x):
    return net.predict(x) > 0.5
""",
        # limits that are no probabilities, or are not known
        """\
import torch.nn.functional as F

def step(model, x, y, limit):
    logits = model(x)
    loss = F.binary_cross_entropy_with_logits(logits, y)
    return loss, logits > 2.0, logits > limit, logits < -0.5, logits == 0.5, logits.argmax(1)
""",
        # outputs that went through something on the way to the comparison
        """\
import torch
import torch.nn.functional as F

def step(model, x, y):
    logits = model(x)
    loss = F.binary_cross_entropy_with_logits(logits, y)
    scaled = (torch.tanh(logits) + 1) / 2
    return loss, scaled > 0.5, logits.softmax(1) > 0.5, logits.abs() < 0.1
""",
        # the sigmoid on one path
        """\
import torch
import torch.nn.functional as F

def step(model, x, y, training):
    out = model(x)
    if training:
        return F.binary_cross_entropy_with_logits(out, y)
    out = torch.sigmoid(out)
    return out > 0.5
""",
        # two heads: the one that is compared is trained otherwise
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 1)
        self.b = nn.Linear(8, 1)

    def forward(self, x):
        return self.a(x), self.b(x)

def step(net: Two, x, y, z):
    a, b = net(x)
    loss = F.binary_cross_entropy_with_logits(a, y) + F.mse_loss(b, z)
    return loss, (b > 0.5).float()
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report comparisons and roundings of what a binary cross-entropy takes for a logit."""
        losses = [
            loss
            for _, loss in source.ask(facts.operations).named("binary_cross_entropy_with_logits")
            if loss.operands
        ]
        for node, value, limit in _compared(source) if losses else ():
            loss = next((loss for loss in losses if _are_one(value, loss.operands[0])), None)
            if loss is not None:
                chance = 1 / (1 + math.exp(-limit))
                yield Report(
                    node,
                    f"{limit:g} is a limit for probabilities, and this is a logit: its sigmoid there is {chance:.2f}",
                    related=(Mark(loss.node, "the loss that takes it for a logit"),),
                )


_COMPARING = ("gt", "ge", "lt", "le", "greater", "greater_equal", "less", "less_equal")
_SYMBOLS = {"GreaterThan", "GreaterThanEqual", "LessThan", "LessThanEqual"}


def _compared(source: SourceFile) -> Iterator[tuple[CSTNode, Term, float]]:
    """Yield what is compared with a number between 0 and 1, and that number."""
    resolve = source.ask(facts.values).resolve
    for comparison in source.ask(facts.comparisons):
        symbols = [getattr(symbol, "value", "") for symbol in comparison.positional]
        if len(symbols) == 1 and symbols[0] in _SYMBOLS:
            left, right = map(resolve, comparison.operands)
            yield from _with_limit(comparison.node, left, right)
    for _, operation in source.ask(facts.operations).named(*_COMPARING):
        sides = (*operation.operands, *operation.positional)
        if len(sides) == 2:
            yield from _with_limit(operation.node, *sides)
    for _, operation in source.ask(facts.operations).named("round"):
        if operation.operands and operation.argument("decimals", 0) is None:
            yield operation.node, operation.operands[0], 0.5


def _with_limit(node: CSTNode, left: Term, right: Term) -> Iterator[tuple[CSTNode, Term, float]]:
    for value, limit in ((left, right), (right, left)):
        number = facts.terms.number(limit.default if isinstance(limit, facts.terms.Parameter) else limit)
        if number is not None and 0 < number < 1:
            yield node, value, number


_READING = {"numpy", "item", "tolist", "squeeze"}


def _are_one(value: Term, logits: Term) -> bool:
    """Whether all that a value can be is also given to the loss: a tensor, a layer's output, a call of one model."""
    through = facts.provenance.REARRANGING | _READING
    given = list(facts.provenance.origins(logits, through))
    made = list(facts.provenance.origins(value, through))
    return bool(made) and all(any(_is_one(one, other) for other in given) for one in made)


def _is_one(one: Term, other: Term) -> bool:
    terms = facts.terms
    if isinstance(one, terms.Constant | terms.Unknown):
        return False
    if facts.terms.same(one, other):
        return True
    if isinstance(one, terms.Operation) and isinstance(other, terms.Operation):
        return one.node is other.node and one.name in facts.outputs.KINDS and one.module is not None
    if isinstance(one, terms.Call) and isinstance(other, terms.Call):
        return facts.terms.same(one.callee, other.callee)
    return False
