"""Writes stablint/static/torch_api/torch_api.json from the installed torch. Run by hand, with torch installed:

    python tests/tools/generate_torch_api.py

Nothing in the file is written by hand. What torch does not say itself (deprecated wrappers, short names of
operations, third-party constructors) stands in the other data and modules of the package.
"""

import inspect
import json
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import torch_signatures as read

torch = read.torch
TARGET = Path(__file__).parents[2] / "stablint/static/torch_api/torch_api.json"

NAMESPACES = (
    # Where two of them hold the same object, the earlier one gives it its public name.
    "torch.amp", "torch", "torch.nn", "torch.nn.init", "torch.nn.utils", "torch.nn.utils.rnn",
    "torch.nn.utils.parametrizations", "torch.nn.utils.parametrize", "torch.nn.parallel", "torch.nn.attention",
    "torch.optim", "torch.optim.lr_scheduler", "torch.optim.swa_utils", "torch.utils.data",
    "torch.utils.data.distributed", "torch.utils.checkpoint", "torch.linalg", "torch.special", "torch.fft",
    "torch.autograd", "torch.autograd.functional", "torch.distributions", "torch.func", "torch.jit",
    "torch.cuda", "torch.cuda.amp", "torch.cpu.amp", "torch.nn.functional",
)  # fmt: skip
METHODS_OF = (
    "torch.nn.Module", "torch.optim.Optimizer", "torch.optim.LBFGS", "torch.optim.lr_scheduler.LRScheduler",
    "torch.optim.lr_scheduler.ReduceLROnPlateau", "torch.amp.GradScaler", "torch.distributions.Distribution",
    "torch.nn.Sequential", "torch.nn.ModuleList", "torch.nn.ModuleDict", "torch.nn.ParameterList",
)  # fmt: skip
BACKENDS = ("cudnn_", "miopen_", "mkldnn_", "fbgemm_", "quantized_", "fake_quantize_", "sym_", "native_", "q_")
UNREADABLE = {
    "torch.autograd.Variable": ["(data, requires_grad=False)"],
    "torch.einsum": ["(equation, *operands)"],
    "torch.Tensor.to": ["(device=..., dtype=None, non_blocking=False, copy=False, *, memory_format=None)",
                        "(dtype, non_blocking=False, copy=False, *, memory_format=None)",
                        "(other, non_blocking=False, copy=False, *, memory_format=None)"],
}  # fmt: skip
"""Corrections: torch accepts more, or other, than any machine-readable source of it says."""


def public(namespace: str) -> Iterator[tuple[str, Any]]:
    """The public functions and classes of a namespace that are torch's own."""
    module = import_module(namespace)
    for name in dir(module):
        thing = getattr(module, name)
        if name.startswith("_") or not callable(thing) or name.startswith(BACKENDS):
            continue
        home = getattr(thing, "__module__", None) or "torch"
        if not home.startswith("torch") or home in ("torch.overrides", "torch._jit_internal", "torch.types"):
            continue
        if namespace == "torch.nn.functional" and (inspect.isclass(thing) or home == "torch._C"):
            continue
        yield name, thing


def kind(thing: Any) -> str | None:
    """What a call of the class makes."""
    if not inspect.isclass(thing):
        return "function"
    if issubclass(thing, torch.nn.Module):
        return "loss" if thing.__name__.endswith(("Loss", "Loss2d")) else "module"
    for base, word in (
        (torch.optim.Optimizer, "optimizer"),
        (torch.optim.lr_scheduler.LRScheduler, "scheduler"),
        (torch.amp.GradScaler, "scaler"),
        (torch.utils.data.DataLoader, "loader"),
        (torch.utils.data.Dataset, "dataset"),
        (torch.utils.data.Sampler, "sampler"),
        (torch.distributions.Distribution, "distribution"),
        (torch.nn.Parameter, "parameter"),
        (torch.nn.parameter.UninitializedTensorMixin, "parameter"),
        (torch.nn.Buffer, "buffer"),
        (torch.amp.autocast, "autocast"),
        (torch.autograd.grad_mode._DecoratorContextManager, "context"),
    ):
        if issubclass(thing, base):
            return word
    return None


def overloads(namespace: str, name: str, thing: Any, stubs: dict[str, list[read.Overload]]) -> list[str]:
    """The signatures of one callable, spelled."""
    dotted = f"{namespace}.{name}"
    if dotted in UNREADABLE:
        return UNREADABLE[dotted]
    found = read.of_object(thing) or stubs.get(name, [])
    if not found and namespace in ("torch.linalg", "torch.special", "torch.fft"):
        found = read.of_operator(thing.__name__)
    return [read.spelled(one) for one in read.merged(found)]


def stubs_of(namespace: str) -> dict[str, list[read.Overload]]:
    """The stub functions by which torch describes a namespace."""
    everything = read.of_stub("_C/_VariableFunctions.pyi")
    if namespace == "torch":
        return everything
    if namespace == "torch.nn.functional":
        return everything | read.of_stub("_C/_nn.pyi") | read.of_stub("nn/functional.pyi")
    return {}


def tensor_methods() -> dict[str, list[str]]:
    """The methods of a tensor, without `self`."""
    stubs = read.of_stub("_C/__init__.pyi", within="TensorBase")
    found: dict[str, list[str]] = {}
    for name in dir(torch.Tensor):
        if name.startswith("_") or not callable(getattr(torch.Tensor, name)):
            continue
        known = UNREADABLE.get(f"torch.Tensor.{name}")
        python = [one[1:] for one in read.of_object(getattr(torch.Tensor, name))]
        merged = read.merged(python or stubs.get(name, []))
        if known or merged:
            found[name] = known or [read.spelled(one) for one in merged]
    return found


def methods(owner: Any) -> dict[str, list[str]]:
    """The public methods that a class defines itself, without `self`."""
    found: dict[str, list[str]] = {}
    for name, method in vars(owner).items():
        if name.startswith("_") or not inspect.isfunction(method) or name == "forward":
            continue
        whole = [one[1:] for one in read.of_object(method)]
        found[name] = [read.spelled(one) for one in read.merged(whole)] or ["(*args, **kwargs)"]
    return found


def forwards(name: str, thing: Any) -> dict[str, list[str]]:
    """What an instance of a layer is called with."""
    if not (inspect.isclass(thing) and issubclass(thing, torch.nn.Module)):
        return {}
    forward = inspect.getattr_static(thing, "forward")
    if not inspect.isfunction(forward) or forward is torch.nn.Module.forward:
        return {}
    whole = [one[1:] for one in read.of_object(forward)]
    return {f"{name}.forward": [read.spelled(one) for one in read.merged(whole)]} if whole else {}


def homes(names: dict[int, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Modules whose names live elsewhere in public, and the single names that live elsewhere than their module's."""
    trees = ("torch.nn.modules", "torch.nn.utils", "torch.nn.parallel", "torch.nn.parameter", "torch.optim",
             "torch.utils.data", "torch.amp", "torch.cuda.amp", "torch.cpu.amp", "torch.autograd", "torch.functional",
             "torch.distributions", "torch.random", "torch.serialization", "torch.jit", "torch.nn", "torch.func",
             "torch.utils", "torch.linalg", "torch.special", "torch.fft", "torch.cuda")  # fmt: skip
    pairs: dict[str, dict[str, str]] = {}
    for module_name, module in sorted(sys.modules.items()):
        parts = module_name.split(".")
        if module is None or any(part.startswith("_") for part in parts) or module_name == "torch.nn.functional":
            continue
        if not any(module_name == tree or module_name.startswith(tree + ".") for tree in trees):
            continue
        for name, thing in vars(module).items():
            home = names.get(id(thing), "") if not name.startswith("_") or name == "_LRScheduler" else ""
            defined = str(getattr(thing, "__module__", ""))
            inside = defined == module_name or defined.startswith(module_name + ".") or "__init__" in str(getattr(module, "__file__", ""))
            if home and home != f"{module_name}.{name}" and inside:
                pairs.setdefault(module_name, {})[name] = home
    moved: dict[str, str] = {}
    single: dict[str, str] = {}
    public_names = set(names.values())
    for module_name, found in pairs.items():
        targets = [home.rpartition(".")[0] for name, home in found.items() if home.endswith(f".{name}")]
        best = max(set(targets), key=lambda one: (targets.count(one), one), default="")
        is_public = any(name.startswith(f"{module_name}.") for name in public_names) or module_name in NAMESPACES
        clash = any(
            f"{best}.{name}" in public_names and names.get(id(thing)) != f"{best}.{name}"
            for name, thing in vars(sys.modules[module_name]).items()
        )
        if best and not is_public and not clash:
            moved[module_name] = best
        single |= {
            f"{module_name}.{name}": home for name, home in found.items() if moved.get(module_name, "?") + f".{name}" != home
        }
    return moved, single


def collect() -> dict[str, Any]:
    """The whole file."""
    signatures: dict[str, dict[str, list[str]]] = {"torch.Tensor": tensor_methods()}
    kinds: dict[str, dict[str, list[str]]] = {}
    names: dict[int, str] = {}
    for namespace in NAMESPACES:
        stubs = stubs_of(namespace)
        for name, thing in public(namespace):
            word = kind(thing)
            spelled = overloads(namespace, name, thing, stubs)
            if id(thing) in names and namespace != "torch.nn.functional":
                continue
            if spelled:
                signatures.setdefault(namespace, {})[name] = spelled
                signatures[namespace] |= forwards(name, thing)
            if word and (spelled or word != "function"):
                kinds.setdefault(namespace, {}).setdefault(word, []).append(name)
            if spelled or (word and word != "function"):
                names.setdefault(id(thing), f"{namespace}.{name}")
    for dotted in METHODS_OF:
        namespace, _, name = dotted.rpartition(".")
        signatures[dotted] = methods(getattr(import_module(namespace), name))
    moved, single = homes(names)
    tensor_functions = {*dir(torch._C._VariableFunctions), *torch.functional.__all__} & signatures["torch"].keys()
    for found in kinds.values():
        found.pop("function", None)
    return {
        "version": torch.__version__.split("+")[0],
        "modules": moved,
        "aliases": single,
        "kinds": {namespace: found for namespace, found in kinds.items() if found},
        "tensor_functions": sorted(tensor_functions),
        "signatures": signatures,
    }


def main() -> None:
    """Write the file."""
    warnings.simplefilter("ignore")
    TARGET.write_text(json.dumps(collect(), indent=0, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
