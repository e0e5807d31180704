"""What a rule is: its page, its cases and its check in one class of one file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from stablint.finding import Applicability, Confidence, Severity

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.source import SourceFile


@dataclass(frozen=True, slots=True)
class Replace:
    """Put `text` where `node` stands."""

    node: cst.CSTNode
    text: str


@dataclass(frozen=True, slots=True)
class InsertBefore:
    """Put the statement `text` on a line of its own before the statement `node`, equally indented."""

    node: cst.CSTNode
    text: str


@dataclass(frozen=True, slots=True)
class InsertAfter:
    """Put the statement `text` on a line of its own after the statement `node`, equally indented."""

    node: cst.CSTNode
    text: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the whole lines of the statement `node`."""

    node: cst.CSTNode


Change = Replace | InsertBefore | InsertAfter | Remove


@dataclass(frozen=True, slots=True)
class ProposedFix:
    """A fix in terms of nodes; the engine turns it into text edits."""

    message: str
    applicability: Applicability
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A related place: a node (of the same file unless `source` says otherwise) and its part in the finding."""

    node: cst.CSTNode
    message: str
    source: SourceFile | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a static rule yields: a node and what is wrong there; the engine adds place, code and severity."""

    node: cst.CSTNode
    message: str
    severity: Severity | None = None
    confidence: Confidence | None = None
    related: tuple[Mark, ...] = ()
    fix: ProposedFix | None = None


class Rule:
    """The base of every rule.

    The class is named after the fault in the user's code; its docstring is the manual page (headings: What it
    does, Why it is bad, Example, Use instead, When to ignore it, Fix safety, References).  In a `bad` case the
    lines to be flagged end in `# flagged`, and exactly those must be; `fixed` holds what the fixes (safe and
    unsafe) make of the bad case of the same index, None where nothing is offered.
    """

    code: ClassVar[str]
    severity: ClassVar[Severity]
    confidence: ClassVar[Confidence] = Confidence.HIGH
    since: ClassVar[str]
    default: ClassVar[bool] = True
    bad: ClassVar[Sequence[str]]
    good: ClassVar[Sequence[str]]
    fixed: ClassVar[Sequence[str | None]] = ()

    Options: ClassVar[type[Any] | None] = None
    """A frozen msgspec.Struct with defaults, filled from `[rules.NAME]`; read it as `self.options`."""

    def __init__(self, options: Any = None) -> None:
        self.options: Any = options if options is not None else self.Options() if self.Options else None

    @classmethod
    def name(cls) -> str:
        """The kebab-case name: `LogOfSoftmax` is `log-of-softmax`, `NLLLossNeedsLogProbs` `nll-loss-...`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", cls.__name__).lower()


class StaticRule(Rule):
    """A rule that reads code."""

    def check(self, source: SourceFile) -> Iterator[Report]:
        """Yield a report for every fault; ask `source` for facts, never walk the tree."""
        raise NotImplementedError
