"""Where one rule has several severities: what decides between them."""

import pytest

from stablint.registry import find_rule, load_rules
from stablint.rule import StaticRule
from stablint.static.examine import examine
from stablint.static.source import SourceFile

RECURRENT = """\
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self, p=0.1, **options):
        super().__init__()
        self.rnn = LAYER
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        out, _ = self.rnn(x)
        return self.head(out[:, -1, :])

def train(loader, val_loader):
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(10):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            print(sum(F.cross_entropy(model(x), y).item() for x, y in val_loader))
"""


def severities(name: str, code: str) -> list[str]:
    rule = find_rule(name, load_rules())()
    assert isinstance(rule, StaticRule)
    return [found.severity.value for found in examine(SourceFile("case.py", code.encode()), [rule])]


@pytest.mark.parametrize(
    ("layer", "severity"),
    [
        ("nn.LSTM(8, 8, 2, batch_first=True)", "note"),
        ("nn.GRU(8, 8, dropout=0)", "note"),
        ("nn.LSTM(8, 8, 2, True, True, 0.5)", "warning"),
        ("nn.GRU(8, 8, 2, dropout=p)", "warning"),
        ("nn.LSTM(**options)", "warning"),
    ],
)
def test_a_recurrent_layer_heeds_its_mode_where_it_has_dropout(layer: str, severity: str) -> None:
    assert severities("eval-mode-not-restored", RECURRENT.replace("LAYER", layer)) == [severity]


SAMPLED = """\
import torch
from torch import nn

class Scores(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(8, 8)

    def METHOD(self, x):
        return torch.log(torch.softmax(self.out(x), dim=1))

@torch.no_grad()
def sample(x):
    return CALL.argmax(1)
"""


@pytest.mark.parametrize(
    ("method", "call", "severity"),
    [("forward", "Scores()(x)", "error"), ("choose", "Scores().choose(x)", "note")],
)
def test_a_model_that_a_file_only_samples_from_is_trained_elsewhere(
    method: str, call: str, severity: str
) -> None:
    code = SAMPLED.replace("METHOD", method).replace("CALL", call)
    assert severities("log-of-softmax", code) == [severity]


OPTIONAL = """\
import torch
import torch.nn.functional as F
from torch import nn

def token_loss(logits, labels, reduction="sum", average=False):
    losses = F.cross_entropy(logits, labels, reduction="none")
    mask = labels > 0
    if average:
        return (losses * mask).sum() / mask.sum()
    if reduction == "mean":
        return losses[mask].mean()
    return losses[mask].sum()

def train(model, x, y, mode):
    token_loss(model(x), y, OPTION).backward()
"""


@pytest.mark.parametrize(
    ("option", "average", "division"),
    [
        ("", "note", "note"),
        ("'mean'", "warning", "note"),
        ("average=False", "note", "note"),
        ("reduction=mode", "warning", "note"),
        ("average=True", "note", "warning"),
        ("average=mode == 'mean'", "note", "warning"),
    ],
)
def test_what_only_an_option_leads_to_is_a_note_unless_it_is_given(
    option: str, average: str, division: str
) -> None:
    code = OPTIONAL.replace("OPTION", option)
    assert severities("mean-over-empty-selection", code) == [average]
    assert severities("unguarded-division", code) == [division]


LENET = """\
import torch
from torch import nn

class NAME(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.Sigmoid(), nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.Flatten(),
            nn.Linear(256, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10),
        )

    def forward(self, x):
        return self.net(x)
"""


@pytest.mark.parametrize(("name", "severity"), [("LeNet5", "note"), ("Digits", "warning")])
def test_the_sigmoids_of_a_historical_network_are_a_note(name: str, severity: str) -> None:
    assert severities("sigmoid-in-deep-stack", LENET.replace("NAME", name)) == [severity]


@pytest.mark.parametrize(("name", "severity"), [("softmax_naive", "note"), ("attention", "warning")])
def test_what_calls_itself_naive_is_a_note(name: str, severity: str) -> None:
    code = f"import torch\ndef {name}(x):\n    return torch.exp(x) / torch.exp(x).sum(0)\n"
    assert severities("naive-log-sum-exp", code) == [severity]


OWN_TRAIN = """\
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 8), LAYER, nn.Linear(8, 1))

    def forward(self, x):
        return self.layers(x)

    def train(self, x, y, optimizer):
        optimizer.zero_grad()
        nn.functional.mse_loss(self(x), y).backward()
        optimizer.step()
"""


@pytest.mark.parametrize(("layer", "severity"), [("nn.ReLU()", "note"), ("nn.Dropout()", "warning")])
def test_a_train_of_its_own_harms_layers_with_a_mode(layer: str, severity: str) -> None:
    assert severities("eval-mode-not-restored", OWN_TRAIN.replace("LAYER", layer)) == [severity]


SELECTED = """\
import torch
import torch.nn.functional as F

def step(model, x, y, ignore_index=-100):
    out, chosen = model(x), TEST
    F.cross_entropy(out[chosen], y[chosen]).backward()
"""


@pytest.mark.parametrize(
    ("test", "severity"),
    [("y > 0", "warning"), ("y != 3", "warning"), ("y != -100", "note"), ("y.ne(ignore_index)", "note")],
)
def test_what_only_leaves_out_ignored_labels_is_seldom_empty(test: str, severity: str) -> None:
    assert severities("mean-over-empty-selection", SELECTED.replace("TEST", test)) == [severity]


LINEAR = """\
from torch import nn

class NAME(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4))

    def forward(self, x):
        return self.layers(x)
"""


@pytest.mark.parametrize(("name", "severity"), [("Encoder", "warning"), ("DummyEncoder", "note")])
def test_a_dummy_without_activations_is_a_note(name: str, severity: str) -> None:
    assert severities("missing-nonlinearity", LINEAR.replace("NAME", name)) == [severity]


@pytest.mark.parametrize(
    ("factors", "severity"),
    [("torch.softmax(x, dim=-1)", "warning"), ("torch.exp(-((x - model.centre) ** 2))", "note")],
)
def test_a_product_of_kernels_is_a_note(factors: str, severity: str) -> None:
    code = f"import torch\n\ndef weight(model, x):\n    return ({factors}).prod(dim=-1)\n"
    assert severities("product-of-probabilities", code) == [severity]


@pytest.mark.parametrize(
    ("scaled", "severity"),
    [
        ("s * s.square().mean().rsqrt()", "note"),
        ("s / s.pow(2).sum().sqrt()", "note"),
        ("s * s.square().mean(-1, keepdim=True).rsqrt()", "warning"),
        ("w * s.square().mean().rsqrt()", "warning"),
        ("(s - w) / (s - w).square().mean().sqrt()", "warning"),
    ],
)
def test_a_tensor_scaled_by_all_its_squares_is_a_note(scaled: str, severity: str) -> None:
    code = f"import torch\nfrom torch import nn\ndef scaled(s: torch.Tensor, w: torch.Tensor):\n    return {scaled}\n"
    assert severities("unguarded-sqrt-grad", code) == [severity]
