"""STB315 exp-of-unbounded-output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class ExpOfUnboundedOutput(StaticRule):
    """The exponential of a layer's raw output: nothing keeps the output below what overflows.

    ## What it does
    Reports `exp`, `exp2`, `expm1`, `sinh` and `cosh` of the output of a linear layer or a convolution, also halved,
    negated, cut into chunks or handed on, where it is trained through: a log-variance, a log-rate, the logarithm of a
    scale. Of several exponentials of one output the one that overflows first is reported. It is a note, because most
    runs stay far from the edge; it is a warning where the layer is in float16, and where the only bound stands behind
    the exponential.

    ## Why it is bad
    `exp` is `inf` from 88.8 on in float32 and from 11.1 on in float16, and so is its gradient. A log-variance grows
    with the weights, and one odd sample in a late epoch is enough: the KL term of a variational autoencoder is `inf`
    at 89, and after that step every weight is NaN. A bound behind the exponential does not help: the gradient of
    `torch.exp(x).clamp(max=1e3)` at 100 is 0 times `inf`, NaN (measured with torch 2.13).

    ## Example
    ```python
    log_var = self.log_var(hidden)
    std = torch.exp(0.5 * log_var)
    ```

    ## Use instead
    ```python
    log_var = self.log_var(hidden).clamp(-30, 20)
    std = torch.exp(0.5 * log_var)
    ```
    `F.softplus` grows like its argument and never overflows. `F.poisson_nll_loss` takes the log-rate as it is.

    ## When to ignore it
    When the size of the output is kept in check, by a strong penalty for instance. Outputs behind a clamp, `tanh`, a
    normalisation or a softmax, shifted by their maximum, or of which nothing is known, parameters, and code under
    `no_grad` are not reported; softmax, logsumexp and softplus written out are `naive-log-sum-exp`.

    ## Fix safety
    There is no fix: the bounds are a choice of the model's author.

    ## References
    - [torch.exp](https://docs.pytorch.org/docs/stable/generated/torch.exp.html)
    - [torch.nn.functional.softplus](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softplus.html)
    - [VGAE of PyTorch Geometric: NaN without a bound](https://github.com/pyg-team/pytorch_geometric/issues/500)
    """

    code = "STB315"
    severity = Severity.NOTE
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # half of it, in a method, and no other exponential
        """\
import torch
from torch import nn

class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc_mu = nn.Linear(8, 2)
        self.fc_var = nn.Linear(8, 2)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)  # flagged
        return torch.randn_like(std) * std + mu

    def forward(self, x):
        return self.reparameterize(self.fc_mu(x), self.fc_var(x))
""",
        # the page's example; the exponential in the loss overflows first
        """\
import torch
from torch import nn


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 32), nn.ReLU())
        self.mean, self.log_var = nn.Linear(32, 8), nn.Linear(32, 8)
        self.decoder = nn.Linear(8, 64)

    def encode(self, x):
        hidden = self.encoder(x)
        return self.mean(hidden), self.log_var(hidden)

    def sample(self, mean, log_var):
        std = torch.exp(0.5 * log_var)
        return mean + std * torch.randn_like(std)

    def forward(self, x):
        mean, log_var = self.encode(x)
        kl = -0.5 * (1 + log_var - mean.pow(2) - log_var.exp()).sum()  # flagged
        return self.decoder(self.sample(mean, log_var)), kl
""",
        # a rate
        """\
import torch
from torch import nn


class Intensity(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(16, 1)

    def forward(self, x):
        return torch.exp(self.head(x))  # flagged


def loss(model, x, counts):
    rate = model(x)
    return (rate - counts * torch.log(rate)).mean()
""",
        # a part of an output; a Gaussian policy
        """\
import torch
from torch import nn


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 4))

    def forward(self, obs):
        mean, log_std = self.net(obs).chunk(2, dim=-1)
        return torch.distributions.Normal(mean, log_std.exp())  # flagged
""",
        # sizes of boxes, an expm1, a negated exponent
        """\
import torch
from torch import nn

conv, fc = nn.Conv2d(64, 4, 1), nn.Linear(8, 1)


def decode(features, anchors):
    delta = conv(features)
    return anchors * torch.exp(delta[:, 2:])  # flagged


def duration(x):
    y = fc(x)
    return torch.expm1(y)  # flagged


def precision(x):
    return (-fc(x)).exp()  # flagged
""",
        # bounded too late: a warning
        """\
import torch
from torch import nn


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        scale = torch.exp(self.fc(x))  # flagged
        return x * torch.clamp(scale, max=1e4)
""",
        # float16: a warning
        """\
import torch
from torch import nn


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        return x * torch.exp(self.fc(x))  # flagged


model = Scale().half()
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
        return self.fc(x)

# file: train.py
import torch
from models.net import Net

model = Net()

def step(x, y):
    return (torch.exp(model(x)) - y).abs().mean()  # flagged
""",
    ]

    good = [
        # bounded before
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Bounded(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.norm = nn.Linear(8, 8), nn.LayerNorm(8)

    def forward(self, x):
        y = self.fc(x)
        a = torch.exp(y.clamp(-30, 20)) + torch.exp(torch.clamp(y, max=10.0)) + torch.tanh(y).exp()
        b = torch.exp(F.logsigmoid(y)) + torch.exp(-F.softplus(y)) + torch.exp(-y.pow(2)) + (-y.abs()).exp()
        c = torch.exp(y - y.max(dim=-1, keepdim=True).values) + F.log_softmax(y, dim=-1).exp()
        return a + b + c + torch.exp(self.norm(y)) + torch.exp(torch.minimum(y, torch.tensor(20.0)))
""",
        # functions that do not overflow
        """\
import torch
import torch.nn.functional as F
from torch import nn

fc = nn.Linear(8, 1)


def rate(x, counts):
    return F.softplus(fc(x)), F.poisson_nll_loss(fc(x), counts, log_input=True)
""",
        # nothing is known of the exponent; a parameter
        """\
import torch
from torch import nn


class Sampler(nn.Module):
    def __init__(self):
        super().__init__()
        self.log_std = nn.Parameter(torch.zeros(4))

    def forward(self, mean, log_var):
        return mean * torch.exp(0.5 * log_var) + self.log_std.exp()
""",
        # formulas of another rule
        """\
import torch
from torch import nn

fc = nn.Linear(8, 4)


def by_hand(x):
    y = fc(x)
    softmax = torch.exp(y) / torch.exp(y).sum(dim=-1, keepdim=True)
    return softmax, torch.log(1 + torch.exp(y)), torch.log(torch.exp(y).sum(-1))
""",
        # a sigmoid written out: 1 / (1 + inf) is 0
        """\
import torch
from torch import nn

fc = nn.Linear(8, 1)


def gate(x):
    return 1 / (1 + torch.exp(-fc(x)))
""",
        # not trained through
        """\
import torch
from torch import nn

fc = nn.Linear(8, 1)


@torch.no_grad()
def predict(x):
    return torch.exp(fc(x))


def show(x):
    print(torch.exp(fc(x)).mean())
    return torch.exp(fc(x).detach()).item()
""",
        # what a layer makes of other things than its raw output
        """\
import torch
from torch import nn

fc, query, key = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)


def other(x, old):
    p = torch.sigmoid(fc(x))
    ratio = torch.exp(torch.log_softmax(fc(x), -1) - old)
    return p.exp(), ratio, torch.exp(torch.log(p + 1e-6) * 2)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the exponential that overflows first of each raw output."""
        operations = source.ask(facts.operations)
        found: dict[cst.CSTNode, _Overflow] = {}
        for site, operation in operations.named("exp", "exp2", "expm1", "sinh", "cosh"):
            overflow = _overflow(source, site, operation)
            if overflow is not None:
                before = found.get(overflow.layer.node)
                if before is None or overflow.rank > before.rank:
                    found[overflow.layer.node] = overflow
        if found:
            others = {
                exponential.node
                for formula in facts.exponentials.formulas(operations)
                for exponential in formula.exponentials
            }
            for overflow in found.values():
                if overflow.operation.node not in others:
                    yield _report(overflow)


@dataclass(frozen=True, slots=True)
class _Overflow:
    """An exponential of a layer's output times `factor`; `late` is the name of a bound that stands behind it."""

    site: Site
    operation: Operation
    layer: Operation
    factor: float
    late: str | None
    is_half: bool

    @property
    def rank(self) -> tuple[bool, float]:
        return self.late is not None or self.is_half, self.factor


_LARGEST = {True: 11.09, False: 88.72}
"""The exponential of more than this is infinite, in float16 and in float32."""


def _report(overflow: _Overflow) -> Report:
    name = overflow.operation.name
    limit = _LARGEST[overflow.is_half] / overflow.factor * (1.4427 if name == "exp2" else 1)
    kind = "float16" if overflow.is_half else "float32"
    text = f"{name} of a layer's raw output is inf where that is above {limit:.0f} ({kind})"
    if overflow.late is not None:
        text = (
            f"{overflow.late} after {name} comes too late: where that overflows, the gradient is NaN already"
        )
    is_worse = overflow.late is not None or overflow.is_half
    related = (
        (Mark(overflow.layer.node, "the output"),) if overflow.layer.node is not overflow.site.node else ()
    )
    return Report(overflow.site.node, text, severity=Severity.WARNING if is_worse else None, related=related)


def _overflow(source: SourceFile, site: Site, operation: Operation) -> _Overflow | None:
    if not operation.operands or not operation.dotted.startswith("torch."):
        return None
    exponent, factor = _scaled(operation.operands[0])
    layer = facts.provenance.made_by(exponent, *_LAYERS)
    if layer is None or layer.module is None or facts.exponentials.is_bounded(operation.operands[0]):
        return None
    if not facts.differentiation.carries_gradient(source, site, operation) or _is_below_one(source, site):
        return None
    halves = source.ask(facts.halves)
    is_half = halves.autocast_of(operation) is None and halves.made_half(exponent) is not None
    return _Overflow(site, operation, layer, factor, _late_bound(source, site), is_half)


_LAYERS = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")


def _scaled(term: Term) -> tuple[Term, float]:
    """Return what an exponent is a multiple of, and how large that is."""
    factor = 1.0
    for _ in range(8):
        match term:
            case facts.terms.Operation(name="neg", operands=(inner,)):
                term = inner
            case facts.terms.Operation(name="mul" | "div" as name, operands=(left, right)):
                value = facts.terms.number(right)
                inner = left
                if value is None and name == "mul":
                    value, inner = facts.terms.number(left), right
                if not value:
                    break
                term, factor = inner, factor * abs(value if name == "mul" else 1 / value)
            case _:
                break
    return term, factor


def _users(source: SourceFile, site: Site) -> Iterator[Term]:
    uses = source.ask(facts.uses)
    for option in facts.terms.options(source.ask(facts.values).raw(site.node)):
        yield from uses.of(option)


def _late_bound(source: SourceFile, site: Site) -> str | None:
    """Return the name of what bounds the exponential from above, which its gradient does not survive."""
    for user in _users(source, site):
        if isinstance(user, facts.terms.Operation):
            if user.name == "nan_to_num":
                return user.name
            top = user.argument("max", 0 if user.name == "clamp_max" else 1)
            if user.name in ("clamp", "clamp_max") and facts.terms.number(top) is not None:
                return user.name
    return None


def _is_below_one(source: SourceFile, site: Site) -> bool:
    """Whether an exponential is part of `1 / (1 + exp(x))`, which is 0 where it overflows."""
    uses = source.ask(facts.uses)
    return any(
        getattr(user, "name", "") == "div" and getattr(user, "operands", (None,))[-1] is total
        for total in _users(source, site)
        if getattr(total, "name", "") == "add"
        for user in uses.of(total)
    )
