"""Moving averages of parameters that are computed with a graph.

`ema.mul_(d).add_(p, alpha=1 - d)`, `shadow[name] = d * shadow[name] + (1 - d) * p`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.evaluation import values
from stablint.static.facts.scopes import Scope, syntax
from stablint.static.facts.sites import operations
from stablint.static.facts.terms import EACH, Attribute, Call, Item, Operation, Term, options

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


@dataclass(frozen=True, slots=True, eq=False)
class Average:
    """An average that takes in a parameter with its graph: recorded, and of what it held before."""

    node: cst.CSTNode = field(repr=False)
    scope: Scope = field(repr=False)
    path: str


def parameter_averages(source: SourceFile) -> tuple[Average, ...]:
    """Return where averages of parameters are moved on while autograd records."""
    if not source.ask(syntax).identifiers & {"parameters", "named_parameters"}:
        return ()
    return (*_in_place(source), *_stored(source))


def _in_place(source: SourceFile) -> Iterator[Average]:
    for site, made in source.ask(operations).named("add", "lerp", "copy", when=_is_in_place):
        if not made.graph or not isinstance(site.node, cst.Call):
            continue
        held = made.operands[0]
        while isinstance(held, Operation) and held.name in ("mul", "add"):
            held = held.operands[0]
        owner = _owner(held)
        given = (*made.operands[1:], *made.positional)
        if owner is not None and any(_is_other(part, owner) for term in given for part in _parts(term)):
            yield Average(site.node, site.scope, source.code(_first(site.node)))


def _is_in_place(made: Operation) -> bool:
    return made.dotted.endswith("_") and made.graph


def _first(node: cst.BaseExpression) -> cst.BaseExpression:
    """Return `ema` of `ema.mul_(2).add_(x)`."""
    while isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
        node = node.func.value
    return node


def _is_other(term: Term, owner: Term) -> bool:
    found = _owner(term)
    return found is not None and found is not owner


def _owner(term: Term) -> Term | None:
    """Return the module of whose parameters a term is one: `p` of `for name, p in model.named_parameters()`."""
    match term:
        case Item(base=Item(key=key) as inner) if key is EACH:
            return _owner(inner)
        case Item(
            base=Call(callee=Attribute(base=base, name="parameters" | "named_parameters")), key=key
        ) if key is EACH:
            return base
        case _:
            return None


def _stored(source: SourceFile) -> Iterator[Average]:
    known = source.ask(values)
    for store in source.ask(syntax).stores:
        if store.value is None or not isinstance(store.target, cst.Subscript):
            continue
        path = source.code(store.target)
        term = known.raw(store.value)
        if path not in source.code(store.value) or not isinstance(term, Operation) or not term.graph:
            continue
        if term.name == "add" and any(_owner(part) is not None for part in _parts(term)):
            yield Average(store.target, store.scope, path)


def _parts(term: Term) -> Iterator[Term]:
    """Yield what a sum of products is made of, through nothing else."""
    stack = [term]
    while stack:
        current = stack.pop()
        if isinstance(current, Operation) and current.name in _KEEPING and current.graph:
            stack.extend(current.operands)
        else:
            yield from options(current)


_KEEPING = {"add", "mul", "sub", "to", "float", "half", "cuda", "cpu", "clone"}
