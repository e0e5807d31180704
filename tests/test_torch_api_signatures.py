"""Which argument of a call is which, asked without torch."""

import pytest

from stablint.static.torch_api import UNKNOWN, Parameter, bind, signature


@pytest.mark.parametrize(
    ("dotted", "positional", "keywords", "bound"),
    [
        ("torch.softmax", "xd", {}, {"input": "x", "dim": "d"}),
        ("torch.Tensor.softmax", "d", {}, {"dim": "d"}),
        ("torch.nn.functional.dropout", "xpt", {}, {"input": "x", "p": "p", "training": "t"}),
        ("torch.sum", "x", {"axis": "d"}, {"input": "x", "dim": "d"}),
        ("torch.linalg.vector_norm", "x", {"keepdims": "k"}, {"input": "x", "keepdim": "k"}),
        ("torch.max", "x", {"other": "y"}, {"input": "x", "other": "y"}),
        ("torch.max", "x", {}, {"input": "x"}),
        ("torch.max", "xdky", {}, None),
        ("torch.where", "cxy", {}, {"condition": "c", "input": "x", "other": "y"}),
        (
            "torch.nn.LSTM",
            "ih",
            {"batch_first": "b"},
            {"input_size": "i", "hidden_size": "h", "batch_first": "b"},
        ),
        ("torch.nn.Linear", "i", {}, None),
        ("torch.nn.Linear", "i", {"in_features": "i", "out_features": "o"}, None),
        ("torch.nn.Linear", "io", {"no_such": "n"}, None),
        ("torch.nn.Linear.forward", "x", {}, {"input": "x"}),
        ("torch.nn.CrossEntropyLoss.forward", "xt", {}, {"input": "x", "target": "t"}),
        ("torch.add", "xy", {"alpha": "a"}, {"input": "x", "other": "y", "alpha": "a"}),
        ("torch.Tensor.view", "abc", {}, {}),
        ("torch.zeros", "", {"size": "s"}, {"size": "s"}),
        ("torch.arange", "e", {}, {"end": "e"}),
        ("torch.randint", "hs", {}, {"high": "h", "size": "s"}),
        ("torch.load", "f", {"encoding": "e"}, {"f": "f", "encoding": "e"}),
        ("torch.optim.SGD.zero_grad", "", {"set_to_none": "s"}, {"set_to_none": "s"}),
        ("torch.amp.autocast", "d", {}, {"device_type": "d"}),
        ("torch.cuda.amp.autocast", "e", {}, {"enabled": "e"}),
    ],
)
def test_arguments_find_their_parameters(
    dotted: str, positional: str, keywords: dict[str, str], bound: dict[str, str] | None
) -> None:
    known = signature(dotted)
    assert known is not None
    assert bind(known, positional, keywords) == bound


def test_a_partial_call_may_lack_arguments_but_not_have_wrong_ones() -> None:
    linear = signature("torch.nn.Linear")
    assert linear is not None
    assert bind(linear, ["i"], {}) is None
    assert bind(linear, ["i"], {}, partial=True) == {"in_features": "i"}
    assert bind(linear, ["i"], {"no_such": "n"}, partial=True) is None


def test_defaults_are_known_where_they_are_literals() -> None:
    dropout = signature("torch.nn.functional.dropout")
    total = signature("torch.sum")
    assert dropout is not None
    assert total is not None
    assert dropout.parameter("training") == Parameter("training", required=False, default=True)
    assert dropout.parameter("no_such") is None
    assert total.parameter("dim") == Parameter("dim", required=False, default=UNKNOWN)
    assert total.parameter("dtype") == Parameter("dtype", keyword_only=True, required=False, default=None)


@pytest.mark.parametrize("dotted", ["torch.no_such", "numpy.sum", "torch", "", "torch.nn.Linear.no_such"])
def test_what_is_not_known_has_no_signature(dotted: str) -> None:
    assert signature(dotted) is None
