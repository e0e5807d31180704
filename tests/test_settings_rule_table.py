"""The tables [rules.NAME]: options and severity of a rule."""

from typing import Any

import msgspec
import pytest

from stablint.errors import UsageError
from stablint.finding import Severity
from stablint.rule import Rule, StaticRule
from stablint.settings.configuration import merged
from stablint.settings.layer import layer
from stablint.settings.rule_table import filled, rule_tables
from stablint.static.plan import Plan, rules_for


class Plain(StaticRule):
    code = "STB101"
    severity = Severity.ERROR


class Told(StaticRule):
    code = "STB102"
    severity = Severity.WARNING

    class Options(msgspec.Struct, frozen=True):
        most_layers: int = 4
        names: tuple[str, ...] = ()


RULES: tuple[type[Rule], ...] = (Plain, Told)


def tables(*given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    layers = [layer({"rules": table}, f"layer {number}", "/p") for number, table in enumerate(given)]
    return rule_tables(merged(layers), RULES)


def test_options_are_filled_in() -> None:
    table = tables({"told": {"most-layers": 7, "names": ["a"]}})["told"]
    assert filled(Told, table) == Told.Options(most_layers=7, names=("a",))
    assert filled(Told, {}) == Told.Options()
    assert filled(Plain, {}) is None


def test_stronger_layer_wins_option_by_option_whether_it_says_name_or_code() -> None:
    assert tables({"told": {"most-layers": 7, "names": ["a"]}}, {"STB102": {"most_layers": 8}}) == {
        "told": {"most_layers": 8, "names": ["a"]}
    }


def test_severity_is_taken_beside_the_options() -> None:
    table = tables({"plain": {"severity": "note"}, "told": {"severity": "error", "most-layers": 1}})
    assert table["plain"] == {"severity": "note"}
    assert filled(Told, table["told"]) == Told.Options(most_layers=1)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"tolt": {}}, r'layer 0: rules: no rule is called "tolt"; did you mean "told"\?'),
        (
            {"told": {"most-layer": 1}},
            r'layer 0: rules\.told: unknown option "most-layer"; did you mean "most-layers"\?',
        ),
        ({"plain": {"most-layers": 1}}, r'layer 0: rules\.plain: unknown option "most-layers"'),
        ({"told": {"most-layers": "x"}}, r"layer 0: rules\.told: Expected int, got str - at most-layers"),
        ({"STB102": {"severity": "off"}}, r"layer 0: rules\.STB102: Invalid enum value 'off'"),
    ],
)
def test_mistake_names_rule_and_option(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}$"):
        tables(table)


def test_rules_of_a_plan_are_ready_to_run(acme: object) -> None:
    plan = Plan(
        codes=("ACM101", "ACM201", "STB900"),
        options={"long-file": {"most_lines": 9}, "star-import": {"severity": "note"}},
        file_codes={"b.py": ("ACM102",)},
    )
    star, long = rules_for(plan, "a.py")
    assert (star.code, star.severity) == ("ACM101", Severity.NOTE)
    assert (long.code, long.options.most_lines) == ("ACM201", 9)
    assert type(star).severity is Severity.ERROR
    assert rules_for(plan, "other.py")[0] is star
    assert [rule.code for rule in rules_for(plan, "b.py")] == ["ACM102"]
