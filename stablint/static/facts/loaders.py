"""Where training data comes from: the loaders whose batches go into a loss that goes backward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stablint.static.facts.sites import Operations, Site, operations
from stablint.static.facts.terms import EACH, Instance, Item, Term, options, within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stablint.static.source import SourceFile

LOADER = "torch.utils.data.DataLoader"
LOADERS = (LOADER, "torch_geometric.loader.DataLoader", "torch_geometric.data.DataLoader")
"""What goes through a dataset in batches; those of torch_geometric have torch's arguments, the first three by place."""


@dataclass(frozen=True, slots=True, eq=False)
class Feeding:
    """A loader, and the `backward()` that its batches reach, in a function that steps an optimizer."""

    loader: Instance
    backward: Site


def feedings(source: SourceFile) -> tuple[Feeding, ...]:
    """Return what training is fed with, each loader once (a fact)."""
    known = source.ask(operations)
    if known.made.keys().isdisjoint(LOADERS):
        return ()
    found: dict[int, Feeding] = {}
    for site, loss in _losses(known):
        for loader in loaders_in(loss):
            found.setdefault(id(loader.node), Feeding(loader, site))
    return tuple(found.values())


def _losses(known: Operations) -> Iterator[tuple[Site, Term]]:
    steps = {id(site.scope.function) for site in known.calls.get("step", ())}
    for site, operation in known.named("backward"):
        if operation.operands and id(site.scope.function) in steps:
            yield site, operation.operands[0]


def loaders_in(term: Term) -> Iterator[Instance]:
    """Yield the loaders whose batches a value is computed of."""
    for part in within(term):
        if isinstance(part, Item) and part.key is EACH:
            for option in options(part.base):
                if isinstance(option, Instance) and option.dotted in LOADERS:
                    yield option


def argument(made: Instance, name: str, position: int) -> Term | None:
    """Return an argument that an object was made with; None where it was not given."""
    if position < len(made.positional) and (position < _COMMON or made.dotted not in LOADERS[1:]):
        return made.positional[position]
    return made.keywords.get(name)


_COMMON = 3
"""So many arguments of all loaders are the same by place: the dataset, the size of a batch, whether to shuffle."""
