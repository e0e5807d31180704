"""What an nn.Module knows that it has: the layers and parameters made in a class, and those that are registered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.classes import Model, Models, models
from stablint.static.facts.modality import heeds_mode
from stablint.static.facts.sites import operations
from stablint.static.facts.terms import (
    Call,
    Closure,
    Dictionary,
    Display,
    Instance,
    Operation,
    Repeated,
    Term,
    options,
    within,
)
from stablint.static.interpret.hierarchy import is_module_name
from stablint.static.torch_api import operation
from stablint.static.torch_api.groups import AFFINE, CONTAINERS, DROPOUTS, RECURRENT, words

if TYPE_CHECKING:
    from stablint.static.source import SourceFile

_WITH_STATE = (
    AFFINE
    | RECURRENT
    | DROPOUTS
    | words("batch_norm layer_norm group_norm instance_norm rms_norm embedding embedding_bag prelu rrelu")
    | words("multi_head_attention adaptive_log_softmax_with_loss linear_cross_entropy")
)
"""Layers that have parameters, or a mode."""

_REGISTERING = (
    "__setattr__",
    "add_module",
    "register_module",
    "register_parameter",
    "update",
    "insert",
    "extend",
    "append",
)


def is_made(known: Models, term: Term) -> bool:
    """Whether a term is a module or a parameter that the code makes."""
    if isinstance(term, Operation):
        return term.name == "parameter"
    return isinstance(term, Instance) and (
        known.of(term.scope) is not None if term.scope is not None else is_module_name(term.dotted)
    )


def has_state(known: Models, term: Term) -> bool:
    """Whether a module or parameter has something to train, to move or to switch; True where that is not known."""
    if not isinstance(term, Instance):
        return True
    if term.scope is not None:
        model = known.of(term.scope)
        if model is None or not model.is_certain or model.is_open or heeds_mode(known.interpreter, term):
            return True
        family = (known.of(scope) for scope in known.interpreter.hierarchy.lineage(term.scope))
        held = [held.term for one in family if one is not None for held in one.held]
        return any(
            is_made(known, part) and has_state(known, part) for whole in held for part in within(whole)
        )
    if term.dotted in CONTAINERS:
        inside = [part for argument in term.positional for part in within(argument)]
        return any(is_made(known, part) and has_state(known, part) for part in inside)
    name = operation(term.dotted)
    return name is None or name in _WITH_STATE


def has_parameters(known: Models, term: Term) -> bool:
    """Whether something certainly brings parameters of its own: a parameter, a layer, or a module made of them."""
    if isinstance(term, Operation):
        return term.name == "parameter"
    if not isinstance(term, Instance):
        return False
    if term.scope is not None:
        family = (known.of(scope) for scope in known.interpreter.hierarchy.lineage(term.scope))
        held = [held.term for one in family if one is not None for held in one.held]
        return any(
            has_parameters(known, part) for whole in held for part in within(whole) if part is not term
        )
    if term.dotted in CONTAINERS:
        return any(has_parameters(known, part) for one in term.positional for part in within(one))
    return is_module_name(term.dotted) and operation(term.dotted) in _WITH_STATE - DROPOUTS - {"rrelu"}


def has_weight(dotted: str) -> bool:
    """Whether a class of torch is an affine layer: a linear one, or a convolution."""
    return operation(dotted) in AFFINE


def plain_items(term: Term) -> Iterator[Term]:
    """Yield what lies in a list, tuple or dict, also in those inside it."""
    for option in options(term):
        match option:
            case Display(items=items):
                inside = items
            case Dictionary(items=pairs):
                inside = tuple(value for _, value in pairs)
            case Repeated(item=item, start=start):
                inside = (item,) if start is None else (item, start)
            case _:
                continue
        for one in inside:
            for item in options(one):
                yield from plain_items(item) if isinstance(item, Display | Dictionary | Repeated) else (item,)


def registered(source: SourceFile, model: Model) -> set[cst.CSTNode]:
    """Return where the layers and parameters are made that a model, or one of its family, knows of."""
    known = source.ask(models)
    family = known.family(model)
    found: set[cst.CSTNode] = set()
    for held in (held for one in family for held in one.held):
        for option in options(held.term):
            for part in _kept(known, option):
                found |= _made_within(known, part)
            for other in _taken_out(source, family, option):
                found |= _made_within(known, other)
    scopes = {one.scope for one in family}
    calls = source.ask(operations)
    for site in (site for name in _REGISTERING for site in calls.calls.get(name, ())):
        around = known.around(site.scope)
        if around is not None and around.scope in scopes and isinstance(site.term, Call):
            for argument in (*site.term.positional, *site.term.keywords.values()):
                found |= _made_within(known, argument)
    for _, made in calls.named("builtin_setattr"):  # wherever it stands: a helper may be given the layer
        for argument in made.operands:
            found |= _made_within(known, argument)
    return found


def _kept(known: Models, term: Term) -> tuple[Term, ...]:
    """Return what an attribute registers, or hands to something that may."""
    if is_made(known, term) or isinstance(term, Instance):
        return (term,)
    if isinstance(term, Call):
        return (*term.positional, *term.keywords.values())
    if isinstance(term, Operation) and term.name == "setitem":
        return (term,) if any(isinstance(part, Instance) for part in options(term.operands[0])) else ()
    return ()


def _taken_out(source: SourceFile, family: list[Model], term: Term) -> Iterator[Term]:
    """Yield the containers of which a method of the file takes elements, where an attribute holds what it makes.

    `self.attention = self.build()`, with `Attention(self.shared[0])` in `build`: that is registered there.
    """
    if isinstance(term, Call) and isinstance(term.callee, Closure):
        text = source.code(term.callee.function.node)
        yield from (one.term for model in family for one in model.held if f".{one.name}[" in text)


def _made_within(known: Models, term: Term) -> set[cst.CSTNode]:
    return {
        part.node for part in within(term) if isinstance(part, Instance | Operation) and is_made(known, part)
    }
