"""How much quicker a second run is, in which nothing has changed.

python tests/benchmarks/again.py FOLDER... [--jobs 2] [--repeats 3]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import median


def main(argv: Sequence[str] | None = None) -> None:
    """Run the checks that the command line asks for and print what they took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folders", type=Path, nargs="+", help="the folders to check")
    parser.add_argument("--jobs", type=int, default=2, help="how many workers")
    parser.add_argument("--repeats", type=int, default=3, help="how often to run again")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "stablint", "check", "--output-format", "json", "--cache-dir", cache]
        command += ["-j", str(options.jobs), *map(str, options.folders)]
        first, said = _timed(command)
        again = [_timed(command) for _ in range(options.repeats)]
    if any(other != said for _, other in again):
        raise SystemExit("a later run said something else than the first")
    files = sum(1 for folder in options.folders for _ in folder.rglob("*.py"))
    later = median(seconds for seconds, _ in again)
    print(
        f"{files} files: {first:.1f} s, then {later:.2f} s: {first / later:.0f} times faster, {date.today()}"
    )


def _timed(command: Sequence[str]) -> tuple[float, str]:
    began = time.perf_counter()
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode not in (0, 1):
        raise SystemExit(f"stablint ended with {run.returncode}:\n{run.stderr}")
    return time.perf_counter() - began, run.stdout


if __name__ == "__main__":
    main()
