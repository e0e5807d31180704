"""How many faults are found that were not there before: clean public files, each broken in one way.

    python tests/benchmarks/mutation.py CORPUS [--operators NAME...] [--without REPO...] [-v] [--output FILE]

CORPUS holds repositories as sub-folders `owner+name`, at the commits of docs/accuracy/corpus.tsv. Nothing in it is
changed: a mutant lives in memory. The same seed makes the same mutants, whatever the machine.
"""

import argparse
import gc
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

from mutants import OPERATORS
from mutants.operator import Operator
from mutants.scoreboard import line, misses, plain, reasons, table
from mutants.trial import Corpus, Limits, Reader, Tally, run

from stablint.registry import load_rules
from stablint.rule import StaticRule


def main(argv: Sequence[str] | None = None) -> None:
    """Break the corpus that the command line names, and say what was found."""
    options = _parser().parse_args(argv)
    if options.list:
        print("\n".join(f"{each.name}: {each.matters}" for each in OPERATORS))
        return
    gc.disable()  # the reader collects: syntax trees are many small objects that live as long as their file
    tallies = list(_tallies(options))
    print(
        f"stablint {version('stablint')}, {date.today()}\n\n{table(tallies)}\n", *reasons(tallies), sep="\n"
    )
    if options.verbose:
        print("", *misses(tallies), sep="\n")
    if options.output:
        options.output.write_text(json.dumps(plain(tallies), indent=1) + "\n", encoding="utf-8")


def _tallies(options: argparse.Namespace) -> Iterator[Tally]:
    corpus = Corpus(options.corpus, options.without)
    reader = Reader(corpus, [rule for rule in load_rules() if issubclass(rule, StaticRule)])
    limits = Limits(options.operator_limit, options.repository_limit, seed=options.seed)
    for tally in run(corpus, reader, _chosen(options.operators), limits):
        print(line([tally]), file=sys.stderr, flush=True)
        yield tally


def _chosen(names: Sequence[str]) -> list[Operator]:
    unknown = set(names) - {each.name for each in OPERATORS}
    if unknown:
        raise SystemExit(f"no operator is called {', '.join(sorted(unknown))}; --list names all")
    return [each for each in OPERATORS if not names or each.name in names]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n", 1)[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "corpus", type=Path, nargs="?", default=Path(), help="a folder of repositories owner+name"
    )
    parser.add_argument("--operators", nargs="+", default=(), metavar="NAME", help="only these")
    parser.add_argument(
        "--list", action="store_true", help="say when each operator's mutants matter, and end"
    )
    parser.add_argument("--without", nargs="+", default=(), metavar="REPO", help="repositories to pass over")
    parser.add_argument(
        "--operator-limit", type=int, default=Limits().operator, help="mutants of each operator"
    )
    parser.add_argument(
        "--repository-limit", type=int, default=Limits().repository, help="and of each repository"
    )
    parser.add_argument(
        "--seed", type=int, default=Limits().seed, help="which mutants are made of those possible"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="list what was missed")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to put every outcome, as JSON")
    return parser


if __name__ == "__main__":
    main()
