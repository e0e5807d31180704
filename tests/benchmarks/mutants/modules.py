"""Which file of a repository defines what another one imports."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator
from pathlib import PurePosixPath

from mutants.text import Text

DEEPEST = 3
"""So many files may pass a name on."""


class Modules:
    """The files of a corpus, found by the names under which they import each other."""

    def __init__(self, paths: Collection[str], read: Callable[[str], bytes]) -> None:
        self._paths = frozenset(paths)
        self._read = read
        self._texts: dict[str, Text | None] = {}

    def class_of(self, text: Text, name: str, depth: int = DEEPEST) -> tuple[Text, ast.ClassDef] | None:
        """Return the class that an imported name stands for, with the file that defines it."""
        for node in text.tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return text, node
        head, _, rest = name.partition(".")
        for other, inside in self._meant(text, head) if depth else ():
            whole = ".".join(filter(None, (inside, rest)))
            if whole and (found := self.class_of(other, whole, depth - 1)) is not None:
                return found
        return None

    def _meant(self, text: Text, name: str) -> Iterator[tuple[Text, str]]:
        """Yield the file that a name comes from, with its name there; none for the file itself."""
        for node in ast.walk(text.tree):
            for each in node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else ():
                if (each.asname or each.name) != name:
                    continue
                level = node.level if isinstance(node, ast.ImportFrom) else 0
                within = node.module or "" if isinstance(node, ast.ImportFrom) else ""
                whole = ".".join(filter(None, (within, each.name)))
                if (other := self._module(text, whole, level)) is not None:
                    yield other, ""
                elif (
                    isinstance(node, ast.ImportFrom)
                    and (other := self._module(text, within, level)) is not None
                ):
                    yield other, each.name

    def _module(self, text: Text, dotted: str, level: int) -> Text | None:
        for folder in _folders(text.path, level):
            stem = folder.joinpath(*filter(None, dotted.split("."))).as_posix()
            for path in (f"{stem}.py", f"{stem}/__init__.py"):
                if path in self._paths:
                    return self._text(path)
        return None

    def _text(self, path: str) -> Text | None:
        if path not in self._texts:
            try:
                self._texts[path] = Text(path, self._read(path))
            except (SyntaxError, ValueError):
                self._texts[path] = None
        return self._texts[path]


def _folders(path: str, level: int) -> Iterator[PurePosixPath]:
    """Yield where a module may stand: the folder that dots mean, or the file's own and those above it."""
    above = PurePosixPath(path).parents
    if level:
        yield above[level - 1]
    else:
        yield from list(above)[:-1]  # the last one holds the repositories
