"""One file under examination: its text, its tree, and the facts asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TypeVar

import libcst as cst

from stablint.finding import Location
from stablint.static.align import aligned
from stablint.static.encoding import Decoded, decode
from stablint.static.locate import Span, spans
from stablint.static.parse import parse
from stablint.static.positions import LineMap, line_map

T = TypeVar("T")


class SourceFile:
    """A file as the rules see it.

    `text` is the Python text (a notebook's code cells one after another), `tree` its libcst module; both raise
    UnreadableError for a file that cannot be checked.
    """

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.data = data
        self._facts: dict[Callable[[SourceFile], object], object] = {}
        self._spans: dict[int, tuple[cst.CSTNode, Span | None]] = {}  # the node is kept, or its id is used again

    @cached_property
    def decoded(self) -> Decoded:
        """The text with its encoding."""
        return decode(self.data)

    @cached_property
    def text(self) -> str:
        """The Python text."""
        return self.decoded.text

    @cached_property
    def lines(self) -> LineMap:
        """The lines of the text."""
        return line_map(self.text)

    @cached_property
    def tree(self) -> cst.Module:
        """The parsed module."""
        return parse(self.text)

    def ask(self, fact: Callable[[SourceFile], T]) -> T:
        """Return what `fact` says of this file, computed once."""
        try:
            return self._facts[fact]  # type: ignore[return-value]
        except KeyError:
            answer = self._facts[fact] = fact(self)
            return answer

    def code(self, node: cst.CSTNode) -> str:
        """Return the source text of a node."""
        return self.tree.code_for_node(node)

    def location(self, start: int, end: int) -> Location | None:
        """Return the place of a range of offsets in the text; None for one over the border of a notebook's cell."""
        return Location(self.path, self.lines.position(start), self.lines.position(end))

    def unmasked(self, start: int, end: int) -> bool:
        """Say whether a range of the text is what stands in the file (a notebook's magics are masked)."""
        return True

    def spans(self, nodes: Iterable[cst.CSTNode]) -> dict[int, Span]:
        """Return the offsets of nodes in the text, by their id; one pass over the tree for all that are new."""
        nodes = list(nodes)
        new = [node for node in nodes if id(node) not in self._spans]
        if new:
            code, found = spans(self.tree, new)
            placed = aligned(code, self.text, found)
            self._spans.update((id(node), (node, placed.get(id(node)))) for node in new)
        return {id(node): span for node in nodes if (span := self._spans[id(node)][1]) is not None}

    def locate(self, nodes: Iterable[cst.CSTNode]) -> dict[int, Location]:
        """Return the places to show for nodes, by their id: of a compound statement, that is its header."""
        places = {key: self.location(span.start, span.header) for key, span in self.spans(nodes).items()}
        return {key: place for key, place in places.items() if place is not None}
