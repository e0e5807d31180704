"""What is in the folders of a project: each is listed once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

Entries = Mapping[str, bool]
"""The names in a folder; True for a folder."""
Listing = Callable[[str], Entries]


def folder_listing(folder: str) -> Entries:
    """List a folder of the disk; one that cannot be listed is empty."""
    try:
        with os.scandir(folder or os.curdir) as found:
            return {entry.name: entry.is_dir() for entry in found}
    except OSError:
        return {}


class Folders:
    """Answers whether a file or folder is there."""

    def __init__(self, listing: Listing = folder_listing) -> None:
        self._listing = listing
        self._known: dict[str, Entries] = {}

    def entries(self, folder: str) -> Entries:
        """Return the names in a folder, and whether each is a folder."""
        known = self._known.get(folder)
        if known is None:
            known = self._known[folder] = self._listing(folder)
        return known

    def has_file(self, path: str) -> bool:
        """Whether there is a file."""
        folder, name = os.path.split(path)
        return self.entries(folder).get(name) is False

    def has_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        folder, name = os.path.split(path)
        return self.entries(folder).get(name) is True
