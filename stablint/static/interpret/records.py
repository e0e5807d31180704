"""Classes whose constructor is made from their fields: dataclasses, named tuples, models of settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.scopes import Scope
from stablint.static.facts.terms import ClassObject, Constant, Instance, Reference, Term
from stablint.static.nodes import dotted_name

if TYPE_CHECKING:
    from stablint.static.interpret.interpreter import Interpreter

_DECORATORS = {"dataclass", "define", "frozen", "attrs", "s"}
_BASES = {"typing.NamedTuple", "pydantic.BaseModel", "msgspec.Struct"}


def is_record(interpreter: Interpreter, scope: Scope) -> bool:
    """Whether a class has no constructor of its own, but one made from its fields."""
    known = interpreter.records.get(scope)
    if known is None:
        known = interpreter.records[scope] = _is_record(interpreter, scope)
    return known


def _is_record(interpreter: Interpreter, scope: Scope) -> bool:
    if interpreter.hierarchy.method_of(scope, "__init__") is not None:
        return False
    for one in interpreter.hierarchy.lineage(scope):
        if any(_decorates(decorator) for decorator in one.decorators):
            return True
    return any(
        isinstance(base, Reference) and base.dotted in _BASES
        for base in interpreter.hierarchy.outer_bases(scope)
    )


def _decorates(decorator: cst.Decorator) -> bool:
    called = decorator.decorator
    name = dotted_name(called.func if isinstance(called, cst.Call) else called)
    return name.rsplit(".", 1)[-1] in _DECORATORS


def fields(interpreter: Interpreter, scope: Scope) -> list[str]:
    """Return the names of the fields, in the order of the constructor: those of bases first."""
    found: list[str] = []
    for one in reversed(list(interpreter.hierarchy.lineage(scope))):
        found += [name for name in _annotated(one) if name not in found]
    return found


def _annotated(scope: Scope) -> Iterator[str]:
    body = scope.node.body.body if isinstance(scope.node, cst.ClassDef) else ()
    for line in body:
        for part in line.body if isinstance(line, cst.SimpleStatementLine) else ():
            if isinstance(part, cst.AnnAssign) and isinstance(part.target, cst.Name):
                yield part.target.value


def given_field(interpreter: Interpreter, base: Instance, name: str) -> Term | None:
    """Return what a field was given when the object was made; None where it has its default."""
    if name in base.keywords:
        return base.keywords[name]
    assert base.scope is not None
    names = fields(interpreter, base.scope)
    place = names.index(name) if name in names else len(base.positional)
    return base.positional[place] if place < len(base.positional) else None


def field_at(interpreter: Interpreter, base: Instance, key: Term) -> str | None:
    """Return the name of the field that an index of a named tuple means."""
    assert base.scope is not None
    names = fields(interpreter, base.scope)
    if isinstance(key, Constant) and isinstance(key.value, int) and -len(names) <= key.value < len(names):
        return names[key.value]
    return None


def is_field(interpreter: Interpreter, held_by: Term, name: str) -> bool:
    """Whether a name is a field of a record."""
    scope = getattr(held_by, "scope", None)
    return (
        scope is not None
        and not isinstance(held_by, ClassObject)
        and is_record(interpreter, scope)
        and name in fields(interpreter, scope)
    )
