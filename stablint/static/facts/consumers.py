"""What becomes of a value: which terms are made of it, and whether it is only looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stablint.static.facts.evaluation import values
from stablint.static.facts.gradients import detaches
from stablint.static.facts.terms import (
    Attribute,
    Call,
    Dictionary,
    Display,
    Either,
    Operation,
    Reference,
    Repeated,
    Term,
    parts,
)
from stablint.static.torch_api.groups import words

if TYPE_CHECKING:
    from stablint.static.source import SourceFile

_SHOWING = words(
    "print format isinstance len add_scalar add_scalars add_histogram log log_dict log_metrics debug info "
    "warning write set_postfix set_postfix_str set_description allclose assert_close assertEqual assertTrue "
    "assertAlmostEqual builtin_str builtin_format builtin_repr builtin_isinstance builtin_type builtin_id "
    "builtin_all builtin_any"
)
"""Calls that show, log or test what they are given."""


class Uses:
    """Which terms of a file are made of which; terms as they stand in their own function (`Values.raw`)."""

    def __init__(self, consumers: dict[Term, list[Term]], kept: set[Term]) -> None:
        self._consumers = consumers
        self._kept = kept

    def of(self, term: Term) -> Sequence[Term]:
        """Return the terms that are directly made of a term."""
        return self._consumers.get(term, ())

    def is_kept(self, term: Term) -> bool:
        """Whether a value is returned, yielded or kept in an attribute as it is."""
        return term in self._kept

    def is_shared(self, term: Term) -> bool:
        """Whether more than one thing is made of a value, or it is returned or kept itself."""
        return term in self._kept or len(set(self.of(term))) > 1

    def is_only_shown(self, term: Term) -> bool:
        """Whether all that is made of a value leaves the graph: it is printed, logged, compared, or not used at all.

        Of a value that is used and neither shown nor kept in the end, the way was lost.
        """
        is_shown = not self.of(term)
        seen: set[Term] = set()
        stack = [term]
        while stack:
            current = stack.pop()
            if current in seen:
                continue
            seen.add(current)
            if current in self._kept:
                return False
            for consumer in self.of(current):
                if _only_counts(consumer, current):
                    continue
                if _goes_on(consumer, current):
                    stack.append(consumer)
                elif _shows(consumer):
                    is_shown = True
                else:
                    return False
        return is_shown


def _only_counts(consumer: Term, part: Term) -> bool:
    """Whether a list is asked how long it is: `torch.stack(outs) if len(outs) > 1 else outs[0]`."""
    is_list = isinstance(part, Display | Repeated | Either)
    return is_list and isinstance(consumer, Operation) and consumer.name == "len"


def _goes_on(consumer: Term, part: Term) -> bool:
    """Whether what is made of the value still belongs to the graph and must be followed."""
    if isinstance(consumer, Operation):
        return consumer.name != "backward" and not _shows(consumer)
    return not isinstance(consumer, Call) or (part is consumer.callee and not _shows(consumer))


def _shows(consumer: Term) -> bool:
    match consumer:
        case Operation():
            return detaches(consumer) or consumer.name in _SHOWING - {"log"}  # a logarithm shows nothing
        case Call(callee=Attribute(name=name)):
            return name in _SHOWING
        case Call(callee=Reference(dotted=dotted)):
            return dotted.startswith(("numpy.", "math.", "wandb.", "logging.")) or dotted.endswith("allclose")
        case _:
            return False


def uses(source: SourceFile) -> Uses:
    """Turn around what every term of the file is made of; what functions return or keep is marked as kept."""
    interpreter = source.ask(values).interpreter
    consumers: dict[Term, list[Term]] = {}
    seen: set[Term] = set()
    stack = list(interpreter.terms.values())
    while stack:
        term = stack.pop()
        if term in seen:
            continue
        seen.add(term)
        for part in parts(term):
            consumers.setdefault(part, []).append(term)
            stack.append(part)
    kept: set[Term] = set()
    for outcome in interpreter.outcomes.values():
        _keep(outcome.returns, kept)
        for path, term in outcome.env.items():
            if "." in path:
                _keep(term, kept)
    return Uses(consumers, kept)


def _keep(term: Term, kept: set[Term]) -> None:
    stack = [term]
    while stack:
        current = stack.pop()
        if current in kept:
            continue
        kept.add(current)
        if isinstance(current, Display | Dictionary | Repeated | Either):
            stack.extend(parts(current))
