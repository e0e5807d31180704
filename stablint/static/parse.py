"""Text to tree: libcst first; where it fails, CPython says whose fault that is."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from typing import TypeVar

import libcst as cst

from stablint.finding import Position
from stablint.static.deep import deeply
from stablint.static.prescan import prescan
from stablint.static.unreadable import whose_fault

T = TypeVar("T")


def parse(text: str) -> cst.Module:
    """Parse a module; raise UnreadableError for what cannot be parsed."""
    prescan(text)
    return deeply(lambda: _uncollected(lambda: _parse(text)))


def _parse(text: str) -> cst.Module:
    if text.startswith("\ufeff"):  # libcst would drop it without a word
        raise whose_fault(text, "it starts with two byte order marks")
    try:
        return cst.parse_module(text)
    except BaseException as error:  # a panic of libcst's native parser is no Exception
        message, position = _complaint(error)
    raise whose_fault(text, message, position)


def _complaint(error: BaseException) -> tuple[str, Position]:
    """Return what to say of a failure of libcst's for which there is no cause in the text, and where."""
    found = re.search(r"error at (\d+):", str(error))
    if isinstance(error, cst.ParserSyntaxError):
        line = int(found.group(1)) if found else error.raw_line
        return "Python understands it, but libcst, the parser that stablint uses, does not", Position(line, 1)
    first = (str(error).strip().splitlines() or [""])[0]
    message = f"libcst, the parser that stablint uses, failed with {type(error).__name__}: {first}"
    return message.rstrip(": "), Position(1, 1)


def _uncollected(job: Callable[[], T]) -> T:
    """Run `job` without the garbage collector, which would walk the growing tree again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return job()
    finally:
        if collecting:
            gc.enable()
