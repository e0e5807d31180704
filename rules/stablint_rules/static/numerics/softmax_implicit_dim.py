"""STB309 softmax-implicit-dim: a softmax is not told which dimension to go along."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.sizes import Shape
    from stablint.static.facts.terms import Instance, Operation
    from stablint.static.source import SourceFile


class SoftmaxImplicitDim(StaticRule):
    """A softmax is not told its dimension, and the one that is guessed depends on the shape of the input.

    ## What it does

    Reports `F.softmax`, `F.log_softmax` and `F.softmin`, and `nn.Softmax`, `nn.LogSoftmax` and
    `nn.Softmin`, without `dim`. Where the input is known to have three dimensions it is an error.

    ## Why it is bad

    PyTorch then takes dimension 0 of an input of no, one or three dimensions and dimension 1 of any other.
    Attention scores of shape (batch, queries, keys) are so normalised over the *batch*: with a batch of
    one every weight is 1, and otherwise samples compete with each other. The same call is right for an
    input of two dimensions, so a model that gains one dimension goes wrong without an error. The guess is
    deprecated and warns at every call (torch 2.13, `torch.nn.functional._get_softmax_dim`);
    `torch.softmax(x)` and `x.softmax()` refuse with a TypeError.

    ## Example

    ```python
    attention = F.softmax(torch.bmm(queries, keys.transpose(1, 2)))
    ```

    ## Use instead

    ```python
    attention = F.softmax(torch.bmm(queries, keys.transpose(1, 2)), dim=-1)
    ```

    ## When to ignore it

    Never: with `dim` the code says the same and keeps on working.

    ## Fix safety

    The fix is safe where the input is known to have one, two, four or more dimensions: it writes down the
    dimension that PyTorch takes. It is unsafe where nothing is known and for three dimensions: `dim=-1`
    changes what is computed there, and is nearly always what was meant.

    ## References

    - [torch.nn.functional.softmax](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html)
    - [torch.nn.Softmax](https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html)
    """

    code = "STB309"
    severity = Severity.WARNING
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # The page's example.
        """\
import torch
import torch.nn.functional as F


def attend(queries, keys):
    return F.softmax(torch.bmm(queries, keys.transpose(1, 2)))  # flagged
""",
        # Two dimensions: what is guessed is right, and deprecated.
        """\
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(320, 10)

    def forward(self, x):
        x = x.view(-1, 320)
        return F.log_softmax(self.fc(x))  # flagged
""",
        # As layers, in a Sequential and as an attribute.
        """\
import torch
from torch import nn


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.aux = nn.Sequential(nn.Linear(8, 10), nn.Softmax())  # flagged
        self.log_softmax = nn.LogSoftmax()  # flagged

    def forward(self, x):
        return self.aux(x), self.log_softmax(x)
""",
        # A layer that is used on three dimensions elsewhere in the class.
        """\
import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.softmax = nn.Softmax(dim=None)  # flagged

    def scores(self, q, k):
        return torch.einsum("bqd,bkd->bqk", q, k)

    def forward(self, q, k, v):
        return torch.bmm(self.softmax(self.scores(q, k)), v)
""",
        # Through a function of the file, and over several lines.
        """\
import torch
from torch.nn.functional import softmax, softmin


def normalise(x, temperature):
    return softmax(  # flagged
        x / temperature,
    )


def weights(model, x, dtype):
    return normalise(model(x), 0.5), softmin(x, dtype=dtype)  # flagged
""",
        # One, and four.
        """\
import torch.nn.functional as F
from torch import nn


class Segment(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 21, 1)

    def forward(self, images):
        maps = self.conv(images)
        return F.softmax(maps), F.softmax(maps.flatten())  # flagged
""",
        # At the end of a Sequential, which is given two dimensions.
        """\
import torch
from torch import nn


class Discriminator(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.aux = nn.Sequential(nn.Linear(128, classes), nn.Softmax())  # flagged

    def forward(self, x):
        x = x.view(x.size(0), -1)
        return self.aux(x)
""",
        # Called where it is made.
        """\
import torch
from torch import nn


def probabilities(scores):
    return nn.Softmax()(scores) + nn.functional.softmax(scores, None)  # flagged
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F


def attend(queries, keys):
    return F.softmax(torch.bmm(queries, keys.transpose(1, 2)), dim=-1)
""",
        """\
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(320, 10)

    def forward(self, x):
        x = x.view(-1, 320)
        return F.log_softmax(self.fc(x), dim=1)
""",
        """\
import torch
from torch import nn


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.aux = nn.Sequential(nn.Linear(8, 10), nn.Softmax(dim=-1))
        self.log_softmax = nn.LogSoftmax(dim=-1)

    def forward(self, x):
        return self.aux(x), self.log_softmax(x)
""",
        """\
import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.softmax = nn.Softmax(dim=-1)

    def scores(self, q, k):
        return torch.einsum("bqd,bkd->bqk", q, k)

    def forward(self, q, k, v):
        return torch.bmm(self.softmax(self.scores(q, k)), v)
""",
        """\
import torch
from torch.nn.functional import softmax, softmin


def normalise(x, temperature):
    return softmax(
        x / temperature, dim=-1,
    )


def weights(model, x, dtype):
    return normalise(model(x), 0.5), softmin(x, dtype=dtype, dim=-1)
""",
        """\
import torch.nn.functional as F
from torch import nn


class Segment(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 21, 1)

    def forward(self, images):
        maps = self.conv(images)
        return F.softmax(maps, dim=1), F.softmax(maps.flatten(), dim=0)
""",
        """\
import torch
from torch import nn


class Discriminator(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.aux = nn.Sequential(nn.Linear(128, classes), nn.Softmax(dim=1))

    def forward(self, x):
        x = x.view(x.size(0), -1)
        return self.aux(x)
""",
        """\
import torch
from torch import nn


def probabilities(scores):
    return nn.Softmax(dim=-1)(scores) + nn.functional.softmax(scores, -1)
""",
    ]

    good = [
        # Told, by keyword and by place.
        """\
import torch
import torch.nn.functional as F
from torch import nn


def told(x, dim):
    a = F.softmax(x, dim=-1) + F.softmax(x, 1) + F.log_softmax(x, dim) + F.softmin(x, dim=0)
    return a + nn.Softmax(dim=1)(x) + nn.LogSoftmax(-1)(x) + torch.softmax(x, 0) + x.softmax(-1)
""",
        # Those that have a fixed dimension.
        """\
import torch.nn.functional as F
from torch import nn


def fixed(x):
    return nn.Softmax2d()(x) + F.gumbel_softmax(x) + F.sigmoid(x)
""",
        # What is refused.
        """\
import torch


def refused(x):
    return torch.softmax(x), x.log_softmax()
""",
        # Perhaps told.
        """\
import torch.nn.functional as F
from torch import nn


def perhaps(x, *args, **kwargs):
    return F.softmax(x, *args) + F.log_softmax(x, **kwargs) + nn.Softmax(**kwargs)(x)
""",
        # Told by a default, by a constant of the file.
        """\
import torch.nn.functional as F
from torch import nn

DIM = 1


class Scorer(nn.Module):
    def __init__(self, dim=-1):
        super().__init__()
        self.softmax = nn.Softmax(dim)

    def forward(self, x):
        return self.softmax(x) + F.softmax(x, dim=DIM)
""",
        # A function of the same name.
        """\
import numpy as np
import torch


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def use(x):
    return softmax(x)
""",
        # Softmaxes of others.
        """\
import torch
from scipy.special import softmax
from dgl.nn.pytorch.softmax import EdgeSoftmax


def use(graph, x):
    return softmax(x), EdgeSoftmax()(graph, x)
""",
        # A class that inherits from the layer, and one that is only named.
        """\
import torch
from torch import nn


class Softmax(nn.Softmax):
    pass


def use(x, layer=nn.Softmax):
    return layer(dim=1)(x), Softmax(dim=-1)(x)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the softmaxes that are not told their dimension."""
        known = source.ask(facts.operations)
        for site, softmax in known.named("softmax", "log_softmax", "softmin"):
            is_function = softmax.module is None and softmax.dotted.startswith("torch.nn.functional.")
            if is_function and not softmax.open_arguments and _is_untold(softmax.argument("dim", 0)):
                yield _report(source, site.node, softmax.name, _shapes([softmax]))
        for site, layer in known.instances("torch.nn.Softmax", "torch.nn.LogSoftmax", "torch.nn.Softmin"):
            told = layer.keywords.get("dim") or next(iter(layer.positional), None)
            if not layer.open_arguments and _is_untold(told):
                yield _report(source, site.node, layer.dotted.rsplit(".", 1)[-1], *_of_layer(source, layer))


def _is_untold(dim: Any) -> bool:
    return dim is None or (isinstance(dim, facts.terms.Constant) and dim.value is None)


def _shapes(softmaxes: list[Operation]) -> list[Shape]:
    return [facts.shapes.shape(softmax.operands[0]) for softmax in softmaxes if softmax.operands]


def _rank(shape: Shape) -> int | None:
    """Return the number of dimensions; images behind a convolution come in batches, as a rule."""
    return 4 if not shape.is_whole and len(shape.sizes) == 3 else shape.rank


def _of_layer(source: SourceFile, layer: Instance) -> tuple[list[Shape], tuple[Mark, ...]]:
    """Return the shapes of what the layer is applied to, and where it meets three dimensions."""
    used = list(source.ask(facts.operations).of_layer(layer))
    meets = [softmax for softmax in used if [_rank(shape) for shape in _shapes([softmax])] == [3]]
    return _shapes(used), tuple(Mark(one.node, "three dimensions here") for one in meets[:1])


def _report(
    source: SourceFile, node: Any, name: str, shapes: list[Shape], related: tuple[Mark, ...] = ()
) -> Report:
    fix, ranks = _fix(source, node, shapes), {_rank(shape) for shape in shapes}
    if 3 in ranks:
        message = f"{name} without dim goes along dimension 0 of an input of three dimensions: the batch"
        return Report(node, message, Severity.ERROR, related=related, fix=fix)
    takes = "takes dimension 0 of 1-D and 3-D input and dimension 1 of any other"
    if len(ranks) == 1 and None not in ranks:
        rank = ranks.pop() or 0
        takes = f"takes dimension {_taken(rank)} of {rank}-D input, and another if its shape changes"
    return Report(node, f"{name} without dim {takes}; deprecated", fix=fix)


def _taken(rank: int) -> int:
    """Return the dimension that PyTorch takes where it is told none."""
    return 0 if rank in (0, 1, 3) else 1


def _fix(source: SourceFile, node: Any, shapes: list[Shape]) -> ProposedFix | None:
    """Write the dimension down, behind the other arguments."""
    arguments = getattr(node, "args", None)
    if arguments is None:
        return None  # a partial
    ranks = {_rank(shape) for shape in shapes}
    is_known = len(ranks) == 1 and not ranks & {None, 3}
    dim = f"dim={_taken(ranks.pop() or 0) if is_known else -1}"
    told = [one for one in arguments if _is_dim(source, one)]
    if told:
        change = Replace(told[0].value, dim.removeprefix("dim="))
    elif not arguments:
        change = Replace(node, f"{source.code(node.func)}({dim})")
    else:
        change = Replace(arguments[-1].value, f"{source.code(arguments[-1].value)}, {dim}")
    is_safe = is_known and all(shape.is_whole for shape in shapes)
    return ProposedFix(f"write `{dim}`", Applicability.SAFE if is_safe else Applicability.UNSAFE, (change,))


def _is_dim(source: SourceFile, argument: Any) -> bool:
    """Whether an argument is the None that stands for the dimension."""
    if argument.keyword is None:
        return source.code(argument.value) == "None"
    return bool(argument.keyword.value == "dim")
