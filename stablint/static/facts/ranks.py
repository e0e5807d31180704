"""How many dimensions a tensor has, where the code shows it: `x.view(-1, 320)` has two."""

from __future__ import annotations

from collections.abc import Callable

from stablint.static.facts.terms import (
    EACH,
    Attribute,
    Call,
    Constant,
    Display,
    Either,
    Item,
    Operation,
    Reference,
    Repeated,
    Term,
    Unknown,
    number,
)
from stablint.static.torch_api.groups import (
    ACTIVATIONS,
    CONVERSIONS,
    DROPOUTS,
    NORMALISATIONS,
    SOFTMAXES,
    words,
)


def rank(term: Term) -> int | None:
    """Return the number of dimensions of a tensor; None where it is not known."""
    return _rank(term, {}, 0)


def _rank(term: Term, known: dict[Term, int | None], depth: int) -> int | None:
    if term in known or depth > 100:
        return known.get(term)
    known[term] = None
    result = known[term] = _compute(term, lambda part: _rank(part, known, depth + 1))
    return result


_Look = Callable[["Term"], "int | None"]


def _compute(term: Term, look: _Look) -> int | None:
    match term:
        case Constant():
            return 0 if number(term) is not None else None
        case Either(options=options):
            return _common([look(option) for option in options])
        case Attribute(base=base, name="data"):
            return look(base)
        case Item(base=Attribute(name="shape") | Operation(name="size")):
            return 0
        case Call(callee=Reference(dotted=dotted)) if dotted.startswith("math."):
            return 0
        case Item(base=Operation() as base, key=key):
            of_base = look(base)
            is_one = key is EACH or isinstance(number(key), int)
            return of_base - 1 if is_one and of_base is not None and base.name not in _SEVERAL else None
        case Operation():
            return _operation(term, look)
        case _:
            return None


_SEVERAL = words(
    "max min topk sort kthvalue median mode cummax cummin lstm gru rnn lstm_cell chunk split unbind "
    "multi_head_attention var_mean std_mean meshgrid"
)
"""Operations that give several tensors: their item is no part of a tensor."""


def _common(ranks: list[int | None]) -> int | None:
    return ranks[0] if ranks and all(one == ranks[0] for one in ranks) else None


_ALIKE = (
    ACTIVATIONS
    | CONVERSIONS
    | DROPOUTS
    | NORMALISATIONS
    | SOFTMAXES
    | words(
        "linear transpose clone detach contiguous identity requires_grad data neg abs square sqrt rsqrt exp log log1p "
        "log2 sign reciprocal clamp clamp_min clamp_max sin cos logit cumsum cumprod masked_fill tril triu flip roll "
        "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d max_pool1d max_pool2d avg_pool1d "
        "avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool1d adaptive_max_pool2d interpolate "
        "cat gather index_select narrow zeros_like ones_like rand_like randn_like full_like empty_like "
        "nan_to_num parameter setitem"
    )
)
"""Operations whose result has as many dimensions as their first operand."""

_FIXED = {
    "mm": 2,
    "bmm": 3,
    "mv": 1,
    "dot": 0,
    "baddbmm": 3,
    "addmm": 2,
    "item": 0,
    "numel": 0,
    "len": 0,
    "outer": 2,
}
_FIXED |= {"mse_loss": 0, "cross_entropy": 0, "nll_loss": 0, "arange": 1, "linspace": 1, "eye": 2}
_PLANAR = {"conv1d": 3, "conv2d": 4, "conv3d": 5, "max_pool2d": 4, "avg_pool2d": 4, "adaptive_avg_pool2d": 4}
"""Layers on batches of lines, planes and bodies, where nothing is known of what they are given."""


def _operation(term: Operation, look: _Look) -> int | None:
    name, operands = term.name, term.operands
    if name == "size" and term.positional:
        return 0
    if name in _FIXED:
        return None if "reduction" in term.keywords else _FIXED[name]
    if name in _SHAPED:
        return _of_shape((*operands[name not in _CREATED :], *term.positional), term, look)
    if not operands:
        return None
    if name in _PLANAR:
        return look(operands[0]) or _PLANAR[name]
    if name in _ALIKE:
        return look(_first(operands[0]))
    if name in _BROADCASTING:
        return _broadcast([look(operand) for operand in operands])
    compute = _BY_NAME.get(name)
    return compute(term, look) if compute is not None else None


def _first(operand: Term) -> Term:
    """Return the first of several tensors: `torch.cat([a, b])`."""
    if isinstance(operand, Display) and operand.items:
        return operand.items[0]
    return operand.item if isinstance(operand, Repeated) else operand


_CREATED = words("zeros ones rand randn empty")
_SHAPED = _CREATED | words("view reshape expand permute broadcast_to")
"""Operations that are told the dimensions of their result."""


def _of_shape(given: tuple[Term, ...], term: Operation, look: _Look) -> int | None:
    if term.open_arguments or not given:
        return None
    if len(given) > 1:
        return len(given)
    match given[0]:
        case Display(items=items):
            return len(items)
        case (
            Operation(name="size" | "shape", operands=(sized,), positional=())
            | Attribute(name="shape", base=sized)
        ):
            return look(sized)
        case Constant(value=int(value)):
            return None if isinstance(value, bool) else 1
        case _:
            return None


_BROADCASTING = words("add sub mul div pow maximum minimum where compare eq ne lt le gt ge")


def _broadcast(ranks: list[int | None]) -> int | None:
    found = [one for one in ranks if one is not None]
    return max(found) if found and len(found) == len(ranks) else None


def _flatten(term: Operation, look: _Look) -> int | None:
    start = term.argument("start_dim", 0)
    if term.module is not None:
        # The layer leaves the batch alone.
        is_told = bool(term.module.positional or term.module.keywords)
        return None if is_told else 2
    first = 0 if start is None else number(start)
    is_to_end = term.argument("end_dim", 1) is None
    return first + 1 if isinstance(first, int) and first >= 0 and is_to_end else None


def _unsqueezed(term: Operation, look: _Look) -> int | None:
    held = look(term.operands[0])
    return None if held is None else held + 1


def _reduced(term: Operation, look: _Look) -> int | None:
    along = term.argument("dim", 0) or term.keywords.get("axis")
    keeps = term.argument("keepdim", 1)
    if along is None:
        return None if term.keywords or term.open_arguments else 0
    held = look(term.operands[0])
    if held is None or (keeps is not None and not isinstance(keeps, Constant)):
        return None
    if isinstance(keeps, Constant) and keeps.value:
        return held
    count = len(along.items) if isinstance(along, Display) else 1 if isinstance(number(along), int) else None
    return None if count is None else held - count


def _product(term: Operation, look: _Look) -> int | None:
    ranks = [look(operand) for operand in term.operands]
    known = [one for one in ranks if one is not None and one >= 2]
    return max(known) if len(known) == len(ranks) == 2 else None


def _indexed(term: Operation, look: _Look) -> int | None:
    held = look(term.operands[0])
    for key in term.positional:
        if isinstance(key, Unknown) and key.label == "slice":
            continue
        is_new = isinstance(key, Constant) and key.value is None
        if held is None or not (is_new or isinstance(number(key), int)):
            return None
        held += 1 if is_new else -1
    return held


def _stacked(term: Operation, look: _Look) -> int | None:
    held = look(_first(term.operands[0]))
    return None if held is None or isinstance(term.operands[0], Operation) else held + 1


def _embedded(term: Operation, look: _Look) -> int | None:
    held = look(term.operands[0])
    return None if held is None else held + 1


def _einsum(term: Operation, look: _Look) -> int | None:
    formulas = [
        part.value
        for part in (*term.operands, *term.positional)
        if isinstance(part, Constant) and isinstance(part.value, str)
    ]
    result = formulas[0].partition("->")[2].replace(" ", "") if formulas else ""
    return len(result) if result and "." not in result else None


_BY_NAME: dict[str, Callable[[Operation, _Look], int | None]] = {
    "flatten": _flatten, "unsqueeze": _unsqueezed, "sum": _reduced, "mean": _reduced, "amax": _reduced,
    "amin": _reduced, "logsumexp": _reduced, "std": _reduced, "var": _reduced, "prod": _reduced,
    "matmul": _product, "index": _indexed, "stack": _stacked, "embedding": _embedded, "einsum": _einsum,
}  # fmt: skip
