"""Everything that can be configured, with its default."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Format = Literal["full", "concise", "json", "sarif", "github"]
Gate = Literal["error", "warning"]

EXCLUDED = (
    ".bzr",
    ".direnv",
    ".eggs",
    ".git",
    ".git-rewrite",
    ".hg",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".nox",
    ".pants.d",
    ".pyenv",
    ".pytest_cache",
    ".pytype",
    ".ruff_cache",
    ".stablint_cache",
    ".svn",
    ".tox",
    ".venv",
    ".vscode",
    "__pypackages__",
    "_build",
    "buck-out",
    "dist",
    "node_modules",
    "site-packages",
    "venv",
)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """What is checked, how, and what is said about it."""

    extend: str | None = None
    """Another configuration file, read first; relative to the file that names it."""

    select: tuple[str, ...] = ("DEFAULT",)
    """Rules to run: names, codes, the beginning of codes, ALL, or DEFAULT (those on by default)."""
    extend_select: tuple[str, ...] = ()
    """Rules to run in addition."""
    ignore: tuple[str, ...] = ()
    """Rules not to run; the more exact of `select` and `ignore` wins, and `ignore` where they are alike."""
    per_file_ignores: dict[str, tuple[str, ...]] = {}
    """Rules not to run, by glob; a leading `!` means all other files."""
    rules: dict[str, dict[str, Any]] = {}
    """Per-rule tables: the rule's own options, and `severity`."""

    fixable: tuple[str, ...] = ("ALL",)
    """Rules whose fixes may be applied."""
    unfixable: tuple[str, ...] = ()
    """Rules whose fixes may not be applied."""

    exclude: tuple[str, ...] = EXCLUDED
    """Globs of files and folders not to check."""
    extend_exclude: tuple[str, ...] = ()
    """Globs not to check in addition."""
    respect_gitignore: bool = True
    """Whether files that a .gitignore names are left out."""

    src: tuple[str, ...] = ()
    """Folders to import modules from, besides those above each file up to the top of the project, and their `src`."""
    cache_dir: str = ".stablint_cache"
    """The folder in which results are remembered."""

    output_format: Format = "full"
    """How findings are written."""
    fail_on: Gate = "warning"
    """The least severity that makes the exit status 1; notes never do."""
    time_limit: Annotated[float, msgspec.Meta(gt=0)] = 20.0
    """Seconds a file may take; a file that takes longer is reported, never skipped in silence."""
    size_limit: Annotated[int, msgspec.Meta(gt=0)] = 2_000_000
    """Bytes a file may have; a larger one is reported."""


ADDED = frozenset({"extend_select", "ignore", "per_file_ignores", "rules", "extend_exclude"})
"""Fields in which a stronger layer adds to the weaker ones; in all others it replaces them."""


def key(field: str) -> str:
    """Return a field's name in a configuration file."""
    return field.replace("_", "-")
