"""Whether a tensor carries a graph: whether a gradient flows through it to parameters."""

from __future__ import annotations

from stablint.static.facts.intervals import is_epsilon
from stablint.static.facts.scopes import Scope
from stablint.static.facts.terms import (
    Attribute,
    Call,
    Constant,
    Dictionary,
    Display,
    Either,
    Instance,
    Item,
    Operation,
    Parameter,
    Receiver,
    Reference,
    Repeated,
    Term,
    Unknown,
    number,
    parts,
)
from stablint.static.torch_api.groups import AFFINE, CREATIONS, RECURRENT, words

DETACHING = {
    "detach", "item", "data", "numpy", "tolist", "argmax", "argmin", "compare", "eq", "ne", "gt", "lt", "ge", "le",
    "not", "float", "int", "bool", "long", "isnan", "isinf", "isfinite", "randint", "rand", "randn", "rand_like",
    "randn_like", "zeros", "ones", "zeros_like", "ones_like", "empty", "empty_like", "full", "full_like", "arange",
    "linspace", "logspace", "eye", "randperm", "one_hot", "multinomial", "bernoulli", "argsort", "nonzero", "len",
    "size", "numel", "nelement", "dim", "from_numpy", "tensor", "as_tensor", "Tensor", "sign", "floor", "ceil",
    "round", "bitwise_not", "logical_not", "logical_and", "logical_or", "tril_indices", "triu_indices", "searchsorted",
    "bucketize", "floor_divide", "hann_window", "hamming_window", "detach_", "range", "shift", "normal", "poisson",
    "builtin_float", "builtin_int", "builtin_round", "builtin_len", "builtin_bool", "builtin_str", "stft_window",
}  # fmt: skip
"""Operations whose result carries no graph, whatever they are given (`round`, `sign` have gradient zero)."""

_CONSUMED_FLOAT = {"float", "int", "bool"}


def carries_graph(term: Term) -> bool | None:
    """True where a gradient certainly flows on, False where certainly none does, None where it is not known."""
    return _carries(term, {}, 0)


def _carries(term: Term, known: dict[Term, bool | None], depth: int) -> bool | None:
    if term in known:
        return known[term]
    if depth > 200:
        return None
    known[term] = None
    result = known[term] = _compute(term, known, depth + 1)
    return result


def _compute(term: Term, known: dict[Term, bool | None], depth: int) -> bool | None:
    match term:
        case Constant() | Reference() | Receiver():
            return False
        case Operation():
            return _operation(term, known, depth)
        case Either(options=parts):
            return _any(parts, known, depth)
        case Display(items=parts):
            return _any(parts, known, depth)
        case Repeated(item=item):
            return _carries(item, known, depth)
        case Dictionary(items=pairs):
            return _any(tuple(value for _, value in pairs), known, depth)
        case Item(base=base) if not isinstance(base, Attribute | Constant):
            return _carries(base, known, depth)
        case Attribute(name="shape" | "device" | "dtype" | "grad" | "ndim" | "requires_grad"):
            return False
        case Call(callee=Instance() | Receiver(), graph=graph):
            return graph
        case Call(graph=False):
            return False
        case _:
            return None


def _operation(term: Operation, known: dict[Term, bool | None], depth: int) -> bool | None:
    name = term.name
    if not term.graph:
        return False
    if name in ("parameter", "requires_grad"):
        trainable = term.argument("requires_grad", 0)
        return not (isinstance(trainable, Constant) and trainable.value is False)
    if name in DETACHING and not (name in _CONSUMED_FLOAT and term.dotted.startswith("torch.Tensor.float")):
        wanted = term.keywords.get("requires_grad")
        return isinstance(wanted, Constant) and wanted.value is True
    if term.module is not None and name in _WITH_WEIGHTS:
        return True
    return _any(term.operands, known, depth)


_WITH_WEIGHTS = (
    AFFINE
    | RECURRENT
    | words("embedding embedding_bag multi_head_attention batch_norm layer_norm group_norm prelu rms_norm")
    | words("transformer transformerencoder transformerdecoder")
)


def _any(parts: tuple[Term, ...], known: dict[Term, bool | None], depth: int) -> bool | None:
    answers = [_carries(part, known, depth) for part in parts]
    if any(answers):
        return True
    return None if None in answers else False


def is_optimizer_class(bases: list[Term]) -> bool:
    """Whether a class inherits from an optimizer: its arithmetic is no part of a graph."""
    return any(isinstance(base, Reference) and ".optim" in base.dotted for base in bases)


def enclosing_class(scope: Scope | None) -> Scope | None:
    """Return the class around a scope."""
    while scope is not None and scope.kind != "class":
        scope = scope.parent
    return scope


def is_constant(term: Term) -> bool:
    """Whether a term is made of nothing but literals, sizes and newly made tensors: no data, no parameter."""
    seen: set[Term] = set()
    stack = [term]
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        match current:
            case Constant():
                pass
            case Reference(dotted=dotted) if dotted.startswith(("torch.", "math.", "numpy.")):
                pass
            case Attribute(name="shape" | "dtype" | "device" | "ndim"):
                pass
            case Parameter(default=default) if number(default) is not None or is_epsilon(current):
                pass
            case Unknown() | Attribute() if is_epsilon(current):
                pass
            case Item(base=base):
                stack.append(base)
            case Operation(name=name) if name in _GIVEN_VALUES:
                stack.extend(current.operands)
            case Operation(name=name) if name in CREATIONS or name in (
                "size",
                "numel",
                "nelement",
                "dim",
                "range",
            ):
                wanted = current.keywords.get("requires_grad")
                if isinstance(wanted, Constant) and wanted.value is True:
                    return False
            case Operation(name="parameter" | "requires_grad"):
                return False
            case Operation(module=None, operands=operands):
                stack.extend(operands)
            case Either() | Display() | Repeated():
                stack.extend(parts(current))
            case _:
                return False
    return True


_GIVEN_VALUES = {
    "tensor",
    "as_tensor",
    "asarray",
    "from_numpy",
    "scalar_tensor",
    "new_tensor",
    "full",
    "new_full",
}
"""Creations whose values are their operands."""
