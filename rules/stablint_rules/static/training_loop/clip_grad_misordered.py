"""STB102 clip-grad-misordered: gradients are clipped when it no longer, or not yet, matters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import InsertBefore, Mark, ProposedFix, Remove, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.events import Event
    from stablint.static.facts.paths import Root
    from stablint.static.facts.programs import Program
    from stablint.static.source import SourceFile


class ClipGradMisordered(StaticRule):
    """Gradient clipping that runs after `step()` or before `backward()`, so that it never changes the update.

    ## What it does

    Follows `backward()`, gradient clipping (`clip_grad_norm_`, `clip_grad_value_`, a hand-written clamp
    of `p.grad`) and `step()` in the order in which they run, and reports a clip

    - after the `step()` that has used the gradients, or before any `backward()` has made them,
    - of every micro-batch of an accumulation window, where it clips a partial sum instead of the
      gradient,
    - in Lightning's `training_step` under automatic optimisation, where `backward()` comes later.

    ## Why it is bad

    `clip_grad_norm_` scales `.grad` in place and returns the norm *before* clipping. After `step()` the
    damage is done, and the next `zero_grad()` throws the clipped gradients away. Before `backward()`
    there is nothing to clip: it returns 0.0 without a word (torch 2.13). Either way the run trains
    unclipped while the code says otherwise, and the explosion that the clip was written for happens on
    the one batch where it matters.

    ## Example

    ```python
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    ```

    ## Use instead

    ```python
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    ```

    In Lightning, set `Trainer(gradient_clip_val=1.0)` or override `configure_gradient_clipping`.

    ## When to ignore it

    When the call only measures: with `max_norm=float("inf")` nothing is clipped, and the rule is silent.
    Bounding each micro-batch on purpose is better said by clipping per-sample gradients into a buffer of
    their own, as differentially private training does; that is not reported either.

    ## Fix safety

    Unsafe: the clip starts to work, so the run changes. The clip is moved in front of the `step()` where
    both are statements of one block. With a `GradScaler` no fix is offered, because an `unscale_` is
    needed as well.

    ## References

    - [torch.nn.utils.clip_grad_norm_](https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html)
    - [torch.nn.utils.clip_grad_value_](https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_value_.html)
    - [Gradient clipping with scaled gradients](https://docs.pytorch.org/docs/stable/notes/amp_examples.html#gradient-clipping)
    """

    code = "STB102"
    severity = Severity.WARNING
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # after the step
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
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # flagged
""",
        # before the backward, and its result is logged
        """\
import torch
import torch.nn.functional as F
from torch.nn.utils import clip_grad_norm_

def train(model, loader, log):
    opt = torch.optim.Adam(model.parameters())
    for x, y in loader:
        opt.zero_grad()
        norm = clip_grad_norm_(model.parameters(), max_norm=5.0)  # flagged
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        log(loss.item(), norm.item())
""",
        # first thing in the loop: clips what the last step has used
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
        self.loss_fn = nn.MSELoss()

    def run_epoch(self, loader):
        for x, y in loader:
            nn.utils.clip_grad_value_(self.model.parameters(), 0.5)  # flagged
            self.optimizer.zero_grad()
            loss = self.loss_fn(self.model(x), y)
            loss.backward()
            self.optimizer.step()
""",
        # backward and step are in a helper
        """\
import torch
import torch.nn.functional as F

def apply(loss, optimizer):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        apply(loss, optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)  # flagged
""",
        # every micro-batch of a window
        """\
import torch
import torch.nn.functional as F

def train(model, loader, accumulate):
    optimizer = torch.optim.AdamW(model.parameters())
    for i, (x, y) in enumerate(loader):
        loss = F.cross_entropy(model(x), y) / accumulate
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # flagged
        if (i + 1) % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
""",
        # after the scaler's step
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
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # flagged
""",
        # Lightning calls backward after training_step
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
        loss = F.cross_entropy(self.net(x), y)
        torch.nn.utils.clip_grad_norm_(self.parameters(), 1.0)  # flagged
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())
""",
        # of two optimizers, one is clipped in time
        """\
import torch
from torch.nn.utils import clip_grad_norm_

def train(G, D, loader):
    opt_g = torch.optim.Adam(G.parameters(), lr=1e-4)
    opt_d = torch.optim.Adam(D.parameters(), lr=1e-4)
    for real in loader:
        fake = G(torch.randn(real.size(0), 64))
        opt_d.zero_grad()
        d_loss = D(fake.detach()).mean() - D(real).mean()
        d_loss.backward()
        clip_grad_norm_(D.parameters(), 1.0)
        opt_d.step()

        opt_g.zero_grad()
        g_loss = -D(fake).mean()
        g_loss.backward()
        opt_g.step()
        clip_grad_norm_(G.parameters(), 1.0)  # flagged
""",
        # under an option
        """\
import torch
import torch.nn.functional as F

def train(args, model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
    for x, y in loader:
        model.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        if args.clip > 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)  # flagged
""",
        # Accelerate's clip
        """\
import torch
from accelerate import Accelerator

def main(model, loader):
    accelerator = Accelerator()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for batch in loader:
        loss = model(**batch).loss
        accelerator.backward(loss)
        optimizer.step()
        accelerator.clip_grad_norm_(model.parameters(), 1.0)  # flagged
        optimizer.zero_grad()
""",
        # by hand
        """\
import torch
import torch.nn.functional as F

def optimize(policy_net, optimizer: torch.optim.Optimizer, memory):
    for batch in memory:
        loss = F.smooth_l1_loss(policy_net(batch.state), batch.target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for param in policy_net.parameters():
            param.grad.data.clamp_(-1, 1)  # flagged
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
""",
        """\
import torch
import torch.nn.functional as F
from torch.nn.utils import clip_grad_norm_

def train(model, loader, log):
    opt = torch.optim.Adam(model.parameters())
    for x, y in loader:
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        norm = clip_grad_norm_(model.parameters(), max_norm=5.0)
        opt.step()
        log(loss.item(), norm.item())
""",
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
        self.loss_fn = nn.MSELoss()

    def run_epoch(self, loader):
        for x, y in loader:
            self.optimizer.zero_grad()
            loss = self.loss_fn(self.model(x), y)
            loss.backward()
            nn.utils.clip_grad_value_(self.model.parameters(), 0.5)
            self.optimizer.step()
""",
        None,
        None,
        None,
        None,
        """\
import torch
from torch.nn.utils import clip_grad_norm_

def train(G, D, loader):
    opt_g = torch.optim.Adam(G.parameters(), lr=1e-4)
    opt_d = torch.optim.Adam(D.parameters(), lr=1e-4)
    for real in loader:
        fake = G(torch.randn(real.size(0), 64))
        opt_d.zero_grad()
        d_loss = D(fake.detach()).mean() - D(real).mean()
        d_loss.backward()
        clip_grad_norm_(D.parameters(), 1.0)
        opt_d.step()

        opt_g.zero_grad()
        g_loss = -D(fake).mean()
        g_loss.backward()
        clip_grad_norm_(G.parameters(), 1.0)
        opt_g.step()
""",
        None,
        """\
import torch
from accelerate import Accelerator

def main(model, loader):
    accelerator = Accelerator()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for batch in loader:
        loss = model(**batch).loss
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
""",
        None,
    ]

    good = [
        # between backward and step
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
""",
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
        # an infinite bound measures and clips nothing
        """\
import math
import torch
import torch.nn.functional as F

def train(model, loader, writer):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), float("inf"))
        writer.add_scalar("grad_norm", norm, step)

def norm_of(model):
    return torch.nn.utils.clip_grad_norm_(model.parameters(), math.inf).item()
""",
        # clamping weights is another thing
        """\
import torch

def train_critic(critic, generator, loader):
    optimizer = torch.optim.RMSprop(critic.parameters(), lr=5e-5)
    for real in loader:
        fake = generator(torch.randn(real.size(0), 64)).detach()
        optimizer.zero_grad()
        loss = critic(fake).mean() - critic(real).mean()
        loss.backward()
        optimizer.step()
        for p in critic.parameters():
            p.data.clamp_(-0.01, 0.01)
""",
        # after the discriminator's step, the generator's gradients are clipped before the generator's step
        """\
import torch
from torch.nn.utils import clip_grad_norm_

def train(G, D, loader):
    opt_g = torch.optim.Adam(G.parameters(), lr=1e-4)
    opt_d = torch.optim.Adam(D.parameters(), lr=1e-4)
    for real in loader:
        opt_g.zero_grad()
        opt_d.zero_grad()
        fake = G(torch.randn(real.size(0), 64))
        g_loss = -D(fake).mean()
        g_loss.backward()
        opt_d.zero_grad()
        d_loss = D(fake.detach()).mean() - D(real).mean()
        d_loss.backward()
        clip_grad_norm_(D.parameters(), 1.0)
        opt_d.step()
        clip_grad_norm_(G.parameters(), 1.0)
        opt_g.step()
""",
        # clip and step are in a helper
        """\
import torch
import torch.nn.functional as F

def optimizer_step(model, optimizer, max_norm):
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    optimizer.zero_grad()

def train(model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()
        optimizer_step(model, optimizer, 1.0)
""",
        # once per accumulation window
        """\
import torch
import torch.nn.functional as F

def train(model, loader, accumulate):
    optimizer = torch.optim.AdamW(model.parameters())
    for i, (x, y) in enumerate(loader):
        (F.cross_entropy(model(x), y) / accumulate).backward()
        if (i + 1) % accumulate == 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
""",
        # Accelerate says when gradients are whole
        """\
import torch
from accelerate import Accelerator

def main(model, loader):
    accelerator = Accelerator(gradient_accumulation_steps=4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for batch in loader:
        with accelerator.accumulate(model):
            accelerator.backward(model(**batch).loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
""",
        # Lightning's hooks run between backward and step; manual optimisation orders itself
        """\
import lightning as L
import torch
import torch.nn.functional as F

class Hooked(L.LightningModule):
    def on_before_optimizer_step(self, optimizer):
        torch.nn.utils.clip_grad_norm_(self.parameters(), 1.0)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())

class Manual(L.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.automatic_optimization = False
        self.net = net

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(F.cross_entropy(self.net(x), y))
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        optimizer.step()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())
""",
        # differential privacy: each sample's gradient is bounded, then summed apart
        """\
import torch
import torch.nn.functional as F

def private_step(model, optimizer, samples, sigma):
    params = list(model.parameters())
    for p in params:
        p.total = torch.zeros_like(p)
    for x, y in samples:
        model.zero_grad()
        F.cross_entropy(model(x[None]), y[None]).backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        for p in params:
            p.total += p.grad
    for p in params:
        p.grad = (p.total + sigma * torch.randn_like(p)) / len(samples)
    optimizer.step()
""",
        # gradients come from somewhere else
        """\
import torch
from engine import compute_gradients

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch in loader:
        optimizer.zero_grad()
        compute_gradients(model, batch)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
""",
        # a closure, and two backward passes for one update
        """\
import torch
import torch.nn.functional as F

def fit(model, x, y):
    optimizer = torch.optim.LBFGS(model.parameters())
    def closure():
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        return loss
    for _ in range(20):
        optimizer.step(closure)

def sharpness_aware(model, optimizer, loader):
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()
        optimizer.first_step(zero_grad=True)
        F.cross_entropy(model(x), y).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.second_step(zero_grad=True)
""",
        # a method of that name on an object of our own
        """\
import torch.nn.functional as F
from trainer import MixedPrecisionOptimizer

def train(model, loader):
    optimizer = MixedPrecisionOptimizer.build(model)
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        optimizer.backward(loss)
        optimizer.clip_grad_norm(1.0)
        optimizer.step()
        optimizer.zero_grad()
""",
        # by hand, in time
        """\
import torch
import torch.nn.functional as F

def optimize(policy_net, optimizer: torch.optim.Optimizer, memory):
    for batch in memory:
        loss = F.smooth_l1_loss(policy_net(batch.state), batch.target)
        optimizer.zero_grad()
        loss.backward()
        for param in policy_net.parameters():
            param.grad.data.clamp_(-1, 1)
        optimizer.step()
""",
        # an actor's update and a critic's, each with its own clip
        """\
import torch
from torch import nn

class Learner:
    def __init__(self, actor, critic):
        self.actor, self.critic = actor, critic
        self.actor_optim = torch.optim.Adam(actor.parameters(), lr=1e-4)
        self.critic_optim = torch.optim.Adam(critic.parameters(), lr=1e-3)

    def learn(self, batches):
        for batch in batches:
            self.critic_optim.zero_grad()
            nn.functional.mse_loss(self.critic(batch.obs), batch.target).backward()
            nn.utils.clip_grad_norm_(self.critic.parameters(), 0.5)
            self.critic_optim.step()

            self.actor_optim.zero_grad()
            (-self.critic(self.actor(batch.obs)).mean()).backward()
            nn.utils.clip_grad_norm_(self.actor.parameters(), 0.5)
            self.actor_optim.step()
""",
        # helpers seen alone: who calls them, and when, is unknown
        """\
import torch

def clip(model, bound=1.0):
    return torch.nn.utils.clip_grad_norm_(model.parameters(), bound)

class Clipper:
    def __init__(self, bound):
        self.bound = bound

    def __call__(self, optimizer: torch.optim.Optimizer):
        for group in optimizer.param_groups:
            torch.nn.utils.clip_grad_norm_(group["params"], self.bound)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each clipping that stands where it changes no update."""
        seen: set[object] = set()
        for root in source.ask(facts.training_paths):
            for report in (*_out_of_order(source, root), *_every_micro_batch(source, root)):
                if report.node not in seen:
                    seen.add(report.node)
                    yield report
        yield from _in_lightning(source)


@dataclass(frozen=True, slots=True)
class _Misplaced:
    """A clipping that meets gradients which a step has used (`after`), or which are not there yet."""

    clip: Event
    after: Event | None = None


_UNKNOWN, _EMPTY, _FULL = "unknown", "cleared", "computed"


def _misplaced(path: Program) -> list[_Misplaced]:
    kinds = facts.events.Kind
    found: list[_Misplaced] = []

    def pending(states: frozenset[object]) -> list[_Misplaced]:
        return [state for state in states if isinstance(state, _Misplaced)]

    def transfer(states: frozenset[object], event: Event) -> frozenset[object]:
        match event.kind:
            case kinds.BACKWARD:
                found.extend(pending(states))
                return frozenset({_FULL})
            case kinds.ZERO_GRAD:
                found.extend(one for one in pending(states) if one.after is not None)
                return frozenset({_EMPTY})
            case kinds.OPAQUE:
                return frozenset({_UNKNOWN})
            case kinds.STEP:
                # A clipping between the steps of two optimizers may be meant for the second one.
                return frozenset({event})
            case kinds.CLIP:
                return _clipped(states, event)
            case _:
                return states

    end = facts.automaton.Automaton(transfer).run(path, frozenset({_UNKNOWN}))
    found += [one for one in pending(end.on | end.returns) if one.after is not None]
    return found


def _clipped(states: frozenset[object], clip: Event) -> frozenset[object]:
    known = states - {_UNKNOWN}
    if not known or any(state is _FULL or isinstance(state, _Misplaced) for state in known):
        return states
    steps = [state for state in known if isinstance(state, facts.events.Event)]
    return frozenset({_Misplaced(clip, steps[0] if steps else None)})


def _out_of_order(source: SourceFile, root: Root) -> Iterator[Report]:
    for one in _misplaced(root.path):
        if one.after is not None:
            message = "the gradients are clipped after `step()` has applied them"
            related: tuple[Mark, ...] = (Mark(one.after.node, "applied here, unclipped"),)
        else:
            message, related = "the gradients are clipped before `backward()` computes them", ()
        yield Report(one.clip.node, message, related=related, fix=_fix(source, root, one))


def _fix(source: SourceFile, root: Root, misplaced: _Misplaced) -> ProposedFix | None:
    clip = misplaced.clip.statement
    for step in facts.paths.events_in(root.path, facts.events.Kind.STEP):
        belongs = misplaced.after is None or step is misplaced.after
        if belongs and clip is not None and step.scaler is None and step.statement is not None:
            if not facts.statements.same_suite(source, clip, step.statement):
                continue
            changes = (Remove(clip), InsertBefore(step.statement, facts.statements.text_of(source, clip)))
            return ProposedFix("Clip between `backward()` and `step()`", Applicability.UNSAFE, changes)
    return None


def _every_micro_batch(source: SourceFile, root: Root) -> Iterator[Report]:
    """Report a clipping in every round of a loop whose step is taken in every n-th one only."""
    kinds = facts.events.Kind
    for rounds in facts.paths.rounds_in(root.path):
        here = facts.paths.events_in(rounds.body, kinds.STEP, kinds.CLIP, kinds.BACKWARD)
        steps = [event for event in here if event.kind is kinds.STEP]
        if not steps or not all(facts.statements.every_nth_round(source, step.statement) for step in steps):
            continue
        loop = facts.statements.innermost_loop(source, steps[0].statement)
        backward = any(event.kind is kinds.BACKWARD for event in here)
        for clip in here:
            if clip.kind is kinds.CLIP and backward and _unguarded(source, clip, loop):
                yield Report(
                    clip.node,
                    "every micro-batch's sum of gradients is clipped, not the one that is applied",
                    severity=Severity.WARNING,
                    related=(Mark(steps[0].node, "applied here, every n-th round"),),
                )


def _unguarded(source: SourceFile, clip: Event, loop: object) -> bool:
    here = facts.statements.innermost_loop(source, clip.statement)
    if clip.target is None or here is None or here is not loop:
        return False
    return not any(
        "%" in guard or "sync" in guard for guard in facts.statements.guards(source, clip.statement)
    )


def _in_lightning(source: SourceFile) -> Iterator[Report]:
    """Report a clipping in `training_step`: Lightning calls `backward()` after it."""
    shape = source.ask(facts.syntax)
    if "training_step" not in shape.identifiers or shape.identifiers & {
        "manual_backward",
        "automatic_optimization",
    }:
        return
    interpreter = source.ask(facts.values).interpreter
    for site in source.ask(facts.operations).by_name.get("clip_grad_norm_", ()):
        owner = site.scope.owner
        if (
            site.scope.name == "training_step"
            and owner is not None
            and "Lightning" in (interpreter.hierarchy.outer_base(owner) or "")
        ):
            yield Report(site.node, "`training_step` clips before Lightning calls `backward()`")
