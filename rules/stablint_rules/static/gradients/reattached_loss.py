"""STB151 reattached-loss: a loss without history, made to look as if it could train."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.events import Event
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class ReattachedLoss(StaticRule):
    """The loss is cut from its graph and made a new leaf, so `backward()` runs and nothing learns.

    ## What it does

    Follows what `backward()` is called on. Reports where a number that came out of a model, by
    `.item()`, `.detach()`, `.data`, `.numpy()`, `float()`, `torch.tensor()`, `argmax`, a comparison or
    `no_grad`, is made to require a gradient again: `torch.tensor(loss, requires_grad=True)`,
    `Variable(loss, requires_grad=True)`, `loss.requires_grad_()`, `loss.requires_grad = True`.

    ## Why it is bad

    These calls are what people write to get rid of "element 0 of tensors does not require grad and does
    not have a grad_fn". They get rid of the message, not of its cause: the new tensor is a leaf, its
    gradient is 1, and no parameter receives any. `Variable(loss, requires_grad=True)` cuts the graph
    even when it was whole: after its `backward()` every `p.grad` is None (torch 2.13). The optimizer
    skips parameters without gradient, so the run trains nothing and reports no error. The error that was
    silenced was right.

    On a loss whose graph is whole, `loss.requires_grad_()` does nothing, and `loss.requires_grad = True`
    raises.

    ## Example

    ```python
    loss = torch.tensor(criterion(model(x), y).item(), requires_grad=True)
    loss.backward()
    optimizer.step()
    ```

    ## Use instead

    ```python
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
    ```

    Several losses are joined by `torch.stack(losses)`, not by `torch.tensor(losses)`. A metric that has
    no gradient (accuracy, an F1 score, anything after `argmax`) needs a differentiable stand-in.

    ## When to ignore it

    Never, for a loss that is to train a model. Leaves that are meant to be leaves are not reported:
    inputs of an attack, learned weights, `total = torch.zeros((), requires_grad=True)` to which losses
    are added.

    ## Fix safety

    No fix is offered: where the history was lost has to be found by hand.

    ## References

    - [torch.tensor](https://docs.pytorch.org/docs/stable/generated/torch.tensor.html)
    - [Autograd mechanics](https://docs.pytorch.org/docs/stable/notes/autograd.html)
    - [torch.Tensor.requires_grad_](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.requires_grad_.html)
    """

    code = "STB151"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # the number of a loss
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        loss = torch.tensor(F.cross_entropy(model(x), y).item(), requires_grad=True)  # flagged
        loss.backward()
        optimizer.step()
""",
        # a Variable made of a loss that was whole
        """\
import torch
from torch import nn
from torch.autograd import Variable

class Trainer:
    def __init__(self, model):
        self.model = model
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(model.parameters())

    def step(self, x, y):
        self.optimizer.zero_grad()
        loss = self.criterion(self.model(x), y)
        loss = Variable(loss, requires_grad=True)  # flagged
        loss.backward()
        self.optimizer.step()

    def old_step(self, x, y):
        self.optimizer.zero_grad()
        loss = self.criterion(self.model(x), y)
        Variable(loss.data, requires_grad=True).backward()  # flagged
        self.optimizer.step()
""",
        # detached, then asked to require a gradient
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y).detach()
        loss.requires_grad_(True)  # flagged
        loss.backward()
        optimizer.step()
""",
        # a sum of plain numbers
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        out = model(x)
        fit = float(F.mse_loss(out, y))
        size = out.abs().mean().item()
        loss = torch.as_tensor(fit + 0.01 * size)
        loss.requires_grad = True  # flagged
        loss.backward()
        optimizer.step()
""",
        # through numpy
        """\
import numpy as np
import torch

def train(model, loader):
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in loader:
        optimizer.zero_grad()
        predicted = model(x).detach().cpu().numpy()
        error = np.mean((predicted - y.numpy()) ** 2)
        loss = torch.from_numpy(np.asarray(error)).requires_grad_()  # flagged
        loss.backward()
        optimizer.step()
""",
        # in the function that computes the loss
        """\
import torch

def dice_loss(logits, target):
    predicted = (torch.sigmoid(logits) > 0.5).float()
    overlap = (predicted * target).sum()
    score = 2 * overlap / (predicted.sum() + target.sum() + 1e-6)
    return torch.tensor(1 - score.item(), requires_grad=True)  # flagged

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        loss = dice_loss(model(x), y)
        loss.backward()
        optimizer.step()
""",
        # in the forward of a loss module
        """\
import torch
from torch import nn
from torch.autograd import Variable

class PairLoss(nn.Module):
    def forward(self, a, b):
        total = 0.0
        for i in range(a.size(0)):
            total += torch.dist(a[i], b[i]).item()
        return Variable(torch.Tensor([total]), requires_grad=True)  # flagged

def train(model, loader):
    criterion = PairLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
""",
        # argmax has no gradient
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        predicted = model(x).argmax(dim=1).float()
        loss = F.mse_loss(predicted, y.float())
        loss.requires_grad_()  # flagged
        loss.backward()
        optimizer.step()
""",
        # a list of losses is copied, not joined
        """\
import torch
import torch.nn.functional as F

def train(model, heads, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, ys in loader:
        optimizer.zero_grad()
        features = model(x)
        losses = [F.cross_entropy(head(features), y) for head, y in zip(heads, ys)]
        loss = torch.tensor(losses, requires_grad=True).mean()  # flagged
        loss.backward()
        optimizer.step()
""",
        # computed under no_grad
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        with torch.no_grad():
            loss = F.cross_entropy(model(x), y)
        loss.requires_grad_(True)  # flagged
        loss.backward()
        optimizer.step()
""",
        # handed to a scaler, and to Accelerate
        """\
import torch
import torch.nn.functional as F
from accelerate import Accelerator

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cuda")
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(torch.tensor(loss.item(), requires_grad=True)).backward()  # flagged
        scaler.step(optimizer)
        scaler.update()

def train_accelerated(model, loader):
    accelerator = Accelerator()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y).detach().clone().requires_grad_(True)  # flagged
        accelerator.backward(loss)
        optimizer.step()
""",
        # at best it does nothing, at worst it hides a cut: a note
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.requires_grad_(True)  # flagged
        loss.backward()
        optimizer.step()
""",
    ]

    good = [
        # whole
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
""",
        # one factor of the policy gradient is a number, the other keeps the graph
        """\
import torch
from torch.distributions import Categorical

def reinforce(policy, optimizer: torch.optim.Optimizer, states, rewards):
    for state, reward in zip(states, rewards):
        dist = Categorical(logits=policy(state))
        loss = -dist.log_prob(dist.sample()) * reward.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # attacks and dreams want the gradient of the input
        """\
import torch
import torch.nn.functional as F

def pgd(model, x, y, steps=10):
    adv = x.clone().detach().requires_grad_(True)
    for _ in range(steps):
        loss = F.cross_entropy(model(adv), y)
        loss.backward()
        adv = (adv + 0.01 * adv.grad.sign()).detach().requires_grad_(True)
    return adv.detach()

def dream(model, image, steps):
    image = torch.tensor(image, requires_grad=True)
    for _ in range(steps):
        model(image).norm().backward()
        image.data += 0.01 * image.grad
        image.grad.zero_()
    return image
""",
        # the penalty is taken at new leaves
        """\
import torch
from torch.autograd import Variable

def penalty(D, real, fake):
    alpha = torch.rand(real.size(0), 1, 1, 1)
    mixed = Variable(alpha * real.data + (1 - alpha) * fake.data, requires_grad=True)
    (grad,) = torch.autograd.grad(D(mixed).sum(), mixed, create_graph=True)
    return ((grad.flatten(1).norm(2, dim=1) - 1) ** 2).mean()

def train(D, optimizer: torch.optim.Optimizer, pairs):
    for real, fake in pairs:
        optimizer.zero_grad()
        loss = D(fake).mean() - D(real).mean() + 10 * penalty(D, real, fake)
        loss.backward()
        optimizer.step()
""",
        # the teacher is cut off, the student is not
        """\
import torch
import torch.nn.functional as F

def distil(student, teacher, loader):
    optimizer = torch.optim.Adam(student.parameters())
    for x in loader:
        target = teacher(x).detach().softmax(dim=1)
        loss = F.cross_entropy(student(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # learned numbers are leaves
        """\
import torch
import torch.nn.functional as F

def train(model, loader, start):
    log_alpha = torch.zeros(1, requires_grad=True)
    temperature = torch.tensor(float(start), requires_grad=True)
    optimizer = torch.optim.Adam([*model.parameters(), log_alpha, temperature])
    for x, y in loader:
        loss = F.cross_entropy(model(x) / temperature, y) * torch.exp(-log_alpha).sum() + log_alpha.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # an empty total that losses are added to
        """\
import torch
import torch.nn.functional as F

def train(model, heads, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, ys in loader:
        features = model(x)
        loss = torch.tensor(0.0, requires_grad=True)
        for head, y in zip(heads, ys):
            loss = loss + F.cross_entropy(head(features), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # numbers for the log and for the other processes
        """\
import torch
import torch.distributed as dist
import torch.nn.functional as F

def train(model, loader, device):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    total, curve = 0.0, []
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
        curve.append(loss.detach().cpu().numpy())
        loss = torch.tensor(loss.item())
    total = torch.tensor(total, device=device)
    dist.all_reduce(total)
    return total / len(loader)
""",
        # first lessons
        """\
import torch
from torch.autograd import Variable

x = torch.tensor(2.0, requires_grad=True)
y = x ** 2 + 3 * x
y.backward()
print(x.grad)

w = Variable(torch.FloatTensor([1.0]), requires_grad=True)
(w * 2).backward()
a = torch.tensor(1.0, requires_grad=True)
a.backward()
""",
        # backward in two parts: the gradient of the cut is handed over
        """\
import torch

def contrastive_step(encoder, loss_fn, chunks, optimizer: torch.optim.Optimizer):
    with torch.no_grad():
        parts = [encoder(c) for c in chunks]
    features = torch.cat(parts).detach().requires_grad_()
    loss = loss_fn(features)
    loss.backward()
    for chunk, grad in zip(chunks, features.grad.split([len(c) for c in chunks])):
        encoder(chunk).backward(gradient=grad)
    optimizer.step()
    optimizer.zero_grad()
""",
        # a number beside a term that keeps its graph
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        out = model(x)
        scale = torch.tensor(out.std().item())
        loss = F.mse_loss(out, y) / scale + 0.01 * float(out.abs().max())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # checkpointing needs an input that requires a gradient
        """\
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

def train(embed, blocks, head, loader, optimizer: torch.optim.Optimizer):
    for x, y in loader:
        h = embed(x).detach()
        h.requires_grad_(True)
        for block in blocks:
            h = checkpoint(block, h, use_reentrant=True)
        optimizer.zero_grad()
        F.cross_entropy(head(h), y).backward()
        optimizer.step()
""",
        # a function of autograd recomputes on leaves of its own
        """\
import torch

class Recompute(torch.autograd.Function):
    @staticmethod
    def forward(ctx, run, *inputs):
        ctx.run, ctx.inputs = run, inputs
        with torch.no_grad():
            return run(*inputs)

    @staticmethod
    def backward(ctx, grad):
        leaves = [x.detach().requires_grad_(True) for x in ctx.inputs]
        with torch.enable_grad():
            out = ctx.run(*leaves)
        return (None, *torch.autograd.grad(out, leaves, grad))
""",
        # targets of Q-learning are cut off
        """\
import torch
import torch.nn.functional as F

def learn(q, target_q, buffer, gamma=0.99):
    optimizer = torch.optim.Adam(q.parameters())
    for s, a, r, s2 in buffer:
        with torch.no_grad():
            best = target_q(s2).max(dim=1).values
        target = r + gamma * best
        loss = F.smooth_l1_loss(q(s).gather(1, a).squeeze(1), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # argmax for the accuracy, cross-entropy for the gradient
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        logits = model(x)
        accuracy = torch.tensor((logits.argmax(dim=1) == y).float().mean().item())
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(loss.item(), accuracy)
""",
        # as_tensor does not copy, and a stack joins
        """\
import torch
import torch.nn.functional as F

def train(model, heads, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, ys in loader:
        features = model(x)
        losses = [F.cross_entropy(head(features), y) for head, y in zip(heads, ys)]
        loss = torch.as_tensor(torch.stack(losses).mean())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # a loss from elsewhere, of which nothing is known
        """\
import torch
from losses import compute_loss

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch in loader:
        loss = compute_loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report each loss whose whole way to the backward goes through a new leaf."""
        if "requires_grad" not in source.text:
            return
        seen: set[object] = set()
        for root in source.ask(facts.training_paths):
            for backward in facts.paths.events_in(root.path, facts.events.Kind.BACKWARD):
                for leaf in _leaves(backward.subject):
                    report = _report(leaf, backward)
                    if leaf.node not in seen and report is not None:
                        seen.add(leaf.node)
                        yield report


_COPIES = {"tensor", "Tensor", "FloatTensor", "variable"}
"""What makes a new leaf even of a tensor with a graph; `as_tensor` does not."""


def _leaves(loss: Term | None) -> list[Operation]:
    """Return the new leaves that a loss is made of where nothing else in it carries a graph."""
    terms = facts.terms
    found: list[Operation] = []
    stack = [facts.events.unscaled(loss)] if loss is not None else []
    seen: set[Term] = set()
    while stack:
        term = stack.pop()
        if term in seen:
            continue
        seen.add(term)
        match term:
            case terms.Operation() if _is_leaf(term):
                found.append(term)
            case terms.Operation(name="parameter"):
                return []
            case terms.Operation() if not term.graph or facts.gradients.detaches(term):
                pass
            case terms.Operation(module=module, operands=operands):
                if module is not None and facts.gradients.carries_graph(term) is True:
                    return []
                stack.extend(operands)
            case terms.Either(options=parts):
                stack.extend(parts)
            case terms.Constant() | terms.Item():
                pass  # an element of a batch
            case _:
                return []  # a call or argument of which nothing is known may carry the graph
    return found


def _is_leaf(term: Operation) -> bool:
    if term.name == "requires_grad":
        flag = term.argument("requires_grad", 0)
        return flag is None or (isinstance(flag, facts.terms.Constant) and flag.value is True)
    wanted = term.keywords.get("requires_grad")
    return term.name in _COPIES and isinstance(wanted, facts.terms.Constant) and wanted.value is True


def _report(leaf: Operation, backward: Event) -> Report | None:
    inner = leaf.operands[0] if leaf.operands else None
    if inner is None or not _is_computed(inner):
        return None
    related = (Mark(backward.node, "this backward ends there"),)
    if leaf.name != "requires_grad" or _is_cut(inner):
        return Report(
            leaf.node,
            "the loss is cut from its graph and made a new leaf: no parameter gets a gradient",
            related=related,
        )
    if any(facts.accumulation.is_loss(one) for one in facts.provenance.origins(inner)):
        message = "the loss requires a gradient by itself; asking for it hides where the graph is cut"
        return Report(leaf.node, message, severity=Severity.NOTE, related=related)
    return None


def _is_computed(term: Term) -> bool:
    """Whether a network has a part in a value, however it was cut off; a constant alone is a leaf of its own."""
    for part in facts.terms.within(term):
        match part:
            case facts.terms.Operation(module=module) if module is not None or facts.accumulation.is_loss(
                part
            ):
                return True
            case facts.terms.Call(callee=callee) if not isinstance(callee, facts.terms.Reference):
                return True
            case _:
                pass
    return False


def _is_cut(term: Term) -> bool:
    """Whether no graph comes through: everything that could carry one is behind what detaches."""
    terms = facts.terms
    stack, seen = [term], set[object]()
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        match current:
            case terms.Operation() if not current.graph or facts.gradients.detaches(current):
                pass
            case terms.Operation(module=module):
                if module is not None and facts.gradients.carries_graph(current) is True:
                    return False
                stack.extend(current.operands)
            case terms.Call(callee=terms.Reference(dotted=dotted)) if dotted.startswith("numpy."):
                pass
            case terms.Call(graph=graph):
                if graph:
                    return False
            case terms.Either(options=parts) | terms.Display(items=parts):
                stack.extend(parts)
            case terms.Parameter():
                return False
            case _:
                pass
    return True
