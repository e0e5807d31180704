"""Where code runs under autocast to float16."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import libcst as cst

from stablint.static.facts.evaluation import Values, values
from stablint.static.facts.scopes import Scope, Syntax, syntax
from stablint.static.facts.terms import Attribute, Call, Constant, Operation, Reference, Term, options

if TYPE_CHECKING:
    from stablint.static.source import SourceFile

HALVES = frozenset({"torch.float16", "torch.half"})


class Autocasts:
    """Which expressions may run under autocast to float16: by the `with` around them, a decorator, or a caller."""

    def __init__(self, shape: Syntax, known: Values) -> None:
        self.syntax = shape
        self.values = known
        self._callers: dict[Scope, list[cst.CSTNode]] | None = None
        self._known: dict[Scope, cst.CSTNode | None] = {}

    def around(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """Return what makes a call or operator run under autocast to float16; None where nothing does."""
        if not self.syntax.identifiers & {"autocast", "Trainer"}:
            return None
        found = self.values.interpreter.sites.get(id(node))
        if found is None:
            return None
        _, scope, statement = found
        stands = self.syntax.blocks.get(statement) if statement is not None else None
        block = stands[1] if stands is not None else scope.block
        for one in block.outward() if block is not None else ():
            if isinstance(one.node, cst.With):
                for item in reversed(one.node.items):
                    mode = self._mode(self.values.of(item.item))
                    if mode is not None and node is not item.item:
                        return item.item if mode == "half" else None
        return self.inside(scope.function)

    def inside(self, function: Scope) -> cst.CSTNode | None:
        """Return what makes the whole of a function run under autocast to float16: a decorator, a caller."""
        if function not in self._known:
            self._known[function] = None
            self._known[function] = self._found(function)
        return self._known[function]

    def _found(self, function: Scope) -> cst.CSTNode | None:
        for decorator in function.decorators:
            mode = self._mode(self.values.of(decorator.decorator))
            if mode is not None:
                return decorator.decorator if mode == "half" else None
        called = next((how for call in self._calls(function) if (how := self.around(call)) is not None), None)
        return self._by_trainer(function) if called is None else called

    def _by_trainer(self, function: Scope) -> cst.CSTNode | None:
        """Return the Trainer of Lightning that runs the methods of a module of the file under autocast."""
        if "Trainer" not in self.syntax.identifiers or function.owner is None:
            return None
        bases = self.values.interpreter.hierarchy.outer_bases(function.owner)
        if not any(getattr(base, "dotted", "").rsplit(".", 1)[-1] == "LightningModule" for base in bases):
            return None
        trainers = (call.node for call in self.syntax.calls.get("Trainer", ()))
        return next((node for node in trainers if _is_mixed(self.values.of(node))), None)

    def _calls(self, function: Scope) -> list[cst.CSTNode]:
        if self._callers is None:
            self._callers = {}
            interpreter = self.values.interpreter
            for key, invoked in interpreter.invocations.items():
                for callee in invoked if key in interpreter.sites else ():
                    self._callers.setdefault(callee, []).append(interpreter.sites[key][0])
        return self._callers.get(function, [])

    def _mode(self, manager: Term) -> Literal["half", "other"] | None:
        """Return what a context manager or decorator switches on; None where it is no autocast."""
        modes = {mode for option in options(manager) if (mode := _mode(option)) is not None}
        return "half" if "half" in modes else "other" if modes else None


def _mode(manager: Term) -> Literal["half", "other"] | None:
    match manager:
        case Reference(dotted="torch.amp.autocast"):
            return "half"  # `@autocast` without parentheses is of torch.cuda.amp
        case Operation(dotted="torch.amp.autocast"):
            return _mode_of_torch(manager)
        case Call(
            callee=Attribute(base=Call(callee=Reference(dotted=dotted), keywords=given), name="autocast")
        ):
            if dotted.rsplit(".", 1)[-1] != "Accelerator":
                return None
            return "half" if getattr(given.get("mixed_precision"), "value", None) == "fp16" else "other"
        case _:
            return None


def _is_mixed(trainer: Term) -> bool:
    """Whether a Trainer of Lightning was told to use float16 beside float32."""
    match trainer:
        case Call(callee=Reference(dotted=dotted), keywords=given) if "lightning" in dotted:
            return getattr(given.get("precision"), "value", None) in (16, "16", "16-mixed")
        case _:
            return False


def _mode_of_torch(manager: Operation) -> Literal["half", "other"]:
    device = manager.operands[0] if manager.operands else manager.keywords.get("device_type")
    # Formerly the first argument was `enabled`: torch.cuda.amp.autocast(args.amp), and torch.cpu.amp.autocast().
    is_text = isinstance(device, Constant) and isinstance(device.value, str)
    enabled = manager.argument("enabled", 1)
    flags = [flag for flag in (enabled, None if is_text else device) if isinstance(flag, Constant)]
    if any(flag.value is False for flag in flags):
        return "other"
    dtype = manager.argument("dtype", 0)
    if dtype is not None and not (isinstance(dtype, Constant) and dtype.value is None):
        wanted = {getattr(option, "dotted", "") for option in options(dtype)}
        return "half" if wanted & HALVES else "other"
    if isinstance(device, Constant) and is_text:
        return "half" if str(device.value).startswith("cuda") else "other"
    return "other" if "cpu" in _written(manager) else "half"


def _written(manager: Operation) -> str:
    """Return the callee as it is written: `torch.cpu.amp.autocast` has another default than that of CUDA."""
    from stablint.static.nodes import dotted_name

    return dotted_name(getattr(manager.node, "func", None))


def autocasts(source: SourceFile) -> Autocasts:
    """Return where the code of a file runs under autocast to float16; found when asked for."""
    return Autocasts(source.ask(syntax), source.ask(values))
