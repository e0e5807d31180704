"""The shape of a file: scopes with what binds their names, functions, classes, calls, and the blocks around them.

One walk over the fields that carry meaning; whitespace and punctuation are never visited.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import libcst as cst

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stablint.static.source import SourceFile

BlockKind = Literal["if", "else", "for", "while", "loop-else", "with", "try", "except", "finally", "case"]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A branch, loop body or other suite that a statement stands in, and the block around it."""

    kind: BlockKind
    node: cst.CSTNode
    parent: Block | None

    def outward(self) -> Iterator[Block]:
        """Yield this block, then those around it, innermost first."""
        block: Block | None = self
        while block is not None:
            yield block
            block = block.parent


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """One thing that binds a name: an import, an assignment (with its value where it has one), a def, a class."""

    kind: Literal["import", "assign", "def", "class", "parameter", "other"]
    node: cst.CSTNode
    value: cst.BaseExpression | None = None
    dotted: str | None = None


@dataclass(slots=True, eq=False)
class Scope:
    """A module, function, lambda, class or comprehension: where names live."""

    kind: Literal["module", "function", "lambda", "class", "comprehension"]
    node: cst.CSTNode
    parent: Scope | None
    name: str = ""
    block: Block | None = None
    """The block that the definition itself stands in."""
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    outer_names: set[str] = field(default_factory=set)
    """Names declared global or nonlocal here."""
    writes: dict[str, list[Binding]] = field(default_factory=dict)
    """Attributes of names that are assigned here (`self.x`), with the lines that do it."""
    children: list[Scope] = field(default_factory=list)
    decorators: Sequence[cst.Decorator] = ()
    top: Scope = field(init=False)
    """The module that it is in."""

    def __post_init__(self) -> None:
        self.top = self if self.parent is None else self.parent.top

    @property
    def owner(self) -> Scope | None:
        """The class that a method belongs to."""
        return self.parent if self.parent is not None and self.parent.kind == "class" else None

    @property
    def function(self) -> Scope:
        """The function, lambda, class or module whose code this is (comprehensions run in theirs)."""
        scope = self
        while scope.kind == "comprehension" and scope.parent is not None:
            scope = scope.parent
        return scope


@dataclass(frozen=True, slots=True, eq=False)
class CallSite:
    """A call: who calls, in which statement, inside which blocks."""

    node: cst.Call
    scope: Scope
    statement: cst.CSTNode
    block: Block | None


@dataclass(frozen=True, slots=True, eq=False)
class Store:
    """An assignment to an element or an attribute: `x[0] = 1`, `layer.weight.data = w`."""

    target: cst.Attribute | cst.Subscript
    scope: Scope
    statement: cst.CSTNode
    value: cst.BaseExpression | None


@dataclass(frozen=True, slots=True, eq=False)
class Syntax:
    """What the walk found; `calls` by the last name of the callee (`loss.backward()` under "backward")."""

    module: Scope
    functions: list[Scope]
    classes: list[Scope]
    calls: dict[str, list[CallSite]]
    identifiers: set[str]
    """Every name and attribute name in the file: a cheap test of whether a subject occurs at all."""
    blocks: dict[cst.CSTNode, tuple[Scope, Block | None]]
    """Where each statement stands."""
    has_star_import: bool
    packages: set[str]
    """The top-level packages imported anywhere in the file."""
    stores: list[Store]
    """What is assigned to elements and to attributes."""


def syntax(source: SourceFile) -> Syntax:
    """Walk the tree once, for all who look at it."""
    return source.original.ask(_walked)


def _walked(source: SourceFile) -> Syntax:
    from stablint.static.walk.statements import suite
    from stablint.static.walk.walk import Walk

    walk = Walk()
    module = Scope("module", source.tree, None)
    suite(walk, source.tree.body, module, None)
    return Syntax(
        module,
        walk.functions,
        walk.classes,
        walk.calls,
        walk.identifiers,
        walk.blocks,
        walk.has_star_import,
        walk.packages,
        walk.stores,
    )
