"""What made a tensor, looking through everything that only rearranges or casts its elements."""

from __future__ import annotations

from collections.abc import Iterator

from stablint.static.facts.terms import (
    Attribute,
    Call,
    Constant,
    Display,
    Either,
    Item,
    Operation,
    Parameter,
    Reference,
    Repeated,
    Term,
    number,
    options,
    same,
    within,
)
from stablint.static.torch_api.groups import SHAPE_ONLY

REARRANGING = SHAPE_ONLY | {
    "index", "gather", "index_select", "masked_select", "select", "narrow", "chunk", "split", "unbind", "to", "float",
    "double", "half", "cuda", "cpu", "clone", "contiguous", "view", "reshape", "cat", "stack", "type", "type_as",
    "requires_grad", "detach", "data", "setitem",
}  # fmt: skip
"""Operations after which every element is one that was there before."""

_TUPLE_VALUED = {"max", "min", "topk", "sort", "lstm", "gru", "rnn", "multiheadattention"}


def origins(term: Term, through: frozenset[str] | set[str] = REARRANGING) -> Iterator[Term]:
    """Yield what a tensor was made by, one for each alternative; operations in `through` are looked through."""
    seen: set[Term] = set()
    stack = [term]
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        match current:
            case Either(options=options):
                stack.extend(options)
            case Operation(name=name, operands=(inner, *_)) if name in through:
                if isinstance(inner, Display) and name in ("cat", "stack"):
                    stack.extend(inner.items)
                elif isinstance(inner, Repeated) and name in ("cat", "stack"):
                    stack.append(inner.item)
                else:
                    stack.append(inner)
            case Item(base=Operation(name=name) as base, key=key) if name not in _TUPLE_VALUED or (
                isinstance(key, Constant) and key.value == 0 and name in ("topk", "sort")
            ):
                stack.append(base)
            case Item(base=Either() | Item() as base):
                stack.append(base)
            case Attribute(base=Operation() as base, name="values" | "T"):
                stack.append(base)
            case _:
                yield current


def made_by(term: Term, *names: str, through: frozenset[str] | set[str] = REARRANGING) -> Operation | None:
    """Return the operation that made a tensor where, on every path, it is one of these."""
    found: Operation | None = None
    for origin in origins(term, through):
        if not isinstance(origin, Operation) or origin.name not in names:
            return None
        found = found or origin
    return found


def is_tensor(term: Term) -> bool:
    """Whether something in a term shows that it is a tensor of torch: one of torch's functions or methods."""
    found = False
    for part in within(term):
        match part:
            case Reference(dotted=dotted) if dotted.startswith("numpy."):
                return False
            case Parameter(annotation=str(annotation)) if annotation.startswith("numpy."):
                return False
            case Operation(keywords=keywords) if "axis" in keywords:
                return False
            case Operation(dotted=dotted) if dotted.startswith("torch."):
                found = True
            case _:
                pass
    return found


def is_difference_of_means(term: Term) -> bool:
    """Whether a term is `(x ** 2).mean() - x.mean() ** 2`: a variance that cancels."""
    difference = made_by(term, "sub")
    return difference is not None and varied_by(difference) is not None


def varied_by(difference: Operation) -> Term | None:
    """Return x where a difference is its variance: the mean of its squares minus the square of its mean.

    The mean may be a sum divided by a count, or the call of something that is told or said to take a mean.
    """
    if difference.name != "sub" or len(difference.operands) != 2:
        return None
    of_squares, of_mean = (_only(operand) for operand in difference.operands)
    squares = [squared_by(_only(part)) for one in options(of_squares) for part in _averages(one)]
    mean = squared_by(of_mean)
    if not squares or mean is None:
        return _scattered(of_squares, of_mean)
    means = _averages(_only(mean))
    return next((one for one in squares if one is not None and any(same(one, part) for part in means)), None)


def _scattered(of_squares: Term, of_sum: Term) -> Term | None:
    """Return x of the sum of its squares minus the square of its sum, divided by the count."""
    square = _summed(of_squares)
    inner = squared_by(_only(square)) if square is not None else None
    if inner is None or not isinstance(of_sum, Operation) or of_sum.name != "div":
        return None
    root = squared_by(_only(of_sum.operands[0]))
    total = _summed(_only(root)) if root is not None else None
    return inner if total is not None and same(total, inner) else None


def _only(term: Term) -> Term:
    """Return what a tensor was made by, where that is one thing."""
    found = list(origins(term, REARRANGING - {"cat", "stack"}))
    return found[0] if len(found) == 1 else term


def _summed(term: Term) -> Term | None:
    return term.operands[0] if isinstance(term, Operation) and term.name == "sum" and term.operands else None


def _averages(term: Term) -> tuple[Term, ...]:
    """Return what a term may be the mean of."""
    match term:
        case Operation(name="mean" | "nanmean", operands=(inner, *_)):
            return (inner,)
        case Operation(name="div", operands=(above, _)):
            summed = _summed(_only(above))
            return () if summed is None else (summed,)
        case Call(callee=Reference(dotted=name) | Attribute(name=name)):
            told = (*term.positional, *term.keywords.values())
            is_mean = "mean" in name.rsplit(".", 1)[-1].lower() or any(map(_says_mean, told))
            return told if is_mean else ()
        case _:
            return ()


def _says_mean(term: Term) -> bool:
    return isinstance(term, Constant) and term.value == "mean"


def squared_by(term: Term) -> Term | None:
    """Return x where a term is its square."""
    match term:
        case Operation(name="square", operands=(inner, *_)):
            return inner
        case Operation(name="pow", operands=(inner, exponent)) if number(exponent) == 2:
            return inner
        case Operation(name="mul", operands=(inner, other)) if same(inner, other):
            return inner
        case _:
            return None
