"""Parameter lists as data: merged where they describe the same call, spelled as Python would."""

import ast
from typing import NamedTuple

POSITIONAL, STAR, KEYWORD, STARS = "positional", "star", "keyword", "stars"
UNKNOWN = "..."
"""A default that is no literal, or that differs between overloads."""


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


def spelled(overloads: list[Overload]) -> list[str]:
    """The overloads in as few signatures as can say them, the widest first, without annotations."""
    return [_spelled(one) for one in _merged(overloads)]


def _spelled(overload: Overload) -> str:
    parts: list[str] = []
    for one in overload:
        if one.kind == KEYWORD and not any(part.startswith("*") for part in parts):
            parts.append("*")
        mark = {STAR: "*", STARS: "**"}.get(one.kind, "")
        parts.append(f"{mark}{one.name}" + (f"={one.default}" if one.default is not None else ""))
    return f"({', '.join(parts)})"


def _merged(overloads: list[Overload]) -> list[Overload]:
    found: list[Overload] = []
    current = [one for one in overloads if not _is_outdated(one, overloads)]
    widest_first = sorted(dict.fromkeys(current), key=lambda one: (-_has_star(one), -len(_positional(one))))
    for overload in widest_first:
        for index, wider in enumerate(found):
            both = _merge(wider, overload)
            if both:
                found[index] = both
                break
        else:
            found.append(overload)
    return found


def _is_outdated(overload: Overload, others: list[Overload]) -> bool:
    """Whether it demands by position what is keyword-only today: `add(input, alpha, other)`."""
    keywords = {one.name for other in others for one in other if one.kind == KEYWORD}
    return any(one.kind == POSITIONAL and one.default is None and one.name in keywords for one in overload)


def _has_star(overload: Overload) -> bool:
    return any(one.kind == STAR for one in overload)


def _positional(overload: Overload) -> list[Parameter]:
    return [one for one in overload if one.kind in (POSITIONAL, STAR)]


def _merge(wide: Overload, narrow: Overload) -> Overload | None:
    """One signature for both, if the positional parameters of the narrow begin those of the wide."""
    first, second = _positional(wide), _positional(narrow)
    if [one.name for one in second] != [one.name for one in first[: len(second)]]:
        return None
    if len(second) < len(first) and _has_star(wide) and not _has_star(narrow):
        return None
    own, other = {one.name: one for one in wide}, {one.name: one for one in narrow}
    keywords = [one.name for one in (*wide, *narrow) if one.kind == KEYWORD]
    keywords = [name for name in keywords if own.get(name) not in first]
    stars = [one for one in (*wide, *narrow) if one.kind == STARS]
    return (
        *_ordered([_weaker(one, other.get(one.name)) for one in first]),
        *(_weaker(own.get(name), other.get(name)) for name in dict.fromkeys(keywords)),
        *stars[:1],
    )


def _weaker(one: Parameter | None, other: Parameter | None) -> Parameter:
    """The parameter that asks for less: optional if either is; its default only where they agree."""
    kept = one or other
    assert kept is not None
    if kept.kind in (STAR, STARS):
        return kept
    defaults = {each.default for each in (one, other) if each and each.default is not None}
    if len(defaults) == 1:
        return kept._replace(default=defaults.pop())
    return kept._replace(default=UNKNOWN if defaults or not (one and other) else None)


def _ordered(positional: list[Parameter]) -> list[Parameter]:
    """Python wants a default after a default: from the first optional parameter on, all are optional."""
    found: list[Parameter] = []
    for one in positional:
        follows = any(each.default is not None for each in found)
        late = follows and one.default is None and one.kind != STAR
        found.append(one._replace(default=UNKNOWN) if late else one)
    return found
