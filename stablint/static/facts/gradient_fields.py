"""What statements do to `p.grad` by hand."""

from __future__ import annotations

from typing import Literal

import libcst as cst

from stablint.static.nodes import last_name


def is_gradient(node: cst.BaseExpression) -> bool:
    """Whether an expression is `p.grad` or `p.grad.data`."""
    if isinstance(node, cst.Attribute) and node.attr.value == "data":
        node = node.value
    return isinstance(node, cst.Attribute) and node.attr.value == "grad"


def is_of_gradient(method: cst.BaseExpression) -> bool:
    """Whether a method is one of a gradient: `p.grad.div_`."""
    return isinstance(method, cst.Attribute) and is_gradient(method.value)


def gradient_written(statement: cst.CSTNode) -> Literal["cleared", "replaced"] | None:
    """Say what a statement does to `p.grad`: clears it, or puts in another one."""
    match statement:
        case cst.Assign(
            targets=[cst.AssignTarget(target=cst.Attribute(attr=cst.Name(value="grad")))], value=value
        ):
            return "cleared" if _is_nothing(value) else "replaced"
        case cst.Del(target=cst.Attribute(attr=cst.Name(value="grad"))):
            return "cleared"
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
