"""Losses that stand in functions of other files, as the calls of this file that give them something to judge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.terms import Operation, Parameter, Term, within
from stablint.static.torch_api.groups import LOSSES

if TYPE_CHECKING:
    from stablint.static.interpret.interpreter import Interpreter, Place

_MOST_PARTS = 300


def losses_elsewhere(interpreter: Interpreter) -> Iterator[tuple[Place, Operation]]:
    """Yield calls of this file, each with a loss that it leads to in another file, as if it stood at the call.

    `criterion(model(x), y)`, where the class of `criterion` is imported: what is given to the loss is known only here.
    """
    seen: set[tuple[int, Term]] = set()
    for key, invoked in interpreter.invocations.items():
        if key not in interpreter.sites or all(interpreter.home(one) is interpreter for one in invoked):
            continue
        node = interpreter.sites[key][0]
        for part in within(interpreter.terms[key], _MOST_PARTS):
            if not isinstance(part, Operation) or part.name not in LOSSES or not part.operands:
                continue
            if id(part.node) in interpreter.terms or (id(part.node), part.operands[0]) in seen:
                continue
            seen.add((id(part.node), part.operands[0]))
            if isinstance(node, cst.Call) and _is_of_here(interpreter, part.operands[0]):
                yield node, replace(part, node=node)


def _is_of_here(interpreter: Interpreter, judged: Term) -> bool:
    """Whether anything in what a loss judges comes from this file."""
    module = interpreter.syntax.module
    return any(
        part.function.top is module
        if isinstance(part, Parameter)
        else id(getattr(part, "node", None)) in interpreter.terms
        for part in within(judged, _MOST_PARTS)
    )
