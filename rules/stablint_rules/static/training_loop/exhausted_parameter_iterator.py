"""STB106 exhausted-parameter-iterator: who comes second to a generator of parameters gets nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Severity
from stablint.rule import Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.facts.iterators import Consumption, Held
    from stablint.static.source import SourceFile


class ExhaustedParameterIterator(StaticRule):
    """An iterator over parameters is gone through twice: the second time it is empty.

    ## What it does

    Follows what `parameters()`, `named_parameters()`, `filter()`, `map()`, `zip()`, `itertools.chain()` and
    generator expressions over parameters give: through names, attributes and arguments. It reports the
    second one of two consumers on one path (an optimizer, `clip_grad_norm_`, a loop, `list`, `sum`, ...),
    and a consumer in a loop of an iterator that is made before the loop. A function that goes through its
    argument twice is reported where it is given an iterator.

    ## Why it is bad

    `Module.parameters()` is a generator, and `filter` and `map` give iterators: they can be gone through
    once. An optimizer that is built from one empties it. `clip_grad_norm_` of an empty `filter` then
    returns 0.0, clips nothing and says nothing (torch 2.13; an empty generator at least gets a warning).
    A loop that freezes parameters, copies them into an average or sums their penalty runs zero times, and
    a parameter group made of it is empty.

    An optimizer that is given nothing but the empty iterator raises; the rule leaves that to PyTorch.

    ## Example

    ```python
    params = filter(lambda p: p.requires_grad, model.parameters())
    optimizer = torch.optim.Adam(params, lr=1e-4)
    for x, y in loader:
        train_step(model, x, y)
        torch.nn.utils.clip_grad_norm_(params, 1.0)
    ```

    ## Use instead

    ```python
    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(params, lr=1e-4)
    for x, y in loader:
        train_step(model, x, y)
        torch.nn.utils.clip_grad_norm_(params, 1.0)
    ```

    ## When to ignore it

    When the second consumer is meant to see only what the first one left, after `next()` or a `break`.

    ## Fix safety

    Unsafe: the second consumer begins to work, so training changes. The iterator is put into a list where
    it is made.

    ## References

    - [torch.nn.Module.parameters](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.parameters)
    - [torch.nn.utils.clip_grad_norm_](https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html)
    - [Python glossary: generator iterator](https://docs.python.org/3/glossary.html#term-generator-iterator)
    """

    code = "STB106"
    severity = Severity.ERROR
    since = "0.1.0"

    bad = [
        # the optimizer has gone through what is to be clipped
        """\
import torch

def train(model, loader, criterion):
    params = filter(lambda p: p.requires_grad, model.parameters())
    optimizer = torch.optim.Adam(params, lr=1e-4)
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)  # flagged
        optimizer.step()
""",
        # in every round, and no optimizer has been there
        """\
import torch

def train(model, loader, criterion, optimizer):
    parameters = model.parameters()
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)  # flagged
        optimizer.step()
""",
        # an attribute, consumed in another method
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model):
        self.model = model
        self.params = (p for p in model.parameters() if p.requires_grad)
        self.optimizer = torch.optim.AdamW(self.params, lr=3e-4)

    def step(self, loss):
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.params, 1.0)  # flagged
        self.optimizer.step()
""",
        # a function that goes through its argument twice
        """\
import torch

def clip(params, limit):
    norm = torch.sqrt(sum((p.grad ** 2).sum() for p in params))
    if norm > limit:
        for p in params:
            p.grad[:] *= limit / norm

def train(net, loader, loss, updater):
    for x, y in loader:
        updater.zero_grad()
        loss(net(x), y).backward()
        clip(net.parameters(), 1)  # flagged
        updater.step()
""",
        # a helper makes the iterator, another one consumes it
        """\
import itertools
import torch

def trainable(encoder, decoder):
    return itertools.chain(encoder.parameters(), decoder.parameters())

def freeze(params):
    for p in params:
        p.requires_grad_(False)

def main(encoder, decoder, loader):
    params = trainable(encoder, decoder)
    optimizer = torch.optim.SGD(params, lr=0.1)
    freeze(params)  # flagged
    return optimizer
""",
        # counted first; the penalty then sums nothing
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    weights = map(lambda item: item[1], model.named_parameters())
    print("parameters:", sum(p.numel() for p in weights))
    for x, y in loader:
        optimizer.zero_grad()
        penalty = sum(w.pow(2).sum() for w in weights)  # flagged
        (F.cross_entropy(model(x), y) + 1e-4 * penalty).backward()
        optimizer.step()
""",
        # a group of nothing, beside one that is full
        """\
import torch

def build(backbone, head):
    slow = backbone.parameters()
    for p in slow:
        p.requires_grad = True
    return torch.optim.SGD([{"params": slow, "lr": 1e-3}, {"params": head.parameters()}], lr=0.1)  # flagged
""",
        # the first parameter is taken, and never trained
        """\
import torch

def build(model):
    params = model.parameters()
    device = next(params).device
    return device, torch.optim.Adam(params)  # flagged
""",
        # an average over a pair of iterators that end after the first round
        """\
import torch

def train(model, teacher, loader, update):
    pairs = zip(teacher.parameters(), model.parameters())
    for batch in loader:
        update(model, batch)
        with torch.no_grad():
            for slow, fast in pairs:  # flagged
                slow.lerp_(fast, 0.01)
""",
        # one or the other, and a pair of them
        """\
import torch

def build(net, freeze):
    if freeze:
        params = filter(lambda p: p.requires_grad, net.parameters())
    else:
        params = net.parameters()
    print(sum(p.numel() for p in params))
    return torch.optim.SGD([{"params": params, "lr": 0.1}])  # flagged

def follow(model, average, loader, update):
    fast, slow = model.parameters(), average.parameters()
    for batch in loader:
        update(model, batch)
        for a, b in zip(fast, slow):  # flagged
            b.data.lerp_(a.data, 0.01)
""",
        # at the top of a script
        """\
import torch

model = torch.nn.Linear(4, 2)
params = model.parameters()
optimizer = torch.optim.SGD(params, lr=0.1)

def update(loss):
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(params, 5.0)  # flagged
    optimizer.step()
""",
    ]

    fixed = [
        """\
import torch

def train(model, loader, criterion):
    params = list(filter(lambda p: p.requires_grad, model.parameters()))
    optimizer = torch.optim.Adam(params, lr=1e-4)
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
""",
        """\
import torch

def train(model, loader, criterion, optimizer):
    parameters = list(model.parameters())
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
""",
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model):
        self.model = model
        self.params = (list(p for p in model.parameters() if p.requires_grad))
        self.optimizer = torch.optim.AdamW(self.params, lr=3e-4)

    def step(self, loss):
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.params, 1.0)
        self.optimizer.step()
""",
        """\
import torch

def clip(params, limit):
    norm = torch.sqrt(sum((p.grad ** 2).sum() for p in params))
    if norm > limit:
        for p in params:
            p.grad[:] *= limit / norm

def train(net, loader, loss, updater):
    for x, y in loader:
        updater.zero_grad()
        loss(net(x), y).backward()
        clip(list(net.parameters()), 1)
        updater.step()
""",
        """\
import itertools
import torch

def trainable(encoder, decoder):
    return itertools.chain(encoder.parameters(), decoder.parameters())

def freeze(params):
    for p in params:
        p.requires_grad_(False)

def main(encoder, decoder, loader):
    params = list(trainable(encoder, decoder))
    optimizer = torch.optim.SGD(params, lr=0.1)
    freeze(params)
    return optimizer
""",
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    weights = list(map(lambda item: item[1], model.named_parameters()))
    print("parameters:", sum(p.numel() for p in weights))
    for x, y in loader:
        optimizer.zero_grad()
        penalty = sum(w.pow(2).sum() for w in weights)
        (F.cross_entropy(model(x), y) + 1e-4 * penalty).backward()
        optimizer.step()
""",
        """\
import torch

def build(backbone, head):
    slow = list(backbone.parameters())
    for p in slow:
        p.requires_grad = True
    return torch.optim.SGD([{"params": slow, "lr": 1e-3}, {"params": head.parameters()}], lr=0.1)
""",
        None,
        """\
import torch

def train(model, teacher, loader, update):
    pairs = list(zip(teacher.parameters(), model.parameters()))
    for batch in loader:
        update(model, batch)
        with torch.no_grad():
            for slow, fast in pairs:
                slow.lerp_(fast, 0.01)
""",
        """\
import torch

def build(net, freeze):
    if freeze:
        params = filter(lambda p: p.requires_grad, net.parameters())
    else:
        params = net.parameters()
    print(sum(p.numel() for p in params))
    return torch.optim.SGD([{"params": params, "lr": 0.1}])

def follow(model, average, loader, update):
    fast, slow = list(model.parameters()), list(average.parameters())
    for batch in loader:
        update(model, batch)
        for a, b in zip(fast, slow):
            b.data.lerp_(a.data, 0.01)
""",
        """\
import torch

model = torch.nn.Linear(4, 2)
params = list(model.parameters())
optimizer = torch.optim.SGD(params, lr=0.1)

def update(loss):
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(params, 5.0)
    optimizer.step()
""",
    ]

    good = [
        # a list can be gone through as often as one likes
        """\
import torch

def train(model, loader, criterion):
    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(params, lr=1e-4)
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
""",
        # a new generator each time
        """\
import torch

def train(model, loader, criterion):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        params = model.parameters()
        print(max(p.abs().max() for p in params))
        optimizer.step()
""",
        # a helper makes a new one each time
        """\
import torch

def trainable(model):
    return filter(lambda p: p.requires_grad, model.parameters())

def main(model, loader, loss_of):
    params = trainable(model)
    optimizer = torch.optim.Adam(params)
    params = trainable(model)
    print(sum(p.numel() for p in params))
    for batch in loader:
        optimizer.zero_grad()
        loss_of(model, batch).backward()
        torch.nn.utils.clip_grad_norm_(trainable(model), 1.0)
        optimizer.step()
""",
        # one consumer in each branch
        """\
import torch

def build(model, name, lr):
    params = filter(lambda p: p.requires_grad, model.parameters())
    if name == "sgd":
        optimizer = torch.optim.SGD(params, lr=lr, momentum=0.9)
    elif name == "adam":
        optimizer = torch.optim.Adam(params, lr=lr)
    else:
        optimizer = torch.optim.AdamW(params, lr=lr)
    return optimizer
""",
        # one after another, but one path leaves before the next
        """\
import torch

def build(model, name):
    params = model.parameters()
    if name == "sgd":
        return torch.optim.SGD([{"params": params}], lr=0.1)
    if name == "adam":
        optimizer = torch.optim.Adam([{"params": params}])
    if name == "adamw":
        optimizer = torch.optim.AdamW([{"params": params}])
    return optimizer
""",
        # made anew in every round
        """\
import torch

def train(models, loader, loss_of):
    for model in models:
        params = model.parameters()
        optimizer = torch.optim.SGD(params, lr=0.1)
        for batch in loader:
            optimizer.zero_grad()
            loss_of(model, batch).backward()
            optimizer.step()
""",
        # put into a list before the second one comes
        """\
import torch

def build(model, freeze):
    params = filter(lambda p: p.requires_grad, model.parameters())
    params = list(params)
    for p in params:
        p.requires_grad_(not freeze)
    return torch.optim.Adam([{"params": params}])
""",
        # what is filtered here are no parameters
        """\
import torch

def read(lines, model):
    tokens = filter(None, lines)
    first = list(tokens)
    rest = list(tokens)
    return first, rest, torch.optim.SGD(model.parameters(), lr=0.1)
""",
        # a function that goes through its argument twice, and makes a list of it first
        """\
import torch

def clip(params, limit):
    params = list(params)
    norm = torch.sqrt(sum((p.grad ** 2).sum() for p in params))
    if norm > limit:
        for p in params:
            p.grad.mul_(limit / norm)

def update(net, optimizer):
    clip(net.parameters(), 1.0)
    optimizer.step()
""",
        # left after the first that fits
        """\
import torch

def build(model, kinds):
    params = model.parameters()
    for kind in kinds:
        if hasattr(torch.optim, kind):
            return list(params)
    return None
""",
        # an optimizer that gets nothing raises: PyTorch says so itself
        """\
import torch

def build(model):
    params = model.parameters()
    print(sum(p.numel() for p in params))
    return torch.optim.Adam(params)
""",
        # a list only where it has to be one
        """\
import torch

def build(model, twice):
    params = model.parameters()
    if twice:
        params = list(params)
        print(sum(p.numel() for p in params))
    optimizer = torch.optim.SGD([{"params": params}], lr=0.1)
    return optimizer
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each held iterator at the first place that finds it empty."""
        found = source.ask(facts.consumptions)
        seen: set[object] = set()
        for place, late in enumerate(found):
            if late.held.makers & seen or _raises(late):
                continue
            first = _before(source, found[:place], late)
            loop = (
                facts.order.repeats(source, late.statement, _made(late.held)) if _may_repeat(late) else None
            )
            if first is not None or loop is not None:
                seen |= late.held.makers
                skipped = any(one.how == "next" and one.held.makers & late.held.makers for one in found)
                yield from _reports(source, late, first, loop, skipped)


_ONLY_READS = {
    "sum",
    "list",
    "tuple",
    "set",
    "len",
    "any",
    "all",
    "max",
    "min",
    "sorted",
    "comprehension",
    "dict",
}


def _raises(late: Consumption) -> bool:
    """Whether the place that finds the iterator empty stops with a clear message."""
    return late.how in ("next", "grad", "parameters_to_vector")


def _may_repeat(late: Consumption) -> bool:
    return late.how != "optimizer" and late.scope is late.held.scope


def _made(held: Held) -> cst.CSTNode | None:
    return held.binding.node if held.binding is not None else None


def _before(source: SourceFile, earlier: tuple[Consumption, ...], late: Consumption) -> Consumption | None:
    """Return what went through the same iterator before, on every path that the blocks show."""
    for first in earlier:
        if not first.held.makers & late.held.makers or first.by is late.by:
            continue
        if late.how == "optimizer" and first.how != "next":
            continue
        if first.scope is late.scope:
            if facts.order.follows(source, first.statement, late.statement):
                return first
        elif first.scope is first.held.scope and first.how != "next":
            return first
    return None


def _reports(
    source: SourceFile, late: Consumption, first: Consumption | None, loop: cst.CSTNode | None, skipped: bool
) -> Iterator[Report]:
    if late.held.binding is None:
        yield from _given(source, late, first, loop)
        return
    made = late.held.binding.value
    related = [Mark(made, "made here, to be gone through once")] if made is not None else []
    if first is not None and first.how == "next":
        message = "`next()` has taken the first parameter of this iterator: it is missing here"
    elif first is not None:
        message = f"this iterator is empty here: {_who(first)} has gone through it"
    else:
        message = "this iterator is made once, before the loop: it is empty from the second round on"
    if first is not None:
        related.append(Mark(first.by if first.how != "for" else first.node, "gone through here"))
    severity = Severity.WARNING if late.how in _ONLY_READS else None
    fix = None if skipped or made is None or not late.held.is_single else _fix(source, made)
    yield Report(late.node, message, severity=severity, related=tuple(related), fix=fix)


def _who(first: Consumption) -> str:
    if first.how == "optimizer" or first.how == "param_groups":
        return "the optimizer"
    return {"for": "a loop", "comprehension": "a comprehension", "*": "a call"}.get(
        first.how, f"`{first.how}`"
    )


def _given(
    source: SourceFile, late: Consumption, first: Consumption | None, loop: cst.CSTNode | None
) -> Iterator[Report]:
    """Report the iterators that callers give to a function which goes through them more than once."""
    name = late.held.scope.name
    for node in facts.iterators.given(source, late.held):
        times = "in every round of a loop" if first is None else "twice"
        related = [Mark(one.node, "gone through here") for one in (first, late) if one is not None]
        yield Report(
            node,
            f"`{name}` goes through what it is given here {times}: an iterator is empty by then",
            related=tuple(related),
            fix=_fix(source, node) if first is None or first.how != "next" else None,
        )


def _fix(source: SourceFile, made: cst.CSTNode) -> ProposedFix | None:
    text = source.code(made)
    if text.isidentifier() or not text.endswith(")"):
        return None
    listed = f"list{text}" if text.startswith("(") else f"list({text})"
    return ProposedFix("Put the iterator into a list", Applicability.UNSAFE, (Replace(made, listed),))
