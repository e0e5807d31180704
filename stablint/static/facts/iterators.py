"""Iterators over parameters that can be gone through once, and what goes through them.

`model.parameters()` is a generator, `filter`, `map`, `zip`, `enumerate`, `itertools.chain` and generator expressions
give iterators: who comes second gets nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.evaluation import Values, values
from stablint.static.facts.roles import made_as
from stablint.static.facts.scopes import Binding, Scope, Syntax, syntax
from stablint.static.facts.terms import (
    EACH,
    Attribute,
    Call,
    Instance,
    Item,
    Operation,
    Parameter,
    Reference,
    Repeated,
    Term,
    options,
    within,
)
from stablint.static.nodes import last_name, meaningful_children

if TYPE_CHECKING:
    from stablint.static.source import SourceFile

_GENERATORS = {"parameters", "named_parameters", "buffers", "named_buffers", "named_modules"}
_WRAPPERS = {"filter", "map", "zip", "enumerate", "iter", "reversed"}
_GOING_THROUGH = {
    "list", "tuple", "set", "frozenset", "dict", "sum", "any", "all", "max", "min", "sorted", "deque", "OrderedDict",
    "clip_grad_norm_", "clip_grad_norm", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm",
    "parameters_to_vector", "vector_to_parameters", "extend", "add_param_group", "ParameterList", "grad", "stack",
    "cat", "vstack", "hstack",
}  # fmt: skip
"""What goes through all that it is given; of `grad` and the like, through any of its arguments."""

Makers = frozenset[cst.CSTNode]
"""The expressions that made an iterator, and those that it goes through in turn."""


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """An iterator that a name or an attribute holds, or that a function is given."""

    makers: frozenset[object]
    """What tells it from others: the expressions that made it, or the parameter."""
    scope: Scope = field(repr=False)
    """The function that binds it."""
    binding: Binding | None = field(repr=False)
    """None for a parameter."""
    is_single: bool = True
    """Whether it is bound at one place, not in each of several branches."""


@dataclass(frozen=True, slots=True, eq=False)
class Consumption:
    """A place that goes through a held iterator: `by` is the call, loop or comprehension, `how` what it is called."""

    held: Held
    node: cst.CSTNode = field(repr=False)
    by: cst.CSTNode = field(repr=False)
    how: str
    statement: cst.CSTNode = field(repr=False)
    scope: Scope = field(repr=False)


def makers(term: Term) -> Makers:
    """Return what made an iterator over parameters that can be gone through once; empty where it may be another."""
    found: set[cst.CSTNode] = set()
    for option in options(term):
        inner = _makers(option)
        if not inner:
            return frozenset()
        found |= inner
    return frozenset(found)


def _makers(term: Term) -> Makers:
    match term:
        case Call(callee=Attribute(name=name), node=node) if name in _GENERATORS:
            return frozenset({node})
        case Operation(name=name, operands=operands, node=node) if name in _WRAPPERS:
            return _wrapping(node, (*operands, *term.positional)) if _is_builtin(term) else frozenset()
        case Call(callee=Reference(dotted=dotted), positional=given, node=node):
            is_lazy = dotted.startswith("itertools.") or dotted.removeprefix("builtins.") in _WRAPPERS
            return _wrapping(node, given) if is_lazy else frozenset()
        case Repeated(lazy=True, node=cst.CSTNode() as node, item=item):
            sources = [part.base for part in within(item, 60) if isinstance(part, Item) and part.key is EACH]
            return _wrapping(node, tuple(sources))
        case _:
            return frozenset()


def _is_builtin(term: Operation) -> bool:
    return term.dotted in ("", f"builtins.{term.name}")


def _wrapping(node: cst.CSTNode, given: tuple[Term, ...]) -> Makers:
    """Return the makers of an iterator over others, where parameters come out of it."""
    inner: set[cst.CSTNode] = set()
    for term in given:
        inner |= makers(term)
    if inner or any(_is_source(part) for term in given for part in within(term, 60)):
        return frozenset({node, *inner})
    return frozenset()


def _is_source(term: Term) -> bool:
    match term:
        case Call(callee=Attribute(name=name)):
            return name in _GENERATORS
        case Attribute(name=name):
            return name == "param_groups"
        case _:
            return False


def consumptions(source: SourceFile) -> tuple[Consumption, ...]:
    """Return the places that go through iterators that are held, in the order in which they are written (a fact)."""
    shape = source.ask(syntax)
    if shape.identifiers.isdisjoint({*_GENERATORS, "param_groups"}):
        return ()
    search = _Search(shape, source.ask(values))
    return tuple(search.found()) if search.names else ()


def given(source: SourceFile, held: Held) -> list[cst.CSTNode]:
    """Return the iterators that the file's calls give to a function whose parameter is held, each once."""
    known = source.ask(values)
    found: dict[cst.CSTNode, None] = {}
    for parameter in held.makers:
        if isinstance(parameter, Parameter):
            for call in tuple(known.interpreter.actuals.get(parameter.function, ())):
                term = call.get(parameter.name)
                for option in options(known.resolve(term)) if term is not None else ():
                    if makers(option) and isinstance(option, Call | Operation | Repeated):
                        found.setdefault(option.node)  # type: ignore[arg-type]
    return list(found)


class _Search:
    """Looks for what goes through iterators; `names` are those that hold one somewhere."""

    def __init__(self, shape: Syntax, known: Values) -> None:
        self.shape = shape
        self.known = known
        self.bound: dict[str, list[tuple[Scope, Binding]]] = {}
        for scope in _all_scopes(shape.module):
            for name, bindings in scope.bindings.items():
                for binding in bindings:
                    self._note(name, scope, _alone(name, binding))
        for store in shape.stores:
            if isinstance(store.target, cst.Attribute):
                binding = Binding("assign", store.statement, store.value)
                self._note(f".{store.target.attr.value}", store.scope.function, binding)
        self.given = {
            (function, name)
            for function, calls in list(known.interpreter.actuals.items())
            for call in tuple(calls)
            for name, term in call.items()
            if makers(known.resolve(term))
        }
        self.names = {*self.bound, *(name for _, name in self.given)}
        self.through: dict[tuple[Scope, str], bool] = {}

    def _note(self, name: str, scope: Scope, binding: Binding) -> None:
        if binding.kind == "assign" and binding.value is not None and makers(self.known.raw(binding.value)):
            self.bound.setdefault(name, []).append((scope, binding))

    def found(self) -> Iterator[Consumption]:
        for statement, (scope, _) in self.shape.blocks.items():
            if scope.kind != "class" and not isinstance(statement, cst.SimpleStatementLine):
                yield from self.of_statement(statement, scope.function)

    def of_statement(self, statement: cst.CSTNode, scope: Scope) -> Iterator[Consumption]:
        for part in _own_expressions(statement):
            for call in _deep(part):
                for by, how, consumed in self._goes_through(call):
                    for node in _leaves(consumed, self.known):
                        held = self._held(node, scope)
                        if held is not None:
                            yield Consumption(held, node, by, how, statement, scope)
        if isinstance(statement, cst.For):
            for node in _leaves(statement.iter, self.known):
                held = self._held(node, scope)
                if held is not None:
                    yield Consumption(held, node, statement, "for", statement, scope)

    def _goes_through(self, node: cst.CSTNode) -> Iterator[tuple[cst.CSTNode, str, cst.BaseExpression]]:
        match node:
            case cst.ListComp(for_in=for_in) | cst.SetComp(for_in=for_in) | cst.DictComp(for_in=for_in):
                yield node, "comprehension", for_in.iter
            case cst.Call(args=arguments):
                how = self._how(node)
                for place, argument in enumerate(arguments):
                    if argument.star == "*":
                        yield node, "*", argument.value
                    elif how == "optimizer" and (
                        _is_keyword(argument, "params") or (place == 0 and not argument.keyword)
                    ):
                        plain = isinstance(argument.value, cst.Name | cst.Attribute | cst.Call)
                        how = how if plain else "param_groups"
                        yield from ((node, how, part) for part in _groups(argument.value))
                    elif how == "add_param_group":
                        yield from ((node, how, part) for part in _groups(argument.value))
                    elif how == "next" or how in _GOING_THROUGH or self._passes_on(node, argument.value):
                        yield node, how, argument.value
            case _:
                pass

    def _how(self, node: cst.Call) -> str:
        """Say what a call is to what it is given."""
        for option in options(self.known.raw(node)):
            if isinstance(option, Instance) and option.node is node and self._is_optimizer(option):
                return "optimizer"
        return last_name(node.func)

    def _is_optimizer(self, made: Instance) -> bool:
        if made.scope is None:
            return made_as(made) == "optimizer"
        return (self.known.interpreter.hierarchy.outer_base(made.scope) or "").startswith("torch.optim.")

    def _passes_on(self, node: cst.Call, argument: cst.BaseExpression) -> bool:
        """Whether a function of the file goes through what it is given here, whatever else is the case."""
        term = self.known.raw(argument)
        for one in self.known.interpreter.invocations.get(id(node), {}).values():
            for name, given in one.given.items():
                if given is term and self._is_gone_through(one.function, name):
                    return True
        return False

    def _is_gone_through(self, function: Scope, name: str) -> bool:
        key = (function, name)
        if key not in self.through:
            self.through[key] = False
            self.through[key] = any(
                isinstance(self.known.raw(one.node), Parameter)
                and getattr(self.known.raw(one.node), "name", "") == name
                for statement, (scope, block) in self.shape.blocks.items()
                if scope is function and block is None
                for one in self.of_statement(statement, function)
                if one.how != "next"
            )
        return self.through[key]

    def _held(self, node: cst.BaseExpression, scope: Scope) -> Held | None:
        term = self.known.raw(node)
        if isinstance(term, Parameter):
            is_given = (term.function, term.name) in self.given
            return Held(frozenset({term}), term.function, None) if is_given else None
        made = makers(term)
        if not made:
            return None
        name = f".{node.attr.value}" if isinstance(node, cst.Attribute) else last_name(node)
        homes = [
            (home, binding)
            for home, binding in self.bound.get(name, ())
            if isinstance(node, cst.Attribute) or _sees(scope, home)
        ]
        ours = [
            (home, binding)
            for home, binding in homes
            if binding.value is not None and makers(self.known.raw(binding.value)) & made
        ]
        own = [makers(self.known.raw(binding.value)) for _, binding in ours if binding.value is not None]
        if not own or len(frozenset().union(*own)) < sum(map(len, own)):
            return None  # made anew by each of several assignments, or not seen where
        scope, binding = ours[0]
        return Held(made, scope, binding, len(ours) == 1)


def _alone(name: str, binding: Binding) -> Binding:
    """Return a binding with its own value, where one of several names gets it: `a, b = x, y`."""
    line = binding.node
    part = line.body[0] if isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1 else line
    match part:
        case cst.Assign(
            targets=[cst.AssignTarget(target=cst.Tuple(elements=to))], value=cst.Tuple(elements=given)
        ):
            if binding.value is None and len(to) == len(given):
                for one, value in zip(to, given, strict=True):
                    if isinstance(one.value, cst.Name) and one.value.value == name:
                        return Binding(binding.kind, binding.node, value.value)
        case _:
            pass
    return binding


def _all_scopes(scope: Scope) -> Iterator[Scope]:
    yield scope
    for child in scope.children:
        yield from _all_scopes(child)


def _sees(scope: Scope, home: Scope) -> bool:
    inside: Scope | None = scope
    while inside is not None and inside is not home:
        inside = inside.parent
    return inside is not None


def _own_expressions(statement: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Yield the expressions of a statement that do not stand in its suites."""
    match statement:
        case cst.If(test=test) | cst.While(test=test):
            yield test
        case cst.For(iter=iterable):
            yield iterable
        case cst.With(items=items):
            yield from (item.item for item in items)
        case cst.FunctionDef() | cst.ClassDef() | cst.Try() | cst.TryStar() | cst.Match():
            pass
        case _:
            yield from meaningful_children(statement)


def _deep(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    if isinstance(node, cst.Lambda | cst.FunctionDef | cst.ClassDef):
        return
    for child in meaningful_children(node):
        yield from _deep(child)
    yield node


def _leaves(node: cst.BaseExpression, known: Values) -> Iterator[cst.BaseExpression]:
    """Yield the names that a thing which is gone through takes its elements from."""
    match node:
        case cst.Name() | cst.Attribute():
            yield node
        case cst.GeneratorExp(for_in=for_in):
            yield from _leaves(for_in.iter, known)
        case cst.Call(args=arguments) if last_name(node.func) in _WRAPPERS or makers(known.raw(node)):
            for argument in arguments:
                yield from _leaves(argument.value, known)
        case _:
            pass


def _groups(node: cst.BaseExpression) -> Iterator[cst.BaseExpression]:
    """Yield what an optimizer's first argument goes through: the argument, or the `params` of its groups."""
    match node:
        case cst.List(elements=elements) | cst.Tuple(elements=elements):
            for element in elements:
                yield from _groups(element.value)
        case cst.Dict(elements=entries):
            for entry in entries:
                if isinstance(entry, cst.DictElement) and _is_text(entry.key, "params"):
                    yield entry.value
        case cst.Call(func=cst.Name(value="dict"), args=arguments):
            yield from (one.value for one in arguments if _is_keyword(one, "params"))
        case _:
            yield node


def _is_text(node: cst.BaseExpression, text: str) -> bool:
    return isinstance(node, cst.SimpleString) and node.value.strip("\"'") == text


def _is_keyword(argument: cst.Arg, name: str) -> bool:
    return argument.keyword is not None and argument.keyword.value == name
