"""Finding the rules: entry points -> modules -> rule classes, checked for flaws."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import TypeVar

from stablint.errors import UsageError
from stablint.finding import Confidence, Severity
from stablint.rule import Rule
from stablint.typo import did_you_mean

GROUP = "stablint.rules"
"""The entry point group of rule packs; ours enters through the same door as any other."""

R = TypeVar("R", bound=type[Rule])


class RuleFlaw(UsageError):  # noqa: N818 - named after what it tells
    """A pack that cannot be loaded: which, which class of it, and why; to be mended or uninstalled."""


@cache
def load_rules() -> tuple[type[Rule], ...]:
    """Return the rule classes of all installed packs, by code; raise RuleFlaw for the first flawed one."""
    by_code: dict[str, type[Rule]] = {}
    by_name: dict[str, type[Rule]] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        for rule in _rules_of(point):
            if by_code.get(getattr(rule, "code", "")) is rule:
                continue  # two entry points may name the same package
            flaw = flaw_in(rule) or _clash(rule, by_code, by_name)
            if flaw is not None:
                raise RuleFlaw(f"{_pack(point)}: {rule.__module__}.{rule.__qualname__}: {flaw}")
            by_code[rule.code] = by_name[rule.name()] = rule
    return tuple(by_code[code] for code in sorted(by_code))


def find_rule(word: str, rules: Sequence[R]) -> R:
    """Return the rule whose name or code is `word`; raise UsageError with a guess otherwise."""
    for rule in rules:
        if word in (rule.code, rule.name()):
            return rule
    raise UsageError(f'no rule is called "{word}"{did_you_mean(word, words_for(rules))}')


def words_for(rules: Iterable[type[Rule]]) -> Iterator[str]:
    """Yield every code and name."""
    for rule in rules:
        yield rule.code
        yield rule.name()


def rules_in(package: ModuleType) -> Iterator[type[Rule]]:
    """Walk a pack's modules and yield the rule classes that they define."""
    paths = getattr(package, "__path__", ())  # a pack of one module has none
    # What cannot be imported is imported once more below, where the error is not swallowed.
    found = pkgutil.walk_packages(paths, package.__name__ + ".", onerror=lambda _: None)
    for name in [package.__name__, *(each.name for each in found)]:
        module = importlib.import_module(name)
        for value in list(vars(module).values()):
            if (
                inspect.isclass(value)
                and issubclass(value, Rule)
                and value.__module__ == name
                and "code" in vars(value)
            ):
                yield value


def flaw_in(rule: type[Rule]) -> str | None:
    """Say what is wrong with a rule class, or None."""
    missing = [name for name in ("severity", "since", "bad", "good") if not hasattr(rule, name)]
    if missing:
        return f"it has no {', '.join(missing)}"
    if not re.fullmatch(r"[A-Z]{3,8}\d{3}", str(rule.code)):
        return f"code {rule.code!r} is not letters and three digits"
    if re.fullmatch(r"STB90\d", rule.code):
        return f"code {rule.code} is the engine's own (STB900 to STB909)"
    severity: object = rule.severity  # a pack need not be typed
    if not isinstance(severity, Severity) or not isinstance(rule.confidence, Confidence):
        return "its severity or confidence is none of those in stablint.finding"
    if not rule.__doc__ or rule.__doc__ is Rule.__doc__:
        return "it has no page (its docstring)"
    return _flaw_in_options(rule) or _flaw_in_cases(rule)


def _flaw_in_options(rule: type[Rule]) -> str | None:
    if rule.Options is None:
        return None
    if not hasattr(rule.Options, "__struct_fields__"):
        return "its Options is not a msgspec.Struct"
    try:
        rule.Options()
    except TypeError:
        return "its Options has a field without a default"
    return None


def _flaw_in_cases(rule: type[Rule]) -> str | None:
    if isinstance(rule.bad, str) or isinstance(rule.good, str):
        return "its cases are one string, not a list of them"
    if not rule.bad or not rule.good:
        return "it needs at least one bad and one good case"
    if len(rule.fixed) > len(rule.bad):
        return "it has more fixed cases than bad ones"
    for index, case in enumerate(rule.bad):
        if "# flagged" not in case:
            return f"bad case {index} marks no line with `# flagged`"
    return None


def _clash(rule: type[Rule], by_code: dict[str, type[Rule]], by_name: dict[str, type[Rule]]) -> str | None:
    for word, taken in ((rule.code, by_code), (rule.name(), by_name)):
        if word in taken:
            other = taken[word]
            return f"{word} is already taken by {other.__module__}.{other.__qualname__}"
    return None


def _rules_of(point: EntryPoint) -> list[type[Rule]]:
    try:
        return list(rules_in(importlib.import_module(point.value)))
    except Exception as error:  # whatever a foreign module raises when imported
        raise RuleFlaw(f"{_pack(point)} cannot be imported: {type(error).__name__}: {error}") from error


def _pack(point: EntryPoint) -> str:
    owner = f" of {point.dist.name} {point.dist.version}" if point.dist else ""
    return f"rule pack {point.name}{owner}"
