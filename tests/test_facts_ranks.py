"""How many dimensions a tensor has, where the code shows it."""

import pytest
from term_text import looked_at

from stablint.static.facts.ranks import rank

KNOWN = """\
    flat, square, cube = x.view(-1), x.view(-1, 320), x.reshape(2, 3, 4)
"""

TABLE = {
    # what is not known
    "x": None, "x.view(*y)": None, "x.view(n)": None, "x.unknown()": None, "x[0]": None, "x + square": None,
    "square[y]": None, "x.view(y.size()[:-1] + (4,))": None, "square.squeeze()": None, "'text'": None,
    # told so
    "x.view(-1)": 1, "x.view(x.size(0), -1)": 2, "x.reshape((2, 3, n))": 3, "x.view(cube.size())": 3,
    "x.view(cube.shape)": 3, "torch.reshape(x, (2, n))": 2, "x.permute(0, 2, 1)": 3, "torch.zeros(3, n)": 2,
    "torch.zeros((3, n, 1))": 3, "torch.randn(3)": 1, "torch.zeros_like(square)": 2, "x.flatten(1)": 2,
    "torch.flatten(x)": 1, "nn.Flatten()(x)": 2, "nn.Flatten(2)(x)": None, "x.flatten(0, 1)": None,
    "torch.einsum('bij,bjk->bik', x, y)": 3, "torch.einsum('...i->...', x)": None, "torch.mm(x, y)": 2,
    "torch.bmm(x, y)": 3, "nn.Conv2d(3, 4, 1)(x)": 4, "nn.Conv2d(3, 4, 1)(cube)": 3,
    # kept
    "F.relu(nn.Linear(3, 4)(square))": 2, "nn.Dropout()(cube).float()": 3, "square.t()": 2,
    "torch.cat([square, x], dim=1)": 2, "cube.transpose(0, 1)": 3, "square.clone().data": 2,
    # more and fewer
    "square.unsqueeze(1)": 3, "torch.stack([square, square])": 3, "cube[0]": 2, "cube[:, 0]": 2, "cube[:, None]": 4,
    "cube[:, -1, :]": 2, "cube.sum()": 0, "cube.sum(1)": 2, "cube.mean(dim=(1, 2))": 1,
    "cube.sum(-1, keepdim=True)": 3, "cube.mean(1, n)": None, "nn.Embedding(3, 4)(square)": 3,
    "cube.max(1)[0]": None,
    # of several
    "cube + square": 3, "cube * 2": 3, "cube / math.sqrt(n)": 3, "cube / cube.size(-1) ** 0.5": 3,
    "cube / cube.shape[-1]": 3, "square @ square": 2, "cube @ square": 3, "square @ x": None,
    "square if n else flat": None, "square if n else x.flatten(1)": 2,
}  # fmt: skip


@pytest.mark.parametrize("code", TABLE)
def test_the_number_of_dimensions(code: str) -> None:
    (term,) = looked_at(f"def f(x, y, n):\n{KNOWN}    look({code})\n")
    assert rank(term) == TABLE[code]


def test_the_elements_of_an_iteration_have_one_less() -> None:
    (term,) = looked_at("def f(x):\n    for row in x.view(2, 3, 4):\n        look(row)\n")
    assert rank(term) == 2


def test_a_tensor_that_is_made_of_itself() -> None:
    (term,) = looked_at(
        "def f(x, n):\n    x = x.view(2, 3)\n    for i in range(n):\n        x = x + x\n    look(x)\n"
    )
    assert rank(term) in (2, None)
