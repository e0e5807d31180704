"""STB154 non-differentiable-loss: between the network and the loss stands something without a gradient."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.facts.events import Event
    from stablint.static.facts.scopes import Scope
    from stablint.static.facts.terms import Term
    from stablint.static.source import SourceFile


class NonDifferentiableLoss(StaticRule):
    """What the network returns reaches the loss, or a term of it, only through operations without a gradient.

    ## What it does

    Follows what `backward()` is called on. Reports as an error a loss whose every way back ends at
    `argmax`, a comparison, the indices of `max` or `topk`, a cast to whole numbers, `round`, `sign`,
    `floor`, `.item()`, `.numpy()` or `torch.tensor()`; as a warning a term of a loss that does so while
    other terms train, and functions and modules named after a loss that treat their predictions so.

    ## Why it is bad

    `argmax`, comparisons and casts to whole numbers have no gradient: where nothing else leads from the
    loss to a parameter, `backward()` raises "element 0 of tensors does not require grad". `round`, `sign`
    and `floor` have the gradient 0: `backward()` runs, every `p.grad` is 0, and nothing learns (torch
    2.13). A dice or accuracy term on thresholded predictions beside a cross-entropy is worse to see: the
    loss falls, and the term has no part in it.

    ## Example

    ```python
    pred = model(x).argmax(1).float()
    loss = F.mse_loss(pred, y.float())
    ```

    ## Use instead

    ```python
    loss = F.cross_entropy(model(x), y)
    ```

    A soft version of the measure has a gradient: probabilities in place of decisions. A straight-through
    estimator, `x + (x.round() - x).detach()`, rounds and lets the gradient by.

    ## When to ignore it

    For a term that is only to be shown in the sum. Terms cut off by `detach()` or `no_grad` are not
    reported: they say that it is meant.

    ## Fix safety

    No fix is offered: the differentiable stand-in has to be chosen.

    ## References

    - [Autograd mechanics: gradients for non-differentiable functions](https://docs.pytorch.org/docs/stable/notes/autograd.html#gradients-for-non-differentiable-functions)
    - [torch.argmax](https://docs.pytorch.org/docs/stable/generated/torch.argmax.html)
    - [torch.round](https://docs.pytorch.org/docs/stable/generated/torch.round.html)
    """

    code = "STB154"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # the class with the largest output
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        predicted = model(x).argmax(dim=1).float()  # flagged
        loss = F.mse_loss(predicted, y.float())
        loss.backward()
        optimizer.step()
""",
        # rounded: the backward runs, and every gradient is zero
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(10, 1)

    def forward(self, x):
        return torch.round(torch.sigmoid(self.fc(x)))  # flagged

def train(loader):
    model = Net()
    criterion = nn.BCELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
""",
        # the indices of max, in a helper
        """\
import torch
import torch.nn.functional as F

def distance(out, y):
    _, predicted = torch.max(out, 1)  # flagged
    return F.l1_loss(predicted.float(), y)

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        loss = distance(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # one term of the loss
        """\
import torch
import torch.nn.functional as F

class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters())

    def overlap(self, logits, mask):
        predicted = (torch.sigmoid(logits) > 0.5).float()  # flagged
        return 2 * (predicted * mask).sum() / (predicted.sum() + mask.sum() + 1e-6)

    def step(self, x, mask):
        logits = self.model(x)
        loss = F.binary_cross_entropy_with_logits(logits, mask) + 0.5 * (1 - self.overlap(logits, mask))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
""",
        # a loss module that decides first
        """\
import torch
from torch import nn

class DiceLoss(nn.Module):
    def forward(self, logits, target):
        predicted = torch.argmax(logits, dim=1)  # flagged
        overlap = (predicted * target).sum()
        return 1 - 2.0 * overlap / (predicted.sum() + target.sum())

def count_loss(pred, target):
    return torch.abs(pred.round() - target).mean()  # flagged
""",
        # a number in place of the tensor that carries the gradient
        """\
import torch
from torch.distributions import Categorical

def reinforce(policy, optimizer: torch.optim.Optimizer, states, returns):
    losses = []
    for state, value in zip(states, returns):
        dist = Categorical(logits=policy(state))
        losses.append(-dist.log_prob(dist.sample()).item() * value)
    loss = torch.tensor(losses).sum()  # flagged
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
""",
        # the same, summed up
        """\
import torch

def policy_gradient(generator, optimizer: torch.optim.Optimizer, sequences, rewards):
    loss = 0
    for sequence, reward in zip(sequences, rewards):
        hidden = generator.init_hidden()
        for now, following in zip(sequence, sequence[1:]):
            output, hidden = generator(now, hidden)
            log_probs = torch.log_softmax(output, dim=1)
            loss = loss - log_probs[0, following].detach().numpy() * reward  # flagged
    loss = loss / len(sequences)
    loss.backward()
    optimizer.step()
""",
        # whole numbers
        """\
import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(4, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for x, y in zip(torch.randn(100, 4), torch.randint(0, 5, (100, 1))):
    loss = (net(x).long() - y).abs().float().mean()  # flagged
    loss.backward()
    optimizer.step()
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
        return self.fc(x)

# file: train.py
import torch.nn.functional as F
from models.net import Net

model = Net()

def step(x, y):
    return F.mse_loss(model(x).argmax(dim=1).float(), y).backward()  # flagged
""",
    ]

    good = [
        # the right losses, and an accuracy beside them
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        out = model(x)
        loss = F.cross_entropy(out, y)
        accuracy = (out.argmax(1) == y).float().mean()
        loss.backward()
        optimizer.step()
        print(loss.item(), accuracy.item())
""",
        # what a policy saved while it played, weighed with numbers that settings had a part in
        """\
import argparse

import gym
import torch
from torch import nn
from torch.distributions import Categorical

class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)
        self.saved, self.rewards = [], []

    def forward(self, x):
        return torch.softmax(self.fc(x), dim=1)

parser = argparse.ArgumentParser()
parser.add_argument("--gamma", type=float, default=0.99)
args = parser.parse_args()
env = gym.make("CartPole-v0")
policy = Policy()
optimizer = torch.optim.Adam(policy.parameters())

def act(state):
    choice = Categorical(policy(state))
    action = choice.sample()
    policy.saved.append(choice.log_prob(action))
    return action.item()

def learn():
    total, losses, rewards = 0, [], []
    for reward in policy.rewards[::-1]:
        total = reward + args.gamma * total
        rewards.insert(0, total)
    rewards = torch.tensor(rewards)
    for log_prob, reward in zip(policy.saved, rewards):
        losses.append(-log_prob * reward)
    optimizer.zero_grad()
    loss = torch.cat(losses).sum()
    loss.backward()
    optimizer.step()

def main():
    state = env.reset()
    for _ in range(10000):
        state, reward, done, _ = env.step(act(state))
        policy.rewards.append(reward)
        if done:
            learn()

if __name__ == "__main__":
    main()
""",
        # straight-through
        """\
import torch
import torch.nn.functional as F

def quantise(x):
    return x + (x.round() - x).detach()

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        F.mse_loss(quantise(model(x)), y).backward()
        optimizer.step()
""",
        # decisions choose or weigh what is trained
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        out = model(x)
        wrong = (out.argmax(1) != y).float()
        hard = F.cross_entropy(out, y, reduction="none") * (1 + wrong)
        best = out.gather(1, out.argmax(1, keepdim=True))
        kept = torch.where(out > 0, out, torch.zeros_like(out))
        loss = hard.mean() - best.mean() + kept.mean() + out.max(1)[0].mean()
        loss.backward()
        optimizer.step()
""",
        # pseudo-labels and rewards are targets
        """\
import torch
import torch.nn.functional as F

def train(student, teacher, loader):
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    for x in loader:
        optimizer.zero_grad()
        label = teacher(x).argmax(1)
        F.cross_entropy(student(x), label).backward()
        optimizer.step()
""",
        # cut off on purpose
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        out = model(x)
        with torch.no_grad():
            shown = (out.argmax(1) != y).float().mean()
        loss = F.cross_entropy(out, y) + shown + out.abs().mean().detach()
        loss.backward()
        optimizer.step()
""",
        # terms made of data alone
        """\
import torch
import torch.nn.functional as F

def train(model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        loss = F.cross_entropy(model(x), y) + (y > 0).float().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # losses that round targets, and measures
        """\
import torch
from torch import nn

class BinnedLoss(nn.Module):
    def forward(self, pred, target):
        bins = (target * 10).long()
        positive = (target > 0.5).float()
        return ((pred - bins) ** 2 * positive).mean()

def dice_metric(pred, target):
    pred = (pred > 0.5).float()
    return 2 * (pred * target).sum() / (pred.sum() + target.sum())

def zero_one_loss(pred, target):
    return (pred.argmax(1) != target).float().mean()
""",
        # a soft overlap
        """\
import torch

def dice_loss(logits, target):
    predicted = torch.sigmoid(logits)
    valid = (target >= 0).float()
    overlap = (predicted * target * valid).sum()
    return 1 - 2 * overlap / (predicted.sum() + target.sum() + 1e-6)
""",
        # a learned weight
        """\
import torch
from torch import nn

class GateLoss(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.weight = make()

    def forward(self, pred, target):
        return (self.weight * (pred.argmax(1) != target)).mean()
""",
        # counted with what is not seen
        """\
import torch
from measures import soft

def my_loss(pred, target):
    hard = (pred > 0.5).float()
    return soft(pred, target) + (hard - target).abs().mean()
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report what the ways back from a loss end at, where nothing leads on from there."""
        seen: set[object] = set()
        for root in source.ask(facts.training_paths):
            for backward in facts.paths.events_in(root.path, facts.events.Kind.BACKWARD):
                for report in _backward(backward):
                    if report.node not in seen:
                        seen.add(report.node)
                        yield report
        for scope in source.ask(facts.syntax).functions:
            if _is_loss_function(source, scope):
                yield from (one for one in _returned(source, scope) if one.node not in seen)


_BARE = {"item", "numpy", "tolist", "tensor", "builtin_float", "from_numpy", "Tensor"}
"""What makes a number or a copy of a tensor."""
_DECIDING = {
    "argmax", "argmin", "compare", "eq", "ne", "gt", "lt", "ge", "le", "long", "int", "bool", "round", "floor", "ceil",
    "trunc", "sign", "heaviside", "one_hot", "argsort", "to", "type", "builtin_int", "builtin_round", "floor_divide",
}  # fmt: skip
"""What has no gradient, or the gradient zero."""
_RANKING = {"max", "min", "topk", "sort", "median"}
_MEANT = {"detach", "data", "detach_"}


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where a gradient ends; `what` ends it."""

    node: cst.CSTNode
    what: str
    term: Term


def _backward(backward: Event) -> Iterator[Report]:
    if backward.subject is None or not backward.graph:
        return
    loss = facts.events.unscaled(backward.subject)
    mark = (Mark(backward.node, "this backward"),)
    cuts = _cuts(loss)
    if cuts is not None:
        for cut in (one for one in cuts if any(map(_is_network, facts.terms.within(one.term)))):
            yield Report(cut.node, f"no gradient passes {cut.what}: nothing learns", related=mark)
            return
        return
    trained = {getattr(part, "node", None) for part in facts.accumulation.graph_of(loss) if _is_network(part)}
    for term in _terms(loss):
        for cut in _cuts(term) or ():
            if any(
                _is_network(part) and getattr(part, "node", None) in trained
                for part in facts.terms.within(cut.term)
            ):
                yield Report(
                    cut.node,
                    f"no gradient passes {cut.what}: this term of the loss trains nothing",
                    severity=Severity.WARNING,
                    confidence=Confidence.MEDIUM,
                    related=mark,
                )
                break


def _is_network(part: Term) -> bool:
    match part:
        case facts.terms.Operation(module=module):
            return module is not None and facts.gradients.carries_graph(part) is True
        case facts.terms.Call(callee=callee):
            root = callee
            while isinstance(root, facts.terms.Attribute | facts.terms.Item | facts.terms.Call):
                root = root.callee if isinstance(root, facts.terms.Call) else root.base
            dotted = getattr(root, "dotted", "").partition(".")[0]
            return not isinstance(callee, facts.terms.Reference) and dotted not in _NO_NETWORKS
        case _:
            return False


_NO_NETWORKS = {"argparse", "gym", "gymnasium"}
"""What `args = parser.parse_args()` and `env.step(action)` come from."""


def _terms(loss: Term) -> Iterator[Term]:
    """Yield the summands of a loss; elements that are added up (a straight-through estimator) are no terms."""
    stack, seen = [loss], set[object]()
    while stack:
        term = stack.pop()
        if term in seen:
            continue
        seen.add(term)
        match term:
            case facts.terms.Operation(name="add" | "sub" | "neg", operands=operands):
                stack.extend(operands)
            case facts.terms.Either(options=options):
                stack.extend(options)
            case _:
                yield term


def _cuts(loss: Term) -> list[_Cut] | None:
    """Return what the ways back from a value end at; None where one leads on, or where one is not known."""
    found: list[_Cut] = []
    names: set[str] = set()
    stack, seen = [loss], set[object]()
    while stack:
        term = stack.pop()
        if term in seen:
            continue
        seen.add(term)
        cut = _cut(term)
        if cut is not None:
            found.append(cut)
            continue
        names |= _summed(term)
        if isinstance(term, facts.terms.Unknown) and term.label in names:
            continue  # what the rounds before have summed
        inner = _before(term)
        if inner is None:
            return None
        stack.extend(inner)
    return found


def _summed(term: Term) -> set[str]:
    """Return the variables that are added to themselves in a loop: `{0 / total + x}`."""
    sums = [one for one in facts.terms.options(term) if getattr(one, "name", "") in ("add", "sub")]
    if len(sums) == len(facts.terms.options(term)):
        return set()
    parts = [
        part for one in sums for operand in facts.terms.parts(one) for part in facts.terms.options(operand)
    ]
    return {part.label for part in parts if isinstance(part, facts.terms.Unknown)} - {""}


def _cut(term: Term) -> _Cut | None:
    """Return the end of a gradient that a term is."""
    match term:
        case facts.terms.Item(base=facts.terms.Operation(name=name, graph=True) as base) if name in _RANKING:
            is_index = facts.gradients.carries_graph(term) is False
            return _Cut(base.node, f"the indices of `{name}`", term) if is_index else None
        case facts.terms.Operation(name=name, graph=True) if "requires_grad" not in term.keywords:
            if name not in _BARE | _DECIDING or not facts.gradients.detaches(term):
                return None
            what = "a comparison" if name == "compare" else f"`{name.removeprefix('builtin_')}`"
            return _Cut(term.node, what, term)
        case _:
            return None


def _before(term: Term) -> tuple[Term, ...] | None:
    """Return what a value is computed from; nothing of data, None where a gradient may arrive at a parameter."""
    terms = facts.terms
    match term:
        case terms.Operation(name="parameter" | "requires_grad" | "variable"):
            return None
        case terms.Operation(keywords=keywords) if "requires_grad" in keywords:
            return None
        case terms.Operation() if not term.graph or term.name in _MEANT or facts.gradients.detaches(term):
            return ()
        case terms.Operation(module=module) if (
            module is not None and facts.gradients.carries_graph(term) is True
        ):
            return None
        case terms.Operation() | terms.Either() | terms.Display() | terms.Repeated():
            return tuple(facts.terms.parts(term))
        case terms.Call(callee=terms.Reference(dotted=dotted)) if dotted.startswith("numpy."):
            return (*term.positional, *term.keywords.values())
        case terms.Call():
            return None if term.graph else ()
        case terms.Constant() | terms.Reference():
            return ()
        case terms.Item(base=base, key=key) if key is terms.EACH or isinstance(base, terms.Item):
            return _data(base)
        case terms.Parameter(name=name):
            return () if _TARGET.search(name) or _SETTING.search(name) else None
        case terms.Attribute(name=name):
            return () if _SETTING.search(name) else None  # `self.weight` may be learned
        case terms.Item(base=terms.Operation() as base):
            return (base,)
        case _:
            return None


def _data(base: Term) -> tuple[Term, ...] | None:
    """Return nothing for the elements of what a loop goes over; other elements are as what they are taken from."""
    while isinstance(base, facts.terms.Item):
        base = base.base
    match base:
        case facts.terms.Parameter() | facts.terms.Instance() | facts.terms.Constant():
            return ()
        case facts.terms.Operation(name="enumerate" | "zip" | "tqdm", operands=operands):
            return None if any(map(_is_kept, operands)) else ()
        case facts.terms.Operation(name="range"):
            return ()
        case facts.terms.Call():
            return None
        case _:
            return (base,)


def _is_kept(walked: Term) -> bool:
    """Whether a loop goes over what an object keeps: log-probabilities, with their graph, that a policy saved."""
    return any(
        isinstance(one, facts.terms.Attribute) and _LOADER.search(one.name) is None
        for option in facts.terms.options(walked)
        for one in facts.provenance.origins(option)
    )


_LOADER = re.compile(r"load|(^|_)d[ls]$|data_?set|batches", re.IGNORECASE)
"""What gives data."""
_TARGET = re.compile(r"target|label|truth|(^|_)gt|^y$|^y_(true|batch)|mask|^weights?$|^(alpha|gamma)$")
"""What the data of a loss is called."""
_SETTING = re.compile(r"eps|smooth|^n_|^num_|classes|shape|size|dtype|device|^ndim$")
"""What numbers that are given are called."""
_PREDICTED = re.compile(r"pred|out|logit|^y_?hat$|prob|score|^inputs?$|^x$")


def _is_loss_function(source: SourceFile, scope: Scope) -> bool:
    """Whether a function computes a loss, as its name says, and no measure."""
    name = scope.owner.name if scope.name == "forward" and scope.owner is not None else scope.name
    is_named = re.search(r"(^|_)loss$|Loss$|Criterion$", name) is not None
    is_measure = re.search(r"zero_?one|hamming|metric|eval|0_?1", name, re.IGNORECASE) is not None
    return is_named and not is_measure and facts.differentiation.is_recorded(source, scope)


def _returned(source: SourceFile, scope: Scope) -> Iterator[Report]:
    """Report where the predictions that a loss is given come to an end."""
    outcome = source.ask(facts.values).interpreter.outcomes.get(scope)
    if outcome is None or not facts.provenance.is_tensor(outcome.returns):
        return
    for cut in _cuts(outcome.returns) or ():
        inner = facts.terms.within(cut.term)
        if any(isinstance(one, facts.terms.Parameter) and _PREDICTED.search(one.name) for one in inner):
            yield Report(
                cut.node,
                f"no gradient passes {cut.what}: what this loss is given does not learn from it",
                severity=Severity.WARNING,
                confidence=Confidence.MEDIUM,
            )
            return
