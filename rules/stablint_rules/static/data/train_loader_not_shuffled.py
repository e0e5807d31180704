"""STB912 train-loader-not-shuffled: every epoch sees the same batches in the same order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import Mark, ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.scopes import Scope
    from stablint.static.facts.terms import Instance, Term
    from stablint.static.source import SourceFile

_MAPPED = ("torchvision.datasets.", "torchaudio.datasets.", "torch_geometric.datasets.")
_HELD = ("torch.utils.data.TensorDataset", "torch.utils.data.Subset", "torch.utils.data.ConcatDataset")
_ITERABLE = ("torch.utils.data.IterableDataset", "torch.utils.data.IterDataPipe")
_DECIDED = ("shuffle", "sampler", "batch_sampler")
_CHOOSING = ("rand", "choice", "sample", "shuffle", "permut")


class TrainLoaderNotShuffled(StaticRule):
    """A model is trained on the batches of a `DataLoader` that does not shuffle.

    ## What it does

    Reports a `DataLoader` without `shuffle`, `sampler` and `batch_sampler` whose batches reach a
    `backward()` in a function that steps an optimizer. How the loader is called does not matter: an
    `eval_train_loader` that is only evaluated on is not reported.

    The dataset must be known to be one with an order of its own (`TensorDataset`, `Subset`, those of
    torchvision and torch_geometric, a class of the file with `__getitem__`): an `IterableDataset` cannot
    be shuffled by its loader, and a dataset that picks its items at random needs none. A loader that is
    told `shuffle=False` is left alone, because somebody has decided that: of a time series, of sentences
    sorted by their length. So is one whose batch is the whole dataset. Where the dataset itself was
    shuffled once, it is a note.

    ## Why it is bad

    `shuffle` is `False` by default. Each epoch then goes through the same batches in the same order, so
    the noise of the gradient is the same each time and does not average out. Where the files are sorted
    by class, as `ImageFolder` sorts them, a batch holds one class: the network learns to say that class,
    then the next, and batch normalisation takes its statistics from one class at a time.

    ## Example

    ```python
    train_loader = DataLoader(train_set, batch_size=64)
    ```

    ## Use instead

    ```python
    train_loader = DataLoader(train_set, batch_size=64, shuffle=True)
    ```

    ## When to ignore it

    When the order of the data carries meaning, or was drawn at random and one epoch is all there is.
    Write `shuffle=False` then; that is not reported.

    ## Fix safety

    Unsafe: other batches are trained on. `shuffle=True` is added to the call.

    ## References

    - [torch.utils.data.DataLoader](https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.DataLoader)
    - [Data loading order and Sampler](https://docs.pytorch.org/docs/stable/data.html#data-loading-order-and-sampler)
    """

    code = "STB912"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # a dataset of torchvision
        """\
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

data = datasets.MNIST("data", train=True, transform=transforms.ToTensor())
loader = DataLoader(data, batch_size=64)  # flagged

def train(model, optimizer):
    for images, labels in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
""",
        # through a function, and through enumerate
        """\
import torch
from torch.utils.data import DataLoader, TensorDataset

def train(model, batches, optimizer, criterion):
    for number, (inputs, targets) in enumerate(batches):
        optimizer.zero_grad()
        loss = criterion(model(inputs), targets)
        loss.backward()
        optimizer.step()

def main(model, inputs, targets):
    optimizer = torch.optim.Adam(model.parameters())
    batches = DataLoader(TensorDataset(inputs, targets), batch_size=32, num_workers=2)  # flagged
    for epoch in range(10):
        train(model, batches, optimizer, torch.nn.MSELoss())
""",
        # a dataset of the file, in a trainer
        """\
import torch
from torch.utils.data import DataLoader, Dataset

class Rows(Dataset):
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]

class Trainer:
    def __init__(self, model, rows):
        self.model = model
        self.loader = DataLoader(Rows(rows), 16)  # flagged
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def epoch(self):
        for batch in self.loader:
            self.optimizer.zero_grad()
            loss = self.model(batch).mean()
            loss.backward()
            self.optimizer.step()
""",
        # a part of a dataset, and a scaled loss
        """\
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Subset

def main(model, dataset, scaler, optimizer):
    loader = DataLoader(Subset(dataset, range(1000)), batch_size=8, drop_last=True)  # flagged
    for epoch in range(3):
        for x, y in loader:
            optimizer.zero_grad()
            scaler.scale(F.mse_loss(model(x), y)).backward()
            scaler.step(optimizer)
            scaler.update()
""",
        # only one of two
        """\
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

train_loader = DataLoader(ImageFolder("train"), batch_size=64)  # flagged
test_loader = DataLoader(ImageFolder("test"), batch_size=64)

def run(model, optimizer):
    for x, y in train_loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    with torch.no_grad():
        return sum((model(x).argmax(1) == y).sum().item() for x, y in test_loader)
""",
        # a dataset that is sliced
        """\
import torch
import torch.nn.functional as F
from torch_geometric.datasets import TUDataset
from torch_geometric.loader import DataLoader

dataset = TUDataset("data", name="PROTEINS")
train_loader = DataLoader(dataset[:900], batch_size=60)  # flagged

def train(model, optimizer):
    for data in train_loader:
        optimizer.zero_grad()
        F.cross_entropy(model(data.x, data.edge_index, data.batch), data.y).backward()
        optimizer.step()
""",
        # one that was shuffled once: a note
        """\
import torch
import torch.nn.functional as F
from torch_geometric.datasets import TUDataset
from torch_geometric.loader import DataLoader

dataset = TUDataset("data", name="PROTEINS").shuffle()
train_loader = DataLoader(dataset[:900], batch_size=60)  # flagged

def train(model, optimizer):
    for data in train_loader:
        optimizer.zero_grad()
        F.cross_entropy(model(data.x, data.edge_index, data.batch), data.y).backward()
        optimizer.step()
    print(len(train_loader.dataset))
""",
    ]

    fixed = [
        """\
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

data = datasets.MNIST("data", train=True, transform=transforms.ToTensor())
loader = DataLoader(data, batch_size=64, shuffle=True)

def train(model, optimizer):
    for images, labels in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
""",
        """\
import torch
from torch.utils.data import DataLoader, TensorDataset

def train(model, batches, optimizer, criterion):
    for number, (inputs, targets) in enumerate(batches):
        optimizer.zero_grad()
        loss = criterion(model(inputs), targets)
        loss.backward()
        optimizer.step()

def main(model, inputs, targets):
    optimizer = torch.optim.Adam(model.parameters())
    batches = DataLoader(TensorDataset(inputs, targets), batch_size=32, num_workers=2, shuffle=True)
    for epoch in range(10):
        train(model, batches, optimizer, torch.nn.MSELoss())
""",
        """\
import torch
from torch.utils.data import DataLoader, Dataset

class Rows(Dataset):
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]

class Trainer:
    def __init__(self, model, rows):
        self.model = model
        self.loader = DataLoader(Rows(rows), 16, shuffle=True)
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def epoch(self):
        for batch in self.loader:
            self.optimizer.zero_grad()
            loss = self.model(batch).mean()
            loss.backward()
            self.optimizer.step()
""",
        """\
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Subset

def main(model, dataset, scaler, optimizer):
    loader = DataLoader(Subset(dataset, range(1000)), batch_size=8, drop_last=True, shuffle=True)
    for epoch in range(3):
        for x, y in loader:
            optimizer.zero_grad()
            scaler.scale(F.mse_loss(model(x), y)).backward()
            scaler.step(optimizer)
            scaler.update()
""",
        """\
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

train_loader = DataLoader(ImageFolder("train"), batch_size=64, shuffle=True)
test_loader = DataLoader(ImageFolder("test"), batch_size=64)

def run(model, optimizer):
    for x, y in train_loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    with torch.no_grad():
        return sum((model(x).argmax(1) == y).sum().item() for x, y in test_loader)
""",
        """\
import torch
import torch.nn.functional as F
from torch_geometric.datasets import TUDataset
from torch_geometric.loader import DataLoader

dataset = TUDataset("data", name="PROTEINS")
train_loader = DataLoader(dataset[:900], batch_size=60, shuffle=True)

def train(model, optimizer):
    for data in train_loader:
        optimizer.zero_grad()
        F.cross_entropy(model(data.x, data.edge_index, data.batch), data.y).backward()
        optimizer.step()
""",
        """\
import torch
import torch.nn.functional as F
from torch_geometric.datasets import TUDataset
from torch_geometric.loader import DataLoader

dataset = TUDataset("data", name="PROTEINS").shuffle()
train_loader = DataLoader(dataset[:900], batch_size=60, shuffle=True)

def train(model, optimizer):
    for data in train_loader:
        optimizer.zero_grad()
        F.cross_entropy(model(data.x, data.edge_index, data.batch), data.y).backward()
        optimizer.step()
    print(len(train_loader.dataset))
""",
    ]

    good = [
        # shuffled
        """\
import torch
from torch.utils.data import DataLoader, TensorDataset

def train(model, inputs, optimizer):
    for (x,) in DataLoader(TensorDataset(inputs), batch_size=8, shuffle=True):
        optimizer.zero_grad()
        model(x).mean().backward()
        optimizer.step()
""",
        # somebody has decided
        """\
import torch
from torch.utils.data import DataLoader, TensorDataset

def train(model, inputs, optimizer):
    for (x,) in DataLoader(TensorDataset(inputs), batch_size=8, shuffle=False):
        optimizer.zero_grad()
        model(x).mean().backward()
        optimizer.step()
""",
        # a sampler shuffles
        """\
import torch
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

def train(model, inputs, optimizer):
    data = TensorDataset(inputs)
    for (x,) in DataLoader(data, batch_size=8, sampler=RandomSampler(data)):
        optimizer.zero_grad()
        model(x).mean().backward()
        optimizer.step()
""",
        # evaluation on what was trained on
        """\
import torch
from torch.utils.data import DataLoader, TensorDataset

def evaluate(model, inputs):
    train_loader = DataLoader(TensorDataset(inputs), batch_size=8)
    with torch.no_grad():
        return sum(model(x).sum().item() for (x,) in train_loader)
""",
        # a stream has no order to shuffle
        """\
import torch
from torch.utils.data import DataLoader, IterableDataset

class Stream(IterableDataset):
    def __iter__(self):
        yield from read_lines()

def train(model, optimizer):
    for x in DataLoader(Stream(), batch_size=8):
        optimizer.zero_grad()
        model(x).mean().backward()
        optimizer.step()
""",
        # of the dataset nothing is known
        """\
import torch
from torch.utils.data import DataLoader

def train(model, dataset, optimizer):
    for x in DataLoader(dataset, batch_size=8):
        optimizer.zero_grad()
        model(x).mean().backward()
        optimizer.step()
""",
        # items are drawn at random anyway
        """\
import random
import torch
from torch.utils.data import DataLoader, Dataset

class Crops(Dataset):
    def __init__(self, image):
        self.image = image

    def __len__(self):
        return 1000

    def __getitem__(self, index):
        left = random.randint(0, 100)
        return self.image[:, left : left + 32]

def train(model, image, optimizer):
    for x in DataLoader(Crops(image), batch_size=8):
        optimizer.zero_grad()
        model(x).mean().backward()
        optimizer.step()
""",
        # all of it is one batch
        """\
import torch
from torch.utils.data import DataLoader, TensorDataset

def train(model, inputs, optimizer):
    data = TensorDataset(inputs)
    for (x,) in DataLoader(data, batch_size=len(data)):
        optimizer.zero_grad()
        model(x).mean().backward()
        optimizer.step()
""",
        # whether it shuffles is the caller's decision
        """\
import torch
from torch.utils.data import DataLoader, TensorDataset

def train(model, inputs, optimizer, **options):
    for (x,) in DataLoader(TensorDataset(inputs), **options):
        optimizer.zero_grad()
        model(x).mean().backward()
        optimizer.step()
""",
        # gradients of an attack, nothing is trained
        """\
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torchvision import datasets

def attack(model):
    for x, y in DataLoader(datasets.MNIST("data"), batch_size=1):
        x.requires_grad_()
        F.nll_loss(model(x), y).backward()
        yield x + 0.1 * x.grad.sign()
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Yield the loaders that training goes through in the order of the data."""
        for feeding in source.ask(facts.feedings):
            loader = feeding.loader
            if _is_undecided(loader) and _has_order(source, loader) and not _is_whole(loader):
                yield Report(
                    loader.node,
                    "the model is trained on batches that come in the same order in every epoch",
                    severity=Severity.NOTE if _is_drawn(loader) else None,
                    related=(Mark(feeding.backward.node, "the batches are trained on here"),),
                    fix=_fix(source, loader),
                )


def _is_undecided(loader: Instance) -> bool:
    given = any(
        facts.loaders.argument(loader, name, at) is not None for at, name in enumerate(_DECIDED, start=2)
    )
    return not given and not loader.open_arguments


def _has_order(source: SourceFile, loader: Instance) -> bool:
    dataset = facts.loaders.argument(loader, "dataset", 0)
    if dataset is None:
        return False
    return all(
        _is_mapped(source, option) or (_is_unknown(option) and _is_counted(source, loader))
        for option in facts.terms.options(dataset)
    )


def _is_drawn(loader: Instance) -> bool:
    """Whether the dataset was shuffled once: `dataset.shuffle()`."""
    dataset = facts.loaders.argument(loader, "dataset", 0)
    calls = (
        [part for part in facts.terms.within(dataset, 50) if isinstance(part, facts.terms.Call)]
        if dataset
        else []
    )
    return any(getattr(call.callee, "name", "") == "shuffle" for call in calls)


def _is_unknown(dataset: Term) -> bool:
    return not isinstance(dataset, facts.terms.Instance) or dataset.dotted == ""


def _is_counted(source: SourceFile, loader: Instance) -> bool:
    """Whether the file asks for the length of a loader, or of its dataset: a stream has none."""
    for _, operation in source.ask(facts.operations).named("len"):
        for option in facts.terms.options(operation.operands[0]) if operation.operands else ():
            whole = option.base if isinstance(option, facts.terms.Attribute) else option
            if getattr(whole, "node", None) is loader.node:
                return True
    return False


def _is_mapped(source: SourceFile, dataset: Term) -> bool:
    while isinstance(dataset, facts.terms.Operation) and dataset.name == "index":
        dataset = dataset.operands[0]  # torch_geometric's datasets are sliced: dataset[:100]
    if isinstance(dataset, facts.terms.Item):
        return _is_mapped(source, dataset.base)
    if isinstance(dataset, facts.terms.Call):
        return getattr(dataset.callee, "dotted", "").startswith(_MAPPED)
    if not isinstance(dataset, facts.terms.Instance):
        return False
    if dataset.scope is None:
        return dataset.dotted.startswith((*_HELD, *_MAPPED))
    hierarchy = source.ask(facts.values).interpreter.hierarchy
    item = hierarchy.method_of(dataset.scope, "__getitem__")
    bases = {getattr(base, "dotted", "") for base in hierarchy.outer_bases(dataset.scope)}
    return item is not None and bases.isdisjoint(_ITERABLE) and not _chooses(source, item)


def _chooses(source: SourceFile, function: Scope) -> bool:
    """Whether a dataset draws something: that may be the item (random crops of one image; pairs of a siamese net)."""
    return any(
        word in name.lower()
        for name, calls in source.ask(facts.syntax).calls.items()
        for word in _CHOOSING
        for call in calls
        if call.scope.function is function
    )


def _is_whole(loader: Instance) -> bool:
    """Whether a batch is as large as the dataset, as far as the code says so."""
    size = facts.loaders.argument(loader, "batch_size", 1)
    return size is not None and any(
        isinstance(part, facts.terms.Operation) and part.name == "len"
        for part in facts.terms.within(size, 20)
    )


def _fix(source: SourceFile, loader: Instance) -> ProposedFix | None:
    arguments = getattr(loader.node, "args", ())
    if not arguments:
        return None
    last = arguments[-1].value
    more = Replace(last, f"{source.code(last)}, shuffle=True")
    return ProposedFix("Add `shuffle=True`", Applicability.UNSAFE, (more,))
