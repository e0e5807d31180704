"""STB308 acos-asin-domain: an inverse function is differentiated at the edge of its domain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.intervals import Interval
    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Operation, Question, Term
    from stablint.static.source import SourceFile


class AcosAsinDomain(StaticRule):
    """An `acos`, `asin`, `atanh` or `acosh` is taken of a value that can reach 1, where its gradient is infinite.

    ## What it does

    Reports `acos`, `asin` and `atanh` (and `arccos`, `arcsin`, `arctanh`) where a gradient may flow through
    them and the argument is not kept strictly between -1 and 1: a value that is clamped to exactly -1 and
    1, a cosine similarity, the output of `tanh`, `sin` or `cos`, a dot product or trace, which rounding
    takes past 1, and the output of a layer. Reports `acosh` where the argument can be exactly 1.

    ## Why it is bad

    At 1 the derivative of `acos` is minus infinity, that of `asin`, `atanh` and `acosh` infinity; `atanh`
    itself is infinite there, and beyond 1 `acos`, `asin` and `atanh` are NaN. Multiplied by an inner
    gradient of 0, as two parallel vectors have it, infinity is NaN. This is not rare: of 100,000 random
    unit vectors of three elements, the dot product with themselves was 1 or more for 69 %, and above 1,
    so that `acos` is NaN, for 18 %; `cosine_similarity` was above 1 for 40 %. `clamp(-1, 1)` keeps the
    value in the domain and the gradient infinite, and so does `clamp(-1 + 1e-8, 1 - 1e-8)`, because
    `1 - 1e-8` is 1 in single precision (all measured with torch 2.13).

    ## Example

    ```python
    angle = torch.acos((u * v).sum(-1).clamp(-1, 1))
    ```

    ## Use instead

    ```python
    angle = torch.acos((u * v).sum(-1).clamp(-1 + 1e-7, 1 - 1e-7))
    ```

    Better still is an angle without an edge: `torch.atan2(torch.linalg.cross(u, v).norm(dim=-1), dot)`.

    ## When to ignore it

    When something that cannot be seen here keeps the values apart. Code under `no_grad`, of constants, of
    arguments of which nothing is known and in functions that are named after a metric is not reported.

    ## Fix safety

    There is no fix: the margin is a choice.

    ## References

    - [torch.acos](https://docs.pytorch.org/docs/stable/generated/torch.acos.html)
    - [torch.atanh](https://docs.pytorch.org/docs/stable/generated/torch.atanh.html)
    - [Autograd mechanics: gradients for non-differentiable functions](https://docs.pytorch.org/docs/stable/notes/autograd.html)
    """

    code = "STB308"
    severity = Severity.WARNING
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # The page's example.
        """\
import torch
from torch import nn


def angle(u, v):
    return torch.acos((u * v).sum(-1).clamp(-1, 1))  # flagged
""",
        # The spellings, the other functions, a margin that single precision does not have.
        """\
import torch
from torch import nn


def angles(u, v, x):
    a = (u @ v.t()).clamp(-1.0, 1.0).arccos()  # flagged
    b = torch.asin(torch.clamp(x, min=-1, max=1))  # flagged
    c = torch.atanh(x.clip(-1 + 1e-8, 1 - 1e-8))  # flagged
    d = torch.arcsin(torch.clip(x, max=1))  # flagged
    return a, b, c, d
""",
        # Nothing keeps it in at all: a dot product of unit vectors, past 1 by rounding.
        """\
import torch
import torch.nn.functional as F


def angular_loss(embedding, centre):
    cosine = (F.normalize(embedding, dim=-1) * F.normalize(centre, dim=-1)).sum(dim=-1)
    return torch.acos(cosine).mean()  # flagged


def angular_distance(a, b):
    return F.cosine_similarity(a, b).acos().mean()  # flagged
""",
        # The margin of a face recognition head.
        """\
import torch
import torch.nn.functional as F
from torch import nn


class ArcHead(nn.Module):
    def __init__(self, width, classes, margin=0.5):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, width))
        self.margin = margin

    def forward(self, x):
        cosine = F.linear(F.normalize(x), F.normalize(self.weight))
        return torch.cos(torch.acos(cosine) + self.margin)  # flagged
""",
        # The angle between two rotations.
        """\
import torch
from torch import nn


class GeodesicLoss(nn.Module):
    def forward(self, prediction, target):
        relative = torch.bmm(prediction, target.transpose(1, 2))
        trace = relative.diagonal(dim1=-2, dim2=-1).sum(-1)
        cosine = torch.clamp((trace - 1) / 2, -1.0, 1.0)
        return torch.acos(cosine).mean()  # flagged
""",
        # Through a function: the cosine is made in one and used in another.
        """\
import torch
from torch import nn


def cosine(u, v):
    return (u * v).sum(-1) / (u.norm(dim=-1) * v.norm(dim=-1))


def bend(cos):
    return torch.acos(cos)  # flagged


class Bend(nn.Module):
    def forward(self, u, v):
        return bend(cosine(u, v)).mean()
""",
        # The action of a squashed policy, turned back.
        """\
import torch
from torch import nn


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.mean = nn.Linear(8, 2)

    def forward(self, state):
        action = torch.tanh(self.mean(state))
        return action, torch.atanh(action)  # flagged
""",
        # A raw output of a layer.
        """\
import torch
from torch import nn


class Polar(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 1)

    def forward(self, x):
        return torch.asin(self.fc(x))  # flagged
""",
        # Hyperbolic distance: equal points have exactly 1.
        """\
import torch
from torch import nn


def poincare(u, v):
    square = ((u - v) ** 2).sum(-1)
    beyond = 2 * square / ((1 - (u**2).sum(-1)) * (1 - (v**2).sum(-1)))
    return torch.acosh(1 + square.clamp(min=0)) + torch.acosh((1 + beyond).clamp(min=1))  # flagged
""",
        # the two halves are in two files
        """\
# file: geometry.py
import torch.nn.functional as F

def cosine(a, b):
    return F.cosine_similarity(a, b, dim=-1)

# file: train.py
import torch
from torch import nn
from geometry import cosine

class Angle(nn.Module):
    def forward(self, a, b):
        return torch.acos(cosine(a, b)).mean()  # flagged
""",
    ]

    good = [
        # Clamped strictly inside, in its spellings.
        """\
import torch
import torch.nn.functional as F

EPS = 1e-6


class Angle(torch.nn.Module):
    def __init__(self, eps=1e-7):
        super().__init__()
        self.eps = eps

    def forward(self, u, v):
        return torch.acos((u * v).sum(-1).clamp(-1 + self.eps, 1 - self.eps))


def angles(u, v, eps=1e-5):
    cosine = F.cosine_similarity(u, v)
    a = torch.acos(cosine.clamp(-1 + 1e-7, 1 - 1e-7)) + torch.acos(cosine.clamp(-0.9999, 0.9999))
    b = torch.clamp(cosine, -1 + EPS, 1 - EPS).acos() + torch.asin(torch.clamp(cosine, eps - 1, 1 - eps))
    return a + b
""",
        # Scaled inside.
        """\
import torch
from torch import nn


def angle(u, v):
    cosine = (u * v).sum(-1)
    return torch.acos(0.99999 * cosine) + torch.asin(cosine.mul(1 - 1e-5)) + torch.atanh(0.9 * torch.tanh(cosine))
""",
        # The remedy.
        """\
import torch
from torch import nn


def angle(u, v):
    return torch.atan2(torch.linalg.cross(u, v).norm(dim=-1), (u * v).sum(-1))
""",
        # Nothing is trained through.
        """\
import torch
import torch.nn.functional as F


@torch.no_grad()
def rotation_error(prediction, target):
    return torch.acos(F.cosine_similarity(prediction, target).clamp(-1, 1))


def report(model, x, y):
    cosine = F.cosine_similarity(model(x), y).detach()
    angle = torch.acos(F.cosine_similarity(model(x), y).clamp(-1, 1)).mean().item()
    return torch.acos(cosine.clamp(-1, 1)), angle


def angular_accuracy(a, b):
    return (torch.acos(F.cosine_similarity(a, b).clamp(-1, 1)) < 0.1).float().mean()
""",
        # Where nothing is known, nothing is said.
        """\
import torch
from torch import nn


def unknown(x, model, cosine):
    return torch.acos(x), torch.asin(model(x)), cosine.arccos()
""",
        # Tables and data without a gradient.
        """\
import math

import numpy as np
import torch
from torch import nn


def tables(n):
    grid = torch.linspace(-1, 1, n)
    return torch.acos(grid), torch.asin(torch.rand(n)), math.acos(1.0), np.arccos(np.ones(n))


def directions(n):
    return torch.acos(1 - 2 * torch.rand(n))
""",
        # A test on the way there: spherical interpolation.
        """\
import torch
from torch import nn


def slerp(a, b, t):
    dot = (a * b).sum()
    if dot.abs() > 0.9995:
        return torch.lerp(a, b, t)
    theta = torch.acos(dot)
    return (torch.sin((1 - t) * theta) * a + torch.sin(t * theta) * b) / torch.sin(theta)
""",
        # Half of the distance of unit vectors is 1 for opposite ones only, which no two vectors exactly are.
        """\
import torch
import torch.nn.functional as F


def spherical(x, y):
    x = F.normalize(x, dim=-1)
    y = F.normalize(y, dim=-1)
    return (x - y).norm(dim=-1).div(2).arcsin().pow(2).mul(2)
""",
        # In double precision 1 - 1e-8 is less than 1; acosh above 1.
        """\
import torch
from torch import nn


def angle(u, v, d2):
    cosine = (u.double() * v.double()).sum(-1)
    return torch.acos(cosine.clamp(-1 + 1e-8, 1 - 1e-8)), torch.acosh(1 + d2.abs() + 1e-5), torch.acosh(d2)
""",
        # Other inverse functions have no edge.
        """\
import torch
from torch import nn


def others(u, v):
    dot = (u * v).sum(-1)
    return torch.atan(dot), torch.asinh(dot), torch.atan2(dot, dot)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the inverse functions whose argument reaches the edge of the domain and is trained through."""
        for site, inverse in source.ask(facts.operations).named("acos", "asin", "atanh", "acosh"):
            why = _why_at_edge(inverse) if inverse.operands else None
            if why is None or not facts.differentiation.carries_gradient(source, site, inverse):
                continue
            if not facts.differentiation.may_be_for_show(source, site.scope) and not _is_tested(
                source, site, inverse
            ):
                yield Report(site.node, f"{inverse.name} of {why}: {_WHAT[inverse.name]}")


_WHAT = {
    "acos": "at 1 its gradient is -inf, beyond it is NaN",
    "asin": "at 1 its gradient is infinite, beyond it is NaN",
    "atanh": "at 1 it is infinite and so is its gradient, beyond it is NaN",
    "acosh": "its gradient at 1 is infinite, then NaN",
}


def _why_at_edge(inverse: Operation) -> str | None:
    """Say what the argument is, where it is known to reach the edge."""
    argument = inverse.operands[0]
    held = _rounded(argument)
    if inverse.name == "acosh":
        return "a value that can be exactly 1" if held.low == 1 and not held.low_open else None
    if _is_below_one(held) or _is_scaled_inside(argument) or _is_distance(argument):
        return None
    clamp = facts.provenance.made_by(argument, "clamp", "clamp_min", "clamp_max", "hardtanh")
    if clamp is not None and held.high <= 1:
        return None if _is_finer(argument, clamp) else "a value that is clamped at 1, not inside it"
    origin = facts.provenance.made_by(argument, *_BOUNDED)
    if origin is not None:
        return _BOUNDED[origin.name]
    if 1 in (held.high, -held.low):
        return "a value that can be exactly 1"
    if _is_dot_product(argument):
        return "a dot product, which rounding takes to 1 and beyond"
    return "an output that nothing bounds" if facts.gradients.carries_graph(argument) is True else None


_BOUNDED = {
    "cosine_similarity": "a cosine similarity, which reaches 1 and beyond",
    "tanh": "the output of tanh, which is exactly 1 from 9.02 on",
    "sin": "a sine, which reaches 1",
    "cos": "a cosine, which reaches 1",
}


def _rounded(argument: Term) -> Interval:
    """Return the interval as single precision has it, in which 1 - 1e-8 is 1."""
    held, single = facts.intervals.interval(argument), facts.intervals.single
    return facts.intervals.Interval(single(held.low), single(held.high), held.low_open, held.high_open)


def _is_finer(argument: Term, clamp: Operation) -> bool:
    """Whether a clamp has a margin that only double precision has, and is in double precision."""
    top = facts.terms.number(clamp.argument("max", 1))
    return top is not None and top < 1 and any(map(_is_double, facts.terms.within(argument, 60)))


def _is_double(term: Term) -> bool:
    if not isinstance(term, facts.terms.Operation):
        return False
    return term.name == "double" or (
        term.name in ("to", "type") and bool(facts.intervals.wanted_types(term) & {"float64", "double"})
    )


def _is_below_one(held: Interval) -> bool:
    above = held.low > -1 or (held.low == -1 and held.low_open)
    return above and (held.high < 1 or (held.high == 1 and held.high_open))


def _is_scaled_inside(argument: Term) -> bool:
    """Whether the argument is a little less than something: `0.99999 * cosine`."""
    scaled = facts.provenance.made_by(argument, "mul")
    return scaled is not None and any(
        held.low >= 0.9 and held.high < 1 for held in map(facts.intervals.interval, scaled.operands)
    )


def _is_distance(argument: Term) -> bool:
    linear = facts.provenance.REARRANGING | {"div", "mul"}
    return (
        facts.provenance.made_by(argument, "norm", "cdist", "pairwise_distance", through=linear) is not None
    )


_DOTS = {"matmul", "bmm", "mm", "mv", "dot", "einsum", "inner", "vdot", "trace", "linear"}
_ARITHMETIC = {"add", "sub", "mul", "neg", "div"}


def _is_dot_product(argument: Term) -> bool:
    """Whether an argument is a dot product, or a trace and the like, as far as plain arithmetic goes."""

    def is_one(term: Term, look: Question) -> bool:
        match term:
            case facts.terms.Operation(name=name) if name in _DOTS:
                return True
            case facts.terms.Operation(name="sum", operands=(inner, *_)):
                return _is_product(inner)
            case facts.terms.Operation(name="div", operands=(above, below)):
                # A divisor with an epsilon keeps the ratio below 1, if the epsilon is not too small.
                return look(above) and not _is_lifted(below)
            case facts.terms.Operation(name=name, operands=operands) if name in _ARITHMETIC:
                return any(look(operand) for operand in operands)
            case facts.terms.Operation(name=name, operands=(inner, *_)):
                return name in facts.provenance.REARRANGING and look(inner)
            case _:
                return False

    return facts.terms.once(is_one)(argument)


def _is_product(term: Term) -> bool:
    """Whether what is summed are products, or the diagonal of a product of matrices."""
    return facts.provenance.made_by(term, "mul", *_DOTS) is not None


def _is_lifted(divisor: Term) -> bool:
    lifted = facts.provenance.made_by(divisor, "add", "clamp", "clamp_min", "maximum")
    if lifted is None or lifted.name != "add":
        return False
    return any(
        held.low >= 1e-7 or (held.low == 0 and held.low_open)
        for held in map(facts.intervals.interval, lifted.operands)
    )


def _is_tested(source: SourceFile, site: Site, inverse: Operation) -> bool:
    """Whether a test on the way there asks about the argument."""
    values = source.ask(facts.values)
    return any(
        facts.terms.same(part, inverse.operands[0])
        for test, _ in facts.guards.tests(source, site.node, site.statement)
        for part in facts.terms.within(values.of(test), 60)
    )
