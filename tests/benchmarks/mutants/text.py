"""A file as the operators see it: its tree, what stands around a node, and what its imports call things.

It reads with Python's own `ast` and shares nothing with stablint, so that both cannot be blind to the same thing.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from mutants.modules import Modules

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
LOOPS = (ast.For, ast.While, ast.AsyncFor)
BLOCKS = ("body", "orelse", "finalbody")


@dataclass(frozen=True, slots=True)
class Edit:
    """Bytes from `start` to `end` become others."""

    start: int
    end: int
    text: bytes


class Text:
    """One file of a repository."""

    def __init__(self, path: str, data: bytes, modules: Modules | None = None) -> None:
        self.path, self.data, self.modules = path, data, modules
        self.tree = parse(data)
        starts = [0]
        for line in data.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        self.starts = starts

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The node around each node."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def calls(self) -> list[ast.Call]:
        """All calls, from top to bottom."""
        calls = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        return sorted(calls, key=lambda call: self.span(call))

    @cached_property
    def imports(self) -> dict[str, str]:
        """What the names that imports bind stand for."""
        bound: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for each in node.names:
                    bound[each.asname or each.name.partition(".")[0]] = (
                        each.name if each.asname else each.name.partition(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom) and not node.level:
                bound.update({each.asname or each.name: f"{node.module}.{each.name}" for each in node.names})
        return bound

    @cached_property
    def assigned(self) -> dict[tuple[ast.AST, str], list[ast.expr]]:
        """What is assigned to each name, by scope; a name in a tuple stands for itself."""
        found: dict[tuple[ast.AST, str], list[ast.expr]] = {}
        for node, target in self._targets:
            for each in ast.walk(target):
                if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                    value = node.value if each is target else each
                    found.setdefault((self.function(node), each.id), []).append(value)
        return found

    @cached_property
    def attributes(self) -> dict[tuple[ast.ClassDef, str], list[ast.expr]]:
        """What is assigned to each attribute of self, by class."""
        found: dict[tuple[ast.ClassDef, str], list[ast.expr]] = {}
        for node, target in self._targets:
            owner = self.owner(node)
            if owner is not None and isinstance(target, ast.Attribute) and spelled(target.value) == "self":
                found.setdefault((owner, target.attr), []).append(node.value)
        return found

    @cached_property
    def _targets(self) -> list[tuple[ast.Assign, ast.expr]]:
        return [
            (node, target)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Assign)
            for target in node.targets
        ]

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Return the first byte of an expression or statement, and the one behind it."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self.starts[node.lineno - 1] + node.col_offset,
            self.starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def code(self, node: ast.expr | ast.stmt) -> str:
        """Return the text of a node."""
        start, end = self.span(node)
        return self.data[start:end].decode("utf-8", "replace")

    def name(self, node: ast.AST | None) -> str:
        """Return the dotted name of what an expression refers to through imports, else an empty one."""
        if isinstance(node, ast.Name):
            return self.imports.get(node.id, "")
        if isinstance(node, ast.Attribute):
            head = self.name(node.value)
            return head and f"{head}.{node.attr}"
        return ""

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield what a node stands in, from the inside."""
        while (above := self.parents.get(node)) is not None:
            yield above
            node = above

    def statement(self, node: ast.AST) -> ast.stmt:
        """Return the statement that a node is or stands in."""
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    def function(self, node: ast.AST) -> ast.AST:
        """Return the function that a node stands in, or the module."""
        return next(each for each in self.around(node) if isinstance(each, (*FUNCTIONS, ast.Module)))

    def owner(self, node: ast.AST) -> ast.ClassDef | None:
        """Return the class that a node stands in."""
        return next((each for each in self.around(node) if isinstance(each, ast.ClassDef)), None)

    def loop(self, node: ast.AST) -> ast.For | ast.While | ast.AsyncFor | None:
        """Return the nearest loop around a node, in the same function."""
        for each in self.around(node):
            if isinstance(each, LOOPS):
                return each
            if isinstance(each, (*FUNCTIONS, ast.ClassDef)):
                return None
        return None

    def block(self, statement: ast.stmt) -> list[ast.stmt]:
        """Return the statements among which one stands."""
        parent = self.parents[statement]
        for field in BLOCKS:
            body = getattr(parent, field, None)
            if isinstance(body, list) and statement in body:
                return body
        return [statement]  # a handler's or a case's

    def without_gradients(self, node: ast.AST) -> bool:
        """Tell whether no graph is recorded there, as far as the file shows it."""
        for each in self.around(node):
            if isinstance(each, ast.With) and any(_stops(self, item.context_expr) for item in each.items):
                return True
            if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
                return any(_stops(self, decorator) for decorator in each.decorator_list)
        return False

    def is_run_without_gradients(self, node: ast.AST) -> bool:
        """Tell whether no graph is recorded there, or in any call of its function by name in the file."""
        name = getattr(self.function(node), "name", "")
        callers = [
            c for c in self.calls if name and getattr(c.func, "attr", getattr(c.func, "id", "")) == name
        ]
        without = bool(callers) and all(self.without_gradients(call) for call in callers)
        return without or self.without_gradients(node)

    def is_alone(self, statement: ast.stmt) -> bool:
        """Tell whether a statement shares its lines with no other."""
        start, end = self.span(statement)
        assert statement.end_lineno is not None
        line_start, line_end = self.starts[statement.lineno - 1], self.starts[statement.end_lineno]
        behind = self.data[end:line_end].strip()
        return not self.data[line_start:start].strip() and (not behind or behind.startswith(b"#"))

    def lines(self, statement: ast.stmt) -> tuple[int, int]:
        """Return the span of a statement's whole lines."""
        assert statement.end_lineno is not None
        return self.starts[statement.lineno - 1], self.starts[statement.end_lineno]


def _stops(text: Text, node: ast.expr) -> bool:
    function = node.func if isinstance(node, ast.Call) else node
    return text.name(function) in ("torch.no_grad", "torch.inference_mode", "torch.autograd.no_grad")


def parse(data: bytes) -> ast.Module:
    """Parse a file without a word about the escapes in its strings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(data)


def calls_in(node: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls in a node."""
    return (each for each in ast.walk(node) if isinstance(each, ast.Call))


def method(node: ast.AST | None, *names: str) -> ast.expr | None:
    """Return the receiver where a node calls one of these methods."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names:
        return node.func.value
    return None


def expression(statement: ast.AST) -> ast.expr | None:
    """Return what a statement of one expression holds."""
    return statement.value if isinstance(statement, ast.Expr) else None


def keyword(call: ast.Call, name: str) -> ast.keyword | None:
    """Return a keyword of a call."""
    return next((each for each in call.keywords if each.arg == name), None)


def spelled(node: ast.expr) -> str:
    """Return an expression in one spelling, so that two can be compared."""
    return ast.unparse(node)
