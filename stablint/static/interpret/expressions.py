"""Interpreting expressions: from a node to the term it holds."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import libcst as cst

from stablint.static.facts.terms import (
    NONE,
    Attribute,
    ClassObject,
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
    number,
)
from stablint.static.interpret.agreed import agreed, builds_layers
from stablint.static.interpret.containers import (
    LAYER_LISTS,
    MOST_ITEMS,
    MOST_REPEATS,
    elements,
    item,
    iterated,
    stated_by_loop,
    unrolled,
)
from stablint.static.interpret.imports import of_module
from stablint.static.interpret.members import class_member, member
from stablint.static.nodes import dotted_name

if TYPE_CHECKING:
    from stablint.static.interpret.frame import Frame
    from stablint.static.interpret.interpreter import Interpreter


def evaluate(interpreter: Interpreter, frame: Frame, node: cst.BaseExpression) -> Term:
    """Return what an expression holds here, and remember it."""
    handler = _EXPRESSIONS.get(type(node))
    term: Term = Unknown(node) if handler is None else handler(interpreter, frame, node)
    interpreter.terms[id(node)] = term
    if type(node) in _SITES:
        interpreter.sites[id(node)] = (node, frame.scope, frame.statement)
        if frame.rounds:
            interpreter.rounds.setdefault(id(node), []).append(term)
    return term


_SITES = {cst.Call, cst.BinaryOperation}
"""Expressions that may be operations, kept with where they stand."""


_LITERAL_NAMES = {"None": None, "True": True, "False": False}


def _name(interpreter: Interpreter, frame: Frame, node: cst.Name) -> Term:
    if node.value in _LITERAL_NAMES:
        return Constant(_LITERAL_NAMES[node.value], node)
    env = frame.env
    if env is not None:
        term = env.get(node.value)
        if term is not None:
            return interpreter.followed(term)
    return interpreter.outer_name(node.value, frame, node)


def _attribute(interpreter: Interpreter, frame: Frame, node: cst.Attribute) -> Term:
    base = evaluate(interpreter, frame, node.value)
    env = frame.env
    if env is not None and not (isinstance(base, Reference) and base.module is None):
        path = dotted_name(node)
        if path and path in env:
            return env[path]
        if isinstance(base, Reference) and path in interpreter.definitions.written:
            return Unknown(node, node.attr.value)  # a setting of the project that is changed here
    return attribute(interpreter, base, node.attr.value, node, frame.graph)


def attribute(interpreter: Interpreter, base: Term, name: str, node: cst.CSTNode, graph: bool = True) -> Term:
    """Return `base.name`."""
    match base:
        case Reference(dotted=dotted):
            return of_module(interpreter, base, name) or interpreter.reference(f"{dotted}.{name}")
        case Receiver(scope=scope):
            return member(interpreter, scope, name, base)
        case Instance(scope=scope) if scope is not None:
            return member(interpreter, scope, name, base)
        case ClassObject():
            return class_member(interpreter, base, name, node)
        case Either(options=options):
            return join(*(attribute(interpreter, option, name, node, graph) for option in options))
        case Parameter(kind=scope) if scope is not None and (made := interpreter.stand_in(base)) is not None:
            held = member(interpreter, scope, name, made)
            is_unknown = isinstance(held, Attribute | Unknown)
            return interpreter.attribute_of(base, name, node) if is_unknown else held
        case _:
            if name in _TENSOR_PROPERTIES:
                dotted = f"torch.Tensor.{name}"
                return Operation(_TENSOR_PROPERTIES[name], (base,), node, dotted, graph=graph)
            return interpreter.attribute_of(base, name, node)


_TENSOR_PROPERTIES = {"data": "data", "T": "transpose", "mT": "transpose", "real": "real"}


def _call(interpreter: Interpreter, frame: Frame, node: cst.Call) -> Term:
    from stablint.static.interpret.calls import call_expression

    return call_expression(interpreter, frame, node)


def _integer(interpreter: Interpreter, frame: Frame, node: cst.Integer) -> Term:
    return Constant(_literal(node.value, int, 0), node)


def _float(interpreter: Interpreter, frame: Frame, node: cst.Float) -> Term:
    return Constant(_literal(node.value, float), node)


def _literal(text: str, kind: Callable[..., Any], *more: int) -> object:
    try:
        return kind(text, *more)
    except ValueError:  # a literal too long for int()
        return text


def _string(interpreter: Interpreter, frame: Frame, node: cst.SimpleString) -> Term:
    text = node.value
    if text[0] in "'\"" and "\\" not in text:
        # `evaluated_value` compiles the literal, which took a twentieth of the whole check.
        width = 3 if text[:3] in ("'''", '"""') and len(text) >= 6 else 1
        return Constant(text[width:-width], node)
    try:
        return Constant(node.evaluated_value, node)
    except (ValueError, SyntaxError):
        return Unknown(node)


def _sequence(interpreter: Interpreter, frame: Frame, node: cst.Tuple | cst.List | cst.Set) -> Term:
    items: list[Term] = []
    known = True
    repeated: list[Term] = []
    for element in node.elements:
        value = evaluate(interpreter, frame, element.value)
        if not isinstance(element, cst.StarredElement):
            items.append(value)
        elif isinstance(value, Display) and len(items) + len(value.items) <= MOST_ITEMS:
            items.extend(value.items)
        else:
            known = False
            repeated.append(iterated(interpreter, value, element))
    if not known:
        return Repeated(join(*items, *repeated), node)
    return Display(type(node).__name__.lower(), tuple(items), node)


def _dictionary(interpreter: Interpreter, frame: Frame, node: cst.Dict) -> Term:
    items: list[tuple[Term, Term]] = []
    is_open = False
    for element in node.elements:
        value = evaluate(interpreter, frame, element.value)
        if isinstance(element, cst.DictElement):
            items.append((evaluate(interpreter, frame, element.key), value))
        elif isinstance(value, Dictionary) and len(items) + len(value.items) <= MOST_ITEMS:
            items.extend(value.items)
            is_open = is_open or value.open
        else:
            is_open = True
    return Dictionary(tuple(items), node, is_open)


def _comprehension(
    interpreter: Interpreter, frame: Frame, node: cst.ListComp | cst.SetComp | cst.GeneratorExp
) -> Term:
    saved = dict(frame.env or {})
    items = _rounds(interpreter, frame, node.for_in, node.elt)
    if items is not None:
        result: Term = Display("list", tuple(items), node)
    else:
        _bind_comprehension(interpreter, frame, node.for_in)
        element = evaluate(interpreter, frame, node.elt)
        result = Repeated(element, node, lazy=isinstance(node, cst.GeneratorExp))
    frame.env = saved
    return result


def _rounds(
    interpreter: Interpreter, frame: Frame, part: cst.CompFor, element: cst.BaseExpression
) -> list[Term] | None:
    """Return the elements of a comprehension whose rounds are known and few, those of inner loops in turn."""
    iterable = evaluate(interpreter, frame, part.iter) if not part.ifs else None
    rounds = unrolled(interpreter, iterable, builds_layers(frame.scope)) if iterable is not None else None
    if rounds is None or len(rounds) * frame.repeats > MOST_REPEATS:
        return None
    items: list[Term] = []
    is_known = True
    repeats = frame.repeats
    frame.rounds += 1
    frame.repeats *= max(1, len(rounds))
    for one in rounds:
        _bind(interpreter, frame, part.target, stated_by_loop(one))
        more = _elements(interpreter, frame, part, element)
        items += more or ()
        is_known = more is not None and len(items) <= MOST_ITEMS
        if not is_known:
            break
    frame.rounds -= 1
    frame.repeats = repeats
    return items if is_known else None


def _elements(
    interpreter: Interpreter, frame: Frame, part: cst.CompFor, element: cst.BaseExpression
) -> list[Term] | None:
    """Return what one round of a comprehension makes."""
    if part.inner_for_in is not None:
        return _rounds(interpreter, frame, part.inner_for_in, element)
    return [evaluate(interpreter, frame, element)]


def _dict_comprehension(interpreter: Interpreter, frame: Frame, node: cst.DictComp) -> Term:
    saved = dict(frame.env or {})
    _bind_comprehension(interpreter, frame, node.for_in)
    key = evaluate(interpreter, frame, node.key)
    value = evaluate(interpreter, frame, node.value)
    frame.env = saved
    return Dictionary(((key, value),), node, open=True)


def _bind_comprehension(interpreter: Interpreter, frame: Frame, part: cst.CompFor) -> None:
    iterable = evaluate(interpreter, frame, part.iter)
    _bind(interpreter, frame, part.target, iterated(interpreter, iterable, part))
    for test in part.ifs:
        evaluate(interpreter, frame, test.test)
    if part.inner_for_in is not None:
        _bind_comprehension(interpreter, frame, part.inner_for_in)


def _bind(interpreter: Interpreter, frame: Frame, target: cst.CSTNode, value: Term) -> None:
    from stablint.static.interpret.statements import bind

    bind(interpreter, frame, target, value)


def _subscript(interpreter: Interpreter, frame: Frame, node: cst.Subscript) -> Term:
    base = evaluate(interpreter, frame, node.value)
    keys: list[Term] = []
    for element in node.slice:
        part = element.slice
        if isinstance(part, cst.Index):
            keys.append(evaluate(interpreter, frame, part.value))
        else:
            for bound in (part.lower, part.upper, part.step) if isinstance(part, cst.Slice) else ():
                if bound is not None:
                    evaluate(interpreter, frame, bound)
            keys.append(Unknown(part, "slice"))
    if len(node.slice) == 1 and isinstance(part := node.slice[0].slice, cst.Slice):
        is_size = isinstance(base, Parameter) and builds_layers(frame.scope)
        whole = agreed(interpreter, base) if is_size and isinstance(base, Parameter) else base
        cut = _cut(interpreter, whole or base, part)
        if cut is not None:
            return cut
    if len(keys) == 1 and not (isinstance(keys[0], Unknown) and keys[0].label == "slice"):
        path = dotted_name(node.value)
        if path and isinstance(keys[0], Constant) and frame.env is not None:
            stored = frame.env.get(f"{path}[{keys[0].value!r}]")
            if stored is not None:
                return stored
        return item(interpreter, base, keys[0], node)
    return Operation("index", (base,), node, positional=tuple(keys), graph=frame.graph)


def _cut(interpreter: Interpreter, base: Term, part: cst.Slice) -> Term | None:
    """Return a part of a list, or of a container of layers."""
    if not isinstance(base, Display | Repeated | Instance):
        return None
    if isinstance(base, Instance) and base.dotted not in LAYER_LISTS:
        return None
    kept = elements(interpreter, base)
    if isinstance(kept, Display):
        bounds = [_bound(interpreter, one) for one in (part.lower, part.upper, part.step)]
        if "?" not in bounds and 0 not in bounds[2:]:
            kept = Display(kept.kind, kept.items[slice(*bounds)], kept.node)  # type: ignore[arg-type]
        elif kept.items:
            kept = Repeated(join(*kept.items), kept.node)
    if kept is None or not isinstance(base, Instance):
        return kept
    is_spread = base.dotted == "torch.nn.Sequential" and isinstance(kept, Display)
    layers = kept.items if is_spread and isinstance(kept, Display) else (kept,)
    return Instance(base.dotted, None, layers, {}, base.node)


def _bound(interpreter: Interpreter, node: cst.BaseExpression | None) -> int | Literal["?"] | None:
    held = interpreter.terms.get(id(node)) if node is not None else NONE
    value = held.value if isinstance(held, Constant) else "?"
    return value if value is None or (isinstance(value, int) and not isinstance(value, bool)) else "?"


_FOLDED: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Subtract": operator.sub,
    "Multiply": operator.mul,
    "Divide": operator.truediv,
    "FloorDivide": operator.floordiv,
    "Modulo": operator.mod,
    "Power": operator.pow,
}

OPERATORS = {
    "Add": "add",
    "Subtract": "sub",
    "Multiply": "mul",
    "Divide": "div",
    "FloorDivide": "floor_divide",
    "Modulo": "remainder",
    "Power": "pow",
    "MatrixMultiply": "matmul",
    "BitAnd": "bitwise_and",
    "BitOr": "bitwise_or",
    "BitXor": "bitwise_xor",
    "LeftShift": "shift",
    "RightShift": "shift",
}


def _binary(interpreter: Interpreter, frame: Frame, node: cst.BinaryOperation) -> Term:
    left = evaluate(interpreter, frame, node.left)
    right = evaluate(interpreter, frame, node.right)
    return binary(interpreter, frame, type(node.operator).__name__, left, right, node)


def binary(
    interpreter: Interpreter, frame: Frame, symbol: str, left: Term, right: Term, node: cst.CSTNode
) -> Term:
    """Return `left symbol right`, folded where both are numbers or lists."""
    a, b = number(left), number(right)
    if a is not None and b is not None and symbol in _FOLDED:
        if _is_huge(a) or _is_huge(b) or (symbol == "Power" and abs(b) > 64):
            return Unknown(node)
        is_stated = all(isinstance(side, Constant) and side.node is not None for side in (left, right))
        try:
            return Constant(_FOLDED[symbol](a, b), node if is_stated else None)
        except (ArithmeticError, ValueError):
            return Unknown(node)
    if symbol == "Add" and isinstance(left, Display) and isinstance(right, Display):
        items = (*left.items, *right.items)
        return (
            Display(left.kind, items, left.node) if len(items) <= MOST_ITEMS else Repeated(join(*items), node)
        )
    if symbol == "Add" and isinstance(left, Display | Repeated) and isinstance(right, Display | Repeated):
        return Repeated(join(_inside(left), _inside(right)), left.node, left)
    if symbol == "Multiply" and isinstance(left, Display):
        if isinstance(b, int) and 0 <= b * len(left.items) <= 256:
            return Display(left.kind, left.items * b, node)
        return Repeated(_inside(left), node) if left.items else left
    return Operation(OPERATORS.get(symbol, symbol), (left, right), node, graph=frame.graph)


def _is_huge(value: float) -> bool:
    """Whether a number would grow beyond all bounds if it were squared again and again."""
    return isinstance(value, int) and value.bit_length() > 1024


def _inside(container: Display | Repeated) -> Term:
    if isinstance(container, Repeated):
        return container.item
    return join(*container.items) if container.items else Unknown(container.node)


def _unary(interpreter: Interpreter, frame: Frame, node: cst.UnaryOperation) -> Term:
    value = evaluate(interpreter, frame, node.expression)
    known = number(value)
    symbol = type(node.operator).__name__
    if symbol == "Minus":
        return (
            Constant(-known, node)
            if known is not None
            else Operation("neg", (value,), node, graph=frame.graph)
        )
    if symbol == "Plus":
        return value
    return Operation("not" if symbol == "Not" else "bitwise_not", (value,), node)


def _comparison(interpreter: Interpreter, frame: Frame, node: cst.Comparison) -> Term:
    operands = [evaluate(interpreter, frame, node.left)]
    names = []
    for part in node.comparisons:
        operands.append(evaluate(interpreter, frame, part.comparator))
        names.append(type(part.operator).__name__)
    if len(operands) == 2 and names[0] in _COMPARED:
        left, right = operands
        if isinstance(left, Constant) and isinstance(right, Constant) and _differs_by_round(left, right):
            return _decided(names[0], left, right, node)
    return Operation("compare", tuple(operands), node, positional=tuple(Constant(name) for name in names))


def _differs_by_round(left: Constant, right: Constant) -> bool:
    """Whether a comparison is about the variable of an unrolled loop."""
    return None in (left.node, right.node) and None not in (left.value, right.value)


def _decided(symbol: str, left: Constant, right: Constant, node: cst.Comparison) -> Term:
    """Compare what differs from round to round of an unrolled loop."""
    try:
        return Constant(bool(_COMPARED[symbol](left.value, right.value)), node)
    except TypeError:
        return Unknown(node)


_COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "Equal": operator.eq,
    "NotEqual": operator.ne,
    "LessThan": operator.lt,
    "LessThanEqual": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEqual": operator.ge,
}


def _boolean(interpreter: Interpreter, frame: Frame, node: cst.BooleanOperation) -> Term:
    left = evaluate(interpreter, frame, node.left)
    right = evaluate(interpreter, frame, node.right)
    return Operation("or" if isinstance(node.operator, cst.Or) else "and", (left, right), node)


def _conditional(interpreter: Interpreter, frame: Frame, node: cst.IfExp) -> Term:
    evaluate(interpreter, frame, node.test)
    return join(evaluate(interpreter, frame, node.body), evaluate(interpreter, frame, node.orelse))


def _walrus(interpreter: Interpreter, frame: Frame, node: cst.NamedExpr) -> Term:
    value = evaluate(interpreter, frame, node.value)
    _bind(interpreter, frame, node.target, value)
    return value


def _lambda(interpreter: Interpreter, frame: Frame, node: cst.Lambda) -> Term:
    from stablint.static.facts.terms import Closure

    return Closure(interpreter.scope_of(node))


def _await(interpreter: Interpreter, frame: Frame, node: cst.Await) -> Term:
    return evaluate(interpreter, frame, node.expression)


def _yield(interpreter: Interpreter, frame: Frame, node: cst.Yield) -> Term:
    if isinstance(node.value, cst.From):
        evaluate(interpreter, frame, node.value.item)
    elif node.value is not None:
        frame.yields.append(evaluate(interpreter, frame, node.value))
    else:
        frame.yields.append(Constant(None))
    return Unknown(node)


def _formatted(interpreter: Interpreter, frame: Frame, node: cst.FormattedString) -> Term:
    for part in node.parts:
        if isinstance(part, cst.FormattedStringExpression):
            evaluate(interpreter, frame, part.expression)
    return Unknown(node, "text")


_EXPRESSIONS: dict[type[cst.CSTNode], Callable[..., Term]] = {
    cst.Name: _name,
    cst.Attribute: _attribute,
    cst.Call: _call,
    cst.Integer: _integer,
    cst.Float: _float,
    cst.SimpleString: _string,
    cst.Tuple: _sequence,
    cst.List: _sequence,
    cst.Set: _sequence,
    cst.Dict: _dictionary,
    cst.ListComp: _comprehension,
    cst.SetComp: _comprehension,
    cst.GeneratorExp: _comprehension,
    cst.DictComp: _dict_comprehension,
    cst.Subscript: _subscript,
    cst.BinaryOperation: _binary,
    cst.UnaryOperation: _unary,
    cst.Comparison: _comparison,
    cst.BooleanOperation: _boolean,
    cst.IfExp: _conditional,
    cst.NamedExpr: _walrus,
    cst.Lambda: _lambda,
    cst.Await: _await,
    cst.Yield: _yield,
    cst.FormattedString: _formatted,
}
