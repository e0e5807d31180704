"""The torch that is installed, for tests that compare with it; without it they are skipped."""

from collections.abc import Iterator
from typing import Any

import pytest

from stablint.static.torch_api import operation
from stablint.static.torch_api.data import torch_api

torch: Any = pytest.importorskip("torch")
if not torch.__version__.startswith(torch_api()["version"]):
    pytest.skip(f"the data describes torch {torch_api()['version']}", allow_module_level=True)

REFUSALS = (
    TypeError,
    RuntimeError,
    ValueError,
    AttributeError,
    IndexError,
    NotImplementedError,
    AssertionError,
)
"""What torch raises when it cannot be called so."""


def found(dotted: str) -> Any:
    """The thing of that name, None if torch has none."""
    thing: Any = torch
    for part in dotted.split(".")[1:]:
        thing = getattr(thing, part, None)
    return thing


def spellings() -> dict[str, list[str]]:
    """Every function and method that is known, by operation."""
    names: dict[str, list[str]] = {}
    for namespace, known in torch_api()["signatures"].items():
        for name in known:
            short = operation(f"{namespace}.{name}")
            if short and namespace != "torch.nn":
                names.setdefault(short, []).append(f"{namespace}.{name}")
    return names


def unary(names: list[str], x: Any) -> Iterator[tuple[str, Any]]:
    """The results of those that can be called with one tensor."""
    for dotted in names:
        try:
            result = found(dotted)(x.detach().clone())
        except REFUSALS:
            continue
        if torch.is_tensor(result):
            yield dotted, result
