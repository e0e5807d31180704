"""Kill a process with SIGKILL while it writes fixed files, many times, and look at what is left.

    python tests/campaigns/kill_while_writing.py 200

A file must hold the old text or the new one.  One with a second hard link is written in place; there the
text may be in the copy beside it instead.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from stablint.fixes.write import PREFIX, write_atomically

OLD = b"old = 1  # the text before\n" * 20_000
NEW = b"new = 22  # the text after the fix\n" * 20_000


def round_(folder: Path, linked: bool, seconds: float) -> str:
    """Start a writer, kill it after `seconds` and say what is left: `old`, `new`, `copy` or `lost`."""
    path = folder / "train.py"
    path.write_bytes(OLD)
    if linked:
        os.link(path, folder / "second.py")
    writer = os.fork()
    if writer == 0:
        while True:
            write_atomically(str(path), OLD, NEW)
            write_atomically(str(path), NEW, OLD)
    time.sleep(seconds)
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    left = path.read_bytes()
    if left in (OLD, NEW):
        return "old" if left == OLD else "new"
    copies = [one.read_bytes() for one in folder.iterdir() if one.name.startswith(PREFIX)]
    return "copy" if linked and any(copy in (OLD, NEW) for copy in copies) else "lost"


def campaign(rounds: int, seed: int = 1) -> dict[str, int]:
    """Run rounds with and without a second link in turn; return how often each outcome was seen."""
    chance = random.Random(seed)
    outcomes: dict[str, int] = {}
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            outcome = round_(Path(folder), number % 4 == 3, chance.uniform(0.001, 0.05))
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


if __name__ == "__main__":
    result = campaign(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
    print(" ".join(f"{outcome}={number}" for outcome, number in sorted(result.items())))
    sys.exit(1 if "lost" in result else 0)
