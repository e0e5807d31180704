"""The interval in which the elements of a tensor lie: whether a logarithm or a root can meet zero.

Only what is certain is narrowed; everything else is TOP, and rules stay silent on TOP.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from stablint.static.facts.conditions import leaves_out_zero
from stablint.static.facts.terms import (
    Attribute,
    Constant,
    Display,
    Either,
    Item,
    Operation,
    Parameter,
    Question,
    Repeated,
    Term,
    Unknown,
    number,
    once,
    same,
)
from stablint.static.torch_api.groups import SHAPE_ONLY

INF = math.inf


@dataclass(frozen=True, slots=True)
class Interval:
    """All elements x satisfy low <= x <= high; an open end is approached but not reached."""

    low: float
    high: float
    low_open: bool = False
    high_open: bool = False

    @property
    def has_zero(self) -> bool:
        """Whether zero lies inside."""
        above = self.low < 0 or (self.low == 0 and not self.low_open)
        below = self.high > 0 or (self.high == 0 and not self.high_open)
        return above and below

    @property
    def is_non_negative(self) -> bool:
        """Whether no element is below zero."""
        return self.low >= 0

    @property
    def is_positive(self) -> bool:
        """Whether every element is above zero."""
        return self.low > 0 or (self.low == 0 and self.low_open)

    @property
    def is_unit(self) -> bool:
        """Whether the elements are probabilities or the like: within [0, 1]."""
        return self.low >= 0 and self.high <= 1


TOP = Interval(-INF, INF)
UNIT = Interval(0, 1)
NON_NEGATIVE = Interval(0, INF)
POSITIVE = Interval(0, INF, low_open=True)
COUNT = Interval(1, INF)
SMALL = Interval(0, 0.5, low_open=True)

_EPSILON = re.compile(
    r"(^|_|\b)(eps|epsilon|tiny|smallest_normal|smooth|laplace|jitter|delta)\d*(_|\b|$)", re.IGNORECASE
)


def interval(term: Term) -> Interval:
    """Return the interval of a term's elements."""
    return _interval(term, {}, 0)


def _interval(term: Term, known: dict[Term, Interval], depth: int) -> Interval:
    found = known.get(term)
    if found is not None:
        return found
    if depth > 200:
        return TOP
    known[term] = TOP
    result = known[term] = _compute(term, lambda inner: _interval(inner, known, depth + 1))
    return result


Look = Callable[[Term], Interval]


def _compute(term: Term, look: Look) -> Interval:
    match term:
        case Constant(value=value):
            if isinstance(value, bool):
                return Interval(int(value), int(value))
            if not isinstance(value, int | float) or value != value:
                return TOP
            return Interval(single(value), single(value))
        case Operation():
            return _operation(term, look)
        case Either(options=options):
            return hull([look(option) for option in options])
        case Item(base=base, key=key):
            return _element(base, key, look)
        case Attribute(base=base, name="values" | "data" | "mT" | "T"):
            return look(base)
        case Parameter(default=Constant() as default) if look(default).is_positive:
            # A width, a temperature: whoever sets it to another value hardly sets it to zero.
            return look(default) if is_epsilon(term) else POSITIVE
        case Parameter() | Unknown() | Attribute():
            return SMALL if is_epsilon(term) else TOP
        case Display(items=items) if items:
            return hull([look(one) for one in items])
        case Repeated(item=inner):
            return look(inner)
        case _:
            return TOP


def single(value: float) -> float:
    """Round a number as single precision does, in which 1 - 1e-8 is 1 and 1e-46 is 0."""
    try:
        (rounded,) = struct.unpack("f", struct.pack("f", value))
        return float(rounded)
    except OverflowError:
        return INF if value > 0 else -INF


def is_epsilon(term: Term) -> bool:
    """Whether something of unknown value is called as small positive numbers are."""
    match term:
        case Parameter(name=name) | Unknown(label=name) | Attribute(name=name):
            return bool(name) and _EPSILON.search(name) is not None
        case _:
            return False


def hull(parts: list[Interval]) -> Interval:
    """Return the smallest interval around several."""
    if not parts:
        return TOP
    low = min(part.low for part in parts)
    high = max(part.high for part in parts)
    return Interval(
        low,
        high,
        all(part.low_open for part in parts if part.low == low),
        all(part.high_open for part in parts if part.high == high),
    )


def _element(base: Term, key: Term, look: Look) -> Interval:
    """`x[i]`: an element of a tensor lies where the tensor does; of a tuple result, only the values do."""
    if isinstance(base, Operation):
        if base.name in _TUPLES:
            return look(base) if isinstance(key, Constant) and key.value == 0 else TOP
        if base.name in _SIZES:
            return COUNT
        return above_zero(look(base)) if leaves_out_zero(key, base) else look(base)
    if isinstance(base, Attribute) and base.name in ("shape",):
        return COUNT
    if not isinstance(base, Item | Either | Repeated):
        return TOP
    return above_zero(look(base)) if leaves_out_zero(key, base) else look(base)


def above_zero(held: Interval) -> Interval:
    """Return an interval without its zero; where it goes below zero, what is left over is no interval."""
    if not held.is_non_negative:
        return TOP
    return Interval(held.low, held.high, held.low_open or held.low == 0, held.high_open)


_TUPLES = {"max", "min", "topk", "sort", "kthvalue", "median", "mode", "cummax", "cummin"}
_SIZES = {"size", "shape", "numel", "nelement", "len"}

_FIXED = {
    "hardsigmoid": UNIT, "gumbel_softmax": UNIT, "norm": NON_NEGATIVE, "relu6": NON_NEGATIVE,
    "var": NON_NEGATIVE, "std": NON_NEGATIVE, "cdist": NON_NEGATIVE, "pairwise_distance": NON_NEGATIVE,
    "mse_loss": NON_NEGATIVE, "l1_loss": NON_NEGATIVE, "smooth_l1_loss": NON_NEGATIVE, "huber_loss": NON_NEGATIVE,
    "cross_entropy": NON_NEGATIVE, "binary_cross_entropy": NON_NEGATIVE,
    "binary_cross_entropy_with_logits": NON_NEGATIVE,
    "tanh": Interval(-1, 1), "sin": Interval(-1, 1), "cos": Interval(-1, 1), "erf": Interval(-1, 1),
    "softsign": Interval(-1, 1), "cosine_similarity": Interval(-1, 1),
    "softplus": POSITIVE, "cosh": COUNT, "size": COUNT, "numel": COUNT, "nelement": COUNT, "len": NON_NEGATIVE,
    "compare": UNIT, "eq": UNIT, "ne": UNIT, "gt": UNIT, "lt": UNIT, "ge": UNIT, "le": UNIT, "not": UNIT,
    "bitwise_not": TOP, "isnan": UNIT, "isinf": UNIT, "isfinite": UNIT, "logical_not": UNIT, "logical_and": UNIT,
    "logical_or": UNIT, "one_hot": UNIT, "bernoulli": UNIT,
    "rand": Interval(0, 1, high_open=True), "rand_like": Interval(0, 1, high_open=True),
    "zeros": Interval(0, 0), "zeros_like": Interval(0, 0), "ones": Interval(1, 1), "ones_like": Interval(1, 1),
    "log_softmax": Interval(-INF, 0), "logsigmoid": Interval(-INF, 0),
}  # fmt: skip

_KEPT = SHAPE_ONLY | {
    "mean",
    "amin",
    "median",
    "quantile",
    "parameter_data",
    "nanmean",
    "values",
    "aminmax",
}
_KEPT |= {
    "detach",
    "clone",
    "data",
    "item",
    "float",
    "double",
    "half",
    "contiguous",
    "cuda",
    "cpu",
    "tqdm",
}
_KEPT |= {
    "as_tensor",
    "tensor",
    "requires_grad",
    "builtin_float",
    "topk",
    "sort",
    "cummax",
    "cummin",
}


def _operation(term: Operation, look: Look) -> Interval:
    fixed = _FIXED.get(term.name)
    if fixed is not None:
        return fixed
    operands = term.operands
    if not operands:
        return TOP
    compute = _TRANSFER.get(term.name)
    if compute is not None:
        return _in_single(compute(term, look))
    return look(operands[0]) if term.name in _KEPT else TOP


def _in_single(held: Interval) -> Interval:
    """Return an interval with what is too small for single precision as the zero that it is there."""
    if math.isnan(held.low) or math.isnan(held.high):
        return TOP  # infinity minus infinity
    if 0 < held.low < _SMALLEST:
        return Interval(0, held.high, high_open=held.high_open)
    return held


_SMALLEST = 2.0**-149


def _add(term: Operation, look: Look) -> Interval:
    if len(term.operands) < 2 or _is_scaled(term):
        return TOP
    a, b = (look(operand) for operand in term.operands[:2])
    if _lifts_zeros(term.operands[1], term.operands[0]) or _lifts_zeros(term.operands[0], term.operands[1]):
        return Interval(0, INF, low_open=True) if a.is_non_negative and b.is_non_negative else TOP
    return Interval(a.low + b.low, a.high + b.high, a.low_open or b.low_open, a.high_open or b.high_open)


def _is_scaled(term: Operation) -> bool:
    """Whether a sum or difference has a factor: `torch.add(x, y, alpha=-1)`."""
    return bool(term.positional) or "alpha" in term.keywords


def _lifts_zeros(summand: Term, value: Term) -> bool:
    """Whether a summand is positive where a value is zero: `d2 + (d2 == 0) * 1e-16`."""

    def lifts(term: Term, look: Question) -> bool:
        match term:
            case Operation(name="mul" | "float" | "to" | "type", operands=parts):
                return any(look(part) for part in parts)
            case Operation():
                return leaves_out_zero(term, value, holds=False)
            case _:
                return False

    return once(lifts)(summand)


def _sub(term: Operation, look: Look) -> Interval:
    if _is_scaled(term):
        return TOP
    a, b = (look(operand) for operand in term.operands[:2])
    return Interval(a.low - b.high, a.high - b.low, a.low_open or b.high_open, a.high_open or b.low_open)


def _neg(term: Operation, look: Look) -> Interval:
    a = look(term.operands[0])
    return Interval(-a.high, -a.low, a.high_open, a.low_open)


def _mul(term: Operation, look: Look) -> Interval:
    if same(term.operands[0], term.operands[1]):
        return _even_power(look(term.operands[0]))
    a, b = (look(operand) for operand in term.operands[:2])
    corners = [_times(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
    low, high = min(corners), max(corners)
    positive = a.is_positive and b.is_positive
    return Interval(low, high, low_open=positive and low == 0)


def _times(x: float, y: float) -> float:
    return 0.0 if x == 0 or y == 0 else x * y


def _div(term: Operation, look: Look) -> Interval:
    a, b = (look(operand) for operand in term.operands[:2])
    if same(term.operands[0], term.operands[1]) or "rounding_mode" in term.keywords:
        return TOP
    if a.is_non_negative and b.is_non_negative:
        # x / x.sum() and the like stay below one, but that needs a proof that the parts are of the whole.
        low = a.low / b.high if b.high not in (0, INF) else 0.0
        high = a.high / b.low if b.low > 0 else INF
        # A logistic function written out, 1 / (1 + exp(-x)), is zero where the exponential overflows.
        overflows = b.high == INF and has_exponential(term.operands[1])
        return Interval(low, high, low_open=a.is_positive and low == 0 and not overflows)
    if a.is_non_negative and b == TOP:
        # A count, a width, a union: who divides a magnitude by something takes it to be positive.
        return Interval(0, INF, low_open=a.is_positive)
    if b.low == b.high and b.low > 0:
        return Interval(a.low / b.low, a.high / b.low, a.low_open, a.high_open)
    return TOP


@once
def has_exponential(term: Term, look: Question) -> bool:
    """Whether a term is an exponential plus something: in single precision it overflows."""
    return isinstance(term, Operation) and (
        term.name == "exp" or (term.name == "add" and any(map(look, term.operands)))
    )


def _even_power(a: Interval, exponent: float = 2) -> Interval:
    high = _raised(max(abs(a.low), abs(a.high)), exponent)
    if a.is_positive or a.high < 0:
        low = min(abs(a.low), abs(a.high))
        return Interval(_raised(low, exponent), high, low_open=low == 0)
    return Interval(0, high)


def _raised(value: float, exponent: float) -> float:
    try:
        return float(value**exponent)
    except OverflowError:
        return INF


def _pow(term: Operation, look: Look) -> Interval:
    base, *exponents = term.operands
    exponent = number(exponents[0]) if exponents else None
    a = look(base)
    if exponent is None or not math.isfinite(exponent):
        return POSITIVE if a.is_positive else NON_NEGATIVE if a.is_non_negative else TOP
    if exponent == int(exponent) and int(exponent) % 2 == 0 and exponent > 0:
        return _even_power(a, exponent)
    if a.is_positive:
        return POSITIVE
    return NON_NEGATIVE if a.is_non_negative and exponent > 0 else TOP


def _sum(term: Operation, look: Look) -> Interval:
    a = look(term.operands[0])
    if a.is_positive:
        return Interval(min(a.low, INF), INF, low_open=a.low == 0)
    if a.is_non_negative:
        return NON_NEGATIVE
    return Interval(-INF, 0) if a.high <= 0 else TOP


def _nansum(term: Operation, look: Look) -> Interval:
    a = look(term.operands[0])
    return NON_NEGATIVE if a.is_non_negative else Interval(-INF, 0) if a.high <= 0 else TOP


def _prod(term: Operation, look: Look) -> Interval:
    a = look(term.operands[0])
    return UNIT if a.is_unit else NON_NEGATIVE if a.is_non_negative else TOP


def _sigmoid(term: Operation, look: Look) -> Interval:
    a = look(term.operands[0])
    return Interval(_logistic(a.low), _logistic(a.high))


def _logistic(x: float) -> float:
    # In single precision 0 from -104 on, 1 from 17 on.
    return 0.0 if x < -103 else 1.0 if x > 16.6 else 1 / (1 + math.exp(-x))


def _softmax(term: Operation, look: Look) -> Interval:
    a = look(term.operands[0])
    return Interval(0, 1, low_open=a.high - a.low < _WIDEST)


_WIDEST = 80
"""A softmax over logits that lie closer together has no zeros in single precision."""


def _other(term: Operation) -> Term | None:
    """Return what `torch.max(x, y)` compares x with; None where y is the dimension to go along, or not there."""
    other = term.argument("other", 0)
    return None if "dim" in term.keywords or number(other) is not None else other


def _smallest(term: Operation, look: Look) -> Interval:
    a = look(term.operands[0])
    other = _other(term)
    return a if other is None else smaller(a, look(other))


def _largest(term: Operation, look: Look) -> Interval:
    a = look(term.operands[0])
    other = _other(term)
    if other is not None:
        b = look(other)
        return TOP if b == TOP else larger(a, b)
    origin = term.operands[0]
    # The largest of some probabilities that sum to one is not zero.
    is_softmax = isinstance(origin, Operation) and origin.name in ("softmax", "softmin")
    return Interval(a.low, a.high, a.low_open or is_softmax, a.high_open)


def _absolute(term: Operation, look: Look) -> Interval:
    a = look(term.operands[0])
    low = 0 if a.low <= 0 <= a.high else min(abs(a.low), abs(a.high))
    is_open = a.low_open if a.low >= 0 else a.high_open if a.high <= 0 else False
    return Interval(low, max(abs(a.low), abs(a.high)), low_open=is_open)


def _relu(term: Operation, look: Look) -> Interval:
    a = look(term.operands[0])
    return a if a.is_non_negative else NON_NEGATIVE


def _square(term: Operation, look: Look) -> Interval:
    return _even_power(look(term.operands[0]))


def _exp(term: Operation, look: Look) -> Interval:
    a = look(term.operands[0])
    scale = math.log(2) if term.name == "exp2" else 1.0
    low, high = a.low * scale, a.high * scale
    low = math.exp(min(max(low, -700), 700)) if low > -INF else 0.0
    return Interval(low, math.exp(high) if high < 700 else INF, low_open=low == 0)


def _sqrt(term: Operation, look: Look) -> Interval:
    a = look(term.operands[0])
    if a.is_positive:
        return Interval(math.sqrt(a.low), INF, low_open=a.low == 0)
    return NON_NEGATIVE


def _log(term: Operation, look: Look) -> Interval:
    a = look(term.operands[0])
    low = math.log(a.low) if a.low > 0 else -INF
    return Interval(low, math.log(a.high) if 0 < a.high < INF else INF)


def _log1p(term: Operation, look: Look) -> Interval:
    return NON_NEGATIVE if look(term.operands[0]).is_non_negative else TOP


def _clamp(term: Operation, look: Look) -> Interval:
    a = look(term.operands[0])
    bottom, top = term.argument("min", 0), term.argument("max", 1)
    if term.name == "clamp_min":
        bottom, top = term.argument("min", 0), None
    elif term.name == "clamp_max":
        bottom, top = None, term.argument("max", 0)
    if bottom is not None and not _is_none(bottom):
        bound = look(bottom)
        if bound.low == -INF:
            return TOP
        a = larger(a, bound)
    if top is not None and not _is_none(top):
        bound = look(top)
        # An upper bound of which nothing is known will hardly lie below what is there.
        a = smaller(a, bound if bound.low > -INF else Interval(INF, bound.high, False, bound.high_open))
    return a


def _is_none(term: Term) -> bool:
    return isinstance(term, Constant) and term.value is None


def larger(a: Interval, b: Interval) -> Interval:
    """Return the interval of the larger of two."""
    low, high = max(a.low, b.low), max(a.high, b.high)
    low_open = any(part.low_open for part in (a, b) if part.low == low)
    return Interval(low, high, low_open, all(part.high_open for part in (a, b) if part.high == high))


def smaller(a: Interval, b: Interval) -> Interval:
    """Return the interval of the smaller of two."""
    low, high = min(a.low, b.low), min(a.high, b.high)
    low_open = all(part.low_open for part in (a, b) if part.low == low)
    return Interval(low, high, low_open, any(part.high_open for part in (a, b) if part.high == high))


def _maximum(term: Operation, look: Look) -> Interval:
    return larger(look(term.operands[0]), look(term.operands[1])) if len(term.operands) > 1 else TOP


def _minimum(term: Operation, look: Look) -> Interval:
    return smaller(look(term.operands[0]), look(term.operands[1])) if len(term.operands) > 1 else TOP


def _hardtanh(term: Operation, look: Look) -> Interval:
    given = term if term.module is None else term.module
    bottom = given.keywords.get("min_val") or next(iter(given.positional[:1]), Constant(-1))
    top = given.keywords.get("max_val") or next(iter(given.positional[1:2]), Constant(1))
    return hull([look(bottom), look(top)])


def _where(term: Operation, look: Look) -> Interval:
    if len(term.operands) != 3:
        return TOP
    condition, taken, other = term.operands
    a, b = look(taken), look(other)
    a = above_zero(a) if leaves_out_zero(condition, taken) else a
    b = above_zero(b) if leaves_out_zero(condition, other, holds=False) else b
    return hull([a, b])


def _masked_fill(term: Operation, look: Look) -> Interval:
    if len(term.operands) != 3:
        return TOP
    before, mask, value = term.operands
    a = above_zero(look(before)) if leaves_out_zero(mask, before, holds=False) else look(before)
    return hull([a, look(value)])


def _selected(term: Operation, look: Look) -> Interval:
    """`p[p > 0]`, `masked_select`, and every other index."""
    a = look(term.operands[0])
    keys = (*term.positional, *term.keywords.values())
    return above_zero(a) if any(leaves_out_zero(key, term.operands[0]) for key in keys) else a


def _dropout(term: Operation, look: Look) -> Interval:
    a = look(term.operands[0])
    return Interval(min(a.low, 0) if a.low >= 0 else -INF, INF if a.high > 0 else 0)


def _matmul(term: Operation, look: Look) -> Interval:
    parts = [look(operand) for operand in term.operands[:2]]
    return NON_NEGATIVE if len(parts) == 2 and all(part.is_non_negative for part in parts) else TOP


def _gathered(term: Operation, look: Look) -> Interval:
    return look(term.operands[0])


def _arange(term: Operation, look: Look) -> Interval:
    named = [term.keywords[name] for name in ("start", "end") if name in term.keywords]
    bounds = [look(bound) for bound in (*term.operands[:1], *term.positional[:1], *named)]
    if len(bounds) == 1:
        return Interval(0, max(bounds[0].high, 0))
    return hull(bounds)


def _full(term: Operation, look: Look) -> Interval:
    value = term.argument("fill_value", 0)
    return look(value) if value is not None else TOP


def _float_of(term: Operation, look: Look) -> Interval:
    return look(term.operands[0])


def _whole(step: Callable[[float], int], end: float) -> float:
    return end if math.isinf(end) else step(end)


def _truncated(term: Operation, look: Look) -> Interval:
    a = look(term.operands[0])
    return Interval(_whole(math.trunc, a.low), _whole(math.trunc, a.high))


def _rounded(term: Operation, look: Look) -> Interval:
    a = look(term.operands[0])
    if len(term.operands) > 1 or term.positional or term.keywords:
        return TOP  # to some decimals
    return Interval(_whole(round, a.low), _whole(round, a.high))


def _converted(term: Operation, look: Look) -> Interval:
    """`x.to(...)`, `x.type(...)`: the same values, unless they become whole numbers."""
    wanted = wanted_types(term)
    if wanted & BOOLEANS:
        return UNIT
    return _truncated(term, look) if wanted & INTEGERS else look(term.operands[0])


def wanted_types(conversion: Operation) -> set[str]:
    """Return the last names of what `x.to(...)` or `x.type(...)` is given: `int64` of `torch.int64`."""
    given = (*conversion.operands[1:], *conversion.positional, *conversion.keywords.values())
    return {str(getattr(one, "dotted", getattr(one, "value", ""))).rsplit(".", 1)[-1] for one in given}


BOOLEANS = {"bool", "BoolTensor"}
INTEGERS = {
    "int", "int8", "int16", "int32", "int64", "uint8", "short", "long", "IntTensor", "LongTensor", "ShortTensor",
    "CharTensor", "ByteTensor",
}  # fmt: skip
"""The types that hold no fractions, and carry no gradient."""


def _or(term: Operation, look: Look) -> Interval:
    return hull([look(operand) for operand in term.operands])


def _builtin_max(term: Operation, look: Look) -> Interval:
    parts = [look(operand) for operand in term.operands]
    return (
        Interval(max(part.low for part in parts), INF, low_open=any(part.low_open for part in parts))
        if len(parts) > 1
        else TOP
    )


_TRANSFER: dict[str, Callable[[Operation, Look], Interval]] = {
    "add": _add, "sub": _sub, "neg": _neg, "mul": _mul, "div": _div, "pow": _pow, "sum": _sum,
    "nansum": _nansum, "to": _converted, "type": _converted, "round": _rounded, "trunc": _truncated,
    "long": _truncated, "short": _truncated, "builtin_int": _truncated, "hardtanh": _hardtanh, "min": _smallest,
    "cumsum": _sum, "prod": _prod, "cumprod": _prod, "exp": _exp, "exp2": _exp, "sqrt": _sqrt, "log": _log,
    "log1p": _log1p, "clamp": _clamp, "clamp_min": _clamp, "clamp_max": _clamp, "maximum": _maximum,
    "minimum": _minimum, "where": _where, "masked_fill": _masked_fill, "dropout": _dropout, "matmul": _matmul,
    "bmm": _matmul, "mm": _matmul, "arange": _arange, "full": _full, "full_like": _full, "or": _or,
    "builtin_max": _builtin_max, "float": _float_of, "int": _truncated, "gather": _gathered,
    "index_select": _gathered, "masked_select": _selected, "index": _selected, "linspace": _arange, "sigmoid": _sigmoid,
    "softmax": _softmax, "softmin": _softmax, "max": _largest, "amax": _largest, "abs": _absolute, "relu": _relu,
    "square": _square, "einsum": lambda term, look: TOP,
}  # fmt: skip
