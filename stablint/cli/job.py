"""Jobs: the files that share a configuration, and the plan that follows from it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from stablint.cli.all_rules import all_rules
from stablint.diagnostics import NEVER_IGNORED
from stablint.rule import Rule
from stablint.settings.configuration import Configuration, Sources, configuration_for
from stablint.settings.rule_table import rule_tables
from stablint.settings.selection import check_selectors, fixable, ignored_in, selected
from stablint.static.discover import place_of
from stablint.static.plan import Plan


@dataclass(frozen=True, slots=True)
class Job:
    """Files to check in the same way."""

    configuration: Configuration
    plan: Plan
    unfixable: frozenset[str]
    files: tuple[str, ...]

    def codes(self, path: str) -> tuple[str, ...]:
        """Return the codes that are reported for a file."""
        return self.plan.file_codes.get(path, self.plan.codes)


def jobs_for(files: Sequence[str], sources: Sources, *, prefilter: bool) -> list[Job]:
    """Return the jobs that files fall into: one for each configuration that is closest to some of them."""
    groups: dict[Configuration, list[str]] = {}
    places: dict[str, str] = {}
    for path in files:
        folder = os.path.dirname(path)
        if folder not in places:
            places[folder] = os.path.dirname(place_of(path))
        groups.setdefault(configuration_for(sources, places[folder]), []).append(path)
    rules = all_rules()
    return [
        Job(
            configuration,
            plan_for(configuration, group, rules, prefilter=prefilter),
            frozenset(rule.code for rule in rules) - fixable(configuration, rules),
            tuple(group),
        )
        for configuration, group in groups.items()
    ]


def plan_for(
    configuration: Configuration, files: Sequence[str], rules: Sequence[type[Rule]], *, prefilter: bool
) -> Plan:
    """Return what is to be done with files of this configuration; raise UsageError for a mistake in it."""
    check_selectors(configuration, rules, NEVER_IGNORED)
    codes = selected(configuration, rules) | NEVER_IGNORED
    settings = configuration.settings
    return Plan(
        codes=tuple(sorted(codes)),
        options=rule_tables(configuration, rules),
        file_codes=_file_codes(codes, configuration, files, rules),
        time_limit=settings.time_limit,
        size_limit=settings.size_limit,
        prefilter=prefilter,
        src=settings.src,
    )


def _file_codes(
    codes: frozenset[str], configuration: Configuration, files: Sequence[str], rules: Sequence[type[Rule]]
) -> dict[str, tuple[str, ...]]:
    if not configuration.settings.per_file_ignores:
        return {}
    ignored = {path: ignored_in(place_of(path), configuration, rules) - NEVER_IGNORED for path in files}
    return {path: tuple(sorted(codes - off)) for path, off in ignored.items() if off & codes}
