"""What is to be done with each file: plain data that a worker process can be told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from stablint.finding import Severity
from stablint.registry import load_rules
from stablint.rule import StaticRule
from stablint.settings.rule_table import filled


@dataclass(frozen=True, slots=True)
class Plan:
    """The rules to run, as codes and plain values."""

    codes: tuple[str, ...]
    """Rules that run on every file but those in `file_codes`."""
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By rule name: values of the rule's Options, and `severity`."""
    file_codes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By path: the rules of a file that has its own."""
    time_limit: float = 20.0
    """Seconds a file may take."""
    size_limit: int = 2_000_000
    """Bytes a file may have."""
    prefilter: bool = True
    """Whether files that cannot concern torch are not parsed."""
    src: tuple[str, ...] = ()
    """Folders from which modules are imported, besides those that the files themselves show."""


def rules_for(plan: Plan, path: str) -> list[StaticRule]:
    """Return the rules to run on a file, ready to run; the same instances for all files."""
    codes = plan.file_codes.get(path, plan.codes)
    return _ready(codes, json.dumps(plan.options, sort_keys=True))


@cache
def _ready(codes: tuple[str, ...], options: str) -> list[StaticRule]:
    tables: dict[str, dict[str, Any]] = json.loads(options)
    return [
        _instance(rule, tables.get(rule.name(), {}))
        for rule in load_rules()
        if issubclass(rule, StaticRule) and rule.code in codes
    ]


def _instance(rule: type[StaticRule], table: dict[str, Any]) -> StaticRule:
    instance = rule(filled(rule, table))
    if "severity" in table:  # of this run, not of the rule: its class keeps its own
        instance.severity = Severity(table["severity"])  # type: ignore[misc]
    return instance
