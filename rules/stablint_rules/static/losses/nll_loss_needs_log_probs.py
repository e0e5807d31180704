"""STB203 nll-loss-needs-log-probs: a loss that takes no logarithm is given none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class NllLossNeedsLogProbs(StaticRule):
    """`NLLLoss` is fed probabilities or raw outputs instead of log-probabilities.

    ## What it does

    Follows the first argument of `NLLLoss` and `F.nll_loss` back to where it was made. Reports a softmax
    or sigmoid as an error, and as a warning a model whose every output is that of a linear or
    convolutional layer, with no logarithm on the way. What is only called `logits`, and made without a
    logarithm that the file shows, is a note.

    ## Why it is bad

    `NLLLoss` takes no logarithm, its name notwithstanding: it picks the number of the target class and
    negates it. Given probabilities it is `-p`, a number between -1 and 0 whose gradient almost vanishes
    where the model is confidently wrong. Given raw outputs it has no lower bound: the network need only
    scale its weights up. After 300 SGD steps on random labels the loss was at -13.3 and still falling;
    on a linear ten-class problem, accuracy was 51 % with a softmax and 76 % with raw outputs, against 90
    % with cross-entropy (torch 2.13). A negative loss is the sign.

    ## Example

    ```python
    probs = F.softmax(model(x), dim=1)
    loss = F.nll_loss(probs, y)
    ```

    ## Use instead

    ```python
    loss = F.cross_entropy(model(x), y)
    ```

    Or keep `nll_loss` and let the model return `F.log_softmax(...)`.

    ## When to ignore it

    When something outside the file takes the logarithm. skorch's `NeuralNetClassifier` does so for
    `NLLLoss`; that is known and not reported.

    ## Fix safety

    Unsafe: the loss changes, to the one that was meant. A softmax written inside the call of the loss
    becomes the `log_softmax` of the same module. Elsewhere no fix is offered.

    ## References

    - [torch.nn.NLLLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html)
    - [torch.nn.LogSoftmax](https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSoftmax.html)
    - [torch.nn.CrossEntropyLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html)
    """

    code = "STB203"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # inside the call, in three spellings
        """\
import torch
import torch.nn.functional as F
from torch import nn

def losses(logits, y):
    a = F.nll_loss(F.softmax(logits, dim=1), y)  # flagged
    b = F.nll_loss(torch.softmax(logits, 1), y, reduction="sum")  # flagged
    c = nn.NLLLoss()(logits.softmax(dim=-1), y)  # flagged
    return a + b + c
""",
        # through a name
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        probs = F.softmax(model(x), dim=1)  # flagged
        loss = F.nll_loss(probs, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # the model's forward ends in a softmax
        """\
import torch
from torch import nn

class CharRNN(nn.Module):
    def __init__(self, n, hidden, classes):
        super().__init__()
        self.i2h = nn.Linear(n + hidden, hidden)
        self.i2o = nn.Linear(n + hidden, classes)
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x, hidden):
        both = torch.cat((x, hidden), 1)
        return self.softmax(self.i2o(both)), self.i2h(both)  # flagged

rnn = CharRNN(57, 128, 18)
criterion = nn.NLLLoss()
optimizer = torch.optim.SGD(rnn.parameters(), lr=0.005)

def train(category, line):
    hidden = torch.zeros(1, 128)
    optimizer.zero_grad()
    for letter in line:
        output, hidden = rnn(letter, hidden)
    loss = criterion(output, category)
    loss.backward()
    optimizer.step()
    return loss.item()
""",
        # a Sequential, held by a trainer
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self):
        self.model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3), nn.Softmax(-1))  # flagged
        self.criterion = nn.NLLLoss(weight=torch.tensor([1.0, 2.0, 1.0]))

    def loss(self, x, y):
        return self.criterion(self.model(x), y)
""",
        # raw outputs: a warning
        """\
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 100)
        self.fc2 = nn.Linear(100, 10)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x.flatten(1))))

def loss(x, y):
    model = Net()
    output = model(x)
    return F.nll_loss(output, y)  # flagged
""",
        # raw outputs of every branch, per pixel
        """\
import torch.nn.functional as F
from torch import nn

class Segmenter(nn.Module):
    def __init__(self, deep):
        super().__init__()
        self.deep = deep
        self.body = nn.Conv2d(3, 32, 3, padding=1)
        self.head = nn.Conv2d(32, 21, 1)
        self.short = nn.Conv2d(3, 21, 1)

    def forward(self, x):
        if self.deep:
            return self.head(F.relu(self.body(x)))
        return self.short(x)

def loss(net: Segmenter, x, mask):
    return nn.NLLLoss(ignore_index=255)(net(x), mask)  # flagged
""",
        # a sigmoid is no logarithm either
        """\
import torch
import torch.nn.functional as F

def loss(scores, y):
    return F.nll_loss(torch.sigmoid(scores), y)  # flagged
""",
        # a note: by their name they are none
        """\
import torch.nn.functional as F

def loss(model, sample):
    logits, _ = model(sample["input"])
    scores = logits
    return F.nll_loss(scores, sample["target"])  # flagged

def token_loss(input_logits, targets):
    return F.nll_loss(input_logits, targets, reduction="sum")  # flagged
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
import torch.nn.functional as F
from models.net import Net

model = Net()

def step(x, y):
    return F.nll_loss(model(x), y)  # flagged
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F
from torch import nn

def losses(logits, y):
    a = F.nll_loss(F.log_softmax(logits, dim=1), y)  # flagged
    b = F.nll_loss(torch.log_softmax(logits, 1), y, reduction="sum")  # flagged
    c = nn.NLLLoss()(logits.log_softmax(dim=-1), y)  # flagged
    return a + b + c
""",
        None,
        None,
        None,
        None,
        None,
        None,
    ]

    good = [
        # the right pair, in the function and in the model
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
        return F.log_softmax(self.fc(x), dim=1)

net = Net()
tail = nn.Sequential(nn.Linear(784, 10), nn.LogSoftmax(dim=1))

def losses(x, y, logits):
    a = F.nll_loss(net(x), y)
    b = nn.NLLLoss()(tail(x), y)
    c = F.nll_loss(torch.log_softmax(logits, -1), y)
    d = F.nll_loss(logits.log_softmax(1).view(-1, 10), y.view(-1))
    return a + b + c + d
""",
        # the logarithm is taken in the training step
        """\
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
        return self.fc(x)

def loss(net: Net, x, y):
    logp = F.log_softmax(net(x), dim=1)
    return F.nll_loss(logp, y), logp.exp()
""",
        # the logarithm of a softmax: another rule's affair
        """\
import torch
import torch.nn.functional as F

def losses(logits, y):
    a = F.nll_loss(torch.log(F.softmax(logits, dim=1) + 1e-8), y)
    probs = torch.softmax(logits, dim=1)
    b = F.nll_loss(probs.clamp(min=1e-8).log(), y)
    return a + b
""",
        # skorch takes the logarithm itself
        """\
import torch
from skorch import NeuralNetClassifier
from torch import nn

class Module(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(20, 2)

    def forward(self, x):
        return torch.softmax(self.fc(x), dim=-1)

net = NeuralNetClassifier(Module, criterion=nn.NLLLoss, max_epochs=10, lr=0.1)
other = NeuralNetClassifier(module=nn.Sequential(nn.Linear(20, 2), nn.Softmax(dim=-1)))
""",
        # log-probabilities by hand
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        z = self.fc(x)
        return z - z.logsumexp(dim=1, keepdim=True)

def loss(x, y, binary):
    two = torch.stack([F.logsigmoid(-binary), F.logsigmoid(binary)], dim=1)
    return F.nll_loss(Net()(x), y) + F.nll_loss(two, y)
""",
        # a mixture of probabilities, then its logarithm
        """\
import torch
import torch.nn.functional as F
from torch import nn

class PointerGenerator(nn.Module):
    def __init__(self, width, vocabulary):
        super().__init__()
        self.out = nn.Linear(width, vocabulary)
        self.gate = nn.Linear(width, 1)

    def forward(self, h, copy):
        p = torch.sigmoid(self.gate(h))
        mixed = p * F.softmax(self.out(h), dim=-1) + (1 - p) * copy
        return torch.log(mixed + 1e-12)

def loss(model: PointerGenerator, h, copy, y):
    return F.nll_loss(model(h, copy), y)
""",
        # decoders and models from elsewhere
        """\
import torch.nn.functional as F
from torch import nn
from models import Decoder

def loss(encoder, x, y):
    decoder = Decoder(10)
    criterion = nn.NLLLoss()
    return criterion(decoder(encoder(x)), y) + F.nll_loss(encoder(x), y)
""",
        # other losses of a like name
        """\
import torch
from torch import nn

class Crf(nn.Module):
    def __init__(self, tags):
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(tags, tags))

    def nll_loss(self, emissions, tags):
        return -emissions.gather(2, tags[..., None]).sum()

def nll_loss(probs, y):
    return -torch.log(probs.gather(1, y[:, None]) + 1e-8).mean()

def losses(crf: Crf, model: nn.Linear, x, tags, y):
    a = crf.nll_loss(model(x), tags)
    b = nll_loss(torch.softmax(model(x), dim=1), y)
    c = nn.GaussianNLLLoss()(model(x), y, torch.ones_like(y))
    d = nn.PoissonNLLLoss()(model(x), y)
    return a + b + c + d
""",
        # adaptive softmax returns log-probabilities
        """\
import torch.nn.functional as F
from torch import nn

class LanguageModel(nn.Module):
    def __init__(self, width, vocabulary):
        super().__init__()
        self.softmax = nn.AdaptiveLogSoftmaxWithLoss(width, vocabulary, [1000, 5000])

    def forward(self, h):
        return self.softmax.log_prob(h)

def loss(model: LanguageModel, h, y):
    return F.nll_loss(model(h), y)
""",
        # of two outputs, the one with the logarithm
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
        return F.log_softmax(logits, dim=-1), torch.softmax(logits, dim=-1)

def loss(x, y):
    logp, p = Net()(x)
    accuracy = (p.argmax(1) == y).float().mean()
    return F.nll_loss(logp, y), accuracy
""",
        # raw outputs on one path only, the other one is unknown
        """\
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self, log_probs):
        super().__init__()
        self.fc = nn.Linear(8, 3)
        self.log_probs = log_probs

    def forward(self, x):
        z = self.fc(x)
        if self.log_probs:
            return F.log_softmax(z, dim=1)
        return z

def loss(x, y):
    return F.nll_loss(Net(log_probs=True)(x), y)
""",
        # a logarithm by another name, and names that say so
        """\
import torch
import torch.nn.functional as F

def loss(logits, log_probs, model, x, target):
    scores = logits - logits.logsumexp(1, keepdim=True)
    logits = F.log_softmax(model(x), dim=1)
    return F.nll_loss(scores, target) + F.nll_loss(log_probs, target) + F.nll_loss(logits, target)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report softmaxes, and the losses of raw outputs, where a negative log-likelihood wants logarithms."""
        for pairing in facts.outputs.pairings(source, "nll_loss", "softmax", "sigmoid"):
            made = pairing.made
            fix = _fix(source, pairing.losses[0], made)
            yield Report(
                made.node,
                f"nll_loss of {made.name} is -p, a number between -1 and 0: it needs log-probabilities",
                related=()
                if fix
                else tuple(Mark(loss.node, "the loss that takes it") for loss in pairing.losses),
                fix=fix,
            )
        for pairing in facts.outputs.pairings(source, "nll_loss", "raw"):
            for loss in pairing.losses:
                yield Report(
                    loss.node,
                    f"nll_loss of the raw output of {pairing.made.name} has no lower bound: it needs log-probabilities",
                    severity=Severity.WARNING,
                    confidence=Confidence.MEDIUM,
                    related=(Mark(pairing.made.node, f"the {pairing.made.name}"),),
                )
        yield from _of_logits(source)


def _of_logits(source: SourceFile) -> Iterator[Report]:
    """Note losses of what is called logits, where nothing is known of it but the name."""
    for site, loss in source.ask(facts.operations).named("nll_loss"):
        written = facts.spelling.written_operand(loss)
        if written is None or not loss.operands or not _is_no_logarithm(loss.operands[0]):
            continue
        name = _first_name(source, site, written)
        if _LOGITS.search(name):
            yield Report(
                site.node,
                f"nll_loss of `{name}`, which are no log-probabilities by their name: cross_entropy takes logits",
                severity=Severity.NOTE,
                confidence=Confidence.MEDIUM,
            )


_LOGITS = re.compile(r"(^|_)logits?(_|$)")


def _is_no_logarithm(term: Term) -> bool:
    """Whether no logarithm is seen in what a value is made of, and nothing that the other messages speak of."""
    if facts.outputs.output(term, "softmax", "sigmoid", "raw") is not None:
        return False
    names = (getattr(part, "name", "") for part in facts.terms.within(term, 200))
    return not any(isinstance(name, str) and name.startswith("log") and "logit" not in name for name in names)


def _first_name(source: SourceFile, site: Site, written: cst.BaseExpression) -> str:
    """Return what the argument of a loss is called; `logits` where the code says `scores = logits`."""
    name = source.code(written)
    bound = site.scope.bindings.get(name, [])
    values = {source.code(one.value) if one.value is not None else "" for one in bound}
    return values.pop() if len(values) == 1 and all(map(str.isidentifier, values)) else name


def _fix(source: SourceFile, loss: Operation, made: Operation) -> ProposedFix | None:
    """Make log_softmax of the softmax that is written inside the call of the loss."""
    if facts.outputs.written_inside(source, loss, made) is None:
        return None
    renamed = facts.spelling.renamed(made.node, {"softmax": "log_softmax", "Softmax": "LogSoftmax"})
    if renamed is None:
        return None
    change = Replace(made.node, source.code(renamed))
    return ProposedFix("use log_softmax", Applicability.UNSAFE, (change,))
