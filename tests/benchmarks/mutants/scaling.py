"""Losses of accumulated batches."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mutants.operator import Mutant, operator, removed, replaced
from mutants.text import Text, calls_in, method, spelled


@operator(b"/", "accumulation-without-scaling")
def accumulate_without_scaling(text: Text) -> Iterator[Mutant]:
    """The gradient is as many times too large as batches are accumulated, where `loss / n` becomes `loss`, n being
    what the number of the batch is divided by to decide whether to step; in doubt where the model computes the loss
    itself: nothing shows then whether it is a mean.
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
            yield Mutant(removed(text, node), node.lineno, _doubt(text, node, node.target))
        else:
            edits = (replaced(text, node, text.code(node.left)),)
            yield Mutant(edits, node.lineno, _doubt(text, node, node.left))


def _doubt(text: Text, division: ast.AST, loss: ast.expr) -> str:
    """Say so where every value that the function gives to a plain name is what a `model` returns."""
    values = [
        each.value
        for each in ast.walk(text.function(division))
        if isinstance(each, ast.Assign)
        and not any(part is division for part in ast.walk(each))
        and any(spelled(loss) == spelled(target) for target in each.targets)
    ]
    by_model = [
        isinstance(value, ast.Call) and spelled(value.func).rpartition(".")[2] in ("model", "module", "net")
        for value in values
    ]
    return "the model computes the loss" if by_model and all(by_model) else ""


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
