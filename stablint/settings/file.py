"""Configuration files: which one is meant for a folder, and the layers in it."""

from __future__ import annotations

import os
import tomllib
from typing import Any

from stablint.errors import UsageError
from stablint.settings.layer import Layer, layer

NAMES = (".stablint.toml", "stablint.toml", "pyproject.toml")
"""Configuration files, the stronger one first where a folder has several."""


def file_in(folder: str) -> str | None:
    """Return the path of the folder's own configuration file, if it has one."""
    for name in NAMES:
        path = os.path.join(folder, name)
        # isfile: a FIFO of that name would hang the run
        if os.path.isfile(path) and (name != "pyproject.toml" or _mentions_us(path)):
            return path
    return None


def layers_of(path: str, extending: tuple[str, ...] = ()) -> list[Layer]:
    """Return the layers of a configuration file, weakest first: those it extends, then its own."""
    path = os.path.abspath(path)
    if path in extending:
        raise UsageError(f"{os.path.relpath(extending[-1])}: extend: the files extend each other in a circle")
    own = _layer_of(path)
    base = own.values.get("extend")
    return [*(layers_of(base, (*extending, path)) if base else ()), own]


def _layer_of(path: str) -> Layer:
    table = _read(path)
    prefix = ""
    if os.path.basename(path) == "pyproject.toml":
        prefix = "tool.stablint."
        table = _table(_table(table, "tool", path), "stablint", path)
    return layer(table, os.path.relpath(path), os.path.dirname(path), prefix)


def _mentions_us(path: str) -> bool:
    """Say whether a pyproject.toml is ours to read; one that is not may be as broken as it likes."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return False
    if b"stablint" not in data:
        return False
    tool = _read(path).get("tool")
    return isinstance(tool, dict) and "stablint" in tool


def _read(path: str) -> dict[str, Any]:
    origin = os.path.relpath(path)
    try:
        if not os.path.isfile(path):
            raise UsageError(f"{origin}: no such configuration file")
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise UsageError(f"{origin}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{origin}: not valid TOML: {error}") from None
    except RecursionError:
        raise UsageError(f"{origin}: not valid TOML: nested too deeply") from None


def _table(parent: dict[str, Any], name: str, path: str) -> dict[str, Any]:
    table = parent.get(name, {})
    if not isinstance(table, dict):
        raise UsageError(f"{os.path.relpath(path)}: {name} is not a table")
    return table
