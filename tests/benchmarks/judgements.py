"""What a reader said about findings in public code: one row of a table each, without a word of that code."""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

VERDICTS = ("true", "false", "debatable")
HEADER = ("repo", "commit", "path", "line", "rule", "severity", "hash", "occurrence", "verdict", "reason")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A finding's place, however lines move: the `occurrence`-th line of a file whose text has this hash."""

    repo: str
    path: str
    rule: str
    hash: str
    occurrence: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """A row of the table; `line` (in a notebook `cell:line`) and `severity` are as they were when it was read.

    In a template, verdict and reason are empty.
    """

    place: Place
    commit: str
    line: str
    severity: str
    verdict: str = ""
    reason: str = ""


def place_of(repo: str, path: str, rule: str, lines: Sequence[str], number: int) -> Place:
    """Return the place of a finding on a line, counted from 1, of a file."""
    texts = [text.strip() for text in lines[:number]]
    text = texts[-1] if texts else ""
    return Place(repo, path, rule, hashlib.sha256(text.encode()).hexdigest()[:12], texts.count(text))


def read_judgements(file: Path) -> dict[Place, Judgement]:
    """Read the table; what is wrong in a row is said with its line, and ends the run."""
    found: dict[Place, Judgement] = {}
    with file.open(encoding="utf-8", newline="") as text:
        for number, row in enumerate(csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE), start=2):
            try:
                one = _judgement(row)
            except (KeyError, AttributeError, ValueError) as error:
                raise SystemExit(f"{file}:{number}: {error}") from error
            if one.place in found:
                raise SystemExit(f"{file}:{number}: judged twice, first on line {found[one.place].line}")
            found[one.place] = one
    return found


def _judgement(row: dict[str, str]) -> Judgement:
    if row["verdict"] not in VERDICTS:
        raise ValueError(f'the verdict is "{row["verdict"]}", not one of {", ".join(VERDICTS)}')
    if not row["reason"].strip():
        raise ValueError("a verdict needs a reason")
    place = Place(row["repo"], row["path"], row["rule"], row["hash"], int(row["occurrence"]))
    return Judgement(place, row["commit"], row["line"], row["severity"], row["verdict"], row["reason"])


def write_judgements(file: Path, judgements: Iterable[Judgement]) -> None:
    """Write the table in an order of its own, so that what changed can be read."""
    rows = sorted("\t".join(_cells(one)) for one in judgements)
    file.write_text("".join(f"{row}\n" for row in ("\t".join(HEADER), *rows)), encoding="utf-8")


def _cells(one: Judgement) -> tuple[str, ...]:
    place = one.place
    named = (place.repo, one.commit, place.path, one.line, place.rule, one.severity)
    return (*named, place.hash, str(place.occurrence), one.verdict, one.reason)
