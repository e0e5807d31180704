"""What goes to standard error, and how standard output is used."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from stablint.reporters.safe_text import safe_text


def complain(kind: str, message: str) -> None:
    """Write one line to standard error: `error: ...`, `warning: ...`."""
    print(f"{kind}: {safe_text(message)}", file=sys.stderr)


def never_fail_to_print() -> None:
    """Let characters that the terminal's encoding lacks be written out instead of ending the run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def wants_color(choice: str, stream: TextIO) -> bool:
    """Say whether to colour: as asked for, else on a terminal whose user has not said no (https://no-color.org)."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")
