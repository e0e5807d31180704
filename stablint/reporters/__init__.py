"""Saying what was found: one file a format, imported only when it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from stablint.errors import UsageError

if TYPE_CHECKING:
    from stablint.reporters.report import RunReport

FORMATS = ("full", "concise", "json", "sarif", "github")
"""The names of the formats, the default first; each is a module of this package with a `render`."""


def render(format: str, report: RunReport) -> str:
    """Return the run's report in the named format."""
    if format not in FORMATS:
        raise UsageError(f"unknown output format {format!r}: choose one of {', '.join(FORMATS)}")
    text: str = importlib.import_module(f"{__name__}.{format}").render(report)
    return text
