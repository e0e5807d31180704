"""What an object is to training: an optimizer, a scheduler, a gradient scaler, a module.

An object is recognised by what it was made by or annotated as; only where that is unknown, by what the code calls it.
"""

from __future__ import annotations

import re

import libcst as cst

from stablint.static.facts.evaluation import without_none
from stablint.static.facts.terms import (
    Attribute,
    Call,
    Closure,
    Constant,
    Instance,
    Item,
    Operation,
    Parameter,
    Reference,
    Term,
    Unknown,
    options,
)
from stablint.static.nodes import last_name
from stablint.static.torch_api import kind

_NAMES = (
    ("scheduler", re.compile(r"sched|lr_decay|warm_?up", re.IGNORECASE)),
    ("scaler", re.compile(r"scaler", re.IGNORECASE)),
    ("optimizer", re.compile(r"optim|(^|_)opt(s|im)?\d*(_|$)|solver|(^|_)(adam|sgd|rmsprop)", re.IGNORECASE)),
)
"""What an object that nothing else is known of is called, in the order of the tests: lr_scheduler_optim is none."""


def role(term: Term, node: cst.BaseExpression | None = None) -> str | None:
    """Say what an object is: "optimizer", "scheduler", "scaler", "module", or None where it is not known."""
    for option in options(without_none(term)):
        found = made_as(option)
        if found is not None:
            return found
    if isinstance(term, Reference | Constant | Closure | Operation):
        return None
    name = called(term, node)
    return next((what for what, pattern in _NAMES if pattern.search(name)), None)


def made_as(term: Term) -> str | None:
    """Say what an object was made or annotated as."""
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


def called(term: Term, node: cst.BaseExpression | None) -> str:
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
            return called(base, None)
        case Call(callee=callee):
            return called(callee, None)
        case _:
            return ""
