"""STB111 accumulation-without-scaling: the micro-batches of a step are summed, not averaged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.facts.events import Event, Kind
    from stablint.static.facts.programs import Program
    from stablint.static.facts.terms import Term
    from stablint.static.source import SourceFile


class AccumulationWithoutScaling(StaticRule):
    """Gradients of n micro-batches are added up for one step, and nothing divides them by n.

    ## What it does

    Reports `backward()` of a mean loss in every round of a loop in which the optimizer steps in every n-th
    round only (`if (i + 1) % n == 0`), where neither the loss nor the gradients nor the learning rate are
    divided by n.

    ## Why it is bad

    `backward()` adds to `.grad`, so the step is made with the sum of n mean gradients: n times the gradient
    of the large batch that accumulation stands for. With SGD that is n times the learning rate, and a
    norm limit of 1.0 cuts n times as deep. With n = 4 a learning rate of 0.5, which converges on a batch
    of 256, diverges on four micro-batches of 64 (least squares, torch 2.13). Whoever changes n to fit
    another GPU changes the training.

    Adam and its kin divide by the size of the gradient and hardly notice, so with them it is a note.

    ## Example

    ```python
    for i, (x, y) in enumerate(loader):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        if (i + 1) % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()
    ```

    ## Use instead

    ```python
    for i, (x, y) in enumerate(loader):
        loss = F.cross_entropy(model(x), y)
        (loss / 4).backward()
        if (i + 1) % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()
    ```

    ## When to ignore it

    When the learning rate was tuned for the sum, or the micro-batches are parts of one loss that is a sum.

    ## Fix safety

    Unsafe: the steps become n times smaller, which the learning rate may have been tuned for. The loss is
    divided where `backward()` is called, so that what is logged stays the same.

    ## References

    - [Automatic mixed precision examples: gradient accumulation](https://docs.pytorch.org/docs/stable/notes/amp_examples.html#gradient-accumulation)
    - [torch.Tensor.backward](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.backward.html)
    """

    code = "STB111"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # the plain form
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for i, (x, y) in enumerate(loader):
        loss = F.cross_entropy(model(x), y)
        loss.backward()  # flagged
        if (i + 1) % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()
""",
        # n has a name; the last, smaller group is stepped too
        """\
import torch
from torch import nn

def train(model, loader, optimizer, accumulation_steps):
    criterion = nn.MSELoss()
    optimizer.zero_grad()
    for step, (x, y) in enumerate(loader, 1):
        loss = criterion(model(x), y)
        loss.backward()  # flagged
        if step % accumulation_steps == 0 or step == len(loader):
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
""",
        # with a gradient scaler, in a trainer class
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model, args):
        self.model = model
        self.args = args
        self.criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
        self.scaler = torch.amp.GradScaler("cuda")
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def train_epoch(self, loader):
        for i, (x, y) in enumerate(loader):
            with torch.autocast("cuda", dtype=torch.float16):
                loss = self.criterion(self.model(x), y)
            self.scaler.scale(loss).backward()  # flagged
            if (i + 1) % self.args.accumulate == 0:
                self.scaler.step(self.optimizer)
                self.scaler.update()
                self.optimizer.zero_grad()
""",
        # backward and step are in helpers
        """\
import torch
import torch.nn.functional as F

def add_gradients(model, x, y):
    loss = (model(x) - y).pow(2).mean() + 0.1 * F.l1_loss(model(x), y)
    loss.backward()  # flagged
    return loss.item()

def apply(optimizer):
    optimizer.step()
    optimizer.zero_grad()

def main(model, loader, n=8):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for i, (x, y) in enumerate(loader):
        add_gradients(model, x, y)
        if i % n == n - 1:
            apply(optimizer)
""",
        # DistributedDataParallel without needless synchronisation
        """\
import torch
import torch.nn.functional as F

def train(model, loader, optimizer: torch.optim.SGD, every: int):
    for i, (x, y) in enumerate(loader):
        if (i + 1) % every != 0:
            with model.no_sync():
                F.cross_entropy(model(x), y).backward()  # flagged
        else:
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
""",
        # the other rounds go on; the test has a name
        """\
import torch
from torch import nn

def train(model, loader, args):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = nn.CrossEntropyLoss()
    for i, (x, y) in enumerate(loader):
        criterion(model(x), y).backward()  # flagged
        if (i + 1) % args.accumulate != 0:
            continue
        optimizer.step()
        optimizer.zero_grad()

def finetune(model, loader, every):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for i, (x, y) in enumerate(loader):
        nn.functional.cross_entropy(model(x), y).backward()  # flagged
        is_last = (i + 1) % every == 0
        if is_last:
            optimizer.step()
            optimizer.zero_grad()

def count(model, loader, every):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen = 0
    for x, y in loader:
        nn.functional.cross_entropy(model(x), y).backward()  # flagged
        seen += 1
        if seen == every:
            optimizer.step()
            optimizer.zero_grad()
            seen = 0
""",
        # the batch in pieces
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        for part, target in zip(x.chunk(4), y.chunk(4)):
            loss = F.mse_loss(model(part), target)
            loss.backward()  # flagged
        optimizer.step()
""",
        # an inner loop over the micro-batches
        """\
import torch
import torch.nn.functional as F

def train(model, batches, steps, micro_batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(steps):
        optimizer.zero_grad()
        for _ in range(micro_batches):
            x, y = next(batches)
            F.cross_entropy(model(x), y).backward()  # flagged
        optimizer.step()
""",
        # a way of its own for accumulation
        """\
import torch
import torch.nn.functional as F

def train(model, loader, optimizer, scaler, steps):
    rounds = len(loader) // steps
    for i, (x, y) in enumerate(loader):
        loss = F.mse_loss(model(x), y)
        if steps > 1:
            scaler.scale(loss).backward()  # flagged
            if (i + 1) % steps == 0:
                scaler.step(optimizer)
                optimizer.zero_grad()
                scaler.update()
        else:
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    return rounds
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for i, (x, y) in enumerate(loader):
        loss = F.cross_entropy(model(x), y)
        (loss / 4).backward()
        if (i + 1) % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()
""",
        """\
import torch
from torch import nn

def train(model, loader, optimizer, accumulation_steps):
    criterion = nn.MSELoss()
    optimizer.zero_grad()
    for step, (x, y) in enumerate(loader, 1):
        loss = criterion(model(x), y)
        (loss / accumulation_steps).backward()
        if step % accumulation_steps == 0 or step == len(loader):
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
""",
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model, args):
        self.model = model
        self.args = args
        self.criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
        self.scaler = torch.amp.GradScaler("cuda")
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def train_epoch(self, loader):
        for i, (x, y) in enumerate(loader):
            with torch.autocast("cuda", dtype=torch.float16):
                loss = self.criterion(self.model(x), y)
            self.scaler.scale(loss / self.args.accumulate).backward()
            if (i + 1) % self.args.accumulate == 0:
                self.scaler.step(self.optimizer)
                self.scaler.update()
                self.optimizer.zero_grad()
""",
        None,
        None,
        """\
import torch
from torch import nn

def train(model, loader, args):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = nn.CrossEntropyLoss()
    for i, (x, y) in enumerate(loader):
        (criterion(model(x), y) / args.accumulate).backward()
        if (i + 1) % args.accumulate != 0:
            continue
        optimizer.step()
        optimizer.zero_grad()

def finetune(model, loader, every):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for i, (x, y) in enumerate(loader):
        (nn.functional.cross_entropy(model(x), y) / every).backward()
        is_last = (i + 1) % every == 0
        if is_last:
            optimizer.step()
            optimizer.zero_grad()

def count(model, loader, every):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen = 0
    for x, y in loader:
        (nn.functional.cross_entropy(model(x), y) / every).backward()
        seen += 1
        if seen == every:
            optimizer.step()
            optimizer.zero_grad()
            seen = 0
""",
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        for part, target in zip(x.chunk(4), y.chunk(4)):
            loss = F.mse_loss(model(part), target)
            (loss / 4).backward()
        optimizer.step()
""",
        """\
import torch
import torch.nn.functional as F

def train(model, batches, steps, micro_batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(steps):
        optimizer.zero_grad()
        for _ in range(micro_batches):
            x, y = next(batches)
            (F.cross_entropy(model(x), y) / micro_batches).backward()
        optimizer.step()
""",
        """\
import torch
import torch.nn.functional as F

def train(model, loader, optimizer, scaler, steps):
    rounds = len(loader) // steps
    for i, (x, y) in enumerate(loader):
        loss = F.mse_loss(model(x), y)
        if steps > 1:
            scaler.scale(loss / steps).backward()
            if (i + 1) % steps == 0:
                scaler.step(optimizer)
                optimizer.zero_grad()
                scaler.update()
        else:
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    return rounds
""",
    ]

    good = [
        # divided
        """\
import torch
import torch.nn.functional as F

def train(model, loader, n):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for i, (x, y) in enumerate(loader):
        loss = F.cross_entropy(model(x), y) / n
        loss.backward()
        if (i + 1) % n == 0:
            optimizer.step()
            optimizer.zero_grad()
""",
        # divided where there is something to divide by
        """\
import torch
import torch.nn.functional as F

def train(model, loader, n):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for i, (x, y) in enumerate(loader):
        loss = F.cross_entropy(model(x), y)
        if n > 1:
            loss = loss / n
        loss.backward()
        if (i + 1) % n == 0:
            optimizer.step()
            optimizer.zero_grad()
""",
        # multiplied with one n-th
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for i, (x, y) in enumerate(loader):
        loss = 0.25 * F.cross_entropy(model(x), y)
        loss.backward()
        if (i + 1) % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()
""",
        # the gradients are divided
        """\
import torch
import torch.nn.functional as F

def train(model, loader, accumulate):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for i, (x, y) in enumerate(loader):
        F.cross_entropy(model(x), y).backward()
        if (i + 1) % accumulate == 0:
            for p in model.parameters():
                p.grad.div_(accumulate)
            optimizer.step()
            optimizer.zero_grad()
""",
        # the learning rate is
        """\
import torch
import torch.nn.functional as F

def train(model, loader, lr, accumulate):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr / accumulate)
    for i, (x, y) in enumerate(loader):
        F.cross_entropy(model(x), y).backward()
        if (i + 1) % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
""",
        # a sum over the samples
        """\
import torch
import torch.nn.functional as F

def train(model, loader, n):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    for i, (x, y) in enumerate(loader):
        F.cross_entropy(model(x), y, reduction="sum").backward()
        if (i + 1) % n == 0:
            optimizer.step()
            optimizer.zero_grad()
""",
        # one update in n steps of a simulation: nothing is accumulated
        """\
import torch
import torch.nn.functional as F

def learn(env, q, buffer, total, train_frequency):
    optimizer = torch.optim.SGD(q.parameters(), lr=0.1)
    for step in range(total):
        env.step(q)
        if step % train_frequency == 0:
            x, y = buffer.sample()
            loss = F.mse_loss(q(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
""",
        # a loss of which nothing is known
        """\
import torch

def train(model, loader, loss_of, optimizer, n):
    for i, batch in enumerate(loader):
        loss_of(model, batch).backward()
        if (i + 1) % n == 0:
            optimizer.step()
            optimizer.zero_grad()
""",
        # Accelerate divides by itself
        """\
import torch
import torch.nn.functional as F
from accelerate import Accelerator

def main(model, loader, n):
    accelerator = Accelerator(gradient_accumulation_steps=n)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for i, (x, y) in enumerate(loader):
        loss = F.cross_entropy(model(x), y)
        accelerator.backward(loss)
        if (i + 1) % n == 0:
            optimizer.step()
            optimizer.zero_grad()
""",
        # most rounds are left out, and those have no backward
        """\
import torch
import torch.nn.functional as F

def learn(env, q, buffer, total, train_frequency):
    optimizer = torch.optim.SGD(q.parameters(), lr=0.1)
    for step in range(total):
        env.step(q)
        if step % train_frequency != 0:
            continue
        x, y = buffer.sample()
        loss = F.mse_loss(q(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # a step in every round, and a log in every n-th
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for i, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        if i % 100 == 0:
            print(loss.item())
""",
        # two networks in turn, each with one backward for one step
        """\
import torch
import torch.nn.functional as F

def gan(G, D, loader, n_critic):
    opt_g = torch.optim.SGD(G.parameters(), lr=0.1)
    opt_d = torch.optim.SGD(D.parameters(), lr=0.1)
    for i, real in enumerate(loader):
        opt_d.zero_grad()
        fake = G(torch.randn(8, 4))
        (D(fake.detach()).mean() - D(real).mean()).backward()
        opt_d.step()
        if i % n_critic == 0:
            opt_g.zero_grad()
            (-D(fake).mean()).backward()
            opt_g.step()
""",
        # tasks whose losses make one loss
        """\
import torch
import torch.nn.functional as F

def train(model, loader, tasks):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, targets in loader:
        optimizer.zero_grad()
        for task in range(len(tasks)):
            F.cross_entropy(model(x, task), targets[task]).backward()
        optimizer.step()
""",
        # the mean is taken over the whole batch, by its size
        """\
import torch
import torch.nn.functional as F

def train(model, loader, batch_size, micro):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for i, (x, y) in enumerate(loader):
        loss = F.mse_loss(model(x), y)
        weight = x.shape[0] / batch_size
        (weight * loss).backward()
        if (i + 1) % micro == 0:
            optimizer.step()
            optimizer.zero_grad()
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each mean loss of a micro-batch that is summed with those of other micro-batches."""
        seen: set[object] = set()
        for root in source.ask(facts.training_paths):
            bodies = [root.path, *(rounds.body for rounds in facts.paths.rounds_in(root.path))]
            for one in (one for body in bodies for one in _accumulated(source, body)):
                if one.backward.node not in seen and _is_unscaled(source, one):
                    seen.add(one.backward.node)
                    yield _report(source, one)


@dataclass(frozen=True, slots=True)
class _Accumulated:
    """A backward in every round, a step in every n-th."""

    backward: Event
    step: Event
    steps: cst.BaseExpression
    """The n of `% n`."""


@dataclass(slots=True)
class _Happening:
    """What happens in every round, and in every n-th one, with the n."""

    always: list[Event] = field(default_factory=list)
    sometimes: list[tuple[Event, cst.BaseExpression]] = field(default_factory=list)


def _accumulated(source: SourceFile, body: Program) -> Iterator[_Accumulated]:
    kinds = facts.events.Kind
    happening = _Happening()
    _collect(source, body, None, happening)
    always = [event for event in happening.always if event.kind is kinds.BACKWARD]
    clears = any(event.kind in (kinds.ZERO_GRAD, kinds.OPAQUE, kinds.STEP) for event in happening.always)
    steps = [(event, n) for event, n in happening.sometimes if event.kind is kinds.STEP]
    if steps and not clears and not any(event.kind is kinds.OPAQUE for event, _ in happening.sometimes):
        for backward in always:
            yield _Accumulated(backward, *steps[0])
    yield from _in_inner_loop(source, body)
    yield from _in_one_way(source, body)


def _in_one_way(source: SourceFile, body: Program) -> Iterator[_Accumulated]:
    """Yield what one way of a branch adds up, where the other steps in every round: `if accumulation_steps > 1`."""
    kinds = facts.events.Kind
    ending = (kinds.ZERO_GRAD, kinds.OPAQUE, kinds.STEP)
    for place, step in enumerate(body):
        if (
            not isinstance(step, facts.programs.Branch)
            or facts.statements.modulus(source, step.node) is not None
        ):
            continue
        others = (*body[:place], *body[place + 1 :])
        if not facts.paths.events_in(others, *ending):
            for way in step.ways:
                yield from _accumulated(source, way)


def _collect(source: SourceFile, program: Program, n: cst.BaseExpression | None, into: _Happening) -> None:
    """Sort what happens in one round, inner loops left out."""
    for step in program:
        match step:
            case facts.events.Event():
                if n is None:
                    into.always.append(step)
                else:
                    into.sometimes.append((step, n))
            case facts.programs.Inlined(body=body):
                _collect(source, body, n, into)
            case facts.programs.Branch(node=node, ways=ways):
                every = facts.statements.modulus(source, node)
                _collect_ways(source, ways, n or every, n is None, into)
                if every is not None and _goes_on(source, node, ways):
                    n = n or every
            case _:
                pass


def _goes_on(source: SourceFile, node: cst.CSTNode, ways: tuple[Program, ...]) -> bool:
    """Whether all but every n-th round end here: `if (i + 1) % n != 0: continue`."""
    is_left = any(isinstance(step, facts.programs.Leave) for step in ways[0])
    return is_left and "==" not in facts.statements.test_of(source, node)


def _collect_ways(
    source: SourceFile,
    ways: tuple[Program, ...],
    n: cst.BaseExpression | None,
    is_outside: bool,
    into: _Happening,
) -> None:
    kind = facts.events.Kind.BACKWARD
    if is_outside and n is not None and all(facts.paths.events_in(way, kind) for way in ways):
        # `no_sync()` in the rounds without a step: `backward()` runs in every round, from one of two places.
        into.always.append(facts.paths.events_in(ways[0], kind)[0])
        ways = tuple(_without(way, kind) for way in ways)
    for way in ways:
        _collect(source, way, n, into)


def _without(way: Program, kind: Kind) -> Program:
    return tuple(event for event in facts.paths.events_in(way) if event.kind is not kind)


def _in_inner_loop(source: SourceFile, body: Program) -> Iterator[_Accumulated]:
    """Yield what a loop over micro-batches adds up for a step behind it: `for _ in range(accumulation_steps)`."""
    kinds = facts.events.Kind
    for place, inner in enumerate(body):
        if not isinstance(inner, facts.programs.Loop):
            continue
        n = facts.statements.times(inner.node)
        if n is not None and not _MICRO.search(_last(source, n)):
            n = None
        n = n or facts.statements.chunks(inner.node)
        if n is None:
            continue
        inside = facts.paths.events_in(inner.body, kinds.BACKWARD, kinds.STEP, kinds.ZERO_GRAD, kinds.OPAQUE)
        behind = facts.paths.events_in(body[place + 1 :], kinds.STEP)
        if behind and inside and all(event.kind is kinds.BACKWARD for event in inside):
            yield _Accumulated(inside[0], behind[0], n)


def _last(source: SourceFile, n: cst.BaseExpression) -> str:
    """Return the last word of an expression: `accumulate` of `self.args.accumulate`."""
    words = re.findall(r"\w+", source.code(n))
    return words[-1] if words else source.code(n)


_MICRO = re.compile(r"accum|micro|grad_acc", re.IGNORECASE)
_ADAPTIVE = re.compile(r"adam|nadam|adamax|lamb|lion|adagrad|rmsprop|adafactor|rprop", re.IGNORECASE)


def _is_unscaled(source: SourceFile, one: _Accumulated) -> bool:
    """Whether a mean goes backward as it is, and no division by n is in sight."""
    n = facts.terms.number(source.ask(facts.values).of(one.steps))
    subject = one.backward.subject
    if n == 1 or subject is None or _is_of_a_framework(one.backward):
        return False
    if _size(source, facts.events.unscaled(subject), n) != "mean":
        return False
    return not _is_divided(source, one.steps)


def _is_of_a_framework(backward: Event) -> bool:
    """Whether something is given the loss to back-propagate, and may divide it: `accelerator.backward(loss)`."""
    return backward.scaler is None and bool(backward.arguments) and backward.subject is backward.arguments[0]


def _is_divided(source: SourceFile, n: cst.BaseExpression) -> bool:
    """Whether the file divides anything by n: a loss elsewhere, the gradients, the learning rate."""
    by = re.compile(rf"(?<!/)/=?\s*(float\()?[\w.]*\b{re.escape(_last(source, n))}\b")
    if by.search(source.text):
        return True
    calls = source.ask(facts.syntax).calls
    return any(
        facts.gradient_fields.is_of_gradient(call.node.func)
        for name in ("div_", "mul_", "true_divide_")
        for call in calls.get(name, ())
    )


def _size(source: SourceFile, term: Term, n: float | None) -> str | None:
    """Say whether a loss is a plain "mean", or "scaled" by something; None where that is not known."""
    found = {_size_of(source, option, n) for option in facts.terms.options(term)}
    return "scaled" if "scaled" in found else found.pop() if len(found) == 1 else None


def _size_of(source: SourceFile, term: Term, n: float | None) -> str | None:
    match term:
        case facts.terms.Operation(name="div" | "true_divide"):
            return "scaled"
        case facts.terms.Operation(name="add" | "sub", operands=operands):
            sizes = [_size(source, one, n) for one in operands]
            return "scaled" if "scaled" in sizes else "mean" if "mean" in sizes else None
        case facts.terms.Operation(name="neg", operands=(one,)):
            return _size(source, one, n)
        case facts.terms.Operation(name="mul", operands=(left, right)):
            factor = facts.terms.number(left) or facts.terms.number(right)
            if factor is None:
                return None
            other = left if facts.terms.number(left) is None else right
            return "scaled" if n and abs(factor * n - 1) < 1e-6 else _size(source, other, n)
        case facts.terms.Operation(name="mean", positional=(), keywords=keywords) if not keywords:
            return "mean"
        case facts.terms.Operation() if facts.reductions.reduction(term) == "mean":
            return "mean"
        case facts.terms.Attribute(name="loss", base=facts.terms.Call()):
            is_hub = "transformers" in source.ask(facts.syntax).packages
            return "mean" if is_hub else None
        case _:
            return None


def _report(source: SourceFile, one: _Accumulated) -> Report:
    n = source.code(one.steps)
    stepped = facts.terms.options(one.step.target) if one.step.target is not None else ()
    is_adaptive = any(
        isinstance(made, facts.terms.Instance) and _ADAPTIVE.search(made.dotted) is not None
        for made in stepped
    )
    return Report(
        one.backward.node,
        f"the step gets the sum of {n} mean gradients: nothing divides by {n}",
        severity=Severity.NOTE if is_adaptive else None,
        related=(Mark(one.step.node, f"applied here, after {n} rounds"),),
        fix=_fix(source, one),
    )


def _fix(source: SourceFile, one: _Accumulated) -> ProposedFix | None:
    backward = one.backward
    if backward.scope is not one.step.scope or facts.statements.every_nth_round(source, backward.statement):
        return None
    loss = facts.writing.loss_of(backward)
    if loss is None:
        return None
    text = f"{source.code(loss)} / {source.code(one.steps)}"
    if backward.scaler is None:
        text = f"({text})"
    return ProposedFix("Divide the loss", Applicability.UNSAFE, (Replace(loss, text),))
