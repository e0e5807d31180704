"""STB607 tensor-attribute-not-buffer: a tensor that its module does not know it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import ProposedFix, Replace, Report, StaticRule
from stablint.static import facts
from stablint.static.torch_api import kind
from stablint.static.torch_api.groups import CREATIONS, NO_GRAPH, RANDOM, UNINITIALISED, words

if TYPE_CHECKING:
    from stablint.static.facts.classes import Held, Model
    from stablint.static.facts.scopes import Binding
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class TensorAttributeNotBuffer(StaticRule):
    """A module keeps a tensor in a plain attribute, neither as a parameter nor as a buffer.

    ## What it does

    In an `nn.Module`, reports an attribute that `__init__`, or a method that it calls, sets to a new tensor
    and that another method uses. What it costs depends on the tensor:

    - made with `requires_grad=True` and given to no optimizer of the file: never trained (an error);
    - updated by arithmetic on itself, as running statistics are: lost with every checkpoint (a warning);
    - random, as the frequencies of Fourier features are: another one after loading (a warning);
    - constant: left behind by `.to(device)` and `.half()`. A warning where nothing in the class moves it,
      a note where it is moved or computed anew, may be an index, or shows samples.

    Numbers (`torch.tensor(0.5)`) are left alone: they work with tensors of every device.

    ## Why it is bad

    `nn.Module` moves, converts and saves parameters and buffers only. After `net.double()` a tensor in a
    plain attribute is still `float32`; `state_dict()` does not hold it, and `load_state_dict` says "All
    keys matched successfully" while the random tensor of the new module differs from that of the saved
    one (torch 2.13). With `requires_grad=True` it is not in `parameters()`: it receives gradients, and no
    optimizer applies them.

    ## Example

    ```python
    class Norm(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.moving_mean = torch.zeros(n)
    ```

    ## Use instead

    ```python
    class Norm(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.register_buffer("moving_mean", torch.zeros(n))
    ```

    and `nn.Parameter` for what is to be trained.

    ## When to ignore it

    When the tensor is data that is not part of the model. A class of its own that is no `nn.Module` says
    so. A warning for every constant would be too much: most constants in real code are moved by hand at
    each use, and then work: these are notes.

    ## Fix safety

    Unsafe: the keys of `state_dict()` change, so that checkpoints that exist lack one. Constants become
    buffers with `persistent=False`, which are moved and not saved.

    ## References

    - [torch.nn.Module.register_buffer](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.register_buffer)
    - [torch.nn.Parameter](https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html)
    """

    code = "STB607"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # running statistics
        """\
import torch
from torch import nn

class Norm(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.mean = torch.zeros(n)  # flagged
        self.count = torch.ones(1, n)  # flagged

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0).detach()
            self.count += 1
        return x - self.mean
""",
        # statistics by a function of the file
        """\
import torch
from torch import nn

def update(old, x, rate):
    return (1 - rate) * old + rate * x.mean(0)

class Norm(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.moving = torch.zeros(n)  # flagged

    def forward(self, x):
        with torch.no_grad():
            self.moving = update(self.moving, x, 0.1)
        return x - self.moving
""",
        # by two values at once, in place, and through `data`
        """\
import torch
from torch import nn

def normalise(x, mean, rate, training):
    if not training:
        return x - mean, mean
    now = x.mean(0)
    mean = (1 - rate) * mean + rate * now
    return x - now, mean.data

class Norm(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.moving_mean = torch.zeros(n)  # flagged
        self.size = torch.ones(n)  # flagged
        self.hits = torch.zeros(n)  # flagged

    def forward(self, x):
        y, self.moving_mean = normalise(x, self.moving_mean, 0.1, self.training)
        if self.training:
            self.size.data.mul_(0.9).add_(y.detach().std(0), alpha=0.1)
            self.hits[0] += 1
        return y / self.size, self.hits
""",
        # random frequencies
        """\
import torch
from torch import nn

class Fourier(nn.Module):
    def __init__(self, n, scale):
        super().__init__()
        self.B = torch.randn(2, n) * scale  # flagged

    def forward(self, x):
        return torch.sin(x @ self.B.to(x.device))
""",
        # what should be trained
        """\
import torch
from torch import nn

class Scale(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.gain = torch.ones(n, requires_grad=True)  # flagged

    def forward(self, x):
        return x * self.gain
""",
        # a constant that nothing moves
        """\
import torch
from torch import nn

class Mask(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.mask = torch.ones(n, n).tril()  # flagged

    def forward(self, scores):
        return scores * self.mask
""",
        # moved by an override of to(), which the model around it does not call
        """\
import torch
from torch import nn

class Actor(nn.Module):
    def __init__(self, low, high):
        super().__init__()
        self.fc = nn.Linear(8, 2)
        self.scale = torch.FloatTensor((high - low) / 2)  # flagged

    def forward(self, x):
        return torch.tanh(self.fc(x)) * self.scale

    def to(self, device):
        self.scale = self.scale.to(device)
        return super().to(device)
""",
        # a table from a helper, moved at each use: a note
        """\
import torch
from torch import nn

class Positions(nn.Module):
    def __init__(self, n, width):
        super().__init__()
        self.table = self.make(n, width)  # flagged

    @staticmethod
    def make(n, width):
        at = torch.arange(n).unsqueeze(1) / 10000 ** torch.linspace(0, 1, width)
        return torch.cat([torch.sin(at), torch.cos(at)], dim=1)

    def forward(self, x):
        return x + self.table[: x.size(1)].to(x.device)
""",
        # learnt or not, and filled by another method
        """\
import torch
from torch import nn

class Residual(nn.Module):
    def __init__(self, n, train_eps):
        super().__init__()
        if train_eps:
            self.eps = nn.Parameter(torch.empty(n))
        else:
            self.eps = torch.empty(n)  # flagged
        self.reset_parameters()

    def reset_parameters(self):
        self.eps.data.fill_(0.1)

    def forward(self, x):
        return (1 + self.eps) * x
""",
        # made by a method that the constructor calls
        """\
import torch
from torch import nn

class Schedule(nn.Module):
    def __init__(self, steps):
        super().__init__()
        self.make_schedule(steps)

    def make_schedule(self, steps):
        betas = torch.linspace(1e-4, 2e-2, steps)
        self.kept = torch.cumprod(1 - betas, 0)  # flagged

    def forward(self, x, t):
        return x * self.kept[t].sqrt()
""",
    ]

    fixed = [
        """\
import torch
from torch import nn

class Norm(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n))  # flagged
        self.register_buffer("count", torch.ones(1, n))  # flagged

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0).detach()
            self.count += 1
        return x - self.mean
""",
        """\
import torch
from torch import nn

def update(old, x, rate):
    return (1 - rate) * old + rate * x.mean(0)

class Norm(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.register_buffer("moving", torch.zeros(n))  # flagged

    def forward(self, x):
        with torch.no_grad():
            self.moving = update(self.moving, x, 0.1)
        return x - self.moving
""",
        """\
import torch
from torch import nn

def normalise(x, mean, rate, training):
    if not training:
        return x - mean, mean
    now = x.mean(0)
    mean = (1 - rate) * mean + rate * now
    return x - now, mean.data

class Norm(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.register_buffer("moving_mean", torch.zeros(n))  # flagged
        self.register_buffer("size", torch.ones(n))  # flagged
        self.register_buffer("hits", torch.zeros(n))  # flagged

    def forward(self, x):
        y, self.moving_mean = normalise(x, self.moving_mean, 0.1, self.training)
        if self.training:
            self.size.data.mul_(0.9).add_(y.detach().std(0), alpha=0.1)
            self.hits[0] += 1
        return y / self.size, self.hits
""",
        """\
import torch
from torch import nn

class Fourier(nn.Module):
    def __init__(self, n, scale):
        super().__init__()
        self.register_buffer("B", torch.randn(2, n) * scale)  # flagged

    def forward(self, x):
        return torch.sin(x @ self.B.to(x.device))
""",
        None,
        """\
import torch
from torch import nn

class Mask(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.register_buffer("mask", torch.ones(n, n).tril(), persistent=False)  # flagged

    def forward(self, scores):
        return scores * self.mask
""",
        """\
import torch
from torch import nn

class Actor(nn.Module):
    def __init__(self, low, high):
        super().__init__()
        self.fc = nn.Linear(8, 2)
        self.register_buffer("scale", torch.FloatTensor((high - low) / 2), persistent=False)  # flagged

    def forward(self, x):
        return torch.tanh(self.fc(x)) * self.scale

    def to(self, device):
        self.scale = self.scale.to(device)
        return super().to(device)
""",
        """\
import torch
from torch import nn

class Positions(nn.Module):
    def __init__(self, n, width):
        super().__init__()
        self.register_buffer("table", self.make(n, width), persistent=False)  # flagged

    @staticmethod
    def make(n, width):
        at = torch.arange(n).unsqueeze(1) / 10000 ** torch.linspace(0, 1, width)
        return torch.cat([torch.sin(at), torch.cos(at)], dim=1)

    def forward(self, x):
        return x + self.table[: x.size(1)].to(x.device)
""",
        None,
        """\
import torch
from torch import nn

class Schedule(nn.Module):
    def __init__(self, steps):
        super().__init__()
        self.make_schedule(steps)

    def make_schedule(self, steps):
        betas = torch.linspace(1e-4, 2e-2, steps)
        self.register_buffer("kept", torch.cumprod(1 - betas, 0), persistent=False)  # flagged

    def forward(self, x, t):
        return x * self.kept[t].sqrt()
""",
    ]

    good = [
        # buffers and parameters
        """\
import torch
from torch import nn

class Norm(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n))
        self.gain = nn.Parameter(torch.ones(n))
        scale = torch.ones(n) * 2
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.mean(0).detach()
        return (x - self.mean) * self.gain * self.scale
""",
        # numbers, and what is no tensor
        """\
import torch
from torch import nn

import numpy as np

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.temperature = torch.tensor(0.5)
        self.zero = torch.zeros(())
        self.rates = np.linspace(0, 1, n)
        self.drop = torch.linspace(0, 1, n).tolist()
        self.total = torch.ones(n).sum().item()

    def forward(self, x):
        return x / self.temperature + self.zero + self.rates[0] + self.drop[0] + self.total
""",
        # no module
        """\
import torch
from torch import nn

class Statistics:
    def __init__(self, n):
        self.mean = torch.zeros(n)

    def update(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
""",
        # used while it is made
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.start = torch.randn(n, n)
        self.fc = nn.Linear(n, n)
        self.fc.weight.data.copy_(self.start)

    def forward(self, x):
        return self.fc(x)
""",
        # computed from parameters; given from outside
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n, codes):
        super().__init__()
        self.w = nn.Parameter(torch.randn(n))
        self.codes = codes
        self.last = None

    def forward(self, x):
        self.last = x * self.w
        return self.last + self.codes
""",
        # an optimizer of its own
        """\
import torch
from torch import nn

class Prompt(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.delta = torch.zeros(n, requires_grad=True)
        self.optimizer = torch.optim.Adam([self.delta])

    def forward(self, x):
        return x + self.delta
""",
        # the gradient is applied by hand
        """\
import torch
from torch import nn

class Attack(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.delta = torch.zeros(n, requires_grad=True)

    def step(self):
        self.delta.data += 0.01 * self.delta.grad.sign()

    def forward(self, x):
        return x + self.delta
""",
        # registered in a loop over names
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        values = {"low": torch.zeros(n), "high": torch.ones(n)}
        for name, value in values.items():
            self.register_buffer(name, value)

    def forward(self, x):
        return x.clamp(self.low, self.high)
""",
        # a place for a cache; a layer made of a tensor
        """\
import torch
from torch import nn

class Rotary(nn.Module):
    def __init__(self, n, values):
        super().__init__()
        self.length = 0
        self.cached = torch.empty(0, n)
        self.table = nn.Embedding.from_pretrained(torch.linspace(0, 1, n).unsqueeze(1))

    def forward(self, x):
        if len(x) > self.length:
            self.length = len(x)
            self.cached = torch.arange(len(x), device=x.device).unsqueeze(1).expand(len(x), x.size(1)).cos()
        return x * self.cached[: len(x)] + self.table(x.argmax(1))
""",
        # an empty one that fills up; made by a method of the constructor that moves it
        """\
import torch
from torch import nn

class Search(nn.Module):
    def __init__(self, ids, device):
        super().__init__()
        self.overlap = torch.empty(0)
        self.device = device
        self.make_table(ids)

    def make_table(self, ids):
        self.table = torch.full((len(ids),), -1)
        self.table = self.table.to(self.device)

    def forward(self, x, step):
        if step == 0:
            self.overlap = torch.zeros_like(x)
        else:
            self.overlap[x > 0] = self.overlap[x > 0] * 0.5
        return self.overlap + self.table
""",
        # a parameter that is drawn anew in place where an option says so
        """\
import torch
from torch import nn


class Bias(nn.Module):
    def __init__(self, n, is_drawn=False):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(n))
        if is_drawn:
            self.bias.data.uniform_(-1.0, 0.0)
        self.scale = nn.Parameter(torch.ones(n))
        if is_drawn:
            self.scale.uniform_(0.5, 1.0)

    def forward(self, x):
        return x * self.scale + self.bias.clamp(-1, 0)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each attribute made in `__init__`, or by what that calls, that holds a tensor and is used later."""
        for model in source.ask(facts.models).by_class.values():
            seen: set[str] = set()
            for held in _constructed(source, model) if model.is_certain else ():
                made = _tensor_in(source, model, held) if held.name not in seen else None
                if made is not None and _is_used(source, model, held):
                    seen.add(held.name)
                    yield from _report(source, model, held, made)


_TENSORS = CREATIONS - {"new"}
_NO_TENSOR = (NO_GRAPH - words("long int short char byte bool detach one_hot bincount")) | {"parameter"}
_ARITHMETIC = words("add sub mul div lerp addcmul addcdiv maximum minimum")
_SAME = words("data detach clone to")
_MAYBE_INDEX = words("tensor as_tensor asarray from_numpy arange randperm tril_indices triu_indices")
_OUTSIDE = re.compile(r"__init__|__repr__|__str__|extra_repr|reset\w*|_?init\w*")
"""Methods that do not compute what the module gives."""
_SHOWN = re.compile(r"example|fixed|sample|valid|noise|vis|plot", re.IGNORECASE)
"""Random tensors of which samples are drawn that somebody looks at."""


def _constructed(source: SourceFile, model: Model) -> Iterator[Held]:
    """Yield what the constructor leaves in attributes, then what the methods that it calls do."""
    later: list[Held] = []
    inits = [one for one in model.scope.children if one.kind == "function" and one.name == "__init__"]
    code = source.code(inits[0].node) if inits else ""
    for held in (one for one in model.held if one.lines):
        if held.method.name == "__init__":
            yield held
        elif re.search(rf"\bself\.{held.method.name}\(", code) and not _is_moved(source, model, held):
            later.append(held)
    yield from later


def _tensor_in(source: SourceFile, model: Model, held: Held) -> Operation | None:
    """Return what makes the tensor that a value is computed from; None where it may be something else."""
    options = [
        one
        for one in facts.terms.options(facts.evaluation.without_none(held.term))
        if getattr(_written(one), "name", "") != "parameter"  # if it is to be learnt
    ]
    is_empty = any(isinstance(one, facts.terms.Operation) and one.name in UNINITIALISED for one in options)
    if is_empty and not _is_filled(source, model, held.name, held.term):
        return None  # a place for what is computed later
    found = [_made(one, 40) for one in options]
    return found[0] if found and all(found) else None


def _written(term: Term) -> Term:
    """Return what the methods write into that change a tensor in place: it stays the parameter that it was."""
    while (
        isinstance(term, facts.terms.Operation) and term.dotted.startswith("torch.Tensor.") and term.operands
    ):
        if not term.dotted.endswith("_"):
            break
        term = term.operands[0]
    return term


def _is_filled(source: SourceFile, model: Model, name: str, term: Term) -> bool:
    """Whether a class writes its values into an attribute, as reset_parameters does; an empty one is for later."""
    if any(_has_no_elements(one) for one in facts.terms.options(term)):
        return False
    written = rf"\bself\.{name}(\.data)?(\.(fill|zero|copy|normal|uniform)_\(|\[[^\n]*\] *[-+*/]?= )"
    return re.search(written, source.code(model.scope.node)) is not None


def _made(term: Term, depth: int) -> Operation | None:
    if depth == 0 or not isinstance(term, facts.terms.Operation) or term.name in _NO_TENSOR:
        return None
    if term.dotted.startswith("torch.nn.") and not term.dotted.startswith("torch.nn.functional."):
        return None  # a layer, as `Embedding.from_pretrained` makes one
    if term.dotted.startswith("torch.") and (term.name in _TENSORS or kind(term.dotted) == "tensor"):
        return None if _is_number(term) else term
    parts = [one for operand in term.operands for one in _items(operand)]
    if any(isinstance(one, facts.terms.Operation) and one.name == "parameter" for one in parts):
        return None
    return next((made for one in parts if (made := _made(one, depth - 1)) is not None), None)


def _items(operand: Term) -> Iterator[Term]:
    for option in facts.terms.options(operand):
        if isinstance(option, facts.terms.Display):
            yield from (one for item in option.items for one in facts.terms.options(item))
        else:
            yield option


def _is_number(made: Operation) -> bool:
    """Whether a tensor has no dimensions: `torch.tensor(0.5)`, `torch.zeros(())`."""
    given = (*made.operands, *made.positional)
    if len(given) != 1:
        return made.name not in _TENSORS
    is_empty = isinstance(given[0], facts.terms.Display) and not given[0].items
    return is_empty or (made.name in _MAYBE_INDEX - {"arange"} and facts.terms.number(given[0]) is not None)


def _is_used(source: SourceFile, model: Model, held: Held) -> bool:
    """Whether a method that computes something uses the attribute, and nothing registers one of its name."""
    name = held.name
    family = source.ask(facts.models).family(model)
    registered = re.compile(rf"register_(buffer|parameter)\(\s*f?[\"']{name}[\"']")
    if any(registered.search(source.code(one.scope.node)) for one in family):
        return False
    methods = [method for one in family for method in one.scope.children if method.kind == "function"]
    return any(
        method is not held.method
        and not _OUTSIDE.fullmatch(method.name)
        and re.search(rf"\bself\.{name}\b", source.code(method.node))
        for method in methods
    )


def _report(source: SourceFile, model: Model, held: Held, made: Operation) -> Iterator[Report]:
    name = held.name
    if _wants_gradient(held.term):
        if not _is_optimised(source, model, held, made):
            message = f"`self.{name}` is no parameter: it gets gradients, and no optimizer gets it"
            yield Report(_line(held, made).node, message, severity=Severity.ERROR, confidence=Confidence.HIGH)
        return
    if _is_state(source, model, held, made):
        severity, what = None, "its updates are in no checkpoint, and `.to(device)` leaves it behind"
    elif _is_random(held.term):
        severity = Severity.NOTE if _SHOWN.search(name) else None
        what = "no checkpoint holds it, and a loaded model draws another one"
    else:
        anew = any(other.method.name not in ("__init__", "to", "cuda") for other in model.attributes[name])
        is_note = anew or _is_moved(source, model, held) or _may_be_index(held.term)
        severity = Severity.NOTE if is_note else None
        what = "`.to(device)` and `.half()` leave it behind"
    is_constant = what.startswith("`")
    yield Report(
        _line(held, made).node,
        f"`self.{name}` is a tensor and no buffer: {what}",
        severity=severity,
        fix=_fix(source, held, is_constant),
    )


def _line(held: Held, made: Operation) -> Binding:
    """Return the assignment that the tensor is written in, of several in branches."""
    written = [line for line in held.lines if facts.statements.contains(line.node, made.node)]
    return written[-1] if written else held.lines[-1]


def _operations_in(term: Term) -> list[Operation]:
    return [one for one in facts.terms.within(term, 300) if isinstance(one, facts.terms.Operation)]


def _wants_gradient(term: Term) -> bool:
    wishes = [one.keywords.get("requires_grad") for one in _operations_in(term)]
    return any(isinstance(wish, facts.terms.Constant) and wish.value is True for wish in wishes)


def _is_optimised(source: SourceFile, model: Model, held: Held, made: Operation) -> bool:
    """Whether an optimizer of the file is given the tensor, or the code applies its gradient itself."""
    if re.search(rf"\.{held.name}\.grad\b", source.code(model.scope.node)):
        return True
    made_by = source.ask(facts.operations)
    return any(
        getattr(part, "node", None) is made.node
        or (isinstance(part, facts.terms.Attribute) and part.name == held.name)
        for name in made_by.made
        if kind(name) == "optimizer"
        for _, optimizer in made_by.instances(name)
        for part in facts.terms.within(optimizer, 300)
    )


def _is_state(source: SourceFile, model: Model, held: Held, made: Operation) -> bool:
    """Whether another method computes the next value from the last one; an empty start is no statistic."""
    if _has_no_elements(made):
        return False
    in_place = re.compile(
        rf"\bself\.{held.name}(\.data)?(\.(mul_|add_|sub_|div_|lerp_|copy_)\(|(\[[^\n]*\])? *[-+*/]= )"
    )
    methods = [method for method in model.scope.children if not _OUTSIDE.fullmatch(method.name)]
    if any(in_place.search(source.code(method.node)) for method in methods):
        return True
    own = {one.node for one in _operations_in(held.term)}
    return any(
        value.node not in own and made.node in {one.node for one in _operations_in(value)}
        for other in model.attributes[held.name]
        if other.method.name != "__init__"
        for value in _computed(other.term)
    )


def _has_no_elements(made: Term) -> bool:
    sizes = (*made.operands, *made.positional) if isinstance(made, facts.terms.Operation) else ()
    return any(facts.terms.number(size) == 0 for size in sizes)


def _computed(term: Term) -> Iterator[Operation]:
    """Yield the arithmetic that a value may be the result of."""
    for option in facts.terms.options(term):
        if isinstance(option, facts.terms.Operation) and option.name in _ARITHMETIC:
            yield option
        elif isinstance(option, facts.terms.Operation) and option.name in _SAME and option.operands:
            yield from _computed(option.operands[0])


def _may_be_index(term: Term) -> bool:
    """Whether a tensor may hold whole numbers: those of the CPU index a tensor on every device."""
    done = _operations_in(term)
    floats = {"float", "double", "half"}
    return any(one.name in words("long int short byte bool") for one in done) or (
        any(one.name in _MAYBE_INDEX for one in done) and not any(one.name in floats for one in done)
    )


def _is_random(term: Term) -> bool:
    return any(one.name in RANDOM for one in _operations_in(term))


def _is_moved(source: SourceFile, model: Model, held: Held) -> bool:
    """Whether the class looks after the device of the tensor itself; to override `to` is not enough."""
    text = source.code(model.scope.node)
    made = " ".join(source.code(line.node) for line in held.lines)
    by_hand = rf"self\.{held.name}\b[^\n]*\.(to|cuda|type_as|device)\b(?!\(device\)\n\s*return super)"
    without_override = re.sub(r"def (to|cuda)\(self.*?(?=\n    def |\Z)", "", text, flags=re.DOTALL)
    return "device" in made or re.search(by_hand, without_override) is not None


def _fix(source: SourceFile, held: Held, is_constant: bool) -> ProposedFix | None:
    line = held.lines[-1]
    written = source.code(line.node).strip()
    if len(held.lines) > 1 or line.value is None or not written.startswith(f"self.{held.name} ="):
        return None
    more = ", persistent=False" if is_constant else ""
    text = f'self.register_buffer("{held.name}", {source.code(line.value)}{more})'
    return ProposedFix("Register it as a buffer", Applicability.UNSAFE, (Replace(line.node, text),))
