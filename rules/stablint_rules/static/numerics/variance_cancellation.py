"""STB313 variance-cancellation: a variance is computed as a difference of two large numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class VarianceCancellation(StaticRule):
    """A variance is computed as the mean of the squares minus the square of the mean, which cancels.

    ## What it does

    Reports `(x ** 2).mean() - x.mean() ** 2` in its spellings: with `torch.mean`, `torch.square`, `x * x`, a
    sum divided by a count, a mean that is taken by a `scatter` or another call that says so, and the sum of
    squares minus the square of the sum divided by the count.

    ## Why it is bad

    The two numbers agree in all but their last digits where the mean is large beside the deviation, and
    their difference holds what rounding left. For 1000 equal values of 1000.1 it is 0.375 instead of 0. For
    256 values of deviation 0.1 around 100 it is up to 35 % wrong, and of deviation 0.01 it came out
    *negative* in 316 of 1000 trials, so that its root is NaN (single precision, torch 2.13; half precision
    is far worse). `x.var(correction=0)` subtracts the mean first and is exact to the last digits.

    ## Example

    ```python
    var = (x**2).mean(0) - x.mean(0) ** 2
    ```

    ## Use instead

    ```python
    var = x.var(0, correction=0)
    ```

    Where `var` does not reach, such as with `scatter`, subtract the mean before squaring:
    `scatter((x - mean[index]) ** 2, index, reduce="mean")`. Sums that are gathered batch by batch belong into
    float64.

    ## When to ignore it

    When the mean is known to be small beside the deviation. Values within -1 and 1, such as probabilities,
    computations in float64 and NumPy arrays are not reported, and neither is what is only printed.
    Where no network is in sight the finding is a note.

    ## Fix safety

    The fix is safe: the same number, but for what had cancelled. It is offered where the mean of the squares
    is written in place.

    ## References

    - [torch.var](https://docs.pytorch.org/docs/stable/generated/torch.var.html)
    - [torch.var_mean](https://docs.pytorch.org/docs/stable/generated/torch.var_mean.html)
    - [Chan, Golub, LeVeque: Algorithms for computing the sample variance](https://doi.org/10.1080/00031305.1983.10483115)
    """

    code = "STB313"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # The page's example.
        """\
import torch
from torch import nn


def standardise(x):
    var = (x**2).mean(0) - x.mean(0) ** 2  # flagged
    return (x - x.mean(0)) / torch.sqrt(var + 1e-5)
""",
        # The spellings.
        """\
import torch
from torch import nn


def variances(x):
    a = torch.mean(x * x, dim=1) - torch.mean(x, dim=1) ** 2  # flagged
    b = x.pow(2).mean(-1, keepdim=True) - x.mean(-1, keepdim=True).pow(2)  # flagged
    c = torch.mean(torch.square(x)) - torch.square(torch.mean(x))  # flagged
    d = (x + a).square().mean(dim=(0, 2)) - (x + a).mean(dim=(0, 2)).square()  # flagged
    return a, b, c, d
""",
        # Batch normalisation by hand, with names for the two moments.
        """\
import torch
from torch import nn


class Norm(nn.Module):
    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x):
        mean = x.mean(dim=0)
        mean_of_squares = (x * x).mean(dim=0)
        var = torch.clamp(mean_of_squares - mean * mean, min=0)  # flagged
        self.running_var.lerp_(var.detach(), 0.1)
        return (x - mean) / torch.sqrt(var + self.eps)
""",
        # Sums divided by counts, and the shortcut with one division.
        """\
import torch
from torch import nn


def masked(x, mask):
    count = mask.sum(1).clamp(min=1)
    x = x * mask
    var = (x**2).sum(1) / count - (x.sum(1) / count) ** 2  # flagged
    scatter = x.pow(2).sum(1) - x.sum(1) ** 2 / count  # flagged
    return var, scatter / (count - 1)
""",
        # Over the neighbours of a node.
        """\
import torch
from torch import nn
from torch_geometric.utils import scatter


class Spread(nn.Module):
    def forward(self, x, index, size):
        mean = scatter(x, index, 0, size, reduce="mean")
        squares = scatter(x * x, index, 0, size, reduce="mean")
        if self.training:
            return squares - mean * mean  # flagged
        with torch.no_grad():
            squares = scatter(x.square(), index, 0, size, "mean")
        return squares - mean.square()  # flagged
""",
        # Through two functions and a method.
        """\
import torch
from torch import nn


def spread(second, first):
    return second - first**2  # flagged


class Stats(nn.Module):
    def moments(self, x):
        return x.mean(dim=(2, 3)), x.pow(2).mean(dim=(2, 3))

    def forward(self, x):
        first, second = self.moments(x)
        return torch.cat([first, spread(second, first)], dim=1)
""",
        # A note: nothing says that a network is near.
        """\
import torch


def column_variance(table):
    return (table**2).mean(0) - table.mean(0) ** 2  # flagged
""",
    ]

    fixed = [
        """\
import torch
from torch import nn


def standardise(x):
    var = x.var(0, correction=0)
    return (x - x.mean(0)) / torch.sqrt(var + 1e-5)
""",
        """\
import torch
from torch import nn


def variances(x):
    a = torch.var(x, dim=1, correction=0)
    b = x.var(-1, keepdim=True, correction=0)
    c = torch.var(x, correction=0)
    d = (x + a).var(dim=(0, 2), correction=0)
    return a, b, c, d
""",
        None,
        None,
        None,
        None,
        """\
import torch


def column_variance(table):
    return table.var(0, correction=0)
""",
    ]

    good = [
        # What torch has for it.
        """\
import torch
from torch import nn


def variances(x):
    return x.var(0, correction=0), torch.var(x, dim=1, unbiased=False), torch.var_mean(x, dim=0), x.std()
""",
        # The mean is subtracted first.
        """\
import torch
from torch import nn


class LayerNorm(nn.Module):
    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        var = ((x - mean) ** 2).mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(var + 1e-5)
""",
        # In double precision.
        """\
import torch
from torch import nn


def variance(x):
    x = x.double()
    y = x.to(torch.float64)
    return (x**2).mean() - x.mean() ** 2, (y * y).mean(0) - y.mean(0) ** 2
""",
        # Other differences.
        """\
import torch
from torch import nn


def others(x, y, mean):
    a = (x**2).mean() - y.mean() ** 2
    b = (x * y).mean() - x.mean() * y.mean()
    c = (x**2).mean() - x.mean()
    d = x.mean() ** 2 - 1
    e = (x**2).sum() - x.sum() ** 2
    f = (x**2).mean() - mean**2
    return a, b, c, d, e, f
""",
        # The interactions of a factorisation machine.
        """\
import torch
from torch import nn


class Machine(nn.Module):
    def forward(self, x):
        return 0.5 * (x.sum(1) ** 2 - (x**2).sum(1)).sum(1, keepdim=True)
""",
        # Probabilities: what cancels is not larger than one.
        """\
import torch
from torch import nn


def disagreement(logits):
    p = torch.softmax(logits, dim=-1)
    return (p**2).mean(0) - p.mean(0) ** 2
""",
        # NumPy, which computes in double precision.
        """\
import numpy as np
import torch
from torch import nn


def dataset_statistics(images: np.ndarray):
    return (images**2).mean(axis=0) - images.mean(axis=0) ** 2, np.mean(images * images) - np.mean(images) ** 2
""",
        # The local variance of structural similarity has a constant beside it.
        """\
import torch
import torch.nn.functional as F


def local_variance(x, window):
    mean = F.conv2d(x, window)
    return F.conv2d(x * x, window) - mean**2 + 0.03**2
""",
        # Only printed.
        """\
import torch
from torch import nn


def report(x):
    print((x**2).mean() - x.mean() ** 2)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the variances that are differences of moments."""
        for site, difference in source.ask(facts.operations).named("sub", when=_may_cancel):
            varied = facts.provenance.varied_by(difference)
            if varied is None or _is_exact(difference, varied):
                continue
            if _is_only_shown(source, site):
                continue
            is_shown = facts.differentiation.may_be_for_show(source, site.scope)
            yield Report(
                site.node,
                "the mean of squares minus the square of the mean cancels to rounding errors, or below 0",
                severity=Severity.NOTE if is_shown else None,
                fix=_fix(source, difference),
            )


def _may_cancel(difference: Operation) -> bool:
    """Whether something is squared, or may be: of the many differences few are left."""
    terms = facts.terms
    square = difference.operands[-1]
    return not isinstance(square, terms.Operation) or square.name not in ("mean", "sum", "matmul", "index")


def _is_exact(difference: Operation, varied: Term) -> bool:
    """Whether nothing is lost: in double precision, of small numbers, in NumPy."""
    held = facts.intervals.interval(varied)
    if (held.low >= -1 and held.high <= 1) or facts.gradients.is_constant(varied):
        return True
    return any(_is_double(part) for part in facts.terms.within(difference, 80))


def _is_double(term: Term) -> bool:
    match term:
        case facts.terms.Operation(name="double"):
            return True
        case facts.terms.Operation(name="to" | "type"):
            return bool(facts.intervals.wanted_types(term) & {"float64", "double", "DoubleTensor"})
        case facts.terms.Operation(keywords=keywords) if "axis" in keywords:
            return True
        case facts.terms.Reference(dotted=dotted):
            return dotted.startswith("numpy.") or dotted in ("torch.float64", "torch.double")
        case facts.terms.Parameter(annotation=str(annotation)):
            return annotation.startswith("numpy.")
        case _:
            return False


def _is_only_shown(source: SourceFile, site: Site) -> bool:
    """Whether a variance is used, and nothing is done with it but to show it."""
    known, raw = source.ask(facts.uses), source.ask(facts.values).raw(site.node)
    return any(known.of(option) and known.is_only_shown(option) for option in facts.terms.options(raw))


def _fix(source: SourceFile, difference: Operation) -> ProposedFix | None:
    """Rename the mean of the squares, where it is written in place, and give it what is squared."""
    spelling, mean = facts.spelling, difference.operands[0]
    if not isinstance(mean, facts.terms.Operation) or mean.name != "mean" or mean.module is not None:
        return None
    sides = spelling.written_operands(difference)
    if len(sides) != 2 or sides[0] is not mean.node or len(mean.positional) > 1:
        return None
    if set(mean.keywords) - {"dim", "keepdim"}:
        return None
    written, renamed = spelling.written_operand(mean), spelling.renamed(mean.node, {"mean": "var"})
    varied = _written_base(mean.operands[0])
    if written is None or renamed is None or varied is None or mean.open_arguments:
        return None
    code, square = source.code(renamed), source.code(written)
    if code.count(square) != 1 or "#" in source.code(difference.node):
        return None
    is_method = mean.dotted.startswith("torch.Tensor.")
    base = spelling.in_parentheses(source, varied) if is_method else spelling.bare(source, varied)
    code = code.replace(square, base)
    end = "correction=0)" if code.endswith("()") else ", correction=0)"
    change = Replace(difference.node, code.removesuffix(")") + end)
    return ProposedFix("use var", Applicability.SAFE, (change,))


def _written_base(square: Term) -> Any:
    """Return the expression that is squared."""
    if not isinstance(square, facts.terms.Operation):
        return None
    sides = facts.spelling.written_operands(square)
    return sides[0] if sides else None
