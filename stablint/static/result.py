"""What came of checking one file."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b

from stablint.diagnostics import FileNotChecked, InternalError
from stablint.finding import Finding, Location, Position
from stablint.rule import Rule


@dataclass(frozen=True, slots=True)
class Link:
    """A file that findings rest on: its content, the files that its imports led to, and how they were found.

    The digest of a file that cannot be read is empty.
    """

    path: str
    digest: str
    leads: tuple[str, ...]
    asked: dict[str, bool]


def digest(data: bytes) -> str:
    """Return what tells one content of a file from another."""
    return blake2b(data, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class FileResult:
    """The findings of one file, and the seconds that they took (by rule name where that was measured)."""

    path: str
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
    rule_seconds: dict[str, float] = field(default_factory=dict)
    own: Link | None = None
    """What the findings rest on first: the file itself as it was checked."""
    links: tuple[Link, ...] = ()
    """The imported files behind it; what other results of the same process have told is not told again."""


def not_checked(path: str, reason: str, seconds: float = 0.0) -> FileResult:
    """Return the result of a file that could not be looked at: one finding that says why."""
    return _only(FileNotChecked, path, f"not checked: {reason}", seconds)


def too_late(time_limit: float) -> str:
    """Return the reason of a file that took too long."""
    return f"it took longer than {time_limit:g} s, the time limit"


def failed(path: str, error: BaseException, seconds: float = 0.0) -> FileResult:
    """Return the result of a file on which stablint itself failed."""
    first = (str(error).strip().splitlines() or [""])[0]
    message = f"stablint failed: {type(error).__name__}: {first}".rstrip(": ")
    return _only(InternalError, path, message, seconds)


def _only(diagnostic: type[Rule], path: str, message: str, seconds: float) -> FileResult:
    start = Position(1, 1)
    place = Location(path, start, start)
    finding = Finding(place, diagnostic.code, diagnostic.name(), message, diagnostic.severity)
    return FileResult(path, (finding,), seconds)
