"""Loss calls: which loss, of what."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from mutants.bindings import constructor
from mutants.text import Text

FUNCTIONAL = {
    "cross_entropy": "cross_entropy",
    "nll_loss": "nll",
    "binary_cross_entropy": "bce",
    "binary_cross_entropy_with_logits": "bce_logits",
    "mse_loss": "mse",
    "l1_loss": "mse",
    "smooth_l1_loss": "mse",
    "kl_div": "kl",
}
MODULES = {
    "CrossEntropyLoss": "cross_entropy",
    "NLLLoss": "nll",
    "BCELoss": "bce",
    "BCEWithLogitsLoss": "bce_logits",
    "MSELoss": "mse",
    "L1Loss": "mse",
    "SmoothL1Loss": "mse",
    "KLDivLoss": "kl",
}


@dataclass(frozen=True, slots=True)
class Criterion:
    """A call that computes a loss."""

    call: ast.Call
    kind: str
    input: ast.expr


def criteria(text: Text, *kinds: str) -> Iterator[Criterion]:
    """Yield the calls of some losses, functional or by a module that the file makes."""
    for call in text.calls:
        kind = _kind(text, call)
        if kind in kinds:
            given = (
                call.args[0]
                if call.args
                else next((k.value for k in call.keywords if k.arg == "input"), None)
            )
            if given is not None and not isinstance(given, ast.Starred):
                yield Criterion(call, kind, given)


def _kind(text: Text, call: ast.Call) -> str:
    module, _, last = text.name(call.func).rpartition(".")
    if module == "torch.nn.functional":
        return FUNCTIONAL.get(last, "")
    made = call.func if isinstance(call.func, ast.Call) else constructor(text, call.func)
    if made is None:
        return ""
    module, _, last = text.name(made.func).rpartition(".")
    return MODULES.get(last, "") if module.startswith("torch.nn") else ""


SOFT = ("softmax", "sigmoid", "log_softmax", "logsigmoid", "softmin")


def squash(text: Text, node: ast.AST) -> str:
    """Return which of the functions that make probabilities, or logarithms of them, a node calls."""
    if not isinstance(node, ast.Call):
        return ""
    module, _, last = text.name(node.func).rpartition(".")
    if module in ("torch", "torch.nn.functional") or not module:
        last = last or getattr(node.func, "attr", "")
        return last if last in SOFT else ""
    return ""
