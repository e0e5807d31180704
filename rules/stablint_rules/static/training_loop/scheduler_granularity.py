"""STB109 scheduler-granularity: a schedule counted in epochs is stepped by the batch, or the other way round."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.events import Event
    from stablint.static.facts.programs import Loop
    from stablint.static.facts.terms import Instance, Term
    from stablint.static.source import SourceFile


class SchedulerGranularity(StaticRule):
    """A schedule of the learning rate is counted in epochs and stepped every batch, or the other way round.

    ## What it does

    Looks at a loop over batches inside a loop over epochs, and at a scheduler that is stepped in one of the
    two. In the inner one it reports

    - `StepLR`, `MultiStepLR` and `CosineAnnealingLR` whose `step_size`, `milestones` or `T_max` is the number
      of epochs, is called so, or is a number that lies within it,
    - `ExponentialLR` that takes off 2 % or more each time.

    In the outer one it reports

    - any of them whose length is computed from `len(loader)`,
    - `OneCycleLR(epochs=..., steps_per_epoch=...)`, and `CyclicLR` whose half period is longer than the run.

    Where neither the arguments nor the loops show what is counted, the rule is silent.

    ## Why it is bad

    Each `scheduler.step()` is one tick, whatever it was meant to be. Stepped at each of the 938 batches of
    one MNIST epoch, `StepLR(step_size=30)` takes the learning rate from 0.1 to 1e-32 and
    `ExponentialLR(0.95)` to 1e-22: training has ended within the first epoch, without an error.
    `CosineAnnealingLR(T_max=90)` is back at 0.1 after 180 batches and swings on, 10 times an epoch. The other
    way round, `OneCycleLR` for 10 epochs of 938 batches has raised the rate from 0.004 to 0.00400299 after
    10 ticks, and the 0.1 that was asked for is never reached (torch 2.13).

    ## Example

    ```python
    scheduler = StepLR(optimizer, step_size=30)
    for epoch in range(90):
        for x, y in loader:
            train_step(x, y)
            scheduler.step()
    ```

    ## Use instead

    ```python
    scheduler = StepLR(optimizer, step_size=30)
    for epoch in range(90):
        for x, y in loader:
            train_step(x, y)
        scheduler.step()
    ```

    ## When to ignore it

    When the numbers are meant as they stand: a decay within the first epoch, a cosine that swings.

    ## Fix safety

    No fix is offered: either the call moves or the numbers change, and which of them is meant is not known.

    ## References

    - [torch.optim: how to adjust the learning rate](https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate)
    - [torch.optim.lr_scheduler.OneCycleLR](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html)
    - [torch.optim.lr_scheduler.CosineAnnealingLR](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingLR.html)
    """

    code = "STB109"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # 30 epochs, counted in batches
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30, gamma=0.1)
    for epoch in range(90):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            scheduler.step()  # flagged
""",
        # the number of epochs by its name
        """\
import torch
import torch.nn.functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR

def main(model, loader, args):
    optimizer = torch.optim.AdamW(model.parameters())
    scheduler = CosineAnnealingLR(optimizer, T_max=args.epochs)
    for epoch in range(args.epochs):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            scheduler.step()  # flagged
""",
        # milestones, in a helper that goes through the batches
        """\
import torch
import torch.nn.functional as F

def run_epoch(model, loader, optimizer, scheduler):
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        scheduler.step()  # flagged

def main(model, loader, epochs=200):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[60, 120, 160])
    for epoch in range(epochs):
        run_epoch(model, loader, optimizer, scheduler)
""",
        # five percent off, at every batch
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model):
        self.model = model
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(model.parameters())
        self.decay = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, gamma=0.95)

    def fit(self, loader, epochs):
        for _ in range(epochs):
            for x, y in loader:
                self.optimizer.zero_grad()
                self.loss(self.model(x), y).backward()
                self.optimizer.step()
                self.decay.step()  # flagged
""",
        # one cycle of batches, stepped by the epoch
        """\
import torch
import torch.nn.functional as F

def main(model, loader, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.1, epochs=epochs, steps_per_epoch=len(loader)
    )
    for epoch in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        scheduler.step()  # flagged
""",
        # a cosine over all batches, stepped by the epoch
        """\
import torch
import torch.nn.functional as F

def train_epoch(model, loader, optimizer):
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

def main(model, loader, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    total = epochs * len(loader)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    for epoch in range(epochs):
        train_epoch(model, loader, optimizer)
        scheduler.step()  # flagged
""",
        # warm-up over steps, by the schedule of transformers
        """\
import torch
from transformers import get_linear_schedule_with_warmup

def main(model, loader, epochs):
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
    scheduler = get_linear_schedule_with_warmup(optimizer, 100, num_training_steps=len(loader) * epochs)
    for epoch in range(epochs):
        for batch in loader:
            optimizer.zero_grad()
            model(**batch).loss.backward()
            optimizer.step()
        scheduler.step()  # flagged
""",
        # half a period of 2000 ticks, and 50 epochs
        """\
import torch
import torch.nn.functional as F

def main(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.CyclicLR(optimizer, base_lr=1e-4, max_lr=0.1)
    for epoch in range(50):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        scheduler.step()  # flagged
""",
    ]

    good = [
        # by the epoch, as it is counted
        """\
import torch
import torch.nn.functional as F

def main(model, loader, epochs=90):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    for epoch in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        scheduler.step()
        cosine.step()
""",
        # by the batch, as it is counted
        """\
import torch
import torch.nn.functional as F

def main(model, loader, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * len(loader))
    one = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, epochs=epochs, steps_per_epoch=len(loader))
    for epoch in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            cosine.step()
            one.step()
""",
        # one cycle of epochs
        """\
import torch
import torch.nn.functional as F

def main(model, loader, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=epochs)
    other = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, epochs=epochs, steps_per_epoch=1)
    for epoch in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        scheduler.step()
        other.step()
""",
        # a step size in batches: more than there are epochs
        """\
import torch
import torch.nn.functional as F

def main(model, loader, args):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    often = torch.optim.lr_scheduler.StepLR(optimizer, step_size=5000)
    named = torch.optim.lr_scheduler.StepLR(optimizer, step_size=args.decay_steps)
    slow = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9999)
    for epoch in range(10):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            often.step()
            named.step()
            slow.step()
""",
        # in the inner loop, but at the last batch of an epoch only
        """\
import torch
import torch.nn.functional as F

def main(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30)
    for epoch in range(90):
        for i, (x, y) in enumerate(loader):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            if i == len(loader) - 1:
                scheduler.step()
""",
        # one loop: a round is an update, and so is a tick
        """\
import torch
import torch.nn.functional as F

def main(model, data, steps=200):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    for step in range(steps):
        optimizer.zero_grad()
        F.mse_loss(model(data.x), data.y).backward()
        optimizer.step()
        scheduler.step()
""",
        # seeds outside, epochs inside
        """\
import torch
import torch.nn.functional as F

def main(build, data, epochs=200):
    for seed in range(10):
        model = build(seed)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=5)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
        for epoch in range(epochs):
            optimizer.zero_grad()
            F.mse_loss(model(data.x), data.y).backward()
            optimizer.step()
            scheduler.step()
            cosine.step()
""",
        # tasks outside, updates inside: each task has a schedule of its own
        """\
import torch
import torch.nn.functional as F
from tqdm import tqdm

def main(build, data, converged):
    for task in range(50):
        model = build(task)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30)
        for i in tqdm(range(100)):
            optimizer.zero_grad()
            F.mse_loss(model(data.x), data.y).backward()
            optimizer.step()
            scheduler.step()
        while not converged(model):
            optimizer.zero_grad()
            F.mse_loss(model(data.x), data.y).backward()
            optimizer.step()
            scheduler.step()
""",
        # told a fraction of an epoch
        """\
import torch
import torch.nn.functional as F

def main(model, loader, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=epochs)
    for epoch in range(epochs):
        for i, (x, y) in enumerate(loader):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            scheduler.step(epoch + i / len(loader))
""",
        # which scheduler it is depends
        """\
import torch
import torch.nn.functional as F

def main(model, loader, epochs, kind):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    if kind == "cycle":
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, epochs * len(loader))
    else:
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 30)
    for epoch in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            if kind == "cycle":
                scheduler.step()
        if kind != "cycle":
            scheduler.step()
""",
        # stepped by the batch in a helper, and by the epoch in the loop: each its own
        """\
import torch
import torch.nn.functional as F

def run(model, loader, optimizer, warmup):
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        warmup.step()

def main(model, loader, epochs=100):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=len(loader))
    steps = torch.optim.lr_scheduler.MultiStepLR(optimizer, [60, 80])
    for epoch in range(epochs):
        run(model, loader, optimizer, warmup)
        steps.step()
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each scheduler that is stepped in the loop that its arguments do not count."""
        seen: set[object] = set()
        for root in source.ask(facts.training_paths):
            for outer in facts.paths.rounds_in(root.path):
                for event, message in _mistaken(source, outer):
                    if event.node not in seen:
                        seen.add(event.node)
                        made = _made(source, event)
                        related = (Mark(made.node, "made here"),) if made is not None else ()
                        yield Report(event.node, message, related=related)


def _mistaken(source: SourceFile, epochs: Loop) -> Iterator[tuple[Event, str]]:
    kinds = facts.events.Kind
    inner = [
        loop
        for loop in facts.paths.inner_rounds(epochs.body)
        if facts.paths.events_of_round(loop.body, kinds.STEP)
    ]
    if not inner:
        return
    for loop in inner:
        steps = facts.paths.events_of_round(loop.body, kinds.STEP)
        for event in facts.paths.events_of_round(loop.body, kinds.SCHEDULER_STEP):
            made = _made(source, event) if _is_as_often(source, event, steps) else None
            counted = _in_epochs(source, made, epochs, loop) if made is not None else None
            if counted is not None:
                yield event, f"stepped at every batch, but {counted}"
    for event in facts.paths.events_of_round(epochs.body, kinds.SCHEDULER_STEP):
        made = _made(source, event)
        counted = _in_batches(source, made, epochs) if made is not None else None
        if counted is not None:
            yield event, f"stepped once an epoch, but {counted}"


_LENGTHS = {
    "torch.optim.lr_scheduler.StepLR": ("step_size", 1),
    "torch.optim.lr_scheduler.MultiStepLR": ("milestones", 1),
    "torch.optim.lr_scheduler.CosineAnnealingLR": ("T_max", 1),
    "torch.optim.lr_scheduler.OneCycleLR": ("total_steps", 2),
    "torch.optim.lr_scheduler.CyclicLR": ("step_size_up", 3),
    "torch.optim.lr_scheduler.LinearLR": ("total_iters", 3),
    "torch.optim.lr_scheduler.PolynomialLR": ("total_iters", 1),
    "transformers.get_linear_schedule_with_warmup": ("num_training_steps", 2),
    "transformers.get_cosine_schedule_with_warmup": ("num_training_steps", 2),
    "transformers.get_polynomial_decay_schedule_with_warmup": ("num_training_steps", 2),
}
"""What says how many ticks a schedule has, by keyword and by position."""
_IN_EPOCHS = ("StepLR", "MultiStepLR", "CosineAnnealingLR")
_MOST_EPOCHS = {"StepLR": 50, "MultiStepLR": 300, "CosineAnnealingLR": 100}
"""Up to what a number is one of epochs, where the number of epochs is not known."""
_FASTEST = 0.98
_BATCHES = re.compile(r"load|batch|data|iter|train|(^|_)dl($|_)", re.IGNORECASE)


def _made(source: SourceFile, event: Event) -> Instance | None:
    """Return the scheduler that is stepped, where it can be one only."""
    if event.target is None or event.arguments:
        return None
    made = facts.evaluation.without_none(source.ask(facts.values).resolve(event.target))
    return made if isinstance(made, facts.terms.Instance) else None


def _is_as_often(source: SourceFile, event: Event, steps: list[Event]) -> bool:
    """Whether nothing but what also decides about the optimizer decides whether the scheduler steps."""
    asked = set(facts.statements.guards(source, event.statement))
    allowed = {test for step in steps for test in facts.statements.guards(source, step.statement)}
    return all("is not None" in test or test.isidentifier() for test in asked - allowed)


def _length(made: Instance) -> tuple[str, Term] | None:
    name, position = _LENGTHS.get(made.dotted, ("", 0))
    if name in made.keywords:
        return name, made.keywords[name]
    return (name, made.positional[position]) if name and position < len(made.positional) else None


def _in_epochs(source: SourceFile, made: Instance, epochs: Loop, batches: Loop) -> str | None:
    """Say why the numbers of a scheduler are numbers of epochs; None where they need not be."""
    over = facts.statements.loop_texts(source, batches.node)
    if "epoch" in over.target.lower():
        return None
    is_range = "range(" in over.iterated or not over.target
    kind = made.dotted.rsplit(".", 1)[-1]
    if made.dotted == "torch.optim.lr_scheduler.ExponentialLR":
        given = made.keywords.get("gamma") or (made.positional[1] if len(made.positional) > 1 else None)
        gamma = facts.terms.number(given)
        if gamma is not None and 0 < gamma <= _FASTEST and not is_range:
            return f"`gamma={gamma:g}` is a decay for epochs: {gamma**500:.0e} of the rate is left after 500"
        return None
    length = _length(made) if kind in _IN_EPOCHS else None
    if length is None:
        return None
    name, term = length
    end = facts.statements.end_of_range(epochs.node)
    total = source.ask(facts.values).of(end) if end is not None else None
    if total is not None and facts.terms.same(term, total) and facts.terms.number(total) is None:
        return f"`{name}` is the number of epochs"
    if is_range:
        return None
    if _counts(term) == "epochs":
        return f"`{name}` counts epochs"
    numbers = [facts.terms.number(one) for one in _items(term)]
    longest = facts.terms.number(total)
    if longest is None and "epoch" in facts.statements.loop_texts(source, epochs.node).text.lower():
        longest = _MOST_EPOCHS[kind]
    known = [number for number in numbers if number is not None]
    if known and longest is not None and len(known) == len(numbers) and max(known) <= longest:
        what = ", ".join(f"{number:g}" for number in known)
        return f"`{name}` of {what} counts epochs"
    return None


def _items(term: Term) -> tuple[Term, ...]:
    return term.items if isinstance(term, facts.terms.Display) else (term,)


def _in_batches(source: SourceFile, made: Instance, epochs: Loop) -> str | None:
    """Say why the numbers of a scheduler are numbers of batches; None where they need not be."""
    if _BATCHES.search(facts.statements.loop_texts(source, epochs.node).iterated):
        return None
    each = made.keywords.get("steps_per_epoch")
    if made.dotted == "torch.optim.lr_scheduler.OneCycleLR" and each is not None and _length(made) is None:
        is_few = facts.terms.number(each) == 1 or _counts(each) == "epochs"
        return None if is_few else "`steps_per_epoch` says that it counts batches"
    length = _length(made)
    if length is not None and any(_counts(one) == "batches" for one in _items(length[1])):
        return f"`{length[0]}` counts batches"
    if made.dotted == "torch.optim.lr_scheduler.CyclicLR":
        end = facts.statements.end_of_range(epochs.node)
        total = facts.terms.number(source.ask(facts.values).of(end)) if end is not None else None
        half = facts.terms.number(length[1]) if length is not None else 2000
        if total is not None and half is not None and half > total:
            return f"half its period is {half:g}, and there are {total:g} epochs"
    return None


def _counts(term: Term) -> str | None:
    """Say what a number counts by what it is computed from: "epochs", "batches", or None."""
    words = " ".join(filter(None, map(_word, facts.terms.within(term, 60))))
    for part in facts.terms.within(term, 60):
        if isinstance(part, facts.terms.Operation) and part.name == "len" and part.operands:
            return "batches" if _BATCHES.search(facts.roles.called(part.operands[0], None)) else None
    is_other = re.search(r"step|iter|batch|update|len|period|every", words, re.IGNORECASE)
    return "epochs" if re.search("epoch", words, re.IGNORECASE) and not is_other else None


def _word(term: Term) -> str:
    match term:
        case facts.terms.Attribute(name=name) | facts.terms.Parameter(name=name):
            return name
        case facts.terms.Unknown(label=label):
            return label
        case facts.terms.Operation(name=name) | facts.terms.Call(callee=facts.terms.Attribute(name=name)):
            return name
        case _:
            return ""
