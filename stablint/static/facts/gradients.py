"""Whether a tensor carries a graph: whether a gradient flows through it to parameters."""

from __future__ import annotations

from stablint.static.facts.intervals import BOOLEANS, INTEGERS, is_epsilon, wanted_types
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
from stablint.static.torch_api.groups import AFFINE, CREATIONS, EXTREMES, NO_GRAPH, RECURRENT, words

DETACHING = NO_GRAPH | {
    "detach", "item", "data", "numpy", "tolist", "argmax", "argmin", "compare", "eq", "ne", "gt", "lt", "ge", "le",
    "not", "float", "int", "bool", "long", "isnan", "isinf", "isfinite", "randint", "rand", "randn", "rand_like",
    "randn_like", "zeros", "ones", "zeros_like", "ones_like", "empty", "empty_like", "full", "full_like", "arange",
    "linspace", "logspace", "eye", "randperm", "one_hot", "multinomial", "bernoulli", "argsort", "nonzero", "len",
    "size", "numel", "nelement", "dim", "from_numpy", "tensor", "Tensor", "sign", "floor", "ceil",
    "round", "bitwise_not", "logical_not", "logical_and", "logical_or", "tril_indices", "triu_indices", "searchsorted",
    "bucketize", "floor_divide", "hann_window", "hamming_window", "detach_", "range", "shift", "normal", "poisson",
    "builtin_float", "builtin_int", "builtin_round", "builtin_len", "builtin_bool", "builtin_str", "stft_window",
}  # fmt: skip
"""Operations whose result carries no graph, whatever they are given (`round`, `sign` have gradient zero)."""


def detaches(operation: Operation) -> bool:
    """Whether what an operation gives carries no graph, whatever it is given."""
    if operation.name in ("to", "type"):
        return bool(wanted_types(operation) & (INTEGERS | BOOLEANS))
    if operation.name == "float" and operation.dotted.startswith("torch."):
        return False  # `float(x)` is a number, `x.float()` a tensor
    return operation.name in DETACHING


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
            return _one_of(parts, known, depth)
        case Display(items=parts):
            return _any(parts, known, depth)
        case Repeated(item=item):
            return _carries(item, known, depth)
        case Dictionary(items=pairs):
            return _any(tuple(value for _, value in pairs), known, depth)
        case Item(base=Operation() as base, key=Constant(value=1)) if _has_indices(base):
            return False
        case Item(base=base) if not isinstance(base, Attribute | Constant):
            return _carries(base, known, depth)
        case Attribute(name="shape" | "device" | "dtype" | "grad" | "ndim" | "requires_grad" | "indices"):
            return False
        case Attribute(base=Operation() as base, name="values"):
            return _carries(base, known, depth)
        case Call(callee=Instance() | Receiver(), graph=graph):
            return graph
        case Call(graph=False):
            return False
        case _:
            return None


def _operation(term: Operation, known: dict[Term, bool | None], depth: int) -> bool | None:
    wanted = _wanted(term)
    if wanted is not None:  # holds under no_grad, too
        return wanted.value if isinstance(wanted, Constant) and isinstance(wanted.value, bool) else None
    if not term.graph or detaches(term):
        return False
    if term.module is not None and term.name in _WITH_WEIGHTS:
        return True
    if term.name in _CHOOSING:
        return _one_of(term.operands, known, depth)
    answer = _any(term.operands, known, depth)
    more = _any((*term.positional, *term.keywords.values()), known, depth)
    if answer or more:
        return True
    return None if more is None and term.name in _OF_SEVERAL else answer


_CHOOSING = {"and", "or", "builtin_max", "builtin_min"}
"""What gives one of its operands, as it is."""


def _one_of(parts: tuple[Term, ...], known: dict[Term, bool | None], depth: int) -> bool | None:
    answers = {_carries(part, known, depth) for part in parts}
    return answers.pop() if len(answers) == 1 else None


def _wanted(term: Operation) -> Term | None:
    """Return what a tensor that is made here is told of whether it is to be trained."""
    if term.name in ("parameter", "requires_grad"):
        return term.argument("requires_grad", 0) or Constant(True)
    return term.keywords.get("requires_grad")


_OF_SEVERAL = words(
    "einsum addmm addmv addr addbmm baddbmm linear bilinear conv1d conv2d conv3d conv_transpose1d conv_transpose2d "
    "conv_transpose3d embedding embedding_bag batch_norm layer_norm group_norm instance_norm rms_norm prelu max min "
    "scaled_dot_product_attention multi_head_attention tensordot kron cross hypot vdot inner scatter scatter_add "
    "scatter_reduce index_add index_copy index_put masked_scatter copy grid_sample triplet_margin_loss "
    "cosine_embedding_loss margin_ranking_loss gaussian_nll_loss ctc_loss fmax fmin clamp clamp_min clamp_max"
)
"""Operations on more tensors than the one or two that stand first."""


_WITH_WEIGHTS = (
    AFFINE
    | RECURRENT
    | words("embedding embedding_bag multi_head_attention batch_norm layer_norm group_norm prelu rms_norm")
    | words("transformer transformerencoder transformerdecoder")
)


def _has_indices(operation: Operation) -> bool:
    """Whether an operation gives values and, beside them, where they were."""
    if operation.name in ("max", "min", "median"):
        return "dim" in operation.keywords or number(operation.argument("dim", 0)) is not None
    return operation.name in EXTREMES


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
                if current.name in _OF_SEVERAL:
                    stack.extend((*current.positional, *current.keywords.values()))
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
