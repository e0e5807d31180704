"""Where tensors that exist are given values: initialisers, in-place methods, assignments, loading, what may do so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import libcst as cst

from stablint.static.facts.aims import aims
from stablint.static.facts.classes import receiver_name
from stablint.static.facts.evaluation import Values, values
from stablint.static.facts.scopes import Scope, syntax
from stablint.static.facts.sites import Site, operations
from stablint.static.facts.terms import (
    EACH,
    Attribute,
    Call,
    Closure,
    Constant,
    Instance,
    Item,
    Operation,
    Parameter,
    Receiver,
    Reference,
    Term,
    Unknown,
    options,
)
from stablint.static.torch_api.groups import IN_PLACE_INIT, words

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


@dataclass(frozen=True, slots=True, eq=False)
class Fill:
    """A place where a tensor gets values."""

    node: cst.CSTNode
    scope: Scope
    statement: cst.CSTNode | None
    targets: tuple[Term, ...] = field(repr=False)
    """What is written into; in an unrolled loop, that of every round."""
    value: Term | None = None
    """The one number that all elements get."""
    is_certain: bool = True
    """False where only the name of what is called says that it may write."""
    kind: Literal["values", "change", "freeze"] = "values"
    """Whether it gives new values, changes those that are there, or says that they are not to be trained."""
    is_said: bool = True
    """False where nothing says so: what is unknown gets a part of something."""


@dataclass(frozen=True, slots=True, eq=False)
class Fills:
    """The fills of a file, and which functions are applied to the modules inside which objects."""

    all: tuple[Fill, ...]
    applied: Mapping[Scope, list[Term]]


def fills(source: SourceFile) -> Fills:
    """Collect the fills of a file."""
    known = source.ask(operations)
    applied, unknown = _applied(source)
    found = [*_initialised(known.by_name), *_in_place(known.by_name), *_stored(source), *unknown]
    found += [fill for sites in known.calls.values() for site in sites for fill in _called(site)]
    return Fills((*found, *_elsewhere(source, known.values)), applied)


def _terms(site: Site) -> Iterator[Term]:
    """Yield what a place holds, in every round of an unrolled loop."""
    yield from options(site.term)
    for term in site.values.interpreter.rounds.get(id(site.node), ()):
        yield from options(site.values.resolve(term))


_FILLERS = {name.rsplit(".", 1)[1] for name in IN_PLACE_INIT}


def _initialised(by_name: Mapping[str, list[Site]]) -> Iterator[Fill]:
    for name in sorted(_FILLERS | {name.rstrip("_") for name in _FILLERS}):
        for site in by_name.get(name, ()):
            made = [
                term
                for term in _terms(site)
                if isinstance(term, Operation) and term.dotted in IN_PLACE_INIT and term.operands
            ]
            if made:
                value = _VALUES.get(name.rstrip("_")) or (
                    made[0].argument("val", 0) if "constant" in name else None
                )
                yield Fill(
                    site.node, site.scope, site.statement, tuple(term.operands[0] for term in made), value
                )


_VALUES = {"zeros": Constant(0), "ones": Constant(1), "zero": Constant(0)}
_WRITING = words(
    "uniform normal fill zero copy random exponential geometric cauchy log_normal bernoulli set scatter index_copy "
    "index_fill masked_fill"
)


_CHANGING = words("add sub mul div addcmul addcdiv lerp clamp")


def _in_place(by_name: Mapping[str, list[Site]]) -> Iterator[Fill]:
    for name in sorted(_WRITING | _CHANGING):
        for site in by_name.get(name, ()):
            made = [term for term in _terms(site) if isinstance(term, Operation) and _is_in_place(term)]
            if made:
                value = _VALUES.get(name) or (made[0].argument("value", 0) if name == "fill" else None)
                targets = tuple(term.operands[0] for term in made)
                kind: Literal["values", "change"] = "values" if name in _WRITING else "change"
                yield Fill(site.node, site.scope, site.statement, targets, value, True, kind)


def _is_in_place(term: Operation) -> bool:
    return term.dotted.startswith("torch.Tensor.") and term.dotted.endswith("_") and bool(term.operands)


def _stored(source: SourceFile) -> Iterator[Fill]:
    """Yield assignments to elements, to `.data`, and to attributes of anything but `self`; what is frozen by one."""
    known = source.ask(values)
    for store in source.ask(syntax).stores:
        target = store.target
        base = known.of(target.value)
        if _is_entry(target) and not _is_rooted(base):
            continue  # a dict, a mask, a memory of experience: weights are not filled one by one
        name = target.attr.value if isinstance(target, cst.Attribute) else ""
        if name == "requires_grad":
            yield Fill(store.statement, store.scope, store.statement, (base,), kind="freeze")
        elif name in ("", "data"):
            yield Fill(store.statement, store.scope, store.statement, (base,))
        elif not isinstance(target.value, cst.Name) or target.value.value != receiver_name(store.scope):
            yield Fill(store.statement, store.scope, store.statement, (Attribute(base, name),))


def _is_entry(target: cst.BaseExpression) -> bool:
    """Whether a target is one entry, not a slice: `state["name"]`, `mask[i, j]`, `memory[step]`."""
    return isinstance(target, cst.Subscript) and all(
        isinstance(part.slice, cst.Index) and not isinstance(part.slice.value, cst.Ellipsis)
        for part in target.slice
    )


def _is_rooted(term: Term) -> bool:
    """Whether something is an object that is known, or a part of one, or an attribute of anything."""
    while isinstance(term, Operation) and term.name == "setitem":
        term = term.operands[0]
    return any(
        aim.path or aim.listing or not isinstance(aim.root, Call | Unknown | Parameter) for aim in aims(term)
    )


_INITIALISING = re.compile(
    r"init|reset|load|pretrain|weight|xavier|kaiming|glorot|orthog|normal|uniform", re.IGNORECASE
)


def _called(site: Site) -> Iterator[Fill]:
    """Yield what a call of something unknown may write into: tensors, or all of an object where its name says so."""
    term = next((option for option in options(site.raw) if isinstance(option, Call)), None)
    if term is None or site.scope.name == "forward" or _is_harmless(term.callee):
        return
    resolve = site.values.resolve
    targets = []
    says_so = _INITIALISING.search(_name(term.callee)) is not None
    if (
        says_so and isinstance(term.callee, Attribute) and term.callee.name != "reset"
    ):  # an environment, a metric
        targets.append(parameters_of(resolve(term.callee.base), site.node))
    arguments = (*term.positional, *term.keywords.values())
    for given in (option for argument in arguments for option in options(resolve(argument))):
        if isinstance(given, Operation | Attribute | Item):
            targets.append(given)
        elif says_so and isinstance(given, Instance | Receiver | Parameter):
            targets.append(parameters_of(given, site.node))
    if targets:
        yield Fill(site.node, site.scope, site.statement, tuple(targets), is_certain=False, is_said=says_so)


def _elsewhere(source: SourceFile, known: Values) -> Iterator[Fill]:
    """Yield the calls of functions of other files, which may write into what they are given."""
    interpreter = known.interpreter
    for key, invoked in interpreter.invocations.items():
        if key not in interpreter.sites or all(interpreter.home(one) is interpreter for one in invoked):
            continue
        node, scope, statement = interpreter.sites[key]
        if scope.name == "forward" or not isinstance(node, cst.Call):
            continue
        targets: list[Term] = []
        is_said = False
        for function, call in invoked.items():
            says_so = _INITIALISING.search(function.name) is not None
            is_said |= says_so
            for given in (call.receiver, *call.given.values()):
                for option in options(known.resolve(given)) if given is not None else ():
                    if isinstance(option, Operation | Attribute | Item):
                        targets.append(option)
                    elif says_so and isinstance(option, Instance | Receiver | Parameter):
                        targets.append(parameters_of(option, node))
        if targets:
            yield Fill(node, scope, statement, tuple(targets), is_certain=False, is_said=is_said)


def _name(callee: Term) -> str:
    name: str = getattr(callee, "name", "") or getattr(callee, "label", "") or getattr(callee, "dotted", "")
    return name.removeprefix("super().")


_KEEPING = words(
    "_load_from_state_dict register_parameter register_buffer register_module add_module append extend insert "
    "add_param_group"
)


def _is_harmless(callee: Term) -> bool:
    if isinstance(callee, Instance | Receiver | Closure) or _name(callee) in _KEEPING:
        return True
    return isinstance(callee, Reference) and callee.dotted.startswith(("builtins.", "numpy.", "math."))


def parameters_of(base: Term, node: cst.CSTNode) -> Term:
    """Return what stands for every parameter of an object."""
    assert isinstance(node, cst.Call)
    return Item(Call(Attribute(base, "parameters"), (), {}, node), EACH)


def _applied(source: SourceFile) -> tuple[dict[Scope, list[Term]], list[Fill]]:
    """Return to what the functions of the file are applied, and the applications of functions from elsewhere."""
    known = source.ask(values)
    applied: dict[Scope, list[Term]] = {}
    unknown: list[Fill] = []
    for call in source.ask(syntax).calls.get("apply", ()):
        if not isinstance(call.node.func, cst.Attribute) or len(call.node.args) != 1:
            continue
        base = known.of(call.node.func.value)
        for function in options(_bare(known, call.node.args[0].value)):
            if (
                isinstance(function, Closure)
                and known.interpreter.home(function.function) is known.interpreter
            ):
                applied.setdefault(function.function, []).append(base)
            else:
                target = parameters_of(base, call.node)
                unknown.append(Fill(call.node, call.scope, call.statement, (target,), is_certain=False))
    return applied, unknown


def _bare(known: Values, node: cst.BaseExpression) -> Term:
    held = known.of(node)
    return held.operands[0] if isinstance(held, Operation) and held.name == "partial" else held
