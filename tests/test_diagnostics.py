"""The run's own codes: pages and cases like any other rule's."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stablint.diagnostics import DIAGNOSTICS, NEVER_IGNORED
from stablint.finding import Severity
from stablint.registry import load_rules
from stablint.rule import Rule, StaticRule
from stablint.testing import Case, cases

HEADINGS = [
    "What it does",
    "Why it is bad",
    "Example",
    "Use instead",
    "When to ignore it",
    "Fix safety",
    "References",
]


def test_codes_names_and_severities() -> None:
    assert {rule.code: (rule.name(), rule.severity) for rule in DIAGNOSTICS} == {
        "STB900": ("file-not-checked", Severity.ERROR),
        "STB901": ("syntax-error", Severity.ERROR),
        "STB902": ("unused-suppression", Severity.WARNING),
        "STB903": ("blanket-suppression", Severity.NOTE),
        "STB909": ("internal-error", Severity.ERROR),
    }
    assert {"STB900", "STB901", "STB909"} == NEVER_IGNORED


@pytest.mark.parametrize("rule", DIAGNOSTICS, ids=lambda rule: rule.name())
def test_pages_have_the_headings_of_a_rules_page(rule: type[Rule]) -> None:
    page = inspect.getdoc(rule) or ""
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == HEADINGS
    assert all(part.strip() for part in re.split(r"^## .*$", page, flags=re.MULTILINE))
    assert Path(inspect.getfile(rule)).stem == rule.name().replace("-", "_")


@pytest.mark.parametrize("case", cases(DIAGNOSTICS), ids=str)
def test_case(case: Case) -> None:
    case.verify()


def test_they_do_not_come_in_through_the_entry_point() -> None:
    assert not {rule.code for rule in load_rules()} & {rule.code for rule in DIAGNOSTICS}
    assert not any(issubclass(rule, StaticRule) for rule in DIAGNOSTICS)


def test_they_are_shown_without_libcst() -> None:
    code = (
        "import stablint.diagnostics, sys; print(sorted({'libcst', 'torch', 'msgspec'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"
