"""STB404 init-fn-ignores-argument."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.filling import Fill
    from stablint.static.facts.scopes import Scope
    from stablint.static.source import SourceFile


class InitFnIgnoresArgument(StaticRule):
    """A function that is to initialise the layer it is given initialises something else.

    ## What it does
    Looks at functions that are given to `Module.apply`, or that test with `isinstance` or `type` whether
    their argument is a layer. Reports initialisers in them (`nn.init`, `.data.fill_`, `.normal_` and the
    like) whose target begins with a name from outside of the function: `n.weight` where the argument is
    `m`.

    ## Why it is bad
    `apply` passes every module to the function, and the function has to use it. With a name that does
    not exist this is a `NameError`. With one that does, a layer left over from another cell of the
    notebook or the model itself, nothing is said: one layer is initialised again and again, all others
    keep PyTorch's default. That is smaller than it looks: for `Linear(256, 256)` its standard deviation
    is 0.036, Xavier's is 0.063, Kaiming's 0.089 (measured with torch 2.13), and the signal shrinks
    accordingly in every layer.

    ## Example
    ```python
    def init_weights(m):
        if isinstance(m, nn.Linear):
            nn.init.xavier_uniform_(n.weight)

    model.apply(init_weights)
    ```

    ## Use instead
    ```python
    def init_weights(m):
        if isinstance(m, nn.Linear):
            nn.init.xavier_uniform_(m.weight)

    model.apply(init_weights)
    ```

    ## When to ignore it
    When a part of the model that has nothing to do with the argument is really to be initialised there.
    It is better done outside of the function, once.

    ## Fix safety
    Unsafe: other layers are initialised than before. The name at the start of the target becomes that
    of the argument.

    ## References
    - [torch.nn.Module.apply](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.apply)
    - [torch.nn.init](https://docs.pytorch.org/docs/stable/nn.init.html)
    """

    code = "STB404"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # The page's example.
        """\
from torch import nn


def init_weights(m):
    if isinstance(m, nn.Linear):
        nn.init.xavier_uniform_(n.weight)  # flagged


model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
model.apply(init_weights)
""",
        # By type, with the methods of a tensor, for a part of the model.
        """\
import torch
import torch.nn as nn

net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


def xavier(m):
    if type(m) == nn.Linear:
        layer.weight.data.normal_(0.0, 0.01)  # flagged
        layer.bias.data = torch.zeros(8)  # flagged


net[0].apply(xavier)
""",
        # The model instead of its modules.
        """\
import torch
from torch import nn
from torch.nn import init


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(8, 8)
        self.fc2 = nn.Linear(8, 1)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


model = Net()


def weights_init(module):
    if isinstance(module, nn.Linear):
        init.kaiming_normal_(model.fc1.weight, nonlinearity="relu")  # flagged
        init.zeros_(module.bias)


model.apply(weights_init)
""",
        # In a file of helpers: only the test shows that the argument is a layer.
        """\
import torch.nn.init as init
from torch import nn


def init_layer(layer, gain=1.0):
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        init.orthogonal_(m.weight, gain)  # flagged
        if layer.bias is not None:
            init.constant_(m.bias, 0)  # flagged
    elif isinstance(layer, nn.BatchNorm2d):
        init.ones_(layer.weight)
""",
        # A function inside a function, and a lambda.
        """\
from torch import nn


def build(width):
    net = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))

    def init(m):
        if hasattr(m, "weight"):
            nn.init.xavier_normal_(net[0].weight)  # flagged

    net.apply(init)
    head = nn.Linear(width, 1)
    head.apply(lambda m: nn.init.zeros_(net[2].bias))  # flagged
    return net, head
""",
        # A method that is given to apply.
        """\
from torch import nn

other = nn.Linear(4, 4)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.apply(self._init_weights)

    def _init_weights(self, module):
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(other.weight, std=0.02)  # flagged

    def forward(self, x):
        return self.fc(x)
""",
    ]

    fixed = [
        """\
from torch import nn


def init_weights(m):
    if isinstance(m, nn.Linear):
        nn.init.xavier_uniform_(m.weight)


model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
model.apply(init_weights)
""",
        """\
import torch
import torch.nn as nn

net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


def xavier(m):
    if type(m) == nn.Linear:
        m.weight.data.normal_(0.0, 0.01)
        m.bias.data = torch.zeros(8)


net[0].apply(xavier)
""",
        None,
        """\
import torch.nn.init as init
from torch import nn


def init_layer(layer, gain=1.0):
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        init.orthogonal_(layer.weight, gain)
        if layer.bias is not None:
            init.constant_(layer.bias, 0)
    elif isinstance(layer, nn.BatchNorm2d):
        init.ones_(layer.weight)
""",
        None,
        """\
from torch import nn

other = nn.Linear(4, 4)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.apply(self._init_weights)

    def _init_weights(self, module):
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)

    def forward(self, x):
        return self.fc(x)
""",
    ]

    good = [
        # The usual forms.
        """\
from torch import nn


def init_weights(m):
    if isinstance(m, nn.Linear):
        nn.init.xavier_uniform_(m.weight)
        m.bias.data.fill_(0.01)
    elif type(m) in (nn.Conv2d, nn.ConvTranspose2d):
        nn.init.kaiming_normal_(m.weight.data)
    classname = m.__class__.__name__
    if classname.find("BatchNorm") != -1:
        m.weight.data.normal_(1.0, 0.02)


model = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
model.apply(init_weights)
""",
        # What the argument holds goes to another layer.
        """\
from torch import nn

teacher = nn.Linear(4, 4)


def follow(m, rate=0.01):
    if isinstance(m, nn.Linear):
        teacher.weight.data.copy_(m.weight.data)
        teacher.bias.data = m.bias.data.clone()
        teacher.weight.requires_grad = False


nn.Linear(4, 4).apply(follow)
""",
        # Names made of the argument.
        """\
from torch import nn


def init_weights(m):
    if isinstance(m, (nn.LSTM, nn.GRU)):
        for name, p in m.named_parameters():
            if "weight" in name:
                nn.init.orthogonal_(p)
            else:
                p.data.zero_()
    elif isinstance(m, nn.Linear):
        weight, bias = m.weight, m.bias
        nn.init.xavier_uniform_(weight)
        nn.init.zeros_(bias)
    elif isinstance(m, nn.MultiheadAttention):
        [nn.init.xavier_normal_(p) for p in m.parameters() if p.dim() > 1]


nn.LSTM(4, 4).apply(init_weights)
""",
        # The module itself, beside what it is given.
        """\
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.head = nn.Linear(4, 4)
        self.apply(self._init_weights)

    def _init_weights(self, m):
        if isinstance(m, nn.Linear):
            nn.init.trunc_normal_(m.weight, std=0.02)
        nn.init.zeros_(self.head.weight)

    def forward(self, x):
        return self.head(self.fc(x))
""",
        # A test that says which layer it is.
        """\
from torch import nn

model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))


def init_weights(m):
    if isinstance(m, nn.Linear):
        nn.init.xavier_uniform_(m.weight)
    if m is model[2]:
        nn.init.zeros_(model[2].weight)


model.apply(init_weights)
""",
        # Functions that initialise what they are given under another name.
        """\
from torch import nn


def fill(weight, bias=None):
    nn.init.xavier_uniform_(weight)
    if bias is not None:
        nn.init.zeros_(bias)


def init_weights(m, gain=1.0):
    if isinstance(m, nn.Linear):
        fill(m.weight, m.bias)


model = nn.Linear(4, 4)
model.apply(init_weights)
nn.init.zeros_(model.bias)
""",
        # No test of the argument, and not given to apply.
        """\
from torch import nn

encoder, decoder = nn.Linear(4, 4), nn.Linear(4, 4)


def tie(scale):
    nn.init.normal_(encoder.weight, std=scale)
    decoder.weight.data.copy_(encoder.weight.data.t())


tie(0.02)
""",
        # apply of something else.
        """\
import torch
from torch import nn

total = torch.zeros(1)


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        total.add_(1)
        return x * x


def count(m):
    if isinstance(m, nn.Linear):
        total.add_(m.weight.numel())


nn.Linear(2, 2).apply(count)
y = Square.apply(torch.ones(2))
""",
        # The argument is no layer, or the test is of something else.
        """\
from torch import nn

embedding = nn.Embedding(10, 4)


def reset(mode, scale=0.1):
    if isinstance(mode, str):
        nn.init.normal_(embedding.weight, std=scale)
    if isinstance(embedding, nn.Embedding):
        nn.init.normal_(embedding.weight, std=scale)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the initialisers in such functions whose target is a name from outside."""
        names = source.ask(facts.syntax).identifiers
        if names.isdisjoint({"apply", "isinstance", "type"}) or names.isdisjoint({"weight", "bias"}):
            return
        every = source.ask(facts.filling.fills)
        for fill in every.all:
            root = _root(source, fill)
            scope = fill.scope.function
            is_in_function = scope.kind in ("function", "lambda") and fill.kind != "freeze"
            if root is None or not fill.is_certain or not is_in_function:
                continue
            if not _is_from_outside(source, root.value, fill.scope) or _is_tested(source, fill, root.value):
                continue
            argument = _argument(scope) if scope in every.applied else _tested_argument(source, fill, scope)
            if argument is not None and not _mentions(source.code(fill.node), argument):
                yield Report(
                    fill.node,
                    f"the function is given `{argument}`, but initialises a part of `{root.value}`",
                    fix=_fix(source, fill, root, argument),
                )


def _root(source: SourceFile, fill: Fill) -> Any:
    """Return the name that a written target begins with: `n` of `n.weight.data`."""
    node = _target(source, fill)
    attributes = []
    while node is not None and type(node).__name__ != "Name":
        attributes.append(getattr(getattr(node, "attr", None), "value", ""))
        node = getattr(node, "value", None) or getattr(node, "func", None)
        if isinstance(node, str):
            return None
    return node if {"weight", "bias"} & set(attributes) else None


def _target(source: SourceFile, fill: Fill) -> Any:
    for option in facts.terms.options(source.ask(facts.values).raw(fill.node)):
        if isinstance(option, facts.terms.Operation) and option.node is fill.node:
            return facts.spelling.written_operand(option)
    stores = source.ask(facts.syntax).stores
    return next((store.target for store in stores if store.statement is fill.node), None)


def _is_from_outside(source: SourceFile, name: str, scope: Scope | None) -> bool:
    """Whether a name is bound neither in a function nor by an import, and is not `self`."""
    own = facts.classes.receiver_name(scope)
    while scope is not None and scope.kind == "comprehension":
        if name in scope.bindings:
            return False
        scope = scope.parent
    if scope is None or name in scope.bindings or name == own:
        return False
    imported = source.ask(facts.syntax).module.bindings.get(name, ())
    return all(binding.kind != "import" for binding in imported)


def _is_tested(source: SourceFile, fill: Fill, name: str) -> bool:
    """Whether a test on the way asks for what is initialised: `if m is model.head`."""
    asked = (source.code(test) for test, _ in facts.guards.tests(source, fill.node, fill.statement))
    return any(_mentions(text, name) for text in asked)


def _mentions(code: str, name: str) -> bool:
    return re.search(rf"\b{name}\b", code) is not None


def _argument(scope: Scope) -> str | None:
    """Return what a function calls the module that `apply` passes."""
    names = [name for name, found in scope.bindings.items() if found[0].kind == "parameter"]
    own = facts.classes.receiver_name(scope) if scope.owner is not None else None
    return next((name for name in names if name != own), None)


def _tested_argument(source: SourceFile, fill: Fill, scope: Scope) -> str | None:
    """Return the argument of which a test on the way says that it is a layer of torch."""
    terms = facts.terms
    values = source.ask(facts.values)
    for test, held in facts.guards.tests(source, fill.node, fill.statement):
        parts = list(terms.within(values.raw(test))) if held else []
        asked = [part for part in parts if getattr(part, "name", "") in ("isinstance", "builtin_type")]
        is_layer = any(
            isinstance(part, terms.Reference) and part.dotted.startswith("torch.nn.") for part in parts
        )
        for one in asked if is_layer else ():
            argument = one.operands[0] if isinstance(one, terms.Operation) and one.operands else None
            if isinstance(argument, terms.Parameter) and argument.function is scope:
                return argument.name
    return None


def _fix(source: SourceFile, fill: Fill, root: Any, argument: str) -> ProposedFix | None:
    """Exchange the name, where the target is a parameter of a layer and not of a part of something."""
    target = source.code(_target(source, fill))
    if not target.startswith((f"{root.value}.weight", f"{root.value}.bias")):
        return None
    change = Replace(root, argument)
    return ProposedFix(f"initialise `{argument}`", Applicability.UNSAFE, (change,))
