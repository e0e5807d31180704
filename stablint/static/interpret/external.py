"""Calls of what is not defined in the file: torch's functions, layers and methods, builtins, a few frameworks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.terms import (
    NONE,
    Attribute,
    Call,
    Constant,
    Display,
    Instance,
    Operation,
    Receiver,
    Repeated,
    Term,
    Unknown,
)
from stablint.static.interpret.containers import elements, iterated
from stablint.static.nodes import dotted_name
from stablint.static.torch_api import kind, operation, signature

if TYPE_CHECKING:
    from stablint.static.interpret.calls import Arguments
    from stablint.static.interpret.frame import Frame
    from stablint.static.interpret.interpreter import Interpreter

_OBJECTS = {"module", "loss", "optimizer", "scheduler", "scaler", "loader", "sampler", "dataset"}

_RETURNS_ARGUMENT = {
    "torch.compile",
    "torch.jit.script",
    "torch.jit.trace",
    "torch.nn.utils.spectral_norm",
    "torch.nn.utils.weight_norm",
    "torch.nn.utils.parametrizations.spectral_norm",
    "torch.nn.utils.parametrizations.weight_norm",
    "torch.nn.utils.parametrizations.orthogonal",
    "torch.nn.SyncBatchNorm.convert_sync_batchnorm",
    "torch.autograd.Variable",
    "typing.cast",
}

WRAPPERS = {
    "torch.nn.DataParallel",
    "torch.nn.parallel.DistributedDataParallel",
    "torch.distributed.fsdp.FullyShardedDataParallel",
}
"""Modules that run the module they are given."""

_SELF_RETURNING = {
    "to", "cuda", "cpu", "half", "float", "double", "bfloat16", "train", "eval", "apply", "requires_grad_",
    "type", "xpu", "to_empty", "share_memory",
}  # fmt: skip

OPERANDS = {
    "add": 2, "sub": 2, "mul": 2, "div": 2, "floor_divide": 2, "remainder": 2, "pow": 2, "matmul": 2, "mm": 2,
    "bmm": 2, "maximum": 2, "minimum": 2, "where": 3, "masked_fill": 3, "lerp": 3, "logaddexp": 2, "xlogy": 2,
    "addcmul": 3, "addcdiv": 3, "atan2": 2, "fmod": 2, "dot": 2, "outer": 2, "cdist": 2, "cosine_similarity": 2,
    "cross_entropy": 2, "nll_loss": 2, "binary_cross_entropy": 2, "binary_cross_entropy_with_logits": 2,
    "mse_loss": 2, "l1_loss": 2, "smooth_l1_loss": 2, "huber_loss": 2, "kl_div": 2, "poisson_nll_loss": 2,
}  # fmt: skip
"""How many leading arguments an operation works on; one where it is not listed."""


def is_self_returning(name: str) -> bool:
    """Whether a method of a module returns the module."""
    return name in _SELF_RETURNING


def call_external(
    interpreter: Interpreter, frame: Frame, dotted: str, arguments: Arguments, node: cst.Call
) -> Term:
    """Return what calling something from outside gives."""
    if dotted.startswith("builtins."):
        return _call_builtin(interpreter, frame, dotted.removeprefix("builtins."), arguments, node)
    positional, keywords = arguments.positional, arguments.keywords
    if dotted == "functools.partial" and positional:
        return Operation(
            "partial", positional[:1], node, dotted, positional[1:], keywords, None, True, arguments.open
        )
    if dotted == "torch.autograd.Variable" and positional and "requires_grad" in keywords:
        return Operation("variable", positional[:1], node, dotted, (), keywords, None, frame.graph)
    if dotted in _RETURNS_ARGUMENT and positional:
        return positional[-1] if dotted == "typing.cast" else positional[0]
    if dotted == "torch.utils.checkpoint.checkpoint" and positional:
        from stablint.static.interpret.calls import Arguments, apply

        rest = {name: value for name, value in keywords.items() if name not in _CHECKPOINT_OPTIONS}
        return apply(interpreter, frame, positional[0], Arguments(positional[1:], rest, arguments.open), node)
    what = kind(dotted)
    if what == "parameter" or dotted == "torch.nn.Parameter":
        data = positional[0] if positional else keywords.get("data", Unknown(node))
        return Operation("parameter", (data,), node, dotted, positional[1:], keywords)
    if what in _OBJECTS:
        return Instance(dotted, None, positional, keywords, node, arguments.open)
    if dotted.startswith("torch."):
        return operate(frame, operation(dotted) or dotted.rsplit(".", 1)[-1], dotted, arguments, node)
    if dotted.rsplit(".", 1)[-1] in ("tqdm", "trange") and positional:
        return Operation("tqdm" if not dotted.endswith("trange") else "range", positional, node, dotted)
    if dotted in ("collections.OrderedDict", "copy.deepcopy", "copy.copy"):
        name = "OrderedDict" if dotted.endswith("Dict") else "deepcopy"
        return Operation(name, positional[:1], node, dotted)
    return Call(interpreter.reference(dotted), positional, keywords, node, frame.graph)


_CHECKPOINT_OPTIONS = {"use_reentrant", "preserve_rng_state", "context_fn", "determinism_check", "debug"}


def operate(frame: Frame, name: str, dotted: str, arguments: Arguments, node: cst.Call) -> Operation:
    """Return a tensor operation; operands given by keyword are found through the signature."""
    count = OPERANDS.get(name, 1)
    operands = list(arguments.positional[:count])
    keywords = dict(arguments.keywords)
    if len(operands) < count and keywords:
        known = signature(dotted)
        for parameter in (known.parameters if known is not None else ())[len(operands) : count]:
            if parameter.name in keywords:
                operands.append(keywords.pop(parameter.name))
    return Operation(
        name,
        tuple(operands),
        node,
        dotted,
        arguments.positional[count:],
        keywords,
        None,
        frame.graph,
        arguments.open,
    )


def call_module(
    interpreter: Interpreter, frame: Frame, module: Instance, arguments: Arguments, node: cst.Call
) -> Term:
    """Return what calling a layer or loss gives: `nn.Linear(8, 8)(x)`."""
    dotted = module.dotted
    if dotted == "torch.nn.Sequential":
        return _call_sequential(interpreter, frame, module, arguments, node)
    if dotted in WRAPPERS and (module.positional or "module" in module.keywords):
        from stablint.static.interpret.calls import apply

        inner = module.positional[0] if module.positional else module.keywords["module"]
        return apply(interpreter, frame, inner, arguments, node)
    if dotted == "torch.nn.Identity" and arguments.positional:
        return arguments.positional[0]
    name = operation(dotted)
    if name is None and kind(dotted) not in ("module", "loss"):
        return Call(module, arguments.positional, arguments.keywords, node, frame.graph)
    name = name or dotted.rsplit(".", 1)[-1].lower()
    made = operate(frame, name, _forward(dotted), arguments, node)
    return Operation(
        made.name,
        made.operands,
        node,
        dotted,
        made.positional,
        made.keywords,
        module,
        frame.graph,
        made.open_arguments,
    )


def _forward(dotted: str) -> str:
    """Return the name under which the parameters of a layer's forward are known."""
    return f"{dotted}.forward"


def _call_sequential(
    interpreter: Interpreter, frame: Frame, module: Instance, arguments: Arguments, node: cst.Call
) -> Term:
    from stablint.static.interpret.calls import Arguments, apply

    layers = elements(interpreter, module)
    is_partly_known = module.open_arguments and not any(
        isinstance(one, Repeated) for one in module.positional
    )
    if not arguments.positional or not isinstance(layers, Display) or is_partly_known:
        return Call(module, arguments.positional, arguments.keywords, node, frame.graph)
    value = arguments.positional[0]
    for layer in layers.items:
        interpreter.applied += 1
        if isinstance(layer, Repeated) or interpreter.applied > _MOST_APPLIED:
            each = layer.item if isinstance(layer, Repeated) else layer
            value = Call(each, (value,), {}, node, frame.graph)
        else:
            value = apply(interpreter, frame, layer, Arguments((value,)), _node_of(layer, node))
    return value


_MOST_APPLIED = 10_000
"""A file that goes through more layers of Sequentials has some inside one another over and over."""


def _node_of(layer: Term, default: cst.Call) -> cst.Call:
    """Return where a layer was made: the line to look at when the layer is at fault."""
    made = layer.node if isinstance(layer, Instance) else None
    return made if isinstance(made, cst.Call) else default


def tensor_method(
    interpreter: Interpreter, frame: Frame, base: Term, name: str, arguments: Arguments, node: cst.Call
) -> Term:
    """Return what a method of a tensor, or of something unknown, gives; `x.clamp_(0)` also changes `x`."""
    dotted = f"torch.Tensor.{name}"
    if signature(dotted) is None and operation(dotted) is None:
        callee = interpreter.attribute_of(base, name, node)
        return Call(callee, arguments.positional, arguments.keywords, node, frame.graph)
    from stablint.static.interpret.calls import Arguments

    short = operation(dotted) or name.rstrip("_")
    made = operate(
        frame,
        short,
        dotted,
        Arguments((base, *arguments.positional), arguments.keywords, arguments.open),
        node,
    )
    if is_in_place(name):
        change(interpreter, frame, made, node)
    return made


def is_in_place(name: str) -> bool:
    """Whether a method of this name changes the tensor."""
    return name.endswith("_") and not name.endswith("__")


def change(interpreter: Interpreter, frame: Frame, made: Term, node: cst.Call) -> None:
    """Let a variable hold what a method that works in place made of it: `x.mul_(2).add_(1)`, `x[0].zero_()`."""
    changed: cst.BaseExpression = node
    while (
        isinstance(changed, cst.Call)
        and isinstance(changed.func, cst.Attribute)
        and is_in_place(changed.func.attr.value)
    ):
        changed = changed.func.value
    path = dotted_name(changed)
    if path and frame.env is not None:
        interpreter.assign(frame, path, made)
    elif isinstance(changed, cst.Subscript):
        from stablint.static.interpret.statements import store

        store(interpreter, frame, changed.value, made, changed)


def _call_builtin(
    interpreter: Interpreter, frame: Frame, name: str, arguments: Arguments, node: cst.Call
) -> Term:
    positional = arguments.positional
    match name, positional:
        case "super", _:
            return _super(interpreter, frame)
        case "getattr", (base, Constant(value=str(attribute_name)), *_):
            from stablint.static.interpret.expressions import attribute

            return attribute(interpreter, base, attribute_name, node)
        case (("list" | "tuple" | "set" | "sorted" | "iter" | "frozenset"), (inner,)):
            found = elements(interpreter, inner)
            if isinstance(found, Display):
                return Display(name, found.items, node)
            return (
                Repeated(found.item, node)
                if isinstance(found, Repeated)
                else Operation(name, positional, node)
            )
        case (("list" | "tuple" | "set"), ()):
            return Display(name, (), node)
        case "dict", ():
            from stablint.static.facts.terms import Dictionary

            items = tuple((Constant(key), value) for key, value in arguments.keywords.items())
            return Dictionary(items, node, arguments.open)
        case "next", (inner, *_):
            return iterated(interpreter, inner, node)
        case (("sum" | "max" | "min"), (inner,)):
            found = elements(interpreter, inner)
            summands = (found if found is not None else inner,)
            return Operation(f"builtin_{name}", summands, node, graph=frame.graph or name != "sum")
        case ("setattr", (base, Constant(value=str(attribute_name)), value)):
            path = "self" if isinstance(base, Receiver) else ""
            if path and frame.env is not None:
                frame.env[f"{path}.{attribute_name}"] = value
            return NONE
        case "len", (inner,):
            found = elements(interpreter, inner)
            return (
                Constant(len(found.items), node)
                if isinstance(found, Display)
                else Operation("len", positional, node)
            )
        case _:
            return Operation(
                name if name in _KEPT else f"builtin_{name}", positional, node, f"builtins.{name}",
                (), arguments.keywords, None, frame.graph, arguments.open,
            )  # fmt: skip


_KEPT = {
    "range",
    "enumerate",
    "zip",
    "reversed",
    "abs",
    "float",
    "int",
    "round",
    "isinstance",
    "print",
    "map",
    "filter",
}


def _super(interpreter: Interpreter, frame: Frame) -> Term:
    owner = interpreter.hierarchy.class_around(frame.scope)
    return (
        Attribute(interpreter.receiver(owner), "super()") if owner is not None else Unknown(None, "super()")
    )
