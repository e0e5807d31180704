"""STB204 sigmoid-with-bce-loss: the sigmoid and the loss are two steps where one is stable."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class SigmoidWithBceLoss(StaticRule):
    """A sigmoid is followed by a plain binary cross-entropy: units that are very wrong learn nothing.

    ## What it does

    Follows the first argument of `BCELoss` and `F.binary_cross_entropy` back to where it was made,
    through names, views, functions and the `forward` of the model, and reports a sigmoid. Under an
    `autocast` for CUDA it is an error, because PyTorch refuses `binary_cross_entropy` there; in a file
    about adversarial training it is a note.

    ## Why it is bad

    In float32 the sigmoid is exactly 1 from a logit of 17 on. A logit of 20 for a negative target then
    costs 100, because the loss cuts its logarithms off at -100, and the gradient is exactly 0: the unit
    that is most wrong is the one that does not learn. On the other side it fades: at a logit of -30 for a
    positive target the gradient is -0.09 instead of -1, at -50 it is -2e-10. `BCEWithLogitsLoss` costs 20
    with the gradient 1, and 30 with the gradient -1 (torch 2.13). In half precision the sigmoid is 1 from
    8.5 on.

    ## Example

    ```python
    p = torch.sigmoid(self.head(x))
    loss = F.binary_cross_entropy(p, y)
    ```

    ## Use instead

    ```python
    logits = self.head(x)
    loss = F.binary_cross_entropy_with_logits(logits, y)
    ```

    Take the sigmoid where probabilities are shown or compared; or compare the logit with 0 instead of
    the probability with 0.5.

    ## When to ignore it

    Where the logits are known to stay small. A sigmoid of something bounded (a cosine, a `tanh`, a
    clamped value), probabilities that are clamped, mixed or multiplied before the loss, and losses under
    `no_grad` are not reported.

    ## Fix safety

    Unsafe: the loss changes where it was cut off. Where the sigmoid is written inside the call of the
    loss, both are replaced. Elsewhere no fix is offered, because other code may rely on the
    probabilities.

    ## References

    - [torch.nn.BCELoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html)
    - [torch.nn.BCEWithLogitsLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html)
    - [Autocast: prefer binary_cross_entropy_with_logits](https://docs.pytorch.org/docs/stable/amp.html#prefer-binary-cross-entropy-with-logits-over-binary-cross-entropy)
    """

    code = "STB204"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # inside the call, in many spellings
        """\
import torch
import torch.nn.functional as F
from torch import nn

def losses(z, y, w):
    a = F.binary_cross_entropy(torch.sigmoid(z), y)  # flagged
    b = F.binary_cross_entropy(z.sigmoid(), y, weight=w, reduction="sum")  # flagged
    c = nn.functional.binary_cross_entropy(input=F.sigmoid(z), target=y)  # flagged
    d = nn.BCELoss(reduction="none")(nn.Sigmoid()(z + 1), y)  # flagged
    return a + b + c + d.mean()
""",
        # the model's forward ends in a sigmoid
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(8, 32)
        self.fc2 = nn.Linear(32, 1)

    def forward(self, x):
        return torch.sigmoid(self.fc2(torch.relu(self.fc1(x))))  # flagged

def train(loader):
    net = Net()
    criterion = nn.BCELoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(net(x), y)
        loss.backward()
        optimizer.step()
""",
        # the last of a Sequential
        """\
import torch
from torch import nn

model = nn.Sequential(
    nn.Linear(20, 64),
    nn.ReLU(),
    nn.Linear(64, 1),
    nn.Sigmoid(),  # flagged
)
loss_fn = nn.BCELoss()

def step(x, y):
    return loss_fn(model(x).squeeze(1), y)
""",
        # through names and views
        """\
import torch
import torch.nn.functional as F

def loss(features, weight, target):
    p = torch.sigmoid(features @ weight)  # flagged
    p = p.view(-1).float()
    return F.binary_cross_entropy(p, target.view(-1))
""",
        # a layer kept in an attribute, a trainer that holds the loss
        """\
import torch
from torch import nn

class Head(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc = nn.Linear(width, 1)
        self.act = nn.Sigmoid()

    def forward(self, x):
        return self.act(self.fc(x))  # flagged

class Trainer:
    def __init__(self):
        self.model = Head(32)
        self.criterion = nn.BCELoss()
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def fit(self, loader):
        for batch in loader:
            loss = self.criterion(self.model(batch["x"]), batch["y"])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
""",
        # an error where PyTorch refuses it
        """\
import torch
import torch.nn.functional as F

def step(model, x, y):
    with torch.autocast("cuda", dtype=torch.float16):
        p = torch.sigmoid(model(x))  # flagged
        return F.binary_cross_entropy(p, y)
""",
        # an autoencoder's reconstruction
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Linear(784, 40)
        self.dec = nn.Linear(20, 784)

    def decode(self, z):
        return torch.sigmoid(self.dec(z))  # flagged

    def forward(self, x):
        mu, logvar = self.enc(x).chunk(2, dim=1)
        return self.decode(mu + torch.randn_like(mu) * (0.5 * logvar).exp()), mu, logvar

def loss(x, vae: Vae):
    recon, mu, logvar = vae(x)
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return F.binary_cross_entropy(recon, x.view(-1, 784), reduction="sum") + kl
""",
        # a discriminator: a note
        """\
import torch
from torch import nn

class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(784, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1), nn.Sigmoid())  # flagged

    def forward(self, x):
        return self.model(x)

discriminator = Discriminator()
adversarial_loss = nn.BCELoss()

def d_loss(real, fake, ones, zeros):
    real_loss = adversarial_loss(discriminator(real), ones)
    return (real_loss + adversarial_loss(discriminator(fake.detach()), zeros)) / 2
""",
        # on every branch
        """\
import torch
import torch.nn.functional as F

def loss(logits, y, temperature=None):
    if temperature is None:
        p = torch.sigmoid(logits)
    else:
        p = torch.sigmoid(logits / temperature)  # flagged
    return F.binary_cross_entropy(p, y)
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
    return F.binary_cross_entropy(model(x), y)  # flagged
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F
from torch import nn

def losses(z, y, w):
    a = F.binary_cross_entropy_with_logits(z, y)
    b = F.binary_cross_entropy_with_logits(z, y, weight=w, reduction="sum")
    c = nn.functional.binary_cross_entropy_with_logits(input=z, target=y)
    d = nn.BCEWithLogitsLoss(reduction="none")(z + 1, y)
    return a + b + c + d.mean()
""",
    ]

    good = [
        # logits for the loss, probabilities for the eye
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 1)

    def forward(self, x):
        return self.fc(x)

def step(net: Net, x, y):
    logits = net(x)
    loss = F.binary_cross_entropy_with_logits(logits, y)
    return loss, torch.sigmoid(logits)
""",
        # probabilities of unknown origin
        """\
import torch.nn.functional as F

def loss(p, y):
    return F.binary_cross_entropy(p, y)
""",
        # a softmax is another matter
        """\
import torch
import torch.nn.functional as F

def loss(logits, y):
    return F.binary_cross_entropy(torch.softmax(logits, dim=-1), y)
""",
        # clamped away from the ends
        """\
import torch
import torch.nn.functional as F

def loss(logits, y):
    p = torch.sigmoid(logits).clamp(1e-6, 1 - 1e-6)
    return F.binary_cross_entropy(p, y)
""",
        # a sigmoid of what is bounded
        """\
import torch
import torch.nn.functional as F

def losses(a, b, logits, y):
    similar = torch.sigmoid(5 * F.cosine_similarity(a, b))
    bounded = torch.sigmoid(4 * torch.tanh(logits))
    clamped = torch.sigmoid(logits.clamp(-10, 10))
    return sum(F.binary_cross_entropy(p, y) for p in (similar, bounded, clamped))
""",
        # a metric
        """\
import torch
import torch.nn.functional as F

@torch.no_grad()
def evaluate(model, loader):
    total = 0.0
    for x, y in loader:
        total += F.binary_cross_entropy(torch.sigmoid(model(x)), y, reduction="sum").item()
    return total
""",
        # a product of probabilities has no logit
        """\
import torch
import torch.nn.functional as F

def loss(gate, head, y):
    p = torch.sigmoid(gate) * torch.sigmoid(head)
    q = 0.5 * (torch.sigmoid(gate) + torch.sigmoid(head))
    return F.binary_cross_entropy(p, y) + F.binary_cross_entropy(q, y)
""",
        # the target of a distillation
        """\
import torch
import torch.nn.functional as F

def distil(student, teacher, x):
    with torch.no_grad():
        soft = torch.sigmoid(teacher(x))
    return F.binary_cross_entropy(student.probability(x), soft)
""",
        # on one branch only
        """\
import torch
import torch.nn.functional as F

def loss(out, y, is_logit):
    if is_logit:
        out = torch.sigmoid(out)
    return F.binary_cross_entropy(out, y)
""",
        # another output of the same model
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(8, 8)
        self.flow = nn.Linear(8, 1)

    def forward(self, x):
        weights = torch.sigmoid(self.gate(x))
        return self.flow(x * weights), weights

def loss(net: Net, x, y):
    out, weights = net(x)
    return F.binary_cross_entropy_with_logits(out, y) + weights.mean()
""",
        # gates, and a policy that samples
        """\
import torch
from torch import nn
from torch.distributions import Bernoulli

class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 1)

    def forward(self, s):
        return torch.sigmoid(self.fc(s))

def loss(policy: Policy, s, reward):
    chosen = Bernoulli(probs=policy(s))
    return -(chosen.log_prob(chosen.sample()) * reward).mean()
""",
        # another loss
        """\
import torch
import torch.nn.functional as F

def losses(z, y):
    p = torch.sigmoid(z)
    return F.mse_loss(p, y) + F.l1_loss(p, y)
""",
        # a focal loss follows its argument, not the company
        """\
import torch
import torch.nn.functional as F

def focal(logits, y, gamma=2.0):
    p = torch.sigmoid(logits)
    ce = F.binary_cross_entropy_with_logits(logits, y, reduction="none")
    p_t = p * y + (1 - p) * (1 - y)
    return (ce * (1 - p_t) ** gamma).mean()
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each sigmoid whose result is given to a plain binary cross-entropy that is trained with."""
        for pairing in facts.outputs.pairings(source, "binary_cross_entropy", "sigmoid"):
            made = pairing.made
            losses = [loss for loss in pairing.losses if loss.graph]
            if not losses or not made.graph or not _saturates(made):
                continue
            refused = any(_is_refused(source, loss) for loss in losses)
            fix = _fix(source, losses[0], made)
            yield Report(
                made.node,
                _REFUSED if refused else _MESSAGE,
                severity=Severity.ERROR if refused else _severity(source),
                related=() if fix else tuple(Mark(loss.node, "the loss that takes it") for loss in losses),
                fix=fix,
            )


_MESSAGE = (
    "sigmoid before binary_cross_entropy: from a logit of 17 on, a wrong unit gets a gradient of exactly 0; "
    "binary_cross_entropy_with_logits is stable"
)
_REFUSED = (
    "sigmoid before binary_cross_entropy, which CUDA autocast refuses to run: "
    "use binary_cross_entropy_with_logits"
)
_ADVERSARIAL = re.compile(
    r"discriminator|adversari|^(net_?|opt(im(izer)?)?_?)d$|^d_?(loss|real|fake)", re.IGNORECASE
)


def _saturates(made: Operation) -> bool:
    """Whether the sigmoid can come out as exactly 0 or 1."""
    held = facts.intervals.interval(made)
    return held.low <= 0 or held.high >= 1


def _severity(source: SourceFile) -> Severity | None:
    """Advise only where the loss is a game of two networks: textbooks write it so, and it trains."""
    names = source.ask(facts.syntax).identifiers
    return Severity.NOTE if any(_ADVERSARIAL.search(name) for name in names) else None


def _is_refused(source: SourceFile, loss: Operation) -> bool:
    """Whether the loss is certainly computed under an autocast for CUDA."""
    values = source.ask(facts.values)
    place = values.interpreter.sites.get(id(loss.node))
    block = facts.statements.block_of(source, place[2]) if place is not None else None
    entered = [
        one.item
        for around in (block.outward() if block is not None else ())
        if around.kind == "with"
        for one in getattr(around.node, "items", ())
    ]
    # The innermost autocast decides.
    return next((_is_for_cuda(values.of(one)) for one in entered if "autocast" in source.code(one)), False)


def _is_for_cuda(manager: Term) -> bool:
    """Whether a manager is certainly a CUDA autocast; the old spelling for CUDA names no device."""
    if getattr(manager, "dotted", "") != "torch.amp.autocast":
        return False
    given = (*getattr(manager, "operands", ()), *getattr(manager, "positional", ()))
    keywords = getattr(manager, "keywords", {})
    device = keywords.get("device_type", given[0] if given else None)
    enabled = keywords.get("enabled")
    is_on = enabled is None or getattr(enabled, "value", None) is True
    return is_on and len(given) <= 2 and (device is None or getattr(device, "value", None) == "cuda")


def _fix(source: SourceFile, loss: Operation, made: Operation) -> ProposedFix | None:
    """Use the loss that takes logits where the sigmoid is written inside its call."""
    operand = facts.outputs.written_inside(source, loss, made)
    renamed = facts.spelling.renamed(loss.node, _STABLE)
    if operand is None or renamed is None:
        return None
    old = getattr(loss.node, "func", loss.node)
    changes = (
        Replace(old, source.code(renamed.func)),
        Replace(made.node, facts.spelling.bare(source, operand)),
    )
    return ProposedFix("use binary_cross_entropy_with_logits", Applicability.UNSAFE, changes)


_STABLE = {
    "binary_cross_entropy": "binary_cross_entropy_with_logits",
    "BCELoss": "BCEWithLogitsLoss",
}
