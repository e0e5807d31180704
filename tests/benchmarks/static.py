"""How much processor time `stablint check` takes, next to the parse alone and to other PyTorch linters.

    python tests/benchmarks/static.py FOLDER... [--files 300 | --whole] [--repeats 3] [--venvs FOLDER]

All contestants read the same files in the same run, one after another, several times over; what counts is the
processor time (user and system) of a contestant's whole process tree, and of that the median.
"""

import argparse
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median

from absent import write_pack
from contestants import ARGUMENTS, Contestant, other, parse_only, stablint
from sample import Sample, take_sample, take_whole

TOOLS = ("parse", "stablint", *ARGUMENTS)


@dataclass(frozen=True, slots=True)
class Row:
    """A contestant and the processor seconds that it took, each time."""

    contestant: Contestant
    seconds: list[float]

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.seconds)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the contest that the command line asks for and print its table."""
    options = _parser().parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        if options.whole:
            sample = take_whole(options.folders[0].resolve())
        else:
            sample = take_sample(options.folders, options.files, Path(scratch, "sample"))
        contestants = _contestants(options, Path(scratch, "pack"))
        print(_table(sample, _contest(contestants, sample, options.repeats)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n", 1)[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", help="where to take Python files from")
    parser.add_argument("--files", type=int, default=300, help="how many files to read")
    parser.add_argument(
        "--whole",
        action="store_true",
        help="read all of the first folder where it stands, so that imports are followed, and no sample",
    )
    parser.add_argument("--repeats", type=int, default=3, help="how often to run each contestant")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=TOOLS, help="whom to compare")
    parser.add_argument(
        "--venvs",
        type=Path,
        default=Path("~/.cache/stablint-benchmarks").expanduser(),
        help="where the other linters are installed, or will be, each in an environment of its own",
    )
    parser.add_argument(
        "--absent-rules",
        type=int,
        default=0,
        metavar="N",
        help="run stablint also with so many more rules, whose subjects do not occur",
    )
    return parser


def _contestants(options: argparse.Namespace, pack: Path) -> list[Contestant]:
    contestants = [parse_only()] if "parse" in options.tools else []
    if "stablint" in options.tools:
        contestants.append(stablint())
    if options.absent_rules:
        write_pack(options.absent_rules, pack)
        contestants.append(stablint(f"stablint with {options.absent_rules} more rules", pack))
    return [*contestants, *(other(name, options.venvs) for name in ARGUMENTS if name in options.tools)]


def _contest(contestants: Sequence[Contestant], sample: Sample, repeats: int) -> list[Row]:
    rows = [Row(contestant, []) for contestant in contestants]
    for row in rows:
        _processor_seconds(row.contestant, sample.first)  # so that bytecode is written and the disk warm
    for _ in range(repeats):
        for row in rows:
            row.seconds.append(_processor_seconds(row.contestant, sample.folder))
    return rows


def _processor_seconds(contestant: Contestant, folder: Path) -> float:
    """Run a command to its end; return the processor time of its process and all that it has waited for."""
    before = os.times()
    run = subprocess.run(
        [*contestant.command, str(folder)],
        cwd=folder,
        env={**os.environ, **contestant.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    after = os.times()
    if run.returncode not in (0, 1):
        raise SystemExit(f"{contestant.name} ended with {run.returncode}:\n{run.stderr or run.stdout}")
    return after.children_user + after.children_system - before.children_user - before.children_system


def _table(sample: Sample, rows: Sequence[Row]) -> str:
    ours = next((row.middle for row in rows if row.contestant.name.startswith("stablint ")), None)
    floor = next((row.middle for row in rows if row.contestant.name.startswith("libcst")), None)
    lines = [
        f"{sample.files} files, {sample.lines:,} lines, median of {len(rows[0].seconds)} runs, {date.today()}",
        "",
        "| tool | CPU seconds | lines a second | times the parse | times stablint |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        rate = f"{sample.lines / row.middle:,.0f}"
        cells = (row.contestant.name, f"{row.middle:.2f}", rate, _times(row, floor), _times(row, ours))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _times(row: Row, unit: float | None) -> str:
    return f"{row.middle / unit:.2f}" if unit else ""


if __name__ == "__main__":
    main()
