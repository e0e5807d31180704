"""Losses of the wrong thing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace

from mutants.bindings import last_value, traced
from mutants.criteria import Criterion, criteria, squash
from mutants.operator import Edit, Mutant, operator, replaced, without_argument, wrapped
from mutants.text import Text, method


@operator(b"ntropy", "softmax-before-cross-entropy")
def softmax_in_cross_entropy(text: Text) -> Iterator[Mutant]:
    """The loss normalises twice, wherever a softmax is put around the first argument of a cross entropy."""
    for one in criteria(text, "cross_entropy"):
        yield from _around(text, one, one.input, "torch.softmax(", ", dim=1)")


@operator(b"ntropy", "softmax-before-cross-entropy")
def softmax_before_cross_entropy(text: Text) -> Iterator[Mutant]:
    """The loss normalises twice, where the name that cross entropy gets is assigned a softmax of what it was."""
    for one in criteria(text, "cross_entropy"):
        if (value := last_value(text, one.input)) is not None:
            yield from _around(text, one, value, "torch.softmax(", ", dim=1)")


@operator(b"ith", "sigmoid-before-bce-with-logits")
def sigmoid_in_bce_with_logits(text: Text) -> Iterator[Mutant]:
    """The loss squashes twice, wherever a sigmoid is put around its first argument."""
    for one in criteria(text, "bce_logits"):
        yield from _around(text, one, one.input, "torch.sigmoid(", ")")


@operator(b"ith", "sigmoid-before-bce-with-logits")
def sigmoid_before_bce_with_logits(text: Text) -> Iterator[Mutant]:
    """The loss squashes twice, where the name that it gets is assigned a sigmoid of what it was."""
    for one in criteria(text, "bce_logits"):
        if (value := last_value(text, one.input)) is not None:
            yield from _around(text, one, value, "torch.sigmoid(", ")")


def _around(text: Text, one: Criterion, node: ast.expr, before: str, after: str) -> Iterator[Mutant]:
    is_first = all(
        each.input is not node for each in criteria(text, one.kind) if each.call.lineno < one.call.lineno
    )
    if text.imports.get("torch") == "torch" and is_first and not squash(text, traced(text, node)):
        yield Mutant(wrapped(text, node, before, after), node.lineno, also=(one.call.lineno,))


@operator(b"ntropy", "bce-on-raw-logits")
def bce_without_sigmoid(text: Text) -> Iterator[Mutant]:
    """Logits are taken for probabilities, where the sigmoid goes away whose result a binary cross entropy gets,
    directly or by a name.
    """
    yield from _bared(text, "sigmoid", "bce")


@operator(b"BCELoss", "bce-on-raw-logits")
def bce_without_sigmoid_layer(text: Text) -> Iterator[Mutant]:
    """Logits are taken for probabilities, where a file with BCELoss and no other loss on its models drops the
    Sigmoid that ends a Sequential behind a layer with weights.
    """
    losses = {one.kind for one in criteria(text, "bce", "bce_logits", "mse", "cross_entropy", "nll")}
    for call in text.calls:
        if losses != {"bce"} or text.name(call.func) != "torch.nn.Sequential" or len(call.args) < 2:
            continue
        before, last = call.args[-2:]
        if _layer(text, last) == "Sigmoid" and _layer(text, before).startswith(("Linear", "Conv")):
            lines = tuple(one.call.lineno for one in criteria(text, "bce"))
            doubt = "" if _is_returned(text, call) else "it is not seen to be the output of the model"
            yield Mutant((without_argument(text, call, last),), last.lineno, doubt, lines)


def _layer(text: Text, node: ast.expr) -> str:
    module, _, last = text.name(node.func).rpartition(".") if isinstance(node, ast.Call) else ("", "", "")
    return last if module == "torch.nn" else ""


def _is_returned(text: Text, sequential: ast.Call) -> bool:
    """Tell whether forward returns what this attribute makes, or a view of it."""
    statement, owner = text.statement(sequential), text.owner(sequential)
    if owner is None or not isinstance(statement, ast.Assign) or statement.value is not sequential:
        return False
    name = ast.unparse(statement.targets[0])
    for forward in owner.body:
        if isinstance(forward, ast.FunctionDef) and forward.name == "forward":
            returns = [
                each.value for each in ast.walk(forward) if isinstance(each, ast.Return) and each.value
            ]
            return bool(returns) and all(_comes_from(text, value, name) for value in returns)
    return False


VIEWS = ("view", "squeeze", "flatten", "reshape")


def _comes_from(text: Text, node: ast.expr, attribute: str) -> bool:
    node = traced(text, node)
    while (inner := method(node, *VIEWS)) is not None:
        node = traced(text, inner)
    return isinstance(node, ast.Call) and ast.unparse(node.func) == attribute


@operator(b"log_softmax", "nll-loss-needs-log-probs")
def nll_of_softmax(text: Text) -> Iterator[Mutant]:
    """The loss is no likelihood, where softmax takes the place of the log_softmax whose result nll_loss gets,
    directly or by a name.
    """
    for one in criteria(text, "nll"):
        made = traced(text, one.input)
        if squash(text, made) == "log_softmax" and isinstance(made, ast.Call):
            yield Mutant((_without_log(text, made),), made.lineno, also=(one.call.lineno,))


@operator(b"log_softmax", "nll-loss-needs-log-probs")
def nll_of_logits(text: Text) -> Iterator[Mutant]:
    """The loss is no likelihood, where the log_softmax goes away whose result nll_loss gets; in doubt where neither
    a name nor a layer says that what is left are logits.
    """
    for mutant in _bared(text, "log_softmax", "nll"):
        is_shown = re.search(rb"logit", mutant.edits[0].text, re.IGNORECASE) or re.search(
            rb"(linear|fc|lin|head|classifier|conv)\w*\(|@", mutant.edits[0].text, re.IGNORECASE
        )
        yield mutant if is_shown else replace(mutant, doubt=NO_LOGITS)


NO_LOGITS = "nothing says that they are logits"


@operator(b"kl_div", "kl-div-input-not-log")
def kl_of_softmax(text: Text) -> Iterator[Mutant]:
    """The divergence is no divergence, where softmax takes the place of log_softmax in the input of kl_div."""
    for one in criteria(text, "kl"):
        made = traced(text, one.input)
        if squash(text, made) == "log_softmax" and isinstance(made, ast.Call):
            yield Mutant((_without_log(text, made),), made.lineno, also=(one.call.lineno,))


def _without_log(text: Text, made: ast.Call) -> Edit:
    return replaced(text, made.func, text.code(made.func).replace("log_softmax", "softmax"))


def _bared(text: Text, name: str, kind: str) -> Iterator[Mutant]:
    for one in criteria(text, kind):
        made = traced(text, one.input)
        if squash(text, made) != name or not isinstance(made, ast.Call):
            continue
        inner = method(made, name) if not text.name(made.func) else made.args[0] if made.args else None
        if inner is not None:
            yield Mutant((replaced(text, made, text.code(inner)),), made.lineno, also=(one.call.lineno,))
