"""STB604 missing-eval-mode: a model is evaluated while it is in train mode."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import InsertAfter, InsertBefore, Mark, ProposedFix, Report, StaticRule
from stablint.static import facts
from stablint.static.torch_api import kind
from stablint.static.torch_api.groups import RANDOM

if TYPE_CHECKING:
    from stablint.static.facts.events import Event
    from stablint.static.facts.paths import Root
    from stablint.static.facts.programs import Inlined, Loop, Program
    from stablint.static.facts.scopes import Scope, Syntax
    from stablint.static.facts.terms import Instance, Term
    from stablint.static.interpret.interpreter import Interpreter
    from stablint.static.source import SourceFile


class MissingEvalMode(StaticRule):
    """A model with dropout or batch normalisation is evaluated while it is in training mode.

    ## What it does

    Follows each model that the file makes, from where it is made (in training mode) along what runs,
    through functions, methods and wrappers, and reports where it is evaluated although no `eval()` comes
    before: under `no_grad` (`inference_mode`, `set_grad_enabled(False)`) after it was trained or given
    weights, or in a loop over validation or test data in which nothing calls `backward()`. The model
    must be known to have a layer with a mode; where none of its layers has one, what a name says to be a
    test is a note.

    It also reports `train()` as the beginning of an evaluation: under `no_grad`, or in a function called
    `validate`, `test` and the like.

    ## Why it is bad

    `no_grad` switches off the recording of gradients and nothing else. In training mode `Dropout` still
    drops, so that two evaluations of one batch differ, and `BatchNorm` normalises with the statistics of
    the batch: what the model says of one sample depends on the others in its batch and on the batch
    size. And it writes what it sees into its running statistics: after 20 batches of other data under
    `no_grad`, `running_mean` had moved from 0 to 2.6 for data of mean 3 (torch 2.13), so validation data
    leaks into the model that training goes on with, and into the checkpoint.

    ## Example

    ```python
    with torch.no_grad():
        for x, y in val_loader:
            correct += (model(x).argmax(1) == y).sum()
    ```

    ## Use instead

    ```python
    model.eval()
    with torch.no_grad():
        for x, y in val_loader:
            correct += (model(x).argmax(1) == y).sum()
    model.train()
    ```

    ## When to ignore it

    When dropout is sampled on purpose (Monte Carlo dropout), or when running statistics are computed
    anew. Functions whose name says so (`mc_dropout`, `update_bn`) are not reported, and neither is what
    runs beside `backward()` (targets, rollouts) or is given random numbers (samples of a GAN).

    A model that comes from elsewhere and is not known is not reported, but for a note where weights are
    loaded into it and the file never speaks of `eval` or `train`; neither are models that a framework
    switches (Lightning, Ignite, skorch, fastai).

    ## Fix safety

    Unsafe: what the evaluation says changes. `eval()` is inserted before it, and `train()` after it where
    training goes on and nothing else goes back to training mode.

    ## References

    - [torch.nn.Module.eval](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.eval)
    - [Evaluation mode](https://docs.pytorch.org/docs/stable/notes/autograd.html#evaluation-mode-nn-module-eval)
    - [torch.nn.BatchNorm1d](https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html)
    """

    code = "STB604"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # trained, then tested
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)

def run(train_loader, test_loader):
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    for epoch in range(10):
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    correct = 0
    with torch.no_grad():
        for x, y in test_loader:
            correct += (model(x).argmax(1) == y).sum().item()  # flagged
    print(correct)
""",
        # the helper knows nothing of gradients
        """\
import torch
import torch.nn.functional as F
from torch import nn

model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def accuracy(net, loader):
    hits = count = 0
    for x, y in loader:
        hits += (net(x).argmax(1) == y).sum()
        count += len(y)
    return hits / count

def fit(train_loader, val_loader):
    for epoch in range(10):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        with torch.set_grad_enabled(False):
            print(accuracy(model, val_loader))  # flagged
""",
        # a trainer class; training goes on
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)

class Trainer:
    def __init__(self, loaders):
        self.loaders = loaders
        self.model = Net().cuda()
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def train_epoch(self):
        for x, y in self.loaders["train"]:
            self.optimizer.zero_grad()
            F.cross_entropy(self.model(x), y).backward()
            self.optimizer.step()

    @torch.no_grad()
    def score(self):
        total = 0.0
        for x, y in self.loaders["val"]:
            total += F.cross_entropy(self.model(x), y).item()  # flagged
        return total

    def fit(self, epochs):
        for epoch in range(epochs):
            self.train_epoch()
            print(self.score())
""",
        # weights that come with the model
        """\
import torch
from torchvision.models import resnet50

def embed(paths, read):
    model = resnet50(weights="DEFAULT").cuda()
    with torch.inference_mode():
        return [model(read(path)) for path in paths]  # flagged
""",
        # weights that are loaded
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)

def predict(file, batches):
    net = Net()
    net.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        for x in batches:
            print(net(x).argmax(1))  # flagged
""",
        # without no_grad
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)

def run(train_loader, test_loader):
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    for epoch in range(10):
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        total = 0.0
        for x, y in test_loader:
            total += F.cross_entropy(model(x), y).item()  # flagged
        print(epoch, total)
""",
        # train() where eval() was meant
        """\
import torch
import torch.nn.functional as F

def fit(model, optimizer, train_loader, val_loader):
    for epoch in range(10):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        with torch.no_grad():
            model.train()  # flagged
            print(sum(F.cross_entropy(model(x), y).item() for x, y in val_loader))
""",
        # the same in a function of its own
        """\
import torch

def validate(net, loader, metric):
    net.train()  # flagged
    with torch.no_grad():
        for x, y in loader:
            metric.update(net(x), y)
    return metric.compute()
""",
        # one of two models is forgotten
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)

class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)

    def forward(self, z):
        return self.fc(F.dropout(z, 0.5, training=self.training))

body, head = Net(), Head()
optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()])

def train(loader):
    body.train()
    head.train()
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(head(body(x)), y).backward()
        optimizer.step()

@torch.no_grad()
def test(loader):
    body.eval()
    return sum((head(body(x)).argmax(1) == y).sum() for x, y in loader)  # flagged

def main(train_loader, test_loader):
    for epoch in range(10):
        train(train_loader)
        print(test(test_loader))
""",
        # a trainer that is given one of two models
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 2)
        self.drop = nn.Dropout(0.2)

    def forward(self, x):
        return self.fc(self.drop(x))

class Large(Small):
    pass

class Trainer:
    def __init__(self, model, train_loader, val_loader):
        self.model = model
        self.train_loader, self.val_loader = train_loader, val_loader
        self.optimizer = torch.optim.Adam(model.parameters())

    def train(self):
        for x, y in self.train_loader:
            self.optimizer.zero_grad()
            F.cross_entropy(self.model(x), y).backward()
            self.optimizer.step()

    def validate(self):
        with torch.no_grad():
            return sum(F.cross_entropy(self.model(x), y) for x, y in self.val_loader)  # flagged

    def fit(self):
        for epoch in range(10):
            self.train()
            self.validate()

def main(large, train_loader, val_loader):
    if large:
        model = Large()
    else:
        model = Small()
    Trainer(model, train_loader, val_loader).fit()
""",
        # without mini-batches: the test stands in the loop of the training, and its name tells it
        """\
import torch
import torch.nn.functional as F
from torch_geometric.nn import GCNConv

class GCN(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = GCNConv(8, 16), GCNConv(16, 2)

    def forward(self, x, edges):
        h = F.dropout(F.relu(self.first(x, edges)), training=self.training)
        return self.second(h, edges)

model = GCN()
optimizer = torch.optim.Adam(model.parameters())

def train(data):
    optimizer.zero_grad()
    F.cross_entropy(model(data.x, data.edges), data.y).backward()
    optimizer.step()

@torch.no_grad()
def test(data):
    return (model(data.x, data.edges).argmax(1) == data.y).float().mean()  # flagged

def main(data, x_val, y_val):
    for epoch in range(200):
        model.train()
        train(data)
        print(test(data))
        model.train()
        with torch.no_grad():
            print(F.cross_entropy(model(x_val, data.edges), y_val))  # flagged
""",
        # no layer of this model has a mode: a note
        """\
import torch
import torch.nn.functional as F
from torch import nn

def run(train_loader, test_loader):
    model = nn.LSTM(8, 32, num_layers=2, batch_first=True)
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in train_loader:
        optimizer.zero_grad()
        F.mse_loss(model(x)[0], y).backward()
        optimizer.step()
    with torch.no_grad():
        for x, y in test_loader:
            print(F.mse_loss(model(x)[0], y))  # flagged
""",
        # a model from elsewhere that is given weights and never a mode: a note
        """\
import torch

from model import create_model


def select(loader, path, device):
    model = create_model(num_classes=5).to(device)
    model.load_state_dict(torch.load(path, map_location=device))
    wrong = []
    with torch.no_grad():
        for images, labels in loader:
            guess = model(images.to(device)).argmax(1)  # flagged
            wrong += (guess.cpu() != labels).tolist()
    return wrong
""",
        # the two halves are in two files
        """\
# file: models/net.py
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16, 10)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.fc(self.drop(x))

# file: train.py
import torch
import torch.nn.functional as F
from models.net import Net

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(10):
    model.train()
    for x, y in train_loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    correct = 0
    with torch.no_grad():
        for x, y in test_loader:
            correct += (model(x).argmax(1) == y).sum().item()  # flagged
    print(correct)
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)

def run(train_loader, test_loader):
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    for epoch in range(10):
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    correct = 0
    model.eval()
    with torch.no_grad():
        for x, y in test_loader:
            correct += (model(x).argmax(1) == y).sum().item()  # flagged
    print(correct)
""",
        """\
import torch
import torch.nn.functional as F
from torch import nn

model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def accuracy(net, loader):
    hits = count = 0
    net.eval()
    for x, y in loader:
        hits += (net(x).argmax(1) == y).sum()
        count += len(y)
    return hits / count

def fit(train_loader, val_loader):
    for epoch in range(10):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        with torch.set_grad_enabled(False):
            print(accuracy(model, val_loader))  # flagged
""",
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)

class Trainer:
    def __init__(self, loaders):
        self.loaders = loaders
        self.model = Net().cuda()
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def train_epoch(self):
        for x, y in self.loaders["train"]:
            self.optimizer.zero_grad()
            F.cross_entropy(self.model(x), y).backward()
            self.optimizer.step()

    @torch.no_grad()
    def score(self):
        total = 0.0
        self.model.eval()
        for x, y in self.loaders["val"]:
            total += F.cross_entropy(self.model(x), y).item()  # flagged
        self.model.train()
        return total

    def fit(self, epochs):
        for epoch in range(epochs):
            self.train_epoch()
            print(self.score())
""",
        None,
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)

def predict(file, batches):
    net = Net()
    net.load_state_dict(torch.load(file, weights_only=True))
    net.eval()
    with torch.no_grad():
        for x in batches:
            print(net(x).argmax(1))  # flagged
""",
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)

def run(train_loader, test_loader):
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    for epoch in range(10):
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        total = 0.0
        model.eval()
        for x, y in test_loader:
            total += F.cross_entropy(model(x), y).item()  # flagged
        model.train()
        print(epoch, total)
""",
        None,
        None,
        None,
        None,
        """\
import torch
import torch.nn.functional as F
from torch_geometric.nn import GCNConv

class GCN(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = GCNConv(8, 16), GCNConv(16, 2)

    def forward(self, x, edges):
        h = F.dropout(F.relu(self.first(x, edges)), training=self.training)
        return self.second(h, edges)

model = GCN()
optimizer = torch.optim.Adam(model.parameters())

def train(data):
    optimizer.zero_grad()
    F.cross_entropy(model(data.x, data.edges), data.y).backward()
    optimizer.step()

@torch.no_grad()
def test(data):
    return (model(data.x, data.edges).argmax(1) == data.y).float().mean()  # flagged

def main(data, x_val, y_val):
    for epoch in range(200):
        model.train()
        train(data)
        print(test(data))
        model.train()
        model.eval()
        with torch.no_grad():
            print(F.cross_entropy(model(x_val, data.edges), y_val))  # flagged
""",
        """\
import torch
import torch.nn.functional as F
from torch import nn

def run(train_loader, test_loader):
    model = nn.LSTM(8, 32, num_layers=2, batch_first=True)
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in train_loader:
        optimizer.zero_grad()
        F.mse_loss(model(x)[0], y).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        for x, y in test_loader:
            print(F.mse_loss(model(x)[0], y))  # flagged
""",
        None,
        """\
import torch
import torch.nn.functional as F
from models.net import Net

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(10):
    model.train()
    for x, y in train_loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    correct = 0
    model.eval()
    with torch.no_grad():
        for x, y in test_loader:
            correct += (model(x).argmax(1) == y).sum().item()
    print(correct)
""",
    ]

    good = [
        # a loss that a function is given is no model
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.drop = nn.Linear(8, 2), nn.Dropout(0.1)

    def forward(self, x):
        return self.fc(self.drop(x))

model = Net()
optimizer = torch.optim.Adam(model.parameters())
criterion = nn.CrossEntropyLoss()

def train(model, data, optimizer, criterion):
    model.train()
    for x, y in data:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()

def evaluate(model, data, criterion):
    model.eval()
    with torch.no_grad():
        for x, y in data:
            loss = criterion(model(x), y)
            print(loss.item())

def run(train_data, valid_data):
    for _ in range(10):
        train(model, train_data, optimizer, criterion)
        evaluate(model, valid_data, criterion)
""",
        # eval() in the helper, train() after it
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)

@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    hits = sum((model(x).argmax(1) == y).sum() for x, y in loader)
    model.train()
    return hits

def run(train_loader, test_loader):
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    for epoch in range(10):
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        print(evaluate(model, test_loader))
""",
        # eval() by the caller, and by train(False)
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)

def hits(net, loader):
    with torch.no_grad():
        return sum((net(x).argmax(1) == y).sum() for x, y in loader)

def run(train_loader, test_loader):
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    for epoch in range(10):
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    model.eval()
    print(hits(model, test_loader))
    model.train(False)
    print(hits(model, test_loader))
""",
        # the wrapper, or what holds the model, is switched
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)

class Pair(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)

def wrapped(file, loader):
    net = Net()
    net.load_state_dict(torch.load(file, weights_only=True))
    pair, parallel = Pair(net), nn.DataParallel(net)
    pair.eval()
    parallel.eval()
    with torch.no_grad():
        for x in loader:
            print(net(x), parallel(x))
""",
        # targets, rollouts and fakes in the training loop
        """\
import torch
import torch.nn.functional as F
from torch import nn

def train(loader, size):
    G = nn.Sequential(nn.Linear(size, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 8))
    D = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.3), nn.ReLU(), nn.Linear(64, 1))
    opt_d = torch.optim.Adam(D.parameters())
    opt_g = torch.optim.Adam(G.parameters())
    for step, real in enumerate(loader):
        with torch.no_grad():
            fake = G(torch.randn(len(real), size))
        opt_d.zero_grad()
        (F.softplus(D(fake)).mean() + F.softplus(-D(real)).mean()).backward()
        opt_d.step()
        opt_g.zero_grad()
        F.softplus(-D(G(torch.randn(len(real), size)))).mean().backward()
        opt_g.step()
""",
        # dropout is sampled, statistics are computed anew
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)

def mc_dropout(model, x, n):
    with torch.no_grad():
        return torch.stack([model(x) for _ in range(n)]).std(0)

def update_bn(model, loader):
    model.train()
    with torch.no_grad():
        for x, _ in loader:
            model(x)

def run(train_loader, test_loader):
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    for epoch in range(10):
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    update_bn(model, train_loader)
    print(mc_dropout(model, torch.ones(4, 8), 20))
""",
        # nothing is known of the model, or of the mode
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)

from models import build, prepare

def test(model, loader):
    with torch.no_grad():
        return sum((model(x).argmax(1) == y).sum() for x, y in loader)

def main(loader, file, frozen):
    test(build(), loader)
    net = Net()
    net.load_state_dict(torch.load(file, weights_only=True))
    if frozen:
        net.eval()
    test(net, loader)
    other = Net()
    other.load_state_dict(torch.load(file, weights_only=True))
    prepare(other)
    test(other, loader)
""",
        # what is evaluated in training, is trained on
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.1), nn.ReLU(), nn.Linear(64, 4))

    def forward(self, x):
        return self.fc(x)

    def evaluate(self, states, actions):
        return F.log_softmax(self(states), dim=1).gather(1, actions)

class Agent:
    def __init__(self):
        self.policy = Policy()
        self.optimizer = torch.optim.Adam(self.policy.parameters())

    def learn(self, memory):
        for epoch in range(4):
            with torch.no_grad():
                old = self.policy.evaluate(memory.states, memory.actions)
            self.optimizer.zero_grad()
            ratio = (self.policy.evaluate(memory.states, memory.actions) - old).exp()
            (-ratio * memory.advantages).mean().backward()
            self.optimizer.step()

def update(policy, optimizer, memory, x_val, y_val):
    with torch.no_grad():
        old = policy.evaluate(memory.states, memory.actions)
    for epoch in range(4):
        optimizer.zero_grad()
        ratio = (policy.evaluate(memory.states, memory.actions) - old).exp()
        loss = -(ratio * memory.advantages).mean() + F.cross_entropy(policy(x_val), y_val)
        loss.backward()
        optimizer.step()

def learn(env, x_val, y_val):
    policy = Policy()
    optimizer = torch.optim.Adam(policy.parameters())
    for round in range(100):
        policy.eval()
        memory = env.play(policy)
        policy.train()
        update(policy, optimizer, memory, x_val, y_val)
""",
        # the target of a Q-network, in the function of one step
        """\
import torch
import torch.nn.functional as F
from torch import nn

def network():
    return nn.Sequential(nn.Linear(4, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 2))

online, target = network(), network()
target.load_state_dict(online.state_dict())
optimizer = torch.optim.Adam(online.parameters())

def step(batch):
    with torch.no_grad():
        wanted = batch.reward + 0.9 * target(batch.next).max(1).values
    loss = F.mse_loss(online(batch.state).gather(1, batch.action).squeeze(1), wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
""",
        # a generator is given noise, a model something to look at
        """\
import torch
from torch import nn
from torchvision.models import resnet18

def sample(file, n):
    generator = nn.Sequential(nn.Linear(16, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 8))
    generator.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        return generator(torch.randn(n, 16))

def count():
    model = resnet18(weights="DEFAULT")
    with torch.no_grad():
        print(model(torch.rand(1, 3, 224, 224)).shape)
""",
        # a context that sets the mode and puts it back
        """\
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn

@contextmanager
def evaluating(net):
    net.eval()
    try:
        yield net
    finally:
        net.train()

class Evaluating:
    def __init__(self, net):
        self.net = net

    def __enter__(self):
        self.net.eval()

    def __exit__(self, *error):
        self.net.train()

def run(train_loader, test_loader):
    model = nn.Sequential(nn.Linear(8, 32), nn.Dropout(0.5), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.Adam(model.parameters())
    for epoch in range(10):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        with evaluating(model), torch.no_grad():
            print(sum(F.cross_entropy(model(x), y) for x, y in test_loader))
        with Evaluating(model):
            for x, y in test_loader:
                print(F.cross_entropy(model(x), y).item())
""",
        # the mode is set by hand
        """\
import torch
from torch import nn

def predict(file, batches):
    net = nn.Sequential(nn.Linear(8, 32), nn.Dropout(0.5), nn.Linear(32, 2))
    net.load_state_dict(torch.load(file, weights_only=True))
    for layer in net.modules():
        layer.training = False
    with torch.no_grad():
        return [net(x) for x in batches]
""",
        # rollouts of a policy that has no layer with a mode
        """\
import torch
import torch.nn.functional as F
from torch import nn

def learn(env, steps):
    policy = nn.Sequential(nn.Linear(8, 64), nn.LayerNorm(64), nn.ReLU(), nn.Linear(64, 4))
    optimizer = torch.optim.Adam(policy.parameters())
    while True:
        states = [env.reset()]
        for step in range(steps):
            with torch.no_grad():
                states.append(env.step(policy(states[-1])))
        for state in states:
            optimizer.zero_grad()
            F.mse_loss(policy(state), env.target(state)).backward()
            optimizer.step()
""",
        # a look at the shapes of a new model
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)

def show():
    net = Net()
    with torch.no_grad():
        print(net(torch.ones(4, 8)).shape)
""",
        # models of transformers come in evaluation mode
        """\
import torch
from transformers import AutoModel

def embed(batches):
    model = AutoModel.from_pretrained("bert-base-uncased")
    with torch.no_grad():
        return [model(**batch).pooler_output for batch in batches]
""",
        # one loop for both phases
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)

def fit(loaders):
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    for epoch in range(10):
        for phase in ["train", "val"]:
            model.train(phase == "train")
            for x, y in loaders[phase]:
                with torch.set_grad_enabled(phase == "train"):
                    loss = F.cross_entropy(model(x), y)
                if phase == "train":
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
""",
        # back to train mode at the end of validation; a detector needs it for its losses
        """\
import torch

@torch.no_grad()
def validate(net, loader, metric):
    net.eval()
    for x, y in loader:
        metric.update(net(x), y)
    net.train()
    return metric.compute()

@torch.no_grad()
def evaluate_loss(detector, loader):
    detector.train()
    for images, targets in loader:
        loss_dict = detector(images, targets)
        print(sum(loss_dict.values()))
""",
        # the framework does it
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.body(x)

import pytorch_lightning as pl

def run(trainer, file, loader):
    net = Net()
    net.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        for x in loader:
            print(net(x))
""",
        # models from elsewhere: handed to what may set the mode, in eval mode already, run with a graph
        """\
import torch
from transformers import AutoModel

from engine import prepare
from model import create_model


def first(x, path):
    model = create_model()
    model.load_state_dict(torch.load(path))
    prepare(model)
    with torch.no_grad():
        return model(x)


def second(x, path):
    model = AutoModel.from_pretrained("bert-base-uncased")
    model.load_state_dict(torch.load(path))
    with torch.no_grad():
        return model(x)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each place where a model is evaluated and certainly is in train mode."""
        shape = source.ask(facts.syntax)
        if not _may_evaluate(shape) or not shape.packages.isdisjoint(_FRAMEWORKS):
            return
        if any(True for _ in facts.statements.attribute_assignments(source, "training")):
            return  # the mode is set by hand
        seen: set[object] = set()
        for root in source.ask(facts.running_paths):
            for model in _models_run(source, root.path):
                for event, above in _run_in_train_mode(source, root, model):
                    node = _place(source, root, event, above)
                    if node not in seen:
                        seen.add(node)
                        yield from _report(source, model, event, above, node)
        yield from _set_to_train(source)
        if shape.identifiers.isdisjoint({"eval", "train"}):
            yield from _made_elsewhere(source)


def _may_evaluate(shape: Syntax) -> bool:
    if not shape.identifiers.isdisjoint(_NO_GRAD):
        return True
    return "backward" in shape.identifiers and any(_names_evaluation(name) for name in shape.identifiers)


def _names_evaluation(text: str) -> bool:
    """Whether a name or an expression speaks of validation or test data."""
    return _EVALUATION.search(text) is not None and "train" not in text.lower()


_EVALUATION = re.compile(
    r"(?<![a-z])(val|valid|validate|validation|test|dev|eval|evaluate|evaluation)(?![a-z])|"
    r"(test|val|valid|dev|eval)(loader|iter|dl|set|data)",
    re.IGNORECASE,
)
_NO_GRAD = {"no_grad", "inference_mode", "set_grad_enabled"}
_FRAMEWORKS = {
    "lightning", "pytorch_lightning", "ignite", "fastai", "skorch", "catalyst", "mxnet", "poutyne",
}  # fmt: skip
"""These set the mode themselves."""
_ON_PURPOSE = re.compile(
    r"(^|_)(bn|mc|swa|ema)(_|$)|batch_?norm|recalib|calibrat|dropout|uncertain|bayes|stochastic|momentum",
    re.IGNORECASE,
)
"""Functions in which train mode under no_grad is wanted: statistics are computed anew, dropout is sampled."""
_MAY_SET_MODE = re.compile(
    r"eval|valid|test|infer|predict|fit|mode|freeze|quant|fuse|deploy|train|engine|runner|prepare",
    re.IGNORECASE,
)
"""Names of functions from elsewhere that may change the mode of a model that they are given."""

_WITH_WEIGHTS = {"pytorch_fid.inception.InceptionV3", "efficientnet_pytorch.EfficientNet.from_pretrained"}
"""Models that come with weights whatever they are given."""

_MODE_CONTEXT = re.compile(r"eval|mode|train|infer|ema|average|frozen", re.IGNORECASE)

Above = tuple["Loop | Inlined", ...]


@dataclass(frozen=True, slots=True)
class _State:
    """The mode of a model, and how far its training is: 0 not used, 1 used with a graph, 2 trained."""

    mode: str
    phase: int = 0


def _forwards(path: Program, above: Above = ()) -> Iterator[tuple[Event, Above]]:
    """Yield the forwards of a path, each with the loops and calls around it, outermost first."""
    kinds, programs = facts.events.Kind, facts.programs
    for step in path:
        match step:
            case facts.events.Event(kind=kinds.FORWARD):
                yield step, above
            case programs.Branch(ways=ways):
                for way in ways:
                    yield from _forwards(way, above)
            case programs.Loop(body=body) | programs.Inlined(body=body):
                yield from _forwards(body, (*above, step))
            case _:
                pass


def _models_run(source: SourceFile, path: Program) -> list[Instance]:
    """Return the models made in this file that run without a graph; layers inside a model have its mode."""
    interpreter = source.ask(facts.values).interpreter
    found: dict[object, Instance] = {}
    for event, _ in _forwards(path):
        if event.target is None:
            continue
        for one in _objects(source, event.target):
            if not isinstance(one, facts.terms.Instance) or kind(one.dotted) == "loss":
                continue
            if not _is_part(interpreter, one):
                found.setdefault(one.node, one)
    return list(found.values())


def _is_part(interpreter: Interpreter, made: Instance) -> bool:
    place = interpreter.sites.get(id(made.node))
    owner = interpreter.hierarchy.class_around(place[1]) if place is not None else None
    return place is None or (owner is not None and interpreter.hierarchy.is_module_class(owner))


def _run_in_train_mode(source: SourceFile, root: Root, model: Instance) -> list[tuple[Event, Above]]:
    kinds = facts.events.Kind
    forwards = {
        event: above
        for event, above in _forwards(root.path)
        if _is(source, event.target, model) and _is_evaluation(source, root, event, above)
    }
    if not forwards:
        return []
    loaded = _is_loaded(source, model)
    found: list[tuple[Event, Above]] = []

    def transfer(states: frozenset[_State], event: Event) -> frozenset[_State]:
        match event.kind:
            case kinds.TRAIN | kinds.EVAL:
                return _after_switch(source, states, event, model)
            case kinds.BACKWARD:
                return frozenset(_State(state.mode, 2) if state.phase else state for state in states)
            case kinds.FORWARD:
                in_train_mode = event in forwards and all(
                    state.mode in ("fresh", "train") for state in states
                )
                is_trained = any(state.phase == 2 for state in states)
                if in_train_mode and (is_trained or (loaded and not event.graph)):
                    found.append((event, forwards[event]))
                    # The same `eval()` would be enough for what follows.
                    return frozenset(_State("?", state.phase) for state in states)
                if event.graph and _is(source, event.target, model):
                    return frozenset(_State(state.mode, max(state.phase, 1)) for state in states)
                return states
            case _:
                return states

    first = "?" if _is_switched_elsewhere(source, root, model) else "fresh"
    facts.automaton.Automaton(transfer).run(root.path, frozenset({_State(first)}))
    return found


def _after_switch(
    source: SourceFile, states: frozenset[_State], event: Event, model: Instance
) -> frozenset[_State]:
    certain = _is(source, event.target, model) or _holds(source, event.target, model)
    if certain:
        mode = "train" if event.kind is facts.events.Kind.TRAIN else "eval"
    elif event.kind is facts.events.Kind.EVAL and _may_be(source, event.target, model):
        mode = "?"
    else:
        return states
    return frozenset(_State(mode, state.phase) for state in states)


def _objects(source: SourceFile, target: Term) -> tuple[Term, ...]:
    """Return what a target may be; what an object was given when it was made is known by all calls of the file."""
    known = source.ask(facts.values)
    return facts.terms.options(facts.evaluation.without_none(known.resolve(target)))


def _is(source: SourceFile, target: Term | None, model: Instance) -> bool:
    """Whether a target is this model, or one of several that were made in its place by other branches."""
    objects = _objects(source, target) if target is not None else ()
    made = [one for one in objects if isinstance(one, facts.terms.Instance)]
    return len(made) == len(objects) and any(one.node is model.node for one in made)


def _is_evaluation(source: SourceFile, root: Root, event: Event, above: Above) -> bool:
    """Whether a forward is no part of training.

    It has no graph and does not stand beside a `backward()`, or names say that it is about validation data.
    """
    functions = [step for step in above if isinstance(step, facts.programs.Inlined)]
    loops = [step for step in above if isinstance(step, facts.programs.Loop)]
    names = (event.scope.function.name, *(one.function.name for one in functions))
    if any(_ON_PURPOSE.search(name) for name in names) or _is_given_noise(source, event):
        return False
    if any(_is_in_context(source, one) for one in (event.statement, *(one.statement for one in functions))):
        return False
    if _trains(loops[-1]) if loops else _trains_at_once(root.path):
        return not event.graph and _is_named(source, event, functions, [])
    return not event.graph or _is_named(source, event, functions, loops[-1:])


def _is_in_context(source: SourceFile, statement: object) -> bool:
    """Whether a place stands in a `with` that may set the mode and put it back: `with evaluating(model):`."""
    block = facts.statements.block_of(source, statement)  # type: ignore[arg-type]
    entered = [one.node for one in (block.outward() if block is not None else ()) if one.kind == "with"]
    headers = [facts.statements.header(source, node).replace("inference_mode", "") for node in entered]
    return any(_MODE_CONTEXT.search(text) for text in headers)


def _is_given_noise(source: SourceFile, event: Event) -> bool:
    """Whether a generator is given noise, of which it makes samples, or a model numbers to look at the shapes."""
    known = source.ask(facts.values)
    return any(
        isinstance(origin, facts.terms.Operation) and origin.name in RANDOM
        for argument in event.arguments
        for origin in facts.provenance.origins(known.resolve(argument))
    )


def _trains_at_once(path: Program) -> bool:
    """Whether a path goes backward outside of loops: it is one step of a training."""
    programs = facts.programs
    for step in path:
        match step:
            case facts.events.Event(kind=kind) if kind is facts.events.Kind.BACKWARD:
                return True
            case programs.Branch(ways=ways) if any(_trains_at_once(way) for way in ways):
                return True
            case programs.Inlined(body=body) if _trains_at_once(body):
                return True
            case _:
                pass
    return False


def _trains(step: Loop | Inlined) -> bool:
    return bool(facts.paths.events_in(step.body, facts.events.Kind.BACKWARD))


def _is_named_at_all(source: SourceFile, event: Event, above: Above) -> bool:
    functions = [step for step in above if isinstance(step, facts.programs.Inlined)]
    loops = [step for step in above if isinstance(step, facts.programs.Loop)]
    return _names_evaluation(event.scope.function.name) or _is_named(source, event, functions, loops[-1:])


def _is_named(source: SourceFile, event: Event, functions: list[Inlined], loops: list[Loop]) -> bool:
    """Whether what a forward is given or loops over, or what leads to it, has a name of evaluation."""
    hierarchy = source.ask(facts.values).interpreter.hierarchy
    apart = [one for one in functions if not _trains(one)]
    # The `evaluate` of a policy says how likely actions are, and is trained through.
    own = [
        one
        for one in apart
        if one.function.owner is not None and hierarchy.is_module_class(one.function.owner)
    ]
    texts = [one.function.name for one in apart if one not in own]
    texts += [facts.statements.header(source, loop.node) for loop in loops]
    for node in (event.node, *(one.node for one in apart)):
        texts += [source.code(argument.value) for argument in node.args]  # type: ignore[attr-defined]
    return any(_names_evaluation(text) for text in texts)


def _is_loaded(source: SourceFile, model: Instance) -> bool:
    """Whether weights are loaded into a model, or come with it: it is made to be used."""
    terms = facts.terms
    for site in source.ask(facts.operations).calls.get("load_state_dict", ()):
        for call in terms.options(site.raw):
            is_method = isinstance(call, terms.Call) and isinstance(call.callee, terms.Attribute)
            if is_method and _is(source, call.callee.base, model):  # type: ignore[union-attr]
                return True
    if model.dotted in _WITH_WEIGHTS:
        return True
    given = [value for name, value in model.keywords.items() if name in ("pretrained", "weights")]
    return any(not (isinstance(value, terms.Constant) and not value.value) for value in given)


def _is_switched_elsewhere(source: SourceFile, root: Root, model: Instance) -> bool:
    """Whether code that is not on this path may put the model in eval mode, or hands it to something that may."""
    known, programs = source.ask(facts.values), source.ask(facts.programs.training)
    inside = {root.scope, *_functions_of(root.path)}
    for scope in programs.roots():
        if scope not in inside:
            for event in facts.paths.events_in(programs.of(scope), facts.events.Kind.EVAL):
                if event.target is None or _may_be(source, known.resolve(event.target), model):
                    return True
    return any(
        _MAY_SET_MODE.search(name) and _is_given(site.raw, model)
        for name, sites in source.ask(facts.operations).calls.items()
        for site in sites
    )


def _functions_of(path: Program) -> Iterator[Scope]:
    programs = facts.programs
    for step in path:
        match step:
            case programs.Inlined(function=function, body=body):
                yield function
                yield from _functions_of(body)
            case programs.Loop(body=body):
                yield from _functions_of(body)
            case programs.Branch(ways=ways):
                for way in ways:
                    yield from _functions_of(way)
            case _:
                pass


def _is_given(call: Term, model: Instance) -> bool:
    return isinstance(call, facts.terms.Call) and any(
        isinstance(part, facts.terms.Instance) and part.node is model.node
        for argument in (*call.positional, *call.keywords.values())
        for part in facts.terms.within(argument, 100)
    )


def _may_be(source: SourceFile, target: Term | None, model: Instance) -> bool:
    """Whether something that is put in eval mode may be the model, or have it inside."""
    interpreter = source.ask(facts.values).interpreter
    terms = facts.terms
    if target is None:
        return True
    for one in terms.options(facts.evaluation.without_none(target)):
        match one:
            case terms.Instance():
                if one.node is model.node or _holds(source, one, model):
                    return True
            case terms.Receiver(scope=scope):
                own = model.scope is not None and scope in interpreter.hierarchy.lineage(model.scope)
                if own or model.node in _made_in(interpreter, scope, frozenset()):
                    return True
            case terms.Parameter(function=function):
                if interpreter.actuals.get(function):
                    return True
            case _:
                return True
    return False


def _holds(source: SourceFile, target: Term | None, model: Instance) -> bool:
    """Whether an object certainly made here has the model inside."""
    interpreter = source.ask(facts.values).interpreter
    if not isinstance(target, facts.terms.Instance):
        return False
    given = [
        part
        for argument in (*target.positional, *target.keywords.values())
        for part in facts.terms.within(argument)
    ]
    if any(isinstance(part, facts.terms.Instance) and part.node is model.node for part in given):
        return True
    return target.scope is not None and model.node in _made_in(interpreter, target.scope, frozenset())


def _made_in(interpreter: Interpreter, scope: Scope, seen: frozenset[Scope]) -> set[object]:
    """Return where the objects are made that an object of a class holds."""
    found: set[object] = set()
    for made in facts.modality.layers_of(interpreter, scope):
        found.add(made.node)
        if made.scope is not None and made.scope not in seen:
            found |= _made_in(interpreter, made.scope, seen | {scope})
    return found


def _place(source: SourceFile, root: Root, event: Event, above: Above) -> object:
    """Return the forward, or the call under no_grad that leads to it: where evaluation begins."""
    programs = source.ask(facts.programs.training)
    if _runs_without_graph(programs.of(event.scope.function), event.node):
        return event.node
    calls = [step for step in above if isinstance(step, facts.programs.Inlined)]
    callers = [root.scope, *(step.function for step in calls)]
    for call, caller in reversed(list(zip(calls, callers, strict=False))):
        if _runs_without_graph(programs.of(caller), call.node):
            return call.node
    return event.node


def _runs_without_graph(program: Program, node: object) -> bool:
    programs = facts.programs
    for step in program:
        match step:
            case facts.events.Event() | programs.Run() if step.node is node:
                return not step.graph
            case programs.Branch(ways=ways):
                if any(_runs_without_graph(way, node) for way in ways):
                    return True
            case programs.Loop(body=body):
                if _runs_without_graph(body, node):
                    return True
            case _:
                pass
    return False


def _report(
    source: SourceFile, model: Instance, event: Event, above: Above, node: object
) -> Iterator[Report]:
    heeds = facts.modality.heeds_mode(source.ask(facts.values).interpreter, model)
    # A rollout of a policy without such layers is none of this rule's business.
    if heeds is None or (not heeds and not _is_named_at_all(source, event, above)):
        return
    what = "dropout and batch statistics act as in training" if heeds else "none of its layers heeds it"
    yield Report(
        node,  # type: ignore[arg-type]
        f"the model is evaluated in train mode, no `eval()` comes before: {what}",
        severity=None if heeds else Severity.NOTE,
        related=(Mark(model.node, "made here, in train mode"),),
        fix=_fix(source, event, above, model),
    )


def _fix(source: SourceFile, event: Event, above: Above, model: Instance) -> ProposedFix | None:
    """Put `eval()` before the outermost statement that only evaluates, and `train()` after it if it is needed."""
    kinds = facts.events.Kind
    name = facts.writing.called_expression(source, event)
    statement = facts.statements.outermost_without(
        source,
        event.statement,
        [step.node for step in above if facts.paths.events_in(step.body, kinds.BACKWARD)],
    )
    if name is None or not re.fullmatch(r"[\w.]+", name) or name == "self" or statement is None:
        return None
    text = source.code(statement)
    around = [step for step in above if facts.paths.events_in(step.body, kinds.BACKWARD)]
    goes_on = [step for step in around if isinstance(step, facts.programs.Loop)]
    is_restored = any(
        _is(source, one.target, model)
        for step in goes_on
        for one in facts.paths.events_in(step.body, kinds.TRAIN)
    )
    changes: list[InsertBefore | InsertAfter] = [InsertBefore(statement, f"{name}.eval()")]
    if goes_on and not is_restored:
        changes.append(InsertAfter(statement, f"{name}.train()"))
    if "return" in text.split():
        return None
    return ProposedFix(f"Evaluate in eval mode: `{name}.eval()`", Applicability.UNSAFE, tuple(changes))


def _set_to_train(source: SourceFile) -> Iterator[Report]:
    """Report each `train()` with which an evaluation begins, whatever the model is."""
    programs = source.ask(facts.programs.training)
    for scope in programs.roots():
        program = programs.of(scope)
        if not facts.paths.events_in(program, facts.events.Kind.TRAIN) or _is_other(source, scope):
            continue
        trains = facts.paths.events_in(program, facts.events.Kind.BACKWARD)
        is_evaluation = _names_evaluation(scope.name) and not trains
        for event in _used_after_train(program, is_evaluation):
            yield Report(
                event.node, "`train()` begins an evaluation: `eval()` is what makes the model ready for it"
            )


def _made_elsewhere(source: SourceFile) -> Iterator[Report]:
    """Report the first use under no_grad of a model from elsewhere with loaded weights, where no mode is ever set."""
    calls = source.ask(facts.operations).calls
    loaded = [_callee(site.raw) for site in calls.get("load_state_dict", ())]
    models = {
        base
        for one in loaded
        if isinstance(one, facts.terms.Attribute) and _is_made_outside(base := one.base)
    }
    if not models:
        return
    for name, sites in calls.items():
        if _MAY_SET_MODE.search(name) and any(_is_handed(site.raw, models) for site in sites):
            return
    for site in (site for sites in calls.values() for site in sites):
        if _callee(site.raw) in models and not _is_recorded(site.raw):
            if not _ON_PURPOSE.search(site.scope.function.name):
                yield Report(
                    site.node,
                    "no `eval()` comes before this evaluation: dropout and batch statistics act as in training, if the "
                    "model has them",
                    severity=Severity.NOTE,
                    confidence=Confidence.LOW,
                )
            return


def _callee(term: Term) -> Term | None:
    return term.callee if isinstance(term, facts.terms.Call) else None


def _is_recorded(term: Term) -> bool:
    return isinstance(term, facts.terms.Call) and term.graph


def _is_made_outside(term: Term) -> bool:
    """Whether a function from elsewhere made something; the models of the Hugging Face hub come in eval mode."""
    terms = facts.terms
    while (
        isinstance(term, terms.Operation)
        and term.name in ("to", "cuda", "cpu", "float", "half")
        and term.operands
    ):
        term = term.operands[0]
    made = _callee(term)
    return isinstance(made, terms.Reference) and not re.search(r"pretrained|hub|jit|^builtins", made.dotted)


def _is_handed(call: Term, models: set[Term]) -> bool:
    return isinstance(call, facts.terms.Call) and not models.isdisjoint(
        (*call.positional, *call.keywords.values())
    )


def _is_other(source: SourceFile, scope: Scope) -> bool:
    """Whether a function wants train mode: detectors of torchvision give their losses only in it."""
    return bool(_ON_PURPOSE.search(scope.name)) or (
        scope.kind == "function" and bool(re.search(r"loss_dict|losses", source.code(scope.node)))
    )


def _used_after_train(program: Program, is_evaluation: bool) -> Iterator[Event]:
    kinds, programs = facts.events.Kind, facts.programs
    for index, step in enumerate(program):
        match step:
            case facts.events.Event(kind=kinds.TRAIN) if is_evaluation or not step.graph:
                later = facts.paths.events_in(program[index + 1 :], kinds.TRAIN, kinds.EVAL, kinds.FORWARD)
                following = [one for one in later if facts.identity.same_object(one.target, step.target)]
                if following and following[0].kind is kinds.FORWARD and not following[0].graph:
                    yield step
            case programs.Branch(ways=ways):
                for way in ways:
                    yield from _used_after_train(way, is_evaluation)
            case programs.Loop(body=body):
                yield from _used_after_train(body, is_evaluation)
            case _:
                pass
