"""The manual page of a rule, in Markdown: what `stablint rule` prints."""

from __future__ import annotations

import inspect

from stablint.rule import Rule


def page(rule: type[Rule]) -> str:
    """Return the whole page: title, facts, the docstring, options."""
    parts = (title(rule), _facts(rule), text(rule), _options(rule))
    return "\n\n".join(part for part in parts if part) + "\n"


def title(rule: type[Rule]) -> str:
    """Return the heading, with name and code."""
    return f"# {rule.name()} ({rule.code})"


def text(rule: type[Rule]) -> str:
    """Return the docstring, dedented."""
    return inspect.cleandoc(rule.__doc__ or "")


def summary(rule: type[Rule]) -> str:
    """Return the first paragraph of the docstring on one line."""
    return " ".join(text(rule).partition("\n\n")[0].split())


def fix(rule: type[Rule]) -> str:
    """Say how often there is a fix: `always`, `sometimes` or `none`, as the bad cases show."""
    offered = [case is not None for case in rule.fixed]
    if not any(offered):
        return "none"
    return "always" if all(offered) and len(offered) == len(rule.bad) else "sometimes"


def options(rule: type[Rule]) -> dict[str, object]:
    """Return the rule's options and their defaults, by the names that a configuration file uses."""
    if rule.Options is None:
        return {}
    defaults = rule.Options()
    return {field.replace("_", "-"): getattr(defaults, field) for field in rule.Options.__struct_fields__}


def _facts(rule: type[Rule]) -> str:
    default = "on by default" if rule.default else "off by default, runs when selected"
    return (
        f"Severity **{rule.severity}** · confidence **{rule.confidence}** · {default} · "
        f"since {rule.since} · fix: {fix(rule)}"
    )


def _options(rule: type[Rule]) -> str:
    if not options(rule):
        return ""
    import json

    lines = [f"{name} = {json.dumps(value)}" for name, value in options(rule).items()]
    return "\n".join(["## Options", "", "```toml", f"[tool.stablint.rules.{rule.name()}]", *lines, "```"])
