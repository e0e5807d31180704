"""Iterators over parameters that can be gone through once, and what goes through them."""

import pytest
from term_text import looks, read

from stablint.static import facts
from stablint.static.facts import iterators

ONE_SHOT = {
    "model.parameters()": 1,
    "filter(None, model.parameters())": 2,
    "(p for p in model.parameters() if p.requires_grad)": 2,
    "itertools.chain(a.parameters(), b.parameters())": 3,
    "zip(model.parameters(), other)": 2,
    "(p for group in optimizer.param_groups for p in group['params'])": 1,
    "[p for p in model.parameters()]": 0,
    "list(model.parameters())": 0,
    "filter(None, lines)": 0,
    "model.parameters() if flag else [weight]": 0,
    "model.parameters() if flag else filter(None, model.parameters())": 3,
}


@pytest.mark.parametrize("code", ONE_SHOT)
def test_what_can_be_gone_through_once(code: str) -> None:
    source = read(
        f"import itertools\ndef f(model, other, optimizer, a, b, lines, flag, weight):\n    look({code})"
    )
    (site,) = looks(source)
    assert len(iterators.makers(source.ask(facts.values).raw(site.node.args[0].value))) == ONE_SHOT[code]


CONSUMERS = {
    "torch.optim.SGD(params, lr=1)": "optimizer",
    "torch.optim.SGD([{'params': params}], lr=1)": "param_groups",
    "clip_grad_norm_(params, 1)": "clip_grad_norm_",
    "sum(p.sum() for p in params)": "sum",
    "[p for p in params]": "comprehension",
    "walk(params)": "walk",
    "f(*params)": "*",
    "next(params)": "next",
    "other(params)": None,
    "print(params)": None,
}


@pytest.mark.parametrize("code", CONSUMERS)
def test_what_goes_through_an_iterator(code: str) -> None:
    source = read(
        "import torch\nfrom torch.nn.utils import clip_grad_norm_\n"
        "def walk(given):\n    for p in given: print(p)\n"
        f"def g(model, f, other):\n    params = model.parameters()\n    {code}\n"
    )
    found = [one.how for one in source.ask(facts.consumptions) if one.held.binding is not None]
    assert found == ([CONSUMERS[code]] if CONSUMERS[code] else [])


def test_two_names_of_one_line_and_one_name_of_two_branches() -> None:
    source = read(
        "def f(a, b, flag):\n    x, y = a.parameters(), b.parameters()\n    sum(x)\n    list(y)\n"
        "    if flag: z = a.parameters()\n    else: z = filter(None, a.parameters())\n    sum(z)\n"
    )
    held = [one.held for one in source.ask(facts.consumptions)]
    assert [len(one.makers) for one in held] == [1, 1, 3]
    assert [one.is_single for one in held] == [True, True, False]
