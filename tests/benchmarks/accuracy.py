"""How many findings in well-known public code are true: those of this run, joined with what a reader said.

    python tests/benchmarks/accuracy.py CORPUS [--judgements FILE] [--update FILE] [--write-unjudged FILE]

CORPUS holds repositories as sub-folders `owner+name`, at the commits of docs/accuracy/corpus.tsv.
"""

import argparse
import csv
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from judgements import Judgement, read_judgements, write_judgements
from ledger import Ledger, ledger_of, report
from reading import Found, read_corpus

DOCS = Path(__file__).parents[2] / "docs"
START, END = "<!-- ledger: written by tests/benchmarks/accuracy.py -->", "<!-- end of the ledger -->"


def main(argv: Sequence[str] | None = None) -> None:
    """Read the corpus that the command line names, and say how true the findings are."""
    options = _parser().parse_args(argv)
    reading = read_corpus(options.corpus)
    ledger = ledger_of(reading, read_judgements(options.judgements))
    text = report(ledger, _title(), commits := _commits(options.repositories))
    print(text, *_unjudged(ledger), sep="\n")
    if options.update:
        options.update.write_text(updated(options.update.read_text(encoding="utf-8"), text), encoding="utf-8")
    if options.write_unjudged:
        write_judgements(options.write_unjudged, (_template(found, commits) for found in ledger.unjudged))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n", 1)[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("corpus", type=Path, help="a folder of repositories owner+name")
    parser.add_argument("--judgements", type=Path, default=DOCS / "accuracy/judgements.tsv", metavar="FILE")
    parser.add_argument("--repositories", type=Path, default=DOCS / "accuracy/corpus.tsv", metavar="FILE")
    parser.add_argument("--update", type=Path, metavar="FILE", help="a page to write the tables into")
    parser.add_argument(
        "--write-unjudged", type=Path, metavar="FILE", help="where to put rows for what nobody has read yet"
    )
    return parser


def _title() -> str:
    return f"stablint {version('stablint')}, `python tests/benchmarks/accuracy.py CORPUS --update docs/accuracy.md`"


def _commits(file: Path) -> dict[str, str]:
    with file.open(encoding="utf-8", newline="") as text:
        return {row["repo"]: row["commit"] for row in csv.DictReader(text, delimiter="\t")}


def _unjudged(ledger: Ledger) -> list[str]:
    return [
        f"unjudged: {one.place.repo} {one.place.path}:{one.line} {one.severity} {one.place.rule}: {one.message}"
        for one in ledger.unjudged
    ]


def _template(found: Found, commits: dict[str, str]) -> Judgement:
    return Judgement(found.place, commits.get(found.place.repo, "")[:12], found.line, found.severity)


def updated(page: str, text: str) -> str:
    """Return a page with `text` between its two markers."""
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise SystemExit(f"the page has no lines {START!r} and {END!r}")
    return f"{before}{START}\n\n{text}\n{END}{after}"


if __name__ == "__main__":
    main()
