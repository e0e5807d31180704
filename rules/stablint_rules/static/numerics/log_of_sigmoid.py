"""STB302 log-of-sigmoid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.logarithms import Logarithm
    from stablint.static.facts.terms import Operation
    from stablint.static.source import SourceFile


class LogOfSigmoid(StaticRule):
    """The logarithm of a sigmoid, or of one minus it, is taken in two steps.

    ## What it does
    Reports `log`, `log2`, `log10` of `sigmoid(x)` or of `1 - sigmoid(x)`, and `log1p(-sigmoid(x))`, when
    nothing keeps the argument away from zero. The sigmoid may stand inside the call, behind a name or an
    index, or be the last layer of a model in the same file (the GAN loss `log(D(x)) + log(1 -
    D(G(z)))`).

    ## Why it is bad
    `1 - sigmoid(x)` is exactly 0 from x = 17 on in float32, because `sigmoid(17)` rounds to 1: its
    logarithm is `-inf` for a logit that every discriminator reaches. `log(sigmoid(x))` is `-inf` at x =
    -104. In both cases the gradient is NaN, and one optimizer step later so is every weight.
    `logsigmoid(-17)` is -17 and `logsigmoid(-104)` is -104, each with the right gradient (measured with
    torch 2.13).

    ## Example
    ```python
    loss = -(torch.log(torch.sigmoid(pos)) + torch.log(1 - torch.sigmoid(neg))).mean()
    ```

    ## Use instead
    ```python
    loss = -(F.logsigmoid(pos) + F.logsigmoid(-neg)).mean()
    ```
    Where the sigmoid ends a model, take it out and train on the logits with
    `binary_cross_entropy_with_logits`; apply the sigmoid only to look at the result.

    ## When to ignore it
    When the logits are bounded well inside (-104, 16), as after `5 * tanh(x)`. A table computed once
    from a constant range is not reported. Under `no_grad` the finding is a note.

    ## Fix safety
    Safe: the same value up to rounding, except where the original was `-inf`. It is offered where the
    sigmoid stands inside the natural logarithm and torch, `torch.nn` or `torch.nn.functional` has a name
    in the file. Where the probability has a name of its own, that name would lie afterwards, so only the
    report is made. Integer tensors, which `sigmoid` takes, are refused by `logsigmoid`.

    ## References
    - [torch.nn.functional.logsigmoid](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.logsigmoid.html)
    - [torch.nn.LogSigmoid](https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSigmoid.html)
    - [torch.nn.BCEWithLogitsLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html)
    """

    code = "STB302"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # The page's example: negative sampling.
        """\
import torch
import torch.nn.functional as F


def ranking_loss(pos, neg):
    loss = -(torch.log(torch.sigmoid(pos)) + torch.log(1 - torch.sigmoid(neg))).mean()  # flagged
    return loss + F.mse_loss(pos, neg)
""",
        # Methods; only torch itself has a name, so the fix spells the function out.
        """\
import torch


def edge_loss(pos: torch.Tensor, neg: torch.Tensor):
    pos_loss = -pos.sigmoid().log().mean()  # flagged
    neg_loss = -(1.0 - neg.sigmoid()).log().mean()  # flagged
    return pos_loss + neg_loss
""",
        # An argument that needs parentheses once a minus stands before it; one that does not.
        """\
import torch
from torch.nn import functional as F


def pairwise(users, items, others):
    good = torch.log(F.sigmoid((users * items).sum(1) - (users * others).sum(1)))  # flagged
    rest = torch.log1p(-torch.sigmoid(users @ others.t() / 8))  # flagged
    return -good.mean() - rest.mean()
""",
        # A module built on the spot, and the reconstruction loss of a graph auto-encoder.
        """\
import torch
from torch import nn


def reconstruction(adj, edge_index, negatives, score):
    row, col = edge_index
    loss = -torch.log(torch.sigmoid(adj[row, col])).mean()  # flagged
    loss = loss - torch.log(1 - torch.sigmoid(adj[negatives])).mean()  # flagged
    return loss - torch.log(nn.Sigmoid()(score)).mean()  # flagged
""",
        # Logistic regression by hand: one probability, two logarithms.
        """\
import torch

x = torch.tensor([[1.0, 2.0], [2.0, 3.0], [3.0, 1.0], [4.0, 3.0]])
y = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
W = torch.zeros((2, 1), requires_grad=True)
b = torch.zeros(1, requires_grad=True)
optimizer = torch.optim.SGD([W, b], lr=1)

for epoch in range(1000):
    hypothesis = torch.sigmoid(x.matmul(W) + b)
    cost = -(y * torch.log(hypothesis) + (1 - y) * torch.log(1 - hypothesis)).mean()  # flagged
    optimizer.zero_grad()
    cost.backward()
    optimizer.step()
""",
        # The same without an optimizer: the weights are made leaves again in every round.
        """\
import torch

x = torch.tensor([[1.0, 2.0], [2.0, 3.0]])
y = torch.tensor([[0.0], [1.0]])
W = torch.zeros((2, 1))

while True:
    W.requires_grad_(True)
    hypothesis = torch.sigmoid(torch.mm(x, W))
    cost = torch.mean(-y * torch.log(hypothesis))  # flagged
    cost.backward()
    with torch.no_grad():
        W = W - 0.1 * W.grad
""",
        # A discriminator that ends in a sigmoid, as a plain Sequential.
        """\
import torch
import torch.nn as nn

G = nn.Sequential(nn.Linear(5, 128), nn.ReLU(), nn.Linear(128, 15))
D = nn.Sequential(nn.Linear(15, 128), nn.ReLU(), nn.Linear(128, 1), nn.Sigmoid())
opt_d = torch.optim.Adam(D.parameters(), lr=1e-4)
opt_g = torch.optim.Adam(G.parameters(), lr=1e-4)

for step in range(10000):
    real = torch.randn(64, 15)
    fake = G(torch.randn(64, 5))
    g_loss = torch.mean(torch.log(1.0 - D(fake)))  # flagged
    opt_g.zero_grad()
    g_loss.backward()
    opt_g.step()
    prob_real = D(real)
    prob_fake = D(fake.detach())
    d_loss = -torch.mean(
        torch.log(prob_real)  # flagged
        + torch.log(1.0 - prob_fake)  # flagged
    )
    opt_d.zero_grad()
    d_loss.backward()
    opt_d.step()
""",
        # The same with a class: the sigmoid is the last layer of an attribute.
        """\
import torch
import torch.nn as nn


class Discriminator(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.model = nn.Sequential(
            nn.Linear(size, 256),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(256, 1),
            nn.Sigmoid(),
        )

    def forward(self, img):
        return self.model(img.view(img.size(0), -1))


def train(generator, loader):
    discriminator = Discriminator(784)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=2e-4)
    for real, _ in loader:
        fake = generator(torch.randn(real.size(0), 100)).detach()
        d_real = discriminator(real)
        d_fake = discriminator(fake)
        d_loss = -(torch.log(d_real) + torch.log(1 - d_fake)).mean()  # flagged
        optimizer.zero_grad()
        d_loss.backward()
        optimizer.step()
""",
        # forward returns torch.sigmoid(...); the loss is a method of another class.
        """\
import torch
from torch import nn


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(10, 1)

    def forward(self, x):
        return torch.sigmoid(self.fc(x)).squeeze(-1)


class Trainer:
    def __init__(self):
        self.critic = Critic()

    def generator_loss(self, fake):
        score = self.critic(fake)
        return -score.log().mean()  # flagged
""",
        # A layer kept as an attribute; log2 is no less dangerous.
        """\
import torch
from torch import nn


class Gate(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.logits = nn.Parameter(torch.randn(width))
        self.squash = nn.Sigmoid()

    def forward(self, x):
        return x * self.squash(self.logits)

    def bits(self):
        p = self.squash(self.logits)
        return -(p * torch.log2(p) + (1 - p) * torch.log2(1 - p)).sum()  # flagged
""",
        # A helper makes the probability.
        """\
import torch


def link_probability(z, edges):
    return torch.sigmoid((z[edges[0]] * z[edges[1]]).sum(dim=-1))


def loss(z, positive, negative):
    value = -torch.log(link_probability(z, positive)).mean()  # flagged
    value -= torch.log(1 - link_probability(z, negative)).mean()  # flagged
    return value
""",
        # Two values returned, unpacked; both branches give a probability.
        """\
import torch


def heads(features, w_a, w_b, hard):
    click = torch.sigmoid(features @ w_a)
    if hard:
        buy = torch.sigmoid(features @ w_b)
    else:
        buy = torch.sigmoid(features @ w_b / 2)
    return click, buy


def both(features, w_a, w_b):
    click, buy = heads(features, w_a, w_b, True)
    return -(click.log() + torch.log(buy)).mean()  # flagged
""",
        # The clamp stands outside the logarithm.
        """\
import torch


def bce(logits, y):
    p = torch.sigmoid(logits)
    pos = torch.clamp(torch.log(p), min=-100)  # flagged
    neg = torch.log(1 - p).clamp(min=-100)  # flagged
    return -(y * pos + (1 - y) * neg).mean()
""",
        # Imitation learning: the reward is minus infinity plus infinity; nothing is trained here, so a note.
        """\
import torch
from torch import nn


class Rewarder(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(size, 64), nn.Tanh(), nn.Linear(64, 1))

    def reward(self, state, action):
        with torch.no_grad():
            d = self.trunk(torch.cat([state, action], dim=1))
            s = torch.sigmoid(d)
            return s.log() - (1 - s).log()  # flagged
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
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        return torch.sigmoid(self.fc(x))

# file: train.py
import torch
from models.net import Net

model = Net()

def step(x, y):
    return -(y * torch.log(model(x))).mean()  # flagged
""",
    ]

    good = [
        # The remedy, in its spellings.
        """\
import torch
import torch.nn.functional as F
from torch import nn


def loss(pos, neg, target):
    a = -(F.logsigmoid(pos) + F.logsigmoid(-neg)).mean()
    b = -nn.LogSigmoid()(pos).mean() + F.softplus(neg).mean()
    return a + b + F.binary_cross_entropy_with_logits(pos, target)
""",
        # An epsilon inside: added to the probability, and to one minus it.
        """\
import torch

EPS = 1e-15


def guarded(pos, neg, eps=1e-8):
    a = -torch.log(torch.sigmoid(pos) + EPS).mean()
    b = -torch.log(1 - torch.sigmoid(neg) + EPS).mean()
    c = -(1 - neg.sigmoid() + eps).log().mean()
    d = -torch.log(1.0 + 1e-6 - neg.sigmoid()).mean()
    return a + b + c + d
""",
        # A clamp before the logarithm that leaves room at the end that is used.
        """\
import torch


def guarded(logits, y):
    p = torch.sigmoid(logits).clamp(1e-6, 1 - 1e-6)
    q = torch.clamp(torch.sigmoid(logits), min=1e-7)
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean() - q.log().mean()
""",
        # A table built once from a constant range, which never reaches the ends.
        """\
import torch

grid = torch.arange(-10, 10, 0.01)
log_table = torch.log(torch.sigmoid(grid))
other = torch.log(1 - torch.sigmoid(torch.linspace(-8.0, 8.0, steps=512)))
""",
        # A discriminator without a sigmoid: nothing is known of its output.
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, x):
        return self.net(x)


def losses(real, fake):
    critic = Critic()
    return F.softplus(-critic(real)).mean() + F.softplus(critic(fake)).mean()
""",
        # A sigmoid inside the model, not at its end.
        """\
import torch
from torch import nn

model = nn.Sequential(nn.Linear(8, 64), nn.Sigmoid(), nn.Linear(64, 1), nn.Softplus())


def loss(x, eps=1e-6):
    return torch.log(model(x) + eps).mean()
""",
        # Far from zero: 1 + p, 2 - p, p squeezed into [0.05, 0.95].
        """\
import torch


def positive(x):
    p = torch.sigmoid(x)
    return torch.log(1 + p), torch.log(2 - p), torch.log(0.9 * p + 0.05)
""",
        # A gate: the product with something unknown is unknown.
        """\
import torch


def swish(x):
    return x * torch.sigmoid(x)


def f(x):
    return torch.log(1e-3 + swish(x).abs())
""",
        # Losses that guard themselves.
        """\
import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli


def loss(logits, y):
    p = torch.sigmoid(logits)
    return F.binary_cross_entropy(p, y) - Bernoulli(probs=p).log_prob(y).mean()
""",
        # A logarithm of something else next to a sigmoid.
        """\
import torch


class Actor(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(4, 2)
        self.scale = 2.0

    def forward(self, x):
        mean, raw = self.fc(x).chunk(2, dim=-1)
        action = torch.tanh(mean)
        log_prob = -torch.log(self.scale * (1 - action.pow(2)) + 1e-6)
        return torch.sigmoid(raw), log_prob
""",
        # Bound again before the logarithm.
        """\
import torch


def loss(x, y, prior):
    p = torch.sigmoid(x)
    acc = ((p > 0.5) == y).float().mean()
    p = prior
    return -torch.log(p).mean(), acc
""",
        # A function of that name which is no sigmoid, and NumPy's.
        """\
import numpy as np
import torch


def sigmoid(z):
    return 0.01 + 0.98 * torch.special.expit(z)


def np_sigmoid(z):
    return 1 / (1 + np.exp(-z))


def curves(x, grid):
    return torch.log(sigmoid(x)), np.log(np_sigmoid(grid))
""",
        # Methods called log that are no logarithm.
        """\
import torch


class Task:
    def __init__(self, run):
        self.run = run

    def log(self, name, value):
        self.run.log({name: value})

    def step(self, x):
        p = torch.sigmoid(x)
        self.log("probability", p.mean())
        return p
""",
        # The logit of a probability, with its own eps.
        """\
import torch


def inverse(p, x):
    return torch.logit(torch.sigmoid(x), eps=1e-6) + torch.special.logit(p, 1e-6)
""",
        # Zeros are replaced before the logarithm.
        """\
import torch


def loss(x):
    p = torch.sigmoid(x)
    safe = torch.where(p > 0, p, torch.ones_like(p))
    return torch.log(safe).mean()
""",
        # Another slot of the tuple.
        """\
import torch


def heads(x):
    return torch.sigmoid(x), x.exp()


def loss(x):
    gate, rate = heads(x)
    return torch.log(rate).mean() * gate.mean()
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F


def ranking_loss(pos, neg):
    loss = -(F.logsigmoid(pos) + F.logsigmoid(-neg)).mean()
    return loss + F.mse_loss(pos, neg)
""",
        """\
import torch


def edge_loss(pos: torch.Tensor, neg: torch.Tensor):
    pos_loss = -torch.nn.functional.logsigmoid(pos).mean()
    neg_loss = -torch.nn.functional.logsigmoid(-neg).mean()
    return pos_loss + neg_loss
""",
        """\
import torch
from torch.nn import functional as F


def pairwise(users, items, others):
    good = F.logsigmoid((users * items).sum(1) - (users * others).sum(1))
    rest = F.logsigmoid(-(users @ others.t() / 8))
    return -good.mean() - rest.mean()
""",
        """\
import torch
from torch import nn


def reconstruction(adj, edge_index, negatives, score):
    row, col = edge_index
    loss = -nn.functional.logsigmoid(adj[row, col]).mean()
    loss = loss - nn.functional.logsigmoid(-adj[negatives]).mean()
    return loss - nn.functional.logsigmoid(score).mean()
""",
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the logarithms of a bare sigmoid, and of one minus it."""
        for found in facts.logarithms.logarithms(source.ask(facts.operations)):
            sigmoid = found.sigmoid
            if sigmoid is None or facts.gradients.is_constant(found.argument):
                continue
            if facts.zeros.is_tested(source, found.site):
                continue
            fix = _fix(source, found, sigmoid)
            is_trained = facts.differentiation.carries_gradient(source, found.site, found.operation)
            yield Report(
                found.site.node,
                _message(found, fix is not None, is_trained),
                severity=None if is_trained else Severity.NOTE,
                related=() if fix else (Mark(sigmoid.node, "the sigmoid"),),
                fix=fix,
            )


def _message(found: Logarithm, is_direct: bool, is_trained: bool) -> str:
    if found.operation.name == "log1p":
        what = "log1p of minus sigmoid"
    else:
        what = f"{found.operation.name} of {'1 - sigmoid' if found.complement else 'sigmoid'}"
    where = "from a logit of 17 on" if found.complement else "from a logit of -104 down"
    if not is_trained:
        return f"{what} is -inf {where} (float32)"
    remedy = "logsigmoid stays finite" if is_direct else "train on the logits"
    return f"{what} is -inf {where} (float32), and its gradient NaN; {remedy}"


def _fix(source: SourceFile, found: Logarithm, sigmoid: Operation) -> ProposedFix | None:
    """Write logsigmoid for a natural logarithm inside which the sigmoid stands."""
    spelling = facts.spelling
    whole = found.operation.node
    if found.operation.name not in ("log", "log1p") or not spelling.is_alone(found.operation):
        return None
    inside = spelling.written_operand(found.operation)
    if found.complement and inside is not None:
        inside = spelling.last_operand(inside)
    logit = spelling.written_operand(sigmoid)
    name = spelling.spelled(source, found.site.scope, "torch.nn.functional.logsigmoid")
    if inside is not sigmoid.node or logit is None or name is None or not spelling.is_alone(sigmoid):
        return None
    if spelling.loses_comment(source, whole, logit):
        return None
    if found.complement:
        text = f"{name}(-{spelling.in_parentheses(source, logit)})"
    else:
        text = f"{name}({spelling.bare(source, logit)})"
    return ProposedFix("use logsigmoid", Applicability.SAFE, (Replace(whole, text),))
