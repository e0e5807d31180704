"""What is read and written through the `.data` of a tensor, where autograd does not look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.scopes import Scope, syntax
from stablint.static.nodes import dotted_name, meaningful_children

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


@dataclass(frozen=True, slots=True, eq=False)
class DataEdit:
    """`base.data.mul_(2)`, `base.data[0] = 0`, `base.data = x`; `method` is what a call of one calls."""

    node: cst.CSTNode = field(repr=False)
    base: cst.BaseExpression = field(repr=False)
    scope: Scope = field(repr=False)
    statement: cst.CSTNode | None = field(repr=False)
    method: str = ""
    is_part: bool = False
    """Whether only chosen elements are written."""


def data_edits(source: SourceFile) -> tuple[DataEdit, ...]:
    """Return the places where a tensor is written through its `.data`."""
    shape = source.ask(syntax)
    return (*_calls(source), *_stores(source)) if "data" in shape.identifiers else ()


def _calls(source: SourceFile) -> Iterator[DataEdit]:
    for name, sites in source.ask(syntax).calls.items():
        if not name.endswith("_") or name.endswith("__"):
            continue
        for site in sites:
            func = site.node.func
            base, is_part = _base(func.value) if isinstance(func, cst.Attribute) else (None, False)
            if base is not None:
                is_part = is_part or name.startswith(("masked_", "index_", "scatter_"))
                yield DataEdit(site.node, base, site.scope, site.statement, name, is_part)


def _stores(source: SourceFile) -> Iterator[DataEdit]:
    for store in source.ask(syntax).stores:
        base, is_part = _base(store.target)
        if base is not None:
            yield DataEdit(store.target, base, store.scope, store.statement, "", is_part)


def _base(node: cst.BaseExpression) -> tuple[cst.BaseExpression | None, bool]:
    """Return what `.data` is asked of, and whether elements of it are chosen."""
    is_part = False
    while isinstance(node, cst.Subscript):
        node, is_part = node.value, True
    is_data = isinstance(node, cst.Attribute) and node.attr.value == "data"
    return (node.value, is_part) if is_data and isinstance(node, cst.Attribute) else (None, False)


def data_reads(scope: Scope, path: str) -> list[cst.Attribute] | None:
    """Return where a method computes with `path.data`; None where it also uses `path` in another way."""
    found: list[cst.Attribute] = []
    stack: list[cst.CSTNode] = [scope.node]
    while stack:
        current = stack.pop()
        name = dotted_name(current) if isinstance(current, cst.Attribute) else ""
        if name == path:
            return None
        if isinstance(current, cst.Attribute) and name == f"{path}.data":
            found.append(current)
        elif name.rpartition(".")[0] != f"{path}.data" or name.rpartition(".")[2] not in _LOOKS:
            stack.extend(meaningful_children(current))
    return found


_LOOKS = {
    "shape",
    "size",
    "device",
    "dtype",
    "dim",
    "ndim",
    "type",
    "numel",
    "new",
    "item",
    "tolist",
    "is_cuda",
}
"""What is asked of `.data` without computing with its values."""
