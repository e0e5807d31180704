"""`--show-settings`: every setting and where it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from stablint.rule import Rule
from stablint.settings.configuration import Configuration
from stablint.settings.settings import Settings, key
from stablint.static.plan import Plan

WIDTH = 48


def shown_settings(configuration: Configuration, plan: Plan, rules: Sequence[type[Rule]]) -> Iterator[str]:
    """Yield `key = value  # origin` as a configuration file would have it, then the rules that run."""
    for field in Settings.__struct_fields__:
        for layer in configuration.origins(field):
            yield from _lines(key(field), layer.values[field], layer.origin)
    running = [rule for rule in rules if rule.code in plan.codes]
    yield ""
    yield f"# {len(running)} of {len(rules)} rules run:"
    yield from (f"#   {rule.code} {rule.name()}" for rule in running)


def _lines(name: str, value: Any, origin: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for inner, each in value.items():
            yield from _lines(
                f"{name}.{inner if inner.replace('-', '').isalnum() else json.dumps(inner)}", each, origin
            )
    elif value is not None:
        yield f"{f'{name} = {_toml(value)}':{WIDTH}}  # {origin}"


def _toml(value: Any) -> str:
    """Return a value in TOML, which for all values that occur is JSON."""
    return "{}" if value == {} else json.dumps(value, ensure_ascii=False, default=str)
