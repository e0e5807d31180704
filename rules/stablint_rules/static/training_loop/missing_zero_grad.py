"""STB101 missing-zero-grad: gradients of earlier steps are added to every update."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import InsertBefore, Mark, ProposedFix, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.events import Event
    from stablint.static.facts.paths import Root
    from stablint.static.facts.programs import Program
    from stablint.static.facts.terms import Term
    from stablint.static.source import SourceFile


class MissingZeroGrad(StaticRule):
    """A training loop that steps an optimizer but never clears its gradients.

    ## What it does

    Looks for loops in which `backward()` and the optimizer's `step()` both happen, and in which the next
    `backward()` can be reached without `zero_grad()` (of the optimizer or of the module that it trains) or
    `p.grad = None` in between. Each optimizer is followed on its own, through helper functions, methods and
    closures: with two optimizers, clearing one does not clear the other.

    ## Why it is bad

    `backward()` *adds* to `.grad`. Five backward passes of the same loss leave five times its gradient, so
    the k-th update is made of the sum of all k gradients so far, most of them of weights long gone. The loss
    curve need not show it: the sum acts like momentum without damping. On a two-layer network, 100 SGD steps
    without clearing reached a *lower* training loss (0.07 against 0.43) while the gradient norm was 28 times
    larger (torch 2.13). So nobody notices, and the learning rate is tuned around it.

    The variant where `zero_grad()` runs once per epoch and `step()` once per batch is the same fault: within
    an epoch, every batch is added to those before.

    ## Example

    ```python
    for x, y in loader:
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
    ```

    ## Use instead

    ```python
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
    ```

    ## When to ignore it

    When summing the gradients of all steps is the algorithm. Gradient accumulation is not that: it clears
    once per `step()`, and the rule is silent about it.

    ## Fix safety

    Unsafe: it changes what is trained. `zero_grad()` is inserted before the first `backward()`. No fix is
    offered where `step()` runs only every n-th iteration, because the right place is then next to the step.

    ## References

    - [torch.optim.Optimizer.zero_grad](https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.zero_grad.html)
    - [torch.Tensor.backward](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.backward.html)
    - [Optimization tutorial](https://docs.pytorch.org/tutorials/beginner/basics/optimization_tutorial.html)
    """

    code = "STB101"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # the plain form
        """\
import torch
from torch import nn

def train(model, loader):
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        loss = criterion(model(x), y)
        loss.backward()  # flagged
        optimizer.step()
""",
        # cleared once an epoch, stepped once a batch
        """\
import torch.nn.functional as F
from torch import optim

def train(net, loader, epochs):
    opt = optim.Adam(net.parameters())
    for epoch in range(epochs):
        opt.zero_grad()
        for x, y in loader:
            loss = F.cross_entropy(net(x), y)
            loss.backward()  # flagged
            opt.step()
""",
        # cleared once before everything; the optimizer is an argument
        """\
import torch
import torch.nn.functional as F

def fit(model: torch.nn.Module, optimizer: torch.optim.Optimizer, loader, epochs):
    optimizer.zero_grad()
    for epoch in range(epochs):
        for step, batch in enumerate(loader):
            loss = F.mse_loss(model(batch["x"]), batch["y"])
            loss.backward()  # flagged
            optimizer.step()
""",
        # a trainer class: everything is an attribute
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model, loader):
        self.model = model
        self.loader = loader
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)

    def train_step(self, x, y):
        loss = self.criterion(self.model(x), y)
        loss.backward()  # flagged
        self.optimizer.step()
        return loss.item()

    def fit(self, epochs):
        for _ in range(epochs):
            for x, y in self.loader:
                self.train_step(x, y)
""",
        # the step is in a helper function
        """\
import torch
from torch import nn

def update(model, opt, x, y):
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()  # flagged
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()

def main(loader):
    model = nn.Linear(8, 1)
    opt = torch.optim.SGD(model.parameters(), lr=0.01)
    for x, y in loader:
        update(model, opt, x, y)
""",
        # two optimizers, and one is never cleared
        """\
import torch
from torch import nn

def train(G, D, loader, bce: nn.BCEWithLogitsLoss):
    opt_g = torch.optim.Adam(G.parameters(), lr=2e-4)
    opt_d = torch.optim.Adam(D.parameters(), lr=2e-4)
    for real in loader:
        fake = G(torch.randn(real.size(0), 64))
        ones, zeros = torch.ones(real.size(0), 1), torch.zeros(real.size(0), 1)

        opt_d.zero_grad()
        d_loss = bce(D(real), ones) + bce(D(fake.detach()), zeros)
        d_loss.backward()
        opt_d.step()

        g_loss = bce(D(fake), ones)
        g_loss.backward()  # flagged
        opt_g.step()
""",
        # two optimizers, and the wrong one is cleared
        """\
import torch

def train(actor, critic, buffer):
    actor_opt = torch.optim.Adam(actor.parameters(), lr=1e-4)
    critic_opt = torch.optim.Adam(critic.parameters(), lr=1e-3)
    for step in range(100_000):
        state, action, target = buffer.sample()

        critic_opt.zero_grad()
        critic_loss = (critic(state, action) - target).pow(2).mean()
        critic_loss.backward()
        critic_opt.step()

        critic_opt.zero_grad()
        actor_loss = -critic(state, actor(state)).mean()
        actor_loss.backward()  # flagged
        actor_opt.step()
""",
        # a closure that only adds
        """\
import torch
from torch import nn

def fit(x, y):
    model = nn.Linear(4, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5)
    for _ in range(20):
        def closure():
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()  # flagged
            return loss
        optimizer.step(closure)
""",
        # accumulation that never starts afresh
        """\
import torch
import torch.nn.functional as F

def train(model, loader, accumulate=4):
    optimizer = torch.optim.AdamW(model.parameters())
    for i, (x, y) in enumerate(loader):
        loss = F.cross_entropy(model(x), y) / accumulate
        loss.backward()  # flagged
        if (i + 1) % accumulate == 0:
            optimizer.step()
""",
        # one branch of two
        """\
import torch
import torch.nn.functional as F

def train(model, loader, use_amp):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        if use_amp:
            optimizer.zero_grad()
            with torch.autocast("cuda", dtype=torch.float16):
                loss = F.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        else:
            loss = F.cross_entropy(model(x), y)
            loss.backward()  # flagged
            optimizer.step()
""",
        # the step of a gradient scaler is a step
        """\
import torch
from torch.cuda.amp import GradScaler, autocast

def train(model, loader, criterion):
    optimizer = torch.optim.Adam(model.parameters())
    scaler = GradScaler()
    for x, y in loader:
        with autocast():
            loss = criterion(model(x), y)
        scaler.scale(loss).backward()  # flagged
        scaler.step(optimizer)
        scaler.update()
""",
        # Accelerate leaves the clearing to the loop
        """\
import torch
from accelerate import Accelerator

def main(model, loader):
    accelerator = Accelerator()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for batch in loader:
        loss = model(**batch).loss
        accelerator.backward(loss)  # flagged
        optimizer.step()
""",
        # one batch, many steps: sums all the same
        """\
import torch

x = torch.linspace(-1, 1, 100).unsqueeze(1)
y = x.pow(2) + 0.1 * torch.randn(x.shape)
net = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.2)
loss_func = torch.nn.MSELoss()
step = 0
while step < 200:
    loss = loss_func(net(x), y)
    loss.backward()  # flagged
    optimizer.step()
    step += 1
""",
        # an optimizer argument that nothing describes but its use
        """\
import torch

def train_epoch(model, loader, loss_fn, optimizer, device):
    model.train()
    for x, y in loader:
        x, y = x.to(device), y.to(device)
        loss = loss_fn(model(x), y)
        loss.backward()  # flagged
        optimizer.step()
    torch.save(model.state_dict(), "last.pt")
""",
        # a model with a loop of its own
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(4)])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).relu()
        return x

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def train(loader):
    for x in loader:
        loss = model(x).mean()
        loss.backward()  # flagged
        optimizer.step()
""",
        # the step stands in another file, and nobody clears
        """\
# file: engine.py
import torch.nn.functional as F

def train_step(model, optimizer, x, y):
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()
# file: train.py
import torch
from engine import train_step

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        train_step(model, optimizer, x, y)  # flagged
""",
        # the step of whatever it is given stands in another file
        """\
# file: steps.py
def apply(o):
    o.step()
# file: train.py
import torch
import torch.nn.functional as F
from steps import apply

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()  # flagged
        apply(optimizer)
""",
        # the backward pass stands in another file
        """\
# file: engine.py
import torch.nn.functional as F

class Engine:
    def __init__(self, model):
        self.model = model

    def backward(self, x, y):
        F.cross_entropy(self.model(x), y).backward()
# file: train.py
import torch
from engine import Engine

class Trainer:
    def __init__(self, model):
        self.engine = Engine(model)
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def fit(self, loader):
        for x, y in loader:
            self.engine.backward(x, y)  # flagged
            self.optimizer.step()
""",
    ]

    fixed = [
        """\
import torch
from torch import nn

def train(model, loader):
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()  # flagged
        optimizer.step()
""",
        """\
import torch.nn.functional as F
from torch import optim

def train(net, loader, epochs):
    opt = optim.Adam(net.parameters())
    for epoch in range(epochs):
        opt.zero_grad()
        for x, y in loader:
            loss = F.cross_entropy(net(x), y)
            opt.zero_grad()
            loss.backward()  # flagged
            opt.step()
""",
        """\
import torch
import torch.nn.functional as F

def fit(model: torch.nn.Module, optimizer: torch.optim.Optimizer, loader, epochs):
    optimizer.zero_grad()
    for epoch in range(epochs):
        for step, batch in enumerate(loader):
            loss = F.mse_loss(model(batch["x"]), batch["y"])
            optimizer.zero_grad()
            loss.backward()  # flagged
            optimizer.step()
""",
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model, loader):
        self.model = model
        self.loader = loader
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)

    def train_step(self, x, y):
        loss = self.criterion(self.model(x), y)
        self.optimizer.zero_grad()
        loss.backward()  # flagged
        self.optimizer.step()
        return loss.item()

    def fit(self, epochs):
        for _ in range(epochs):
            for x, y in self.loader:
                self.train_step(x, y)
""",
        """\
import torch
from torch import nn

def update(model, opt, x, y):
    loss = nn.functional.mse_loss(model(x), y)
    opt.zero_grad()
    loss.backward()  # flagged
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()

def main(loader):
    model = nn.Linear(8, 1)
    opt = torch.optim.SGD(model.parameters(), lr=0.01)
    for x, y in loader:
        update(model, opt, x, y)
""",
        """\
import torch
from torch import nn

def train(G, D, loader, bce: nn.BCEWithLogitsLoss):
    opt_g = torch.optim.Adam(G.parameters(), lr=2e-4)
    opt_d = torch.optim.Adam(D.parameters(), lr=2e-4)
    for real in loader:
        fake = G(torch.randn(real.size(0), 64))
        ones, zeros = torch.ones(real.size(0), 1), torch.zeros(real.size(0), 1)

        opt_d.zero_grad()
        d_loss = bce(D(real), ones) + bce(D(fake.detach()), zeros)
        d_loss.backward()
        opt_d.step()

        g_loss = bce(D(fake), ones)
        opt_g.zero_grad()
        g_loss.backward()  # flagged
        opt_g.step()
""",
        """\
import torch

def train(actor, critic, buffer):
    actor_opt = torch.optim.Adam(actor.parameters(), lr=1e-4)
    critic_opt = torch.optim.Adam(critic.parameters(), lr=1e-3)
    for step in range(100_000):
        state, action, target = buffer.sample()

        critic_opt.zero_grad()
        critic_loss = (critic(state, action) - target).pow(2).mean()
        critic_loss.backward()
        critic_opt.step()

        critic_opt.zero_grad()
        actor_loss = -critic(state, actor(state)).mean()
        actor_opt.zero_grad()
        actor_loss.backward()  # flagged
        actor_opt.step()
""",
        """\
import torch
from torch import nn

def fit(x, y):
    model = nn.Linear(4, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5)
    for _ in range(20):
        def closure():
            loss = nn.functional.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()  # flagged
            return loss
        optimizer.step(closure)
""",
        None,
        """\
import torch
import torch.nn.functional as F

def train(model, loader, use_amp):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        if use_amp:
            optimizer.zero_grad()
            with torch.autocast("cuda", dtype=torch.float16):
                loss = F.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        else:
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()  # flagged
            optimizer.step()
""",
        """\
import torch
from torch.cuda.amp import GradScaler, autocast

def train(model, loader, criterion):
    optimizer = torch.optim.Adam(model.parameters())
    scaler = GradScaler()
    for x, y in loader:
        with autocast():
            loss = criterion(model(x), y)
        optimizer.zero_grad()
        scaler.scale(loss).backward()  # flagged
        scaler.step(optimizer)
        scaler.update()
""",
        """\
import torch
from accelerate import Accelerator

def main(model, loader):
    accelerator = Accelerator()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for batch in loader:
        loss = model(**batch).loss
        optimizer.zero_grad()
        accelerator.backward(loss)  # flagged
        optimizer.step()
""",
        """\
import torch

x = torch.linspace(-1, 1, 100).unsqueeze(1)
y = x.pow(2) + 0.1 * torch.randn(x.shape)
net = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.2)
loss_func = torch.nn.MSELoss()
step = 0
while step < 200:
    loss = loss_func(net(x), y)
    optimizer.zero_grad()
    loss.backward()  # flagged
    optimizer.step()
    step += 1
""",
        """\
import torch

def train_epoch(model, loader, loss_fn, optimizer, device):
    model.train()
    for x, y in loader:
        x, y = x.to(device), y.to(device)
        loss = loss_fn(model(x), y)
        optimizer.zero_grad()
        loss.backward()  # flagged
        optimizer.step()
    torch.save(model.state_dict(), "last.pt")
""",
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(4)])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).relu()
        return x

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def train(loader):
    for x in loader:
        loss = model(x).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
    ]

    good = [
        # a third optimizer over both models, each of which another one clears
        """\
import itertools

import torch
from torch import nn


def train(G: nn.Module, D: nn.Module, loader, info, bce):
    opt_g = torch.optim.Adam(G.parameters())
    opt_d = torch.optim.Adam(D.parameters())
    opt_info = torch.optim.Adam(itertools.chain(G.parameters(), D.parameters()))
    for x, z in loader:
        opt_d.zero_grad()
        bce(D(x), D(G(z))).backward()
        opt_d.step()
        opt_g.zero_grad()
        bce(D(G(z))).backward(retain_graph=True)
        opt_g.step()
        info(D(G(z))).backward()
        opt_info.step()
""",
        # cleared by a loop over networks
        """\
import torch

def train(nets, generator, discriminator, loader):
    solver = torch.optim.Adam(discriminator.parameters())
    for x in loader:
        loss = discriminator(generator(x)).mean()
        loss.backward()
        solver.step()
        for net in nets:
            net.zero_grad()
""",
        # cleared first, and cleared last
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()

def train_clearing_last(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
""",
        # cleared through the module
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        model.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
""",
        # cleared by hand
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        for p in model.parameters():
            p.grad = None
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()

def train_zeroing(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        for p in model.parameters():
            if p.grad is not None:
                p.grad.data.zero_()
""",
        # cleared with the module that the trained part is in
        """\
import torch
from torch import nn

class Encoder(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(512, 64)

    def forward(self, x):
        return self.head(self.backbone(x))

def train(backbone, loader, criterion):
    encoder = Encoder(backbone)
    optimizer = torch.optim.Adam(encoder.head.parameters(), lr=1e-3)
    for x, y in loader:
        loss = criterion(encoder(x), y)
        encoder.zero_grad()
        loss.backward()
        optimizer.step()

def train_inner(loader, criterion):
    inner = nn.Linear(16, 8)
    net = nn.Sequential(inner, nn.ReLU(), nn.Linear(8, 4))
    optimizer = torch.optim.Adam(inner.parameters(), lr=1e-3)
    for x, y in loader:
        loss = criterion(net(x), y)
        net.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # the same with the models in another file
        """\
# file: models.py
from torch import nn

class Encoder(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.head = nn.Linear(size, 64)

    def forward(self, x):
        return self.head(x)

class Decoder(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.out = nn.Linear(64, size)

    def forward(self, x):
        return self.out(x)
# file: train.py
import argparse

import torch

from models import Decoder, Encoder

def main(args, loader, criterion):
    encoder, decoder = Encoder(args.size), Decoder(args.size)
    params = list(decoder.parameters()) + list(encoder.head.parameters())
    optimizer = torch.optim.Adam(params, lr=args.lr)
    for x, y in loader:
        loss = criterion(decoder(encoder(x)), y)
        decoder.zero_grad()
        encoder.zero_grad()
        loss.backward()
        optimizer.step()

if __name__ == "__main__":
    main(argparse.ArgumentParser().parse_args(), make_loader(), make_criterion())
""",
        # cleared in a helper, old style
        """\
import torch
from torch import nn, optim
from torch.autograd import Variable

G = nn.Linear(16, 784)
D = nn.Linear(784, 1)
params = list(G.parameters()) + list(D.parameters())
G_solver = optim.Adam(G.parameters(), lr=1e-3)
D_solver = optim.Adam(D.parameters(), lr=1e-3)

def reset_grad():
    for p in params:
        if p.grad is not None:
            data = p.grad.data
            p.grad = Variable(data.new().resize_as_(data).zero_())

def train(batches):
    for x in batches:
        D_loss = D(G(torch.randn(32, 16))).mean() - D(x).mean()
        D_loss.backward()
        D_solver.step()
        reset_grad()

        G_loss = -D(G(torch.randn(32, 16))).mean()
        G_loss.backward()
        G_solver.step()
        reset_grad()
""",
        # cleared in another method
        """\
import torch
from torch import nn

class Agent:
    def __init__(self, policy):
        self.policy = policy
        self.optim = torch.optim.Adam(self.policy.parameters(), lr=1e-3)

    def begin(self):
        self.optim.zero_grad()

    def update(self, batch):
        self.begin()
        loss = nn.functional.mse_loss(self.policy(batch.obs), batch.target)
        loss.backward()
        self.optim.step()

    def learn(self, buffer):
        while True:
            self.update(buffer.sample())
""",
        # two optimizers, each cleared before its own backward: what the other one left does not matter
        """\
import torch
from torch import nn

def train(G, D, loader):
    bce = nn.BCEWithLogitsLoss()
    opt_g = torch.optim.Adam(G.parameters(), lr=2e-4)
    opt_d = torch.optim.Adam(D.parameters(), lr=2e-4)
    for real in loader:
        ones, zeros = torch.ones(real.size(0), 1), torch.zeros(real.size(0), 1)
        fake = G(torch.randn(real.size(0), 64))

        opt_d.zero_grad()
        d_loss = bce(D(real), ones) + bce(D(fake.detach()), zeros)
        d_loss.backward()
        opt_d.step()

        opt_g.zero_grad()
        g_loss = bce(D(fake), ones)
        g_loss.backward()
        opt_g.step()
""",
        # accumulation, cleared where the step is
        """\
import torch
import torch.nn.functional as F

def train(model, loader, accumulate=8):
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.zero_grad()
    for i, (x, y) in enumerate(loader):
        loss = F.cross_entropy(model(x), y) / accumulate
        loss.backward()
        if (i + 1) % accumulate == 0 or i + 1 == len(loader):
            optimizer.step()
            optimizer.zero_grad()
""",
        # accumulation, cleared at the start of the window
        """\
import torch
import torch.nn.functional as F

def train(model, loader, accumulate=8):
    optimizer = torch.optim.AdamW(model.parameters())
    for i, (x, y) in enumerate(loader):
        if i % accumulate == 0:
            optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y) / accumulate
        loss.backward()
        if (i + 1) % accumulate == 0:
            optimizer.step()
""",
        # accumulation over an inner loop: zero_grad and step are both in the outer one
        """\
import torch
import torch.nn.functional as F

def train(model, loader, steps, micro_batches):
    optimizer = torch.optim.AdamW(model.parameters())
    batches = iter(loader)
    for step in range(steps):
        optimizer.zero_grad()
        for _ in range(micro_batches):
            x, y = next(batches)
            loss = F.cross_entropy(model(x), y) / micro_batches
            loss.backward()
        optimizer.step()
""",
        # a modulo guard that is no accumulation
        """\
import torch
import torch.nn.functional as F

def learn(q_network, buffer, total_steps, train_frequency=4):
    optimizer = torch.optim.Adam(q_network.parameters())
    for global_step in range(total_steps):
        if global_step > 1000:
            if global_step % train_frequency == 0:
                data = buffer.sample(32)
                loss = F.mse_loss(data.target, q_network(data.obs).squeeze())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
""",
        # one loop for both phases
        """\
import torch

def run(model, loaders, criterion, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for epoch in range(epochs):
        for phase in ["train", "val"]:
            model.train(phase == "train")
            for x, y in loaders[phase]:
                optimizer.zero_grad()
                with torch.set_grad_enabled(phase == "train"):
                    loss = criterion(model(x), y)
                    if phase == "train":
                        loss.backward()
                        optimizer.step()
""",
        # a closure that clears
        """\
import torch
from torch import nn

def fit(x, y):
    model = nn.Linear(4, 1)
    optimizer = torch.optim.LBFGS(model.parameters())
    for _ in range(20):
        def closure():
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            return loss
        optimizer.step(closure)
""",
        # distributed autograd keeps gradients in its context
        """\
import torch
import torch.distributed.autograd as dist_autograd
import torch.nn.functional as F
from torch.distributed.optim import DistributedOptimizer

def train(model, loader, rrefs):
    opt = DistributedOptimizer(torch.optim.SGD, rrefs, lr=0.05)
    for x, y in loader:
        with dist_autograd.context() as context_id:
            loss = F.cross_entropy(model(x), y)
            dist_autograd.backward(context_id, [loss])
            opt.step(context_id)
""",
        # gradients by torch.autograd.grad do not add up
        """\
import torch
import torch.nn.functional as F

def descend(weights, loader, lr=0.1):
    for x, y in loader:
        loss = F.mse_loss(x @ weights, y)
        (g,) = torch.autograd.grad(loss, [weights])
        with torch.no_grad():
            weights -= lr * g
    return weights

def descend_with_optimizer(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    params = list(model.parameters())
    for x, y in loader:
        grads = torch.autograd.grad(F.mse_loss(model(x), y), params)
        for p, g in zip(params, grads):
            p.grad = g
        optimizer.step()
""",
        # an attack moves the input, not the weights
        """\
import torch
import torch.nn.functional as F

def pgd(model, x, y, eps, steps):
    delta = torch.zeros_like(x, requires_grad=True)
    for _ in range(steps):
        loss = F.cross_entropy(model(x + delta), y)
        loss.backward()
        delta.data = (delta + 0.01 * delta.grad.detach().sign()).clamp(-eps, eps)
        delta.grad.zero_()
    return delta.detach()

def fgsm(model, loader, eps):
    for x, y in loader:
        x = x.clone().requires_grad_()
        F.cross_entropy(model(x), y).backward()
        yield x + eps * x.grad.sign()
""",
        # Lightning runs the loop itself
        """\
import lightning as L
import torch
import torch.nn.functional as F

class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(8, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())
""",
        # Gluon overwrites gradients
        """\
from mxnet import autograd, gluon

def train(net, loader):
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
    loss_fn = gluon.loss.SoftmaxCrossEntropyLoss()
    for x, y in loader:
        with autograd.record():
            loss = loss_fn(net(x), y)
        loss.backward()
        trainer.step(x.shape[0])
""",
        # one call does backward, clip and step; the loop clears
        """\
import torch
from timm.utils import NativeScaler

def train_one_epoch(model, loader, criterion):
    optimizer = torch.optim.AdamW(model.parameters())
    loss_scaler = NativeScaler()
    for x, y in loader:
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss_scaler(loss, optimizer, clip_grad=1.0, parameters=model.parameters())
""",
        # DeepSpeed's engine clears in its step
        """\
import deepspeed
import torch.nn.functional as F

def train(args, model, loader):
    engine, optimizer, _, _ = deepspeed.initialize(args=args, model=model)
    for x, y in loader:
        loss = F.cross_entropy(engine(x), y)
        engine.backward(loss)
        engine.step()
""",
        # an object that was given the optimizer may clear it
        """\
import torch
import torch.nn.functional as F
from engine import Strategy

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    strategy = Strategy(model, optimizer)
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        strategy.after_step()
""",
        # sharpness-aware minimisation clears in its two steps
        """\
import torch
import torch.nn.functional as F
from sam import SAM

def train(model, loader):
    optimizer = SAM(model.parameters(), torch.optim.SGD, lr=0.1)
    for x, y in loader:
        F.cross_entropy(model(x), y).backward()
        optimizer.first_step(zero_grad=True)
        F.cross_entropy(model(x), y).backward()
        optimizer.second_step(zero_grad=True)
""",
        # several optimizers in a list and in a dict
        """\
import torch
import torch.nn.functional as F

def train(encoder, head, loader):
    optimizers = [torch.optim.Adam(encoder.parameters()), torch.optim.SGD(head.parameters(), lr=0.1)]
    for x, y in loader:
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = F.cross_entropy(head(encoder(x)), y)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()

def train_named(nets, loader):
    opts = {name: torch.optim.Adam(net.parameters()) for name, net in nets.items()}
    for x, y in loader:
        opts["body"].zero_grad()
        opts["head"].zero_grad()
        F.cross_entropy(nets["head"](nets["body"](x)), y).backward()
        opts["body"].step()
        opts["head"].step()
""",
        # model and optimizer are new in every iteration, or the loop ends at the first step
        """\
import torch
import torch.nn.functional as F

def first_losses(make_model, x, y, rates):
    losses = {}
    for lr in rates:
        model = make_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        losses[lr] = F.cross_entropy(model(x), y).item()
    return losses

def smoke_test(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        break
""",
        # no loop to be seen: the caller clears
        """\
import torch
import torch.nn.functional as F

def make_train_step(model: torch.nn.Module, optimizer: torch.optim.Optimizer):
    def train_step(x, y):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()
    return train_step
""",
        # the step stands in another file, and clears
        """\
# file: engine.py
import torch.nn.functional as F

def train_step(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()
# file: train.py
import torch
from engine import train_step

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        train_step(model, optimizer, x, y)
""",
        # the clearing stands in another file
        """\
# file: helpers.py
def clear(*optimizers):
    for optimizer in optimizers:
        optimizer.zero_grad()
# file: train.py
import torch
import torch.nn.functional as F
from helpers import clear

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        clear(optimizer)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
""",
        # the engine of ignite calls the step, and the step clears
        """\
import torch
import torch.nn.functional as F
from ignite.engine import Engine

def build(model):
    optimizer = torch.optim.Adam(model.parameters())

    def update(engine, batch):
        x, y = batch
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return Engine(update)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each backward whose gradients an optimizer steps together with those of its last step."""
        seen: set[object] = set()
        for root in source.ask(facts.training_paths):
            for step in facts.paths.steps_by_optimizer(root.path):
                for backward in _polluted(source, root.path, step):
                    if backward.node not in seen:
                        seen.add(backward.node)
                        yield _report(source, root, backward, step)


_FRESH, _CLEAN, _STALE = "nothing stepped yet", "cleared since the last step", "stepped and not cleared"


def _polluted(source: SourceFile, path: Program, step: Event) -> list[Event]:
    """Return the backward passes that add to gradients which this optimizer has already applied, on every path."""
    kinds = facts.events.Kind
    found: list[Event] = []
    optimizer = step.target

    def transfer(states: frozenset[object], event: Event) -> frozenset[object]:
        if event.kind is kinds.BACKWARD:
            return frozenset(state if state in (_FRESH, _CLEAN) else event for state in states)
        if event.kind is kinds.ZERO_GRAD and facts.identity.clears(source, event, optimizer) is not False:
            return frozenset({_CLEAN})
        if event.kind is kinds.MADE and facts.identity.same_object(event.target, optimizer):
            return frozenset({_FRESH})
        if event.kind is kinds.OPAQUE and _may_be(event.target, optimizer):
            return frozenset({_CLEAN})
        if event.kind is kinds.STEP and facts.identity.same_object(event.target, optimizer):
            informative = states - {_FRESH}
            # On every path: where a condition decides, `if (i + 1) % n == 0` guards the step and the clearing alike.
            if informative and not informative & {_CLEAN, _STALE}:
                found.extend(state for state in informative if isinstance(state, facts.events.Event))
            return frozenset({_STALE})
        return states

    def enter(state: object, body: Program) -> object:
        """What was cleared before a loop that steps says nothing of its second round."""
        return _FRESH if facts.paths.events_in(body, *decisive) else state

    # Other loops do not matter, such as a model's own over its layers.
    decisive = (kinds.STEP, kinds.ZERO_GRAD, kinds.MADE, kinds.OPAQUE)
    facts.automaton.Automaton(transfer, enter).run(path, frozenset({_FRESH}))
    return found


def _may_be(target: Term | None, optimizer: Term | None) -> bool:
    return (
        target is None
        or facts.identity.same_object(target, optimizer)
        or facts.roles.role(target) != "optimizer"
    )


def _report(source: SourceFile, root: Root, backward: Event, step: Event) -> Report:
    kinds = facts.events.Kind
    cleared = [
        event
        for event in facts.paths.events_in(root.path, kinds.ZERO_GRAD)
        if facts.identity.clears(source, event, step.target) is not False
    ]
    related = [Mark(step.node, "applied here, with all gradients since the last clearing")]
    if _is_repeated_by_caller(root, backward):
        call = facts.paths.outermost(root.path, backward)
        related.insert(0, Mark(call, "called here, over and over"))
    message = "gradients are never cleared: every step also applies those of all earlier ones"
    if cleared:
        related.append(Mark(cleared[0].node, "cleared here, but not between two steps"))
        message = "gradients are not cleared between two steps: each also applies those of the earlier ones"
    return Report(backward.node, message, related=tuple(related), fix=_fix(source, backward, step))


def _is_repeated_by_caller(root: Root, backward: Event) -> bool:
    """Whether it is the code that calls the function with the backward pass, maybe of another file, that repeats it."""
    own = facts.paths.own_rounds(root.path)
    around = [
        loop for loop in facts.paths.rounds_in(root.path) if backward in facts.paths.events_in(loop.body)
    ]
    is_called = facts.paths.outermost(root.path, backward) is not backward.node
    return is_called and all(any(loop is one for one in own) for loop in around)


def _fix(source: SourceFile, backward: Event, step: Event) -> ProposedFix | None:
    optimizer = facts.writing.written(source, step.target, step, backward.scope)
    if optimizer is None or backward.statement is None:
        return None
    if facts.statements.every_nth_round(source, step.statement):
        return None  # the right place to clear is then next to the step
    text = f"{optimizer}.zero_grad()"
    change = InsertBefore(backward.statement, text)
    return ProposedFix(f"Clear the gradients before `backward()`: `{text}`", Applicability.UNSAFE, (change,))
