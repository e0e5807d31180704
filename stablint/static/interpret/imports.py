"""What is imported from other files of the project: classes and functions as they are defined there, values as left.

What cannot be followed (a file that is not there, a circle, two answers) stays a reference to something unknown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stablint.static.facts.terms import ClassObject, Closure, Constant, Display, Reference, Term, Unknown
from stablint.static.torch_api import MODULE_BASES, canonical, kind

if TYPE_CHECKING:
    from stablint.static.interpret.interpreter import Interpreter
    from stablint.static.project.modules import Module
    from stablint.static.source import SourceFile


def imported(interpreter: Interpreter, dotted: str) -> Term | None:
    """Return what an import of this file binds; None where it does not lead into the project."""
    project = interpreter.project
    if project is None or is_known(dotted):
        return None
    dots, *names = re.findall(r"^\.*|[^.]+", dotted)
    if dots:
        module: Module | None = project.relative(interpreter.source, len(dots))
    else:
        module = project.top(interpreter.source, names.pop(0))
    return _follow(interpreter, module, names, dotted) if module is not None else None


def of_module(interpreter: Interpreter, reference: Reference, name: str) -> Term | None:
    """Return what `module.name` is, for a module of the project."""
    if reference.module is None or interpreter.project is None or is_known(f"{reference.dotted}.{name}"):
        return None
    return _follow(interpreter, reference.module, [name], f"{reference.dotted}.{name}")


def is_known(dotted: str) -> bool:
    """Whether the tables say what a name is: in the repository of a framework, its own classes too."""
    return dotted.startswith("torch.") or dotted in MODULE_BASES or kind(dotted) is not None


def _follow(interpreter: Interpreter, module: Module, names: list[str], dotted: str) -> Term | None:
    from stablint.static.interpret.expressions import attribute

    project = interpreter.project
    assert project is not None
    while names:
        name, *names = names
        held = _exported(interpreter.source, module, name)
        if held is None:
            inner = project.submodule(module, name)
            if inner is None:
                return None
            module = inner
            continue
        for more in names:
            held = attribute(interpreter, held, more, None)  # type: ignore[arg-type]
        return held
    return Reference(canonical(dotted), module=module)


def _interpreter_of(source: SourceFile) -> Interpreter:
    from stablint.static.interpret.interpreter import interpretation

    return source.ask(interpretation)


def _exported(importer: SourceFile, module: Module, name: str) -> Term | None:
    """Return what a name holds in a module; None where it binds no such name, or nobody knows what."""
    project = importer.project
    source = project.open(importer, module) if project is not None else None
    if project is None or source is None or module.path is None:
        return None
    key = (module.path, name)
    if key not in project.exported:
        project.exported[key] = None  # what imports that go round in a circle find
        interpreter = _interpreter_of(source)
        project.exported[key] = _held(interpreter, name) or starred(interpreter, name)
    return project.exported[key]


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
            return interpreter.bound_by_import(only.dotted) if only.dotted is not None else None
    held = interpreter.value_in_module(name)
    return None if isinstance(held, Unknown) else held


def starred(interpreter: Interpreter, name: str) -> Term | None:
    """Return what a name may hold that `from .net import *` brings; None where several modules may bring it."""
    project = interpreter.project
    if project is None or name.startswith("_"):
        return None
    found: list[Term] = []
    for binding in interpreter.syntax.module.bindings.get("*", ()):
        if binding.dotted is None:
            continue
        leads = interpreter.bound_by_import(binding.dotted)
        if not isinstance(leads, Reference) or leads.module is None:
            continue
        source = project.open(interpreter.source, leads.module)
        if source is None or source is interpreter.source or not _is_public(_interpreter_of(source), name):
            continue
        held = _exported(interpreter.source, leads.module, name)
        if held is not None:
            found.append(held)
    return found[-1] if found else None


def _is_public(interpreter: Interpreter, name: str) -> bool:
    """Whether a star import brings a name: what `__all__` lists, where it is a plain list."""
    listed = interpreter.syntax.module.bindings.get("__all__", [])
    if len(listed) != 1 or listed[0].value is None:
        return True
    held = interpreter.value_in_module("__all__")
    if not isinstance(held, Display):
        return True
    return any(isinstance(one, Constant) and one.value == name for one in held.items)
