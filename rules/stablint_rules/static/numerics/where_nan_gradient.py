"""STB306 where-nan-gradient: what `where` hides is differentiated all the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class WhereNanGradient(StaticRule):
    """A `where` or a mask hides an invalid value, but not its gradient.

    ## What it does

    Reports `torch.where`, `masked_fill` and a multiplication by a mask whose condition tests the very
    value that a logarithm, a root, a division, a power, an `acos` or an exponential on the hidden side is
    taken of (`x > 0`, `x != 0`, `x.abs() < 1`), or asks whether the result is NaN, when that value is
    trained through and not made safe before the operation; and `nan_to_num` of such an operation on a value
    that is known to reach 0, or is the output of a layer.

    ## Why it is bad

    Both branches are computed and both are differentiated. The branch that is not taken gets the
    gradient 0, and 0 times the infinite derivative of `log`, `sqrt` or `1 / x` at 0 is NaN. At 0 each of
    `where(x > 0, log(x), 0)`, `where(x > 0, sqrt(x), 0)`, `where(x == 0, 0, 1 / x)`,
    `where(x != 0, sin(x) / x, 1)` and `log(x).masked_fill(x <= 0, 0)` is finite with the gradient NaN,
    and so is `where(x > 0, x, exp(x) - 1)` at 100. A mask that multiplies is worse: `(x != 0) * (1 / x)`
    is NaN itself (all measured with torch 2.13). PyTorch will not change this.

    ## Example

    ```python
    y = torch.where(x > 0, torch.log(x), torch.zeros_like(x))
    ```

    ## Use instead

    ```python
    safe = torch.where(x > 0, x, torch.ones_like(x))
    y = torch.where(x > 0, torch.log(safe), torch.zeros_like(x))
    ```

    The inner `where` makes the operation valid everywhere; the outer one picks the value. Often
    something shorter does: `x.clamp(min=eps)` inside the operation, `torch.special.xlogy`, `F.softplus`,
    `F.elu`.

    ## When to ignore it

    When the value cannot really be at the edge that the condition tests for. Code under `no_grad`, of
    constants and of whole numbers is not reported, and neither is a condition about something else.

    ## Fix safety

    There is no fix: what the hidden value should be replaced by depends on the operation.

    ## References

    - [pytorch#52248: gradients through torch.where](https://github.com/pytorch/pytorch/issues/52248)
    - [torch.where](https://docs.pytorch.org/docs/stable/generated/torch.where.html)
    """

    code = "STB306"
    severity = Severity.WARNING
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # the page's example, and its kin
        """\
import torch
from torch import nn

class Features(nn.Module):
    def forward(self, x):
        a = torch.where(x > 0, torch.log(x), torch.zeros_like(x))  # flagged
        b = torch.where(x > 0, torch.sqrt(x), 0.0)  # flagged
        c = torch.where(x == 0, torch.zeros_like(x), 1 / x)  # flagged
        d = torch.where(x != 0, torch.sin(x) / x, torch.ones_like(x))  # flagged
        return a + b + c + d
""",
        # masked_fill after the fact
        """\
import torch
from torch import nn

class Entropy(nn.Module):
    def forward(self, p):
        terms = p * torch.log(p)
        terms = terms.masked_fill(p == 0, 0.0)  # flagged
        return -terms.sum(dim=-1)
""",
        # a mask that multiplies
        """\
import torch
from torch import nn

class Loss(nn.Module):
    def forward(self, x):
        root = torch.sqrt(x) * (x > 0)  # flagged
        inverse = (x != 0).float() * (1 / x)  # flagged
        return (root + inverse).mean()
""",
        # the mask and the distances have names
        """\
import torch
from torch import nn

class Edges(nn.Module):
    def forward(self, pos, i, j):
        d2 = (pos[i] - pos[j]).pow(2).sum(-1)
        mask = d2 > 0
        inverse = torch.where(mask, d2.rsqrt(), torch.zeros_like(d2))  # flagged
        return inverse
""",
        # asking for NaN comes too late
        """\
import torch
from torch import nn

class Ratio(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(8, 8)
        self.down = nn.Linear(8, 8)

    def forward(self, x):
        ratio = torch.relu(self.up(x)) / torch.relu(self.down(x))
        return torch.where(torch.isnan(ratio), torch.zeros_like(ratio), ratio)  # flagged
""",
        # a Taylor series near zero does not help
        """\
import torch
import torch.nn as nn

class Rotation(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 1)

    def forward(self, x):
        theta = self.head(x)
        small = theta.abs() < 1e-4
        return torch.where(small, 1 - theta ** 2 / 6, torch.sin(theta) / theta)  # flagged
""",
        # the gamma curve
        """\
import torch
from torch import nn

class ToSrgb(nn.Module):
    def forward(self, linear):
        return torch.where(linear > 0, linear ** (1 / 2.4), 0.0)  # flagged
""",
        # an exponential that overflows where it is not used
        """\
import torch
from torch import nn

class Activations(nn.Module):
    def forward(self, x):
        elu = torch.where(x > 0, x, torch.exp(x) - 1)  # flagged
        softplus = torch.where(x > 20, x, torch.log1p(torch.exp(x)))  # flagged
        logistic = torch.where(x >= 0, 1 / (1 + torch.exp(-x)), torch.exp(x))  # flagged
        return elu + softplus + logistic
""",
        # nan_to_num
        """\
import torch
from torch import nn

class Cleaned(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def entropy(self, p):
        return torch.log(p).nan_to_num(neginf=0.0)  # flagged

    def forward(self, x):
        z = self.fc(x)
        weight = torch.relu(z)
        share = torch.nan_to_num(weight / weight.sum(-1, keepdim=True))  # flagged
        return share, torch.nan_to_num(torch.sqrt(z), nan=0.0), self.entropy(weight)  # flagged
""",
        # the edge of acos
        """\
import torch
from torch import nn

class Angle(nn.Module):
    def forward(self, cos):
        return torch.where(cos.abs() < 1, torch.acos(cos), torch.zeros_like(cos))  # flagged
""",
    ]

    good = [
        # made safe inside
        """\
import torch
from torch import nn

class Features(nn.Module):
    def forward(self, x):
        safe = torch.where(x > 0, x, torch.ones_like(x))
        a = torch.where(x > 0, torch.log(safe), torch.zeros_like(x))
        b = torch.where(x > 0, torch.log(x.clamp(min=1e-8)), torch.zeros_like(x))
        c = torch.where(x > 0, torch.sqrt(x.abs() + 1e-12), torch.zeros_like(x))
        return a + b + c
""",
        # a piecewise loss
        """\
import torch
from torch import nn

class SmoothL1(nn.Module):
    def __init__(self, beta=1.0):
        super().__init__()
        self.beta = beta

    def forward(self, input, target):
        err = torch.abs(input - target)
        loss = torch.where(err < self.beta, 0.5 * err ** 2 / self.beta, err - 0.5 * self.beta)
        return loss.mean()
""",
        # what nan_to_num is for: data, and what is not invalid for itself
        """\
import torch
from torch import nn

class Cleaned(nn.Module):
    def forward(self, x, p, scale):
        clean = torch.nan_to_num(x)
        a = torch.nan_to_num(torch.log(p)) + (x / scale).nan_to_num()
        b = torch.nan_to_num(torch.log(torch.relu(x) + 1e-6)) + torch.nan_to_num(torch.log(x.detach().abs()))
        return clean + a + b + (x - x.mean()).nan_to_num()
""",
        # the condition is about something else
        """\
import torch
from torch import nn

class Loss(nn.Module):
    def forward(self, p, labels, padding):
        a = torch.where(labels == 1, -torch.log(p), -torch.log(1 - p))
        b = torch.log(p).masked_fill(padding, 0.0)
        c = torch.sqrt(p) * (labels != -100)
        return a.mean() + b.mean() + c.mean()
""",
        # nothing is trained here
        """\
import torch
from torch import nn

@torch.no_grad()
def trust_ratio(weight, update):
    norm = update.norm()
    return torch.where(norm > 0, weight.norm() / norm, torch.ones_like(norm))
""",
        # a schedule of constants
        """\
import torch
from torch import nn

def betas(steps):
    t = torch.arange(steps) / steps
    return torch.where(t > 0, torch.log(t), torch.zeros_like(t))

class Model(nn.Module):
    def forward(self, x):
        return x * betas(10)
""",
        # whole numbers have no gradient
        """\
import torch
from torch import nn

class Average(nn.Module):
    def forward(self, labels):
        count = (labels != 0).sum(dim=-1).float()
        return torch.where(count > 0, 1 / count, torch.zeros_like(count))

class Buckets(nn.Module):
    def forward(self, x):
        distance = torch.arange(x.size(1))[None, :] - torch.arange(x.size(1))[:, None]
        near = distance.abs() < 8
        return torch.where(near, distance, torch.log(distance.abs() / 8))
""",
        # selected, not hidden
        """\
import torch
from torch import nn

class Loss(nn.Module):
    def forward(self, x):
        positive = x[x > 0]
        return torch.log(positive).sum()
""",
        # the masked branch is valid everywhere
        """\
import torch
from torch import nn

class LeakyRelu(nn.Module):
    def forward(self, x):
        a = torch.where(x > 0, x, 0.01 * x)
        b = torch.where(x > 0, x ** 2, torch.tanh(x))
        c = torch.where(x > 0, x / 3, x.exp().clamp(max=1))
        return a + b
""",
        # an exponential of what is bounded there
        """\
import torch
from torch import nn

class Elu(nn.Module):
    def forward(self, x):
        return torch.where(x > 0, x, torch.exp(x.clamp(max=0)) - 1)
""",
        # log(1 - exp(x)) of log-probabilities, which are never positive
        """\
import torch
from torch import nn

class OddsRatio(nn.Module):
    def forward(self, x):
        return torch.where(x < -0.693, torch.log1p(-torch.exp(x)), torch.log(-torch.expm1(x)))
""",
        # attention scores are masked with minus infinity before a softmax
        """\
import torch
from torch import nn

class Attention(nn.Module):
    def forward(self, q, k, mask):
        scores = q @ k.transpose(-2, -1) / q.size(-1) ** 0.5
        scores = scores.masked_fill(mask == 0, float("-inf"))
        return scores.softmax(dim=-1)
""",
        # the inner value was masked before
        """\
import torch
from torch import nn

class Distance(nn.Module):
    def forward(self, a, b):
        d2 = (a - b).pow(2).sum(-1)
        is_zero = d2 == 0
        d = torch.sqrt(d2.masked_fill(is_zero, 1.0))
        return d.masked_fill(is_zero, 0.0)
""",
        # a ratio of detached values
        """\
import torch
from torch import nn

class Weighting(nn.Module):
    def forward(self, loss, scale):
        s = scale.detach()
        weight = torch.where(s > 0, 1 / s, torch.zeros_like(s))
        return (loss * weight).mean()
""",
        # NumPy has no gradients
        """\
import numpy as np
import torch
from torch import nn

def prepare(x: np.ndarray):
    return torch.from_numpy(np.where(x > 0, np.log(x), 0.0))
""",
        # a condition on the divisor's neighbour
        """\
import torch
from torch import nn

class Clip(nn.Module):
    def forward(self, x, limit):
        norm = x.norm(dim=-1, keepdim=True) + 1e-6
        return torch.where(norm > limit, x * limit / norm, x)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report what hides the invalid results of operations that are trained through."""
        for site, hiding in source.ask(facts.operations).named(*_HIDING, when=_may_hide):
            found = next((one for one in _hidden(hiding) if _is_trained(one)), None)
            if found is None or not facts.differentiation.is_trained_through(source, site, hiding):
                continue
            if not facts.differentiation.may_be_for_show(source, site.scope):
                yield _report(site, hiding, found)


_HIDING = ("where", "masked_fill", "nan_to_num", "mul")


def _report(site: Site, hiding: Operation, found: Operation) -> Report:
    name = "a mask" if hiding.name == "mul" else hiding.name
    what = _WHAT.get(found.name, found.name)
    related = (
        (Mark(found.node, "computed and differentiated everywhere"),) if found.node is not site.node else ()
    )
    return Report(
        site.node,
        f"{name} hides the invalid values of {what} but not their gradient: 0 times infinity is NaN",
        related=related,
    )


_WHAT = {"div": "a division", "pow": "a power", "exp": "an exponential that overflows"}
_AT_ZERO = {"log", "log2", "log10", "sqrt", "rsqrt", "reciprocal", "div", "pow"}
_AT_ONE = {"acos", "asin", "arccos", "arcsin", "atanh", "arctanh"}
_OVERFLOWING = {"exp", "expm1"}
_PARTIAL = _AT_ZERO | _AT_ONE | _OVERFLOWING
_THROUGH = _PARTIAL | {"add", "sub", "mul", "neg", "sin", "cos", "tanh", "log1p", "abs"}
"""Operations whose gradient for each element goes to the same element."""
_SAME_PLACE = {
    "to", "type", "type_as", "float", "double", "half", "cuda", "cpu", "clone", "contiguous", "unsqueeze", "squeeze",
    "view", "reshape", "expand",
}  # fmt: skip


def _hidden(hiding: Operation) -> Iterator[Operation]:
    """Yield the operations on the side that is not taken whose own argument the condition tests."""
    operands = hiding.operands
    if hiding.name == "nan_to_num" and operands:
        yield from filter(_is_invalid_somewhere, _partial(operands[0]))
    sides: list[tuple[Term, Term, bool]] = []
    if hiding.name == "where" and len(operands) == 3:
        sides = [(operands[0], operands[1], True), (operands[0], operands[2], False)]
    elif hiding.name == "masked_fill" and len(operands) == 3:
        sides = [(operands[1], operands[0], False)]
    elif hiding.name == "mul" and len(operands) == 2:
        sides = [(mask, value, True) for mask, value in (operands, operands[::-1]) if _is_mask(mask)]
    for condition, side, holds in sides:
        tests = list(_tests(condition, holds))
        for partial in _partial(side) if tests else ():
            if any(_leaves_out(test, held, side, partial) for test, held in tests):
                yield partial


def _is_invalid_somewhere(partial: Operation) -> bool:
    """Whether an operation is known to meet what it is invalid for, or is taken of what nothing bounds.

    `nan_to_num` does not say for which value it stands there, as a condition does.
    """
    argument = partial.operands[1] if partial.name == "div" else partial.operands[0]
    held = facts.intervals.interval(argument)
    is_root = partial.name != "pow" or _is_root(partial)
    if not is_root or partial.name in _OVERFLOWING:
        return False
    if held == facts.intervals.TOP:
        return facts.gradients.carries_graph(argument) is True
    return held.high >= 1 if partial.name in _AT_ONE else held.has_zero


def _may_hide(operation: Operation) -> bool:
    return operation.name != "mul" or any(_is_mask(operand) for operand in operation.operands)


def _is_mask(term: Term) -> bool:
    return facts.provenance.made_by(term, *_SYMBOLS, "compare", *_NOT, *_AND) is not None


def _partial(side: Term) -> Iterator[Operation]:
    """Yield the operations inside a side that are invalid somewhere, as far as elements stay apart."""
    stack, seen = [side], set[int]()
    while stack and len(seen) < 60:
        for made in facts.provenance.origins(stack.pop(), _SAME_PLACE):
            if id(made) in seen or not isinstance(made, facts.terms.Operation) or made.name not in _THROUGH:
                continue
            seen.add(id(made))
            stack.extend(made.operands)
            if made.name in _PARTIAL and made.operands:
                yield made


_AND = ("and", "bitwise_and", "logical_and")
_OR = ("or", "bitwise_or", "logical_or")
_NOT = ("not", "bitwise_not", "logical_not")
_SYMBOLS = {"gt": "GreaterThan", "ge": "GreaterThanEqual", "lt": "LessThan", "le": "LessThanEqual"} | {
    "eq": "Equal",
    "ne": "NotEqual",
}
_OPPOSITE = {"GreaterThan": "LessThanEqual", "LessThan": "GreaterThanEqual", "Equal": "NotEqual"}
_OPPOSITE |= {opposite: symbol for symbol, opposite in _OPPOSITE.items()}
_MIRRORED = {"GreaterThan": "LessThan", "GreaterThanEqual": "LessThanEqual"}
_MIRRORED |= {mirrored: symbol for symbol, mirrored in _MIRRORED.items()}


def _tests(condition: Term, holds: bool) -> Iterator[tuple[Operation, bool]]:
    """Yield the single tests that are certain where the side is taken."""
    for made in facts.provenance.origins(condition, _SAME_PLACE | {"bool", "int", "long"}):
        if not isinstance(made, facts.terms.Operation):
            continue
        if made.name in _NOT:
            yield from _tests(made.operands[0], not holds)
        elif made.name in (_AND if holds else _OR):
            for part in made.operands:
                yield from _tests(part, holds)
        elif made.name == "compare" or made.name in _SYMBOLS or made.name in ("isnan", "isinf", "isfinite"):
            yield made, holds


def _leaves_out(test: Operation, held: bool, side: Term, partial: Operation) -> bool:
    """Whether a test is there to leave out the elements for which an operation is invalid."""
    if test.name in ("isnan", "isinf", "isfinite"):
        return held is (test.name == "isfinite") and facts.terms.same(_bare(test.operands[0]), _bare(side))
    compared = _compared(test)
    if compared is None:
        return False
    left, symbol, right = compared
    symbol = symbol if held else _OPPOSITE.get(symbol, "")
    argument = _bare(partial.operands[1] if partial.name == "div" else partial.operands[0])
    for value, relation, bound in ((left, symbol, right), (right, _MIRRORED.get(symbol, symbol), left)):
        limit = facts.intervals.interval(bound)
        if _is(value, argument) and limit.low > -1e9 and limit.high < 1e9:
            return _is_domain(partial, relation, limit.low, limit.low > 0 or limit.low_open)
        if partial.name in _OVERFLOWING and _is_negative_of(argument, value):
            return relation in ("GreaterThan", "GreaterThanEqual") and -80 < limit.low <= 0
    return False


def _compared(test: Operation) -> tuple[Term, str, Term] | None:
    others = (*test.operands[1:], *test.positional, *test.keywords.values())
    if test.name == "compare":
        symbol = getattr(test.positional[0], "value", "") if len(test.operands) == 2 else ""
        return (test.operands[0], str(symbol), test.operands[1]) if symbol else None
    return (test.operands[0], _SYMBOLS[test.name], others[0]) if test.operands and others else None


def _is_domain(partial: Operation, relation: str, bound: float, is_positive: bool) -> bool:
    """Whether a relation to a bound keeps an argument where an operation is valid, and nothing else does."""
    held = facts.intervals.interval(partial.operands[1] if partial.name == "div" else partial.operands[0])
    if partial.name in _OVERFLOWING:
        return relation in ("LessThan", "LessThanEqual") and 0 <= bound < 80 < held.high
    if partial.name in _AT_ONE:
        return relation in ("LessThan", "LessThanEqual") and bound <= 1 <= held.high
    if partial.name == "pow" and not _is_root(partial):
        return False
    if relation == "GreaterThanEqual" and partial.name in ("sqrt", "pow", "rsqrt"):
        return bound >= 0 and held.low < 0
    if relation in ("GreaterThan", "GreaterThanEqual"):
        return held.has_zero and bound >= 0 and (is_positive or relation == "GreaterThan")
    return relation == "NotEqual" and bound == 0 and held.has_zero


def _is_root(power: Operation) -> bool:
    exponent = (
        facts.intervals.interval(power.operands[1]) if len(power.operands) == 2 else facts.intervals.TOP
    )
    return exponent.low == exponent.high and (exponent.low < 0 or exponent.low != int(exponent.low))


def _bare(term: Term) -> Term:
    """Return a term without what only moves or converts its elements."""
    while isinstance(term, facts.terms.Operation) and term.name in _SAME_PLACE and term.operands:
        term = term.operands[0]
    return term


def _is(value: Term, argument: Term) -> bool:
    """Whether a test is about an argument or its size."""
    value = _bare(value)
    if isinstance(value, facts.terms.Operation) and value.name == "abs" and value.operands:
        value = value if facts.terms.same(value, argument) else _bare(value.operands[0])
    return not isinstance(value, facts.terms.Constant) and facts.terms.same(value, argument)


def _is_negative_of(argument: Term, value: Term) -> bool:
    negated = isinstance(argument, facts.terms.Operation) and argument.name == "neg"
    return negated and facts.terms.same(_bare(argument.operands[0]), _bare(value))  # type: ignore[union-attr]


def _is_trained(partial: Operation) -> bool:
    """Whether a gradient may reach the argument of an operation."""
    if not partial.graph:
        return False
    argument, carries = partial.operands[-1 if partial.name == "div" else 0], facts.gradients.carries_graph
    if partial.name == "div" and carries(argument) is False:
        return carries(partial.operands[0]) is True
    return carries(argument) is not False and not facts.gradients.is_constant(argument)
