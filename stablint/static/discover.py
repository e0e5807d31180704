"""Which files are to be checked: paths that the user named -> files, in order, none lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from stablint.settings.glob import compile_globs
from stablint.settings.settings import Settings
from stablint.static.gitignore import Ignores, ignores_above

SUFFIXES = (".py", ".ipynb")

SettingsOf = Callable[[str], Settings]
"""What holds in a folder, given by its absolute path."""


@dataclass(slots=True)
class Discovered:
    """The files to check, the named paths that do not exist, and what was odd on the way."""

    files: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Folder:
    """A folder to look into: `shown` is how its name is said, `absolute` how it is matched."""

    shown: str
    absolute: str
    ignores: Ignores


def discover(
    paths: Sequence[str], settings_of: SettingsOf, *, force_exclude: bool = False, given: bool = False
) -> Discovered:
    """Return the files that the paths mean, sorted, each once.

    `given` means that their contents are at hand: the paths are only names.

    A named file is checked whatever it is called; in folders those that are called Python or notebook.
    What cannot be read (a pipe, a dangling link, a folder without permission) is returned as well: whoever
    reads it will say so.  Nothing is opened here but .gitignore files.
    """
    found = Discovered()
    files: dict[str, str] = {}
    for path in paths:
        if not given and not os.path.lexists(path):
            found.missing.append(path)
        elif force_exclude and _excluded_with_parents(place_of(path), settings_of):
            continue
        elif not given and os.path.isdir(path):
            files = dict(_walk(path, settings_of, found.warnings)) | files
        else:
            files.setdefault(place_of(path), _shown(path))
    found.files = sorted(files.values())
    return found


def place_of(path: str) -> str:
    """Return the absolute path of a file in a folder whose own path holds no link."""
    folder, name = os.path.split(os.path.abspath(path) if _plain(path) else path)
    return os.path.join(os.path.realpath(folder), name)


def _plain(path: str) -> bool:
    """Say whether a path may be shortened: what `link/..` means, only the file system knows."""
    return ".." not in path.split(os.sep)


def _shown(path: str) -> str:
    return os.path.normpath(path) if _plain(path) else path


def _walk(path: str, settings_of: SettingsOf, warnings: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the files of a folder and all below it: place and name."""
    absolute = os.path.realpath(path)
    shown = _shown(path)
    # A stack, for folders may lie deeper in each other than Python's calls may.
    waiting = [Folder("" if shown == "." else shown, absolute, ignores_above(absolute, warnings))]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder.absolute) as entries:
                listed = list(entries)
        except OSError:
            yield folder.absolute, folder.shown or "."  # whoever reads it will say why it cannot be
            continue
        for entry in _kept(listed, folder, settings_of(folder.absolute)):
            place, shown = os.path.join(folder.absolute, entry.name), os.path.join(folder.shown, entry.name)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Folder(shown, place, folder.ignores))
            # Links to folders are not followed: they lead out, or round in circles.
            elif entry.name.endswith(SUFFIXES) and not (entry.is_symlink() and os.path.isdir(entry.path)):
                yield place, shown


def _kept(entries: list[os.DirEntry[str]], folder: Folder, settings: Settings) -> Iterator[os.DirEntry[str]]:
    """Leave out what the settings and .gitignore files exclude."""
    if any(entry.name == ".gitignore" for entry in entries):
        folder.ignores = folder.ignores.within(folder.absolute)
    for entry in entries:
        is_folder = entry.is_dir(follow_symlinks=False)
        if not is_folder and not entry.name.endswith(SUFFIXES):
            continue
        path = os.path.join(folder.absolute, entry.name)
        if _excluded(path, settings):
            continue
        if not settings.respect_gitignore or not folder.ignores.ignore(path, is_folder):
            yield entry


def _excluded(path: str, settings: Settings) -> bool:
    return compile_globs((*settings.exclude, *settings.extend_exclude)).match(path)


def _excluded_with_parents(path: str, settings_of: SettingsOf) -> bool:
    """Say whether a walk from the root of all would have been stopped on the way to `path`."""
    settings = settings_of(path if os.path.isdir(path) else os.path.dirname(path))
    while not _excluded(path, settings):
        parent = os.path.dirname(path)
        if parent == path:
            return False
        path = parent
    return True
