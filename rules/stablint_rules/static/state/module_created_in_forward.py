"""STB605 module-created-in-forward: a layer that is new in every forward."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts
from stablint.static.torch_api import operation
from stablint.static.torch_api.groups import AFFINE, RECURRENT, words

if TYPE_CHECKING:
    from stablint.static.facts.classes import Models
    from stablint.static.facts.scopes import Scope
    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Instance
    from stablint.static.source import SourceFile


class ModuleCreatedInForward(StaticRule):
    """A layer is made inside `forward`, so it is a new one in every call.

    ## What it does

    Reports layers with weights or running statistics that are constructed in `forward`, in a method or
    function that only `forward` calls, or in a lambda that makes and applies them. A layer that is kept
    for the next call (`if self.fc is None: self.fc = ...`), and one whose weights the code sets itself,
    are left alone.

    ## Why it is bad

    `nn.Linear`, convolutions, embeddings and recurrent layers draw new random weights when they are made:
    two calls with one input give different results. The weights are in no `parameters()`, so the optimizer
    never changes them, `.to(device)` does not move them, and no checkpoint holds them (torch 2.13). The
    network learns to live with noise, and nothing is raised on a CPU.

    A normalisation layer starts with weight 1 and bias 0 and stays so. `BatchNorm` made in `forward` is in
    training mode for ever, whatever `eval()` says, and its running statistics are thrown away.
    `LayerNorm` and `GroupNorm` are only never trained: a warning.

    ## Example

    ```python
    def forward(self, h):
        bn = nn.BatchNorm1d(h.size(1)).to(h.device)
        return bn(h)
    ```

    ## Use instead

    ```python
    def __init__(self, n):
        super().__init__()
        self.bn = nn.BatchNorm1d(n)

    def forward(self, h):
        return self.bn(h)
    ```

    Where the size is known only from the first input, there are lazy layers (`nn.LazyLinear`), and where
    no weights are wanted, functions (`F.layer_norm`).

    ## When to ignore it

    When a random projection is wanted that differs in every call.

    ## Fix safety

    No fix is offered: the sizes have to be known in `__init__`.

    ## References

    - [torch.nn.Module](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html)
    - [torch.nn.LazyLinear](https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyLinear.html)
    - [torch.nn.functional.layer_norm](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.layer_norm.html)
    """

    code = "STB605"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # random weights in every call
        """\
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        return torch.relu(nn.Linear(x.shape[1], 10)(x))  # flagged
""",
        # batch normalisation that is never in eval mode
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        h = self.fc(x)
        bn = nn.BatchNorm1d(h.size(1)).to(h.device)  # flagged
        return bn(h)
""",
        # in a method that only forward calls
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def classify(self, h):
        head = nn.Linear(h.shape[1], 10)  # flagged
        return head(h)

    def forward(self, x):
        return self.classify(self.conv(x).flatten(1))
""",
        # in a function that only forward calls, in a Sequential
        """\
import torch
from torch import nn

def project(x, n):
    return nn.Sequential(nn.Linear(x.shape[-1], n), nn.Tanh())(x)  # flagged

class Net(nn.Module):
    def forward(self, x):
        return project(x, 4)
""",
        # assigned to self, but in every call
        """\
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        self.lstm = nn.LSTM(x.size(-1), 16, batch_first=True)  # flagged
        return self.lstm(x)[0]
""",
        # a lambda that makes its layer
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.norm = lambda x: nn.BatchNorm1d(n)(x)  # flagged

    def forward(self, x):
        return self.norm(x)
""",
        # a model of one's own; a loop
        """\
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc = nn.Linear(n, n)

    def forward(self, x):
        return x + self.fc(x)

class Net(nn.Module):
    def forward(self, x):
        for _ in range(3):
            x = Block(x.shape[-1])(x)  # flagged
        return x
""",
        # weights that stay 1 and 0: a warning
        """\
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        return nn.LayerNorm(x.shape[1:])(x)  # flagged
""",
    ]

    good = [
        # made once
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = self.build(8)

    def build(self, n):
        return nn.Linear(n, n)

    def forward(self, x):
        return self.fc(x)
""",
        # made at the first input, and kept
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = None
        self.cache = nn.ModuleDict()
        self.rest = nn.ModuleList()

    def forward(self, x):
        if self.fc is None:
            self.fc = nn.Linear(x.shape[-1], 8).to(x.device)
        key = str(x.shape[-1])
        if key not in self.cache:
            self.cache[key] = nn.Linear(x.shape[-1], 8)
        if not hasattr(self, "norm"):
            self.norm = nn.LayerNorm(8)
        if len(self.rest) == 0:
            self.rest.append(nn.Linear(8, 8))
        try:
            self.last
        except AttributeError:
            self.last = nn.Linear(8, 8)
        return self.last(self.norm(self.fc(x) + self.cache[key](x)))
""",
        # layers without weights
        """\
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        pool = nn.AvgPool1d(2)
        return nn.ReLU()(pool(x)) * nn.Softmax(dim=-1)(x).sum()
""",
        # a normalisation that has neither weights nor statistics
        """\
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        x = nn.InstanceNorm2d(x.shape[1])(x)
        return nn.LayerNorm(x.shape[1:], elementwise_affine=False)(x)
""",
        # fixed weights
        """\
import torch
from torch import nn

class Blur(nn.Module):
    def forward(self, x, kernel):
        conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        conv.weight.data = kernel
        sharp = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        nn.init.dirac_(sharp.weight)
        return conv(x) - sharp(x)
""",
        # a function that makes layers and applies nothing, also used elsewhere
        """\
import torch
from torch import nn

def layer(n):
    return nn.Linear(n, n)

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc = layer(n)
        self.grow = lambda m: nn.Linear(n, m)

    def forward(self, x):
        return self.fc(x)

probe = layer(4)
""",
        # layers that are set up, trained and used in one call
        """\
import torch
from torch import nn

class Explainer(nn.Module):
    def set_up(self, x):
        self.gate = nn.Linear(x.shape[-1], 1)
        self.scales = []
        for _ in range(3):
            self.scales.append(nn.Linear(1, 1))

    def fit(self, x):
        optimizer = torch.optim.Adam(self.gate.parameters())
        for _ in range(100):
            optimizer.zero_grad()
            self.gate(x).mean().backward()
            optimizer.step()

    def forward(self, x):
        self.set_up(x)
        self.fit(x)
        return self.gate(x)
""",
        # no model
        """\
import torch
from torch import nn

class Experiment:
    def forward(self, x):
        return nn.Linear(4, 4)(x)

def demo(x):
    return nn.Linear(4, 4)(x)
""",
        # dropout is another rule's
        """\
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        losses = nn.CrossEntropyLoss()
        return losses(x, x.argmax(1)) + nn.Flatten()(x).sum()
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each layer with state that is made where `forward` runs."""
        known = source.ask(facts.models)
        made = source.ask(facts.operations)
        for dotted in [name for name in made.made if _kind(known, name)]:
            for site, instance in made.instances(dotted):
                runs = _runs_in_forward(known, site)
                if runs is None or not facts.registration.has_state(known, instance) or _is_bare(instance):
                    continue
                if not _is_kept(source, site) and not _is_given_weights(source, site):
                    yield _report(known, site, instance, runs)


def _kind(known: Models, dotted: str) -> str:
    """Say what a class is to this rule: "random", "statistics", "constant" weights, or nothing."""
    if "." not in dotted:
        return "random" if any(scope.name == dotted for scope in known.by_class) else ""
    name = operation(dotted) if dotted.startswith("torch.nn.") else None
    if name in _RANDOM:
        return "random"
    return {"batch_norm": "statistics", "layer_norm": "constant", "group_norm": "constant"}.get(
        name or "", ""
    )


_RANDOM = AFFINE | RECURRENT | words("embedding embedding_bag multi_head_attention")


def _is_bare(instance: Instance) -> bool:
    """Whether a normalisation is told to have neither weights nor running statistics."""
    off = {
        name
        for name, value in instance.keywords.items()
        if isinstance(value, facts.terms.Constant) and value.value is False
    }
    return bool(off & {"elementwise_affine", "track_running_stats"}) or (
        "affine" in off and operation(instance.dotted) != "batch_norm"
    )


def _runs_in_forward(known: Models, site: Site) -> Scope | None:
    """Return the function in which a layer is made whenever `forward` runs."""
    scope: Scope | None = site.scope
    if scope is not None and scope.kind == "lambda" and known.around(scope) is not None:
        return scope if _is_applied_here(site) else None
    while (
        scope is not None and (scope.kind != "function" or scope.owner is None) and scope.parent is not None
    ):
        if scope.kind == "function" and scope.parent.kind == "module":
            break
        scope = scope.parent
    if scope is None or not _belongs_to_forward(known, scope, frozenset()):
        return None
    # An explainer sets up layers in a method of its own, and trains them before `forward` is done.
    return scope if scope.name == "forward" or _is_applied_here(site) else None


def _belongs_to_forward(known: Models, function: Scope, seen: frozenset[Scope]) -> bool:
    if function.kind != "function" or function in seen:
        return False
    if function.name == "forward":
        return known.around(function) is not None
    callers = known.interpreter.callers.get(function, set())
    return bool(callers) and all(
        _belongs_to_forward(known, caller.function, seen | {function}) for caller, _ in callers
    )


def _is_applied_here(site: Site) -> bool:
    """Whether the layer is called in the function that makes it, and not put into `self`."""
    return "self." not in _target(site) and any(
        isinstance(part, facts.terms.Operation) and part.module is not None and part.module.node is site.node
        for node, scope, _ in site.values.interpreter.sites.values()
        if scope is site.scope
        for part in facts.terms.within(site.values.raw(node), 200)
    )


def _target(site: Site) -> str:
    """Return what the statement of a site assigns to."""
    written = [
        name for name, lines in site.scope.writes.items() if any(one.node is site.statement for one in lines)
    ]
    return " ".join(written)


def _is_kept(source: SourceFile, site: Site) -> bool:
    """Whether a layer is made once and kept: under a test that it is not there yet."""
    written = source.code(site.statement) if site.statement is not None else ""
    if re.search(r"\bor\b|\bNone\b|getattr|setdefault", written):
        return True
    blocks = list(site.block.outward()) if site.block is not None else []
    asked = [facts.statements.tested(block) for block in blocks]
    tests = [source.code(test) for test in asked if test is not None]
    if "self." in written and (tests or any(block.kind == "except" for block in blocks)):
        return True
    return any(re.search(r"\bNone\b|hasattr|\bin\b|\bnot self\.|init|built", test) for test in tests)


def _is_given_weights(source: SourceFile, site: Site) -> bool:
    """Whether the code sets the weights itself: a layer used as a function of fixed ones."""
    written = source.code(site.statement).strip() if site.statement is not None else ""
    named = re.match(r"(\w+) *=[^=]", written)
    if named is None:
        return False
    uses = rf"\b{named[1]}\.(weight|bias|load_state_dict|parameters|apply)\b"
    return re.search(uses, source.code(site.scope.node)) is not None


def _report(known: Models, site: Site, instance: Instance, runs: Scope) -> Report:
    kind = _kind(known, instance.dotted)
    name = instance.dotted.rsplit(".", 1)[-1]
    what = {
        "random": "its random weights are new each time and never trained",
        "statistics": "it is always in train mode, its running statistics are lost and its weights never trained",
        "constant": "its weights are never trained",
    }[kind]
    where = "call" if runs.kind == "lambda" else "forward"
    related = (
        ()
        if runs.name in ("forward", "") or site.scope is runs
        else (Mark(runs.node, "`forward` calls this"),)
    )
    return Report(
        site.node,
        f"this `{name}` is made anew in every {where}: {what}",
        severity=Severity.WARNING if kind == "constant" else None,
        related=related,
    )
