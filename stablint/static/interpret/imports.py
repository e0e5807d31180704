"""What is imported from other files of the project: classes and functions as they are defined there, values as left.

What cannot be followed (a file that is not there, a circle, two answers) stays a reference to something unknown.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from stablint.static.facts.terms import ClassObject, Closure, Constant, Display, Reference, Term, Unknown
from stablint.static.project.cycles import CircleError
from stablint.static.torch_api import MODULE_BASES, canonical, kind, signature

if TYPE_CHECKING:
    from stablint.static.facts.scopes import Scope
    from stablint.static.interpret.interpreter import Interpreter
    from stablint.static.project.modules import Module
    from stablint.static.project.project import Project
    from stablint.static.source import SourceFile


def imported(interpreter: Interpreter, dotted: str) -> Term | None:
    """Return what an import of this file binds; None where it does not lead into the project."""
    if interpreter.project is None or is_known(dotted):
        return None
    module, names = _begun(interpreter, dotted)
    return _follow(interpreter, module, names, dotted)


def _begun(interpreter: Interpreter, dotted: str) -> tuple[Module | None, list[str]]:
    """Return the module that a dotted name begins with, and the names that follow."""
    project = interpreter.project
    assert project is not None
    dots, *names = re.findall(r"^\.*|[^.]+", dotted)
    if dots:
        return project.relative(interpreter.source, len(dots)), names
    return (project.top(interpreter.source, names[0]) if names else None), names[1:]


def of_module(interpreter: Interpreter, reference: Reference, name: str) -> Term | None:
    """Return what `module.name` is, for a module of the project."""
    if reference.module is None or interpreter.project is None or is_known(f"{reference.dotted}.{name}"):
        return None
    return _follow(interpreter, reference.module, [name], f"{reference.dotted}.{name}")


def is_known(dotted: str) -> bool:
    """Whether the tables say what a name is: in the repository of a framework, its own classes too."""
    return dotted.split(".")[0] == "torch" or dotted in MODULE_BASES or kind(dotted) is not None


def _follow(interpreter: Interpreter, module: Module | None, names: list[str], dotted: str) -> Term | None:
    """Go from a module to those inside it; only the last name may be something else that is bound there."""
    project = interpreter.project
    assert project is not None
    if names:
        module = _inside(interpreter.source, module, names[:-1])
    if names and module is not None:
        held = _exported(interpreter.source, module, names[-1])
        if held is not None:
            return None if isinstance(held, Unknown) else held
        module = project.submodule(interpreter.source, module, names[-1])
    return Reference(canonical(dotted), module=module) if module is not None else None


def _inside(importer: SourceFile, module: Module | None, names: list[str]) -> Module | None:
    project = importer.project
    assert project is not None
    for name in names:
        module = project.submodule(importer, module, name) if module is not None else None
    return module


def _interpreter_of(source: SourceFile) -> Interpreter:
    from stablint.static.interpret.interpreter import interpretation

    return source.ask(interpretation)


def _exported(importer: SourceFile, module: Module, name: str) -> Term | None:
    """Return what a name holds in a module; None where it binds no such name, unknown where nobody knows what."""
    project = importer.project
    source = project.open(importer, module) if project is not None else None
    if project is None or source is None or module.path is None:
        return None
    key = (module.path, name)
    if key in project.cycles.running:
        if project.submodule(importer, module, name) is not None:
            return None  # `from . import net` in a package that binds the name by nothing else
        raise CircleError(key)
    try:
        if key not in project.exported:
            _find(project, source, key)
    finally:
        project.ways.took(importer, key)
    return project.exported[key]


def _find(project: Project, source: SourceFile, key: tuple[str, str]) -> None:
    circle: CircleError | None = None
    outer = project.ways.begin(key)
    project.cycles.running.append(key)
    try:
        found = _bound(_interpreter_of(source), key[1])
    except CircleError as met:
        circle, found = met, Unknown(None, key[1])
    finally:
        project.cycles.running.pop()
        project.ways.go_back(outer)
    project.exported[key] = found
    if circle is not None and circle.at != key:
        raise circle


def _bound(interpreter: Interpreter, name: str) -> Term | None:
    """Return what a name holds in the module of an interpreter, by itself or by a star."""
    held = _held(interpreter, name)
    if held is None and "*" in interpreter.syntax.module.bindings:
        held = _brought(interpreter, name, set())
    return held


def _held(interpreter: Interpreter, name: str) -> Term | None:
    scope = interpreter.syntax.module
    bindings = scope.bindings.get(name, [])
    if not bindings:
        return None
    if len(bindings) == 1:
        only = bindings[0]
        if only.kind == "class":
            return ClassObject(interpreter.scope_of(only.node))
        if only.kind == "def":
            return Closure(interpreter.scope_of(only.node))
        if only.kind == "import":
            return (
                _imported_again(interpreter, only.dotted) if only.dotted is not None else Unknown(None, name)
            )
    return _left(interpreter, name)


def _left(interpreter: Interpreter, name: str) -> Term:
    """Return what a name holds when the module has run.

    The module remembers it, for all who ask: where its imports lead is noted with it, not on the way of the first.
    """
    project = interpreter.project
    assert project is not None
    way = project.ways.leave()
    try:
        return interpreter.value_in_module(name)
    finally:
        project.ways.go_back(way)


def _imported_again(interpreter: Interpreter, dotted: str) -> Term:
    """Return what a name holds that a module only passes on."""
    return imported(interpreter, dotted) or interpreter.reference(dotted)


def starred(interpreter: Interpreter, name: str) -> Term | None:
    """Return what a name holds that `from .net import *` brings; None where that is not certain."""
    if interpreter.project is None or "*" not in interpreter.syntax.module.bindings:
        return None
    brought = _brought(interpreter, name, set())
    return None if isinstance(brought, Unknown) else brought


def _brought(interpreter: Interpreter, name: str, seen: set[Scope]) -> Term | None:
    """Return what the last star that brings a name brings; unknown where there is one that may.

    Stars that go round in a circle are gone through once from each module, so that it does not matter where one begins.
    """
    seen.add(interpreter.syntax.module)
    found: Term | None = None
    for binding in interpreter.syntax.module.bindings.get("*", ()):
        brought = _by_star(interpreter, binding.dotted or "", name, seen)
        if brought is None:
            continue
        _, block = interpreter.syntax.blocks.get(binding.node, (None, None))
        is_certain = block is None or found is None
        found = brought if is_certain else Unknown(None, name)
    return found


def _by_star(interpreter: Interpreter, dotted: str, name: str, seen: set[Scope]) -> Term | None:
    """Return what one star brings under a name; None where it brings none."""
    package = dotted.split(".")[0]
    if package == "torch":
        whole = canonical(f"{dotted}.{name}")
        return Unknown(None, name) if kind(whole) or signature(whole) else None
    project = interpreter.project
    assert project is not None
    module = _inside(interpreter.source, *_begun(interpreter, dotted))
    source = project.open(interpreter.source, module) if module is not None else None
    if source is None:
        return None if package in sys.stdlib_module_names else Unknown(None, name)
    other = _interpreter_of(source)
    if other.syntax.module in seen or not _is_public(other, name):
        return None
    held = _held(other, name)
    return held if held is not None else _brought(other, name, seen)


def _is_public(interpreter: Interpreter, name: str) -> bool:
    """Whether a star import brings a name: what `__all__` lists, where it is a plain list."""
    listed = interpreter.syntax.module.bindings.get("__all__", [])
    if len(listed) == 1 and listed[0].value is not None:
        held = _left(interpreter, "__all__")
        if isinstance(held, Display):
            return any(isinstance(one, Constant) and one.value == name for one in held.items)
    return not name.startswith("_")
