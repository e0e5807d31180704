"""Interpreting calls: what comes out when something is called."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from stablint.static.facts.terms import (
    NONE,
    Attribute,
    Call,
    ClassObject,
    Closure,
    Constant,
    Dictionary,
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
    options,
)
from stablint.static.interpret.containers import (
    appended,
    elements,
    inserted,
    item,
    reordered,
    updated,
    without,
)
from stablint.static.interpret.expressions import attribute, evaluate
from stablint.static.interpret.external import (
    call_external,
    call_module,
    change,
    is_in_place,
    is_self_returning,
    tensor_method,
)
from stablint.static.interpret.invocations import call_closure, instantiate
from stablint.static.interpret.members import bind_method, class_member, inherited_instance, member
from stablint.static.interpret.methods import is_static
from stablint.static.nodes import dotted_name

if TYPE_CHECKING:
    from stablint.static.interpret.frame import Frame
    from stablint.static.interpret.interpreter import Interpreter


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one call; `open` where `*` or `**` may hold more."""

    positional: tuple[Term, ...] = ()
    keywords: dict[str, Term] = field(default_factory=dict)
    open: bool = False


def call_expression(interpreter: Interpreter, frame: Frame, node: cst.Call) -> Term:
    """Interpret a call as it stands in the code."""
    func = node.func
    if isinstance(func, cst.Attribute):
        base = evaluate(interpreter, frame, func.value)
        path = dotted_name(func)
        override = frame.env.get(path) if frame.env is not None and path else None
        if override is not None:
            interpreter.terms[id(func)] = override
            return apply(interpreter, frame, override, _arguments(interpreter, frame, node), node)
        return method(interpreter, frame, base, func.attr.value, _arguments(interpreter, frame, node), node)
    callee = evaluate(interpreter, frame, func)
    return apply(interpreter, frame, callee, _arguments(interpreter, frame, node), node)


def _arguments(interpreter: Interpreter, frame: Frame, node: cst.Call) -> Arguments:
    positional: list[Term] = []
    keywords: dict[str, Term] = {}
    is_open = False
    for argument in node.args:
        value = evaluate(interpreter, frame, argument.value)
        if argument.star == "*":
            found = elements(interpreter, value)
            if isinstance(found, Display):
                positional.extend(found.items)
            else:
                is_open = True
                if isinstance(found, Repeated):
                    positional.append(found)
        elif argument.star == "**":
            if isinstance(value, Dictionary) and not value.open:
                keywords |= {str(key.value): one for key, one in value.items if isinstance(key, Constant)}
            else:
                is_open = True
        elif argument.keyword is not None:
            keywords[argument.keyword.value] = value
        else:
            positional.append(value)
    return Arguments(tuple(positional), keywords, is_open)


def apply(interpreter: Interpreter, frame: Frame, callee: Term, arguments: Arguments, node: cst.Call) -> Term:
    """Return what calling a term gives."""
    match callee:
        case Either(options=options):
            live = [
                option for option in options if not (isinstance(option, Constant) and option.value is None)
            ]
            return join(*(apply(interpreter, frame, option, arguments, node) for option in live))
        case Reference(dotted=dotted):
            return call_external(interpreter, frame, dotted, arguments, node)
        case ClassObject(scope=scope):
            return instantiate(interpreter, scope, arguments, node)
        case Closure():
            return call_closure(interpreter, frame, callee, arguments, node)
        case Receiver(scope=scope):
            return _call_object(interpreter, frame, scope, callee, arguments, node)
        case Instance(scope=scope) if scope is not None:
            return _call_object(interpreter, frame, scope, callee, arguments, node)
        case Instance():
            return call_module(interpreter, frame, callee, arguments, node)
        case Operation(name="partial", operands=(inner, *_)):
            more = Arguments(
                (*callee.positional, *arguments.positional),
                {**callee.keywords, **arguments.keywords},
                arguments.open or callee.open_arguments,
            )
            return apply(interpreter, frame, inner, more, node)
        case Attribute(base=base, name=name) if not isinstance(base, Receiver | Instance):
            # `step = getattr(x, "exp")`; of an object of the file, all that `method` knows is already in the term,
            # and `self.get = self.get or other` would ask for ever.
            return method(interpreter, frame, base, name, arguments, node)
        case Parameter() if (stand_in := interpreter.stand_in(callee)) is not None:
            return apply(interpreter, frame, stand_in, arguments, node)
        case _:
            return Call(callee, arguments.positional, arguments.keywords, node, frame.graph)


def _call_object(
    interpreter: Interpreter,
    frame: Frame,
    scope: object,
    callee: Receiver | Instance,
    arguments: Arguments,
    node: cst.Call,
) -> Term:
    """Calling an object of a class of the file runs `forward` of a module, `__call__` of anything else."""
    owner = callee.scope
    assert owner is not None
    for name in ("__call__", "forward"):
        function = interpreter.hierarchy.method_of(owner, name)
        if function is not None:
            return call_closure(interpreter, frame, Closure(function, callee), arguments, node)
    inherited = inherited_instance(interpreter, owner)
    if inherited is not None:
        return call_module(interpreter, frame, inherited, arguments, node)
    return Call(callee, arguments.positional, arguments.keywords, node, frame.graph)


_GROWING_LAYERS = {"append", "extend", "insert", "add_module", "register_module"}
_GROWING = {"append", "add", "insert", "extend", "appendleft"}
_CHANGING = {"pop", "remove", "discard", "clear", "reverse", "sort"}


def method(
    interpreter: Interpreter, frame: Frame, base: Term, name: str, arguments: Arguments, node: cst.Call
) -> Term:
    """Return what `base.name(...)` gives."""
    match base:
        case Either(options=options) if name in _GROWING and all(
            isinstance(one, Display | Repeated) for one in options
        ):
            _grow(interpreter, frame, base, name, arguments, node)
            return NONE
        case Either(options=options) if name in _CHANGING and _are_lists(options):
            return _change(interpreter, frame, base, name, arguments, node)
        case Display() | Repeated() if name in _CHANGING:
            return _change(interpreter, frame, base, name, arguments, node)
        case Either(options=options):
            live = [
                option for option in options if not (isinstance(option, Constant) and option.value is None)
            ]
            result = join(*(method(interpreter, frame, option, name, arguments, node) for option in live))
            if is_in_place(name):
                change(interpreter, frame, result, node)
            return result
        case Reference():
            return apply(interpreter, frame, attribute(interpreter, base, name, node), arguments, node)
        case Attribute(base=Receiver() as receiver, name="super()"):
            return _call_inherited(interpreter, frame, receiver, name, arguments, node)
        case Display() | Repeated() if name in _GROWING:
            _grow(interpreter, frame, base, name, arguments, node)
            return NONE
        case Display(kind="tuple") if name == "index":
            return Unknown(node)
        case Dictionary() if name == "update" and (path := _path(node)):
            interpreter.assign(frame, path, updated(base, arguments.positional, arguments.keywords, node))
            return NONE
        case Dictionary() if name in ("get", "pop", "items", "values", "keys"):
            return _read_dictionary(interpreter, base, name, arguments, node)
        case Instance(dotted="torch.nn.ModuleList" | "torch.nn.Sequential") if name in _GROWING_LAYERS:
            _grow_layers(interpreter, frame, base, name, arguments, node)
            return base
        case Receiver(scope=scope):
            function = interpreter.hierarchy.method_of(scope, name)
            if function is not None:
                bound = bind_method(function, base)
                return call_closure(interpreter, frame, bound, arguments, node)
            if is_self_returning(name):
                return base
            held = member(interpreter, scope, name, base)
            interpreter.record(node.func, held)
            if not (isinstance(held, Attribute) and held.base is base):
                return apply(interpreter, frame, held, arguments, node)
            if name in ("add_module", "register_module", "register_buffer", "register_parameter"):
                _register(interpreter, frame, arguments, node)
            return Call(interpreter.attribute_of(base, name, node), *_plain(arguments), node, frame.graph)
        case ClassObject(scope=scope) if interpreter.hierarchy.method_of(scope, name) is not None:
            return _call_of_class(interpreter, frame, base, name, arguments, node)
        case Instance(scope=scope) if scope is not None:
            function = interpreter.hierarchy.method_of(scope, name)
            if function is not None:
                return call_closure(interpreter, frame, bind_method(function, base), arguments, node)
            if is_self_returning(name):
                return base
            return Call(interpreter.attribute_of(base, name, node), *_plain(arguments), node, frame.graph)
        case Instance():
            if name == "forward":
                return call_module(interpreter, frame, base, arguments, node)
            if is_self_returning(name):
                return base
            return Call(interpreter.attribute_of(base, name, node), *_plain(arguments), node, frame.graph)
        case Parameter(kind=scope) if (
            scope is not None and interpreter.hierarchy.method_of(scope, name) is not None
        ):
            stand_in = interpreter.stand_in(base)
            if stand_in is not None:
                return method(interpreter, frame, stand_in, name, arguments, node)
            return tensor_method(interpreter, frame, base, name, arguments, node)
        case _:
            return tensor_method(interpreter, frame, base, name, arguments, node)


def _call_of_class(
    interpreter: Interpreter, frame: Frame, base: ClassObject, name: str, arguments: Arguments, node: cst.Call
) -> Term:
    """`A.make(x)` of a class method, and `A.step(a, x)`, where the object is given first."""
    held = class_member(interpreter, base, name, node)
    if not isinstance(held, Closure):
        return Call(held, arguments.positional, arguments.keywords, node, frame.graph)
    if held.receiver is None and not is_static(held.function):
        held = Closure(held.function, arguments.positional[0] if arguments.positional else None)
        arguments = Arguments(arguments.positional[1:], arguments.keywords, arguments.open)
    return call_closure(interpreter, frame, held, arguments, node)


def _are_lists(terms: tuple[Term, ...]) -> bool:
    return all(isinstance(term, Display | Repeated) for term in terms)


def _plain(arguments: Arguments) -> tuple[tuple[Term, ...], dict[str, Term]]:
    return arguments.positional, arguments.keywords


def _path(node: cst.Call) -> str:
    return dotted_name(node.func.value) if isinstance(node.func, cst.Attribute) else ""


def _grow(
    interpreter: Interpreter, frame: Frame, base: Term, name: str, arguments: Arguments, node: cst.Call
) -> None:
    path = _path(node)
    if not path or frame.env is None or not arguments.positional:
        return
    looping = frame.depth > 0
    value = arguments.positional[-1]
    if name == "extend":
        found = elements(interpreter, value)
        if isinstance(found, Display):
            for one in found.items:
                base = appended(base, one, node, looping)
        else:
            base = appended(base, found.item if found is not None else Unknown(node), node, True)
    elif name == "insert":
        base = inserted(base, arguments.positional[0], value, node, looping)
    else:
        base = appended(base, value, node, looping)
    interpreter.assign(frame, path, base)


def _change(
    interpreter: Interpreter, frame: Frame, base: Term, name: str, arguments: Arguments, node: cst.Call
) -> Term:
    """Take something out of a list, or put it in another order; return what that gives."""
    path = _path(node)
    index = arguments.positional[0] if arguments.positional else Constant(-1)
    lists = [option for option in options(base) if isinstance(option, Display | Repeated)]
    if path and frame.env is not None:
        left = [
            without(one, index, frame.depth > 0) if name == "pop" else reordered(one, name) for one in lists
        ]
        interpreter.assign(frame, path, join(*left))
    return item(interpreter, base, index, node) if name == "pop" else NONE


def _grow_layers(
    interpreter: Interpreter, frame: Frame, base: Instance, name: str, arguments: Arguments, node: cst.Call
) -> None:
    path = _path(node)
    inner = elements(interpreter, base)
    if name in ("add_module", "register_module"):
        name, arguments = "append", Arguments(arguments.positional[1:], arguments.keywords)
    if path and frame.env is not None and arguments.positional and inner is not None:
        _grow(interpreter, frame, inner, name, arguments, node)
        grown = frame.env.get(path)
        if grown is not None:
            is_spread = base.dotted == "torch.nn.Sequential" and isinstance(grown, Display)
            layers = grown.items if is_spread and isinstance(grown, Display) else (grown,)
            interpreter.assign(frame, path, Instance(base.dotted, None, layers, {}, base.node))


def _read_dictionary(
    interpreter: Interpreter, base: Dictionary, name: str, arguments: Arguments, node: cst.Call
) -> Term:
    if name in ("get", "pop") and arguments.positional:
        return item(interpreter, base, arguments.positional[0], node)
    if not base.items:
        return Unknown(node)
    keys = tuple(key for key, _ in base.items)
    values = tuple(value for _, value in base.items)
    if base.open:
        pair = Display("tuple", (join(*keys), join(*values)), node)
        return Repeated({"keys": join(*keys), "values": join(*values)}.get(name, pair), node)
    if name == "keys":
        return Display("list", keys, node)
    if name == "values":
        return Display("list", values, node)
    pairs = tuple(Display("tuple", pair, node) for pair in zip(keys, values, strict=True))
    return Display("list", pairs, node)


def _call_inherited(
    interpreter: Interpreter,
    frame: Frame,
    receiver: Receiver,
    name: str,
    arguments: Arguments,
    node: cst.Call,
) -> Term:
    """`super().name(...)`: the next definition among the bases of the file, else what the outer base makes of it."""
    function = interpreter.hierarchy.inherited_method(receiver.scope, name)
    if function is not None:
        return call_closure(interpreter, frame, Closure(function, receiver), arguments, node)
    if name == "__init__" and frame.env is not None:
        outer = interpreter.hierarchy.outer_base(receiver.scope)
        if outer is not None:
            made = Instance(outer, None, arguments.positional, arguments.keywords, node, arguments.open)
            frame.env["super().__init__"] = made
        return NONE
    return Call(
        Attribute(receiver, f"super().{name}"), arguments.positional, arguments.keywords, node, frame.graph
    )


def _register(interpreter: Interpreter, frame: Frame, arguments: Arguments, node: cst.Call) -> None:
    """`self.add_module("name", layer)` is `self.name = layer`."""
    values = [*arguments.positional, *arguments.keywords.values()]
    receiver = _path(node)
    if len(values) >= 2 and isinstance(values[0], Constant) and frame.env is not None and receiver:
        frame.env[f"{receiver}.{values[0].value}"] = values[1]
