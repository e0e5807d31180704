"""STB305 naive-log-sum-exp."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.exponentials import Formula
    from stablint.static.source import SourceFile


class NaiveLogSumExp(StaticRule):
    """A softmax, log-sum-exp or softplus is written out with a bare exponential.

    ## What it does
    Reports `log(sum(exp(x)))` and `log(mean(exp(x)))`, `exp(x) / sum(exp(x))` with the same `x` above
    and below, `log(1 + exp(x))` and `log(exp(a) + exp(b))`, in one expression or through names. Where
    `x` has been shifted by its maximum, clamped, or is never positive or bounded, nothing is reported.

    ## Why it is bad
    `exp` overflows to `inf` at 88.73 in float32, at 88.7 in bfloat16 and at 11.09 in float16. So
    `log(sum(exp([1000, 1000])))` is `inf` (it is 1000.69), `log(1 + exp(100))` is `inf` (it is 100), and
    `exp(x) / exp(x).sum()` of `[89, 1]` is `[nan, 0]`. Downwards it is no better: for `[-1000, -1000]`
    the sum underflows and the logarithm is `-inf` (measured with torch 2.13). The functions of PyTorch
    subtract the maximum first.

    ## Example
    ```python
    def softmax(x):
        e = torch.exp(x)
        return e / e.sum(dim=1, keepdim=True)
    ```

    ## Use instead
    ```python
    def softmax(x):
        return torch.softmax(x, dim=1)
    ```
    And `torch.logsumexp(x, dim=1)`, `F.softplus(x)`, `torch.logaddexp(a, b)`; the logarithm of a mean is
    `torch.logsumexp(x, dim=1) - math.log(x.size(1))`.

    ## When to ignore it
    In a text that shows how a softmax is computed, with small numbers; in a function whose name says that it
    is naive, it is a note. When the argument is bounded well below 88 for a reason outside the code.

    ## Fix safety
    Safe: the same value up to rounding, except where the original overflowed or underflowed. In double
    precision `softplus` returns `x` itself above 20, which is off by less than 3e-9. The fix is offered
    where the whole formula stands in one expression and names its dimension (for the softmax: with
    `keepdim=True`), and torch has a name in the file. Integer tensors, which `exp` takes, are refused
    by `softmax`, `softplus` and `logaddexp`.

    ## References
    - [torch.logsumexp](https://docs.pytorch.org/docs/stable/generated/torch.logsumexp.html)
    - [torch.nn.functional.softmax](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html)
    - [torch.nn.functional.softplus](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softplus.html)
    - [torch.logaddexp](https://docs.pytorch.org/docs/stable/generated/torch.logaddexp.html)
    """

    code = "STB305"
    severity = Severity.WARNING
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # the log of a hyperbolic cosine, with a width of unknown sign
        """\
import torch
from torch import nn

class LogCosh(nn.Module):
    def __init__(self, alpha):
        super().__init__()
        self.alpha = alpha

    def forward(self, made, wanted):
        t = made - wanted
        return (self.alpha * t + torch.log(1.0 + torch.exp(-2 * self.alpha * t))).mean()  # flagged
""",
        # The page's example: the textbook softmax.
        """\
import torch


def softmax(x):
    e = torch.exp(x)
    return e / e.sum(dim=1, keepdim=True)  # flagged
""",
        # The softmax in one expression, and with methods.
        """\
import torch


def weights(x, scores):
    a = torch.exp(x) / torch.exp(x).sum(dim=-1, keepdim=True)  # flagged
    b = scores.exp() / torch.sum(scores.exp(), dim=1, keepdim=True)  # flagged
    return a, b
""",
        # NumPy's keyword, and the partition function under a name of its own.
        """\
import torch


def softmax(X):
    X_exp = torch.exp(X)
    partition = X_exp.sum(1, keepdims=True)
    return X_exp / partition  # flagged
""",
        # Without a dimension: true as well, but there is no dim to give to torch.softmax.
        """\
import torch


def over_a_vector(x):
    return torch.exp(x) / torch.exp(x).sum()  # flagged


def with_an_epsilon(x):
    e = x.exp()
    return e / (e.sum(-1, keepdim=True) + 1e-8)  # flagged


def summed_by_python(x):
    return torch.exp(x) / sum(torch.exp(x))  # flagged
""",
        # The log of the sum, in its spellings.
        """\
import torch


def partition(x, scores):
    a = torch.log(torch.sum(torch.exp(x), dim=1))  # flagged
    b = torch.log(torch.exp(x).sum(dim=-1, keepdim=True))  # flagged
    c = scores.exp().sum(1).log()  # flagged
    return a.mean() + b.mean() + c.mean()
""",
        # Softplus by hand; F has a name here.
        """\
import torch
import torch.nn.functional as F


def losses(real, fake):
    d = torch.log(1 + torch.exp(-real)).mean() + F.relu(fake).mean()  # flagged
    g = torch.log1p(torch.exp(fake - 1)).mean()  # flagged
    return d + g
""",
        # Softplus by methods, in an energy model; only torch has a name.
        """\
import torch


def free_energy(v, W, b_v, b_h):
    hidden = (v @ W + b_h).exp().add(1).log().sum(1)  # flagged
    return -hidden - v @ b_v


def soft_hinge(x):
    return (x.exp() + 1.0).log()  # flagged
""",
        # The sum of two exponentials.
        """\
import torch


def combine(stay, move):
    return torch.log(torch.exp(stay) + torch.exp(move))  # flagged
""",
        # Cross-entropy by hand, through names.
        """\
import torch


def cross_entropy(logits, target):
    exps = torch.exp(logits)
    total = exps.sum(dim=1)
    log_z = torch.log(total)  # flagged
    return (log_z - logits[torch.arange(len(target)), target]).mean()
""",
        # The forward algorithm of a CRF, without the shift.
        """\
import torch
from torch import nn


class CRF(nn.Module):
    def __init__(self, tags):
        super().__init__()
        self.transitions = nn.Parameter(torch.randn(tags, tags))

    def forward(self, emissions):
        alpha = emissions[0]
        for emission in emissions[1:]:
            scores = alpha.unsqueeze(2) + self.transitions + emission.unsqueeze(1)
            alpha = torch.log(torch.sum(torch.exp(scores), dim=1))  # flagged
        return alpha
""",
        # Attention weights, bound again under the same name.
        """\
import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.score = nn.Linear(size, 1)

    def forward(self, states):
        weights = torch.exp(self.score(states))
        weights = weights / torch.sum(weights, dim=1, keepdim=True)  # flagged
        return (weights * states).sum(dim=1)
""",
        # The mean instead of the sum: a bound on mutual information.
        """\
import torch


def mutual_information(net, joint, marginal):
    t = net(joint)
    e = torch.exp(net(marginal))
    return t.mean() - torch.log(torch.mean(e))  # flagged


def importance_weighted(log_w):
    return torch.log(torch.mean(torch.exp(log_w), dim=0)).mean()  # flagged
""",
        # Over several lines: flagged where the division begins.
        """\
import torch


def log_likelihood(x, y):
    prob = (
        torch.exp(x)  # flagged
        / torch.exp(x).sum(dim=1, keepdim=True)
    )
    return prob[torch.arange(len(y)), y]
""",
        # Divided in place.
        """\
import torch


def weights(x):
    w = torch.exp(x)
    w /= w.sum(-1, keepdim=True)  # flagged
    return w
""",
        # A partition function in two parts, through a helper with an epsilon.
        """\
import torch


def log(x):
    return torch.log(x + 1e-8)  # flagged


def losses(real, fake):
    z = torch.sum(torch.exp(-real)) + torch.sum(torch.exp(-fake))
    return real.mean() + log(z), torch.log(z)  # flagged
""",
        # The scatter form of graph libraries: no shift, and a shift that is lost.
        """\
import torch
from torch_geometric.utils import scatter
from torch_scatter import scatter_add


def softmax(src, index, num_nodes):
    out = src.exp()
    return out / scatter_add(out, index, dim=0, dim_size=num_nodes)[index]  # flagged


def softmax_of_the_maximum(src, index, num_nodes):
    out = scatter(src, index, 0, dim_size=num_nodes, reduce="max")[index]
    out = out.exp()
    out_sum = scatter(out, index, 0, dim_size=num_nodes, reduce="sum")[index]
    return out / (out_sum + 1e-16)  # flagged
""",
    ]

    good = [
        # The remedy.
        """\
import math

import torch
import torch.nn.functional as F


def stable(x, a, b):
    p = torch.softmax(x, dim=1)
    z = torch.logsumexp(x, dim=1) - math.log(x.size(1))
    return p, z, F.softplus(x), torch.logaddexp(a, b), x.logsumexp(-1)
""",
        # Shifted by the maximum, in its spellings.
        """\
import torch


def softmax(x):
    e = torch.exp(x - x.max(dim=1, keepdim=True)[0])
    return e / e.sum(dim=1, keepdim=True)


def softmax_amax(x):
    e = (x - x.amax(dim=-1, keepdim=True)).exp()
    return e / e.sum(dim=-1, keepdim=True)


def softmax_global(x):
    shifted = x - torch.max(x)
    return torch.exp(shifted) / torch.exp(shifted).sum()


def softmax_values(x):
    top, _ = torch.max(x, dim=1, keepdim=True)
    x = x - top.detach()
    e = torch.exp(x)
    return e / e.sum(dim=1, keepdim=True)
""",
        # log-sum-exp by hand, with the shift: as in many a CRF.
        """\
import torch


def argmax(vec):
    _, idx = torch.max(vec, 1)
    return idx.item()


def log_sum_exp(vec):
    max_score = vec[0, argmax(vec)]
    max_broadcast = max_score.view(1, -1).expand(1, vec.size()[1])
    return max_score + torch.log(torch.sum(torch.exp(vec - max_broadcast)))


def log_sum_exp_batch(x):
    m = x.max(dim=1, keepdim=True).values
    return m.squeeze(1) + torch.log(torch.exp(x - m).sum(dim=1))
""",
        # Shifted in the contrastive loss: the mask does not undo the shift.
        """\
import torch


def supervised_contrastive(sim, mask, self_mask, temperature):
    logits = sim / temperature
    logits_max, _ = torch.max(logits, dim=1, keepdim=True)
    logits = logits - logits_max.detach()
    exp_logits = torch.exp(logits) * self_mask
    log_prob = logits - torch.log(exp_logits.sum(1, keepdim=True) + 1e-12)
    return -(mask * log_prob).sum(1).mean()
""",
        # Never positive: a Gaussian window, a kernel, minus an absolute value.
        """\
import torch


def gaussian(size, sigma):
    x = torch.arange(size).float() - size // 2
    g = torch.exp(-0.5 * (x / sigma) ** 2)
    return g / g.sum()


def soft_assignment(x, centres):
    k = torch.exp(-((x[:, None] - centres[None]) ** 2).sum(-1))
    return k / k.sum(dim=1, keepdim=True)


def laplace(x):
    k = torch.exp(-torch.abs(x))
    return k / k.sum(), torch.log(1 + torch.exp(-x.abs()))
""",
        # Bounded: a clamp from above, a tanh, a sigmoid, a cosine.
        """\
import torch
import torch.nn.functional as F


def bounded(x, a, b):
    e = torch.exp(x.clamp(max=20))
    p = e / e.sum(dim=1, keepdim=True)
    f = torch.exp(10 * torch.tanh(x))
    q = f / f.sum(dim=1, keepdim=True)
    z = torch.log(torch.exp(torch.sigmoid(x)).sum(dim=1))
    c = torch.log(1 + torch.exp(F.cosine_similarity(a, b) / 0.1))
    return p, q, z, c
""",
        # Log-probabilities are never positive.
        """\
import torch
import torch.nn.functional as F


def mixture(a, b):
    u = F.log_softmax(a, dim=-1)
    v = F.logsigmoid(b)
    return torch.log(torch.exp(u).sum(dim=-1)), torch.log(1 + torch.exp(v))
""",
        # Another x below: no softmax.
        """\
import torch


def ratio(a, b, n):
    u = torch.exp(a) / torch.exp(b).sum(dim=1, keepdim=True)
    v = torch.exp(a) / a.sum(dim=1, keepdim=True)
    return u, v, torch.exp(a) / n, torch.exp(a - b)
""",
        # A sum normalised that is no exponential.
        """\
import torch


def shares(weights, x):
    w = weights.abs() + 1e-6
    w = w / w.sum(dim=1, keepdim=True)
    return w, torch.log(1 + x**2), torch.log(torch.sum(x**2, dim=1) + 1e-8), torch.log1p(x.abs())
""",
        # NumPy and plain Python.
        """\
import math

import numpy as np
import torch


def softmax(x: np.ndarray):
    e = np.exp(x)
    return e / e.sum(axis=1, keepdims=True)


def softplus(x: float):
    return math.log(1 + math.exp(x))


def to_torch(x: np.ndarray):
    return torch.from_numpy(softmax(x)), np.log(np.sum(np.exp(x)))
""",
        # Constants.
        """\
import torch

half_life = torch.exp(torch.arange(8) / 8)
kernel = half_life / half_life.sum()
log_table = torch.log(1 + torch.exp(torch.linspace(-4.0, 4.0, 256)))
""",
        # The name is bound again: what is summed is not what was exponentiated.
        """\
import torch


def step(x, mask):
    e = torch.exp(-x.abs())
    x = torch.exp(x.clamp(-30, 30))
    e = mask
    return x / e.sum(dim=1, keepdim=True)
""",
        # exp alone, or its inverse: other rules.
        """\
import torch


def scale(log_std, x):
    return x * torch.exp(log_std), torch.log(torch.exp(x)), torch.exp(x).sum()
""",
        # A partition function in two parts, through a helper with an epsilon.
        """\
import torch


def log(x):
    return torch.log(x + 1e-8)  # flagged


def losses(real, fake):
    z = torch.sum(torch.exp(-real)) + torch.sum(torch.exp(-fake))
    return real.mean() + log(z), torch.log(z)  # flagged
""",
        # The scatter form of graph libraries, shifted by the maximum of each group.
        """\
import torch
from torch_geometric.utils import scatter


def softmax(src, index, num_nodes):
    src_max = scatter(src.detach(), index, 0, dim_size=num_nodes, reduce="max")
    out = (src - src_max.index_select(0, index)).exp()
    out_sum = scatter(out, index, 0, dim_size=num_nodes, reduce="sum") + 1e-16
    return out / out_sum.index_select(0, index)
""",
    ]

    fixed = [
        """\
import torch
from torch import nn

class LogCosh(nn.Module):
    def __init__(self, alpha):
        super().__init__()
        self.alpha = alpha

    def forward(self, made, wanted):
        t = made - wanted
        return (self.alpha * t + nn.functional.softplus(-2 * self.alpha * t)).mean()
""",
        None,
        """\
import torch


def weights(x, scores):
    a = torch.softmax(x, dim=-1)
    b = torch.softmax(scores, dim=1)
    return a, b
""",
        None,
        None,
        """\
import torch


def partition(x, scores):
    a = torch.logsumexp(x, dim=1)
    b = torch.logsumexp(x, dim=-1, keepdim=True)
    c = torch.logsumexp(scores, dim=1)
    return a.mean() + b.mean() + c.mean()
""",
        """\
import torch
import torch.nn.functional as F


def losses(real, fake):
    d = F.softplus(-real).mean() + F.relu(fake).mean()
    g = F.softplus(fake - 1).mean()
    return d + g
""",
        """\
import torch


def free_energy(v, W, b_v, b_h):
    hidden = torch.nn.functional.softplus(v @ W + b_h).sum(1)
    return -hidden - v @ b_v


def soft_hinge(x):
    return torch.nn.functional.softplus(x)
""",
        """\
import torch


def combine(stay, move):
    return torch.logaddexp(stay, move)
""",
        None,
        """\
import torch
from torch import nn


class CRF(nn.Module):
    def __init__(self, tags):
        super().__init__()
        self.transitions = nn.Parameter(torch.randn(tags, tags))

    def forward(self, emissions):
        alpha = emissions[0]
        for emission in emissions[1:]:
            scores = alpha.unsqueeze(2) + self.transitions + emission.unsqueeze(1)
            alpha = torch.logsumexp(scores, dim=1)
        return alpha
""",
        None,
        None,
        """\
import torch


def log_likelihood(x, y):
    prob = (
        torch.softmax(x, dim=1)
    )
    return prob[torch.arange(len(y)), y]
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the formulas whose exponential may overflow."""
        for formula in facts.exponentials.formulas(source.ask(facts.operations)):
            if formula.may_overflow:
                fix = _fix(source, formula)
                where = {
                    id(found.node): Mark(found.node, "the exponential") for found in formula.exponentials
                }
                related = () if fix else tuple(where.values())
                severity = Severity.NOTE if "naive" in formula.site.scope.function.name.lower() else None
                yield Report(
                    formula.site.node, _MESSAGES[formula.kind], severity=severity, related=related, fix=fix
                )


_MESSAGES = {
    "softmax": "exp(x) / sum(exp(x)) is NaN from x = 89 on (float32); softmax does not overflow",
    "logsumexp": "log(sum(exp(x))) is inf from x = 89 on (float32); logsumexp does not overflow",
    "logmeanexp": "log(mean(exp(x))) is inf from x = 89 on (float32); logsumexp does not overflow",
    "softplus": "log(1 + exp(x)) is inf from x = 89 on (float32); softplus does not overflow",
    "logaddexp": "log(exp(a) + exp(b)) is inf from 89 on (float32); logaddexp does not overflow",
}


def _fix(source: SourceFile, formula: Formula) -> ProposedFix | None:
    """Write the stable function where the whole formula stands in one expression."""
    node, spelling = formula.site.node, facts.spelling
    name = _NAMES.get(formula.kind)
    if name is None or not _is_one_expression(formula) or "#" in source.code(node):
        return None
    callee = spelling.spelled(source, formula.site.scope, name)
    count = 2 if formula.kind == "logaddexp" else 1
    exponents = [spelling.written_operand(exponential) for exponential in formula.exponentials[:count]]
    arguments = [spelling.bare(source, exponent) for exponent in exponents if exponent is not None]
    if formula.inner is not None and formula.kind in ("softmax", "logsumexp"):
        dim = spelling.written_argument(formula.inner, 0, "dim", "axis")
        keepdim = spelling.written_argument(formula.inner, 1, "keepdim", "keepdims")
        keeps = source.code(keepdim) if keepdim is not None else "False"
        if dim is None or (formula.kind == "softmax" and keeps != "True"):
            return None
        arguments.append(f"dim={source.code(dim)}")
        if formula.kind == "logsumexp" and keepdim is not None:
            arguments.append(f"keepdim={keeps}")
    if callee is None:
        return None
    text = f"{callee}({', '.join(arguments)})"
    return ProposedFix(f"use {formula.kind}", Applicability.SAFE, (Replace(node, text),))


_NAMES = {
    "softmax": "torch.softmax",
    "logsumexp": "torch.logsumexp",
    "softplus": "torch.nn.functional.softplus",
    "logaddexp": "torch.logaddexp",
}


def _is_one_expression(formula: Formula) -> bool:
    """Whether each operation of the formula is written directly inside the one around it."""
    whole, inner, spelling = formula.operation, formula.inner, facts.spelling
    if whole.name not in ("log", "log1p", "div") or not all(map(spelling.is_alone, formula.exponentials)):
        return False
    nodes = tuple(exponential.node for exponential in formula.exponentials)
    around = spelling.written_operands(whole)
    if inner is None:
        return around == nodes and spelling.is_alone(whole)
    if inner.open_arguments or not inner.keywords.keys() <= {"dim", "axis", "keepdim", "keepdims"}:
        return False
    inside = spelling.written_operands(inner)
    if formula.kind == "softmax":
        return around == (nodes[0], inner.node) and inside == nodes[1:]
    if formula.kind == "softplus":
        return around == (inner.node,) and nodes[0] in inside
    return around == (inner.node,) and inside == nodes
