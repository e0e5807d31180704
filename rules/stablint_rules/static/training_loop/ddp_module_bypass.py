"""STB108 ddp-module-bypass: the training forward goes around the wrapper that averages the gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.facts.events import Event
    from stablint.static.facts.paths import Root
    from stablint.static.facts.scopes import Scope
    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Call, Instance, Term
    from stablint.static.source import SourceFile


class DdpModuleBypass(StaticRule):
    """The training forward calls the module inside `DistributedDataParallel`, so gradients are not averaged.

    ## What it does

    Reports a call of `ddp.module(...)`, of a method `ddp.module.method(...)`, or of the model that was
    wrapped, where `backward()` runs on what comes out and no forward of that run goes through the wrapper.

    ## Why it is bad

    `DistributedDataParallel.forward` is what prepares the averaging of gradients. Around it, `backward()`
    works, each process keeps the gradients of its own batch, and the replicas drift apart without an error:
    two processes that trained a linear layer through `ddp.module` differed by 0.98 in a weight after 20
    steps, through `ddp` by 0 (gloo, torch 2.13). What is saved at the end is the model of process 0, trained
    on a fraction of the data.

    ## Example

    ```python
    ddp = DistributedDataParallel(model)
    loss = criterion(ddp.module(x), y)
    loss.backward()
    ```

    ## Use instead

    ```python
    ddp = DistributedDataParallel(model)
    loss = criterion(ddp(x), y)
    loss.backward()
    ```

    For another method than `forward`, put the choice into `forward` and call the wrapper.

    ## When to ignore it

    When the gradients are averaged by hand (`all_reduce` of `p.grad`), which the rule sees in the same file
    only. Evaluation, sampling and saving through `.module` are right, and not reported.

    ## Fix safety

    No fix is offered: a method has to move into `forward`, and the synchronised run trains differently.

    ## References

    - [torch.nn.parallel.DistributedDataParallel](https://docs.pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html)
    - [Distributed data parallel: internal design](https://docs.pytorch.org/docs/stable/notes/ddp.html#internal-design)
    """

    code = "STB108"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # the module inside
        """\
import torch
from torch.nn.parallel import DistributedDataParallel as DDP

def train(model, loader, criterion, rank):
    ddp = DDP(model, device_ids=[rank])
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(ddp.module(x), y)  # flagged
        loss.backward()
        optimizer.step()
""",
        # another method of it, by way of a helper
        """\
import torch
import torch.nn as nn

def loss_of(net, images, texts):
    image, text = net.module.encode(images, texts)  # flagged
    return nn.functional.mse_loss(image, text)

def main(model, loader):
    model = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters())
    for images, texts in loader:
        optimizer.zero_grad()
        loss_of(model, images, texts).backward()
        optimizer.step()
""",
        # the model that was wrapped
        """\
import torch
import torch.nn.functional as F

def main(model, loader, rank):
    wrapped = torch.nn.parallel.DistributedDataParallel(model, device_ids=[rank])
    optimizer = torch.optim.SGD(wrapped.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()  # flagged
        optimizer.step()
""",
        # a trainer class
        """\
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

class Trainer:
    def __init__(self, model, rank):
        self.model = DistributedDataParallel(model.to(rank), device_ids=[rank])
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.scaler = torch.amp.GradScaler("cuda")

    def step(self, x):
        self.optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = self.model.module.elbo(x).mean()  # flagged
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
""",
        # the model that was wrapped, made elsewhere and moved; a method of it
        """\
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP

def main(build, loader, rank):
    model = build().to(rank)
    ddp = DDP(model, device_ids=[rank])
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        nn.MSELoss()(model(x), y).backward()  # flagged
        optimizer.step()
        optimizer.zero_grad()
        model.elbo(x).mean().backward()  # flagged
        optimizer.step()
""",
        # by the name under which it is saved
        """\
import torch
import torch.nn.functional as F

def main(model, loader, distributed):
    model_without_ddp = model
    if distributed:
        model = torch.nn.parallel.DistributedDataParallel(model)
        model_without_ddp = model.module
    optimizer = torch.optim.SGD(model_without_ddp.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model_without_ddp(x), y)  # flagged
        loss.backward()
        optimizer.step()
    torch.save(model_without_ddp.state_dict(), "model.pt")
""",
    ]

    good = [
        # another method of the model that was wrapped, for a number to print
        """\
import torch
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel as DDP

def main(build, loader, rank):
    model = build().to(rank)
    ddp = DDP(model, device_ids=[rank])
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(ddp(x), y).backward()
        print(model.accuracy(x, y))
        optimizer.step()
""",
        # through the wrapper; saved, evaluated and sampled through the module
        """\
import torch
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel as DDP

def main(model, loader, test_loader):
    ddp = DDP(model)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(ddp(x), y).backward()
        optimizer.step()
    with torch.no_grad():
        for x, y in test_loader:
            print(F.cross_entropy(ddp.module(x), y).item())
    torch.save(ddp.module.state_dict(), "model.pt")
""",
        # measured along the way, not trained through
        """\
import torch
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel as DDP

def main(model, teacher, loader):
    ddp = DDP(model)
    teacher = DDP(teacher)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        aim = teacher.module(x).detach()
        F.mse_loss(ddp(x), aim).backward()
        print(ddp.module.accuracy(x, y))
        optimizer.step()
""",
        # a term of the loss on top of a forward through the wrapper
        """\
import torch
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel as DDP

def main(model, loader):
    ddp = DDP(model)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        (F.cross_entropy(ddp(x), y) + ddp.module.penalty()).backward()
        optimizer.step()
""",
        # the gradients are averaged by hand
        """\
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel as DDP

def main(model, loader, world):
    ddp = DDP(model)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(ddp.module(x), y).backward()
        for p in ddp.parameters():
            dist.all_reduce(p.grad)
            p.grad /= world
        optimizer.step()
""",
        # DataParallel: one process, nothing to average
        """\
import torch
import torch.nn.functional as F

def main(model, loader):
    net = torch.nn.DataParallel(model)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(net.module(x), y).backward()
        optimizer.step()
""",
        # the wrapper where there is one
        """\
import torch
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel as DDP

class Trainer:
    def __init__(self, model, distributed):
        self.model = model
        if distributed:
            self.ddp_model = DDP(self.model)
        else:
            self.ddp_model = self.model
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def step(self, x, y):
        self.optimizer.zero_grad()
        F.cross_entropy(self.ddp_model(x), y).backward()
        self.optimizer.step()
""",
        # trained alone in one branch, distributed in the other
        """\
import torch
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel as DDP

def main(model, loader, distributed):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    if distributed:
        ddp = DDP(model)
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(ddp(x), y).backward()
            optimizer.step()
    else:
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
""",
        # a module of another kind that has a `module`
        """\
import torch
import torch.nn.functional as F

def main(wrapper, loader):
    optimizer = torch.optim.SGD(wrapper.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(wrapper.module(x), y).backward()
        optimizer.step()
""",
        # trained before it is wrapped
        """\
import torch
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel as DDP

def main(model, warm, serve):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in warm:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    ddp = DDP(model)
    serve(ddp)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each call of a wrapped module whose result is back-propagated."""
        made = list(source.ask(facts.operations).instances(*_WRAPPERS))
        if not made or _averages_by_hand(source):
            return
        seen: set[object] = set()
        for root in source.ask(facts.training_paths):
            for node, what in _around(source, root, made):
                if node not in seen:
                    seen.add(node)
                    yield Report(
                        node,
                        f"{what} goes around `DistributedDataParallel`: its gradients are not averaged",
                        related=(Mark(made[0][0].node, "wrapped here"),),
                    )


_WRAPPERS = ("torch.nn.parallel.DistributedDataParallel", "apex.parallel.DistributedDataParallel")


def _averages_by_hand(source: SourceFile) -> bool:
    calls = source.ask(facts.syntax).calls
    names = [name for name in calls if "all_reduce" in name or "average_grad" in name or "sync_grad" in name]
    return any(
        "reduce" not in name or ".grad" in source.code(call.node) for name in names for call in calls[name]
    )


def _around(
    source: SourceFile, root: Root, made: list[tuple[Site, Instance]]
) -> Iterator[tuple[cst.CSTNode, str]]:
    kinds = facts.events.Kind
    losses = [event.subject for event in facts.paths.events_in(root.path, kinds.BACKWARD)]
    reached = _reached([facts.events.unscaled(loss) for loss in losses if loss is not None])
    forwards = [event for event in facts.paths.events_in(root.path, kinds.FORWARD) if event.graph]
    calls = [term for term in reached if isinstance(term, facts.terms.Call)]
    known = source.ask(facts.values)
    if any(map(_is_through, forwards)) or any(_is_wrapper(known.raw(call.node.func)) for call in calls):
        return
    for call in calls:
        if _is_inside(call.callee) or _is_of_wrapped(source, call, made):
            yield call.node, f"`{source.code(call.node.func)}`"
    nodes = {getattr(term, "node", None) for term in reached}
    for event in forwards:
        if _is_wrapped(source, event, made) and _gives(source, event.node) & nodes:
            yield event.node, "the wrapped model called by itself"


def _reached(losses: list[Term]) -> list[Term]:
    """Return the terms that a gradient of the losses flows through."""
    found: dict[Term, None] = {}
    stack = list(losses)
    while stack and len(found) < 4000:
        term = stack.pop()
        if term in found or facts.gradients.carries_graph(term) is False:
            continue
        found[term] = None
        stack.extend(facts.terms.parts(term))
    return list(found)


def _is_through(event: Event) -> bool:
    """Whether a forward calls the wrapper, or may do so."""
    made = facts.terms.options(event.target) if event.target is not None else ()
    return any(isinstance(one, facts.terms.Instance) and one.dotted in _WRAPPERS for one in made)


def _is_inside(callee: Term) -> bool:
    """Whether what is called is the module of a wrapper, or a method of it."""
    for option in facts.terms.options(callee):
        inner = option
        for _ in range(3):
            if not isinstance(inner, facts.terms.Attribute):
                break
            if inner.name == "module" and _is_wrapper(inner.base):
                return True
            inner = inner.base
    return False


def _is_wrapper(term: Term) -> bool:
    return any(
        isinstance(one, facts.terms.Instance) and one.dotted in _WRAPPERS for one in facts.terms.options(term)
    )


def _gives(source: SourceFile, node: cst.CSTNode) -> set[object]:
    return {getattr(one, "node", node) for one in facts.terms.options(source.ask(facts.values).raw(node))}


def _is_wrapped(source: SourceFile, event: Event, made: list[tuple[Site, Instance]]) -> bool:
    """Whether a forward calls a model that has been wrapped before."""
    return event.target is not None and _was_wrapped(source, event.target, event.scope, event.statement, made)


_QUIET = {"parameters", "named_parameters", "buffers", "state_dict", "to", "cuda", "children", "modules"}


def _is_of_wrapped(source: SourceFile, call: Call, made: list[tuple[Site, Instance]]) -> bool:
    """Whether a call is one of the model that has been wrapped before, or of a method of it."""
    callee = call.callee
    if isinstance(callee, facts.terms.Attribute) and callee.name not in _QUIET:
        callee = callee.base
    place = source.ask(facts.values).interpreter.sites.get(id(call.node))
    return place is not None and _was_wrapped(source, callee, place[1], place[2], made)


def _was_wrapped(
    source: SourceFile,
    model: Term,
    scope: Scope,
    statement: cst.CSTNode | None,
    made: list[tuple[Site, Instance]],
) -> bool:
    for site, wrapper in made:
        inner = wrapper.positional[0] if wrapper.positional else wrapper.keywords.get("module")
        if inner is None or isinstance(inner, facts.terms.Unknown) or not facts.terms.same(inner, model):
            continue
        if site.scope.function is not scope.function:
            return site.scope.function.name == "__init__"
        if site.statement is not None and statement is not None:
            return facts.order.follows(source, site.statement, statement)
    return False
