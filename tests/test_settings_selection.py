"""Which rules run: selectors, layers, files."""

from typing import Any

import pytest

from stablint.errors import UsageError
from stablint.finding import Severity
from stablint.rule import Rule
from stablint.settings.configuration import merged
from stablint.settings.layer import layer
from stablint.settings.selection import check_selectors, fixable, ignored_in, selected


def rule(code: str, class_name: str, default: bool = True) -> type[Rule]:
    facts = {"code": code, "severity": Severity.ERROR, "default": default}
    return type(class_name, (Rule,), facts)


RULES = (
    rule("STB101", "FirstLoop"),
    rule("STB102", "SecondLoop"),
    rule("STB110", "QuietLoop", default=False),
    rule("STB201", "BadLoss"),
    rule("ACM101", "Foreign"),
)


def chosen(*tables: dict[str, Any]) -> list[str]:
    """Return the codes that run, for the tables of layers from the weakest on."""
    configuration = merged(layer(table, f"layer {number}", "/p") for number, table in enumerate(tables))
    check_selectors(configuration, RULES, ())
    return sorted(selected(configuration, RULES))


@pytest.mark.parametrize(
    ("table", "codes"),
    [
        ({}, ["ACM101", "STB101", "STB102", "STB201"]),
        ({"select": ["DEFAULT"]}, ["ACM101", "STB101", "STB102", "STB201"]),
        ({"select": ["ALL"]}, ["ACM101", "STB101", "STB102", "STB110", "STB201"]),
        ({"select": []}, []),
        ({"select": ["STB101"]}, ["STB101"]),
        ({"select": ["first-loop", "bad-loss"]}, ["STB101", "STB201"]),
        ({"select": ["STB1"]}, ["STB101", "STB102", "STB110"]),
        ({"select": ["STB"]}, ["STB101", "STB102", "STB110", "STB201"]),
        ({"extend-select": ["quiet-loop"]}, ["ACM101", "STB101", "STB102", "STB110", "STB201"]),
        ({"ignore": ["STB1", "foreign"]}, ["STB201"]),
        ({"select": ["STB1"], "ignore": ["STB101"]}, ["STB102", "STB110"]),
        ({"select": ["STB101"], "ignore": ["STB1"]}, ["STB101"]),
        ({"select": ["STB10"], "ignore": ["STB1"]}, ["STB101", "STB102"]),
        ({"select": ["STB1"], "ignore": ["STB1"]}, []),
        ({"select": ["STB101"], "ignore": ["first-loop"]}, []),
        ({"select": ["ALL"], "ignore": ["ALL"]}, []),
    ],
)
def test_one_layer(table: dict[str, Any], codes: list[str]) -> None:
    assert chosen(table) == codes


@pytest.mark.parametrize(
    ("weaker", "stronger", "codes"),
    [
        ({"select": ["STB1"]}, {"select": ["STB2"]}, ["STB201"]),
        ({"select": ["STB1"]}, {"ignore": ["STB101"]}, ["STB102", "STB110"]),
        ({"select": ["STB1"]}, {"extend-select": ["STB2"]}, ["STB101", "STB102", "STB110", "STB201"]),
        ({"ignore": ["STB101"]}, {"ignore": ["STB102"]}, ["ACM101", "STB201"]),
        ({"ignore": ["STB101"]}, {"select": ["STB101"]}, ["STB101"]),
        ({"ignore": ["STB101"]}, {"extend-select": ["STB101"]}, ["ACM101", "STB101", "STB102", "STB201"]),
        ({"select": ["STB101"]}, {"ignore": ["STB1"]}, []),
        (
            {"select": ["STB1"], "ignore": ["STB101"]},
            {"extend-select": ["STB2"]},
            ["STB102", "STB110", "STB201"],
        ),
    ],
)
def test_stronger_layer_has_the_last_word(
    weaker: dict[str, Any], stronger: dict[str, Any], codes: list[str]
) -> None:
    assert chosen(weaker, stronger) == codes


@pytest.mark.parametrize("field", ["select", "extend-select", "ignore", "fixable", "unfixable"])
def test_selector_without_a_rule_is_refused(field: str) -> None:
    with pytest.raises(
        UsageError, match=rf'^layer 0: {field}: no rule is called "bad-los"; did you mean "bad-loss"\?$'
    ):
        chosen({field: ["bad-los"]})
    with pytest.raises(UsageError, match=rf'^layer 0: {field}: no rule is called ""$'):
        chosen({field: [""]})


def test_selector_without_a_rule_is_refused_per_file_too() -> None:
    with pytest.raises(UsageError, match='per-file-ignores: no rule is called "STB9"'):
        chosen({"per-file-ignores": {"*.py": ["STB9"]}})


def test_what_cannot_be_ignored_is_refused_by_name_and_passed_over_in_groups() -> None:
    for word in ("STB101", "first-loop"):
        with pytest.raises(
            UsageError, match=r"^x: ignore: first-loop cannot be ignored; exclude the file instead$"
        ):
            check_selectors(merged([layer({"ignore": [word]}, "x", "/p")]), RULES, {"STB101"})
    check_selectors(merged([layer({"ignore": ["STB1", "ALL"]}, "x", "/p")]), RULES, {"STB101"})


def test_fixable() -> None:
    def of(**table: Any) -> list[str]:
        return sorted(fixable(merged([layer(table, "x", "/p")]), RULES))

    assert of() == ["ACM101", "STB101", "STB102", "STB110", "STB201"]
    assert of(unfixable=["STB1"]) == ["ACM101", "STB201"]
    assert of(fixable=["STB1"], unfixable=["STB101"]) == ["STB102", "STB110"]
    assert of(fixable=[]) == []


def test_per_file_ignores() -> None:
    table = {"tests/*": ["STB1"], "x.py": ["bad-loss"], "!src/*": ["ACM101"]}
    configuration = merged([layer({"per-file-ignores": table}, "x", "/p")])

    def of(path: str) -> list[str]:
        return sorted(ignored_in(path, configuration, RULES))

    assert of("/p/src/a.py") == []
    assert of("/p/src/x.py") == ["STB201"]
    assert of("/p/tests/a.py") == ["ACM101", "STB101", "STB102", "STB110"]
    assert of("/elsewhere/x.py") == ["ACM101", "STB201"]
