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
from stablint.static.facts.scopes import Scope
from stablint.static.facts.terms import (
    Attribute,
    Call,
    Closure,
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
    options,
    same,
    within,
)
from stablint.static.nodes import last_name
from stablint.static.torch_api import kind

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


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


Make = Callable[..., list[Event]]
"""Makes the event of the call at hand: `make(Kind.STEP, target)`."""

_NAMES = (
    ("scheduler", re.compile(r"sched|lr_decay|warm_?up", re.IGNORECASE)),
    ("scaler", re.compile(r"scaler", re.IGNORECASE)),
    ("optimizer", re.compile(r"optim|(^|_)opt(s|im)?\d*(_|$)|solver|(^|_)(adam|sgd|rmsprop)", re.IGNORECASE)),
)
"""What an object that nothing else is known of is called, in the order of the tests: lr_scheduler_optim is none."""

_ENGINES = {"backward", "manual_backward"}
_CLIPS = {"clip_grad_norm_", "clip_grad_norm", "clip_grad_value_", "clip_grads_with_norm_"}
_QUIET_METHODS = {
    "state_dict", "load_state_dict", "add_param_group", "get_lr", "get_last_lr", "parameters", "named_parameters",
    "register_step_post_hook", "register_step_pre_hook", "__repr__", "get_scale", "keys", "items", "values", "get",
}  # fmt: skip


def role(term: Term, node: cst.BaseExpression | None = None) -> str | None:
    """Say what an object is: "optimizer", "scheduler", "scaler", "module", or None where it is not known."""
    for option in options(without_none(term)):
        found = _role_of(option)
        if found is not None:
            return found
    if isinstance(term, Reference | Constant | Closure | Operation):
        return None
    name = _called(term, node)
    return next((what for what, pattern in _NAMES if pattern.search(name)), None)


def _role_of(term: Term) -> str | None:
    match term:
        case Instance(dotted=dotted, scope=None):
            return _as_module(kind(dotted))
        case Parameter(annotation=str(dotted)):
            return _base_role(dotted) or _as_module(kind(dotted))
        case _:
            return None


def _as_module(found: str | None) -> str | None:
    return "module" if found == "loss" else found


def _base_role(dotted: str) -> str | None:
    return {
        "torch.optim.Optimizer": "optimizer",
        "torch.optim.lr_scheduler.LRScheduler": "scheduler",
        "torch.amp.GradScaler": "scaler",
        "torch.nn.Module": "module",
    }.get(dotted)


def _called(term: Term, node: cst.BaseExpression | None) -> str:
    """Return what the code calls an object."""
    if node is not None:
        while isinstance(node, cst.Subscript):
            node = node.value
        name = last_name(node)
        if name:
            return name
    match term:
        case Parameter(name=name) | Attribute(name=name) | Unknown(label=name):
            return name
        case Item(base=base):
            return _called(base, None)
        case Call(callee=callee):
            return _called(callee, None)
        case _:
            return ""


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
    what = role(base, func.value)
    if last in _ENGINES:
        return _backward(base, last, arguments, event, func.value)
    if last == "step":
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
    if last in ("zero_", "fill_") and _is_gradient(func.value):
        return event(Kind.ZERO_GRAD, None)
    if last in ("clamp_", "clip_") and _is_gradient(func.value):
        return event(Kind.CLIP, None)
    if what == "optimizer" and last not in _QUIET_METHODS:
        return event(Kind.OPAQUE, base)
    if what is None and isinstance(base, Call):
        return _given_away((*base.positional, *base.keywords.values()), event, last)
    return _plain_call(known, func, last, arguments, event)


def _optimizer_made(term: Term, node: cst.Call) -> Instance | None:
    for option in options(term):
        if isinstance(option, Instance) and option.node is node and _role_of(option) == "optimizer":
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
    name = _called(base, node)
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


def _is_gradient(node: cst.BaseExpression) -> bool:
    """Whether an expression is `p.grad` or `p.grad.data`."""
    if isinstance(node, cst.Attribute) and node.attr.value == "data":
        node = node.value
    return isinstance(node, cst.Attribute) and node.attr.value == "grad"


def gradient_written(statement: cst.CSTNode) -> Kind | None:
    """Say what a statement does to `p.grad`: ZERO_GRAD for `p.grad = None`, OPAQUE where it puts in another one."""
    match statement:
        case cst.Assign(
            targets=[cst.AssignTarget(target=cst.Attribute(attr=cst.Name(value="grad")))], value=value
        ):
            return Kind.ZERO_GRAD if _is_nothing(value) else Kind.OPAQUE
        case cst.Del(target=cst.Attribute(attr=cst.Name(value="grad"))):
            return Kind.ZERO_GRAD
        case _:
            return None


def _is_nothing(value: cst.BaseExpression) -> bool:
    """Whether a value is None or zeros: `Variable(p.data.new(p.size()).zero_())`, `torch.zeros_like(p)`."""
    if isinstance(value, cst.Call):
        inner = last_name(value.func)
        return inner in ("zeros", "zeros_like", "zero_", "new_zeros") or (
            inner == "Variable" and bool(value.args) and _is_nothing(value.args[0].value)
        )
    return isinstance(value, cst.Name) and value.value == "None"


def same_object(a: Term | None, b: Term | None) -> bool:
    """Whether two terms are certainly one object, or collections of the same ones."""
    if a is None or b is None:
        return False
    left, right = options(without_none(a)), options(without_none(b))
    return all(any(same(one, other) for other in right) for one in left) and len(left) <= len(right)


def clears(event: Event, optimizer: Term | None) -> bool | None:
    """Whether a zero_grad certainly (True), possibly (None) or certainly not (False) clears what an optimizer steps."""
    target = event.target
    if target is None or optimizer is None:
        return None
    left, right = options(without_none(target)), options(without_none(optimizer))
    if any(same(one, other) for one in left for other in right):
        return True
    optimizers = [one for one in right if isinstance(one, Instance)]
    if all(isinstance(one, Instance) and _role_of(one) == "optimizer" for one in left):
        return False if len(optimizers) == len(right) else None
    if optimizers and len(optimizers) == len(right):
        made_of = [part for one in optimizers for part in within(one, 400)]
        if any(one is part for one in left for part in made_of):
            return True
        if all(isinstance(one, Instance) for one in left) and _modules_in(made_of):
            return False
    if role(target) == "optimizer":
        return False if _distinct(left, right) else None
    return None


def _modules_in(terms: list[Term]) -> bool:
    return any(
        isinstance(term, Instance) and (term.scope is not None or _role_of(term) == "module")
        for term in terms
    )


def _distinct(left: tuple[Term, ...], right: tuple[Term, ...]) -> bool:
    """Two optimizers with names of their own (`opt_d`, `self.opt_g`) are two optimizers."""
    names = [{_called(term, None) for term in side} for side in (left, right)]
    return all(names) and "" not in names[0] | names[1] and not names[0] & names[1]


def holds_many(term: Term) -> bool:
    """Whether a term is a collection of objects rather than one."""
    return isinstance(term, Display | Repeated | Dictionary)


def stepped_expression(step: Event) -> cst.BaseExpression | None:
    """Return the expression that names the optimizer of a step: of `optimizer.step()` or `scaler.step(optimizer)`."""
    if not isinstance(step.node, cst.Call) or not isinstance(step.node.func, cst.Attribute):
        return None
    if step.scaler is not None:
        return step.node.args[0].value if step.node.args else None
    return step.node.func.value


def spelled(term: Term | None, scope: Scope) -> str | None:
    """Return how a function may write an object that it was given or that belongs to `self`; None if not known."""
    match without_none(term) if term is not None else None:
        case Parameter(function=function, name=name) if function is scope:
            return name
        case Attribute(base=Receiver(), name=name) if scope.owner is not None:
            return f"self.{name}"
        case _:
            return None


def written(source: SourceFile, term: Term | None, step: Event, scope: Scope) -> str | None:
    """Return how an object of a step is written in `scope`: as the step writes it where the names are the same."""
    inside: Scope | None = scope
    while inside is not None and inside is not step.scope:
        inside = inside.parent
    if inside is None:
        return spelled(term, scope)
    if term is step.scaler and term is not None:
        node = (
            step.node.func.value
            if isinstance(step.node, cst.Call) and isinstance(step.node.func, cst.Attribute)
            else None
        )
    else:
        node = stepped_expression(step)
    return source.code(node) if node is not None else None


def called_expression(source: SourceFile, event: Event) -> str | None:
    """Return how the code writes the object of a forward or mode event: `model` of `model(x)` and `model.eval()`."""
    if not isinstance(event.node, cst.Call):
        return None
    func = event.node.func
    if event.kind is Kind.FORWARD:
        return source.code(func)
    return source.code(func.value) if isinstance(func, cst.Attribute) else None
