"""Where nodes stand: one pass of code generation that remembers only the nodes asked about.

libcst's own PositionProvider computes the place of every node, at three times the price of the parse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import accumulate
from types import TracebackType

import libcst as cst
from libcst._nodes.internal import CodegenState

_LEADING = re.compile(r"(?:\s|#[^\r\n]*)*")
_NOTHING: AbstractContextManager[None] = nullcontext()


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of a node: own parentheses, leading comments and trailing white space are left out.

    `header` is where a compound statement's header ends (behind its colon), `end` for every other node.
    """

    start: int
    end: int
    header: int


def spans(module: cst.Module, nodes: Iterable[cst.CSTNode]) -> tuple[str, dict[int, Span]]:
    """Return the module's code, and the spans in it of those of the nodes that it holds, by their id."""
    nodes = list(nodes)
    recorder = _Recorder(module, {id(part) for node in nodes for part in (node, _header_end(node))})
    module._codegen(recorder)
    code = "".join(recorder.tokens)
    at = [0, *accumulate(map(len, recorder.tokens))]

    def span(node: cst.CSTNode) -> Span:
        first, last = recorder.proper.get(id(node)) or recorder.whole[id(node)]
        start, end = _trimmed(code, at[min(first, len(at) - 1)], at[min(last, len(at) - 1)])
        header = _header_end(node)
        if header is None:
            return Span(start, end, end)
        return Span(start, end, at[recorder.whole[id(header)][0]])

    return code, {id(node): span(node) for node in nodes if id(node) in recorder.whole}


def _header_end(node: cst.CSTNode) -> cst.CSTNode | None:
    """Return the part of a compound statement that starts where its header ends."""
    if isinstance(node, cst.Match):
        return node.whitespace_after_colon
    body = getattr(node, "body", None)
    return body if isinstance(body, cst.BaseSuite) else None


def _trimmed(code: str, start: int, end: int) -> tuple[int, int]:
    """Move the ends of a span over white space and leading comments, unless there is nothing else in it."""
    found = _LEADING.match(code, start, end)
    if found and found.end() < end:
        start = found.end()
    return start, start + len(code[start:end].rstrip())


class _Recorder(CodegenState):
    """Remembers, for the wanted nodes, the indices of their first token and of the one behind the last."""

    def __init__(self, module: cst.Module, wanted: set[int]) -> None:
        super().__init__(default_indent=module.default_indent, default_newline=module.default_newline)
        self.add_token = self.tokens.append  # type: ignore[method-assign, assignment]  # halves the time
        self.wanted = wanted
        self.whole: dict[int, tuple[int, int]] = {}
        self.proper: dict[int, tuple[int, int]] = {}

    def before_codegen(self, node: cst.CSTNode) -> None:
        if id(node) in self.wanted:
            self.whole[id(node)] = (len(self.tokens), len(self.tokens))

    def after_codegen(self, node: cst.CSTNode) -> None:
        if id(node) in self.wanted:
            self.whole[id(node)] = (self.whole[id(node)][0], len(self.tokens))

    def record_syntactic_position(  # type: ignore[override]  # pays for no generator
        self, node: cst.CSTNode, *, start_node: cst.CSTNode | None = None, end_node: cst.CSTNode | None = None
    ) -> AbstractContextManager[None]:
        if id(node) not in self.wanted:
            return _NOTHING
        self.wanted.update(id(part) for part in (start_node, end_node) if part is not None)
        return _Proper(self, node, start_node, end_node)


class _Proper:
    """Records the tokens between entering and leaving, or from and to the given parts of the node."""

    def __init__(
        self, state: _Recorder, node: cst.CSTNode, start: cst.CSTNode | None, end: cst.CSTNode | None
    ) -> None:
        self.state, self.node, self.start_node, self.end_node = state, node, start, end

    def __enter__(self) -> None:
        self.first = len(self.state.tokens)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        first, last = self.first, len(self.state.tokens)
        if self.start_node is not None:
            first = self._span(self.start_node)[0]
        if self.end_node is not None:
            last = self._span(self.end_node)[1]
        self.state.proper[id(self.node)] = (first, last)

    def _span(self, part: cst.CSTNode) -> tuple[int, int]:
        return self.state.proper.get(id(part)) or self.state.whole[id(part)]
