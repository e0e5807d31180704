"""What a module should hold and no longer does."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mutants.bindings import parameters, traced
from mutants.operator import Mutant, operator, removed, replaced, wrapped
from mutants.text import Text, expression, method, spelled

CONTAINERS = {"torch.nn.ModuleList": "list", "torch.nn.ModuleDict": "dict", "torch.nn.ParameterList": "list"}
EMPTY = {"list": "[]", "dict": "{}"}
WEIGHTLESS = ("ReLU", "Dropout", "Identity", "GELU", "Tanh", "Sigmoid", "LeakyReLU", "MaxPool2d", "Upsample")


@operator(b"nn.", "submodules-in-plain-container")
def plain_container(text: Text) -> Iterator[Mutant]:
    """Layers are neither trained nor moved nor saved, where an attribute gets its ModuleList, ModuleDict or
    ParameterList as a plain list or dict; not where the class gives its content to another module.
    """
    for call in text.calls:
        kind, owner, statement = CONTAINERS.get(text.name(call.func)), text.owner(call), text.statement(call)
        if (
            kind is None
            or owner is None
            or not isinstance(statement, ast.Assign)
            or statement.value is not call
        ):
            continue
        target = text.code(statement.targets[0])
        if not target.startswith("self.") or _is_passed_on(owner, target) or len(call.args) > 1:
            continue
        content = text.code(call.args[0]) if call.args else ""
        code = EMPTY[kind] if not content else content if _is_literal(call.args[0]) else f"{kind}({content})"
        weightless = any(f".{name}(" in content for name in WEIGHTLESS)
        doubt = "the layers may have no weights" if weightless else ""
        yield Mutant((replaced(text, call, code),), call.lineno, doubt)


def _is_passed_on(owner: ast.ClassDef, target: str) -> bool:
    """Tell whether a class gives the layers to another module, or asks the container for what no list can do."""
    body = ast.unparse(owner)
    return f"*{target}" in body or f"{target}.add_module(" in body


def _is_literal(node: ast.expr) -> bool:
    return isinstance(node, (ast.List, ast.Dict, ast.ListComp, ast.DictComp))


MOVED, UNUSED = "the class moves it by hand", "the class does not read it"
MOVES = ("to", "cuda", "type_as")
UNKNOWN, NUMBER = "nothing in the class says that it is a tensor", "a number works on every device"


@operator(b"register_buffer", "tensor-attribute-not-buffer")
def attribute_for_buffer(text: Text) -> Iterator[Mutant]:
    """A tensor is neither moved nor saved with its module, wherever register_buffer becomes an assignment; in doubt
    where the class moves it by hand or never reads it, where it is a number, which works on every device, and where
    nothing says that it is a tensor: a parameter, or what an attribute that the class does not define gives.
    """
    for call in text.calls:
        owner = text.owner(call)
        if method(call, "register_buffer") is None or owner is None or len(call.args) < 2:
            continue
        receiver, name, value = method(call, "register_buffer"), call.args[0], call.args[1]
        statement = text.statement(call)
        if expression(statement) is not call or not isinstance(name, ast.Constant) or receiver is None:
            continue
        own = any(isinstance(each, ast.FunctionDef) and each.name == "register_buffer" for each in owner.body)
        if isinstance(value, ast.Constant) or ast.unparse(receiver) != "self" or own:
            continue
        body = ast.unparse(owner)
        moved = any(f"self.{name.value}.{move}(" in body for move in MOVES) or method(value, *MOVES)
        unused = f"self.{name.value}" not in body
        code = f"self.{name.value} = {text.code(value)}"
        doubt = MOVED if moved else UNUSED if unused else _doubt(text, value)
        yield Mutant((replaced(text, statement, code),), call.lineno, doubt)


def _doubt(text: Text, value: ast.expr) -> str:
    if isinstance(value, ast.Name) and value.id in parameters(text.function(value)):
        return UNKNOWN
    made = traced(text, value)
    if not isinstance(made, ast.Call):
        return ""
    last = text.name(made.func).rpartition(".")[2]
    if last == "tensor" and len(made.args) == 1 and isinstance(made.args[0], ast.Constant):
        return NUMBER
    return UNKNOWN if _is_given(text, made) else ""


def _is_given(text: Text, made: ast.Call) -> bool:
    """Tell whether a call is of an attribute of self that is no method of the class."""
    owner, function = text.owner(made), made.func
    is_own = isinstance(function, ast.Attribute) and ast.unparse(function.value) == "self"
    methods = {each.name for each in owner.body if isinstance(each, ast.FunctionDef)} if owner else set()
    return is_own and getattr(function, "attr", "") not in methods


@operator(b"Parameter(", "parameter-wrapped-by-op")
def moved_parameter(text: Text) -> Iterator[Mutant]:
    """The attribute is no leaf and not registered, wherever a Parameter is moved to the device after it was made."""
    for call in text.calls:
        statement = text.statement(call)
        if text.name(call.func) != "torch.nn.Parameter" or not isinstance(statement, ast.Assign):
            continue
        if statement.value is call and text.code(statement.targets[0]).startswith("self."):
            yield Mutant(wrapped(text, call, "", ".cuda()"), call.lineno)


@operator(b"super", "missing-super-init")
def no_super_init(text: Text) -> Iterator[Mutant]:
    """torch refuses the first layer, wherever a direct subclass of Module that assigns layers does not call the
    constructor of its base.
    """
    for owner in text.tree.body:
        if not isinstance(owner, ast.ClassDef) or [text.name(base) for base in owner.bases] != [
            "torch.nn.Module"
        ]:
            continue
        init = next((e for e in owner.body if isinstance(e, ast.FunctionDef) and e.name == "__init__"), None)
        for statement in init.body if init else ():
            code = text.code(statement)
            if code.startswith("super(") and code.endswith("__init__()") and _assigns_layers(text, init):
                yield Mutant(removed(text, statement), statement.lineno)


def _assigns_layers(text: Text, init: ast.AST | None) -> bool:
    return init is not None and any(
        isinstance(each, ast.Assign)
        and isinstance(each.value, ast.Call)
        and text.name(each.value.func).startswith("torch.nn.")
        and ast.unparse(each.targets[0]).startswith("self.")
        for each in ast.walk(init)
    )


@operator(b"requires_grad", "ineffective-freeze")
def freeze_module(text: Text) -> Iterator[Mutant]:
    """Nothing is frozen, wherever a loop over the parameters of a module becomes an assignment to the module; in
    doubt where the module is an attribute that the file neither sets nor calls nor asks for anything else: what the
    mutant says of it would do for a Parameter.
    """
    for loop in ast.walk(text.tree):
        if not isinstance(loop, ast.For) or len(loop.body) != 1 or not isinstance(loop.body[0], ast.Assign):
            continue
        target, module = loop.body[0].targets[0], method(loop.iter, "parameters")
        if not isinstance(target, ast.Attribute) or target.attr != "requires_grad" or module is None:
            continue
        if ast.unparse(target.value) == ast.unparse(loop.target) and not loop.orelse:
            code = f"{text.code(module)}.requires_grad = {text.code(loop.body[0].value)}"
            doubt = "" if _is_shown(text, loop, module) else "the file does not show that it is a module"
            yield Mutant((replaced(text, loop, code),), loop.lineno, doubt)


def _is_shown(text: Text, loop: ast.For, module: ast.expr) -> bool:
    """Tell whether a file does something else with what a loop freezes: calls it, its methods, or sets it."""
    if not isinstance(module, ast.Attribute):
        return True
    asked = [each for each in text.calls if not loop.lineno <= each.lineno <= (loop.end_lineno or 0)]
    used = any(f"{spelled(call.func)}.".startswith(f"{spelled(module)}.") for call in asked)
    targets = [one for each in ast.walk(text.tree) if isinstance(each, ast.Assign) for one in each.targets]
    return used or any(isinstance(each, ast.Attribute) and each.attr == module.attr for each in targets)
