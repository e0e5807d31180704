"""What functions return beside a loss for the log: `return loss, metrics`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.evaluation import values
from stablint.static.facts.scopes import Scope, syntax

if TYPE_CHECKING:
    from stablint.static.source import SourceFile

_LOG = re.compile(
    r"(^|_)(log|logs|logging|log_dict|logging_output|stats?|statistics|metrics?)$", re.IGNORECASE
)
"""A dict of logged values; `chosen_logps`, `logits` and `log_probs` are none."""


@dataclass(frozen=True, slots=True, eq=False)
class LogEntry:
    """A value in a dict of logged values, and the other things that the function returns with the dict."""

    name: str
    value: cst.BaseExpression = field(repr=False)
    scope: Scope = field(repr=False)
    beside: tuple[cst.BaseExpression, ...] = field(repr=False)


def log_entries(source: SourceFile) -> tuple[LogEntry, ...]:
    """Return the values of every dict named after a log that is returned in a tuple with something else."""
    return tuple(_entries(source))


def _entries(source: SourceFile) -> Iterator[LogEntry]:
    for part, (scope, _) in source.ask(syntax).blocks.items():
        if not isinstance(part, cst.Return) or not isinstance(part.value, cst.Tuple):
            continue
        elements = [element.value for element in part.value.elements]
        for element in elements:
            name = _dict_name(element)
            if name is None or not _LOG.search(name):
                continue
            beside = tuple(other for other in elements if other is not element)
            for value in _written(source, scope, name):
                yield LogEntry(name, value, scope, beside)


def _dict_name(element: cst.BaseExpression) -> str | None:
    """Return the name of a returned dict, also inside a call that only reshapes it: `flatten_dict(stats)`."""
    match element:
        case cst.Name(value=name):
            return name
        case cst.Call(args=[cst.Arg(value=cst.Name(value=name), keyword=None)]):
            return name
        case _:
            return None


def _written(source: SourceFile, scope: Scope, name: str) -> Iterator[cst.BaseExpression]:
    """Yield what a function puts into a dict: in its display, its `dict(...)` and by key."""
    for part, (where, _) in source.ask(syntax).blocks.items():
        if where is not scope or not isinstance(part, cst.Assign):
            continue
        match part.targets[0].target:
            case cst.Name(value=target) if target == name and isinstance(part.value, cst.Dict | cst.Call):
                yield from (value for value in _inside(part.value) if value is not part.value)
            case cst.Subscript(value=cst.Name(value=target)) if target == name:
                yield from _inside(part.value)
            case _:
                pass


def _inside(node: cst.BaseExpression) -> Iterator[cst.BaseExpression]:
    match node:
        case cst.Dict(elements=elements):
            for element in elements:
                yield from _inside(element.value)
        case cst.Call(func=cst.Name(value="dict"), args=arguments):
            for argument in arguments:
                yield from _inside(argument.value)
        case _:
            yield node


def is_detached_by_framework(source: SourceFile, scope: Scope) -> bool:
    """Whether the function belongs to a class whose framework detaches what it is given to log."""
    interpreter = source.ask(values).interpreter
    owner = interpreter.hierarchy.class_around(scope)
    return owner is not None and "ightning" in (interpreter.hierarchy.outer_base(owner) or "")
