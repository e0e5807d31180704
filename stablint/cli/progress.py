"""A bar for runs that take long, on a terminal only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 1.0
"""Seconds after which a run is long."""

Progress = Callable[[int, int], None]


@contextmanager
def progress_bar(*, wanted: bool) -> Iterator[Progress | None]:
    """Give a function to tell how many files of how many are done; the bar is gone when all is done."""
    if not wanted or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    began = time.monotonic()
    drawn = False

    def tell(done: int, total: int) -> None:
        nonlocal drawn
        if drawn or time.monotonic() - began > PATIENCE:
            drawn = True
            filled = "=" * (30 * done // total)
            print(f"\r[{filled:30}] {done} of {total} files", end="", file=sys.stderr, flush=True)

    try:
        yield tell
    finally:
        if drawn:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
