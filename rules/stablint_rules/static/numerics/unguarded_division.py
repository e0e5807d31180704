"""STB307 unguarded-division."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.scopes import Block, CallSite
    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class UnguardedDivision(StaticRule):
    """A loss or an output is divided by a norm, a deviation or a count that can be exactly 0.

    ## What it does

    Reports a division that is trained through where the divisor is

    - the norm of something that can be 0 altogether: the output of `relu`, of a mask, a difference; of
      any other output of a layer, or of what a module's `forward` is given, it is a note;
    - the standard deviation, the variance or the range (the largest value minus the smallest) of the very
      tensor that is divided; also where advantages or returns, which carry no graph, are standardised in the
      loop that trains on them;
    - a distance, in weights that are written `1 / distance` (a note),
    - the sum of a mask or, over the samples, of a one-hot code,
    - how often something occurs: `bincount`, a scatter of ones, the degrees of the nodes of a graph, and the
      row sums of a matrix in `adjacency @ x / adjacency.sum(-1, keepdim=True)`,

    and nothing keeps it away from 0: no positive term, no clamp or maximum, no test on the way there.

    ## Why it is bad

    `0 / 0` is NaN and `x / 0` infinite, and so are their gradients; one such batch makes the weights NaN.
    `x / x.norm()` at 0 is NaN, `(x - x.mean()) / x.std()` is NaN where all values are equal, and
    `(loss * mask).sum() / mask.sum()` where the mask is empty. `F.normalize(x, dim=-1)` gives 0 there,
    and so do `x / (x.norm() + 1e-8)`, `x / x.norm().clamp(min=1e-8)` and
    `(x - x.mean()) / (x.std() + 1e-8)` (all measured with torch 2.13). Of a single value, `std()` itself
    is NaN, and an epsilon does not help.

    ## Example

    ```python
    mask = labels != -100
    loss = (token_loss * mask).sum() / mask.sum()
    ```

    ## Use instead

    ```python
    mask = labels != -100
    loss = (token_loss * mask).sum() / mask.sum().clamp(min=1)
    ```

    ## When to ignore it

    When something outside of this code rules out 0: a data set in which every sample has a label, for
    instance. Code under `no_grad`, of data that nothing is trained through, and norms of parameters are
    not reported. Where only an option leads there that is not the default and that the file itself never
    gives, it is a note.

    ## Fix safety

    There is no fix: the size of the epsilon is a choice of the model's author.

    ## References

    - [torch.nn.functional.normalize](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.normalize.html)
    - [torch.std](https://docs.pytorch.org/docs/stable/generated/torch.std.html)
    - [torch.clamp](https://docs.pytorch.org/docs/stable/generated/torch.clamp.html)
    """

    code = "STB307"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # the page's example
        """\
import torch
import torch.nn.functional as F
from torch import nn

def loss(model: nn.Module, x, labels):
    logits = model(x)
    token_loss = F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=-100, reduction="none")
    mask = labels != -100
    return (token_loss * mask).sum() / mask.sum()  # flagged
""",
        # the mask as numbers, from a padding index
        """\
import torch
from torch import nn

class MaskedMean(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embed = nn.Embedding(1000, width, padding_idx=0)

    def forward(self, tokens):
        x = self.embed(tokens)
        mask = tokens.ne(0).float().unsqueeze(-1)
        return (x * mask).sum(dim=1) / mask.sum(dim=1)  # flagged
""",
        # a unit that is off altogether
        """\
import torch
from torch import nn

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 16)

    def forward(self, x):
        z = torch.relu(self.fc(x))
        return z / z.norm(dim=-1, keepdim=True)  # flagged
""",
        # the direction between two outputs
        """\
import torch
from torch import nn

class Directions(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)

    def forward(self, a, b):
        d = self.fc(a) - self.fc(b)
        length = torch.linalg.vector_norm(d, dim=-1, keepdim=True)
        return d / length  # flagged
""",
        # a layer norm by hand
        """\
import torch
from torch import nn

class Standardise(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 32)

    def forward(self, x):
        h = torch.relu(self.fc(x))
        return (h - h.mean(-1, keepdim=True)) / h.std(-1, keepdim=True)  # flagged
""",
        # by the variance, and by the range
        """\
import torch
from torch import nn

class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 32)

    def forward(self, x):
        h = self.fc(x)
        low, high = h.min(dim=1, keepdim=True)[0], h.max(dim=1, keepdim=True)[0]
        a = (h - low) / (high - low)  # flagged
        b = (h - h.amin()) / (h.amax() - h.amin())  # flagged
        return a + b + (h - h.mean()) / h.var()  # flagged
""",
        # advantages that are all equal, as where no reward was seen
        """import torch
from torch import nn

def train(agent, optimizer, rollouts, rounds, epochs):
    for _ in range(rounds):
        log_probs, returns, values, better = rollouts.collect(agent)
        advantages = torch.as_tensor(better) if better is not None else torch.as_tensor(returns) - values.detach()
        advantages = (advantages - advantages.mean()) / advantages.std()  # flagged
        for _ in range(epochs):
            loss = -(log_probs * advantages).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

def finish(policy, optimizer, log_probs, returns):
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / returns.std()  # flagged
    loss = -(torch.stack(log_probs) * returns).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
""",
        # a count as a number
        """import torch
import torch.nn.functional as F
from torch import nn

def loss(model: nn.Module, x, labels):
    losses = F.cross_entropy(model(x), labels, reduction="none", ignore_index=-100)
    count = (labels != -100).sum().item()
    return losses.sum() / count  # flagged
""",
        # means by hand, over groups that may be empty
        """\
import torch
from torch import nn
from torch_geometric.utils import degree

class Groups(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x, group, edges, size):
        h = self.fc(x)
        total = torch.zeros(size, 8).index_add(0, group, h)
        count = torch.bincount(group, minlength=size)
        ones = torch.zeros(size).scatter_add(0, group, torch.ones(x.size(0)))
        a = total / count.unsqueeze(1)  # flagged
        b = total / ones.view(-1, 1)  # flagged
        return a + b + h / degree(edges[0], x.size(0)).view(-1, 1)  # flagged
""",
        # neighbours on average, where a node may have none
        """\
import torch
from torch import nn

class Graph(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x, adjacency, add_loop=True):
        if add_loop:
            adjacency = adjacency.clone()
            index = torch.arange(x.size(0))
            adjacency[index, index] = 1
        h = torch.matmul(adjacency, self.fc(x))
        h = h / adjacency.sum(dim=-1, keepdim=True)  # flagged
        return h
""",
        # prototypes of classes that the batch does not hold
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Prototypes(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(64, 32)

    def forward(self, x, labels):
        codes = F.one_hot(labels, 10).float()
        count = codes.sum(0)
        return codes.t() @ self.body(x) / count.unsqueeze(1)  # flagged
""",
        # in place, and by method
        """\
import torch
from torch import nn

class Pool(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x, lengths):
        keep = torch.arange(x.size(1))[None, :] < lengths[:, None]
        total = (self.fc(x) * keep.unsqueeze(-1)).sum(1)
        return torch.div(total, keep.sum(1, keepdim=True))  # flagged
""",
        # a note: an embedding is hardly ever 0 altogether
        """\
import torch
from torch import nn

class Embed(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(512, 128)

    def forward(self, x):
        z = self.proj(x)
        return z / z.norm(dim=-1, keepdim=True)  # flagged
""",
        # a guard for something else
        """\
import torch
import torch.nn.functional as F
from torch import nn

def loss(model: nn.Module, x, y, weight):
    error = F.mse_loss(model(x), y, reduction="none")
    valid = (y > 0).float()
    if weight > 0:
        return (error * valid).sum() / valid.sum()  # flagged
    return error.mean()
""",
        # notes: norms of layers by hand, given nobody knows what
        """\
import torch
from torch import nn

class GraphNorm(nn.Module):
    def forward(self, x, batch=None):
        if batch is None:
            x = x - x.mean(dim=0, keepdim=True)
            return x / x.std(unbiased=False)  # flagged
        return x

class RowNorm(nn.Module):
    def forward(self, x):
        x = x - x.mean(dim=0, keepdim=True)
        return 2 * x / x.norm(2, -1, keepdim=True)  # flagged

class SampleNorm(nn.Module):
    def forward(self, x):
        shape = [-1] + [1] * (x.dim() - 1)
        mean = x.view(x.size(0), -1).mean(1).view(*shape)
        std = x.view(x.size(0), -1).std(1).view(*shape)
        return (x - mean) / std  # flagged
""",
        # a note: neighbours weighted by their distance
        """\
import torch
from torch import nn

def interpolate(model: nn.Module, x, at, wanted, near):
    with torch.no_grad():
        apart = at[near] - wanted
        weights = 1.0 / (apart * apart).sum(dim=-1, keepdim=True)  # flagged
    return model(x[near] * weights)
""",
        # advantages, before the loop over the batches
        """\
import torch

class Agent:
    def update(self, rollouts, optimizer):
        advantages = rollouts.returns[:-1] - rollouts.values[:-1]
        advantages = (advantages - advantages.mean()) / advantages.std()  # flagged
        for batch in rollouts.batches(advantages):
            loss = self.loss(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
""",
        # the two halves are in two files
        """\
# file: ops.py
def lengths(x):
    return x.norm(dim=1, keepdim=True)

# file: net.py
from torch import nn
from ops import lengths

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16, 8)

    def forward(self, x):
        x = self.fc(x).relu()
        return x / lengths(x)  # flagged
""",
    ]

    good = [
        # an epsilon, a clamp, a maximum
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x, mask):
        z = torch.relu(self.fc(x))
        keep = (mask != 0).float()
        a = z / (z.norm(dim=-1, keepdim=True) + 1e-8)
        b = z / z.norm(dim=-1, keepdim=True).clamp(min=1e-8)
        c = (z * keep).sum() / torch.maximum(keep.sum(), torch.ones(1))
        d = (z * keep).sum() / max(keep.sum(), 1)
        e = (z - z.mean()) / (z.std() + 1e-5)
        return a + b + c + d + e
""",
        # what PyTorch guards itself
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        z = torch.relu(self.fc(x))
        return F.normalize(z, dim=-1) + F.layer_norm(z, (8,))
""",
        # tested on the way there
        """\
import torch
import torch.nn.functional as F
from torch import nn

def loss(model: nn.Module, x, labels):
    token_loss = F.cross_entropy(model(x), labels, reduction="none")
    mask = labels != -100
    if mask.any():
        return (token_loss * mask).sum() / mask.sum()
    return token_loss.sum() * 0

def other_loss(model: nn.Module, x, labels):
    token_loss = F.cross_entropy(model(x), labels, reduction="none")
    mask = labels != -100
    count = mask.sum()
    if count == 0:
        return token_loss.sum() * 0
    return (token_loss * mask).sum() / count
""",
        # an accuracy is not trained through
        """\
import torch
from torch import nn

def accuracy(model: nn.Module, x, labels):
    mask = labels != -100
    right = (model(x).argmax(-1) == labels) & mask
    return right.sum().float() / mask.sum()
""",
        # trust ratios and other things under no_grad
        """\
import torch
from torch import nn

@torch.no_grad()
def direction(model: nn.Module, x):
    z = torch.relu(model(x))
    return z / z.norm()
""",
        # the norm of a weight
        """\
import torch
from torch import nn
import torch.nn.functional as F

class WeightNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.v = nn.Parameter(torch.randn(8, 8))
        self.g = nn.Parameter(torch.ones(8, 1))

    def forward(self, x):
        return F.linear(x, self.g * self.v / self.v.norm(dim=1, keepdim=True))
""",
        # statistics of the data
        """\
import torch
from torch import nn

def normalise(images):
    return (images - images.mean(0)) / images.std(0)

def train(model, data):
    data = normalise(torch.tensor(data))
    return nn.functional.mse_loss(model(data), data)
""",
        # statistics of the data before the loop, and of each column
        """\
import torch
from torch import nn

def fit(model: nn.Module, optimizer, table, target, epochs):
    table = (table - table.mean()) / table.std()
    for _ in range(epochs):
        batch = (table - table.mean(0)) / table.std(0)
        loss = nn.functional.mse_loss(model(batch), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # a heat map for the eyes, a range with an epsilon, the extremes of two
        """import torch
from torch import nn

class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 32)

    def heat(self, x):
        h = self.fc(x).detach()
        return (h - h.min()) / (h.max() - h.min())

    def forward(self, x, y):
        h = self.fc(x)
        return (h - h.min()) / (h.max() - h.min() + 1e-8) + (h - y.min()) / (y.max() - y.min())
""",
        # groups that are not empty, or are not looked at
        """\
import torch
from torch import nn
from torch_geometric.utils import add_self_loops, degree

class Groups(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x, group, edges, size):
        h = self.fc(x)
        total = torch.zeros(size, 8).index_add(0, group, h)
        count = torch.bincount(group, minlength=size).unsqueeze(1)
        looped, _ = add_self_loops(edges)
        a = total / count.clamp(min=1) + total / (count + 1)
        b = h / count[group] + (total / count)[group]
        c = torch.where(count > 0, total / count, torch.zeros_like(total))
        return a, b, c, h / degree(looped[0], x.size(0)).view(-1, 1)
""",
        # a one-hot code sums to one over its classes
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Mix(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 10)

    def forward(self, x, labels):
        codes = F.one_hot(labels, 10).float()
        return self.fc(x) * codes / codes.sum(-1, keepdim=True)
""",
        # a softmax by hand, a sum of nobody knows what, a number of elements
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x, weights):
        z = self.fc(x)
        a = z.exp() / z.exp().sum(-1, keepdim=True)
        b = (z * weights).sum() / weights.sum()
        c = z.sum() / z.numel() / x.size(0)
        return a + b + c
""",
        # the mask is smoothed
        """\
import torch
from torch import nn

class Dice(nn.Module):
    def __init__(self, smooth=1.0):
        super().__init__()
        self.smooth = smooth

    def forward(self, logits, target):
        p = torch.sigmoid(logits)
        truth = (target > 0).float()
        overlap = (p * truth).sum()
        return 1 - (2 * overlap + self.smooth) / (truth.sum() + self.smooth)
""",
        # what is invalid is picked off afterwards: the concern of where-nan-gradient
        """\
import torch
from torch import nn

class Unit(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        z = torch.relu(self.fc(x))
        norm = z.norm(dim=-1, keepdim=True)
        return torch.where(norm > 0, z / norm, z)
""",
        # a count that cannot be 0: the mask has a diagonal
        """\
import torch
from torch import nn

class Graph(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x, adjacency):
        adjacency = adjacency + torch.eye(x.size(0))
        return adjacency @ self.fc(x) / adjacency.sum(1, keepdim=True)
""",
        # one output rescaled to the deviation of another
        """\
import torch
from torch import nn

class Guided(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x, scale):
        with_condition, without = self.fc(x), self.fc(torch.zeros_like(x))
        guided = without + (with_condition - without) * scale
        return guided * (with_condition.std() / guided.std())
""",
        # plain numbers
        """\
import torch
from torch import nn

def mean(losses):
    total = sum(losses)
    return total / len(losses)
""",
        # a gradient's direction in an attack
        """\
import torch
import torch.nn.functional as F
from torch import nn

def attack(model: nn.Module, x, y):
    x.requires_grad_(True)
    (grad,) = torch.autograd.grad(F.cross_entropy(model(x), y), x)
    return x.detach() + 0.1 * grad / grad.norm()
""",
        # a product or a histogram of nobody knows what; not in forward
        """\
import torch
from torch import nn

class Pool(nn.Module):
    def forward(self, s, k, small):
        ss = torch.matmul(s.transpose(1, 2), s)
        k[k == 0] = small
        k, s = map(lambda t: t / torch.linalg.norm(t, dim=-1, keepdim=True), (k, s))
        return ss / torch.norm(ss, dim=(-1, -2), keepdim=True), k, s

    def histogram(self, colors, scatter):
        out = scatter(colors)
        return out / out.norm(dim=-1, keepdim=True)
""",
        # a distance that is kept from 0
        """\
import torch

def interpolate(model, x, at, wanted, near):
    apart = at[near] - wanted
    weights = 1.0 / (apart * apart).sum(dim=-1, keepdim=True).clamp(min=1e-16)
    return model(x[near] * weights)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report divisions by what can be exactly zero, where they are trained through."""
        for site, division in source.ask(facts.operations).named("div", when=_may_matter):
            why = (
                _why_zero(source, site, division)
                or _why_constant(source, site)
                or _why_close(division)
                or _why_empty(source, site, division)
                or _why_alone(division)
            )
            if why is None or not _may_be_trained_through(source, site, division):
                continue
            is_shown = facts.differentiation.may_be_for_show(source, site.scope)
            if not is_shown and not _is_tested(source, site, division) and not _is_picked_off(source, site):
                message, severity = why
                by_option = facts.guards.needs_another_option(source, site)
                yield Report(site.node, message, severity=Severity.NOTE if by_option else severity)


_DIVISORS = ("norm", "std", "var", "sum", "sub")
_THROUGH = {
    "to", "type", "type_as", "float", "double", "half", "cuda", "cpu", "clone", "contiguous", "unsqueeze", "squeeze",
    "view", "reshape", "expand", "item",
}  # fmt: skip
_MASKS = ("compare", "eq", "ne", "gt", "ge", "lt", "le", "not", "logical_not", "bitwise_not")


def _divisor(division: Operation) -> Operation | None:
    if len(division.operands) != 2:
        return None
    return facts.provenance.made_by(division.operands[1], *_DIVISORS, through=_THROUGH)


def _may_matter(division: Operation) -> bool:
    parameters = (facts.terms.Parameter, facts.terms.Either)
    if _divisor(division) is not None or isinstance(division.operands[-1], parameters):
        return True
    return facts.counts.counted(division.operands[-1]) is not None


def _why_zero(source: SourceFile, site: Site, division: Operation) -> tuple[str, Severity | None] | None:
    """Say why the divisor can be zero, and how much that matters."""
    divisor = _divisor(division)
    if divisor is None or not divisor.operands or not facts.intervals.interval(division.operands[1]).has_zero:
        return None
    carries = facts.gradients.carries_graph
    if divisor.name == "sum":
        is_count = _is_trained(division.operands[0]) and _is_mask(divisor)
        return (
            ("divided by the sum of a mask, which is 0 where the mask is empty: NaN", None)
            if is_count
            else None
        )
    of = _range_of(divisor) if divisor.name == "sub" else divisor.operands[0]
    if of is None or carries(of) is False or _is_exempt(of):
        return None
    is_certain = carries(of) is True
    if not is_certain and not _may_come_from_a_layer(source, site, of):
        return None
    if divisor.name != "norm":
        severity = None if is_certain else Severity.NOTE
        return (_CONSTANT[divisor.name], severity) if _is_deviation_of(of, division.operands[0]) else None
    if is_certain and _reaches_origin(of):
        return "divided by a norm that can be 0: NaN, and a NaN gradient", None
    is_own = any(facts.terms.same(part, of) for part in facts.terms.within(division.operands[0], 40))
    return (
        ("divided by a norm without an epsilon: NaN at 0; F.normalize is safe", Severity.NOTE)
        if is_own
        else None
    )


def _may_be_trained_through(source: SourceFile, site: Site, division: Operation) -> bool:
    """Whether a gradient may flow through a division, or the weights that it gives are of what has one."""
    is_weight = facts.terms.number(division.operands[0]) is not None and not division.graph
    return facts.differentiation.is_trained_through(source, site, division) or (
        is_weight and bool(_consumers(source, site))
    )


def _consumers(source: SourceFile, site: Site) -> list[Term]:
    uses = source.ask(facts.uses)
    return [
        consumer
        for option in facts.terms.options(source.ask(facts.values).raw(site.node))
        for consumer in uses.of(option)
        if facts.gradients.carries_graph(consumer) is not False
    ]


def _may_come_from_a_layer(source: SourceFile, site: Site, of: Term) -> bool:
    """Whether a module's forward is given something, or its deviation, of which nothing more is known.

    What was computed from it by a product or a histogram is hardly ever zero altogether.
    """
    scope = site.scope
    if scope.name != "forward" or source.ask(facts.models).around(scope) is None:
        return False
    of = _unviewed(of)
    if not isinstance(of, facts.terms.Operation):
        return True
    return bool(of.operands) and _is_deviation_of(of.operands[0], of)


def _why_close(division: Operation) -> tuple[str, Severity | None] | None:
    """Say so where points are weighted by `1 / distance`: one of them may be where the other is."""
    if len(division.operands) != 2 or facts.terms.number(division.operands[0]) is None:
        return None
    if not facts.intervals.interval(division.operands[1]).has_zero:
        return None
    total = facts.provenance.made_by(division.operands[1], "sum", "norm", through=_THROUGH)
    squared = total.operands[0] if total is not None and total.operands else None
    if squared is not None and total is not None and total.name == "sum":
        square = facts.provenance.made_by(squared, "pow", "square", "mul")
        is_square = square is not None and (square.name != "mul" or facts.terms.same(*square.operands[:2]))
        squared = square.operands[0] if square is not None and is_square else None
    if squared is None or facts.provenance.made_by(squared, "sub") is None:
        return None
    return "divided by a distance, which is 0 where two points coincide: infinite, then NaN", Severity.NOTE


_CONSTANT = {
    "std": "divided by a standard deviation, which is 0 where all values are equal: NaN",
    "var": "divided by a variance, which is 0 where all values are equal: NaN",
    "sub": "divided by the largest value minus the smallest, which is 0 where all are equal: NaN",
}


def _range_of(difference: Operation) -> Term | None:
    """Return x of `x.max() - x.min()`."""
    if len(difference.operands) != 2:
        return None
    largest = facts.provenance.made_by(_values(difference.operands[0]), "max", "amax", through=_THROUGH)
    smallest = facts.provenance.made_by(_values(difference.operands[1]), "min", "amin", through=_THROUGH)
    if largest is None or smallest is None or not largest.operands or not smallest.operands:
        return None
    of = largest.operands[0]
    return of if facts.terms.same(of, smallest.operands[0]) else None


def _values(extreme: Term) -> Term:
    """Return `x.max(1)` of `x.max(1)[0]`."""
    is_first = isinstance(extreme, facts.terms.Item) and facts.terms.number(extreme.key) == 0
    return extreme.base if isinstance(extreme, facts.terms.Item) and is_first else extreme


def _why_constant(source: SourceFile, site: Site) -> tuple[str, Severity | None] | None:
    """Say so where advantages or returns are standardised without an epsilon, in the loop that trains on them.

    They carry no graph; statistics of a data set, which are taken before the loop, are never of equal values.
    """
    is_standardised = any(
        isinstance(option, facts.terms.Operation) and option.node is site.node and _standardises(option)
        for option in facts.terms.options(site.term)
    )
    return (_CONSTANT["std"], None) if is_standardised and _is_beside_backward(source, site) else None


def _why_empty(source: SourceFile, site: Site, division: Operation) -> tuple[str, Severity | None] | None:
    """Say so where a sum is divided by how often something occurs, which may be never."""
    counted = facts.counts.counted(division.operands[-1]) if len(division.operands) == 2 else None
    if counted is None or not _is_trained(division.operands[0]):
        return None
    known, uses = source.ask(facts.values), source.ask(facts.uses)
    consumers = [one for option in facts.terms.options(known.raw(site.node)) for one in uses.of(option)]
    is_looked_up = bool(consumers) and all(
        facts.counts.is_looked_up_where_counted(known.resolve(one), counted) for one in consumers
    )
    return None if is_looked_up else ("divided by a count that can be 0: NaN or infinite there", None)


def _why_alone(division: Operation) -> tuple[str, Severity | None] | None:
    """Say so where the neighbours in an adjacency are averaged, `adj @ x / adj.sum(-1)`: a node may have none."""
    divisor, product = _divisor(division), facts.provenance.made_by(division.operands[0], *_PRODUCTS)
    if divisor is None or divisor.name != "sum" or product is None or not product.operands:
        return None
    matrix, along = divisor.operands[0], facts.terms.number(divisor.argument("dim", 0))
    matrices = facts.terms.options(product.operands[0])
    is_its_own = any(facts.terms.same(one, matrix) for one in matrices)
    has_loops = all(getattr(one, "name", "") in _LOOPING for one in matrices)
    # Weights made by a softmax or a sigmoid are zero altogether only where all of them underflow.
    is_gate = facts.provenance.made_by(matrix, "softmax", "sigmoid") is not None
    if not is_its_own or has_loops or is_gate or along not in (-1, 1, 2):
        return None
    has_zero = facts.intervals.interval(division.operands[1]).has_zero
    return (
        ("divided by the sum of a row of the matrix, which is 0 for a row without entries", None)
        if has_zero
        else None
    )


_LOOPING = {"add", "setitem", "fill_diagonal", "maximum", "where"}
"""What gives a node an edge to itself: the identity is added, the diagonal set."""
_PRODUCTS = ("matmul", "mm", "bmm")


def _standardises(division: Operation) -> bool:
    """Whether all of a tensor is divided by its deviation, less its mean."""
    divisor = _divisor(division)
    if divisor is None or divisor.name != "std" or not divisor.operands or not _is_whole(divisor):
        return False
    distance, of = facts.provenance.made_by(division.operands[0], "sub"), divisor.operands[0]
    is_its_own = distance is not None and _is_deviation_of(of, distance)
    return is_its_own and not facts.gradients.is_constant(of)


def _is_whole(divisor: Operation) -> bool:
    return not divisor.positional and not divisor.keywords and not divisor.open_arguments


def _is_beside_backward(source: SourceFile, site: Site) -> bool:
    """Whether `backward` is called in the loop that a place is in, or beside it in a function without one."""
    inner = next(_loops(site.block), None)
    is_update = inner is None and site.scope.kind == "function" and _is_advantage(source, site)
    for call in source.ask(facts.syntax).calls.get("backward", ()):
        around = [*_loops(call.block), *([None] if is_update or _is_alone(call) else [])]
        if call.scope is site.scope and inner in around:
            return True
    return False


def _is_advantage(source: SourceFile, site: Site) -> bool:
    """Whether it is advantages by name, made anew for each update: a table is standardised once, before the loop."""
    return re.match(r"\s*\w*adv", source.code(site.statement or site.node)) is not None


def _loops(block: Block | None) -> Iterator[Block]:
    for one in block.outward() if block is not None else ():
        if one.kind in ("for", "while"):
            yield one


def _is_alone(call: CallSite) -> bool:
    return call.scope.kind == "function" and next(_loops(call.block), None) is None


_LOSSES = {
    "cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "mse_loss", "l1_loss",
    "smooth_l1_loss", "huber_loss", "kl_div", "log_softmax", "logsigmoid",
}  # fmt: skip


def _is_trained(divided: Term) -> bool:
    """Whether what is divided is part of a graph: certainly, or because it is a loss."""
    carries = facts.gradients.carries_graph(divided)
    return carries is True or (
        carries is None
        and any(getattr(part, "name", "") in _LOSSES for part in facts.terms.within(divided, 200))
    )


def _is_mask(divisor: Operation) -> bool:
    """Whether a sum counts what a test, or a one-hot code over other dimensions than its own, picks out."""
    of = divisor.operands[0]
    if facts.provenance.made_by(of, *_MASKS, through=_THROUGH) is not None:
        return True
    dim = divisor.argument("dim", 0)
    over_samples = dim is not None and facts.terms.number(dim) == 0
    return over_samples and facts.provenance.made_by(of, "one_hot", through=_THROUGH) is not None


def _is_exempt(term: Term) -> bool:
    """Whether a term is a weight, which is never 0 altogether, or a gradient, which is hardly ever trained through."""
    return facts.provenance.made_by(term, "parameter", "grad") is not None


def _is_deviation_of(of: Term, divided: Term) -> bool:
    """Whether what is divided is the tensor itself, or its distance from its mean."""
    distance = facts.provenance.made_by(divided, "sub")
    whole = distance.operands[0] if distance is not None else divided
    alternatives = (divided, *facts.terms.options(whole))
    return any(facts.terms.same(one, shape) for one in alternatives for shape in (of, _unviewed(of)))


def _unviewed(term: Term) -> Term:
    """Return x of `x.view(n, -1)`."""
    while isinstance(term, facts.terms.Operation) and term.name in _VIEWS and term.operands:
        term = term.operands[0]
    return term


_VIEWS = ("view", "reshape", "flatten", "transpose", "permute")


def _reaches_origin(of: Term) -> bool:
    """Whether all elements may be exactly zero at once: switched off, masked, or the difference of two alike."""
    made = facts.provenance.made_by(of, "relu", "clamp", "clamp_min", "sub", "mul", through=_THROUGH)
    if made is None:
        return False
    if made.name == "sub":
        left, right = (made.operands + made.operands)[:2]
        names = [getattr(facts.provenance.made_by(side, "linear"), "module", None) for side in (left, right)]
        return names[0] is not None and names[0] is names[1]
    if made.name == "mul":
        return any(
            facts.provenance.made_by(part, *_MASKS, through=_THROUGH | {"mul"}) for part in made.operands
        )
    return facts.intervals.interval(made).low == 0


def _is_tested(source: SourceFile, site: Site, division: Operation) -> bool:
    """Whether any test around a division is about its divisor or the mask that is summed."""
    values = source.ask(facts.values)
    divisor = _divisor(division)
    about = [division.operands[1], *(divisor.operands if divisor is not None else ())]
    about = [facts.provenance.made_by(one, *_MASKS, *_DIVISORS) or one for one in about]
    return any(
        facts.terms.same(part, one)
        for test, _ in facts.guards.tests(source, site.node, site.statement)
        for part in facts.terms.within(values.of(test), 60)
        for one in about
    )


def _is_picked_off(source: SourceFile, site: Site) -> bool:
    uses = source.ask(facts.uses)
    return any(
        getattr(consumer, "name", "")
        in ("where", "masked_fill", "nan_to_num", "isnan", "isfinite", "setitem")
        for option in facts.terms.options(source.ask(facts.values).raw(site.node))
        for consumer in uses.of(option)
    )
