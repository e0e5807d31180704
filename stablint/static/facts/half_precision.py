"""Which tensors and models are in float16: converted, computed under autocast, or by a model that was halved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.autocasting import HALVES, Autocasts, autocasts
from stablint.static.facts.evaluation import Values, values
from stablint.static.facts.gradients import enclosing_class
from stablint.static.facts.intervals import is_epsilon, wanted_types
from stablint.static.facts.scopes import Scope, syntax
from stablint.static.facts.sites import Operations, operations
from stablint.static.facts.terms import (
    Attribute,
    Constant,
    Display,
    Either,
    Instance,
    Item,
    Operation,
    Parameter,
    Reference,
    Repeated,
    Term,
    Unknown,
    options,
)
from stablint.static.torch_api.groups import (
    AFFINE,
    CREATIONS,
    DROPOUTS,
    EXTREMES,
    LOSSES,
    RECURRENT,
    SHAPE_ONLY,
    words,
)

if TYPE_CHECKING:
    from stablint.static.source import SourceFile

SMALLEST = 2.0**-24
"""The smallest number above 0 that float16 has."""

VANISHING = SMALLEST / 2
"""What is not larger than this is 0 in float16."""


@dataclass(frozen=True, slots=True)
class Halved:
    """A model that is converted to float16 as a whole: `model.half()`, `model.to(torch.float16)`."""

    node: cst.Call
    scope: Scope
    model: Term


@dataclass(slots=True)
class Halves:
    """What is in float16; `converted` are the models, `classes` those of the file whose code runs in them."""

    converted: Sequence[Halved]
    classes: dict[Scope, Halved]
    autocasts: Autocasts
    _values: Values
    _known: dict[Term, cst.CSTNode | None] = field(default_factory=dict)

    def made_half(self, term: Term) -> cst.CSTNode | None:
        """Return what makes a tensor certainly one of float16; None where nothing is known to."""
        if term not in self._known:
            self._known[term] = None
            self._known[term] = self._made(term)
        return self._known[term]

    def _made(self, term: Term) -> cst.CSTNode | None:
        match term:
            case Operation():
                return self._operation(term)
            case Either(options=parts) | Display(items=parts):
                return self._all(parts)
            case Item(base=base) | Repeated(item=base):
                return self.made_half(base)
            case Attribute(base=base, name="T" | "mT" | "data" | "values" | "real"):
                return self.made_half(base)
            case _:
                return None

    def _operation(self, term: Operation) -> cst.CSTNode | None:
        name, operands = term.name, term.operands
        if name == "half":
            return term.node
        if name in ("to", "type", "type_as"):
            return self._converted(term)
        if name in CREATIONS:
            dtype = term.keywords.get("dtype")
            if dtype is None and name.endswith("_like"):
                return self._all(operands)
            return term.node if dtype is not None and _are_half(dtype) else None
        if name in _CHOSEN:
            under = self.autocast_of(term)
            if under is not None:
                return under if name in _TO_HALF else None
            if name in _TO_HALF or (name == "parameter" and operands):
                return self._of_halved(term)
        if name == "div" and operands and _is_number(operands[0]) and self.autocast_of(term) is not None:
            return None  # `1 / x` is a reciprocal, which autocast computes in float32
        return self._all(operands[1:] if name == "where" else operands) if name in _KEEPING else None

    def autocast_of(self, term: Operation) -> cst.CSTNode | None:
        """Return what makes an operation run under autocast to float16."""
        if term.module is None or term.module.node is not term.node:
            return self.autocasts.around(term.node)
        # A layer inside a Sequential stands where it is made: it runs in the forward of that class.
        interpreter = self._values.interpreter
        found = interpreter.sites.get(id(term.node))
        around = enclosing_class(found[1]) if found is not None else None
        forward = interpreter.hierarchy.method_of(around, "forward") if around is not None else None
        return self.autocasts.inside(forward) if forward is not None else None

    def _of_halved(self, term: Operation) -> cst.CSTNode | None:
        """Return what halves the model in whose method a layer is applied."""
        found = self._values.interpreter.sites.get(id(term.node))
        halved = self.classes.get(around) if found and (around := enclosing_class(found[1])) else None
        if halved is None or (term.name not in RECURRENT | AFFINE and term.name != "parameter"):
            return None
        return halved.node

    def _converted(self, term: Operation) -> cst.CSTNode | None:
        wanted = wanted_types(term)
        if wanted & _HALF_NAMES:
            return term.node
        given = (*term.operands[1:], *term.positional, *term.keywords.values())
        others = [one for one in given if not isinstance(one, Constant) and not _is_device(one)]
        return self.made_half(term.operands[0]) if term.operands and not others else self._all(others)

    def _all(self, parts: Sequence[Term]) -> cst.CSTNode | None:
        """Return what makes one of the operands float16, where no other brings in another type."""
        reasons = [self.made_half(part) for part in parts if not _is_number(part)]
        return reasons[0] if reasons and None not in reasons else None


_HALF_NAMES = {"float16", "half", "HalfTensor"}

_TO_HALF = AFFINE - {"bilinear"} | RECURRENT | words(
    "matmul mm mv bmm addmm addmv addr addbmm baddbmm einsum prelu scaled_dot_product_attention "
    "multi_head_attention chain_matmul"
)  # fmt: skip
"""What autocast computes in float16 on CUDA (docs.pytorch.org/docs/stable/amp.html)."""

_TO_SINGLE = LOSSES | words(
    "pow acos asin cosh tan sinh exp expm1 log log10 log2 log1p log_softmax softmax softmin softplus cumsum cumprod "
    "prod sum norm layer_norm group_norm normalize reciprocal rsqrt logsumexp erfinv dist pdist cdist renorm "
    "cosine_similarity square rms_norm logsigmoid interpolate embedding parameter"
)
"""What autocast computes in float32 there, or what is float32 because weights are."""

_CHOSEN = _TO_HALF | _TO_SINGLE

_KEEPING = (SHAPE_ONLY | DROPOUTS | EXTREMES | _TO_SINGLE - {"embedding", "parameter"} | words(
    "add sub mul div neg abs clamp clamp_min clamp_max sqrt sin cos tanh sigmoid relu relu6 leaky_relu elu selu gelu "
    "silu mish hardtanh hardsigmoid hardswish maximum minimum where masked_fill mean var std batch_norm instance_norm "
    "avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d index setitem "
    "values requires_grad nan_to_num sign"
)) - LOSSES - words("to type type_as float double half bfloat16")  # fmt: skip
"""What gives the type that its operands have, or the wider of them."""


def _is_number(term: Term) -> bool:
    """Whether something brings no floating type with it: a number, or what is called as small ones are."""
    match term:
        case Constant():
            return True
        case Parameter(default=Constant(value=int() | float())):
            return True
        case _:
            return is_epsilon(term)


def _is_device(term: Term) -> bool:
    """Whether an argument of `to` says where, not what: by its name where nothing else is known."""
    match term:
        case Parameter(name=name) | Attribute(name=name) | Unknown(label=name):
            return any(word in name.lower() for word in ("device", "cuda", "gpu", "rank"))
        case Operation(name="device") | Instance(dotted="torch.device"):
            return True
        case Either(options=parts):
            return all(isinstance(part, Constant) or _is_device(part) for part in parts)
        case _:
            return False


def _are_half(dtype: Term) -> bool:
    return all(isinstance(one, Reference) and one.dotted in HALVES for one in options(dtype))


def halves(source: SourceFile) -> Halves:
    """Find the models that are converted; tensors are looked at when asked for."""
    known, made = source.ask(values), source.ask(operations)
    converted = _converted_models(source, known)
    classes: dict[Scope, Halved] = {}
    for halved in converted:
        for option in options(halved.model):
            if isinstance(option, Instance) and option.scope is not None:
                classes.setdefault(option.scope, halved)
    if classes:
        _spread(classes, made)
    return Halves(converted, classes, source.ask(autocasts), known)


def _converted_models(source: SourceFile, known: Values) -> list[Halved]:
    shape = source.ask(syntax)
    found = []
    for name in ("half", "to", "type") if shape.identifiers & _HALF_NAMES else ():
        for call in shape.calls.get(name, ()):
            func = call.node.func
            if not isinstance(func, cst.Attribute):
                continue
            given = [option for one in call.node.args for option in options(known.of(one.value))]
            if name == "half" or any(getattr(one, "dotted", "") in HALVES for one in given):
                model = known.of(func.value)
                if any(isinstance(option, Instance) for option in options(model)):
                    found.append(Halved(call.node, call.scope, model))
    return found


def _spread(classes: dict[Scope, Halved], made: Operations) -> None:
    """Add the classes whose objects are made in the methods of a halved one."""
    holds: dict[Scope, list[Scope]] = {}
    for sites in made.made.values():
        for site in sites:
            owner = enclosing_class(site.scope)
            for option in options(site.raw) if owner is not None else ():
                if isinstance(option, Instance) and option.scope is not None and owner is not None:
                    holds.setdefault(owner, []).append(option.scope)
    waiting = list(classes)
    while waiting:
        outer = waiting.pop()
        for inner in holds.get(outer, ()):
            if inner not in classes:
                classes[inner] = classes[outer]
                waiting.append(inner)
