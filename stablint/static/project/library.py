"""The files that were read and parsed, kept while there is room: many files import the same ones."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stablint.static.source import SourceFile

ROOM = 3_000_000
"""Bytes of source text whose trees are kept; a tree takes some hundred times as much memory as its text."""
LARGEST = 400_000
"""A larger file is data or generated: what it defines is unknown."""

Entries = Mapping[str, bool]
"""The names in a folder; True for a folder."""
Listing = Callable[[str], Entries]
Read = Callable[[str], bytes]
"""Returns what is in a file; raises OSError, or whatever else, where it cannot be read."""


def folder_listing(folder: str) -> Entries:
    """List a folder of the disk; one that cannot be listed is empty."""
    try:
        with os.scandir(folder or os.curdir) as found:
            return {entry.name: entry.is_dir() for entry in found}
    except OSError:
        return {}


class Library:
    """Reads and parses each file once, however many others import it."""

    def __init__(self, read: Read, listing: Listing = folder_listing, room: int = ROOM) -> None:
        self._read = read
        self._listing = listing
        self._folders: dict[str, Entries] = {}
        self._room = room
        self._kept: OrderedDict[str, SourceFile] = OrderedDict()
        self._bytes = 0

    def entries(self, folder: str) -> Entries:
        """Return the names in a folder, and whether each is a folder; they are listed once."""
        known = self._folders.get(folder)
        if known is None:
            known = self._folders[folder] = self._listing(folder)
        return known

    def has_file(self, path: str) -> bool:
        """Whether there is a file."""
        folder, name = os.path.split(path)
        return self.entries(folder).get(name) is False

    def has_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        folder, name = os.path.split(path)
        return self.entries(folder).get(name) is True

    def open(self, path: str) -> SourceFile | None:
        """Return a file that can be parsed, else None."""
        kept = self._kept.get(path)
        if kept is not None:
            self._kept.move_to_end(path)
            return kept
        from stablint.static.source import SourceFile  # late: it brings libcst

        try:
            data = self._read(path)
            if len(data) > LARGEST:
                return None
            source = SourceFile(path, data)
            _ = source.tree
        except Exception:  # whatever is wrong with it is said where it is checked
            return None
        self.keep(source)
        return source

    def same(self, path: str, data: bytes) -> SourceFile | None:
        """Return the kept file of this name where it has this content."""
        kept = self._kept.get(path)
        return kept if kept is not None and kept.data == data else None

    def keep(self, source: SourceFile) -> None:
        """Keep a parsed file, and let go of those that nobody asked for longest."""
        old = self._kept.pop(source.path, None)
        if old is not None:
            self._bytes -= len(old.data)
        self._kept[source.path] = source
        self._bytes += len(source.data)
        while self._bytes > self._room and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= len(gone.data)


def digest(data: bytes) -> str:
    """Return what tells one content of a file from another."""
    return blake2b(data, digest_size=16).hexdigest()
