"""The classes of a file: what they inherit, which function a method name is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.scopes import Scope
from stablint.static.facts.terms import ClassObject, Reference, Term, Unknown
from stablint.static.interpret.expressions import attribute
from stablint.static.interpret.frame import Frame
from stablint.static.interpret.methods import function_in
from stablint.static.nodes import dotted_name
from stablint.static.torch_api import MODULE_BASES, is_module, kind

if TYPE_CHECKING:
    from stablint.static.interpret.interpreter import Interpreter


class Hierarchy:
    """Answers what classes of the file inherit; bases are resolved where the class is defined."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter
        self._bases: dict[Scope, list[Term]] = {}

    def class_around(self, scope: Scope | None) -> Scope | None:
        """Return the class whose method a scope is, or stands in."""
        while scope is not None:
            if scope.owner is not None and scope.kind != "class":
                return scope.owner
            scope = scope.parent
        return None

    def bases(self, scope: Scope) -> list[Term]:
        """Return what the bases of a class are: ClassObject, Reference, or unknown."""
        node = scope.node
        assert isinstance(node, cst.ClassDef)
        home = self.interpreter.home(scope)
        if home is not self.interpreter:
            return home.hierarchy.bases(scope)
        if scope in self._bases:
            return self._bases[scope]
        frame = Frame(scope.parent or self.interpreter.syntax.module)
        found = [self._base(argument.value, frame) for argument in node.bases]
        if scope.top in self.interpreter.outcomes:  # until the module has run, a base may not be known yet
            self._bases[scope] = found
        return found

    def _base(self, node: cst.BaseExpression, frame: Frame) -> Term:
        if isinstance(node, cst.Name):
            return self.interpreter.outer_name(node.value, frame, node)
        if isinstance(node, cst.Attribute):
            dotted = dotted_name(node)
            top = self.interpreter.outer_name(dotted.split(".")[0], frame, node) if dotted else Unknown(node)
            for name in dotted.split(".")[1:]:
                top = (
                    attribute(self.interpreter, top, name, node)
                    if isinstance(top, Reference)
                    else Unknown(node)
                )
            return top
        if isinstance(node, cst.Subscript):  # Generic[T]
            return self._base(node.value, frame)
        return Unknown(node)

    def lineage(self, scope: Scope) -> Iterator[Scope]:
        """Yield a class and the classes of the file that it inherits from, nearest first."""
        seen: set[Scope] = set()
        queue = [scope]
        while queue:
            current = queue.pop(0)
            if current in seen:
                continue
            seen.add(current)
            yield current
            queue.extend(base.scope for base in self.bases(current) if isinstance(base, ClassObject))

    def outer_bases(self, scope: Scope) -> list[Term]:
        """Return the bases of a class and of its ancestors that are not classes of the file."""
        return [
            base
            for one in self.lineage(scope)
            for base in self.bases(one)
            if not isinstance(base, ClassObject)
        ]

    def outer_base(self, scope: Scope) -> str | None:
        """Return the first base from outside."""
        return next((base.dotted for base in self.outer_bases(scope) if isinstance(base, Reference)), None)

    def is_module_class(self, scope: Scope) -> bool:
        """Whether a class of the file is certainly an nn.Module."""
        return any(
            isinstance(base, Reference) and is_module_name(base.dotted) for base in self.outer_bases(scope)
        )

    def method_of(self, scope: Scope, name: str) -> Scope | None:
        """Return the function that a class of the file or its bases in the file define under a name."""
        for one in self.lineage(scope):
            found = function_in(one, name)
            if found is not None:
                return found
        return None

    def inherited_method(self, scope: Scope, name: str) -> Scope | None:
        """Return the function that `super().name` is, where it is in the file."""
        for one in list(self.lineage(scope))[1:]:
            found = function_in(one, name)
            if found is not None:
                return found
        return None


def is_module_name(dotted: str) -> bool:
    """Whether a dotted name is nn.Module, a layer, or the module class of a framework."""
    return is_module(dotted) or kind(dotted) in ("module", "loss") or dotted in MODULE_BASES
