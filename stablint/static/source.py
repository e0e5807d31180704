"""One file under examination: its text, its tree, and the facts asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeVar

import libcst as cst

from stablint.finding import Location, Position
from stablint.static.align import aligned
from stablint.static.encoding import Decoded, decode
from stablint.static.locate import Span, spans
from stablint.static.notebook import Notebook, read_notebook
from stablint.static.parse import parse
from stablint.static.positions import LineMap, line_map

if TYPE_CHECKING:
    from stablint.static.project.project import Project

T = TypeVar("T")


class SourceFile:
    """A file as the rules see it.

    `text` is the Python text (a notebook's code cells one after another), `tree` its libcst module; both
    raise UnreadableError for a file that cannot be checked.
    """

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.data = data
        self.original: SourceFile = self
        """The file with the tree; several examine the same one."""
        self.project: Project | None = None
        """The other files of the project, where they are to be looked at."""
        self.led_to: set[str] = set()
        """The paths of the files that its imports led to."""
        self.asked: dict[str, bool] = {}
        """What was asked about files and folders to find where imports lead, and the answers."""
        self.is_imported = False
        """Whether this is the file as its importers see it, and not the one that is checked."""
        self._facts: dict[Callable[[SourceFile], object], object] = {}
        # Each with its node, which must live as long, or its id is used again.
        self._spans: dict[int, tuple[cst.CSTNode, Span | None]] = {}

    @property
    def kind(self) -> Literal["python", "notebook"]:
        """What the file is, by its name."""
        return "notebook" if self.path.lower().endswith(".ipynb") else "python"

    @cached_property
    def decoded(self) -> Decoded:
        """The text of a Python file with its encoding."""
        return decode(self.data)

    @cached_property
    def notebook(self) -> Notebook | None:
        """The cells of a notebook; None for a Python file."""
        return read_notebook(self.data) if self.kind == "notebook" else None

    @cached_property
    def text(self) -> str:
        """The Python text."""
        if self.original is not self:
            return self.original.text
        return self.notebook.text if self.notebook else self.decoded.text

    @cached_property
    def lines(self) -> LineMap:
        """The lines of the text."""
        return line_map(self.text)

    @cached_property
    def tree(self) -> cst.Module:
        """The parsed module."""
        return self.original.tree if self.original is not self else parse(self.text)

    def as_original(self) -> SourceFile:
        """Return the file for all who look at it: it holds the text and the tree, and what is said of these alone."""
        return SourceFile(self.path, self.data)

    def ask(self, fact: Callable[[SourceFile], T]) -> T:
        """Return what `fact` says of this file, computed once."""
        if fact not in self._facts:
            self._facts[fact] = fact(self)
        return self._facts[fact]  # type: ignore[return-value]

    def is_displayed(self, expression: cst.Expr) -> bool:
        """Say whether the value of an expression statement is what a notebook's cell shows."""
        return id(expression) in self._displayed

    @cached_property
    def _displayed(self) -> frozenset[int]:
        if self.notebook is None:
            return frozenset()
        body = self.tree.body
        places = self.locate(body)
        last = {places[id(node)].cell: node for node in body if id(node) in places}
        return frozenset(id(shown) for node in last.values() if (shown := _shown(node)) is not None)

    def code(self, node: cst.CSTNode) -> str:
        """Return the source text of a node."""
        return self.tree.code_for_node(node)

    def location(self, start: int, end: int) -> Location:
        """Return the place of a range of the text; in a notebook, it goes no further than its cell."""
        if self.notebook is not None and (cell := self.notebook.cell_at(self.lines.position(start).line)):
            start, end = min(start, cell.end), min(end, cell.end)
            first, last = self.lines.position(start), self.lines.position(end)
            return Location(self.path, cell.inside(first), cell.inside(last), cell.number)
        return Location(self.path, self.lines.position(start), self.lines.position(end))

    def offset(self, location: Location) -> int:
        """Return the offset in the text at which a place in this file starts."""
        start = location.start
        if self.notebook is not None and location.cell is not None:
            start = Position(start.line + self.notebook.cell(location.cell).line - 1, start.column)
        return self.lines.offset(start)

    def editable(self, start: int, end: int) -> bool:
        """Say whether a range of the text stands so in the file: in one cell, and without masked magics."""
        return self.notebook is None or self.notebook.editable(start, end)

    def spans(self, nodes: Iterable[cst.CSTNode]) -> dict[int, Span]:
        """Return the offsets of nodes in the text, by their id; one pass for all that are new."""
        nodes = list(nodes)
        new = [node for node in nodes if id(node) not in self._spans]
        if new:
            code, found = spans(self.tree, new)
            placed = aligned(code, self.text, found)
            self._spans.update((id(node), (node, placed.get(id(node)))) for node in new)
        return {id(node): span for node in nodes if (span := self._spans[id(node)][1]) is not None}

    def locate(self, nodes: Iterable[cst.CSTNode]) -> dict[int, Location]:
        """Return the places to show for nodes, by their id: of a compound statement, that is its header."""
        return {key: self.location(span.start, span.header) for key, span in self.spans(nodes).items()}


def _shown(statement: cst.CSTNode) -> cst.Expr | None:
    """Return the expression that a cell ending in this statement shows; a semicolon behind it says not to."""
    if not isinstance(statement, cst.SimpleStatementLine):
        return None
    last = statement.body[-1]
    return last if isinstance(last, cst.Expr) and isinstance(last.semicolon, cst.MaybeSentinel) else None
