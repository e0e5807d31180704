"""The interpreter of one file: outcomes of functions, members of classes, what every expression held last."""

from __future__ import annotations

import builtins
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.scopes import Binding, Scope, Syntax, syntax
from stablint.static.facts.terms import (
    NONE,
    Attribute,
    ClassObject,
    Closure,
    Either,
    Instance,
    Parameter,
    Receiver,
    Reference,
    Term,
    Unknown,
    join,
)
from stablint.static.interpret.definitions import definitions
from stablint.static.interpret.expressions import evaluate
from stablint.static.interpret.frame import Environment, Frame, join_environments
from stablint.static.interpret.hierarchy import Hierarchy
from stablint.static.interpret.imports import imported, starred
from stablint.static.interpret.invocations import Invocation
from stablint.static.interpret.methods import is_class_method, is_static
from stablint.static.interpret.statements import grad_mode, run_suite
from stablint.static.nodes import all_parameters, dotted_name, suite_of
from stablint.static.project.cycles import CircleError
from stablint.static.torch_api import canonical, kind, operation, signature

if TYPE_CHECKING:
    from stablint.static.project.cycles import Cycles
    from stablint.static.source import SourceFile

Place = cst.BaseExpression | cst.AugAssign
"""What an operation may be written as."""

_DEEPEST_CALL = 30
"""Calls of functions of the file are followed this deep; below, what they return is unknown."""
_MOST_RUNNING = 500
"""The same for all imported files together: so deep that no project comes there, or it would matter who asks first."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What interpreting a function gave: the terms it returns, and its variables at the end."""

    returns: Term
    env: Environment
    is_generator: bool


@dataclass(frozen=True, slots=True)
class Methods:
    """All the methods of a class, as one thing to find out."""

    owner: Scope

    @property
    def top(self) -> Scope:
        """The module that the class is in."""
        return self.owner.top


class Interpreter:
    """Holds what is known of one file; functions are interpreted when first needed, each once."""

    def __init__(self, syntax: Syntax, source: SourceFile) -> None:
        self.syntax = syntax
        self.source = source
        self.terms: dict[int, Term] = {}
        """What the expression, assignment target or augmented assignment of this id held, on the last pass over it."""
        self.sites: dict[int, tuple[Place, Scope, cst.CSTNode | None]] = {}
        """The calls and operators met, with the function and statement they stand in."""
        self.records: dict[Scope, bool] = {}
        """Which classes have a constructor made from their fields (`records`)."""
        self.agreed: dict[Parameter, Term | None] = {}
        """What all calls of the file give to a parameter (`agreed`)."""
        self.rounds: dict[int, list[Term]] = {}
        """What those in unrolled loops held in each round."""
        self.outcomes: dict[Scope, Outcome] = {}
        self.frames: dict[Scope, Frame] = {}
        self.running: list[Scope] = []
        self.expanding: list[Scope] = []
        """The functions of which what they return is being rebuilt with what they are given."""
        self.actuals: dict[Scope, list[dict[str, Term]]] = {}
        """What the calls in this file give to the parameters of each function."""
        self.callers: dict[Scope, set[tuple[Scope, bool]]] = {}
        """From where each function is called, and whether gradients are recorded there."""
        self.invocations: dict[int, dict[Scope, Invocation]] = {}
        """Which functions of the file the call of this id runs, and with what."""
        self.hierarchy = Hierarchy(self)
        self.project = source.project
        self.cycles: Cycles | None = None
        """Where the file is an imported one: functions are interpreted in any order, and circles must not matter."""
        if self.project is not None and source.is_imported:
            self.project.belongs(syntax.module, source)
            self.cycles = self.project.cycles
        self.applied = 0
        """How many layers of Sequentials were gone through."""
        self.definitions = source.ask(definitions)
        self._references: dict[str, Reference] = {}
        self._imported: dict[str, Term] = {}
        self._pending: dict[str, Reference] = {}
        self._attributes: dict[tuple[Term, str], Attribute] = {}
        self._names: dict[tuple[Scope | None, str], Term] = {}
        self._receivers: dict[Scope, Receiver] = {}
        self._members: dict[tuple[Scope, str], Term] = {}
        self._stand_ins: dict[Parameter, Instance | None] = {}
        self._resolving: set[tuple[Scope, str]] = set()
        self._begun: set[Scope] = set()

    def home(self, scope: Scope) -> Interpreter:
        """Return the interpreter of the file that a scope is of."""
        if scope.top is self.syntax.module or self.project is None:
            return self
        return self.project.file_of(scope).ask(interpretation)

    # ---- running

    def interpret_all(self) -> None:
        """Interpret the module, then every function and class body that has not been yet."""
        self.outcome(self.syntax.module)
        for scope in self.syntax.classes:
            self.outcome(scope)
        for scope in self.syntax.functions:
            self.outcome(scope)

    def outcome(self, scope: Scope) -> Outcome | None:
        """Return the outcome of a scope; None while it is being interpreted (recursion)."""
        home = self.home(scope)
        if home is not self:
            return home.outcome(scope)
        if self.cycles is not None:
            return self._shared_outcome(scope, self.cycles)
        known = self.outcomes.get(scope)
        if known is not None:
            return known
        if scope in self.running or len(self.running) >= _DEEPEST_CALL:
            return None
        self.running.append(scope)
        frame = self.frames[scope] = Frame(scope)
        try:
            result = self._run(scope, frame)
        finally:
            self.running.pop()
        self.outcomes[scope] = result
        return result

    def _shared_outcome(self, scope: Scope, cycles: Cycles) -> Outcome | None:
        """Return the outcome of a scope of an imported file: the same, whoever asks for it first.

        A module runs before its functions, and the methods of a class one after the other: what they ask of each
        other they then find as it is at that time, every time.
        """
        owner = scope if scope.kind == "class" else self.hierarchy.class_around(scope)
        if owner is not None:
            self.begin_class(owner)
        elif scope.kind != "module":
            self.begin()
        known = self.outcomes.get(scope)
        if known is not None:
            return known
        if scope in cycles.running:
            if owner is None or Methods(owner) not in cycles.running:
                raise CircleError(scope)
            return None
        return self._found(scope, cycles) if len(cycles.running) < _MOST_RUNNING else None

    def begin(self) -> None:
        """See to it that an imported module has run before anything of it is looked at."""
        module = self.syntax.module
        if self.cycles is None or module in self.outcomes:
            return
        if not self.cycles.is_running(module, lambda one: getattr(one, "top", None) is module):
            self._found(module, self.cycles)

    def begin_class(self, owner: Scope) -> None:
        """See to it that the body of an imported class and its methods have been interpreted, in their order."""
        self.begin()
        if self.cycles is None or owner in self._begun:
            return
        methods = Methods(owner)
        if self.cycles.is_running(methods, lambda one: self._is_in_class(one, owner)):
            return
        parts = [owner, *(one for one in owner.children if one.kind == "function")]
        parts.sort(key=lambda one: one is not owner and one.name != "__init__")
        self.cycles.running.append(methods)
        try:
            for part in parts:
                try:
                    self.outcome(part)
                except CircleError as met:
                    if met.at != methods:
                        raise
        finally:
            self.cycles.running.pop()
            self._begun.add(owner)

    def _is_in_class(self, one: Hashable, owner: Scope) -> bool:
        return one is owner or (isinstance(one, Scope) and self.hierarchy.class_around(one) is owner)

    def _found(self, scope: Scope, cycles: Cycles) -> Outcome:
        frame = self.frames[scope] = Frame(scope)
        circle: CircleError | None = None
        assert self.project is not None
        way = self.project.ways.leave()
        cycles.running.append(scope)
        try:
            result = self._run(scope, frame)
        except CircleError as met:
            circle, frame.env = met, {}
            result = Outcome(Unknown(None, scope.name), frame.env, False)
        finally:
            cycles.running.pop()
            self.project.ways.go_back(way)
        self.outcomes[scope] = result
        if circle is not None and circle.at is not scope:
            raise circle
        return result

    def _run(self, scope: Scope, frame: Frame) -> Outcome:
        node = scope.node
        if isinstance(node, cst.FunctionDef | cst.Lambda):
            self._bind_parameters(scope, frame, node.params)
        if isinstance(node, cst.Lambda):
            frame.returns.append(evaluate(self, frame, node.body))
        else:
            for decorator in scope.decorators:
                switched = grad_mode(evaluate(self, Frame(self.syntax.module), decorator.decorator))
                frame.graph = frame.graph if switched is None else switched
            run_suite(self, frame, suite_of(node))
        if frame.env is not None and not isinstance(node, cst.Lambda):
            frame.returns.append(NONE)
        env = join_environments(frame.env, *frame.exits) or {}
        frame.env = env
        returned = [term for term in frame.returns if term is not NONE] or frame.returns
        returns = join(*frame.yields) if frame.yields else join(*returned) if returned else NONE
        return Outcome(returns, env, bool(frame.yields))

    def _bind_parameters(self, scope: Scope, frame: Frame, parameters: cst.Parameters) -> None:
        env = frame.env
        assert env is not None
        owner = scope.owner
        outer = self.frames.get(scope.parent) if scope.parent is not None else None
        for index, parameter in enumerate(all_parameters(parameters)):
            name = parameter.name.value
            if index == 0 and owner is not None and not is_static(scope):
                env[name] = ClassObject(owner) if is_class_method(scope) else self.receiver(owner)
            elif parameter is parameters.star_arg or parameter is parameters.star_kwarg:
                env[name] = Unknown(parameter, name)
            else:
                default = None
                if parameter.default is not None:
                    default = evaluate(self, outer or Frame(self.syntax.module), parameter.default)
                annotation, kind = self._annotation(parameter, scope)
                env[name] = Parameter(scope, name, parameter, annotation, default, kind)

    def _annotation(self, parameter: cst.Param, scope: Scope) -> tuple[str | None, Scope | None]:
        """Return the type of a parameter: the dotted name of one from outside, or a class of the file."""
        if parameter.annotation is None:
            return None, None
        dotted = dotted_name(parameter.annotation.annotation)
        if not dotted:
            return None, None
        held = self.outer_name(dotted.split(".")[0], Frame(scope.parent or scope), parameter)
        if isinstance(held, ClassObject) and "." not in dotted:
            return None, held.scope
        if not isinstance(held, Reference):
            return None, None
        return canonical(".".join([held.dotted, *dotted.split(".")[1:]])), None

    def stand_in(self, parameter: Parameter) -> Instance | None:
        """Return the module that a parameter holds by its annotation or default; its arguments are unknown."""
        if parameter in self._stand_ins:
            return self._stand_ins[parameter]
        made: Instance | None = None
        if parameter.kind is not None and self.hierarchy.is_module_class(parameter.kind):
            made = Instance(parameter.kind.name, parameter.kind, (), {}, parameter.node, open_arguments=True)
        elif isinstance(parameter.default, Instance):
            made = parameter.default
        elif parameter.annotation is not None and operation(parameter.annotation) is not None:
            made = Instance(parameter.annotation, None, (), {}, parameter.node, open_arguments=True)
        self._stand_ins[parameter] = made
        return made

    # ---- names

    def record(self, node: cst.CSTNode, term: Term) -> None:
        """Remember what a node that is no expression of its own (an assignment target) holds."""
        self.terms[id(node)] = term

    def assign(self, frame: Frame, name: str, value: Term) -> None:
        """Bind a name or dotted path; what was known of paths through it is forgotten."""
        env = frame.env
        if env is None:
            return
        env[name] = value
        prefix = f"{name}."
        for path in [path for path in env if path.startswith(prefix)]:
            del env[path]
        if name in frame.scope.outer_names:
            home = self.frames.get(self._home(frame.scope, name))
            if home is not None and home.env is not None and home is not frame:
                home.env[name] = join(home.env[name], value) if name in home.env else value

    def _home(self, scope: Scope, name: str) -> Scope:
        """Return where a name lives that a function declares global or nonlocal."""
        around = scope.parent
        while around is not None and around.kind != "module":
            if around.kind != "class" and name in around.bindings and name not in around.outer_names:
                return around
            around = around.parent
        return self.syntax.module

    def scope_of(self, node: cst.CSTNode) -> Scope:
        """Return the scope that a def, class or lambda opens."""
        return self.definitions.scopes[node]

    def imports_of(self, node: cst.CSTNode) -> list[tuple[str, Binding]]:
        """Return the names that an import statement binds."""
        return self.definitions.imports.get(node, [])

    def reference(self, dotted: str) -> Reference:
        """Return the reference to something from outside; one object for one name."""
        known = self._references.get(dotted)
        if known is None:
            known = self._references[dotted] = Reference(canonical(dotted))
        return known

    def bound_by_import(self, dotted: str) -> Term:
        """Return what an import binds: what is defined elsewhere in the project, else a reference; once a name."""
        known = self._imported.get(dotted)
        if known is None:
            known = self._imported[dotted] = imported(self, dotted) or self.reference(dotted)
        return known

    def pending(self, dotted: str) -> Term:
        """Return what an import statement binds, to be followed when somebody reads the name."""
        if self.project is None:
            return self.reference(dotted)
        known = self._pending.get(dotted)
        if known is None:
            known = self._pending[dotted] = Reference(canonical(dotted), is_pending=True)
        return known

    def followed(self, term: Term) -> Term:
        """Return what a name holds where an import has bound it."""
        if isinstance(term, Reference) and term.is_pending:
            return self.bound_by_import(term.dotted)
        if isinstance(term, Either) and any(
            isinstance(one, Reference) and one.is_pending for one in term.options
        ):
            return join(*(self.followed(one) for one in term.options))
        return term

    def value_in_module(self, name: str) -> Term:
        """Return what a name of the module holds when the module has run, to another file."""
        module = self.syntax.module
        if self.cycles is not None and module in self.cycles.running:
            raise CircleError(module)
        return self._name_in(module, name, module.bindings[name], Frame(module, None))

    def attribute_of(self, base: Term, name: str, node: cst.CSTNode | None) -> Attribute:
        """Return the attribute of something unknown; one object for one base and name."""
        known = self._attributes.get((base, name))
        if known is None:
            known = self._attributes[base, name] = Attribute(base, name, node)
        return known

    def outer_name(self, name: str, frame: Frame, node: cst.CSTNode) -> Term:
        """Return what a name holds that is not assigned in this frame (yet)."""
        scope: Scope | None = frame.scope
        while scope is not None:
            bindings = scope.bindings.get(name)
            if bindings is not None and (scope.kind != "class" or scope is frame.scope):
                return self._name_in(scope, name, bindings, frame)
            scope = scope.parent
        return self._global_name(name)

    def _name_in(self, scope: Scope, name: str, bindings: list[Binding], frame: Frame) -> Term:
        if scope.kind == "module":
            self.begin()
        home = self.frames.get(scope)
        if home is None and scope.kind == "module":
            self.outcome(scope)
            home = self.frames.get(scope)
        if scope.kind == "module" and scope in self.outcomes:
            for writer in self.definitions.writers.get(name, ()):
                self.outcome(writer)
        if home is not None and home is not frame and home.env is not None and name in home.env:
            return self.followed(home.env[name])
        first = bindings[0]
        if first.kind == "import" and first.dotted is not None:
            return self.bound_by_import(first.dotted)
        if len(bindings) == 1 and first.kind == "def":
            return Closure(self.scope_of(first.node))
        if len(bindings) == 1 and first.kind == "class":
            return ClassObject(self.scope_of(first.node))
        return self._names.setdefault((scope, name), Unknown(None, name))

    def _global_name(self, name: str) -> Term:
        known = self._names.get((None, name))
        if known is None:
            known = self._names[None, name] = self._starred(name) or self._unbound(name)
        return known

    def _unbound(self, name: str) -> Term:
        """Return what a name is that nothing in the file binds: a fragment leaves out the imports that all know."""
        if name in _BUILTINS:
            return self.reference(f"builtins.{name}")
        dotted = _CUSTOMARY.get(name)
        return self.reference(dotted) if dotted is not None else Unknown(None, name)

    def _starred(self, name: str) -> Term | None:
        """Return what a name may come from where modules were imported with a star."""
        brought = starred(self, name)
        if brought is not None:
            return brought
        for binding in self.syntax.module.bindings.get("*", ()):
            dotted = f"{binding.dotted}.{name}"
            if dotted.startswith("torch") and (kind(canonical(dotted)) or signature(canonical(dotted))):
                return self.reference(dotted)
        if self.syntax.has_star_import and name not in _BUILTINS:
            return Unknown(None, name)
        return None

    def receiver(self, scope: Scope) -> Receiver:
        """Return `self` of a class; one object for one class."""
        home = self.home(scope)
        if home is not self:
            return home.receiver(scope)
        return self._receivers.setdefault(scope, Receiver(scope))


_BUILTINS = set(dir(builtins))
_CUSTOMARY = {"torch": "torch", "nn": "torch.nn", "F": "torch.nn.functional"}
"""What names mean that are used without an import, in code that was copied out of a file or of a documentation."""


def interpretation(source: SourceFile) -> Interpreter:
    """Return the interpreter of a file, which has interpreted nothing yet."""
    return Interpreter(source.ask(syntax), source)
