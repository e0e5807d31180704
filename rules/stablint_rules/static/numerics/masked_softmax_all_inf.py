"""STB311 masked-softmax-all-inf: a mask leaves nothing of a whole row before a softmax."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class MaskedSoftmaxAllInf(StaticRule):
    """A row of scores can be masked with -inf altogether, and its softmax is NaN.

    ## What it does

    Reports a softmax (also that of `nn.MultiheadAttention`, by its `attn_mask`) over scores that are filled
    with -inf by a mask which is known to cover whole rows:

    - a triangle that covers the diagonal, `torch.triu(torch.ones(n, n))` where True is masked or
      `torch.tril(..., diagonal=-1)` where it is kept: the first row has nothing left, always, so this is an
      error;
    - a mask that goes along the rows, as in `pad[:, None, :] | pad[:, :, None]`: every row of a padded query
      has nothing left;
    - a mask drawn at random for each score, and scores below a number.

    Reports as a note a number below -65504, the smallest that float16 has, instead of -inf.

    ## Why it is bad

    `softmax` of a row of -inf computes `exp(-inf - -inf)`, which is NaN for the whole row. A padded query
    whose result nobody looks at is no excuse: its NaN reaches the keys and values of the next layer, where
    0 times NaN is NaN, and the gradient of every weight. Keys alone may be masked with -inf, because some key
    is left for every query. With `torch.finfo(scores.dtype).min` in place of -inf a masked row is uniform and
    finite. `masked_fill` with -1e9 raises an error in float16, and adding -1e9 gives -inf there (measured
    with torch 2.13; `scaled_dot_product_attention` gives 0 for such rows, and so does `nn.MultiheadAttention`
    with `need_weights=False`; with weights, which is its default, it gives NaN).

    ## Example

    ```python
    mask = pad[:, None, :] | pad[:, :, None]
    weights = scores.masked_fill(mask, float("-inf")).softmax(-1)
    ```

    ## Use instead

    ```python
    mask = pad[:, None, :]
    weights = scores.masked_fill(mask, float("-inf")).softmax(-1)
    ```

    or `scores.masked_fill(mask, torch.finfo(scores.dtype).min)`.

    ## When to ignore it

    When something that cannot be seen here keeps one score of each row. Masks of which nothing is known are
    not reported: of 136 fills with -inf in 37 public repositories most are causal or of padded keys, and
    right. Neither is what is looked at for NaN, or masked again, after the softmax.

    ## Fix safety

    There is no fix: which scores were meant to be left is not known.

    ## References

    - [torch.nn.functional.softmax](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html)
    - [torch.nn.MultiheadAttention](https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html)
    - [torch.finfo](https://docs.pytorch.org/docs/stable/type_info.html)
    """

    code = "STB311"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # The page's example.
        """\
import torch


def attend(scores, pad):
    mask = pad[:, None, :] | pad[:, :, None]
    return scores.masked_fill(mask, float("-inf")).softmax(-1)  # flagged
""",
        # The triangle with its diagonal: the first row has nothing left.
        """\
import math

import torch
import torch.nn.functional as F
from torch import nn


class Causal(nn.Module):
    def __init__(self, length):
        super().__init__()
        self.register_buffer("future", torch.triu(torch.ones(length, length)).bool())
        self.register_buffer("past", torch.tril(torch.ones(length, length), diagonal=-1))

    def forward(self, scores):
        t = scores.size(-1)
        a = F.softmax(scores.masked_fill(self.future[:t, :t], -math.inf), dim=-1)  # flagged
        masked = scores.masked_fill(self.past[None, :t, :t] == 0, float("-inf"))
        return a + torch.softmax(masked, dim=-1)  # flagged
""",
        # As numbers that are added, and by a function.
        """\
import torch


def causal(n):
    return torch.triu(torch.full((n, n), float("-inf")))


def attend(q, k):
    scores = q @ k.transpose(-2, -1) + causal(q.size(-2))
    return torch.softmax(scores, dim=-1)  # flagged
""",
        # Given to a layer.
        """\
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)

    def forward(self, x):
        n = x.size(1)
        mask = torch.triu(torch.ones(n, n, dtype=torch.bool))
        out, _ = self.attention(x, x, x, attn_mask=mask)  # flagged
        return out
""",
        # Padded queries and keys, kept where both are real.
        """\
import torch
from einops import rearrange
from torch import nn


class Attention(nn.Module):
    def mask(self, keep):
        rows, columns = rearrange(keep, "b i -> b () i ()"), rearrange(keep, "b j -> b () () j")
        return rows * columns

    def forward(self, scores, keep):
        scores.masked_fill_(~self.mask(keep), float("-inf"))
        return scores.softmax(dim=-1)  # flagged


def attend(scores, lengths):
    keep = torch.arange(scores.size(-1))[None] < lengths[:, None]
    both = keep.unsqueeze(1) & keep.unsqueeze(2)
    scores = scores.masked_fill(~(keep[..., None] * keep[:, None]), -torch.inf)
    b = scores.softmax(dim=2)  # flagged
    outer = keep.float().unsqueeze(2) @ keep.float().unsqueeze(1)
    a = torch.where(both, scores, torch.tensor(float("-inf"))).softmax(dim=-1)  # flagged
    return a + b + scores.masked_fill(outer == 0, -torch.inf).softmax(dim=-1)  # flagged
""",
        # At random, and below a number.
        """\
import torch


def thin(scores, p):
    drop = torch.rand_like(scores) < p
    a = scores.masked_fill(drop, float("-inf")).softmax(-1)  # flagged
    return a + torch.softmax(scores.masked_fill(scores < 0.1, float("-inf")), -1)  # flagged
""",
        # After many branches, in place.
        """\
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn


class Attention(nn.Module):
    def __init__(self, sparse=None):
        super().__init__()
        self.sparse = sparse
        self.before = nn.Linear(8, 8)

    def forward(self, scores, keep, bias, more, scale, shift, turn):
        if bias is not None:
            scores = bias(scores)
        if more:
            scores = self.before(scores)
        if scale:
            scores = scores * scale
        if turn:
            scores = turn(scores)
        mask = None
        if keep is not None:
            mask = rearrange(keep, "b i -> b () i ()") * rearrange(keep, "b j -> b () () j")
        if mask is not None:
            scores.masked_fill_(~mask, float("-inf"))  # flagged
        if shift:
            scores = scores + shift
        if self.sparse:
            scores = self.sparse(scores)
        return F.softmax(scores, dim=-1)
""",
        # A note: what float16 does not have.
        """\
import torch


def attend(scores, mask):
    return scores.masked_fill(mask == 0, -1e9).softmax(-1)  # flagged
""",
    ]

    good = [
        # Causal, with the diagonal left.
        """\
import math

import torch
import torch.nn.functional as F
from torch import nn


class Causal(nn.Module):
    def __init__(self, length):
        super().__init__()
        self.register_buffer("future", torch.triu(torch.ones(length, length), diagonal=1).bool())
        self.register_buffer("past", torch.tril(torch.ones(length, length)).view(1, 1, length, length))

    def forward(self, scores):
        t = scores.size(-1)
        a = F.softmax(scores.masked_fill(self.future[:t, :t], -math.inf), dim=-1)
        return a + F.softmax(scores.masked_fill(self.past[:, :, :t, :t] == 0, float("-inf")), dim=-1)


def subsequent(n):
    mask = (torch.triu(torch.ones(n, n)) == 1).transpose(0, 1)
    return mask.float().masked_fill(mask == 0, float("-inf")).masked_fill(mask == 1, 0.0)


def attend(scores):
    return (scores + subsequent(scores.size(-1))).softmax(-1), (
        scores + torch.triu(torch.full((9, 9), float("-inf")), 1)
    ).softmax(-1)
""",
        # Padded keys alone.
        """\
import torch


def attend(scores, pad, tokens):
    a = scores.masked_fill(pad[:, None, :], float("-inf")).softmax(-1)
    b = scores.masked_fill((tokens == 0).unsqueeze(1).unsqueeze(2), float("-inf")).softmax(-1)
    c = scores.masked_fill(pad, float("-inf")).softmax(-1)
    return a + b + c
""",
        # A finite number that every type has.
        """\
import torch


def attend(scores, pad):
    mask = pad[:, None, :] | pad[:, :, None]
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(mask, lowest).softmax(-1) + scores.masked_fill(mask, -1e4).softmax(-1)
""",
        # Mended after the softmax.
        """\
import torch


def attend(scores, pad):
    mask = pad[:, None, :] | pad[:, :, None]
    a = torch.nan_to_num(scores.masked_fill(mask, float("-inf")).softmax(-1))
    b = scores.masked_fill(mask, float("-inf")).softmax(-1)
    b = b.masked_fill(mask, 0.0)
    c = scores.masked_fill(mask, float("-inf")).softmax(-1)
    c[torch.isnan(c)] = 0
    return a + b + c
""",
        # The diagonal is put back.
        """\
import torch


def attend(scores, pad):
    n = scores.size(-1)
    mask = (pad[:, None, :] | pad[:, :, None]) & ~torch.eye(n, dtype=torch.bool)
    keep = (~pad[:, None, :] & ~pad[:, :, None]) | torch.eye(n, dtype=torch.bool)
    return scores.masked_fill(mask, float("-inf")).softmax(-1) + scores.masked_fill(~keep, float("-inf")).softmax(-1)
""",
        # Pooling over the sequence: the softmax goes along the dimension that the mask covers.
        """\
import torch
from torch import nn


class Pool(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(self, x, pad):
        scores = self.score(x).masked_fill(pad.unsqueeze(-1), float("-inf"))
        return (x * scores.softmax(dim=1)).sum(1)
""",
        # The best few are left.
        """\
import torch


def sparse(scores, k):
    least = scores.topk(k, dim=-1).values[..., -1:]
    return scores.masked_fill(scores < least, float("-inf")).softmax(-1)
""",
        # A part of the triangle that begins further down; a diagonal of which nothing is known.
        """\
import torch


def attend(scores, start, past):
    n = scores.size(-1)
    mask = torch.triu(torch.ones(99, 99))[start : start + n]
    other = torch.triu(torch.ones(n, n), past)
    return scores.masked_fill(mask == 1, float("-inf")).softmax(-1) + scores.masked_fill(
        other == 1, float("-inf")
    ).softmax(-1)
""",
        # No softmax: an extreme, a triangle of its own use.
        """\
import torch


def pool(x, pad):
    mask = pad[:, None, :] | pad[:, :, None]
    return x.masked_fill(mask, float("-inf")).max(-1).values, x.masked_fill(mask, -1e9).amax(-1)
""",
        # Given to what handles it, or right.
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)

    def forward(self, x, pad):
        n = x.size(1)
        mask = torch.triu(torch.ones(n, n, dtype=torch.bool), diagonal=1)
        out, _ = self.attention(x, x, x, attn_mask=mask, key_padding_mask=pad)
        strict = torch.triu(torch.ones(n, n, dtype=torch.bool))
        out = out + self.attention(x, x, x, attn_mask=strict, need_weights=False)[0]
        return out + F.scaled_dot_product_attention(x, x, x, attn_mask=torch.tril(torch.ones(n, n)).bool())
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report the softmaxes of rows that a mask covers altogether."""
        known = source.ask(facts.operations)
        seen, told = set[Any](), set[Any]()
        lost: list[Site] = []
        for site, softmax in known.named("softmax", "log_softmax"):
            if not softmax.operands or _is_mended(source, site):
                continue
            fills = [fill for fill in _fills(softmax) if fill[2].node not in told]
            seen.update(filling.node for _, _, filling in fills)
            lost += [site] if any(map(_is_unknown, facts.terms.options(softmax.operands[0]))) else []
            found = next((why for fill in fills if (why := _judged(fill, softmax))), None)
            if found is not None:
                told.add(found[1].node)  # of two softmaxes of the same scores, one says it
                yield _report(site, *found)
        if lost:
            yield from _of_the_same_name(source, lost, seen | told)
        for site, attention in known.named("multi_head_attention"):
            mask = attention.keywords.get("attn_mask")
            fills = [(mask, True, attention), *_added(mask)] if mask is not None else []
            if _gives_weights(attention) and any(
                _is_first_row_masked(one, masked) for one, masked, _ in fills
            ):
                yield _report(site, _TRIANGLE, attention, Severity.ERROR)


def _gives_weights(attention: Operation) -> bool:
    """Whether the weights are asked for: without them it is `scaled_dot_product_attention` that is called."""
    wanted = attention.keywords.get("need_weights")
    return wanted is None or getattr(wanted, "value", None) is True


def _is_unknown(term: Term) -> bool:
    return isinstance(term, facts.terms.Unknown)


def _of_the_same_name(source: SourceFile, lost: list[Site], seen: set[Any]) -> Iterator[Report]:
    """Judge the fills in place of names whose softmax is taken in the same function, after many branches."""
    for site, fill in source.ask(facts.operations).named("masked_fill"):
        name = _name(source, facts.spelling.written_operand(fill))
        if name is None or fill.node in seen or len(fill.operands) < 3 or _number(fill.operands[2]) != -_INF:
            continue
        for other in lost:
            softmax = other.operation("softmax", "log_softmax")
            written = facts.spelling.written_operand(softmax) if softmax is not None else None
            if softmax is not None and other.scope is site.scope and _name(source, written) == name:
                found = _judged((fill.operands[1], True, fill), softmax)
                if found is not None:
                    seen.add(fill.node)
                    yield _report(site, *found)
                    break


def _name(source: SourceFile, node: Any) -> str | None:
    code = source.code(node) if node is not None else ""
    return code if code.isidentifier() else None


_Fill = tuple["Term", bool, "Operation"]
"""A mask, whether the masked scores are those where it is true, and the operation that fills."""

_TRIANGLE = "the mask covers the diagonal, so that the first row has nothing but -inf: NaN"


def _report(site: Site, message: str, fill: Operation, severity: Severity | None) -> Report:
    related = () if fill.node is site.node else (Mark(fill.node, "filled here"),)
    is_sure = severity is Severity.ERROR
    return Report(site.node, message, severity, Confidence.HIGH if is_sure else None, related)


def _fills(softmax: Operation) -> Iterator[_Fill]:
    """Yield the masks by which scores were filled on their way to a softmax, with -inf or a huge number."""
    stack, seen = [softmax.operands[0]], set[int]()
    while stack and len(seen) < 80:
        current = stack.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        match current:
            case facts.terms.Either(options=options):
                stack.extend(options)
            case facts.terms.Operation(name="masked_fill", operands=(scores, mask, value)):
                if _is_low(value):
                    yield mask, True, current
                stack.append(scores)
            case facts.terms.Operation(name="where", operands=(mask, scores, value)):
                for side, other, masked in ((value, scores, False), (scores, value, True)):
                    if _is_low(side):
                        yield mask, masked, current
                        stack.append(other)
            case facts.terms.Operation(name="add", operands=operands):
                for operand in operands:
                    yield from _added(operand)
                stack.extend(operands)
            case facts.terms.Operation(name=name, operands=(inner, *_)) if name in _PASSING:
                stack.append(inner)
            case _:
                pass


_PASSING = {"div", "mul", "float", "to", "type", "type_as", "dropout", "contiguous", "view", "setitem"}


def _added(term: Term) -> Iterator[_Fill]:
    """Yield the triangle of -inf that a term is, to be added to scores."""
    for origin in facts.provenance.origins(term, _CASTS):
        is_triangle = isinstance(origin, facts.terms.Operation) and origin.name in ("triu", "tril")
        if is_triangle and origin.operands and _is_infinite(origin.operands[0]):  # type: ignore[union-attr]
            yield origin, True, origin  # type: ignore[misc]


def _is_infinite(matrix: Term) -> bool:
    """Whether a matrix is -inf everywhere."""
    match matrix:
        case facts.terms.Operation(name="full" | "full_like") as full:
            value = full.argument("fill_value", 0)
            return value is not None and _number(value) == -_INF
        case facts.terms.Operation(name="mul", operands=(left, right)):
            return -_INF in (_number(left), _number(right))
        case _:
            return False


_INF = float("inf")
_LOWEST_HALF = -65504.0
_NUMBER = re.compile(r"[-+]?(inf(inity)?|\d+(\.\d*)?(e[-+]?\d+)?)", re.IGNORECASE)


def _number(term: Term | None) -> float | None:
    """Return the number that is written, `float("-inf")` among them."""
    match term:
        case facts.terms.Operation(name="neg", operands=(inner,)):
            value = _number(inner)
            return None if value is None else -value
        case facts.terms.Operation(
            name="float" | "tensor" | "full_like" | "to" | "builtin_float", operands=(inner, *_)
        ):
            return _number(inner)
        case facts.terms.Operation(name="mul", operands=(left, right)) if _is_full(right):
            return _number(left)
        case facts.terms.Constant(value=str(text)):
            return float(text) if _NUMBER.fullmatch(text) else None
        case facts.terms.Reference(dotted="math.inf" | "torch.inf" | "numpy.inf"):
            return _INF
        case _:
            return facts.terms.number(term)


def _is_low(value: Term) -> bool:
    number = _number(value)
    return number is not None and number < _LOWEST_HALF


def _judged(fill: _Fill, softmax: Operation) -> tuple[str, Operation, Severity | None] | None:
    """Say what is wrong with a fill, and how bad it is."""
    mask, masked, filling = fill
    if filling.name in ("masked_fill", "where"):
        values = filling.operands[2:] if filling.name == "masked_fill" else filling.operands[1:]
        lowest = min(number for value in values if (number := _number(value)) is not None)
        if lowest > -_INF:
            message = (
                f"{lowest:g} is no number in float16, which ends at -65504: torch.finfo(dtype).min always is"
            )
            return message, filling, Severity.NOTE
    if _dim(softmax) not in (-1, 1, 2, 3):
        return None
    if _is_first_row_masked(mask, masked):
        return _TRIANGLE, filling, Severity.ERROR
    if _dim(softmax) != 1 and _covers_rows(mask, masked):
        return (
            "the mask covers whole rows of masked queries: the softmax of nothing but -inf is NaN",
            filling,
            None,
        )
    if _is_random(mask, masked):
        return "a random mask may cover a whole row: the softmax of nothing but -inf is NaN", filling, None
    if _is_below_number(mask, masked, filling):
        return (
            "all scores of a row may be below the bound: the softmax of nothing but -inf is NaN",
            filling,
            None,
        )
    return None


def _dim(softmax: Operation) -> Any:
    made = softmax.module
    given = softmax.argument("dim", 0)
    if made is not None:
        given = made.keywords.get("dim") or next(iter(made.positional), None)
    return facts.terms.number(given)


_CASTS = {
    "to", "type", "type_as", "float", "half", "bool", "cuda", "cpu", "clone", "contiguous", "expand", "repeat", "byte",
    "detach", "int", "long",
}  # fmt: skip
_AND, _OR = ("and", "bitwise_and", "logical_and", "mul"), ("or", "bitwise_or", "logical_or", "add")
_NOT = ("not", "bitwise_not", "logical_not")


def _parts(mask: Term, masked: bool) -> Iterator[tuple[Term, bool]]:
    """Yield the masks of which each masks by itself, with what of them is masked: true or false."""
    for origin in facts.provenance.origins(mask, _CASTS):
        match origin:
            case facts.terms.Operation(name=name, operands=(inner, *_)) if name in _NOT:
                yield from _parts(inner, not masked)
            case facts.terms.Operation(name=name, operands=operands) if name in (_OR if masked else _AND):
                for operand in operands:
                    yield from _parts(operand, masked)
            case facts.terms.Operation(name="compare" | "eq" | "ne" | "gt" | "lt") if (
                _is_flag(origin) is not None
            ):
                yield from _parts(origin.operands[0], masked is _is_flag(origin))
            case _:
                yield origin, masked


def _is_flag(test: Operation) -> bool | None:
    """Whether a test asks if a mask of zeros and ones is 1 (`mask > 0`), or is 0 (`mask == 0`)."""
    symbol, right = _compared(test)
    bound = facts.terms.number(right)
    if not isinstance(test.operands[0], facts.terms.Operation | facts.terms.Item) and bound != 0:
        return None
    answers = {("Equal", 0): False, ("Equal", 1): True, ("NotEqual", 0): True, ("NotEqual", 1): False}
    answers |= {("GreaterThan", 0): True, ("LessThan", 1): False}
    return answers.get((symbol, int(bound))) if bound in (0, 1) else None


_SYMBOLS = {"eq": "Equal", "ne": "NotEqual", "gt": "GreaterThan", "lt": "LessThan"}


def _compared(test: Operation) -> tuple[str, Term | None]:
    if test.name == "compare":
        symbol = str(getattr(test.positional[0], "value", "")) if len(test.operands) == 2 else ""
        return symbol, test.operands[-1]
    others = (*test.operands[1:], *test.positional, *test.keywords.values())
    return _SYMBOLS.get(test.name, ""), others[0] if others else None


def _is_first_row_masked(mask: Term, masked: bool) -> bool:
    """Whether a mask is a triangle that leaves nothing of the first row."""
    return any(_is_such_triangle(part, is_masked) for part, is_masked in _parts(mask, masked))


def _is_such_triangle(term: Term, masked: bool) -> bool:
    is_turned = False
    while isinstance(term, facts.terms.Operation) and term.name not in ("triu", "tril"):
        if not term.operands or term.name not in _TURNING or not _keeps_first_row(term):
            return False
        is_turned ^= term.name == "transpose"
        term = term.operands[0]
    if not isinstance(term, facts.terms.Operation) or is_turned:
        return False
    given = term.argument("diagonal", 0)
    diagonal = 0 if given is None else facts.terms.number(given)
    if diagonal is None or not _is_full(term.operands[0]):
        return False
    return (
        diagonal <= 0
        if (term.name, masked) == ("triu", True)
        else (diagonal < 0 if (term.name, masked) == ("tril", False) else False)
    )


_TURNING = {"transpose", "unsqueeze", "view", "index"} | _CASTS


def _keeps_first_row(term: Operation) -> bool:
    """Whether slices begin at the beginning: `mask[:t, :t]`."""
    if term.name != "index":
        return True
    return all(
        getattr(key, "label", None) == "slice" and getattr(getattr(key, "node", None), "lower", None) is None
        if not isinstance(key, facts.terms.Constant)
        else key.value is None
        for key in term.positional
    )


def _is_full(matrix: Term) -> bool:
    """Whether a matrix is the same everywhere, and not zero."""
    is_ones = (
        facts.provenance.made_by(matrix, "ones", "ones_like", "full", "new_ones", through=_CASTS) is not None
    )
    return is_ones or _is_infinite(matrix)


def _covers_rows(mask: Term, masked: bool) -> bool:
    """Whether a mask has a part that is the same along each row, beside one along the columns."""
    parts = list(_parts(mask, masked))
    if any(_is_outer(part) for part, is_masked in parts if not is_masked):
        return True
    return any(_is_along_rows(part, [other for other, _ in parts]) for part, _ in parts)


def _is_along_rows(part: Term, others: list[Term]) -> bool:
    """Whether a mask has one element in its last dimension: `pad[:, :, None]` beside `pad[:, None, :]`."""
    match part:
        case facts.terms.Call(callee=facts.terms.Reference(dotted="einops.rearrange"), positional=positional):
            pattern = str(getattr(positional[1], "value", "")) if len(positional) > 1 else ""
            return pattern.rstrip().endswith((" ()", " 1"))
        case facts.terms.Operation(name="index") | facts.terms.Item():
            keys = _keys(part)
            return (
                len(keys) > 1 and keys[-1] is None and any(_is_along_columns(keys, other) for other in others)
            )
        case facts.terms.Operation(name="unsqueeze"):
            dim = facts.terms.number(part.argument("dim", 0))
            beside = {facts.terms.number(_unsqueezed(other)) for other in others if other is not part}
            return (
                (dim == -1 and -2 in beside) or (dim in (2, -1) and 1 in beside) or (dim == 3 and 2 in beside)
            )
        case _:
            return False


def _unsqueezed(term: Term) -> Term | None:
    is_one = isinstance(term, facts.terms.Operation) and term.name == "unsqueeze"
    return term.argument("dim", 0) if is_one else None  # type: ignore[union-attr]


def _keys(term: Term) -> list[str | None]:
    """Return the keys of an index as `:`, `...` and None, where it has no others."""
    found = [_key(key) for key in term.positional] if isinstance(term, facts.terms.Operation) else []
    return [] if "" in found else found


def _key(key: Term) -> str | None:
    if isinstance(key, facts.terms.Constant):
        return None if key.value is None else ""
    is_rest = type(getattr(key, "node", None)).__name__ == "Ellipsis"
    return "..." if is_rest else ":" if getattr(key, "label", "") == "slice" else ""


def _is_along_columns(keys: list[str | None], other: Term) -> bool:
    """Whether a mask has its own last dimension, beside one that has None there."""
    beside = _keys(other)
    if "..." in keys:  # `pad[..., None]` beside `pad[:, None]` or `pad[..., None, :]`
        return beside == [":", None] or (None in beside and beside[-1] is not None)
    return len(beside) == len(keys) and beside[-1] == ":" and None in beside


def _is_outer(part: Term) -> bool:
    """Whether a mask is the product of a column and a row."""
    match part:
        case facts.terms.Operation(name="matmul" | "bmm", operands=(left, right)):
            column = facts.provenance.made_by(left, "unsqueeze", through=_CASTS)
            row = facts.provenance.made_by(right, "unsqueeze", through=_CASTS)
            places = (
                facts.terms.number(_unsqueezed(one)) if one is not None else None for one in (column, row)
            )
            return tuple(places) in ((2, 1), (-1, 1), (-1, -2), (2, -2))
        case _:
            return False


def _is_random(mask: Term, masked: bool) -> bool:
    return any(_is_drawn(part) for part, _ in _parts(mask, masked))


def _is_drawn(part: Term) -> bool:
    if not isinstance(part, facts.terms.Operation) or not part.operands:
        return False
    if part.name == "bernoulli":
        return True
    is_test = part.name in ("compare", "lt", "gt", "le", "ge")
    return is_test and any(
        facts.provenance.made_by(operand, "rand", "rand_like", through=_CASTS) is not None
        for operand in part.operands
    )


def _is_below_number(mask: Term, masked: bool, filling: Operation) -> bool:
    """Whether scores are left out that are below a number: all of a row may be."""
    if filling.name not in ("masked_fill", "where"):
        return False
    scores = filling.operands[0 if filling.name == "masked_fill" else 1]
    for part, is_masked in _parts(mask, masked):
        if not isinstance(part, facts.terms.Operation) or part.name not in ("compare", "lt", "le"):
            continue
        symbol, bound = _compared(part)
        is_below = symbol.startswith("LessThan") if part.name == "compare" else True
        if (
            is_masked
            and is_below
            and facts.terms.same(part.operands[0], scores)
            and _number(bound) is not None
        ):
            return True
    return False


_MENDING = {"nan_to_num", "isnan", "isfinite", "masked_fill", "where", "setitem", "ne"}


def _is_mended(source: SourceFile, site: Site) -> bool:
    uses = source.ask(facts.uses)
    return any(
        getattr(consumer, "name", "") in _MENDING
        for option in facts.terms.options(source.ask(facts.values).raw(site.node))
        for consumer in uses.of(option)
    )
