"""Which rules run: `select`, `extend-select` and `ignore` of every layer, and `per-file-ignores`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from stablint.errors import UsageError
from stablint.registry import words_for
from stablint.rule import Rule
from stablint.settings.configuration import Configuration
from stablint.settings.glob import compile_globs
from stablint.settings.layer import Layer
from stablint.typo import did_you_mean

Rules = Sequence[type[Rule]]

GROUPS = ("ALL", "DEFAULT")


def selected(configuration: Configuration, rules: Rules) -> frozenset[str]:
    """Return the codes of the rules to run.

    A stronger layer has the last word over a weaker one: its `select` starts anew, its `ignore` and
    `extend-select` change what was chosen so far.  Within a layer the more exact selector wins.
    """
    chosen: set[str] = set()
    for layer in configuration.layers:
        if "select" in layer.values:
            chosen.clear()
        wanted = [*layer.values.get("select", ()), *layer.values.get("extend_select", ())]
        _apply(chosen, wanted, layer.values.get("ignore", ()), rules)
    return frozenset(chosen)


def fixable(configuration: Configuration, rules: Rules) -> frozenset[str]:
    """Return the codes of the rules whose fixes may be applied."""
    chosen: set[str] = set()
    _apply(chosen, configuration.settings.fixable, configuration.settings.unfixable, rules)
    return frozenset(chosen)


def ignored_in(path: str, configuration: Configuration, rules: Rules) -> frozenset[str]:
    """Return the codes that `per-file-ignores` takes from the file of this absolute path."""
    codes: set[str] = set()
    for glob, selectors in configuration.settings.per_file_ignores.items():
        negated = glob.startswith("!")
        if compile_globs((glob[negated:],)).match(path) != negated:
            codes.update(*(matching(selector, rules) for selector in selectors))
    return frozenset(codes)


def check_selectors(configuration: Configuration, rules: Rules, never_ignored: Collection[str]) -> None:
    """Refuse a selector that means no rule (a typo must not be a green build) or cannot be obeyed."""
    for layer in configuration.layers:
        for field in ("select", "extend_select", "ignore", "fixable", "unfixable"):
            _check(layer.values.get(field, ()), layer, field, rules)
        for selectors in layer.values.get("per_file_ignores", {}).values():
            _check(selectors, layer, "per-file-ignores", rules)
        for rule in rules:
            if rule.code in never_ignored and {rule.code, rule.name()} & {*layer.values.get("ignore", ())}:
                raise UsageError(
                    f"{layer.origin}: ignore: {rule.name()} cannot be ignored; exclude the file instead"
                )


def matching(selector: str, rules: Rules) -> frozenset[str]:
    """Return the codes that a selector means: a name, a code, the beginning of codes, ALL or DEFAULT."""
    if selector in GROUPS:
        return frozenset(rule.code for rule in rules if rule.default or selector == "ALL")
    exact = frozenset(rule.code for rule in rules if selector in (rule.code, rule.name()))
    return exact or frozenset(rule.code for rule in rules if selector and rule.code.startswith(selector))


def _apply(chosen: set[str], wanted: Iterable[str], unwanted: Iterable[str], rules: Rules) -> None:
    """Add and take away, the vaguest selectors first; of two alike the one that takes away is last."""
    steps = [(_exactness(each, rules), False, each) for each in wanted]
    steps += [(_exactness(each, rules), True, each) for each in unwanted]
    for _, takes_away, selector in sorted(steps):
        if takes_away:
            chosen -= matching(selector, rules)
        else:
            chosen |= matching(selector, rules)


def _exactness(selector: str, rules: Rules) -> int:
    if selector in GROUPS:
        return 0
    return 1000 if any(selector in (rule.code, rule.name()) for rule in rules) else len(selector)


def _check(selectors: Iterable[str], layer: Layer, field: str, rules: Rules) -> None:
    for selector in selectors:
        if not matching(selector, rules):
            guess = did_you_mean(selector, [*words_for(rules), *GROUPS])
            key = field.replace("_", "-")
            raise UsageError(f'{layer.origin}: {key}: no rule is called "{selector}"{guess}')
