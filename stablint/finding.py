"""What stablint says: findings, where they stand, and what would mend them."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is; error and warning gate by default."""

    ERROR = "error"
    """The run is wrong, dead or NaN."""
    WARNING = "warning"
    """A defect with bounded damage, or one that depends on data."""
    NOTE = "note"
    """Advice; never gates."""


class Confidence(StrEnum):
    """How sure the rule is that the finding is true."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Applicability(StrEnum):
    """Whether a fix may be applied without being read first."""

    SAFE = "safe"
    """The same value, differing only in rounding or where the original overflowed, gave NaN or kept memory."""
    UNSAFE = "unsafe"
    """Repairs the defect by changing what is trained: offered, never applied by default."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text: 1-based line, 1-based column in code points."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Location:
    """A range in a file, `end` exclusive; in a notebook, lines count within `cell` (1-based code or text cell)."""

    path: str
    start: Position
    end: Position
    cell: int | None = None


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that has a part in the finding, and which part."""

    location: Location
    message: str


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the text of `location` by `text`."""

    location: Location
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """What would mend a finding: edits of one file that are applied together or not at all."""

    message: str
    applicability: Applicability
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, at one place."""

    location: Location
    code: str
    name: str
    message: str
    severity: Severity
    confidence: Confidence = Confidence.HIGH
    related: tuple[Related, ...] = ()
    fix: Fix | None = None

    @property
    def order(self) -> tuple[str, int, Position, str]:
        """Sorts findings by path, cell, place and code, whatever the workers did."""
        return (self.location.path, self.location.cell or 0, self.location.start, self.code)
