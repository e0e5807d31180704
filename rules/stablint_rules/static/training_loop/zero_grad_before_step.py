"""STB105 zero-grad-before-step: the gradients are cleared before they are used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import InsertBefore, Mark, ProposedFix, Remove, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.events import Event
    from stablint.static.facts.programs import Program
    from stablint.static.source import SourceFile


class ZeroGradBeforeStep(StaticRule):
    """`zero_grad()` stands between `backward()` and `step()`, so the step sees no gradient.

    ## What it does

    Reports `zero_grad()` of an optimizer (or of the module that it trains) where `backward()` comes
    before and that optimizer's `step()` after it, with no `backward()` in between.

    ## Why it is bad

    `zero_grad()` sets every `.grad` to None, and optimizers skip parameters without a gradient: nothing
    is updated and nothing is raised. After `loss.backward(); optimizer.zero_grad(); optimizer.step()`
    the weights are bit for bit what they were, with Adam as with SGD, weight decay included (torch
    2.13). The loss is printed, wanders with the batches, and never falls.

    ## Example

    ```python
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    ```

    ## Use instead

    ```python
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    ```

    ## When to ignore it

    When the gradients are put back by hand between `zero_grad()` and `step()` in a way that the rule
    cannot see. An assignment to `p.grad`, and clearing only what overflowed (`if not
    torch.isfinite(norm):`), it does see.

    ## Fix safety

    Unsafe: the model begins to train. `zero_grad()` is moved in front of `backward()` where both are
    simple statements of one block.

    ## References

    - [torch.optim.Optimizer.zero_grad](https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.zero_grad.html)
    - [torch.optim.Optimizer.step](https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.step.html)
    """

    code = "STB105"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # the plain form
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.zero_grad()  # flagged
        optimizer.step()
""",
        # through the module
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model):
        self.model = model
        self.optim = torch.optim.AdamW(self.model.parameters(), lr=3e-4)
        self.loss = nn.CrossEntropyLoss()

    def train_step(self, x, y):
        loss = self.loss(self.model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.model.zero_grad()  # flagged
        self.optim.step()
        return loss.item()
""",
        # the step is in a helper
        """\
import torch
import torch.nn.functional as F

def update(optimizer, scheduler):
    optimizer.step()
    scheduler.step()

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=len(loader))
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()
        optimizer.zero_grad()  # flagged
        update(optimizer, scheduler)
""",
        # backward and clearing are in a helper
        """\
import torch
import torch.nn.functional as F

def backward(loss, optimizer):
    loss.backward()
    optimizer.zero_grad()  # flagged

def train(model, loader):
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in loader:
        backward(F.cross_entropy(model(x), y), optimizer)
        optimizer.step()
""",
        # with a gradient scaler
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        optimizer.zero_grad(set_to_none=True)  # flagged
        scaler.step(optimizer)
        scaler.update()
""",
        # accumulation that throws every micro-batch away
        """\
import torch
import torch.nn.functional as F

def train(model, loader, accumulate=4):
    optimizer = torch.optim.AdamW(model.parameters())
    for i, (x, y) in enumerate(loader):
        loss = F.cross_entropy(model(x), y) / accumulate
        loss.backward()
        optimizer.zero_grad()  # flagged
        if (i + 1) % accumulate == 0:
            optimizer.step()
""",
        # of two optimizers, one
        """\
import torch
from torch import nn

def train(G, D, loader):
    bce = nn.BCEWithLogitsLoss()
    opt_g = torch.optim.Adam(G.parameters(), lr=2e-4)
    opt_d = torch.optim.Adam(D.parameters(), lr=2e-4)
    for real in loader:
        ones, zeros = torch.ones(real.size(0), 1), torch.zeros(real.size(0), 1)
        fake = G(torch.randn(real.size(0), 64))
        opt_g.zero_grad()
        g_loss = bce(D(fake), ones)
        g_loss.backward()
        opt_g.step()
        d_loss = bce(D(real), ones) + bce(D(fake.detach()), zeros)
        d_loss.backward()
        opt_d.zero_grad()  # flagged
        opt_d.step()
""",
        # by hand
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        F.mse_loss(model(x), y).backward()
        for p in model.parameters():
            p.grad = None  # flagged
        optimizer.step()
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model):
        self.model = model
        self.optim = torch.optim.AdamW(self.model.parameters(), lr=3e-4)
        self.loss = nn.CrossEntropyLoss()

    def train_step(self, x, y):
        loss = self.loss(self.model(x), y)
        self.model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optim.step()
        return loss.item()
""",
        """\
import torch
import torch.nn.functional as F

def update(optimizer, scheduler):
    optimizer.step()
    scheduler.step()

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=len(loader))
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        update(optimizer, scheduler)
""",
        """\
import torch
import torch.nn.functional as F

def backward(loss, optimizer):
    optimizer.zero_grad()
    loss.backward()

def train(model, loader):
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in loader:
        backward(F.cross_entropy(model(x), y), optimizer)
        optimizer.step()
""",
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
""",
        None,
        """\
import torch
from torch import nn

def train(G, D, loader):
    bce = nn.BCEWithLogitsLoss()
    opt_g = torch.optim.Adam(G.parameters(), lr=2e-4)
    opt_d = torch.optim.Adam(D.parameters(), lr=2e-4)
    for real in loader:
        ones, zeros = torch.ones(real.size(0), 1), torch.zeros(real.size(0), 1)
        fake = G(torch.randn(real.size(0), 64))
        opt_g.zero_grad()
        g_loss = bce(D(fake), ones)
        g_loss.backward()
        opt_g.step()
        d_loss = bce(D(real), ones) + bce(D(fake.detach()), zeros)
        opt_d.zero_grad()
        d_loss.backward()
        opt_d.step()
""",
        None,
    ]

    good = [
        # cleared before the backward, and cleared after the step
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()
""",
        # the discriminator is cleared of the generator's loss, before the generator's step
        """\
import torch
import torch.nn.functional as F

def train(G, D, loader):
    opt_g = torch.optim.Adam(G.parameters(), lr=2e-4)
    opt_d = torch.optim.Adam(D.parameters(), lr=2e-4)
    for real in loader:
        fake = G(torch.randn(real.size(0), 64))
        opt_g.zero_grad()
        F.softplus(-D(fake)).mean().backward()
        opt_d.zero_grad()
        opt_g.step()

        (F.softplus(D(fake.detach())).mean() + F.softplus(-D(real)).mean()).backward()
        opt_d.step()
""",
        # an actor's loss leaves gradients in the critic, which are cleared through the critic's module
        """\
import torch

def update(actor, critic, batches):
    actor_optim = torch.optim.Adam(actor.parameters(), lr=1e-4)
    critic_optim = torch.optim.Adam(critic.parameters(), lr=1e-3)
    for state, action, target in batches:
        critic_optim.zero_grad()
        (critic(state, action) - target).pow(2).mean().backward()
        critic_optim.step()

        actor_optim.zero_grad()
        (-critic(state, actor(state)).mean()).backward()
        critic.zero_grad()
        actor_optim.step()
""",
        # sharpness-aware minimisation goes there and back
        """\
import torch
import torch.nn.functional as F
from sam import SAM

def train(model, loader):
    optimizer = SAM(model.parameters(), torch.optim.SGD, lr=0.1)
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()
        optimizer.first_step(zero_grad=True)
        F.cross_entropy(model(x), y).backward()
        optimizer.second_step(zero_grad=True)
""",
        # a second backward gives the step its gradient
        """\
import torch
import torch.nn.functional as F

def train(model, loader, saliency):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        x.requires_grad_()
        model(x).max(dim=1).values.sum().backward()
        saliency.append(x.grad.abs().mean().item())
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x.detach()), y)
        loss.backward()
        optimizer.step()
""",
        # the batch is given up
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if not torch.isfinite(norm):
            optimizer.zero_grad()
            continue
        optimizer.step()
        optimizer.zero_grad()
""",
        # what overflowed is cleared on purpose
        """\
import math
import torch
import torch.nn.functional as F

def train(model, loader, max_norm):
    optimizer = torch.optim.AdamW(model.parameters())
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm).item()
        if math.isnan(norm) or math.isinf(norm):
            optimizer.zero_grad()
        optimizer.step()
""",
        # gradients are kept aside and put back
        """\
import torch
import torch.nn.functional as F

def gradients(model, loss, optimizer):
    loss.backward()
    grads = [p.grad.clone() for p in model.parameters()]
    optimizer.zero_grad()
    return grads

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y, z in loader:
        first = gradients(model, F.mse_loss(model(x), y), optimizer)
        second = gradients(model, F.mse_loss(model(x), z), optimizer)
        for p, a, b in zip(model.parameters(), first, second):
            p.grad = a + b * (a * b).sum().sign()
        optimizer.step()
""",
        # only some parameters stand still
        """\
import torch
import torch.nn.functional as F

def train(student, loader, freeze_last_layer):
    optimizer = torch.optim.AdamW(student.parameters())
    for epoch, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        F.cross_entropy(student(x), y).backward()
        if epoch < freeze_last_layer:
            for name, p in student.named_parameters():
                if "last_layer" in name:
                    p.grad = None
        optimizer.step()

def train_head(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        model.backbone.zero_grad()
        optimizer.step()
""",
        # clears at the start of the window, not between
        """\
import torch
import torch.nn.functional as F

def train(model, loader, accumulate):
    optimizer = torch.optim.AdamW(model.parameters())
    for i, (x, y) in enumerate(loader):
        if i % accumulate == 0:
            optimizer.zero_grad()
        (F.cross_entropy(model(x), y) / accumulate).backward()
        if (i + 1) % accumulate == 0:
            optimizer.step()
""",
        # the closure clears before it computes
        """\
import torch
import torch.nn.functional as F

def fit(model, x, y):
    optimizer = torch.optim.LBFGS(model.parameters())
    def closure():
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        return loss
    loss = closure()
    while loss.item() > 1e-3:
        loss = optimizer.step(closure)
""",
        # each branch in its own order
        """\
import torch
import torch.nn.functional as F

def train(model, loader, clear_last):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        if clear_last:
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        else:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
""",
        # the gradient penalty has a backward of its own, after the clearing
        """\
import torch

def critic_step(D, real, fake, optimizer: torch.optim.Optimizer):
    wasserstein = D(fake).mean() - D(real).mean()
    mixed = (0.5 * real + 0.5 * fake).detach().requires_grad_()
    (grad,) = torch.autograd.grad(D(mixed).sum(), mixed, create_graph=True)
    optimizer.zero_grad()
    (wasserstein + 10 * (grad.flatten(1).norm(dim=1) - 1).pow(2).mean()).backward()
    optimizer.step()
""",
        # two optimizers over the same weights
        """\
import torch
import torch.nn.functional as F

def warm_up_then_train(model, loader, make_optimizer):
    warm = torch.optim.SGD(model.parameters(), lr=1e-3)
    main = make_optimizer(model)
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()
        warm.step()
        warm.zero_grad()
        F.cross_entropy(model(x), y).backward()
        main.step()
        main.zero_grad()
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each clearing that leaves an optimizer nothing to step, on every path."""
        seen: set[object] = set()
        for root in source.ask(facts.training_paths):
            steps = facts.paths.steps_by_optimizer(root.path)
            for step in steps:
                for wiped in _wiped(source, root.path, step, len(steps) == 1):
                    if wiped.clearing.node not in seen:
                        seen.add(wiped.clearing.node)
                        yield _report(source, wiped)


@dataclass(frozen=True, slots=True)
class _Wiped:
    """Gradients of a backward that were cleared before the step."""

    backward: Event
    clearing: Event
    step: Event | None = None


def _wiped(source: SourceFile, path: Program, step: Event, is_only: bool) -> list[_Wiped]:
    kinds = facts.events.Kind
    found: list[_Wiped] = []

    def clears(event: Event) -> bool:
        certain = facts.identity.clears(source, event, step.target) if step.target is not None else None
        # Among several optimizers, `netD.zero_grad()` between the generator's backward and step is right.
        return certain is True or (event.target is None and is_only)

    def transfer(states: frozenset[object], event: Event) -> frozenset[object]:
        if event.kind is kinds.BACKWARD:
            return frozenset({event})
        if event.kind is kinds.ZERO_GRAD and clears(event):
            return frozenset(
                _Wiped(state, event) if isinstance(state, facts.events.Event) else state for state in states
            )
        if event.kind is kinds.STEP and facts.identity.same_object(event.target, step.target):
            if states and all(isinstance(state, _Wiped) for state in states):
                found.extend(replace(state, step=event) for state in states if isinstance(state, _Wiped))
            return frozenset({None})
        if event.kind is kinds.OPAQUE:
            return frozenset({None})
        return states

    facts.automaton.Automaton(transfer).run(path, frozenset({None}))
    return found


def _report(source: SourceFile, wiped: _Wiped) -> Report:
    assert wiped.step is not None
    return Report(
        wiped.clearing.node,
        "the gradients are cleared between `backward()` and `step()`, which then has nothing to apply",
        related=(
            Mark(wiped.backward.node, "computed here"),
            Mark(wiped.step.node, "stepped here without them"),
        ),
        fix=_fix(source, wiped),
    )


def _fix(source: SourceFile, wiped: _Wiped) -> ProposedFix | None:
    clearing, backward = wiped.clearing.statement, wiped.backward.statement
    assert wiped.step is not None
    if clearing is None or backward is None or not facts.statements.same_suite(source, clearing, backward):
        return None
    if facts.statements.every_nth_round(source, wiped.step.statement):
        return None
    changes = (Remove(clearing), InsertBefore(backward, facts.statements.text_of(source, clearing)))
    return ProposedFix("Clear the gradients before `backward()`", Applicability.UNSAFE, changes)
