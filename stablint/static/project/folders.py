"""What is in the folders of a project: each is listed once, and what was asked is remembered."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

Entries = Mapping[str, bool]
"""The names in a folder; True for a folder."""
Listing = Callable[[str], Entries]

MARKS = (".git", ".hg", "pyproject.toml", "setup.py", "setup.cfg", "tox.ini")
"""What stands at the top of a project."""


def folder_listing(folder: str) -> Entries:
    """List a folder of the disk; one that cannot be listed is empty."""
    try:
        with os.scandir(folder or os.curdir) as found:
            return {entry.name: entry.is_dir() for entry in found}
    except (OSError, ValueError):
        return {}


class Folders:
    """Answers questions about files and folders.

    A question is a word and a path in one string, so that a cache can ask it again: while the answers are the same,
    imports lead to where they led.
    """

    def __init__(self, listing: Listing = folder_listing) -> None:
        self._listing = listing
        self._known: dict[str, Entries] = {}
        self.asked: dict[str, bool] | None = None
        """Where questions and answers are noted."""

    def _entries(self, folder: str) -> Entries:
        known = self._known.get(folder)
        if known is None:
            known = self._known[folder] = self._listing(folder)
        return known

    def ask(self, question: str) -> bool:
        """Answer a question."""
        word, _, path = question.partition(" ")
        folder, name = os.path.split(path)
        match word:
            case "name":
                inside = self._entries(folder)
                answer = name in inside or f"{name}.py" in inside
            case "file":
                answer = self._entries(folder).get(name) is False
            case "folder":
                answer = self._entries(folder).get(name) is True
            case "code":
                inside = self._entries(path)
                answer = any(one.endswith(".py") for one, is_folder in inside.items() if not is_folder)
            case _:
                answer = not self._entries(path).keys().isdisjoint(MARKS)
        if self.asked is not None:
            self.asked[question] = answer
        return answer

    def has_name(self, path: str) -> bool:
        """Whether there is a folder of this name, or a Python file."""
        return self.ask(f"name {path}")

    def has_file(self, path: str) -> bool:
        """Whether there is a file."""
        return self.ask(f"file {path}")

    def has_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        return self.ask(f"folder {path}")

    def has_code(self, path: str) -> bool:
        """Whether there are Python files in a folder."""
        return self.ask(f"code {path}")

    def is_top(self, path: str) -> bool:
        """Whether a folder is the top of a project."""
        return self.ask(f"top {path}")
