"""What every expression of a file holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.terms import MOST_OPTIONS, Either, Parameter, Term, Unknown, join
from stablint.static.interpret.interpreter import Interpreter, interpretation
from stablint.static.interpret.substitution import Substitution

if TYPE_CHECKING:
    from stablint.static.source import SourceFile


class Values:
    """The terms of a file's expressions; `of` puts in what the calls of the file give to parameters."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter
        self._resolution = _Resolution(interpreter)

    def raw(self, node: cst.CSTNode) -> Term:
        """Return what an expression holds, in terms of its function's parameters."""
        return self.interpreter.terms.get(id(node)) or Unknown(node)

    def of(self, node: cst.CSTNode) -> Term:
        """Return what an expression holds, with the arguments that this file's calls give to parameters."""
        return self.resolve(self.raw(node))

    def resolve(self, term: Term) -> Term:
        """Put in for every parameter what the calls of the file give to it."""
        return self._resolution.rebuild(term)


_MOST_TERMS = 100_000
"""Beyond so many terms of one file nothing more is put in."""


class _Resolution(Substitution):
    """Replaces the parameters of every function by what the calls of the file give; each term is rebuilt once."""

    def __init__(self, interpreter: Interpreter) -> None:
        super().__init__(interpreter, {}, None)
        self.most = _MOST_TERMS
        self.running: set[Parameter] = set()

    def unfinished(self, term: Term) -> Term:
        return term

    def replacement(self, parameter: Parameter) -> Term:
        if self.interpreter.cycles is not None:
            return parameter  # of an imported file, who has been asked for what must not matter
        actuals = self.interpreter.actuals.get(parameter.function)
        if not actuals or parameter in self.running:
            return parameter
        self.running.add(parameter)
        result = self._given_by(actuals, parameter)
        self.running.discard(parameter)
        return result

    def _given_by(self, actuals: list[dict[str, Term]], parameter: Parameter) -> Term:
        found: list[Term] = []
        for given in {id(term): term for term in (actual.get(parameter.name) for actual in actuals)}.values():
            # A parameter that nobody knows stays the parameter, so that it keeps its name and identity.
            found.append(parameter if given is None or isinstance(given, Unknown) else self.rebuild(given))
            if len(found) > MOST_OPTIONS and isinstance(join(*found), Unknown):
                return parameter
        joined = join(*found)
        return parameter if isinstance(joined, Unknown) else joined


def values(source: SourceFile) -> Values:
    """Interpret the whole file, once; one that is only imported, as far as anybody asks."""
    interpreter = source.ask(interpretation)
    if not source.is_imported:
        interpreter.interpret_all()
    return Values(interpreter)


def without_none(term: Term) -> Term:
    """Return a term without the alternative that it is None: `self.optimizer = None` in `__init__`."""
    from stablint.static.facts.terms import Constant

    if not isinstance(term, Either):
        return term
    left = [option for option in term.options if not (isinstance(option, Constant) and option.value is None)]
    return join(*left) if left else term
