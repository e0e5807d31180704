"""STB608 grad-mode-as-training-flag: whether gradients are recorded decides what a layer computes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.classes import Models
    from stablint.static.facts.scopes import Scope, Syntax
    from stablint.static.facts.terms import Term
    from stablint.static.source import SourceFile


class GradModeAsTrainingFlag(StaticRule):
    """`torch.is_grad_enabled()` is taken for the training mode of a layer.

    ## What it does

    Reports a test of `torch.is_grad_enabled()`, also through a variable or an argument, in a module or in
    a function that one calls, whose branches normalise with running statistics, update them, drop
    elements or draw noise, and layers and functions that are given it as `training=`. Tests for other
    purposes, to save memory (checkpointing) or to register hooks, do not change what is computed and are
    left alone, as is a test that also asks `self.training`.

    ## Why it is bad

    The two are independent of each other (torch 2.13): `no_grad` leaves `training` as it is, and `eval()`
    leaves gradients on. With the one for the other,

    - `eval()` has no effect: validation without `no_grad` normalises with the statistics of its batches,
      and writes them into the running ones;
    - saliency maps, adversarial examples and fine-tuning with frozen statistics need gradients in
      evaluation mode, and get a layer that trains;
    - what runs in training under `no_grad` (targets, activation checkpointing, statistics computed anew)
      gets a layer that evaluates: in the first pass of a reentrant checkpoint gradients are off, so that
      the two passes compute different things.

    ## Example

    ```python
    if not torch.is_grad_enabled():
        x_hat = (x - moving_mean) / torch.sqrt(moving_var + eps)
    ```

    ## Use instead

    ```python
    if not self.training:
        x_hat = (x - moving_mean) / torch.sqrt(moving_var + eps)
    ```

    ## When to ignore it

    In a demonstration that is only ever trained with gradients and evaluated without.

    ## Fix safety

    No fix is offered: a function has to be given the mode by the module that calls it.

    ## References

    - [torch.is_grad_enabled](https://docs.pytorch.org/docs/stable/generated/torch.is_grad_enabled.html)
    - [Evaluation mode](https://docs.pytorch.org/docs/stable/notes/autograd.html#evaluation-mode-nn-module-eval)
    - [torch.utils.checkpoint](https://docs.pytorch.org/docs/stable/checkpoint.html)
    """

    code = "STB608"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # batch normalisation by hand
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Norm(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.register_buffer("moving_mean", torch.zeros(n))

    def forward(self, x):
        if not torch.is_grad_enabled():  # flagged
            return x - self.moving_mean
        mean = x.mean(0)
        return x - mean

class Other(Norm):
    def forward(self, x):
        if torch.is_grad_enabled():  # flagged
            self.moving_mean.lerp_(x.mean(0).detach(), 0.1)
        return x - self.moving_mean
""",
        # in a function that the layer calls
        """\
import torch
import torch.nn.functional as F
from torch import nn

def batch_norm(x, moving_mean, moving_var, eps):
    if not torch.is_grad_enabled():  # flagged
        return (x - moving_mean) / torch.sqrt(moving_var + eps), moving_mean
    mean = x.mean(0)
    moving_mean = 0.9 * moving_mean + 0.1 * mean
    return (x - mean) / torch.sqrt(((x - mean) ** 2).mean(0) + eps), moving_mean

class Norm(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("var", torch.ones(n))

    def forward(self, x):
        y, self.mean = batch_norm(x, self.mean, self.var, 1e-5)
        return y
""",
        # the flag is an argument
        """\
import torch
import torch.nn.functional as F
from torch import nn

def noisy(x, training):
    if training:  # flagged
        x = x + 0.1 * torch.randn_like(x)
    return x

class Net(nn.Module):
    def forward(self, x):
        return noisy(x, torch.is_grad_enabled())
""",
        # dropout that is told
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        on = torch.is_grad_enabled()
        return F.dropout(self.fc(x), 0.5, training=on)  # flagged
""",
        # a mask by hand
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Drop(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if torch.is_grad_enabled() and self.p > 0:  # flagged
            keep = torch.bernoulli(torch.full_like(x, 1 - self.p))
            x = x * keep / (1 - self.p)
        return x
""",
    ]

    good = [
        # the mode of the module
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Norm(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.register_buffer("moving_mean", torch.zeros(n))

    def forward(self, x):
        if self.training:
            self.moving_mean.lerp_(x.mean(0).detach(), 0.1)
        return F.dropout(x - self.moving_mean, 0.5, training=self.training)
""",
        # to save memory
        """\
import torch
import torch.nn.functional as F
from torch import nn

from torch.utils.checkpoint import checkpoint

class Block(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        if torch.is_grad_enabled():
            x = checkpoint(self.body, F.dropout(x, 0.1, self.training), use_reentrant=False)
        else:
            x = self.body(F.dropout(x, 0.1, self.training))
        return x
""",
        # hooks and buffers for the backward pass
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Saving(nn.Module):
    def forward(self, x):
        y = torch.relu(x)
        if torch.is_grad_enabled():
            self.saved = y
        return y
""",
        # both are asked
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Drop(nn.Module):
    def forward(self, x):
        if self.training and torch.is_grad_enabled():
            x = x + 0.1 * torch.randn_like(x)
        return x
""",
        # the mode is put back
        """\
import torch
import torch.nn.functional as F
from torch import nn

def without_gradients(function, x):
    before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    try:
        return function(x)
    finally:
        torch.set_grad_enabled(before)
""",
        # a complaint
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        if not torch.is_grad_enabled():
            raise RuntimeError("gradients are needed")
        return x
""",
        # whether this tensor has a gradient
        """\
import torch
import torch.nn.functional as F
from torch import nn

def penalty(x):
    if x.requires_grad:
        return x.square().mean()
    return x.new_zeros(())
""",
        # an optimizer that keeps statistics of its own
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Preconditioner(torch.optim.SGD):
    def hook(self, module, inputs):
        if torch.is_grad_enabled():
            self.running_stat[module] = inputs[0].square().mean()
""",
        # another library's
        """\
import torch
from tape import is_grad_enabled

def noisy(x):
    if is_grad_enabled():
        x = x + 0.1 * torch.randn_like(x)
    return x
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each place where the gradient mode stands for the training mode."""
        shape = source.ask(facts.syntax)
        if "is_grad_enabled" not in shape.identifiers:
            return
        yield from _tests(source, shape)
        yield from _arguments(source)


_OF_TRAINING = re.compile(
    r"(moving|running)_?\w*(mean|var|avg|std|stat)|dropout|bernoulli|batch_norm|momentum|(rand|randn)(_like)?\(|noise",
    re.IGNORECASE,
)
"""What a layer does in one mode only."""
_OTHER_PURPOSES = re.compile(r"checkpoint|\.training\b|register_hook|requires_grad")


def _tests(source: SourceFile, shape: Syntax) -> Iterator[Report]:
    known = source.ask(facts.values)
    seen: set[object] = set()
    models = source.ask(facts.models)
    for scope, block in shape.blocks.values():
        for one in block.outward() if block is not None and _is_of_model(models, scope.function) else ():
            test = facts.statements.tested(one)
            if test is None or one.node in seen:
                continue
            seen.add(one.node)
            text = source.code(one.node)
            if _asks(known.of(test)) and _OF_TRAINING.search(text) and not _OTHER_PURPOSES.search(text):
                yield Report(
                    test,
                    "whether gradients are on decides between training and evaluation: `eval()` has no effect here",
                    related=_origin(source, test),
                )


def _is_of_model(models: Models, scope: Scope) -> bool:
    """Whether a function is a method of a module, or called by one: an optimizer's hooks may ask what they like."""
    if models.around(scope) is not None:
        return True
    callers = models.interpreter.callers.get(scope, set())
    return any(models.around(caller) is not None for caller, _ in callers)


def _asks(value: Term) -> bool:
    return any(_is_question(part) for part in facts.terms.within(value, 100))


def _is_question(part: Term) -> bool:
    terms = facts.terms
    callee = part.callee if isinstance(part, terms.Call) else None
    if isinstance(callee, terms.Reference):
        return callee.dotted == "torch.is_grad_enabled"
    return isinstance(part, terms.Operation) and part.dotted == "torch.is_grad_enabled"


def _origin(source: SourceFile, test: object) -> tuple[Mark, ...]:
    """Mark where the flag comes from, where that is another place."""
    if "is_grad_enabled" in source.code(test):  # type: ignore[arg-type]
        return ()
    value = source.ask(facts.values).of(test)  # type: ignore[arg-type]
    asked = next((part for part in facts.terms.within(value, 100) if _is_question(part)), None)
    node = getattr(asked, "node", None)
    return (Mark(node, "asked here"),) if node is not None else ()


def _arguments(source: SourceFile) -> Iterator[Report]:
    """Report each layer that is told the gradient mode as its training mode."""
    for _, operation in source.ask(facts.operations).named(*_TOLD):
        told = operation.argument("training")
        if told is not None and _asks(told) and not _OTHER_PURPOSES.search(source.code(operation.node)):
            yield Report(
                operation.node,
                "this is told whether gradients are on, and takes it for the mode: `eval()` has no effect here",
            )


_TOLD = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "batch_norm", "rrelu")
