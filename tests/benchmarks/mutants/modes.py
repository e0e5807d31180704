"""Training mode and evaluation mode."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mutants.bindings import constructor
from mutants.operator import Mutant, operator, removed, replaced, without_argument
from mutants.text import FUNCTIONS, LOOPS, Text, calls_in, expression, keyword, method, spelled

DROPOUTS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
MODAL = ("Dropout", "BatchNorm")


@operator(b"dropout", "dropout-ignores-eval")
def dropout_without_training(text: Text) -> Iterator[Mutant]:
    """Dropout is active in evaluation too, wherever a functional dropout loses `self.training`."""
    for call in text.calls:
        module, _, last = text.name(call.func).rpartition(".")
        if module == "torch.nn.functional" and last in DROPOUTS:
            given = keyword(call, "training") or (call.args[2] if len(call.args) > 2 else None)
            value = given.value if isinstance(given, ast.keyword) else given
            if given is not None and value is not None and spelled(value) == "self.training":
                yield Mutant((without_argument(text, call, given),), call.lineno)


@operator(b"Dropout", "dropout-ignores-eval", "module-created-in-forward")
def dropout_made_in_forward(text: Text) -> Iterator[Mutant]:
    """Dropout is active in evaluation too, where forward makes the Dropout anew that the constructor had made."""
    yield from _made_in_forward(text, ("Dropout",))


@operator(b"torch", "module-created-in-forward")
def layer_made_in_forward(text: Text) -> Iterator[Mutant]:
    """Weights are drawn anew in each step, where forward makes a Linear, Conv or BatchNorm of constant sizes."""
    yield from _made_in_forward(text, ("Linear", "Conv", "BatchNorm"))


def _made_in_forward(text: Text, kinds: tuple[str, ...]) -> Iterator[Mutant]:
    for call in text.calls:
        function = text.function(call)
        if getattr(function, "name", "") != "forward" or not spelled(call.func).startswith("self."):
            continue
        made = constructor(text, call.func)
        module, _, last = text.name(made.func).rpartition(".") if made else ("", "", "")
        if made is not None and module == "torch.nn" and last.startswith(kinds) and _is_constant(made):
            yield Mutant((replaced(text, call.func, text.code(made)),), call.lineno)


def _is_constant(made: ast.Call) -> bool:
    return all(isinstance(each, ast.Constant) for each in (*made.args, *(k.value for k in made.keywords)))


@operator(b"eval()", "missing-eval-mode")
def remove_eval(text: Text) -> Iterator[Mutant]:
    """Dropout and batch statistics disturb the evaluation, where a model of the file, or of torchvision, that has
    such layers is called without gradients in the same function, behind the only `eval()` of the file.
    """
    for call in text.calls:
        model, statement = method(call, "eval"), text.statement(call)
        if model is None or call.args or expression(statement) is not call:
            continue
        others = [each for each in text.calls if each is not call and method(each, "eval")]
        if others or not _is_called_without_gradients(text, call, model):
            continue
        yield Mutant(removed(text, statement), call.lineno, _modal_doubt(text, model))


def _is_called_without_gradients(text: Text, eval_: ast.Call, model: ast.expr) -> bool:
    name = spelled(model)
    return any(
        call.lineno > eval_.lineno
        and spelled(call.func) in (name, f"{name}.module")
        and text.function(call) is text.function(eval_)
        and text.without_gradients(call)
        for call in text.calls
    )


def _modal_doubt(text: Text, model: ast.expr) -> str:
    code = text.data.decode("utf-8", "replace")
    made = constructor(text, model)
    if made is not None and text.name(made.func).startswith("torchvision.models."):
        return ""
    classes = {each.name: each for each in text.tree.body if isinstance(each, ast.ClassDef)}
    built = getattr(made.func, "id", "") if made is not None else ""
    is_free = made is None and classes and isinstance(model, ast.Name)
    layers = text.code(classes[built]) if built in classes else code if is_free else ""
    if any(word in layers for word in MODAL):
        return ""
    return "the file does not show that the model has dropout or batch normalisation"


@operator(b"train()", "eval-mode-not-restored")
def remove_train(text: Text) -> Iterator[Mutant]:
    """All epochs but the first train in evaluation mode, where one loop holds both `eval()` and the only `train()`
    of a model, or calls the two functions of the file that do.
    """
    for call in text.calls:
        model, statement = method(call, "train"), text.statement(call)
        if model is None or call.args or call.keywords or expression(statement) is not call:
            continue
        name = spelled(model)
        trains = [each for each in text.calls if _sets(each, "train", name) and each is not call]
        evals = [each for each in text.calls if _sets(each, "eval", name)]
        if trains or not evals or not _goes_back(text, call):
            continue
        together = any(_share_loop(text, call, each) for each in evals)
        doubt = "" if together else "the file does not show that evaluation and training alternate"
        yield Mutant(removed(text, statement), call.lineno, doubt, tuple(each.lineno for each in evals))


def _sets(call: ast.Call, mode: str, name: str) -> bool:
    model = method(call, mode)
    return model is not None and spelled(model) == name


def _goes_back(text: Text, call: ast.Call) -> bool:
    return any(method(each, "backward") for each in calls_in(text.function(call)))


def _share_loop(text: Text, train: ast.Call, eval_: ast.Call) -> bool:
    """Tell whether a loop holds both, or a call of the function of each that is not in it."""
    for loop in ast.walk(text.tree):
        if isinstance(loop, LOOPS) and all(_is_reached(text, loop, each) for each in (train, eval_)):
            return True
    return False


def _is_reached(text: Text, loop: ast.AST, call: ast.Call) -> bool:
    within = set(calls_in(loop))
    if call in within:
        return True
    function = text.function(call)
    name = getattr(function, "name", None) if isinstance(function, FUNCTIONS) else None
    return name is not None and any(
        getattr(e.func, "id", getattr(e.func, "attr", None)) == name for e in within
    )
