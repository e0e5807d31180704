"""The sizes of a tensor's dimensions, as far as they are known: the last ones of any, all of some."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from stablint.static.facts.arrays import array_shape, nested
from stablint.static.facts.sizes import (
    SCALAR,
    UNKNOWN,
    Look,
    Shape,
    Size,
    broadcast,
    joined,
    stated,
    stated_size,
)
from stablint.static.facts.terms import (
    EACH,
    Attribute,
    Call,
    Constant,
    Display,
    Either,
    Instance,
    Item,
    Operation,
    Reference,
    Repeated,
    Term,
    Unknown,
    number,
)
from stablint.static.torch_api import operation
from stablint.static.torch_api.groups import ACTIVATIONS, DROPOUTS, REDUCTIONS, SOFTMAXES, words


def shape(term: Term, *, rows: bool = False) -> Shape:
    """Return the sizes of what a term holds; of layers on something unknown, that of what they append.

    With `rows`, what linear layers are given is taken for one row a sample where nothing else is known of it.
    """
    return _of(term, {}, 0, rows)


def through(layers: Sequence[Term]) -> Iterator[tuple[Instance, Shape]]:
    """Yield the layers of a Sequential with the shape of what each is given, up to one that is not known."""
    given: Term = Unknown()
    for layer in layers:
        name = operation(layer.dotted) if isinstance(layer, Instance) and layer.scope is None else None
        if name is None or not isinstance(layer, Instance):
            return
        yield layer, shape(given)
        given = Operation(name, (given,), layer.node, layer.dotted, module=layer)


def _of(term: Term, known: dict[Term, Shape], depth: int, rows: bool) -> Shape:
    if term in known:
        return known[term]
    if depth > 100:
        return UNKNOWN
    known[term] = UNKNOWN
    result = _compute(term, lambda inner: _of(inner, known, depth + 1, rows))
    if rows and isinstance(term, Operation) and term.name == "linear" and not result.is_whole:
        result = Shape((None, *result.sizes), True) if len(result.sizes) == 1 else result
    known[term] = result
    return result


def _compute(term: Term, look: Look) -> Shape:
    match term:
        case Constant() if number(term) is not None:
            return SCALAR
        case Call(callee=Reference(dotted=dotted)) if dotted.startswith("math."):
            return SCALAR
        case Item(base=Attribute(name="shape")) | Item(base=Operation(name="size", positional=())):
            return SCALAR
        case Operation(name="max" | "min" | "median" | "var_mean" | "std_mean"):
            return _reduced(term, look) if _dims(term) is None else UNKNOWN
        case Operation(name=name) if name in _TRANSFER and not term.open_arguments:
            return _TRANSFER[name](term, look)
        case Either(options=parts):
            return joined([look(part) for part in parts])
        case Attribute(base=Operation(name="max" | "min" | "median") as base, name="values" | "indices"):
            return _reduced(base, look)
        case Item(base=Operation(name="max" | "min" | "median") as base) if _dims(base) is not None:
            return _reduced(base, look)
        case Item(base=Operation(name="lstm" | "gru" | "rnn"), key=Constant(value=0)):
            return Shape((None, None, None), True)
        case Item(base=Item(base=Instance() as loader, key=key), key=Constant(value=int(place))) if (
            key is EACH
        ):
            return _batch(loader, place, look)
        case Item(base=base, key=Constant(value=None)):
            row = look(base)
            return Shape((1, *row.sizes), True) if row.is_whole else UNKNOWN
        case Item(base=Operation() as base, key=key) if number(key) is not None or key is EACH:
            row = look(base)
            return Shape(row.sizes[1:], True) if row.is_whole and row.sizes else UNKNOWN
        case Operation(name=name) if name in _NUMBERS:
            return SCALAR
        case _:
            return array_shape(term, look)


def _batch(loader: Instance, place: int, look: Look) -> Shape:
    """`for x, y in DataLoader(TensorDataset(xs, ys))`: batches of their rows."""
    given = loader.positional[0] if loader.positional else loader.keywords.get("dataset")
    if not isinstance(given, Instance) or given.dotted != _TENSORS or given.open_arguments:
        return UNKNOWN
    if not loader.dotted.endswith("DataLoader") or "collate_fn" in loader.keywords:
        return UNKNOWN
    rows = look(given.positional[place]) if 0 <= place < len(given.positional) else UNKNOWN
    return Shape((None, *rows.sizes[1:]), True) if rows.is_whole and rows.sizes else UNKNOWN


_TENSORS = "torch.utils.data.TensorDataset"


def _same(term: Operation, look: Look) -> Shape:
    if term.name in ("float", "int", "bool") and term.dotted.startswith("builtins."):
        return SCALAR
    return look(term.operands[0]) if term.operands else UNKNOWN


def _elementwise(term: Operation, look: Look) -> Shape:
    return broadcast([look(operand) for operand in term.operands])


def _compared(term: Operation, look: Look) -> Shape:
    others = [one for one in term.positional if not _is_text(one)]
    return broadcast([look(operand) for operand in (*term.operands, *others)])


def _is_text(term: Term) -> bool:
    return isinstance(term, Constant) and isinstance(term.value, str)


def _linear(term: Operation, look: Look) -> Shape:
    layer, before = term.module, look(term.operands[0]) if term.operands else UNKNOWN
    if layer is None:
        return Shape((*before.sizes[:-1], None), before.is_whole)
    place = 0 if "Lazy" in layer.dotted else 1
    made = stated_size(_given(layer, "out_features", place))
    return Shape((*before.sizes[:-1], made), before.is_whole and before.sizes != ())


def _given(layer: Instance, name: str, place: int) -> Term | None:
    if name in layer.keywords:
        return layer.keywords[name]
    return layer.positional[place] if place < len(layer.positional) and not layer.open_arguments else None


def _convolution(spatial: int) -> Callable[[Operation, Look], Shape]:
    def convolved(term: Operation, look: Look) -> Shape:
        layer = term.module
        if layer is None:
            return Shape((None,) * (spatial + 1))
        place = 0 if "Lazy" in layer.dotted else 1
        made = stated_size(_given(layer, "out_channels", place))
        return Shape((made, *(None,) * spatial))

    return convolved


def _embedding(term: Operation, look: Look) -> Shape:
    inner = look(term.operands[0]) if term.operands else UNKNOWN
    width = stated_size(_given(term.module, "embedding_dim", 1)) if term.module is not None else None
    return Shape((*inner.sizes, width), inner.is_whole)


def _dims(term: Operation) -> list[int] | None:
    """Return the dimensions that a reduction takes away; None for all of them. Not known ones raise."""
    given = term.argument("dim", 0)
    given = term.keywords.get("axis") if given is None else given
    if given is None or (isinstance(given, Constant) and given.value is None):
        return None
    items = given.items if isinstance(given, Display) else (given,)
    found = [number(one) for one in items]
    return [one for one in found if isinstance(one, int)] if None not in found else []


def _reduced(term: Operation, look: Look) -> Shape:
    before = look(term.operands[0]) if term.operands else UNKNOWN
    dims = _dims(term)
    if dims is None:
        return SCALAR
    if not dims:
        return UNKNOWN
    keep = next((term.keywords[name] for name in ("keepdim", "keepdims") if name in term.keywords), None)
    keep = keep if keep is not None else term.argument("keepdim", 1)
    if keep is not None and not isinstance(keep, Constant):
        return UNKNOWN
    is_kept = isinstance(keep, Constant) and keep.value is True
    return _without(before, dims, 1 if is_kept else None, is_kept=is_kept)


def _without(before: Shape, dims: list[int], size: Size, *, is_kept: bool) -> Shape:
    """Take dimensions away, or keep them with one element."""
    count = len(before.sizes)
    places = {dim + count if dim < 0 else dim for dim in dims}
    if any(not 0 <= place < count for place in places):
        return UNKNOWN
    if not before.is_whole and any(dim >= 0 for dim in dims):
        return UNKNOWN
    sizes = tuple(
        size if place in places else given
        for place, given in enumerate(before.sizes)
        if is_kept or place not in places
    )
    return Shape(sizes, before.is_whole)


def _viewed(term: Operation, look: Look) -> Shape:
    """`x.view(n, -1)`: as many dimensions as there are arguments."""
    given = (*term.operands[1:], *term.positional)
    if term.dotted.endswith("_as"):
        return look(given[0]) if given else UNKNOWN
    return stated(given)


def _flattened(term: Operation, look: Look) -> Shape:
    before = look(term.operands[0]) if term.operands else UNKNOWN
    layer = term.module
    start = term.argument("start_dim", 0) if layer is None else _given(layer, "start_dim", 0) or Constant(1)
    end = term.argument("end_dim", 1) if layer is None else _given(layer, "end_dim", 1)
    first, last = number(start) if start is not None else 0, number(end) if end is not None else -1
    if last != -1 or first not in (0, 1):
        return UNKNOWN
    if first == 1 and before.rank == 2:
        return before
    return Shape((None,) * (int(first) + 1), True)


def _squeezed(term: Operation, look: Look) -> Shape:
    before, given = look(term.operands[0]), term.argument("dim", 0)
    if given is None:
        left = tuple(size for size in before.sizes if size != 1)
        return Shape(left, True) if before.is_whole else UNKNOWN
    dim = number(given)
    if not isinstance(dim, int) or before.at(dim) is None:
        return UNKNOWN
    return before if before.at(dim) != 1 else _without(before, [dim], None, is_kept=False)


def _unsqueezed(term: Operation, look: Look) -> Shape:
    before, given = look(term.operands[0]), term.argument("dim", 0)
    dim, count = number(given), len(before.sizes)
    if not isinstance(dim, int):
        return UNKNOWN
    place = dim + count + 1 if dim < 0 else dim
    if not 0 <= place <= count or (dim >= 0 and not before.is_whole):
        return UNKNOWN
    return Shape((*before.sizes[:place], 1, *before.sizes[place:]), before.is_whole)


def _transposed(term: Operation, look: Look) -> Shape:
    before = look(term.operands[0])
    given = [number(one) for one in (term.argument("dim0", 0), term.argument("dim1", 1)) if one is not None]
    count = before.rank
    if count is None or (not given and count != 2):
        return UNKNOWN
    order = list(range(count))
    a, b = given if len(given) == 2 else (0, 1)
    if not (isinstance(a, int) and isinstance(b, int) and -count <= min(a, b) and max(a, b) < count):
        return UNKNOWN
    order[a], order[b] = order[b], order[a]
    return Shape(tuple(before.sizes[place] for place in order), True)


def _permuted(term: Operation, look: Look) -> Shape:
    before, given = look(term.operands[0]), term.positional
    if len(given) == 1 and isinstance(given[0], Display):
        given = given[0].items
    order = [number(one) for one in given]
    if not order:
        return UNKNOWN
    is_known = before.rank == len(order) and all(isinstance(one, int) and one < len(order) for one in order)
    return Shape(tuple(before.sizes[int(one or 0)] if is_known else None for one in order), True)


def _indexed(term: Operation, look: Look) -> Shape:
    """`x[:, 0]`, `x[..., None]`: numbers take a dimension away, None makes one."""
    before, sizes = look(term.operands[0]), list[Size]()
    if not before.is_whole:
        return UNKNOWN
    rest = list(before.sizes)
    for key in term.positional:
        if isinstance(key, Constant) and key.value is None:
            sizes.append(1)
            continue
        if not rest:
            return UNKNOWN
        size = rest.pop(0)
        if isinstance(key, Unknown) and key.label == "slice":
            sizes.append(size if getattr(key.node, "lower", 0) is getattr(key.node, "upper", 1) else None)
        elif number(key) is None:
            return UNKNOWN  # a mask, indices, an ellipsis
    return Shape((*sizes, *rest), True)


def _gathered(term: Operation, look: Look) -> Shape:
    """`q.gather(1, actions.unsqueeze(1))`: the index has as many dimensions as what it selects from."""
    index, dim = term.argument("index", 1), number(term.argument("dim", 0))
    given = look(index) if index is not None else UNKNOWN
    before = look(term.operands[0]) if term.operands else UNKNOWN
    if given.sizes or dim not in (1, -1) or before.rank != 2:
        return given
    while isinstance(index, Operation) and index.name in ("long", "to", "type", "cuda") and index.operands:
        index = index.operands[0]
    is_column = isinstance(index, Operation) and index.name == "unsqueeze"
    return Shape((None, 1 if is_column else None), True)


def _expanded(term: Operation, look: Look) -> Shape:
    made = _viewed(term, look)
    return made if (made.rank or 0) > 1 else UNKNOWN


def _created(term: Operation, look: Look) -> Shape:
    """`torch.zeros(n, 1)`, `x.new_zeros(n, 1)`."""
    return stated((*term.operands[term.name in _NEW :], *term.positional))


def _counted(term: Operation, look: Look) -> Shape:
    return Shape((None,), True)


def _stated(term: Operation, look: Look) -> Shape:
    """`torch.tensor([[1.0], [2.0]])`: sizes are those of the lists."""
    return nested(term.operands[0], look) if term.operands else UNKNOWN


def _is_number(term: Operation) -> bool:
    return term.name != "size" or bool(term.positional or term.keywords)


def _filled(term: Operation, look: Look) -> Shape:
    """`torch.Tensor(values)`, `torch.Tensor(n, 1)`."""
    is_sized = all(number(one) is not None for one in (*term.operands, *term.positional))
    return _created(term, look) if is_sized else _stated(term, look)


def _concatenated(term: Operation, look: Look) -> Shape:
    parts, dim = _joined_parts(term, look), number(term.argument("dim", 0) or Constant(0))
    if parts is None or not isinstance(dim, int):
        return UNKNOWN
    common = joined(parts)
    count = common.rank
    if count is None or not -count <= dim < count:
        return UNKNOWN
    sizes = list(common.sizes)
    of_items = [one.sizes[dim] for one in parts]
    is_list = isinstance(term.operands[0], Display)
    sizes[dim] = sum(size or 0 for size in of_items) if is_list and None not in of_items else None
    return Shape(tuple(sizes), True)


def _stacked(term: Operation, look: Look) -> Shape:
    parts, dim = _joined_parts(term, look), number(term.argument("dim", 0) or Constant(0))
    common = joined(parts) if parts else UNKNOWN
    count = common.rank
    if count is None or not isinstance(dim, int) or not -count - 1 <= dim <= count:
        return UNKNOWN
    place = dim + count + 1 if dim < 0 else dim
    made = len(parts or ()) if isinstance(term.operands[0], Display) else None
    return Shape((*common.sizes[:place], made, *common.sizes[place:]), True)


def _joined_parts(term: Operation, look: Look) -> list[Shape] | None:
    given = term.operands[0] if term.operands else None
    if isinstance(given, Display) and given.items:
        return [look(item) for item in given.items]
    if isinstance(given, Repeated) and not (isinstance(given.start, Display) and given.start.items):
        return [look(given.item)]
    return None


def _multiplied(term: Operation, look: Look) -> Shape:
    left, right = (
        (look(operand) for operand in term.operands[:2]) if len(term.operands) > 1 else (UNKNOWN,) * 2
    )
    match left.rank, right.rank:
        case 2, 2:
            return Shape((left.sizes[0], right.sizes[1]), True)
        case 2, 1:
            return Shape(left.sizes[:1], True)
        case 1, 1:
            return SCALAR
        case int(a), int(b) if a >= 2 and b >= 2:
            batch = broadcast([Shape(left.sizes[:-2], True), Shape(right.sizes[:-2], True)])
            return Shape((*batch.sizes, left.sizes[-2], right.sizes[-1]), True)
        case None, 2:
            return Shape((right.sizes[1],))
        case _:
            return UNKNOWN


def _matrices(rank: int) -> Callable[[Operation, Look], Shape]:
    """`torch.bmm(x, y)`: what does it takes nothing but so many dimensions."""

    def multiplied(term: Operation, look: Look) -> Shape:
        made = _multiplied(term, look)
        return made if made.rank == rank else Shape((None,) * rank, True)

    return multiplied


def _einsum(term: Operation, look: Look) -> Shape:
    texts = [one for one in (*term.operands, *term.positional) if _is_text(one)]
    formula = str(getattr(texts[0], "value", "")) if texts else ""
    _, arrow, made = formula.partition("->")
    return Shape((None,) * len(made.replace(" ", "")), True) if arrow and "." not in made else UNKNOWN


def _lost(term: Operation, look: Look) -> Shape:
    """A loss is a number, unless it is asked for one of each element."""
    reduction = term.argument("reduction") or (
        term.module.keywords.get("reduction") if term.module is not None else None
    )
    if reduction is None:
        return SCALAR
    value = reduction.value if isinstance(reduction, Constant) else None
    if value in ("mean", "sum"):
        return SCALAR
    is_each = value == "none" and term.name not in ("cross_entropy", "nll_loss")
    return _elementwise(term, look) if is_each else UNKNOWN


_NUMBERS = words("len builtin_float builtin_int builtin_bool builtin_len")
_ELEMENTWISE_LOSSES = words(
    "mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy binary_cross_entropy_with_logits "
    "cross_entropy nll_loss poisson_nll_loss"
)
_UNARY = words(
    "exp log log2 log10 log1p expm1 sqrt rsqrt square abs neg sin cos tan atan erf erfinv sign floor ceil round trunc "
    "reciprocal clamp clamp_min clamp_max clip to type type_as float double half bfloat16 long int short bool byte "
    "cuda cpu contiguous clone detach data detach_ requires_grad parameter variable nan_to_num logit pin_memory "
    "masked_fill batch_norm instance_norm layer_norm group_norm rms_norm normalize cumsum cumprod flip roll "
    "logical_not numpy deepcopy setitem"
)
_BINARY = words(
    "add sub mul div pow maximum minimum floor_divide remainder where lerp logaddexp xlogy atan2 fmod "
    "logical_and logical_or logical_xor"
)
_NEW = words("new_zeros new_ones new_empty")
_MADE = words("zeros ones empty rand randn") | _NEW
_LIKE = words("zeros_like ones_like empty_like rand_like randn_like full_like randint_like")

_TRANSFER: dict[str, Callable[[Operation, Look], Shape]] = {
    **dict.fromkeys(_UNARY | (ACTIVATIONS - {"glu"}) | DROPOUTS | SOFTMAXES | _LIKE, _same),
    **dict.fromkeys(_BINARY, _elementwise),
    **dict.fromkeys(("compare", "eq", "ne", "lt", "le", "gt", "ge"), _compared),
    **dict.fromkeys((REDUCTIONS - {"norm", "trace"}) | {"argmax", "argmin"}, _reduced),
    **dict.fromkeys(_ELEMENTWISE_LOSSES, _lost),
    **dict.fromkeys(_MADE, _created),
    **dict.fromkeys(("tensor", "as_tensor", "asarray", "from_numpy"), _stated),
    **dict.fromkeys(("Tensor", "FloatTensor", "LongTensor"), _filled),
    **dict.fromkeys(("arange", "linspace", "logspace", "randperm"), _counted),
    "matmul": _multiplied, "mm": _matrices(2), "bmm": _matrices(3), "baddbmm": _matrices(3), "einsum": _einsum,
    **dict.fromkeys(("size", "numel", "item"), lambda term, look: SCALAR if _is_number(term) else UNKNOWN),
    "linear": _linear, "conv1d": _convolution(1), "conv2d": _convolution(2),
    "conv3d": _convolution(3), "embedding": _embedding, "view": _viewed, "reshape": _viewed, "flatten": _flattened,
    "squeeze": _squeezed, "unsqueeze": _unsqueezed, "transpose": _transposed, "permute": _permuted,
    "index": _indexed, "gather": _gathered, "expand": _expanded, "cat": _concatenated,
    "stack": _stacked,
}  # fmt: skip
