"""A folder of repositories, read by stablint: which files, which findings, and the place of each."""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judgements import Place, place_of

from stablint.finding import Location, Position
from stablint.settings.settings import Settings
from stablint.static.discover import discover
from stablint.static.source import SourceFile
from stablint.static.unreadable import UnreadableError

COMMAND = (
    *(sys.executable, "-m", "stablint", "check", ".", "--isolated", "--no-respect-gitignore"),
    *("--output-format", "json", "--exit-zero", "--quiet"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A finding and where it is, for people (`line`) and for the table of judgements (`place`)."""

    place: Place
    line: str
    code: str
    severity: str
    message: str

    @property
    def is_of_the_run(self) -> bool:
        """Whether it says that a file could not be checked, which is a matter of the file's syntax or our own."""
        return self.code.startswith("STB90")


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of a run: the number of files of each repository, and the findings."""

    files: Mapping[str, int]
    found: Sequence[Found]


def read_corpus(corpus: Path) -> Reading:
    """Run stablint over the sub-folders `owner+name` of a folder."""
    everything = discover([str(corpus)], lambda _: Settings(respect_gitignore=False)).files
    files = Counter(_repository(str(Path(path).relative_to(corpus))) for path in everything)
    findings = json.loads(_run(corpus))
    failed = sorted({finding["filename"] for finding in findings if finding["name"] == "internal-error"})
    if failed:
        raise SystemExit(f"stablint itself fails, which is to be mended first, on {', '.join(failed)}")
    by_file: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for finding in findings:
        by_file[finding["filename"]].append(finding)
    return Reading(files, [one for path in sorted(by_file) for one in _found(corpus, path, by_file[path])])


def _run(corpus: Path) -> str:
    run = subprocess.run(COMMAND, cwd=corpus, capture_output=True, text=True, check=False)
    if run.returncode not in (0, 3):  # 3: stablint has failed on a file, which is one of the findings
        raise SystemExit(f"stablint ended with {run.returncode}:\n{run.stderr}")
    return run.stdout


def _repository(path: str) -> str:
    return Path(path).parts[0].replace("+", "/", 1)


def _found(corpus: Path, path: str, findings: Sequence[Mapping[str, Any]]) -> Iterator[Found]:
    source = SourceFile(path, corpus.joinpath(path).read_bytes())
    inside = Path(*Path(path).parts[1:]).as_posix()
    for finding in findings:
        row, cell = finding["location"]["row"], finding["cell"]
        lines, number = _lines(source, row, cell)
        place = place_of(_repository(path), inside, finding["name"], lines, number)
        line = str(row) if cell is None else f"{cell}:{row}"
        yield Found(place, line, finding["code"], finding["severity"], finding["message"])


def _lines(source: SourceFile, row: int, cell: int | None) -> tuple[list[str], int]:
    """Return the lines of a file up to a finding, and their number; none of a file that is no text."""
    start = Position(row, 1)
    try:
        number = source.lines.position(source.offset(Location(source.path, start, start, cell))).line
        return [source.lines.line(each) for each in range(1, number + 1)], number
    except UnreadableError:  # which is what the finding says
        return [], 0
