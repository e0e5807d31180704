"""All that can be selected, ignored and explained by name."""

from __future__ import annotations

from stablint.diagnostics import DIAGNOSTICS
from stablint.registry import load_rules
from stablint.rule import Rule


def all_rules() -> tuple[type[Rule], ...]:
    """Return the rules of all packs and the run's own codes."""
    return (*load_rules(), *DIAGNOSTICS)
