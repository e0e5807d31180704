"""STB913 worker-rng-duplicated: all workers of a loader draw the same random numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.facts.scopes import Scope
    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Instance, Term
    from stablint.static.source import SourceFile

_LOADER = "torch.utils.data.DataLoader"
_DATASETS = ("torch.utils.data.Dataset", "torch.utils.data.IterableDataset")
_GENERATORS = {
    "default_rng": ("numpy.random.default_rng",),
    "RandomState": ("numpy.random.RandomState",),
    "Generator": ("numpy.random.Generator",),
    "Random": ("random.Random",),
}
_SEEDERS = ("numpy.random.seed", "random.seed")
_AWARE = ("get_worker_info", "initial_seed")


class WorkerRngDuplicated(StaticRule):
    """Each worker of a `DataLoader` draws from a copy of one random generator.

    ## What it does

    Reports a generator (`numpy.random.default_rng`, `RandomState`, `random.Random`) that a dataset makes
    in its `__init__`, keeps, and draws from in another method, where the file loads that dataset with
    `num_workers`. And a `worker_init_fn` that seeds with a constant.

    A loader with a `worker_init_fn` is left alone in the first case, and so is a file that asks for the
    worker or for its seed (`get_worker_info`, `torch.initial_seed`). Drawing from `numpy.random` itself is
    not reported: since PyTorch 1.9 every worker seeds it differently in every epoch.

    ## Why it is bad

    The workers are copies of the process that made the dataset, generator included, and are made again
    for each epoch. A dataset that returns `self.rng.integers(1000)`, with `self.rng = default_rng(0)` and
    two workers, gave 850, 850, 636, 636 in the first epoch and 850, 850, 636, 636 in the second; with
    `numpy.random.randint` it gave 990, 676, 626, 177 and 432, 530, 674, 594 (torch 2.13). With eight
    workers, an eighth of the augmentations are different, and no epoch brings a new one.

    ## Example

    ```python
    class Crops(Dataset):
        def __init__(self, images):
            self.images = images
            self.rng = np.random.default_rng(0)

        def __getitem__(self, index):
            return crop(self.images[index], self.rng.integers(32))

    loader = DataLoader(Crops(images), batch_size=32, num_workers=4)
    ```

    ## Use instead

    ```python
    class Crops(Dataset):
        def __init__(self, images):
            self.images = images

        def __getitem__(self, index):
            return crop(self.images[index], torch.randint(32, ()).item())
    ```

    or make the generator where it is used, of `torch.initial_seed()`, which differs between the workers
    and the epochs.

    ## When to ignore it

    When all workers must draw the same numbers, as streams do that share one order and take every n-th
    item of it.

    ## Fix safety

    There is no fix: where the generator should be made is a choice.

    ## References

    - [Randomness in multi-process data loading](https://docs.pytorch.org/docs/stable/data.html#randomness-in-multi-process-data-loading)
    - [My data loader workers return identical random numbers](https://docs.pytorch.org/docs/stable/notes/faq.html#my-data-loader-workers-return-identical-random-numbers)
    """

    code = "STB913"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # a generator of NumPy
        """\
import numpy as np
from torch.utils.data import DataLoader, Dataset

class Crops(Dataset):
    def __init__(self, images):
        self.images = images
        self.rng = np.random.default_rng(0)  # flagged

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        left = self.rng.integers(32)
        return self.images[index, left : left + 64]

def make(images):
    return DataLoader(Crops(images), batch_size=32, num_workers=4)
""",
        # in a helper, with a seed that is given
        """\
import numpy as np
from torch.utils.data import DataLoader, Dataset

class Noisy(Dataset):
    def __init__(self, rows, seed):
        self.rows = rows
        self.state = np.random.RandomState(seed)  # flagged

    def __getitem__(self, index):
        return self.noise() + self.rows[index]

    def noise(self):
        return self.state.normal()

def main(rows, workers):
    data = Noisy(rows, seed=1)
    loader = DataLoader(data, shuffle=True, num_workers=workers)
    return loader
""",
        # Python's own
        """\
import random
import torch
from torch.utils.data import DataLoader

class Pairs(torch.utils.data.Dataset):
    def __init__(self, rows):
        self.rows = rows
        self.random = random.Random()  # flagged

    def __getitem__(self, index):
        return self.rows[index], self.random.choice(self.rows)

loader = DataLoader(Pairs(list(range(10))), num_workers=2, persistent_workers=True)
""",
        # a stream
        """\
import numpy as np
from torch.utils.data import DataLoader, IterableDataset

class Stream(IterableDataset):
    def __init__(self):
        self.rng = np.random.default_rng()  # flagged

    def __iter__(self):
        while True:
            yield self.rng.normal(size=3)

def batches():
    yield from DataLoader(Stream(), 16, num_workers=8)
""",
        # every worker gets the same seed
        """\
import numpy as np
from torch.utils.data import DataLoader

def init(worker):
    np.random.seed(42)  # flagged

def make(dataset):
    return DataLoader(dataset, batch_size=8, num_workers=4, worker_init_fn=init)
""",
        # by a constant of the module, with two generators
        """\
import random
import numpy as np
from torch.utils.data import DataLoader

SEED = 7

def seed_worker(worker_id):
    np.random.seed(SEED)  # flagged
    random.seed(SEED)  # flagged

def make(dataset):
    return DataLoader(dataset, num_workers=4, worker_init_fn=seed_worker)
""",
        # and PyTorch's own, which the loader had made different
        """\
import torch
from torch.utils.data import DataLoader

class Loaders:
    def init(self, worker):
        torch.manual_seed(0)  # flagged

    def train(self, dataset):
        return DataLoader(dataset, num_workers=4, worker_init_fn=self.init)
""",
    ]

    good = [
        # no workers
        """\
import numpy as np
from torch.utils.data import DataLoader, Dataset

class Crops(Dataset):
    def __init__(self, images):
        self.images = images
        self.rng = np.random.default_rng(0)

    def __getitem__(self, index):
        return self.images[index] + self.rng.normal()

def make(images):
    return DataLoader(Crops(images), batch_size=32), DataLoader(Crops(images), num_workers=0)
""",
        # NumPy's own generator is seeded for each worker
        """\
import numpy as np
from torch.utils.data import DataLoader, Dataset

class Crops(Dataset):
    def __init__(self, images):
        self.images = images

    def __getitem__(self, index):
        return self.images[index] + np.random.normal()

def make(images):
    return DataLoader(Crops(images), num_workers=4)
""",
        # drawn from while the dataset is made
        """\
import numpy as np
from torch.utils.data import DataLoader, Dataset

class Split(Dataset):
    def __init__(self, rows):
        self.rng = np.random.default_rng(0)
        self.rows = rows[self.rng.permutation(len(rows))]

    def __getitem__(self, index):
        return self.rows[index]

def make(rows):
    return DataLoader(Split(rows), num_workers=4)
""",
        # made anew for each item
        """\
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

class Crops(Dataset):
    def __init__(self, images):
        self.images = images

    def __getitem__(self, index):
        rng = np.random.default_rng(torch.initial_seed() + index)
        return self.images[index] + rng.normal()

def make(images):
    return DataLoader(Crops(images), num_workers=4)
""",
        # the worker seeds it
        """\
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

class Crops(Dataset):
    def __init__(self, images):
        self.images = images
        self.rng = np.random.default_rng(0)

    def __getitem__(self, index):
        return self.images[index] + self.rng.normal()

def reseed(worker):
    info = torch.utils.data.get_worker_info()
    info.dataset.rng = np.random.default_rng(info.seed)

def make(images):
    return DataLoader(Crops(images), num_workers=4, worker_init_fn=reseed)
""",
        # each worker has a seed of its own
        """\
import numpy as np
from torch.utils.data import DataLoader

def init(worker):
    np.random.seed(42 + worker)

def make(dataset):
    return DataLoader(dataset, num_workers=4, worker_init_fn=init)
""",
        # which the loader hands out
        """\
import random
import numpy as np
import torch
from torch.utils.data import DataLoader

def init(worker):
    seed = torch.initial_seed() % 2**32
    np.random.seed(seed)
    random.seed(seed)

def make(dataset):
    return DataLoader(dataset, num_workers=4, worker_init_fn=init)
""",
        # no dataset
        """\
import numpy as np
from torch.utils.data import DataLoader

class Sampler:
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def __iter__(self):
        yield self.rng.integers(10)

def make(dataset):
    return DataLoader(dataset, sampler=Sampler(), num_workers=4)
""",
        # a seed for the run
        """\
import numpy as np
import torch
from torch.utils.data import DataLoader

def main(dataset):
    np.random.seed(0)
    torch.manual_seed(0)
    return DataLoader(dataset, num_workers=4)
""",
        # made again when the epoch changes
        """\
import numpy as np
from torch.utils.data import DataLoader, Dataset

class Crops(Dataset):
    def __init__(self, images):
        self.images = images
        self.rng = np.random.default_rng(0)

    def set_epoch(self, epoch):
        self.rng = np.random.default_rng(epoch)

    def __getitem__(self, index):
        return self.images[index] + self.rng.normal()

def make(images):
    return DataLoader(Crops(images), num_workers=4)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Yield generators that workers copy, and seeds that they share."""
        for loader in _loaders_with_workers(source):
            setup = facts.loaders.argument(loader, "worker_init_fn", 10)
            if setup is not None:
                yield from _shared_seeds(source, setup, loader)
            elif source.ask(facts.syntax).identifiers.isdisjoint(_AWARE):
                yield from _copied_generators(source, loader)


def _loaders_with_workers(source: SourceFile) -> Iterator[Instance]:
    for _, loader in source.ask(facts.operations).instances(_LOADER):
        workers = facts.loaders.argument(loader, "num_workers", 5)
        none = isinstance(workers, facts.terms.Constant) and not workers.value
        if workers is not None and not none and not loader.open_arguments:
            yield loader


def _shared_seeds(source: SourceFile, setup: Term, loader: Instance) -> Iterator[Report]:
    if not isinstance(setup, facts.terms.Closure):
        return
    for site, seed in _seeds(source):
        if site.scope.function is setup.function and facts.terms.number(seed) is not None:
            yield Report(
                site.node,
                "all workers get the same seed, in every epoch",
                related=(Mark(loader.node, "the loader that calls this in each worker"),),
            )


def _seeds(source: SourceFile) -> Iterator[tuple[Site, Term]]:
    """Yield where generators of the process are seeded, with what."""
    known = source.ask(facts.operations)
    for site in known.calls.get("seed", ()):
        call = site.raw
        if isinstance(call, facts.terms.Call) and getattr(call.callee, "dotted", "") in _SEEDERS:
            yield from ((site, seed) for seed in call.positional[:1])
    for site in known.by_name.get("manual_seed", ()):
        operation = site.raw
        if isinstance(operation, facts.terms.Operation) and operation.dotted == "torch.manual_seed":
            yield from ((site, seed) for seed in operation.operands[:1])


def _copied_generators(source: SourceFile, loader: Instance) -> Iterator[Report]:
    dataset = facts.loaders.argument(loader, "dataset", 0)
    calls = source.ask(facts.operations).calls
    for option in facts.terms.options(dataset) if dataset is not None else ():
        scope = option.scope if isinstance(option, facts.terms.Instance) else None
        if scope is None or not _is_dataset(source, scope):
            continue
        for name, dotted in _GENERATORS.items():
            for site in calls.get(name, ()):
                made = site.raw
                known = isinstance(made, facts.terms.Call) and getattr(made.callee, "dotted", "") in dotted
                if known and _is_kept(source, site, scope) and _is_drawn_from(source, site, scope):
                    yield Report(
                        site.node,
                        "each worker draws from a copy of this generator: all draw the same, in every epoch",
                        related=(Mark(loader.node, "the workers are started here"),),
                    )


def _is_dataset(source: SourceFile, scope: Scope) -> bool:
    hierarchy = source.ask(facts.values).interpreter.hierarchy
    return any(getattr(base, "dotted", "") in _DATASETS for base in hierarchy.outer_bases(scope))


def _is_kept(source: SourceFile, site: Site, scope: Scope) -> bool:
    """Whether a constructor puts it into an attribute that nothing else of the class assigns to."""
    function = site.scope.function
    targets: Sequence[cst.AssignTarget] = getattr(site.statement, "targets", ())
    if function.name != "__init__" or function.owner is not scope or len(targets) != 1:
        return False
    name = source.code(targets[0].target)
    writes = [each for method in scope.children for each in method.writes.get(name, ())]
    return name.startswith("self.") and len(writes) <= 1


def _is_drawn_from(source: SourceFile, generator: Site, scope: Scope) -> bool:
    return any(
        site.scope.function.owner is scope
        and site.scope.function.name != "__init__"
        and any(getattr(part, "node", None) is generator.node for part in facts.terms.within(site.raw, 50))
        for sites in source.ask(facts.operations).calls.values()
        for site in sites
    )
