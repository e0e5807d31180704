"""STB402 missing-weight-init."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.layers import Row
    from stablint.static.source import SourceFile


class MissingWeightInit(StaticRule):
    """A deep plain stack of layers is left to PyTorch's default initialisation.

    ## What it does
    Reports a chain of at least 8 linear or convolution layers with activations of the ReLU family, GELU
    or SiLU (12 with tanh or ELU) that has no normalisation, no residual and no skip connection, and
    whose weights nobody initialises. A model that is one `nn.Sequential` is reported where that is made,
    a model whose chain runs through `forward` at its class. Where the depth is not known, nothing is
    reported; where the file does not make the model itself, the finding is a note, for the file that
    does may initialise it. Twelve tanh in a row are left to sigmoid-in-deep-stack.

    ## Why it is bad
    `nn.Linear` and `nn.Conv2d` start from U(-1/sqrt(fan_in), 1/sqrt(fan_in)): for a fan_in of 512 a
    standard deviation of 0.0255, where a ReLU layer needs 0.0625 to keep the size of its signal. Every
    layer shrinks it, and the gradient on its way back. Relative gradient of the first hidden layer over
    the last one, by number of hidden layers (median over seeds and widths, measured with torch 2.13):

    | activation | 4 | 8 | 10 | 20 |
    |---|---|---|---|---|
    | ReLU, default initialisation | 0.8 | 5e-2 | 8e-3 | 1e-6 |
    | GELU, SiLU, default initialisation | 0.7 | 8e-3 | 7e-4 | 3e-9 |
    | tanh, default initialisation | 0.9 | 3e-1 | 9e-2 | 3e-4 |
    | ReLU with He, tanh with Xavier initialisation | about 1 | about 1 | about 1 | about 1 |

    So the default is harmless in shallow and in normalised networks, and that is why those are not
    reported.

    ## Example
    ```python
    layers = []
    for _ in range(12):
        layers += [nn.Linear(256, 256), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(256, 10))
    ```

    ## Use instead
    ```python
    def init(m):
        if isinstance(m, nn.Linear):
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
            nn.init.zeros_(m.bias)

    net = nn.Sequential(*layers, nn.Linear(256, 10))
    net.apply(init)
    ```
    Or a normalisation layer in each block, or residual connections. With tanh, `xavier_normal_` with
    `gain=nn.init.calculate_gain("tanh")`.

    ## When to ignore it
    When the weights are loaded from a checkpoint somewhere that cannot be seen here, or the model only
    ever runs.

    ## Fix safety
    There is no fix: normalisation, residuals and initialisation are choices of the model's author.

    ## References
    - [torch.nn.init](https://docs.pytorch.org/docs/stable/nn.init.html)
    - [torch.nn.Linear: the default initialisation](https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html)
    - [Delving Deep into Rectifiers (He et al., 2015)](https://arxiv.org/abs/1502.01852)
    - [Understanding the difficulty of training deep feedforward networks (Glorot and Bengio, 2010)](https://proceedings.mlr.press/v9/glorot10a.html)
    """

    code = "STB402"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # The page's example: a list filled by a loop.
        """\
import torch
from torch import nn

layers = []
for _ in range(12):
    layers += [nn.Linear(256, 256), nn.ReLU()]
net = nn.Sequential(*layers, nn.Linear(256, 10))  # flagged
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
""",
        # Written out.
        """\
from torch import nn

model = nn.Sequential(  # flagged
    nn.Linear(784, 512),
    nn.ReLU(),
    nn.Linear(512, 512),
    nn.ReLU(),
    nn.Linear(512, 256),
    nn.ReLU(),
    nn.Linear(256, 256),
    nn.ReLU(),
    nn.Linear(256, 128),
    nn.ReLU(),
    nn.Linear(128, 128),
    nn.ReLU(),
    nn.Linear(128, 64),
    nn.ReLU(),
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Linear(64, 32),
    nn.ReLU(),
    nn.Linear(32, 10),
)
""",
        # An attribute of a module; dropout does not keep the signal up.
        """\
from torch import nn


class Regressor(nn.Module):
    def __init__(self, features):
        super().__init__()
        blocks = [nn.Linear(features, 128), nn.GELU()]
        for _ in range(10):
            blocks.append(nn.Linear(128, 128))
            blocks.append(nn.GELU())
            blocks.append(nn.Dropout(0.1))
        blocks.append(nn.Linear(128, 1))
        self.net = nn.Sequential(*blocks)  # flagged

    def forward(self, x):
        return self.net(x).squeeze(-1)
""",
        # A ModuleList, gone through in forward.
        """\
import torch.nn.functional as F
from torch import nn

DEPTH = 12


class Deep(nn.Module):  # flagged
    def __init__(self, width):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(DEPTH)])
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.head(x)
""",
        # One attribute a layer.
        """\
import torch
from torch import nn


class Net(nn.Module):  # flagged
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(32, 64)
        self.fc2 = nn.Linear(64, 64)
        self.fc3 = nn.Linear(64, 64)
        self.fc4 = nn.Linear(64, 64)
        self.fc5 = nn.Linear(64, 64)
        self.fc6 = nn.Linear(64, 64)
        self.fc7 = nn.Linear(64, 64)
        self.fc8 = nn.Linear(64, 64)
        self.out = nn.Linear(64, 2)
        self.act = nn.LeakyReLU(0.1)

    def forward(self, x):
        x = self.act(self.fc1(x))
        x = self.act(self.fc2(x))
        x = self.act(self.fc3(x))
        x = self.act(self.fc4(x))
        x = torch.relu(self.fc5(x))
        x = torch.relu(self.fc6(x))
        x = torch.relu(self.fc7(x))
        return self.out(torch.relu(self.fc8(x)))
""",
        # Eight layers in two parts: the classic of 2012.
        """\
import torch
from torch import nn


class AlexNet(nn.Module):  # flagged
    def __init__(self, classes=1000):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, classes),
        )

    def forward(self, x):
        x = self.features(x)
        x = torch.flatten(x, 1)
        return self.classifier(x)
""",
        # Layers from a table, with pooling in between.
        """\
from torch import nn

CFG = [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]


def features():
    layers = []
    channels = 3
    for v in CFG:
        if v == "M":
            layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
        else:
            layers += [nn.Conv2d(channels, v, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
            channels = v
    return nn.Sequential(*layers)  # flagged
""",
        # Blocks from a helper function.
        """\
from torch import nn


def block(c_in, c_out):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.SiLU())


net = nn.Sequential(  # flagged
    block(3, 32),
    block(32, 32),
    block(32, 32),
    block(32, 64),
    block(64, 64),
    block(64, 64),
    block(64, 64),
    block(64, 64),
    block(64, 64),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(64, 10),
)
""",
        # ELU and tanh last longer, not for ever.
        """\
from torch import nn

hidden = [nn.Linear(64, 64), nn.ELU()]
for _ in range(13):
    hidden.extend([nn.Linear(64, 64), nn.ELU()])
pinn = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), *hidden, nn.Linear(64, 1))  # flagged
""",
        # Encoder and decoder, one after the other.
        """\
from torch import nn


class AutoEncoder(nn.Module):  # flagged
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(784, 512),
            nn.ReLU(),
            nn.Linear(512, 256),
            nn.ReLU(),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Linear(128, 64),
            nn.ReLU(),
            nn.Linear(64, 16),
        )
        self.decoder = nn.Sequential(
            nn.Linear(16, 64),
            nn.ReLU(),
            nn.Linear(64, 128),
            nn.ReLU(),
            nn.Linear(128, 256),
            nn.ReLU(),
            nn.Linear(256, 512),
            nn.ReLU(),
            nn.Linear(512, 784),
            nn.Sigmoid(),
        )

    def forward(self, x):
        return self.decoder(self.encoder(x))
""",
        # Named layers, added one by one.
        """\
from torch import nn

net = nn.Sequential()  # flagged
for i in range(10):
    net.add_module(f"fc{i}", nn.Linear(100, 100))
    net.add_module(f"act{i}", nn.ReLU())
net.add_module("head", nn.Linear(100, 10))
""",
        # Widths from a constant tuple.
        """\
from torch import nn

WIDTHS = (784, 512, 512, 256, 256, 128, 128, 64, 64, 32, 10)


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for n, m in zip(WIDTHS[:-1], WIDTHS[1:]):
            layers += [nn.Linear(n, m), nn.ReLU()]
        self.model = nn.Sequential(*layers[:-1])  # flagged

    def forward(self, x):
        return self.model(x)
""",
        # The depth is given where the model is made; the widths where the layers are.
        """\
from torch import nn


class MLP(nn.Module):
    def __init__(self, width, depth):
        super().__init__()
        blocks = [nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(depth)]
        self.body = nn.Sequential(*blocks)  # flagged
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.body(x))


def make_layers(widths):
    layers = []
    for i in range(len(widths) - 1):
        layers.append(nn.Conv1d(widths[i], widths[i + 1], 3))
        layers.append(nn.LeakyReLU(0.1))
    return nn.Sequential(*layers)  # flagged


mlp = MLP(64, depth=20)
conv = make_layers([4] + [32] * 10)
""",
    ]

    good = [
        # The remedy of the page.
        """\
from torch import nn

layers = []
for _ in range(12):
    layers += [nn.Linear(256, 256), nn.ReLU()]
net = nn.Sequential(*layers, nn.Linear(256, 10))


def init(m):
    if isinstance(m, nn.Linear):
        nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
        nn.init.zeros_(m.bias)


net.apply(init)
""",
        # Initialised in the constructor: over the modules, by hand, with a test of the type's name.
        """\
import math

from torch import nn


class Conv(nn.Module):
    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(3, 64, 3, padding=1), nn.ReLU()]
        for _ in range(12):
            layers += [nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                n = m.kernel_size[0] * m.kernel_size[1] * m.out_channels
                m.weight.data.normal_(0, math.sqrt(2.0 / n))

    def forward(self, x):
        return self.body(x)


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(12))
        self.apply(self._init_weights)

    def _init_weights(self, m):
        if m.__class__.__name__ == "Linear":
            nn.init.orthogonal_(m.weight)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).relu()
        return x
""",
        # Seven layers, and the usual small networks.
        """\
from torch import nn

seven = nn.Sequential(
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Linear(64, 10),
)
mlp = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
generator = nn.Sequential(
    nn.Linear(100, 128),
    nn.LeakyReLU(0.2),
    nn.Linear(128, 256),
    nn.LeakyReLU(0.2),
    nn.Linear(256, 784),
    nn.Tanh(),
)
""",
        # Normalisation in every block, of every kind.
        """\
from torch import nn


def conv(c_in, c_out):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.ReLU())


vgg = nn.Sequential(*[conv(64, 64) for _ in range(16)])

layers = []
for _ in range(16):
    layers += [nn.Linear(128, 128), nn.LayerNorm(128), nn.GELU()]
mlp = nn.Sequential(*layers)

grouped = []
for _ in range(16):
    grouped.extend((nn.Conv2d(64, 64, 3, padding=1), nn.GroupNorm(8, 64), nn.SiLU()))
net = nn.Sequential(*grouped)
""",
        # A residual connection around each layer.
        """\
import torch.nn.functional as F
from torch import nn


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(20)])

    def forward(self, x):
        for layer in self.layers:
            x = x + F.relu(layer(x))
        return x


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.a = nn.Linear(width, width)
        self.b = nn.Linear(width, width)

    def forward(self, x):
        identity = x
        out = F.relu(self.a(x))
        out = self.b(out)
        out += identity
        return F.relu(out)


deep = nn.Sequential(*[Block(64) for _ in range(10)])
""",
        # The depth is a parameter: not known here.
        """\
from torch import nn


class MLP(nn.Module):
    def __init__(self, depth, width):
        super().__init__()
        layers = []
        for _ in range(depth):
            layers += [nn.Linear(width, width), nn.ReLU()]
        self.net = nn.Sequential(*layers)

    def forward(self, x):
        return self.net(x)


def from_sizes(sizes):
    return nn.Sequential(*[nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in zip(sizes, sizes[1:])])
""",
        # A U-Net: the concatenations let the signal skip.
        """\
import torch
from torch import nn


def double(c_in, c_out):
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(c_out, c_out, 3, padding=1),
        nn.ReLU(),
    )


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1 = double(1, 32)
        self.down2 = double(32, 64)
        self.down3 = double(64, 128)
        self.up = nn.Upsample(scale_factor=2)
        self.up2 = double(192, 64)
        self.up1 = double(96, 32)
        self.pool = nn.MaxPool2d(2)
        self.out = nn.Conv2d(32, 2, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(self.pool(a))
        c = self.down3(self.pool(b))
        y = self.up2(torch.cat([self.up(c), b], dim=1))
        y = self.up1(torch.cat([self.up(y), a], dim=1))
        return self.out(y)
""",
        # A radiance field: the input comes in again half-way.
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Field(nn.Module):
    def __init__(self, width=256, inputs=63):
        super().__init__()
        self.first = nn.ModuleList([nn.Linear(inputs, width)] + [nn.Linear(width, width) for _ in range(4)])
        self.second = nn.ModuleList(
            [nn.Linear(width + inputs, width)] + [nn.Linear(width, width) for _ in range(4)]
        )
        self.out = nn.Linear(width, 4)

    def forward(self, x):
        h = x
        for layer in self.first:
            h = F.relu(layer(h))
        h = torch.cat([x, h], dim=-1)
        for layer in self.second:
            h = F.relu(layer(h))
        return self.out(h)
""",
        # Wrapped layers: spectral and weight normalisation set the scale themselves.
        """\
from torch import nn
from torch.nn.utils import spectral_norm
from torch.nn.utils.parametrizations import weight_norm

layers = []
for _ in range(10):
    layers += [spectral_norm(nn.Conv2d(64, 64, 3, padding=1)), nn.LeakyReLU(0.1)]
discriminator = nn.Sequential(*layers)
wave = nn.Sequential(*[m for _ in range(10) for m in (weight_norm(nn.Conv1d(64, 64, 3)), nn.ReLU())])
""",
        # Weights that come from elsewhere.
        """\
import timm
import torch
import torchvision
from torch import nn

layers = []
for _ in range(12):
    layers += [nn.Linear(256, 256), nn.ReLU()]
net = nn.Sequential(*layers)
net.load_state_dict(torch.load("net.pt", weights_only=True))

backbone = timm.create_model("vgg11", pretrained=True)
other = torchvision.models.vgg16(weights="DEFAULT")
""",
        # Ten heads side by side are no chain, nor are two networks of five layers.
        """\
import torch
from torch import nn


def mlp(n, m):
    return nn.Sequential(
        nn.Linear(n, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, m),
    )


class Agent(nn.Module):
    def __init__(self, states, actions):
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(states, 1) for _ in range(10)])
        self.actor = mlp(states, actions)
        self.critic = mlp(states, 1)

    def forward(self, x):
        bonus = torch.stack([head(x) for head in self.heads]).mean(0)
        return self.actor(x), self.critic(x) + bonus
""",
        # Each layer is initialised by the function that makes it.
        """\
import numpy as np
import torch
from torch import nn


def layer_init(layer, std=np.sqrt(2), bias_const=0.0):
    torch.nn.init.orthogonal_(layer.weight, std)
    torch.nn.init.constant_(layer.bias, bias_const)
    return layer


critic = nn.Sequential(
    layer_init(nn.Linear(8, 64)),
    nn.ReLU(),
    layer_init(nn.Linear(64, 64)),
    nn.ReLU(),
    layer_init(nn.Linear(64, 64)),
    nn.ReLU(),
    layer_init(nn.Linear(64, 64)),
    nn.ReLU(),
    layer_init(nn.Linear(64, 64)),
    nn.ReLU(),
    layer_init(nn.Linear(64, 64)),
    nn.ReLU(),
    layer_init(nn.Linear(64, 64)),
    nn.ReLU(),
    layer_init(nn.Linear(64, 64)),
    nn.ReLU(),
    layer_init(nn.Linear(64, 1), std=1.0),
)
""",
        # Initialised by a function from elsewhere.
        """\
from torch import nn

from .weights import init_weights

layers = []
for _ in range(12):
    layers += [nn.Linear(256, 256), nn.ReLU()]
net = nn.Sequential(*layers, nn.Linear(256, 10))
net.apply(init_weights)
""",
        # Layers of one's own: how they start is not known here.
        """\
import torch
from torch import nn


class EqualLinear(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(m, n))
        self.scale = n**-0.5

    def forward(self, x):
        return nn.functional.linear(x, self.weight * self.scale)


class He(nn.Linear):
    def reset_parameters(self):
        nn.init.kaiming_normal_(self.weight)
        nn.init.zeros_(self.bias)


mapping = nn.Sequential(*[m for _ in range(12) for m in (EqualLinear(512, 512), nn.LeakyReLU(0.2))])
body = nn.Sequential(*[m for _ in range(12) for m in (He(64, 64), nn.ReLU())])
""",
        # Ten layers of tanh or ELU still pass a tenth of the gradient.
        """\
from torch import nn

tanh = nn.Sequential(*[m for _ in range(9) for m in (nn.Linear(64, 64), nn.Tanh())], nn.Linear(64, 1))
elu = nn.Sequential(*[m for _ in range(9) for m in (nn.Linear(64, 64), nn.ELU())], nn.Linear(64, 1))
""",
        # So many tanh in a row are a matter of sigmoid-in-deep-stack.
        """\
from torch import nn

hidden = [nn.Linear(64, 64), nn.Tanh()]
for _ in range(13):
    hidden.extend([nn.Linear(64, 64), nn.Tanh()])
pinn = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), *hidden, nn.Linear(64, 1))
""",
        # A small auto-encoder.
        """\
from torch import nn


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 3)
        )
        self.decoder = nn.Sequential(
            nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 784), nn.Sigmoid()
        )

    def forward(self, x):
        return self.decoder(self.encoder(x))
""",
        # Blocks of the library that bring normalisation and residuals along.
        """\
from torch import nn


class Encoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embed = nn.Linear(32, width)
        layer = nn.TransformerEncoderLayer(width, 8, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=12)
        self.blocks = nn.ModuleList([nn.TransformerEncoderLayer(width, 8) for _ in range(12)])
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = self.encoder(self.embed(x))
        for block in self.blocks:
            x = block(x)
        return self.head(x)
""",
        # A normalisation of one's own between the layers.
        """\
import torch
from torch import nn


class PixelNorm(nn.Module):
    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(dim=1, keepdim=True) + 1e-8)


layers = []
for _ in range(8):
    layers += [PixelNorm(), nn.Linear(512, 512), nn.LeakyReLU(0.2)]
mapping = nn.Sequential(*layers)
""",
        # A framework's module, initialised by a hook of the class.
        """\
import lightning as L
from torch import nn


class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(*[m for _ in range(10) for m in (nn.Linear(64, 64), nn.ReLU())])
        self.reset_parameters()

    def reset_parameters(self):
        for p in self.net.parameters():
            if p.dim() > 1:
                nn.init.xavier_uniform_(p)

    def forward(self, x):
        return self.net(x)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the deep plain chains of layers that nothing initialises."""
        if _LAYERS.isdisjoint(source.ask(facts.syntax).identifiers):
            return
        seen: set[object] = set()
        for chain in source.ask(facts.chains):
            nodes = {layer.node for layer in chain.layers}
            if not _is_too_deep(chain) or nodes & seen or facts.reaching.is_initialised(source, chain.layers):
                continue
            seen |= nodes
            yield Report(
                chain.owner,
                f"{len(chain.links)} layers in a row as PyTorch initialises them, nothing between them but "
                "activations: the signal shrinks in each",
                severity=None if _is_built_here(source, chain) else Severity.NOTE,
                related=(
                    Mark(chain.links[0].layer.node, "the first layer"),
                    Mark(chain.links[-1].layer.node, "the last layer"),
                ),
            )


def _is_built_here(source: SourceFile, chain: Row) -> bool:
    """Whether the file makes the model; otherwise the file that does may initialise it."""
    operations = source.ask(facts.operations)
    site = operations.values.interpreter.sites.get(id(chain.owner))
    model = source.ask(facts.models).around(site[1]) if site is not None else None
    owner = model.scope.node if model is not None else chain.owner
    named = getattr(getattr(owner, "name", None), "value", None)
    return named is None or named in operations.made


_LAYERS = {"Linear", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"}
_STEEP = {"relu", "relu6", "leaky_relu", "prelu", "rrelu", "gelu", "silu", "mish", "softplus", "hardswish"}
_CENTRED = {"tanh", "elu", "celu", "selu", "softsign"}
_DEEP, _VERY_DEEP = 8, 12


def _is_too_deep(chain: Row) -> bool:
    """Whether a chain has more layers than its activations let through from the default initialisation."""
    names = [one.name for between in chain.activations for one in between]
    if not names or not all(name in _STEEP | _CENTRED for name in names):
        return False
    if max((len(list(run)) for name, run in groupby(names) if name == "tanh"), default=0) >= _VERY_DEEP:
        return False  # sigmoid-in-deep-stack says what such a row of tanh does to the gradient
    steep = sum(name in _STEEP for name in names)
    return len(chain.links) >= (_DEEP if 2 * steep >= len(names) else _VERY_DEEP)
