"""What is asked of libcst nodes all over: names, parameters, the statements and children that carry meaning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

import libcst as cst


def all_parameters(node: cst.Parameters) -> Iterator[cst.Param]:
    """Yield every parameter of a signature, in order."""
    yield from node.posonly_params
    yield from node.params
    if isinstance(node.star_arg, cst.Param):
        yield node.star_arg
    yield from node.kwonly_params
    if node.star_kwarg is not None:
        yield node.star_kwarg


def dotted_name(node: cst.CSTNode | None) -> str:
    """Return `a.b.c` for a chain of names; "" for anything else."""
    if type(node) is cst.Name:
        return node.value
    parts: list[str] = []
    while type(node) is cst.Attribute:
        parts.append(node.attr.value)
        node = node.value
    if type(node) is not cst.Name:
        return ""
    parts.append(node.value)
    return ".".join(reversed(parts))


def last_name(node: cst.CSTNode) -> str:
    """Return the last name of a callee: `backward` for `loss.sum().backward`; "" where it has none."""
    if type(node) is cst.Attribute:
        return node.attr.value
    return node.value if type(node) is cst.Name else ""


def suite_of(node: cst.CSTNode) -> Sequence[cst.CSTNode]:
    """Return the statements of a module, class or function."""
    body = node.body if isinstance(node, cst.Module | cst.FunctionDef | cst.ClassDef) else ()
    return body.body if isinstance(body, cst.BaseSuite) else body


_LAYOUT = (
    "whitespace", "paren", "lpar", "rpar", "semicolon", "comma", "lines", "header", "footer", "indent", "equal",
    "dot", "bracket", "brace", "trailing", "colon", "asynchronous", "operator", "tok", "default_",
)  # fmt: skip
"""Parts of the names of fields that hold layout."""

_fields: dict[type[cst.CSTNode], tuple[str, ...]] = {}


def meaningful_fields(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    """Name the fields of a node class that hold code rather than layout."""
    names = _fields.get(kind)
    if names is None:
        names = _fields[kind] = tuple(
            item.name for item in fields(kind) if not any(part in item.name for part in _LAYOUT)
        )
    return names


def meaningful_children(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Yield the nodes that a node is made of, without layout."""
    for name in meaningful_fields(type(node)):
        value = getattr(node, name)
        if isinstance(value, list | tuple):
            yield from (child for child in value if isinstance(child, cst.CSTNode))
        elif isinstance(value, cst.CSTNode):
            yield value
