"""What training loops hand from one round to the next: `out, h = rnn(x, h)`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.classes import receiver_name
from stablint.static.facts.evaluation import values
from stablint.static.facts.events import Event, Kind
from stablint.static.facts.paths import events_in, rounds_in, training_paths
from stablint.static.facts.scopes import Block, Scope, syntax
from stablint.static.facts.statements import contains
from stablint.static.facts.terms import Constant, Display, Item, Term
from stablint.static.nodes import dotted_name

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """`path` is given to `call` and holds what it returns: `term`; nothing else in the loop sets it.

    Where `path` is an attribute of the object whose method this is, nothing but its constructor sets it.
    """

    path: str
    call: cst.Call = field(repr=False)
    term: Term
    scope: Scope = field(repr=False)
    backwards: tuple[Event, ...]
    """What the loop back-propagates; of an attribute, all loops."""
    is_stepped: bool
    """Whether an optimizer steps there."""


def carried_states(source: SourceFile) -> tuple[Carried, ...]:
    """Return what the loops that back-propagate carry through a call, untouched by anything else in them."""
    loops: dict[cst.CSTNode, list[Event]] = {}
    stepped: set[cst.CSTNode] = set()
    for root in source.ask(training_paths):
        for rounds in rounds_in(root.path):
            loops.setdefault(rounds.node, []).extend(events_in(rounds.body, Kind.BACKWARD))
            if events_in(rounds.body, Kind.STEP):
                stepped.add(rounds.node)
    return (*_found(source, loops, stepped), *_kept(source, loops, stepped)) if any(loops.values()) else ()


def _found(
    source: SourceFile, loops: dict[cst.CSTNode, list[Event]], stepped: set[cst.CSTNode]
) -> Iterator[Carried]:
    for part, (scope, block) in source.ask(syntax).blocks.items():
        loop = _training_loop(block, loops) if isinstance(part, cst.Assign) else None
        if loop is None or not isinstance(part, cst.Assign) or not isinstance(part.value, cst.Call):
            continue
        given = {path for argument in part.value.args for path in _paths(argument.value)}
        result = source.ask(values).raw(part.value)
        for path, place in _targets(part.targets[0].target, ()):
            if path in given and not _is_set(source, path, part, loop.node):
                yield Carried(
                    path, part.value, _at(result, place), scope, tuple(loops[loop.node]), loop.node in stepped
                )


def _kept(
    source: SourceFile, loops: dict[cst.CSTNode, list[Event]], stepped: set[cst.CSTNode]
) -> Iterator[Carried]:
    """Yield what an object keeps from one call of a method to the next: `out, self.h = self.rnn(x, self.h)`."""
    backwards = tuple(event for events in loops.values() for event in events)
    for part, (scope, _) in source.ask(syntax).blocks.items():
        if scope.owner is None or not isinstance(part, cst.Assign) or not isinstance(part.value, cst.Call):
            continue
        given = {path for argument in part.value.args for path in _paths(argument.value)}
        for path, place in _targets(part.targets[0].target, ()):
            own, _, name = path.partition(".")
            is_own = own == receiver_name(scope) and name.isidentifier() and path in given
            if is_own and not _is_stored(source, name, part):
                term = _at(source.ask(values).raw(part.value), place)
                yield Carried(path, part.value, term, scope, backwards, bool(stepped))


def _is_stored(source: SourceFile, name: str, carrier: cst.CSTNode) -> bool:
    """Whether anything but a constructor and this statement sets an attribute, or may cut off its history."""
    if re.search(rf"\.{name}(\[\w+\])?\.(detach_?|data)\b|in \w+\.{name}\b", source.text):
        return True
    stores = [
        store
        for store in source.ask(syntax).stores
        if isinstance(store.target, cst.Attribute) and store.target.attr.value == name
    ]
    return any(
        store.scope.name != "__init__"
        and store.statement is not carrier
        and not contains(store.statement, carrier)
        for store in stores
    )


def _training_loop(block: Block | None, loops: dict[cst.CSTNode, list[Event]]) -> Block | None:
    """Return the innermost loop around a statement that back-propagates."""
    for one in block.outward() if block is not None else ():
        if one.kind in ("for", "while") and loops.get(one.node):
            return one
    return None


def _paths(node: cst.BaseExpression) -> Iterator[str]:
    """Yield the variables that an argument is, or is a tuple of."""
    if isinstance(node, cst.Tuple | cst.List):
        for element in node.elements:
            yield from _paths(element.value)
    elif path := dotted_name(node):
        yield path


def _targets(node: cst.BaseExpression, place: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the variables that an assignment sets, with their place in what is assigned."""
    if isinstance(node, cst.Tuple | cst.List):
        for index, element in enumerate(node.elements):
            yield from _targets(element.value, (*place, index))
    elif path := dotted_name(node):
        yield path, place


def _at(term: Term, place: tuple[int, ...]) -> Term:
    for index in place:
        is_known = isinstance(term, Display) and index < len(term.items)
        term = term.items[index] if is_known and isinstance(term, Display) else Item(term, Constant(index))
    return term


def _is_set(source: SourceFile, path: str, carrier: cst.CSTNode, loop: cst.CSTNode) -> bool:
    """Whether something else in a loop sets a variable, or may take its history away in place."""
    if isinstance(loop, cst.For) and any(path == one for one, _ in _targets(loop.target, ())):
        return True
    if re.search(rf"{re.escape(path)}(\[\w+\])?\.(detach_|data)\b|in {re.escape(path)}\b", source.code(loop)):
        return True  # `for state in states: state.detach_()`
    return any(
        path in _changed(other)
        for other, (_, block) in source.ask(syntax).blocks.items()
        if other is not carrier and block is not None and any(one.node is loop for one in block.outward())
    )


def _changed(statement: cst.CSTNode) -> set[str]:
    """Return the variables that a statement sets, or hands to a function that may change them."""
    match statement:
        case cst.Assign(targets=targets):
            return {path for target in targets for path, _ in _targets(target.target, ())}
        case (
            cst.AugAssign(target=target)
            | cst.AnnAssign(target=target)
            | cst.Del(target=target)
            | cst.For(target=target)
        ):
            return {path for path, _ in _targets(target, ())}
        case cst.Expr(value=cst.Call(args=arguments)):
            return {path for argument in arguments for path in _paths(argument.value)}
        case _:
            return set()
