"""STB316 rounding-next-to-one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class RoundingNextToOne(StaticRule):
    """`log(1 + x)`, `exp(x) - 1` or `1 - exp(-x)` is written out, and the digits of a small x are rounded away.

    ## What it does
    Reports `log(1 + x)`, `exp(x) - 1`, `1 - exp(x)` and `exp(x) - x - 1` of tensors that are trained through. It is
    advice, a note, since nothing is wrong where x is never small.

    ## Why it is bad
    Next to 1 the numbers of float32 are 1.2e-7 apart, those of bfloat16 0.008. What is small beside 1 is rounded to
    that before the logarithm sees it, and what `exp` gives near 0 was rounded before 1 is taken away again:
    `log(1 + 1e-8)` and `exp(1e-8) - 1` are 0, at 1e-6 both are 5 % off, and `exp(x) - 1 - x`, which is never
    negative and is used to estimate a divergence, is -4.6e-8 at 1e-6 where 5e-13 is right. `log1p` and `expm1`
    are right to the last digit everywhere (measured with torch 2.13).

    ## Example
    ```python
    compressed = torch.log(1 + x)
    alpha = 1 - torch.exp(-density * step)
    ```

    ## Use instead
    ```python
    compressed = torch.log1p(x)
    alpha = -torch.expm1(-density * step)
    ```

    ## When to ignore it
    When x is never much smaller than 1. Counts, lengths, degrees and other whole numbers, grids, targets, results that
    are rounded, float64, and `log(1 + exp(x))`, which is `softplus` and has a rule of its own
    (`naive-log-sum-exp`), are not reported.

    ## Fix safety
    Safe: the same value, but for the rounding that is the fault. There is a fix where the formula is written in one
    expression and the file imports `torch`.

    ## References
    - [torch.log1p](https://docs.pytorch.org/docs/stable/generated/torch.log1p.html)
    - [torch.expm1](https://docs.pytorch.org/docs/stable/generated/torch.expm1.html)
    - [Approximating KL divergence](http://joschu.net/blog/kl-approx.html)
    """

    code = "STB316"
    severity = Severity.NOTE
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # the page's example
        """\
import torch


def render(x, density, step):
    compressed = torch.log(1 + x)  # flagged
    alpha = 1 - torch.exp(-density * step)  # flagged
    return compressed * alpha
""",
        # methods, the one behind, a log-compression of a layer's output
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Sparse(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        h = (F.relu(self.fc(x)) + 1.0).log()  # flagged
        return h + (x.exp() - 1) + torch.log(1 + h**2)  # flagged # flagged
""",
        # an estimate of a divergence
        """\
import torch


def k3(policy, reference):
    difference = reference - policy
    return (torch.exp(difference) - difference - 1).mean()  # flagged


def other(policy, reference):
    ratio = reference - policy
    return (ratio.exp() - 1 - ratio).mean()  # flagged
""",
        # in steps, and through a helper: nothing to write in one place
        """\
import torch


def shifted(x):
    return x + 1


def compress(x):
    return torch.log(shifted(x.abs()))  # flagged


def advantage(new, old):
    ratio = torch.exp(new - old)
    return (ratio - 1) * 0.5  # flagged
""",
        # the logarithms of other bases have no such function
        """\
import torch


def entropy_bits(x):
    return torch.log2(1 + x.abs()).mean()  # flagged
""",
        # inside larger formulas
        """\
from math import pi

import torch


def damped(x, t, rate):
    decay = pi * (1 - torch.exp(-t * rate)) + t  # flagged
    return decay * x / (torch.exp(x) - 1)  # flagged
""",
    ]

    fixed = [
        """\
import torch


def render(x, density, step):
    compressed = torch.log1p(x)  # flagged
    alpha = -torch.expm1(-density * step)  # flagged
    return compressed * alpha
""",
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Sparse(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        h = torch.log1p(F.relu(self.fc(x)))  # flagged
        return h + (torch.expm1(x)) + torch.log1p(h**2)  # flagged # flagged
""",
        """\
import torch


def k3(policy, reference):
    difference = reference - policy
    return (torch.expm1(difference) - difference).mean()  # flagged


def other(policy, reference):
    ratio = reference - policy
    return (torch.expm1(ratio) - ratio).mean()  # flagged
""",
        None,
        None,
        """\
from math import pi

import torch


def damped(x, t, rate):
    decay = pi * (-torch.expm1(-t * rate)) + t  # flagged
    return decay * x / (torch.expm1(x))  # flagged
""",
    ]

    good = [
        # the functions for it
        """\
import torch


def stable(x):
    return torch.log1p(x) + torch.expm1(x) - x + torch.special.expm1(-x)
""",
        # softplus and its like: other rules
        """\
import torch
import torch.nn.functional as F


def softplus(x):
    return F.softplus(x) + torch.log(torch.exp(x).sum()) + torch.log(2 + x)
""",
        # counts, lengths, degrees, sizes
        """\
import torch


def scaled(x, mask, degree, durations, edge_index):
    found = mask.sum(dim=1)
    a = torch.log(1 + degree) + torch.log(durations + 1)
    b = torch.log(1 + found) + torch.log(1 + torch.bincount(edge_index)) + (torch.arange(8) + 1).log()
    return x * a * b * torch.log(torch.tensor(x.shape[0] + 1.0))


def losses(model, batch, target, width):
    table = torch.log2(1 + torch.abs(torch.arange(width) * 8.0 / width))
    frames = batch["durations"].float()
    out = model(batch["text"])
    return (out - torch.log(frames + 1)).abs().mean() + (out - torch.log(target + 1)).pow(2).mean() * table
""",
        # rounded afterwards
        """\
import torch


def durations(model, x):
    log_durations = model(x)
    frames = torch.round(torch.exp(log_durations) - 1)
    return frames, (torch.exp(log_durations) - 1).long(), model(x).exp().sub(1).floor()
""",
        # float64; numbers and arrays
        """\
import math

import numpy as np
import torch


def tables(x, t):
    y = x.double()
    a = torch.log(1 + y) + (torch.exp(y) - 1)
    return a, np.log(1 + t), math.exp(t) - 1, torch.exp(torch.tensor(0.5)) - 1
""",
        # not trained through
        """\
import torch


def show(x):
    with torch.no_grad():
        y = torch.log(1 + x)
    print(torch.exp(x) - 1)
    return y
""",
        # far from 1
        """\
import torch


def far(x):
    return torch.log(10 + x) + torch.exp(x) - 2 + torch.log(1 + torch.cosh(x))
""",
        # degrees, which a function of another file counts
        """\
# file: counting.py
import torch


def degree(index, nodes):
    return torch.zeros(nodes).scatter_add_(0, index, torch.ones(index.size(0)))


# file: scaling.py
import torch
from torch import nn

from counting import degree


class Scaler(nn.Module):
    def forward(self, out, index):
        deg = degree(index, out.size(0)).view(-1, 1)
        return out * torch.log(deg + 1)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report logarithms next to 1, and what is left of exponentials when 1 is taken away."""
        operations = source.ask(facts.operations)
        for site, logarithm in operations.named("log", "log2", "log10"):
            small = _added_to_one(logarithm.operands[0]) if logarithm.operands else None
            if (
                small is not None
                and not _is_called_whole(source, logarithm)
                and _matters(source, site, logarithm, small)
            ):
                advice = "log1p keeps them" if logarithm.name == "log" else "log1p(x) / log(base) keeps them"
                yield Report(
                    site.node,
                    f"{logarithm.name}(1 + x) rounds the digits of a small x away; {advice}",
                    fix=_log1p(source, site, logarithm),
                )
        if next(operations.named("exp"), None) is not None:
            yield from _of_exponentials(source)


def _of_exponentials(source: SourceFile) -> Iterator[Report]:
    for site, difference in source.ask(facts.operations).named("sub", when=_may_be_from_one):
        if not _may_be_from_one(difference):
            continue
        left, right = difference.operands + difference.positional
        exponential = _exponential(right) if facts.terms.number(left) == 1 else _exponential(_first(left))
        if exponential is None or not _matters(source, site, difference, exponential.operands[0]):
            continue
        yield Report(
            site.node,
            f"{_FORMS[facts.terms.number(left) == 1]} rounds the digits of a small x away; expm1 keeps them",
            fix=_expm1(source, site, difference, exponential),
        )


_FORMS = {True: "1 - exp(x)", False: "exp(x) - 1"}


def _may_be_from_one(difference: Operation) -> bool:
    operands = difference.operands + difference.positional
    return len(operands) == 2 and 1 in map(facts.terms.number, operands)


def _first(term: Term) -> Term:
    """Return `exp(x)` of `exp(x) - x`: what 1 is taken away from then."""
    match term:
        case facts.terms.Operation(name="sub", operands=(facts.terms.Operation() as exponential, other)) if (
            exponential.name == "exp" and exponential.operands
        ):
            return exponential if facts.terms.same(exponential.operands[0], other) else term
        case _:
            return term


def _exponential(term: Term) -> Operation | None:
    is_one = isinstance(term, facts.terms.Operation) and term.name == "exp" and bool(term.operands)
    return term if is_one and isinstance(term, facts.terms.Operation) else None


def _added_to_one(term: Term) -> Term | None:
    """Return x of `1 + x`."""
    match term:
        case facts.terms.Operation(name="add", operands=(left, right)) if not term.positional:
            found = right if facts.terms.number(left) == 1 else left
            return found if 1 in map(facts.terms.number, (left, right)) else None
        case _:
            return None


_LARGE = 0.05
"""What is never smaller than this loses nothing that matters beside 1."""


def _matters(source: SourceFile, site: Site, operation: Operation, small: Term) -> bool:
    held = facts.intervals.interval(small)
    if held.low > _LARGE or held.high < -_LARGE or _is_whole(source, small):
        return False
    is_exponential = facts.provenance.made_by(small, "exp") is not None
    if is_exponential or facts.gradients.is_constant(small) or _is_double(small):
        return False
    return facts.differentiation.is_trained_through(source, site, operation) and not _is_rounded(source, site)


def _is_double(term: Term) -> bool:
    return any(
        part.name == "double" or facts.intervals.wanted_types(part) & {"float64", "double"}
        for part in facts.terms.within(term, 40)
        if isinstance(part, facts.terms.Operation) and part.name in ("double", "to", "type")
    )


_WHOLE = re.compile(
    r"deg|count|(^|_)n(um)?_|_n$|len|dur|freq|hist|idx|index|epoch|step|ids?$|dist|rank|size|target|label",
    re.IGNORECASE,
)
"""What whole numbers and data are called: degrees of nodes, and the targets of a duration predictor, taught it."""


def _is_whole(source: SourceFile, term: Term) -> bool:
    """Whether something counts: by how it was made, or by its name where nothing is known."""
    terms = facts.terms
    if any(getattr(part, "name", "") in _GRIDS for part in terms.within(term, 200)):
        return True
    for origin in facts.provenance.origins(term):
        match origin:
            case terms.Item(key=terms.Constant(value=str() as name)):
                if _WHOLE.search(name):
                    return True
            case terms.Parameter(name=name) | terms.Unknown(label=name) | terms.Attribute(name=name):
                if _WHOLE.search(name):
                    return True
            case terms.Operation(name=name):
                if name in _COUNTING or (
                    name == "sum" and facts.gradients.carries_graph(origin.operands[0]) is False
                ):
                    return True
                if name == "sum" and isinstance(origin.operands[0], terms.Parameter):
                    return True  # of a mask, an adjacency
            case terms.Call(callee=callee):
                last = getattr(callee, "dotted", getattr(callee, "name", getattr(callee, "label", "")))
                if _WHOLE.search(str(last).rsplit(".", 1)[-1]):
                    return True
            case _:
                pass
    return False


def _is_called_whole(source: SourceFile, logarithm: Operation) -> bool:
    """Whether the code writes `deg + 1`: a function of another file that counts is known by its result."""
    written = facts.spelling.written_operand(logarithm)
    sides = _sides(written, "Add") or ()
    return any(type(side).__name__ == "Name" and _WHOLE.search(source.code(side)) for side in sides)


_GRIDS = {"arange", "linspace", "meshgrid"}
"""Places on a grid are multiples of its step: tables of relative positions taught it."""

_COUNTING = {
    "bincount",
    "arange",
    "size",
    "numel",
    "len",
    "long",
    "int",
    "count_nonzero",
    "histc",
    "range",
    "argmax",
}


def _is_rounded(source: SourceFile, site: Site) -> bool:
    """Whether the result becomes a whole number at once: frames of a predicted duration."""
    uses = source.ask(facts.uses)
    return any(
        getattr(user, "name", "")
        in ("round", "long", "int", "floor", "ceil", "trunc", "builtin_int", "builtin_round")
        for option in facts.terms.options(source.ask(facts.values).raw(site.node))
        for user in uses.of(option)
    )


def _log1p(source: SourceFile, site: Site, logarithm: Operation) -> ProposedFix | None:
    spelling = facts.spelling
    added = spelling.written_operand(logarithm)
    called = spelling.spelled(source, site.scope, "torch.log1p")
    if logarithm.name != "log" or called is None or not spelling.is_alone(logarithm):
        return None
    sides = _sides(added, "Add")
    if sides is None or "#" in source.code(site.node):
        return None
    small = sides[1] if _is_one(sides[0]) else sides[0] if _is_one(sides[1]) else None
    if small is None:
        return None
    text = f"{called}({spelling.bare(source, small)})"
    return ProposedFix("Use `log1p`", Applicability.SAFE, (Replace(site.node, text),))


def _expm1(
    source: SourceFile, site: Site, difference: Operation, exponential: Operation
) -> ProposedFix | None:
    spelling, node = facts.spelling, site.node
    called = spelling.spelled(source, site.scope, "torch.expm1")
    inside, sides = spelling.written_operand(exponential), _sides(node, "Subtract")
    if called is None or inside is None or sides is None or not spelling.is_alone(exponential):
        return None
    if "#" in source.code(node):
        return None
    text = f"{called}({spelling.bare(source, inside)})"
    if sides[0] is exponential.node and _is_one(sides[1]):
        pass
    elif sides[1] is exponential.node and _is_one(sides[0]):
        text = f"-{text}"
    else:
        inner = _sides(sides[0], "Subtract")
        if inner is None or inner[0] is not exponential.node or not _is_one(sides[1]):
            return None
        text = f"{text} - {source.code(inner[1])}"
    return ProposedFix("Use `expm1`", Applicability.SAFE, (Replace(node, text),))


def _sides(node: cst.CSTNode | None, operator: str) -> tuple[cst.BaseExpression, cst.BaseExpression] | None:
    found = type(getattr(node, "operator", None)).__name__ == operator and hasattr(node, "left")
    return (node.left, node.right) if found and node is not None else None  # type: ignore[attr-defined]


def _is_one(node: cst.BaseExpression) -> bool:
    return str(getattr(node, "value", "")) in ("1", "1.", "1.0")
