"""STB601 submodules-in-plain-container: layers that the module does not know it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.classes import Held, Model, Models
    from stablint.static.facts.terms import Term
    from stablint.static.source import SourceFile


class SubmodulesInPlainContainer(StaticRule):
    """Layers are kept in a plain list, dict or tuple, where `nn.Module` does not see them.

    ## What it does

    In an `nn.Module`, reports an attribute that is a list, tuple or dict of modules or parameters made
    here, whether written at once, as a comprehension or filled by `append`, and that is never
    registered: not wrapped in `ModuleList`, `ModuleDict`, `ParameterList` or `Sequential`, not passed to
    `add_module`.

    ## Why it is bad

    `nn.Module` registers what is assigned to an attribute, not what lies inside a container. A module
    with five linear layers in a list, a dict and a tuple has 0 parameters and an empty `state_dict()`
    (torch 2.13). So the optimizer never gets them and they are not trained, `.to(device)` and `.half()`
    leave them where they are, `eval()` does not reach their dropout, and a checkpoint does not hold
    them. Nothing is raised as long as everything stays on the CPU: the rest of the network learns around
    random layers.

    For layers without parameters and modes (ReLU, pooling) it does no harm; the finding is a note.

    ## Example

    ```python
    def __init__(self, n):
        super().__init__()
        self.layers = [nn.Linear(8, 8) for _ in range(n)]
    ```

    ## Use instead

    ```python
    def __init__(self, n):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(n)])
    ```

    ## When to ignore it

    When the module is to be kept out of `parameters()` on purpose. Say so with a one-element list around
    an argument of `__init__`, which is not reported: `self._teacher = [teacher]`.

    ## Fix safety

    Unsafe: parameters appear that were not there, and the keys of `state_dict()` change. A list becomes
    `nn.ModuleList`, a dict with string keys `nn.ModuleDict`, a list of parameters `nn.ParameterList`, an
    empty list that is appended to `nn.ModuleList()`.

    ## References

    - [torch.nn.ModuleList](https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleList.html)
    - [torch.nn.ModuleDict](https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleDict.html)
    - [torch.nn.Module](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html)
    """

    code = "STB601"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # a comprehension
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.layers = [nn.Linear(8, 8) for _ in range(n)]  # flagged
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)
""",
        # filled one by one
        """\
import torch.nn as nn
import torch.nn.functional as F

class Mlp(nn.Module):
    def __init__(self, sizes):
        super(Mlp, self).__init__()
        self.fcs = []  # flagged
        for a, b in zip(sizes, sizes[1:]):
            self.fcs.append(nn.Linear(a, b))

    def forward(self, x):
        for fc in self.fcs[:-1]:
            x = F.relu(fc(x))
        return self.fcs[-1](x)
""",
        # a dict, and a dict comprehension
        """\
from torch import nn

class Heads(nn.Module):
    def __init__(self, width, tasks):
        super().__init__()
        self.branches = {"a": nn.Linear(width, width), "b": nn.Identity()}  # flagged
        self.heads = {task: nn.Linear(width, n) for task, n in tasks.items()}  # flagged

    def forward(self, x, branch, task):
        return self.heads[task](self.branches[branch](x))
""",
        # a tuple, and a list that was filled as a local name
        """\
import torch
from torch import nn

class Encoder(nn.Module):
    def __init__(self, width, depth):
        super().__init__()
        self.gates = (nn.Linear(width, width), nn.Linear(width, width))  # flagged
        blocks = []
        for _ in range(depth):
            blocks.append(nn.TransformerEncoderLayer(width, 4))
        self.blocks = blocks  # flagged

    def forward(self, x):
        x = self.gates[0](x) * torch.sigmoid(self.gates[1](x))
        for block in self.blocks:
            x = block(x)
        return x
""",
        # parameters
        """\
import torch
from torch import nn

class Prompts(nn.Module):
    def __init__(self, n, width):
        super().__init__()
        self.prompts = [nn.Parameter(torch.randn(width)) for _ in range(n)]  # flagged

    def forward(self, i):
        return self.prompts[i]
""",
        # blocks of our own, and a function that makes them
        """\
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc = nn.Linear(width, width)

    def forward(self, x):
        return x + torch.relu(self.fc(x))

def conv(a, b):
    return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU())

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = [conv(3, 16), conv(16, 32)]  # flagged
        self.blocks = [Block(32), Block(32)]  # flagged

    def forward(self, x):
        for layer in self.stem:
            x = layer(x)
        x = x.mean((2, 3))
        for block in self.blocks:
            x = block(x)
        return x
""",
        # in another method, with an annotation, in a subclass of our own base
        """\
from torch import nn

class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.build()

    def forward(self, x):
        return self.run(x)

class Pyramid(Base):
    def build(self):
        self.laterals: list[nn.Module] = []  # flagged
        for c in (256, 512, 1024):
            self.laterals.append(nn.Conv2d(c, 256, 1))
        self.outs = []  # flagged
        self.outs += [nn.Conv2d(256, 256, 3, padding=1) for _ in range(3)]

    def run(self, xs):
        return [out(lateral(x)) for out, lateral, x in zip(self.outs, self.laterals, xs)]
""",
        # without parameters it does no harm: a note
        """\
from torch import nn

class Pool(nn.Module):
    def __init__(self):
        super().__init__()
        self.pools = [nn.MaxPool2d(2), nn.AvgPool2d(2)]  # flagged

    def forward(self, x):
        return [pool(x) for pool in self.pools]
""",
        # a Lightning module is a module
        """\
import lightning as L
import torch
import torch.nn.functional as F

class Ensemble(L.LightningModule):
    def __init__(self, n):
        super().__init__()
        self.members = [torch.nn.Linear(16, 4) for _ in range(n)]  # flagged

    def forward(self, x):
        return torch.stack([member(x) for member in self.members]).mean(0)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y)
""",
        # a dict filled in a loop, lists in a list, a list from a helper
        """\
from torch import nn

class Net(nn.Module):
    def __init__(self, tasks, n):
        super().__init__()
        self.heads = {}  # flagged
        for task in tasks:
            self.heads[task] = nn.Linear(8, 2)
        self.blocks = [[nn.Linear(8, 8), nn.ReLU()] for _ in range(n)]  # flagged
        self.outs = self._make(n)  # flagged

    def _make(self, n):
        return [nn.Linear(8, 8) for _ in range(n)]

    def forward(self, x, task):
        for block in self.blocks:
            for layer in block:
                x = layer(x)
        for out in self.outs:
            x = out(x)
        return self.heads[task](x)
""",
        # layers without parameters, of which eval() must reach the mode
        """\
import torch.nn as nn
import torch.nn.functional as F


class Dropping(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.1, self.training)


class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.dropouts = []  # flagged
        for _ in range(n):
            self.dropouts.append(Dropping())
""",
    ]

    fixed = [
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(n)])  # flagged
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)
""",
        """\
import torch.nn as nn
import torch.nn.functional as F

class Mlp(nn.Module):
    def __init__(self, sizes):
        super(Mlp, self).__init__()
        self.fcs = nn.ModuleList()  # flagged
        for a, b in zip(sizes, sizes[1:]):
            self.fcs.append(nn.Linear(a, b))

    def forward(self, x):
        for fc in self.fcs[:-1]:
            x = F.relu(fc(x))
        return self.fcs[-1](x)
""",
        """\
from torch import nn

class Heads(nn.Module):
    def __init__(self, width, tasks):
        super().__init__()
        self.branches = nn.ModuleDict({"a": nn.Linear(width, width), "b": nn.Identity()})  # flagged
        self.heads = {task: nn.Linear(width, n) for task, n in tasks.items()}  # flagged

    def forward(self, x, branch, task):
        return self.heads[task](self.branches[branch](x))
""",
        None,
        """\
import torch
from torch import nn

class Prompts(nn.Module):
    def __init__(self, n, width):
        super().__init__()
        self.prompts = nn.ParameterList([nn.Parameter(torch.randn(width)) for _ in range(n)])  # flagged

    def forward(self, i):
        return self.prompts[i]
""",
        """\
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc = nn.Linear(width, width)

    def forward(self, x):
        return x + torch.relu(self.fc(x))

def conv(a, b):
    return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU())

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.ModuleList([conv(3, 16), conv(16, 32)])  # flagged
        self.blocks = nn.ModuleList([Block(32), Block(32)])  # flagged

    def forward(self, x):
        for layer in self.stem:
            x = layer(x)
        x = x.mean((2, 3))
        for block in self.blocks:
            x = block(x)
        return x
""",
        """\
from torch import nn

class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.build()

    def forward(self, x):
        return self.run(x)

class Pyramid(Base):
    def build(self):
        self.laterals: list[nn.Module] = []  # flagged
        for c in (256, 512, 1024):
            self.laterals.append(nn.Conv2d(c, 256, 1))
        self.outs = nn.ModuleList()  # flagged
        self.outs += [nn.Conv2d(256, 256, 3, padding=1) for _ in range(3)]

    def run(self, xs):
        return [out(lateral(x)) for out, lateral, x in zip(self.outs, self.laterals, xs)]
""",
        """\
from torch import nn

class Pool(nn.Module):
    def __init__(self):
        super().__init__()
        self.pools = nn.ModuleList([nn.MaxPool2d(2), nn.AvgPool2d(2)])  # flagged

    def forward(self, x):
        return [pool(x) for pool in self.pools]
""",
        """\
import lightning as L
import torch
import torch.nn.functional as F

class Ensemble(L.LightningModule):
    def __init__(self, n):
        super().__init__()
        self.members = torch.nn.ModuleList([torch.nn.Linear(16, 4) for _ in range(n)])  # flagged

    def forward(self, x):
        return torch.stack([member(x) for member in self.members]).mean(0)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y)
""",
        None,
        """\
import torch.nn as nn
import torch.nn.functional as F


class Dropping(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.1, self.training)


class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.dropouts = nn.ModuleList()  # flagged
        for _ in range(n):
            self.dropouts.append(Dropping())
""",
    ]

    good = [
        # registered containers
        """\
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(n)])
        self.heads = nn.ModuleDict({"a": nn.Linear(8, 2)})
        self.body = nn.Sequential(*[nn.Linear(8, 8) for _ in range(n)])
        self.more = nn.ModuleList()
        self.more.append(nn.Linear(8, 8))
""",
        # registered later: wrapped, added, set as attributes
        """\
from torch import nn

class Wrapped(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.blocks = []
        for _ in range(n):
            self.blocks.append(nn.Linear(8, 8))
        self.net = nn.Sequential(*self.blocks)
        self.stages = [nn.Linear(8, 8), nn.ReLU()]
        self.stages = nn.ModuleList(self.stages)

class Added(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.layers = [nn.Linear(8, 8) for _ in range(n)]
        for i, layer in enumerate(self.layers):
            self.add_module(f"layer{i}", layer)
        self.convs = []
        for i in range(n):
            conv = nn.Conv1d(8, 8, 3)
            setattr(self, f"conv{i}", conv)
            self.convs.append(conv)
        self.fcs = []
        for i in range(n):
            fc = nn.Linear(8, 8)
            self.__setattr__(f"fc{i}", fc)
            self.fcs.append(fc)
        self.weights = [nn.Parameter(layer.weight) for layer in self.layers]
        for i, weight in enumerate(self.weights):
            self.register_parameter(f"weight{i}", weight)
""",
        # listed, and attributes of their own as well
        """\
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc1 = nn.Linear(8, 8)
        self.fc2 = nn.Linear(8, 8)
        self.order = [self.fc1, self.fc2]
        for i in range(n):
            setattr(self, f"layer{i}", nn.Linear(8, 8))
        self.stages = [getattr(self, f"layer{i}") for i in range(n)]
        self.children_list = list(self.children())
""",
        # a local list that ends in a Sequential
        """\
from torch import nn

class Net(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        layers = []
        for a, b in zip(sizes, sizes[1:]):
            layers += [nn.Linear(a, b), nn.ReLU()]
        self.net = nn.Sequential(*layers[:-1])
        blocks = [nn.Linear(8, 8) for _ in range(3)]
        self.blocks = nn.ModuleList(blocks)

    def _make_layer(self, n):
        layers = []
        for _ in range(n):
            layers.append(nn.Conv2d(8, 8, 3))
        return nn.Sequential(*layers)
""",
        # hidden on purpose: one element, an argument
        """\
import torch
from torch import nn

class Student(nn.Module):
    def __init__(self, width, teacher: nn.Module):
        super().__init__()
        self.fc = nn.Linear(width, 10)
        self._teacher = [teacher]
        self._ema = (teacher,)

    def forward(self, x):
        with torch.no_grad():
            target = self._teacher[0](x)
        return self.fc(x), target
""",
        # not a module: nothing is registered anywhere
        """\
import torch
from torch import nn

class Ensemble:
    def __init__(self, n):
        self.models = [nn.Linear(8, 2) for _ in range(n)]
        self.optimizers = [torch.optim.Adam(m.parameters()) for m in self.models]

    def predict(self, x):
        return torch.stack([m(x) for m in self.models]).mean(0)
""",
        # containers of other things
        """\
import torch
from torch import nn

class Net(nn.Module):
    activations = {"relu": nn.ReLU, "gelu": nn.GELU}

    def __init__(self, channels, transform):
        super().__init__()
        self.channels = [3, *channels]
        self.names = {i: f"c{i}" for i in channels}
        self.kinds = [nn.ReLU, nn.GELU]
        self.transforms = [transform, torch.relu, lambda x: x.flatten(1)]
        self.anchors = [torch.zeros(4), torch.ones(4)]
        self.hooks = []
        self.losses = []
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        self.losses.append(x.pow(2).mean())
        self.hooks.append(x.register_hook(print))
        return self.fc(x)
""",
        # only for the time of building
        """\
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self._layers = []
        for _ in range(n):
            self._layers.append(nn.Linear(8, 8))
            self._layers.append(nn.ReLU())
        self.net = nn.Sequential(*self._layers)
        del self._layers

    def forward(self, x):
        return self.net(x)
""",
        # arguments, and things of which nothing is known
        """\
from torch import nn
from blocks import make_block

class Net(nn.Module):
    def __init__(self, parts, callbacks):
        super().__init__()
        self.parts = list(parts)
        self.callbacks = [callbacks, *parts]
        self.unknown = [make_block(i) for i in range(3)]
""",
        # losses, metrics and optimizers in a Lightning module's hooks
        """\
import lightning as L
import torch

class Model(L.LightningModule):
    def __init__(self, net: torch.nn.Module):
        super().__init__()
        self.net = net
        self.outputs = []

    def validation_step(self, batch, batch_idx):
        self.outputs.append(self.net(batch).mean())

    def configure_optimizers(self):
        optimizers = [torch.optim.Adam(self.parameters())]
        return optimizers, [torch.optim.lr_scheduler.StepLR(optimizers[0], 10)]
""",
        # a ModuleList filled from a list, in two steps
        """\
from torch import nn

class Pyramid(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.laterals = [nn.Conv2d(w, 256, 1) for w in widths]
        self.register()

    def register(self):
        self.registered = nn.ModuleList(self.laterals)

    def forward(self, xs):
        return [lateral(x) for lateral, x in zip(self.laterals, xs)]
""",
        # put into another network as well, by a helper
        """\
from functools import reduce
from torch import nn

def put(model, path, layer):
    *parts, last = path.split(".")
    setattr(reduce(getattr, parts, model), last, layer)

class Adapted(nn.Module):
    def __init__(self, net, paths):
        super().__init__()
        self.net = net
        self.adapters = dict()
        for path in paths:
            adapter = nn.Linear(8, 8)
            put(net, path, adapter)
            self.adapters[path] = adapter
""",
        # keyed by something that is no string, then wrapped
        """\
from torch import nn

class Heads(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.by_size = {size: nn.Linear(size, 2) for size in sizes}
        self.heads = nn.ModuleList(self.by_size.values())

    def forward(self, x):
        return self.by_size[x.size(-1)](x)
""",
        # an element that a method hands to the layer which it builds for the base class, in another file
        """\
# file: layers.py
import torch.nn as nn


class Base(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.attention = self.build(n)

    def build(self, n):
        return nn.Linear(n, n)


class Attention(nn.Module):
    def __init__(self, n, compress):
        super().__init__()
        self.compress = compress


# file: block.py
import torch.nn as nn

from layers import Attention, Base


class Block(Base):
    def __init__(self, n, shared):
        self.shared = [shared]
        super().__init__(n)

    def build(self, n):
        return Attention(n, compress=self.shared[0])

    def renew(self, n):
        self.shared = [nn.Linear(n, n)]
        self.attention = self.build(n)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the attributes that hold layers or parameters which nothing registers."""
        known = source.ask(facts.models)
        seen: set[object] = set()
        for model in known.by_class.values():
            candidates = [(held, made) for held in model.held if (made := _made_in(known, held.term))]
            registered = facts.registration.registered(source, model) if candidates else set()
            for held, made in candidates:
                lost = [term for term in made if term.node not in registered]
                line = _first_line(known, model, held)
                if lost and line is not None and line not in seen:
                    seen.add(line)
                    yield _report(source, known, model, held, lost, line)


def _made_in(known: Models, term: Term) -> list[Any]:
    """Return the layers and parameters made here that lie in a plain container."""
    return [item for item in facts.registration.plain_items(term) if facts.registration.is_made(known, item)]


def _first_line(known: Models, model: Model, held: Held) -> Any:
    """Return the line that first puts a container into the attribute, in the class or its bases."""
    for scope in known.interpreter.hierarchy.lineage(model.scope):
        one = known.of(scope)
        for other in one.attributes.get(held.name, ()) if one is not None else ():
            if other.lines and _is_plain(other.term):
                return other.lines[0]
    return None


def _is_plain(term: Term) -> bool:
    terms = facts.terms
    return any(
        isinstance(option, terms.Display | terms.Dictionary | terms.Repeated)
        for option in terms.options(term)
    )


def _report(
    source: SourceFile, known: Models, model: Model, held: Held, lost: list[Any], line: Any
) -> Report:
    is_harmless = not any(facts.registration.has_state(known, term) for term in lost)
    what = "layers without parameters" if is_harmless else _called(lost)
    return Report(
        line.value if line.value is not None else line.node,
        f"`{model.scope.name}` does not know of the {what} in `{held.name}`"
        + ("" if is_harmless else f": {_harm(known, lost)}"),
        severity=Severity.NOTE if is_harmless else None,
        confidence=None if model.is_certain else Confidence.MEDIUM,
        related=(Mark(lost[0].node, "made here"),),
        fix=_fix(source, model, held, line),
    )


def _harm(known: Models, lost: list[Any]) -> str:
    registration, heeds = facts.registration, facts.modality.heeds_mode
    if any(registration.has_parameters(known, term) or not heeds(known.interpreter, term) for term in lost):
        return "they are not trained, moved or saved"
    return "`eval()` does not reach them"


def _called(lost: list[Any]) -> str:
    return "parameters" if all(isinstance(term, facts.terms.Operation) for term in lost) else "layers"


def _fix(source: SourceFile, model: Model, held: Held, line: Any) -> ProposedFix | None:
    """Wrap what is written; a list that is still empty becomes an empty ModuleList."""
    wrapper = _wrapper(source, held, line) if not _is_annotated(line) else None
    name = facts.spelling.spelled(source, model.scope, f"torch.nn.{wrapper}") if wrapper else None
    if name is None:
        return None
    inside = facts.spelling.bare(source, line.value)
    change = Replace(line.value, f"{name}({'' if inside == '[]' else inside})")
    return ProposedFix(f"register them: `{name}`", Applicability.UNSAFE, (change,))


def _is_nested(term: Term) -> bool:
    """Whether containers lie in the container: wrapping the outer one is not enough then."""
    terms = facts.terms
    return any(
        _is_plain(part)
        for option in terms.options(term)
        if isinstance(option, terms.Display | terms.Repeated)
        for part in (option.items if isinstance(option, terms.Display) else (option.item,))
    )


def _is_annotated(line: Any) -> bool:
    return any(hasattr(part, "annotation") for part in getattr(line.node, "body", ()))


def _wrapper(source: SourceFile, held: Held, line: Any) -> str | None:
    terms = facts.terms
    items = list(facts.registration.plain_items(held.term))
    known = source.ask(facts.models)
    if _is_nested(held.term) or not all(facts.registration.is_made(known, item) for item in items):
        return None
    kind = type(line.value).__name__
    if kind in ("List", "ListComp"):
        return "ParameterList" if _called(items) == "parameters" else "ModuleList"
    if kind == "Dict" and isinstance(held.term, terms.Dictionary) and _called(items) == "layers":
        keys = [key for key, _ in held.term.items]
        if all(isinstance(key, terms.Constant) and isinstance(key.value, str) for key in keys):
            return "ModuleDict"
    return None
