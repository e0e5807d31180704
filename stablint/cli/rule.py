"""`stablint rule`: the manual page of a rule."""

from __future__ import annotations

import json
import sys
from typing import Any

import rich_click as click

from stablint import page
from stablint.cli.all_rules import all_rules
from stablint.cli.status import Status
from stablint.cli.terminal import wants_color
from stablint.errors import UsageError
from stablint.registry import find_rule, words_for
from stablint.rule import Rule


def _completions(_: click.Context, __: click.Parameter, beginning: str) -> list[str]:
    return [word for word in words_for(all_rules()) if word.startswith(beginning)]


@click.command()
@click.argument("name", required=False, metavar="[NAME|CODE]", shell_complete=_completions)
@click.option("--all", "every", is_flag=True, help="List all rules.")
@click.option("--output-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
def rule(name: str | None, every: bool, output_format: str) -> int:
    """Explain a rule: what it does, why it is bad, an example, what to use instead."""
    if every == (name is not None):
        raise UsageError("stablint rule: give the name or code of one rule, or --all")
    rules = all_rules()
    chosen = rules if name is None else (find_rule(name, rules),)
    if output_format == "json":
        objects = [as_object(each) for each in chosen]
        print(json.dumps(objects if every else objects[0], indent=2))
    elif every:
        print(_table(chosen))
    else:
        _show(page.page(chosen[0]))
    return Status.CLEAN


def as_object(rule: type[Rule]) -> dict[str, Any]:
    """Return all that is known of a rule, as plain data."""
    return {
        "code": rule.code,
        "name": rule.name(),
        "summary": page.summary(rule),
        "severity": rule.severity,
        "confidence": rule.confidence,
        "default": rule.default,
        "since": rule.since,
        "fix": page.fix(rule),
        "options": page.options(rule),
        "page": page.page(rule),
    }


def _table(rules: tuple[type[Rule], ...]) -> str:
    width = max(len(rule.name()) for rule in rules)
    rows = (
        (rule.code, f"{rule.name():{width}}", f"{rule.severity:7}", "on " if rule.default else "off")
        for rule in rules
    )
    return "\n".join("  ".join((*row, page.summary(rule))) for row, rule in zip(rows, rules, strict=True))


def _show(markdown: str) -> None:
    """Print a page: set by rich on a terminal, as it stands into files and pipes."""
    if not sys.stdout.isatty():
        print(markdown, end="")
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(no_color=not wants_color("auto", sys.stdout), width=min(Console().width, 100))
    console.print(Markdown(markdown))
