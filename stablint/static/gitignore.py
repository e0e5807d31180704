"""What .gitignore files leave out; git itself is never run: a repository's configuration can run code."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

SIZE_LIMIT = 1_000_000
"""Bytes of a .gitignore that are read; nobody writes as many."""


@dataclass(frozen=True, slots=True)
class Ignores:
    """The .gitignore files that hold in a folder, the closest first."""

    specs: tuple[tuple[str, GitIgnoreSpec], ...]
    """Each with the folder that it stands in."""
    warnings: list[str]

    def within(self, folder: str) -> Ignores:
        """Return what holds in a folder further down that has a .gitignore of its own."""
        spec = _read(os.path.join(folder, ".gitignore"), self.warnings)
        return self if spec is None else Ignores(((folder, spec), *self.specs), self.warnings)

    def ignore(self, path: str, is_folder: bool) -> bool:
        """Say whether a path is left out: the closest file that has a word about it decides."""
        for folder, spec in self.specs:
            relative = os.path.relpath(path, folder).replace(os.sep, "/") + "/" * is_folder
            decision = spec.check_file(relative).include
            if decision is not None:
                return decision
        return False


def ignores_above(folder: str, warnings: list[str]) -> Ignores:
    """Return what holds in a folder because of the folders above it, as far as the root of its repository."""
    above: list[str] = []
    here = folder
    while not os.path.lexists(os.path.join(here, ".git")):
        parent = os.path.dirname(here)
        if parent == here:
            return Ignores((), warnings)  # no repository: what lies above has no say
        above.append(here := parent)
    ignores = Ignores((), warnings)
    for each in reversed(above):
        ignores = ignores.within(each)
    return ignores


def _read(path: str, warnings: list[str]) -> GitIgnoreSpec | None:
    from pathspec import GitIgnoreSpec

    if not os.path.isfile(path):  # a pipe of that name would hang the run
        return None
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read(SIZE_LIMIT).splitlines()
    except OSError as error:
        warnings.append(f"{os.path.relpath(path)}: not read: {error.strerror}")
        return None
    try:
        return GitIgnoreSpec.from_lines(lines)
    except Exception:  # pathspec raises what its patterns happen to run into
        return GitIgnoreSpec.from_lines(_without_odd(lines, path, warnings))


def _without_odd(lines: list[str], path: str, warnings: list[str]) -> list[str]:
    from pathspec import GitIgnoreSpec

    good: list[str] = []
    for number, line in enumerate(lines, start=1):
        try:
            GitIgnoreSpec.from_lines([line])
        except Exception:
            warnings.append(f"{os.path.relpath(path)}:{number}: this pattern is not understood")
        else:
            good.append(line)
    return good
