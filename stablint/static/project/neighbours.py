"""What one file sees of the others of its project, and what its findings depend on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stablint.static.project import modules
from stablint.static.project.library import Library
from stablint.static.project.modules import Module
from stablint.static.source import SourceFile

if TYPE_CHECKING:
    from stablint.static.facts.scopes import Scope
    from stablint.static.facts.terms import Term


class Neighbours:
    """The files that a file imports, and those that these import, as far as they are asked for.

    They are examined anew for every file, only their text and tree are shared: what is found in a file depends on
    nothing but the files that it leads to, in whatever order files are checked.
    """

    def __init__(self, library: Library, checked: SourceFile, roots: tuple[str, ...] = ()) -> None:
        self.library = library
        self.checked = checked
        self.roots = roots
        self.exported: dict[tuple[str, str], Term | None] = {}
        """What was found for a name of a module, by the path of its file."""
        self.opened: dict[str, SourceFile | None] = {}
        """The files that were asked for, by path; None for one that cannot be read."""
        self._by_module: dict[Scope, SourceFile] = {}
        self._absolute = os.path.isabs(checked.path)
        self._own = os.path.abspath(checked.path)

    def top(self, importer: SourceFile, name: str) -> Module | None:
        """Return the module that `import name` means in a file."""
        return modules.top(self.library, os.path.abspath(importer.path), name, self.roots)

    def relative(self, importer: SourceFile, level: int) -> Module:
        """Return the package that leading dots mean in a file."""
        return modules.relative(os.path.abspath(importer.path), level)

    def submodule(self, module: Module, name: str) -> Module | None:
        """Return the module that stands under a name inside a package."""
        return modules.submodule(self.library, module, name)

    def open(self, module: Module) -> SourceFile | None:
        """Return the file of a module as the checked file sees it."""
        path = module.path
        if path is None:
            return None
        if path == self._own:
            return self.checked
        if path not in self.opened:
            original = self.library.open(path)
            self.opened[path] = None if original is None else original.seen_by(self, self._shown(path))
        return self.opened[path]

    def belongs(self, module: Scope, source: SourceFile) -> None:
        """Note which file the scope of a module is of."""
        self._by_module[module] = source

    def file_of(self, scope: Scope) -> SourceFile:
        """Return the file that a scope is of."""
        return self._by_module[scope.top]

    def _shown(self, path: str) -> str:
        """Return a path as the user would write it, who has named the checked file."""
        return path if self._absolute else os.path.relpath(path)
