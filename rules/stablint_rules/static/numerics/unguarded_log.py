"""STB304 unguarded-log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.logarithms import Logarithm
    from stablint.static.facts.sites import Site
    from stablint.static.source import SourceFile


class UnguardedLog(StaticRule):
    """The logarithm of something that can be exactly 0 is trained through.

    ## What it does
    Reports `log`, `log2` and `log10` of a value that is known to reach 0: one minus a probability, a
    mean, product or ratio of probabilities, `1 - tanh(x) ** 2`, an absolute value, a magnitude, a
    variance, a sum of squares, the output of `relu` or `clamp(min=0)`, a count. A positive term, a clamp
    or a maximum before the logarithm silences it; a guard after the logarithm does not. The plain cases
    have rules of their own: `log-of-softmax` and `log-of-sigmoid`.

    ## Why it is bad
    `log(0)` is `-inf` and its gradient is infinite; a logarithm of a negative number is NaN, and so is
    `x * log(x)` at 0. One such element makes the loss infinite and the weights NaN. A guard that comes
    too late changes the value and not the gradient: `torch.log(t).clamp(min=-100)` at 0 has the gradient
    NaN. A guard that is too small does nothing: `1 - 1e-8` is 1 in float32, so that `log(1 -
    p.clamp(max=1 - 1e-8))` is still `-inf`; `1e-7` works (measured with torch 2.13).

    ## Example
    ```python
    p = torch.softmax(logits, dim=-1)
    unlikelihood = -torch.log(1 - p.gather(-1, negatives)).mean()
    ```

    ## Use instead
    ```python
    p = torch.softmax(logits, dim=-1)
    rest = (1 - p.gather(-1, negatives)).clamp(min=1e-6)
    unlikelihood = -torch.log(rest).mean()
    ```
    Better still, stay with the logits: a loss such as `binary_cross_entropy_with_logits`, `logsigmoid`
    or `logsumexp` needs no guard. `torch.special.xlogy(x, x)` and `torch.special.entr(x)` know the limit
    0 of `x * log(x)`. Where only a floor is wanted, `p.clamp(min=torch.finfo(p.dtype).tiny)` keeps the
    logarithm finite, in half precision too, where `1e-8` is 0.

    ## When to ignore it
    When the value cannot be 0 for a reason outside the code, such as noise in every recording. Code
    under `no_grad`, of constants and of NumPy arrays is not reported, and neither is a value of which
    nothing is known. In a function that is named after a metric (`psnr`, `evaluate`), and in a file that
    neither imports `torch.nn` nor calls `backward`, the finding is a note.

    ## Fix safety
    There is no fix: the size of the epsilon is a choice of the model's author.

    ## References
    - [torch.log](https://docs.pytorch.org/docs/stable/generated/torch.log.html)
    - [torch.special: entr, xlogy, logit](https://docs.pytorch.org/docs/stable/special.html)
    - [torch.clamp](https://docs.pytorch.org/docs/stable/generated/torch.clamp.html)
    - [torch.finfo](https://docs.pytorch.org/docs/stable/type_info.html)
    """

    code = "STB304"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # The page's example: the probability of everything else.
        """\
import torch


def unlikelihood_loss(logits, negatives):
    p = torch.softmax(logits, dim=-1)
    unlikelihood = -torch.log(1 - p.gather(-1, negatives)).mean()  # flagged
    return unlikelihood
""",
        # The mean of probabilities: a class that no sample chooses has none.
        """\
import torch
import torch.nn.functional as F


def diversity(logits):
    marginal = F.softmax(logits, dim=1).mean(dim=0)
    return (marginal * torch.log(marginal)).sum()  # flagged
""",
        # A squashed policy: tanh is 1 from 9 on.
        """\
import torch
from torch.distributions import Normal


def sample(mean, log_std):
    normal = Normal(mean, log_std.exp())
    raw = normal.rsample()
    action = torch.tanh(raw)
    log_prob = normal.log_prob(raw) - torch.log(1 - action.pow(2))  # flagged
    return action, log_prob.sum(-1)
""",
        # The guard comes after the logarithm: too late for the gradient.
        """\
import torch


def late(logits):
    p = torch.softmax(logits, dim=-1).mean(dim=0)
    a = torch.log(p).clamp(min=-100)  # flagged
    b = torch.nan_to_num(torch.log(p))  # flagged
    c = p.log().masked_fill(p == 0, 0.0)  # flagged
    return (p * (a + b + c)).sum()
""",
        # A rate through relu: zero for every unit that is off.
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Poisson(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.fc = nn.Linear(features, 1)
        self.relu = nn.ReLU()

    def forward(self, x, counts):
        rate = self.relu(self.fc(x))
        return (rate - counts * torch.log(rate)).mean()  # flagged


def poisson(model, x, counts):
    rate = F.relu(model(x))
    return (rate - counts * rate.log()).mean()  # flagged
""",
        # A spectrogram: silence has magnitude 0.
        """\
import torch
import torch.nn.functional as F


def spectral_loss(prediction, target, window):
    a = torch.stft(prediction, 512, window=window, return_complex=True).abs()
    b = torch.stft(target, 512, window=window, return_complex=True).abs()
    return F.l1_loss(torch.log(a), torch.log10(b.clamp(min=0)))  # flagged
""",
        # Variance, sum of squares, norm, absolute difference.
        """\
import torch


def dispersion(x, y):
    a = torch.log(x.var(dim=0)).mean()  # flagged
    b = ((x - y) ** 2).sum(dim=-1).log().mean()  # flagged
    c = torch.log(x.norm(dim=-1)).mean()  # flagged
    d = torch.log2(torch.abs(x - y)).mean()  # flagged
    return a + b + c + d
""",
        # A product of probabilities, and odds.
        """\
import torch


def joint(a, b):
    p = torch.softmax(a, dim=-1)
    q = torch.sigmoid(b)
    both = torch.log(p * q)  # flagged
    path = torch.log(q[..., 0] * q[..., 1])  # flagged
    odds = torch.log(q / (1 - q))  # flagged
    return both.sum() + path.sum() + odds.sum()
""",
        # The focal loss: the probability of the right class, picked by where.
        """\
import torch


def focal(logits, y, gamma=2.0):
    p = torch.sigmoid(logits)
    pt = torch.where(y == 1, p, 1 - p)
    return -((1 - pt) ** gamma * torch.log(pt)).mean()  # flagged
""",
        # A sigmoid written out; tanh brought to [0, 1].
        """\
import torch


def logistic(x, w, b):
    hypothesis = 1 / (1 + torch.exp(-(x @ w + b)))
    return -torch.log(hypothesis).mean()  # flagged


def from_tanh(x):
    p = (torch.tanh(x) + 1) / 2
    return torch.log(p)  # flagged
""",
        # Guards that do nothing: too small for float32, the wrong bound, the wrong sign.
        """\
import torch


def too_small(logits):
    p = torch.sigmoid(logits).clamp(1e-8, 1 - 1e-8)
    return torch.log(1 - p)  # flagged


def wrong_bound(prediction):
    return torch.log(torch.clamp(prediction, 0, 1))  # flagged


def wrong_sign(logits):
    p = torch.softmax(logits, dim=-1)
    return torch.log(1 - (p + 1e-6))  # flagged
""",
        # A model whose outputs are averaged before the logarithm.
        """\
import torch
from torch import nn


class Member(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(10, 3)

    def forward(self, x):
        return torch.softmax(self.fc(x), dim=-1)


class Ensemble(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = Member()
        self.b = Member()

    def probabilities(self, x):
        return (self.a(x) + self.b(x)) / 2

    def loss(self, x, y):
        p = self.probabilities(x)
        return -torch.log(p[torch.arange(len(y)), y]).mean()  # flagged
""",
        # The overlap of boxes that do not overlap.
        """\
import torch


def iou_loss(a, b):
    overlap = torch.clamp(torch.min(a, b) - torch.max(a, b), min=0)
    union = a + b - overlap
    return -torch.log(overlap / union).mean()  # flagged
""",
        # The degree of a node: an isolated one has none.
        """\
import torch


def scaled(messages, adjacency):
    degree = (adjacency > 0).sum(dim=1, keepdim=True).float()
    scale = torch.log(degree)  # flagged
    return messages * scale
""",
        # Attention that is pooled over heads; a helper, a tuple, a branch.
        """\
import torch
import torch.nn.functional as F


def attend(q, k, v):
    weights = F.softmax(q @ k.transpose(-2, -1), dim=-1)
    return weights @ v, weights


def regularised(q, k, v, per_head):
    out, weights = attend(q, k, v)
    if per_head:
        pooled = weights.mean(dim=1)
    else:
        pooled = weights.mean(dim=(0, 1))
    return out, -(pooled * torch.log(pooled)).sum()  # flagged
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
        return F.relu(self.fc(x))

# file: train.py
import torch
from models.net import Net

model = Net()

def step(x, y):
    return torch.log(model(x)).mean()  # flagged
""",
    ]

    good = [
        # A matter of product-of-probabilities.
        """\
import torch
from torch import nn


class Path(nn.Module):
    def forward(self, scores):
        return torch.log(torch.prod(torch.sigmoid(scores), dim=-1))
""",
        # An epsilon inside, in its spellings.
        """\
import torch

EPS = 1e-10


def guarded(logits, x, eps=1e-8):
    p = torch.softmax(logits, dim=-1).mean(0)
    a = (p * torch.log(p + EPS)).sum() + torch.log(1 - p + eps).sum()
    b = torch.log((x - 1).abs() + 1e-6) + torch.log(1e-6 + x.var(dim=0))
    c = torch.log(1 - torch.tanh(x).pow(2) + 1e-6) + torch.log(torch.relu(x).add(1e-3))
    return a + b.sum() + c.sum()
""",
        # A clamp or a maximum before the logarithm.
        """\
import torch


def guarded(logits, magnitude):
    p = torch.softmax(logits, dim=-1).mean(0)
    a = torch.log(p.clamp(min=1e-8)) + torch.log(torch.clamp(p, 1e-8, 1))
    b = p.clamp_min(torch.finfo(p.dtype).tiny).log() + torch.log(p.clamp(torch.finfo(p.dtype).eps))
    c = torch.log(torch.maximum(p, torch.tensor(1e-8))) + torch.log(torch.clamp(magnitude.abs(), min=1e-5))
    q = p.clamp(1e-6, 1 - 1e-6)
    return a + b + c + torch.log(1 - q)
""",
        # Exponentials, softplus, one plus something: positive by construction.
        """\
import torch
import torch.nn.functional as F


def positive(x, y):
    a = torch.log(1 + x**2) + torch.log(1 + F.relu(x)) + torch.log(x.abs() + 1)
    b = torch.log(F.softplus(x) + 1e-6) + torch.log(x.exp())
    return a + b + torch.log(1.0 + (x - y).abs() / 0.5) + torch.log1p(x.abs())
""",
        # Box regression: ratios of widths, positive by construction, of which nothing is known here.
        """\
import torch


def encode(gt, proposals):
    ex_widths = proposals[:, 2] - proposals[:, 0]
    gt_widths = gt[:, 2] - gt[:, 0]
    return torch.log(gt_widths / ex_widths)


def encode_centre(loc, dboxes):
    return (loc[:, 2:, :] / dboxes[:, 2:, :]).log()
""",
        # Gumbel noise, in its spellings: made of constants, never differentiated.
        """\
import torch


def gumbel(logits, eps=1e-20):
    u = torch.rand_like(logits)
    a = -torch.log(-torch.log(u))
    b = -torch.log(-torch.log(torch.rand(logits.shape) + eps) + eps)
    c = -torch.empty_like(logits).exponential_().log()
    return torch.softmax(logits + a + b + c, dim=-1)
""",
        # Concrete relaxation: noise from a bounded interval.
        """\
import torch


def relaxed(logits, temperature):
    u = torch.empty_like(logits).uniform_(1e-6, 1 - 1e-6)
    noise = torch.log(u) - torch.log(1 - u)
    return torch.sigmoid((logits + noise) / temperature)
""",
        # No gradient context: decoding, validation, metrics.
        """\
import torch
import torch.nn.functional as F


@torch.no_grad()
def beam(model, state, size):
    probs = F.softmax(model(state), dim=-1).mean(1)
    best, index = probs.topk(size)
    return torch.log(best), index


def score(model, x):
    with torch.inference_mode():
        p = torch.sigmoid(model(x)).mean(0)
        return torch.log(1 - p).sum()
""",
        # A diffusion schedule: buffers and constants.
        """\
import torch
from torch import nn


class Diffusion(nn.Module):
    def __init__(self, steps):
        super().__init__()
        betas = torch.linspace(1e-4, 0.02, steps)
        alphas = torch.cumprod(1.0 - betas, dim=0)
        self.register_buffer("log_one_minus", torch.log(1.0 - alphas))
        self.register_buffer("log_variance", torch.log(betas.clamp(min=1e-20)))
""",
        # Constants.
        """\
import math

import torch
from torch import nn


class Head(nn.Module):
    def __init__(self, heads, classes):
        super().__init__()
        self.scale = nn.Parameter(torch.log(10 * torch.ones((heads, 1, 1))))
        self.target_entropy = -0.98 * torch.log(1 / torch.tensor(classes))
        self.slopes = torch.log(torch.arange(1, heads + 1).float())
        self.buckets = torch.log(torch.arange(heads).float() / 8)
        self.max = torch.log(torch.tensor(100.0)) + math.log(2 * math.pi)
""",
        # Counts of a data set: no gradient flows through them.
        """\
import torch


def prior(labels, classes):
    counts = torch.bincount(labels, minlength=classes).float()
    return torch.log(counts / counts.sum())


def adjusted(logits, class_counts):
    return logits + torch.log(class_counts)
""",
        # Only the positive entries are looked at.
        """\
import torch


def entropy(logits):
    p = torch.softmax(logits, dim=-1).mean(0)
    p = p[p > 0]
    return -(p * p.log()).sum()
""",
        # Zeros are replaced before the logarithm.
        """\
import torch


def entropy(logits):
    p = torch.softmax(logits, dim=-1).mean(0)
    safe = torch.where(p > 0, p, torch.ones_like(p))
    other = p.masked_fill(p == 0, 1.0)
    return -(p * safe.log()).sum() - (p * torch.log(other)).sum()
""",
        # Functions that know the limit, and a count that cannot be 0 after its clamp.
        """\
import torch


def entropy(logits, mask):
    p = torch.softmax(logits, dim=-1).mean(0)
    n = mask.sum(dim=1).clamp(min=1)
    odds = torch.logit(p, eps=1e-6).sum()
    return torch.special.entr(p).sum() - torch.xlogy(p, p).sum() + torch.log(n).mean() + odds
""",
        # A learned scale kept as its logarithm, and one kept positive.
        """\
import torch
from torch import nn


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(1))
        self.raw = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        sigma = self.log_scale.exp()
        tau = nn.functional.softplus(self.raw) + 1e-4
        return x / sigma - torch.log(sigma) - torch.log(tau)
""",
        # The plain cases belong to the rules of their own.
        """\
import torch


def plain(logits):
    return torch.log(torch.softmax(logits, dim=-1)), torch.log(1 - torch.sigmoid(logits))
""",
        # Where nothing is known, nothing is said.
        """\
import torch


class Loss(torch.nn.Module):
    def forward(self, probabilities, model, x):
        return torch.log(probabilities).mean() + model(x).log().mean() + torch.log(x - 1).mean()
""",
        # The loss of an action bound: an unknown scale times a square, plus an epsilon.
        """\
import torch
from torch import nn


class Actor(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.fc = nn.Linear(4, 2)
        self.register_buffer("scale", torch.as_tensor(scale))

    def forward(self, x):
        y = torch.tanh(self.fc(x))
        return y * self.scale, torch.log(self.scale * (1 - y.pow(2)) + 1e-6)
""",
        # log(sum(exp)) shifted by its maximum: the largest term is 1.
        """\
import torch


def log_sum_exp(scores):
    top = scores.max(dim=-1, keepdim=True).values
    return (top + torch.log(torch.sum(torch.exp(scores - top), dim=-1, keepdim=True))).squeeze(-1)
""",
        # NumPy, the math module, loggers.
        """\
import math

import numpy as np
import torch


def report(run, p: torch.Tensor, values: np.ndarray, loss):
    share = torch.sigmoid(p).mean()
    run.log({"share": share.item(), "bits": math.log2(1 + share.item())})
    return np.log(np.abs(values)), math.log(loss.item())
""",
        # Helpers that are only called under no_grad, and a function whose backward is written by hand.
        """\
import torch
from torch import nn


class Decoder(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def best(self, state, size):
        probs = torch.softmax(self.model(state), dim=-1)
        return self.scores(probs.mean(dim=0).topk(size)[0])

    def scores(self, probs):
        return torch.log(probs)

    def decode(self, state):
        with torch.no_grad():
            return self.best(state, 4)


class LogMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits):
        p = torch.softmax(logits, dim=-1).mean(0)
        ctx.save_for_backward(p)
        return torch.log(p).clamp(min=-100)
""",
        # The logarithm of a magnitude or a square: zero is no likelier than before; of a mask: meant.
        """\
import torch
from torch import nn


class Affine(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(size))

    def forward(self, x, y, exponent):
        log_det = torch.log(torch.abs(self.scale)).sum() + (exponent * y / x).abs().log().sum()
        return x * self.scale, log_det


def divergence(p, q):
    ratio = (p.scale / q.scale).pow(2)
    both = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return 0.5 * (ratio - 1 - ratio.log()) + both.log()


def inside(value, low, high):
    return torch.log(low.le(value).type_as(low).mul(high.gt(value).type_as(low)))


def attend(scores, mask):
    return torch.softmax(scores + torch.log((mask > 0).float()), dim=-1)
""",
        # A test of the value before the logarithm.
        """\
import torch


def entropy(logits):
    p = torch.softmax(logits, dim=-1).mean(0)
    total = 0.0
    for value in p:
        if value > 0:
            total = total - value * torch.log(value)
    return total
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the logarithms of what can be exactly zero, where they are trained through."""
        for found in facts.logarithms.logarithms(source.ask(facts.operations)):
            if not found.reaches_zero or found.softmax is not None or found.sigmoid is not None:
                continue
            if not facts.zeros.expects_zero(found.operation.operands[0]) or _is_product(found):
                continue
            if not facts.differentiation.is_trained_through(source, found.site, found.operation):
                continue
            if not facts.zeros.is_tested(source, found.site):
                is_shown = facts.differentiation.may_be_for_show(source, found.site.scope)
                severity = Severity.NOTE if is_shown else None
                yield Report(found.site.node, _message(source, found), severity=severity)


def _is_product(found: Logarithm) -> bool:
    """Whether it is the logarithm of a product over probabilities, of which product-of-probabilities says more."""
    product = facts.provenance.made_by(found.argument, "prod", "cumprod")
    return product is not None and facts.provenance.made_by(product.operands[0], *_PROBABILITIES) is not None


_PROBABILITIES = ("softmax", "softmin", "sigmoid")


def _message(source: SourceFile, found: Logarithm) -> str:
    late = _late_guard(source, found.site)
    if late is not None:
        return f"{late} after {found.operation.name} comes too late: the gradient at 0 is NaN already"
    held = facts.intervals.interval(found.operation.operands[0])
    if held.low < 0:
        return f"{found.operation.name} of a value that can be 0 or negative: -inf or NaN"
    return f"{found.operation.name} of {_what(found)} can be -inf, and its gradient infinite"


def _what(found: Logarithm) -> str:
    if found.complement:
        return "1 - a value that reaches 1"
    origin = facts.provenance.made_by(found.argument, *_KNOWN)
    return _KNOWN[origin.name] if origin is not None else "a value that reaches 0"


_KNOWN = {
    "mean": "a mean that reaches 0",
    "prod": "a product that reaches 0",
    "mul": "a product that reaches 0",
    "div": "a ratio that reaches 0",
    "relu": "the output of relu, which is 0 for every unit that is off",
    "abs": "an absolute value, which reaches 0",
    "var": "a variance, which is 0 where all values are equal",
    "std": "a standard deviation, which is 0 where all values are equal",
    "norm": "a norm, which is 0 at the origin",
    "clamp": "a value that is clamped at 0, not above it",
    "clamp_min": "a value that is clamped at 0, not above it",
    "sum": "a sum that reaches 0",
    "where": "a value picked by where that reaches 0",
}


def _late_guard(source: SourceFile, site: Site) -> str | None:
    uses = source.ask(facts.uses)
    names = {
        getattr(consumer, "name", "")
        for option in facts.terms.options(source.ask(facts.values).raw(site.node))
        for consumer in uses.of(option)
    }
    return next((name for name in ("clamp", "clamp_min", "nan_to_num", "masked_fill") if name in names), None)
