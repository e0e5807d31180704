"""STB503 batchnorm-momentum-convention."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.scopes import Store
    from stablint.static.facts.terms import Instance, Operation, Term
    from stablint.static.source import SourceFile


class BatchnormMomentumConvention(StaticRule):
    """A batch normalisation has the momentum of TensorFlow or Keras, which counts the other way round.

    ## What it does
    Reports `BatchNorm1d`, `BatchNorm2d`, `BatchNorm3d`, `SyncBatchNorm`, the lazy ones, `F.batch_norm`
    and instance normalisation with running statistics whose momentum is above 0.5 and below 1, given to
    the constructor or set later. 0.5 is the same in both conventions.

    ## Why it is bad
    PyTorch computes `running = (1 - momentum) * running + momentum * batch`, with 0.1 as the default;
    Keras and TensorFlow write momentum for the other factor, with 0.99 as the default. `momentum=0.99`
    makes PyTorch forget everything but the last batch: after one batch of mean 11 the running mean,
    which starts from 0, is 10.89. With `eval()` the model then normalises by the statistics of a single
    batch. Inputs of variance 1 in batches of 16, 600 steps (torch 2.13):

    | momentum | error of the running mean | of the running variance |
    |---|---|---|
    | 0.01 | 0.02 | 3 % |
    | 0.1 | 0.06 | 8 % |
    | 0.9 | 0.22 | 33 % |
    | 0.99 | 0.25 | 36 % |

    Training looks right; validation is worse than it should be, and jumps.

    ## Example
    ```python
    nn.BatchNorm2d(64, momentum=0.99)
    ```

    ## Use instead
    ```python
    nn.BatchNorm2d(64, momentum=0.01)
    ```

    ## When to ignore it
    When the statistics are meant to follow the last batches. `momentum=1` can only be meant, and is not
    reported; neither is `momentum=None`, which averages over all batches.

    ## Fix safety
    Unsafe: the running statistics change. The number becomes one minus itself. Names and expressions get
    no fix.

    ## References
    - [torch.nn.BatchNorm2d](https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html)
    - [Keras: BatchNormalization](https://keras.io/api/layers/normalization_layers/batch_normalization/)
    """

    code = "STB503"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # The page's example, in a stack.
        """\
from torch import nn

net = nn.Sequential(
    nn.Conv2d(3, 64, 3),
    nn.BatchNorm2d(64, momentum=0.99),  # flagged
    nn.ReLU(),
)
""",
        # By position, and other layers.
        """\
import torch
from torch.nn import BatchNorm1d, SyncBatchNorm

a = BatchNorm1d(64, 1e-5, 0.9)  # flagged
b = SyncBatchNorm(64, eps=1e-3, momentum=0.997)  # flagged
c = torch.nn.BatchNorm3d(16, momentum=0.6)  # flagged
d = torch.nn.LazyBatchNorm2d(momentum=0.9)  # flagged
e = torch.nn.InstanceNorm2d(16, momentum=0.9, track_running_stats=True)  # flagged
""",
        # A constant of the module, and one in a dict of arguments.
        """\
from torch import nn

BN_MOMENTUM = 0.9997


class ConvBN(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.conv = nn.Conv2d(n, m, 3, bias=False)
        self.bn = nn.BatchNorm2d(m, eps=0.001, momentum=BN_MOMENTUM)  # flagged

    def forward(self, x):
        return self.bn(self.conv(x))
""",
        # The default of a parameter.
        """\
from torch import nn


def conv_bn(n, m, bn_momentum=0.99):
    return nn.Sequential(
        nn.Conv2d(n, m, 1),
        nn.BatchNorm2d(m, momentum=bn_momentum),  # flagged
    )
""",
        # Through a function and a class.
        """\
from torch import nn


class Block(nn.Module):
    def __init__(self, n, momentum):
        super().__init__()
        self.bn = nn.BatchNorm2d(n, momentum=momentum)  # flagged

    def forward(self, x):
        return self.bn(x)


def build():
    return nn.Sequential(Block(64, 0.9), Block(128, 0.9))
""",
        # Set later.
        """\
from torch import nn


def slow(model):
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.eps = 1e-3
            m.momentum = 0.997  # flagged


bn = nn.BatchNorm1d(64)
bn.momentum = 0.9  # flagged
""",
        # The function.
        """\
import torch.nn.functional as F


def normalise(x, mean, var, weight, bias, training):
    x = F.batch_norm(x, mean, var, weight, bias, training, 0.9)  # flagged
    return F.batch_norm(x, mean, var, training=training, momentum=0.99)  # flagged
""",
    ]

    fixed = [
        """\
from torch import nn

net = nn.Sequential(
    nn.Conv2d(3, 64, 3),
    nn.BatchNorm2d(64, momentum=0.01),
    nn.ReLU(),
)
""",
        """\
import torch
from torch.nn import BatchNorm1d, SyncBatchNorm

a = BatchNorm1d(64, 1e-5, 0.1)
b = SyncBatchNorm(64, eps=1e-3, momentum=0.003)
c = torch.nn.BatchNorm3d(16, momentum=0.4)
d = torch.nn.LazyBatchNorm2d(momentum=0.1)
e = torch.nn.InstanceNorm2d(16, momentum=0.1, track_running_stats=True)
""",
        None,
        None,
        None,
        """\
from torch import nn


def slow(model):
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.eps = 1e-3
            m.momentum = 0.003


bn = nn.BatchNorm1d(64)
bn.momentum = 0.1
""",
        """\
import torch.nn.functional as F


def normalise(x, mean, var, weight, bias, training):
    x = F.batch_norm(x, mean, var, weight, bias, training, 0.1)
    return F.batch_norm(x, mean, var, training=training, momentum=0.01)
""",
    ]

    good = [
        # The usual ones, and the translation written out.
        """\
from torch import nn

a = nn.BatchNorm2d(64)
b = nn.BatchNorm2d(64, momentum=0.1)
c = nn.BatchNorm2d(64, eps=1e-3, momentum=0.01)
d = nn.BatchNorm1d(64, 1e-5, 0.003)
e = nn.BatchNorm2d(64, momentum=1 - 0.99)
f = nn.BatchNorm2d(64, momentum=0.4)
g = nn.BatchNorm2d(64, momentum=0.5)
""",
        # One that can only be meant, and the average of all.
        """\
from torch import nn

a = nn.BatchNorm2d(64, momentum=1.0)
b = nn.BatchNorm2d(64, momentum=None)
c = nn.BatchNorm1d(64, 1e-5, 1)
""",
        # No running statistics, so no momentum either.
        """\
import torch.nn.functional as F
from torch import nn

a = nn.BatchNorm2d(64, momentum=0.9, track_running_stats=False)
b = nn.InstanceNorm2d(64, momentum=0.9)
c = nn.BatchNorm1d(64, 1e-5, 0.9, True, False)


def normalise(x, mean, var):
    return F.batch_norm(x, mean, var, training=False, momentum=0.9), F.batch_norm(x, None, None, momentum=0.9)
""",
        # Not known here.
        """\
from torch import nn


class Block(nn.Module):
    def __init__(self, n, config, momentum, **options):
        super().__init__()
        self.a = nn.BatchNorm2d(n, momentum=momentum)
        self.b = nn.BatchNorm2d(n, momentum=config.bn_momentum)
        self.c = nn.BatchNorm2d(n, momentum=1 - config.keras_momentum)
        self.d = nn.BatchNorm2d(n, **options)
""",
        # The momentum of an optimizer, of a teacher, of another framework.
        """\
import torch
from tensorflow.keras.layers import BatchNormalization
from torch import nn

model = nn.Linear(4, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for group in optimizer.param_groups:
    group["momentum"] = 0.95


class Teacher:
    def __init__(self, momentum=0.996):
        self.momentum = momentum
        self.student = model


teacher = Teacher()
teacher.momentum = 0.999
layer = BatchNormalization(momentum=0.99)
""",
        # An epsilon in its place: another rule's affair.
        """\
from torch import nn

bn = nn.BatchNorm2d(64, 0.8)
""",
        # A class of one's own with the convention of Keras.
        """\
from torch import nn


class KerasBatchNorm(nn.BatchNorm2d):
    def __init__(self, n, momentum=0.99):
        super().__init__(n, momentum=1 - momentum)


layer = KerasBatchNorm(64, momentum=0.99)
""",
        # Turned round on the way.
        """\
from torch import nn


def conv_bn(n, m, keras_momentum=0.99):
    return nn.Sequential(nn.Conv2d(n, m, 1), nn.BatchNorm2d(m, momentum=1 - keras_momentum))
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the layers, calls and assignments that give a large momentum."""
        operations = source.ask(facts.operations)
        for layer, position in _POSITIONS.items():
            for site, instance in operations.instances(f"torch.nn.{layer}"):
                if _has_statistics(instance, layer, position):
                    given = instance.keywords.get("momentum") or _at(instance.positional, position)
                    yield from _judged(source, site.node, given)
        for site, call in operations.named("batch_norm"):
            if call.module is None and _is_updating(call):
                yield from _judged(source, site.node, call.argument("momentum", 5))
        if "momentum" in source.ask(facts.syntax).identifiers:
            for store in source.ask(facts.syntax).stores:
                if _is_of_batch_norm(source, store) and store.value is not None:
                    yield from _judged(
                        source, store.statement, source.ask(facts.values).of(store.value), store.value
                    )


_POSITIONS = {
    "BatchNorm1d": 2, "BatchNorm2d": 2, "BatchNorm3d": 2, "SyncBatchNorm": 2,
    "InstanceNorm1d": 2, "InstanceNorm2d": 2, "InstanceNorm3d": 2,
    "LazyBatchNorm1d": 1, "LazyBatchNorm2d": 1, "LazyBatchNorm3d": 1,
}  # fmt: skip
"""Where the momentum stands among the arguments of each layer."""


def _at(arguments: tuple[Term, ...], position: int) -> Term | None:
    return arguments[position] if position < len(arguments) else None


def _has_statistics(instance: Instance, layer: str, position: int) -> bool:
    """Whether a layer keeps running statistics: instance normalisation does only when told to."""
    told = instance.keywords.get("track_running_stats") or _at(instance.positional, position + 2)
    if told is None:
        return "Instance" not in layer
    return isinstance(told, facts.terms.Constant) and told.value is True


def _is_updating(call: Operation) -> bool:
    """Whether a call of `F.batch_norm` updates running statistics."""
    terms = facts.terms
    mean = call.argument("running_mean", 0)
    training = call.argument("training", 4)
    is_off = training is None or (isinstance(training, terms.Constant) and training.value is False)
    return not is_off and not (mean is None or (isinstance(mean, terms.Constant) and mean.value is None))


def _is_of_batch_norm(source: SourceFile, store: Store) -> bool:
    """Whether an assignment is to the momentum of something that is, or was tested to be, such a layer."""
    terms = facts.terms
    values = source.ask(facts.values)
    target: Any = store.target
    if getattr(getattr(target, "attr", None), "value", "") != "momentum":
        return False
    owner = values.raw(target.value)
    if isinstance(owner, terms.Instance):
        return owner.dotted.rsplit(".", 1)[-1] in _POSITIONS
    tests = facts.guards.tests(source, store.statement, store.statement)
    asked = [part for test, held in tests if held for part in terms.within(values.raw(test))]
    return any(isinstance(part, terms.Reference) and part.dotted in _CLASSES for part in asked) and any(
        isinstance(part, terms.Operation) and part.name in _ASKING and part.operands[0] is owner
        for part in asked
    )


_CLASSES = {f"torch.nn.{layer}" for layer in _POSITIONS} | {"torch.nn.modules.batchnorm._BatchNorm"}
_ASKING = ("isinstance", "builtin_type")


def _judged(source: SourceFile, node: Any, given: Term | None, written: Any = None) -> Iterator[Report]:
    momentum = _number(given)
    if momentum is not None:
        kept = f"{round(1 - momentum, 10):g}"
        yield Report(
            node,
            f"momentum {momentum:g} keeps {kept} of the running statistics at each batch: Keras counts the other way",
            fix=_fix(node, given, written, kept),
        )


def _number(given: Term | None) -> float | None:
    """Return the smallest value of a momentum, where all that it can be is large and below 1."""
    terms = facts.terms
    if given is None:
        return None
    held = [
        option.default if isinstance(option, terms.Parameter) else option for option in terms.options(given)
    ]
    numbers = [terms.number(one) for one in held]
    known = [one for one in numbers if one is not None and 0.5 < one < 1]
    return min(known) if known and len(known) == len(numbers) else None


def _fix(call: Any, given: Term | None, written: Any, kept: str) -> ProposedFix | None:
    """Turn a number round that is written where it is given."""
    number: Any = getattr(given, "node", None)
    inside = [argument.value for argument in getattr(call, "args", ())] if written is None else [written]
    if type(number).__name__ != "Float" or all(one is not number for one in inside):
        return None
    return ProposedFix(f"make it {kept}", Applicability.UNSAFE, (Replace(number, kept),))
