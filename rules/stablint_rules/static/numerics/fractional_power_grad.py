"""STB310 fractional-power-grad: a fractional or negative power meets zero, or less."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Operation, Question, Term
    from stablint.static.source import SourceFile


class FractionalPowerGrad(StaticRule):
    """A power with a fractional or negative exponent is taken of a value that can be 0 or negative.

    ## What it does

    Reports `**` and `pow` that are trained through

    - with an exponent between 0 and 1 of a value that can be exactly 0: a probability or its complement, a
      mean of squares, the output of `relu`;
    - with a negative exponent of such a value, or of a count that can be 0, such as the degrees of the
      nodes of a graph, unless what comes out infinite is replaced;
    - with an exponent that is no whole number of a raw output of a layer, which can be negative.

    Plain square roots (0.5 and -0.5) of what cannot be negative are the business of unguarded-sqrt-grad.

    ## Why it is bad

    The derivative of `x ** c` is `c * x ** (c - 1)`: at 0 it is infinite for every c below 1, and infinity
    times an inner gradient of 0 is NaN. The focal loss `-(1 - p) ** gamma * log(p)` has the gradient NaN at
    `p = 1` for `gamma = 0.7` and a finite one for `gamma = 2`; in single precision a sigmoid is exactly 1
    from a logit of 17 on. A negative exponent is infinite at 0 already: `deg ** -0.5` for a node without
    edges, and a row of infinities becomes NaN with the first 0 that it meets. A negative number to the power
    of 0.5 is NaN (all measured with torch 2.13).

    ## Example

    ```python
    p = torch.sigmoid(logit)
    loss = -((1 - p) ** 0.7 * F.logsigmoid(logit))
    ```

    ## Use instead

    ```python
    p = torch.sigmoid(logit)
    loss = -((1 - p).clamp(min=1e-6) ** 0.7 * F.logsigmoid(logit))
    ```

    For degrees: `deg.clamp(min=1) ** -0.5`, self-loops, or `masked_fill` of what is infinite.

    ## When to ignore it

    When something that cannot be seen here keeps the base away from 0. Code under `no_grad`, of constants
    and of bases of which nothing is known is not reported, and neither are functions that are named after a
    metric.

    ## Fix safety

    There is no fix: the margin is a choice.

    ## References

    - [torch.pow](https://docs.pytorch.org/docs/stable/generated/torch.pow.html)
    - [Autograd mechanics: gradients for non-differentiable functions](https://docs.pytorch.org/docs/stable/notes/autograd.html)
    """

    code = "STB310"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # The page's example.
        """\
import torch
import torch.nn.functional as F


def focal(logit):
    p = torch.sigmoid(logit)
    return -((1 - p) ** 0.7 * F.logsigmoid(logit)).mean()  # flagged
""",
        # The exponent as a setting of the loss.
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Focal(nn.Module):
    def __init__(self, gamma=0.7):
        super().__init__()
        self.gamma = gamma

    def forward(self, logits, target):
        p = torch.softmax(logits, dim=1).gather(1, target[:, None])
        return ((1 - p) ** self.gamma * F.cross_entropy(logits, target)).mean()  # flagged
""",
        # Generalised cross-entropy: the probability of the label underflows to 0.
        """\
import torch
from torch import nn


def generalised(logits, target, q=0.7):
    p = torch.softmax(logits, dim=1)
    p = torch.gather(p, 1, target.unsqueeze(1))
    return ((1 - p.pow(q)) / q).mean()  # flagged
""",
        # Given by a caller in another function, which makes the square, too.
        """\
import torch
from torch import nn


def compressed(magnitude, exponent):
    return magnitude**exponent  # flagged


class SpectralLoss(nn.Module):
    def forward(self, a, b):
        return compressed((a - b).abs(), 0.3).mean() + compressed((a - b).pow(2), 0.3).mean()
""",
        # Charbonnier without its epsilon, and other known zeros.
        """\
import torch
from torch import nn


def penalties(a, b, x):
    robust = torch.pow((a - b) ** 2, 0.45)  # flagged
    signed = torch.sign(x) * torch.abs(x) ** 0.25  # flagged
    cubic = torch.relu(x).mean(dim=1).pow(1 / 3)  # flagged
    return robust.mean() + signed.mean() + cubic.mean()
""",
        # The degrees of a graph: isolated nodes have none.
        """\
import torch
from torch import nn
from torch_geometric.utils import degree


class Propagate(nn.Module):
    def forward(self, x, edge_index):
        row, col = edge_index
        deg = degree(row, x.size(0), dtype=x.dtype)
        deg_inv_sqrt = deg.pow(-0.5)  # flagged
        norm = deg_inv_sqrt[row] * deg_inv_sqrt[col]
        return torch.zeros_like(x).index_add(0, row, norm[:, None] * x[col])
""",
        # Counts made by hand, and of an adjacency.
        """\
import torch
from torch import nn


class Aggregate(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x, row, threshold):
        adjacency = (x @ x.t() > threshold).float()
        d = adjacency.sum(dim=1).pow(-0.5)  # flagged
        count = torch.bincount(row, minlength=x.size(0)).float()
        return d[:, None] * adjacency @ self.fc(x) * count.pow(-1).unsqueeze(1)  # flagged
""",
        # A raw output, which can be negative.
        """\
import torch
from torch import nn


class Gamma(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, image, target):
        out = self.conv(image)
        return out ** (1 / 2.2), (out - target) ** 1.5, torch.pow(out, 0.5)  # flagged
""",
        # A negative power of what a unit gives that can be off.
        """\
import torch
from torch import nn


class Inverse(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        h = torch.relu(self.fc(x))
        return h**-1 + (x - h).abs().pow(-2)  # flagged
""",
    ]

    good = [
        # Clamped, or lifted, inside.
        """\
import torch
import torch.nn.functional as F


class Focal(torch.nn.Module):
    def __init__(self, gamma=0.5, eps=1e-6):
        super().__init__()
        self.gamma, self.eps = gamma, eps

    def forward(self, logit, a, b):
        p = torch.sigmoid(logit)
        focal = (1 - p).clamp(min=1e-6) ** self.gamma * F.logsigmoid(logit)
        robust = ((a - b) ** 2 + self.eps**2) ** 0.45
        return focal.mean() + robust.mean() + ((a - b).abs() + 1e-4).pow(-1).mean()
""",
        # Whole exponents, and those above 1.
        """\
import torch
import torch.nn.functional as F


class Focal(torch.nn.Module):
    def __init__(self, gamma=2.0):
        super().__init__()
        self.gamma = gamma

    def forward(self, logit, x):
        p = torch.sigmoid(logit)
        return (1 - p) ** self.gamma * F.logsigmoid(logit) + (1 - p) ** 2 + torch.relu(x) ** 1.5 + x**3 + x**1.0
""",
        # An exponent of which nothing is known.
        """\
import torch
from torch import nn


class GeM(nn.Module):
    def __init__(self, p=3, eps=1e-6):
        super().__init__()
        self.p = nn.Parameter(torch.ones(1) * p)
        self.eps = eps

    def forward(self, x):
        return x.clamp(min=self.eps).pow(self.p).mean(dim=(2, 3)).pow(1.0 / self.p)


def focal(p, gamma):
    return (1 - torch.sigmoid(p)) ** gamma
""",
        # A base of which nothing is known.
        """\
import torch
from torch import nn


def unknown(x, sigma, model):
    return x**0.3, sigma**-1, model(x) ** 0.25, sigma.pow(-2)
""",
        # The degrees with self-loops, clamped, plus one, or with the infinite ones replaced.
        """\
import torch
from torch import nn
from torch_geometric.utils import add_self_loops, degree


class Propagate(nn.Module):
    def forward(self, x, edge_index, graph):
        looped, _ = add_self_loops(edge_index, num_nodes=x.size(0))
        row, col = looped
        a = degree(row, x.size(0)).pow(-0.5)
        b = degree(edge_index[0], x.size(0)).clamp(min=1).pow(-0.5)
        c = (degree(edge_index[0], x.size(0)) + 1).pow(-1)
        d = degree(edge_index[0], x.size(0)).pow(-0.5)
        d[d == float("inf")] = 0
        e = degree(edge_index[0], x.size(0)).pow_(-0.5)
        e.masked_fill_(e == float("inf"), 0)
        f = torch.nan_to_num(degree(edge_index[0], x.size(0)) ** -1, posinf=0.0)
        g = graph.in_degrees().float().clamp(min=1).pow(-0.5)
        return (a + b + c + d + e + f + g)[:, None] * x
""",
        # Each node of a batch belongs to a graph that has it: the count is looked up where it was counted.
        """\
import torch
from torch import nn
from torch_geometric.utils import degree


class SizeNorm(nn.Module):
    def forward(self, x, batch, size):
        inverse = degree(batch, size, dtype=x.dtype).pow(-0.5)
        other = torch.bincount(batch)[batch].float().pow(-1) * degree(batch).pow(-1)[batch]
        return x * inverse.index_select(0, batch).view(-1, 1) + x * other[:, None]
""",
        # Plain numbers.
        """\
import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim, heads, layers):
        super().__init__()
        self.scale = (dim // heads) ** -0.5
        self.std = len(layers) ** -0.25

    def forward(self, q, k):
        return q @ k.transpose(-2, -1) * self.scale * q.size(-1) ** -0.5 * q.shape[-1] ** -0.25
""",
        # Nothing is trained through: an optimizer, no_grad, a metric, constants.
        """\
import torch
from torch import nn


@torch.no_grad()
def show(model, x):
    return torch.sigmoid(model(x)) ** 0.45


def evaluate(model, x):
    return ((model(x) - x).abs() ** 0.45).mean()


def priorities(error):
    return (error.detach().abs() ** 0.6).tolist()


def frequencies(dim):
    return torch.arange(0, dim, 2).float() ** 0.75, torch.linspace(0, 1, dim) ** (1 / 3)
""",
        # A rate that falls with the steps.
        """\
import torch
from torch import nn


def rate(step, width, warmup):
    return width**-0.5 * min(step**-0.5, step * warmup**-1.5)
""",
        # Tested on the way there.
        """\
import torch
from torch import nn


def root(x):
    size = (x**2).sum()
    if size > 0:
        return size**0.25
    return size
""",
        # Square roots of what cannot be negative are the concern of another rule.
        """\
import torch
from torch import nn


def rms(x):
    return (x**2).mean() ** 0.5, x * (x**2).mean(-1, keepdim=True) ** -0.5
""",
        # The degrees of a graph whose edges are attention: they are zero only where all weights underflow.
        """\
import torch
from torch import nn


class Hyper(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        incidence = torch.softmax(self.fc(x), dim=1)
        return incidence * incidence.sum(0) ** -1, incidence.mean(0) ** 0.3
""",
        # The kernel of Student's t: one is added.
        """\
import torch
from torch import nn


def kernel(x, centres, tau=1.0):
    dist = torch.cdist(x, centres) ** 2
    return (1.0 + dist / tau).pow(-(tau + 1.0) / 2.0)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the powers that meet a base for which they, or their gradient, are not finite."""
        for site, power in source.ask(facts.operations).named("pow"):
            message = _fault(source, site, power) if len(power.operands) == 2 else None
            if message is None or facts.zeros.is_tested(source, site):
                continue
            if not facts.differentiation.may_be_for_show(source, site.scope):
                yield Report(site.node, message)


def _fault(source: SourceFile, site: Site, power: Operation) -> str | None:
    """Say what is wrong with a power that is trained through."""
    base, exponent = power.operands[0], _exponent(power.operands[1])
    if exponent is None or not facts.differentiation.is_trained_through(source, site, power):
        return None
    counted = facts.counts.counted(base) if exponent < 0 else None
    if counted is not None:
        is_safe = _is_replaced(source, site) or _is_looked_up_where_counted(source, site, counted)
        return None if is_safe else f"** {exponent:g} of a count that can be 0 is infinite there"
    if not facts.differentiation.carries_gradient(source, site, power):
        return None
    if exponent != int(exponent) and _can_be_negative(base):
        return f"** {exponent:.3g} of a raw output, which can be negative: NaN"
    if exponent in (0.5, -0.5) or exponent > 1 or not _reaches_zero(power):
        return None
    if exponent < 0:
        is_safe = not facts.zeros.expects_zero(base) or _is_replaced(source, site)
        return None if is_safe else f"** {exponent:g} of {_what(base)} is infinite there"
    return f"the gradient of ** {exponent:.3g} at 0 is infinite, then NaN: {_what(base)}"


def _exponent(term: Term) -> float | None:
    """Return an exponent below 1 or between whole numbers, where one may be given."""
    for option in facts.terms.options(term):
        default = option.default if isinstance(option, facts.terms.Parameter) else option
        held = facts.intervals.interval(default) if default is not None else facts.intervals.TOP
        is_known = held.low == held.high and abs(held.low) < 1e3
        if is_known and held.low != 0 and (held.low < 0 or held.low != int(held.low)):
            return held.low
    return None


def _reaches_zero(power: Operation) -> bool:
    """Whether a base is known never to be negative, but may be zero."""
    base = power.operands[0]
    held = facts.intervals.interval(base)
    if not held.is_non_negative or not held.has_zero or not facts.provenance.is_tensor(power):
        return False
    # A sigmoid is zero only where it underflows, at a logit of -104, and a sum of softmaxes where all of them do.
    made_by, summed = facts.provenance.made_by, facts.provenance.REARRANGING | {"sum", "mean"}
    is_sum = made_by(base, "softmax", through=summed) is not None and made_by(base, "softmax") is None
    return not is_sum and made_by(base, "sigmoid") is None


def _what(base: Term) -> str:
    origin = facts.provenance.made_by(base, *_KNOWN, through=facts.provenance.REARRANGING | {"sum", "mean"})
    return _KNOWN[origin.name] if origin is not None else "a value that can be exactly 0"


_KNOWN = {
    "sub": "1 - a probability that reaches 1",
    "softmax": "a softmax, which underflows to 0",
    "relu": "the output of relu, which is 0 for every unit that is off",
    "abs": "an absolute value, which can be exactly 0",
    "pow": "a square, which can be exactly 0",
    "square": "a square, which can be exactly 0",
    "clamp": "a value that is clamped at 0, not above it",
    "clamp_min": "a value that is clamped at 0, not above it",
}

_RAW = {"linear", "conv1d", "conv2d", "conv3d", "conv_transpose2d"}


def _can_be_negative(base: Term) -> bool:
    """Whether a base is the raw output of a layer, or such a thing plus or minus something."""

    def is_raw(term: Term, look: Question) -> bool:
        match term:
            case facts.terms.Operation(name=name, module=module) if name in _RAW:
                return module is not None
            case facts.terms.Operation(name="add" | "sub" | "neg", operands=operands):
                return any(look(operand) for operand in operands)
            case facts.terms.Operation(name=name, operands=(inner, *_)):
                return name in facts.provenance.REARRANGING and look(inner)
            case _:
                return False

    return facts.intervals.interval(base).low < 0 and facts.terms.once(is_raw)(base)


_REPLACING = {
    "where",
    "masked_fill",
    "nan_to_num",
    "isnan",
    "isinf",
    "isfinite",
    "setitem",
    "compare",
    "eq",
    "clamp",
}


def _is_replaced(source: SourceFile, site: Site) -> bool:
    """Whether what comes out infinite is replaced at once."""
    return any(getattr(consumer, "name", "") in _REPLACING for consumer in _consumers(source, site))


def _consumers(source: SourceFile, site: Site) -> Iterator[Term]:
    uses = source.ask(facts.uses)
    for option in facts.terms.options(source.ask(facts.values).raw(site.node)):
        yield from uses.of(option)


def _is_looked_up_where_counted(source: SourceFile, site: Site, counted: Term) -> bool:
    """Whether the power is only looked up at the places that were counted, where the count is one or more."""
    resolve, consumers = source.ask(facts.values).resolve, list(_consumers(source, site))
    return bool(consumers) and all(
        facts.counts.is_looked_up_where_counted(resolve(one), counted) for one in consumers
    )
