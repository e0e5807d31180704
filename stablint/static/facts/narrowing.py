"""Whether a test lets a layer or parameter through: `isinstance(m, nn.Linear)`, `"bias" in name`, `p.dim() > 1`."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stablint.static.facts.scopes import Scope
from stablint.static.facts.terms import (
    Attribute,
    Call,
    ClassObject,
    Constant,
    Display,
    Instance,
    Operation,
    Receiver,
    Reference,
    Term,
    number,
    options,
    within,
)
from stablint.static.interpret.interpreter import Interpreter
from stablint.static.torch_api import operation
from stablint.static.torch_api.groups import AFFINE, NORMALISATIONS


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A layer, an object of a class of the file, or a parameter made by hand, that may stand for what is tested."""

    term: Term
    name: str = ""
    """The name of the parameter: `weight` or `bias` of a layer."""
    rank: int | None = None

    @property
    def class_name(self) -> str | None:
        """The name of the class."""
        scope = scope_of(self.term)
        if scope is not None:
            return scope.name
        return self.term.dotted.rsplit(".", 1)[-1] if isinstance(self.term, Instance) else None


def scope_of(term: Term) -> Scope | None:
    """Return the class of the file that an object is of."""
    return term.scope if isinstance(term, Instance | Receiver) else None


def passes(interpreter: Interpreter, test: Term, held: bool, candidate: Candidate) -> bool:
    """Whether a candidate may be there where a test held, or did not."""
    verdict = _verdict(interpreter, test, candidate)
    return verdict is None or verdict is held


def _verdict(interpreter: Interpreter, test: Term, candidate: Candidate) -> bool | None:
    match test:
        case Operation(name="and" | "or" as name, operands=operands):
            verdicts = [_verdict(interpreter, operand, candidate) for operand in operands]
            decisive = name == "or"
            return decisive if decisive in verdicts else None if None in verdicts else not decisive
        case Operation(name="not", operands=(inner,)):
            verdict = _verdict(interpreter, inner, candidate)
            return None if verdict is None else not verdict
        case Operation(name="isinstance", operands=(_, kinds)):
            return _is_any_of(interpreter, candidate.term, kinds, exact=False)
        case Operation(name="builtin_hasattr", operands=(_, Constant(value=str(name)))):
            return _has(candidate.term, name)
        case Operation(name="compare", operands=(left, right), positional=(Constant(value=str(symbol)),)):
            return _compared(interpreter, left, right, symbol, candidate)
        case Call(
            callee=Attribute(name="endswith" | "startswith", base=text),
            positional=(Constant(value=str(part)),),
        ):
            return _contains(text, part, candidate)
        case _:
            return None


def _compared(
    interpreter: Interpreter, left: Term, right: Term, symbol: str, candidate: Candidate
) -> bool | None:
    if symbol in _ORDERS and _counts_dimensions(left):
        bound = number(right)
        known = bound is not None and candidate.rank is not None
        return bool(_ORDERS[symbol](candidate.rank, bound)) if known else None
    negated = symbol in ("NotEqual", "NotIn", "IsNot")
    verdict: bool | None = None
    if symbol in ("In", "NotIn") and isinstance(left, Constant) and isinstance(left.value, str):
        verdict = _contains(right, left.value, candidate)
    elif isinstance(left, Call) and isinstance(left.callee, Attribute) and left.callee.name == "find":
        part = left.positional[0] if left.positional else None
        if isinstance(part, Constant) and isinstance(part.value, str):
            verdict = _contains(left.callee.base, part.value, candidate)
        negated = symbol == "Equal" or symbol.startswith("Less")
    elif symbol in ("Equal", "NotEqual", "Is", "IsNot", "In", "NotIn"):
        if any(isinstance(part, Operation) and part.name == "builtin_type" for part in within(left)):
            verdict = _is_any_of(interpreter, candidate.term, right, exact=True)
        elif isinstance(right, Constant) and isinstance(right.value, str) and _is_class_name(left):
            verdict = candidate.class_name == right.value
    return None if verdict is None else verdict is not negated


_ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "Equal": operator.eq,
    "NotEqual": operator.ne,
    "GreaterThan": operator.gt,
    "GreaterThanEqual": operator.ge,
    "LessThan": operator.lt,
    "LessThanEqual": operator.le,
}


def _counts_dimensions(term: Term) -> bool:
    match term:
        case Operation(name="dim" | "ndimension" | "len") | Attribute(name="ndim"):
            return True
        case _:
            return False


def _is_class_name(term: Term) -> bool:
    return any(isinstance(part, Attribute) and part.name == "__name__" for part in within(term))


def _contains(text: Term, part: str, candidate: Candidate) -> bool | None:
    if _is_class_name(text):
        return None if candidate.class_name is None else part in candidate.class_name
    if part.strip(".") in candidate.name:
        return True
    return False if candidate.name and part.strip(".") in ("weight", "bias") else None


def _has(term: Term, name: str) -> bool | None:
    if not isinstance(term, Instance) or term.scope is not None or name not in ("weight", "bias"):
        return None
    short = operation(term.dotted)
    return (
        None if short is None else short in AFFINE | NORMALISATIONS | {"embedding", "embedding_bag", "prelu"}
    )


def _is_any_of(interpreter: Interpreter, term: Term, kinds: Term, exact: bool) -> bool | None:
    verdicts = [
        _is_of(interpreter, term, kind, exact)
        for option in options(kinds)
        for kind in (option.items if isinstance(option, Display) else (option,))
    ]
    return True if True in verdicts else None if None in verdicts else False


def _is_of(interpreter: Interpreter, term: Term, kind: Term, exact: bool) -> bool | None:
    scope = scope_of(term)
    if scope is None and not isinstance(term, Instance):
        return None
    if isinstance(kind, ClassObject):
        return scope is not None and (
            kind.scope is scope if exact else kind.scope in interpreter.hierarchy.lineage(scope)
        )
    if not isinstance(kind, Reference):
        return None
    if scope is None:
        assert isinstance(term, Instance)
        return kind.dotted == term.dotted or (not exact and _is_base(kind.dotted, term.dotted))
    bases = [base.dotted for base in interpreter.hierarchy.outer_bases(scope) if isinstance(base, Reference)]
    return not exact and any(kind.dotted == base or _is_base(kind.dotted, base) for base in bases)


def _is_base(base: str, dotted: str) -> bool:
    """Whether a class of torch inherits from another, as far as people test for it."""
    name, last = base.rsplit(".", 1)[-1], dotted.rsplit(".", 1)[-1]
    return name == "Module" or (name.startswith("_") and name.strip("_").removesuffix("Nd") in last)
