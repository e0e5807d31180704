"""How much memory `stablint check` takes, over all its processes, at the most.

    python tests/benchmarks/memory.py FOLDER [--jobs 2] [--copies 1]

With `--copies 3` the folder is read three times, under three names: memory must not grow with the number of files.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from shutil import copytree

INTERVAL = 0.25
"""Seconds between two looks."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the check that the command line asks for and print what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="the folder to check")
    parser.add_argument("--jobs", type=int, default=2, help="how many workers")
    parser.add_argument("--copies", type=int, default=1, help="how often the folder is read, each a copy")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        folders = [options.folder.resolve()]
        for number in range(1, options.copies):
            folders.append(Path(copytree(options.folder, Path(scratch, f"copy{number}"), symlinks=True)))
        peak = peak_of([*_COMMAND, "-j", str(options.jobs), *map(str, folders)])
    files = sum(1 for folder in folders[:1] for _ in folder.rglob("*.py")) * options.copies
    print(f"{peak / 2**20:.0f} MB at most, {files} files, {options.jobs} workers, {date.today()}")


_COMMAND = (sys.executable, "-m", "stablint", "check", "--no-cache", "--output-format", "json")


def peak_of(command: Sequence[str]) -> int:
    """Run a command; return the largest sum of the resident memory of its process and all below it, in bytes."""
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while run.poll() is None:
        peak = max(peak, sum(map(_resident, _tree(run.pid))))
        time.sleep(INTERVAL)
    if run.returncode not in (0, 1):
        raise SystemExit(f"stablint ended with {run.returncode}")
    return peak


def _tree(process: int) -> Iterator[int]:
    yield process
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in _read(task).split():
            yield from _tree(int(child))


def _resident(process: int) -> int:
    found = [line for line in _read(Path(f"/proc/{process}/status")).splitlines() if line.startswith("VmRSS")]
    return int(found[0].split()[1]) * 1024 if found else 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:  # it has ended in the meantime
        return ""


if __name__ == "__main__":
    main()
