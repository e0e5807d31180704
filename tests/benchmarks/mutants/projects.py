"""Models in one file whose output is not what the loss in another one takes."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from mutants.bindings import traced
from mutants.criteria import Criterion, criteria, squash
from mutants.models import models, paired, returned
from mutants.operator import Edit, Mutant, edited, operator, replaced, wrapped
from mutants.text import Text

Breaks = Callable[[Text, ast.expr], tuple[Edit, ...]]


@operator(b"ntropy", "softmax-before-cross-entropy")
def other_file_returns_softmax(text: Text) -> Iterator[Mutant]:
    """The loss normalises twice, where the only return of a model's forward gets a softmax around it, in another
    file than the one that gives cross entropy the output of an instance: the file that it is imported from, or one
    that the class is moved to.
    """
    yield from _in_other_files(text, "cross_entropy", _around("torch.softmax(", ", dim=1)"))


@operator(b"ith", "sigmoid-before-bce-with-logits")
def other_file_returns_sigmoid(text: Text) -> Iterator[Mutant]:
    """The loss squashes twice, where the only return of a model's forward gets a sigmoid around it, in another file
    than the one that gives binary cross entropy with logits the output of an instance.
    """
    yield from _in_other_files(text, "bce_logits", _around("torch.sigmoid(", ")"))


@operator(b"nll", "nll-loss-needs-log-probs")
def other_file_returns_no_log(text: Text) -> Iterator[Mutant]:
    """The loss is no likelihood, where a model's forward returns softmax in place of log_softmax, in another file
    than the one that gives nll_loss the output of an instance.
    """
    yield from _in_other_files(text, "nll", _without_log)


def _around(before: str, after: str) -> Breaks:
    def breaks(text: Text, value: ast.expr) -> tuple[Edit, ...]:
        known = text.imports.get("torch") == "torch" and not isinstance(value, ast.Tuple)
        return wrapped(text, value, before, after) if known and not squash(text, traced(text, value)) else ()

    return breaks


def _without_log(text: Text, value: ast.expr) -> tuple[Edit, ...]:
    made = traced(text, value)
    if not isinstance(made, ast.Call) or squash(text, made) != "log_softmax":
        return ()
    return (replaced(text, made.func, text.code(made.func).replace("log_softmax", "softmax")),)


def _in_other_files(text: Text, kind: str, breaks: Breaks) -> Iterator[Mutant]:
    for one, other, value in _imported(text, kind):
        if edits := breaks(other, value):
            files = ((other.path, edited(other.data, edits)),)
            yield Mutant((), one.call.lineno, also=(one.input.lineno,), files=files)
    for owner, value, one in paired(text, kind):
        if edits := breaks(text, value):
            yield _moved(text, owner, edits, one)


def _imported(text: Text, kind: str) -> Iterator[tuple[Criterion, Text, ast.expr]]:
    """Yield the losses of models of other files, with the file and what its forward returns."""
    for one in criteria(text, kind):
        for called in models(text, one.input):
            found = text.modules.class_of(text, called) if text.modules is not None else None
            value = returned(found[1]) if found is not None and found[0] is not text else None
            if found is not None and value is not None:
                yield one, found[0], value


MODULE = "model_of_the_mutant"


def _moved(text: Text, owner: ast.ClassDef, edits: tuple[Edit, ...], one: Criterion) -> Mutant:
    """Move the classes and functions of a file, one of them broken, into a file beside it, and import them."""
    moved = [each for each in text.tree.body if isinstance(each, (ast.ClassDef, ast.Import, ast.ImportFrom))]
    broken = edited(text.data, edits)
    grown = sum(len(edit.text) - (edit.end - edit.start) for edit in edits)
    parts: list[bytes] = []
    for each in moved:
        start, end = text.lines(each)
        shift = [grown * (place > edits[0].start) for place in (start, end)]
        parts.append(broken[start + shift[0] : end + shift[1]])
    start, end = text.lines(owner)
    here = Edit(start, end, f"from {MODULE} import {owner.name}\n".encode())
    path = str(PurePosixPath(text.path).with_name(f"{MODULE}.py"))
    return Mutant((here,), one.call.lineno, also=(one.input.lineno,), files=((path, b"".join(parts)),))
