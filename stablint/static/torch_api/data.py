"""The data files of this package, read when first asked for."""

import json
from functools import cache
from pathlib import Path
from typing import Any, TypedDict


class TorchApi(TypedDict):
    """What `torch_api.json` holds; written by `tests/tools/generate_torch_api.py`, never by hand."""

    version: str
    """The torch it was made from."""
    modules: dict[str, str]
    """Module -> the namespace where its names are public."""
    aliases: dict[str, str]
    """Name -> public name, where `modules` does not say it."""
    kinds: dict[str, dict[str, list[str]]]
    """Namespace -> kind -> names of classes."""
    tensor_functions: list[str]
    """The functions directly in `torch` that compute tensors."""
    signatures: dict[str, dict[str, list[str]]]
    """Namespace -> name -> parameter lists as Python spells them, the widest first."""


@cache
def torch_api() -> TorchApi:
    """The generated description of torch."""
    api: TorchApi = _read("torch_api.json")
    return api


@cache
def operation_names() -> dict[str, dict[str, str]]:
    """The hand-written short names: `functions` (spelling -> name) and `modules` (torch.nn class -> name)."""
    tables: dict[str, dict[str, str]] = _read("operations.json")
    return tables


@cache
def third_party() -> dict[str, dict[str, str]]:
    """The hand-written kinds of constructors outside torch: dotted name or pattern with `*` -> kind."""
    tables: dict[str, dict[str, str]] = _read("third_party.json")
    return tables


def _read(name: str) -> Any:
    return json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))
