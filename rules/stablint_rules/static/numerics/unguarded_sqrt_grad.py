"""STB303 unguarded-sqrt-grad."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class UnguardedSqrtGrad(StaticRule):
    """A square root is differentiated where its argument can be exactly 0.

    ## What it does
    Reports `sqrt`, `rsqrt`, `** 0.5` and `pow(0.5)` of a value that is never negative but can be zero: a
    sum or mean of squares, a mean squared error, a variance, an absolute value, the output of
    `clamp(min=0)`, when no positive term is added or clamped in *inside* the root and the result can be
    trained through.

    ## Why it is bad
    The derivative of the square root is infinite at 0. Multiplied by the inner gradient, which is 0
    there, it gives NaN: `sqrt(((a - b) ** 2).sum())` has the gradient `[nan, nan]` where `a` equals `b`,
    and `sqrt(mse_loss(p, y))` has it at a perfect fit. Three guards that look right are not:
    `clamp(min=0).sqrt()` still has an infinite gradient at 0 (torch 2.13; it may be 0 in later
    versions), `sqrt(x) + eps` changes nothing, and the variance `(x ** 2).mean() - x.mean() ** 2`
    cancels and can even come out negative, so that the root itself is NaN. The norms that PyTorch offers
    (`torch.linalg.vector_norm`, `torch.cdist`, `Tensor.std`) return the subgradient 0 (all measured with
    torch 2.13). So does `relu(x).sqrt()`, because `relu` lets no gradient through where it is off.

    ## Example
    ```python
    dist = torch.sqrt(((a - b) ** 2).sum(dim=-1))
    rmse = torch.sqrt(F.mse_loss(pred, y))
    ```

    ## Use instead
    ```python
    dist = torch.linalg.vector_norm(a - b, dim=-1)
    rmse = torch.sqrt(F.mse_loss(pred, y) + 1e-12)
    ```

    ## When to ignore it
    When the argument is bounded away from zero by something that cannot be seen here, such as noise in
    the data. Code under `no_grad`, in an optimizer, of constants and buffers, or of metrics that end in
    `.item()` is not reported, nor is the norm of a parameter that is drawn at random. In a function that
    is named after a metric (`psnr`, `evaluate`), and in a file that neither imports `torch.nn` nor calls
    `backward`, the finding is a note; so it is where a tensor is scaled by the root of the mean of all its
    squares, which is 0 only where every element is.

    ## Fix safety
    There is no fix: the size of the epsilon is a choice, and a norm may have been meant.

    ## References
    - [torch.linalg.vector_norm](https://docs.pytorch.org/docs/stable/generated/torch.linalg.vector_norm.html)
    - [torch.sqrt](https://docs.pytorch.org/docs/stable/generated/torch.sqrt.html)
    - [Autograd mechanics: gradients for non-differentiable functions](https://docs.pytorch.org/docs/stable/notes/autograd.html)
    """

    code = "STB303"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # The page's example.
        """\
import torch
import torch.nn.functional as F


def distance(a, b):
    return torch.sqrt(((a - b) ** 2).sum(dim=-1))  # flagged


def rmse(pred, y):
    return torch.sqrt(F.mse_loss(pred, y))  # flagged
""",
        # The other spellings of root and square.
        """\
import torch


def several(a, b):
    d = a - b
    u = ((a - b) ** 2).sum(-1) ** 0.5  # flagged
    v = (a - b).pow(2).sum(-1).pow(0.5)  # flagged
    w = torch.pow(torch.square(a - b).mean(), 1 / 2)  # flagged
    x = (d * d).sum(dim=1).sqrt()  # flagged
    return u, v, w, x
""",
        # A criterion made once, the root taken in the training loop.
        """\
import torch
from torch import nn


def train(model, loader):
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in loader:
        optimizer.zero_grad()
        mse = criterion(model(x), y)
        loss = torch.sqrt(mse)  # flagged
        loss.backward()
        optimizer.step()
""",
        # RMSE as a loss module of its own.
        """\
import torch
from torch import nn


class RMSELoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.mse = nn.MSELoss()

    def forward(self, prediction, target):
        return torch.sqrt(self.mse(prediction, target))  # flagged
""",
        # Pairwise distances: the clamp keeps out negatives, not the zeros of the diagonal.
        """\
import torch


def pairwise(x):
    gram = x @ x.t()
    square = gram.diag()
    d2 = square[:, None] - 2 * gram + square[None, :]
    return d2.clamp(min=0).sqrt()  # flagged


def to_gamma(image):
    return torch.sqrt(torch.clamp(image, 0, 1))  # flagged
""",
        # The epsilon stands outside the root.
        """\
import torch


def normalise(v):
    norm = torch.sqrt(torch.sum(v**2, dim=-1, keepdim=True)) + 1e-8  # flagged
    return v / norm


def gradient_penalty(gradients):
    norm = (gradients.view(len(gradients), -1) ** 2).sum(1).sqrt()  # flagged
    return ((norm + 1e-12 - 1) ** 2).mean()
""",
        # The variance as a difference of means: it cancels, and may come out negative.
        """\
import torch


def standardise(x):
    mean = x.mean(dim=0)
    var = (x**2).mean(dim=0) - x.mean(dim=0) ** 2
    return (x - mean) / torch.sqrt(var)  # flagged
""",
        # The standard deviation over the minibatch, through var: constant features have none.
        """\
import torch
from torch import nn


class MinibatchStd(nn.Module):
    def forward(self, x):
        std = torch.sqrt(x.var(dim=0, unbiased=False))  # flagged
        extra = std.mean().expand(x.size(0), 1, *x.shape[2:])
        return torch.cat([x, extra], dim=1)
""",
        # Root-mean-square normalisation without its epsilon.
        """\
import torch
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True))  # flagged
""",
        # The signed square root of bilinear pooling.
        """\
import torch
import torch.nn.functional as F


def bilinear(features):
    b, c, h, w = features.shape
    flat = features.view(b, c, h * w)
    pooled = torch.bmm(flat, flat.transpose(1, 2)).view(b, c * c) / (h * w)
    signed = torch.sign(pooled) * torch.sqrt(torch.abs(pooled))  # flagged
    return F.normalize(signed)
""",
        # The magnitude of an image gradient: flat regions have none.
        """\
import torch
import torch.nn.functional as F


def edge_loss(image, target, kernel_x, kernel_y):
    gx = F.conv2d(image, kernel_x, padding=1)
    gy = F.conv2d(image, kernel_y, padding=1)
    magnitude = torch.sqrt(gx**2 + gy**2)  # flagged
    return F.l1_loss(magnitude, target)
""",
        # Through a method, and a tuple.
        """\
import torch
from torch import nn


class Triplet(nn.Module):
    def squared(self, a, b):
        return (a - b).pow(2).sum(dim=1)

    def both(self, anchor, positive, negative):
        return self.squared(anchor, positive), self.squared(anchor, negative)

    def forward(self, anchor, positive, negative):
        near, far = self.both(anchor, positive, negative)
        near = near.sqrt()  # flagged
        return torch.relu(near - torch.sqrt(far) + 0.2).mean()  # flagged
""",
        # In one branch only, and over a loop.
        """\
import torch


def prototypes(queries, centres, squared):
    out = []
    for centre in centres:
        d = torch.sum((queries - centre) ** 2, dim=1)
        if not squared:
            d = torch.sqrt(d)  # flagged
        out.append(-d)
    return torch.stack(out, dim=1)
""",
        # The prediction against its target, over several lines.
        """\
import torch


def endpoint_error(flow, target, valid):
    epe = torch.sqrt(  # flagged
        torch.sum(
            (flow - target) ** 2,
            dim=1,
        )
    )
    return (epe * valid).mean()
""",
        # What has its logarithm taken is not thereby logged.
        """\
import torch
from torch import nn


class Spread(nn.Module):
    def forward(self, x, y):
        spread = torch.sqrt((x - y).pow(2).sum(dim=1))  # flagged
        return torch.log(spread + 1e-6).mean()
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
    return torch.sqrt(((model(x) - y) ** 2).sum(1)).mean()  # flagged
""",
    ]

    good = [
        # The remedy: functions that have a subgradient at zero.
        """\
import torch
import torch.nn.functional as F


def distances(a, b):
    d = torch.linalg.vector_norm(a - b, dim=-1)
    e = torch.norm(a - b, dim=-1) + (a - b).norm(p=2, dim=-1)
    return d + e + F.pairwise_distance(a, b), torch.cdist(a, b), (a - b).std(), F.normalize(a, dim=-1)
""",
        # An epsilon inside the root, in its spellings.
        """\
import torch
import torch.nn.functional as F

EPS = 1e-8


class Charbonnier(torch.nn.Module):
    def __init__(self, eps=1e-3):
        super().__init__()
        self.eps = eps

    def forward(self, x, y):
        d = x - y
        return torch.sqrt(d * d + self.eps**2).mean()


def guarded(a, b, eps=1e-12):
    d2 = ((a - b) ** 2).sum(-1)
    u = torch.sqrt(d2 + 1e-12) + (d2 + EPS) ** 0.5 + (eps + d2).sqrt() + d2.add(1e-9).pow(0.5)
    return u + torch.sqrt(F.mse_loss(a, b) + eps) + torch.sqrt(1 + d2)
""",
        # A positive clamp inside the root.
        """\
import torch


def pairwise(x):
    d2 = ((x[:, None] - x[None]) ** 2).sum(-1)
    u = d2.clamp(min=1e-12).sqrt()
    v = torch.sqrt(d2.clamp_min(torch.finfo(d2.dtype).tiny))
    return u + v + torch.maximum(d2, torch.tensor(1e-9)).sqrt()
""",
        # Batch normalisation by hand, as taught: the epsilon is inside.
        """\
import torch


def batch_norm(x, gamma, beta, moving_mean, moving_var, eps, training):
    if not training:
        x_hat = (x - moving_mean) / torch.sqrt(moving_var + eps)
    else:
        mean = x.mean(dim=0)
        var = ((x - mean) ** 2).mean(dim=0)
        x_hat = (x - mean) / torch.sqrt(var + eps)
    return gamma * x_hat + beta
""",
        # The remedy of a variance of one sample or of constant features.
        """\
import torch
from torch import nn


class MinibatchStd(nn.Module):
    def forward(self, x):
        var = x.var(dim=0, unbiased=False)
        std = torch.sqrt(var + 1e-8)
        return torch.cat([x, std.mean().expand(x.size(0), 1)], dim=1)


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
""",
        # An optimizer: nothing in it is differentiated.
        """\
import torch
from torch.optim import Optimizer


class RMSprop(Optimizer):
    def __init__(self, params, lr=1e-3, alpha=0.99):
        super().__init__(params, dict(lr=lr, alpha=alpha))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                self.update(p, group)

    def update(self, p, group):
        state = self.state[p]
        average = state.setdefault("average", torch.zeros_like(p))
        average.mul_(group["alpha"]).addcmul_(p.grad, p.grad, value=1 - group["alpha"])
        norm = torch.sqrt(torch.sum(p.grad**2))
        ratio = p.data.pow(2).sum().sqrt() / norm
        p.data.addcdiv_(p.grad, average.sqrt().add_(1e-8), value=-group["lr"] * float(ratio))
""",
        # No gradient context: a with block, a decorator, inference mode.
        """\
import torch
import torch.nn.functional as F


@torch.no_grad()
def validate(model, loader):
    return [torch.sqrt(F.mse_loss(model(x), y)) for x, y in loader]


@torch.inference_mode()
def distances(a, b):
    return ((a - b) ** 2).sum(-1).sqrt()


def report(model, x, y):
    with torch.no_grad():
        rmse = torch.sqrt(((model(x) - y) ** 2).mean())
    return rmse
""",
        # A metric: the number leaves the graph at once.
        """\
import torch
from torch import nn

loss = nn.MSELoss()


def log_rmse(net, features, labels):
    preds = torch.clamp(net(features), 1, float("inf"))
    rmse = torch.sqrt(loss(torch.log(preds), torch.log(labels)))
    return rmse.item()


def rmse(pred, y):
    return torch.sqrt(((pred - y) ** 2).mean()).item()


def detached(pred, y):
    return torch.sqrt(((pred - y) ** 2).mean().detach())
""",
        # The norm of gradients, which carry no graph: clipping by hand.
        """\
import torch


def grad_clipping(net, theta):
    params = [p for p in net.parameters() if p.requires_grad]
    norm = torch.sqrt(sum(torch.sum(p.grad**2) for p in params))
    if norm > theta:
        for param in params:
            param.grad[:] *= theta / norm
""",
        # A diffusion schedule: constants and buffers only.
        """\
import torch
from torch import nn


class Diffusion(nn.Module):
    def __init__(self, steps=1000):
        super().__init__()
        betas = torch.linspace(1e-4, 0.02, steps)
        alphas = torch.cumprod(1.0 - betas, dim=0)
        self.register_buffer("alphas", alphas)
        self.register_buffer("sqrt_alphas", torch.sqrt(alphas))
        self.register_buffer("sqrt_one_minus", torch.sqrt(1.0 - alphas))
        self.register_buffer("sqrt_recip_m1", (1.0 / alphas - 1).sqrt())

    def ddim(self, x, noise, eta, index, before):
        a, a_prev = self.alphas[index], self.alphas[before]
        sigma = eta * torch.sqrt((1 - a_prev) / (1 - a) * (1 - a / a_prev))
        direction = (1.0 - a_prev - sigma**2).sqrt() * noise
        x0 = (x - torch.sqrt(1 - a) * noise) / a.sqrt()
        return a_prev.sqrt() * x0 + direction
""",
        # Python numbers and sizes.
        """\
import math

import numpy as np
import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.scale = (dim // heads) ** -0.5
        self.temperature = math.sqrt(dim) + np.sqrt(dim) + dim**0.5
        self.weight = nn.Parameter(torch.randn(dim, dim) / dim**0.5)

    def forward(self, q, k):
        scores = q @ k.transpose(-2, -1) * self.scale / q.size(-1) ** 0.5
        return torch.softmax(scores / torch.sqrt(torch.tensor(q.shape[-1], dtype=torch.float32)), dim=-1)
""",
        # Values that are positive: exponentials, softplus, one plus a square.
        """\
import torch
import torch.nn.functional as F


def scales(logvar, raw, x):
    a = torch.sqrt(torch.exp(logvar))
    b = torch.exp(logvar) ** 0.5
    c = (F.softplus(raw) + 1e-6).sqrt()
    return a, b, c, torch.rsqrt(1 + x**2), logvar.mul(0.5).exp()
""",
        # Constants: tables without a gradient.
        """\
import torch


def tables(n):
    positions = torch.arange(n, dtype=torch.float32)
    return torch.sqrt(positions), torch.arange(0, n).float().pow(0.5), torch.sqrt(torch.tensor(2.0))
""",
        # Where nothing is known, nothing is said.
        """\
import torch


def unknown(variance, model, x):
    return torch.sqrt(variance), model(x).sqrt(), variance**0.5
""",
        # Double where: the root never sees a zero.
        """\
import torch


def safe_distance(a, b):
    d2 = ((a - b) ** 2).sum(-1)
    positive = d2 > 0
    safe = torch.where(positive, d2, torch.ones_like(d2))
    return torch.where(positive, safe.sqrt(), torch.zeros_like(d2))
""",
        # relu passes no gradient where it is off, so the infinite one is never multiplied by 0.
        """\
import torch
import torch.nn.functional as F


def pairwise(x):
    gram = x @ x.t()
    square = gram.diag()
    d2 = square[:, None] - 2 * gram + square[None, :]
    return F.relu(d2).sqrt(), torch.sqrt(torch.relu(d2))
""",
        # The zeros are lifted by a mask before the root, and put back after it.
        """\
import torch


def pairwise(x):
    d2 = ((x[:, None] - x[None]) ** 2).sum(-1)
    mask = (d2 == 0.0).float()
    d = torch.sqrt(d2 + mask * 1e-16)
    return d * (1.0 - mask)
""",
        # Statistics of a data set, made once in NumPy or without a model.
        """\
import numpy as np
import torch


def dataset_statistics(images: np.ndarray):
    var = (images**2).mean(axis=0) - images.mean(axis=0) ** 2
    return torch.from_numpy(np.sqrt(var)), np.sqrt(((images - images.mean()) ** 2).sum())
""",
        # Targets and weights made from labels, without a gradient.
        """\
import torch


def class_weights(labels, classes):
    one_hot = torch.nn.functional.one_hot(labels, classes)
    counts = one_hot.sum(dim=0)
    return 1 / torch.sqrt(counts + 1.0)
""",
        # Left early where it is zero, or looked at only where it is not.
        """\
import torch


def whiten(x, floor=1e-8):
    var = x.var(0)
    if (var < floor).any():
        return x
    return x / torch.sqrt(var)


def length(v):
    squared = (v**2).sum()
    if squared > 0:
        return squared.sqrt()
    return squared
""",
        # Preconditioning and noise schedules: a width that is not zero, a sigmoid that underflows at -104.
        """\
import torch
from torch import nn


class Preconditioned(nn.Module):
    def __init__(self, net, sigma_data=0.5):
        super().__init__()
        self.net = net
        self.sigma_data = sigma_data

    def forward(self, x, sigma):
        scale = (sigma**2 + self.sigma_data**2) ** -0.5
        return self.net(scale * x) / torch.sqrt(torch.square(sigma) + self.sigma_data**2)


def noised(x, noise, log_snr):
    return x * log_snr.sigmoid().sqrt() + noise * torch.sqrt((-log_snr).sigmoid())
""",
        # A parameter that is drawn is 0 nowhere.
        """\
import torch
from torch import nn


def modulated(x, weight, style):
    weight = weight * weight.square().mean([1, 2, 3], keepdim=True).rsqrt()
    return torch.conv2d(x * style, weight)


class Modulated(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, width, 3, 3))
        self.norms = nn.Parameter(torch.rand(width) * 0.1)

    def forward(self, x, style):
        return modulated(x, self.weight, style) / torch.sqrt((self.norms**2).sum())
""",
        # Other powers.
        """\
import torch


def powers(a, b):
    d2 = ((a - b) ** 2).sum(-1)
    return d2**2, d2.pow(1.5), d2**1, torch.pow(d2, 2)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the roots of what can be exactly zero, where they are trained through."""
        for site, root in source.ask(facts.operations).named("sqrt", "rsqrt", "pow"):
            if not _is_root(root):
                continue
            argument = root.operands[0]
            why = _why_zero(argument)
            if why is None or not facts.differentiation.carries_gradient(source, site, root):
                continue
            if not facts.zeros.is_tested(source, site):
                is_shown = facts.differentiation.may_be_for_show(source, site.scope)
                severity = Severity.NOTE if is_shown or _scales_whole(source, site) else None
                yield Report(site.node, _message(source, site, root, why), severity=severity)


def _is_root(operation: Operation) -> bool:
    if operation.name != "pow":
        return bool(operation.operands)
    is_half = len(operation.operands) == 2 and facts.terms.number(operation.operands[1]) in (0.5, -0.5)
    # Plain numbers have powers too.
    return is_half and facts.provenance.is_tensor(operation.operands[0])


def _why_zero(argument: Term) -> str | None:
    """Say what the argument is, where it is known to reach zero."""
    if facts.provenance.is_difference_of_means(argument):
        return "the mean of squares minus the square of the mean cancels to 0, or below"
    held = facts.intervals.interval(argument)
    if not held.is_non_negative or not held.has_zero:
        return None
    linear = facts.provenance.REARRANGING | {"sum", "mean"}
    if facts.provenance.made_by(argument, "relu", through=linear) is not None:
        return None  # relu passes nothing on where it is zero, not even what is infinite
    if facts.provenance.made_by(argument, "sigmoid", through=linear) is not None:
        return None  # zero only where it underflows, at a logit of -104
    if _is_drawn_parameter(argument, linear | {"pow", "square", "abs"}):
        return None
    origin = facts.provenance.made_by(argument, *_KNOWN, through=linear)
    return _KNOWN[origin.name] if origin is not None else "its argument can be exactly 0"


def _is_drawn_parameter(argument: Term, through: frozenset[str]) -> bool:
    """Whether a sum of squares is that of a parameter which is not made of zeros."""
    parameter = facts.provenance.made_by(argument, "parameter", through=through)
    made = parameter.operands[0] if parameter is not None and parameter.operands else None
    scaling = facts.provenance.REARRANGING | {"mul", "div"}
    return made is not None and facts.provenance.made_by(made, *_DRAWN, through=scaling) is not None


def _scales_whole(source: SourceFile, site: Site) -> bool:
    """Whether a tensor is scaled by the root of the mean of all its squares: 0 only where every element is."""
    terms = facts.terms
    uses = source.ask(facts.uses)
    for option in terms.options(site.raw):
        whole = _squared_whole(option)
        if whole is not None and any(
            isinstance(one, terms.Operation)
            and one.name in ("mul", "div")
            and any(terms.same(operand, whole) for operand in one.operands)
            for one in uses.of(option)
        ):
            return True
    return False


def _squared_whole(root: Term) -> Term | None:
    """Return x of `x.square().mean().sqrt()`, unless it is a difference, which is 0 where both are equal."""
    match root:
        case facts.terms.Operation(
            operands=(
                facts.terms.Operation(
                    name="mean" | "sum",
                    operands=(facts.terms.Operation(name="square" | "pow", operands=(whole, *_)),),
                    positional=(),
                    keywords=keywords,
                ),
                *_,
            )
        ) if not keywords:
            return None if facts.provenance.made_by(whole, "sub", "relu") is not None else whole
        case _:
            return None


_DRAWN = ("randn", "rand", "normal")

_KNOWN = {
    "mse_loss": "the loss is exactly 0 at a perfect fit",
    "var": "the variance of equal values is exactly 0",
    "clamp": "the clamp keeps negatives away, not 0",
    "clamp_min": "the clamp keeps negatives away, not 0",
    "abs": "an absolute value can be exactly 0",
    "pow": "a sum of squares can be exactly 0",
    "square": "a sum of squares can be exactly 0",
}


def _message(source: SourceFile, site: Site, root: Operation, why: str) -> str:
    name = root.name if root.name != "pow" else f"** {facts.terms.number(root.operands[1])}"
    outside = ", and the epsilon outside does not help" if _epsilon_outside(source, site) else ""
    return f"the gradient of {name} at 0 is infinite, then NaN: {why}{outside}"


def _epsilon_outside(source: SourceFile, site: Site) -> bool:
    uses = source.ask(facts.uses)
    return any(
        getattr(consumer, "name", "") in ("add", "clamp", "clamp_min")
        for option in facts.terms.options(source.ask(facts.values).raw(site.node))
        for consumer in uses.of(option)
        if facts.intervals.interval(consumer).is_positive
    )
