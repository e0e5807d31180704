"""Writes stablint/static/torch_api/torch_api.json (or another file) from the installed torch. Run by hand:

    python tests/tools/torch_api [FILE]

Nothing in that file is written by hand. What torch does not say itself (deprecated wrappers, short names of
operations, constructors outside torch) stands in the other files beside it.
"""

import inspect
import json
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import torch_names
import torch_sources
from torch_overloads import Overload, spelled

torch: Any = import_module("torch")

TARGET = Path(__file__).parents[3] / "stablint/static/torch_api/torch_api.json"

METHODS_OF = (
    "torch.nn.Module",
    "torch.nn.Sequential",
    "torch.nn.ModuleList",
    "torch.nn.ModuleDict",
    "torch.nn.ParameterList",
    "torch.optim.Optimizer",
    "torch.optim.LBFGS",
    "torch.optim.lr_scheduler.LRScheduler",
    "torch.optim.lr_scheduler.ReduceLROnPlateau",
    "torch.amp.GradScaler",
    "torch.distributions.Distribution",
)
UNREADABLE = {
    "torch.autograd.Variable": ["(data, requires_grad=False)"],
    "torch.einsum": ["(equation, *operands)"],
    "torch.nn.Identity": ["(*args, **kwargs)"],
    "torch.nn.functional.logsigmoid": ["(input)"],
    "torch.Tensor.to": [
        "(device=..., dtype=None, non_blocking=False, copy=False, *, memory_format=None)",
        "(dtype, non_blocking=False, copy=False, *, memory_format=None)",
        "(other, non_blocking=False, copy=False, *, memory_format=None)",
    ],
}
"""What torch takes, where no machine-readable source of it says so."""

Stubs = dict[str, list[Overload]]


def stubs_of(namespace: str) -> Stubs:
    """The stub functions by which torch describes a namespace."""
    if namespace not in ("torch", torch_names.FUNCTIONAL):
        return {}
    stubs = torch_sources.of_stub("_C/_VariableFunctions.pyi")
    if namespace == torch_names.FUNCTIONAL:
        return stubs | torch_sources.of_stub("_C/_nn.pyi") | torch_sources.of_stub("nn/functional.pyi")
    return stubs


def signatures_of(dotted: str, thing: Any, stubs: Stubs, *, drop_self: bool = False) -> list[str]:
    """The signatures of one callable, from the best source that has them."""
    if dotted in UNREADABLE:
        return UNREADABLE[dotted]
    python = [one[drop_self:] for one in torch_sources.of_object(thing)]
    found = python or stubs.get(dotted.rpartition(".")[2], [])
    if not found and dotted.startswith(("torch.linalg.", "torch.special.", "torch.fft.")):
        found = torch_sources.of_operator(thing.__name__)
    return spelled(found)


def tensor_methods() -> dict[str, list[str]]:
    """The methods of a tensor, without `self`."""
    stubs = torch_sources.of_stub("_C/__init__.pyi", within="TensorBase")
    members = {name: getattr(torch.Tensor, name) for name in dir(torch.Tensor) if not name.startswith("_")}
    found = {
        name: signatures_of(f"torch.Tensor.{name}", member, stubs, drop_self=True)
        for name, member in members.items()
        if callable(member)
    }
    return {name: texts for name, texts in found.items() if texts}


def methods(dotted: str) -> dict[str, list[str]]:
    """The public methods that a class defines itself, without `self`."""
    namespace, _, name = dotted.rpartition(".")
    found = vars(getattr(import_module(namespace), name))
    return {
        name: signatures_of(f"{dotted}.{name}", method, {}, drop_self=True) or ["(*args, **kwargs)"]
        for name, method in found.items()
        if not name.startswith("_") and inspect.isfunction(method) and name != "forward"
    }


def forward(dotted: str, thing: Any) -> list[str]:
    """What an instance of a layer is called with."""
    function = inspect.getattr_static(thing, "forward", None)
    if torch_names.kind(thing) not in ("module", "loss") or not inspect.isfunction(function):
        return []
    is_written = function is not torch.nn.Module.forward
    return signatures_of(f"{dotted}.forward", function, {}, drop_self=True) if is_written else []


def collect() -> dict[str, Any]:
    """All that the file holds."""
    signatures: dict[str, dict[str, list[str]]] = {"torch.Tensor": tensor_methods()}
    kinds: dict[str, dict[str, list[str]]] = {}
    names: dict[int, str] = {}
    for namespace in torch_names.NAMESPACES:
        stubs = stubs_of(namespace)
        for name, thing in torch_names.public(namespace):
            if id(thing) in names and namespace != torch_names.FUNCTIONAL:
                continue
            dotted, word = f"{namespace}.{name}", torch_names.kind(thing)
            found = {name: signatures_of(dotted, thing, stubs), f"{name}.forward": forward(dotted, thing)}
            signatures.setdefault(namespace, {}).update({key: texts for key, texts in found.items() if texts})
            if word:
                kinds.setdefault(namespace, {}).setdefault(word, []).append(name)
            if word or found[name]:
                names.setdefault(id(thing), dotted)
    for namespace, name, thing in torch_names.private_layers():
        kinds.setdefault(namespace, {}).setdefault(str(torch_names.kind(thing)), []).append(name)
    signatures |= {dotted: methods(dotted) for dotted in METHODS_OF}
    modules, aliases = torch_names.other_names(names)
    computing = {*dir(torch._C._VariableFunctions), *torch.functional.__all__}
    return {
        "version": torch.__version__.partition("+")[0],
        "modules": modules,
        "aliases": aliases,
        "kinds": kinds,
        "tensor_functions": sorted(computing & signatures["torch"].keys()),
        "signatures": {namespace: found for namespace, found in signatures.items() if found},
    }


def written() -> str:
    """The text of the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return json.dumps(collect(), indent=0, sort_keys=True) + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.write_text(written(), encoding="utf-8")
