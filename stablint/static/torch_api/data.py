"""The data files of this package, read when first asked for."""

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from stablint.static.torch_api.kinds import Kind


class TorchApi(TypedDict):
    """What `torch_api.json` holds; written by `tests/tools/torch_api`, never by hand."""

    version: str
    """The torch it was made from."""
    modules: dict[str, str]
    """Module -> the namespace where its names are public."""
    aliases: dict[str, str]
    """Name -> public name, where `modules` does not say it."""
    kinds: "dict[str, dict[Kind, list[str]]]"
    """Namespace -> kind -> names of classes."""
    tensor_functions: list[str]
    """The functions directly in `torch` that compute tensors."""
    signatures: dict[str, dict[str, list[str]]]
    """Namespace -> name -> parameter lists as Python spells them, the widest first."""


class OperationNames(TypedDict):
    """What `operations.json` holds; written by hand."""

    functions: dict[str, str]
    """Another spelling -> short name; a full name where the bare word means something else elsewhere."""
    modules: dict[str, str]
    """Class of `torch.nn` -> what its instances do."""


class ThirdParty(TypedDict):
    """What `third_party.json` holds; written by hand."""

    names: "dict[str, Kind | None]"
    patterns: "dict[str, Kind | None]"


@cache
def torch_api() -> TorchApi:
    """The generated description of torch."""
    api: TorchApi = _read("torch_api.json")
    return api


@cache
def operation_names() -> OperationNames:
    """The hand-written short names of operations."""
    names: OperationNames = _read("operations.json")
    return names


@cache
def third_party() -> ThirdParty:
    """The hand-written kinds of constructors outside torch."""
    table: ThirdParty = _read("third_party.json")
    return table


def _read(name: str) -> Any:
    return json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))
