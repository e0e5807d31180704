"""What several test files need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stablint.registry import load_rules

ACME = Path(__file__).parent / "fixtures" / "acme"
"""A rule pack, installed by being on the import path."""


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install the rule pack acme in this process: ACM101, ACM102 and, off by default, ACM201."""
    monkeypatch.syspath_prepend(str(ACME))
    load_rules.cache_clear()
    yield ACME
    load_rules.cache_clear()
