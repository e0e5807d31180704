"""STB103 scheduler-step-misordered: the first learning rate of the schedule is skipped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import InsertAfter, Mark, ProposedFix, Remove, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.events import Event
    from stablint.static.facts.programs import Loop, Program
    from stablint.static.source import SourceFile


class SchedulerStepMisordered(StaticRule):
    """A learning rate scheduler is stepped before the optimizer in the same iteration.

    ## What it does

    Reports `scheduler.step()` of a `torch.optim.lr_scheduler` where, in the innermost loop around it,
    the optimizer's `step()` comes only later, directly or inside a function that the loop calls.
    Schedulers that are told the epoch or a metric (`step(epoch)`, `ReduceLROnPlateau.step(loss)`) and
    loops without any optimizer step (drawing the schedule, resuming) are left alone.

    ## Why it is bad

    The constructor of a scheduler has already set the first learning rate. Stepping before the optimizer
    moves on to the second value before the first was ever used: with `StepLR(step_size=1, gamma=0.5)`
    and a rate of 0.1, three epochs train at 0.05, 0.025 and 0.0125 instead of 0.1, 0.05 and 0.025 (torch
    2.13), and every milestone comes one epoch early. Until PyTorch 1.1 this order was right, which is
    why it is still copied. PyTorch warns once ("skipping the first value of the learning rate schedule")
    and goes on.

    ## Example

    ```python
    for epoch in range(epochs):
        scheduler.step()
        train_one_epoch(model, loader, optimizer)
    ```

    ## Use instead

    ```python
    for epoch in range(epochs):
        train_one_epoch(model, loader, optimizer)
        scheduler.step()
    ```

    ## When to ignore it

    When a warm-up starts from a learning rate of exactly 0 and the first step would be wasted. Better:
    let the schedule begin at `1 / warmup_steps`. A step at the head of the loop under `if epoch > 0` is
    the right order in other words, and is not reported.

    ## Fix safety

    Unsafe: the learning rates change, to those that the schedule promises. The statement is moved to the
    end of the loop's body, and only where nothing between reads the learning rate.

    ## References

    - [How to adjust learning rate](https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate)
    - [torch.optim.lr_scheduler.StepLR](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.StepLR.html)
    """

    code = "STB103"
    severity = Severity.WARNING
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # at the head of the epoch, as it was before PyTorch 1.1
        """\
import torch
import torch.nn.functional as F

def train_one_epoch(model, loader, optimizer):
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

def main(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30)
    for epoch in range(90):
        scheduler.step()  # flagged
        train_one_epoch(model, loader, optimizer)
""",
        # once a batch
        """\
import torch
import torch.nn.functional as F
from torch.optim.lr_scheduler import OneCycleLR

def train(model, loader, total):
    optimizer = torch.optim.AdamW(model.parameters())
    sched = OneCycleLR(optimizer, max_lr=1e-3, total_steps=total)
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        sched.step()  # flagged
        optimizer.step()
""",
        # both loops in one function, and the rate is printed from the scheduler afterwards
        """\
import torch
from torch import optim
from torch.optim import lr_scheduler

def main(net, loader, criterion):
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    scheduler = lr_scheduler.MultiStepLR(optimizer, [150, 225], gamma=0.1)
    for epoch in range(300):
        scheduler.step()  # flagged
        print("lr", scheduler.get_last_lr())
        for x, y in loader:
            optimizer.zero_grad()
            criterion(net(x), y).backward()
            optimizer.step()
    torch.save(net.state_dict(), "net.pt")
""",
        # a trainer class
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model, loader):
        self.model, self.loader = model, loader
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        self.scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, T_max=100)

    def train_epoch(self):
        for x, y in self.loader:
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self.model(x), y).backward()
            self.optimizer.step()

    def fit(self):
        for epoch in range(100):
            self.scheduler.step()  # flagged
            self.train_epoch()
""",
        # of two schedulers, one
        """\
import torch
from torch.optim.lr_scheduler import LambdaLR

def train(G, D, loader, decay):
    opt_g = torch.optim.Adam(G.parameters(), lr=2e-4)
    opt_d = torch.optim.Adam(D.parameters(), lr=2e-4)
    sched_g = LambdaLR(opt_g, lr_lambda=decay)
    sched_d = LambdaLR(opt_d, lr_lambda=decay)
    for real in loader:
        fake = G(torch.randn(real.size(0), 64))
        opt_g.zero_grad()
        (-D(fake).mean()).backward()
        opt_g.step()
        sched_g.step()
        sched_d.step()  # flagged
        opt_d.zero_grad()
        (D(fake.detach()).mean() - D(real).mean()).backward()
        opt_d.step()
""",
        # under an option that says nothing about the epoch
        """\
import torch
import torch.nn.functional as F

def train(args, model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.95)
    for epoch in range(args.epochs):
        if not args.constant_lr:
            scheduler.step()  # flagged
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
""",
        # the scaler steps the optimizer
        """\
import torch
import torch.nn.functional as F

def train(model, loader, total):
    optimizer = torch.optim.AdamW(model.parameters())
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total)
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scheduler.step()  # flagged
        scaler.step(optimizer)
        scaler.update()
""",
        # scheduler and optimizer are arguments
        """\
import torch.nn.functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

def run(model, optimizer: Optimizer, scheduler: LRScheduler, loader, epochs: int):
    for _ in range(epochs):
        scheduler.step()  # flagged
        for x, y in loader:
            optimizer.zero_grad()
            F.mse_loss(model(x), y).backward()
            optimizer.step()
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F

def train_one_epoch(model, loader, optimizer):
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

def main(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30)
    for epoch in range(90):
        train_one_epoch(model, loader, optimizer)
        scheduler.step()
""",
        """\
import torch
import torch.nn.functional as F
from torch.optim.lr_scheduler import OneCycleLR

def train(model, loader, total):
    optimizer = torch.optim.AdamW(model.parameters())
    sched = OneCycleLR(optimizer, max_lr=1e-3, total_steps=total)
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        sched.step()
""",
        None,
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model, loader):
        self.model, self.loader = model, loader
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        self.scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, T_max=100)

    def train_epoch(self):
        for x, y in self.loader:
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self.model(x), y).backward()
            self.optimizer.step()

    def fit(self):
        for epoch in range(100):
            self.train_epoch()
            self.scheduler.step()
""",
        """\
import torch
from torch.optim.lr_scheduler import LambdaLR

def train(G, D, loader, decay):
    opt_g = torch.optim.Adam(G.parameters(), lr=2e-4)
    opt_d = torch.optim.Adam(D.parameters(), lr=2e-4)
    sched_g = LambdaLR(opt_g, lr_lambda=decay)
    sched_d = LambdaLR(opt_d, lr_lambda=decay)
    for real in loader:
        fake = G(torch.randn(real.size(0), 64))
        opt_g.zero_grad()
        (-D(fake).mean()).backward()
        opt_g.step()
        sched_g.step()
        opt_d.zero_grad()
        (D(fake.detach()).mean() - D(real).mean()).backward()
        opt_d.step()
        sched_d.step()
""",
        None,
        """\
import torch
import torch.nn.functional as F

def train(model, loader, total):
    optimizer = torch.optim.AdamW(model.parameters())
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total)
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
""",
        """\
import torch.nn.functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

def run(model, optimizer: Optimizer, scheduler: LRScheduler, loader, epochs: int):
    for _ in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            F.mse_loss(model(x), y).backward()
            optimizer.step()
        scheduler.step()
""",
    ]

    good = [
        # once an epoch, after training
        """\
import torch
import torch.nn.functional as F

def main(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30)
    for epoch in range(90):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        scheduler.step()
""",
        # once a batch, after the optimizer, under the same guard
        """\
import torch
import torch.nn.functional as F

def train(model, loader, accumulate, total):
    optimizer = torch.optim.AdamW(model.parameters())
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=total)
    for i, (x, y) in enumerate(loader):
        (F.cross_entropy(model(x), y) / accumulate).backward()
        if (i + 1) % accumulate == 0:
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
""",
        # no optimizer steps here: drawing the schedule, and catching up with a checkpoint
        """\
import torch
import torch.nn.functional as F

def rates(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100)
    seen = []
    for _ in range(100):
        scheduler.step()
        seen.append(optimizer.param_groups[0]["lr"])
    return seen

def resume(model, loader, start_epoch, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 30)
    for _ in range(start_epoch):
        scheduler.step()
    for epoch in range(start_epoch, epochs):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        scheduler.step()
""",
        # told the epoch: the rate of this epoch, wherever it is set
        """\
import torch
import torch.nn.functional as F

def main(model, loader, warm=1):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train_scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [60, 120])
    for epoch in range(200):
        if epoch > warm:
            train_scheduler.step(epoch)
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
""",
        # timm's schedulers set the rate of an update by its number
        """\
import torch
import torch.nn.functional as F
from timm.scheduler import CosineLRScheduler

def train(model, loader, epochs):
    optimizer = torch.optim.AdamW(model.parameters())
    lr_scheduler = CosineLRScheduler(optimizer, t_initial=epochs)
    updates = 0
    for epoch in range(epochs):
        lr_scheduler.step(epoch)
        for x, y in loader:
            lr_scheduler.step_update(updates)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            updates += 1
""",
        # skipped in the first epoch: the same order in other words
        """\
import torch
import torch.nn.functional as F

def main(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    for epoch in range(50):
        if epoch > 0:
            scheduler.step()
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
""",
        # waits for a metric
        """\
import torch
import torch.nn.functional as F

def main(model, loader, evaluate):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=5)
    val_loss = evaluate(model)
    for epoch in range(50):
        scheduler.step(val_loss)
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        val_loss = evaluate(model)
""",
        # a scheduler of our own that counts from zero and has to be asked first
        """\
import torch
import torch.nn.functional as F

class InverseSquareRoot:
    def __init__(self, optimizer, warmup):
        self.optimizer, self.warmup, self.n = optimizer, warmup, 0

    def step(self):
        self.n += 1
        for group in self.optimizer.param_groups:
            group["lr"] = min(self.n ** -0.5, self.n * self.warmup ** -1.5)

def train(model, loader):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0)
    scheduler = InverseSquareRoot(optimizer, 4000)
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        scheduler.step()
        optimizer.step()
""",
        # the scheduler of a diffusion process, and a profiler
        """\
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler

def finetune(model, loader, prof: torch.profiler.profile):
    scheduler = DDPMScheduler(num_train_timesteps=1000)
    optimizer = torch.optim.AdamW(model.parameters())
    for x, noise, t in loader:
        prof.step()
        noisy = scheduler.add_noise(x, noise, t)
        predicted = model(noisy, t)
        denoised = scheduler.step(predicted, t, noisy).prev_sample
        loss = F.mse_loss(denoised, x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # the other optimizer's step comes later, this one's has been
        """\
import torch
from torch.optim.lr_scheduler import StepLR

def train(G, D, loader):
    opt_g = torch.optim.Adam(G.parameters(), lr=2e-4)
    opt_d = torch.optim.Adam(D.parameters(), lr=2e-4)
    sched_g = StepLR(opt_g, 1000)
    for real in loader:
        fake = G(torch.randn(real.size(0), 64))
        opt_g.zero_grad()
        (-D(fake).mean()).backward()
        opt_g.step()
        sched_g.step()
        opt_d.zero_grad()
        (D(fake.detach()).mean() - D(real).mean()).backward()
        opt_d.step()
""",
        # an explicit last_epoch: where the schedule stands is for the caller to know
        """\
import torch
import torch.nn.functional as F
from torch.optim.lr_scheduler import LambdaLR

def train(model, loader, done):
    optimizer = torch.optim.SGD([{"params": model.parameters(), "initial_lr": 0.1}], lr=0.1)
    warmup = LambdaLR(optimizer, lambda step: min(1.0, step / 500), last_epoch=done)
    for x, y in loader:
        warmup.step()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
""",
        # Lightning steps both
        """\
import lightning as L
import torch
import torch.nn.functional as F

class Model(L.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def lr_scheduler_step(self, scheduler, metric):
        scheduler.step()

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 10)]
""",
        # the scaler may skip a step; that is no fault of the order
        """\
import torch
import torch.nn.functional as F

def train(model, loader, total):
    optimizer = torch.optim.AdamW(model.parameters())
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total)
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
""",
        # a later phase trains again
        """\
import torch
import torch.nn.functional as F

def run_epoch(model, loader, optimizer):
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

def main(model, source, target):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    for epoch in range(50):
        run_epoch(model, source, optimizer)
        scheduler.step()
        run_epoch(model, target, optimizer)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each scheduler stepped before the optimizer in a round of its own loop."""
        seen: set[object] = set()
        for root in source.ask(facts.training_paths):
            for rounds in facts.paths.rounds_in(root.path):
                for scheduler, optimizer in _too_early(rounds.body):
                    if scheduler.node not in seen and not _is_conditional(source, scheduler, rounds):
                        seen.add(scheduler.node)
                        yield _report(source, scheduler, optimizer)


_NOTHING, _STEPPED = "no step yet", "stepped"


def _own(path: Program) -> list[Event]:
    """Return the scheduler steps of a loop body that stand in no loop inside it."""
    found: list[Event] = []
    for step in path:
        match step:
            case facts.events.Event(kind=facts.events.Kind.SCHEDULER_STEP, arguments=()):
                found.append(step)
            case facts.programs.Branch(ways=ways):
                for way in ways:
                    found += _own(way)
            case facts.programs.Inlined(body=body):
                found += _own(body)
            case _:
                pass
    return found


def _too_early(body: Program) -> list[tuple[Event, Event]]:
    """Return the scheduler steps of a round with the optimizer step that comes only after them."""
    kinds = facts.events.Kind
    found: list[tuple[Event, Event]] = []
    for scheduler in (event for event in _own(body) if not _is_resumed(event)):

        def transfer(
            states: frozenset[object], event: Event, scheduler: Event = scheduler
        ) -> frozenset[object]:
            if event is scheduler:
                return frozenset({_STEPPED if _STEPPED in states else scheduler})
            if event.kind is kinds.STEP and _drives(scheduler, event):
                if scheduler in states:
                    found.append((scheduler, event))
                return frozenset({_STEPPED})
            return frozenset({_STEPPED}) if event.kind is kinds.OPAQUE else states

        facts.automaton.Automaton(transfer).run(body, frozenset({_NOTHING}))
    return found


def _is_resumed(scheduler: Event) -> bool:
    """Whether a scheduler starts where another run ended: `last_epoch=` moves the schedule on purpose."""
    made = facts.terms.options(scheduler.target) if scheduler.target is not None else ()
    return any(isinstance(one, facts.terms.Instance) and "last_epoch" in one.keywords for one in made)


def _drives(scheduler: Event, step: Event) -> bool:
    """Whether a scheduler sets the rate of the optimizer that is stepped, as far as is known."""
    for made in facts.terms.options(scheduler.target) if scheduler.target is not None else ():
        if isinstance(made, facts.terms.Instance):
            optimizer = made.positional[0] if made.positional else made.keywords.get("optimizer")
            if optimizer is not None and facts.roles.role(optimizer) == "optimizer":
                return facts.identity.same_object(step.target, optimizer)
    return True


def _is_conditional(source: SourceFile, scheduler: Event, rounds: Loop) -> bool:
    """Whether the step waits for a later round: `if epoch > 0: scheduler.step()` is the old order done right."""
    loop = facts.statements.innermost_loop(source, scheduler.statement)
    counters = facts.statements.counters(source, loop.node if loop is not None else rounds.node)
    return any(
        ">" in guard or "!=" in guard or counters & facts.statements.names_in(guard)
        for guard in facts.statements.guards(source, scheduler.statement)
    )


def _report(source: SourceFile, scheduler: Event, optimizer: Event) -> Report:
    return Report(
        scheduler.node,
        "the scheduler steps before the optimizer: the first value of the schedule is never used",
        related=(Mark(optimizer.node, "the optimizer steps only here"),),
        fix=_fix(source, scheduler),
    )


def _fix(source: SourceFile, scheduler: Event) -> ProposedFix | None:
    if scheduler.statement is None or facts.statements.guards(source, scheduler.statement):
        return None
    rest = facts.statements.rest_of_loop(source, scheduler.statement)
    if not rest or any(_reads_rate(source.code(statement)) for statement in rest):
        return None
    changes = (
        Remove(scheduler.statement),
        InsertAfter(rest[-1], facts.statements.text_of(source, scheduler.statement)),
    )
    return ProposedFix("Step the scheduler at the end of the round", Applicability.UNSAFE, changes)


def _reads_rate(text: str) -> bool:
    return any(name in text for name in ("get_last_lr", "get_lr", "param_groups", "sched"))
