"""What an operator is, and the edits that operators are made of."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mutants.text import Edit, Text


@dataclass(frozen=True, slots=True)
class Mutant:
    """A file broken in one way."""

    edits: tuple[Edit, ...]
    line: int
    """Where the fault is, in the original."""
    doubt: str = ""
    """Why the change may be harmless; such a mutant is counted apart."""
    also: tuple[int, ...] = ()
    """Other lines of the original at which the fault may be reported."""
    files: tuple[tuple[str, bytes], ...] = ()
    """Other files of the project, by path, as they are in the mutant."""

    def applied(self, data: bytes) -> bytes:
        """Return the broken text."""
        return edited(data, self.edits)


def edited(data: bytes, edits: Iterable[Edit]) -> bytes:
    """Return a text with its edits made."""
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        data = data[: edit.start] + edit.text + data[edit.end :]
    return data


@dataclass(frozen=True, slots=True)
class Operator:
    """One way of breaking files, and the rules that should find it."""

    name: str
    matters: str
    """When what it makes is a real fault."""
    rules: tuple[str, ...]
    word: bytes
    """What every file has that it can break."""
    breaks: Callable[[Text], Iterator[Mutant]]


def operator(word: bytes, *rules: str) -> Callable[[Callable[[Text], Iterator[Mutant]]], Operator]:
    """Make an operator of a function, whose docstring says when a mutant matters."""

    def made(function: Callable[[Text], Iterator[Mutant]]) -> Operator:
        matters = " ".join((function.__doc__ or "").split())
        return Operator(function.__name__.replace("_", "-"), matters, rules, word, function)

    return made


def replaced(text: Text, node: ast.expr | ast.stmt, code: str) -> Edit:
    """Put other code in place of a node."""
    return Edit(*text.span(node), code.encode())


def wrapped(text: Text, node: ast.expr, before: str, after: str) -> tuple[Edit, Edit]:
    """Put code around an expression."""
    start, end = text.span(node)
    return Edit(start, start, before.encode()), Edit(end, end, after.encode())


def removed(text: Text, statement: ast.stmt) -> tuple[Edit, ...]:
    """Take a statement away; where it was the only one of its block, `pass` remains."""
    if len(text.block(statement)) == 1 or not text.is_alone(statement):
        return (replaced(text, statement, "pass"),)
    return (Edit(*text.lines(statement), b""),)


def moved(text: Text, statement: ast.stmt, behind: ast.stmt) -> tuple[Edit, ...]:
    """Put a statement behind another of the same block; none where that would need more than whole lines."""
    return _put(text, statement, text.lines(behind)[1], behind)


def moved_before(text: Text, statement: ast.stmt, other: ast.stmt) -> tuple[Edit, ...]:
    """Put a statement before another of the same block."""
    return _put(text, statement, text.lines(other)[0], other)


def _put(text: Text, statement: ast.stmt, place: int, other: ast.stmt) -> tuple[Edit, ...]:
    start, end = text.lines(statement)
    lines = text.data[start:end]
    if not (text.is_alone(statement) and text.is_alone(other) and lines.endswith(b"\n")):
        return ()
    return Edit(start, end, b""), Edit(place, place, lines)


def without_argument(text: Text, call: ast.Call, argument: ast.expr | ast.keyword) -> Edit:
    """Take one argument out of a call, with the comma before it or behind it."""
    things: list[ast.expr | ast.keyword] = sorted(
        [*call.args, *call.keywords], key=lambda each: (each.lineno, each.col_offset)
    )
    at = things.index(argument)
    start, end = _bounds(text, argument)
    if at:
        return Edit(_bounds(text, things[at - 1])[1], end, b"")
    return Edit(start, _bounds(text, things[1])[0] if len(things) > 1 else end, b"")


def _bounds(text: Text, argument: ast.expr | ast.keyword) -> tuple[int, int]:
    start = text.starts[argument.lineno - 1] + argument.col_offset
    value = argument.value if isinstance(argument, ast.keyword) else argument
    end = text.span(value)[1]
    while text.data[start:end].count(b"(") > text.data[start:end].count(b")"):
        end = text.data.index(b")", end) + 1  # the brackets around a value are not part of it
    return start, end
