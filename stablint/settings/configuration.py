"""A configuration: the layers that hold for a folder, and the settings that they add up to."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from stablint.settings.file import file_in, layers_of
from stablint.settings.layer import DEFAULT, Layer
from stablint.settings.settings import ADDED, Settings


@dataclass(frozen=True, slots=True, eq=False)
class Configuration:
    """What holds for the files of a folder; `layers` are weakest first."""

    settings: Settings
    layers: tuple[Layer, ...]

    def origins(self, field: str) -> list[Layer]:
        """Return the layers that a field's value comes from: one, or for fields that add up all of them."""
        given = [each for each in self.layers if field in each.values]
        return given if field in ADDED else given[-1:]


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """Where configurations are looked for."""

    overrides: tuple[Layer, ...] = ()
    """What the command line says, over all files."""
    file: str | None = None
    """The one file to use, instead of the closest."""
    isolated: bool = False
    """Whether all files are left out."""


def merged(layers: Iterable[Layer]) -> Configuration:
    """Return the configuration that layers, weakest first, add up to."""
    layers = tuple(layers)
    values: dict[str, Any] = {}
    for each in layers:
        for field, value in each.values.items():
            values[field] = _added(values[field], value) if field in ADDED and field in values else value
    settings = Settings(**values)
    defaults = {name: getattr(settings, name) for name in Settings.__struct_fields__ if name not in values}
    return Configuration(settings, (Layer(DEFAULT, defaults), *layers))


def configuration_for(sources: Sources, folder: str) -> Configuration:
    """Return what holds in a folder: the closest file upwards, and over it the command line."""
    if sources.isolated or sources.file is not None:
        return _without_search(sources)
    return _search(sources, os.path.abspath(folder))


@cache
def _search(sources: Sources, folder: str) -> Configuration:
    path = file_in(folder)
    if path is not None:
        return merged([*layers_of(path), *sources.overrides])
    parent = os.path.dirname(folder)
    return merged(sources.overrides) if parent == folder else _search(sources, parent)


@cache
def _without_search(sources: Sources) -> Configuration:
    return merged([*(layers_of(sources.file) if sources.file else ()), *sources.overrides])


def _added(old: Any, new: Any) -> Any:
    """Return what two layers' values of an additive field make together; tables are joined deeply."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {name: _added(old[name], value) if name in old else value for name, value in new.items()}
    if isinstance(old, tuple) and isinstance(new, tuple):
        return (*old, *new)
    return new
