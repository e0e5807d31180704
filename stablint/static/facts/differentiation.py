"""Whether what is computed at a place is trained through."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stablint.static.facts.consumers import uses
from stablint.static.facts.evaluation import values
from stablint.static.facts.gradients import (
    carries_graph,
    enclosing_class,
    is_constant,
    is_optimizer_class,
)
from stablint.static.facts.scopes import Scope, syntax
from stablint.static.facts.sites import Site
from stablint.static.facts.terms import Operation, options

if TYPE_CHECKING:
    from stablint.static.interpret.interpreter import Interpreter
    from stablint.static.source import SourceFile


def is_recorded(source: SourceFile, scope: Scope) -> bool:
    """Whether autograd may record what a function does: no optimizer, no Function, not only used in no_grad."""
    interpreter = source.ask(values).interpreter
    around = enclosing_class(scope)
    if around is not None:
        bases = interpreter.hierarchy.outer_bases(around)
        if is_optimizer_class(bases) or any(getattr(base, "dotted", "") in _FUNCTIONS for base in bases):
            return False
    return _is_called_with_graph(interpreter, scope.function, frozenset())


_FUNCTIONS = ("torch.autograd.Function", "torch.autograd.function.Function")
"""What they compute in forward is not recorded: their backward is written by hand."""


def _is_called_with_graph(interpreter: Interpreter, function: Scope, inside: frozenset[Scope]) -> bool:
    inside = inside | {function}
    callers = [caller for caller in interpreter.callers.get(function, ()) if caller[0] not in inside]
    if not callers or function.name == "forward":
        return True  # by somebody outside of the file, who trains the model that this file also samples from
    return any(graph and _is_called_with_graph(interpreter, scope, inside) for scope, graph in callers)


def is_trained_through(source: SourceFile, site: Site, operation: Operation) -> bool:
    """Whether a gradient may flow through an operation: of data or parameters, recorded, not only shown."""
    if not operation.graph or all(is_constant(operand) for operand in operation.operands):
        return False
    if not is_recorded(source, site.scope):
        return False
    raw = source.ask(values).raw(site.node)
    known = source.ask(uses)
    return not any(
        known.is_only_shown(option)
        for option in options(raw)
        if isinstance(option, Operation) and option.node is operation.node and option.name == operation.name
    )


def carries_gradient(source: SourceFile, site: Site, operation: Operation) -> bool:
    """Whether a gradient may flow through an operation to what it works on: that is not cut off either."""
    cut = all(carries_graph(operand) is False for operand in operation.operands)
    return not cut and is_trained_through(source, site, operation)


def may_be_for_show(source: SourceFile, scope: Scope) -> bool:
    """Whether a place looks as if nothing were trained there: a metric by its name, a file without networks."""
    return _MEASURING.search(scope.function.name) is not None or not _is_about_networks(source)


_MEASURING = re.compile(
    r"(^|_)(psnr|snr|ssim|metrics?|eval|evaluate|valid|validate|validation|test|accuracy|perplexity|stats?|"
    r"statistics|summary|report)\d*(_|$)"
)


def _is_about_networks(source: SourceFile) -> bool:
    shape = source.ask(syntax)
    if "backward" in shape.identifiers or "nn" in shape.identifiers:
        return True
    scopes = (shape.module, *shape.functions)
    bindings = (one for scope in scopes for bound in scope.bindings.values() for one in bound)
    imported = [binding.dotted for binding in bindings if binding.dotted is not None]
    return any(dotted.startswith("torch.nn") or "lightning" in dotted for dotted in imported)
