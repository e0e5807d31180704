"""One short name for each tensor operation, however it is spelled."""

from functools import lru_cache

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
"""What Python's binary operators do to tensors (unary `-` is "neg", `~` is "bitwise_not", `x[i]` is "getitem")."""

NAMESPACES = ("torch.Tensor", "torch.nn.functional", "torch.special", "torch.linalg", "torch.fft")


@lru_cache(maxsize=4096)
def operation(dotted: str) -> str | None:
    """The operation that a call of the name does, or that an instance of the class does: "softmax" for
    `torch.softmax`, `torch.Tensor.softmax`, `torch.nn.functional.softmax`, `torch.special.softmax`, `torch.nn.Softmax`.

    In-place variants have the name of the other (`torch.Tensor.clamp_` is "clamp"). Names that differ by more than
    spelling (`rsub` swaps its operands, `addmm` adds) stay apart. To add a spelling, add it to `operations.json`.
    """  # noqa: D205
    name = canonical(dotted)
    owner, _, last = name.rpartition(".")
    names = operation_names()
    if owner == "torch.nn":
        return names["modules"].get(last)
    if not (owner in NAMESPACES or (owner == "torch" and _is_tensor_function(last))):
        return None
    plain = last if last.startswith("__") else last.rstrip("_")
    qualified = f"{owner.removeprefix('torch.')}.{plain}"
    known = names["functions"].get(qualified) or names["functions"].get(plain)
    return known or (plain if is_public(name) else None)


@lru_cache(maxsize=4096)
def _is_tensor_function(name: str) -> bool:
    return name in torch_api()["tensor_functions"] or name in operation_names()["functions"]
