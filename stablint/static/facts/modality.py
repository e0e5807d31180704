"""Whether a model computes something else in train mode than in eval mode: has it dropout, or batch statistics?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from stablint.static.facts.scopes import Scope
from stablint.static.facts.terms import (
    Call,
    Constant,
    Dictionary,
    Display,
    Instance,
    Operation,
    Receiver,
    Repeated,
    Term,
    Unknown,
    number,
    options,
    within,
)
from stablint.static.interpret.external import WRAPPERS
from stablint.static.interpret.interpreter import Interpreter
from stablint.static.interpret.methods import first_parameter, is_static
from stablint.static.torch_api import is_module, operation
from stablint.static.torch_api.groups import (
    CONTAINERS,
    DROPOUTS,
    MODE_DEPENDENT,
    MODE_DEPENDENT_BLOCKS,
    MODE_DEPENDENT_WITH,
)
from stablint.static.torch_api.signatures import bind, signature

_FAMILIES = re.compile(
    r"torchvision\.models\.|timm\.(models\.)?\w*create_model|timm\.models\.|efficientnet_pytorch\.|"
    r"segmentation_models_pytorch\.[A-Z]|pytorch_fid\.inception\.InceptionV3"
)
"""Models from elsewhere with dropout or batch normalisation in nearly every one."""

_DROPOUT = re.compile(r"drop(out|_|path|$)")
"""How models from elsewhere call the option that gives them dropout."""


def heeds_mode(interpreter: Interpreter, model: Term) -> bool | None:
    """Whether a model heeds its mode: a layer of it certainly does (True), certainly none does (False), or None."""
    return _joined(_of(interpreter, one, frozenset()) for one in options(model))


def _joined(answers: Iterator[bool | None]) -> bool | None:
    """Return True where one is, else None where one is not known."""
    found = set(answers)
    return True if True in found else None if None in found else False


def _of(interpreter: Interpreter, model: Term, inside: frozenset[Scope]) -> bool | None:
    if not isinstance(model, Instance | Receiver):
        return None
    if model.scope is not None:
        return False if model.scope in inside else _of_class(interpreter, model.scope, inside | {model.scope})
    return _of_outside(interpreter, model, inside) if isinstance(model, Instance) else None


def _of_outside(interpreter: Interpreter, model: Instance, inside: frozenset[Scope]) -> bool | None:
    if model.dotted in CONTAINERS or model.dotted in WRAPPERS:
        given = (*model.positional, *model.keywords.values())
        answers = [_of(interpreter, one, inside) for argument in given for one in _items(argument)]
        return _joined(iter((*answers, None if model.open_arguments else False)))
    if model.dotted in MODE_DEPENDENT_BLOCKS:
        return not _is_nothing(_given(model, "dropout"))
    name = operation(model.dotted)
    if name is not None:
        return _is_switched(name, model)
    if _FAMILIES.match(model.dotted):
        return True
    if is_module(model.dotted) and any(
        _DROPOUT.search(word) and number(value) for word, value in model.keywords.items()
    ):
        return True
    return False if model.dotted.startswith("torch.") and is_module(model.dotted) else None


def _items(term: Term) -> Iterator[Term]:
    """Yield what a container is given, also inside lists and dictionaries; None and names are no layers."""
    for option in options(term):
        match option:
            case Display(items=items):
                inside: tuple[Term, ...] = items
            case Dictionary(items=pairs):
                inside = tuple(value for _, value in pairs)
            case Repeated(item=item):
                inside = (item,)
            case Constant():
                continue
            case _:
                yield option
                continue
        for one in inside:
            yield from _items(one)


def _of_class(interpreter: Interpreter, scope: Scope, inside: frozenset[Scope]) -> bool | None:
    """Look at the layers that the methods make, then at what `forward` does with functions."""
    answers = [_of(interpreter, layer, inside) for layer in layers_of(interpreter, scope)]
    if True in answers:
        return True
    forward = interpreter.hierarchy.method_of(scope, "forward")
    outcome = interpreter.outcome(forward) if forward is not None else None
    if outcome is None:
        return None
    for part in within(outcome.returns):
        if isinstance(part, Operation) and _differs(part):
            return True
        # The bounds of a slice are not known either, but are numbers.
        if isinstance(part, Call) or (isinstance(part, Unknown) and part.label != "slice"):
            answers.append(None)
    return _joined(iter(answers))


def layers_of(interpreter: Interpreter, scope: Scope) -> Iterator[Instance]:
    """Yield what the methods of a class, its own and those it inherits, put into attributes."""
    for one in interpreter.hierarchy.lineage(scope):
        for method in one.children:
            if method.kind != "function" or is_static(method):
                continue
            outcome = interpreter.outcome(method)
            own = f"{first_parameter(method)}."
            for path, term in outcome.env.items() if outcome is not None else ():
                if path.startswith(own):
                    yield from (
                        part for part in within(term) if isinstance(part, Instance) and _is_layer(part)
                    )


def _is_layer(made: Instance) -> bool:
    return made.scope is not None or is_module(made.dotted) or _FAMILIES.match(made.dotted) is not None


def _differs(done: Operation) -> bool:
    """Whether an operation of `forward` differs; a functional one does where it is told the mode."""
    if isinstance(done.module, Instance):
        return _is_switched(done.name, done.module)
    is_told = done.argument("training") is not None
    return is_told and (done.name in MODE_DEPENDENT or done.name in MODE_DEPENDENT_WITH)


def _is_switched(name: str, made: Instance) -> bool:
    """Whether a layer differs between the modes: an LSTM does where its dropout is not 0."""
    if name in DROPOUTS:
        return not _is_nothing(_given(made, "p"))
    if name in MODE_DEPENDENT:
        return True
    option = MODE_DEPENDENT_WITH.get(name)
    if option is None:
        return False
    given = _given(made, option)
    return made.open_arguments if given is None else not _is_nothing(given)


def _given(made: Instance, option: str) -> Term | None:
    known = signature(made.dotted)
    bound = bind(known, made.positional, made.keywords, partial=True) if known is not None else None
    return (bound or {}).get(option)


def _is_nothing(given: Term | None) -> bool:
    return isinstance(given, Constant) and not given.value
