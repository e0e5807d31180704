"""STB202 sigmoid-before-bce-with-logits: the sigmoid is taken twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.terms import Operation
    from stablint.static.source import SourceFile


class SigmoidBeforeBceWithLogits(StaticRule):
    """A sigmoid (or softmax) is fed to a binary cross-entropy that takes the sigmoid itself.

    ## What it does

    Follows the first argument of `BCEWithLogitsLoss` and `F.binary_cross_entropy_with_logits` back to
    where it was made, through names, views, functions and the `forward` of the model, and reports a
    sigmoid or softmax.

    ## Why it is bad

    `BCEWithLogitsLoss` applies the sigmoid itself. Of a number between 0 and 1 it makes one between 0.5
    and 0.73: the model can never say "no". The best loss that can be reached is 0.313 for a positive and
    0.693 for a negative target, where it should be 0 (torch 2.13), so with many negatives the loss seems
    to stand still at 0.69, and the gradient passes through one sigmoid too many, which divides it by at
    least four.

    ## Example

    ```python
    out = torch.sigmoid(self.head(x))
    loss = F.binary_cross_entropy_with_logits(out, y)
    ```

    ## Use instead

    ```python
    out = self.head(x)
    loss = F.binary_cross_entropy_with_logits(out, y)
    ```

    Take the sigmoid where probabilities are shown or compared; or compare the logit with 0 instead of
    the probability with 0.5.

    ## When to ignore it

    Hardly ever. A sigmoid of the same logits that goes elsewhere (a focal weight, a metric, the target)
    is not reported.

    ## Fix safety

    Unsafe: the loss changes, to the one that was meant. Where the sigmoid is written inside the call of
    the loss, it is dropped. Elsewhere no fix is offered, because other code may rely on the
    probabilities.

    ## References

    - [torch.nn.BCEWithLogitsLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html)
    - [torch.nn.functional.binary_cross_entropy_with_logits](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy_with_logits.html)
    """

    code = "STB202"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # inside the call, in many spellings
        """\
import torch
import torch.nn.functional as F
from torch import nn

def losses(logits, y):
    a = F.binary_cross_entropy_with_logits(torch.sigmoid(logits), y)  # flagged
    b = F.binary_cross_entropy_with_logits(logits.sigmoid(), y, reduction="sum")  # flagged
    c = F.binary_cross_entropy_with_logits(input=F.sigmoid(logits), target=y)  # flagged
    d = F.binary_cross_entropy_with_logits(torch.softmax(logits, dim=1), y)  # flagged
    e = nn.BCEWithLogitsLoss()(nn.Sigmoid()(logits), y)  # flagged
    return a + b + c + d + e
""",
        # through a name and a squeeze
        """\
import torch
from torch import nn

def train(model, loader):
    criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0]))
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in loader:
        out = torch.sigmoid(model(x))  # flagged
        loss = criterion(out.squeeze(1), y.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # the model's forward ends in a sigmoid
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 16, 3, padding=1)
        self.head = nn.Conv2d(16, 1, 1)

    def forward(self, x):
        x = F.relu(self.body(x))
        return torch.sigmoid(self.head(x))  # flagged

class Trainer:
    def __init__(self):
        self.net = Segmenter()
        self.bce = nn.BCEWithLogitsLoss()

    def loss(self, image, mask):
        predicted = self.net(image)
        return self.bce(predicted, mask)
""",
        # a discriminator that ends in nn.Sigmoid
        """\
import torch
from torch import nn

D = nn.Sequential(nn.Linear(784, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1), nn.Sigmoid())  # flagged
G = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 784), nn.Tanh())
bce = nn.BCEWithLogitsLoss()

def d_loss(real):
    ones, zeros = torch.ones(real.size(0), 1), torch.zeros(real.size(0), 1)
    real_loss = bce(D(real), ones)
    fake_loss = bce(D(G(torch.randn(real.size(0), 64)).detach()), zeros)
    return real_loss + fake_loss
""",
        # one of two heads
        """\
from torch import nn

class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.box = nn.Linear(32, 4)
        self.obj = nn.Linear(32, 1)

    def forward(self, x):
        return self.box(x), self.obj(x).sigmoid()  # flagged

def loss(x, box, obj):
    model = TwoHeads()
    out = model(x)
    box_loss = nn.functional.smooth_l1_loss(out[0], box)
    return box_loss + nn.functional.binary_cross_entropy_with_logits(out[1], obj)
""",
        # in a Lightning module, and through a helper
        """\
import lightning as L
import torch
from torch import nn

class Tagger(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(128, 20)
        self.loss = nn.BCEWithLogitsLoss()

    def probabilities(self, x):
        return torch.sigmoid(self.fc(x))  # flagged

    def training_step(self, batch, batch_idx):
        x, y = batch
        return self.loss(self.probabilities(x), y)
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
        return torch.sigmoid(self.fc(x)).squeeze(1)

# file: train.py
import torch.nn.functional as F
from models.net import Net

model = Net()

def step(x, y):
    return F.binary_cross_entropy_with_logits(model(x), y)  # flagged
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F
from torch import nn

def losses(logits, y):
    a = F.binary_cross_entropy_with_logits(logits, y)  # flagged
    b = F.binary_cross_entropy_with_logits(logits, y, reduction="sum")  # flagged
    c = F.binary_cross_entropy_with_logits(input=logits, target=y)  # flagged
    d = F.binary_cross_entropy_with_logits(logits, y)  # flagged
    e = nn.BCEWithLogitsLoss()(logits, y)  # flagged
    return a + b + c + d + e
""",
        None,
        None,
        None,
        None,
        None,
    ]

    good = [
        # logits for the loss, probabilities for the metric
        """\
import torch
import torch.nn.functional as F

def step(model, x, y):
    logits = model(x).squeeze(1)
    loss = F.binary_cross_entropy_with_logits(logits, y)
    accuracy = ((torch.sigmoid(logits) > 0.5) == y.bool()).float().mean()
    logits = logits.sigmoid()
    return loss, accuracy, logits
""",
        # the focal weight is made of probabilities, the loss of logits
        """\
import torch
import torch.nn.functional as F

def focal(inputs, targets, alpha=0.25, gamma=2.0):
    p = torch.sigmoid(inputs)
    ce = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    return ((alpha * targets + (1 - alpha) * (1 - targets)) * ce * (1 - p_t) ** gamma).mean()

def weighted(inputs, targets):
    return F.binary_cross_entropy_with_logits(inputs, targets, weight=torch.sigmoid(inputs).detach())
""",
        # probabilities are the target
        """\
import torch
import torch.nn.functional as F

def distil(student, teacher, x):
    with torch.no_grad():
        target = torch.sigmoid(teacher(x))
    return F.binary_cross_entropy_with_logits(student(x), target)
""",
        # the loss that wants probabilities
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(20, 784)

    def forward(self, z):
        return torch.sigmoid(self.out(z))

def vae_loss(decoder: Decoder, z, x):
    return F.binary_cross_entropy(decoder(z), x, reduction="sum") + nn.BCELoss()(decoder(z), x)
""",
        # of two outputs, the logits
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 1)

    def forward(self, x):
        logits = self.linear(x)
        return logits, torch.sigmoid(logits)

def loss(x, y):
    logits, probas = Net()(x)
    return nn.BCEWithLogitsLoss()(logits, y), probas
""",
        # gates: what comes out is no probability
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.value = nn.Linear(8, 1)
        self.gate = nn.Linear(8, 1)

    def forward(self, x):
        return self.value(x) * torch.sigmoid(self.gate(x))

def loss(x, y):
    swish = x * torch.sigmoid(x)
    return F.binary_cross_entropy_with_logits(Gated()(swish), y)
""",
        # back to logits, and stretched
        """\
import torch
import torch.nn.functional as F

def losses(x, w, y):
    p = torch.sigmoid(x @ w)
    a = F.binary_cross_entropy_with_logits(torch.logit(p, eps=1e-6), y)
    b = F.binary_cross_entropy_with_logits(torch.log(p / (1 - p + 1e-6) + 1e-6), y)
    c = F.binary_cross_entropy_with_logits(10 * (p - 0.5), y)
    return a + b + c
""",
        # probabilities at inference only
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 1)

    def forward(self, x):
        x = self.fc(x)
        return x if self.training else torch.sigmoid(x)

def train(loader):
    model = Net()
    model.train()
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # another model of the same file ends in a sigmoid
        """\
import torch
from torch import nn

class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 784), nn.Sigmoid())

    def forward(self, z):
        return self.net(z)

class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, x):
        return self.net(x)

def g_loss(generator: Generator, critic: Critic, n):
    return nn.BCEWithLogitsLoss()(critic(generator(torch.randn(n, 64))), torch.ones(n, 1))
""",
        # a model and a loss of which nothing is known
        """\
import torch
from torch import nn
from losses import BCEWithLogitsLoss

def loss(model, x, y):
    unknown = nn.BCEWithLogitsLoss()(model(x), y)
    own = BCEWithLogitsLoss()(torch.sigmoid(model(x)), y)
    return unknown + own
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report activations whose result is given to a binary cross-entropy with logits."""
        for pairing in facts.outputs.pairings(
            source, "binary_cross_entropy_with_logits", "sigmoid", "softmax"
        ):
            made = pairing.made
            fix = _fix(source, pairing.losses[0], made)
            yield Report(
                made.node,
                f"{made.name} before binary_cross_entropy_with_logits, which takes the sigmoid itself: "
                "no loss below 0.693 for a negative target, none below 0.313 for a positive",
                related=()
                if fix
                else tuple(Mark(loss.node, "the loss that takes it") for loss in pairing.losses),
                fix=fix,
            )


def _fix(source: SourceFile, loss: Operation, made: Operation) -> ProposedFix | None:
    """Leave the activation out where it is written inside the call of the loss."""
    operand = facts.outputs.written_inside(source, loss, made)
    if operand is None:
        return None
    change = Replace(made.node, facts.spelling.bare(source, operand))
    return ProposedFix(f"drop {made.name}", Applicability.UNSAFE, (change,))
