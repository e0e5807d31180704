"""One short name for each tensor operation, however it is spelled."""

from functools import cache, lru_cache

from stablint.static.torch_api.data import operation_names, torch_api
from stablint.static.torch_api.names import canonical, is_public

OPERATORS = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "//": "floor_divide",
    "%": "remainder",
    "**": "pow",
    "@": "matmul",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
    "==": "eq",
    "!=": "ne",
    "&": "bitwise_and",
    "|": "bitwise_or",
    "^": "bitwise_xor",
}
"""Python's binary operators on tensors (unary `-` is "neg", `~` is "bitwise_not", `x[i]` is "getitem")."""

NAMESPACES = ("torch.Tensor", "torch.nn.functional", "torch.special", "torch.linalg", "torch.fft")


@lru_cache(maxsize=4096)
def operation(dotted: str) -> str | None:
    """The operation that a call of the name does, or a call of an instance of the layer; else None.

    "softmax" for `torch.softmax`, `torch.Tensor.softmax`, `torch.nn.functional.softmax`, `torch.nn.Softmax`.
    An in-place variant has the name of the other (`clamp_` is "clamp"). What differs by more than spelling
    stays apart (`rsub` swaps its operands). To add a spelling, add it to `operations.json`.
    """
    name = canonical(dotted)
    owner, _, last = name.rpartition(".")
    if owner == "torch.nn" or owner.startswith("torch.nn.modules"):
        return operation_names()["modules"].get(last)
    names = operation_names()["functions"]
    if name in names:
        return names[name]
    if owner in NAMESPACES or (owner == "torch" and last in _tensor_functions()):
        plain = last if last.startswith("__") else last.rstrip("_")
        return names.get(plain) or (plain if is_public(name) else None)
    return None


@cache
def _tensor_functions() -> frozenset[str]:
    return frozenset(torch_api()["tensor_functions"])
