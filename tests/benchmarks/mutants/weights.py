"""Weights that start wrong, and layers made wrong."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mutants.bindings import parameters
from mutants.operator import Mutant, operator, replaced, without_argument
from mutants.text import FUNCTIONS, LOOPS, Edit, Text, calls_in, keyword, spelled

ONE = "it may be one layer, for which zeros may be meant"


@operator(b"init", "constant-weight-init")
def zero_weights(text: Text) -> Iterator[Mutant]:
    """Units stay identical, where kaiming, xavier, orthogonal or normal initialisation of the `weight` of each layer
    that a function or a loop is given becomes zeros; in doubt where the condition around it names a kind of layer
    that the file makes once, where nothing of the file gives the function anything (it is for the file that does to
    be looked at), and where the class draws some of its weights again by their names, which then tell units apart.
    """
    for call in text.calls:
        module, _, last = text.name(call.func).rpartition(".")
        random = last.startswith(("kaiming_", "xavier_", "orthogonal_", "normal_", "trunc_normal_"))
        if module != "torch.nn.init" or not random or not call.args:
            continue
        weight = call.args[0]
        if isinstance(weight, ast.Attribute) and weight.attr == "data":
            weight = weight.value
        if not isinstance(weight, ast.Attribute) or weight.attr != "weight":
            continue
        function = text.code(call.func).removesuffix(last) + "zeros_"
        doubt = "" if _is_each(text, weight.value) and _are_several(text, weight.value) else ONE
        doubt = doubt or _unused(text, weight.value) or _drawn_again(text, weight.value)
        yield Mutant((replaced(text, call, f"{function}({text.code(call.args[0])})"),), call.lineno, doubt)


def _is_each(text: Text, layer: ast.expr) -> bool:
    """Tell whether a layer is a function's parameter or what a loop runs over."""
    if not isinstance(layer, ast.Name) or layer.id == "self" or _is_embedding(text, layer):
        return False
    for each in text.around(layer):
        if isinstance(each, LOOPS) and isinstance(each, ast.For) and spelled(each.target).endswith(layer.id):
            return True
        if isinstance(each, FUNCTIONS):
            return layer.id in parameters(each)
    return False


def _unused(text: Text, layer: ast.expr) -> str:
    """Say so where the function around a layer is named nowhere in the file but where it is defined."""
    function = text.function(layer)
    if not isinstance(function, ast.FunctionDef) or not isinstance(layer, ast.Name):
        return ""
    if layer.id not in parameters(function):
        return ""
    named = any(
        function.name in (getattr(each, "id", None), getattr(each, "attr", None))
        for each in ast.walk(text.tree)
    )
    return "" if named else "nothing in the file gives the function a layer"


def _drawn_again(text: Text, layer: ast.expr) -> str:
    """Say so where a loop over named_parameters() in the same class draws values."""
    owner = text.owner(layer)
    for loop in ast.walk(owner) if owner is not None else ():
        if isinstance(loop, ast.For) and ".named_parameters()" in spelled(loop.iter):
            drawn = [each for each in calls_in(loop) if spelled(each.func).endswith("normal_")]
            if drawn and layer not in ast.walk(loop):
                return "the class draws some of the weights again"
    return ""


def _are_several(text: Text, layer: ast.expr) -> bool:
    above = next((each for each in text.around(layer) if isinstance(each, ast.If)), None)
    asked = [each.attr for each in ast.walk(above.test) if isinstance(each, ast.Attribute)] if above else []
    kinds = [each for each in asked if each.startswith(("Linear", "Conv"))]
    made = [text.name(call.func).rpartition(".")[2] for call in text.calls]
    return not kinds or len(kinds) > 1 or made.count(kinds[0]) != 1


def _is_embedding(text: Text, layer: ast.Name) -> bool:
    """Tell whether the nearest question about the layer lets through an embedding or a norm only."""
    above = next((each for each in text.around(layer) if isinstance(each, ast.If)), None)
    asked = spelled(above.test) if above is not None else ""
    return bool(asked) and not any(word in asked for word in ("Linear", "Conv", "weight", "isinstance(m, ("))


@operator(b"Parameter(", "uninitialised-parameter")
def empty_parameter(text: Text) -> Iterator[Mutant]:
    """A weight is whatever the memory held, where a Parameter of zeros, ones or random values is made of torch.empty
    and nothing of the class names it but to read it.
    """
    for call in text.calls:
        statement, owner = text.statement(call), text.owner(call)
        if text.name(call.func) != "torch.nn.Parameter" or owner is None or not call.args:
            continue
        made = call.args[0]
        if (
            not isinstance(statement, ast.Assign)
            or statement.value is not call
            or not isinstance(made, ast.Call)
        ):
            continue
        target = spelled(statement.targets[0])
        known = text.name(made.func) in ("torch.zeros", "torch.ones", "torch.randn", "torch.rand")
        if known and target.startswith("self.") and not _is_filled(text, owner, target):
            code = text.code(made.func).rpartition(".")[0] + ".empty"
            code = code if "." in text.code(made.func) else "torch.empty"
            all_of_them = ".parameters()" in text.code(owner)
            doubt = "the class goes through all its parameters" if all_of_them else ""
            yield Mutant((replaced(text, made.func, code),), call.lineno, doubt)


def _is_filled(text: Text, owner: ast.ClassDef, target: str) -> bool:
    """Tell whether a parameter is given to an initialiser, changed in place or assigned to."""
    for each in ast.walk(owner):
        if isinstance(each, ast.Call):
            inits = "init" in spelled(each.func) or spelled(each.func).endswith("_")
            if inits and any(spelled(argument).startswith(target) for argument in each.args):
                return True
            if spelled(each.func).startswith((f"{target}.data", f"{target}.")) and spelled(
                each.func
            ).endswith("_"):
                return True
        if isinstance(each, (ast.Assign, ast.AugAssign)):
            targets = each.targets if isinstance(each, ast.Assign) else [each.target]
            if any(spelled(one).startswith((f"{target}.data", f"{target}[")) for one in targets):
                return True
    return False


@operator(b"BatchNorm", "batchnorm-eps-misplaced")
def momentum_as_epsilon(text: Text) -> Iterator[Mutant]:
    """Batch normalisation adds 0.8 to its variance, wherever it gets 0.8 as its second positional argument."""
    for call in text.calls:
        module, _, last = text.name(call.func).rpartition(".")
        if module != "torch.nn" or not last.startswith("BatchNorm") or len(call.args) != 1:
            continue
        if not keyword(call, "eps") and not isinstance(call.args[0], ast.Starred):
            end = text.span(call.args[0])[1]
            yield Mutant((Edit(end, end, b", 0.8"),), call.lineno)


@operator(b"Sequential", "missing-nonlinearity")
def no_activation(text: Text) -> Iterator[Mutant]:
    """Two linear maps collapse to one, where a Sequential loses the activation between two Linear; in doubt between
    two convolutions.
    """
    for call in text.calls:
        if text.name(call.func) != "torch.nn.Sequential":
            continue
        for before, activation, behind in zip(call.args, call.args[1:], call.args[2:], strict=False):
            kinds = [_layer(text, each) for each in (before, activation, behind)]
            if kinds[0] == kinds[2] and kinds[0] in ("Linear", "Conv2d") and kinds[1] in ACTIVATIONS:
                doubt = "convolutions are factorised on purpose, too" if kinds[0] == "Conv2d" else ""
                yield Mutant((without_argument(text, call, activation),), activation.lineno, doubt)


ACTIVATIONS = ("ReLU", "Tanh", "Sigmoid", "LeakyReLU", "ELU", "GELU")


def _layer(text: Text, node: ast.expr) -> str:
    module, _, last = text.name(node.func).rpartition(".") if isinstance(node, ast.Call) else ("", "", "")
    return last if module == "torch.nn" else ""
