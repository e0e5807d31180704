"""What the stages of reading a file cost, next to libcst's parse and to libcst's own metadata.

    python tests/benchmarks/stages.py FOLDER... [--files 60]

Processor time of one thread, garbage collection off, each stage over all files; a ratio says more than a second.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import libcst
from libcst.metadata import MetadataWrapper, PositionProvider, QualifiedNameProvider, ScopeProvider
from sample import take_sample

from stablint.registry import load_rules
from stablint.rule import StaticRule
from stablint.static import facts
from stablint.static.deep import deeply
from stablint.static.examine import examine
from stablint.static.source import SourceFile

Stage = Callable[[SourceFile], object]


def main() -> None:
    """Time every stage and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--files", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        sample = take_sample(options.folders, options.files, Path(scratch))
        contents = [(path.name, path.read_bytes()) for path in sorted(sample.folder.glob("*.py"))]
    print(f"{sample.files} files, {sample.lines:,} lines\n")
    deeply(lambda: _print_table(contents))


def _print_table(contents: list[tuple[str, bytes]]) -> None:
    sources = [SourceFile(name, data) for name, data in contents]
    rules = [rule() for rule in load_rules() if issubclass(rule, StaticRule)]
    stages: list[tuple[str, Stage]] = [
        ("libcst.parse_module", lambda source: libcst.parse_module(source.data)),
        ("reading, pre-scan and parse", lambda source: source.tree),
        ("one walk: scopes, classes, calls", lambda source: source.ask(facts.syntax)),
        ("interpretation", lambda source: source.ask(facts.values)),
        ("operations, arguments put in", lambda source: source.ask(facts.operations)),
        ("training paths", lambda source: source.ask(facts.training_paths)),
        ("all rules, places, suppressions", lambda source: examine(source, rules)),
        ("libcst: PositionProvider", lambda source: _resolved(source, PositionProvider)),
        ("libcst: ScopeProvider", lambda source: _resolved(source, ScopeProvider)),
        ("libcst: QualifiedNameProvider", lambda source: _resolved(source, QualifiedNameProvider)),
    ]
    print("| stage | CPU seconds | times the parse |\n|---|---:|---:|")
    parse = None
    for name, stage in stages:
        seconds = _seconds(stage, sources)
        parse = parse or seconds
        print(f"| {name} | {seconds:.2f} | {seconds / parse:.2f} |")


def _seconds(stage: Stage, sources: list[SourceFile]) -> float:
    gc.collect()
    gc.disable()
    try:
        began = time.thread_time()
        for source in sources:
            stage(source)
        return time.thread_time() - began
    finally:
        gc.enable()


def _resolved(source: SourceFile, provider: type) -> object:
    return MetadataWrapper(source.tree, unsafe_skip_copy=True).resolve(provider)


if __name__ == "__main__":
    main()
