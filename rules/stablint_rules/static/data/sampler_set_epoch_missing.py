"""STB911 sampler-set-epoch-missing: a distributed sampler that shuffles in the same way in every epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Severity
from stablint.rule import InsertBefore, Mark, ProposedFix, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.facts.loaders import Feeding
    from stablint.static.facts.scopes import Scope
    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Instance
    from stablint.static.interpret.interpreter import Interpreter
    from stablint.static.interpret.invocations import Invocation
    from stablint.static.source import SourceFile

_SAMPLER = "torch.utils.data.DistributedSampler"
_LOOPS = ("for", "while")


class SamplerSetEpochMissing(StaticRule):
    """A `DistributedSampler` shuffles, and nothing ever tells it which epoch it is.

    ## What it does

    Reports a `DistributedSampler` that shuffles (as it does by default) and whose loader is trained on
    in a loop over epochs, in files that never call `set_epoch`. A loader that goes where that cannot be
    seen, and one that is gone through once, are not reported.

    ## Why it is bad

    The sampler draws its order from its seed plus the number of the epoch, which stays 0 until
    `set_epoch` says otherwise. So every epoch has the same batches in the same order on the same
    process: of 8 items on 2 processes, process 0 got 4, 7, 2, 1 four epochs in a row, and another order
    in each once `set_epoch(epoch)` was called (torch 2.13). In contrast to a `DataLoader` with
    `shuffle=True`, which draws a new order by itself, nothing looks wrong.

    ## Example

    ```python
    sampler = DistributedSampler(dataset)
    loader = DataLoader(dataset, batch_size=32, sampler=sampler)
    for epoch in range(epochs):
        for batch in loader:
            train_step(batch)
    ```

    ## Use instead

    ```python
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for batch in loader:
            train_step(batch)
    ```

    ## When to ignore it

    When the order is meant to be the same, to compare runs batch by batch. `shuffle=False` says that
    no order is drawn, and is not reported.

    ## Fix safety

    Unsafe: other batches are trained on. `set_epoch` is inserted at the head of the loop over epochs,
    where that loop counts them by a name and the sampler has a name in the same function.

    ## References

    - [torch.utils.data.distributed.DistributedSampler](https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.distributed.DistributedSampler)
    """

    code = "STB911"
    severity = Severity.WARNING
    since = "0.1.0"

    bad = [
        # two loops
        """\
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, DistributedSampler

def main(model, dataset, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sampler = DistributedSampler(dataset)  # flagged
    loader = DataLoader(dataset, batch_size=32, sampler=sampler)
    for epoch in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
""",
        # through a function that a loop calls
        """\
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

def train(model, loader, optimizer):
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

def main(model, dataset, rank, world):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sampler = DistributedSampler(dataset, num_replicas=world, rank=rank)  # flagged
    loader = DataLoader(dataset, batch_size=32, sampler=sampler)
    for _ in range(10):
        train(model, loader, optimizer)
""",
        # in a trainer
        """\
import torch
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

class Trainer:
    def __init__(self, model, dataset):
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters())
        self.loader = DataLoader(dataset, batch_size=8, sampler=DistributedSampler(dataset))  # flagged

    def epoch(self):
        for x, y in self.loader:
            loss = torch.nn.functional.mse_loss(self.model(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def fit(self, epochs):
        for epoch in range(epochs):
            self.epoch()
""",
        # shuffles by its own word
        """\
import torch
import torch.utils.data
from torch.utils import data

def main(model, dataset):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    order = data.DistributedSampler(dataset, shuffle=True, drop_last=True)  # flagged
    batches = data.DataLoader(dataset, 32, False, order)
    for epoch in range(5):
        for number, x in enumerate(batches):
            optimizer.zero_grad()
            model(x).mean().backward()
            optimizer.step()
        print(epoch)
""",
        # an order for each of the two, of which one is trained on
        """\
import torch
from torch.utils.data import DataLoader, DistributedSampler

def main(model, train_set, test_set):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train_loader = DataLoader(train_set, 32, sampler=DistributedSampler(train_set))  # flagged
    test_loader = DataLoader(test_set, 32, sampler=DistributedSampler(test_set))
    for epoch in range(5):
        for x in train_loader:
            optimizer.zero_grad()
            model(x).mean().backward()
            optimizer.step()
        with torch.no_grad():
            print(sum(model(x).sum() for x in test_loader))
""",
        # trained on in another file
        """\
# file: engine.py
def train_one_epoch(model, loader, optimizer, log):
    for step, x in enumerate(log.each(loader)):
        optimizer.zero_grad()
        model(x).mean().backward()
        optimizer.step()

# file: main.py
import torch
from engine import train_one_epoch
from torch.utils.data import DataLoader, DistributedSampler, RandomSampler

def main(model, dataset, log, is_distributed):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sampler = DistributedSampler(dataset) if is_distributed else RandomSampler(dataset)  # flagged
    loader = DataLoader(dataset, 32, sampler=sampler)
    for epoch in range(10):
        train_one_epoch(model, loader, optimizer, log)
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, DistributedSampler

def main(model, dataset, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sampler = DistributedSampler(dataset)
    loader = DataLoader(dataset, batch_size=32, sampler=sampler)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
""",
        None,
        None,
        """\
import torch
import torch.utils.data
from torch.utils import data

def main(model, dataset):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    order = data.DistributedSampler(dataset, shuffle=True, drop_last=True)
    batches = data.DataLoader(dataset, 32, False, order)
    for epoch in range(5):
        order.set_epoch(epoch)
        for number, x in enumerate(batches):
            optimizer.zero_grad()
            model(x).mean().backward()
            optimizer.step()
        print(epoch)
""",
        None,
    ]

    good = [
        # it is told
        """\
import torch
from torch.utils.data import DataLoader, DistributedSampler

def main(model, dataset):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sampler = DistributedSampler(dataset)
    loader = DataLoader(dataset, 32, sampler=sampler)
    for epoch in range(5):
        sampler.set_epoch(epoch)
        for x in loader:
            optimizer.zero_grad()
            model(x).mean().backward()
            optimizer.step()
""",
        # told through the loader
        """\
import torch
from torch.utils.data import DataLoader, DistributedSampler

def main(model, dataset):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(dataset, 32, sampler=DistributedSampler(dataset))
    for epoch in range(5):
        loader.sampler.set_epoch(epoch)
        for x in loader:
            optimizer.zero_grad()
            model(x).mean().backward()
            optimizer.step()
""",
        # no order is drawn
        """\
import torch
from torch.utils.data import DataLoader, DistributedSampler

def main(model, dataset):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(dataset, 32, sampler=DistributedSampler(dataset, shuffle=False))
    for epoch in range(5):
        for x in loader:
            optimizer.zero_grad()
            model(x).mean().backward()
            optimizer.step()
""",
        # whether one is drawn is not known
        """\
import torch
from torch.utils.data import DataLoader, DistributedSampler

def main(model, dataset, shuffle):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(dataset, 32, sampler=DistributedSampler(dataset, shuffle=shuffle))
    for epoch in range(5):
        for x in loader:
            optimizer.zero_grad()
            model(x).mean().backward()
            optimizer.step()
""",
        # one epoch
        """\
import torch
from torch.utils.data import DataLoader, DistributedSampler

def main(model, dataset):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x in DataLoader(dataset, 32, sampler=DistributedSampler(dataset)):
        optimizer.zero_grad()
        model(x).mean().backward()
        optimizer.step()
""",
        # evaluated on, not trained
        """\
import torch
from torch.utils.data import DataLoader, DistributedSampler

def main(model, dataset, times):
    loader = DataLoader(dataset, 32, sampler=DistributedSampler(dataset))
    for _ in range(times):
        with torch.no_grad():
            print(sum(model(x).sum() for x in loader))
""",
        # the loader leaves the file
        """\
from torch.utils.data import DataLoader, DistributedSampler

def make_loader(dataset):
    return DataLoader(dataset, 32, sampler=DistributedSampler(dataset))
""",
        # the framework tells it
        """\
import torch
from torch.utils.data import DataLoader, DistributedSampler

def main(trainer, model, dataset):
    trainer.fit(model, DataLoader(dataset, 32, sampler=DistributedSampler(dataset)))
""",
        # told in another file
        """\
# file: engine.py
def train_one_epoch(model, loader, optimizer, epoch):
    loader.sampler.set_epoch(epoch)
    for x in loader:
        optimizer.zero_grad()
        model(x).mean().backward()
        optimizer.step()

# file: main.py
import torch
from engine import train_one_epoch
from torch.utils.data import DataLoader, DistributedSampler

def main(model, dataset):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(dataset, 32, sampler=DistributedSampler(dataset))
    for epoch in range(10):
        train_one_epoch(model, loader, optimizer, epoch)
""",
        # evaluated in another file
        """\
# file: engine.py
import torch

def evaluate(model, loader):
    with torch.no_grad():
        return sum(model(x).sum() for x in loader)

# file: main.py
from engine import evaluate
from torch.utils.data import DataLoader, DistributedSampler

def main(models, dataset):
    loader = DataLoader(dataset, 32, sampler=DistributedSampler(dataset))
    for model in models:
        print(evaluate(model, loader))
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Yield the samplers of loaders that are trained on epoch after epoch."""
        if "set_epoch" in source.ask(facts.syntax).identifiers:
            return
        for site, sampler in source.ask(facts.operations).instances(_SAMPLER):
            if not _shuffles(sampler):
                continue
            for feeding in source.ask(facts.feedings):
                if _samples(sampler, feeding.loader) and _is_repeated(source, feeding.backward):
                    yield Report(
                        sampler.node,
                        "nothing calls `set_epoch`: all epochs have the order of the first one",
                        related=(Mark(feeding.backward.node, "the batches are trained on here"),),
                        fix=_fix(source, site, feeding),
                    )
                    break
            else:
                yield from _trained_elsewhere(source, site, sampler)


def _trained_elsewhere(source: SourceFile, site: Site, sampler: Instance) -> Iterator[Report]:
    """Report a sampler whose loader a function of another file trains on, epoch after epoch."""
    interpreter = source.ask(facts.values).interpreter
    for key, invoked in interpreter.invocations.items():
        if key not in interpreter.sites:
            continue
        node, _, statement = interpreter.sites[key]
        epochs = facts.statements.innermost_loop(source, statement)
        if epochs is None or facts.statements.stands_in(source, site.node, epochs.node):
            continue
        for function, call in invoked.items():
            home = interpreter.home(function)
            name = _loader_among(source, sampler, call)
            if home is not interpreter and name and _trains_on(home, function, name):
                yield Report(
                    sampler.node,
                    "nothing calls `set_epoch`: all epochs have the order of the first one",
                    related=(Mark(node, "each epoch is trained on its batches here"),),
                )
                return


def _loader_among(source: SourceFile, sampler: Instance, call: Invocation) -> str:
    """Return the name under which a function is given the loader of a sampler."""
    terms, known = facts.terms, source.ask(facts.values)
    for name, given in call.given.items():
        for option in terms.options(known.resolve(given)):
            if not isinstance(option, terms.Instance) or option.dotted not in facts.loaders.LOADERS:
                continue
            if _samples(sampler, option):
                return name
    return ""


def _trains_on(home: Interpreter, function: Scope, loader: str) -> bool:
    """Whether a function trains on the batches of a loader, in a file that sets no epoch."""
    shape = home.syntax
    if "set_epoch" in shape.identifiers:
        return False
    loops = {
        block.node
        for scope, around in shape.blocks.values()
        if scope.function is function and around is not None
        for block in around.outward()
        if block.kind == "for"
    }
    headers = (facts.statements.names_in(facts.statements.header(home.source, loop)) for loop in loops)
    trains = (call for name in ("backward", "zero_grad") for call in shape.calls.get(name, ()))
    return any(loader in names for names in headers) and any(
        call.scope.function is function for call in trains
    )


def _shuffles(sampler: Instance) -> bool:
    given = facts.loaders.argument(sampler, "shuffle", 3)
    said = given is None or (isinstance(given, facts.terms.Constant) and given.value is True)
    return said and not sampler.open_arguments


def _samples(sampler: Instance, loader: Instance) -> bool:
    given = facts.loaders.argument(loader, "sampler", 3)
    return given is not None and any(
        getattr(option, "node", None) is sampler.node for option in facts.terms.options(given)
    )


def _is_repeated(source: SourceFile, backward: Site) -> bool:
    """Whether there is a loop around the one over batches: in the function, or around a call of it."""
    if len(_loops(backward)) > 1:
        return True
    calls = source.ask(facts.syntax).calls.get(backward.scope.function.name, ())
    return any(
        call.block is not None and any(b.kind in _LOOPS for b in call.block.outward()) for call in calls
    )


def _loops(site: Site) -> list[cst.CSTNode]:
    blocks = site.block.outward() if site.block is not None else ()
    return [block.node for block in blocks if block.kind in _LOOPS]


def _fix(source: SourceFile, sampler: Site, feeding: Feeding) -> ProposedFix | None:
    """Insert `set_epoch` where the loop over epochs and a name for the sampler are in one function."""
    loops = _loops(feeding.backward)
    name = _name(source, sampler)
    if name is None or len(loops) != 2 or sampler.scope.function is not feeding.backward.scope.function:
        return None
    epoch = getattr(loops[-1], "target", None)
    body = getattr(getattr(loops[-1], "body", None), "body", ())
    if epoch is None or not body or not source.code(epoch).isidentifier():
        return None
    call = InsertBefore(body[0], f"{name}.set_epoch({source.code(epoch)})")
    return ProposedFix("Call `set_epoch`", Applicability.UNSAFE, (call,))


def _name(source: SourceFile, site: Site) -> str | None:
    """Return the name that an object is assigned to where it is made."""
    targets: Sequence[cst.AssignTarget] = getattr(site.statement, "targets", ())
    if len(targets) != 1 or getattr(site.statement, "value", None) is not site.node:
        return None
    name = source.code(targets[0].target)
    return name if name.isidentifier() else None
