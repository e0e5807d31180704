"""A bar for runs that take long, on a terminal only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

PATIENCE = 1.0
"""Seconds after which a run is long."""

Progress = Callable[[int, int], None]


@contextmanager
def progress_bar(*, wanted: bool) -> Iterator[Progress | None]:
    """Give a function to tell how many files of how many are done; the bar is gone when all is done."""
    if not wanted or not sys.stderr.isatty() or os.environ.get("TERM") in ("dumb", "unknown"):
        yield None
        return
    draw_after = time.monotonic() + PATIENCE
    draw: Progress | None = None
    with ExitStack() as screen:

        def tell(done: int, total: int) -> None:
            nonlocal draw
            if draw is None and done < total and time.monotonic() >= draw_after:
                draw = screen.enter_context(_bar())
            if draw is not None:
                draw(done, total)

        yield tell


@contextmanager
def _bar() -> Iterator[Progress]:
    # Late: who is not kept waiting has no bar, and should not wait for its import.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("files"), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("checking")
        yield lambda done, total: bar.update(task, completed=done, total=total)
