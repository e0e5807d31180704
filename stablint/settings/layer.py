"""A layer: what one configuration file, or the command line, says."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import msgspec

from stablint.errors import UsageError
from stablint.settings.glob import anchor
from stablint.settings.settings import Settings, key
from stablint.typo import did_you_mean

DEFAULT = "default"
COMMAND_LINE = "command line"


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """The fields that one source gives, checked, and the name of the source."""

    origin: str
    values: dict[str, Any]


def layer(table: dict[str, Any], origin: str, root: str, prefix: str = "") -> Layer:
    """Check a table of keys and return it as a layer; relative globs are meant from `root` on.

    `prefix` is where the table stands in its file (`tool.stablint.`), for messages.
    """
    keys = {key(field): field for field in Settings.__struct_fields__}
    for name in table:
        if name not in keys:
            raise UsageError(f'{origin}: unknown key "{prefix}{name}"{did_you_mean(name, keys)}')
    try:
        settings = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        raise UsageError(f"{origin}: {_told(str(error), prefix)}") from None
    values = {field: getattr(settings, field) for name, field in keys.items() if name in table}
    return Layer(origin, {field: _anchored(field, value, root) for field, value in values.items()})


def _told(message: str, prefix: str) -> str:
    """Turn msgspec's "Expected `array`, got `str` - at `$.select`" into "select: expected array, got str"."""
    problem, _, place = message.replace("`", "").rpartition(" - at $.")
    return f"{prefix}{place}: {problem[:1].lower()}{problem[1:]}"


def _anchored(field: str, value: Any, root: str) -> Any:
    if field in ("exclude", "extend_exclude"):
        return tuple(anchor(glob, root) for glob in value)
    if field == "per_file_ignores":
        return {anchor(glob, root): selectors for glob, selectors in value.items()}
    if field == "src":
        return tuple(os.path.join(root, os.path.expanduser(folder)) for folder in value)
    if field in ("extend", "cache_dir"):
        return os.path.join(root, os.path.expanduser(value))
    return value
