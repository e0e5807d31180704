"""Models whose output is not what their loss takes."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mutants.bindings import constructor, traced, values_of
from mutants.criteria import Criterion, criteria, squash
from mutants.operator import Mutant, operator, replaced, wrapped
from mutants.text import Text


@operator(b"ntropy", "softmax-before-cross-entropy")
def model_returns_softmax(text: Text) -> Iterator[Mutant]:
    """The loss normalises twice, where forward's only return gets a softmax around it, and the file gives cross
    entropy the output of an instance of the class.
    """
    yield from _returning(text, "cross_entropy", "torch.softmax(", ", dim=1)")


@operator(b"ith", "sigmoid-before-bce-with-logits")
def model_returns_sigmoid(text: Text) -> Iterator[Mutant]:
    """The loss squashes twice, where forward's only return gets a sigmoid around it, and the file gives binary cross
    entropy with logits the output of an instance of the class.
    """
    yield from _returning(text, "bce_logits", "torch.sigmoid(", ")")


@operator(b"ntropy", "activation-on-output")
def model_returns_relu(text: Text) -> Iterator[Mutant]:
    """No logit can be negative, where forward's only return gets a relu around it, and the file gives cross entropy
    the output of an instance of the class.
    """
    yield from _returning(text, "cross_entropy", "torch.relu(", ")")


@operator(b"log_softmax", "nll-loss-needs-log-probs")
def model_returns_no_log(text: Text) -> Iterator[Mutant]:
    """The loss is no likelihood, where forward returns softmax in place of log_softmax, and the file gives nll_loss
    the output of an instance of the class.
    """
    for owner, value, one in paired(text, "nll"):
        made = traced(text, value)
        if squash(text, made) == "log_softmax" and isinstance(made, ast.Call):
            code = text.code(made.func).replace("log_softmax", "softmax")
            yield Mutant(
                (replaced(text, made.func, code),), made.lineno, also=(owner.lineno, one.call.lineno)
            )


def _returning(text: Text, kind: str, before: str, after: str) -> Iterator[Mutant]:
    if text.imports.get("torch") != "torch":
        return
    for _, value, one in paired(text, kind):
        if not squash(text, traced(text, value)) and not isinstance(value, ast.Tuple):
            yield Mutant(wrapped(text, value, before, after), value.lineno, also=(one.call.lineno,))


def paired(text: Text, kind: str) -> Iterator[tuple[ast.ClassDef, ast.expr, Criterion]]:
    """Yield what forward returns, with a loss of the output of an instance, once for each class."""
    losses = [(one, called) for one in criteria(text, kind) for called in models(text, one.input)]
    for owner in text.tree.body:
        if isinstance(owner, ast.ClassDef) and (value := returned(owner)) is not None:
            one = next((one for one, called in losses if called == owner.name), None)
            if one is not None:
                yield owner, value, one


def returned(owner: ast.ClassDef) -> ast.expr | None:
    """Return what the forward of a class returns, where it returns in one place."""
    for forward in owner.body:
        if isinstance(forward, ast.FunctionDef) and forward.name == "forward":
            returns = [each for each in ast.walk(forward) if isinstance(each, ast.Return)]
            return returns[0].value if len(returns) == 1 else None
    return None


def models(text: Text, node: ast.expr) -> Iterator[str]:
    """Yield the name of the class of the model that makes a value, by one call."""
    made = traced(text, node)
    while isinstance(made, ast.Subscript):  # only some rows
        made = traced(text, made.value)
    if isinstance(made, ast.Call) and isinstance(made.func, (ast.Name, ast.Attribute)):
        built = constructor(text, made.func) or _elsewhere(text, made.func)
        if built is not None and isinstance(built.func, (ast.Name, ast.Attribute)):
            yield text.code(built.func)


def _elsewhere(text: Text, model: ast.expr) -> ast.Call | None:
    """Return what makes a parameter, where all that has its name in the file is made by the same call."""
    if not isinstance(model, ast.Name) or values_of(text, model):
        return None
    stores = [
        each
        for each in ast.walk(text.tree)
        if isinstance(each, ast.Name) and each.id == model.id and isinstance(each.ctx, ast.Store)
    ]
    made = [constructor(text, each) for each in stores]
    calls = [each for each in made if each is not None]
    same = len({ast.dump(each.func) for each in calls}) == 1
    return calls[0] if calls and same and len(calls) == len(made) else None
