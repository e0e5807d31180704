"""STB205 regression-broadcast: every prediction is compared with every target."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.facts.sizes import Shape
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class RegressionBroadcast(StaticRule):
    """Predictions of shape (N, 1) meet targets of shape (N,): the loss or accuracy is one of N x N pairs.

    ## What it does

    Follows the sizes of tensors from layers, views, selections and data sets. Reports `mse_loss`,
    `l1_loss`, `smooth_l1_loss` and `huber_loss` of two tensors of which one has an extra dimension of one
    element, and `-`, `==` and other comparisons between what a layer with one output (or `gather`, or a
    product with a one-column matrix) gives and a vector.

    ## Why it is bad

    Broadcasting makes (N, 1) and (N,) into (N, N): every prediction is compared with every target. The
    mean over all pairs is smallest where all predictions are the mean of the targets, so the network
    learns a constant. `((a - b) ** 2).mean()` says nothing; `F.mse_loss` prints a warning, once, and goes
    on (torch 2.13). An accuracy `(out > 0) == y` of 8 right answers out of 8 counts up to 64.

    ## Example

    ```python
    out = nn.Linear(4, 1)(x)  # (N, 1)
    y = torch.tensor(table["price"].values)  # (N,)
    loss = ((out - y) ** 2).mean()
    ```

    ## Use instead

    ```python
    out = nn.Linear(4, 1)(x).squeeze(-1)
    loss = ((out - y) ** 2).mean()
    ```

    Or `y.unsqueeze(1)`: what matters is that both have the same shape.

    ## When to ignore it

    Where all pairs are wanted. Differences that are made wide on purpose, by `x[:, None]` or
    `unsqueeze`, and grids of constants are not reported.

    ## Fix safety

    Unsafe: the loss changes, to the one that was meant. Where the prediction has the extra dimension and
    is written at the place, it gets `.squeeze(-1)`; elsewhere no fix is offered.

    ## References

    - [Broadcasting semantics](https://docs.pytorch.org/docs/stable/notes/broadcasting.html)
    - [torch.nn.MSELoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.MSELoss.html)
    - [torch.squeeze](https://docs.pytorch.org/docs/stable/generated/torch.squeeze.html)
    """

    code = "STB205"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # targets from a data set of vectors
        """\
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

xs = torch.randn(100, 4)
ys = torch.randn(100)
loader = DataLoader(TensorDataset(xs, ys), batch_size=10)
net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for x, y in loader:
    loss = F.mse_loss(net(x), y)  # flagged
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
""",
        # written by hand, in a helper
        """\
import pandas as pd
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(8, 1)

    def forward(self, x):
        return self.out(x)

def squared_error(out, y):
    return ((out - y) ** 2).mean()  # flagged

table = pd.read_csv("houses.csv")
xs = torch.tensor(table[["rooms", "age"]].values).float()
ys = torch.tensor(table["price"].values).float()
model = Net()
loss = squared_error(model(xs), ys)
""",
        # an accuracy
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self):
        self.model = nn.Linear(10, 1)

    def accuracy(self, x, y):
        predicted = torch.sigmoid(self.model(x)) > 0.5
        return (predicted == y.view(-1)).float().mean()  # flagged
""",
        # Q-learning: the value of the action taken, and the best one
        """\
import torch.nn.functional as F
from torch import nn

def loss(q, target, batch, gamma):
    states, actions, rewards, following = batch
    values = q(states).gather(1, actions.unsqueeze(1))
    best = target(following).max(1)[0].detach()
    return F.smooth_l1_loss(values, rewards + gamma * best)  # flagged

q, target = nn.Linear(8, 4), nn.Linear(8, 4)

def learn(batch):
    loss(q, target, batch, 0.99).backward()
""",
        # linear regression without layers
        """\
import torch

xs, ys = torch.randn(50, 3), torch.randn(50)
w = torch.zeros(3, 1, requires_grad=True)
for _ in range(100):
    loss = (xs @ w - ys).pow(2).mean()  # flagged
    loss.backward()
""",
        # the target is the one that is wide
        """\
import torch
from torch import nn

criterion = nn.L1Loss()

def loss(model, x, y):
    out = model(x).flatten()
    return criterion(out, y.view(-1, 1))  # flagged
""",
        # images
        """\
import torch.nn.functional as F
from torch import nn

head = nn.Conv2d(16, 1, kernel_size=1)

def loss(features, depth):
    return F.l1_loss(head(features), depth.view(-1, 64, 64))  # flagged
""",
        # the two halves are in two files
        """\
# file: models/net.py
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16, 1)

    def forward(self, x):
        return self.fc(x)

# file: train.py
import torch
import torch.nn.functional as F
from models.net import Net

x, y = torch.randn(64, 16), torch.randn(64)
loss = F.mse_loss(Net()(x), y)  # flagged
""",
    ]
    fixed = [
        """\
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

xs = torch.randn(100, 4)
ys = torch.randn(100)
loader = DataLoader(TensorDataset(xs, ys), batch_size=10)
net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for x, y in loader:
    loss = F.mse_loss(net(x).squeeze(-1), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
""",
        """\
import pandas as pd
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(8, 1)

    def forward(self, x):
        return self.out(x)

def squared_error(out, y):
    return ((out.squeeze(-1) - y) ** 2).mean()

table = pd.read_csv("houses.csv")
xs = torch.tensor(table[["rooms", "age"]].values).float()
ys = torch.tensor(table["price"].values).float()
model = Net()
loss = squared_error(model(xs), ys)
""",
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self):
        self.model = nn.Linear(10, 1)

    def accuracy(self, x, y):
        predicted = torch.sigmoid(self.model(x)) > 0.5
        return (predicted.squeeze(-1) == y.view(-1)).float().mean()
""",
        """\
import torch.nn.functional as F
from torch import nn

def loss(q, target, batch, gamma):
    states, actions, rewards, following = batch
    values = q(states).gather(1, actions.unsqueeze(1))
    best = target(following).max(1)[0].detach()
    return F.smooth_l1_loss(values.squeeze(-1), rewards + gamma * best)

q, target = nn.Linear(8, 4), nn.Linear(8, 4)

def learn(batch):
    loss(q, target, batch, 0.99).backward()
""",
        """\
import torch

xs, ys = torch.randn(50, 3), torch.randn(50)
w = torch.zeros(3, 1, requires_grad=True)
for _ in range(100):
    loss = ((xs @ w).squeeze(-1) - ys).pow(2).mean()
    loss.backward()
""",
        None,
        None,
        """\
import torch
import torch.nn.functional as F
from models.net import Net

x, y = torch.randn(64, 16), torch.randn(64)
loss = F.mse_loss(Net()(x).squeeze(-1), y)
""",
    ]

    good = [
        # both have a column, or both have none
        """\
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

xs, ys = torch.randn(100, 4), torch.randn(100)
columns = DataLoader(TensorDataset(xs, ys.unsqueeze(1)), batch_size=10)
rows = DataLoader(TensorDataset(xs, ys), batch_size=10)
net = nn.Linear(4, 1)

def run():
    for x, y in columns:
        F.mse_loss(net(x), y).backward()
    for x, y in rows:
        F.mse_loss(net(x).squeeze(-1), y).backward()
        F.mse_loss(net(x)[:, 0], y).backward()
        F.mse_loss(net(x).view(-1), y).backward()
        F.mse_loss(net(x), y.view(-1, 1)).backward()
""",
        # targets of which nothing is known
        """\
import torch.nn.functional as F
from torch import nn

net = nn.Linear(4, 1)

def run(loader):
    for x, y in loader:
        F.mse_loss(net(x), y).backward()
        error = (net(x) - y).abs().mean()
""",
        # all pairs are wanted
        """\
import torch
from torch import nn

score = nn.Linear(8, 1)

def pairwise(x, y):
    points = x.view(-1)
    distances = points[:, None] - points
    same = y.view(-1, 1) == y.view(-1)
    ranks = score(x) - score(x).squeeze(-1)
    return distances, same, ranks
""",
        # a grid of constants
        """\
import torch
from torch import nn

class Bins(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(8, 1)
        self.centres = nn.Parameter(torch.linspace(0, 1, 16))
        self.register_buffer("grid", torch.arange(16).float())

    def forward(self, x):
        value = self.out(x)
        return torch.exp(-((value - self.centres) ** 2)) + (value - torch.arange(16)) + (value - self.grid)
""",
        # one number for each column
        """\
import torch
from torch import nn

def standardise(x):
    x = x.view(-1, 5)
    return (x - x.mean(0)) / x.std(0)

def centred(x):
    return x - x.mean(dim=-1, keepdim=True)
""",
        # a single sample
        """\
import torch
import torch.nn.functional as F
from torch import nn

critic = nn.Linear(4, 1)

def update(state, reward):
    target = torch.tensor([reward])
    value = critic(state)
    return F.mse_loss(value, target)
""",
        # one value for each action, all of them
        """\
import torch.nn.functional as F

def loss(q, target, states, actions, rewards, following, gamma):
    values = q(states).view(-1, 4).gather(1, actions.view(-1, 1)).squeeze(1)
    best = target(following).view(-1, 4).max(1)[0].detach()
    kept = target(following).view(-1, 4).max(1, keepdim=True)[0]
    column = q(states).view(-1, 4).gather(1, actions.view(-1, 1))
    return F.smooth_l1_loss(values, rewards + gamma * best) + F.mse_loss(column, kept)
""",
        # cross-entropy wants one dimension less
        """\
import torch.nn.functional as F
from torch import nn

net = nn.Linear(4, 3)

def loss(x, y):
    return F.cross_entropy(net(x), y.view(-1))
""",
        # the shape is asked for first
        """\
import torch
from torch import nn

net = nn.Linear(4, 1)

def loss(x, y):
    out = net(x)
    y = y.view(-1)
    if out.dim() > y.dim():
        out = out.squeeze(-1)
    return ((out - y) ** 2).mean()
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report losses and differences of a tensor with an extra dimension of one element and one without."""
        known = source.ask(facts.operations)
        for site, loss in known.named("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
            yield from _report(source, site.node, loss)
        for site, difference in known.named("sub"):
            if _is_of_data(difference):
                yield from _report(source, site.node, difference)
        for right in _counted(source):
            if _is_of_data(right):
                yield from _report(source, right.node, right)


def _counted(source: SourceFile) -> Iterator[Operation]:
    """Yield the comparisons of which something counts the hits, each once."""
    seen: set[object] = set()
    for _, count in source.ask(facts.operations).named("sum", "mean"):
        right = facts.provenance.made_by(count.operands[0], "compare", "eq") if count.operands else None
        if right is not None and right.node not in seen:
            seen.add(right.node)
            yield right


def _operands(made: Operation) -> tuple[Term, ...]:
    return (*made.operands, *made.positional)[:2]


def _report(source: SourceFile, node: cst.CSTNode, made: Operation) -> Iterator[Report]:
    operands = _operands(made)
    for place, (wide, narrow) in enumerate((operands, operands[::-1]) if len(operands) == 2 else ()):
        shape = facts.shapes.shape(wide, rows=True)
        vector = next((one for one in _parts(narrow) if _spreads(shape, one)), None)
        if vector is not None:
            what = _NAMES.get(made.name, made.name)
            message = f"{what} of {_text(shape)} and {_text(vector)} takes every one with every other"
            yield Report(node, message, fix=_fix(source, made, place, vector))


_NAMES = {"sub": "a difference", "compare": "a comparison", "eq": "a comparison"}


def _parts(term: Term) -> Iterator[Shape]:
    """Yield the shapes of what a tensor is the sum or product of; where one is a vector, so is the whole at least.

    In `rewards + gamma * best` the rewards may be anything: of the shape of the best ones, it is right.
    """
    stack, seen = [term], set[object]()
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        yield facts.shapes.shape(current, rows=True)
        if isinstance(current, facts.terms.Operation) and current.name in (
            "add",
            "sub",
            "mul",
            "div",
            "detach",
        ):
            stack.extend(current.operands)


def _spreads(wide: Shape, narrow: Shape) -> bool:
    """Whether one has a dimension of one element where the other begins, and another dimension before it."""
    count = narrow.rank
    if not count or narrow.sizes[0] == 1 or wide.at(-count) != 1:
        return False
    return len(wide.sizes) > count or not wide.is_whole


def _is_of_data(made: Operation) -> bool:
    operands = _operands(made)
    return len(operands) == 2 and (_is_pair(*operands) or _is_pair(*operands[::-1]))


def _is_pair(wide: Term, narrow: Term) -> bool:
    """Whether one is a prediction with its last dimension, the other data: no grid, no learned vector.

    What was made wide for it, by `x[:, None]`, is meant to meet every one of the others.
    """
    made = facts.provenance.made_by(wide, "linear", "matmul", "mm", "gather", through=_KEEPING)
    if made is None:
        return False
    inner = list(facts.terms.within(narrow))
    names = {one.name for one in inner if isinstance(one, facts.terms.Operation)}
    return not names & {"parameter", "arange", "linspace", "logspace"} and all(
        not facts.terms.same(one, made) for one in inner
    )


_KEEPING = {
    "sigmoid", "tanh", "relu", "softplus", "exp", "round", "compare", "gt", "ge", "lt", "le", "float",
    "double", "half", "long", "int", "to", "type", "cpu", "cuda", "detach", "data", "clone", "dropout", "mul",
    "div", "add", "clamp",
}  # fmt: skip
"""What works on each element alone."""


def _text(shape: Shape) -> str:
    sizes = ["N" if size is None else str(size) for size in shape.sizes]
    if not shape.is_whole and len(sizes) != 2:
        sizes = ["N", *sizes]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def _fix(source: SourceFile, made: Operation, place: int, vector: Shape) -> ProposedFix | None:
    """Take the extra dimension away where the tensor that has it is written first."""
    node = _first(made) if place == 0 and vector.rank == 1 else None
    if node is None:
        return None
    change = Replace(node, f"{facts.spelling.in_parentheses(source, node)}.squeeze(-1)")
    return ProposedFix("take the last dimension away: `.squeeze(-1)`", Applicability.UNSAFE, (change,))


def _first(made: Operation) -> cst.BaseExpression | None:
    if made.name == "compare":
        return getattr(made.node, "left", None)
    return next(iter(facts.spelling.written_operands(made)), None)
