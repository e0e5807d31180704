"""The manual page of a rule."""

from pathlib import Path

import pytest

from stablint.diagnostics import DIAGNOSTICS
from stablint.page import fix, page, summary
from stablint.registry import load_rules
from stablint.rule import Rule


def test_page_of_a_rule_with_options(acme: Path) -> None:
    long_file = next(rule for rule in load_rules() if rule.code == "ACM201")
    assert (
        page(long_file)
        == """\
# long-file (ACM201)

Severity **note** · confidence **high** · off by default, runs when selected · since 1.0 · fix: none

A file has more lines than the team likes.

## What it does
Flags the first statement of a file with more than `most-lines` lines.

## Options

```toml
[tool.stablint.rules.long-file]
most-lines = 3
```
"""
    )


def test_every_rule_has_a_title_a_summary_and_facts() -> None:
    for rule in (*load_rules(), *DIAGNOSTICS):
        title, _, facts, _, first, *_ = page(rule).split("\n")
        assert title == f"# {rule.name()} ({rule.code})"
        assert facts.startswith(
            f"Severity **{rule.severity}** · confidence **{rule.confidence}** · on by default"
        ) or (not rule.default and "off by default" in facts)
        assert first
        assert summary(rule).startswith(first)
        assert "\n" not in summary(rule)


@pytest.mark.parametrize(
    ("fixed", "told"),
    [
        ((), "none"),
        ((None, None), "none"),
        (("a",), "sometimes"),
        ((None, "a"), "sometimes"),
        (("a", "b"), "always"),
    ],
)
def test_fix_is_told_from_the_cases(fixed: tuple[str | None, ...], told: str) -> None:
    class TwoCases(Rule):
        bad = ("x", "y")

    TwoCases.fixed = fixed
    assert fix(TwoCases) == told
