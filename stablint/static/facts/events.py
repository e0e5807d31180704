"""What a call means for training: it zeroes, accumulates, clips or applies gradients, or switches a mode.

An object is recognised by what it was made by or annotated as; only where that is unknown, by what the code calls it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.evaluation import Values, without_none
from stablint.static.facts.gradient_fields import is_gradient
from stablint.static.facts.roles import called, made_as, role
from stablint.static.facts.scopes import Scope
from stablint.static.facts.terms import (
    Attribute,
    Call,
    Closure,
    Constant,
    Either,
    Instance,
    Item,
    Operation,
    Parameter,
    Receiver,
    Reference,
    Term,
    Unknown,
    number,
    options,
)
from stablint.static.nodes import last_name
from stablint.static.torch_api import kind

if TYPE_CHECKING:
    pass


class Kind(Enum):
    """What happens."""

    BACKWARD = auto()
    STEP = auto()
    ZERO_GRAD = auto()
    CLIP = auto()
    UNSCALE = auto()
    SCALER_UPDATE = auto()
    SCHEDULER_STEP = auto()
    TRAIN = auto()
    EVAL = auto()
    FORWARD = auto()
    MADE = auto()
    """An optimizer is made: it has stepped nothing yet."""
    OPAQUE = auto()
    """Something unknown was given the object, or did something unknown with it: anything may have happened to it."""


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """One thing that happens in training.

    `target` is the optimizer, scheduler, module or parameters concerned (None: any), `subject` the loss of a
    backward; `scaler` is set where gradients are scaled or a scaler steps.
    """

    kind: Kind
    node: cst.CSTNode = field(repr=False)
    statement: cst.CSTNode | None = field(repr=False)
    scope: Scope = field(repr=False)
    target: Term | None = None
    subject: Term | None = None
    scaler: Term | None = None
    graph: bool = True
    """False under no_grad."""
    arguments: tuple[Term, ...] = ()
    is_supposed: bool = False
    """Whether it is a step only if the caller, in another file, gives an optimizer."""


Make = Callable[..., list[Event]]
"""Makes the event of the call at hand: `make(Kind.STEP, target)`."""

_ENGINES = {"backward", "manual_backward"}
_CLIPS = {"clip_grad_norm_", "clip_grad_norm", "clip_grad_value_", "clip_grads_with_norm_"}
_QUIET_METHODS = {
    "state_dict", "load_state_dict", "add_param_group", "get_lr", "get_last_lr", "parameters", "named_parameters",
    "register_step_post_hook", "register_step_pre_hook", "__repr__", "get_scale", "keys", "items", "values", "get",
}  # fmt: skip


def events_of(
    node: cst.Call, known: Values, scope: Scope, statement: cst.CSTNode | None, graph: bool
) -> list[Event]:
    """Return what a call does, in order; empty where it is nothing to training or a function of the file does it."""
    func = node.func
    term = known.raw(node)
    arguments = tuple(known.raw(argument.value) for argument in node.args)

    def event(kind: Kind, target: Term | None = None, **more: object) -> list[Event]:
        return [Event(kind, node, statement, scope, target, graph=graph, arguments=arguments, **more)]  # type: ignore[arg-type]

    made = _optimizer_made(term, node)
    if made is not None:
        return event(Kind.MADE, made)
    dotted = _outside_name(term)
    last = last_name(func)
    if dotted is not None:
        return _outside(dotted, last, arguments, event)
    if not isinstance(func, cst.Attribute):
        return _plain_call(known, func, last, arguments, event)
    base = without_none(known.raw(func.value))
    what = role(base, func.value) or role(without_none(known.resolve(base)))
    if last in _ENGINES:
        return _backward(base, last, arguments, event, func.value)
    if last == "step":
        if what is None and isinstance(base, Parameter) and known.interpreter.cycles is not None:
            return event(Kind.STEP, base, is_supposed=True)
        return _step(base, what, node, arguments, event)
    if last == "zero_grad":
        return event(Kind.ZERO_GRAD, base)
    if last in _CLIPS:
        return event(Kind.CLIP, arguments[0] if arguments else base, subject=base)
    if last == "unscale_":
        return event(Kind.UNSCALE, arguments[0] if arguments else None, scaler=base)
    if last == "update" and what == "scaler":
        return event(Kind.SCALER_UPDATE, scaler=base)
    if last in ("train", "eval") and not isinstance(base, Reference):
        return _mode(base, last, arguments, event)
    if last in ("zero_", "fill_") and is_gradient(func.value):
        return event(Kind.ZERO_GRAD, None)
    if last in ("clamp_", "clip_") and is_gradient(func.value):
        return event(Kind.CLIP, None)
    if what == "optimizer" and last not in _QUIET_METHODS:
        return event(Kind.OPAQUE, base)
    if what is None and isinstance(base, Call):
        return _given_away((*base.positional, *base.keywords.values()), event, last)
    return _plain_call(known, func, last, arguments, event)


def _optimizer_made(term: Term, node: cst.Call) -> Instance | None:
    for option in options(term):
        if isinstance(option, Instance) and option.node is node and made_as(option) == "optimizer":
            return option
    return None


def _outside_name(term: Term) -> str | None:
    """Return the dotted name of a function from outside that a call calls."""
    for option in options(term):
        if isinstance(option, Call) and isinstance(option.callee, Reference):
            return option.callee.dotted
        if isinstance(option, Operation) and option.dotted and not option.dotted.startswith("torch.Tensor."):
            return option.dotted if option.module is None else None
    return None


def _outside(dotted: str, last: str, arguments: tuple[Term, ...], make: Make) -> list[Event]:
    if dotted == "torch.autograd.backward":
        return make(Kind.BACKWARD, subject=arguments[0] if arguments else None)
    if last in _CLIPS or dotted.rsplit(".", 1)[-1] in _CLIPS:
        if len(arguments) > 1 and _is_infinite(arguments[1]):
            return []
        return make(Kind.CLIP, arguments[0] if arguments else None)
    return _given_away(arguments, make, dotted)


def _is_infinite(term: Term) -> bool:
    """`clip_grad_norm_(parameters, float("inf"))` measures the norm and clips nothing."""
    if isinstance(term, Reference):
        return term.dotted in ("math.inf", "torch.inf", "numpy.inf")
    if isinstance(term, Operation) and term.name == "float" and term.operands:
        return isinstance(term.operands[0], Constant) and str(term.operands[0].value).lower() in (
            "inf",
            "infinity",
        )
    value = number(term)
    return value is not None and value >= 1e8


def _plain_call(
    known: Values, func: cst.BaseExpression, last: str, arguments: tuple[Term, ...], make: Make
) -> list[Event]:
    callee = without_none(known.raw(func))
    if isinstance(callee, Closure | Reference):
        return []
    if re.search(r"(zero|reset|clear)_?grads?", last, re.IGNORECASE):
        return make(Kind.ZERO_GRAD, None)
    given = _given_away(arguments, make, last)
    if given:
        return given
    if _may_be_module(callee):
        return make(Kind.FORWARD, callee)
    return []


def _given_away(arguments: tuple[Term, ...], make: Make, callee: str) -> list[Event]:
    """An optimizer given to something unknown may have been stepped or zeroed there."""
    events: list[Event] = []
    if callee.rsplit(".", 1)[-1] in _READERS or callee.startswith(("builtins.", "torch.optim.")):
        return events
    for argument in arguments:
        for option in options(argument):
            if isinstance(option, Instance | Parameter | Attribute) and role(option) == "optimizer":
                events += make(Kind.OPAQUE, option)
    return events


_READERS = {
    "print",
    "len",
    "isinstance",
    "type",
    "id",
    "save",
    "info",
    "debug",
    "log",
    "str",
    "repr",
    "hasattr",
}


def _may_be_module(term: Term) -> bool:
    match term:
        case Instance(dotted=dotted, scope=scope):
            return scope is not None or kind(dotted) == "module"
        case Unknown(label=label):
            return label != ""
        case Receiver() | Parameter() | Attribute() | Item():
            return True
        case Either(options=parts):
            return any(_may_be_module(part) for part in parts)
        case _:
            return False


def _backward(
    base: Term, last: str, arguments: tuple[Term, ...], make: Make, node: cst.BaseExpression
) -> list[Event]:
    if arguments and last == "manual_backward":
        return make(Kind.BACKWARD, subject=arguments[0])
    name = called(base, node)
    if arguments and re.search(r"accelerator|fabric|strategy", name, re.IGNORECASE):
        return make(Kind.BACKWARD, subject=arguments[0])
    if arguments and (
        re.search(r"engine|model|deepspeed", name, re.IGNORECASE) or role(base, node) is not None
    ):
        return make(Kind.OPAQUE, base)
    return make(Kind.BACKWARD, subject=base, scaler=_scaler_in(base))


def _scaler_in(loss: Term) -> Term | None:
    """Return the scaler of `scaler.scale(loss)`."""
    for option in options(loss):
        match option:
            case Call(callee=Attribute(base=base, name="scale")):
                return base
            case Operation(name="scale", operands=(base, *_)):
                return base
            case _:
                pass
    return None


def unscaled(loss: Term) -> Term:
    """Return the loss of `scaler.scale(loss)`."""
    for option in options(loss):
        match option:
            case Call(callee=Attribute(name="scale"), positional=(inner, *_)):
                return inner
            case Operation(name="scale", positional=(inner, *_)):
                return inner
            case _:
                pass
    return loss


def _step(
    base: Term, what: str | None, node: cst.Call, arguments: tuple[Term, ...], make: Make
) -> list[Event]:
    if what == "scheduler":
        return make(Kind.SCHEDULER_STEP, base)
    if what == "scaler" and arguments:
        return make(Kind.STEP, arguments[0], scaler=base)
    if what == "optimizer":
        return make(Kind.STEP, base)
    return []


def _mode(base: Term, last: str, arguments: tuple[Term, ...], make: Make) -> list[Event]:
    if isinstance(base, Operation):
        return []
    if last == "train" and arguments:
        flag = arguments[0]
        if not (isinstance(flag, Constant) and isinstance(flag.value, bool)):
            return make(Kind.TRAIN, base)
        return make(Kind.TRAIN if flag.value else Kind.EVAL, base)
    return make(Kind.TRAIN if last == "train" else Kind.EVAL, base)
