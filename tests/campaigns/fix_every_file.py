"""Fix copies of all Python files and notebooks below some folders, and look at what came of each.

    python tests/campaigns/fix_every_file.py [--unsafe] FOLDER ...

Each file with a fix is fixed, or refused for a reason that is printed; what was fixed compiles if it did
before, fixing it again changes nothing, and no code has more findings than before.  Nothing is written.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from stablint.finding import Finding
from stablint.fixes import fix_source
from stablint.fixes.fixed import compiles
from stablint.registry import load_rules
from stablint.rule import StaticRule
from stablint.static.examine import examine
from stablint.static.source import SourceFile


def faults(path: str, data: bytes, rules: Sequence[StaticRule], *, unsafe: bool) -> Iterator[tuple[str, str]]:
    """Yield what happened to a file: `fixed`, `refused` and its reason, or a promise that was broken."""
    before = examine(SourceFile(path, data), rules)
    fixed = fix_source(SourceFile(path, data), rules, unsafe=unsafe)
    if fixed.refused is not None:
        yield "refused", fixed.refused
        if fixed.data != data or fixed.applied:
            yield "BROKEN", "refused, and changed all the same"
    if not fixed.applied:
        return
    yield "fixed", ", ".join(sorted({finding.code for finding in fixed.applied}))
    if not path.endswith(".ipynb") and compiles(data) and not compiles(fixed.data):
        yield "BROKEN", "does not compile any more"
    again = fix_source(SourceFile(path, fixed.data), rules, unsafe=unsafe)
    if again.data != fixed.data or again.refused is not None:
        yield "BROKEN", f"fixing again is not the end: {again.refused or 'changed'}"
    more = _codes(fixed.remaining) - _codes(before)
    if more:
        yield "BROKEN", f"new findings: {dict(more)}"
    if not sum((_codes(before) - _codes(fixed.remaining)).values()) >= 1:
        yield "BROKEN", "the findings are still there"


def _codes(findings: Sequence[Finding]) -> Counter[str]:
    return Counter(finding.code for finding in findings)


def main(arguments: list[str]) -> int:
    """Run the campaign over the folders; 1 if a promise was broken."""
    unsafe = "--unsafe" in arguments
    rules = [rule() for rule in load_rules() if issubclass(rule, StaticRule)]
    counts: Counter[str] = Counter()
    for folder in (one for one in arguments if one != "--unsafe"):
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix not in (".py", ".ipynb") or not path.is_file():
                continue
            counts["files"] += 1
            for outcome, reason in faults(str(path), path.read_bytes(), rules, unsafe=unsafe):
                counts[outcome] += 1
                if outcome != "fixed":
                    print(f"{outcome}: {path.relative_to(folder)}: {reason}")
    print(" ".join(f"{outcome}={number}" for outcome, number in counts.items()))
    return 1 if counts["BROKEN"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
