"""STB317 product-of-probabilities."""

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


class ProductOfProbabilities(StaticRule):
    """Many probabilities are multiplied, and the product is 0 before the sum of their logarithms is large.

    ## What it does
    Reports `prod` of what a softmax, a sigmoid or the exponential of a log-probability gives, and loops that multiply
    such values into one that starts with 1. `cumprod` of them is a note, and `prod` of `exp(-distance)`, which mostly
    has a factor for each of a few coordinates.

    ## Why it is bad
    0.5 ** 150 is 0 in float32, and 0.5 ** 25 is 0 in float16, where the sum of the logarithms is -104 and -17
    (measured with torch 2.13). Of a product that is 0, the logarithm is `-inf`, the ratio to another one NaN, and the
    gradient 0 or NaN; which of two unlikely things is the likelier one can no longer be told. How many factors there
    are depends on the length of the input.

    ## Example
    ```python
    p = torch.softmax(logits, dim=-1)
    likelihood = p.gather(1, y).prod()
    ```

    ## Use instead
    ```python
    log_p = torch.log_softmax(logits, dim=-1)
    log_likelihood = log_p.gather(1, y).sum()
    ```
    `torch.cumsum` of the logarithms replaces `cumprod`; `F.logsigmoid` and the `log_prob` of distributions give them
    without a detour. Take the exponential once, at the end, if at all.

    ## When to ignore it
    When there are only a few factors; where at most four are seen, nothing is reported. Products of `1 - p`
    (compositing along a ray, noisy-or, the estimator of Kaplan and Meier), in which a 0 is the right limit, are not
    reported either.

    ## Fix safety
    There is no fix: what uses the product must use its logarithm then.

    ## References
    - [torch.prod](https://docs.pytorch.org/docs/stable/generated/torch.prod.html)
    - [torch.nn.functional.log_softmax](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html)
    - [torch.nn.functional.logsigmoid](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.logsigmoid.html)
    """

    code = "STB317"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # the page's example
        """\
import torch


def score(logits, y):
    p = torch.softmax(logits, dim=-1)
    likelihood = p.gather(1, y).prod()  # flagged
    return likelihood
""",
        # the function, a layer's output, a dimension
        """\
import torch
from torch import nn


class Independent(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(width, width), nn.Sigmoid())

    def forward(self, x):
        return torch.prod(self.net(x), dim=-1)  # flagged
""",
        # exponentials of log-probabilities
        """\
import torch
from torch.distributions import Normal


def density(mean, std, action):
    return Normal(mean, std).log_prob(action).exp().prod(-1)  # flagged


def kernel(x, centre, width):
    distance = -((x - centre) ** 2) / (1e-6 + width**2)
    return torch.exp(distance).prod(dim=-1)  # flagged


def sequence(logits, y):
    log_p = torch.log_softmax(logits, dim=-1)
    return log_p.gather(-1, y).squeeze(-1).exp().prod(dim=1)  # flagged
""",
        # loops that multiply
        """\
import torch


def path(model, steps, x):
    p = 1.0
    for step in steps:
        p *= torch.softmax(model(x), dim=-1)[0, step]  # flagged
    return p


def joint(logits):
    total = torch.ones(logits.size(0))
    for column in logits.unbind(1):
        total = total * torch.sigmoid(column)  # flagged
    return total
""",
        # through helpers
        """\
import torch
import torch.nn.functional as F


def probabilities(logits, temperature=1.0):
    return F.softmax(logits / temperature, dim=-1)


def together(p):
    return p.prod(dim=1)  # flagged


def beam_score(logits, beam):
    return together(probabilities(logits).gather(-1, beam).squeeze(-1))
""",
        # cumulative: a note
        """\
import torch


def survival(logits):
    return torch.cumprod(torch.sigmoid(logits), dim=1)  # flagged
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
        return F.softmax(self.fc(x), dim=1)

# file: train.py
import torch.nn.functional as F
from models.net import Net

model = Net()

def step(x, y):
    return -model(x).prod(dim=1).mean()  # flagged
""",
    ]

    good = [
        # logarithms
        """\
import torch
import torch.nn.functional as F


def score(logits, y, other):
    log_p = torch.log_softmax(logits, dim=-1)
    return log_p.gather(1, y).sum().exp() + F.logsigmoid(other).cumsum(1).sum()
""",
        # compositing, noisy-or: 0 is the right limit
        """\
import torch


def render(density, step, p, logits):
    alpha = 1 - torch.exp(-density * step)
    transmittance = torch.cumprod(1 - alpha + 1e-10, dim=-1)
    left = 1.0
    for q in torch.sigmoid(logits):
        left = left * (1 - q)
    return transmittance * alpha, 1 - torch.prod(1 - torch.sigmoid(logits), dim=-1), left
""",
        # sizes, masks, what nothing is known of
        """\
import torch


def others(x, mask, alphas):
    n = torch.prod(torch.tensor(x.shape))
    every = (x > 0).float().prod(dim=-1)
    return n, every, mask.prod(-1), torch.cumprod(alphas, dim=0), x.exp().prod()
""",
        # a few factors
        """\
import torch


def both(a, b):
    p = torch.stack([torch.sigmoid(a), torch.sigmoid(b)])
    q = torch.sigmoid(torch.zeros(8, 3))
    return p.prod(dim=0), torch.sigmoid(a) * torch.sigmoid(b), q.prod(dim=-1), torch.sigmoid(a) ** 2
""",
        # gates: what is multiplied is no probability
        """\
import torch
from torch import nn


class Gated(nn.Module):
    def __init__(self, depth, width):
        super().__init__()
        self.gates = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])

    def forward(self, x):
        for gate in self.gates:
            x = x * torch.sigmoid(gate(x))
        for gate in self.gates:
            x *= torch.sigmoid(gate(x))
        return x
""",
        # a decay by a number; a loop that adds
        """\
import torch


def decayed(losses, weights):
    factor, total = 1.0, 0.0
    for loss, w in zip(losses, weights):
        factor *= 0.9
        total += factor * torch.sigmoid(w) * loss
    return total
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report products over probabilities, and loops that multiply them."""
        operations = source.ask(facts.operations)
        for site, product in operations.named("prod", "cumprod"):
            factor = _probability(product.operands[0]) if product.operands else None
            if factor is not None and not _has_few(product):
                is_mild = product.name == "cumprod" or _is_kernel(factor)
                yield _report(site, factor, Severity.NOTE if is_mild else None)
        if not source.ask(facts.syntax).identifiers & _MAKERS:
            return
        for site, product in operations.named("mul", when=_is_repeated):
            factor = _factor(product)
            if factor is not None and _is_in_loop(site) and _starts_with_one(source, site, product):
                yield _report(site, factor, None)


_MAKERS = {"softmax", "softmin", "sigmoid", "Softmax", "Sigmoid", "log_prob"}


def _report(site: Site, factor: Operation, severity: Severity | None) -> Report:
    return Report(
        site.node,
        "a product over probabilities underflows (0.5 ** 150 is 0 in float32); add their logarithms",
        severity=severity,
        related=(Mark(factor.node, "the probabilities"),) if factor.node is not site.node else (),
    )


def _probability(term: Term) -> Operation | None:
    """Return the operation that makes a tensor one of probabilities, or of exponentials of what is never positive."""
    made = facts.provenance.made_by(term, "softmax", "softmin", "sigmoid", "exp")
    if made is None or made.name != "exp":
        return made
    return made if not _is_kernel(made) or _decays(made.operands[0]) else None


def _is_kernel(factor: Operation) -> bool:
    """Whether a factor is the exponential of no logarithm: `exp(-distance)` of each of, mostly, a few coordinates."""
    if factor.name != "exp":
        return False
    exponent = factor.operands[0]
    logs = facts.provenance.made_by(exponent, "log_softmax", "logsigmoid") is not None
    return not logs and not _is_log_prob(exponent)


def _is_log_prob(term: Term) -> bool:
    terms = facts.terms
    return all(
        isinstance(origin, terms.Call)
        and isinstance(origin.callee, terms.Attribute)
        and origin.callee.name == "log_prob"
        for origin in facts.provenance.origins(term)
    )


def _decays(exponent: Term) -> bool:
    """Whether an exponent is bounded from above alone: a distance with a minus."""
    is_below = facts.exponentials.is_bounded(exponent) and not facts.gradients.is_constant(exponent)
    return is_below and facts.intervals.interval(exponent).low < -20


_FEW = 4


def _has_few(product: Operation) -> bool:
    """Whether so few factors are multiplied that the product stays in range."""
    given = facts.shapes.shape(product.operands[0])
    dim = facts.terms.number(product.argument("dim", 0))
    if dim is not None:
        size = given.at(int(dim)) or _stacked(product.operands[0], dim)
        return size is not None and size <= _FEW
    total = 1
    for size in given.sizes if given.is_whole else (None,):
        total = total * size if size is not None else _FEW + 1
    return total <= _FEW


def _stacked(term: Term, dim: float) -> int | None:
    """Return how many tensors were stacked along a dimension."""
    match term:
        case facts.terms.Operation(name="stack", operands=(facts.terms.Display(items=items), *_)):
            along = term.argument("dim", 0)
            return len(items) if dim == (0 if along is None else facts.terms.number(along)) else None
        case _:
            return None


def _is_repeated(product: Operation) -> bool:
    """Whether a product may be one of a product: `p *= q`, or `p = p * q` in a loop."""
    terms = facts.terms
    left = product.operands[0]
    return isinstance(left, terms.Unknown) or any(
        isinstance(option, terms.Operation) and option.node is product.node for option in terms.options(left)
    )


def _factor(product: Operation) -> Operation | None:
    return _probability(product.operands[1]) if len(product.operands) == 2 else None


def _is_in_loop(site: Site) -> bool:
    return site.block is not None and any(one.kind in ("for", "while") for one in site.block.outward())


def _starts_with_one(source: SourceFile, site: Site, product: Operation) -> bool:
    """Whether what is multiplied into is 1 at first: a product, no tensor that is gated."""
    terms, left = facts.terms, product.operands[0]
    starts: list[Term] = [
        option
        for option in terms.options(left)
        if not isinstance(option, terms.Unknown) and getattr(option, "node", None) is not product.node
    ]
    if not starts:
        name = next((one.label for one in terms.options(left) if isinstance(one, terms.Unknown)), "")
        bound = site.scope.function.bindings.get(name, ())
        known = source.ask(facts.values)
        held = [known.of(binding.value) for binding in bound if binding.value is not None]
        starts = [one for one in held if getattr(one, "node", None) is not product.node]
    return bool(starts) and all(map(_is_one, starts))


def _is_one(term: Term) -> bool:
    value = facts.intervals.interval(term)
    return value.low == value.high == 1
