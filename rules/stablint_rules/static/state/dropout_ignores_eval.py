"""STB602 dropout-ignores-eval: dropout that eval() cannot switch off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import Change, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.classes import Model
    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class DropoutIgnoresEval(StaticRule):
    """Dropout that stays active after `eval()`.

    ## What it does

    In the methods of an `nn.Module`, reports

    - `F.dropout(x, p)` without `training=`,
    - `F.scaled_dot_product_attention(..., dropout_p=p)` where `p` does not depend on `self.training`,
    - `nn.Dropout(p)(x)`, a layer made anew in `forward`,
    - `F.dropout(x, self.training)`, where the flag lands in the place of `p`: this one is an error.

    In a plain function it reports `F.dropout` where the function has a parameter `training` and does not
    pass it on. Calls that a test of `self.training` guards are left alone.

    ## Why it is bad

    `eval()` sets `self.training` of every registered module, and nothing else. The `training` of
    `F.dropout` is `True` unless it is passed. `scaled_dot_product_attention` has no such argument and
    "always applies dropout according to the specified `dropout_p`". A module that is made in `forward`
    is in training mode for ever. So evaluation and inference stay random: two calls with the same input
    differ, and every metric is that of a network with half its units missing. `F.dropout(x,
    self.training)` is `p=1` in training: the output is all zeros and the layers before it get no
    gradient (torch 2.13).

    ## Example

    ```python
    def forward(self, x):
        x = F.dropout(F.relu(self.fc1(x)), 0.5)
        return F.scaled_dot_product_attention(x, x, x, dropout_p=self.p)
    ```

    ## Use instead

    ```python
    def forward(self, x):
        x = F.dropout(F.relu(self.fc1(x)), 0.5, training=self.training)
        return F.scaled_dot_product_attention(x, x, x, dropout_p=self.p if self.training else 0.0)
    ```

    ## When to ignore it

    When dropout at inference is wanted, as in Monte Carlo dropout or Tacotron's prenet. Say so with
    `training=True`, which is not reported. Where names such as `prenet` or `mc_dropout` say it, nothing is
    reported either.

    ## Fix safety

    Unsafe: the results of evaluation change. `training=self.training` is added, a `dropout_p` gets its
    `if self.training else 0.0`, and a misplaced flag is named. For a layer made in `forward` no fix is
    offered: it belongs into `__init__`. Nor is one where the dropout seems to be wanted.

    ## References

    - [torch.nn.functional.dropout](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html)
    - [torch.nn.functional.scaled_dot_product_attention](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html)
    - [torch.nn.Module.eval](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.eval)
    """

    code = "STB602"
    severity = Severity.WARNING
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # the functional form
        """\
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 100)
        self.fc2 = nn.Linear(100, 10)

    def forward(self, x):
        x = F.dropout(F.relu(self.fc1(x)), 0.5)  # flagged
        x = F.dropout(x)  # flagged
        return self.fc2(x)
""",
        # attention
        """\
from torch import nn
from torch.nn import functional as F
from torch.nn.functional import scaled_dot_product_attention as sdpa

class Attention(nn.Module):
    def __init__(self, width, p):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.p = p

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        a = F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)  # flagged
        b = sdpa(q, k, v, None, 0.1)  # flagged
        return a + b
""",
        # the flag in the place of p: an error
        """\
import torch.nn as nn
import torch.nn.functional as F

class CNN(nn.Module):
    def __init__(self):
        super(CNN, self).__init__()
        self.conv = nn.Conv2d(1, 10, kernel_size=5)
        self.fc = nn.Linear(1440, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv(x), 2)).view(-1, 1440)
        x = F.dropout(x, self.training)  # flagged
        return self.fc(x)
""",
        # a layer made in forward
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p
        self.fc = nn.Linear(16, 16)

    def forward(self, x):
        x = nn.Dropout(self.p)(torch.relu(self.fc(x)))  # flagged
        return torch.nn.Dropout2d(0.2)(x)  # flagged
""",
        # another method, a base class of our own, other kinds of dropout
        """\
from torch import nn
from torch.nn import functional
from torch.nn.functional import dropout, dropout2d

class Base(nn.Module):
    def forward(self, x):
        return self.decode(self.encode(x))

class AutoEncoder(Base):
    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3)
        self.up = nn.ConvTranspose2d(8, 3, 3)

    def encode(self, x):
        return dropout2d(self.down(x), p=0.2)  # flagged

    def decode(self, h):
        h = functional.dropout3d(h[None], 0.1)[0]  # flagged
        return dropout(self.up(h), p=0.1, inplace=True)  # flagged
""",
        # only on one of two branches is it guarded
        """\
import torch.nn.functional as F
from torch import nn

class Gat(nn.Module):
    def __init__(self, width, p):
        super().__init__()
        self.p = p
        self.lin = nn.Linear(width, width)

    def forward(self, x, alpha):
        if self.p > 0:
            alpha = F.dropout(alpha, self.p)  # flagged
        x = F.dropout(x, self.p, training=self.training)
        return alpha @ self.lin(x)
""",
        # a function that is told and does not pass it on
        """\
import torch.nn.functional as F

def feed_forward(x, w1, w2, p, training):
    h = F.dropout(F.relu(x @ w1), p)  # flagged
    return F.dropout(h @ w2, p, training=training)
""",
        # a Lightning module
        """\
import lightning as L
import torch
import torch.nn.functional as F

class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(32, 2)

    def forward(self, x):
        return self.fc(F.dropout(x, p=0.3))  # flagged

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y)
""",
    ]

    fixed = [
        """\
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 100)
        self.fc2 = nn.Linear(100, 10)

    def forward(self, x):
        x = F.dropout(F.relu(self.fc1(x)), 0.5, training=self.training)  # flagged
        x = F.dropout(x, training=self.training)  # flagged
        return self.fc2(x)
""",
        """\
from torch import nn
from torch.nn import functional as F
from torch.nn.functional import scaled_dot_product_attention as sdpa

class Attention(nn.Module):
    def __init__(self, width, p):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.p = p

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        a = F.scaled_dot_product_attention(q, k, v, dropout_p=self.p if self.training else 0.0)  # flagged
        b = sdpa(q, k, v, None, 0.1 if self.training else 0.0)  # flagged
        return a + b
""",
        """\
import torch.nn as nn
import torch.nn.functional as F

class CNN(nn.Module):
    def __init__(self):
        super(CNN, self).__init__()
        self.conv = nn.Conv2d(1, 10, kernel_size=5)
        self.fc = nn.Linear(1440, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv(x), 2)).view(-1, 1440)
        x = F.dropout(x, training=self.training)  # flagged
        return self.fc(x)
""",
        None,
        """\
from torch import nn
from torch.nn import functional
from torch.nn.functional import dropout, dropout2d

class Base(nn.Module):
    def forward(self, x):
        return self.decode(self.encode(x))

class AutoEncoder(Base):
    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3)
        self.up = nn.ConvTranspose2d(8, 3, 3)

    def encode(self, x):
        return dropout2d(self.down(x), p=0.2, training=self.training)  # flagged

    def decode(self, h):
        h = functional.dropout3d(h[None], 0.1, training=self.training)[0]  # flagged
        return dropout(self.up(h), p=0.1, inplace=True, training=self.training)  # flagged
""",
        """\
import torch.nn.functional as F
from torch import nn

class Gat(nn.Module):
    def __init__(self, width, p):
        super().__init__()
        self.p = p
        self.lin = nn.Linear(width, width)

    def forward(self, x, alpha):
        if self.p > 0:
            alpha = F.dropout(alpha, self.p, training=self.training)  # flagged
        x = F.dropout(x, self.p, training=self.training)
        return alpha @ self.lin(x)
""",
        None,
        """\
import lightning as L
import torch
import torch.nn.functional as F

class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(32, 2)

    def forward(self, x):
        return self.fc(F.dropout(x, p=0.3, training=self.training))  # flagged

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y)
""",
    ]

    good = [
        # the name says that it is wanted
        """\
import torch.nn.functional as F
from torch import nn

class Prenet(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))

    def forward(self, x):
        for layer in self.layers:
            x = F.dropout(F.relu(layer(x)), p=0.5)
        return x
""",
        # told, by keyword and by position
        """\
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        x = F.dropout(self.fc(x), 0.5, training=self.training)
        x = F.dropout(x, 0.5, self.training)
        return self.drop(x)
""",
        # attention that asks for the mode
        """\
import torch.nn.functional as F
from torch import nn

class Attention(nn.Module):
    def __init__(self, width, dropout):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.p = dropout
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        p = self.p if self.training else 0.0
        a = F.scaled_dot_product_attention(q, k, v, dropout_p=p)
        b = F.scaled_dot_product_attention(q, k, v, dropout_p=self.p * self.training)
        c = F.scaled_dot_product_attention(q, k, v, dropout_p=self.drop.p if self.drop.training else 0.0)
        d = F.scaled_dot_product_attention(q, k, v, dropout_p=0.0)
        e = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return a + b + c + d + e

    def cached(self, q, k, v):
        p = self.p
        if not self.training:
            p = 0.0
        return F.scaled_dot_product_attention(q, k, v, dropout_p=p)
""",
        # guarded by a test
        """\
import torch.nn.functional as F
from torch import nn

class Block(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p
        self.conv = nn.Conv2d(8, 8, 3)

    def forward(self, x):
        out = self.conv(x)
        if self.training and self.p > 0:
            out = F.dropout(out, self.p)
        return F.dropout(out) if self.training else out

    def propagate(self, x):
        if not self.training:
            return x
        return F.dropout(x, self.p)
""",
        # wanted, and said so
        """\
import torch.nn.functional as F
from torch import nn

class Prenet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(80, 256)

    def forward(self, x):
        return F.dropout(F.relu(self.fc(x)), p=0.5, training=True)

class McDropout(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.1, True)
""",
        # noise of a sampler is no layer
        """\
import torch
import torch.nn.functional as F

class Sampler:
    def __init__(self, model):
        self.model = model

    @torch.no_grad()
    def sample(self, shape, noise_dropout=0.0):
        x = torch.randn(shape)
        for t in range(50):
            noise = torch.randn(shape)
            if noise_dropout > 0.0:
                noise = F.dropout(noise, p=noise_dropout)
            x = self.model(x, t) + noise
        return x
""",
        # functions whose caller zeroes the rate
        """\
import torch.nn.functional as F
from torch import nn

def attend(q, k, v, dropout_p=0.0):
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout_p)

def drop(x, p):
    return F.dropout(x, p)

class Layer(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def attention(self, q, k, v, dropout_p):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout_p)

    def forward(self, x):
        p = self.p if self.training else 0.0
        return attend(x, x, x, p) + drop(x, p) + self.attention(x, x, x, p)
""",
        # passed on from an argument
        """\
import torch.nn.functional as F
from torch import nn

class Layer(nn.Module):
    def forward(self, x, training: bool):
        return F.dropout(x, 0.1, training=training)

def feed_forward(x, w, p, is_training):
    return F.dropout(x @ w, p, training=is_training)
""",
        # arguments that cannot be seen
        """\
import torch.nn.functional as F
from torch import nn

class Layer(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, x, *args, **kwargs):
        return F.dropout(x, **self.options) + F.dropout(x, *args) + F.dropout(x, 0.5, **kwargs)
""",
        # nothing is dropped
        """\
import torch.nn.functional as F
from torch import nn

class Layer(nn.Module):
    def forward(self, x):
        return F.dropout(x, p=0.0) + F.dropout(x, 0)
""",
        # alpha dropout is off unless it is told
        """\
import torch.nn.functional as F
from torch import nn

class Selu(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        x = F.alpha_dropout(F.selu(self.fc(x)), 0.1, training=self.training)
        return F.feature_alpha_dropout(x, 0.1)
""",
        # registered where it is made
        """\
from torch import nn

class Lazy(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p
        self.build()

    def build(self):
        self.drop = nn.Dropout(self.p)
        self.net = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1))

    def make_head(self, n):
        return nn.Sequential(nn.Dropout(self.p), nn.Linear(8, n))

    def forward(self, x):
        return self.net(self.drop(x))
""",
        # augmentation of data, and tests of dropout itself
        """\
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

class Masked(Dataset):
    def __init__(self, items):
        self.items = items

    def __getitem__(self, i):
        return F.dropout(self.items[i], 0.1)

    def __len__(self):
        return len(self.items)

def test_dropout_scales():
    assert F.dropout(torch.ones(1000), 0.5).max() == 2
""",
        # a dropout of our own
        """\
import torch
from torch import nn

def dropout(x, p):
    return x * (torch.rand_like(x) > p)

class Layer(nn.Module):
    def forward(self, x):
        return dropout(x, 0.5) if self.training else x
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the dropouts that no mode switches off."""
        for site, operation in source.ask(facts.operations).named(*_DROPOUTS, _ATTENTION):
            if operation.open_arguments:
                continue
            model = source.ask(facts.models).around(site.scope)
            if _is_wanted(site, model):
                continue
            if operation.name == _ATTENTION:
                yield from _of_attention(source, site, operation, model)
            elif operation.module is not None:
                yield from _of_layer(source, site, operation, model)
            elif operation.dotted.startswith("torch.nn.functional."):
                yield from _of_function(source, site, operation, model)


_DROPOUTS = ("dropout", "dropout1d", "dropout2d", "dropout3d")
_ATTENTION = "scaled_dot_product_attention"
_WANTED = re.compile(r"pre_?net|mc_?drop|monte_?carlo|bayes", re.IGNORECASE)
_FLAGS = ("training", "is_training", "is_train", "train")


def _is_wanted(site: Site, model: Model | None) -> bool:
    """Whether the names say that dropout is meant to stay on: Tacotron 2 draws its prenet's at inference, too."""
    return _WANTED.search(f"{site.scope.name} {model.scope.name if model is not None else ''}") is not None


def _of_function(
    source: SourceFile, site: Site, operation: Operation, model: Model | None
) -> Iterator[Report]:
    rate = operation.argument("p", 0)
    written = _written(operation, "p", 1)
    if isinstance(rate, facts.terms.Attribute) and rate.name == "training":
        message = "the second argument is `p`, not the mode: in training everything is dropped"
        change = Replace(written, f"training={source.code(written)}")
        changes = () if _keyword(operation, "p") else (change,)
        yield _report(site, model, message, changes, Severity.ERROR)
    elif operation.argument("training", 1) is None:
        is_told = any(flag in site.scope.bindings for flag in _FLAGS)
        if (model is None and not is_told) or _is_decided(source, site, rate, 0, by_caller=not is_told):
            return
        if not facts.modes.is_asked(source, site.node, site.statement, site.scope):
            message = f"`{operation.name}` without `training=` drops units in evaluation as well"
            yield _report(site, model, message, _told(source, site, operation))


def _of_attention(
    source: SourceFile, site: Site, operation: Operation, model: Model | None
) -> Iterator[Report]:
    rate = operation.argument("dropout_p", 3)
    if model is None or rate is None or _is_decided(source, site, rate, 3):
        return
    if facts.modes.is_asked(source, site.node, site.statement, site.scope):
        return
    receiver = facts.classes.receiver_name(site.scope)
    written = _written(operation, "dropout_p", 4)
    asked = f"{facts.spelling.in_parentheses(source, written)} if {receiver}.training else 0.0"
    changes = () if receiver is None else (Replace(written, asked),)
    yield _report(
        site, model, "`dropout_p` is applied in evaluation as well: nothing here asks for the mode", changes
    )


def _of_layer(source: SourceFile, site: Site, operation: Operation, model: Model | None) -> Iterator[Report]:
    layer = operation.module
    if model is None or layer is None or site.scope.name == "__init__":
        return
    made = source.ask(facts.values).interpreter.sites.get(id(layer.node))
    if made is None or made[1] is not site.scope or layer.open_arguments:
        return
    if any(layer in facts.terms.within(held.term) for held in model.held):
        return
    rate = layer.keywords.get("p") or (layer.positional[0] if layer.positional else None)
    if _is_zero(rate) or facts.modes.is_asked(source, site.node, site.statement, site.scope):
        return
    yield _report(site, model, "a dropout layer made on the spot is always in training mode", ())


def _is_decided(
    source: SourceFile, site: Site, rate: Term | None, position: int, by_caller: bool = True
) -> bool:
    """Whether something else decides about the rate: it is 0, may be 0, depends on the mode or on the caller."""
    if rate is None:
        return False
    terms = facts.terms
    name = "dropout_p" if position else "p"
    for option in terms.options(source.ask(facts.values).raw(site.node)):
        raw = option.argument(name, position) if isinstance(option, terms.Operation) else None
        if raw is None:
            continue
        if isinstance(raw, terms.Parameter) and raw.function.name != "__init__":
            raw = rate
        if any(map(_is_zero, terms.options(raw))) or facts.modes.is_of_mode(raw):
            return True
        if by_caller and any(map(_is_given_by_caller, terms.within(raw))):
            return True
    return all(map(_is_zero, terms.options(rate)))


def _is_given_by_caller(part: Term) -> bool:
    return isinstance(part, facts.terms.Parameter) and part.function.name != "__init__"


def _is_zero(rate: Term | None) -> bool:
    return facts.terms.number(rate) == 0


def _keyword(operation: Operation, name: str) -> bool:
    return name in operation.keywords


def _written(operation: Operation, name: str, position: int) -> Any:
    """Return the expression of an argument as it is written."""
    arguments = getattr(operation.node, "args", ())
    for argument in arguments:
        if argument.keyword is not None and argument.keyword.value == name:
            return argument.value
    return arguments[position].value if position < len(arguments) else None


def _told(source: SourceFile, site: Site, operation: Operation) -> tuple[Change, ...]:
    """Add `training=self.training` behind the last argument."""
    receiver = facts.classes.receiver_name(site.scope)
    arguments: Any = getattr(operation.node, "args", ())
    last = arguments[-1].value
    if receiver is None or last.lpar:
        return ()
    return (Replace(last, f"{source.code(last)}, training={receiver}.training"),)


def _report(
    site: Site,
    model: Model | None,
    message: str,
    changes: tuple[Change, ...],
    severity: Severity | None = None,
) -> Report:
    fix = ProposedFix("ask for the mode", Applicability.UNSAFE, changes) if changes else None
    return Report(
        site.node,
        message,
        severity=severity,
        confidence=Confidence.MEDIUM if model is None or not model.is_certain else None,
        fix=fix if model is not None else None,
    )
