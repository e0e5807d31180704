"""Replacing ranges of a text, and where its other places are afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Splice:
    """Put `text` between two offsets."""

    start: int
    end: int
    text: str

    def clashes(self, other: Splice) -> bool:
        """Say whether the two overlap, or one inserts where the other begins or ends."""
        if self.start == self.end or other.start == other.end:
            return self.start <= other.end and other.start <= self.end
        return self.start < other.end and other.start < self.end


def spliced(text: str, splices: Sequence[Splice]) -> str:
    """Return `text` with ordered splices made."""
    parts, done = [], 0
    for splice in splices:
        parts += [text[done : splice.start], splice.text]
        done = splice.end
    return "".join([*parts, text[done:]])


def moved(offset: int, splices: Sequence[Splice]) -> tuple[int, int]:
    """Return the offsets between which a place is after ordered splices: the same unless it was replaced."""
    shift = 0
    for splice in splices:
        if offset < splice.start:
            break
        if offset < splice.end:
            return splice.start + shift, splice.start + shift + len(splice.text)
        shift += len(splice.text) - (splice.end - splice.start)
    return offset + shift, offset + shift
