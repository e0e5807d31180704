"""STB701 clip-grad-without-unscale: the scale of mixed precision is clipped away with the gradient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import InsertBefore, Mark, ProposedFix, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.events import Event
    from stablint.static.facts.programs import Program
    from stablint.static.source import SourceFile


class ClipGradWithoutUnscale(StaticRule):
    """Gradients are clipped while they are still multiplied by the `GradScaler`'s factor.

    ## What it does

    Reports gradient clipping between `scaler.scale(loss).backward()` and `scaler.step(optimizer)` where
    `scaler.unscale_(optimizer)` has not run before the clip on the same path.

    ## Why it is bad

    `GradScaler` starts with a factor of 65,536. A healthy gradient of norm 0.6 then has norm 37,660;
    clipped to 1.0 and divided by the factor in `scaler.step`, it arrives at the optimizer with norm
    1.5e-5 (torch 2.13). Every batch is clipped, by a bound that nobody chose, and the update is about
    1/65,536 of what was asked for. Nothing overflows and nothing is raised; the model just hardly moves.
    When the factor changes, the effective bound changes with it.

    ## Example

    ```python
    scaler.scale(loss).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    ```

    ## Use instead

    ```python
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    ```

    ## When to ignore it

    When the object called scaler unscales by itself in a way that the rule cannot see.
    `GradScaler(enabled=False)`, Accelerate's and Fabric's own clipping, and apex are known and not
    reported.

    ## Fix safety

    Unsafe: updates become as large as they were meant to be. `unscale_` of the optimizer that is stepped
    next is inserted before the clip. No fix is offered where `unscale_` already comes later: a second
    one would raise.

    ## References

    - [Gradient clipping with scaled gradients](https://docs.pytorch.org/docs/stable/notes/amp_examples.html#gradient-clipping)
    - [torch.amp.GradScaler](https://docs.pytorch.org/docs/stable/amp.html#gradient-scaling)
    - [torch.nn.utils.clip_grad_norm_](https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html)
    """

    code = "STB701"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # the plain form
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # flagged
        scaler.step(optimizer)
        scaler.update()
""",
        # a trainer, an older import, clipping by value
        """\
import torch
from torch import nn
from torch.cuda.amp import GradScaler, autocast

class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        self.scaler = GradScaler()
        self.criterion = nn.CrossEntropyLoss()

    def step(self, x, y):
        self.optimizer.zero_grad()
        with autocast():
            loss = self.criterion(self.model(x), y)
        self.scaler.scale(loss).backward()
        nn.utils.clip_grad_value_(self.model.parameters(), 0.5)  # flagged
        self.scaler.step(self.optimizer)
        self.scaler.update()
""",
        # backward, and the step, in helpers; the scaler is an argument
        """\
import torch
import torch.nn.functional as F
from torch.nn.utils import clip_grad_norm_

def backward(loss, scaler):
    scaler.scale(loss).backward()

def finish(optimizer, scaler):
    scaler.step(optimizer)
    scaler.update()

def train(model, loader, optimizer, scaler: torch.cuda.amp.GradScaler):
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.mse_loss(model(x), y)
        backward(loss, scaler)
        clip_grad_norm_(model.parameters(), 5.0)  # flagged
        finish(optimizer, scaler)
""",
        # the branch with the scaler
        """\
import torch
import torch.nn.functional as F

def train(args, model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cuda") if args.amp else None
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16, enabled=args.amp):
            loss = F.cross_entropy(model(x), y)
        if scaler is not None:
            scaler.scale(loss).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)  # flagged
            scaler.step(optimizer)
            scaler.update()
        else:
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)
            optimizer.step()
""",
        # under an option, at the end of an accumulation window
        """\
import torch
import torch.nn.functional as F

def train(args, model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.cuda.amp.GradScaler(init_scale=2.0**14)
    for i, (x, y) in enumerate(loader):
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y) / args.accumulate
        scaler.scale(loss).backward()
        if (i + 1) % args.accumulate == 0:
            if args.max_norm > 0:
                torch.nn.utils.clip_grad_norm_(model.parameters(), args.max_norm)  # flagged
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
""",
        # the other optimizer was unscaled
        """\
import torch
import torch.nn.functional as F
from torch.nn.utils import clip_grad_norm_

def train(G, D, loader):
    opt_g = torch.optim.Adam(G.parameters(), lr=2e-4)
    opt_d = torch.optim.Adam(D.parameters(), lr=2e-4)
    scaler = torch.amp.GradScaler("cuda")
    for real in loader:
        with torch.autocast("cuda", dtype=torch.float16):
            fake = G(torch.randn(real.size(0), 64, device="cuda"))
            d_loss = F.softplus(D(fake.detach())).mean() + F.softplus(-D(real)).mean()
        opt_d.zero_grad()
        scaler.scale(d_loss).backward()
        scaler.unscale_(opt_d)
        clip_grad_norm_(D.parameters(), 1.0)
        scaler.step(opt_d)

        with torch.autocast("cuda", dtype=torch.float16):
            g_loss = F.softplus(-D(fake)).mean()
        opt_g.zero_grad()
        scaler.scale(g_loss).backward()
        clip_grad_norm_(G.parameters(), 1.0)  # flagged
        scaler.step(opt_g)
        scaler.update()
""",
        # unscaled too late
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # flagged
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
""",
        # clipped by hand
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.RMSprop(model.parameters())
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.smooth_l1_loss(model(x), y)
        scaler.scale(loss).backward()
        for p in model.parameters():
            p.grad.data.clamp_(-1, 1)  # flagged
        scaler.step(optimizer)
        scaler.update()
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # flagged
        scaler.step(optimizer)
        scaler.update()
""",
        """\
import torch
from torch import nn
from torch.cuda.amp import GradScaler, autocast

class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        self.scaler = GradScaler()
        self.criterion = nn.CrossEntropyLoss()

    def step(self, x, y):
        self.optimizer.zero_grad()
        with autocast():
            loss = self.criterion(self.model(x), y)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_value_(self.model.parameters(), 0.5)  # flagged
        self.scaler.step(self.optimizer)
        self.scaler.update()
""",
        """\
import torch
import torch.nn.functional as F
from torch.nn.utils import clip_grad_norm_

def backward(loss, scaler):
    scaler.scale(loss).backward()

def finish(optimizer, scaler):
    scaler.step(optimizer)
    scaler.update()

def train(model, loader, optimizer, scaler: torch.cuda.amp.GradScaler):
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.mse_loss(model(x), y)
        backward(loss, scaler)
        scaler.unscale_(optimizer)
        clip_grad_norm_(model.parameters(), 5.0)  # flagged
        finish(optimizer, scaler)
""",
        """\
import torch
import torch.nn.functional as F

def train(args, model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cuda") if args.amp else None
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16, enabled=args.amp):
            loss = F.cross_entropy(model(x), y)
        if scaler is not None:
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)  # flagged
            scaler.step(optimizer)
            scaler.update()
        else:
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)
            optimizer.step()
""",
        """\
import torch
import torch.nn.functional as F

def train(args, model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.cuda.amp.GradScaler(init_scale=2.0**14)
    for i, (x, y) in enumerate(loader):
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y) / args.accumulate
        scaler.scale(loss).backward()
        if (i + 1) % args.accumulate == 0:
            if args.max_norm > 0:
                scaler.unscale_(optimizer)
                torch.nn.utils.clip_grad_norm_(model.parameters(), args.max_norm)  # flagged
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
""",
        """\
import torch
import torch.nn.functional as F
from torch.nn.utils import clip_grad_norm_

def train(G, D, loader):
    opt_g = torch.optim.Adam(G.parameters(), lr=2e-4)
    opt_d = torch.optim.Adam(D.parameters(), lr=2e-4)
    scaler = torch.amp.GradScaler("cuda")
    for real in loader:
        with torch.autocast("cuda", dtype=torch.float16):
            fake = G(torch.randn(real.size(0), 64, device="cuda"))
            d_loss = F.softplus(D(fake.detach())).mean() + F.softplus(-D(real)).mean()
        opt_d.zero_grad()
        scaler.scale(d_loss).backward()
        scaler.unscale_(opt_d)
        clip_grad_norm_(D.parameters(), 1.0)
        scaler.step(opt_d)

        with torch.autocast("cuda", dtype=torch.float16):
            g_loss = F.softplus(-D(fake)).mean()
        opt_g.zero_grad()
        scaler.scale(g_loss).backward()
        scaler.unscale_(opt_g)
        clip_grad_norm_(G.parameters(), 1.0)  # flagged
        scaler.step(opt_g)
        scaler.update()
""",
        None,
        None,
    ]

    good = [
        # unscaled, clipped, stepped
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
""",
        # no clipping
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        for p in model.parameters():
            p.data.clamp_(-2, 2)
""",
        # switched off: the factor is 1
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cuda", enabled=False)
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
""",
        # only the branch without a scaler clips as it is
        """\
import torch
import torch.nn.functional as F

def train(args, model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cuda") if args.amp else None
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16, enabled=args.amp):
            loss = F.cross_entropy(model(x), y)
        if scaler is None:
            loss.backward()
        else:
            scaler.scale(loss).backward()
        if args.clip is not None:
            if scaler is not None:
                scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
""",
        # the helper unscales
        """\
import torch
import torch.nn.functional as F

def clip(model, optimizer, scaler, bound):
    scaler.unscale_(optimizer)
    return torch.nn.utils.clip_grad_norm_(model.parameters(), bound)

def train(model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        clip(model, optimizer, scaler, 1.0)
        scaler.step(optimizer)
        scaler.update()
""",
        # a scaler class in the manner of timm
        """\
import torch

class NativeScaler:
    def __init__(self):
        self._scaler = torch.amp.GradScaler("cuda")

    def __call__(self, loss, optimizer, clip_grad=None, parameters=None, update_grad=True):
        self._scaler.scale(loss).backward()
        if not update_grad:
            return None
        self._scaler.unscale_(optimizer)
        norm = None
        if clip_grad is not None:
            norm = torch.nn.utils.clip_grad_norm_(parameters, clip_grad)
        self._scaler.step(optimizer)
        self._scaler.update()
        return norm

def train(model, loader, criterion):
    optimizer = torch.optim.AdamW(model.parameters())
    loss_scaler = NativeScaler()
    for x, y in loader:
        optimizer.zero_grad()
        loss_scaler(criterion(model(x), y), optimizer, clip_grad=1.0, parameters=model.parameters())
""",
        # Accelerate unscales by itself, and so does Fabric
        """\
import torch
from accelerate import Accelerator
from lightning.fabric import Fabric

def with_accelerate(model, loader):
    accelerator = Accelerator(mixed_precision="fp16")
    optimizer = torch.optim.AdamW(model.parameters())
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for batch in loader:
        optimizer.zero_grad()
        accelerator.backward(model(**batch).loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

def with_fabric(model, loader):
    fabric = Fabric(precision="16-mixed")
    model, optimizer = fabric.setup(model, torch.optim.AdamW(model.parameters()))
    for batch in loader:
        optimizer.zero_grad()
        fabric.backward(model(**batch).loss)
        fabric.clip_gradients(model, optimizer, max_norm=1.0)
        optimizer.step()
""",
        # apex keeps unscaled masters
        """\
import torch
import torch.nn.functional as F
from apex import amp

def train(model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    model, optimizer = amp.initialize(model, optimizer, opt_level="O1")
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        with amp.scale_loss(loss, optimizer) as scaled_loss:
            scaled_loss.backward()
        torch.nn.utils.clip_grad_norm_(amp.master_params(optimizer), 1.0)
        optimizer.step()
""",
        # an optimizer of our own that unscales before it clips
        """\
import torch
from optim import ScaledOptimizer

def train(model, loader, criterion):
    optimizer = ScaledOptimizer(model, torch.optim.AdamW, fp16=True)
    for x, y in loader:
        loss = criterion(model(x), y)
        optimizer.scaler.scale(loss).backward()
        optimizer.clip_master_grads(1.0)
        optimizer.step()
""",
        # a scaler of data
        """\
import torch
import torch.nn.functional as F
from sklearn.preprocessing import StandardScaler

def train(model, inputs, targets):
    scaler = StandardScaler()
    x = torch.tensor(scaler.fit_transform(inputs), dtype=torch.float32)
    y = torch.tensor(targets)
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
""",
        # unscaled once per window, clipped there
        """\
import torch
import torch.nn.functional as F

def train(model, loader, accumulate):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cuda")
    for i, (x, y) in enumerate(loader):
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y) / accumulate
        scaler.scale(loss).backward()
        if (i + 1) % accumulate == 0:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
""",
        # the unscaled loss of a second model beside the scaled one
        """\
import torch
import torch.nn.functional as F

def train(big, small, loader):
    opt_big = torch.optim.AdamW(big.parameters())
    opt_small = torch.optim.SGD(small.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        opt_small.zero_grad()
        F.mse_loss(small(x), y).backward()
        torch.nn.utils.clip_grad_norm_(small.parameters(), 1.0)
        opt_small.step()

        opt_big.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.mse_loss(big(x), y)
        scaler.scale(loss).backward()
        scaler.step(opt_big)
        scaler.update()
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each clipping of gradients that are still scaled on every path and then stepped by the scaler."""
        seen: set[object] = set()
        for root in source.ask(facts.training_paths):
            for clipped in _clipped_scaled(root.path):
                if clipped.clip.node not in seen:
                    seen.add(clipped.clip.node)
                    yield _report(source, clipped)


_PLAIN, _SCALED = "not scaled", "scaled"


@dataclass(frozen=True, slots=True)
class _Clipped:
    """Scaled gradients that were clipped; `is_late` where they are unscaled after that."""

    clip: Event
    is_late: bool = False
    step: Event | None = None


def _clipped_scaled(path: Program) -> list[_Clipped]:
    kinds = facts.events.Kind
    found: list[_Clipped] = []

    def transfer(states: frozenset[object], event: Event) -> frozenset[object]:
        match event.kind:
            case kinds.BACKWARD:
                return frozenset({_SCALED if _scales(event) else _PLAIN})
            case kinds.UNSCALE:
                return frozenset(
                    replace(state, is_late=True) if isinstance(state, _Clipped) else _PLAIN
                    for state in states
                )
            case kinds.CLIP if event.subject is None and states == {_SCALED}:
                # `accelerator.clip_grad_norm_` has a subject and unscales by itself.
                return frozenset({_Clipped(event)})
            case kinds.STEP:
                if event.scaler is not None:
                    found.extend(
                        replace(state, step=event) for state in states if isinstance(state, _Clipped)
                    )
                return frozenset({_PLAIN})
            case _:
                return states

    facts.automaton.Automaton(transfer).run(path, frozenset({_PLAIN}))
    return found


def _scales(backward: Event) -> bool:
    """Whether a backward is of `scaler.scale(loss)`, by a scaler that is not switched off."""
    if backward.scaler is None or facts.roles.role(backward.scaler) != "scaler":
        return False
    for option in facts.terms.options(backward.scaler):
        enabled = option.keywords.get("enabled") if isinstance(option, facts.terms.Instance) else None
        if isinstance(enabled, facts.terms.Constant) and enabled.value is False:
            return False
    return True


def _report(source: SourceFile, clipped: _Clipped) -> Report:
    assert clipped.step is not None
    return Report(
        clipped.clip.node,
        "the gradients are still multiplied by the scaler's factor (65536 at first) when they are clipped",
        related=(Mark(clipped.step.node, "`step()` divides what is left by the factor"),),
        fix=_fix(source, clipped.clip, clipped.step, clipped.is_late),
    )


def _fix(source: SourceFile, clip: Event, step: Event, is_late: bool) -> ProposedFix | None:
    if clip.statement is None or clip.target is None or is_late:
        return None  # clipped by hand, or unscaled too late: what to move is for the reader to say
    optimizer = facts.writing.written(source, step.target, step, clip.scope)
    scaler = facts.writing.written(source, step.scaler, step, clip.scope)
    if optimizer is None or scaler is None:
        return None
    text = f"{scaler}.unscale_({optimizer})"
    return ProposedFix(
        f"Unscale first: `{text}`", Applicability.UNSAFE, (InsertBefore(clip.statement, text),)
    )
