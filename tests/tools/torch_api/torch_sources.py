"""Where the parameters of a callable of torch are written: in Python itself, in a stub file, in a schema."""

import ast
import inspect
import typing
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from torch_overloads import KEYWORD, POSITIONAL, STAR, STARS, UNKNOWN, Overload, Parameter, is_literal

torch: Any = import_module("torch")

KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: POSITIONAL,
    inspect.Parameter.POSITIONAL_OR_KEYWORD: POSITIONAL,
    inspect.Parameter.VAR_POSITIONAL: STAR,
    inspect.Parameter.KEYWORD_ONLY: KEYWORD,
    inspect.Parameter.VAR_KEYWORD: STARS,
}


def of_object(thing: Any) -> list[Overload]:
    """What Python itself says about a function or a class; empty if it only says `(*args, **kwargs)`."""
    is_class = inspect.isclass(thing)
    if is_class and _takes_nothing(thing):
        return [()]
    function = thing.__init__ if is_class else thing
    overloads = typing.get_overloads(function) if inspect.isfunction(function) else []
    # The implementation first: it has the real defaults, overloads mostly a mere `...`.
    for found in ([_inspected(thing)], [_inspected(one)[is_class:] for one in overloads]):
        telling = [one for one in found if one is not NOTHING and not _says_nothing(one)]
        if telling:
            return telling
    return []


def _takes_nothing(thing: Any) -> bool:
    inherits_init = thing.__init__ in (torch.nn.Module.__init__, object.__init__)
    return inherits_init and thing is not torch.nn.Module and "__new__" not in vars(thing)


NOTHING: Overload = (Parameter("", STAR),)
"""Python cannot tell."""


def _inspected(thing: Any) -> Overload:
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (ValueError, TypeError):
        return NOTHING
    return tuple(Parameter(one.name, KINDS[one.kind], _default(one.default)) for one in parameters)


def _default(value: Any) -> str | None:
    if value is inspect.Parameter.empty:
        return None
    return repr(value) if is_literal(repr(value)) else UNKNOWN


def _says_nothing(overload: Overload) -> bool:
    return [one.name for one in overload if one.name != "self"] == ["args", "kwargs"]


@cache
def of_stub(file: str, within: str | None = None) -> dict[str, list[Overload]]:
    """Every function of a stub file, or every method of the class `within` (without `self`), by name."""
    text = (Path(torch.__file__).parent / file).read_text(encoding="utf-8")
    body: Iterable[ast.stmt] = ast.parse(text).body
    if within:
        body = next(one.body for one in body if isinstance(one, ast.ClassDef) and one.name == within)
    found: dict[str, list[Overload]] = {}
    for one in body:
        if isinstance(one, ast.FunctionDef) and not any(_is_property(each) for each in one.decorator_list):
            parameters = tuple(_stub_parameters(one.args))
            found.setdefault(one.name, []).append(parameters[1:] if within else _called_input(parameters))
    return found


def _is_property(decorator: ast.expr) -> bool:
    return ast.unparse(decorator).endswith(("property", ".setter"))


def _called_input(parameters: Overload) -> Overload:
    """What torch's schemas call `self`, the Python caller of a function calls `input`."""
    return tuple(one._replace(name="input") if one.name == "self" else one for one in parameters)


def _stub_parameters(arguments: ast.arguments) -> Iterator[Parameter]:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + [*map(_text, arguments.defaults)]
    for one, default in zip(positional, defaults, strict=True):
        yield Parameter(one.arg, POSITIONAL, default)
    if arguments.vararg:
        yield Parameter(arguments.vararg.arg, STAR)
    for one, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield Parameter(one.arg, KEYWORD, _text(value) if value else None)
    if arguments.kwarg:
        yield Parameter(arguments.kwarg.arg, STARS)


def _text(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if is_literal(text) else UNKNOWN


def of_operator(name: str) -> list[Overload]:
    """What the schemas of an aten operator (`linalg_norm`) say."""
    packet = getattr(torch.ops.aten, name, None)
    schemas = [getattr(packet, one)._schema for one in packet.overloads()] if packet else []
    return [_called_input(tuple(map(_schema_parameter, one.arguments))) for one in schemas]


def _schema_parameter(argument: Any) -> Parameter:
    # `out` is its own overload in the schemas and an optional argument in Python.
    optional = argument.has_default_value() or argument.name == "out"
    kind = KEYWORD if argument.kwarg_only else POSITIONAL
    return Parameter(argument.name, kind, _default(argument.default_value) if optional else None)
