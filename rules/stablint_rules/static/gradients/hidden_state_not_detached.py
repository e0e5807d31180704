"""STB155 hidden-state-not-detached: the state of a recurrent network brings its history into the next batch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.carried import Carried
    from stablint.static.facts.events import Event
    from stablint.static.facts.terms import Call, Operation, Term
    from stablint.static.source import SourceFile


class HiddenStateNotDetached(StaticRule):
    """The hidden state of a recurrent network goes from batch to batch with its graph.

    ## What it does

    Reports `out, h = rnn(x, h)` in a loop that calls `backward()` on what `rnn` returned, where nothing in
    the loop detaches or resets `h`: with the recurrent layers and cells of torch, models of the file that
    return their state, and, as a warning, other models if the variable is called like a hidden state.
    Reports `out, self.h = self.rnn(x, self.h)` where nothing in the file but the constructor sets `h`.

    ## Why it is bad

    The state of one batch belongs to the graph of that batch. The next `backward()` walks on into it, and
    torch refuses: "Trying to backward through the graph a second time". `retain_graph=True` silences the
    message and makes it worse: every step then back-propagates through all batches so far, its time and
    memory grow with each, and the optimizer has changed the weights in the meantime, which torch refuses
    as "modified by an inplace operation" (torch 2.13).

    ## Example

    ```python
    h = None
    for x, y in loader:
        out, h = rnn(x, h)
        F.mse_loss(out, y).backward()
    ```

    ## Use instead

    ```python
    h = None
    for x, y in loader:
        out, h = rnn(x, h)
        F.mse_loss(out, y).backward()
        h = h.detach()
    ```

    The two states of an LSTM: `h = tuple(s.detach() for s in h)`. If batches do not continue one another,
    start each with `h = None`.

    ## When to ignore it

    When the model detaches its state itself, in a file that is not seen.

    ## Fix safety

    No fix is offered: whether the state should be kept or started anew is not in the code.

    ## References

    - [torch.Tensor.detach](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach.html)
    - [torch.nn.LSTM](https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html)
    - [word_language_model, which repackages it](https://github.com/pytorch/examples/tree/main/word_language_model)
    """

    code = "STB155"
    severity = Severity.ERROR
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # a layer
        """\
import torch
import torch.nn.functional as F
from torch import nn

rnn = nn.GRU(4, 8)
optimizer = torch.optim.SGD(rnn.parameters(), lr=0.1)

def train(loader):
    h = None
    for x, y in loader:
        optimizer.zero_grad()
        out, h = rnn(x, h)  # flagged
        F.mse_loss(out, y).backward()
        optimizer.step()
""",
        # both states of an LSTM, once an epoch is too seldom
        """\
import torch
import torch.nn.functional as F
from torch import nn

def train(loader, epochs):
    rnn = nn.LSTM(4, 8)
    optimizer = torch.optim.SGD(rnn.parameters(), lr=0.1)
    for epoch in range(epochs):
        h, c = torch.zeros(1, 10, 8), torch.zeros(1, 10, 8)
        for x, y in loader:
            optimizer.zero_grad()
            out, (h, c) = rnn(x, (h, c))  # flagged
            loss = F.mse_loss(out, y)
            loss.backward(retain_graph=True)
            optimizer.step()
""",
        # a model that returns its state, trained in a helper
        """\
import torch
import torch.nn.functional as F
from torch import nn

class CharModel(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.embedding = nn.Embedding(size, 32)
        self.gru = nn.GRU(32, 64, batch_first=True)
        self.out = nn.Linear(64, size)

    def forward(self, x, state=None):
        out, state = self.gru(self.embedding(x), state)
        return self.out(out), state

def step(model, optimizer, x, y, state):
    logits, state = model(x, state)
    loss = F.cross_entropy(logits.transpose(1, 2), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item(), state

def train(loader):
    model = CharModel(100)
    optimizer = torch.optim.Adam(model.parameters())
    state = torch.zeros(1, 16, 64)
    for x, y in loader:
        loss, state = step(model, optimizer, x, y, state)  # flagged
""",
        # zeros of the kind of the weights to begin with
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 8)

    def forward(self, x, hidden):
        return self.rnn(x, hidden)

    def init_hidden(self, batch):
        weight = next(self.parameters()).data
        return weight.new_zeros(1, batch, 8), weight.new_zeros(1, batch, 8)

net = Model()
optimizer = torch.optim.Adam(net.parameters())

def train(loader):
    h = net.init_hidden(10)
    for x, y in loader:
        net.zero_grad()
        out, h = net(x, h)  # flagged
        F.mse_loss(out, y).backward()
        optimizer.step()
""",
        # kept by the model itself
        """\
import torch
from torch import nn

class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4)
        self.out = nn.Linear(4, 2)
        self.hidden = (torch.zeros(1, 1, 4), torch.zeros(1, 1, 4))

    def forward(self, x):
        states, self.hidden = self.lstm(x, self.hidden)  # flagged
        return self.out(states)

def train(loader):
    model, criterion = Tagger(), nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
""",
        # a cell, one loss for each step
        """\
import torch
import torch.nn.functional as F
from torch import nn

cell = nn.RNNCell(4, 8)
optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)
h = torch.zeros(1, 8)
for x, y in zip(torch.randn(50, 1, 4), torch.randn(50, 1, 8)):
    h = cell(x, h)  # flagged
    optimizer.zero_grad()
    F.mse_loss(h, y).backward()
    optimizer.step()
""",
        # a model of another file
        """\
import torch
import torch.nn.functional as F
from models import RNNModel

def train(loader, ntokens):
    model = RNNModel(ntokens)
    optimizer = torch.optim.SGD(model.parameters(), lr=20)
    hidden = model.init_hidden(20)
    for x, y in loader:
        optimizer.zero_grad()
        output, hidden = model(x, hidden)  # flagged
        loss = F.cross_entropy(output.view(-1, ntokens), y)
        loss.backward()
        optimizer.step()
""",
        # every few steps, still without detach
        """\
import torch
import torch.nn.functional as F
from torch import nn

def train(stream, span):
    cell = nn.GRUCell(4, 8)
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)
    hx, loss = torch.zeros(1, 8), 0
    for t, (x, y) in enumerate(stream):
        hx = cell(x, hx)  # flagged
        loss = loss + F.mse_loss(hx, y)
        if (t + 1) % span == 0:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss = 0
""",
    ]

    good = [
        # detached, in the ways people write it
        """\
import torch
import torch.nn.functional as F
from torch import nn

rnn = nn.LSTM(4, 8)
gru = nn.GRU(4, 8)

def repackage(h):
    return tuple(s.detach() for s in h)

def train(loader):
    state, h, g, k = None, None, None, None
    for x, y in loader:
        out, state = rnn(x, state)
        F.mse_loss(out, y).backward()
        state = repackage(state)
    for x, y in loader:
        out, h = gru(x, h)
        F.mse_loss(out, y).backward()
        h.detach_()
    for x, y in loader:
        out, g = gru(x, g.detach() if g is not None else None)
        F.mse_loss(out, y).backward()
    for x, y in loader:
        out, k = rnn(x, k)
        F.mse_loss(out, y).backward()
        for s in k:
            s.detach_()
""",
        # kept by the model, and started anew by whoever trains it
        """\
import torch
from torch import nn

class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4)
        self.hidden = None

    def forward(self, x):
        states, self.hidden = self.lstm(x, self.hidden)
        return states

class Stateful(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 4)
        self.state = None

    def forward(self, x):
        out, self.state = self.rnn(x, self.state)
        self.state = self.state.detach()
        return out

def train(loader):
    model, other, criterion = Tagger(), Stateful(), nn.MSELoss()
    for x, y in loader:
        model.hidden = None
        criterion(model(x) + other(x), y).backward()
""",
        # started anew in every batch
        """\
import torch
import torch.nn.functional as F
from torch import nn

cell = nn.GRUCell(4, 8)
optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)

def train(loader):
    for x, y in loader:
        h = torch.zeros(x.size(1), 8)
        loss = 0
        for t in range(x.size(0)):
            h = cell(x[t], h)
            loss = loss + F.mse_loss(h, y[t])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # one backward after all steps
        """\
import torch.nn.functional as F
from torch import nn

cell = nn.GRUCell(4, 8)

def unroll(xs, ys, h):
    total = 0
    for x, y in zip(xs, ys):
        h = cell(x, h)
        total = total + F.mse_loss(h, y)
    total.backward()
""",
        # the model cuts the state off itself
        """\
import torch
import torch.nn.functional as F
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(4, 8)

    def forward(self, x, h):
        out, h = self.rnn(x, h)
        return out, h.detach()

class Other(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(4, 8)

    def forward(self, x, h):
        return self.rnn(x, h.detach())

def train(loader):
    one, two = Model(), Other()
    h, g = torch.zeros(1, 2, 8), torch.zeros(1, 2, 8)
    for x, y in loader:
        out, h = one(x, h)
        F.mse_loss(out, y).backward()
    for x, y in loader:
        out, g = two(x, g)
        F.mse_loss(out, y).backward()
""",
        # no gradient is recorded where the state goes on
        """\
import torch
import torch.nn.functional as F
from torch import nn

rnn, head = nn.GRU(4, 8), nn.Linear(8, 4)

def train(loader):
    h = None
    for x, y in loader:
        with torch.no_grad():
            out, h = rnn(x, h)
        F.mse_loss(head(out), y).backward()
""",
        # every loss goes through the whole history, and the step comes after them
        """\
import torch
import torch.nn.functional as F
from torch import nn

cell = nn.GRUCell(4, 8)
optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)

def train(sequences):
    for xs, ys in sequences:
        h = torch.zeros(1, 8)
        optimizer.zero_grad()
        for x, y in zip(xs, ys):
            h = cell(x, h)
            F.mse_loss(h, y).backward(retain_graph=True)
        optimizer.step()
""",
        # evaluation beside training
        """\
import torch
import torch.nn.functional as F
from torch import nn

rnn, other = nn.GRU(4, 8), nn.Linear(4, 4)

def train(loader):
    for x, y in loader:
        F.mse_loss(other(x), y).backward()

def predict(loader):
    h, outs = None, []
    for x, _ in loader:
        out, h = rnn(x, h)
        outs.append(out)
    return outs
""",
        # the loop ends with its first backward
        """\
import torch.nn.functional as F
from torch import nn

cell = nn.GRUCell(4, 8)

def unroll(xs, y, h):
    for t, x in enumerate(xs):
        h = cell(x, h)
        if t == len(xs) - 1:
            F.mse_loss(h, y).backward()
""",
        # no state of a network: an environment, a key
        """\
import torch.nn.functional as F

def train(model, env, optimizer, loader, key):
    state = env.reset()
    for x, y in loader:
        key, noise = split(x, key)
        state, reward = env.step(x, state)
        loss = F.mse_loss(model(x + noise), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # detached in place by a helper
        """\
import torch.nn.functional as F
from helpers import forget_history
from models import Net

def train(loader):
    model = Net()
    hidden = model.init_hidden(2)
    for x, y in loader:
        output, hidden = model(x, hidden)
        F.mse_loss(output, y).backward()
        forget_history(hidden)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report calls whose result is given to the same call in the next round, with its graph."""
        seen: set[object] = set()
        for state in source.ask(facts.carried_states):
            backward = next((one for one in state.backwards if _is_repeated(source, state, one)), None)
            if state.call in seen or backward is None:
                continue
            network = _network(state.term) or _model(state)
            if network is not None and _flows(backward, network):
                seen.add(state.call)
                is_certain = isinstance(network, facts.terms.Operation)
                yield Report(
                    state.call,
                    f"`{state.path}` brings the graph of this round into the next one, whose backward goes through it",
                    severity=None if is_certain else Severity.WARNING,
                    confidence=None if is_certain else Confidence.MEDIUM,
                    related=(Mark(backward.node, "this backward"),),
                )


def _is_repeated(source: SourceFile, state: Carried, backward: Event) -> bool:
    """Whether a backward is called in more than one round: not only in the last one, not before it ends.

    One that keeps the graph may do so where the optimizer steps after the loop: each loss has its whole history.
    """
    if not state.is_stepped and "retain_graph" in source.code(backward.node):
        return False
    tests = facts.guards.around(source, backward.statement) if backward.statement is not None else ()
    return all("==" not in text or "%" in text for text in (source.code(test) for test, _ in tests))


def _network(state: Term) -> Operation | Call | None:
    """Return the recurrent layer that a state comes out of, or the unknown model that is called for it."""
    for part in facts.accumulation.graph_of(state):
        match part:
            case facts.terms.Operation(name=name, module=module) if name in _RECURRENT and module is not None:
                return None if _is_cut(part) else part
            case _:
                pass
    return None


def _model(state: Carried) -> Call | None:
    """Return the model of another file whose state this is, as its name says."""
    made = state.term.base if isinstance(state.term, facts.terms.Item) else state.term
    if not isinstance(made, facts.terms.Call) or isinstance(made.callee, facts.terms.Reference):
        return None
    return made if made.graph and _STATE.search(state.path.rsplit(".", 1)[-1]) else None


_STATE = re.compile(r"hidden|^(h|c|hx|cx|hc)(_?[0nt])?$|(lstm|rnn|gru)_?(state|h)")


def _is_cut(layer: Operation) -> bool:
    """Whether the state that a layer is given has lost its history: `self.rnn(x, h.detach())`."""
    given = layer.argument("hx", 0)
    stack, seen = [given] if given is not None else [], set[object]()
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        match current:
            case facts.terms.Operation(name="detach" | "data" | "detach_"):
                return True
            case facts.terms.Either() | facts.terms.Display() | facts.terms.Repeated():
                stack.extend(facts.terms.parts(current))
            case _:
                pass
    return False


_RECURRENT = {"lstm", "gru", "rnn", "lstm_cell", "gru_cell", "rnn_cell"}


def _flows(backward: Event, network: Operation | Call) -> bool:
    """Whether a loss is computed from what a network returned."""
    if backward.subject is None:
        return False
    loss = facts.events.unscaled(backward.subject)
    return any(getattr(part, "node", None) is network.node for part in facts.accumulation.graph_of(loss))
