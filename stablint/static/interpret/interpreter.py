"""The interpreter of one file: outcomes of functions, members of classes, what every expression held last."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.scopes import Binding, Scope, Syntax
from stablint.static.facts.terms import (
    NONE,
    Attribute,
    Call,
    ClassObject,
    Closure,
    Constant,
    Display,
    Either,
    Instance,
    Operation,
    Parameter,
    Receiver,
    Reference,
    Repeated,
    Term,
    Unknown,
    join,
)
from stablint.static.interpret.expressions import evaluate
from stablint.static.interpret.frame import Environment, Frame, join_environments
from stablint.static.interpret.statements import grad_mode, run_suite
from stablint.static.interpret.substitution import Substitution
from stablint.static.nodes import all_parameters, dotted_name, suite_of
from stablint.static.torch_api import canonical, is_module, kind, operation, signature

if TYPE_CHECKING:
    from stablint.static.interpret.calls import Arguments

Place = cst.BaseExpression | cst.AugAssign
"""What an operation may be written as."""

_DEEPEST_CALL = 30
"""Calls of functions of the file are followed this deep; below, what they return is unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What interpreting a function gave: the terms it returns, and its variables at the end."""

    returns: Term
    env: Environment
    is_generator: bool


@dataclass(frozen=True, slots=True, eq=False)
class Invocation:
    """A call of a function of the file: its arguments by parameter name, and the receiver of a method."""

    function: Scope
    given: dict[str, Term]
    receiver: Term | None


class Interpreter:
    """Holds what is known of one file; functions are interpreted when first needed, each once."""

    def __init__(self, syntax: Syntax) -> None:
        self.syntax = syntax
        self.terms: dict[int, Term] = {}
        """What the expression, assignment target or augmented assignment of this id held, on the last pass over it."""
        self.sites: dict[int, tuple[Place, Scope, cst.CSTNode | None]] = {}
        """The calls and operators met, with the function and statement they stand in."""
        self.agreed: dict[Parameter, Term | None] = {}
        """What all calls of the file give to a parameter (`agreed`)."""
        self.rounds: dict[int, list[Term]] = {}
        """What those in unrolled loops held in each round."""
        self.outcomes: dict[Scope, Outcome] = {}
        self.frames: dict[Scope, Frame] = {}
        self.running: list[Scope] = []
        self.actuals: dict[Scope, list[dict[str, Term]]] = {}
        """What the calls in this file give to the parameters of each function."""
        self.callers: dict[Scope, set[tuple[Scope, bool]]] = {}
        """From where each function is called, and whether gradients are recorded there."""
        self.invocations: dict[int, dict[Scope, Invocation]] = {}
        """Which functions of the file the call of this id runs, and with what."""
        self._scopes = {scope.node: scope for scope in (*syntax.functions, *syntax.classes, syntax.module)}
        self._imports: dict[cst.CSTNode, list[tuple[str, Binding]]] = {}
        self._references: dict[str, Reference] = {}
        self._attributes: dict[tuple[Term, str], Attribute] = {}
        self._names: dict[tuple[Scope | None, str], Term] = {}
        self._receivers: dict[Scope, Receiver] = {}
        self._members: dict[tuple[Scope, str], Term] = {}
        self._stand_ins: dict[Parameter, Instance | None] = {}
        self._resolving: set[tuple[Scope, str]] = set()
        self._writers: dict[str, list[Scope]] = {}
        for scope in syntax.functions:
            for name in scope.outer_names:
                self._writers.setdefault(name, []).append(scope)
        for scope in (syntax.module, *syntax.functions, *syntax.classes):
            for name, bindings in scope.bindings.items():
                for binding in bindings:
                    if binding.kind == "import":
                        self._imports.setdefault(binding.node, []).append((name, binding))

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
                env[name] = self.receiver(owner)
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
        if parameter.kind is not None and self.is_module_class(parameter.kind):
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
        return self._scopes[node]

    def imports_of(self, node: cst.CSTNode) -> list[tuple[str, Binding]]:
        """Return the names that an import statement binds."""
        return self._imports.get(node, [])

    def reference(self, dotted: str, node: cst.CSTNode | None = None) -> Reference:
        """Return the reference to something from outside; one object for one name."""
        known = self._references.get(dotted)
        if known is None:
            known = self._references[dotted] = Reference(canonical(dotted))
        return known

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
        home = self.frames.get(scope)
        if home is None and scope.kind == "module":
            self.outcome(scope)
            home = self.frames.get(scope)
        if scope.kind == "module" and scope in self.outcomes:
            for writer in self._writers.get(name, ()):
                self.outcome(writer)
        if home is not None and home is not frame and home.env is not None and name in home.env:
            return home.env[name]
        first = bindings[0]
        if first.kind == "import" and first.dotted is not None:
            return self.reference(first.dotted)
        if len(bindings) == 1 and first.kind == "def":
            return Closure(self.scope_of(first.node))
        if len(bindings) == 1 and first.kind == "class":
            return ClassObject(self.scope_of(first.node))
        return self._names.setdefault((scope, name), Unknown(None, name))

    def _global_name(self, name: str) -> Term:
        known = self._names.get((None, name))
        if known is None:
            known = self._names[None, name] = self._starred(name) or self.reference(f"builtins.{name}")
        return known

    def _starred(self, name: str) -> Term | None:
        """Return what a name may come from where modules were imported with a star."""
        for binding in self.syntax.module.bindings.get("*", ()):
            dotted = f"{binding.dotted}.{name}"
            if dotted.startswith("torch") and (kind(canonical(dotted)) or signature(canonical(dotted))):
                return self.reference(dotted)
        if self.syntax.has_star_import and name not in _BUILTINS:
            return Unknown(None, name)
        return None

    # ---- classes

    def class_around(self, scope: Scope | None) -> Scope | None:
        """Return the class whose method a scope is, or stands in."""
        while scope is not None:
            if scope.owner is not None and scope.kind != "class":
                return scope.owner
            scope = scope.parent
        return None

    def bases(self, scope: Scope) -> list[Term]:
        """Return what the bases of a class are: ClassObject, Reference, or unknown."""
        node = scope.node
        assert isinstance(node, cst.ClassDef)
        frame = Frame(scope.parent or self.syntax.module)
        return [self._base(argument.value, frame) for argument in node.bases]

    def _base(self, node: cst.BaseExpression, frame: Frame) -> Term:
        if isinstance(node, cst.Name):
            return self.outer_name(node.value, frame, node)
        if isinstance(node, cst.Attribute):
            dotted = dotted_name(node)
            top = self.outer_name(dotted.split(".")[0], frame, node) if dotted else Unknown(node)
            if isinstance(top, Reference):
                return self.reference(".".join([top.dotted, *dotted.split(".")[1:]]))
        if isinstance(node, cst.Subscript):  # Generic[T]
            return self._base(node.value, frame)
        return Unknown(node)

    def lineage(self, scope: Scope) -> Iterator[Scope]:
        """Yield a class and the classes of the file that it inherits from, nearest first."""
        seen: set[Scope] = set()
        queue = [scope]
        while queue:
            current = queue.pop(0)
            if current in seen:
                continue
            seen.add(current)
            yield current
            queue.extend(base.scope for base in self.bases(current) if isinstance(base, ClassObject))

    def outer_bases(self, scope: Scope) -> list[Term]:
        """Return the bases of a class and of its ancestors that are not classes of the file."""
        return [
            base
            for one in self.lineage(scope)
            for base in self.bases(one)
            if not isinstance(base, ClassObject)
        ]

    def outer_base(self, scope: Scope) -> str | None:
        """Return the first base from outside."""
        return next((base.dotted for base in self.outer_bases(scope) if isinstance(base, Reference)), None)

    def is_module_class(self, scope: Scope) -> bool:
        """Whether a class of the file is certainly an nn.Module."""
        return any(
            isinstance(base, Reference) and is_module_name(base.dotted) for base in self.outer_bases(scope)
        )

    def method_of(self, scope: Scope, name: str) -> Scope | None:
        """Return the function that a class of the file or its bases in the file define under a name."""
        for one in self.lineage(scope):
            found = _function_in(one, name)
            if found is not None:
                return found
        return None

    def inherited_method(self, scope: Scope, name: str) -> Scope | None:
        """Return the function that `super().name` is, where it is in the file."""
        for one in list(self.lineage(scope))[1:]:
            found = _function_in(one, name)
            if found is not None:
                return found
        return None

    def inherited_instance(self, scope: Scope) -> Instance | None:
        """Return what `super().__init__(...)` made of an object whose base is a layer: class Net(nn.Sequential)."""
        init = self.method_of(scope, "__init__")
        outcome = self.outcome(init) if init is not None else None
        made = outcome.env.get("super().__init__") if outcome is not None else None
        return made if isinstance(made, Instance) else None

    def bind_method(self, function: Scope, receiver: Term) -> Closure:
        """Return a method bound to an object (a static method to nothing)."""
        return Closure(function, None if is_static(function) else receiver)

    def instantiate(self, scope: Scope, arguments: Arguments, node: cst.Call) -> Instance:
        """Return a new object of a class of the file."""
        init = self.method_of(scope, "__init__")
        if init is not None:
            given = self._given(init, arguments, True)
            self.actuals.setdefault(init, []).append(given)
        return Instance(scope.name, scope, arguments.positional, arguments.keywords, node, arguments.open)

    def member(self, scope: Scope, name: str, base: Receiver | Instance) -> Term:
        """Return what `base.name` holds for an object of a class of the file."""
        function = self.method_of(scope, name)
        if function is not None:
            if is_property(function):
                outcome = self.outcome(function)
                return outcome.returns if outcome is not None else Unknown(None, name)
            return self.bind_method(function, base)
        held = self._attribute_held(scope, name)
        if held is None:
            return self.attribute_of(self.receiver(scope), name, None)
        if isinstance(base, Instance):
            init = self.method_of(scope, "__init__")
            if init is not None:
                from stablint.static.interpret.calls import Arguments

                given = Arguments(base.positional, dict(base.keywords), base.open_arguments)
                return Substitution(self, self._given(init, given, True), init).rebuild(held)
        return held

    def receiver(self, scope: Scope) -> Receiver:
        """Return `self` of a class; one object for one class."""
        return self._receivers.setdefault(scope, Receiver(scope))

    def _attribute_held(self, scope: Scope, name: str) -> Term | None:
        key = (scope, name)
        if key in self._members:
            return self._members[key]
        if key in self._resolving:
            return None
        self._resolving.add(key)
        held: list[Term] = []
        complete = True
        for one in self.lineage(scope):
            for function in one.children:
                if (
                    function.kind != "function"
                    or (path := f"{first_parameter(function)}.{name}") == f".{name}"
                ):
                    continue
                if function.name != "__init__" and path not in function.writes:
                    continue
                env, finished = self._env_of(function)
                complete = complete and finished
                if env is not None and path in env:
                    held.append(env[path])
            if not held:
                outcome = self.outcome(one)
                if outcome is not None and name in outcome.env:
                    held.append(outcome.env[name])
            if held:
                break
        self._resolving.discard(key)
        result = join(*held) if held else None
        if complete and result is not None:
            self._members[key] = result
        return result

    def _env_of(self, function: Scope) -> tuple[Environment | None, bool]:
        outcome = self.outcome(function)
        if outcome is not None:
            return outcome.env, True
        frame = self.frames.get(function)
        return (frame.env if frame is not None else None), False

    # ---- calls of the file's functions

    def call_closure(self, frame: Frame, closure: Closure, arguments: Arguments, node: cst.Call) -> Term:
        """Return what a call of a function of the file gives, and let it change what it changes."""
        function = closure.function
        bound = closure.receiver is not None and function.owner is not None and not is_static(function)
        given = self._given(function, arguments, bound)
        if frame.env is not None:  # else arguments are being put in for parameters: nobody calls here
            self.actuals.setdefault(function, []).append(given)
            self.callers.setdefault(function, set()).add((frame.scope, frame.graph))
            self.invocations.setdefault(id(node), {})[function] = Invocation(
                function, given, closure.receiver
            )
        outcome = self.outcome(function)
        if outcome is None:
            return Call(closure, arguments.positional, arguments.keywords, node, frame.graph)
        substitution = Substitution(self, given, function, closure.receiver, frame.graph)
        if isinstance(closure.receiver, Receiver) and frame.env is not None:
            own = _own_name(frame.scope)
            inner = first_parameter(function)
            for path, term in outcome.env.items():
                if path.startswith(f"{inner}.") and (path in function.writes or function.name == "__init__"):
                    frame.env[f"{own}.{path.removeprefix(f'{inner}.')}"] = substitution.rebuild(term)
        if any(_is_transforming(decorator) for decorator in function.decorators):
            return Unknown(node)
        result = substitution.rebuild(outcome.returns)
        return Repeated(result, node, lazy=True) if outcome.is_generator else result

    def _given(self, function: Scope, arguments: Arguments, bound: bool) -> dict[str, Term]:
        """Return the arguments of a call by parameter name; defaults fill what is not given."""
        node = function.node
        if not isinstance(node, cst.FunctionDef | cst.Lambda):
            return {}
        parameters = node.params
        named = [*parameters.posonly_params, *parameters.params]
        names = [parameter.name.value for parameter in named][1 if bound else 0 :]
        given = dict(zip(names, arguments.positional, strict=False))
        known = {*names, *(parameter.name.value for parameter in parameters.kwonly_params)}
        given |= {name: value for name, value in arguments.keywords.items() if name in known}
        frame = self.frames.get(function)
        for name in known - given.keys():
            parameter = self._parameter_term(function, name, frame)
            default = parameter.default if parameter is not None else None
            given[name] = Unknown(None, name) if default is None or arguments.open else default
        return given

    def _parameter_term(self, function: Scope, name: str, frame: Frame | None) -> Parameter | None:
        binding = function.bindings.get(name, [None])[0]
        if binding is None or not isinstance(binding.node, cst.Param) or binding.node.default is None:
            return None
        value = binding.node.default
        default = self.terms.get(id(value))
        if default is None:
            default = evaluate(self, Frame(function.parent or self.syntax.module), value)
        return Parameter(function, name, binding.node, None, default)

    def stored(self, before: Term, value: Term, node: cst.CSTNode) -> Term:
        """Return a container or tensor after `before[...] = value`."""
        from stablint.static.facts.terms import Dictionary

        if isinstance(before, Either) and all(isinstance(one, Dictionary) for one in before.options):
            items = {
                pair: None for one in before.options if isinstance(one, Dictionary) for pair in one.items
            }
            before = Dictionary(tuple(items), node, open=True)
        if isinstance(before, Dictionary) and isinstance(node, cst.Subscript) and len(node.slice) == 1:
            index = node.slice[0].slice
            key = self.terms.get(id(index.value)) if isinstance(index, cst.Index) else None
            if key is None and isinstance(index, cst.Index) and isinstance(index.value, cst.SimpleString):
                key = Constant(index.value.evaluated_value, index.value)
            return Dictionary(
                (*before.items, (key or Unknown(node), value)), before.node, before.open or key is None
            )
        if isinstance(before, Display | Repeated):
            inside = before.item if isinstance(before, Repeated) else join(*before.items, value)
            return Repeated(join(inside, value), before.node, before)
        return Operation("setitem", (before, value), node)


def is_module_name(dotted: str) -> bool:
    """Whether a dotted name is nn.Module, a layer, or the module class of a framework."""
    return is_module(dotted) or kind(dotted) in ("module", "loss") or dotted in MODULE_BASES


MODULE_BASES = {
    "pytorch_lightning.LightningModule",
    "lightning.LightningModule",
    "lightning.pytorch.LightningModule",
    "pytorch_lightning.core.LightningModule",
    "transformers.PreTrainedModel",
    "torch.nn.Module",
    "torch_geometric.nn.MessagePassing",
    "torch_geometric.nn.conv.MessagePassing",
    "fairseq.models.FairseqEncoder",
    "fairseq.models.FairseqDecoder",
}
"""Base classes from outside torch whose subclasses are modules."""

_BUILTINS = set(dir(builtins))


def _function_in(scope: Scope, name: str) -> Scope | None:
    found = None
    for child in scope.children:
        if child.kind == "function" and child.name == name and not _is_setter(child):
            found = child
    return found


def _decorator_names(function: Scope) -> set[str]:
    return {dotted_name(decorator.decorator).rsplit(".", 1)[-1] for decorator in function.decorators}


def is_static(function: Scope) -> bool:
    """Whether a method takes no receiver."""
    return "staticmethod" in _decorator_names(function)


def is_property(function: Scope) -> bool:
    """Whether reading the method's name calls it."""
    return bool(_decorator_names(function) & {"property", "cached_property"})


def _is_setter(function: Scope) -> bool:
    return any(
        isinstance(decorator.decorator, cst.Attribute)
        and decorator.decorator.attr.value in ("setter", "deleter")
        for decorator in function.decorators
    )


def _is_transforming(decorator: cst.Decorator) -> bool:
    """Whether a decorator makes something else of what the function returns."""
    name = dotted_name(decorator.decorator) or dotted_name(getattr(decorator.decorator, "func", None))
    return name.rsplit(".", 1)[-1] in (
        "contextmanager",
        "asynccontextmanager",
        "singledispatch",
        "vmap",
        "jit",
    )


def _own_name(scope: Scope) -> str:
    """Return what code of a method, or of a function inside one, calls the object."""
    around: Scope | None = scope
    while around is not None:
        if around.owner is not None:
            return first_parameter(around)
        around = around.parent
    return "self"


def first_parameter(function: Scope) -> str:
    """Return the name of `self` in a method; "" where there is no parameter."""
    node = function.node
    if not isinstance(node, cst.FunctionDef):
        return ""
    return next((parameter.name.value for parameter in all_parameters(node.params)), "")
