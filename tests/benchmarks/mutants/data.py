"""Data that comes in the same order, or twice."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mutants.operator import Mutant, operator, removed, without_argument
from mutants.text import Text, calls_in, expression, keyword, method


@operator(b"set_epoch", "sampler-set-epoch-missing")
def remove_set_epoch(text: Text) -> Iterator[Mutant]:
    """All epochs have the same order, where a file that makes a DistributedSampler loses its only set_epoch."""
    for call in text.calls:
        statement = text.statement(call)
        if method(call, "set_epoch") is None or expression(statement) is not call:
            continue
        made = any(text.name(each.func).endswith("DistributedSampler") for each in text.calls)
        only = sum(method(each, "set_epoch") is not None for each in text.calls) == 1
        if only:
            doubt = "" if made else "the file does not make the sampler"
            yield Mutant(removed(text, statement), call.lineno, doubt)


@operator(b"shuffle", "train-loader-not-shuffled")
def remove_shuffle(text: Text) -> Iterator[Mutant]:
    """Batches are the same in all epochs, where a DataLoader that a training loop of the file runs over loses its
    `shuffle=True`; in doubt where no loop over its name goes backward.
    """
    for call in text.calls:
        given = keyword(call, "shuffle")
        if not text.name(call.func).endswith("DataLoader") or given is None:
            continue
        statement = text.statement(call)
        if not isinstance(given.value, ast.Constant) or given.value.value is not True:
            continue
        names = [ast.unparse(each) for each in statement.targets] if isinstance(statement, ast.Assign) else []
        doubt = (
            "" if any(_trains(text, name) for name in names) else "no loop over it goes backward in the file"
        )
        yield Mutant((without_argument(text, call, given),), call.lineno, doubt)


def _trains(text: Text, loader: str) -> bool:
    return any(
        isinstance(loop, ast.For)
        and any(ast.unparse(each) == loader for each in ast.walk(loop.iter) if isinstance(each, ast.expr))
        and any(method(call, "backward") for call in calls_in(loop))
        for loop in ast.walk(text.tree)
    )
