"""STB702 eps-underflows-in-half."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.half_precision import Halves
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class EpsUnderflowsInHalf(StaticRule):
    """An epsilon that is too small for float16 guards a tensor of float16: there it is exactly 0.

    ## What it does
    Reports numbers below 3e-8 that are added to, or are the lower bound of a clamp of, a tensor that is known
    to be in float16, and upper bounds of a clamp that are 1 there, such as `1 - 1e-6`. A tensor is known to be in
    float16 when it was converted (`x.half()`), when it comes from a layer or a matrix product under `autocast`
    to float16 (the default on CUDA), in the code under `with`, in a function or model that is called there, or in a
    module of Lightning beside a `Trainer(precision="16-mixed")`, or when it comes from a layer of a model that the
    file converts with `model.half()`. `F.normalize` and
    `F.cosine_similarity` of converted tensors are reported, too: their own epsilons are 1e-12 and 1e-8.

    ## Why it is bad
    The smallest number above 0 in float16 is 6e-8, and all that is not above 3e-8 is rounded to 0: `log(h + 1e-8)`
    is `-inf`, `1 / (h + 1e-8)` is `inf` and `h / (h + 1e-8)` NaN where `h` is 0, and `F.normalize` of zeros is
    NaN; with `eps=1e-6` it is 0. Below 1 the steps are 5e-4 wide, so that `1 - 1e-6` is 1 (measured with torch
    2.13). bfloat16 keeps both epsilons. Autocast computes `sum`, `norm`, `pow`, `softmax`, `log` and `exp` in float32,
    so that `1e-8` still works behind them, but not behind `sigmoid`, `relu`, `mean`, `std`, `amax` or a product.

    ## Example
    ```python
    with torch.autocast("cuda", dtype=torch.float16):
        gate = torch.sigmoid(self.gate(x))
        gate = gate / (gate.amax(-1, keepdim=True) + 1e-8)
    ```

    ## Use instead
    ```python
    with torch.autocast("cuda", dtype=torch.float16):
        gate = torch.sigmoid(self.gate(x))
        gate = gate / (gate.amax(-1, keepdim=True) + torch.finfo(gate.dtype).tiny)
    ```
    Where that is too coarse, compute in float32: `gate = torch.sigmoid(self.gate(x)).float()`. An epsilon of `1e-6`
    works in both types.

    ## When to ignore it
    When the guarded value is never near 0. A tensor of which the type is not known is not reported, and neither is
    one that was `.float()`, or that autocast computes in float32; so are sums with a term that is large enough.

    ## Fix safety
    There is no fix: the size of the epsilon, or to compute in float32, is a choice of the model's author.

    ## References
    - [torch.finfo](https://docs.pytorch.org/docs/stable/type_info.html)
    - [Autocast op reference](https://docs.pytorch.org/docs/stable/amp.html#autocast-op-reference)
    - [torch.nn.functional.normalize](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.normalize.html)
    """

    code = "STB702"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # the page's example
        """\
import torch
from torch import nn


class Gate(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gate = nn.Linear(width, width)

    def forward(self, x):
        with torch.autocast("cuda", dtype=torch.float16):
            gate = torch.sigmoid(self.gate(x))
            return gate / (gate.amax(-1, keepdim=True) + 1e-8)  # flagged
""",
        # converted by hand; the constant has a name
        """\
import torch

EPS = 1e-10


def entropy(p):
    p = p.half()
    return -(p * torch.log(p + EPS)).sum(-1)  # flagged


def floor(p):
    q = p.to(torch.float16).clamp(min=1e-12)  # flagged
    r = p.to(dtype=torch.half).squeeze(1).clamp_min(EPS)  # flagged
    return torch.log(q) + torch.log(r)


def ratio(x, y):
    y = y.type(torch.float16).mean(-1)
    y += 1e-9  # flagged
    return x.half() / y
""",
        # the model of the file runs under autocast in the training loop
        """\
import torch
import torch.nn.functional as F
from torch import nn
from torch.cuda.amp import GradScaler, autocast


class Router(nn.Module):
    def __init__(self, width, experts, eps=1e-9):
        super().__init__()
        self.score = nn.Linear(width, experts)
        self.eps = eps

    def forward(self, x):
        weights = F.relu(self.score(x))
        return weights / (weights.mean(-1, keepdim=True) + self.eps)  # flagged


def train(loader, device):
    model = Router(64, 8).to(device)
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = GradScaler()
    for x, y in loader:
        optimizer.zero_grad()
        with autocast():
            loss = F.mse_loss(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
""",
        # a helper that is called under autocast, which a setting may switch off
        """\
import torch


def rescaled(scores, eps=1e-12):
    return scores / (scores.abs().amax(-1, keepdim=True) + eps)  # flagged


def attend(args, q, k, v):
    with torch.autocast(device_type="cuda", enabled=args.amp):
        return rescaled(q @ k.transpose(-2, -1)) @ v
""",
        # an upper bound that is 1 in float16
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(64, 1, 1)

    @torch.autocast("cuda")
    def forward(self, x, y):
        p = torch.sigmoid(self.head(x)).clamp(1e-6, 1 - 1e-6)  # flagged
        return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()
""",
        # a model that is converted as a whole, and a part of it
        """\
import torch
from torch import nn


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.lift = nn.Linear(width, width)

    def forward(self, x):
        x = self.lift(x)
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-8)  # flagged


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 64), Norm(64))

    def forward(self, x):
        return self.body(x)


model = Net().cuda().half()
""",
        # the epsilons of torch's own functions
        """\
import torch
import torch.nn.functional as F


def similarity(a, b):
    a, b = a.half(), b.half()
    cosine = F.cosine_similarity(a, b, dim=-1)  # flagged
    return cosine, F.normalize(a, dim=-1) @ F.normalize(b, dim=-1, eps=1e-8).T  # flagged
""",
        # Lightning's own mixed precision
        """\
import lightning.pytorch as pl
import torch
from torch import nn


class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        g = torch.sigmoid(self.fc(x))
        return g / (g.mean(-1, keepdim=True) + 1e-8)  # flagged

    def training_step(self, batch, index):
        return self(batch).mean()


trainer = pl.Trainer(precision="16-mixed")
""",
        # the type is chosen in one place
        """\
import torch
from torch import nn

amp = torch.autocast("cuda", torch.float16 if torch.cuda.is_available() else torch.bfloat16)
score = nn.Linear(16, 1)


def weighted(x):
    with amp:
        w = torch.tanh(score(x)).abs()
        return x * w / (w.mean() + 1e-8)  # flagged
""",
    ]

    good = [
        # large enough: 1e-7 is 1.2e-7 in float16
        """\
import torch


def guarded(p, x, eps=1e-6):
    p, x = p.half(), x.half()
    a = torch.log(p + 1e-7) + torch.log(p.clamp(min=6e-8)) + 1 / (p + eps)
    return a + x / (x + torch.finfo(x.dtype).tiny) + p.clamp(1e-3, 1 - 1e-3)
""",
        # computed in float32
        """\
import torch


def upcast(p):
    p = p.half()
    q = p.float()
    r = p.to(torch.float32).mean(-1)
    return torch.log(q + 1e-8) + r / (r + 1e-8) + torch.log(p.double().clamp(min=1e-12))
""",
        # what autocast computes in float32
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        with torch.autocast("cuda", dtype=torch.float16):
            h = self.a(x)
            p = h.softmax(-1)
            r = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-8)
            s = h / (h.sum(-1, keepdim=True) + 1e-8) + h / (h.norm(dim=-1, keepdim=True) + 1e-12)
            n = F.normalize(h, dim=-1) + F.cosine_similarity(h, h, dim=-1)[:, None]
            e = torch.log(self.norm(h).exp() + 1e-9) + 1 / (1 / h + 1e-8)
            return torch.log(p + 1e-8) + r + s + n + e
""",
        # bfloat16 has the range of float32
        """\
import torch
from torch import nn

gate = nn.Linear(8, 8)


def gated(x):
    with torch.autocast("cuda", dtype=torch.bfloat16):
        g = gate(x).sigmoid()
        g = g / (g.amax(-1, keepdim=True) + 1e-8)
    with torch.autocast("cpu"):
        h = gate(x).sigmoid()
        h = h / (h.amax(-1, keepdim=True) + 1e-8)
    return g + h + x.bfloat16() / (x.bfloat16().mean() + 1e-8)
""",
        # autocast is off here, or the code is outside of it
        """\
import torch
from torch import nn
from torch.cuda.amp import autocast


class Loss(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8)

    @autocast(enabled=False)
    def forward(self, x):
        g = self.a(x.float()).sigmoid()
        return (g / (g.amax(-1, keepdim=True) + 1e-8)).mean()


def train(x):
    loss = Loss()
    with autocast():
        a = loss(x)
        with autocast(False):
            g = loss.a(x.float()).sigmoid()
            b = g / (g.mean() + 1e-8)
    c = loss.a(x).relu()
    return a + b, c / (c.mean() + 1e-8)
""",
        # widened by float32 data: parameters, new tensors
        """\
import torch
from torch import nn


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8)
        self.scale = nn.Parameter(torch.ones(8))

    @torch.autocast("cuda")
    def forward(self, x):
        h = self.a(x) * self.scale
        noisy = self.a(x).relu() + torch.rand(8)
        return h / (h.abs().mean(-1, keepdim=True) + 1e-8) + noisy / (noisy.mean() + 1e-8)
""",
        # nothing is known of the type
        """\
import torch


def unknown(p, q, dtype, model):
    q = q.to(dtype)
    r = p.half() * q
    s = model.half()(p)
    return torch.log(p + 1e-8) + 1 / (q + 1e-8) + torch.log(r + 1e-8) + s / (s.mean() + 1e-8)
""",
        # a sum that cannot be 0, and no guard
        """\
import torch


def positive(x):
    x = x.half()
    y = 1 + x.abs()
    return x / (y + 1e-8), x * 1e-8, torch.allclose(x, x, atol=1e-8)
""",
        # the model that is converted is another one; this one is trained in float32
        """\
import torch
from torch import nn


class Teacher(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8)

    def forward(self, x):
        return self.a(x)


class Student(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8)

    def forward(self, x):
        g = self.a(x).sigmoid()
        return g / (g.amax(-1, keepdim=True) + 1e-8)


teacher, student = Teacher().half(), Student()
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report epsilons that are 0, and bounds that are 1, in the float16 of what they guard."""
        if not source.ask(facts.syntax).identifiers & _CONTEXTS:
            return
        halves = source.ask(facts.halves)
        for site, guard in source.ask(facts.operations).named(*_GUARDS, when=_may_matter):
            message = _vanishing(guard) if guard.name not in _NORMALISING else _own_epsilon(guard, halves)
            why = halves.made_half(guard) if message is not None else None
            if message is not None and why is not None:
                yield Report(site.node, message, related=(Mark(why, "float16 from here on"),))


_CONTEXTS = {"autocast", "half", "float16", "HalfTensor", "LightningModule"}
_NORMALISING = {"normalize": 1e-12, "cosine_similarity": 1e-8}
_GUARDS = ("add", "clamp", "clamp_min", *_NORMALISING)


def _may_matter(guard: Operation) -> bool:
    """Whether an argument is a number, or may be one; most sums are of tensors."""
    given = (*guard.operands, *guard.positional, *guard.keywords.values())
    numbers = (facts.terms.Parameter, facts.terms.Constant, facts.terms.Attribute)
    return guard.name in _NORMALISING or any(isinstance(one, numbers) for one in given)


def _vanishing(guard: Operation) -> str | None:
    """Say what a guard's number is in float16, where it guards nothing there."""
    smallest = facts.half_precision.VANISHING
    if guard.name == "add":
        for number, other in (guard.operands[::-1], guard.operands) if len(guard.operands) == 2 else ():
            value = _number(number)
            if value is not None and 0 < value <= smallest:
                is_large = facts.intervals.interval(other).low > facts.half_precision.SMALLEST
                return None if is_large else f"{value:g} is 0 in float16, so adding it guards nothing"
        return None
    low, high = _number(guard.argument("min", 0)), _number(guard.argument("max", 1))
    if low is not None and 0 < low <= smallest:
        return f"{low:g} is 0 in float16, so this bound guards nothing"
    if high is not None and 1 - _HALF_STEP <= high < 1:
        return f"{high:.12g} is 1 in float16, so this bound guards nothing"
    return None


_HALF_STEP = 2.0**-12
"""What differs less than this from 1 is 1 in float16."""


def _number(term: Term | None) -> float | None:
    """Return a number, or the default of a parameter that nobody gives another."""
    default = term.default if isinstance(term, facts.terms.Parameter) else None
    return facts.terms.number(default if default is not None else term)


def _own_epsilon(guard: Operation, halves: Halves) -> str | None:
    """Say what the epsilon of one of torch's functions is, which autocast would compute in float32."""
    given = guard.argument("eps", 2)
    value = _NORMALISING[guard.name] if given is None else _number(given)
    if value is None or not 0 < value <= facts.half_precision.VANISHING:
        return None
    if halves.autocast_of(guard) is not None:
        return None
    return f"the eps of {guard.name}, {value:g}, is 0 in float16: NaN for a vector of zeros"
