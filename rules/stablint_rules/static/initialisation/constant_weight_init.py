"""STB403 constant-weight-init."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from libcst import CSTNode

    from stablint.static.facts.filling import Fill
    from stablint.static.facts.links import Link
    from stablint.static.facts.terms import Instance, Operation, Term
    from stablint.static.source import SourceFile


class ConstantWeightInit(StaticRule):
    """The weights of a network with hidden layers all start from the same number.

    ## What it does
    Reports `zeros_`, `ones_`, `constant_`, `fill_` and `zero_` on the weights of linear and convolution
    layers, and weight matrices made of `torch.zeros` or `torch.ones`, where they reach a hidden layer
    *and* the layer that follows it: a function given to `apply`, a loop over modules or parameters, or
    layer by layer. A single constant layer is left alone: a zero output layer, a zero last layer of a
    residual branch, gates, LoRA and zero convolutions are deliberate and right.

    ## Why it is bad
    All units of the hidden layer compute the same value, and because the next layer weighs them alike
    they get the same gradient: they stay copies of one unit. From zero there is not even a gradient. Two
    hidden layers of 32 units on a task that needs a product of two inputs (loss of guessing ln 2 =
    0.693), 300 steps of Adam, ReLU, measured with torch 2.13:

    | weights, biases | loss | rank of the first weight |
    |---|---|---|
    | PyTorch's default | 0.000 | 8 |
    | 0, 0 | 0.692 | 0: still exactly zero |
    | 0.5, 0 | 0.666 | 1: one unit, 32 times |
    | 0.5, default | 0.646 | 8 |

    Random biases alone are a weak cure: with zero weights and SGD the loss is 0.692 too. One linear
    layer without a hidden one (logistic regression) trains well from zero.

    ## Example
    ```python
    def init_weights(m):
        if isinstance(m, nn.Linear):
            nn.init.zeros_(m.weight)

    model.apply(init_weights)
    ```

    ## Use instead
    ```python
    def init_weights(m):
        if isinstance(m, nn.Linear):
            nn.init.kaiming_uniform_(m.weight, nonlinearity="relu")
            nn.init.zeros_(m.bias)

    model.apply(init_weights)
    ```

    ## When to ignore it
    When the weights are overwritten before training, or a layer is meant to stay a fixed filter.

    ## Fix safety
    There is no fix: the right distribution depends on the activation.

    ## References
    - [torch.nn.init](https://docs.pytorch.org/docs/stable/nn.init.html)
    - [torch.nn.Module.apply](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html)
    - [Dive into Deep Learning: breaking the symmetry](https://d2l.ai/chapter_multilayer-perceptrons/numerical-stability-and-init.html)
    """

    code = "STB403"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # The page's example.
        """\
from torch import nn


def init_weights(m):
    if isinstance(m, nn.Linear):
        nn.init.zeros_(m.weight)  # flagged


model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
model.apply(init_weights)
""",
        # fill_ on the data, with a test of the exact type; biases are constant as well.
        """\
from torch import nn


def constant(m):
    if type(m) == nn.Linear:
        m.weight.data.fill_(0.5)  # flagged
        m.bias.data.fill_(0)


net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
net.apply(constant)
""",
        # A loop over the modules in the constructor; the branch of the norm layers is fine.
        """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3)
        self.bn = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3)
        self.fc = nn.Linear(32, 10)
        for m in self.modules():
            if isinstance(m, (nn.Conv2d, nn.Linear)):
                nn.init.constant_(m.weight, 0.01)  # flagged
                nn.init.constant_(m.bias, 0)
            elif isinstance(m, nn.BatchNorm2d):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)

    def forward(self, x):
        x = torch.relu(self.bn(self.conv1(x)))
        x = torch.relu(self.conv2(x)).mean((2, 3))
        return self.fc(x)
""",
        # Every parameter, whatever it belongs to.
        """\
import torch
from torch import nn

model = nn.Sequential(nn.Linear(10, 50), nn.ReLU(), nn.Linear(50, 50), nn.ReLU(), nn.Linear(50, 1))
for p in model.parameters():
    nn.init.constant_(p, 0.1)  # flagged
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
""",
        # By the name of the parameter.
        """\
import torch
from torch import nn


class MLP(nn.Module):
    def __init__(self, n, h):
        super().__init__()
        self.hidden = nn.Linear(n, h)
        self.output = nn.Linear(h, 1)

    def init_weights(self):
        for name, param in self.named_parameters():
            if "weight" in name:
                torch.nn.init.ones_(param)  # flagged
            elif "bias" in name:
                torch.nn.init.zeros_(param)

    def forward(self, x):
        return self.output(torch.relu(self.hidden(x)))
""",
        # By the name of the class, as in the recipes for GANs.
        """\
from torch import nn


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Linear") != -1:
        m.weight.data.zero_()  # flagged
        m.bias.data.zero_()
    elif classname.find("BatchNorm") != -1:
        m.weight.data.fill_(1.0)
        m.bias.data.fill_(0)


generator = nn.Sequential(nn.Linear(100, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 784))
generator.apply(weights_init)
""",
        # Anything that has a weight.
        """\
import torch.nn as nn
import torch.nn.init as init


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
        for layer in self.body:
            if hasattr(layer, "weight"):
                init.constant_(layer.weight, 0.0)  # flagged
                init.constant_(layer.bias, 0.0)

    def forward(self, x):
        return self.body(x)
""",
        # Layer by layer: the first two; the third starts as PyTorch likes.
        """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(20, 64)
        self.fc2 = nn.Linear(64, 64)
        self.fc3 = nn.Linear(64, 5)
        nn.init.constant_(self.fc1.weight, 0.1)  # flagged
        nn.init.zeros_(self.fc1.bias)
        nn.init.constant_(self.fc2.weight, 0.1)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, x):
        x = torch.relu(self.fc1(x))
        x = torch.relu(self.fc2(x))
        return self.fc3(x)
""",
        # The same by index, without a gradient context.
        """\
import torch
from torch import nn

net = nn.Sequential(nn.Linear(2, 4), nn.Sigmoid(), nn.Linear(4, 1))
with torch.no_grad():
    net[0].weight.fill_(1.0)  # flagged
    net[0].bias.zero_()
    net[2].weight.fill_(1.0)
    net[2].bias.zero_()
""",
        # Weight matrices of one's own.
        """\
import torch
from torch import nn


class TwoLayer(nn.Module):
    def __init__(self, inputs=784, hidden=256, outputs=10):
        super().__init__()
        self.W1 = nn.Parameter(torch.zeros(inputs, hidden))  # flagged
        self.b1 = nn.Parameter(torch.zeros(hidden))
        self.W2 = nn.Parameter(torch.zeros(hidden, outputs))
        self.b2 = nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        h = torch.relu(x @ self.W1 + self.b1)
        return h @ self.W2 + self.b2
""",
        # The same outside a class, with ones.
        """\
import torch
from torch import nn

W1 = nn.Parameter(torch.ones(784, 128) * 0.01)  # flagged
b1 = nn.Parameter(torch.zeros(128))
W2 = nn.Parameter(torch.full((128, 10), 0.01))
b2 = nn.Parameter(torch.zeros(10))


def net(x):
    h = torch.relu(torch.matmul(x, W1) + b1)
    return torch.matmul(h, W2) + b2
""",
        # Convolutions, over several lines.
        """\
import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3)
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.fc = nn.Linear(16, 2)
        torch.nn.init.constant_(  # flagged
            self.conv1.weight,
            0.05,
        )
        torch.nn.init.constant_(self.conv2.weight, 0.05)

    def forward(self, x):
        x = torch.relu(self.conv1(x))
        x = torch.relu(self.conv2(x))
        return self.fc(x.mean((2, 3)))
""",
        # Every layer there is, with blocks from elsewhere between them.
        """\
from torch import nn
from blocks import Block


class Masked(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embed = nn.Linear(3, width)
        self.blocks = nn.ModuleList([Block(width) for _ in range(4)])
        self.middle = nn.Linear(width, width)
        self.more = Block(width)
        self.out = nn.Linear(width, 3)
        self.apply(self.start)

    def start(self, m):
        if isinstance(m, nn.Linear):
            nn.init.zeros_(m.weight)  # flagged
            nn.init.zeros_(m.bias)

    def forward(self, x):
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.out(self.more(self.middle(x)))
""",
        # What a loop keeps for itself, or reports, is no weight.
        """\
import torch
from torch import nn


def layer(made):
    torch.nn.init.zeros_(made.weight)  # flagged
    return made


class Agent(nn.Module):
    def __init__(self, seen):
        super().__init__()
        self.body = nn.Sequential(layer(nn.Linear(seen, 64)), nn.Tanh(), layer(nn.Linear(64, 2)))

    def forward(self, x):
        return self.body(x)


def play(make, writer, steps):
    games, agent = make(), Agent(4)
    memory = games.memory()
    for step in range(steps):
        shown, info = games.step(agent(memory[step]))
        memory[step] = shown
        info["length"] = step
        writer.add_scalar("reward", info["reward"][0], step)
""",
    ]

    good = [
        # The remedy.
        """\
from torch import nn


def init_weights(m):
    if isinstance(m, nn.Linear):
        nn.init.kaiming_uniform_(m.weight, nonlinearity="relu")
        nn.init.zeros_(m.bias)


model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
model.apply(init_weights)
""",
        # Norm layers: one and zero is how they start.
        """\
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3))
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out")
            elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)
            elif isinstance(m, nn.LayerNorm):
                m.weight.data.fill_(1.0)
                m.bias.data.zero_()

    def forward(self, x):
        return self.body(x)


def by_name(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:
        nn.init.normal_(m.weight.data, 0.0, 0.02)
    elif classname.find("BatchNorm2d") != -1:
        nn.init.constant_(m.weight.data, 1.0)
        nn.init.constant_(m.bias.data, 0.0)
""",
        # Biases only.
        """\
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(8, 8)
        self.fc2 = nn.Linear(8, 8)
        for m in self.modules():
            if isinstance(m, nn.Linear) and m.bias is not None:
                nn.init.constant_(m.bias, 0)
        for name, p in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, x):
        return self.fc2(self.fc1(x).relu())
""",
        # A zero output layer: the policy starts uniform, the classifier without an opinion.
        """\
import torch
from torch import nn


class Policy(nn.Module):
    def __init__(self, n, actions):
        super().__init__()
        self.fc1 = nn.Linear(n, 64)
        self.fc2 = nn.Linear(64, 64)
        self.head = nn.Linear(64, actions)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x):
        return self.head(torch.tanh(self.fc2(torch.tanh(self.fc1(x)))))


def new_head(model, classes):
    model.head = nn.Linear(512, classes)
    nn.init.constant_(model.head.weight, 0.0)
""",
        # Two heads of a body that start from zero.
        """\
from torch import nn


class Agent(nn.Module):
    def __init__(self, body, width, actions):
        super().__init__()
        self.body = body
        self.policy = nn.Linear(width, actions)
        self.value = nn.Linear(width, 1)
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.zeros_(m.weight)

    def forward(self, x):
        x = self.body(x)
        return self.policy(x), self.value(x)
""",
        # One constant layer among random ones: the next layer tells its units apart.
        """\
from torch import nn

net = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
nn.init.constant_(net[2].weight, 0.1)
""",
        # Zero-initialised residual branches.
        """\
from torch import nn


class Bottleneck(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x):
        return x + self.bn2(self.conv2(self.conv1(x).relu()))


class ResNet(nn.Module):
    def __init__(self, zero_init_residual=True):
        super().__init__()
        self.blocks = nn.Sequential(*[Bottleneck(64) for _ in range(8)])
        if zero_init_residual:
            for m in self.modules():
                if isinstance(m, Bottleneck):
                    nn.init.constant_(m.bn2.weight, 0)
                    nn.init.zeros_(m.conv2.weight)

    def forward(self, x):
        return self.blocks(x)
""",
        # The zero convolutions of diffusion models and of ControlNet.
        """\
import torch
from torch import nn


def zero_module(module):
    for p in module.parameters():
        p.detach().zero_()
    return module


class Control(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.SiLU())
        self.out = zero_module(nn.Conv2d(channels, channels, 1))
        self.zero_conv = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.zero_conv.weight)
        nn.init.zeros_(self.zero_conv.bias)

    def forward(self, x, hint):
        return x + self.out(self.block(x)) + self.zero_conv(hint)
""",
        # LoRA: A is random, B is zero.
        """\
import math

import torch
from torch import nn


class LoRALinear(nn.Module):
    def __init__(self, linear, rank):
        super().__init__()
        self.linear = linear
        self.lora_A = nn.Parameter(torch.empty(rank, linear.in_features))
        self.lora_B = nn.Parameter(torch.zeros(linear.out_features, rank))
        self.down = nn.Linear(linear.in_features, rank, bias=False)
        self.up = nn.Linear(rank, linear.out_features, bias=False)
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        nn.init.zeros_(self.up.weight)

    def forward(self, x):
        return self.linear(x) + x @ self.lora_A.t() @ self.lora_B.t() + self.up(self.down(x))
""",
        # adaLN-zero: modulations and the output projection start from zero.
        """\
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 3 * width))

    def forward(self, x, c):
        shift, scale, gate = self.modulation(c).chunk(3, dim=-1)
        return x + gate * self.mlp(self.norm(x) * (1 + scale) + shift)


class Transformer(nn.Module):
    def __init__(self, width, depth):
        super().__init__()
        self.blocks = nn.ModuleList([Block(width) for _ in range(depth)])
        self.final = nn.Linear(width, 4)
        for block in self.blocks:
            nn.init.constant_(block.modulation[-1].weight, 0)
            nn.init.constant_(block.modulation[-1].bias, 0)
        nn.init.constant_(self.final.weight, 0)

    def forward(self, x, c):
        for block in self.blocks:
            x = block(x, c)
        return self.final(x)
""",
        # Scale and shift of a normalisation written by hand; only one of their dimensions is larger than 1.
        """\
import torch
from torch import nn


class BatchNorm(nn.Module):
    def __init__(self, channels, dims):
        super().__init__()
        shape = (1, channels) if dims == 2 else (1, channels, 1, 1)
        self.gamma = nn.Parameter(torch.ones(shape))
        self.beta = nn.Parameter(torch.zeros(shape))
        self.g = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.b = nn.Parameter(torch.zeros((1, channels)))

    def forward(self, x):
        return self.gamma * self.g * x + self.beta + self.b
""",
        # Gates, layer scale, tokens, positions, biases of attention.
        """\
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width, tokens, window, heads):
        super().__init__()
        self.gamma = nn.Parameter(1e-5 * torch.ones(width))
        self.gate = nn.Parameter(torch.zeros(1))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))
        self.position_bias = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.actor_logstd = nn.Parameter(torch.zeros(1, width))
        self.mlp = nn.Linear(width, width)

    def forward(self, x):
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        return x + self.gate * self.gamma * self.mlp(x)
""",
        # Zeros as a placeholder, filled at random afterwards.
        """\
import torch
from torch import nn


class GraphAttention(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.W = nn.Parameter(torch.zeros(size=(n, m)))
        nn.init.xavier_uniform_(self.W.data, gain=1.414)
        self.a = nn.Parameter(torch.zeros(size=(2 * m, 1)))
        nn.init.xavier_uniform_(self.a.data, gain=1.414)
        self.pos_embed = nn.Parameter(torch.zeros(1, 16, m))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x):
        return torch.relu(x @ self.W) @ self.a[: self.W.size(1)]
""",
        # One linear layer: logistic and softmax regression train well from zero.
        """\
import torch
from torch import nn

logistic = nn.Linear(30, 1)
nn.init.zeros_(logistic.weight)
nn.init.zeros_(logistic.bias)


class Softmax(nn.Module):
    def __init__(self, n, classes):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n, classes))
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, x):
        return x @ self.weight + self.bias


class Linear(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc = nn.Linear(n, 1)
        for p in self.parameters():
            nn.init.constant_(p, 0)

    def forward(self, x):
        return self.fc(x)
""",
        # The row of the padding token.
        """\
import torch
from torch import nn


class Embedder(nn.Module):
    def __init__(self, words, width, padding):
        super().__init__()
        self.embedding = nn.Embedding(words, width, padding_idx=padding)
        self.fc = nn.Linear(width, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        nn.init.constant_(self.embedding.weight[padding], 0)
        self.embedding.weight.data[padding].zero_()

    def forward(self, x):
        return self.fc(self.embedding(x))
""",
        # Fixed filters are no weights to be trained.
        """\
import torch
from torch import nn


class Edges(nn.Module):
    def __init__(self):
        super().__init__()
        self.box = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        self.blur = nn.Conv2d(1, 1, 5, padding=2, bias=False)
        self.box.weight.data.fill_(1 / 9)
        self.blur.weight.data.fill_(1 / 25)
        for p in self.parameters():
            p.requires_grad = False

    def forward(self, x):
        return self.blur(self.box(x))
""",
        # The noise scale of a noisy layer.
        """\
import math

import torch
from torch import nn
from torch.nn import functional as F


class NoisyLinear(nn.Module):
    def __init__(self, n, m, std=0.5):
        super().__init__()
        self.weight_mu = nn.Parameter(torch.empty(m, n))
        self.weight_sigma = nn.Parameter(torch.empty(m, n))
        self.weight_mu.data.uniform_(-1 / math.sqrt(n), 1 / math.sqrt(n))
        self.weight_sigma.data.fill_(std / math.sqrt(n))

    def forward(self, x):
        return F.linear(x, self.weight_mu + self.weight_sigma * torch.randn_like(self.weight_sigma))


net = nn.Sequential(NoisyLinear(4, 64), nn.ReLU(), NoisyLinear(64, 2))
""",
        # An average of models: zero first, then the sum.
        """\
import copy

import torch


def average(models):
    mean = copy.deepcopy(models[0])
    with torch.no_grad():
        for p in mean.parameters():
            p.zero_()
        for model in models:
            for p, q in zip(mean.parameters(), model.parameters()):
                p.add_(q / len(models))
    return mean
""",
        # Gradients and optimizer state.
        """\
import torch


def clear(model, state):
    for p in model.parameters():
        if p.grad is not None:
            p.grad.zero_()
            p.grad.data.fill_(0)
        state[p] = torch.zeros_like(p)
""",
        # Identity and orthogonal starts, and weights copied from elsewhere.
        """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, n, table):
        super().__init__()
        self.a = nn.Linear(n, n)
        self.b = nn.Linear(n, n)
        self.c = nn.Linear(n, n)
        nn.init.eye_(self.a.weight)
        nn.init.orthogonal_(self.b.weight)
        with torch.no_grad():
            self.c.weight.copy_(table)

    def forward(self, x):
        return self.c(self.b(self.a(x).relu()).relu())
""",
        # A constant that is overwritten.
        """\
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(8, 8)
        self.fc2 = nn.Linear(8, 8)
        for p in self.parameters():
            nn.init.constant_(p, 0)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.xavier_uniform_(p)

    def forward(self, x):
        return self.fc2(self.fc1(x).relu())
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report what makes the weights of two layers in a row constant."""
        if _SPELLINGS.isdisjoint(source.ask(facts.syntax).identifiers) or not _has_constants(source):
            return
        seen: set[object] = set()
        for row in source.ask(facts.rows):
            first: _Constant | None = None
            for link in row.links:
                found = _constant(source, link)
                if first is not None and found is not None and first.node not in seen:
                    seen.update((first.node, found.node))
                    yield _report(first, found)
                first = found
        yield from _everywhere(source, seen)


def _everywhere(source: SourceFile, seen: set[object]) -> Iterator[Report]:
    """Report what goes through all modules and makes the weights of many layers constant, in a row or not."""
    made = list(_layers(source))
    for fill, reach in source.ask(facts.reaches).known:
        if fill.node in seen or facts.terms.number(fill.value) is None or not _goes_through(source, fill):
            continue
        hit = [layer for layer in made if (layer.node, "weight") in reach.hits]
        same = [
            layer for layer in hit if _only_constant(facts.reaching.layer_fills(source, layer, *_EVERYTHING))
        ]
        if len(same) >= _MANY:
            seen.add(fill.node)
            yield Report(
                fill.node,
                f"{len(same)} layers start from the same number everywhere: their units stay copies of one another",
                related=(Mark(same[0].node, "one of the layers"), Mark(same[-1].node, "another one")),
            )


_MANY = 3
"""Two layers may be two heads of one body, which do not follow each other and may start from zero."""


def _layers(source: SourceFile) -> Iterator[Instance]:
    """Yield the linear layers and convolutions that a file makes."""
    known = source.ask(facts.operations)
    for dotted in known.made:
        if dotted.startswith("torch.nn.") and facts.registration.has_weight(dotted):
            for _, layer in known.instances(dotted):
                yield layer


def _goes_through(source: SourceFile, fill: Fill) -> bool:
    """Whether a fill is of the weight of whatever modules there are: by `apply`, or in a loop over `modules()`."""
    applied = source.ask(facts.filling.fills).applied
    return any(
        aim.path == ("weight",)
        and (aim.listing == "modules" or getattr(aim.root, "function", None) in applied)
        for target in fill.targets
        for aim in facts.aims.aims(target)
    )


_SPELLINGS = {
    "zeros_",
    "ones_",
    "constant_",
    "fill_",
    "zero_",
    "zeros",
    "ones",
    "full",
    "zeros_like",
    "ones_like",
}
_CONSTANT = (
    "zeros",
    "ones",
    "full",
    "zeros_like",
    "ones_like",
    "full_like",
    "new_zeros",
    "new_ones",
    "new_full",
)
_FILLERS = {"zeros_", "ones_", "constant_", "fill", "zero", "constant"}
_EVERYTHING = ("values", "change", "freeze")


def _has_constants(source: SourceFile) -> bool:
    """Whether the file makes any weight constant: what lies between layers is then worth a look."""
    made = source.ask(facts.operations)
    if any(
        _is_constant(parameter.operands[0]) for _, parameter in made.named("parameter") if parameter.operands
    ):
        return True
    if any("requires_grad" in made_here.keywords for _, made_here in made.named(*_CONSTANT)):
        return True
    return not _FILLERS.isdisjoint(made.by_name) and any(
        fill.value is not None and name in ("weight", "")
        for fill, reach in source.ask(facts.reaches).known
        for _, name in reach.hits
    )


@dataclass(frozen=True, slots=True)
class _Constant:
    """What makes the weights of a layer constant, and where the layer works."""

    node: CSTNode
    layer: CSTNode
    is_zero: bool


def _constant(source: SourceFile, link: Link) -> _Constant | None:
    """Return what makes a layer constant, unless it, or something else, may write anything else."""
    layer = link.layer.module
    if layer is not None:
        fills = facts.reaching.layer_fills(source, layer, *_EVERYTHING)
        return _filled(link, fills)
    weight = link.weight
    if weight is None:
        return None
    candidate = facts.narrowing.Candidate(weight, "", facts.allocation.rank_of(weight))
    fills = list(source.ask(facts.reaches).of(weight.node, "", candidate, kinds=_EVERYTHING))
    if fills:
        return _filled(link, fills)
    made = weight.operands[0] if weight.name == "parameter" else weight
    return _Constant(weight.node, link.layer.node, _is_zero(made)) if _is_constant(made) else None


def _filled(link: Link, fills: list[tuple[Fill, bool]]) -> _Constant | None:
    constant = _only_constant(fills)
    if constant is None:
        return None
    return _Constant(constant.node, link.layer.node, facts.terms.number(constant.value) == 0)


def _only_constant(fills: list[tuple[Fill, bool]]) -> Fill | None:
    """Return what makes a weight constant, unless it, or something else, may write anything else."""
    constant = [
        fill
        for fill, certain in fills
        if certain and fill.value is not None and facts.reaching.is_whole(fill)
    ]
    return None if not constant or any(fill.value is None for fill, _ in fills) else constant[0]


def _is_constant(term: Term) -> bool:
    """Whether a tensor is made with the same number everywhere."""
    terms = facts.terms
    if not isinstance(term, terms.Operation):
        return False
    if term.name in ("mul", "div", "add", "sub", "neg"):
        return any(map(_is_constant, term.operands)) and all(
            terms.number(operand) is not None or _is_constant(operand) for operand in term.operands
        )
    return term.name in _CONSTANT


def _is_zero(term: Operation | Term) -> bool:
    return any(
        getattr(part, "name", "") in ("zeros", "zeros_like", "new_zeros") for part in facts.terms.within(term)
    )


def _report(first: _Constant, second: _Constant) -> Report:
    fate = (
        "no gradient reaches them"
        if first.is_zero and second.is_zero
        else "their units stay copies of one another"
    )
    return Report(
        first.node,
        f"two layers in a row start from the same number everywhere: {fate}",
        related=(Mark(first.layer, "the first layer"), Mark(second.layer, "the layer that follows it")),
    )
