"""Terms as short texts, so that a table can say in one line what an expression holds.

`relu(Linear(8, 8)(x))` is an operation on an operation of a layer; `a | b` either of two; `[x*]` a list of any length;
`name~(...)` an operation or call that no gradient is recorded for; `?x` something unknown that the code calls x.
"""

from collections.abc import Iterable, Mapping

from stablint.static import facts
from stablint.static.facts.scopes import CallSite
from stablint.static.facts.terms import (
    EACH,
    Attribute,
    Call,
    ClassObject,
    Closure,
    Constant,
    Dictionary,
    Display,
    Either,
    Instance,
    Item,
    Operation,
    Parameter,
    Receiver,
    Reference,
    Repeated,
    Term,
    Unknown,
)
from stablint.static.source import SourceFile

IMPORTS = """\
import math
import torch
import torch.nn as nn
import torch.nn.functional as F
"""


def read(code: str) -> SourceFile:
    """The code as a file, with the usual imports above it."""
    return SourceFile("train.py", (IMPORTS + code).encode())


def looks(source: SourceFile) -> list[CallSite]:
    """The calls of `look`, in the order in which they stand in the file."""
    sites = source.ask(facts.syntax).calls.get("look", [])
    places = source.spans(site.node for site in sites)
    return sorted(sites, key=lambda site: places[id(site.node)].start)


def looked_at(code: str) -> list[Term]:
    """What the arguments of every `look(...)` hold, with the arguments of the file's calls put in."""
    source = read(code)
    values = source.ask(facts.values)
    return [values.of(argument.value) for site in looks(source) for argument in site.node.args]


def shown(code: str) -> list[str]:
    """The same as texts."""
    return [text(term) for term in looked_at(code)]


def shown_raw(code: str) -> list[str]:
    """The same in terms of each function's own parameters."""
    source = read(code)
    values = source.ask(facts.values)
    return [text(values.raw(argument.value)) for site in looks(source) for argument in site.node.args]


def text(term: Term) -> str:
    """The term as a short text."""
    match term:
        case Unknown(label=label):
            return f"?{label}"
        case Parameter(name=name):
            return name
        case Constant(value=value):
            return "EACH" if term is EACH else repr(value)
        case Reference(dotted=dotted):
            return dotted
        case Closure(function=scope, receiver=receiver):
            return f"def {scope.name}" if receiver is None else f"{text(receiver)}.{scope.name}"
        case ClassObject(scope=scope):
            return f"class {scope.name}"
        case Receiver():
            return "self"
        case Instance(dotted=dotted):
            return f"{dotted.rsplit('.', 1)[-1]}({_arguments(term.positional, term.keywords)})"
        case Display(kind=kind, items=items):
            start, end = "()" if kind == "tuple" else "{}" if kind == "set" else "[]"
            return f"{start}{', '.join(map(text, items))}{end}"
        case Dictionary(items=pairs):
            inside = [f"{text(key)}: {text(value)}" for key, value in pairs]
            return "{" + ", ".join([*inside, "..."] if term.open else inside) + "}"
        case Repeated(item=item):
            return f"[{text(item)}*]"
        case Attribute(base=base, name=name):
            return f"{text(base)}.{name}"
        case Item(base=base, key=key):
            return f"{text(base)}[{text(key)}]"
        case Operation():
            return _operation(term)
        case Call(callee=callee):
            mark = "" if term.graph else "~"
            return f"{text(callee)}{mark}({_arguments(term.positional, term.keywords)})"
        case Either(options=options):
            return " | ".join(sorted(map(text, options)))


def _operation(term: Operation) -> str:
    inside = _arguments((*term.operands, *term.positional), term.keywords)
    mark = "" if term.graph else "~"
    return f"{term.name}{mark}({inside})"


def _arguments(positional: Iterable[Term], keywords: Mapping[str, Term]) -> str:
    return ", ".join([*map(text, positional), *(f"{name}={text(value)}" for name, value in keywords.items())])
