"""What optimizers are given: of which modules they take the parameters."""

import pytest
from term_text import read

from stablint.static import facts
from stablint.static.facts import optimised

GIVEN = {
    "a.parameters()": (1, True),
    "list(a.parameters()) + list(b.parameters())": (2, True),
    "itertools.chain(a.parameters(), b.parameters())": (2, True),
    "[{'params': a.parameters()}, {'params': b.parameters(), 'lr': 0.1}]": (2, True),
    "[p for p in a.parameters() if p.requires_grad]": (1, False),
    "groups_of(a)": (0, False),
    "[w]": (0, False),
}


@pytest.mark.parametrize("code", GIVEN)
def test_what_an_optimizer_takes(code: str) -> None:
    source = read(
        f"import itertools\nimport torch\ndef f(a, b, w, groups_of):\n    return torch.optim.SGD({code}, lr=1.0)"
    )
    ((_, optimizer),) = source.ask(facts.optimizers)
    given = optimised.given(optimizer)
    assert given is not None
    assert (len(list(optimised.taken(given))), optimised.is_all_known(given)) == GIVEN[code]


def test_the_optimizers_that_a_function_has() -> None:
    source = read(
        "import torch\ndef make(m):\n    return m, torch.optim.SGD(m.parameters(), lr=1.0)\n"
        "def go(a, b):\n    own = torch.optim.SGD(a.parameters(), lr=1.0)\n    b, other = make(b)\n    again = own\n"
    )
    scopes = {scope.name: scope for scope in source.ask(facts.syntax).functions}
    assert [len(optimised.optimizers_of(source, scopes[name])) for name in ("make", "go")] == [1, 2]
