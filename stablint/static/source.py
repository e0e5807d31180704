"""One file under examination: its text, its tree, and the facts asked of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import libcst as cst

T = TypeVar("T")


class SourceFile:
    """A file as the rules see it.

    `text` is the Python text (a notebook's code cells one after another), `tree` its libcst module.
    """

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.data = data
        self.text = data.decode("utf-8")
        self._facts: dict[Callable[[SourceFile], object], object] = {}

    @cached_property
    def tree(self) -> cst.Module:
        """The parsed module."""
        return cst.parse_module(self.text)

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
