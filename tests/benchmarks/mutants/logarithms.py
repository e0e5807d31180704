"""Expressions that lose the form in which they are stable."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from mutants.bindings import traced
from mutants.operator import Mutant, operator, replaced, without_argument
from mutants.text import Text, keyword


@operator(b"log_softmax", "log-of-softmax")
def log_of_softmax(text: Text) -> Iterator[Mutant]:
    """A small probability becomes log(0), wherever log_softmax is written as log of softmax."""
    yield from _split(text, "log_softmax", "softmax")


@operator(b"logsigmoid", "log-of-sigmoid")
def log_of_sigmoid(text: Text) -> Iterator[Mutant]:
    """A small probability becomes log(0), wherever logsigmoid is written as log of sigmoid."""
    yield from _split(text, "logsigmoid", "sigmoid")


def _split(text: Text, name: str, inner: str) -> Iterator[Mutant]:
    if text.imports.get("torch") != "torch":
        return
    for call in text.calls:
        if _function(text, call) == name or (name == "log_softmax" and _is_method(text, call, name)):
            function = text.code(call.func).removesuffix(name) + inner
            if inner == "sigmoid" and not function.startswith("torch"):
                function = "torch.sigmoid"
            code = f"torch.log({function}{text.data[text.span(call.func)[1] : text.span(call)[1]].decode()})"
            yield Mutant((replaced(text, call, code),), call.lineno)


def _function(text: Text, call: ast.Call) -> str:
    module, _, last = text.name(call.func).rpartition(".")
    attribute = isinstance(call.func, ast.Attribute)
    return last if attribute and module in ("torch", "torch.nn.functional", "torch.special") else ""


def _is_method(text: Text, call: ast.Call, name: str) -> bool:
    known = text.name(call.func)
    return not known and isinstance(call.func, ast.Attribute) and call.func.attr == name


@operator(b"logsumexp", "naive-log-sum-exp")
def naive_log_sum_exp(text: Text) -> Iterator[Mutant]:
    """exp overflows from 89 on, wherever logsumexp over one dimension is written out; in doubt where the operand is
    a logarithm of probabilities.
    """
    for call in text.calls:
        operand = _operand(text, call, "logsumexp")
        dim = keyword(call, "dim")
        rest = call.args[1:] if _function(text, call) else call.args
        where = dim.value if dim else rest[0] if rest else None
        keeps = keyword(call, "keepdim")
        if operand and where is not None and len(call.args) <= 2:
            more = f", keepdim={text.code(keeps.value)}" if keeps else ""
            code = f"torch.log(torch.sum(torch.exp({operand}), {text.code(where)}{more}))"
            logs = any(word in operand.lower() for word in LOGARITHMS) or _is_logarithm(text, call)
            yield Mutant((replaced(text, call, code),), call.lineno, NO_OVERFLOW if logs else "")


LOGARITHMS = ("logp", "log_p", "logsigmoid", "log_softmax")
NO_OVERFLOW = "of logarithms of probabilities, whose exponentials do not overflow"


def _is_logarithm(text: Text, call: ast.Call) -> bool:
    """Tell whether a name in a call was assigned the logarithm of probabilities."""
    return any(
        word in ast.unparse(traced(text, each))
        for each in ast.walk(call)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)
        for word in LOGARITHMS
    )


@operator(b"softplus", "naive-log-sum-exp", "exp-of-unbounded-output")
def naive_softplus(text: Text) -> Iterator[Mutant]:
    """exp overflows from 89 on, wherever softplus is written as log(1 + exp(x)); in doubt where only the data of the
    result are taken, or the file compares x with a number, as to keep it in bounds.
    """
    for call in text.calls:
        if _function(text, call) == "softplus" and len(call.args) == 1 and not call.keywords:
            operand = text.code(call.args[0])
            if text.imports.get("torch") == "torch":
                code = f"torch.log(1 + torch.exp({operand}))"
                yield Mutant(
                    (replaced(text, call, code),), call.lineno, _doubt_of_softplus(text, call, operand)
                )


def _doubt_of_softplus(text: Text, call: ast.Call, operand: str) -> str:
    if getattr(text.parents[call], "attr", "") in ("data", "detach"):
        return "only the data of the result are taken"
    compared = rf"{re.escape(operand)}(\.item\(\))? *[<>]=? *-?\d"
    return "the file compares it with a bound" if re.search(compared.encode(), text.data) else ""


def _operand(text: Text, call: ast.Call, name: str) -> str:
    """Return the code of what a function of torch, or a method, is applied to."""
    if text.imports.get("torch") != "torch":
        return ""
    if _function(text, call) == name and call.args:
        return text.code(call.args[0])
    if _is_method(text, call, name) and isinstance(call.func, ast.Attribute):
        return text.code(call.func.value)
    return ""


@operator(b"log1p", "rounding-next-to-one", "naive-log-sum-exp")
def log_of_one_plus(text: Text) -> Iterator[Mutant]:
    """A small value is lost, where log1p of an exponential, or of its negative, is written as log(1 + x)."""
    for call in text.calls:
        if operand := _operand(text, call, "log1p"):
            doubt = "" if "exp(" in operand else "the value may never be small"
            yield Mutant((replaced(text, call, f"torch.log(1 + {operand})"),), call.lineno, doubt)


@operator(b"expm1", "rounding-next-to-one")
def exp_minus_one(text: Text) -> Iterator[Mutant]:
    """A small value is lost, wherever expm1 is written as exp(x) - 1."""
    for call in text.calls:
        if operand := _operand(text, call, "expm1"):
            yield Mutant((replaced(text, call, f"(torch.exp({operand}) - 1)"),), call.lineno)


@operator(b"softmax", "softmax-implicit-dim")
def softmax_without_dim(text: Text) -> Iterator[Mutant]:
    """torch guesses the dimension, and warns, wherever a functional softmax or log_softmax loses its dim."""
    for call in text.calls:
        if text.name(call.func) in ("torch.nn.functional.softmax", "torch.nn.functional.log_softmax"):
            dim = keyword(call, "dim") or (call.args[1] if len(call.args) == 2 else None)
            if dim is not None and call.args:
                yield Mutant((without_argument(text, call, dim),), call.lineno)


@operator(b"oftmax(", "softmax-implicit-dim")
def softmax_layer_without_dim(text: Text) -> Iterator[Mutant]:
    """torch guesses the dimension, and warns, wherever a softmax layer loses its dim."""
    for call in text.calls:
        if text.name(call.func) in ("torch.nn.Softmax", "torch.nn.LogSoftmax"):
            dim = keyword(call, "dim") or (call.args[0] if call.args else None)
            if dim is not None:
                yield Mutant((without_argument(text, call, dim),), call.lineno)
