"""How the code writes the objects of training events: what fixes put in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.evaluation import without_none
from stablint.static.facts.events import Event, Kind
from stablint.static.facts.scopes import Scope
from stablint.static.facts.terms import Attribute, Parameter, Receiver, Term
from stablint.static.nodes import last_name

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


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


def loss_of(backward: Event) -> cst.BaseExpression | None:
    """Return the loss of `loss.backward()` and of `scaler.scale(loss).backward()` as it is written there."""
    if not isinstance(backward.node, cst.Call) or not isinstance(backward.node.func, cst.Attribute):
        return None
    loss = backward.node.func.value
    if backward.scaler is None:
        return loss
    match loss:
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="scale")), args=[cst.Arg(value=inner)]):
            return inner
        case _:
            return None


def called_expression(source: SourceFile, event: Event) -> str | None:
    """Return how the code writes the object of a forward or mode event: `model` of `model(x)` and `model.eval()`."""
    if not isinstance(event.node, cst.Call):
        return None
    func = event.node.func
    if event.kind is Kind.FORWARD:
        return source.code(func)
    return source.code(func.value) if isinstance(func, cst.Attribute) else None


def owner(call: cst.Call) -> cst.BaseExpression | None:
    """Return the object of which a call calls a method: `net.fc` of `net.fc.forward(x)`."""
    return call.func.value if isinstance(call.func, cst.Attribute) else None


def moved_inside(source: SourceFile, node: cst.BaseExpression, callee: str) -> str | None:
    """Return `F(x.op())` for `F(x).op()`, and `F(x * 2)` for `F(x) * 2`; None where F, or what it is given, is another.

    `callee` is the last name of F; only what follows it is moved.
    """
    inner = _innermost(node)
    if not isinstance(inner, cst.Call) or last_name(inner.func) != callee or not inner.args:
        return None
    first, *others = inner.args
    if first.keyword is not None or first.star or inner is node:
        return None
    # What is written before the call belongs to an expression that it does not begin.
    text, call = source.code(node), source.code(inner)
    if not text.startswith(call):
        return None
    value = source.code(first.value)
    if not isinstance(first.value, cst.Name | cst.Attribute | cst.Call | cst.Subscript):
        value = f"({value})"
    more = "".join(f", {source.code(one).rstrip(', ')}" for one in others)
    return f"{source.code(inner.func)}({value}{text[len(call) :]}{more})"


def _innermost(node: cst.BaseExpression) -> cst.BaseExpression:
    while True:
        match node:
            case cst.Call(func=cst.Attribute(value=inner)) if isinstance(inner, cst.Call):
                node = inner
            case cst.BinaryOperation(left=inner):
                node = inner
            case _:
                return node
