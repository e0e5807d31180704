"""Whether code asks which mode its module is in, before something runs that belongs to training only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.guards import tests
from stablint.static.facts.scopes import Scope, syntax
from stablint.static.facts.terms import Attribute, Parameter, Term, Unknown, within

if TYPE_CHECKING:
    from stablint.static.source import SourceFile

_MODE = re.compile(r"train|eval|infer|deterministic|mc_?drop", re.IGNORECASE)
"""How flags are called that say whether a model is being trained."""


def names_a_mode(text: str) -> bool:
    """Whether a piece of code names a flag of the mode."""
    return _MODE.search(text) is not None


def is_of_mode(term: Term) -> bool:
    """Whether a value is made of such a flag: `self.p * self.training`."""
    for part in within(term):
        match part:
            case Attribute(name=name) | Parameter(name=name) | Unknown(label=name) if names_a_mode(name):
                return True
            case _:
                pass
    return False


def is_asked(source: SourceFile, node: cst.CSTNode, statement: cst.CSTNode | None, scope: Scope) -> bool:
    """Whether a place runs only after the mode was asked: in a test, after a return, or where it is called from."""
    if _is_asked_here(source, node, statement):
        return True
    calls = source.ask(syntax).calls.get(scope.name, ()) if scope.kind == "function" else ()
    return bool(calls) and all(_is_asked_here(source, call.node, call.statement) for call in calls)


def _is_asked_here(source: SourceFile, node: cst.CSTNode, statement: cst.CSTNode | None) -> bool:
    return any(names_a_mode(source.code(test)) for test, _ in tests(source, node, statement))
