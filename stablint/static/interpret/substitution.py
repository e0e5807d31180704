"""Putting the arguments of a call into the terms of a function's outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from stablint.static.facts.terms import (
    Attribute,
    Call,
    Closure,
    Dictionary,
    Display,
    Either,
    Instance,
    Item,
    Operation,
    Parameter,
    Receiver,
    Repeated,
    Term,
    Unknown,
    join,
)
from stablint.static.interpret.containers import item
from stablint.static.interpret.frame import Frame

if TYPE_CHECKING:
    import libcst as cst

    from stablint.static.facts.scopes import Scope
    from stablint.static.interpret.interpreter import Interpreter

_MOST_TERMS = 5000
"""A result made of more terms than this is not followed through the call."""


class Substitution:
    """Rebuilds terms with the parameters of one function replaced; what does not change stays the same object."""

    def __init__(
        self,
        interpreter: Interpreter,
        given: Mapping[str, Term],
        function: Scope | None,
        receiver: Term | None = None,
        graph: bool = True,
    ) -> None:
        self.interpreter = interpreter
        self.graph = graph
        self.given = given
        self.function = function
        self.receiver = receiver if isinstance(receiver, Instance) else None
        self.most = _MOST_TERMS
        self._done: dict[Term, Term] = {}

    def replacement(self, parameter: Parameter) -> Term:
        """Return what stands for a parameter."""
        return self.given.get(parameter.name, parameter) if parameter.function is self.function else parameter

    def unfinished(self, term: Term) -> Term:
        """Return what is known of a term that is too much to rebuild."""
        return Unknown()

    def rebuild(self, term: Term) -> Term:
        """Return the term with the arguments put in."""
        known = self._done.get(term)
        if known is not None:
            return known
        if len(self._done) > self.most:
            return self.unfinished(term)
        self._done[term] = term  # a term never holds itself, but cheap to be safe
        result = self._done[term] = self._rebuilt(term)
        return result

    def _rebuilt(self, term: Term) -> Term:
        match term:
            case Parameter():
                return self.replacement(term)
            case Receiver():
                return self.receiver if self.receiver is not None else term
            case Operation():
                return self._operation(term)
            case Call():
                return self._call(term)
            case Instance():
                positional = self._all(term.positional)
                keywords = self._named(term.keywords)
                if positional is term.positional and keywords is term.keywords:
                    return term
                return replace(term, positional=positional, keywords=keywords)
            case Display():
                items = self._all(term.items)
                return term if items is term.items else replace(term, items=items)
            case Dictionary():
                pairs = tuple((self.rebuild(key), self.rebuild(value)) for key, value in term.items)
                if all(a is c and b is d for (a, b), (c, d) in zip(pairs, term.items, strict=True)):
                    return term
                return replace(term, items=pairs)
            case Repeated():
                inner = self.rebuild(term.item)
                return term if inner is term.item else replace(term, item=inner)
            case Attribute():
                from stablint.static.interpret.expressions import attribute

                base = self.rebuild(term.base)
                if base is term.base or (term.node is None and not isinstance(base, Instance)):
                    return term
                return attribute(self.interpreter, base, term.name, term.node)  # type: ignore[arg-type]
            case Item():
                base, key = self.rebuild(term.base), self.rebuild(term.key)
                if base is term.base and key is term.key:
                    return term
                return item(self.interpreter, base, key, term.node)  # type: ignore[arg-type]
            case Closure():
                receiver = self.rebuild(term.receiver) if term.receiver is not None else None
                return term if receiver is term.receiver else Closure(term.function, receiver)
            case Either():
                options = self._all(term.options)
                return term if options is term.options else join(*options)
            case _:
                return term

    def _operation(self, term: Operation) -> Term:
        operands = self._all(term.operands)
        positional = self._all(term.positional)
        keywords = self._named(term.keywords)
        graph = term.graph and self.graph
        if (
            operands is term.operands
            and positional is term.positional
            and keywords is term.keywords
            and graph is term.graph
        ):
            return term
        return Operation(  # `replace` would take four times as long, and this is where the time goes
            term.name,
            operands,
            term.node,
            term.dotted,
            positional,
            keywords,
            term.module,
            graph,
            term.open_arguments,
        )

    def _call(self, term: Call) -> Term:
        callee = self.rebuild(term.callee)
        positional = self._all(term.positional)
        keywords = self._named(term.keywords)
        graph = term.graph and self.graph
        if callee is term.callee:
            if positional is term.positional and keywords is term.keywords and graph is term.graph:
                return term
            return replace(term, positional=positional, keywords=keywords, graph=graph)
        return self._called(callee, positional, keywords, term.node, graph)

    def _called(
        self,
        callee: Term,
        positional: tuple[Term, ...],
        keywords: Mapping[str, Term],
        node: cst.Call,
        graph: bool,
    ) -> Term:
        """Call what the callee turned out to be."""
        from stablint.static.interpret.calls import Arguments, apply, method

        frame = Frame(self.interpreter.syntax.module, graph=graph)
        frame.env = None
        arguments = Arguments(positional, dict(keywords))
        if isinstance(callee, Attribute):
            return method(self.interpreter, frame, callee.base, callee.name, arguments, node)
        return apply(self.interpreter, frame, callee, arguments, node)

    def _all(self, terms: tuple[Term, ...]) -> tuple[Term, ...]:
        if not terms:
            return terms
        rebuilt = [self.rebuild(term) for term in terms]
        for old, new in zip(terms, rebuilt, strict=True):
            if old is not new:
                return tuple(rebuilt)
        return terms

    def _named(self, terms: Mapping[str, Term]) -> Mapping[str, Term]:
        if not terms:
            return terms
        rebuilt = {name: self.rebuild(term) for name, term in terms.items()}
        return terms if all(rebuilt[name] is terms[name] for name in terms) else rebuilt
