"""STB104 loss-history-retained: a running total holds the graph of every iteration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.facts.accumulation import Accumulation
    from stablint.static.facts.logs import LogEntry
    from stablint.static.facts.scopes import Scope
    from stablint.static.facts.terms import Term
    from stablint.static.source import SourceFile


class LossHistoryRetained(StaticRule):
    """A loss or an output is kept for the log together with its graph, so memory grows with every iteration.

    ## What it does

    In a loop that trains, reports `total += loss`, `losses.append(loss)`, `ema = 0.9 * ema + 0.1 * loss`
    and their like, where the value still carries its graph, the accumulator outlives the iteration, and
    nobody calls `backward()` on it.

    Reports moving averages of parameters, `ema.mul_(d).add_(p, alpha=1 - d)` and
    `shadow[name] = d * shadow[name] + (1 - d) * p`, outside of `no_grad` and without `detach()`: the average
    then requires a gradient, and after 1000 updates its graph is 2000 operations deep (torch 2.13).

    It also notes a loss in a dict of metrics that a function returns beside it: the graph lives for as long
    as the caller keeps the dict.

    ## Why it is bad

    A loss tensor holds the whole graph that computed it. Adding it to a total makes one graph of all
    iterations: after 100 steps of a three-layer network, the total's graph has 1,106 nodes instead of
    16. The nodes alone cost 10 kB a step there, for ever (torch 2.13, CPU); a value that never sees a
    `backward()` keeps all its activations as well, 220 kB a step for the same network at batch size 64.
    Deeper networks pay in proportion, and the run dies of memory hours after it started. The PyTorch FAQ
    shows this very loop.

    ## Example

    ```python
    total = 0
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss
    ```

    ## Use instead

    ```python
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    ```

    `loss.detach()` does the same without waiting for the GPU.

    ## When to ignore it

    When the loop is so short that the memory does not matter.

    ## Fix safety

    Safe: `.detach()` gives the same number without its history. It is put on the value where it is kept.

    ## References

    - [PyTorch FAQ: my model reports "cuda runtime error(2): out of memory"](https://docs.pytorch.org/docs/stable/notes/faq.html)
    - [torch.Tensor.detach](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach.html)
    """

    code = "STB104"
    severity = Severity.WARNING
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # the snippet of the FAQ
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    total = 0
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss  # flagged
    return total / len(loader)
""",
        # a list, and a weighted sum
        """\
import torch
from torch import nn

def train(model, loader, epochs):
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters())
    losses = []
    for epoch in range(epochs):
        running_loss = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            losses.append(loss)  # flagged
            loss.backward()
            optimizer.step()
            running_loss += loss * x.size(0)  # flagged
        print(epoch, running_loss / len(loader.dataset))
    return losses
""",
        # spelt out, and on the CPU
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    avg, history = 0.0, {"loss": [], "batch": []}
    for i, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x.cuda()), y.cuda())
        loss.backward()
        optimizer.step()
        avg = avg + loss / len(loader)  # flagged
        history["loss"].append(loss.cpu())  # flagged
        history["batch"].append(i)
    print(avg)
    return history
""",
        # an attribute of the trainer
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters())
        self.criterion = nn.CrossEntropyLoss()
        self.loss_sum = 0

    def fit(self, loader):
        for x, y in loader:
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(x), y)
            loss.backward()
            self.optimizer.step()
            self.loss_sum += loss  # flagged
        print(f"{self.loss_sum / len(loader):.4f}")
""",
        # outputs kept for a metric at the end of the epoch
        """\
import torch
import torch.nn.functional as F

def train(model, loader, auc):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    outputs, targets = [], []
    for x, y in loader:
        optimizer.zero_grad()
        logits = model(x)
        F.cross_entropy(logits, y).backward()
        optimizer.step()
        outputs.append(logits)  # flagged
        targets.append(y)
    return auc(torch.cat(outputs), torch.cat(targets))
""",
        # a moving average is made of every iteration, too
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    smoothed = 0.0
    for step, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        smoothed = 0.98 * smoothed + 0.02 * loss  # flagged
        if step % 100 == 0:
            print(float(smoothed))
""",
        # in a dict of a log
        """\
import torch
import torch.nn.functional as F

def train(G, D, loader):
    opt_g = torch.optim.Adam(G.parameters())
    opt_d = torch.optim.Adam(D.parameters())
    log = []
    for step, real in enumerate(loader):
        fake = G(torch.randn(real.size(0), 64))
        opt_d.zero_grad()
        d_loss = F.softplus(D(fake.detach())).mean() + F.softplus(-D(real)).mean()
        d_loss.backward()
        opt_d.step()
        opt_g.zero_grad()
        g_loss = F.softplus(-D(fake)).mean()
        g_loss.backward()
        opt_g.step()
        log.append({"step": step, "d": d_loss, "g": g_loss})  # flagged
    return log
""",
        # the step is a helper that returns its loss
        """\
import torch
import torch.nn.functional as F

def train_step(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    epoch_loss = 0
    for x, y in loader:
        epoch_loss += train_step(model, optimizer, x, y)  # flagged
    print(epoch_loss)
""",
        # under a condition, and never in the way of a backward
        """\
import torch
from torch import nn

def train(model, loader, criterion: nn.CrossEntropyLoss, log_every=50):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kept = []
    for i, (x, y) in enumerate(loader):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if i % log_every == 0:
            kept += [loss]  # flagged
    return torch.stack(kept).mean().item()
""",
        # moving averages of parameters
        """\
import copy
import torch
from torch import nn

class Shadow:
    def __init__(self, model, decay):
        self.decay = decay
        self.shadow = {name: p.clone() for name, p in model.named_parameters()}

    def update(self, model):
        for name, p in model.named_parameters():
            self.shadow[name] = self.decay * self.shadow[name] + (1 - self.decay) * p  # flagged

def soft_update(net, target, tau):
    for p, q in zip(net.parameters(), target.parameters()):
        q.copy_(tau * p + (1 - tau) * q)  # flagged

def train(loader, model: nn.Module, optimizer: torch.optim.Optimizer):
    average = copy.deepcopy(model).requires_grad_(False)
    for x, y in loader:
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
        for e, p in zip(average.parameters(), model.parameters()):
            e.mul_(0.99).add_(p, alpha=0.01)  # flagged
""",
        # a log that is returned with the loss: a note, for the caller decides how long it lives
        """\
import torch
import torch.nn.functional as F

def forward(model, sample):
    logits = model(sample["input"])
    loss = F.cross_entropy(logits, sample["target"])
    logging_output = {
        "loss": loss,  # flagged
        "accuracy": (logits.argmax(1) == sample["target"]).float().mean(),
        "size": len(sample["target"]),
    }
    return loss, logging_output

def step(model, batch, flatten):
    policy_loss = F.mse_loss(model(batch["x"]), batch["y"])
    value_loss = F.mse_loss(model(batch["z"]), batch["v"])
    loss = policy_loss + 0.1 * value_loss
    stats = dict(loss=dict(policy=policy_loss.detach(), total=loss), n=len(batch))  # flagged
    stats["value"] = value_loss
    return loss, flatten(stats)
""",
        # a term that is 0 at first, and a number has no `detach`
        """\
import torch.nn.functional as F

def forward(model, sample, is_warm_up):
    loss = F.cross_entropy(model(sample["input"]), sample["target"])
    latency = model.delays(sample["input"]).mean()
    if is_warm_up:
        latency = 0
    metrics = {"latency": latency}  # flagged
    return loss + latency, metrics
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    total = 0
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.detach()  # flagged
    return total / len(loader)
""",
        """\
import torch
from torch import nn

def train(model, loader, epochs):
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters())
    losses = []
    for epoch in range(epochs):
        running_loss = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            losses.append(loss.detach())  # flagged
            loss.backward()
            optimizer.step()
            running_loss += loss.detach() * x.size(0)  # flagged
        print(epoch, running_loss / len(loader.dataset))
    return losses
""",
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    avg, history = 0.0, {"loss": [], "batch": []}
    for i, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x.cuda()), y.cuda())
        loss.backward()
        optimizer.step()
        avg = avg + loss.detach() / len(loader)  # flagged
        history["loss"].append(loss.detach().cpu())  # flagged
        history["batch"].append(i)
    print(avg)
    return history
""",
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters())
        self.criterion = nn.CrossEntropyLoss()
        self.loss_sum = 0

    def fit(self, loader):
        for x, y in loader:
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(x), y)
            loss.backward()
            self.optimizer.step()
            self.loss_sum += loss.detach()  # flagged
        print(f"{self.loss_sum / len(loader):.4f}")
""",
        """\
import torch
import torch.nn.functional as F

def train(model, loader, auc):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    outputs, targets = [], []
    for x, y in loader:
        optimizer.zero_grad()
        logits = model(x)
        F.cross_entropy(logits, y).backward()
        optimizer.step()
        outputs.append(logits.detach())  # flagged
        targets.append(y)
    return auc(torch.cat(outputs), torch.cat(targets))
""",
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    smoothed = 0.0
    for step, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        smoothed = 0.98 * smoothed + 0.02 * loss.detach()  # flagged
        if step % 100 == 0:
            print(float(smoothed))
""",
        """\
import torch
import torch.nn.functional as F

def train(G, D, loader):
    opt_g = torch.optim.Adam(G.parameters())
    opt_d = torch.optim.Adam(D.parameters())
    log = []
    for step, real in enumerate(loader):
        fake = G(torch.randn(real.size(0), 64))
        opt_d.zero_grad()
        d_loss = F.softplus(D(fake.detach())).mean() + F.softplus(-D(real)).mean()
        d_loss.backward()
        opt_d.step()
        opt_g.zero_grad()
        g_loss = F.softplus(-D(fake)).mean()
        g_loss.backward()
        opt_g.step()
        log.append({"step": step, "d": d_loss.detach(), "g": g_loss.detach()})  # flagged
    return log
""",
        """\
import torch
import torch.nn.functional as F

def train_step(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    epoch_loss = 0
    for x, y in loader:
        epoch_loss += train_step(model, optimizer, x, y).detach()  # flagged
    print(epoch_loss)
""",
        """\
import torch
from torch import nn

def train(model, loader, criterion: nn.CrossEntropyLoss, log_every=50):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kept = []
    for i, (x, y) in enumerate(loader):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if i % log_every == 0:
            kept += [loss.detach()]  # flagged
    return torch.stack(kept).mean().item()
""",
        None,
        """\
import torch
import torch.nn.functional as F

def forward(model, sample):
    logits = model(sample["input"])
    loss = F.cross_entropy(logits, sample["target"])
    logging_output = {
        "loss": loss.detach(),
        "accuracy": (logits.argmax(1) == sample["target"]).float().mean(),
        "size": len(sample["target"]),
    }
    return loss, logging_output

def step(model, batch, flatten):
    policy_loss = F.mse_loss(model(batch["x"]), batch["y"])
    value_loss = F.mse_loss(model(batch["z"]), batch["v"])
    loss = policy_loss + 0.1 * value_loss
    stats = dict(loss=dict(policy=policy_loss.detach(), total=loss.detach()), n=len(batch))
    stats["value"] = value_loss.detach()
    return loss, flatten(stats)
""",
        None,
    ]

    good = [
        # a count, of an option that the loss depends on as well
        """\
import argparse
import torch

parser = argparse.ArgumentParser()
opt = parser.parse_args()

def train(D, loader):
    optimizer = torch.optim.Adam(D.parameters(), lr=opt.lr)
    done = 0
    for real in loader:
        optimizer.zero_grad()
        loss = -D(real).mean() + opt.weight * D(real).pow(2).mean()
        loss.backward()
        optimizer.step()
        done += opt.batch_size
""",
        # moving averages without a graph, and sums of parameters that are a penalty
        """\
import torch

class Shadow:
    def __init__(self, model, decay):
        self.decay = decay
        self.shadow = {name: p.clone().detach() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model):
        for name, p in model.named_parameters():
            self.shadow[name] = self.decay * self.shadow[name] + (1 - self.decay) * p

    def old_update(self, model):
        for name, p in model.named_parameters():
            self.shadow[name] = self.decay * self.shadow[name] + (1 - self.decay) * p.data

    def restore(self, model):
        for name, value in model.state_dict().items():
            self.shadow[name] = self.decay * self.shadow[name] + (1 - self.decay) * value

def soft_update(net, target, tau):
    with torch.no_grad():
        for p, q in zip(net.parameters(), target.parameters()):
            q.mul_(1 - tau).add_(p, alpha=tau)
    for p, q in zip(net.parameters(), target.parameters()):
        q.data.copy_(tau * p.data + (1 - tau) * q.data)
        q.data.mul_(1 - tau).add_(p.detach(), alpha=tau)

def penalty(model, anchor, penalties):
    for (name, p), q in zip(model.named_parameters(), anchor.parameters()):
        penalties[name] = penalties[name] + (p - q).pow(2).sum()
    return sum(penalties.values())
""",
        # a log of numbers, outputs that are no log, a framework that detaches what it logs, and a choice
        """\
import lightning as L
import torch.nn.functional as F

def forward(model, sample):
    logits = model(sample["input"])
    loss = F.cross_entropy(logits, sample["target"])
    metrics = {"loss": loss.item(), "logits": logits.detach()}
    return loss, metrics

def outputs_of(model, sample):
    logits = model(sample["input"])
    loss = F.cross_entropy(logits, sample["target"])
    outputs = {"loss": loss, "logits": logits}
    return loss, outputs

class Model(L.LightningModule):
    def shared_step(self, batch):
        loss = F.mse_loss(self.net(batch.x), batch.y)
        logs = {"loss": loss}
        return loss, logs

def on_either_device(model, sample, is_lazy):
    loss = F.cross_entropy(model(sample["input"]), sample["target"])
    logging_output = {"loss": loss if is_lazy else loss.detach()}
    return loss, logging_output
""",
        # numbers and detached tensors
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    total, weighted, kept, values = 0.0, 0.0, [], []
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
        weighted += float(loss) * x.size(0)
        kept.append(loss.detach().cpu())
        values.append(loss.data)
    return total, weighted, kept, values
""",
        # made anew in every round, beside something else
        """\
import torch
import torch.nn.functional as F

def train(model, parts, x, y):
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(100):
        gates, penalty = [], 0
        for part in parts:
            gate, cost = part(x)
            gates.append(gate)
            penalty += cost
        model.open(gates)
        loss = F.mse_loss(model(x), y) + penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # counts that the loss is weighted with, returned beside it and logged, and the log of a helper
        """\
import torch.nn.functional as F

def count(sample, label):
    right = 0
    for one in sample["pred"]:
        right += 1 if one == label else 0
    return right

def forward(model, criteria, sample, label):
    logits = model(sample["input"])
    loss = F.cross_entropy(logits, sample["target"])
    size = sample["size"] if label is None else count(sample, label)
    loss = loss + 0.1 * logits.pow(2).mean() * size
    logging_output = {"loss": loss.item(), "size": size, "first": sample["size"]}
    for name, criterion in criteria.items():
        extra_loss, extra_log = criterion(logits, sample)
        loss = loss + extra_loss
        logging_output[name] = extra_log
    return loss, size, logging_output
""",
        # bound anew before it is kept
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    total, norms = 0.0, []
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0))
        optimizer.step()
        loss = loss.item()
        total += loss
    return total, norms
""",
        # starts afresh at every optimizer step
        """\
import torch
import torch.nn.functional as F

def train(model, loader, accumulate):
    optimizer = torch.optim.AdamW(model.parameters())
    running = 0
    for i, (x, y) in enumerate(loader):
        loss = F.cross_entropy(model(x), y) / accumulate
        loss.backward()
        running += loss
        if (i + 1) % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
            print(running.item())
            running = 0
""",
        # back-propagated itself, through time or over tasks
        """\
import torch
import torch.nn.functional as F

def train(rnn, loader):
    optimizer = torch.optim.Adam(rnn.parameters())
    for x, y in loader:
        hidden, loss = None, 0
        for t in range(x.size(0)):
            out, hidden = rnn(x[t], hidden)
            loss += F.cross_entropy(out, y[t])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

def meta_step(model, tasks):
    optimizer = torch.optim.Adam(model.parameters())
    for batch in tasks:
        losses = []
        for x, y in batch:
            losses.append(F.mse_loss(model(x), y))
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        optimizer.step()
""",
        # one backward after all of them
        """\
import torch
import torch.nn.functional as F

def full_batch(model, loader, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(epochs):
        total = 0
        for x, y in loader:
            total += F.mse_loss(model(x), y, reduction="sum")
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        print(epoch, total.item())
""",
        # kept in one loop, back-propagated in another
        """\
import torch
import torch.nn.functional as F

def compare(model, replica, loader, rounds):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(rounds):
        x, y = next(iter(loader))
        optimizer.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizer.step()
        loss = F.mse_loss(replica(x), y)
        losses.append(loss)
    for i in range(rounds):
        loss = losses[i]
        loss.backward()
""",
        # the validation part of the loop has no graph
        """\
import torch
import torch.nn.functional as F

def run(model, train_loader, val_loader, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(epochs):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        model.eval()
        val_loss = 0
        with torch.no_grad():
            for x, y in val_loader:
                val_loss += F.cross_entropy(model(x), y)
        print(val_loss / len(val_loader))

@torch.inference_mode()
def predict(model, loader):
    outputs = []
    for x in loader:
        outputs.append(model(x))
    return torch.cat(outputs)
""",
        # a function whose caller may be under no_grad, or may want the gradient
        """\
import torch.nn.functional as F

def loss_over(model, loader):
    total = 0
    for x, y in loader:
        total += F.cross_entropy(model(x), y)
    return total / len(loader)
""",
        # the policy gradient needs the graph of every step of the episode
        """\
import torch
from torch.distributions import Categorical

def reinforce(policy, env, episodes):
    optimizer = torch.optim.Adam(policy.parameters())
    for _ in range(episodes):
        log_probs, rewards, state, done = [], [], env.reset(), False
        while not done:
            dist = Categorical(logits=policy(state))
            action = dist.sample()
            log_probs.append(dist.log_prob(action))
            state, reward, done = env.step(action.item())
            rewards.append(reward)
        loss = -(torch.stack(log_probs) * torch.tensor(rewards)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # the same, kept in an attribute for another function
        """\
import torch
from torch import nn
from torch.distributions import Categorical

class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.saved_log_probs = []
        self.rewards = []

    def forward(self, x):
        return self.head(x)

policy = Policy()
optimizer = torch.optim.Adam(policy.parameters())

def select_action(state):
    dist = Categorical(logits=policy(state))
    action = dist.sample()
    policy.saved_log_probs.append(dist.log_prob(action))
    return action.item()

def finish_episode():
    loss = -(torch.stack(policy.saved_log_probs) * torch.tensor(policy.rewards)).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    policy.saved_log_probs.clear()
    policy.rewards.clear()

def train(env):
    for _ in range(1000):
        state, done = env.reset(), False
        while not done:
            state, reward, done = env.step(select_action(state))
            policy.rewards.append(reward)
        finish_episode()
""",
        # what counts hits carries no graph
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    correct, seen, predictions = 0, 0, []
    for x, y in loader:
        optimizer.zero_grad()
        out = model(x)
        F.cross_entropy(out, y).backward()
        optimizer.step()
        predicted = out.argmax(dim=1)
        correct += (predicted == y).sum()
        seen += y.size(0)
        predictions.append(predicted)
    return correct / seen, predictions
""",
        # bounded: a window, and a list that is emptied
        """\
from collections import deque
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    window, pending = deque(maxlen=20), []
    for step, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        window.append(loss)
        pending.append(loss)
        if step % 20 == 0:
            print(torch.stack(pending).mean().item(), len(window))
            pending.clear()
""",
        # the helper returns a number
        """\
import torch
import torch.nn.functional as F

def train_step(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    epoch_loss, curve = 0, []
    for x, y in loader:
        epoch_loss += train_step(model, optimizer, x, y)
        curve.append(train_step(model, optimizer, x, y))
    return epoch_loss, curve
""",
        # meters that take numbers, and meters of which nothing is known
        """\
import torch
import torch.nn.functional as F
from meters import AverageMeter

class Meter:
    def __init__(self):
        self.total = 0.0

    def update(self, value):
        self.total += value

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    mine, theirs = Meter(), AverageMeter()
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        mine.update(loss.item())
        theirs.update(loss)
""",
        # several terms of one loss
        """\
import torch
import torch.nn.functional as F

def train(model, heads, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, ys in loader:
        features = model(x)
        loss = F.mse_loss(features, x)
        for head, y in zip(heads, ys):
            loss += F.cross_entropy(head(features), y)
        loss += 1e-4 * sum(p.pow(2).sum() for p in model.parameters())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # old style: .data was the detach of its time
        """\
import torch
import torch.nn.functional as F
from torch.autograd import Variable

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    total_loss = 0
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(Variable(x)), Variable(y))
        loss.backward()
        optimizer.step()
        total_loss += loss.data[0]
    return total_loss
""",
        # numpy's losses have no graph
        """\
import numpy as np

def train(model, batches):
    total, losses = 0.0, []
    for x, y in batches:
        loss = np.mean((model.predict(x) - y) ** 2)
        model.backward(loss)
        total += loss
        losses.append(loss)
    return total, losses
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each value with a graph that outlives the round: in a sum or list, an average, a returned log."""
        yield from self._accumulated(source)
        yield from _averaged(source)
        yield from _logged(source)

    def _accumulated(self, source: SourceFile) -> Iterator[Report]:
        for kept in source.ask(facts.accumulations):
            carriers = [
                node for node in facts.accumulation.leaves(kept.value) if _carries(source, node, kept)
            ]
            if carriers and not kept.is_reset and not _is_back_propagated(source, kept):
                yield Report(
                    kept.statement,
                    f"`{kept.path}` keeps the graph of every round alive",
                    fix=_fix(source, carriers),
                )


def _averaged(source: SourceFile) -> Iterator[Report]:
    """Report averages of parameters that are computed with a graph: fairseq (#3384) leaked so."""
    for average in source.ask(facts.parameter_averages):
        if facts.differentiation.is_recorded(source, average.scope):
            yield Report(average.node, f"`{average.path}` takes the graph of every update along")


def _logged(source: SourceFile) -> Iterator[Report]:
    """Report each tensor in `return loss, metrics` that still hangs on the graph of that loss.

    Whether it stays alive is up to the caller, so it is a note; trl (#1531, #220) and fairseq (#1195) leaked.
    """
    if not source.ask(facts.syntax).identifiers & {"loss", "losses"}:
        return
    dicts: dict[tuple[Scope, str], list[cst.BaseExpression]] = {}
    for entry in source.ask(facts.log_entries):
        if _is_kept(source, entry) and not facts.logs.is_detached_by_framework(source, entry.scope):
            dicts.setdefault((entry.scope, entry.name), []).append(entry.value)
    for (_, name), kept in dicts.items():
        yield Report(
            kept[0],
            f"`{name}` carries the graph of the loss to whoever keeps it",
            severity=Severity.NOTE,
            confidence=Confidence.MEDIUM,
            related=tuple(Mark(value, "so does this") for value in kept[1:]),
            fix=_fix(source, [leaf for value in kept for leaf in list(facts.accumulation.leaves(value))[:1]]),
        )


def _is_kept(source: SourceFile, entry: LogEntry) -> bool:
    """Whether a logged value is the loss that is returned beside it, or a term of it.

    Anything else of its graph may be there as an output: `{"loss": loss, "logits": logits}`.
    """
    values = source.ask(facts.values)
    term = values.raw(entry.value)
    if any(_is_detached(option) for option in facts.terms.options(term)):
        return False  # also where one of two ways does it: then somebody has thought about it
    beside = {source.code(other): values.raw(other) for other in entry.beside}
    losses = [other for name, other in beside.items() if "loss" in name]
    if any(term is other for other in beside.values() if other not in losses):
        return False  # its sample size, which a loss may be weighted with
    summands = {part for loss in losses for part in facts.accumulation.summands(loss)}
    return any(part in summands for part in facts.accumulation.summands(term))


def _is_detached(term: Term) -> bool:
    return isinstance(term, facts.terms.Operation) and facts.gradients.carries_graph(term) is False


def _carries(source: SourceFile, node: cst.BaseExpression, kept: Accumulation) -> bool:
    """Whether a part of what is kept hangs on a graph that this loop builds and back-propagates."""
    if source.code(node) == kept.path:
        return False
    values = source.ask(facts.values)
    term = values.raw(node)
    if facts.gradients.carries_graph(term) is False:
        return False
    graph = {part for subject in kept.subjects for part in facts.accumulation.graph_of(subject)}
    return any(
        part in graph or facts.accumulation.is_loss(part) or getattr(part, "node", None) in kept.nodes
        for part in facts.accumulation.graph_of(term)
    )


def _is_back_propagated(source: SourceFile, kept: Accumulation) -> bool:
    """Whether what is accumulated is itself the loss of a backward: over time steps, tasks, episodes."""
    wanted = source.ask(facts.values).raw(kept.value)
    if any(part is wanted for subject in kept.elsewhere for part in facts.terms.options(subject)):
        return True
    for subject in kept.subjects:
        for part in facts.terms.within(subject):
            if getattr(part, "node", None) in (kept.statement, kept.value) and isinstance(
                part, facts.terms.Operation
            ):
                return part.name in ("add", "append", "sub")
            if isinstance(part, facts.terms.Repeated | facts.terms.Display) and any(
                inner is wanted for inner in facts.terms.within(part)
            ):
                return True
    return False


def _fix(source: SourceFile, carriers: list[cst.BaseExpression]) -> ProposedFix | None:
    values = source.ask(facts.values)
    kinds = [option for node in carriers for option in facts.terms.options(values.raw(node))]
    if not kinds or any(_is_number(kind) for kind in kinds):
        return None  # a number has no `detach`
    changes = tuple(Replace(node, f"{source.code(node)}.detach()") for node in carriers)
    return ProposedFix("Keep the value without its graph: `.detach()`", Applicability.SAFE, changes)


def _is_number(term: Term) -> bool:
    if isinstance(term, facts.terms.Operation):
        return term.name in ("item", "builtin_float", "builtin_int")
    return isinstance(term, facts.terms.Constant)
