"""A rule pack whose rules do what a file tells them to: flag, raise, hang, print, die.

It is installed into a folder of its own by the tests, and reaches the workers as any third-party pack would.
"""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

from stablint.finding import Severity
from stablint.rule import Report, StaticRule

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


class Obeys(StaticRule):
    """A rule that obeys the file."""

    code = "BAD001"
    severity = Severity.WARNING
    since = "0.1.0"
    bad = ("import torch  # flagged\n",)
    good = ("x = 1\n",)

    def check(self, source: "SourceFile") -> Iterator[Report]:
        for line in source.text.splitlines():
            _, _, order = line.partition("# do: ")
            if order:
                Path(f"{source.path}.reached").touch()
                ORDERS[order](source.path)
        yield Report(source.tree.body[0], f"{len(source.text)} characters")


def raise_(path: str) -> None:
    raise KeyError("dim")


def hang(path: str) -> None:
    while not os.path.exists(f"{path}.released"):
        time.sleep(0.01)


def hang_in_c(path: str) -> None:
    # The interpreter's lock is never let go: no other thread of the process runs again.
    deque(repeat(None), maxlen=0)


def shout(path: str) -> None:
    os.write(1, b"\0\0\0\2[]" * 10_000)
    print("{" * 100_000)


ORDERS: dict[str, Callable[[str], object]] = {
    "raise": raise_,
    "hang": hang,
    "hang in C": hang_in_c,
    "shout": shout,
    "eat": lambda path: bytearray(1 << 40),
    "exit": lambda path: os._exit(7),
    "leave": sys.exit,
    "die": lambda path: os.kill(os.getpid(), signal.SIGKILL),
    "crash": lambda path: signal.raise_signal(signal.SIGSEGV),
}
