"""The parameters of torch's callables, and binding the arguments of a call to them."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from stablint.static.torch_api.data import torch_api
from stablint.static.torch_api.kinds import kind
from stablint.static.torch_api.names import canonical

Argument = TypeVar("Argument")

Literal = None | bool | int | float | str | tuple["Literal", ...]

BASES = {
    "module": "torch.nn.Module",
    "loss": "torch.nn.Module",
    "optimizer": "torch.optim.Optimizer",
    "scheduler": "torch.optim.lr_scheduler.LRScheduler",
    "distribution": "torch.distributions.Distribution",
}
"""Where the methods that a class inherits are described."""

NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim", "x": "input", "a": "input", "x1": "input", "x2": "other"}
"""The spellings that torch's own argument parser takes beside the documented ones."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The default of a parameter that has one, but no literal, or a different one in each overload."""


UNKNOWN = Unknown()


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named parameter."""

    name: str
    keyword_only: bool = False
    required: bool = True
    default: Literal | Unknown = UNKNOWN
    """What holds when it is not given; says nothing while `required`."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a callable takes, without `self`."""

    parameters: tuple[Parameter, ...]
    """In order, without `*args` and `**kwargs`."""
    star: str | None = None
    """The name of `*args`, if there is one."""
    stars: str | None = None
    """The name of `**kwargs`, if there is one."""
    alternatives: tuple["Signature", ...] = field(default=())
    """Overloads that do not fit in one parameter list: `torch.max(input, dim)`, `torch.max(input, other)`."""

    def parameter(self, name: str) -> Parameter | None:
        """The parameter of that name, in this parameter list."""
        return next((one for one in self.parameters if one.name == name), None)


@lru_cache(maxsize=2048)
def signature(dotted: str) -> Signature | None:
    """The signature of a function, a class (its constructor) or a method (`torch.Tensor.sum`), if known.

    Where an old name takes other arguments than what replaced it (`torch.cuda.amp.autocast`), the signature
    is that of the name given. What an instance of a layer takes: `torch.nn.Linear.forward`.
    """
    for name in (dotted, canonical(dotted)):
        owner, _, last = name.rpartition(".")
        found = _texts(owner, last) or _texts(BASES.get(kind(owner) or "", ""), last)
        if found:
            first, *rest = map(_parsed, found)
            return Signature(first.parameters, first.star, first.stars, tuple(rest))
    return None


def _texts(owner: str, last: str) -> list[str] | None:
    signatures = torch_api()["signatures"]
    known = signatures.get(owner, {}).get(last)
    if known is None and last == "forward":
        namespace, _, name = owner.rpartition(".")
        known = signatures.get(namespace, {}).get(f"{name}.forward")
    return known


def _parsed(text: str) -> Signature:
    function = ast.parse(f"def f{text}: ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    arguments = function.args
    names = [*arguments.posonlyargs, *arguments.args]
    missing = [None] * (len(names) - len(arguments.defaults))
    pairs = zip(names, [*missing, *arguments.defaults], strict=True)
    positional = [_parameter(one.arg, default, False) for one, default in pairs]
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return Signature(
        (*positional, *(_parameter(one.arg, default, True) for one, default in keywords)),
        arguments.vararg.arg if arguments.vararg else None,
        arguments.kwarg.arg if arguments.kwarg else None,
    )


def _parameter(name: str, default: ast.expr | None, keyword_only: bool) -> Parameter:
    if default is None:
        return Parameter(name, keyword_only)
    value = ast.literal_eval(default)
    return Parameter(name, keyword_only, False, UNKNOWN if value is ... else value)


def bind(
    signature: Signature,
    positional: Sequence[Argument],
    keywords: Mapping[str, Argument],
    *,
    partial: bool = False,
) -> dict[str, Argument] | None:
    """The given arguments by parameter name, None if no overload takes them; defaults are not filled in.

    Any object can stand for an argument. What lands in `*args` has no name and is left out; what lands in
    `**kwargs` keeps its own. Of several overloads the first that takes the call wins. `partial` is for calls
    with `*xs` or `**kw`: nothing is held to be missing (and `positional` must stop before the first `*xs`).
    """
    for overload in (signature, *signature.alternatives):
        bound = _bind(overload, positional, keywords)
        if bound is not None and (partial or _is_complete(overload, bound)):
            return bound
    return None


def _bind(
    overload: Signature, positional: Sequence[Argument], keywords: Mapping[str, Argument]
) -> dict[str, Argument] | None:
    order = [one.name for one in overload.parameters if not one.keyword_only]
    if len(positional) > len(order) and overload.star is None:
        return None
    bound = dict(zip(order, positional, strict=False))
    # Where torch takes `zeros(2, 3)`, it takes `zeros(size=(2, 3))`.
    names = {one.name for one in overload.parameters} | ({overload.star} if overload.star else set())
    for given, argument in keywords.items():
        name = given if given in names else NUMPY_NAMES.get(given, given)
        if name in bound or (name not in names and overload.stars is None):
            return None
        bound[name if name in names else given] = argument
    return bound


def _is_complete(overload: Signature, bound: Mapping[str, object]) -> bool:
    return all(one.name in bound or not one.required for one in overload.parameters)
