"""STB156 data-attribute-bypass: a forward that works on `.data`, which autograd does not see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.classes import Held, Model
    from stablint.static.facts.data_fields import DataEdit
    from stablint.static.facts.scopes import Scope
    from stablint.static.facts.terms import Operation
    from stablint.static.source import SourceFile


class DataAttributeBypass(StaticRule):
    """A forward changes a tensor through `.data`, or uses a parameter only through it: gradients are wrong.

    ## What it does

    In `forward`, in what it calls and in functions named after a loss, reports

    - `x.data.mul_(2)`, `x.data += y`, `x.data = y` where a gradient flows through `x`; where only chosen
      elements are written (`x.data[mask] = 0`), if the operation that made `x` keeps its result for the
      backward, as sigmoid, softmax and exp do;
    - parameters of a model that its methods compute with, but only as `self.weight.data`.

    `.data` in initialisation, in optimizers, in moving averages and on gradients is not reported.

    ## Why it is bad

    `.data` shares memory with its tensor and nothing else: autograd neither records what is done to it nor
    counts it as a change. After `y = x.sigmoid(); y.data.mul_(2)` the backward of the sigmoid computes
    `y * (1 - y)` of the doubled values: for x = 1 the gradient is -0.68 instead of 0.39, and no error is
    raised (torch 2.13). With `y.detach().mul_(2)` torch refuses the same, with `y = y * 2` it is right. A
    parameter of which only `.data` is used has no gradient: it never moves.

    ## Example

    ```python
    h = torch.sigmoid(self.fc(x))
    h.data.mul_(self.scale.data)
    ```

    ## Use instead

    ```python
    h = torch.sigmoid(self.fc(x))
    h = h * self.scale
    ```

    What is not to be trained through is written `h.detach()`, or stands under `torch.no_grad()`; what is
    not to be trained at all is a buffer.

    ## When to ignore it

    Where the missing gradient is meant, as in a straight-through estimator. `x + (q - x).detach()` says so.

    ## Fix safety

    Unsafe: the gradients change, to those of what is computed. A call that works in place, as a statement
    of its own on a name, becomes an assignment of what the call without the underscore returns; `.data`
    after a parameter is dropped.

    ## References

    - [Autograd mechanics: in-place correctness checks](https://docs.pytorch.org/docs/stable/notes/autograd.html#in-place-correctness-checks)
    - [PyTorch 0.4.0 migration guide: what about .data?](https://pytorch.org/blog/pytorch-0_4_0-migration-guide/)
    - [torch.Tensor.detach](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach.html)
    """

    code = "STB156"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # the result that sigmoid keeps
        """\
import torch
from torch import nn

class Gate(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc = nn.Linear(n, n)

    def forward(self, x):
        h = torch.sigmoid(self.fc(x))
        h.data.mul_(0.5)  # flagged
        return h * x
""",
        # in a function that forward calls
        """\
from torch import nn

def squash(x, low):
    x.data.clamp_(min=low)  # flagged
    return x

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        h = squash(self.conv(x), 0.0)
        return self.fc(h.mean((2, 3)))
""",
        # arithmetic assignments, and a new tensor put in
        """\
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x, noise):
        h = self.fc(x)
        h.data += noise  # flagged
        g = self.fc(h).relu()
        g.data = g.data / g.data.norm()  # flagged
        g.data[:, 0] = 1  # flagged
        return h + g
""",
        # chosen elements of what softmax keeps
        """\
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.score = nn.Linear(n, n)

    def forward(self, x, mask):
        weights = torch.softmax(self.score(x), dim=-1)
        weights.data.masked_fill_(mask, 0)  # flagged
        return weights @ x
""",
        # a parameter that is never trained
        """\
import torch
from torch import nn

class Scale(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc = nn.Linear(n, n)
        self.scale = nn.Parameter(torch.ones(n))
        self.shift = nn.Parameter(torch.zeros(n))

    def forward(self, x):
        return self.fc(x) * self.scale.data + self.shift  # flagged
""",
        # a loss that edits what it is given
        """\
import torch.nn.functional as F
from torch import nn

model = nn.Sequential(nn.Linear(4, 8), nn.Tanh())

def reconstruction_loss(x):
    out = model(x)
    out.data.sub_(x.mean())  # flagged
    return F.mse_loss(out, x)
""",
    ]
    fixed = [
        """\
import torch
from torch import nn

class Gate(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc = nn.Linear(n, n)

    def forward(self, x):
        h = torch.sigmoid(self.fc(x))
        h = h.mul(0.5)
        return h * x
""",
        """\
from torch import nn

def squash(x, low):
    x = x.clamp(min=low)
    return x

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        h = squash(self.conv(x), 0.0)
        return self.fc(h.mean((2, 3)))
""",
        None,
        """\
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.score = nn.Linear(n, n)

    def forward(self, x, mask):
        weights = torch.softmax(self.score(x), dim=-1)
        weights = weights.masked_fill(mask, 0)
        return weights @ x
""",
        """\
import torch
from torch import nn

class Scale(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc = nn.Linear(n, n)
        self.scale = nn.Parameter(torch.ones(n))
        self.shift = nn.Parameter(torch.zeros(n))

    def forward(self, x):
        return self.fc(x) * self.scale + self.shift
""",
        """\
import torch.nn.functional as F
from torch import nn

model = nn.Sequential(nn.Linear(4, 8), nn.Tanh())

def reconstruction_loss(x):
    out = model(x)
    out = out.sub(x.mean())
    return F.mse_loss(out, x)
""",
    ]

    good = [
        # initialisation, weights that are clipped, moving averages
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.fc.weight.data.normal_(0, 0.02)
        self.fc.bias.data = torch.zeros(4)

    def forward(self, x):
        return self.fc(x)

def clip(model, c):
    for p in model.parameters():
        p.data.clamp_(-c, c)

def average(model, ema, decay):
    for p, q in zip(model.parameters(), ema.parameters()):
        q.data.mul_(decay).add_(p.data, alpha=1 - decay)
""",
        # only looked at
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc = nn.Linear(n, n)
        self.scale = nn.Parameter(torch.ones(n))

    def forward(self, x):
        h = self.fc(x)
        batch, width = h.data.size()
        active = h.data > 0
        print(self.scale.data.mean())
        return h * self.scale * active
""",
        # a parameter that the model manages itself, and one that is frozen
        """\
import torch
from torch import nn

class Codebook(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.centres = nn.Parameter(torch.randn(n, 8))
        self.fixed = nn.Parameter(torch.ones(8), requires_grad=False)

    def forward(self, x):
        nearest = torch.cdist(x, self.centres.data).argmin(1)
        if self.training:
            self.centres.data[nearest] = x.detach()
        return self.centres.data[nearest] * self.fixed.data
""",
        # masked scores: a linear layer does not keep its result, and softmax gives them no gradient
        """\
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.score = nn.Linear(n, n)

    def forward(self, x, mask):
        scores = self.score(x)
        scores.data.masked_fill_(mask, -float("inf"))
        return torch.softmax(scores, dim=-1) @ x
""",
        # data that nothing is trained through
        """\
import torch
from torch import nn

class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        noise = torch.randn(4)
        noise.data.clamp_(-1, 1)
        with torch.no_grad():
            target = self.fc(x)
            target.data.mul_(2)
        return self.fc(x + noise), target
""",
        # a leaf
        """\
import torch
from torch import nn

class Penalty(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.tensor(1.0, requires_grad=True)

    def forward(self, x):
        self.weight.data = torch.clamp(self.weight.data, 0, 10)
        self.weight.data.clamp_(0, 10)
        return self.weight * x
""",
        # images to be shown, after the backward
        """\
import torch
from torch import nn
from torchvision.utils import save_image

def train(generator: nn.Module, optimizer: torch.optim.Optimizer, loss_fn):
    fake = generator(torch.randn(8, 16))
    loss = loss_fn(fake)
    loss.backward()
    optimizer.step()
    fake.data.mul_(0.5).add_(0.5)
    save_image(fake.data, "fake.png")
""",
        # the parameter is used elsewhere, too
        """\
import torch
from torch import nn

class Temperature(nn.Module):
    def __init__(self):
        super().__init__()
        self.log_t = nn.Parameter(torch.zeros(1))
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(x) / self.log_t.data.exp()

def loss(model, x, entropy, target):
    return model(x).mean() + (model.log_t * (entropy - target)).mean()
""",
        # other things are called data
        """\
from torch import nn

class GraphNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, graph, x):
        graph.data.update_(x)
        graph.data["h"] = self.fc(x)
        graph.nodes.data["h"] = self.fc(x)
        return graph
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report what is written through `.data` on the way to a loss, and parameters read through nothing else."""
        if not re.search(r"\.data\b", source.text):
            return
        edits = facts.data_fields.data_edits(source)
        for edit in edits:
            made = _made(source, edit)
            if made is None or not _is_trained(source, edit.scope):
                continue
            keeps = made.name in _KEEPING_RESULT
            if keeps or not edit.is_part:
                why = (
                    f"{made.name} computes its gradient from its result, which is changed here unseen"
                    if keeps
                    else f"autograd does not see this change of what {made.name} returned"
                )
                related = (Mark(made.node, f"the {made.name}"),)
                yield Report(edit.node, why, related=related, fix=_fix(source, edit))
        edited = {source.code(edit.base) for edit in edits}
        for model in source.ask(facts.models).by_class.values():
            for held in model.held:
                yield from _unused(source, model, held, edited)


_KEEPING_RESULT = {
    "sigmoid", "tanh", "exp", "exp2", "expm1", "softmax", "softmin", "log_softmax", "sqrt", "rsqrt", "reciprocal",
    "relu", "norm", "std", "logsumexp", "cumprod", "prod", "tan",
}  # fmt: skip
"""Operations whose backward is computed from their result."""


def _made(source: SourceFile, edit: DataEdit) -> Operation | None:
    """Return the operation that made a tensor through which a gradient flows; leaves are not made by any."""
    made: Operation | None = None
    for option in facts.terms.options(source.ask(facts.values).of(edit.base)):
        if not isinstance(option, facts.terms.Operation) or facts.gradients.carries_graph(option) is not True:
            return None
        if option.name in ("parameter", "requires_grad") or "requires_grad" in option.keywords:
            return None
        made = made or option
    return made


def _is_trained(source: SourceFile, scope: Scope) -> bool:
    """Whether a function is a forward or a loss, or is called by one."""
    callers = source.ask(facts.values).interpreter.callers
    stack, seen = [scope.function], set[object]()
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        if current.name == "forward" or re.search(r"(^|_)loss", current.name):
            return facts.differentiation.is_recorded(source, scope)
        stack += [caller for caller, graph in callers.get(current, ()) if graph]
    return False


def _fix(source: SourceFile, edit: DataEdit) -> ProposedFix | None:
    """Assign what the call without the underscore returns, where it stands alone."""
    name, whole = source.code(edit.base), source.code(edit.node)
    start = f"{name}.data.{edit.method}("
    if not edit.method or not name.isidentifier() or not whole.startswith(start):
        return None
    if edit.method.rstrip("_") not in _PURE:
        return None
    if edit.statement is None or source.code(edit.statement).strip() != whole:
        return None
    text = f"{name} = {name}.{edit.method.rstrip('_')}({whole[len(start) :]}"
    return ProposedFix("Let autograd see it", Applicability.UNSAFE, (Replace(edit.node, text),))


_PURE = {"mul", "add", "sub", "div", "clamp", "masked_fill", "pow", "abs", "neg", "exp", "sqrt", "round"}


def _unused(source: SourceFile, model: Model, held: Held, edited: set[str]) -> Iterator[Report]:
    """Report the reads of a parameter that has no other ones."""
    term = held.term
    if not isinstance(term, facts.terms.Operation) or term.name != "parameter":
        return
    own = facts.classes.receiver_name(held.method) or "self"
    path = f"{own}.{held.name}"
    others = len(re.findall(rf"\.{re.escape(held.name)}\b(?!\.data\b)", source.text))
    if path in edited or others > len(held.lines) or facts.gradients.carries_graph(term) is not True:
        return
    methods = [scope for scope in model.scope.children if _is_trained(source, scope)]
    for read in (read for scope in methods for read in facts.data_fields.data_reads(scope, path) or ()):
        value = source.ask(facts.values).raw(read)
        if isinstance(value, facts.terms.Operation) and value.graph:
            yield Report(
                read,
                f"`{held.name}` is a constant to autograd here and used nowhere else: it is never trained",
                fix=ProposedFix("drop `.data`", Applicability.UNSAFE, (Replace(read, path),)),
            )
