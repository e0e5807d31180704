"""STB609 missing-super-init: a module whose `nn.Module.__init__` does not run, runs late, or runs twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import InsertBefore, Mark, ProposedFix, Remove, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.classes import Model, Models
    from stablint.static.facts.scopes import Binding, CallSite, Scope
    from stablint.static.source import SourceFile


class MissingSuperInit(StaticRule):
    """`__init__` of a module does not run that of `nn.Module`, or runs it where it loses layers.

    ## What it does

    In a class that is known to be an `nn.Module`, reports an `__init__` that calls the `__init__` of no
    base, a layer or parameter that is assigned before it is called, and a second call that comes after
    layers were registered: `A.__init__(self); B.__init__(self)` with two modules as bases.

    ## Why it is bad

    `nn.Module.__init__` makes the tables in which layers, parameters and buffers are registered.

    - Never called, in a class with plain attributes only: the object is made without a complaint, and
      fails far from there, `'Net' object has no attribute '_backward_hooks'` when it is called,
      `'_parameters'` when the optimizer is made, `'_modules'` in `eval()` (torch 2.13).
    - A layer before it: `cannot assign module before Module.__init__() call`.
    - Called twice: the tables are made anew, and the layers that were in them are gone, silently. They
      still work in `forward`, but of two bases with a linear layer each `parameters()` has those of the
      last one only (torch 2.13): the others are never trained, moved or saved.

    ## Example

    ```python
    class Normalise(nn.Module):
        def __init__(self, mean):
            self.mean = mean
    ```

    ## Use instead

    ```python
    class Normalise(nn.Module):
        def __init__(self, mean):
            super().__init__()
            self.mean = mean
    ```

    With several bases, call `super().__init__()` once and let each base do the same.

    ## When to ignore it

    When the object takes over the tables of another one (what writes to `__dict__` is not reported).
    Interfaces whose `__init__` does nothing, and classes whose bases are not known, are not reported.

    ## Fix safety

    Unsafe: what did not run, runs. `super().__init__()` is inserted as the first statement, or moved there.

    ## References

    - [torch.nn.Module](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html)
    - [super](https://docs.python.org/3/library/functions.html#super)
    """

    code = "STB609"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # plain attributes only
        """\
import torch
from torch import nn

class Normalise(nn.Module):
    def __init__(self, mean, std):  # flagged
        "Keep the statistics."
        self.mean = mean
        self.std = std

    def forward(self, x):
        return (x - self.mean) / self.std
""",
        # a layer before it
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        self.fc = nn.Linear(n, n)  # flagged
        super().__init__()

    def forward(self, x):
        return self.fc(x)
""",
        # a parameter before it, the old way
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        self.n = n
        self.w = nn.Parameter(torch.zeros(n))  # flagged
        super(Net, self).__init__()

    def forward(self, x):
        return x * self.w
""",
        # a loss, and layers that never get there
        """\
from torch.nn.modules.loss import _Loss
import torch.nn as nn

class Weighted(_Loss):
    def __init__(self, weight):  # flagged
        self.weight = weight

    def forward(self, x, y):
        return (self.weight * (x - y) ** 2).mean()

class Net(nn.Module):
    def __init__(self):  # flagged
        self.fc = nn.Linear(4, 4)
""",
        # two bases, one after the other
        """\
import torch
from torch import nn

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Linear(8, 2)

class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.dec = nn.Linear(2, 8)

class Both(Encoder, Decoder):
    def __init__(self):
        Encoder.__init__(self)
        Decoder.__init__(self)  # flagged

    def forward(self, x):
        return self.dec(self.enc(x))
""",
        # once more after the layers
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 2)
        nn.Module.__init__(self)  # flagged

    def forward(self, x):
        return self.fc(x)
""",
    ]

    fixed = [
        """\
import torch
from torch import nn

class Normalise(nn.Module):
    def __init__(self, mean, std):  # flagged
        "Keep the statistics."
        super().__init__()
        self.mean = mean
        self.std = std

    def forward(self, x):
        return (x - self.mean) / self.std
""",
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc = nn.Linear(n, n)  # flagged

    def forward(self, x):
        return self.fc(x)
""",
        None,
        """\
from torch.nn.modules.loss import _Loss
import torch.nn as nn

class Weighted(_Loss):
    def __init__(self, weight):  # flagged
        super().__init__()
        self.weight = weight

    def forward(self, x, y):
        return (self.weight * (x - y) ** 2).mean()

class Net(nn.Module):
    def __init__(self):  # flagged
        super().__init__()
        self.fc = nn.Linear(4, 4)
""",
        None,
        None,
    ]

    good = [
        # first; plain attributes may come before
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        self.n = n
        super().__init__()
        self.fc = nn.Linear(n, n)

class Old(nn.Module):
    def __init__(self, n):
        super(Old, self).__init__()
        self.fc = nn.Linear(n, n)

class Named(nn.Module):
    def __init__(self, n):
        nn.Module.__init__(self)
        self.fc = nn.Linear(n, n)
""",
        # no __init__
        """\
import torch
from torch import nn

class Swish(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)
""",
        # no module
        """\
import torch
from torch import nn

class Holder:
    def __init__(self, n):
        self.fc = nn.Linear(n, n)

class Square(torch.autograd.Function):
    def __init__(self, n):
        self.n = n
""",
        # bases that are not known
        """\
import torch
from torch import nn

from elsewhere import Base

class Net(Base):
    def __init__(self, n):
        self.n = n

    def forward(self, x):
        return x
""",
        # a dataclass, an interface, a method that does it
        """\
import torch
from torch import nn

from dataclasses import dataclass

class Late(nn.Module):
    def __init__(self, n):
        self.n = n
        self.build()

    def build(self):
        super().__init__()
        self.fc = nn.Linear(self.n, self.n)

@dataclass(eq=False)
class Scale(nn.Module):
    by: float

    def __post_init__(self):
        super().__init__()

class Interface(nn.Module):
    def __init__(self, n):
        raise NotImplementedError
""",
        # the tables of another module
        """\
import torch
from torch import nn

class Wrapper(nn.Module):
    def __init__(self, module):
        self.__dict__ = module.__dict__
        self.kind = "wrapper"
""",
        # in both branches
        """\
import torch
from torch import nn

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Linear(8, 2)

class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.dec = nn.Linear(2, 8)

class Net(Encoder):
    def __init__(self, plain):
        if plain:
            super().__init__()
        else:
            nn.Module.__init__(self)
        self.fc = nn.Linear(2, 2)
""",
        # a base that is no module comes second
        """\
import torch
from torch import nn

class Saving:
    def __init__(self):
        self.path = "net.pt"

class Net(nn.Module, Saving):
    def __init__(self):
        nn.Module.__init__(self)
        self.fc = nn.Linear(2, 2)
        Saving.__init__(self)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each `__init__` that does not run that of the base once, and first."""
        if "__init__" not in source.ask(facts.syntax).identifiers:
            return
        known = source.ask(facts.models)
        for model in known.by_class.values():
            init = next((one for one in model.scope.children if one.name == "__init__"), None)
            if init is None or not model.is_certain or model.is_open or _has_own_ways(source, init):
                continue
            calls = _calls(source, init)
            if not calls:
                yield from _never(source, known, model, init)
            else:
                yield from _late(source, known, init, calls[0])
                yield from _again(source, known, init, calls)


def _has_own_ways(source: SourceFile, init: Scope) -> bool:
    """Whether an object is set up in another way, or an `__init__` in a way that is not followed."""
    text = source.code(init.node)
    calls = source.ask(facts.syntax).calls.get("__init__", ())
    inner = [site for site in calls if site.scope is not init and init in _around(site.scope)]
    return bool(inner) or re.search(r"__dict__|__setstate__|object\.__setattr__|__new__", text) is not None


def _around(scope: Scope | None) -> Iterator[Scope]:
    while scope is not None:
        yield scope
        scope = scope.parent


def _calls(source: SourceFile, init: Scope) -> list[CallSite]:
    """Return the calls of a base's `__init__`, in order."""
    sites = source.ask(facts.syntax).calls.get("__init__", ())
    places = source.ask(facts.order.positions)
    own = [site for site in sites if site.scope is init]
    return sorted(own, key=lambda site: places.get(site.statement, 0))


def _never(source: SourceFile, known: Models, model: Model, init: Scope) -> Iterator[Report]:
    body = _statements(source, init)
    if not init.writes or not body:
        return  # an interface: it sets up nothing
    if any(site.scope.owner is model.scope for site in source.ask(facts.syntax).calls.get("__init__", ())):
        return  # a method that is called here does it
    if any("Module.__init__" in source.code(other.scope.node) for other in known.family(model)):
        return  # a subclass does it first
    fix = None
    if (
        next(iter(known.interpreter.hierarchy.lineage(model.scope))) is model.scope
        and len(known.family(model)) == 1
    ):
        fix = ProposedFix(
            "Call `super().__init__()` first",
            Applicability.UNSAFE,
            (InsertBefore(body[0], "super().__init__()"),),
        )
    yield Report(
        init.node,
        f"`{model.scope.name}` never runs `nn.Module.__init__`: it fails when it is called, moved or optimised",
        fix=fix,
    )


def _statements(source: SourceFile, init: Scope) -> list[Any]:
    """Return the statements of a function without its docstring."""
    body: list[Any] = list(getattr(init.node.body, "body", ()))  # type: ignore[attr-defined]
    return body[1:] if body and source.code(body[0]).lstrip().startswith(('"', "'", 'r"')) else body


def _layers(known: Models, init: Scope) -> list[tuple[str, Binding]]:
    """Return the attributes of `self` that get a layer or parameter, at the top of the function."""
    found = []
    own = f"{facts.classes.receiver_name(init)}."
    for name, lines in init.writes.items():
        for line in lines if name.startswith(own) else ():
            term = known.interpreter.terms.get(id(line.value)) if line.value is not None else None
            if term is not None and facts.registration.is_made(known, term):
                found.append((name, line))
    return found


def _late(source: SourceFile, known: Models, init: Scope, call: CallSite) -> Iterator[Report]:
    if call.block is not None:
        return
    early = [
        (name, line)
        for name, line in _layers(known, init)
        if facts.order.is_later(source, line.node, call.statement)
        and facts.statements.block_of(source, line.node) is None
    ]
    if not early:
        return
    name, line = early[0]
    body = _statements(source, init)
    moves = source.code(call.node) == "super().__init__()" and bool(body)
    changes = (InsertBefore(body[0], "super().__init__()"), Remove(call.statement))
    yield Report(
        line.node,
        f"`{name}` is assigned before `nn.Module.__init__` has run, which raises",
        related=(Mark(call.node, "it runs here"),),
        fix=ProposedFix("Call `super().__init__()` first", Applicability.UNSAFE, changes) if moves else None,
    )


def _again(source: SourceFile, known: Models, init: Scope, calls: list[CallSite]) -> Iterator[Report]:
    """Report a second `__init__` that makes the tables anew after something was registered in them."""
    layers = [line for _, line in _layers(known, init)]
    for before, call in pairwise(calls):
        if call.block is not None or before.block is not None or not _makes_tables(known, source, call):
            continue
        between = [
            line
            for line in layers
            if facts.order.is_later(source, before.statement, line.node)
            and facts.order.is_later(source, line.node, call.statement)
        ]
        base = _base(known, before)
        inherited = known.of(base)
        brought = inherited is not None and any(
            facts.registration.is_made(known, held.term) for held in inherited.held
        )
        if between or brought:
            mark = Mark(between[0].node if between else before.node, "registered here")
            message = "this initialises the module a second time: the layers registered before are dropped"
            yield Report(call.node, message, related=(mark,))


def _base(known: Models, call: CallSite) -> Scope | None:
    """Return the model of the file whose `__init__` a call names: `A.__init__(self)`."""
    named = known.interpreter.terms.get(id(call.node.func.value))  # type: ignore[attr-defined]
    scope = named.scope if isinstance(named, facts.terms.ClassObject) else None
    return scope if known.of(scope) is not None else None


def _makes_tables(known: Models, source: SourceFile, call: CallSite) -> bool:
    """Whether a call runs `nn.Module.__init__`, by way of a base that is a module."""
    return (
        _base(known, call) is not None
        or re.fullmatch(
            r"(torch\.)?(nn\.)?Module\.__init__\(self\)|super\(\)\.__init__\(\)", source.code(call.node)
        )
        is not None
    )
