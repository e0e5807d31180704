"""What training loops add up: sums and lists that outlive the round in which a value is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.evaluation import values
from stablint.static.facts.events import Kind
from stablint.static.facts.gradients import detaches
from stablint.static.facts.paths import events_in, rounds_in, training_paths
from stablint.static.facts.programs import Program
from stablint.static.facts.scopes import Block, Scope, syntax
from stablint.static.facts.terms import (
    Attribute,
    Call,
    Constant,
    Dictionary,
    Either,
    Item,
    Operation,
    Term,
    parts,
    same,
    within,
)
from stablint.static.nodes import dotted_name
from stablint.static.torch_api.groups import LOSSES

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


@dataclass(frozen=True, slots=True, eq=False)
class Accumulation:
    """`path += value`, `path.append(value)` and their like in a loop that back-propagates `subjects`."""

    path: str
    value: cst.BaseExpression = field(repr=False)
    statement: cst.CSTNode = field(repr=False)
    scope: Scope = field(repr=False)
    subjects: tuple[Term, ...]
    elsewhere: tuple[Term, ...]
    """What is back-propagated outside of this loop: a loss kept in one loop may be meant for another."""
    nodes: frozenset[cst.CSTNode] = field(repr=False)
    """The places where the losses of this loop are made."""
    is_reset: bool
    """Whether the loop also starts it afresh, empties it or bounds it."""


def accumulations(source: SourceFile) -> tuple[Accumulation, ...]:
    """Return what the training loops of a file accumulate."""
    loops: dict[cst.CSTNode, list[Term]] = {}
    everything: list[Term] = []
    for root in source.ask(training_paths):
        everything += _subjects(root.path)
        for rounds in rounds_in(root.path):
            subjects = _subjects(rounds.body)
            if subjects:
                loops.setdefault(rounds.node, []).extend(subjects)
    if not loops:
        return ()
    return tuple(_found(source, loops, tuple(everything)))


def _subjects(path: Program) -> list[Term]:
    return [event.subject for event in events_in(path, Kind.BACKWARD) if event.subject is not None]


def _found(
    source: SourceFile, loops: dict[cst.CSTNode, list[Term]], everything: tuple[Term, ...]
) -> Iterator[Accumulation]:
    for part, (scope, block) in source.ask(syntax).blocks.items():
        kept = _accumulated(part)
        if kept is None:
            continue
        loop = _training_loop(block, loops)
        if loop is None:
            continue
        path, value = kept
        subjects = tuple(loops[loop.node])
        elsewhere = tuple(one for one in everything if all(one is not other for other in subjects))
        nodes = frozenset(
            inner.node for one in subjects for inner in graph_of(one) if isinstance(inner, Operation | Call)
        )
        reset = _is_reset(source, path, loop, part) or _is_bounded(source, path, scope)
        yield Accumulation(path, value, part, scope, subjects, elsewhere, nodes, reset)


def _accumulated(part: cst.CSTNode) -> tuple[str, cst.BaseExpression] | None:
    """Return what a statement adds to, and what it adds."""
    match part:
        case cst.AugAssign(target=target, operator=cst.AddAssign(), value=value):
            return (path, value) if (path := dotted_name(target)) else None
        case cst.Assign(targets=[cst.AssignTarget(target=target)], value=cst.BinaryOperation() as value):
            path = dotted_name(target)
            return (path, value) if path and any(dotted_name(one) == path for one in leaves(value)) else None
        case cst.Expr(
            value=cst.Call(
                func=cst.Attribute(value=base, attr=cst.Name(value="append")), args=[cst.Arg(value=value)]
            )
        ):
            while isinstance(base, cst.Subscript):
                base = base.value
            return (path, value) if (path := dotted_name(base)) else None
        case _:
            return None


def leaves(node: cst.BaseExpression) -> Iterator[cst.BaseExpression]:
    """Yield the names and calls that a value is computed from, through arithmetic, displays and tensor methods."""
    match node:
        case cst.BinaryOperation(left=left, right=right):
            yield from leaves(left)
            yield from leaves(right)
        case cst.UnaryOperation(expression=inner):
            yield from leaves(inner)
        case cst.Tuple(elements=elements) | cst.List(elements=elements):
            for element in elements:
                yield from leaves(element.value)
        case cst.Dict(elements=pairs):
            for pair in pairs:
                yield from leaves(pair.value)
        case cst.Call(func=cst.Attribute(value=base, attr=cst.Name(value=name))) if name in _LOOKED_THROUGH:
            yield from leaves(base)
        case cst.Name() | cst.Attribute() | cst.Subscript() | cst.Call():
            yield node
        case _:
            pass


_LOOKED_THROUGH = {
    "cpu",
    "cuda",
    "to",
    "mean",
    "sum",
    "view",
    "reshape",
    "squeeze",
    "float",
    "double",
    "clone",
    "flatten",
}


def graph_of(term: Term) -> Iterator[Term]:
    """Yield the parts of a term that belong to its graph: nothing behind what detaches."""
    seen: set[Term] = set()
    stack = [term]
    while stack and len(seen) < 1000:
        current = stack.pop()
        if current in seen or isinstance(current, Constant):
            continue
        seen.add(current)
        if isinstance(current, Operation) and (detaches(current) or not current.graph):
            continue
        if isinstance(current, Call):
            if current.graph:
                yield current
            continue
        if isinstance(current, Operation | Attribute):
            yield current
        # Of `opt.n_critic`, `opt` being what a call returned says nothing.
        if isinstance(current, Item):
            stack.extend(_looked_up(current))
        elif not isinstance(current, Attribute):
            stack.extend(parts(current))


def _looked_up(item: Item) -> Iterator[Term]:
    """Yield what an item may be: of dicts under a known key, what is known to be put there and nothing else."""
    named = isinstance(item.key, Constant) and isinstance(item.key.value, str)
    known = [one for one in within(item.base, 200) if isinstance(one, Dictionary)] if named else []
    if not known:
        yield item.base
        return
    for key, value in (pair for one in known for pair in one.items):
        if same(key, item.key):
            yield value


def summands(term: Term) -> Iterator[Term]:
    """Yield the values that a loss is a weighted sum or mean of, itself among them."""
    seen: set[Term] = set()
    stack = [term]
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        if isinstance(current, Either):
            stack.extend(current.options)
        if isinstance(current, Operation):
            if current.name in _SUMMING:
                stack.extend(current.operands)
            elif detaches(current) or not current.graph:
                continue
        if isinstance(current, Operation | Call | Attribute):
            yield current


_SUMMING = {"add", "sub", "mul", "div", "neg", "mean", "sum", *_LOOKED_THROUGH}


def is_loss(term: Term) -> bool:
    """Whether a term is a loss of torch that is computed with a graph."""
    return isinstance(term, Operation) and term.name in LOSSES and term.graph


def _training_loop(block: Block | None, loops: dict[cst.CSTNode, list[Term]]) -> Block | None:
    """Return the innermost loop around a statement that back-propagates."""
    while block is not None:
        if block.kind in ("for", "while") and block.node in loops:
            return block
        block = block.parent
    return None


def _is_reset(source: SourceFile, path: str, loop: Block, part: cst.CSTNode) -> bool:
    """Whether the loop's body also assigns the accumulator anew, clears or deletes it."""
    for other, (_, block) in source.ask(syntax).blocks.items():
        if other is part or block is None or not any(one.node is loop.node for one in block.outward()):
            continue
        match other:
            case cst.Assign(targets=targets) if any(path in _bound(target.target) for target in targets):
                if _accumulated(other) is None:
                    return True
            case cst.Del(target=target) if dotted_name(target) == path:
                return True
            case cst.Expr(
                value=cst.Call(
                    func=cst.Attribute(value=base, attr=cst.Name(value="clear" | "pop" | "popleft"))
                )
            ):
                if dotted_name(base) == path:
                    return True
            case _:
                pass
    return False


def _bound(target: cst.BaseExpression) -> Iterator[str]:
    """Yield the names that an assignment's target binds."""
    if isinstance(target, cst.Tuple | cst.List):
        for element in target.elements:
            yield from _bound(element.value)
    elif name := dotted_name(target):
        yield name


def _is_bounded(source: SourceFile, path: str, scope: Scope) -> bool:
    """Whether the accumulator is a deque with a bound."""
    outcome = source.ask(values).interpreter.outcomes.get(scope.function)
    held = outcome.env.get(path) if outcome is not None else None
    return isinstance(held, Call) and "maxlen" in held.keywords
