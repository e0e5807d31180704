"""STB610 direct-forward-call: a module is run without its hooks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts
from stablint.static.torch_api import is_module

if TYPE_CHECKING:
    from stablint.static.facts.classes import Models
    from stablint.static.facts.scopes import CallSite
    from stablint.static.facts.terms import Instance
    from stablint.static.source import SourceFile


class DirectForwardCall(StaticRule):
    """`module.forward(x)` runs the module without its hooks; `module(x)` runs both.

    ## What it does

    Reports calls of `forward` on an object that is certainly an `nn.Module` made in this file. It is a
    warning where the file gives that module a hook: by `register_forward_hook` and its like, by
    `torch.nn.utils.weight_norm` or `spectral_norm`, or by pruning; a note otherwise. `super().forward(x)`,
    `Base.forward(self, x)` and `self.forward(x)` are left alone: they go on with a call that has begun.

    ## Why it is bad

    `nn.Module.__call__` runs the hooks around `forward`. They do more than look on: `weight_norm` and
    `spectral_norm` of `torch.nn.utils` compute the weight in one before each forward, and pruning applies
    its mask there. With `forward` the weight of the last call is used, whatever the optimizer did since:
    after the parameters of a `weight_norm` layer were doubled, `layer.forward(x)` gave the old result
    (torch 2.13). Profilers, feature extractors and gradient checkpoints of libraries hook in there as
    well, and see nothing.

    Without hooks the two do the same, which is why it is a note then: nearly all such calls in real code
    are on layers without hooks, and harmless.

    ## Example

    ```python
    out = self.net.forward(x)
    ```

    ## Use instead

    ```python
    out = self.net(x)
    ```

    ## When to ignore it

    When the hooks are to be left out on purpose.

    ## Fix safety

    Unsafe: the hooks run. The fix drops `.forward`.

    ## References

    - [torch.nn.Module.forward](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.forward)
    - [torch.nn.utils.weight_norm](https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.weight_norm.html)
    """

    code = "STB610"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # a layer with weight normalisation
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.utils.weight_norm(nn.Linear(8, 8))

    def forward(self, x):
        return torch.relu(self.fc.forward(x))  # flagged
""",
        # a hook, through a helper
        """\
import torch
from torch import nn

def run(net, x):
    return net.forward(x)  # flagged

def features(x):
    seen = []
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    model.register_forward_hook(lambda module, given, out: seen.append(out))
    run(model, x)
    return seen
""",
        # pruned
        """\
import torch
from torch import nn

from torch.nn.utils import prune

layer = nn.Linear(8, 8)
prune.l1_unstructured(layer, "weight", amount=0.5)
y = layer.forward(torch.ones(2, 8))  # flagged
""",
        # without a hook: a note
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.bn = nn.BatchNorm2d(8)

    def forward(self, x):
        x = self.conv.forward(x)  # flagged
        return self.bn.forward(x)  # flagged
""",
        # a model of the file
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        return self.fc(x)

def main(x):
    model = Net()
    return model.forward(x)  # flagged
""",
    ]

    fixed = [
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.utils.weight_norm(nn.Linear(8, 8))

    def forward(self, x):
        return torch.relu(self.fc(x))  # flagged
""",
        """\
import torch
from torch import nn

def run(net, x):
    return net(x)  # flagged

def features(x):
    seen = []
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    model.register_forward_hook(lambda module, given, out: seen.append(out))
    run(model, x)
    return seen
""",
        """\
import torch
from torch import nn

from torch.nn.utils import prune

layer = nn.Linear(8, 8)
prune.l1_unstructured(layer, "weight", amount=0.5)
y = layer(torch.ones(2, 8))  # flagged
""",
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.bn = nn.BatchNorm2d(8)

    def forward(self, x):
        x = self.conv(x)  # flagged
        return self.bn(x)  # flagged
""",
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        return self.fc(x)

def main(x):
    model = Net()
    return model(x)  # flagged
""",
    ]

    good = [
        # called
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        return self.fc(x)
""",
        # the base goes on with the call
        """\
import torch
from torch import nn

class Noisy(nn.Linear):
    def forward(self, x):
        return super().forward(x + torch.randn_like(x))

class Old(nn.Linear):
    def forward(self, x):
        return nn.Linear.forward(self, x) + super(Old, self).forward(x)
""",
        # its own forward
        """\
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        return x

    def loss(self, x):
        return self.forward(x).square().mean()
""",
        # no module
        """\
import torch
from torch import nn

class Transform:
    def forward(self, x):
        return x * 2

transform = Transform()
y = transform.forward(torch.ones(2))
""",
        # nothing is known of it
        """\
import torch
from torch import nn

from elsewhere import Net, kernel

def run(model, x):
    net = Net()
    return model.forward(x) + net.forward(x) + kernel.forward(x)
""",
        # another forward
        """\
import torch
from torch import nn

class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * x

def forward(x):
    return x

y = forward(torch.ones(2)) + Square.apply(torch.ones(2))
""",
        # the bound method is handed on
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.run = self.fc.forward
""",
        # one of them may be no module
        """\
import torch
from torch import nn

class Plain:
    def forward(self, x):
        return x

def main(x, plain):
    step = Plain() if plain else nn.Linear(2, 2)
    return step.forward(x)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each `forward` that is called on a module."""
        for site in source.ask(facts.syntax).calls.get("forward", ()):
            modules = _modules(source, site)
            if not modules:
                continue
            func, base = site.node.func, facts.writing.owner(site.node)
            called = source.code(base) if base is not None else ""
            hook = next((one for module in modules if (one := _hook_of(source, module)) is not None), None)
            effect = "and it has one" if hook is not None else "if it gets one"
            yield Report(
                func,
                f"`forward` runs the module without its hooks, {effect}: `{called}(...)` runs both",
                severity=Severity.NOTE if hook is None else None,
                related=(Mark(hook, "the hook"),) if hook is not None else (),  # type: ignore[arg-type]
                fix=ProposedFix("Call the module", Applicability.UNSAFE, (Replace(func, called),)),
            )


def _modules(source: SourceFile, site: CallSite) -> list[Instance]:
    """Return the modules of which `forward` is called; none where it may be something else."""
    base = facts.writing.owner(site.node)
    if base is None:
        return []
    known = source.ask(facts.models)
    found: list[Instance] = []
    for one in facts.terms.options(facts.evaluation.without_none(source.ask(facts.values).of(base))):
        if not isinstance(one, facts.terms.Instance) or not _is_module(known, one):
            return []
        found.append(one)
    return found


def _is_module(known: Models, made: Instance) -> bool:
    if made.scope is None:
        return made.dotted.startswith("torch.") and is_module(made.dotted)
    model = known.of(made.scope)
    return model is not None and model.is_certain


def _hook_of(source: SourceFile, module: Instance) -> object | None:
    """Return the call that gives a module a hook which runs with `forward`."""
    shape, known = source.ask(facts.syntax), source.ask(facts.values)
    for name in _REGISTERING:
        for site in shape.calls.get(name, ()):
            base = facts.writing.owner(site.node)
            if base is not None and _is_it(known.of(base), module):
                return site.node
    for name in _WRAPPING:
        for site in shape.calls.get(name, ()):
            callee = known.raw(site.node.func)
            dotted = callee.dotted if isinstance(callee, facts.terms.Reference) else ""
            if (
                not dotted.startswith("torch.nn.utils.")
                or ".parametrizations." in dotted
                or not site.node.args
            ):
                continue
            if _is_it(known.of(site.node.args[0].value), module):
                return site.node
    return None


def _is_it(term: object, module: Instance) -> bool:
    return any(
        isinstance(one, facts.terms.Instance) and one.node is module.node
        for one in facts.terms.options(term)  # type: ignore[arg-type]
    )


_REGISTERING = (
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
)
_WRAPPING = (
    "weight_norm",
    "spectral_norm",
    "random_unstructured",
    "l1_unstructured",
    "ln_structured",
    "custom_from_mask",
)
