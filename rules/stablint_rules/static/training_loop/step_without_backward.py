"""STB110 step-without-backward: the optimizer steps, and nothing has computed a gradient."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.facts.consumers import Uses
    from stablint.static.facts.events import Event
    from stablint.static.facts.paths import Root
    from stablint.static.facts.terms import Term
    from stablint.static.source import SourceFile


class StepWithoutBackward(StaticRule):
    """A loss is computed and the optimizer steps, but `backward()` is never called in between or anywhere else.

    ## What it does

    Reports `optimizer.step()` where a loss with a graph is computed before it, all that becomes of that loss
    is that it is printed, logged or summed up, and nothing in the same run of the code, helpers included,
    calls `backward()` or writes to `.grad`.

    ## Why it is bad

    `backward()` computes the gradients; `step()` only applies them. Where `.grad` is None the optimizer skips
    the parameter, without a word: after 100 such steps with Adam and weight decay every weight is bit for bit
    what it was (torch 2.13). The loss wanders with the batches, and looks like a learning rate that is too
    small.

    ## Example

    ```python
    loss = criterion(model(x), y)
    optimizer.step()
    ```

    ## Use instead

    ```python
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
    ```

    ## When to ignore it

    When the gradients come from elsewhere, in a way that the rule cannot see: from another process, or from
    hooks of a library.

    ## Fix safety

    No fix is offered: where `backward()` belongs, and whether gradients are accumulated, is a decision.

    ## References

    - [Optimization tutorial](https://docs.pytorch.org/tutorials/beginner/basics/optimization_tutorial.html)
    - [torch.optim.Optimizer.step](https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.step.html)
    """

    code = "STB110"
    severity = Severity.ERROR
    since = "0.1.0"

    bad = [
        # the plain form
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        optimizer.step()  # flagged
        print(loss.item())
""",
        # a criterion of which only the name is known
        """\
import torch

def train_epoch(model, loader, criterion, optimizer):
    model.train()
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        total += loss.item()
        optimizer.step()  # flagged
    return total / len(loader)
""",
        # a trainer class
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model):
        self.model = model
        self.criterion = nn.MSELoss()
        self.optimizer = torch.optim.AdamW(model.parameters())

    def train_step(self, x, y):
        self.optimizer.zero_grad()
        loss = self.criterion(self.model(x), y)
        self.optimizer.step()  # flagged
        return loss.item()
""",
        # the loss is computed in a helper, and its number comes back
        """\
import torch
import torch.nn.functional as F

def forward(model, x, y):
    loss = F.mse_loss(model(x), y)
    return loss.item()

def main(model, loader):
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in loader:
        optimizer.zero_grad()
        print(forward(model, x, y))
        optimizer.step()  # flagged
""",
        # no parentheses, and nothing behind the scaling
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward
        optimizer.step()  # flagged

def train_in_half(model, loader, scaler: torch.amp.GradScaler):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        scaler.scale(loss)
        scaler.step(optimizer)  # flagged
        scaler.update()
""",
        # two parts of a loss, logged and left
        """\
import torch
import torch.nn.functional as F

def fit(model, loader, writer):
    opt = torch.optim.SGD(model.parameters(), lr=0.01)
    for step, (x, y) in enumerate(loader):
        out = model(x)
        loss = F.l1_loss(out, y) + 0.1 * out.pow(2).mean()
        writer.add_scalar("loss", loss.item(), step)
        opt.step()  # flagged
        opt.zero_grad()
""",
    ]

    good = [
        # a function that may do more than its first word says, and a loss that is handed out
        """\
import torch
import torch.nn.functional as F

def train(model, loader, loss_and_gradients):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        model(x)
        loss = loss_and_gradients(x, y)
        print(loss.item())
        optimizer.step()

def steps(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        yield loss
        optimizer.step()
""",
        # scaled, and back-propagated by another name
        """\
import torch
import torch.nn.functional as F

def train(model, loader, scaler: torch.amp.GradScaler):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        scaled = scaler.scale(loss)
        run = scaled.backward
        run()
        scaler.step(optimizer)
        scaler.update()
""",
        # as it should be
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
""",
        # a function elsewhere is given the loss
        """\
import torch
import torch.nn.functional as F
from mylib import backpropagate

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        backpropagate(loss)
        optimizer.step()
""",
        # a closure
        """\
import torch
import torch.nn.functional as F

def train(model, x, y, closure_of):
    optimizer = torch.optim.LBFGS(model.parameters())
    for _ in range(20):
        optimizer.step(closure_of(model, x, y))
        loss = F.mse_loss(model(x), y)
        print(loss.item())
""",
        # the gradients are written by hand
        """\
import torch
import torch.nn.functional as F

def evolve(model, loader, estimate):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        for p in model.parameters():
            p.grad = estimate(p, loss.item())
        optimizer.step()
""",
        # torch.autograd
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        torch.autograd.backward(loss)
        optimizer.step()
""",
        # an engine does all of it
        """\
import torch
import torch.nn.functional as F
import deepspeed

def train(model, loader, config):
    engine, optimizer, _, _ = deepspeed.initialize(model=model, config=config)
    for x, y in loader:
        loss = F.cross_entropy(engine(x), y)
        engine.backward(loss)
        engine.step()
""",
        # the loss is returned to whoever calls backward, or to a framework
        """\
import torch
import torch.nn.functional as F

class Task:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def loss(self, x, y):
        return F.cross_entropy(self.model(x), y)

    def step(self):
        self.optimizer.step()
        self.optimizer.zero_grad()
""",
        # a loss that is only measured, and a step for another reason: the schedule is drawn
        """\
import torch
import torch.nn.functional as F

def draw(model, loader, lr_of):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_of)
    for x, y in loader:
        with torch.no_grad():
            print(F.cross_entropy(model(x), y).item())
        optimizer.step()
        scheduler.step()
""",
        # collected, and back-propagated after the loop
        """\
import torch
import torch.nn.functional as F

def train(model, tasks):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for x, y in tasks:
        loss = F.cross_entropy(model(x), y)
        losses.append(loss)
    torch.stack(losses).mean().backward()
    optimizer.step()
""",
        # the optimizer is given away
        """\
import torch
import torch.nn.functional as F
from timm.utils import NativeScaler

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scale = NativeScaler()
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        scale(loss, optimizer)
        optimizer.step()
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each step before which a loss is computed and dropped."""
        shape = source.ask(facts.syntax)
        if "step" not in shape.calls or "mxnet" in shape.packages:
            return
        seen: set[object] = set()
        for root in source.ask(facts.running_paths):
            for step in _without_gradient(root):
                loss = _dropped(source, root, step) if step.node not in seen else None
                if loss is not None:
                    seen.add(step.node)
                    yield Report(
                        step.node,
                        "nothing calls `backward()` before this step: there is no gradient to apply",
                        related=(Mark(loss, "the loss is computed here, and only looked at"),),
                    )


def _without_gradient(root: Root) -> list[Event]:
    """Return the steps of a path on which nothing computes a gradient, or may do so unseen."""
    kinds = facts.events.Kind
    happens = facts.paths.events_in(root.path, kinds.STEP, kinds.BACKWARD, kinds.OPAQUE, kinds.FORWARD)
    if any(event.kind in (kinds.BACKWARD, kinds.OPAQUE) for event in happens):
        return []
    if not any(event.kind is kinds.FORWARD and event.graph for event in happens):
        return []
    return [
        event
        for event in happens
        if event.kind is kinds.STEP and (not event.arguments or event.scaler is not None)
    ]


_LOSS = re.compile(r"loss|criterion", re.IGNORECASE)

_MORE = re.compile(r"grad|back|train|step|update|optim|batch|and", re.IGNORECASE)
"""A `loss_and_grad` or `train_loss` may do more than compute the loss."""


def _dropped(source: SourceFile, root: Root, step: Event) -> cst.CSTNode | None:
    """Return where a loss of this run is computed before a step, where all of them are only looked at."""
    if step.statement is None:
        return None
    uses, known = source.ask(facts.uses), source.ask(facts.values)
    functions = facts.paths.functions_in(root)
    found: cst.CSTNode | None = None
    for statement, target, value in facts.statements.assignments(source, functions):
        term = known.raw(value)
        if not _is_loss(target, term):
            continue
        if not _is_dropped(uses, term):
            return None
        scope = source.ask(facts.syntax).blocks[statement][0].function
        if scope is not step.scope.function or facts.order.follows(source, statement, step.statement):
            found = value
    return found


def _is_dropped(uses: Uses, term: Term) -> bool:
    """Whether a loss is only looked at; `loss.backward` without parentheses is no more than that."""
    if uses.is_only_shown(term):
        return True
    if uses.is_kept(term):
        return False
    for consumer in uses.of(term):
        match consumer:
            case facts.terms.Attribute(name="backward") if not uses.of(consumer):
                continue
            case (
                facts.terms.Call(callee=facts.terms.Attribute(name="scale"))
                | facts.terms.Operation(name="scale")
            ):
                if not _is_dropped(uses, consumer):
                    return False
            case facts.terms.Operation(name="item"):
                continue
            case _:
                return False
    return True


def _is_loss(target: str, term: Term) -> bool:
    """Whether a value is a loss that has a graph: one of torch, or one that is called so and made of others."""
    match term:
        case facts.terms.Operation(name=name, graph=True):
            return facts.reductions.reduction(term) is not None or (
                _LOSS.search(target) is not None
                and name in ("add", "sub", "mul", "div", "mean", "sum", "neg")
            )
        case facts.terms.Call(callee=callee, positional=given, graph=True):
            called = facts.roles.called(callee, None)
            return len(given) > 1 and _LOSS.search(called) is not None and _MORE.search(called) is None
        case _:
            return False
