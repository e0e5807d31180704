"""Guards against zero, taken away."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from mutants.bindings import traced, values_of
from mutants.operator import Mutant, operator, replaced
from mutants.text import Text, keyword, method

SMALL = 1e-3
"""What people add to keep a value from zero is at most so large."""
UNSURE = "nothing in the function says that the value reaches zero"
NO_GRADIENT = "no gradient is taken there"


@operator(b"log", "unguarded-log", "log-of-softmax", "log-of-sigmoid")
def log_without_epsilon(text: Text) -> Iterator[Mutant]:
    """log(0) is -inf, where log(x + eps), or of a clamped x, is of an x that reaches zero: a probability, a norm, a
    square, a spread, a comparison, a rectified or uniform value, or sums, means and products of these.
    """
    for call in text.calls:
        operand = _operand(text, call, ("log", "log2", "log10"))
        if operand is not None:
            yield from _bared(text, operand, "")


@operator(b"sqrt", "unguarded-sqrt-grad", "unguarded-division", "fractional-power-grad")
def root_without_epsilon(text: Text) -> Iterator[Mutant]:
    """The gradient is infinite at zero, where sqrt(x + eps), or of a clamped x, is of an x that reaches zero."""
    for call in text.calls:
        operand = _operand(text, call, ("sqrt", "rsqrt"))
        if operand is not None:
            yield from _bared(text, operand, NO_GRADIENT if text.is_run_without_gradients(call) else "")


@operator(b"sqrt", "unguarded-sqrt-grad", "unguarded-division", "fractional-power-grad")
def epsilon_outside_root(text: Text) -> Iterator[Mutant]:
    """The gradient is infinite at zero, where sqrt(x + eps) becomes sqrt(x) + eps and x reaches zero."""
    for call in text.calls:
        operand = _operand(text, call, ("sqrt",))
        if operand is None or (parts := _added(operand)) is None or len(call.args) > 1 or call.keywords:
            continue
        value, epsilon = parts
        function = "torch.sqrt" if text.name(call.func) else ""
        code = f"({function}({text.code(value)}){'' if function else '.sqrt()'} + {text.code(epsilon)})"
        doubt = NO_GRADIENT if text.is_run_without_gradients(call) else _doubt(text, value)
        yield Mutant((replaced(text, call, code),), call.lineno, doubt)


@operator(b"/", "unguarded-division")
def division_without_epsilon(text: Text) -> Iterator[Mutant]:
    """0 / 0 is NaN, where a divisor loses the eps that was added to it, or its clamp, and reaches zero; in doubt
    where no graph is recorded (a metric, an optimizer, a file without networks), only a number is taken of the
    quotient, `where` picks what is invalid off, it may be of NumPy, or it is a gradient or a weight, which is exactly
    zero by a rare chance only.
    """
    for node in ast.walk(text.tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and b"np." not in _bytes(text, node):
            yield from _bared(text, node.right, _doubt_of_quotient(text, node), one=True)


ARRAY, SHOWN = "it may be an array of NumPy", "only its number is taken"
BY_CHANCE, PICKED = "it is zero by a rare chance only", "what is invalid is picked off"


def _doubt_of_quotient(text: Text, quotient: ast.BinOp) -> str:
    if text.is_run_without_gradients(quotient) or not re.search(
        rb"torch\.nn\b|\bnn\.|\.backward\(", text.data
    ):
        return NO_GRADIENT
    if getattr(text.parents[quotient], "attr", "") == "item":
        return SHOWN
    code, divisor = ast.unparse(text.function(quotient)), method(quotient.right, "clamp", "clip")
    if divisor is not None and re.search(rf"where\({re.escape(ast.unparse(divisor))} *[<>=]", code):
        return PICKED
    if "np." in code and "torch." not in code:
        return ARRAY
    return BY_CHANCE if _is_of_gradients_or_weights(text, quotient.right) else ""


def _is_of_gradients_or_weights(text: Text, divisor: ast.expr) -> bool:
    for each in ast.walk(divisor):
        if isinstance(each, (ast.Name, ast.Attribute)) and isinstance(each.ctx, ast.Load):
            values = [traced(text, each), *values_of(text, each)]
            if any(
                _makes_weight(text, value) or re.search(r"\.grad\b", ast.unparse(value)) for value in values
            ):
                return True
    return False


def _makes_weight(text: Text, value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and text.name(value.func).endswith("Parameter")


def _bytes(text: Text, node: ast.expr) -> bytes:
    return text.code(node).encode()


def _operand(text: Text, call: ast.Call, names: tuple[str, ...]) -> ast.expr | None:
    module, _, last = text.name(call.func).rpartition(".")
    if module == "torch" and last in names and call.args:
        return call.args[0]
    if not module and not call.args and not text.name(call.func):
        return method(call, *names)
    return None


def _bared(text: Text, guarded: ast.expr, doubt: str, *, one: bool = False) -> Iterator[Mutant]:
    parts = _added(guarded) or _clamped(text, guarded, one=one)
    if parts is not None:
        code = text.code(parts[0])
        simple = isinstance(parts[0], (ast.Name, ast.Attribute, ast.Call, ast.Subscript))
        yield Mutant(
            (replaced(text, guarded, code if simple else f"({code})"),),
            guarded.lineno,
            doubt or _doubt(text, parts[0]),
        )


def _added(node: ast.expr) -> tuple[ast.expr, ast.expr] | None:
    """Return the value and the epsilon of a sum."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        for value, epsilon in ((node.left, node.right), (node.right, node.left)):
            if _is_epsilon(epsilon):
                return value, epsilon
    return None


def _clamped(text: Text, node: ast.expr, *, one: bool) -> tuple[ast.expr, ast.expr] | None:
    """Return the value and the least that a clamp leaves of it."""
    value, least = method(node, "clamp", "clamp_min", "clip"), None
    if not isinstance(node, ast.Call):
        return None
    rest = node.args
    if text.name(node.func) in ("torch.clamp", "torch.clip", "torch.clamp_min") and rest:
        value, rest = rest[0], rest[1:]
    elif text.name(node.func):
        return None
    given = keyword(node, "min")
    least = given.value if given else rest[0] if rest else None
    if value is None or least is None:
        return None
    is_one = one and isinstance(least, ast.Constant) and least.value in (1, 1.0)
    return (value, least) if is_one or _is_epsilon(least) else None


def _is_epsilon(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant) and isinstance(node.value, float):
        return 0 < node.value <= SMALL
    name = getattr(node, "attr", getattr(node, "id", "")).lower()
    return name.startswith("eps") or name.endswith("eps") or name == "tiny"


def _doubt(text: Text, value: ast.expr) -> str:
    return "" if reaches_zero(text, value) else UNSURE


ZERO = (
    "norm",
    "abs",
    "relu",
    "var",
    "std",
    "softmax",
    "sigmoid",
    "square",
    "rand",
    "rand_like",
    "count_nonzero",
)
FOLDS = (
    "sum",
    "mean",
    "prod",
    "view",
    "unsqueeze",
    "squeeze",
    "reshape",
    "detach",
    "max",
    "amax",
    "min",
    "expand_as",
)


def reaches_zero(text: Text, node: ast.expr) -> bool:
    """Tell whether the expressions that make a value show that it is never negative and can be zero."""
    node = traced(text, node)
    if isinstance(node, ast.Compare):
        return True
    if isinstance(node, ast.BinOp):
        return _power_reaches_zero(text, node)
    if isinstance(node, ast.Subscript):
        return reaches_zero(text, node.value)
    if not isinstance(node, ast.Call):
        return False
    module, _, last = text.name(node.func).rpartition(".")
    if module and not module.startswith("torch"):
        return False
    last = last or getattr(node.func, "attr", "")
    if last in ("pow", "float_power"):
        return _is_two(node.args[-1]) if node.args else False
    if last in ("uniform_", *ZERO):
        return not (last == "uniform_" and node.args)
    inner = node.args[0] if module and node.args else getattr(node.func, "value", None)
    if last not in (*FOLDS, "float") or not isinstance(inner, ast.expr):
        return False
    counts = last == "sum" and isinstance(traced(text, inner), ast.Compare)
    return counts or (_is_no_distribution(text, inner, last) and reaches_zero(text, inner))


def _is_no_distribution(text: Text, inner: ast.expr, fold: str) -> bool:
    """Probabilities may each be zero, but not their sum, mean or largest."""
    made = traced(text, inner)
    last = getattr(made.func, "attr", "") if isinstance(made, ast.Call) else ""
    return not (last == "softmax" and fold in ("sum", "mean", "max", "amax"))


def _power_reaches_zero(text: Text, node: ast.BinOp) -> bool:
    if isinstance(node.op, ast.Pow):
        return _is_two(node.right)
    if isinstance(node.op, ast.Sub):  # 1 - p
        taken = traced(text, node.right)
        last = getattr(taken.func, "attr", "") if isinstance(taken, ast.Call) else ""
        return isinstance(node.left, ast.Constant) and last in ("softmax", "sigmoid")
    if isinstance(node.op, ast.Mult):
        same = ast.dump(node.left) == ast.dump(node.right)
        return same or (reaches_zero(text, node.left) and reaches_zero(text, node.right))
    return False


def _is_two(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (2, 2.0, 4)
