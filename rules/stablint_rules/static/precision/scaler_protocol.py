"""STB703 scaler-protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import InsertAfter, Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.events import Event
    from stablint.static.facts.programs import Program
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class ScalerProtocol(StaticRule):
    """A `GradScaler` is left out of one of its three parts: scaled backward, `scaler.step`, `scaler.update`.

    ## What it does
    Reports `optimizer.step()` on gradients of `scaler.scale(loss).backward()` that nothing has unscaled,
    `scaler.step(optimizer)` on gradients of a backward without `scaler.scale` where the same scaler scales
    another loss, and `optimizer.step()` after `scaler.step(optimizer)`, which has stepped already. A `GradScaler`
    in a file whose every autocast is to bfloat16 is a note.

    ## Why it is bad
    The factor is 65,536 at first. A linear layer with the weight 1 that SGD should take to 0.8 is at -13,106 after
    one step on scaled gradients and at 343,571,168 after two; the other way around, the gradients are divided by a
    factor that they never had, and the weight is 0.999997 instead (measured with torch 2.13). Adam hides both until
    the factor changes or its epsilon is larger than what is left, and `inf` gradients are no longer skipped. A second
    step applies each gradient twice. PyTorch raises where a scaler that has scaled nothing steps, where it updates
    without a step, and where it steps twice without an update; that is not reported.

    ## Example
    ```python
    scaler.scale(loss).backward()
    optimizer.step()
    ```

    ## Use instead
    ```python
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    ```
    With several optimizers and one scaler, each backward is scaled, each optimizer is stepped by the scaler, and
    `update` comes once, at the end. bfloat16 has the range of float32 and needs no scaler.

    ## When to ignore it
    When the optimizer divides by the factor itself. Gradients that were unscaled, by `scaler.unscale_` or by hand,
    may be stepped plainly; `GradScaler(enabled=False)`, and branches of which one steps through the scaler and the
    other does not, are known. A scaler of which only the name is known is taken for one where it also updates.

    ## Fix safety
    Unsafe: what is trained changes, to what was meant. The step or the backward goes through the scaler, and
    `scaler.update()` is added where there is none. For a second step, and for bfloat16, there is no fix.

    ## References
    - [torch.amp.GradScaler](https://docs.pytorch.org/docs/stable/amp.html#gradient-scaling)
    - [Mixed precision examples](https://docs.pytorch.org/docs/stable/notes/amp_examples.html)
    """

    code = "STB703"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # the page's example
        """\
import torch
import torch.nn.functional as F


def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        optimizer.step()  # flagged
""",
        # two optimizers, of which one is forgotten
        """\
import torch
import torch.nn.functional as F
from torch.cuda.amp import GradScaler, autocast


class Trainer:
    def __init__(self, G, D):
        self.G, self.D = G, D
        self.opt_g = torch.optim.Adam(G.parameters())
        self.opt_d = torch.optim.Adam(D.parameters())
        self.scaler = GradScaler()

    def step(self, real, z):
        self.opt_d.zero_grad()
        with autocast():
            d_loss = F.softplus(self.D(self.G(z).detach())).mean() + F.softplus(-self.D(real)).mean()
        self.scaler.scale(d_loss).backward()
        self.scaler.step(self.opt_d)

        self.opt_g.zero_grad()
        with autocast():
            g_loss = F.softplus(-self.D(self.G(z))).mean()
        self.scaler.scale(g_loss).backward()
        self.opt_g.step()  # flagged
        self.scaler.update()
""",
        # the second loss is not scaled
        """\
import torch
import torch.nn.functional as F


def train(encoder, head, loader, scaler: torch.amp.GradScaler):
    opt_encoder = torch.optim.SGD(encoder.parameters(), lr=0.1)
    opt_head = torch.optim.SGD(head.parameters(), lr=0.1)
    for x, y in loader:
        opt_encoder.zero_grad()
        with torch.autocast("cuda"):
            loss = F.mse_loss(encoder(x), x)
        scaler.scale(loss).backward()
        scaler.step(opt_encoder)

        opt_head.zero_grad()
        with torch.autocast("cuda"):
            loss = F.cross_entropy(head(encoder(x).detach()), y)
        loss.backward()
        scaler.step(opt_head)  # flagged
        scaler.update()
""",
        # the scaled loss is thrown away
        """\
import torch
import torch.nn.functional as F


def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler()
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda"):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss)
        loss.backward()
        scaler.step(optimizer)  # flagged
        scaler.update()
""",
        # stepped twice
        """\
import torch
import torch.nn.functional as F


def train(model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda"):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.step()  # flagged
""",
        # through helpers, with a scaler that is only called so
        """\
import torch
import torch.nn.functional as F


def backward(scaler, loss):
    scaler.scale(loss).backward()


def update(optimizer, scaler):
    optimizer.step()  # flagged
    scaler.update()


def train(model, loader, scaler):
    optimizer = torch.optim.AdamW(model.parameters())
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda"):
            loss = F.cross_entropy(model(x), y)
        backward(scaler, loss)
        update(optimizer, scaler)
""",
        # bfloat16 needs no scaler
        """\
import torch
import torch.nn.functional as F


def train(model, loader):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cuda")  # flagged
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F


def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)  # flagged
        scaler.update()
""",
        """\
import torch
import torch.nn.functional as F
from torch.cuda.amp import GradScaler, autocast


class Trainer:
    def __init__(self, G, D):
        self.G, self.D = G, D
        self.opt_g = torch.optim.Adam(G.parameters())
        self.opt_d = torch.optim.Adam(D.parameters())
        self.scaler = GradScaler()

    def step(self, real, z):
        self.opt_d.zero_grad()
        with autocast():
            d_loss = F.softplus(self.D(self.G(z).detach())).mean() + F.softplus(-self.D(real)).mean()
        self.scaler.scale(d_loss).backward()
        self.scaler.step(self.opt_d)

        self.opt_g.zero_grad()
        with autocast():
            g_loss = F.softplus(-self.D(self.G(z))).mean()
        self.scaler.scale(g_loss).backward()
        self.scaler.step(self.opt_g)  # flagged
        self.scaler.update()
""",
        """\
import torch
import torch.nn.functional as F


def train(encoder, head, loader, scaler: torch.amp.GradScaler):
    opt_encoder = torch.optim.SGD(encoder.parameters(), lr=0.1)
    opt_head = torch.optim.SGD(head.parameters(), lr=0.1)
    for x, y in loader:
        opt_encoder.zero_grad()
        with torch.autocast("cuda"):
            loss = F.mse_loss(encoder(x), x)
        scaler.scale(loss).backward()
        scaler.step(opt_encoder)

        opt_head.zero_grad()
        with torch.autocast("cuda"):
            loss = F.cross_entropy(head(encoder(x).detach()), y)
        scaler.scale(loss).backward()
        scaler.step(opt_head)  # flagged
        scaler.update()
""",
        """\
import torch
import torch.nn.functional as F


def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler()
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda"):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss)
        scaler.scale(loss).backward()
        scaler.step(optimizer)  # flagged
        scaler.update()
""",
        None,
        None,
        None,
    ]

    good = [
        # the protocol
        """\
import torch
import torch.nn.functional as F


def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cuda")
    for i, (x, y) in enumerate(loader):
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y) / 4
        scaler.scale(loss).backward()
        if (i + 1) % 4 == 0:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
""",
        # with and without, in branches of their own
        """\
import torch
import torch.nn.functional as F


def train(args, model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cuda") if args.amp else None
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        if scaler is not None:
            scaler.scale(loss).backward()
        else:
            loss.backward()
        if scaler is not None:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()
""",
        # a scaler that is switched off scales nothing, and steps plainly
        """\
import torch
import torch.nn.functional as F


def train(args, model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cuda", enabled=args.amp)
    off = torch.amp.GradScaler("cuda", enabled=False)
    for x, y in loader:
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(model(x), y)).backward()
        if args.amp:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()
    for x, y in loader:
        optimizer.zero_grad()
        off.scale(F.cross_entropy(model(x), y)).backward()
        optimizer.step()
""",
        # unscaled, by the scaler and by hand
        """\
import torch
import torch.nn.functional as F


def careful(model, loader, optimizer, scaler: torch.amp.GradScaler):
    for x, y in loader:
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(model(x), y)).backward()
        scaler.unscale_(optimizer)
        optimizer.step()
        scaler.update()


def by_hand(model, loader, optimizer, scaler: torch.amp.GradScaler):
    for x, y in loader:
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(model(x), y)).backward()
        for p in model.parameters():
            p.grad = p.grad / scaler.get_scale()
        optimizer.step()
""",
        # another model without mixed precision
        """\
import torch
import torch.nn.functional as F


def train(big, small, loader):
    opt_big = torch.optim.AdamW(big.parameters())
    opt_small = torch.optim.SGD(small.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        opt_big.zero_grad()
        with torch.autocast("cuda"):
            loss = F.mse_loss(big(x), y)
        scaler.scale(loss).backward()
        scaler.step(opt_big)
        scaler.update()

        opt_small.zero_grad()
        F.mse_loss(small(x), y).backward()
        opt_small.step()
""",
        # two scaled losses, two optimizers, one update
        """\
import torch
import torch.nn.functional as F


def train(a, b, loader):
    opt_a, opt_b = torch.optim.AdamW(a.parameters()), torch.optim.AdamW(b.parameters())
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        opt_a.zero_grad()
        opt_b.zero_grad()
        with torch.autocast("cuda"):
            first, second = F.mse_loss(a(x), y), F.mse_loss(b(x), y)
        scaler.scale(first).backward(retain_graph=True)
        scaler.scale(second).backward()
        scaler.step(opt_a)
        scaler.step(opt_b)
        scaler.update()
""",
        # a sum of a scaled loss and more; a wrapper that scales and steps
        """\
import torch
import torch.nn.functional as F


def train(model, loader, optimizer, loss_scaler, scaler: torch.amp.GradScaler):
    for x, y in loader:
        optimizer.zero_grad()
        total = scaler.scale(F.mse_loss(model(x), y)) * 0.5
        total.backward()
        scaler.step(optimizer)
        scaler.update()
    for x, y in loader:
        optimizer.zero_grad()
        loss_scaler(F.mse_loss(model(x), y), optimizer, parameters=model.parameters())
""",
        # the fp16 optimizer of another library unscales before it steps
        """\
from fairlib import FP16Optimizer


def train(model, loader, criterion, optimizer, loss_scaler):
    optimizer = FP16Optimizer(optimizer)
    for x, y in loader:
        optimizer.zero_grad()
        loss_scaler.scale(criterion(model(x), y)).backward()
        optimizer.step()
""",
        # a helper that is given the scaler, an optimizer that knows it
        """\
import torch
import torch.nn.functional as F

from tools import ScaledOptimizer, scaled


def train(model, loader, optimizer, scaler: torch.amp.GradScaler):
    wrapped = ScaledOptimizer(optimizer, scaler)
    for x, y in loader:
        optimizer.zero_grad()
        loss = scaled(F.mse_loss(model(x), y), scaler)
        loss.backward()
        scaler.step(optimizer)
        scaler.update()
    for x, y in loader:
        wrapped.zero_grad()
        scaler.scale(F.mse_loss(model(x), y)).backward()
        wrapped.step()
    for x, y in loader:
        optimizer.zero_grad()
        scaler.scale(F.mse_loss(model(x), y)).backward()
        optimizer.step(scaler)
""",
        # a scaler that is only on for float16
        """\
import torch
import torch.nn.functional as F


def train(model, loader, dtype):
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cuda", enabled=(dtype == torch.float16))
    other = torch.amp.GradScaler("cuda")
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=dtype):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report steps that do not fit the gradients, and scalers beside bfloat16."""
        names = source.ask(facts.syntax).identifiers
        if _scales(source):  # a scaler that scales nothing raises when it steps
            seen: set[object] = set()
            for root in source.ask(facts.training_paths):
                for misfit in _misfits(root.path):
                    if misfit.step.node not in seen:
                        seen.add(misfit.step.node)
                        yield _report(source, root.path, misfit)
        if "GradScaler" in names and "bfloat16" in names:
            yield from _beside_bfloat16(source)


def _scales(source: SourceFile) -> bool:
    """Whether a scaler of the file scales anything."""
    values = source.ask(facts.values)
    callees = [
        getattr(call.node.func, "value", None) for call in source.ask(facts.syntax).calls.get("scale", ())
    ]
    return any(facts.roles.role(values.raw(one), one) == "scaler" for one in callees if one is not None)


@dataclass(frozen=True, slots=True)
class _Gradients:
    """What the gradients at hand are: of which backwards, whether a step used them, which optimizer it stepped."""

    scaled: Event | None = None
    plain: Event | None = None
    is_used: bool = False
    stepped: Event | None = None


@dataclass(frozen=True, slots=True)
class _Misfit:
    """A step that does not fit what was there before it, `before`."""

    how: str
    step: Event
    before: Event


def _misfits(path: Program) -> list[_Misfit]:
    kinds, same = facts.events.Kind, facts.identity.same_object
    through_scaler = [event for event in facts.paths.events_in(path, kinds.STEP) if event.scaler is not None]
    updated = [event.scaler for event in facts.paths.events_in(path, kinds.SCALER_UPDATE)]
    found: list[_Misfit] = []

    def step(states: frozenset[_Gradients], event: Event) -> None:
        if event.scaler is not None:
            before = [state.plain for state in states if state.scaled is None and state.plain is not None]
            if len(before) == len(states) and _is_on(event.scaler, updated):
                found.append(_Misfit("unscaled", event, before[0]))
            return
        again = [
            state.stepped
            for state in states
            if state.stepped is not None and same(state.stepped.target, event.target)
        ]
        if again and len(again) == len(states):
            found.append(_Misfit("again", event, again[0]))
        before = [state.scaled for state in states if state.plain is None and state.scaled is not None]
        is_elsewhere = any(same(other.target, event.target) for other in through_scaler)
        is_aware = _knows_scaler(event.target) or any(
            facts.roles.role(given) == "scaler" for given in event.arguments
        )
        if (
            len(before) == len(states)
            and not (is_elsewhere or is_aware)
            and _is_on(before[0].scaler, updated)
        ):
            found.append(_Misfit("scaled", event, before[0]))

    def transfer(states: frozenset[_Gradients], event: Event) -> frozenset[_Gradients]:
        match event.kind:
            case kinds.BACKWARD:
                return frozenset(_after_backward(state, event) for state in states)
            case kinds.UNSCALE | kinds.OPAQUE:
                return frozenset({_Gradients()})
            case kinds.STEP:
                step(states, event)
                stepped = event if event.scaler is not None else None
                return frozenset(replace(state, is_used=True, stepped=stepped) for state in states)
            case _:
                return states

    facts.automaton.Automaton(transfer).run(path, frozenset({_Gradients()}))
    return found


def _after_backward(state: _Gradients, backward: Event) -> _Gradients:
    if state.is_used:
        state = _Gradients()
    if backward.scaler is not None:
        return replace(state, scaled=backward, stepped=None)
    if _has_scaled_part(backward.subject):
        return _Gradients(backward, backward)
    return replace(state, plain=backward, stepped=None)


def _has_scaled_part(loss: Term | None) -> bool:
    """Whether a part of a loss was scaled, or something was given the scaler that may have: `scale(scaler, loss)`."""
    if loss is None:
        return True
    named = (getattr(part, "name", "") or _called(part) for part in facts.terms.within(loss, 400))
    return "scale" in named or _knows_scaler(loss)


def _called(term: Term) -> str:
    callee = term.callee if isinstance(term, facts.terms.Call) else None
    return callee.name if isinstance(callee, facts.terms.Attribute) else ""


def _knows_scaler(term: Term | None) -> bool:
    """Whether something was made with a scaler: an optimizer that may unscale by itself."""
    if term is None:
        return False
    terms = facts.terms
    return any(
        facts.roles.role(given) == "scaler"
        for part in terms.within(term, 100)
        if isinstance(part, terms.Call | terms.Instance)
        for given in (*part.positional, *part.keywords.values())
    )


def _is_on(scaler: Term | None, updated: list[Term | None]) -> bool:
    """Whether something is a GradScaler that is not switched off; of one that is only called so, that it updates."""
    if scaler is None or facts.roles.role(scaler) != "scaler":
        return False
    made = [facts.roles.made_as(option) for option in facts.terms.options(scaler)]
    if "scaler" not in made and not any(facts.identity.same_object(scaler, other) for other in updated):
        return False
    return not any(_is_off(option) for option in facts.terms.options(scaler))


def _is_off(scaler: Term) -> bool:
    enabled = scaler.keywords.get("enabled") if isinstance(scaler, facts.terms.Instance) else None
    return isinstance(enabled, facts.terms.Constant) and enabled.value is False


_MESSAGES = {
    "scaled": "the gradients are still multiplied by the scaler's factor (65536 at first) in this step",
    "unscaled": "the scaler divides gradients by its factor (65536 at first) that were never multiplied by it",
    "again": "the optimizer is stepped a second time: `scaler.step` has done it already",
}
_MARKS = {"scaled": "scaled here", "unscaled": "not scaled here", "again": "the first step"}


def _report(source: SourceFile, path: Program, misfit: _Misfit) -> Report:
    return Report(
        misfit.step.node,
        _MESSAGES[misfit.how],
        related=(Mark(misfit.before.node, _MARKS[misfit.how]),),
        fix=_fix(source, path, misfit),
    )


def _fix(source: SourceFile, path: Program, misfit: _Misfit) -> ProposedFix | None:
    """Send the step, or the backward, through the scaler, where it can be named there."""
    step, before, writing = misfit.step, misfit.before, facts.writing
    if misfit.how == "unscaled":
        scaler = writing.written(source, step.scaler, step, before.scope)
        called = getattr(before.node, "func", None)
        if scaler is None or called is None or source.code(called.attr) != "backward":
            return None
        text = f"{scaler}.scale({facts.spelling.bare(source, called.value)})"
        changes: tuple[Replace | InsertAfter, ...] = (Replace(called.value, text),)
    elif misfit.how == "scaled":
        scaler = _name_of(source, before, step)
        optimizer = writing.stepped_expression(step)
        if scaler is None or optimizer is None:
            return None
        text = f"{scaler}.step({source.code(optimizer)})"
        changes = (Replace(step.node, text),)
        if not facts.paths.events_in(path, facts.events.Kind.SCALER_UPDATE):
            if step.statement is None:
                return None
            changes = (*changes, InsertAfter(step.statement, f"{scaler}.update()"))
    else:
        return None
    return ProposedFix(f"Use `{text}`", Applicability.UNSAFE, changes)


def _name_of(source: SourceFile, backward: Event, step: Event) -> str | None:
    """Return how the scaler of a backward is written where a step stands."""
    if backward.scope is not step.scope:
        return facts.writing.spelled(backward.scaler, step.scope)
    called = getattr(getattr(backward.node, "func", None), "value", None)
    scale = getattr(getattr(called, "func", None), "value", None)
    return source.code(scale) if scale is not None else None


def _beside_bfloat16(source: SourceFile) -> Iterator[Report]:
    """Report scalers in a file whose autocasts are all to bfloat16."""
    operations = source.ask(facts.operations)
    managers = [manager for _, manager in operations.named("autocast")]
    if not managers or not all(map(_is_bfloat16, managers)):
        return
    for site, scaler in operations.instances("torch.amp.GradScaler"):
        if "enabled" not in scaler.keywords and not scaler.open_arguments:
            yield Report(
                site.node,
                "bfloat16 has the range of float32, so its gradients need no scaler",
                severity=Severity.NOTE,
                related=(Mark(managers[0].node, "autocast to bfloat16"),),
            )


def _is_bfloat16(manager: Operation) -> bool:
    dtype = manager.argument("dtype", 0)
    return isinstance(dtype, facts.terms.Reference) and dtype.dotted == "torch.bfloat16"
