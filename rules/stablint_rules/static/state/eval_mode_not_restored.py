"""STB603 eval-mode-not-restored: after the first validation, training goes on in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import InsertBefore, Mark, ProposedFix, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.events import Event
    from stablint.static.facts.paths import Root
    from stablint.static.facts.programs import Loop, Program
    from stablint.static.facts.terms import Term
    from stablint.static.source import SourceFile


class EvalModeNotRestored(StaticRule):
    """`eval()` is reached inside the training loop, and nothing calls `train()` before training goes on.

    ## What it does

    Follows `eval()` and `train()` of each module along the training loop, through helper functions and
    methods (`validate(model, loader)` that calls `model.eval()`), and reports the place in the loop
    after which the next `backward()` is reached in evaluation mode. The receiver must be the model that
    trains: EMA copies, teachers, feature extractors and frozen parts are left alone.

    It also reports a module that defines a `train` of its own which does not set the mode; where no
    layer is known that has one, that is a note.

    ## Why it is bad

    The mode stays until somebody changes it; `no_grad` does not, the end of a function does not. In
    evaluation mode `Dropout` is the identity and `BatchNorm` uses its running statistics and no longer
    updates them: after 100 batches they are bit for bit what they were (torch 2.13). So from the second
    epoch on (or from the first validation in the middle of one) the network trains without
    regularisation and with the statistics of the beginning. The curves show a step at the first
    validation, and overfitting or divergence later.

    For a model that is known to have no layer with a mode the finding is a note.

    ## Example

    ```python
    model.train()
    for epoch in range(epochs):
        for x, y in train_loader:
            train_step(model, x, y)
        validate(model, val_loader)  # calls model.eval()
    ```

    ## Use instead

    ```python
    for epoch in range(epochs):
        model.train()
        for x, y in train_loader:
            train_step(model, x, y)
        validate(model, val_loader)
    ```

    ## When to ignore it

    When training in evaluation mode is wanted, as in fine-tuning with frozen statistics. Say so by
    calling `eval()` where training begins, before the loop or as its first statement; that is not
    reported.

    ## Fix safety

    Unsafe: training after the first validation changes. `train()` is inserted as the first statement of
    the innermost loop that holds both the `eval()` and the `backward()`.

    ## References

    - [torch.nn.Module.eval](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.eval)
    - [Evaluation mode](https://docs.pytorch.org/docs/stable/notes/autograd.html#evaluation-mode-nn-module-eval)
    - [torch.nn.BatchNorm2d](https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html)
    """

    code = "STB603"
    severity = Severity.WARNING
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # train() once, validation in every epoch
        """\
import torch
import torch.nn.functional as F

def validate(model, loader):
    model.eval()
    correct = 0
    with torch.no_grad():
        for x, y in loader:
            correct += (model(x).argmax(dim=1) == y).sum().item()
    return correct / len(loader.dataset)

def main(model, train_loader, val_loader, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()
    for epoch in range(epochs):
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        print(epoch, validate(model, val_loader))  # flagged
""",
        # in line, and no train() at all
        """\
import torch
from torch import nn

net = nn.Sequential(nn.Linear(784, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 10))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(net.parameters())

def run(train_loader, test_loader):
    for epoch in range(10):
        for x, y in train_loader:
            optimizer.zero_grad()
            criterion(net(x), y).backward()
            optimizer.step()
        net.eval()  # flagged
        with torch.no_grad():
            total = sum(criterion(net(x), y).item() for x, y in test_loader)
        print(total / len(test_loader))
""",
        # in the middle of an epoch
        """\
import torch
import torch.nn.functional as F

@torch.no_grad()
def evaluate(network, loader):
    network.eval()
    losses = [F.cross_entropy(network(x), y) for x, y in loader]
    return torch.stack(losses).mean()

def train(model, loader, val_loader, epochs):
    optimizer = torch.optim.AdamW(model.parameters())
    for epoch in range(epochs):
        model.train()
        for step, (x, y) in enumerate(loader):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            if step % 500 == 0:
                val_loss = evaluate(model, val_loader)  # flagged
                print(epoch, step, val_loss)
""",
        # a trainer class
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model, loaders):
        self.model = model
        self.loaders = loaders
        self.criterion = nn.MSELoss()
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def train_epoch(self):
        for x, y in self.loaders["train"]:
            self.optimizer.zero_grad()
            self.criterion(self.model(x), y).backward()
            self.optimizer.step()

    def evaluate(self):
        self.model.eval()
        with torch.no_grad():
            return sum(self.criterion(self.model(x), y).item() for x, y in self.loaders["val"])

    def fit(self, epochs):
        self.model.train()
        for epoch in range(epochs):
            self.train_epoch()
            self.evaluate()  # flagged
""",
        # train(False), every few epochs
        """\
import torch
import torch.nn.functional as F

def main(model, train_loader, val_x, val_y):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train(True)
    for epoch in range(100):
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        if epoch % 10 == 9:
            model.train(False)  # flagged
            with torch.no_grad():
                print(F.cross_entropy(model(val_x), val_y).item())
""",
        # samples are drawn two calls away
        """\
import torch
import torch.nn.functional as F

def sample(lm, start, n):
    lm.eval()
    tokens = start
    with torch.no_grad():
        for _ in range(n):
            tokens = torch.cat([tokens, lm(tokens)[:, -1:].argmax(-1)], dim=1)
    return tokens

def report(step, lm, start):
    print(step, sample(lm, start, 50))

def train(lm, batches, start):
    optimizer = torch.optim.AdamW(lm.parameters())
    lm.train()
    for step, batch in enumerate(batches):
        logits = lm(batch[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            report(step, lm, start)  # flagged
""",
        # the other network is restored
        """\
import torch
import torch.nn.functional as F

def train(G, D, loader, show):
    opt_g = torch.optim.Adam(G.parameters(), lr=2e-4)
    opt_d = torch.optim.Adam(D.parameters(), lr=2e-4)
    for step, real in enumerate(loader):
        D.train()
        fake = G(torch.randn(real.size(0), 64))
        opt_d.zero_grad()
        (F.softplus(D(fake.detach())).mean() + F.softplus(-D(real)).mean()).backward()
        opt_d.step()
        opt_g.zero_grad()
        F.softplus(-D(fake)).mean().backward()
        opt_g.step()
        if step % 1000 == 0:
            G.eval()  # flagged
            with torch.no_grad():
                show(G(torch.randn(16, 64)))
""",
        # no layer of this model has a mode: a note
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(16, 32)
        self.fc2 = nn.Linear(32, 2)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))

def main(train_loader, val_loader):
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(10):
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        model.eval()  # flagged
        with torch.no_grad():
            print(sum(F.cross_entropy(model(x), y).item() for x, y in val_loader))
""",
        # a method of the same name that trains
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 2)
        self.optimizer = torch.optim.Adam(self.parameters())

    def forward(self, x):
        return self.fc(x)

    def train(self, x, y):  # flagged
        self.optimizer.zero_grad()
        F.cross_entropy(self(x), y).backward()
        self.optimizer.step()
""",
        # a fragment, with a train() of its own; the imports are left out
        """\
class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.optimizer = torch.optim.SGD(self.parameters(), lr=0.1)

    def forward(self, x):
        return self.layers(x)

    def train(self, x, y):  # flagged
        loss = F.mse_loss(self.forward(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F

def validate(model, loader):
    model.eval()
    correct = 0
    with torch.no_grad():
        for x, y in loader:
            correct += (model(x).argmax(dim=1) == y).sum().item()
    return correct / len(loader.dataset)

def main(model, train_loader, val_loader, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()
    for epoch in range(epochs):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        print(epoch, validate(model, val_loader))  # flagged
""",
        """\
import torch
from torch import nn

net = nn.Sequential(nn.Linear(784, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 10))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(net.parameters())

def run(train_loader, test_loader):
    for epoch in range(10):
        net.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            criterion(net(x), y).backward()
            optimizer.step()
        net.eval()  # flagged
        with torch.no_grad():
            total = sum(criterion(net(x), y).item() for x, y in test_loader)
        print(total / len(test_loader))
""",
        """\
import torch
import torch.nn.functional as F

@torch.no_grad()
def evaluate(network, loader):
    network.eval()
    losses = [F.cross_entropy(network(x), y) for x, y in loader]
    return torch.stack(losses).mean()

def train(model, loader, val_loader, epochs):
    optimizer = torch.optim.AdamW(model.parameters())
    for epoch in range(epochs):
        model.train()
        for step, (x, y) in enumerate(loader):
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            if step % 500 == 0:
                val_loss = evaluate(model, val_loader)  # flagged
                print(epoch, step, val_loss)
""",
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model, loaders):
        self.model = model
        self.loaders = loaders
        self.criterion = nn.MSELoss()
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def train_epoch(self):
        for x, y in self.loaders["train"]:
            self.optimizer.zero_grad()
            self.criterion(self.model(x), y).backward()
            self.optimizer.step()

    def evaluate(self):
        self.model.eval()
        with torch.no_grad():
            return sum(self.criterion(self.model(x), y).item() for x, y in self.loaders["val"])

    def fit(self, epochs):
        self.model.train()
        for epoch in range(epochs):
            self.model.train()
            self.train_epoch()
            self.evaluate()  # flagged
""",
        """\
import torch
import torch.nn.functional as F

def main(model, train_loader, val_x, val_y):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train(True)
    for epoch in range(100):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        if epoch % 10 == 9:
            model.train(False)  # flagged
            with torch.no_grad():
                print(F.cross_entropy(model(val_x), val_y).item())
""",
        """\
import torch
import torch.nn.functional as F

def sample(lm, start, n):
    lm.eval()
    tokens = start
    with torch.no_grad():
        for _ in range(n):
            tokens = torch.cat([tokens, lm(tokens)[:, -1:].argmax(-1)], dim=1)
    return tokens

def report(step, lm, start):
    print(step, sample(lm, start, 50))

def train(lm, batches, start):
    optimizer = torch.optim.AdamW(lm.parameters())
    lm.train()
    for step, batch in enumerate(batches):
        lm.train()
        logits = lm(batch[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            report(step, lm, start)  # flagged
""",
        """\
import torch
import torch.nn.functional as F

def train(G, D, loader, show):
    opt_g = torch.optim.Adam(G.parameters(), lr=2e-4)
    opt_d = torch.optim.Adam(D.parameters(), lr=2e-4)
    for step, real in enumerate(loader):
        G.train()
        D.train()
        fake = G(torch.randn(real.size(0), 64))
        opt_d.zero_grad()
        (F.softplus(D(fake.detach())).mean() + F.softplus(-D(real)).mean()).backward()
        opt_d.step()
        opt_g.zero_grad()
        F.softplus(-D(fake)).mean().backward()
        opt_g.step()
        if step % 1000 == 0:
            G.eval()  # flagged
            with torch.no_grad():
                show(G(torch.randn(16, 64)))
""",
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(16, 32)
        self.fc2 = nn.Linear(32, 2)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))

def main(train_loader, val_loader):
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(10):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        model.eval()  # flagged
        with torch.no_grad():
            print(sum(F.cross_entropy(model(x), y).item() for x, y in val_loader))
""",
        None,
    ]

    good = [
        # train() at the head of the epoch, and in the helper that trains
        """\
import torch
import torch.nn.functional as F

def train_one_epoch(model, loader, optimizer):
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

@torch.no_grad()
def validate(model, loader):
    model.eval()
    return sum(F.cross_entropy(model(x), y).item() for x, y in loader)

def main(model, train_loader, val_loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(10):
        train_one_epoch(model, train_loader, optimizer)
        validate(model, val_loader)
    for epoch in range(10):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        validate(model, val_loader)
""",
        # the helper puts the mode back
        """\
import torch
import torch.nn.functional as F

@torch.no_grad()
def estimate_loss(model, loader):
    model.eval()
    losses = torch.stack([F.cross_entropy(model(x), y) for x, y in loader])
    model.train()
    return losses.mean()

@torch.no_grad()
def score(model, loader):
    was_training = model.training
    model.eval()
    try:
        return sum((model(x).argmax(1) == y).sum().item() for x, y in loader)
    finally:
        model.train(was_training)

def train(model, loader, val_loader):
    optimizer = torch.optim.AdamW(model.parameters())
    model.train()
    for step, (x, y) in enumerate(loader):
        if step % 250 == 0:
            print(estimate_loss(model, val_loader), score(model, val_loader))
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
""",
        # a context manager puts it back
        """\
from contextlib import contextmanager
import torch
import torch.nn.functional as F

@contextmanager
def evaluating(model):
    training = model.training
    try:
        model.eval()
        yield model
    finally:
        if training:
            model.train()

def train(model, loader, val_x):
    optimizer = torch.optim.AdamW(model.parameters())
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        with evaluating(model), torch.no_grad():
            print(model(val_x).std())
""",
        # copies: averaged weights, a teacher, a deep copy
        """\
import copy
import torch
import torch.nn.functional as F

def train(model, teacher, loader, val_x):
    ema = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters())
    model.train()
    for x, y in loader:
        teacher.eval()
        with torch.no_grad():
            target = teacher(x).softmax(dim=1)
        logits = model(x)
        loss = F.cross_entropy(logits, y) + F.cross_entropy(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for a, b in zip(ema.parameters(), model.parameters()):
                a.lerp_(b, 0.01)
            ema.eval()
            snapshot = copy.deepcopy(model)
            snapshot.eval()
            print(ema(val_x).std(), snapshot(val_x).std())
""",
        # a fixed network that only measures
        """\
import torch
import torch.nn.functional as F
from torchvision.models import vgg16

def train(net, loader, device):
    optimizer = torch.optim.Adam(net.parameters())
    for epoch in range(10):
        net.train()
        vgg = vgg16(weights="DEFAULT").features.to(device)
        vgg.eval()
        for x, y in loader:
            loss = F.mse_loss(vgg(net(x)), vgg(y))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
""",
        # parts that stay frozen on purpose
        """\
import torch
import torch.nn.functional as F
from torch import nn

def freeze_norms(model):
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.eval()

class Detector(nn.Module):
    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(512, 10)

    def forward(self, x):
        return self.head(self.backbone(x))

    def train(self, mode=True):
        super().train(mode)
        self.backbone.eval()
        return self

def train(model: Detector, loader):
    optimizer = torch.optim.SGD(model.head.parameters(), lr=0.1)
    for epoch in range(10):
        model.train()
        model.backbone.eval()
        freeze_norms(model)
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
""",
        # after the loop, and in a loop that does not train
        """\
import torch
import torch.nn.functional as F

def main(model, loader, folders):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    model.eval()
    for folder in folders:
        model.eval()
        with torch.no_grad():
            print([model(x).argmax(1) for x in folder])
""",
        # one loop for both phases
        """\
import torch

def run(model, loaders, criterion, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for epoch in range(epochs):
        for phase in ["train", "val"]:
            if phase == "train":
                model.train()
            else:
                model.eval()
            for x, y in loaders[phase]:
                optimizer.zero_grad()
                with torch.set_grad_enabled(phase == "train"):
                    loss = criterion(model(x), y)
                    if phase == "train":
                        loss.backward()
                        optimizer.step()

def run_short(model, loaders, criterion, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for epoch in range(epochs):
        for phase in ["train", "val"]:
            model.train(phase == "train")
            for x, y in loaders[phase]:
                loss = criterion(model(x), y)
                if phase == "train":
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
""",
        # fine-tuning in evaluation mode, chosen where training begins
        """\
import torch
import torch.nn.functional as F

def finetune(model, loader, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    model.eval()
    for epoch in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()

def finetune_each(model, loader, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    for epoch in range(epochs):
        model.eval()
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
""",
        # a new model for every fold starts in training mode
        """\
import torch
import torch.nn.functional as F
from torch import nn

def cross_validate(folds):
    scores = []
    for train_loader, val_loader in folds:
        model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            scores.append(sum(F.cross_entropy(model(x), y).item() for x, y in val_loader))
    return scores
""",
        # rollouts in evaluation mode, updates in training mode
        """\
import torch
import torch.nn.functional as F

class Agent:
    def __init__(self, policy):
        self.policy = policy
        self.optimizer = torch.optim.Adam(policy.parameters())

    def rollout(self, env):
        self.policy.eval()
        with torch.no_grad():
            return env.play(self.policy)

    def update(self, batch):
        self.policy.train()
        self.optimizer.zero_grad()
        F.mse_loss(self.policy(batch.obs), batch.target).backward()
        self.optimizer.step()

    def learn(self, env):
        for _ in range(1000):
            batch = self.rollout(env)
            self.update(batch)
""",
        # training ends with the evaluation
        """\
import torch
import torch.nn.functional as F

def train(model, loader, val_x, val_y, limit):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        if step == limit:
            model.eval()
            with torch.no_grad():
                return F.cross_entropy(model(val_x), val_y)
""",
        # Lightning changes the mode around its hooks
        """\
import lightning as L
import torch
import torch.nn.functional as F

class Model(L.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def validation_step(self, batch, batch_idx):
        self.net.eval()
        x, y = batch
        self.log("val", F.cross_entropy(self.net(x), y))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())
""",
        # an environment, an expression, a helper from elsewhere
        """\
import torch
import torch.nn.functional as F
from evaluation import evaluate

def train(model, loader, frame, envs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        envs.eval()
        frame.eval("a + b")
        evaluate(model)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each evaluation in a training loop after which the model trains on in eval mode."""
        seen: set[object] = set()
        for root in source.ask(facts.training_paths):
            for rounds in reversed(facts.paths.own_rounds(root.path)):
                for event in _unrestored(source, rounds):
                    node = facts.paths.outermost(rounds.body, event)
                    if node not in seen:
                        seen.add(node)
                        yield _report(source, root, rounds, event, node)
        yield from _overridden(source)


@dataclass(frozen=True, slots=True)
class _Evaluating:
    """The model is in eval mode since `event`; `is_for_evaluation` once it is clear that it is no choice."""

    event: Event
    is_for_evaluation: bool
    is_used: bool = False


_UNKNOWN, _SET, _TRAINED, _CHOSEN = (
    "unknown",
    "set to train mode",
    "trained",
    "trained in eval mode on purpose",
)


def _unrestored(source: SourceFile, rounds: Loop) -> list[Event]:
    kinds = facts.events.Kind
    found: list[Event] = []
    evaluations = facts.paths.events_in(rounds.body, kinds.EVAL)
    if not evaluations or not facts.paths.events_in(rounds.body, kinds.BACKWARD):
        return []
    models: list[Term] = []
    for event in evaluations:
        known = any(facts.identity.same_object(event.target, model) for model in models)
        if event.target is not None and not known and not _is_new_each_round(source, event.target, rounds):
            models.append(event.target)
    for model in models:
        found += _left_in_eval(rounds.body, model)
    return found


def _left_in_eval(body: Program, model: Term) -> list[Event]:
    kinds = facts.events.Kind
    found: list[Event] = []

    def transfer(states: frozenset[object], event: Event) -> frozenset[object]:
        if event.kind is kinds.BACKWARD:
            used = [state for state in states if isinstance(state, _Evaluating) and state.is_used]
            # One loop for both phases sets the mode on one branch and trains on another test of the same name.
            if _SET not in states:
                found.extend(state.event for state in used)
            return frozenset(_after_backward(state) for state in states)
        if not facts.identity.same_object(event.target, model):
            return states
        match event.kind:
            case kinds.TRAIN:
                return frozenset({_SET})
            case kinds.EVAL:
                return frozenset(_Evaluating(event, state is _TRAINED) for state in states)
            case kinds.FORWARD:
                return frozenset(_after_forward(state, event.graph) for state in states)
            case kinds.OPAQUE:
                return frozenset({_UNKNOWN})
            case _:
                return states

    automaton = facts.automaton.Automaton(transfer)
    first = automaton.run(body, frozenset({_UNKNOWN}))
    automaton.run(body, first.on | first.continues)
    return found


def _after_backward(state: object) -> object:
    if isinstance(state, _Evaluating):
        return _UNKNOWN if state.is_used else state
    return state if state is _CHOSEN else _TRAINED


def _after_forward(state: object, graph: bool) -> object:
    """A forward with a graph right after `eval()` is fine-tuning in eval mode, chosen on purpose."""
    if not isinstance(state, _Evaluating):
        return state
    if not graph:
        return _Evaluating(state.event, True, state.is_used)
    return _Evaluating(state.event, True, True) if state.is_for_evaluation else _CHOSEN


def _is_new_each_round(source: SourceFile, model: Term, rounds: Loop) -> bool:
    """Whether the loop makes a new model, which is in train mode again, in every round."""
    return any(
        isinstance(made, facts.terms.Instance) and facts.statements.stands_in(source, made.node, rounds.node)
        for made in facts.terms.options(model)
    )


def _report(source: SourceFile, root: Root, rounds: Loop, event: Event, node: object) -> Report:
    related = (Mark(event.node, "set to eval mode here"),) if event.node is not node else ()
    heeds = (
        facts.modality.heeds_mode(source.ask(facts.values).interpreter, event.target)
        if event.target
        else None
    )
    severity = Severity.NOTE if heeds is False else None
    message = "the model stays in eval mode: the next rounds train without dropout and batch statistics"
    if severity is Severity.NOTE:
        message = "the model stays in eval mode, which none of its layers heeds"
    return Report(
        node,  # type: ignore[arg-type]
        message,
        severity=severity,
        related=related,
        fix=_fix(source, root, rounds, event),
    )


def _fix(source: SourceFile, root: Root, rounds: Loop, event: Event) -> ProposedFix | None:
    name = _name_of(source, root, rounds, event)
    first = facts.statements.first_of(rounds.node)
    if name is None or first is None:
        return None
    text = f"{name}.train()"
    return ProposedFix(f"Go back to train mode: `{text}`", Applicability.UNSAFE, (InsertBefore(first, text),))


def _name_of(source: SourceFile, root: Root, rounds: Loop, event: Event) -> str | None:
    """Return what the loop's function calls the model."""
    kinds = facts.events.Kind
    for other in facts.paths.events_in(rounds.body, kinds.EVAL, kinds.FORWARD):
        if facts.identity.same_object(other.target, event.target):
            name = facts.writing.called_expression(source, other)
            of_self = name is not None and name.startswith("self.") and other.scope.owner is root.scope.owner
            if other.scope.function is root.scope or of_self:
                return name
    return facts.writing.spelled(event.target, root.scope)


def _overridden(source: SourceFile) -> Iterator[Report]:
    """Report each module whose `train` is something else: `eval()` calls `self.train(False)`."""
    interpreter = source.ask(facts.values).interpreter
    for scope in source.ask(facts.syntax).classes:
        function = next(
            (one for one in scope.children if one.kind == "function" and one.name == "train"), None
        )
        if (
            function is None
            or not interpreter.hierarchy.is_module_class(scope)
            or "self.training" in function.writes
        ):
            continue
        text = source.code(function.node)
        if "super" not in text and ".train(" not in text and "pass" not in text:
            heeds = facts.modality.heeds_mode(interpreter, interpreter.receiver(scope))
            yield Report(
                function.node,
                "this replaces `nn.Module.train`, which `eval()` calls: the mode of the model cannot be set",
                severity=Severity.WARNING if heeds else Severity.NOTE,
            )
