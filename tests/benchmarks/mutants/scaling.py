"""Losses of accumulated batches."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mutants.operator import Mutant, operator, removed, replaced
from mutants.text import Text, calls_in, method


@operator(b"/", "accumulation-without-scaling")
def accumulate_without_scaling(text: Text) -> Iterator[Mutant]:
    """The gradient is as many times too large as batches are accumulated, where `loss / n` becomes `loss`, n being
    what the number of the batch is divided by to decide whether to step.
    """
    for node in ast.walk(text.tree):
        loop = text.loop(node)
        if (
            loop is None
            or not isinstance(node, (ast.BinOp, ast.AugAssign))
            or not isinstance(node.op, ast.Div)
        ):
            continue
        count = node.right if isinstance(node, ast.BinOp) else node.value
        if (
            loop is None
            or "loss" not in text.code(node).lower()
            or not _guards_step(loop, ast.unparse(count))
        ):
            continue
        if isinstance(node, ast.AugAssign):
            yield Mutant(removed(text, node), node.lineno)
        else:
            yield Mutant((replaced(text, node, text.code(node.left)),), node.lineno)


def _guards_step(loop: ast.AST, count: str) -> bool:
    """Tell whether an optimizer of a loop steps once in so many iterations."""
    for each in ast.walk(loop):
        if isinstance(each, ast.If) and any(method(call, "step") for call in calls_in(each)):
            for part in ast.walk(each.test):
                if (
                    isinstance(part, ast.BinOp)
                    and isinstance(part.op, ast.Mod)
                    and ast.unparse(part.right) == count
                ):
                    return True
    return False
