"""Globs over paths, as in `exclude` and `per-file-ignores`."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Globs:
    """Several globs in one: those without a slash match base names, the others absolute paths."""

    names: re.Pattern[str]
    paths: re.Pattern[str]

    def match(self, path: str) -> bool:
        """Say whether an absolute path matches one of them."""
        path = path.replace(os.sep, "/")
        return bool(self.names.fullmatch(path.rpartition("/")[2]) or self.paths.fullmatch(path))


def anchor(glob: str, root: str) -> str:
    """Make a glob that names a place (it has a slash) absolute: it is meant from `root` on."""
    negated = glob.startswith("!")
    body = glob[negated:].rstrip("/").removeprefix("./") or "."
    if body == ".":
        body = _escape(root)
    elif "/" in body and not body.startswith("/"):
        body = f"{_escape(root)}/{body}"
    return "!" * negated + body


@cache
def compile_globs(globs: tuple[str, ...]) -> Globs:
    """Return anchored globs as one object to match with."""
    return Globs(
        names=_any_of(glob for glob in globs if "/" not in glob),
        paths=_any_of(glob for glob in globs if "/" in glob),
    )


def _any_of(globs: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(_regex, globs)) or r"(?!)")


def _regex(glob: str) -> str:
    # `**/` also means no folder at all, which fnmatch does not know.
    return "(?:.*/)?".join(fnmatch.translate(part)[len("(?s:") : -len(r")\Z")] for part in glob.split("**/"))


def _escape(root: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", root.replace(os.sep, "/").rstrip("/"))
