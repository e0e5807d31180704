"""STB504 activation-on-output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class ActivationOnOutput(StaticRule):
    """The last layer of a network is followed by an activation or dropout that the loss has no use for.

    ## What it does
    Follows what a loss is given back to where it was made. Reports

    - ReLU and other activations that cut off negative numbers, and tanh, whose result goes into
      `cross_entropy`, `log_softmax` or `binary_cross_entropy_with_logits`, or into the sigmoid before
      `binary_cross_entropy`: an error where the loss is binary;
    - dropout whose result goes straight into such a loss or a regression loss;
    - ReLU after the single output of a regression.

    ELU, leaky ReLU and their kin are left alone: they bend the logits, but let every gradient through.

    ## Why it is bad
    A logit says "no" by being negative. After ReLU it cannot, and a class whose logit is negative for all
    inputs gets no gradient ever again: its probability is that of `exp(0)`. Ten well separated classes, 64
    inputs between 0 and 1, two hidden layers, 200 steps, ten seeds (torch 2.13):

    | | accuracy | classes that died |
    |---|---|---|
    | logits, Adam at 1e-3 or SGD at 0.1 | 100 % | 0 of 100 |
    | ReLU after them, SGD at 0.1 | 61 % | 18 of 100 |
    | ReLU after them, Adam at 1e-3 | 65 % | 36 of 100 |

    In a binary loss the probability is then never below 0.5, and each negative target costs 0.693 at
    least. Tanh keeps the loss of a perfect answer at 0.80 (ten classes) or 0.31 (binary). Of a
    regression with one output, ReLU killed 5 of 60 (Adam, two hidden layers of 64): they answered 0
    to everything, and all gradients were zero. Dropout of 0.5 on perfect logits (10 against 0) raises the
    loss from 0.0004 to 1.15.

    ## Example
    ```python
    def forward(self, x):
        x = F.relu(self.fc1(x))
        return F.relu(self.fc2(x))

    loss = F.cross_entropy(model(x), y)
    ```

    ## Use instead
    ```python
    def forward(self, x):
        x = F.relu(self.fc1(x))
        return self.fc2(x)

    loss = F.cross_entropy(model(x), y)
    ```
    Where a regression must not be negative, `F.softplus` keeps a gradient everywhere. Dropout belongs
    before the last layer.

    ## When to ignore it
    When the network is a published one that was built so. Regressions with several outputs are not
    reported: reconstructed images and features are often not negative, and no single dead unit stops the
    training.

    ## Fix safety
    No fix is offered: other code may rely on the range of the outputs.

    ## References
    - [torch.nn.CrossEntropyLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html)
    - [torch.nn.BCEWithLogitsLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html)
    - [Lu et al.: Dying ReLU and Initialization](https://arxiv.org/abs/1903.06733)
    """

    code = "STB504"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # The page's example.
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.relu(self.fc1(x.flatten(1)))
        return F.relu(self.fc2(x))  # flagged


def train(loader):
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
""",
        # Groups of layers, the last one built like the others.
        """\
from torch import nn


class Net(nn.Module):
    def __init__(self, width, hidden, classes):
        super().__init__()
        self.layer1 = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(True))
        self.layer2 = nn.Sequential(
            nn.Linear(hidden, classes),
            nn.ReLU(True),  # flagged
        )

    def forward(self, x):
        x = self.layer1(x)
        return self.layer2(x)


net = Net(784, 300, 10).cuda()
criterion = nn.CrossEntropyLoss()


def step(x, y):
    out = net(x)
    return criterion(out, y)
""",
        # Inside the model: log_softmax of what was cut.
        """\
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 10, 5)
        self.fc1 = nn.Linear(1440, 50)
        self.fc2 = nn.Linear(50, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv(x), 2))
        x = F.dropout(F.relu(self.fc1(x.view(-1, 1440))), training=self.training)
        x = F.relu(self.fc2(x))  # flagged
        return F.log_softmax(x, dim=1)
""",
        # A binary classifier that can never say no: an error.
        """\
import torch
from torch import nn

model = nn.Sequential(
    nn.Linear(20, 64),
    nn.ReLU(),
    nn.Linear(64, 1),
    nn.ReLU(),  # flagged
)
loss_fn = nn.BCEWithLogitsLoss()


def loss(x, y):
    return loss_fn(model(x).squeeze(1), y)
""",
        # The sigmoid by hand.
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 32)
        self.fc2 = nn.Linear(32, 1)

    def forward(self, x):
        x = torch.relu(self.fc1(x))
        x = torch.relu(self.fc2(x))  # flagged
        return torch.sigmoid(x)


def loss(x, y):
    return F.binary_cross_entropy(Discriminator()(x), y)
""",
        # tanh, in a trainer.
        """\
import torch
from torch import nn


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(32, 5)
        self.act = nn.Tanh()

    def forward(self, x):
        return self.act(self.fc(x))  # flagged


class Trainer:
    def __init__(self):
        self.model = Head()
        self.criterion = nn.CrossEntropyLoss()

    def loss(self, batch):
        return self.criterion(self.model(batch["x"]), batch["y"])
""",
        # Dropout on the logits, and on a prediction.
        """\
import torch.nn.functional as F
from torch import nn


class Classifier(nn.Module):
    def __init__(self, encoder, width, classes):
        super().__init__()
        self.encoder = encoder
        self.fc = nn.Linear(width, classes)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(self.fc(self.encoder(x)))  # flagged


def losses(model: Classifier, x, y, head: nn.Linear, target):
    a = F.cross_entropy(model(x), y)
    predicted = F.dropout(head(x), 0.1)  # flagged
    return a + F.mse_loss(predicted, target)
""",
        # The only output of a regression.
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(8, 64)
        self.out = nn.Linear(64, 1)

    def forward(self, x):
        x = F.relu(self.hidden(x))
        return F.relu(self.out(x))  # flagged


def train(loader, model: Regressor):
    criterion = nn.MSELoss()
    for x, y in loader:
        loss = criterion(model(x).squeeze(-1), y)
        loss.backward()
""",
        # A helper that makes blocks, and one that goes through them.
        """\
import torch.nn.functional as F
from torch import nn


def block(n, m):
    return nn.Sequential(
        nn.Linear(n, m),
        nn.BatchNorm1d(m),
        nn.ReLU(),  # flagged
    )


def predict(net, x):
    return net(x.flatten(1))


def loss(x, y):
    net = nn.Sequential(block(784, 100), block(100, 10))
    return F.cross_entropy(predict(net, x), y)
""",
    ]

    good = [
        # Activations between the layers, none behind the last one.
        """\
import torch.nn.functional as F
from torch import nn

model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 3))


def losses(x, y, z):
    a = nn.CrossEntropyLoss()(model(x), y)
    return a + F.binary_cross_entropy_with_logits(model(x), z) + F.nll_loss(F.log_softmax(model(x), 1), y)
""",
        # A residual block ends in ReLU; the network goes on.
        """\
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv = nn.Conv2d(n, n, 3, padding=1)
        self.bn = nn.BatchNorm2d(n)

    def forward(self, x):
        return F.relu(x + self.bn(self.conv(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 3)
        self.blocks = nn.Sequential(Block(64), Block(64))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = self.blocks(self.stem(x))
        return self.fc(x.mean((2, 3)))


def loss(x, y):
    return F.cross_entropy(Net()(x), y)
""",
        # A reconstruction within [-1, 1] or [0, 1].
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 32), nn.ReLU())
        self.decoder = nn.Sequential(nn.Linear(32, 784), nn.Tanh())

    def forward(self, x):
        return self.decoder(self.encoder(x))


def loss(x):
    return F.mse_loss(Autoencoder()(x), x)
""",
        # Features compared with features; many outputs that are not negative.
        """\
import torch.nn.functional as F
from torch import nn

features = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU())
counts = nn.Sequential(nn.Linear(16, 100), nn.ReLU())


def losses(x, y, h, n):
    return F.mse_loss(features(x), features(y).detach()) + F.mse_loss(counts(h), n)
""",
        # Attention scores are bent and dropped on purpose.
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.score = nn.Linear(n, 1)
        self.out = nn.Linear(n, 5)

    def forward(self, x):
        e = F.leaky_relu(self.score(x))
        a = F.softmax(F.relu(self.score(x)), dim=1)
        b = F.dropout(F.softmax(e, dim=1), 0.1, self.training)
        gate = torch.sigmoid(torch.relu(self.score(x)))
        return self.out(((a + b) * gate * x).sum(1))


def loss(x, y):
    return F.cross_entropy(Attention(8)(x), y)
""",
        # Logits that are capped: a product, with a range of its own.
        """\
import torch
import torch.nn.functional as F
from torch import nn


def loss(x, y, head: nn.Linear, cap=30.0):
    logits = cap * torch.tanh(head(x) / cap)
    return F.cross_entropy(logits, y)
""",
        # Averaged after ReLU, as in SqueezeNet.
        """\
import torch.nn.functional as F
from torch import nn

classifier = nn.Sequential(
    nn.Dropout(0.5),
    nn.Conv2d(512, 10, 1),
    nn.ReLU(inplace=True),
    nn.AdaptiveAvgPool2d((1, 1)),
)


def loss(x, y):
    return F.cross_entropy(classifier(x).flatten(1), y)
""",
        # Activations that let negative numbers through.
        """\
import torch.nn.functional as F
from torch import nn


class Gat(nn.Module):
    def __init__(self, layer, n):
        super().__init__()
        self.layer = layer
        self.fc = nn.Linear(n, 7)

    def forward(self, x, adj):
        a = F.log_softmax(F.elu(self.layer(x, adj)), dim=1)
        return a + F.log_softmax(F.leaky_relu(self.fc(x)), dim=1)
""",
        # The activation only where the output is shown, or on one path that is not known.
        """\
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, last):
        super().__init__()
        self.fc = nn.Linear(8, 3)
        self.last = last

    def forward(self, x):
        x = self.fc(x)
        if not self.last:
            x = F.relu(x)
        return x


def losses(model: Net, head: nn.Linear, x, y, z):
    logits = head(x)
    shown = F.relu(logits)
    return F.cross_entropy(model(x), y) + F.cross_entropy(logits, y), shown
""",
        # Features are compared, with some of them missing.
        """\
import torch.nn.functional as F
from torch import nn


def hint(student, teacher, x):
    return F.mse_loss(F.dropout(student(x), 0.1), teacher(x).detach())
""",
        # Dropout that is off, and scores dropped before a softmax over something else than classes.
        """\
import torch.nn.functional as F
from torch import nn


def pool(edges, score: nn.Linear, x, y):
    e = F.dropout(score(x), 0.2)
    weights = F.log_softmax(e, dim=0).exp()
    off = F.cross_entropy(F.dropout(score(x), 0.2, training=False), y)
    return (weights * edges).sum(), off + F.cross_entropy(nn.Dropout(0.0)(score(x)), y)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the activations and dropouts whose result a loss is given as it is."""
        seen: set[object] = set()
        for name, kind in _LOSSES.items():
            for _, loss in source.ask(facts.operations).named(name):
                found = _judged(loss, kind)
                if found is not None and found[0].node not in seen:
                    made, message, is_certain = found
                    seen.add(made.node)
                    yield Report(
                        made.node,
                        message,
                        severity=Severity.ERROR if is_certain else None,
                        confidence=Confidence.HIGH if is_certain else None,
                        related=(Mark(loss.node, "what takes it"),),
                    )


_LOSSES = {
    "binary_cross_entropy_with_logits": "binary",
    "binary_cross_entropy": "probability",
    "cross_entropy": "logits",
    "nll_loss": "log-probability",
    "log_softmax": "logits",
    "mse_loss": "regression",
    "l1_loss": "regression",
    "smooth_l1_loss": "regression",
    "huber_loss": "regression",
}
"""What takes the output of a network, and what for."""

_CUTTING = ("relu", "relu6", "softplus", "gelu", "silu", "mish", "hardswish")
_CAPPING = ("tanh", "hardtanh", "softsign")
_DROPPING = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
_BEFORE = {"probability": "sigmoid", "log-probability": "log_softmax"}


def _judged(loss: Operation, kind: str) -> tuple[Operation, str, bool] | None:
    """Return what stands between the last layer and a loss, what is wrong with it, and whether that is certain."""
    given: Term | None = loss.operands[0] if loss.operands else None
    if given is not None and kind in _BEFORE:
        inner = facts.provenance.made_by(given, _BEFORE[kind])
        given = inner.operands[0] if inner is not None else None
    if given is None:
        return None
    made = facts.provenance.made_by(given, *_CUTTING, *_CAPPING, *_DROPPING)
    if made is None or not made.graph or not made.operands:
        return None
    if made.name in _DROPPING:
        return _dropped(made, loss, kind)
    if kind == "regression":
        return _regression(made, loss)
    if made.name in _CAPPING:
        return (
            made,
            f"{made.name} keeps the logits between -1 and 1: {loss.name} can never come near 0",
            False,
        )
    if kind in ("binary", "probability"):
        is_certain = made.name in ("relu", "relu6", "softplus")
        bound = "is never below 0.5" if is_certain else "hardly ever falls below 0.5"
        return (
            made,
            f"{made.name} on the logit: the probability {bound}, so the answer is never no",
            is_certain,
        )
    return made, f"{made.name} cuts off negative logits: what is below 0 gets no gradient", False


def _regression(made: Operation, loss: Operation) -> tuple[Operation, str, bool] | None:
    """One unit that is dead is all that there is; of many, some may be meant to be zero."""
    layer = facts.outputs.output(made.operands[0], "raw")
    module = layer.module if layer is not None else None
    if made.name not in ("relu", "relu6") or module is None or module.scope is not None:
        return None
    width = module.keywords.get("out_features") or (
        module.positional[1] if len(module.positional) > 1 else None
    )
    if facts.terms.number(width) != 1 or layer is None or layer.name != "linear":
        return None
    return made, f"{made.name} on the only output: where it is 0, {loss.name} has no gradient", False


def _dropped(made: Operation, loss: Operation, kind: str) -> tuple[Operation, str, bool] | None:
    """Dropout on a prediction; features may be compared, and edges chosen, with some of them missing."""
    terms = facts.terms
    if kind == "regression" and facts.outputs.output(made.operands[0], "raw") is None:
        return None
    share, training = made.argument("p", 0), made.argument("training", 1)
    if made.module is not None:
        share = made.module.keywords.get("p") or next(iter(made.module.positional), None)
    is_off = made.module is None and isinstance(training, terms.Constant) and training.value is False
    number = terms.number(share) if share is not None else 0.5
    if is_off or number == 0 or loss.name == "log_softmax":
        return None
    part = "some" if number is None else f"{number:.0%}"
    return made, f"{made.name} sets {part} of the outputs to 0 before {loss.name} takes them", False
