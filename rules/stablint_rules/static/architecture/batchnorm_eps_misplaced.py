"""STB502 batchnorm-eps-misplaced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.terms import Instance, Term
    from stablint.static.source import SourceFile


class BatchnormEpsMisplaced(StaticRule):
    """A momentum or a number of features stands where a normalisation layer takes its epsilon.

    ## What it does
    Reports `BatchNorm1d`, `BatchNorm2d`, `BatchNorm3d`, `SyncBatchNorm`, `InstanceNorm*`, `LayerNorm`,
    `RMSNorm` and `GroupNorm` whose `eps`, usually given by position, is a number of at least 0.01 or a
    number of features. With `eps=` written out the confidence is medium.

    ## Why it is bad
    The signature is `BatchNorm2d(num_features, eps=1e-5, momentum=0.1, ...)`: in `BatchNorm2d(64, 0.8)`
    the 0.8 is the epsilon, and the momentum stays 0.1. The layer divides by `sqrt(var + 0.8)`: an input
    of variance 0.01 leaves it with the standard deviation 0.11 instead of 1.0 (measured with torch
    2.13). It hardly normalises, so it does not protect the gradients of a deep network either, and
    nothing says so.

    ## Example
    ```python
    nn.BatchNorm2d(64, 0.8)
    ```

    ## Use instead
    ```python
    nn.BatchNorm2d(64, momentum=0.2)
    ```
    The 0.8 usually comes from Keras, which counts the other way round: its momentum 0.8 is 0.2 in
    PyTorch, its default 0.99 is 0.01.

    ## When to ignore it
    When a large epsilon is meant, for instance to keep the differences of scale between inputs. Write
    `eps=` then.

    ## Fix safety
    Unsafe: it changes what is trained. A constant of 0.5 or more is taken for a momentum in the
    convention of Keras (`0.8` becomes `momentum=0.2`), a smaller one for one in the convention of
    PyTorch (`0.1` becomes `momentum=0.1`). Layers without a momentum, further positional arguments,
    names and sizes get no fix.

    ## References
    - [torch.nn.BatchNorm2d](https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html)
    - [torch.nn.LayerNorm](https://docs.pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html)
    - [torch.nn.GroupNorm](https://docs.pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html)
    - [Keras: BatchNormalization](https://keras.io/api/layers/normalization_layers/batch_normalization/)
    """

    code = "STB502"
    severity = Severity.WARNING
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # The page's example, in a stack.
        """\
from torch import nn

net = nn.Sequential(
    nn.Conv2d(3, 64, 3),
    nn.BatchNorm2d(64, 0.8),  # flagged
    nn.LeakyReLU(0.2, inplace=True),
)
""",
        # In the block function of a generator; a name for the number of features.
        """\
import torch.nn as nn


class Generator(nn.Module):
    def __init__(self, latent_dim):
        super().__init__()

        def block(in_feat, out_feat, normalize=True):
            layers = [nn.Linear(in_feat, out_feat)]
            if normalize:
                layers.append(nn.BatchNorm1d(out_feat, 0.8))  # flagged
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            return layers

        self.model = nn.Sequential(*block(latent_dim, 128, normalize=False), *block(128, 256))

    def forward(self, z):
        return self.model(z)
""",
        # PyTorch's own convention, by position.
        """\
import torch
from torch.nn import BatchNorm3d, InstanceNorm2d

a = BatchNorm3d(16, 0.1)  # flagged
b = torch.nn.SyncBatchNorm(16, 0.05)  # flagged
c = InstanceNorm2d(16, 0.1)  # flagged
""",
        # The number of features once more, or the number of another layer.
        """\
from torch import nn


class Block(nn.Module):
    def __init__(self, channels, hidden):
        super().__init__()
        self.hidden = hidden
        self.bn1 = nn.BatchNorm2d(channels, channels)  # flagged
        self.bn2 = nn.BatchNorm1d(self.hidden, self.hidden)  # flagged
        self.bn3 = nn.BatchNorm1d(128, 128)  # flagged
        self.bn4 = nn.BatchNorm2d(64, 3)  # flagged
""",
        # A constant of the module.
        """\
from torch import nn

BN_MOMENTUM = 0.1


def conv3x3(n, m):
    return nn.Sequential(
        nn.Conv2d(n, m, 3, padding=1, bias=False),
        nn.BatchNorm2d(m, BN_MOMENTUM),  # flagged
    )
""",
        # The default of a parameter whose name says what it is.
        """\
from torch import nn


class ConvBN(nn.Module):
    def __init__(self, n, m, bn_momentum=0.1):
        super().__init__()
        self.conv = nn.Conv2d(n, m, 1)
        self.bn = nn.BatchNorm2d(m, bn_momentum)  # flagged

    def forward(self, x):
        return self.bn(self.conv(x))
""",
        # eps and momentum the wrong way round.
        """\
from torch import nn

bn = nn.BatchNorm2d(64, 0.1, 1e-5)  # flagged
other = nn.BatchNorm1d(64, 0.9, affine=True)  # flagged
""",
        # Layers without a momentum.
        """\
from torch import nn


class Norms(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.a = nn.LayerNorm(width, 0.1)  # flagged
        self.b = nn.LayerNorm(width, width)  # flagged
        self.c = nn.RMSNorm(width, 0.1)  # flagged
        self.d = nn.GroupNorm(8, width, 0.8)  # flagged
""",
        # By keyword: perhaps meant, perhaps not.
        """\
from torch import nn

bn = nn.BatchNorm2d(64, eps=0.8)  # flagged
swapped = nn.BatchNorm2d(64, eps=0.1, momentum=1e-5)  # flagged
""",
        # A call over several lines, in a comprehension.
        """\
from torch import nn

WIDTHS = [64, 128, 256]
norms = nn.ModuleList(
    [
        nn.BatchNorm1d(  # flagged
            width,
            0.8,
        )
        for width in WIDTHS
    ]
)
""",
    ]

    good = [
        # The remedy, and the usual forms.
        """\
from torch import nn

a = nn.BatchNorm2d(64)
b = nn.BatchNorm2d(64, momentum=0.2)
c = nn.BatchNorm2d(64, eps=1e-5, momentum=0.1, affine=True)
d = nn.BatchNorm1d(num_features=64, momentum=0.01)
e = nn.BatchNorm2d(64, 1e-5, 0.1)
""",
        # The epsilon of Keras, EfficientNet and Inception, by position and by keyword.
        """\
from torch import nn

a = nn.BatchNorm2d(32, 1e-3)
b = nn.BatchNorm2d(32, 0.001, 0.01)
c = nn.BatchNorm2d(32, eps=0.001, momentum=0.01)
d = nn.BatchNorm1d(32, 1e-3, 1e-2)
e = nn.LayerNorm(32, 1e-6)
f = nn.LayerNorm(32, eps=1e-12)
""",
        # An epsilon that is not known here.
        """\
from torch import nn


class Block(nn.Module):
    def __init__(self, channels, eps, config):
        super().__init__()
        self.eps = eps
        self.a = nn.BatchNorm2d(channels, eps)
        self.b = nn.BatchNorm2d(channels, self.eps)
        self.c = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.d = nn.BatchNorm2d(channels, eps=config.eps)
""",
        # An epsilon from a constant, a default or a product.
        """\
from torch import nn

EPS = 1e-5


def norm(channels, eps=1e-6):
    a = nn.BatchNorm2d(channels, EPS)
    b = nn.BatchNorm2d(channels, eps)
    return nn.Sequential(a, b, nn.BatchNorm2d(channels, 0.8 * 1e-5))
""",
        # A layer that is passed in: its signature is not known.
        """\
from torch import nn


def block(channels, norm_layer, norm):
    return nn.Sequential(norm_layer(channels, 0.8), norm.BatchNorm2d(channels, 0.8))
""",
        # A class of one's own with the same name and another signature.
        """\
import torch
from torch import nn


class BatchNorm2d(nn.BatchNorm2d):
    def __init__(self, num_features, momentum=0.1):
        super().__init__(num_features, momentum=momentum)


layer = BatchNorm2d(64, 0.8)
""",
        # Keras and other frameworks.
        """\
import torch
from mxnet.gluon import nn as gluon
from tensorflow.keras.layers import BatchNormalization

a = BatchNormalization(momentum=0.8)
b = gluon.BatchNorm(1, 0.9)
c = torch.nn.Identity(64, 0.8)
""",
        # Other layers whose second argument is something else.
        """\
from torch import nn

a = nn.GroupNorm(8, 64)
b = nn.GroupNorm(32, 64, 1e-6)
c = nn.LeakyReLU(0.2, True)
d = nn.LocalResponseNorm(5, 0.0001)
e = nn.Threshold(0.1, 20)
f = nn.LayerNorm([3, 32, 32])
g = nn.LayerNorm((10, 20))
h = nn.Linear(64, 64)
i = nn.AlphaDropout(0.8)
""",
        # A partial, keywords spread from a dictionary, arguments from a list.
        """\
from functools import partial

from torch import nn

norm_layer = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
layer = norm_layer(64)


def build(args, kwargs):
    return nn.BatchNorm2d(*args), nn.BatchNorm2d(64, **kwargs), nn.InstanceNorm2d(64, **kwargs)
""",
        # Instance normalisation as it is used for style transfer.
        """\
from torch import nn

a = nn.InstanceNorm2d(64, affine=True)
b = nn.InstanceNorm2d(64, affine=False, track_running_stats=False)
c = nn.InstanceNorm1d(64, 1e-5, 0.1, True)
d = nn.BatchNorm2d(64, affine=False)
""",
        # Momentum set later.
        """\
from torch import nn

bn = nn.BatchNorm2d(64)
bn.momentum = 0.2
for m in nn.Sequential(bn).modules():
    if isinstance(m, nn.BatchNorm2d):
        m.momentum = 0.03
        m.eps = 1e-3
""",
        # Just below the threshold.
        """\
from torch import nn

a = nn.BatchNorm2d(64, 0.009)
b = nn.LayerNorm(64, 5e-3)
""",
    ]

    fixed = [
        """\
from torch import nn

net = nn.Sequential(
    nn.Conv2d(3, 64, 3),
    nn.BatchNorm2d(64, momentum=0.2),
    nn.LeakyReLU(0.2, inplace=True),
)
""",
        """\
import torch.nn as nn


class Generator(nn.Module):
    def __init__(self, latent_dim):
        super().__init__()

        def block(in_feat, out_feat, normalize=True):
            layers = [nn.Linear(in_feat, out_feat)]
            if normalize:
                layers.append(nn.BatchNorm1d(out_feat, momentum=0.2))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            return layers

        self.model = nn.Sequential(*block(latent_dim, 128, normalize=False), *block(128, 256))

    def forward(self, z):
        return self.model(z)
""",
        """\
import torch
from torch.nn import BatchNorm3d, InstanceNorm2d

a = BatchNorm3d(16, momentum=0.1)
b = torch.nn.SyncBatchNorm(16, momentum=0.05)
c = InstanceNorm2d(16, momentum=0.1)
""",
        None,
        None,
        None,
        """\
from torch import nn

bn = nn.BatchNorm2d(64, 0.1, 1e-5)
other = nn.BatchNorm1d(64, momentum=0.1, affine=True)
""",
        None,
        None,
        """\
from torch import nn

WIDTHS = [64, 128, 256]
norms = nn.ModuleList(
    [
        nn.BatchNorm1d(
            width,
            momentum=0.2,
        )
        for width in WIDTHS
    ]
)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the layers whose epsilon is no small number."""
        for layer, position in _POSITIONS.items():
            for site, instance in source.ask(facts.operations).instances(f"torch.nn.{layer}"):
                by_name = "eps" in instance.keywords
                eps = instance.keywords.get("eps") or _at(instance.positional, position)
                wrong = _wrong(eps, instance.positional[0] if instance.positional else None, layer)
                if wrong is not None:
                    confidence = Confidence.MEDIUM if by_name else None
                    fix = None if by_name or layer not in _WITH_MOMENTUM else _fix(source, instance, eps)
                    yield Report(site.node, wrong, confidence=confidence, fix=fix)


_WITH_MOMENTUM = (
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"
)  # fmt: skip
_POSITIONS = {**dict.fromkeys(_WITH_MOMENTUM, 1), "LayerNorm": 1, "RMSNorm": 1, "GroupNorm": 2}
"""Where the epsilon stands among the arguments of each layer."""

_LARGE = 1e-2


def _at(arguments: tuple[Term, ...], position: int) -> Term | None:
    return arguments[position] if position < len(arguments) else None


def _wrong(eps: Term | None, features: Term | None, layer: str) -> str | None:
    """Say what stands in the place of the epsilon; None where that is small or not known."""
    terms = facts.terms
    if eps is None:
        return None
    numbers = [_number(option) for option in terms.options(eps)]
    smallest = min((number for number in numbers if number is not None), default=0.0)
    if None not in numbers and smallest >= _LARGE:
        left = (0.01 / (0.01 + smallest)) ** 0.5
        return f"{smallest:g} is the epsilon of `{layer}`: an input of variance 0.01 keeps a deviation of {left:.2g}"
    if (
        features is not None
        and not isinstance(eps, terms.Constant | terms.Unknown)
        and terms.same(eps, features)
    ):
        return f"the number of features is also the epsilon of `{layer}`: it hardly normalises"
    if "momentum" in str(getattr(eps, "name", getattr(eps, "label", ""))).lower():
        return f"a momentum is the epsilon of `{layer}`: the arguments are (features, eps, momentum)"
    return None


def _number(term: Term) -> float | None:
    is_true = isinstance(term, facts.terms.Constant) and term.value is True
    return 1.0 if is_true else facts.terms.number(term)


def _fix(source: SourceFile, instance: Instance, eps: Term | None) -> ProposedFix | None:
    """Name a literal momentum, translated from the convention of Keras where it is one."""
    arguments: Any = getattr(instance.node, "args", ())
    written: Any = arguments[1].value if len(arguments) > 1 else None
    value = _number(eps) if eps is not None else None
    if value is None or value >= 1 or type(written).__name__ != "Float" or written.lpar:
        return None
    if len(instance.positional) != 2 or "momentum" in instance.keywords or instance.open_arguments:
        return None
    momentum = f"{round(1 - value, 10):g}" if value >= 0.5 else source.code(written)
    change = Replace(written, f"momentum={momentum}")
    return ProposedFix(f"make it the momentum: `momentum={momentum}`", Applicability.UNSAFE, (change,))
