"""Reads the signatures of torch's callables: from Python where Python knows them, else from torch's stubs and schemas."""

import ast
import inspect
import re
import typing
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

torch: Any = import_module("torch")

POSITIONAL, STAR, KEYWORD, STARS = "positional", "star", "keyword", "stars"
KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: POSITIONAL,
    inspect.Parameter.POSITIONAL_OR_KEYWORD: POSITIONAL,
    inspect.Parameter.VAR_POSITIONAL: STAR,
    inspect.Parameter.KEYWORD_ONLY: KEYWORD,
    inspect.Parameter.VAR_KEYWORD: STARS,
}
UNKNOWN = "..."
"""A default that exists and is no literal, or differs between overloads."""


class Parameter(NamedTuple):
    """One parameter; `default` is source text, None where an argument is required."""

    name: str
    kind: str
    default: str | None = None


Overload = tuple[Parameter, ...]


def is_literal(text: str) -> bool:
    """Whether Python's literal reader takes the text."""
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return False
    return True


def of_object(thing: Any) -> list[Overload]:
    """What Python itself says about a function or a class; empty if it only says `(*args, **kwargs)`."""
    function = thing.__init__ if inspect.isclass(thing) else thing
    overloads = typing.get_overloads(function) if inspect.isfunction(function) else []
    found = [_inspected(one, drop_self=inspect.isclass(thing)) for one in overloads] or [_inspected(thing)]
    return [one for one in found if one is not None and not _says_nothing(one)]


def _inspected(thing: Any, drop_self: bool = False) -> Overload | None:
    try:
        parameters = list(inspect.signature(thing).parameters.values())[drop_self:]
    except (ValueError, TypeError):
        return None
    return tuple(Parameter(one.name, KINDS[one.kind], _default(one.default)) for one in parameters)


def _default(value: Any) -> str | None:
    if value is inspect.Parameter.empty:
        return None
    return repr(value) if is_literal(repr(value)) else UNKNOWN


def _says_nothing(overload: Overload) -> bool:
    return bool(overload) and [one.name for one in overload] in (["args", "kwargs"], ["input", "kwargs"])


def of_stub(file: str, within: str | None = None) -> dict[str, list[Overload]]:
    """Every function of a stub file, or every method of the class `within`, by name."""
    text = (Path(torch.__file__).parent / file).read_text(encoding="utf-8")
    body: Iterable[ast.stmt] = ast.parse(text).body
    if within:
        body = next(one.body for one in body if isinstance(one, ast.ClassDef) and one.name == within)
    found: dict[str, list[Overload]] = {}
    for one in body:
        if isinstance(one, ast.FunctionDef) and not _is_property(one):
            parameters = tuple(_stub_parameters(one.args))
            found.setdefault(one.name, []).append(parameters[1:] if within else _without_self(parameters))
    return found


def _without_self(parameters: Overload) -> Overload:
    """What the schemas call `self` is `input` to the Python caller."""
    return tuple(one._replace(name="input") if one.name == "self" else one for one in parameters)


def _is_property(function: ast.FunctionDef) -> bool:
    return any("property" in ast.unparse(one) or "setter" in ast.unparse(one) for one in function.decorator_list)


def _stub_parameters(arguments: ast.arguments) -> Iterator[Parameter]:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + [_text(one) for one in arguments.defaults]
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
    """What the schemas of an aten operator say (`linalg_norm`); the Python name of `self` is `input`."""
    packet = getattr(torch.ops.aten, name, None)
    overloads = packet.overloads() if packet else []
    schemas = [getattr(packet, one)._schema for one in overloads]
    return [tuple(_schema_parameters(one)) for one in schemas]


def _schema_parameters(schema: Any) -> Iterator[Parameter]:
    for one in schema.arguments:
        name = "input" if one.name == "self" else one.name
        default = _default(one.default_value) if one.has_default_value() else None
        kind = KEYWORD if one.kwarg_only else POSITIONAL
        yield Parameter(name, kind, "None" if name == "out" else default)


def merged(overloads: list[Overload]) -> list[Overload]:
    """The same calls in fewer signatures, the longest first."""
    found: list[Overload] = []
    for overload in sorted(dict.fromkeys(overloads), key=lambda one: (-_has_star(one), -len(_positional(one)))):
        for index, other in enumerate(found):
            both = _merge(other, overload)
            if both:
                found[index] = both
                break
        else:
            found.append(overload)
    return found


def _has_star(overload: Overload) -> bool:
    return any(one.kind == STAR for one in overload)


def _positional(overload: Overload) -> list[Parameter]:
    return [one for one in overload if one.kind in (POSITIONAL, STAR)]


def _merge(longer: Overload, shorter: Overload) -> Overload | None:
    """One signature for both, if the positional parameters of one begin those of the other."""
    first, second = _positional(longer), _positional(shorter)
    if [one.name for one in second] != [one.name for one in first[: len(second)]]:
        return None
    if len(second) < len(first) and _has_star(longer) and not _has_star(shorter):
        return None
    known = {one.name: one for one in shorter}
    names = {one.name for one in first}
    keywords = {one.name: one for one in (*longer, *shorter) if one.kind == KEYWORD and one.name not in names}
    own = {one.name: one for one in longer}
    positional = [_weaker(one, known.get(one.name)) for one in first]
    rest = [_weaker(own.get(name), known.get(name)) for name in keywords]
    stars = [one for one in longer if one.kind == STARS] or [one for one in shorter if one.kind == STARS]
    return (*_ordered(positional), *rest, *stars[:1])


def _weaker(one: Parameter | None, other: Parameter | None) -> Parameter:
    """The parameter that asks for less: optional if either is; the default only where they agree."""
    kept = one or other
    assert kept is not None
    if kept.kind in (STAR, STARS):
        return kept
    defaults = {each.default for each in (one, other) if each and each.default is not None}
    optional = one is None or other is None or defaults
    return kept._replace(default=defaults.pop() if len(defaults) == 1 else UNKNOWN if optional else None)


def _ordered(positional: list[Parameter]) -> list[Parameter]:
    """Python wants a default after a default: from the first optional parameter on, all are."""
    seen, found = False, []
    for one in positional:
        seen = seen or one.default is not None
        found.append(one._replace(default=UNKNOWN) if seen and one.default is None and one.kind != STAR else one)
    return found


def spelled(overload: Overload) -> str:
    """As it would stand after `def f`, without annotations."""
    parts: list[str] = []
    for one in overload:
        if one.kind == KEYWORD and not any(part.startswith("*") for part in parts):
            parts.append("*")
        mark = {STAR: "*", STARS: "**"}.get(one.kind, "")
        parts.append(f"{mark}{one.name}" + (f"={one.default}" if one.default is not None else ""))
    return re.sub(r"^(.*)$", r"(\1)", ", ".join(parts))
