"""STB312 std-of-single-sample: the deviation of what may be a single value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stablint.finding import Confidence, Severity
from stablint.rule import Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.scopes import CallSite
    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Operation, Question, Term
    from stablint.static.source import SourceFile


class StdOfSingleSample(StaticRule):
    """Something is divided by the standard deviation of what may be a single value: that is NaN.

    ## What it does

    Reports a division by `std` or `var` (or by what is made of it) without `correction=0` or
    `unbiased=False`, where the values may be one or are one for certain:

    - along a dimension that is known to have one element: an error;
    - of a list of numbers that a loop of unknown length has filled, such as the rewards of an episode (a note);
    - of what a mask has picked;
    - along dimension 0, where `forward` of a module normalises a tensor by itself: the batch. Elsewhere,
      where dimension 0 may be that of a data set, this is a note.

    ## Why it is bad

    By default the squares are divided by n - 1: `torch.tensor([3.0]).std()` is 0 / 0, NaN with a warning.
    An epsilon does not help, because NaN + 1e-8 is NaN, and one such batch makes all weights NaN. An
    episode that ends after its first step, a mask that leaves one element and the last batch of an epoch,
    which holds what is left over, bring it about. `std(correction=0)` of one value is 0, so that
    `(x - x.mean()) / (x.std(correction=0) + 1e-8)` is 0; `nn.BatchNorm1d` refuses to train on one value
    (all measured with torch 2.13).

    ## Example

    ```python
    returns = torch.tensor([sum(rewards[t:]) for t in range(len(rewards))])
    returns = (returns - returns.mean()) / (returns.std() + 1e-8)
    ```

    ## Use instead

    ```python
    returns = torch.tensor([sum(rewards[t:]) for t in range(len(rewards))])
    returns = (returns - returns.mean()) / (returns.std(correction=0) + 1e-8)
    ```

    or leave it as it is where there is one: `if len(returns) > 1:`.

    ## When to ignore it

    When something that cannot be seen here makes sure of two values. Minibatches of advantages are not
    reported, though their deviation is NaN in the same way: their size is a setting, and nobody sets it to
    1 (14 such places in one public collection of algorithms were all right). Neither is what was kept in a
    replay memory, which is full when it is used, what is tested for its size, or replaced where it is NaN. An
    episode can end after one step in some environments, and in most it cannot: that is a note.

    ## Fix safety

    There is no fix: without the correction the deviation of two or three values is another one.

    ## References

    - [torch.std](https://docs.pytorch.org/docs/stable/generated/torch.std.html)
    - [torch.var](https://docs.pytorch.org/docs/stable/generated/torch.var.html)
    """

    code = "STB312"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # The page's example.
        """\
import torch
from torch import nn


def standardised(rewards):
    returns = torch.tensor([sum(rewards[t:]) for t in range(len(rewards))])
    return (returns - returns.mean()) / (returns.std() + 1e-8)  # flagged
""",
        # A note: the discounted returns of an episode.
        """\
import torch
from torch import nn

eps = 1e-8


def finish_episode(policy, optimizer):
    running, returns = 0, []
    for reward in policy.rewards[::-1]:
        running = reward + 0.99 * running
        returns.insert(0, running)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + eps)  # flagged
    loss = sum(-log_prob * value for log_prob, value in zip(policy.log_probs, returns))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
""",
        # An episode that is played until it ends.
        """\
import torch
from torch import nn


def play(env, policy, most):
    rewards = []
    for _ in range(most):
        reward, done = env.step(policy)
        rewards.append(reward)
        if done:
            break
    rewards = torch.FloatTensor(rewards)
    spread = torch.std(rewards)  # flagged
    return (rewards - rewards.mean()) / spread.clamp(min=1e-6)
""",
        # In a deque.
        """\
from collections import deque

import torch
from torch import nn


def discounted(rewards, running=0.0):
    returns = deque()
    for reward in reversed(rewards):
        running = reward + 0.99 * running
        returns.appendleft(running)
    returns = torch.tensor(returns)
    return (returns - returns.mean()) / (returns.std() + 1e-8)  # flagged
""",
        # Through a helper, over a while loop.
        """\
import torch
from torch import nn


def standardise(values):
    return (values - values.mean()) / torch.sqrt(values.var() + 1e-8)  # flagged


def collect(env, policy):
    gains, done = [], False
    while not done:
        gain, done = env.step(policy)
        gains.append(gain)
    return standardise(torch.as_tensor(gains, dtype=torch.float32))
""",
        # What a mask leaves.
        """\
import torch
from torch import nn


def scored(returns, values, scores, least):
    advantages = torch.as_tensor(returns) - values
    kept = advantages[scores > least]
    picked = torch.masked_select(advantages, scores > least)
    a = (kept - kept.mean()) / (kept.std() + 1e-8)  # flagged
    return a, picked / picked.std()  # flagged
""",
        # One for certain.
        """\
import torch
from torch import nn


class Score(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 1)

    def forward(self, x):
        score = self.fc(x)
        column = x.reshape(-1, 1)
        score = (score - score.mean(-1, keepdim=True)) / (score.std(-1, keepdim=True) + 1e-5)  # flagged
        return score + column / torch.std(column, dim=1, keepdim=True)  # flagged
""",
        # Batch normalisation by hand.
        """\
import torch
from torch import nn


class BatchNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc = nn.Linear(width, width)

    def forward(self, x):
        h = self.fc(x)
        mean, var = h.mean(0), h.var(0)  # flagged
        return (h - mean) / torch.sqrt(var + 1e-5)
""",
        # A note: the frames of an utterance, in a file of helpers.
        """\
import torch


def scale(features):
    if len(features.shape) != 2:
        raise ValueError("frames by channels")
    return features.mean(0), 1.0 / (features.std(0) + 1e-8)  # flagged


def normalise(features):
    mean, factor = scale(features)
    return (features - mean) * factor
""",
    ]

    good = [
        # The correction is left out.
        """\
import torch
from torch import nn


def standardised(rewards, mask):
    returns = torch.tensor([sum(rewards[t:]) for t in range(len(rewards))])
    a = (returns - returns.mean()) / (returns.std(correction=0) + 1e-8)
    b = (returns - returns.mean()) / (returns.std(unbiased=False) + 1e-8)
    c = returns / (returns.std(False) + 1e-8) + returns / (torch.var(returns, 0, False) + 1e-8)
    return a + b + c
""",
        # Tested for its size.
        """\
import torch
from torch import nn


def standardised(rewards):
    returns = torch.tensor([sum(rewards[t:]) for t in range(len(rewards))])
    if len(returns) > 1:
        returns = (returns - returns.mean()) / (returns.std() + 1e-8)
    return returns


def other(rewards):
    returns = torch.tensor([reward for reward in rewards])
    spread = returns.std() if returns.numel() > 1 else torch.ones(())
    return returns / spread


def scale(features):
    return 1.0 / (features.std(0) + 1e-8)


def normalise(features):
    if features.size(0) < 2:
        return features
    return (features - features.mean(0)) * scale(features)


def features(x):
    if x.size(0) < 2:
        return x
    return (x - x.mean(0)) / (x.std(0) + 1e-8)
""",
        # Replaced where it is NaN.
        """\
import torch
from torch import nn


def standardised(rewards):
    returns = torch.tensor([reward for reward in rewards])
    spread = returns.std()
    if torch.isnan(spread):
        spread = torch.ones(())
    return returns / torch.nan_to_num(returns.std(), nan=1.0) + returns / spread
""",
        # A minibatch, whose size is a setting.
        """\
import torch
from torch import nn


def update(agent, advantages, args):
    order = torch.randperm(args.batch_size)
    for start in range(0, args.batch_size, args.minibatch_size):
        batch = advantages[order[start : start + args.minibatch_size]]
        batch = (batch - batch.mean()) / (batch.std() + 1e-8)
        agent.update(batch)
""",
        # A replay memory, which is full when it is learned from.
        """\
import torch
from torch import nn


class Agent:
    def __init__(self, net, capacity):
        self.net, self.capacity, self.buffer = net, capacity, []

    def store(self, transition):
        self.buffer.append(transition)
        return len(self.buffer) % self.capacity == 0

    def update(self, optimizer):
        states = torch.tensor([kept.state for kept in self.buffer])
        rewards = torch.tensor([kept.reward for kept in self.buffer], dtype=torch.float)
        rewards = (rewards - rewards.mean()) / (rewards.std() + 1e-5)
        optimizer.zero_grad()
        (self.net(states) - rewards).square().mean().backward()
        optimizer.step()
""",
        # A number of rounds that is a setting.
        """\
import torch
from torch import nn


def rollout(env, policy, args):
    rewards = []
    for _ in range(args.num_steps):
        rewards.append(env.step(policy))
    rewards = torch.tensor(rewards)
    return (rewards - rewards.mean()) / (rewards.std() + 1e-8)
""",
        # Only reported.
        """\
import torch
from torch import nn


def report(losses, mask, x):
    losses = torch.tensor([loss.item() for loss in losses])
    print(losses.mean(), losses.std(), x[x > 0].std())
    return losses.std().item()
""",
        # Along the features, of which there are many.
        """\
import torch
from torch import nn


class LayerNorm(nn.Module):
    def forward(self, x):
        images = x.view(x.size(0), -1)
        scaled = images / images.std(1, keepdim=True)
        return scaled, (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-5)
""",
        # The spread of several predictions, not a division.
        """\
import torch
from torch import nn


class Ensemble(nn.Module):
    def __init__(self, heads):
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(self, x):
        predictions = torch.stack([head(x) for head in self.heads])
        return predictions.mean(0), predictions.std(0)
""",
        # NumPy leaves the correction out by itself.
        """\
import numpy as np
import torch
from torch import nn


def standardised(rewards):
    returns = np.array([sum(rewards[t:]) for t in range(len(rewards))])
    returns = (returns - returns.mean()) / (returns.std() + 1e-8)
    positive = returns[returns > 0]
    return torch.from_numpy(returns), positive / np.std(positive)
""",
        # The columns of a data set.
        """\
import torch
from torch.utils.data import TensorDataset


def prepare(path):
    table = torch.load(path)["rows"]
    table = (table - table.mean(0)) / table.std(0)
    return TensorDataset(table)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the deviations of what may be one value, where something is divided by them."""
        for site, spread in source.ask(facts.operations).named("std", "var"):
            if not spread.operands or _is_uncorrected(spread):
                continue
            found = _why_single(source, site, spread)
            if found is None or not _is_divisor(source, site) or _is_tested(source, site):
                continue
            what, severity = found
            yield Report(
                site.node, f"{what}: of a single value, {spread.name} is NaN, epsilon or not", severity
            )


def _is_uncorrected(spread: Operation) -> bool:
    """Whether the squares are divided by their number, or may be."""
    if spread.open_arguments:
        return True
    given = [spread.keywords[name] for name in ("correction", "unbiased") if name in spread.keywords]
    given += [one for one in spread.positional[:2] if isinstance(getattr(one, "value", None), bool)]
    return any(not (isinstance(one, facts.terms.Constant) and one.value in (True, 1)) for one in given)


def _dims(spread: Operation) -> list[int] | None:
    """Return the dimensions that are taken together; None for all."""
    given = spread.argument("dim", 0)
    if given is None or isinstance(getattr(given, "value", None), bool):
        return None
    items = given.items if isinstance(given, facts.terms.Display) else (given,)
    found = [facts.terms.number(one) for one in items]
    return [one for one in found if isinstance(one, int)] if None not in found else []


def _why_single(source: SourceFile, site: Site, spread: Operation) -> tuple[str, Severity | None] | None:
    """Say why the values may be one, and how bad that is."""
    values, dims = spread.operands[0], _dims(spread)
    if dims is None or dims == [0]:
        if any(_is_open_list(source, one) for one in _lists(values)):
            return "the list has as many values as the loop had rounds", Severity.NOTE
        if _is_masked(values):
            return "a mask may leave one value", None
    if not dims:
        return None
    shape = facts.shapes.shape(values)
    if all(shape.at(dim) == 1 for dim in dims):
        return "the dimension has one element", Severity.ERROR
    if dims == [0] and shape.at(0) is None:
        return _of_batch(source, site, values)
    return None


def _of_batch(source: SourceFile, site: Site, values: Term) -> tuple[str, Severity | None] | None:
    """Judge a deviation along dimension 0: in `forward` that is the batch, of a parameter it may be anything."""
    around = facts.gradients.enclosing_class(site.scope)
    if around is not None and site.scope.function.name == "forward":
        is_data = facts.gradients.carries_graph(values) is False or facts.gradients.is_constant(values)
        is_joined = facts.provenance.made_by(values, "stack", "cat", through=_CASTS) is not None
        return None if is_data or is_joined else ("the batch may have one sample", None)
    origins = list(facts.provenance.origins(values, _CASTS))
    is_given = all(isinstance(one, facts.terms.Parameter) for one in origins)
    if not is_given or "numpy" in source.ask(facts.syntax).packages:
        return None
    return "dimension 0 may have one element", Severity.NOTE


_CASTS = {
    "to", "type", "type_as", "float", "double", "half", "cuda", "cpu", "clone", "contiguous", "unsqueeze", "squeeze",
    "view", "reshape", "flatten", "detach",
}  # fmt: skip
_MADE = ("tensor", "as_tensor", "asarray", "Tensor", "FloatTensor", "DoubleTensor")
_CHOOSING = (
    "compare",
    "eq",
    "ne",
    "gt",
    "ge",
    "lt",
    "le",
    "bool",
    "logical_and",
    "logical_or",
    "bitwise_not",
)


def _lists(values: Term) -> Iterator[Any]:
    """Yield the lists of unknown length that a tensor is made of."""
    for origin in facts.provenance.origins(values, _CASTS):
        if isinstance(origin, facts.terms.Operation) and origin.name in _MADE and origin.operands:
            yield from filter(_grows, facts.terms.options(origin.operands[0]))


def _grows(term: Term) -> bool:
    """Whether a term is a list, or an empty deque without a limit, that loops fill."""
    match term:
        case facts.terms.Repeated():
            return True
        case facts.terms.Call(callee=facts.terms.Reference(dotted="collections.deque"), positional=()):
            return not term.keywords
        case _:
            return False


def _is_masked(values: Term) -> bool:
    """Whether values are those for which a comparison holds, in a tensor for certain."""
    match values:
        case facts.terms.Operation(name="masked_select"):
            return True
        case facts.terms.Item(base=base, key=key):
            chosen = facts.provenance.made_by(key, *_CHOOSING, through=_CASTS)
            return chosen is not None and facts.provenance.is_tensor(base)
        case _:
            return False


def _is_open_list(source: SourceFile, values: Any) -> bool:
    """Whether nobody knows how many rounds the loop that fills a list makes."""
    generator = getattr(values.node, "for_in", None)
    if generator is not None:
        return generator.inner_for_in is None and _is_open(source, generator.iter)
    known = source.ask(facts.values)
    calls = source.ask(facts.syntax).calls
    for call in (one for name in ("append", "insert", "appendleft") for one in calls.get(name, ())):
        grown = getattr(call.node.func, "value", None)
        options = facts.terms.options(known.raw(grown)) if grown is not None else ()
        if any(getattr(option, "node", None) is values.node for option in options):
            return _is_in_open_loop(source, call)
    return False


def _is_in_open_loop(source: SourceFile, call: CallSite) -> bool:
    for block in call.block.outward() if call.block is not None else ():
        if block.kind == "while":
            return True
        if block.kind == "for":
            return _is_open(source, getattr(block.node, "iter", None)) or _breaks(
                getattr(block.node, "body", None)
            )
    return False


def _is_open(source: SourceFile, walked: Any) -> bool:
    """Whether what a loop goes over has no length that is a setting: `range(args.steps)` has one."""
    code = source.code(walked)
    if _KEPT.search(code):
        return False
    return "range(" not in code or "len(" in code


_KEPT = re.compile(r"memory|buffer|replay", re.IGNORECASE)
"""What is learned from when it is full: four updates of DQN and PPO in one collection for learners."""


def _breaks(suite: Any) -> bool:
    """Whether a loop may be left before its end."""
    inner = [child for child in suite.children if type(child).__name__ not in ("For", "While", "FunctionDef")]
    return any(type(child).__name__ == "Break" or _breaks(child) for child in inner)


_PASSING = _CASTS | {"add", "clamp", "clamp_min", "maximum", "sqrt", "mul", "expand", "item"}
_DIVIDING = {"reciprocal", "rsqrt"}
_REPLACING = {"isnan", "isfinite", "nan_to_num"}


def _is_divisor(source: SourceFile, site: Site) -> bool:
    """Whether something is divided by a deviation, and nobody looks whether it is NaN."""
    uses, divides = source.ask(facts.uses), False
    stack, seen = [*facts.terms.options(source.ask(facts.values).raw(site.node))], set[int]()
    while stack and len(seen) < 60:
        current = stack.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        for consumer in uses.of(current):
            name = getattr(consumer, "name", "")
            if name in _REPLACING:
                return False
            is_below = name == "div" and getattr(consumer, "operands", ())[-1:] == (current,)
            divides = divides or is_below or name in _DIVIDING
            if name in _PASSING or isinstance(consumer, facts.terms.Either):
                stack.append(consumer)
    return divides


def _is_tested(source: SourceFile, site: Site) -> bool:
    """Whether a test on the way there asks for a size, here or where all the callers stand."""
    if _asks(source, site.node, site.statement):
        return True
    calls = source.ask(facts.syntax).calls.get(site.scope.function.name, ())
    return bool(calls) and all(_asks(source, call.node, call.statement) for call in calls)


def _asks(source: SourceFile, node: Any, statement: Any) -> bool:
    values = source.ask(facts.values)
    return any(_asks_size(values.of(test)) for test, _ in facts.guards.tests(source, node, statement))


def _asks_size(test: Term) -> bool:
    def asks(term: Term, look: Question) -> bool:
        match term:
            case facts.terms.Operation(name="len", operands=(sizes,)) if _is_sizes(sizes):
                return False  # the number of dimensions
            case facts.terms.Operation(name="numel" | "nelement" | "len" | "isnan" | "isfinite"):
                return True
            case _:
                return _is_sizes(term) or any(map(look, facts.terms.parts(term)))

    return facts.terms.once(asks)(test)


def _is_sizes(term: Term) -> bool:
    match term:
        case facts.terms.Operation(name="size") | facts.terms.Attribute(name="shape"):
            return True
        case _:
            return False
