"""Where an import leads: a dotted name, seen from a file, to a file or folder of the project."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stablint.static.project.folders import Folders

_MOST_LEVELS = 12


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the project: its file (None for a folder without `__init__.py`), and the folder of its submodules."""

    path: str | None
    folder: str | None


def submodule(folders: Folders, module: Module, name: str) -> Module | None:
    """Return the module that stands under a name inside a package."""
    return _in_folder(folders, module.folder, name) if module.folder is not None else None


def _in_folder(folders: Folders, folder: str, name: str) -> Module | None:
    path = os.path.join(folder, name)
    if not folders.has_name(path):
        return None
    init = os.path.join(path, "__init__.py")
    if folders.has_file(init):
        return Module(init, path)
    if folders.has_file(f"{path}.py"):
        return Module(f"{path}.py", None)
    return Module(None, path) if folders.has_folder(path) else None


def relative(path: str, level: int) -> Module:
    """Return the package that `level` leading dots mean in a file."""
    folder = os.path.dirname(path)
    for _ in range(level - 1):
        folder = os.path.dirname(folder) or os.path.join(folder, os.pardir)
    return Module(os.path.join(folder, "__init__.py"), folder)


def top(folders: Folders, path: str, name: str, roots: tuple[str, ...] = ()) -> Module | None:
    """Return the module that `import name` means in a file, where that is certain.

    A script finds what stands beside it.  Everything else is looked for in the folders above, up to the top of the
    project, and in the `src` folder of each; two different answers are none.
    """
    own = os.path.dirname(path)
    if not folders.has_file(os.path.join(own, "__init__.py")):
        beside = _in_folder(folders, own, name)
        if beside is not None and (beside.path is not None or folders.has_code(beside.folder or "")):
            return beside
    if name in sys.stdlib_module_names:
        return None
    found: list[Module] = []
    for folder in (*roots, *_above(folders, own)):
        module = _in_folder(folders, folder, name)
        if module is not None and module not in found:
            found.append(module)
    certain = [module for module in found if module.path is not None] or found
    return certain[0] if len(certain) == 1 else None


def _above(folders: Folders, own: str) -> list[str]:
    """Return the folders to import from: the one around the package that a file is in, and those above it."""
    folder = own
    while folders.has_file(os.path.join(folder, "__init__.py")) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    found: list[str] = []
    candidate = folder
    for _ in range(_MOST_LEVELS):
        found.append(candidate)
        if folders.is_top(candidate):
            break
        above = os.path.dirname(candidate)
        if above == candidate or not above:
            found = found[:1]  # no top was found: all that is certain is the folder of the package itself
            break
        candidate = above
    else:
        found = found[:1]
    sources = [os.path.join(folder, "src") for folder in found]
    return [*found, *(folder for folder in sources if folders.has_folder(folder))]
