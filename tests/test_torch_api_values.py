"""What stablint says that operations do, compared with what they do in the torch that is installed."""

from typing import Any

import pytest
from torch_installed import REFUSALS, found, spellings, torch, unary

from stablint.static.torch_api import groups, signature
from stablint.static.torch_api.data import operation_names
from stablint.static.torch_api.purity import is_pure

# Much of what is called here is deprecated; it is called because people still do.
pytestmark = pytest.mark.filterwarnings("ignore")


def test_spellings_of_one_operation_compute_the_same() -> None:
    x = torch.tensor([[0.1, 0.2], [0.3, 0.45]])
    compared = 0
    for short, names in spellings().items():
        if short in groups.CREATIONS | groups.DROPOUTS | {"rrelu"}:
            continue
        results = list(unary(names, x))
        for dotted, result in results[1:]:
            assert torch.allclose(result.double(), results[0][1].double(), equal_nan=True), (
                dotted,
                results[0][0],
            )
            compared += 1
    assert compared > 150


@pytest.mark.parametrize("short", sorted(set(operation_names()["modules"].values()) & groups.ACTIVATIONS))
def test_a_layer_computes_its_operation(short: str) -> None:
    classes = [
        found(f"torch.nn.{name}") for name, known in operation_names()["modules"].items() if known == short
    ]
    x = torch.tensor([[0.3, -0.2], [1.5, -3.0]])
    for one in classes:
        if short in ("prelu", "rrelu", "threshold"):
            continue
        layer = one()
        assert [torch.equal(result, layer(x)) for _, result in unary(spellings()[short], x)].count(False) == 0


def test_groups_say_what_operations_do_to_values() -> None:
    x = torch.tensor([[0.25, -0.5], [1.5, -3.0]])
    for short in groups.SHAPE_ONLY:
        for dotted, result in unary(spellings().get(short, []), x):
            assert set(result.float().flatten().tolist()) <= set(x.flatten().tolist()), dotted
    for short in groups.NON_NEGATIVE:
        for dotted, result in unary(spellings().get(short, []), x):
            assert not bool((result < 0).any()), dotted
    for short in groups.EXTREMES:
        for dotted, result in unary(spellings().get(short, []), x):
            assert bool((result >= x.min()).all() and (result <= x.max()).all()), dotted


def test_groups_say_what_operations_do_to_gradients() -> None:
    seen = set()
    for short in groups.NON_DIFFERENTIABLE:
        for dotted in (name for name in spellings().get(short, []) if not name.endswith("_")):
            x = torch.tensor([[0.3, 0.2], [0.5, 0.9]], requires_grad=True)
            try:
                result = found(dotted)(x)
            except REFUSALS:
                continue
            if not torch.is_tensor(result):
                continue
            seen.add(short)
            assert result.requires_grad == (short in groups.ZERO_GRADIENT), dotted
            if result.requires_grad:
                result.sum().backward()
                assert x.grad is None or not bool(x.grad.any()), dotted
    assert len(seen) > 20


def test_pure_calls_leave_their_argument_alone() -> None:
    seen = 0
    for names in spellings().values():
        for dotted in filter(is_pure, names):
            x = torch.tensor([[0.3, 0.2], [0.5, 0.9]])
            before = x.clone()
            try:
                found(dotted)(x)
            except REFUSALS:
                continue
            assert torch.equal(x, before), dotted
            seen += 1
    assert seen > 200


def test_layers_that_depend_on_the_mode_are_known() -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(*shape) for shape in ((4, 6), (4, 6, 8), (4, 6, 8, 8), (2, 6, 8, 8, 8))]
    depending = set()
    for name, short in operation_names()["modules"].items():
        for x in inputs:
            layer = layer_on(name)
            try:
                outputs = [layer.train()(x), layer.eval()(x), layer(x)]
            except REFUSALS:
                continue
            if torch.is_tensor(outputs[0]) and torch.equal(outputs[1], outputs[2]):
                differs = not torch.equal(outputs[0], outputs[1])
                assert differs == depends_on_the_mode(name), name
                depending.update([short] * differs)
    assert groups.MODE_DEPENDENT - depending == {"feature_dropout"}


def depends_on_the_mode(name: str) -> bool:
    short = operation_names()["modules"][name]
    known = signature(f"torch.nn.{name}")
    switch = known.parameter(groups.MODE_DEPENDENT_WITH.get(short, "")) if known else None
    return short in groups.MODE_DEPENDENT or (switch is not None and bool(switch.default))


def layer_on(name: str) -> Any:
    """The layer, made with as few arguments as will do."""
    for arguments in ((), (6,), (2, 6), (6, 6), (6, 6, 1), ((8,),)):
        try:
            return getattr(torch.nn, name)(*arguments)
        except REFUSALS:
            continue
    return None
