"""Every case of every installed rule, and the harness that runs them."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from stablint.finding import Applicability, Severity
from stablint.registry import load_rules
from stablint.rule import ProposedFix, Replace, Report, StaticRule
from stablint.static.source import SourceFile
from stablint.testing import Case, cases

RULES = load_rules()


def test_the_rules_are_installed() -> None:
    assert {rule.__module__.partition(".")[0] for rule in RULES} >= {"stablint_rules"}


@pytest.mark.parametrize("case", cases(RULES), ids=str)
def test_case(case: Case) -> None:
    case.verify()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name())
def test_file_is_named_after_the_rule(rule: type[StaticRule]) -> None:
    file = Path(inspect.getfile(rule))
    if "stablint_rules" in file.parts:
        assert file.stem == rule.name().replace("-", "_")


class Harmless(StaticRule):
    """A rule to try the harness with: it flags every top-level call of `torch.bad`."""

    code = "STB999"
    severity = Severity.ERROR
    since = "0.1.0"
    bad = ("import torch\ntorch.bad()  # flagged\n",)
    good = ("import torch\ntorch.good()\n",)
    fixed = ("import torch\ntorch.good()\n",)

    def check(self, source: SourceFile) -> Iterator[Report]:
        for line in source.tree.body:
            if "torch.bad" in source.code(line):
                replace = Replace(line, "torch.good()")
                yield Report(line, "bad", fix=ProposedFix("be good", Applicability.SAFE, (replace,)))


def failure(rule: type[StaticRule]) -> str:
    for case in cases([rule]):
        try:
            case.verify()
        except AssertionError as error:
            return str(error)
    return ""


def test_a_rule_that_keeps_its_promises_passes() -> None:
    assert len(cases([Harmless])) == 2
    assert failure(Harmless) == ""


def test_a_rule_that_finds_nothing_is_caught() -> None:
    class Blind(Harmless):
        def check(self, source: SourceFile) -> Iterator[Report]:
            return iter(())

    assert "[2] are marked, [] flagged" in failure(Blind)


def test_a_rule_that_flags_the_first_line_is_caught() -> None:
    class FirstLine(Harmless):
        def check(self, source: SourceFile) -> Iterator[Report]:
            yield Report(source.tree.body[0], "bad")

    assert "[2] are marked, [1] flagged" in failure(FirstLine)


def test_a_rule_that_flags_a_good_case_is_caught() -> None:
    class Eager(Harmless):
        good = ("import torch\nprint(torch.bad)\n",)

    assert "harmless" in Harmless.name()
    assert "eager-good-0: lines [] are marked, [2] flagged" in failure(Eager)


def test_a_rule_that_raises_is_caught() -> None:
    class Raises(Harmless):
        def check(self, source: SourceFile) -> Iterator[Report]:
            raise KeyError("dim")

    assert "raises failed: KeyError: 'dim'" in failure(Raises)


def test_a_fix_that_is_not_promised_is_caught() -> None:
    class Unpromised(Harmless):
        fixed = ()

    assert "`fixed` promises none" in failure(Unpromised)


def test_a_fix_that_is_promised_and_missing_is_caught() -> None:
    class Unfixed(Harmless):
        def check(self, source: SourceFile) -> Iterator[Report]:
            yield Report(source.tree.body[-1], "bad") if "bad" in source.text else Report(source.tree, "")

    class Promising(Unfixed):
        good = ()

    assert "no fix is offered" in failure(Promising)


def test_a_fix_that_does_something_else_is_caught() -> None:
    class Otherwise(Harmless):
        fixed = ("import torch\ntorch.best()\n",)

    assert "the fixes make of it" in failure(Otherwise)


def test_a_bad_case_that_the_prefilter_would_skip_is_caught() -> None:
    class Skipped(Harmless):
        bad = ("from elsewhere import torc\ntorc.h.bad()  # flagged\n",)
        fixed = ()

        def check(self, source: SourceFile) -> Iterator[Report]:
            yield Report(source.tree.body[-1], "bad")

    assert "the prefilter" in failure(Skipped)
