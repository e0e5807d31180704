"""What is said of the sizes of tensors holds for the tensors that torch makes."""

import math
import warnings
from typing import Any

import pytest
from term_text import looked_at

from stablint.static.facts.shapes import shape
from stablint.static.facts.sizes import Shape, broadcast
from stablint.static.facts.terms import Display

KNOWN = """\
    rows, column = torch.randn(5, 6), torch.randn(5, 1)
    line, cube, index = torch.randn(5), torch.zeros(5, 7, 6), torch.zeros(5, 1).long()
    layer, wide, image = nn.Linear(6, 1), nn.Linear(6, 3), nn.Conv2d(3, 1, 3)
    net, table, cell = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU()), nn.Embedding(9, 2), nn.LSTM(6, 2)
"""


def of(code: str) -> Shape:
    (term,) = looked_at(f"def f(x, n, self):\n{KNOWN}    look({code})\n")
    return shape(term)


WHOLE = (
    "rows", "column", "line", "cube", "layer(rows)", "wide(rows).relu()", "net(rows)", "layer(rows).squeeze(-1)",
    "layer(rows).squeeze(1)", "layer(rows).squeeze()", "rows.squeeze(1)", "torch.eq(column, line)", "line.ge(column)",
    "line.unsqueeze(1)", "line.unsqueeze(-1)",
    "line.unsqueeze(0)", "line[:, None]", "line[None]", "rows[:, 0]", "rows[0]", "cube[:, -1, :]", "cube[:, -1]",
    "rows.T", "rows.t()", "cube.transpose(1, 2)", "cube.transpose(-1, 0)", "cube.permute(2, 0, 1)",
    "cube.permute((2, 0, 1))", "rows.view(3, 10)", "rows.view((10, 3))", "rows.reshape(2, 3, 5)", "rows.sum(1)",
    "rows.mean(dim=1, keepdim=True)", "rows.sum(-1)", "cube.sum((1, 2))", "cube.mean(dim=[0, 1])", "rows.sum()",
    "rows.max()", "rows.max(1)[0]", "rows.max(1)[1]", "rows.max(1).values", "torch.max(rows, 1).indices",
    "rows.min(1, True)[0]", "rows.max(dim=1, keepdim=True)[0]", "rows.argmax(1)", "rows.argmax()",
    "rows.gather(1, index)", "rows - column", "rows * 2", "column - line", "line == column", "1 - line",
    "line > 0", "rows @ torch.ones(6, 1)", "rows @ torch.ones(6)", "torch.ones(6) @ torch.ones(6)",
    "torch.mm(rows, rows.T)", "torch.cat([rows, rows])", "torch.cat((rows, column), 1)", "torch.cat([line, line])",
    "torch.stack([line, line])", "torch.stack([line, line], dim=1)", "torch.stack((line, line), -1)",
    "cube @ rows.T", "cube.transpose(1, 2) @ cube", "torch.bmm(cube, cube.permute(0, 2, 1))",
    "rows / math.sqrt(rows.size(-1))", "rows / rows.shape[-1] ** 0.5",
    "torch.zeros(3, 1)", "torch.ones((2, 2))", "torch.zeros(3)", "torch.rand(2, 1, requires_grad=True)",
    "torch.tensor([1.0, 2.0])", "torch.tensor([[1.0], [2.0]])", "torch.tensor(3.0)", "torch.zeros_like(rows)",
    "F.mse_loss(column, line)", "F.mse_loss(column, line, reduction='none')", "F.cross_entropy(rows, line.long() * 0)",
    "nn.L1Loss()(rows, rows)", "torch.where(rows > 0, rows, column)", "torch.sigmoid(layer(rows)) > 0.5",
    "rows.expand_as(rows)", "line.view_as(column)",
    "rows.new_zeros(4, 1)", "rows.new_ones((4, 1))", "column.expand(-1, 4)",
    "line.float().cuda() if n else line", "rows.detach().clone()", "table(index)",
    "rows.softmax(1)", "F.dropout(rows, 0.5)", "rows.clamp(min=0)", "rows.view(5, 6, 1)", "rows[:, :]", "rows.std(0)",
    "image(torch.zeros(2, 3, 8, 8)).sum()", "[rows, column][1]", "torch.tensor([[1, 2], [3, 4]])[0]",
)  # fmt: skip

PARTLY = {
    "rows.gather(1, n.long().unsqueeze(1).cuda())": (Shape((None, 1), True)),
    "wide(x).gather(1, n.view(-1, 1))": (Shape((None, 1), True)),
    "rows.gather(1, n)": (Shape((None, None), True)),
    "layer(x)": (Shape((1,))),
    "wide(layer(x))": (Shape((3,))),
    "image(x)": (Shape((1, None, None))),
    "cell(cube)[0]": (Shape((None, None, None), True)),
    "layer(cell(cube)[0][:, -1])": (Shape((None, 1), True)),
    "x.view(-1, 1)": (Shape((None, 1), True)),
    "x.view(n, 1, 28)": (Shape((None, 1, 28), True)),
    "x.flatten()": (Shape((None,), True)),
    "torch.flatten(x, 1)": (Shape((None, None), True)),
    "nn.Flatten()(x)": (Shape((None, None), True)),
    "torch.mm(x, x)": (Shape((None, None), True)),
    "torch.bmm(x, x.unknown())": (Shape((None, None, None), True)),
    "torch.einsum('bqd,bkd->bqk', x, x)": (Shape((None, None, None), True)),
    "torch.arange(n)": (Shape((None,), True)),
    "torch.zeros(n, 1)": (Shape((None, 1), True)),
    "torch.tensor([float(one) for one in x])": (Shape((None,), True)),
    "torch.stack([line for one in x])": (Shape((None, 5), True)),
    "torch.cat([rows for one in x])": (Shape((None, 6), True)),
    "line if n else column[:, 0][:3]": (Shape((None,), True)),
    "rows[1:]": (Shape((None, 6), True)),
    "layer(x).sigmoid() * 2": (Shape((1,))),
    "x * layer(x)": (Shape((None,))),
}

NOT_KNOWN = (
    "x", "x.squeeze()", "x[0]", "x.view(n)", "x.view(*n)", "x.sum(1)", "layer(x)[:, 0]", "layer(x).squeeze(1)",
    "rows[rows > 0]", "rows[..., 0]", "rows.sum(n)", "rows.sum(1, keepdim=n)", "torch.zeros(n)", "x @ line",
    "torch.max(rows, rows)", "torch.cat([rows, x])", "torch.cat(x)", "self.x", "unknown(rows)", "rows.norm(x)",
    "torch.einsum('...i->...', rows)", "torch.einsum(n, rows)", "rows.size()", "cube @ x", "x @ x",
    "F.mse_loss(x, line, reduction=n)", "rows.unknown()", "rows.topk(2)[0]", "wide(x).max(1)[0]",
)  # fmt: skip


@pytest.mark.parametrize("code", WHOLE)
def test_all_sizes_are_those_of_torch(code: str) -> None:
    torch: Any = pytest.importorskip("torch")
    space: dict[str, Any] = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "n": 0, "math": math}
    lines = [line.strip() for line in KNOWN.splitlines()]
    exec("\n".join(lines), space)
    with warnings.catch_warnings(action="ignore"):
        made = eval(code, space)
    told = of(code)
    assert told.is_whole
    assert len(told.sizes) == made.dim()
    assert all(size in (None, real) for size, real in zip(told.sizes, made.shape, strict=True))
    assert made.dim() == 0 or [size for size in told.sizes if size is not None]


@pytest.mark.parametrize("code", PARTLY)
def test_of_what_is_not_known_layers_and_views_say_something(code: str) -> None:
    assert of(code) == PARTLY[code]


@pytest.mark.parametrize("code", NOT_KNOWN)
def test_nothing_is_made_up(code: str) -> None:
    assert of(code) == Shape()


def test_what_layers_are_given_may_be_taken_for_rows() -> None:
    (term,) = looked_at(
        f"def f(x, n):\n{KNOWN}    look([wide(x).max(1)[0], wide(x).gather(1, n.unsqueeze(1)), x])\n"
    )
    assert isinstance(term, Display)
    assert [shape(item, rows=True) for item in term.items] == [
        Shape((None,), True),
        Shape((None, 1), True),
        Shape(),
    ]


def test_batches_are_rows_of_the_tensors_in_the_dataset() -> None:
    terms = looked_at(
        "from torch.utils.data import DataLoader, TensorDataset\n"
        "loader = DataLoader(TensorDataset(torch.randn(9, 3), torch.randn(9)), batch_size=4)\n"
        "for x, y in loader:\n    look(x, y)\n"
        "for x, y in DataLoader(unknown):\n    look(x, y)\n"
    )
    assert [shape(term) for term in terms] == [
        Shape((None, 3), True),
        Shape((None,), True),
        Shape(),
        Shape(),
    ]


def test_one_element_takes_the_size_of_the_other() -> None:
    assert broadcast([Shape((4, 1), True), Shape((3,), True)]) == Shape((4, 3), True)
    assert broadcast([Shape((None, 1), True), Shape((None,), True)]) == Shape((None, None), True)
    assert broadcast([Shape((1,)), Shape((), True)]) == Shape((1,))
    assert broadcast([Shape((1,)), Shape()]) == Shape((None,))


ARRAYS = {
    'torch.tensor(table["price"].values)': Shape((None,), True),
    'torch.from_numpy(table.dropna()["price"].to_numpy())': Shape((None,), True),
    'torch.Tensor(table["price"].values.astype(np.float32)).unsqueeze(1)': Shape((None, 1), True),
    'torch.tensor(table[["price"]].values)': Shape(),
    'torch.tensor(other["price"].values)': Shape(),
    "torch.from_numpy(ys)": Shape((None,), True),
    "torch.from_numpy(xs)": Shape(),
    "torch.FloatTensor(held)": Shape((None,), True),
    "torch.FloatTensor(held.reshape(-1, 1))": Shape((None, 1), True),
    "torch.from_numpy(np.random.rand(9, 1))": Shape((9, 1), True),
    "torch.from_numpy(np.zeros((9, 1)))": Shape((9, 1), True),
    "torch.from_numpy(np.random.rand(n))": Shape(),
    "torch.from_numpy(np.linspace(0, 1, n)).float()": Shape((None,), True),
    "torch.tensor(np.array([1.0, 2.0]))": Shape((2,), True),
    "torch.from_numpy(np.unknown(3))": Shape(),
    'torch.tensor(train_test_split(table, table["price"])[3].values)': Shape((None,), True),
    'torch.tensor(train_test_split(table, table[["price"]])[3].values)': Shape(),
    "torch.tensor(load_diabetes().target)": Shape((None,), True),
    'torch.tensor(load_diabetes()["target"].astype(np.float32))': Shape((None,), True),
    "torch.tensor(load_diabetes(return_X_y=True)[1])": Shape((None,), True),
    "torch.tensor(load_diabetes().data)": Shape(),
}


@pytest.mark.parametrize("code", ARRAYS)
def test_arrays_of_other_libraries(code: str) -> None:
    (term,) = looked_at(
        "import numpy as np\nimport pandas as pd\nfrom sklearn.datasets import load_diabetes, make_regression\n"
        "from sklearn.model_selection import train_test_split\n"
        "table = pd.read_csv('houses.csv')\nxs, ys = make_regression(n_samples=99)\n"
        f"kept, rest, shown, held = train_test_split(xs, ys)\nlook({code})\n"
    )
    assert shape(term) == ARRAYS[code]
