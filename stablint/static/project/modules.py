"""Where an import leads: a dotted name, seen from a file, to a file or folder of the project."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stablint.static.project.library import Library

MARKS = (".git", ".hg", "pyproject.toml", "setup.py", "setup.cfg", "tox.ini")
"""What stands at the top of a project."""
_MOST_LEVELS = 12


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the project: its file (None for a folder without `__init__.py`), and the folder of its submodules."""

    path: str | None
    folder: str | None


def submodule(library: Library, module: Module, name: str) -> Module | None:
    """Return the module that stands under a name inside a package."""
    return _in_folder(library, module.folder, name) if module.folder is not None else None


def _in_folder(library: Library, folder: str, name: str) -> Module | None:
    path = os.path.join(folder, name)
    init = os.path.join(path, "__init__.py")
    if library.has_file(init):
        return Module(init, path)
    if library.has_file(f"{path}.py"):
        return Module(f"{path}.py", None)
    return Module(None, path) if library.has_folder(path) else None


def relative(path: str, level: int) -> Module:
    """Return the package that `level` leading dots mean in a file."""
    folder = os.path.dirname(path)
    for _ in range(level - 1):
        folder = os.path.dirname(folder) or os.path.join(folder, os.pardir)
    return Module(os.path.join(folder, "__init__.py"), folder)


def top(library: Library, path: str, name: str, roots: tuple[str, ...] = ()) -> Module | None:
    """Return the module that `import name` means in a file, where that is certain.

    A script finds what stands beside it.  Everything else is looked for in the folders above, up to the top of the
    project, and in the `src` folder of each; two different answers are none.
    """
    own = os.path.dirname(path)
    if not library.has_file(os.path.join(own, "__init__.py")):
        beside = _in_folder(library, own, name)
        if beside is not None and (beside.path is not None or _holds_code(library, beside)):
            return beside
    if name in sys.stdlib_module_names:
        return None
    found: list[Module] = []
    for folder in (*roots, *_above(library, own)):
        module = _in_folder(library, folder, name)
        if module is not None and module not in found:
            found.append(module)
    certain = [module for module in found if module.path is not None] or found
    return certain[0] if len(certain) == 1 else None


def _holds_code(library: Library, module: Module) -> bool:
    """Whether a folder without `__init__.py` may be meant by an import: it is no folder of data."""
    return module.folder is not None and any(
        name.endswith(".py") for name, is_folder in library.entries(module.folder).items() if not is_folder
    )


def _above(library: Library, own: str) -> list[str]:
    """Return the folders from which packages may be imported: outside of the package that a file is in, up to the top."""
    folder = own
    while library.has_file(os.path.join(folder, "__init__.py")) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    found: list[str] = []
    candidate = folder
    for _ in range(_MOST_LEVELS):
        found.append(candidate)
        if not library.entries(candidate).keys().isdisjoint(MARKS):
            break
        above = os.path.dirname(candidate)
        if above == candidate or not above:
            found = found[:1]  # no top was found: all that is certain is the folder of the package itself
            break
        candidate = above
    else:
        found = found[:1]
    return [one for folder in found for one in (folder, os.path.join(folder, "src"))]
