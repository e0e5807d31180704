"""Whether one statement runs after another, as far as the blocks that they stand in show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.scopes import Block, syntax
from stablint.static.facts.statements import block_of, names_in

if TYPE_CHECKING:
    from stablint.static.source import SourceFile

_CONDITIONAL = ("if", "else", "except", "case")


def positions(source: SourceFile) -> dict[cst.CSTNode, int]:
    """Number the statements of a file as they are written (a fact)."""
    return {statement: place for place, statement in enumerate(source.ask(syntax).blocks)}


def follows(source: SourceFile, first: cst.CSTNode, second: cst.CSTNode) -> bool:
    """Whether one path certainly runs a statement and later another one of the same function.

    Two branches of one `if` exclude each other; two `if`s may do so too, unless they ask the same.
    """
    places = source.ask(positions)
    if places.get(first, -1) > places.get(second, -1):
        return False
    left, right = _parted(source, first, second)
    if left and right and _excluded(left[0], right[0]):
        return False
    if isinstance(first, cst.Return | cst.Raise) or any(_is_left(block) for block in left):
        return False
    asked, needed = _asked(source, left), _asked(source, right)
    return not asked or not needed or asked <= needed or needed <= asked


def is_later(source: SourceFile, first: cst.CSTNode, second: cst.CSTNode) -> bool:
    """Whether a statement is written after another one."""
    places = source.ask(positions)
    return places.get(first, -1) < places.get(second, -1)


def is_named_after(source: SourceFile, made: cst.CSTNode, statement: cst.CSTNode) -> bool:
    """Whether what an assignment binds is named after a statement of the same function; an attribute may always be."""
    if isinstance(made, cst.SimpleStatementLine):
        made = made.body[0]
    if not isinstance(made, cst.Assign | cst.AnnAssign):
        return False
    targets = [one.target for one in made.targets] if isinstance(made, cst.Assign) else [made.target]
    if any(not isinstance(target, cst.Name) for target in targets):
        return True
    names = {target.value for target in targets if isinstance(target, cst.Name)}
    places, (scope, _) = source.ask(positions), source.ask(syntax).blocks[made]
    return any(
        place > places.get(statement, -1)
        and home.function is scope.function
        and names & names_in(source.code(other))
        for other, (home, _), place in zip(
            places, source.ask(syntax).blocks.values(), places.values(), strict=True
        )
    )


def repeats(
    source: SourceFile, statement: cst.CSTNode, made: cst.CSTNode | None
) -> cst.For | cst.While | None:
    """Return a loop that runs a statement in every round (or every n-th), but not the one that made something."""
    outside = block_of(source, made)
    around = set(outside.outward()) if outside is not None else set()
    inner: list[Block] = []
    block = block_of(source, statement)
    for one in block.outward() if block is not None else ():
        if one in around:
            return None
        inner.append(one)
        if one.kind in ("for", "while") and isinstance(one.node, cst.For | cst.While):
            return one.node if _in_every_round(source, statement, inner) else None
    return None


def _in_every_round(source: SourceFile, statement: cst.CSTNode, inner: list[Block]) -> bool:
    leaving = (*_CONDITIONAL, "for", "while", "with")
    if isinstance(statement, cst.Return | cst.Raise) or any(_is_left(block, leaving) for block in inner):
        return False
    return all("%" in test for kind, test in _asked(source, inner) if kind != "for")


def _parted(source: SourceFile, first: cst.CSTNode, second: cst.CSTNode) -> tuple[list[Block], list[Block]]:
    """Return the blocks that only one of two statements stands in, outermost first."""
    chains: list[list[Block]] = []
    for statement in (first, second):
        block = block_of(source, statement)
        chains.append(list(block.outward())[::-1] if block is not None else [])
    left, right = chains
    while left and right and left[0] is right[0]:
        left, right = left[1:], right[1:]
    return left, right


def _excluded(left: Block, right: Block) -> bool:
    """Whether two blocks of one suite belong to one statement, of which one runs."""
    if left.node is right.node:
        return {left.kind, right.kind} == {"if", "else"}
    kinds = {left.kind, right.kind}
    return "except" in kinds and kinds <= {"try", "except"}


def _asked(source: SourceFile, blocks: list[Block]) -> set[tuple[str, str]]:
    """Return what has to hold for a statement to be reached inside these blocks."""
    return {
        (block.kind, source.code(block.node.test) if isinstance(block.node, cst.If) else str(id(block.node)))
        for block in blocks
        if block.kind in _CONDITIONAL
    }


def _is_left(block: Block, kinds: tuple[str, ...] = _CONDITIONAL) -> bool:
    """Whether a branch ends in a jump, so that what stands behind it is not reached from inside."""
    owner = block.node
    if isinstance(owner, cst.If) and block.kind == "else":
        owner = owner.orelse if isinstance(owner.orelse, cst.Else) else owner
    body = getattr(owner, "body", None)
    if block.kind not in kinds or not isinstance(body, cst.BaseSuite):
        return False
    last = body.body[-1] if body.body else None
    small = last.body[-1] if isinstance(last, cst.SimpleStatementLine) and last.body else last
    return isinstance(small, cst.Return | cst.Raise | cst.Continue | cst.Break)
