"""The tables `[rules.NAME]`: a rule's own options, and its severity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from stablint.errors import UsageError
from stablint.finding import Severity
from stablint.registry import words_for
from stablint.rule import Rule
from stablint.typo import did_you_mean

if TYPE_CHECKING:  # a worker fills options, and reads no configuration
    from stablint.settings.configuration import Configuration


def rule_tables(configuration: Configuration, rules: Sequence[type[Rule]]) -> dict[str, dict[str, Any]]:
    """Return the checked tables by rule name; keys are those of the rule's Options, and `severity`."""
    by_word = {word: rule for rule in rules for word in (rule.code, rule.name())}
    tables: dict[str, dict[str, Any]] = {}
    for layer in configuration.layers:
        for word, table in layer.values.get("rules", {}).items():
            if word not in by_word:
                guess = did_you_mean(word, words_for(rules))
                raise UsageError(f'{layer.origin}: rules: no rule is called "{word}"{guess}')
            rule = by_word[word]
            tables.setdefault(rule.name(), {}).update(_checked(rule, table, f"{layer.origin}: rules.{word}"))
    return tables


def filled(rule: type[Rule], table: dict[str, Any]) -> Any:
    """Return the rule's Options with what its table says, or None for a rule that has none."""
    if rule.Options is None:
        return None
    return msgspec.convert({name: value for name, value in table.items() if name != "severity"}, rule.Options)


def _checked(rule: type[Rule], table: dict[str, Any], place: str) -> dict[str, Any]:
    fields = {"severity": "severity"}
    if rule.Options is not None:
        encoded = zip(rule.Options.__struct_fields__, rule.Options.__struct_encode_fields__, strict=True)
        fields |= {field.replace("_", "-"): name for field, name in encoded}
    for name in table:
        if name.replace("_", "-") not in fields:
            raise UsageError(f'{place}: unknown option "{name}"{did_you_mean(name, fields)}')
    checked = {fields[name.replace("_", "-")]: value for name, value in table.items()}
    try:
        msgspec.convert(checked.get("severity", Severity.ERROR), Severity)
        filled(rule, checked)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"{place}: {str(error).replace('`', '').replace('$.', '').replace('_', '-')}"
        ) from None
    return checked
