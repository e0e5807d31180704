"""Text to tree: libcst first; where it fails, CPython says whose fault that is."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import libcst as cst

from stablint.static.deep import deeply
from stablint.static.prescan import prescan
from stablint.static.unreadable import whose_fault

T = TypeVar("T")


def parse(text: str) -> cst.Module:
    """Parse a module; raise UnreadableError for what cannot be parsed."""
    prescan(text)
    return deeply(lambda: _uncollected(lambda: _parse(text)))


def _parse(text: str) -> cst.Module:
    try:
        return cst.parse_module(text)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of libcst's native parser is no Exception
        reason = str(error).strip().splitlines() or [type(error).__name__]
    raise whose_fault(text, f"libcst, which stablint reads code with, cannot parse it: {reason[0]}")


def _uncollected(job: Callable[[], T]) -> T:
    """Run `job` without the garbage collector, which would walk the growing tree again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return job()
    finally:
        if collecting:
            gc.enable()
