"""What a run has to say, whatever the format."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from stablint.finding import Finding


def nothing(*_: object) -> None:
    """Provide nothing: the default of every provider of a report."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """The outcome of one run and what is needed to show it."""

    findings: tuple[Finding, ...]
    """What is left to say, in the order in which it is said."""
    files_checked: int
    fixed: tuple[Finding, ...] = ()
    """What the fixes of this run mended."""
    refused: tuple[tuple[str, str], ...] = ()
    """Files whose fixes were not applied, and why."""
    source_lines: Callable[[str, int | None], Sequence[str] | None] = nothing
    """The lines of a file (path as in the findings) or of a notebook's cell; None if there are none."""
    summary: Callable[[str], str | None] = nothing
    """What the rule of a code is about, in a sentence or two."""
    page: Callable[[str], str | None] = nothing
    """The manual page of a code, in Markdown."""
    url: Callable[[str], str | None] = nothing
    """Where the page of a code stands on the web."""
    color: bool = False
    show_fixes: bool = False
    """Whether what was fixed is listed, not only counted."""
    base: str = field(default_factory=os.getcwd)
    """The folder that paths are given relative to."""

    def relative(self, path: str) -> str:
        """Return a path as it is shown to people and machines: relative to `base`, with slashes."""
        if os.path.isabs(path):
            try:
                path = os.path.relpath(path, self.base)
            except ValueError:  # another drive: the name alone is true, and says nothing of this machine
                path = os.path.basename(path)
        return PurePath(path).as_posix() if os.sep == "\\" else path
