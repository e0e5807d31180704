"""What the user asked `stablint check` for, and the layers of settings that it makes."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from typing import Any

from stablint.errors import UsageError
from stablint.settings.configuration import Sources
from stablint.settings.layer import COMMAND_LINE, Layer, layer
from stablint.settings.settings import Settings, key

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The command line of `stablint check`; None where an option was not given."""

    paths: Words
    stdin_filename: str | None

    fix: bool
    unsafe_fixes: bool
    fix_only: bool
    diff: bool
    show_fixes: bool
    fixable: Words | None
    unfixable: Words | None

    select: Words | None
    ignore: Words | None
    extend_select: Words | None
    per_file_ignores: Words | None

    exclude: Words | None
    extend_exclude: Words | None
    respect_gitignore: bool | None
    force_exclude: bool

    output_format: str | None
    output_file: str | None
    statistics: bool
    timings: bool
    color: str
    quiet: bool
    verbose: bool

    fail_on: str | None
    max_warnings: int
    exit_zero: bool
    exit_non_zero_on_fix: bool

    config: Words
    isolated: bool
    show_settings: bool
    show_files: bool

    jobs: int | None
    cache: bool
    cache_dir: str | None
    prefilter: bool
    time_limit: float | None
    size_limit: int | None

    @property
    def from_stdin(self) -> bool:
        """Whether the one file to check comes by standard input."""
        return self.paths == ("-",)

    @property
    def named(self) -> Words:
        """The paths, with the name of standard input in the place of -."""
        return (self.stdin_filename or "-",) if self.from_stdin else self.paths

    @property
    def mends(self) -> bool:
        """Whether fixes are computed."""
        return self.fix or self.fix_only or self.diff


def sources_of(request: Request) -> Sources:
    """Return where settings come from, with what the command line says over all of it."""
    files = [each for each in request.config if os.path.lexists(each) or "=" not in each]
    pairs = [each for each in request.config if each not in files]
    if len(files) > 1:
        raise UsageError(f"--config: {files[0]} and {files[1]} are both files, and only one can be used")
    if files and request.isolated:
        raise UsageError("--config with a file and --isolated contradict each other")
    overrides = [*(_pair_layer(pair) for pair in pairs), layer(_table(request), COMMAND_LINE, os.getcwd())]
    return Sources(tuple(overrides), os.path.abspath(files[0]) if files else None, request.isolated)


def _pair_layer(pair: str) -> Layer:
    origin = f"--config '{pair}'"
    try:
        table = tomllib.loads(pair)
    except tomllib.TOMLDecodeError:
        raise UsageError(
            f"{origin}: neither a file nor TOML; as in: --config 'output-format = \"json\"'"
        ) from None
    return layer(table, origin, os.getcwd())


def _table(request: Request) -> dict[str, Any]:
    """Return the options that are settings, as a configuration file would write them."""
    table: dict[str, Any] = {}
    for field in Settings.__struct_fields__:
        value = getattr(request, field, None)
        if value is not None:
            table[key(field)] = _by_glob(value) if field == "per_file_ignores" else value
    return table


def _by_glob(pairs: Words) -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for pair in pairs:
        glob, colon, selector = pair.rpartition(":")
        if not (glob and colon and selector):
            raise UsageError(f'--per-file-ignores: "{pair}" is not GLOB:RULE')
        table.setdefault(glob, []).append(selector)
    return table
