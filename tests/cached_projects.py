"""Small projects on disk that are checked again and again, with what was remembered and without."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from projects import files

from stablint.cache import check
from stablint.finding import Finding
from stablint.static.check import check_files
from stablint.static.plan import Plan
from stablint.static.result import FileResult

PLAN = Plan(("STB301",))
"""The rule log-of-softmax: half of it may stand in another file."""

Changes = Mapping[str, str | None]
"""New texts by path; None where a file is deleted."""


def write(code: str | Changes) -> None:
    """Write a project, or what changes in it, into the current folder; a path that ends in a slash is a folder."""
    for path, text in (files(code) if isinstance(code, str) else code).items():
        if text is None:
            Path(path).unlink()
        elif path.endswith("/"):
            Path(path).mkdir(parents=True, exist_ok=True)
        else:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(text)


def python_files() -> list[str]:
    """Return the names of all Python files and notebooks of the current folder."""
    return sorted(
        os.path.relpath(os.path.join(folder, name))
        for folder, _, names in os.walk(".")
        for name in names
        if name.endswith((".py", ".ipynb"))
    )


class Checked:
    """Checks a project with its cache, and notes which files were really looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looked_at: list[str] = []
        self.folder = ".cache"

        def spy(names: Sequence[str], plan: Plan, **given: Any) -> Iterator[FileResult]:
            self.looked_at = list(names)
            return check_files(names, plan, **given)

        monkeypatch.setattr(check, "check_files", spy)

    def __call__(self, plan: Plan = PLAN, names: Sequence[str] | None = None, **given: Any) -> list[str]:
        """Check, compare with a run that remembers nothing, and return the files that were looked at."""
        names = python_files() if names is None else names
        found = self.found(plan, names, **given)
        assert found == {result.path: result.findings for result in check_files(names, plan)}
        return self.looked_at

    def found(self, plan: Plan, names: Sequence[str], **given: Any) -> dict[str, tuple[Finding, ...]]:
        """Check and return the findings of each file."""
        results = list(check.check_with_cache(names, plan, self.folder, **given))
        assert [result.path for result in results] == list(names)
        return {result.path: result.findings for result in results}

    def codes(self, plan: Plan = PLAN) -> dict[str, list[str]]:
        """Return the codes that are found in each file in which some are."""
        found = self.found(plan, python_files())
        return {path: [one.code for one in findings] for path, findings in found.items() if findings}
