"""The files of a project as those that import them see them: parsed once, interpreted as far as anybody asks."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from stablint.static.project import modules
from stablint.static.project.cycles import Cycles
from stablint.static.project.folders import Folders, Listing, folder_listing
from stablint.static.project.modules import Module
from stablint.static.project.ways import Ways
from stablint.static.result import Link, digest

if TYPE_CHECKING:
    from stablint.static.facts.scopes import Scope
    from stablint.static.facts.terms import Term
    from stablint.static.source import SourceFile

Read = Callable[[str], bytes]
"""Returns what is in a file; raises where it cannot be read."""

ROOM = 4_000_000
"""Bytes of source text that are kept with their trees, which take some hundred times as much memory."""
LARGEST = 400_000
"""A larger file is data or generated: what it defines is unknown."""


class Project:
    """The files that others import.

    A file that is checked is interpreted for itself and asks these for what it imports; they know nothing of it.  So
    what is found in it depends on its text and theirs, and not on which files were checked before.
    """

    def __init__(
        self, read: Read, listing: Listing = folder_listing, roots: tuple[str, ...] = (), room: int = ROOM
    ) -> None:
        self.folders = Folders(listing)
        self.roots = tuple(os.path.abspath(root) for root in roots)
        self._read = read
        self._room = room
        self._forget()

    def _forget(self) -> None:
        self._bytes = 0
        self._originals: dict[str, SourceFile] = {}
        self._files: dict[str, SourceFile | None] = {}
        self._closed: dict[str, str] = {}
        """The digests of those that cannot be parsed; empty where one cannot even be read."""
        self._by_module: dict[Scope, SourceFile] = {}
        self.exported: dict[tuple[str, str], Term | None] = {}
        """What was found for a name of a module, by the path of its file."""
        self.ways = Ways()
        self._told: dict[str, tuple[int, int]] = {}
        self.cycles = Cycles()

    def adopt(self, source: SourceFile) -> None:
        """Let a file that is to be checked see the project, and share its tree with those that import it."""
        if self._bytes > self._room:
            self._make_room()
        source.project = self
        self._share(os.path.abspath(source.path), source)

    def _make_room(self) -> None:
        """Let go of the trees that nobody has imported yet; where that is not enough, begin anew."""
        self._originals = {path: one for path, one in self._originals.items() if path in self._files}
        self._bytes = sum(len(one.data) for one in self._originals.values())
        if self._bytes > self._room * 3 // 4:
            self._forget()
        gc.unfreeze()  # what was kept refers to itself in circles, and is garbage now

    def _share(self, path: str, source: SourceFile) -> None:
        """Use the tree of a file that was parsed already, or keep its own for those that come."""
        known = self._originals.get(path)
        if known is not None and known.data == source.data:
            source.original = known
            return
        original = self._originals[path] = source.as_original()
        source.original = original
        self._bytes += len(source.data)

    def top(self, importer: SourceFile, name: str) -> Module | None:
        """Return the module that `import name` means in a file."""
        self.folders.asked = importer.asked
        return modules.top(self.folders, os.path.abspath(importer.path), name, self.roots)

    def relative(self, importer: SourceFile, level: int) -> Module:
        """Return the package that leading dots mean in a file."""
        return modules.relative(os.path.abspath(importer.path), level)

    def submodule(self, importer: SourceFile, module: Module, name: str) -> Module | None:
        """Return the module that stands under a name inside a package."""
        self.folders.asked = importer.asked
        return modules.submodule(self.folders, module, name)

    def open(self, importer: SourceFile, module: Module) -> SourceFile | None:
        """Return the file of a module as its importers see it; None for one that cannot be parsed."""
        path = module.path
        if path is None:
            return None
        self.ways.noted(importer).add(path)
        if path not in self._files:
            self._files[path] = self._opened(path)
        return self._files[path]

    def _opened(self, path: str) -> SourceFile | None:
        from stablint.static.source import SourceFile  # late: it brings libcst

        self._closed[path] = ""
        try:
            data = self._read(path)
            self._closed[path] = digest(data)
            if len(data) > LARGEST:
                return None
            source = SourceFile(_shown(path), data)
            source.project = self
            source.is_imported = True
            self._share(path, source)
            _ = source.tree
        except Exception:  # whatever is wrong with it is said where it is checked
            return None
        del self._closed[path]
        return source

    def own_link(self, source: SourceFile) -> Link:
        """Return what the findings of a file rest on first: itself."""
        return _link(os.path.abspath(source.path), source)

    def links(self, source: SourceFile) -> tuple[Link, ...]:
        """Return the imported files that the findings of a file rest on, as far as they have not been told before."""
        told: list[Link] = []
        for path, one in self.behind(source).items():
            size = (len(one.led_to), len(one.asked)) if one is not None else (0, 0)
            if self._told.get(path) == size:
                continue
            self._told[path] = size
            told.append(Link(path, self._closed.get(path, ""), (), {}) if one is None else _link(path, one))
        return tuple(told)

    def belongs(self, module: Scope, source: SourceFile) -> None:
        """Note which imported file the scope of a module is of."""
        self._by_module[module] = source

    def file_of(self, scope: Scope) -> SourceFile:
        """Return the imported file that a scope is of."""
        return self._by_module[scope.top]

    def behind(self, source: SourceFile) -> dict[str, SourceFile | None]:
        """Return the files that what is known of a file rests on, by path; None for those that cannot be parsed."""
        found: dict[str, SourceFile | None] = {}
        ahead = list(source.led_to)
        while ahead:
            path = ahead.pop()
            if path not in found:
                other = found[path] = self._files.get(path)
                ahead.extend(other.led_to if other is not None else ())
        return found


def _link(path: str, source: SourceFile) -> Link:
    return Link(path, digest(source.data), tuple(sorted(source.led_to)), dict(source.asked))


def _shown(path: str) -> str:
    """Return a path as people write it: from the folder that they are in."""
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative
