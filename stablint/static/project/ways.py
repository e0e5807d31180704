"""The files on the way from an import to what defines the name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stablint.static.source import SourceFile

Name = tuple[str, str]
"""The path of a module's file, and a name in it."""


class Ways:
    """Remembers with each name of a module which files one goes through to find it.

    Who imports a name through `__init__.py` rests on the file that defines it, not on all that the package brings.
    """

    def __init__(self) -> None:
        self._of: dict[Name, set[str]] = {}
        self._now: set[str] | None = None

    def begin(self, name: Name) -> set[str] | None:
        """Begin to follow a name; return the way to go back to."""
        outer, self._now = self._now, self._of.setdefault(name, set())
        return outer

    def leave(self) -> set[str] | None:
        """Begin to interpret a file: where its imports lead is noted with the file; return the way to go back to."""
        outer, self._now = self._now, None
        return outer

    def go_back(self, outer: set[str] | None) -> None:
        """Go back to a way."""
        self._now = outer

    def noted(self, importer: SourceFile) -> set[str]:
        """Return where the next file is to be noted: on the way, or with the file that imports it."""
        return self._now if self._now is not None else importer.led_to

    def took(self, importer: SourceFile, name: Name) -> None:
        """Note the files on the way to a name."""
        self.noted(importer).update(self._of.get(name, ()))
