"""STB401 uninitialised-parameter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.classes import Model
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class UninitialisedParameter(StaticRule):
    """A parameter keeps whatever was in memory when it was made.

    ## What it does
    Reports a parameter or buffer made of `torch.empty`, `empty_like`, `new_empty`, `torch.Tensor(sizes)`
    or `torch.FloatTensor(sizes)` that nothing writes to afterwards: no `nn.init` function, no in-place
    method, no assignment, no loop over the parameters, no initialiser of the class or of a base class,
    no `apply` that fits, no loaded checkpoint.

    ## Why it is bad
    `torch.empty` returns memory as it is. Often that is fresh and full of zeros, so the model seems to
    work; a moment later it holds the remains of another tensor, and the first forward pass is 1e33 or
    NaN (measured with torch 2.13: `torch.empty(64)` of a new process held 5e33). Runs differ although
    the seed is fixed, because no random number was ever drawn. Under
    `torch.use_deterministic_algorithms(True)` PyTorch fills such memory with NaN, which makes the fault
    visible at the first step.

    ## Example
    ```python
    class GAT(nn.Module):
        def __init__(self, heads, features):
            super().__init__()
            self.att = nn.Parameter(torch.Tensor(1, heads, features))
    ```

    ## Use instead
    ```python
    class GAT(nn.Module):
        def __init__(self, heads, features):
            super().__init__()
            self.att = nn.Parameter(torch.empty(1, heads, features))
            nn.init.xavier_uniform_(self.att)
    ```

    ## When to ignore it
    When the values are always loaded from a checkpoint before the first use, somewhere that cannot be
    seen here.

    ## Fix safety
    There is no fix: which initialisation is right depends on where the parameter is used.

    ## References
    - [torch.empty](https://docs.pytorch.org/docs/stable/generated/torch.empty.html)
    - [torch.utils.deterministic.fill_uninitialized_memory](https://docs.pytorch.org/docs/stable/deterministic.html)
    - [torch.nn.init](https://docs.pytorch.org/docs/stable/nn.init.html)
    """

    code = "STB401"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # The page's example: the attention vector of a graph layer.
        """\
import torch
from torch import nn


class GAT(nn.Module):
    def __init__(self, heads, features):
        super().__init__()
        self.lin = nn.Linear(features, heads * features)
        self.att = nn.Parameter(torch.Tensor(1, heads, features))  # flagged

    def forward(self, x):
        return (self.lin(x).view(x.size(0), *self.att.shape[1:]) * self.att).sum(-1)
""",
        # The ways to spell empty memory, and Parameter.
        """\
import torch
import torch.nn as nn
from torch.nn import Parameter
from torch.nn.parameter import Parameter as P


class Several(nn.Module):
    def __init__(self, n, m, like):
        super().__init__()
        self.a = Parameter(torch.empty(n, m))  # flagged
        self.b = P(torch.empty((n, m)))  # flagged
        self.c = nn.Parameter(torch.FloatTensor(n, m), requires_grad=True)  # flagged
        self.d = nn.Parameter(torch.empty_like(like))  # flagged
        self.e = nn.Parameter(data=like.new_empty(n))  # flagged
        self.f = nn.Parameter(torch.empty(size=(n, m), dtype=torch.float32))  # flagged
""",
        # reset_parameters forgets the bias.
        """\
import math

import torch
from torch import nn
from torch.nn import functional as F


class Linear(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.Tensor(out_features, in_features))
        self.bias = nn.Parameter(torch.Tensor(out_features))  # flagged
        self.reset_parameters()

    def reset_parameters(self):
        stdv = 1.0 / math.sqrt(self.weight.size(1))
        self.weight.data.uniform_(-stdv, stdv)

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)
""",
        # The same parameter is initialised twice, the other never.
        """\
import torch
from torch import nn


class Bilinear(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.w_left = nn.Parameter(torch.empty(n, n))
        self.w_right = nn.Parameter(torch.empty(n, n))  # flagged
        nn.init.xavier_uniform_(self.w_left)
        nn.init.xavier_uniform_(self.w_left)

    def forward(self, a, b):
        return (a @ self.w_left) * (b @ self.w_right)
""",
        # Registered by name, and a parameter that only exists in one branch.
        """\
import torch
from torch import nn


class Registered(nn.Module):
    def __init__(self, n, m, bias=True):
        super().__init__()
        self.register_parameter("weight", nn.Parameter(torch.empty(n, m)))  # flagged
        if bias:
            self.bias = nn.Parameter(torch.empty(m))  # flagged
        else:
            self.register_parameter("bias", None)
""",
        # Lists and dictionaries of parameters.
        """\
import torch
from torch import nn


class PerRelation(nn.Module):
    def __init__(self, relations, n):
        super().__init__()
        self.weights = nn.ParameterList(
            [nn.Parameter(torch.Tensor(n, n)) for _ in range(relations)]  # flagged
        )
        self.named = nn.ParameterDict({"root": nn.Parameter(torch.empty(n, n))})  # flagged
""",
        # The tensor has a name first; nothing is done to it under that name either.
        """\
import torch
from torch import nn


class Memory(nn.Module):
    def __init__(self, slots, width):
        super().__init__()
        keys = torch.empty(slots, width)
        values = torch.empty(slots, width)
        nn.init.normal_(keys, std=0.02)
        self.keys = nn.Parameter(keys)
        self.values = nn.Parameter(values)  # flagged
""",
        # A loop that leaves out everything with one dimension.
        """\
import torch
from torch import nn


class Layer(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n, m))
        self.gain = nn.Parameter(torch.empty(m))  # flagged
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.xavier_uniform_(p)

    def forward(self, x):
        return x @ self.weight * self.gain
""",
        # An apply that never matches the class that owns the parameter.
        """\
import torch
from torch import nn


class Scorer(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc = nn.Linear(n, n)
        self.query = nn.Parameter(torch.empty(n))  # flagged

    def forward(self, x):
        return self.fc(x) @ self.query


def init_weights(m):
    if isinstance(m, nn.Linear):
        nn.init.xavier_uniform_(m.weight)
        nn.init.zeros_(m.bias)


model = Scorer(16)
model.apply(init_weights)
""",
        # What looks like a write is none: the results are new tensors, thrown away.
        """\
import torch
from torch import nn


class Thrown(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n, n))  # flagged
        self.weight.data.clamp(-0.1, 0.1)
        torch.randn_like(self.weight)
        print(self.weight.shape, self.weight.numel())
""",
        # A buffer that is read in forward and never written.
        """\
import torch
from torch import nn


class Prior(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.register_buffer("log_prior", torch.empty(n))  # flagged

    def forward(self, logits):
        return logits + self.log_prior
""",
        # In a script without a class, over several lines.
        """\
import torch
from torch import nn

basis = nn.Parameter(  # flagged
    torch.empty(8, 3),
)
optimizer = torch.optim.SGD([basis], lr=0.1)
for x in torch.randn(100, 8):
    optimizer.zero_grad()
    (x @ basis).pow(2).sum().backward()
    optimizer.step()
""",
        # The base class initialises its own weight, not the one that the subclass adds.
        """\
import torch
from torch import nn


class Base(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n, n))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.orthogonal_(self.weight)


class Extended(Base):
    def __init__(self, n):
        super().__init__(n)
        self.mix = nn.Parameter(torch.empty(n, 2))  # flagged
""",
        # One parameter that may be missing is initialised, the other is not.
        """\
import torch
from torch import nn


class Affine(nn.Module):
    def __init__(self, n, bias=True):
        super().__init__()
        self.gain = nn.Parameter(torch.empty(n))  # flagged
        self.bias = nn.Parameter(torch.empty(n)) if bias else None
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x):
        return x * self.gain if self.bias is None else x * self.gain + self.bias
""",
        # A run that goes on where another was saved, what a forward works with, what a loop keeps for itself.
        """\
import torch
from torch import nn


class Memory(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.memory = nn.Parameter(torch.empty(n))  # flagged
        self.register_parameter("gain", nn.Parameter(torch.empty(n)))  # flagged

    def forward(self, x, mask):
        x.masked_fill_(mask, 0.0)
        return torch.cat([x, self.memory * self.gain])


class Trainer:
    def __init__(self, wrap):
        self.model = wrap(Memory(4))
        self.kept = []

    def train(self, rounds, runs):
        state = runs.start()
        for i in range(rounds):
            state["round"] = i
            info = runs.step(state)
            runs.report(info["reward"][i])

    def save(self, path):
        torch.save(self.model.state_dict(), path)

    def load(self, path):
        self.model.load_state_dict(torch.load(path, weights_only=True))
""",
    ]

    good = [
        # The functions of nn.init, under their names.
        """\
import torch
import torch.nn.init as init
from torch import nn
from torch.nn.init import xavier_normal_


class Layer(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.a = nn.Parameter(torch.empty(n, m))
        self.b = nn.Parameter(torch.Tensor(n, m))
        self.c = nn.Parameter(torch.FloatTensor(n, m))
        self.d = nn.Parameter(torch.empty(m))
        nn.init.xavier_uniform_(self.a, gain=1.414)
        init.kaiming_uniform_(self.b, a=5**0.5)
        xavier_normal_(self.c.data)
        torch.nn.init.zeros_(tensor=self.d)
""",
        # In-place methods, on the parameter, its data, and in the same expression.
        """\
import math

import torch
from torch import nn


class Layer(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.a = nn.Parameter(torch.empty(n, m).uniform_(-0.1, 0.1))
        self.b = nn.Parameter(torch.Tensor(n, m).normal_(0, 0.02))
        self.c = nn.Parameter(torch.empty(n, m))
        self.d = nn.Parameter(torch.empty(m))
        self.e = nn.Parameter(torch.empty(m))
        stdv = 1.0 / math.sqrt(m)
        self.c.data.uniform_(-stdv, stdv)
        self.d.data.fill_(0.1)
        with torch.no_grad():
            self.e.zero_().add_(1)
""",
        # reset_parameters, called by the constructor; the branch without a bias.
        """\
import math

import torch
from torch import nn


class GraphConvolution(nn.Module):
    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.FloatTensor(in_features, out_features))
        if bias:
            self.bias = nn.Parameter(torch.FloatTensor(out_features))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        stdv = 1.0 / math.sqrt(self.weight.size(1))
        self.weight.data.uniform_(-stdv, stdv)
        if self.bias is not None:
            self.bias.data.uniform_(-stdv, stdv)
""",
        # An initialiser that the caller runs, as the classes of a graph library expect.
        """\
import torch
from torch import nn


class Conv(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n, m))
        self.bias = nn.Parameter(torch.empty(m))

    def init_weights(self):
        for p in self.parameters():
            nn.init.normal_(p, std=0.02)


def build(n, m):
    conv = Conv(n, m)
    conv.init_weights()
    return conv
""",
        # Helpers: one of this file, one from elsewhere, one nested in the constructor.
        """\
import torch
from torch import nn
from torch_geometric.nn.inits import glorot, zeros


def normal_init(tensor, std=0.02):
    if tensor is not None:
        tensor.data.normal_(0, std)


class Conv(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.weight = nn.Parameter(torch.Tensor(n, m))
        self.att = nn.Parameter(torch.Tensor(1, m))
        self.bias = nn.Parameter(torch.empty(m))
        self.reset_parameters()

    def reset_parameters(self):
        glorot(self.weight)
        normal_init(self.att)
        zeros(self.bias)


class Biased(nn.Module):
    def __init__(self, n, bias=True):
        super().__init__()
        if bias:
            self.bias = nn.Parameter(torch.empty(n))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        zeros(self.bias)
""",
        # Loops over the parameters, over a tuple of them, by name.
        """\
import torch
from torch import nn


class All(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.w = nn.Parameter(torch.empty(n, n))
        self.b = nn.Parameter(torch.empty(n))
        for p in self.parameters():
            nn.init.uniform_(p, -0.1, 0.1)


class Some(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.u = nn.Parameter(torch.empty(n, n))
        self.v = nn.Parameter(torch.empty(n, n))
        for p in (self.u, self.v):
            nn.init.orthogonal_(p)


class Named(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n, n))
        self.bias = nn.Parameter(torch.empty(n))
        for name, p in self.named_parameters():
            if "bias" in name:
                nn.init.zeros_(p)
            else:
                nn.init.xavier_normal_(p)
""",
        # The matrices by the loop, the vector by hand.
        """\
import torch
from torch import nn


class Layer(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n, m))
        self.gain = nn.Parameter(torch.ones(m))
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.xavier_uniform_(p)
""",
        # An assignment: of the data, of a slice, of the whole parameter, a copy.
        """\
import torch
from torch import nn


class Assigned(nn.Module):
    def __init__(self, n, table):
        super().__init__()
        self.a = nn.Parameter(torch.empty(n, n))
        self.b = nn.Parameter(torch.empty(n))
        self.c = nn.Parameter(torch.empty(n))
        self.d = nn.Parameter(torch.empty(n))
        self.a.data = torch.randn(n, n) * 0.02
        self.b.data[:] = 1.0
        self.c = nn.Parameter(torch.zeros(n))
        with torch.no_grad():
            self.d.copy_(table)
""",
        # The tensor is initialised before it becomes a parameter.
        """\
import torch
from torch import nn


class Memory(nn.Module):
    def __init__(self, slots, width):
        super().__init__()
        keys = torch.empty(slots, width)
        nn.init.trunc_normal_(keys, std=0.02)
        self.keys = nn.Parameter(keys)
        self.values = nn.Parameter(nn.init.xavier_uniform_(torch.empty(slots, width)))
        self.bias = nn.Parameter(nn.init.zeros_(torch.Tensor(width)))
""",
        # torch.Tensor of data, not of a size.
        """\
import numpy as np
import torch
from torch import nn


class FromData(nn.Module):
    def __init__(self, initial):
        super().__init__()
        self.a = nn.Parameter(torch.Tensor([0.5]))
        self.b = nn.Parameter(torch.Tensor(initial), requires_grad=False)
        self.c = nn.Parameter(torch.FloatTensor([1.0, 2.0, 3.0]))
        self.d = nn.Parameter(torch.Tensor(np.zeros((3, 3))))
        self.e = nn.Parameter(torch.tensor(0.1))
""",
        # Nothing in it: a placeholder of size zero.
        """\
import torch
from torch import nn


class Device(nn.Module):
    def __init__(self):
        super().__init__()
        self.dummy = nn.Parameter(torch.empty(0), requires_grad=False)

    @property
    def device(self):
        return self.dummy.device
""",
        # The meta device holds no memory at all; the checkpoint brings it.
        """\
import torch
from torch import nn


class Lazy(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n, n, device="meta"))
""",
        # A checkpoint that is loaded right after.
        """\
import torch
from torch import nn


class Head(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n, n))


def load(path):
    head = Head(10)
    head.load_state_dict(torch.load(path, weights_only=True))
    return head
""",
        # The initialiser of a library that goes through the modules.
        """\
import torch
from torch import nn
from transformers import PreTrainedModel


class Pooler(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.query = nn.Parameter(torch.empty(config.hidden_size))


class Model(PreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.pooler = Pooler(config)
        self.scale = nn.Parameter(torch.empty(config.hidden_size))
        self.post_init()

    def _init_weights(self, module):
        if isinstance(module, Pooler):
            nn.init.normal_(module.query, std=self.config.initializer_range)
        elif isinstance(module, Model):
            nn.init.ones_(module.scale)
""",
        # apply with a function that does match the owner.
        """\
import torch
from torch import nn


class Codebook(nn.Module):
    def __init__(self, k, d):
        super().__init__()
        self.embed = nn.Parameter(torch.empty(k, d))


def init_weights(m):
    if isinstance(m, nn.Linear):
        nn.init.xavier_uniform_(m.weight)
    elif isinstance(m, Codebook):
        nn.init.uniform_(m.embed, -1 / 512, 1 / 512)


model = nn.Sequential(nn.Linear(8, 8), Codebook(512, 8))
model.apply(init_weights)
""",
        # From outside, after it was built.
        """\
import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.att = nn.Parameter(torch.empty(n, n))


def build(n):
    layer = Attention(n)
    nn.init.xavier_uniform_(layer.att)
    return layer
""",
        # The base class goes through all parameters.
        """\
import torch
from torch import nn


class Base(nn.Module):
    def reset_parameters(self):
        for weight in self.parameters():
            weight.data.uniform_(-0.1, 0.1)


class Cell(Base):
    def __init__(self, n):
        super().__init__()
        self.w = nn.Parameter(torch.Tensor(n, n))
        self.b = nn.Parameter(torch.Tensor(n))
        self.reset_parameters()
""",
        # Names made at run time: a loop over the parameters reaches them.
        """\
import torch
from torch import nn


class Stack(nn.Module):
    def __init__(self, layers, n):
        super().__init__()
        for i in range(layers):
            setattr(self, f"weight_{i}", nn.Parameter(torch.empty(n, n)))
            self.register_parameter(f"bias_{i}", nn.Parameter(torch.empty(n)))
        for p in self.parameters():
            nn.init.uniform_(p, -0.05, 0.05)
""",
        # Lists whose members are initialised one by one.
        """\
import torch
from torch import nn


class PerRelation(nn.Module):
    def __init__(self, relations, n):
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.Tensor(n, n)) for _ in range(relations)])
        self.root = nn.ParameterDict()
        for name in ("a", "b"):
            self.root[name] = nn.Parameter(torch.empty(n, n))
        self.reset_parameters()

    def reset_parameters(self):
        for weight in self.weights:
            nn.init.xavier_uniform_(weight)
        for weight in self.root.values():
            nn.init.xavier_uniform_(weight)
""",
        # Buffers that are written before they are read, and plain scratch memory.
        """\
import torch
from torch import nn


class Cache(nn.Module):
    def __init__(self, size, width):
        super().__init__()
        self.register_buffer("keys", torch.empty(size, width), persistent=False)
        self.register_buffer("mean", torch.empty(width))
        self.mean.fill_(0.5)

    def forward(self, x, position):
        self.keys[position : position + len(x)] = x
        out = torch.empty(len(x), x.size(1))
        torch.sub(x, self.mean, out=out)
        return out @ self.keys[: position + len(x)].t()
""",
        # Names that are put together when the code runs, a dict gone through, a parameter that may be missing.
        """\
import torch
from torch import nn


class Gates(nn.Module):
    def __init__(self, n, bias=None):
        super().__init__()
        for gate in "ifo":
            self.register_parameter(f"w_{gate}", nn.Parameter(torch.empty(n, n)))
        for gate in "ifo":
            nn.init.orthogonal_(getattr(self, f"w_{gate}"))
        self.named = nn.ParameterDict({"u": nn.Parameter(torch.empty(n)), "v": nn.Parameter(torch.empty(n))})
        for _, weight in self.named.items():
            nn.init.normal_(weight)
        self.bias = None if bias is None else nn.Parameter(torch.empty(n))
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        self.scale = nn.Parameter(torch.empty(n))
        nn.init.ones_(self._parameters["scale"])
""",
        # A buffer that only says which device and type other tensors are to have.
        """\
import torch
from torch import nn


class Positions(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("_like", torch.FloatTensor(1))

    def forward(self, x):
        table = torch.arange(x.size(1)).to(self._like)
        return x + table.type_as(self._like).to(self._like.device)
""",
        # Parameters that are born with values.
        """\
import torch
from torch import nn


class Layer(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.a = nn.Parameter(torch.randn(n, m) / n**0.5)
        self.b = nn.Parameter(torch.zeros(m))
        self.c = nn.Parameter(torch.full((m,), 0.1))
        self.d = nn.Parameter(torch.rand(n, m).mul_(0.1))
""",
        # A list that grows.
        """\
import torch
from torch import nn


class Heads(nn.Module):
    def __init__(self, n, sizes):
        super().__init__()
        self.tables = nn.ParameterList()
        for i in range(len(sizes)):
            self.tables.append(nn.Parameter(torch.FloatTensor(sizes[i], n)))
            nn.init.uniform_(self.tables[i])
""",
        # A model whose weights come from a file in every run, and one whose weights are those of such a model.
        """\
import torch
from torch import nn


class Scale(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.scale = nn.Parameter(torch.empty(n))

    def forward(self, x):
        return x * self.scale


model = Scale(4)
model.load_state_dict(torch.load("weights.pt", weights_only=True))
copy = Scale(4)
copy.load_state_dict(model.state_dict())
""",
        # A function that fills the tensor in place and returns it.
        """\
import torch
from torch import nn


def variance_scaling(tensor, scale=1.0):
    fan_in = tensor.shape[0]
    return tensor.normal_(0, (scale / fan_in) ** 0.5)


class Projection(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.weight = nn.Parameter(variance_scaling(torch.empty(n, m)))
""",
        # helpers of another file write into what they are given, are applied, or are called by an inherited method
        """\
# file: inits.py
import torch
from torch import nn


def constant(value, number):
    if isinstance(value, torch.Tensor):
        value.data.fill_(number)
    else:
        for one in value.parameters():
            constant(one, number)


def zeros(value):
    constant(value, 0.0)


def init_weights(module):
    for parameter in module.parameters(recurse=False):
        nn.init.normal_(parameter, std=0.02)


class Base(nn.Module):
    def reset_parameters(self):
        zeros(self)


# file: net.py
import torch
from torch import nn

from inits import Base, init_weights, zeros


class Bias(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.bias = nn.Parameter(torch.empty(n))
        self.reset_parameters()

    def reset_parameters(self):
        zeros(self.bias)


class Scale(Base):
    def __init__(self, n):
        super().__init__()
        self.scale = nn.Parameter(torch.empty(n))
        self.reset_parameters()


class Mix(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.mix = nn.Parameter(torch.empty(n))
        self.apply(init_weights)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the parameters and buffers that are made of memory which nothing fills."""
        if _MEMORY.isdisjoint(source.ask(facts.syntax).identifiers):
            return
        for site, parameter in source.ask(facts.operations).named("parameter"):
            empty = facts.allocation.uninitialised(parameter.operands[0])
            model = source.ask(facts.models).around(site.scope)
            if empty is None or _is_library_made(source, model) or _is_replaced(source, model, parameter):
                continue
            name = _name(model, parameter)
            if not _is_filled(source, model, name, parameter, empty):
                confidence = Confidence.MEDIUM if model is not None and model.is_open else None
                yield _report(parameter.node, empty, f"`{name}`" if name else "this parameter", confidence)
        yield from _buffers(source)


_MEMORY = {
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "Tensor",
    "FloatTensor",
    "DoubleTensor",
    "new",
}


def _report(node: Any, empty: Operation, what: str, confidence: Confidence | None) -> Report:
    message = f"{what} is never given a value: it starts as whatever was in memory"
    related = () if empty.node is node else (Mark(empty.node, "memory as it is"),)
    return Report(node, message, confidence=confidence, related=related)


def _buffers(source: SourceFile) -> Iterator[Report]:
    """Report the buffers that are read and never written."""
    shape, values = source.ask(facts.syntax), source.ask(facts.values)
    for call in shape.calls.get("register_buffer", ()):
        given = [argument.value for argument in call.node.args]
        name = values.of(given[0]) if len(given) > 1 else None
        empty = facts.allocation.uninitialised(values.of(given[1])) if len(given) > 1 else None
        if empty is None or not isinstance(name, facts.terms.Constant) or name.value not in shape.identifiers:
            continue
        if any(
            getattr(getattr(store.target, "attr", None), "value", "") == name.value for store in shape.stores
        ):
            continue
        if not any(map(_reads, source.ask(facts.uses).of(empty))):
            continue
        model = source.ask(facts.models).around(call.scope)
        if not _is_library_made(source, model) and not _is_filled(
            source, model, str(name.value), empty, empty
        ):
            yield _report(empty.node, empty, f"the buffer `{name.value}`", Confidence.MEDIUM)


_PROTOTYPED = {
    "to",
    "type",
    "type_as",
    "size",
    "dim",
    "numel",
    "len",
    "new",
    "new_zeros",
    "new_ones",
    "new_full",
}
_PROTOTYPED |= {"new_tensor", "new_empty", "zeros_like", "ones_like", "empty_like", "rand_like", "randn_like"}


def _reads(consumer: Term) -> bool:
    """Whether what is made of a buffer depends on its values, not only on its device, type and shape."""
    terms = facts.terms
    return isinstance(consumer, terms.Operation) and consumer.name not in _PROTOTYPED


def _is_library_made(source: SourceFile, model: Model | None) -> bool:
    """Whether a library goes through the modules and fills what it finds."""
    bases = (
        source.ask(facts.values).interpreter.hierarchy.outer_bases(model.scope) if model is not None else ()
    )
    return any(getattr(base, "dotted", "").startswith("transformers.") for base in bases)


def _name(model: Model | None, parameter: Operation) -> str:
    for held in model.held if model is not None else ():
        if any(getattr(part, "node", None) is parameter.node for part in facts.terms.within(held.term)):
            return held.name
    return ""


def _is_replaced(source: SourceFile, model: Model | None, parameter: Operation) -> bool:
    """Whether an attribute of the model gets the parameter, and something else before the method is done."""
    stores = source.ask(facts.syntax).stores
    return (
        model is not None
        and not _name(model, parameter)
        and any(one.value is parameter.node for one in stores)
    )


def _is_filled(
    source: SourceFile, model: Model | None, name: str, parameter: Operation, empty: Operation
) -> bool:
    terms, known = facts.terms, source.ask(facts.reaches)
    owner = terms.Receiver(model.scope) if model is not None else parameter
    candidate = facts.narrowing.Candidate(owner, name, facts.allocation.rank_of(empty))
    places = [parameter.node, empty.node]
    if model is not None and not name:
        places.append(model.scope.node)
    return any(
        not _is_optional_loading(source, fill)
        for node in places
        for fill, _ in known.of(node, name, candidate)
    )


def _is_optional_loading(source: SourceFile, fill: Any) -> bool:
    """Whether a checkpoint is loaded in some runs only: on a condition, or to go on where a run was saved."""
    callee = getattr(fill.node, "func", None)
    name = getattr(getattr(callee, "attr", callee), "value", "")
    if "load" not in str(name):
        return False
    if any(True for _ in facts.guards.around(source, fill.statement)):
        return True
    argument = source.code(fill.node.args[0].value) if fill.node.args else ""
    return name == "load_state_dict" and (argument.endswith(".state_dict()") or _is_resumed(source, fill))


def _is_resumed(source: SourceFile, fill: Any) -> bool:
    """Whether a method loads what another method of its class saves."""
    owner = fill.scope.owner
    saved = source.ask(facts.syntax).calls.get("state_dict", ())
    return owner is not None and any(
        call.scope.owner is owner and call.scope is not fill.scope for call in saved
    )
