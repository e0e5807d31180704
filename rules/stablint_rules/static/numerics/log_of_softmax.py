"""STB301 log-of-softmax."""

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


class LogOfSoftmax(StaticRule):
    """The logarithm of a softmax is taken in two steps.

    ## What it does
    Reports `log`, `log2`, `log10` or `log1p(-p)` of the output of a softmax, whether it stands inside
    the call, behind a name, an index or a view, or comes out of a module, method or function of the same
    file, when nothing between the two keeps it away from zero.

    ## Why it is bad
    A softmax that is sure of itself rounds to exactly 0. In float32 that takes a gap of 104 between two
    logits, in float16 a gap of 18; the logarithm is then `-inf`, its gradient NaN, and one optimizer
    step later every weight is NaN. `log_softmax` never forms the small number: for the gap of 104 it
    returns -104 (measured with torch 2.13). The documentation of `log_softmax` calls the two separate
    operations "slower and numerically unstable". A clamp *after* the logarithm does not help: the
    gradient is NaN all the same.

    ## Example
    ```python
    p = F.softmax(logits, dim=-1)
    loss = -(y * torch.log(p)).sum(-1).mean()
    ```

    ## Use instead
    ```python
    logp = F.log_softmax(logits, dim=-1)
    loss = -(y * logp).sum(-1).mean()
    ```
    For an entropy, keep both: `p = logp.exp()`. Where only the probabilities are at hand,
    `torch.special.entr(p)` is `-p * log(p)` with the right limit 0 at 0.

    ## When to ignore it
    When the logits are bounded so that no gap can reach 104 (float32), as after `10 * tanh(logits)`.
    Under `no_grad` the finding is a note: nothing is trained through it, but the number it shows can
    still be `-inf`.

    ## Fix safety
    Safe: the same value up to rounding, except where the original was `-inf`. It is offered where the
    softmax stands inside the logarithm, names its dimension and is spelt so that renaming it to
    `log_softmax` (`LogSoftmax`) is enough. Where the probabilities have a name of their own, that name
    would lie afterwards, so only the report is made.

    ## References
    - [torch.nn.functional.log_softmax](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html)
    - [torch.nn.LogSoftmax](https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSoftmax.html)
    - [torch.nn.CrossEntropyLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html)
    - [torch.special.entr](https://docs.pytorch.org/docs/stable/special.html)
    """

    code = "STB301"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # The page's example: cross-entropy against soft targets.
        """\
import torch
import torch.nn.functional as F


def soft_cross_entropy(logits, y):
    p = F.softmax(logits, dim=-1)
    loss = -(y * torch.log(p)).sum(-1).mean()  # flagged
    return loss
""",
        # One inside the other, functional form.
        """\
import torch
import torch.nn.functional as F


def nll(logits, target):
    return F.nll_loss(torch.log(F.softmax(logits, dim=1)), target)  # flagged
""",
        # torch.softmax with a positional dimension; the log is a method.
        """\
import torch


def entropy(logits):
    probs = logits.softmax(-1)
    return -(probs * torch.softmax(logits, -1).log()).sum(-1)  # flagged
""",
        # Methods all the way, as in knowledge distillation; the temperature keeps its parentheses.
        """\
import torch.nn.functional as F


def distillation(student, teacher, temperature):
    soft = (teacher / temperature).softmax(dim=-1)
    return F.kl_div((student / temperature).softmax(dim=-1).log(), soft, reduction="batchmean")  # flagged
""",
        # A module built on the spot; the keyword dtype of the functional form survives the fix.
        """\
import torch
from torch import nn
from torch.nn import functional as F


def two_heads(a, b):
    first = torch.log(nn.Softmax(dim=1)(a))  # flagged
    second = torch.log(F.softmax(b, dim=1, dtype=torch.float32))  # flagged
    return first, second
""",
        # A layer kept as an attribute, made in one method and used in another.
        """\
import torch
from torch import nn


class Tagger(nn.Module):
    def __init__(self, features, tags):
        super().__init__()
        self.fc = nn.Linear(features, tags)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, x):
        scores = self.fc(x)
        probs = self.softmax(scores)
        return torch.log(probs)  # flagged
""",
        # REINFORCE: the probability of the action taken; gather and squeeze keep the zero.
        """\
import torch
import torch.nn.functional as F


def policy_loss(logits, actions, returns):
    probs = F.softmax(logits, dim=1)
    chosen = probs.gather(1, actions.unsqueeze(1)).squeeze(1)
    return -(torch.log(chosen) * returns).mean()  # flagged
""",
        # The second of two values that forward returns, unpacked by the caller.
        """\
import torch
from torch import nn


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(20, 5)

    def forward(self, x):
        logits = self.body(x)
        return logits, torch.softmax(logits, dim=1)


def train(loader):
    model = Classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        logits, probas = model(x)
        loss = -torch.log(probas[torch.arange(len(y)), y]).mean()  # flagged
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # A model without a class of its own, trained by a script.
        """\
import torch

x = torch.randn(64, 4)
y = torch.eye(3)[torch.randint(3, (64,))]
model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Softmax(dim=1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

for step in range(1000):
    optimizer.zero_grad()
    hypothesis = model(x)
    cost = (y * -torch.log(hypothesis)).sum(dim=1).mean()  # flagged
    cost.backward()
    optimizer.step()
""",
        # Through a helper function, and in bits.
        """\
import torch
import torch.nn.functional as F


def predict(net, x, temperature=1.0):
    return F.softmax(net(x) / temperature, dim=1)


def bits(net, x):
    p = predict(net, x)
    return -(p * p.log2()).sum(dim=1)  # flagged
""",
        # Both branches are a softmax; the loop only accumulates.
        """\
import torch
import torch.nn.functional as F


def mixture_loss(experts, x, y, temperature=None):
    total = 0.0
    for expert in experts:
        logits = expert(x)
        if temperature is None:
            p = F.softmax(logits, dim=-1)
        else:
            p = F.softmax(logits / temperature, dim=-1)
        total = total - (y * torch.log(p)).sum()  # flagged
    return total
""",
        # Guards that come too late or are too small: the gradient is NaN, 1e-46 is 0 in float32.
        """\
import torch
import torch.nn.functional as F


def late(logits, y):
    p = F.softmax(logits, dim=1)
    return -(y * torch.log(p).clamp(min=-100)).sum()  # flagged


def tiny(logits, y):
    p = F.softmax(logits, dim=1)
    return -(y * torch.log(p + 1e-46)).sum()  # flagged
""",
        # A call over several lines is flagged where it begins.
        """\
import torch
import torch.nn.functional as F


def consistency(weak, strong):
    target = F.softmax(weak, dim=-1).detach()
    return F.kl_div(
        torch.log(  # flagged
            F.softmax(strong, dim=-1),
        ),
        target,
        reduction="batchmean",
    )
""",
        # A partial, a softmax imported by name, softmin, and the other end of the scale: 1 - p.
        """\
from functools import partial

import torch
from torch import softmax
from torch.nn import functional as F

over_classes = partial(F.softmax, dim=-1)


def several(x):
    a = torch.log(over_classes(x))  # flagged
    b = torch.log(softmax(x, dim=-1))  # flagged
    c = torch.log(F.softmin(x, dim=-1))  # flagged
    d = torch.log1p(-F.softmax(x, dim=-1))  # flagged
    return a + b + c + d
""",
        # Only shown, never trained through: reported as a note.
        """\
import torch
import torch.nn.functional as F


@torch.no_grad()
def perplexity(model, x):
    p = F.softmax(model(x), dim=-1)
    return torch.exp(-(p * torch.log(p)).sum(-1)).mean().item()  # flagged
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
        return F.softmax(self.fc(x), dim=1)

# file: train.py
import torch
from models.net import Net

model = Net()

def step(x, y):
    return -(torch.log(model(x)) * y).sum(1).mean()  # flagged
""",
    ]

    good = [
        # The remedy, in its spellings.
        """\
import torch
import torch.nn.functional as F
from torch import nn


def losses(logits, y, target):
    a = -(y * F.log_softmax(logits, dim=-1)).sum(-1).mean()
    b = -(y * torch.log_softmax(logits, -1)).sum(-1).mean()
    c = -(y * logits.log_softmax(dim=-1)).sum(-1).mean()
    d = -(y * nn.LogSoftmax(dim=-1)(logits)).sum(-1).mean()
    return a + b + c + d + F.cross_entropy(logits, target)
""",
        # An epsilon inside the logarithm: in place, by name, by default argument, by attribute.
        """\
import torch
import torch.nn.functional as F

EPS = 1e-8


class EntropyLoss(torch.nn.Module):
    def __init__(self, eps=1e-6):
        super().__init__()
        self.eps = eps

    def forward(self, logits):
        p = F.softmax(logits, dim=-1)
        return -(p * torch.log(p + self.eps)).sum(-1).mean()


def entropy(logits, eps=1e-12):
    p = F.softmax(logits, dim=-1)
    a = -(p * torch.log(p + 1e-9)).sum(-1)
    b = -(p * (p + EPS).log()).sum(-1)
    c = -(p * torch.log(eps + p)).sum(-1)
    return a + b + c
""",
        # A clamp before the logarithm, in its spellings.
        """\
import torch
import torch.nn.functional as F


def guarded(logits):
    p = F.softmax(logits, dim=-1)
    floor = torch.finfo(p.dtype).tiny
    a = torch.log(p.clamp(min=1e-7))
    b = torch.log(torch.clamp(p, 1e-7, 1.0))
    c = p.clamp_min(floor).log()
    d = torch.log(torch.maximum(p, torch.tensor(1e-8)))
    return a + b + c + d
""",
        # The name is bound again between the two.
        """\
import torch
import torch.nn.functional as F


def renamed(logits, labels, other):
    p = F.softmax(logits, dim=1)
    accuracy = (p.argmax(1) == labels).float().mean()
    p = p.clamp_min(1e-8)
    loss = -torch.log(p).gather(1, labels[:, None]).mean()
    p = other
    return loss, accuracy, torch.log(p)
""",
        # The other slot of the tuple: what is logged is no softmax.
        """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 4)
        self.scale = nn.Linear(8, 1)

    def forward(self, x):
        return torch.softmax(self.head(x), dim=1), self.scale(x).exp()


def loss(x):
    net = Net()
    probas, scale = net(x)
    return torch.log(scale).mean() - probas.max()
""",
        # Attention: the context is not the weights.
        """\
import torch
import torch.nn.functional as F


def attend(query, keys, values):
    attn = F.softmax(query @ keys.transpose(-2, -1), dim=-1)
    context = attn @ values
    return torch.log(1 + context.abs()), attn
""",
        # The largest of C probabilities is at least 1/C.
        """\
import torch
import torch.nn.functional as F


def confidence(logits):
    p = F.softmax(logits, dim=-1)
    top = p.max(dim=-1).values
    return torch.log(top), torch.log(p.amax(dim=-1))
""",
        # Smoothed: no entry below 0.1 / C.
        """\
import torch
import torch.nn.functional as F


def smoothed(logits, classes=10):
    p = 0.9 * F.softmax(logits, dim=-1) + 0.1 / classes
    return torch.log(p)
""",
        # Losses and distributions that take probabilities and guard them themselves.
        """\
import torch
import torch.nn.functional as F
from torch.distributions import Categorical


def reinforce(logits, reward):
    probs = F.softmax(logits, dim=-1)
    policy = Categorical(probs=probs)
    action = policy.sample()
    bonus = policy.entropy().mean() + torch.special.entr(probs).sum()
    return -(policy.log_prob(action) * reward).mean() - bonus
""",
        # Methods called log that are no logarithm.
        """\
import logging

import torch
import torch.nn.functional as F
import wandb

logger = logging.getLogger(__name__)


class Module:
    def log(self, name, value):
        logger.log(logging.INFO, "%s %s", name, value)

    def step(self, logits):
        p = F.softmax(logits, dim=-1)
        self.log("confidence", p.max())
        wandb.log({"probabilities": p.tolist()})
        logger.log(logging.DEBUG, p)
        return torch.argmax(p, dim=-1)
""",
        # NumPy and SciPy: not torch, and no gradient.
        """\
import numpy as np
import torch
from scipy.special import softmax


def report(logits: torch.Tensor):
    p = softmax(logits.detach().numpy(), axis=-1)
    return -(p * np.log(p)).sum(axis=-1)
""",
        # Other libraries' softmax (sparse, JAX) and a function that only has the name.
        """\
import jax
import torch
from torch_geometric.utils import softmax as sparse_softmax


def softmax(x):
    return x - x.logsumexp(dim=-1, keepdim=True)


def three(x, index):
    return torch.log(sparse_softmax(x, index)), torch.log(softmax(x)), jax.numpy.log(jax.nn.softmax(x))
""",
        # Where nothing is known, nothing is said.
        """\
import torch


def cross_entropy(probabilities, y):
    return -(y * torch.log(probabilities)).sum()
""",
        # Not to be mixed up: the logarithm inside, the softmax outside.
        """\
import torch
import torch.nn.functional as F


def reweighted(prior, logits):
    return F.softmax(logits + torch.log(prior + 1e-8), dim=-1)
""",
        # A branch each: the one that is logged is no softmax.
        """\
import torch
import torch.nn.functional as F


def output(logits, kind):
    if kind == "softmax":
        return F.softmax(logits, dim=-1)
    elif kind == "softplus":
        return torch.log(1e-3 + F.softplus(logits))
    return logits
""",
        # Double where: the zeros are replaced before the logarithm sees them.
        """\
import torch
import torch.nn.functional as F


def entropy(logits):
    p = F.softmax(logits, dim=-1)
    safe = torch.where(p > 0, p, torch.ones_like(p))
    return -(p * safe.log()).sum(-1)
""",
        # Softmax for display next to a loss on the logits.
        """\
import torch.nn.functional as F


def step(model, x, y):
    logits = model(x)
    print(F.softmax(logits, dim=1))
    return F.cross_entropy(logits, y)
""",
    ]

    fixed = [
        None,
        """\
import torch
import torch.nn.functional as F


def nll(logits, target):
    return F.nll_loss(F.log_softmax(logits, dim=1), target)
""",
        """\
import torch


def entropy(logits):
    probs = logits.softmax(-1)
    return -(probs * torch.log_softmax(logits, -1)).sum(-1)
""",
        """\
import torch.nn.functional as F


def distillation(student, teacher, temperature):
    soft = (teacher / temperature).softmax(dim=-1)
    return F.kl_div((student / temperature).log_softmax(dim=-1), soft, reduction="batchmean")
""",
        """\
import torch
from torch import nn
from torch.nn import functional as F


def two_heads(a, b):
    first = nn.LogSoftmax(dim=1)(a)
    second = F.log_softmax(b, dim=1, dtype=torch.float32)
    return first, second
""",
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        """\
import torch
import torch.nn.functional as F


def consistency(weak, strong):
    target = F.softmax(weak, dim=-1).detach()
    return F.kl_div(
        F.log_softmax(strong, dim=-1),
        target,
        reduction="batchmean",
    )
""",
        None,
        None,
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the logarithms of a bare softmax."""
        for found in facts.logarithms.logarithms(source.ask(facts.operations)):
            softmax = found.softmax
            if softmax is None or facts.gradients.is_constant(found.argument):
                continue
            if facts.zeros.is_tested(source, found.site):
                continue
            fix = _fix(source, found, softmax)
            is_trained = facts.differentiation.carries_gradient(source, found.site, found.operation)
            yield Report(
                found.site.node,
                _message(found, softmax, is_trained),
                severity=None if is_trained else Severity.NOTE,
                related=() if fix else (Mark(softmax.node, f"the {softmax.name}"),),
                fix=fix,
            )


def _message(found: Logarithm, softmax: Operation, is_trained: bool) -> str:
    gap = "once one logit is 17 ahead" if found.complement else "once a logit is 104 behind"
    of = f"minus {softmax.name}" if found.complement else softmax.name
    what = f"{found.operation.name} of {of} is -inf {gap} (float32)"
    if not is_trained:
        return what
    return f"{what}, and its gradient NaN" + ("" if found.complement else "; log_softmax stays finite")


def _fix(source: SourceFile, found: Logarithm, softmax: Operation) -> ProposedFix | None:
    """Rename the softmax that stands inside a natural logarithm and names its dimension."""
    spelling = facts.spelling
    inside = spelling.written_operand(found.operation)
    if inside is not softmax.node or found.operation.name != "log" or not spelling.is_alone(found.operation):
        return None
    made = softmax.module if softmax.module is not None else softmax
    given = made.keywords.get("dim") or (made.positional[0] if made.positional else None)
    renamed = spelling.renamed(softmax.node, _RENAMED)
    if renamed is None or given is None or spelling.loses_comment(source, found.operation.node, softmax.node):
        return None
    change = Replace(found.operation.node, source.code(renamed))
    return ProposedFix("use log_softmax", Applicability.SAFE, (change,))


_RENAMED = {"softmax": "log_softmax", "Softmax": "LogSoftmax"}
