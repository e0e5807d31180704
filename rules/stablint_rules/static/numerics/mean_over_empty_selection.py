"""STB314 mean-over-empty-selection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stablint.finding import Confidence, Severity
from stablint.rule import Mark, Report, StaticRule
from stablint.static import facts

if TYPE_CHECKING:
    from stablint.static.facts.sites import Site
    from stablint.static.facts.terms import Operation, Term
    from stablint.static.source import SourceFile


class MeanOverEmptySelection(StaticRule):
    """A loss is the mean over what a condition selects, and in some batch that is nothing: NaN.

    ## What it does
    Reports a mean, and a loss that averages, of `x[mask]`, `x[indices]` or `masked_select(x, mask)`, where the mask
    or the indices come from a comparison in the same file, where it is trained through, and where no test on the way
    asks whether anything was selected.

    ## Why it is bad
    The mean of nothing is 0 / 0. `x[mask].mean()` and `F.cross_entropy(x[mask], y[mask])` of an empty selection are
    NaN, and so is every sum that they are part of. Their own gradient is 0 (measured with torch 2.13), so that
    training goes on while the logged loss, its running mean, the early stopping and the choice of the best checkpoint
    are NaN; a factor that depends on the loss carries the NaN into the weights. The batch in which no box matches or
    all pixels are ignored comes late, and not again when one looks for it.

    ## Example
    ```python
    matched = overlap > 0.5
    loss = F.smooth_l1_loss(boxes[matched], targets[matched])
    ```

    ## Use instead
    ```python
    matched = overlap > 0.5
    total = F.smooth_l1_loss(boxes[matched], targets[matched], reduction="sum")
    loss = total / matched.sum().clamp(min=1)
    ```
    Or leave the term out where nothing is selected: `if matched.any(): loss = loss + ...`.

    ## When to ignore it
    When something outside of this code rules out that nothing is selected. Masks of padding and of lengths, which
    always leave something, comparisons with a maximum or a mean of the same values, masks that are attributes or
    arguments (the split of a graph), and code under `no_grad` are not reported. In a function that is named after a
    metric, and in a file that neither imports `torch.nn` nor calls `backward`, nothing is reported either. Where only
    an option leads there that is not the default and that the file itself never gives, it is a note, and so where only
    labels to be ignored are left out (`y != -100`, `y != ignore_index`): few batches have nothing else.

    ## Fix safety
    There is no fix: what the loss of nothing is, is for the model's author to say.

    ## References
    - [torch.mean](https://docs.pytorch.org/docs/stable/generated/torch.mean.html)
    - [torch.nn.CrossEntropyLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html)
    - [CrossEntropyLoss of nothing is NaN by design](https://github.com/pytorch/pytorch/issues/70348)
    """

    code = "STB314"
    severity = Severity.WARNING
    confidence = Confidence.MEDIUM
    since = "0.1.0"

    bad = [
        # the page's example
        """\
import torch
import torch.nn.functional as F


def box_loss(boxes, targets, overlap):
    matched = overlap > 0.5
    loss = F.smooth_l1_loss(boxes[matched], targets[matched])  # flagged
    return loss
""",
        # a mean of a loss of each element; masked_select; a class of the batch
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        return self.fc(x)

    def loss(self, x, y):
        logits = self(x)
        each = F.cross_entropy(logits, y, reduction="none")
        rare = each[y == 3].mean()  # flagged
        margin = torch.masked_select(logits[:, 0], y == 0).mean()  # flagged
        return each.mean() + rare - margin
""",
        # by indices, and by a mask of several parts
        """\
import torch
import torch.nn.functional as F


def losses(model, x, y, weight):
    out = model(x)
    chosen = torch.nonzero(y >= 0).squeeze(1)
    a = F.cross_entropy(out.index_select(0, chosen), y[chosen])  # flagged
    labelled = (y != 255) & (weight > 0)
    b = F.cross_entropy(out[labelled], y[labelled])  # flagged
    negative = torch.where(y == 0)[0]
    c = (out[negative] ** 2).mean()  # flagged
    return a + b + c
""",
        # random masks: with a short input nothing may be drawn
        """\
import torch
import torch.nn.functional as F


def reconstruct(model, x, rate=0.15):
    hidden = torch.rand(x.shape[:2]) < rate
    out = model(x.masked_fill(hidden.unsqueeze(-1), 0.0))
    return F.mse_loss(out[hidden], x[hidden])  # flagged
""",
        # through helpers: one makes the mask, one averages
        """\
import torch
import torch.nn.functional as F
from torch import nn


def is_sure(p, threshold):
    return p.max(dim=-1).values > threshold


def average(loss):
    return loss.mean()  # flagged


class Trainer:
    def __init__(self, model):
        self.model = model
        self.criterion = nn.CrossEntropyLoss(reduction="none")

    def step(self, weak, strong, optimizer):
        p = torch.softmax(self.model(weak).detach(), dim=-1)
        sure = is_sure(p, 0.95)
        loss = average(self.criterion(self.model(strong)[sure], p.argmax(-1)[sure]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
        # a layer that averages by default
        """\
import torch
from torch import nn

criterion = nn.BCEWithLogitsLoss()


def seen_loss(logits, y):
    seen = ~torch.eq(y, -1)
    return criterion(logits[seen], y[seen].float())  # flagged
""",
    ]

    good = [
        # The mean that is subtracted from what is selected itself: of nothing, nothing is left.
        """\
import torch
from torch import nn


class Agent(nn.Module):
    def loss(self, values, returns, limit):
        kept = returns[returns > limit]
        centred = kept - kept.mean()
        return (values * centred.pow(2).sum()).sum()
""",
        # a test before, around, or in the expression
        """\
import torch
import torch.nn.functional as F


def losses(model, x, y):
    out, mask = model(x), y > 0
    loss = out.sum() * 0
    if mask.any():
        loss = loss + F.mse_loss(out[mask], y[mask])
    if mask.sum() == 0:
        return loss
    other = out[mask]
    b = other.mean() if other.numel() > 0 else 0.0
    return loss + out[mask].mean() + b


def by_length(model, x, y):
    chosen = torch.nonzero(y == 1)
    if len(chosen) > 0:
        return model(x)[chosen].mean()
    return None
""",
        # divided by a count that is kept above 0
        """\
import torch
import torch.nn.functional as F


def loss(logits, y):
    mask = y != -100
    total = F.cross_entropy(logits[mask], y[mask], reduction="sum")
    return total / mask.sum().clamp(min=1) + logits[mask].sum()
""",
        # what is always left over: tokens that are no padding, positions below a length, maxima
        """\
import torch
import torch.nn.functional as F


def loss(model, tokens, y, lengths, pad_id):
    out = model(tokens)
    is_token = tokens != pad_id
    inside = torch.arange(tokens.size(1)) < lengths[:, None]
    best = y >= y.max()
    drawn = torch.rand(tokens.shape).argsort(dim=-1) < (lengths * 0.5).clamp(min=1.0)[:, None]
    return F.cross_entropy(out[is_token], y[is_token]) + out[inside].mean() + out[best].mean() + out[drawn].mean()
""",
        # a class that is there
        """\
import torch


def by_class(model, x, y):
    out, total = model(x), 0.0
    for c in y.unique():
        total = total + out[y == c].var() + out[y == c].mean()
    return total + out[y == y[0]].mean()
""",
        # masks of which nothing is known: a split of a graph, an argument
        """\
import torch
import torch.nn.functional as F


def train(model, data, mask, optimizer):
    out = model(data.x)
    loss = F.nll_loss(out[data.train_mask], data.y[data.train_mask]) + out[mask].mean()
    loss.backward()
    optimizer.step()
""",
        # not trained through: shown, detached, a metric
        """\
import torch
import torch.nn.functional as F


def accuracy(out, y):
    return (out.argmax(1) == y)[y > 0].float().mean()


def step(model, x, y):
    out = model(x)
    print(out[y > 0].mean())
    with torch.no_grad():
        seen = out[y > 0].mean()
    correct = (out.argmax(1) == y)[y == 1].float().mean()
    return F.cross_entropy(out, y), seen, correct
""",
        # a mean over what was not selected: the classes, the features
        """\
import torch


def spread(model, x, y):
    return model(x)[y > 0].mean(-1).sum() + model(x)[y > 0].mean(dim=1).sum()
""",
        # elements by number, slices, and the diagonal
        """\
import torch
import torch.nn.functional as F


def pick(model, x, y, n):
    out = model(x)
    off = ~torch.eye(n, dtype=torch.bool)
    rows = torch.arange(n)
    return out[rows, y].mean() + out[:n].mean() + out[off].mean() + out[-1].mean()
""",
        # the NaN is dealt with afterwards
        """\
import torch
import torch.nn.functional as F


def loss(model, x, y):
    out = model(x)
    part = out[y == 2].mean()
    if torch.isnan(part):
        part = out.sum() * 0
    return torch.nan_to_num(out[y == 1].mean()) + part
""",
    ]

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Report averages, trained through, over what a condition selects."""
        for site, average in source.ask(facts.operations).named(*_AVERAGES, when=_averages):
            selection = _selection(average)
            if selection is None or not _is_trained(source, site, average, selection):
                continue
            if not _is_tested(source, site, selection) and not _is_dealt_with(source, site):
                by_option = facts.guards.needs_another_option(source, site)
                yield Report(
                    site.node,
                    "the mean over what a condition selects, which can be nothing: NaN",
                    severity=Severity.NOTE if by_option or _leaves_out_ignored(selection.condition) else None,
                    related=(Mark(selection.condition.node, "the condition"),),
                )


_LOSSES = (
    "cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "mse_loss", "l1_loss",
    "smooth_l1_loss", "huber_loss",
)  # fmt: skip
_AVERAGES = ("mean", *_LOSSES)


def _averages(operation: Operation) -> bool:
    """Whether an operation averages over the samples: `mean()`, or a loss that is told nothing else."""
    terms = facts.terms
    if operation.name == "mean":
        dim = operation.argument("dim", 0)
        return "axis" not in operation.keywords and (dim is None or terms.number(dim) == 0)
    made = operation.module.keywords if operation.module is not None else {}
    if {"size_average", "reduce"} & {*operation.keywords, *made}:
        return False
    reduction = operation.keywords.get("reduction", made.get("reduction"))
    texts = [one for one in operation.positional if isinstance(getattr(one, "value", None), str)]
    given = [*texts, *([reduction] if reduction is not None else [])]
    return all(getattr(one, "value", None) == "mean" for one in given)


@dataclass(frozen=True, slots=True)
class _Selection:
    """`whole[key]`, by a key that is made of a condition."""

    term: Term
    whole: Term
    key: Term
    condition: Operation


_ELEMENTWISE = {
    "add", "sub", "mul", "div", "neg", "pow", "square", "abs", "exp", "log", "sqrt", "log_softmax", "softmax",
    "sigmoid", "logsigmoid", "tanh", "relu", "clamp", "softplus", "log1p", *_LOSSES,
}  # fmt: skip
"""What gives nothing for nothing."""

_CASTS = {
    "float",
    "to",
    "squeeze",
    "unsqueeze",
    "view",
    "reshape",
    "flatten",
    "contiguous",
    "double",
    "half",
    "cuda",
}


def _selection(average: Operation) -> _Selection | None:
    """Return the selection whose elements are averaged."""
    terms = facts.terms
    seen: set[Term] = set()
    stack = list(average.operands[: 2 if average.name in _LOSSES else 1])
    while stack and len(seen) < 60:
        term = stack.pop(0)
        if term in seen:
            continue
        seen.add(term)
        found = _selected(term)
        if found is not None:
            return found
        if (
            isinstance(term, terms.Operation)
            and term.name in _ELEMENTWISE | _CASTS
            and not (term.name in _LOSSES and _averages(term))
        ):
            stack += term.operands[:2]
    return None


def _selected(term: Term) -> _Selection | None:
    terms = facts.terms
    match term:
        case terms.Item(base=whole, key=key):
            keys: tuple[Term, ...] = (key,)
        case terms.Operation(name="index" | "masked_select", operands=(whole, *_), positional=keys):
            pass
        case terms.Operation(name="index_select", operands=(whole, *_)):
            keys = tuple(filter(None, [term.argument("index", 1)]))
        case _:
            return None
    for key in keys:
        condition = _condition(key)
        if condition is not None:
            return _Selection(term, whole, key, condition)
    return None


_COMPARISONS = {"compare", "eq", "ne", "gt", "ge", "lt", "le"}
_OF_MASKS = _CASTS | {"bool", "byte", "nonzero", "where", "expand", "expand_as", "long", "index", "bitwise_not",
                      "logical_not", "detach"}  # fmt: skip


def _condition(key: Term) -> Operation | None:
    """Return a comparison, that may hold nowhere, of which a mask or indices are made; None for any other key."""
    terms = facts.terms
    match key:
        case terms.Item(base=inner):
            return _condition(inner)
        case terms.Operation(name=name) if name in _COMPARISONS:
            return key if _may_hold_nowhere(key) else None
        case terms.Operation(name="bitwise_and" | "logical_and" | "mul", operands=(left, right)):
            found = [_condition(left), _condition(right)]
            return next((one for one in found if one is not None), None)
        case terms.Operation(name="where", operands=(_, _, *_)):
            return None
        case terms.Operation(name=name, operands=(inner, *_)) if name in _OF_MASKS:
            return _condition(inner)
        case _:
            return None


_ALWAYS_SOME = {
    "arange", "max", "amax", "min", "amin", "mean", "median", "quantile", "topk", "kthvalue", "argmax", "eye", "triu",
    "tril", "ones", "isnan", "isfinite", "isinf", "triu_indices", "sort", "argsort", "randperm",
    "unique", "mode",
}  # fmt: skip
"""What is compared with these is true somewhere, as a rule."""


def _may_hold_nowhere(comparison: Operation) -> bool:
    """Whether a comparison is about data, and not such that it holds somewhere in every batch."""
    terms = facts.terms
    if facts.gradients.is_constant(comparison) and not _is_drawn(comparison):
        return False
    sides = (comparison.operands + comparison.positional)[:2]
    if any(_is_element(one, other) for one in sides for other in sides):
        return False
    for part in terms.within(comparison, 60):
        name = getattr(part, "name", "") or getattr(part, "label", "") or getattr(part, "dotted", "")
        if "pad" in name.lower() or "length" in name.lower():
            return False
        if isinstance(part, terms.Operation) and part.name in _ALWAYS_SOME and not _is_row(part):
            return False
    return True


def _leaves_out_ignored(condition: Operation) -> bool:
    """Whether a comparison only leaves out labels that are to be ignored: nearly every batch has others."""
    terms, sides = facts.terms, (*condition.operands, *condition.positional)
    is_unequal = condition.name == "ne" or any(getattr(one, "value", None) == "NotEqual" for one in sides)
    return is_unequal and any(
        terms.number(one) == -100 or "ignore" in getattr(one, "name", "").lower() for one in sides
    )


def _is_element(term: Term, whole: Term) -> bool:
    """Whether a term is an element of another one: `y[0]`, which is equal to one of `y`."""
    base = term.base if isinstance(term, facts.terms.Item) else None
    return base is not None and facts.terms.same(base, whole)


def _is_row(operation: Operation) -> bool:
    """Whether a maximum is one for each sample, of which none need be large: `p.max(dim=-1).values > 0.95`."""
    return operation.name in ("max", "amax", "topk", "mean") and (
        "dim" in operation.keywords or bool(operation.positional)
    )


def _is_drawn(comparison: Operation) -> bool:
    return any(getattr(part, "name", "") in ("rand", "rand_like") for part in comparison.operands)


def _is_trained(source: SourceFile, site: Site, average: Operation, selection: _Selection) -> bool:
    if (
        facts.gradients.carries_graph(selection.whole) is False
        and facts.gradients.carries_graph(average) is not True
    ):
        return False
    if not facts.differentiation.is_trained_through(source, site, average):
        return False
    return not facts.differentiation.may_be_for_show(source, site.scope)


def _is_tested(source: SourceFile, site: Site, selection: _Selection) -> bool:
    """Whether any test around an average is about what is selected, or about the condition."""
    values, same = source.ask(facts.values), facts.terms.same
    about = (selection.term, selection.key, selection.condition)
    return any(
        same(part, one)
        for test, _ in facts.guards.tests(source, site.node, site.statement)
        for part in facts.terms.within(values.of(test), 60)
        for one in about
    )


def _is_dealt_with(source: SourceFile, site: Site) -> bool:
    """Whether a NaN is replaced or tested for, or is only taken from the elements that are selected: from none."""
    uses = source.ask(facts.uses)
    made = facts.terms.options(source.ask(facts.values).raw(site.node))
    consumers = [(option, consumer) for option in made for consumer in uses.of(option)]
    if any(
        getattr(consumer, "name", "") in ("nan_to_num", "isnan", "isfinite", "where", "nansum", "nanmean")
        for _, consumer in consumers
    ):
        return True
    is_kept = any(map(uses.is_kept, made))
    return bool(consumers) and not is_kept and all(_is_of_selection(*one) for one in consumers)


def _is_of_selection(mean: Term, consumer: Term) -> bool:
    """Whether a mean is subtracted from the very elements that it is the mean of: `kept - kept.mean()`."""
    terms = facts.terms
    if not isinstance(mean, terms.Operation) or not isinstance(consumer, terms.Operation):
        return False
    is_difference = consumer.name in ("sub", "div") and len(consumer.operands) == 2
    return is_difference and mean.name == "mean" and terms.same(consumer.operands[0], mean.operands[0])
