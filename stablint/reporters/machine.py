"""JSON that any reader takes and no log obeys."""

from __future__ import annotations

import json

from stablint.reporters.safe_text import LOG_COMMAND


def dumps(value: object) -> str:
    r"""Return indented ASCII; no NaN, and a runner's `##[` inside a string is written `#\u0023[`."""
    return LOG_COMMAND.sub(r"#\\u0023", json.dumps(value, indent=2, allow_nan=False)) + "\n"


def is_unicode(text: str) -> bool:
    """Say whether `text` can be encoded: strict readers refuse a whole document for one lone surrogate."""
    return not any("\ud800" <= char <= "\udfff" for char in text)
