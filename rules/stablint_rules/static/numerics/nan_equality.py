"""STB318 nan-equality."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stablint.finding import Applicability, Confidence, Severity
from stablint.rule import ProposedFix, Replace, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class NanEquality(StaticRule):
    """Something is compared with NaN by `==` or `!=`: NaN equals nothing, not even itself.

    ## What it does
    Reports `==` and `!=`, `torch.eq` and `torch.ne` with `float("nan")`, `math.nan`, `torch.nan` or `numpy.nan`,
    also by another name, and `is` and `in` with a `float("nan")` that is made in the same place.

    ## Why it is bad
    The test never finds a NaN: `torch.tensor(float("nan")) == float("nan")` is `False`, and `!=` is `True` for every
    number (IEEE 754; measured with torch 2.13). A loop that is to stop when the loss is NaN goes on, a mask that is
    to pick out NaNs is empty. `is` only asks whether it is the same object, which a new one never is.

    ## Example
    ```python
    if loss == float("nan"):
        raise RuntimeError("the loss is NaN")
    ```

    ## Use instead
    ```python
    if torch.isnan(loss):
        raise RuntimeError("the loss is NaN")
    ```
    `math.isnan` is for numbers, `torch.isnan(x).any()` for whole tensors, `torch.isfinite` rules out infinity, too.

    ## When to ignore it
    Never for `==`. `x != x`, which is true for NaN alone, is not reported, and neither are `x is math.nan`, which
    asks for the default of an argument, and comparisons with the text `"nan"`.

    ## Fix safety
    Unsafe: a branch that never ran will run. `torch.isnan` is offered for tensors and `math.isnan` for numbers, where
    the file imports them; for anything else there is no fix.

    ## References
    - [torch.isnan](https://docs.pytorch.org/docs/stable/generated/torch.isnan.html)
    - [math.nan](https://docs.python.org/3/library/math.html#math.nan)
    """

    code = "STB318"
    severity = Severity.WARNING
    confidence = Confidence.HIGH
    since = "0.1.0"

    bad = [
        # the page's example, of which the rule does not know what the loss is
        """\
import torch


def check(loss):
    if loss == float("nan"):  # flagged
        raise RuntimeError("the loss is NaN")
""",
        # a tensor: masks, both sides, an operator of torch
        """\
import math

import torch
import torch.nn.functional as F


def clean(x, y):
    x = torch.sqrt(x)
    x[x == float("NaN")] = 0  # flagged
    if (x == math.nan).any():  # flagged
        x = torch.zeros_like(x)
    return torch.where(torch.eq(x, torch.nan), 0, x), F.mse_loss(x, y) != torch.nan  # flagged
""",
        # a number, by a constant of the file; a condition of several parts
        """\
import math

import torch

NAN = float("nan")


def train(model, loader, criterion):
    for x, y in loader:
        loss = criterion(model(x), y)
        value = loss.item()
        if value == NAN or value > 1e4:  # flagged
            break
        loss.backward()
""",
        # NumPy's, in a loop; `not`
        """\
import numpy as np
import torch


def first_good(losses):
    for loss in losses:
        if not loss == np.nan:  # flagged
            return loss
    while losses[-1] != np.nan:  # flagged
        losses.pop()
    return torch.tensor(losses)
""",
        # through a function and its default
        """\
import torch


def count(x, missing=float("nan")):
    return (x == missing).sum()  # flagged


def report(model, x):
    return count(model(x))
""",
        # identity with something new, membership
        """\
import torch


def known(loss):
    if loss is float("nan"):  # flagged
        return False
    return loss not in [float("nan"), 0.0]  # flagged
""",
    ]

    fixed = [
        None,
        """\
import math

import torch
import torch.nn.functional as F


def clean(x, y):
    x = torch.sqrt(x)
    x[torch.isnan(x)] = 0  # flagged
    if (torch.isnan(x)).any():  # flagged
        x = torch.zeros_like(x)
    return torch.where(torch.eq(x, torch.nan), 0, x), ~torch.isnan(F.mse_loss(x, y))  # flagged
""",
        """\
import math

import torch

NAN = float("nan")


def train(model, loader, criterion):
    for x, y in loader:
        loss = criterion(model(x), y)
        value = loss.item()
        if math.isnan(value) or value > 1e4:  # flagged
            break
        loss.backward()
""",
        None,
        None,
        None,
    ]

    good = [
        # the functions for it
        """\
import math

import numpy as np
import torch


def check(loss, x):
    return torch.isnan(loss) or math.isnan(loss.item()) or np.isnan(x).any() or not torch.isfinite(loss)
""",
        # what is not equal to itself
        """\
import torch


def check(loss, x):
    x[x != x] = 0
    return loss != loss
""",
        # a text, a name
        """\
import torch


def pick(mode, row, nan):
    return mode == "nan" or row["value"] == "NaN" or nan == 3 or mode in ("nan", "inf")
""",
        # NaN is put in, not asked for
        """\
import math

import torch


def missing(n, x):
    x = x.masked_fill(x == 0, float("nan"))
    best = float("nan") if n == 0 else 0.0
    return torch.full((n,), torch.nan), best, torch.nanmean(x), max(n, 1) == 1, x == -math.inf
""",
        # the default of an argument
        """\
import math

import torch


def scaled(x, by=math.nan):
    return x if by is math.nan else x * by
""",
        # a value that is NaN in one of two cases
        """\
import torch


def changed(x, y, is_known):
    last = y if is_known else float("nan")
    return x == last
""",
        # libraries with an equality of their own
        """\
import torch


def query(frame, column):
    return frame.filter(column.ne("nan")), torch.testing.assert_close(frame, frame, equal_nan=True)
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report comparisons one side of which is NaN."""
        if _NAMED.search(source.text):
            yield from _by_operators(source)
            yield from _by_functions(source)


_NAMED = re.compile(r"\bnan\b", re.IGNORECASE)


def _by_operators(source: SourceFile) -> Iterator[Report]:
    resolve = source.ask(facts.values).resolve
    for comparison in source.ask(facts.comparisons):
        sides = [
            resolve(side) if isinstance(side, facts.terms.Parameter) else side for side in comparison.operands
        ]
        symbols = [str(getattr(name, "value", "")) for name in comparison.positional]
        for left, symbol, right in zip(sides, symbols, sides[1:], strict=False):
            if symbol in _ALWAYS and (_is_nan(left) or _is_nan(right)):
                other = left if _is_nan(right) else right
                fix = _fix(source, comparison, other, symbol) if len(symbols) == 1 else None
                yield Report(comparison.node, _message(symbol), fix=fix)
                break
            if symbol in _BY_IDENTITY and _has_new_nan(source, comparison, right):
                yield Report(comparison.node, "a new NaN is no other object, and equal to none: use isnan")
                break


def _by_functions(source: SourceFile) -> Iterator[Report]:
    for site, operation in source.ask(facts.operations).named(*_SYMBOLS):
        operands = (*operation.operands, *operation.positional, *operation.keywords.values())
        if operation.dotted.startswith("torch.") and len(operands) == 2 and any(map(_is_nan, operands)):
            yield Report(site.node, _message(_SYMBOLS[operation.name]))


_ALWAYS = {"Equal": "false", "NotEqual": "true"}
_BY_IDENTITY = ("Is", "IsNot", "In", "NotIn")
_SYMBOLS = {"eq": "Equal", "ne": "NotEqual", "equal": "Equal"}


def _message(symbol: str) -> str:
    return f"nothing is equal to NaN, so this comparison is always {_ALWAYS[symbol]}"


def _is_nan(term: Term) -> bool:
    """Whether something is NaN, whatever happens."""
    terms = facts.terms
    match term:
        case terms.Reference(dotted=dotted):
            return dotted in _NANS
        case terms.Operation(name="float", operands=(terms.Constant(value=str() as text),)):
            return text.strip().lower().lstrip("+-") == "nan"
        case terms.Operation(name="tensor" | "as_tensor", operands=(inner, *_)):
            return _is_nan(inner)
        case terms.Either(options=options):
            return all(map(_is_nan, options))
        case _:
            return False


_NANS = {"math.nan", "torch.nan", "cmath.nan", "numpy.nan", "numpy.NaN", "numpy.NAN"}


def _has_new_nan(source: SourceFile, comparison: Operation, right: Term) -> bool:
    """Whether the right side is, or holds, a `float("nan")` that is made there."""
    terms = facts.terms
    parts = right.items if isinstance(right, terms.Display) else (right,)
    code = source.code(comparison.node)
    return any(
        isinstance(part, terms.Operation) and _is_nan(part) and source.code(part.node) in code
        for part in parts
    )


def _fix(source: SourceFile, comparison: Operation, other: Term, symbol: str) -> ProposedFix | None:
    """Ask `isnan` where the other side is known to be a tensor or a number."""
    node = comparison.node
    sides = getattr(node, "left", None), getattr(getattr(node, "comparisons", [None])[0], "comparator", None)
    written = sides[0] if _is_nan(source.ask(facts.values).resolve(comparison.operands[1])) else sides[1]
    module, spelling = source.ask(facts.syntax).module, facts.spelling
    dotted = _function_for(source.ask(facts.values).resolve(other))
    called = spelling.spelled(source, module, dotted) if dotted is not None else None
    if called is None or written is None:
        return None
    text = f"{called}({spelling.bare(source, written)})"
    if symbol == "NotEqual":
        text = f"~{text}" if dotted == "torch.isnan" else f"not {text}"
    return ProposedFix(f"Use `{called}`", Applicability.UNSAFE, (Replace(node, text),))


def _function_for(term: Term) -> str | None:
    if isinstance(term, facts.terms.Operation) and term.name in ("item", "builtin_float"):
        return "math.isnan"
    if isinstance(term, facts.terms.Operation) and term.name == "float" and term.dotted == "builtins.float":
        return "math.isnan"
    return "torch.isnan" if facts.provenance.is_tensor(term) else None
