"""Examine changed copies of all Python files and notebooks below some folders: odd bytes, cut lines, odd breaks.

    python tests/campaigns/odd_bytes.py COUNT FOLDER ...

No rule may fail, each finding must stand within its file, and a text that was decoded must go back to the
bytes that it came from, unless its encoding has several ways to write it.  Nothing is written.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from stablint.registry import load_rules
from stablint.rule import StaticRule
from stablint.static.examine import examine
from stablint.static.source import SourceFile
from stablint.static.unreadable import UnreadableError

ODD = (
    *(b"\0", b"\xff", b"\xef\xbb\xbf", b"\r", b"\r\n", b"\x0c", b"\x1a", b"\xe2\x80\xa8", b"\xed\xa0\x80"),
    *(b"\xf0\x9f\x98\x80", b"\\\n", b'"""', b"'", b"(", b")", b"f'{", b"}", b"#", b";", b":\n", b"\t", b"lambda: "),
    *(b"# stablint: ignore[STB101]\n", b"# noqa: STB101", b"# coding: latin-1\n"),
)  # fmt: skip


def inserted(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data) + 1)
    return data[:at] + dice.choice(ODD) + data[at:]


def removed(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data) + 1)
    return data[:at] + data[at + dice.randrange(1, 30) :]


def flipped(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.randrange(1, 4)):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data) + 1)]


def other_breaks(data: bytes, dice: random.Random) -> bytes:
    return data.replace(b"\n", dice.choice((b"\r", b"\r\n", b"\n\x0c", b"\n\n")))


def lines_swapped(data: bytes, dice: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    first, second = dice.randrange(len(lines)), dice.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"".join(lines)


CHANGES: Sequence[Callable[[bytes, random.Random], bytes]] = (
    inserted,
    removed,
    flipped,
    cut,
    other_breaks,
    lines_swapped,
)


def faults(path: str, data: bytes, rules: Sequence[StaticRule]) -> Iterator[str]:
    """Yield what happened to a file, and each promise that was broken."""
    source = SourceFile(path, data)
    findings = examine(source, rules, known={})
    yield findings[0].name if findings and findings[0].code >= "STB900" else "checked"
    for finding in findings:
        if finding.code == "STB909":
            yield f"BROKEN: {finding.message}"
        if finding.location.end < finding.location.start:
            yield f"BROKEN: {finding.code} ends before it starts"
    if source.kind == "python":
        try:
            decoded = source.decoded
        except UnreadableError:
            return
        if decoded.encode(decoded.text) != data:
            yield f"BROKEN: {decoded.encoding} does not go back to its bytes"


def main(count: str, *folders: str) -> None:
    """Print how often what happened, and each broken promise with its file and number."""
    dice = random.Random(1)
    rules = [rule() for rule in load_rules() if issubclass(rule, StaticRule)]
    paths = [
        path
        for folder in folders
        for path in sorted(Path(folder).rglob("*"))
        if path.suffix in (".py", ".ipynb")
    ]
    paths = [path for path in paths if path.is_file() and 0 < path.stat().st_size < 100_000]
    seen: Counter[str] = Counter()
    for number in range(int(count)):
        path = dice.choice(paths)
        data = dice.choice(CHANGES)(path.read_bytes(), dice)
        for outcome in faults(str(path), data, rules):
            seen[outcome] += 1
            if outcome.startswith("BROKEN"):
                print(number, path, outcome, flush=True)
    for outcome, times in seen.most_common():
        print(f"{times:6} {outcome}")


if __name__ == "__main__":
    main(*sys.argv[1:])
