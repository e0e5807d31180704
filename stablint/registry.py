"""Finding the rules: entry points -> modules -> rule classes, checked for flaws."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from types import ModuleType

from stablint.rule import Rule

GROUP = "stablint.rules"
"""The entry point group of rule packs; ours enters through the same door as any other."""


class RuleFlaw(Exception):
    """A rule that cannot be loaded, with the class and what is wrong with it."""


def load_rules() -> list[type[Rule]]:
    """Return the rule classes of all installed packs, by code; raise RuleFlaw for the first flawed one."""
    rules: dict[str, type[Rule]] = {}
    for point in entry_points(group=GROUP):
        for rule in rules_in(importlib.import_module(point.value)):
            flaw = flaw_in(rule)
            if flaw is None and rule.code in rules and rules[rule.code] is not rule:
                flaw = f"code {rule.code} is already taken by {rules[rule.code].__qualname__}"
            if flaw is not None:
                raise RuleFlaw(f"{rule.__module__}.{rule.__qualname__}: {flaw}")
            rules[rule.code] = rule
    return [rules[code] for code in sorted(rules)]


def rules_in(package: ModuleType) -> Iterator[type[Rule]]:
    """Walk a pack's modules and yield the rule classes that they define."""
    names = [package.__name__]
    names += [found.name for found in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
    for name in names:
        module = importlib.import_module(name)
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, Rule) and value.__module__ == name and "code" in vars(value):
                yield value


def flaw_in(rule: type[Rule]) -> str | None:
    """Say what is wrong with a rule class, or None."""
    if not re.fullmatch(r"[A-Z]{3,8}\d{3}", rule.code):
        return f"code {rule.code!r} is not letters and three digits"
    if not inspect.getdoc(rule) or rule.__doc__ is Rule.__doc__:
        return "it has no page (its docstring)"
    if not rule.bad or not rule.good:
        return "it needs at least one bad and one good case"
    for index, case in enumerate(rule.bad):
        if "# flagged" not in case:
            return f"bad case {index} marks no line with `# flagged`"
    return None
