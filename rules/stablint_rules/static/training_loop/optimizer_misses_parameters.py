"""STB107 optimizer-misses-parameters: a layer that is trained by no optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stablint.finding import Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.facts.classes import Models
    from stablint.static.facts.events import Event
    from stablint.static.facts.paths import Root
    from stablint.static.facts.scopes import Scope
    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Instance, Term
    from stablint.static.source import SourceFile


class OptimizerMissesParameters(StaticRule):
    """A layer comes into the model after the optimizer was made, or a network is in no optimizer: it never learns.

    ## What it does

    Reports a layer or parameter that is put into a module (`model.fc = nn.Linear(...)`, `add_module`, in a
    function that is given the model too) after an optimizer took `model.parameters()`, where that optimizer
    is used afterwards and nothing gives it the new layer.

    Also reports a network that is made in the file and that a loss is back-propagated through, where every
    optimizer is known and none has its parameters.

    ## Why it is bad

    An optimizer keeps the list of parameters that it was given. What is assigned to the module later is not
    in it: it gets gradients and is never updated, and the optimizer goes on to train the layer that was
    thrown away. A classifier on a frozen random last layer still learns something, so the loss falls and
    nobody looks. On a two-layer network whose head was replaced after `SGD(model.parameters())`, 100 steps
    left the new head bit for bit as it was, and the loss fell from 0.75 to 0.46 all the same (torch 2.13).

    ## Example

    ```python
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.fc = nn.Linear(512, 10)
    ```

    ## Use instead

    ```python
    model.fc = nn.Linear(512, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ```

    ## When to ignore it

    When the layer is meant to stay as it was initialised, as in random features; `requires_grad_(False)` on
    it says so to the reader and to the rule. Moving the model to a device after the optimizer was made is
    no fault, and not reported: the parameters stay the same objects.

    ## Fix safety

    No fix is offered: whether the optimizer moves down, or gets a parameter group more, is a decision.

    ## References

    - [torch.optim: constructing an optimizer](https://docs.pytorch.org/docs/stable/optim.html#constructing-it)
    - [torch.optim.Optimizer.add_param_group](https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.add_param_group.html)
    """

    code = "STB107"
    severity = Severity.ERROR
    since = "0.1.0"

    bad = [
        # the head is replaced too late
        """\
import torch
from torch import nn
import torchvision

def main(loader, train):
    model = torchvision.models.resnet18(weights="DEFAULT")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.fc = nn.Linear(512, 10)  # flagged
    train(model, optimizer, loader)
""",
        # deep inside, and as an item of a Sequential
        """\
import torch
from torch import nn

def finetune(model, loader, criterion):
    opt = torch.optim.AdamW(params=model.parameters(), lr=1e-4)
    model.backbone.classifier[6] = nn.Sequential(nn.Dropout(0.5), nn.Linear(4096, 2))  # flagged
    for x, y in loader:
        opt.zero_grad()
        criterion(model(x), y).backward()
        opt.step()
""",
        # the optimizer is made before the last layer of the module
        """\
import torch
from torch import nn

class QNetwork(nn.Module):
    def __init__(self, n_actions):
        super().__init__()
        self.fc1 = nn.Linear(8, 256)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        self.fc2 = nn.Linear(256, n_actions)  # flagged

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))
""",
        # a helper replaces it
        """\
import torch
from torch import nn

def new_head(net, classes):
    net.head = nn.Linear(768, classes)

def main(model, loader, criterion):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    new_head(model, 10)  # flagged
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
""",
        # the optimizer comes from a helper
        """\
import torch
from torch import nn

def optimizer_for(model):
    return torch.optim.AdamW(model.parameters(), lr=1e-4)

def build():
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    return net, optimizer_for(net)

def main(model, loader, train):
    optimizer = optimizer_for(model)
    model.fc = nn.Linear(512, 10)  # flagged
    train(model, optimizer, loader)
    net, opt = build()
    net.add_module("head", nn.Linear(4, 2))  # flagged
    train(net, opt, loader)
""",
        # add_module, in a trainer class
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.Adam([p for p in self.model.parameters() if p.requires_grad])
        self.model.add_module("head", nn.Linear(32, 1))  # flagged
""",
        # one of two networks
        """\
import torch
from torch import nn
import torch.nn.functional as F

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 16)

    def forward(self, x):
        return torch.relu(self.layer(x))

def main(loader):
    encoder = Encoder()
    decoder = nn.Linear(16, 64)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=1e-3)
    for x in loader:
        optimizer.zero_grad()
        code = encoder(x)  # flagged
        F.mse_loss(decoder(code), x).backward()
        optimizer.step()
""",
        # a trainer whose optimizer has one of two
        """\
import torch
from torch import nn

class Trainer:
    def __init__(self):
        self.embed = nn.Embedding(1000, 64)
        self.net = nn.LSTM(64, 64)
        self.head = nn.Linear(64, 1000)
        self.optimizer = torch.optim.Adam(list(self.net.parameters()) + list(self.head.parameters()))

    def step(self, x, y):
        out, _ = self.net(self.embed(x))  # flagged
        loss = nn.functional.cross_entropy(self.head(out), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
""",
        # the two halves are in two files
        """\
# file: models/net.py
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(16, 8)
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        return self.head(self.body(x).relu())

def build():
    return Net()

# file: train.py
import torch
from torch import nn
from models.net import build

def main(loader, train):
    model = build()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.head = nn.Linear(8, 5)  # flagged
    train(model, optimizer, loader)
""",
    ]

    good = [
        # replaced first
        """\
import torch
from torch import nn
import torchvision

def main(loader, train):
    model = torchvision.models.resnet18(weights="DEFAULT")
    model.fc = nn.Linear(512, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train(model, optimizer, loader)
""",
        # a second optimizer for the second phase
        """\
import torch
from torch import nn

def main(model, loader, train):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train(model, optimizer, loader)
    model.fc = nn.Linear(512, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    train(model, optimizer, loader)
""",
        # from a helper, again for the second phase
        """\
import torch
from torch import nn

def optimizer_for(model):
    return torch.optim.AdamW(model.parameters(), lr=1e-4)

def main(model, loader, train):
    optimizer = optimizer_for(model)
    train(model, optimizer, loader)
    model.fc = nn.Linear(512, 10)
    optimizer = optimizer_for(model)
    train(model, optimizer, loader)
""",
        # the new layer gets a group, or an optimizer, of its own
        """\
import torch
from torch import nn

def main(model, other, loader, train):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.fc = nn.Linear(512, 10)
    optimizer.add_param_group({"params": model.fc.parameters(), "lr": 1.0})
    opt_other = torch.optim.SGD(other.parameters(), lr=0.1)
    other.fc = nn.Linear(512, 10)
    opt_head = torch.optim.SGD(other.fc.parameters(), lr=0.1)
    train(model, other, optimizer, opt_other, opt_head, loader)
""",
        # the optimizer has only a part, and the part stays
        """\
import torch
from torch import nn

def main(model, loader, train):
    optimizer = torch.optim.SGD(model.head.parameters(), lr=0.1)
    model.stem = nn.Conv2d(1, 64, 7)
    model.head.act = nn.ReLU()
    model.head.drop = nn.Dropout(0.1)
    train(model, optimizer, loader)
""",
        # moved, wrapped and cast: the parameters stay
        """\
import torch
from torch import nn

def main(model, loader, train, device):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model = model.to(device)
    model = nn.DataParallel(model)
    model.module.criterion = nn.CrossEntropyLoss()
    train(model, optimizer, loader)
""",
        # after the training
        """\
import torch
from torch import nn

def pretrain(model, loader, train):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train(model, optimizer, loader)
    model.fc = nn.Linear(512, 10)
    return model
""",
        # a frozen teacher, a pretrained network, and a network in no gradient
        """\
import torch
from torch import nn
import torch.nn.functional as F

def distil(loader, path):
    teacher, student, judge = nn.Linear(8, 2), nn.Linear(8, 2), nn.Linear(2, 2)
    teacher.load_state_dict(torch.load(path, weights_only=True))
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        with torch.no_grad():
            seen = judge(student(x))
        (F.mse_loss(student(x), teacher(x)) + seen.mean()).backward()
        optimizer.step()
""",
        # two networks, two optimizers
        """\
import torch
from torch import nn
import torch.nn.functional as F

def gan(loader):
    G, D = nn.Linear(8, 2), nn.Linear(2, 1)
    opt_g = torch.optim.Adam(G.parameters(), lr=2e-4)
    opt_d = torch.optim.Adam(D.parameters(), lr=2e-4)
    for real in loader:
        fake = G(torch.randn(4, 8))
        opt_d.zero_grad()
        (F.softplus(D(fake.detach())).mean() + F.softplus(-D(real)).mean()).backward()
        opt_d.step()
        opt_g.zero_grad()
        F.softplus(-D(fake)).mean().backward()
        opt_g.step()
""",
        # a target network of the same class, cut from the graph afterwards
        """\
import torch
from torch import nn
import torch.nn.functional as F

class Q(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x)

def main(buffer):
    online = Q()
    target = Q()
    optimizer = torch.optim.Adam(online.parameters())
    for state, reward, following in buffer:
        aim = reward + 0.99 * target(following).amax(1).detach()
        optimizer.zero_grad()
        F.mse_loss(online(state).amax(1), aim).backward()
        optimizer.step()
""",
        # a model trained in parts, each with a decay of its own, in a function that is given it
        """\
import torch
from torch import nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.stem, self.head = nn.Linear(4, width), nn.Linear(width, 2)

    def forward(self, x):
        return self.head(self.stem(x).relu())

def step(model: nn.Module, optimizer: torch.optim.Optimizer, x, y):
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()

def main(loader, width):
    model = Net(width)
    optimizer = torch.optim.Adam([
        dict(params=model.stem.parameters(), weight_decay=0.01),
        dict(params=model.head.parameters(), weight_decay=5e-4),
    ])
    for x, y in loader:
        step(model, optimizer, x, y)
""",
        # a policy that makes its optimizer itself, and keeps what its gradient flows through
        """\
import torch
from torch import nn
from torch.distributions import Categorical

class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.data = []
        self.fc = nn.Linear(4, 2)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=2e-4)

    def forward(self, x):
        return torch.softmax(self.fc(x), dim=0)

    def put(self, item):
        self.data.append(item)

    def train_net(self):
        total = 0
        self.optimizer.zero_grad()
        for reward, prob in self.data[::-1]:
            total = reward + 0.98 * total
            loss = -torch.log(prob) * total
            loss.backward()
        self.optimizer.step()
        self.data = []

def main(env):
    pi = Policy()
    for _ in range(1000):
        state, done = env.reset(), False
        while not done:
            prob = pi(torch.from_numpy(state).float())
            action = Categorical(prob).sample()
            state, reward, done, _ = env.step(action.item())
            pi.put((reward, prob[action]))
        pi.train_net()
""",
        # random features that say so
        """\
import torch
from torch import nn
import torch.nn.functional as F

def main(loader):
    features = nn.Linear(8, 256).requires_grad_(False)
    head = nn.Linear(256, 1)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        F.mse_loss(head(features(x)), y).backward()
        optimizer.step()
""",
        # what the optimizer has is not known
        """\
import torch
from torch import nn
import torch.nn.functional as F

def main(loader, groups_of):
    embed, head = nn.Embedding(100, 8), nn.Linear(8, 1)
    optimizer = torch.optim.SGD(groups_of(embed, head), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        F.mse_loss(head(embed(x)), y).backward()
        optimizer.step()
""",
        # each branch makes its own
        """\
import torch
from torch import nn

def main(model, loader, train, linear_probe):
    if linear_probe:
        model.fc = nn.Linear(512, 10)
        optimizer = torch.optim.SGD(model.fc.parameters(), lr=0.1)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train(model, optimizer, loader)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report layers put in too late, and networks that nobody trains."""
        optimizers = source.ask(facts.optimizers)
        if optimizers:
            yield from _too_late(source, optimizers)
            yield from _in_none(source, optimizers)


def _too_late(source: SourceFile, optimizers: tuple[tuple[Site, Instance], ...]) -> Iterator[Report]:
    if "add_param_group" in source.ask(facts.syntax).identifiers:
        return
    for put in _put_in(source):
        here = facts.optimised.optimizers_of(source, put.scope.function)
        late = [optimizer for made, optimizer in here if _misses(source, put, made, optimizer)]
        if late and not _is_given_later(source, put, here, optimizers):
            yield Report(
                put.node,
                "this comes into the model after the optimizer took its parameters: it is never trained",
                related=(Mark(late[0].node, "the optimizer is made here"),),
            )


@dataclass(frozen=True, slots=True)
class _Put:
    """Something with parameters that is put into a module."""

    node: cst.CSTNode
    statement: cst.CSTNode
    scope: Scope
    owners: tuple[Term, ...]
    """The module that it is put into, and those around."""
    value: Term
    name: str = ""


def _put_in(source: SourceFile) -> list[_Put]:
    known, models = source.ask(facts.values), source.ask(facts.models)
    found: list[_Put] = []
    for store in source.ask(facts.syntax).stores:
        value = known.raw(store.value) if store.value is not None else None
        if value is not None and facts.registration.has_parameters(models, value):
            owners = tuple(known.raw(base) for base in facts.statements.bases(store.target))
            found.append(_Put(store.target, store.statement, store.scope, owners, value))
    for method in ("add_module", "register_module", "register_parameter"):
        for call in source.ask(facts.syntax).calls.get(method, ()):
            given = [known.raw(argument.value) for argument in call.node.args]
            for value in (one for one in given if facts.registration.has_parameters(models, one)):
                owners = tuple(known.raw(base) for base in facts.statements.bases(call.node.func))
                found.append(_Put(call.node, call.statement, call.scope, owners, value))
    return [*found, *_by_helpers(source, found)]


def _by_helpers(source: SourceFile, put: list[_Put]) -> Iterator[_Put]:
    """Yield the calls of functions that always put something into what they are given."""
    known, shape = source.ask(facts.values), source.ask(facts.syntax)
    for inner in put:
        function = inner.scope.function
        if facts.statements.block_of(source, inner.statement) is not None:
            continue
        for call in shape.calls.get(function.name, ()):
            invoked = known.interpreter.invocations.get(id(call.node), {}).get(function)
            for owner in inner.owners if invoked is not None else ():
                given = invoked.given.get(getattr(owner, "name", "")) if invoked is not None else None
                if given is not None and isinstance(owner, facts.terms.Parameter):
                    yield _Put(call.node, call.statement, call.scope, (given,), inner.value)


def _is_one(part: Term, whole: Term) -> bool:
    return not isinstance(whole, facts.terms.Unknown) and facts.terms.same(part, whole)


def _misses(source: SourceFile, put: _Put, made: cst.CSTNode, optimizer: Instance) -> bool:
    """Whether an optimizer took the parameters of the module before, and is used afterwards."""
    given = facts.optimised.given(optimizer)
    wholes = list(facts.optimised.taken(given)) if given is not None else []
    return (
        any(_is_one(part, whole) for part in put.owners for whole in wholes)
        and facts.order.follows(source, made, put.statement)
        and facts.order.is_named_after(source, made, put.statement)
    )


def _is_given_later(
    source: SourceFile,
    put: _Put,
    here: list[tuple[cst.CSTNode, Instance]],
    everywhere: tuple[tuple[Site, Instance], ...],
) -> bool:
    """Whether an optimizer has the new part: one that is made afterwards, or that was given it by itself."""
    later = [optimizer for made, optimizer in here if facts.order.is_later(source, put.statement, made)]
    if any(_may_have(optimizer, put) for optimizer in later):
        return True
    given = [facts.optimised.given(optimizer) for _, optimizer in everywhere]
    return any(part is put.value for one in given if one is not None for part in facts.terms.within(one, 400))


def _may_have(optimizer: Instance, put: _Put) -> bool:
    """Whether an optimizer that is made after a layer was put in may have it: only of other modules it has not."""
    given = facts.optimised.given(optimizer)
    wholes = list(facts.optimised.taken(given)) if given is not None else []
    parts = [part for whole in wholes for part in facts.terms.within(whole, 60)]
    return not wholes or any(
        part is put.value or any(_is_one(owner, part) for owner in put.owners) for part in parts
    )


def _in_none(source: SourceFile, optimizers: tuple[tuple[Site, Instance], ...]) -> Iterator[Report]:
    """Report networks that a loss is back-propagated through, where every optimizer is known and has none of them."""
    if source.ask(facts.syntax).identifiers & _MEANT:
        return
    given = [facts.optimised.given(optimizer) for _, optimizer in optimizers]
    known = source.ask(facts.values)
    resolved = [known.resolve(one) for one in given if one is not None]
    if len(resolved) < len(given) or not all(map(facts.optimised.is_all_known, resolved)):
        return
    trained = {
        part.node
        for one in (*resolved, *(one for one in given if one is not None))
        for part in facts.terms.within(one, 2000)
        if isinstance(part, facts.terms.Instance)
    }
    hierarchy = known.interpreter.hierarchy
    own = {
        part.scope
        for one in given
        for part in facts.terms.within(one, 2000)  # type: ignore[arg-type]
        if isinstance(part, facts.terms.Receiver)
    }
    seen: set[object] = set()
    for root in source.ask(facts.training_paths):
        for event, module in _untrained(source, root, trained):
            if module.scope is not None and own & set(hierarchy.lineage(module.scope)):
                continue  # a model that makes its optimizer itself: `Adam(self.parameters())`
            if module.node not in seen:
                seen.add(module.node)
                related = [
                    Mark(module.node, "made here"),
                    Mark(optimizers[0][0].node, "not in this optimizer"),
                ]
                message = "the loss goes through this network, but no optimizer has its parameters"
                yield Report(event.node, message, related=tuple(related))


_MEANT = {
    "requires_grad", "requires_grad_", "load_state_dict", "add_param_group", "from_pretrained", "lerp_", "ema",
    "manual_backward", "prepare", "grad",
}  # fmt: skip
"""Where one of these occurs, a network may be left alone on purpose, or be trained by other means."""


def _untrained(source: SourceFile, root: Root, trained: set[cst.CSTNode]) -> Iterator[tuple[Event, Instance]]:
    kinds = facts.events.Kind
    happens = facts.paths.events_in(root.path, kinds.FORWARD, kinds.BACKWARD, kinds.STEP, kinds.OPAQUE)
    steps = [event for event in happens if event.kind is kinds.STEP]
    if not steps or any(event.kind is kinds.OPAQUE for event in happens):
        return
    if not all(isinstance(event.target, facts.terms.Instance) for event in steps):
        return
    losses = [event.subject for event in happens if event.kind is kinds.BACKWARD]
    reached = _reached(source, [loss for loss in losses if loss is not None])
    models, made = source.ask(facts.models), source.ask(facts.operations).made
    for event in happens:
        module = event.target
        if event.kind is not kinds.FORWARD or not event.graph or not isinstance(module, facts.terms.Instance):
            continue
        if models.around(event.scope) is not None or _made_in(models, module) & trained:
            continue  # a layer of a model belongs to the model, and a model may be trained in parts
        if module.scope is not None and len(made.get(module.dotted, ())) > 1:
            continue  # an online and a target network: which of them the loss went through is not known
        key = module.scope if module.scope is not None else module.node
        if key in reached and facts.registration.has_parameters(models, module):
            yield event, module


def _made_in(models: Models, module: Instance) -> set[cst.CSTNode]:
    """Return where a module is made, and the layers that its class makes."""
    found = {module.node}
    model = models.of(module.scope)
    held = model.held if model is not None else ()
    for part in (part for one in held for part in facts.terms.within(one.term, 400)):
        if isinstance(part, facts.terms.Instance):
            found.add(part.node)
    for part in facts.terms.within(module, 400):
        if isinstance(part, facts.terms.Instance):
            found.add(part.node)
    return found


def _reached(source: SourceFile, losses: list[Term]) -> set[object]:
    """Return the layers and classes whose work a gradient of a loss flows through."""
    sites = source.ask(facts.values).interpreter.sites
    found: set[object] = set()
    seen: set[Term] = set()
    stack = list(losses)
    while stack and len(seen) < 4000:
        term = stack.pop()
        if term in seen or facts.gradients.carries_graph(term) is False:
            continue
        seen.add(term)
        if isinstance(term, facts.terms.Operation):
            if term.module is not None:
                found.add(term.module.node)
            place = sites.get(id(term.node))
            if place is not None and place[1].owner is not None:
                found.add(place[1].owner)
        stack.extend(facts.terms.parts(term))
    return found
