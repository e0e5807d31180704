"""STB201 softmax-before-cross-entropy: the softmax is taken twice."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.terms import Operation
    from stablint.static.source import SourceFile


class SoftmaxBeforeCrossEntropy(StaticRule):
    """A softmax (or sigmoid) is fed to cross-entropy, which takes the softmax itself.

    ## What it does

    Follows the first argument of `CrossEntropyLoss` and `F.cross_entropy` back to where it was made:
    through names, views and indices, functions and methods, and into the `forward` of the model, element
    by element where it returns several. Reports softmax and sigmoid as an error, `log_softmax` as a
    note.

    ## Why it is bad

    `CrossEntropyLoss` expects unnormalised logits and applies `log_softmax` to them. Of numbers between
    0 and 1 it makes nearly equal probabilities again:

    - a *perfect* prediction still costs 1.46 with 10 classes, 3.62 with 100 and 5.91 with 1,000;
    - at the start the gradient is a tenth of what it should be (10 classes);
    - a confidently wrong output (a logit of 20 for the wrong class) gets a gradient of 2.5e-9 instead of
      1.41: what is most wrong learns least.

    On a linear ten-class problem, 300 SGD steps reached 90 % accuracy from logits and 52 % with a
    softmax in front (torch 2.13). The loss does fall, so it looks like a hard problem or a bad learning
    rate.

    `log_softmax` in front is merely redundant: the logarithm of the softmax of a log-softmax is itself.

    ## Example

    ```python
    class Net(nn.Module):
        def forward(self, x):
            return F.softmax(self.fc(x), dim=1)

    criterion = nn.CrossEntropyLoss()
    loss = criterion(Net()(x), y)
    ```

    ## Use instead

    ```python
    class Net(nn.Module):
        def forward(self, x):
            return self.fc(x)

    criterion = nn.CrossEntropyLoss()
    loss = criterion(Net()(x), y)
    ```

    Take the softmax where probabilities are shown or compared, after the loss.

    ## When to ignore it

    Hardly ever. Probabilities as *targets* (distillation, mixup) are right and not reported.

    ## Fix safety

    Unsafe: the loss changes, to the one that was meant. Where the softmax is written inside the call of
    the loss, it is dropped. Elsewhere no fix is offered, because other code may rely on the
    probabilities.

    ## References

    - [torch.nn.CrossEntropyLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html)
    - [torch.nn.functional.cross_entropy](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html)
    """

    code = "STB201"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # inside the call, in many spellings; log_softmax is a note
        """\
import torch
import torch.nn.functional as F
from torch import nn

def losses(logits, y):
    a = F.cross_entropy(F.softmax(logits, dim=1), y)  # flagged
    b = F.cross_entropy(torch.softmax(logits, 1), y)  # flagged
    c = F.cross_entropy(logits.softmax(dim=-1), target=y)  # flagged
    d = F.cross_entropy(input=torch.sigmoid(logits), target=y)  # flagged
    e = F.cross_entropy(nn.Softmax(dim=1)(logits), y)  # flagged
    f = F.cross_entropy(F.log_softmax(logits, dim=1), y)  # flagged
    return a + b + c + d + e + f
""",
        # the model's forward ends in a softmax
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
        x = F.relu(self.fc1(x.view(-1, 784)))
        return F.softmax(self.fc2(x), dim=1)  # flagged

def train(loader):
    net = Net()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(net(x), y)
        loss.backward()
        optimizer.step()
""",
        # the last of a Sequential, on a device
        """\
import torch
from torch import nn

device = torch.device("cuda")
model = nn.Sequential(
    nn.Linear(20, 64),
    nn.ReLU(),
    nn.Linear(64, 3),
    nn.Softmax(dim=1),  # flagged
).to(device)
loss_fn = nn.CrossEntropyLoss(label_smoothing=0.1).to(device)

def train(loader, optimizer):
    for x, y in loader:
        out = model(x.to(device))
        loss = loss_fn(out, y.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # through names, views and indices
        """\
from torch.nn.functional import cross_entropy, softmax

def loss(features, weight, target):
    logits = features @ weight
    probs = softmax(logits, dim=-1)  # flagged
    probs = probs.view(-1, probs.size(-1)).float()
    return cross_entropy(probs[:, :10].contiguous(), target.view(-1))
""",
        # the second of two outputs
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 4)

    def forward(self, x):
        logits = self.linear(x)
        probas = torch.softmax(logits, dim=1)  # flagged
        return logits, probas

def step(x, y):
    model = Net()
    logits, probas = model(x)
    return nn.functional.cross_entropy(probas, y)
""",
        # a trainer holds model and loss
        """\
import torch
from torch import nn

class Head(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.fc = nn.Linear(width, classes)
        self.act = nn.Softmax(dim=-1)

    def forward(self, x):
        return self.act(self.fc(x))  # flagged

class Trainer:
    def __init__(self):
        self.model = Head(32, 5)
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def training_step(self, batch):
        out = self.model(batch["x"])
        loss = self.criterion(out, batch["y"])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
""",
        # a Lightning module feeds its own output
        """\
import lightning as L
import torch
import torch.nn.functional as F

class Classifier(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(28 * 28, 10)

    def forward(self, x):
        return torch.softmax(self.layer(x.flatten(1)), dim=1)  # flagged

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss)
        return loss
""",
        # a helper function, and a partial
        """\
from functools import partial
import torch
import torch.nn.functional as F

normalise = partial(F.softmax, dim=1)

def predict(model, x):
    return torch.softmax(model(x), dim=1)  # flagged

def loss(model, x, y):
    return F.cross_entropy(predict(model, x), y)

def other_loss(model, x, y):
    return F.cross_entropy(normalise(model(x)), y)  # flagged
""",
        # losses and outputs in dicts, and a loss that is called where it is made
        """\
from torch import nn

criteria = {"class": nn.CrossEntropyLoss(), "box": nn.SmoothL1Loss()}

class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.cls = nn.Linear(64, 21)
        self.box = nn.Linear(64, 4)

    def forward(self, x):
        return {"class": self.cls(x).softmax(-1), "box": self.box(x)}  # flagged

def loss(x, y, box):
    out = Detector()(x)
    a = criteria["class"](out["class"], y)
    b = criteria["box"](out["box"], box)
    c = nn.CrossEntropyLoss()(out["class"], y)
    return a + b + c
""",
        # an auxiliary head of a discriminator
        """\
import torch.nn as nn

class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 64, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten())
        self.adv_layer = nn.Sequential(nn.Linear(64 * 14 * 14, 1), nn.Sigmoid())
        self.aux_layer = nn.Sequential(nn.Linear(64 * 14 * 14, 10), nn.Softmax(dim=1))  # flagged

    def forward(self, img):
        h = self.body(img)
        return self.adv_layer(h), self.aux_layer(h)

adversarial_loss = nn.BCELoss()
auxiliary_loss = nn.CrossEntropyLoss()
discriminator = Discriminator()

def d_loss(real, valid, labels):
    validity, aux = discriminator(real)
    return (adversarial_loss(validity, valid) + auxiliary_loss(aux, labels)) / 2
""",
        # redundant, not wrong: a note
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x):
        return torch.log_softmax(self.net(x), dim=1)  # flagged

def loss(x, y, criterion: nn.CrossEntropyLoss):
    return criterion(Net()(x), y)
""",
        # on every branch
        """\
import torch.nn.functional as F

def loss(logits, y, temperature=None):
    if temperature is None:
        p = F.softmax(logits, dim=1)
    else:
        p = F.softmax(logits / temperature, dim=1)  # flagged
    return F.cross_entropy(p, y)
""",
        # the two halves are in two files
        """\
# file: models/net.py
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        return F.softmax(self.fc(x), dim=1)

# file: train.py
from torch import nn
from models.net import Net

model = Net()
criterion = nn.CrossEntropyLoss()

def step(x, y):
    return criterion(model(x), y)  # flagged
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F
from torch import nn

def losses(logits, y):
    a = F.cross_entropy(logits, y)  # flagged
    b = F.cross_entropy(logits, y)  # flagged
    c = F.cross_entropy(logits, target=y)  # flagged
    d = F.cross_entropy(input=logits, target=y)  # flagged
    e = F.cross_entropy(logits, y)  # flagged
    f = F.cross_entropy(logits, y)  # flagged
    return a + b + c + d + e + f
""",
        None,
        None,
        None,
        None,
        None,
        None,
        """\
from functools import partial
import torch
import torch.nn.functional as F

normalise = partial(F.softmax, dim=1)

def predict(model, x):
    return torch.softmax(model(x), dim=1)

def loss(model, x, y):
    return F.cross_entropy(predict(model, x), y)  # flagged

def other_loss(model, x, y):
    return F.cross_entropy(model(x), y)  # flagged
""",
        None,
        None,
        None,
        None,
    ]

    good = [
        # logits for the loss, probabilities for the eye
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
        return self.fc(x.flatten(1))

def step(net: Net, x, y):
    logits = net(x)
    loss = F.cross_entropy(logits, y)
    probs = torch.softmax(logits, dim=1)
    logits = F.softmax(logits, dim=1)
    return loss, probs.max(dim=1), logits
""",
        # attention returns its context first
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(self, query, keys):
        weights = F.softmax(self.score(torch.tanh(query + keys)).squeeze(-1), dim=-1)
        return torch.bmm(weights.unsqueeze(1), keys), weights

class Decoder(nn.Module):
    def __init__(self, width, vocabulary):
        super().__init__()
        self.attention = Attention(width)
        self.out = nn.Linear(width, vocabulary)

    def forward(self, hidden, encoded):
        context, weights = self.attention(hidden, encoded)
        return self.out(context.squeeze(1)), weights

def loss(decoder: Decoder, hidden, encoded, target):
    output, weights = decoder(hidden, encoded)
    return nn.CrossEntropyLoss(ignore_index=0)(output, target)
""",
        # of the two outputs, the logits
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 4)

    def forward(self, x):
        logits = self.linear(x)
        return logits, torch.softmax(logits, dim=1)

def train(loader):
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        logits, probas = model(x)
        cost = nn.functional.cross_entropy(logits, y)
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
    return nn.functional.cross_entropy(model(x)[0], y)
""",
        # probabilities as targets
        """\
import torch
import torch.nn.functional as F

def distil(student, teacher, x, temperature=2.0):
    with torch.no_grad():
        soft = F.softmax(teacher(x) / temperature, dim=1)
    a = F.cross_entropy(student(x) / temperature, soft)
    b = F.cross_entropy(target=torch.softmax(teacher(x), dim=1), input=student(x))
    return a + b
""",
        # a policy samples from its softmax; the classifier beside it returns logits
        """\
import torch.nn.functional as F
from torch import nn
from torch.distributions import Categorical

class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, s):
        return F.softmax(self.fc(s), dim=-1)

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, s):
        return self.fc(s)

def act(policy: Policy, s):
    return Categorical(probs=policy(s)).sample()

def loss(classifier: Classifier, s, y):
    return nn.CrossEntropyLoss()(classifier(s), y)
""",
        # probabilities at inference only
        """\
import torch
from torch import nn

class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        logits = self.fc(x)
        if self.training:
            return logits
        return torch.softmax(logits, dim=-1)

class B(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        x = self.fc(x)
        if not self.training:
            x = x.softmax(dim=-1)
        return x

def train(loader):
    a, b = A(), B()
    a.train()
    b.train()
    optimizer = torch.optim.SGD([*a.parameters(), *b.parameters()], lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(a(x), y) + nn.functional.cross_entropy(b(x), y)
        loss.backward()
        optimizer.step()
""",
        # mixtures and gates: what comes out is no softmax any more
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Mixture(nn.Module):
    def __init__(self, width, experts, classes):
        super().__init__()
        self.gate = nn.Linear(width, experts)
        self.experts = nn.ModuleList(nn.Linear(width, classes) for _ in range(experts))

    def forward(self, x):
        weights = F.softmax(self.gate(x), dim=-1)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=-1)
        return (outputs * weights.unsqueeze(1)).sum(-1)

def loss(x, y):
    return F.cross_entropy(Mixture(16, 4, 10)(x), y)

def gated(x, w, y):
    return F.cross_entropy(x * torch.sigmoid(x @ w), y)
""",
        # the right pair for log-probabilities
        """\
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        return F.log_softmax(self.fc(x), dim=1)

def loss(x, y):
    return F.nll_loss(Net()(x), y)
""",
        # a loss of our own that wants probabilities
        """\
import torch
from torch import nn

class CrossEntropyLoss(nn.Module):
    def forward(self, probs, target):
        return -torch.log(probs.gather(1, target[:, None]).clamp(min=1e-7)).mean()

def cross_entropy(probs, target):
    return -(target * torch.log(probs + 1e-7)).sum(1).mean()

def losses(logits, y, soft):
    probs = torch.softmax(logits, dim=1)
    return CrossEntropyLoss()(probs, y) + cross_entropy(probs, soft)
""",
        # where the model comes from another place, nothing is known of its output
        """\
import torch
from torch import nn
from torchvision.models import resnet18

def train(build, loader):
    criterion = nn.CrossEntropyLoss()
    a, b = resnet18(num_classes=10), build()
    optimizer = torch.optim.SGD([*a.parameters(), *b.parameters()], lr=0.1)
    for x, y in loader:
        loss = criterion(a(x), y) + criterion(b(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # several keys of one output
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        logits = self.fc(x)
        return {"logits": logits, "probs": torch.softmax(logits, dim=-1)}

def loss(x, y):
    out = Net()(x)
    return F.cross_entropy(out["logits"], y), out["probs"]
""",
        # softmax is only measured with
        """\
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x):
        return self.fc(x)

    def predict(self, x):
        return self.softmax(self(x))

def evaluate(model: Model, loader, criterion=nn.CrossEntropyLoss()):
    model.eval()
    total = 0.0
    with torch.no_grad():
        for x, y in loader:
            probs = model.predict(x)
            total += criterion(model(x), y).item()
            print((probs.argmax(1) == y).float().mean())
    return total
""",
        # logits rebuilt, and scores between 0 and 1 that are made logits by a temperature
        """\
import torch
import torch.nn.functional as F

def relogit(probs_logits, y):
    p = torch.softmax(probs_logits, dim=1)
    return F.cross_entropy(torch.log(p.clamp(min=1e-7)), y)

def contrastive(a, b, logit_scale):
    similarity = F.normalize(a, dim=1) @ F.normalize(b, dim=1).t()
    return F.cross_entropy(logit_scale.exp() * similarity, torch.arange(a.size(0)))
""",
        # squeeze and excitation: the sigmoid is inside
        """\
import torch
from torch import nn

class SqueezeExcite(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(c, c // 4), nn.ReLU(), nn.Linear(c // 4, c), nn.Sigmoid())

    def forward(self, x):
        return x * self.fc(x.mean((2, 3)))[:, :, None, None]

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3)
        self.se = SqueezeExcite(16)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        return self.head(self.se(torch.relu(self.conv(x))).mean((2, 3)))

def loss(x, y):
    return nn.CrossEntropyLoss()(Net()(x), y)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report softmaxes and sigmoids whose result is given to a cross-entropy."""
        for pairing in facts.outputs.pairings(source, "cross_entropy", "sigmoid", "softmax", "log-softmax"):
            made = pairing.made
            is_redundant = made.name == "log_softmax"
            fix = _fix(source, pairing.losses[0], made)
            yield Report(
                made.node,
                _message(made, is_redundant),
                severity=Severity.NOTE if is_redundant else None,
                related=()
                if fix
                else tuple(Mark(loss.node, "the loss that takes it") for loss in pairing.losses),
                fix=fix,
            )


def _message(made: Operation, is_redundant: bool) -> str:
    if is_redundant:
        return "log_softmax before cross_entropy is redundant: cross_entropy takes it itself"
    classes = _classes(made) or 10
    floor = math.log(math.e + classes - 1) - 1
    what = f"{made.name} before cross_entropy, which takes the softmax itself"
    return f"{what}: with {classes} classes a perfect prediction still costs {floor:.2f}"


def _classes(made: Operation) -> int | None:
    """Return how many outputs the layer before the activation has."""
    layer = facts.provenance.made_by(made.operands[0], "linear") if made.operands else None
    if layer is None or layer.module is None:
        return None
    given = layer.module.keywords.get("out_features") or next(iter(layer.module.positional[1:2]), None)
    count = facts.terms.number(given)
    return count if isinstance(count, int) and count > 1 else None


def _fix(source: SourceFile, loss: Operation, made: Operation) -> ProposedFix | None:
    """Leave the activation out where it is written inside the call of the loss."""
    operand = facts.outputs.written_inside(source, loss, made)
    if operand is None:
        return None
    change = Replace(made.node, facts.spelling.bare(source, operand))
    return ProposedFix(f"drop {made.name}", Applicability.UNSAFE, (change,))
