"""The nn.Module classes of a file, and what their attributes hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stablint.static.facts.evaluation import values
from stablint.static.facts.scopes import Binding, Scope, syntax
from stablint.static.facts.terms import Reference, Term
from stablint.static.interpret.interpreter import Interpreter
from stablint.static.interpret.methods import first_parameter, is_static

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What an attribute holds when a method that sets it is done; `lines` are those that assign it."""

    name: str
    term: Term
    method: Scope
    lines: tuple[Binding, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A class of the file that is an nn.Module, or very likely one."""

    scope: Scope
    is_certain: bool
    """Whether a base is known to be a module; else it has a `forward`, and a base of which nothing is known."""
    is_open: bool
    """Whether a base is not known: it may bring attributes and methods."""
    attributes: Mapping[str, tuple[Held, ...]] = field(repr=False, default_factory=dict)
    """What its own methods put into attributes."""

    @property
    def held(self) -> Iterator[Held]:
        """Yield everything that the attributes hold."""
        for each in self.attributes.values():
            yield from each


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """The models of a file."""

    by_class: Mapping[Scope, Model]
    interpreter: Interpreter = field(repr=False)
    _imported: dict[Scope, Model | None] = field(repr=False, default_factory=dict)

    def of(self, scope: Scope | None) -> Model | None:
        """Return the model that a class is, of this file or of one that it imports."""
        if scope is None or scope in self.by_class:
            return None if scope is None else self.by_class[scope]
        if scope not in self._imported:
            home = self.interpreter.home(scope)
            self._imported[scope] = _model(home, scope) if home is not self.interpreter else None
        return self._imported[scope]

    def around(self, scope: Scope | None) -> Model | None:
        """Return the model whose method a scope is, or stands in."""
        while scope is not None:
            model = self.of(scope) if scope.kind == "class" else None
            if model is not None:
                return model
            scope = scope.parent
        return None

    def family(self, model: Model) -> list[Model]:
        """Return a model with the models of the file that it inherits from, or that inherit from it."""
        lineage = list(self.interpreter.hierarchy.lineage(model.scope))
        above = [other for scope in lineage if (other := self.of(scope)) is not None]
        return above + [
            other
            for scope, other in self.by_class.items()
            if scope not in lineage and model.scope in self.interpreter.hierarchy.lineage(scope)
        ]


def models(source: SourceFile) -> Models:
    """Find the classes that are modules, with their attributes."""
    interpreter = source.ask(values).interpreter
    found = {scope: _model(interpreter, scope) for scope in source.ask(syntax).classes}
    return Models({scope: model for scope, model in found.items() if model is not None}, interpreter)


def _model(interpreter: Interpreter, scope: Scope) -> Model | None:
    certain = interpreter.hierarchy.is_module_class(scope)
    is_open = any(not isinstance(base, Reference) for base in interpreter.hierarchy.outer_bases(scope))
    is_open = is_open or (not certain and _is_from_elsewhere(interpreter, scope))
    if not certain and not (is_open and interpreter.hierarchy.method_of(scope, "forward") is not None):
        return None
    return Model(scope, certain, is_open, _attributes(interpreter, scope))


def _is_from_elsewhere(interpreter: Interpreter, scope: Scope) -> bool:
    """Whether a class inherits from something imported, of which only the name is known."""
    return any(
        isinstance(base, Reference) and not base.dotted.startswith(_KNOWN)
        for base in interpreter.hierarchy.outer_bases(scope)
    )


_KNOWN = ("builtins.", "torch.", "typing.", "abc.", "enum.", "collections.", "dataclasses.")


def _attributes(interpreter: Interpreter, scope: Scope) -> dict[str, tuple[Held, ...]]:
    found: dict[str, tuple[Held, ...]] = {}
    for method in scope.children:
        own = first_parameter(method)
        outcome = interpreter.outcome(method) if method.kind == "function" and not is_static(method) else None
        if outcome is None or not own:
            continue
        for path, term in outcome.env.items():
            base, _, name = path.partition(".")
            if base == own and name.isidentifier():
                held = Held(name, term, method, tuple(method.writes.get(path, ())))
                found[name] = (*found.get(name, ()), held)
    return found


def receiver_name(scope: Scope | None) -> str | None:
    """Return what `self` is called where code of a method stands; None outside of methods."""
    while scope is not None:
        if scope.owner is not None:
            return first_parameter(scope) or None if not is_static(scope) else None
        scope = scope.parent
    return None
