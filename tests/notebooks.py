"""Making notebooks for tests."""

import json
from typing import Any

from stablint.static.source import SourceFile


def notebook(*cells: str | tuple[str, str], **metadata: Any) -> SourceFile:
    """Make a notebook of code cells, and of others where kind and source are given."""
    document = {
        "cells": [_cell(cell) for cell in cells],
        "metadata": metadata,
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    return SourceFile("n.ipynb", json.dumps(document).encode())


def _cell(cell: str | tuple[str, str]) -> dict[str, Any]:
    kind, source = ("code", cell) if isinstance(cell, str) else cell
    made: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": source.splitlines(keepends=True)}
    return made | {"execution_count": None, "outputs": []} if kind == "code" else made
