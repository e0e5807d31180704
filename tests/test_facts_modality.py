"""Whether a model computes something else in train mode."""

import pytest
from term_text import looks, read

from stablint.static import facts
from stablint.static.facts.modality import heeds_mode

SETUP = """
import torchvision
import elsewhere
from torch_geometric.nn.models import AttentiveFP
class Plain(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc = nn.Linear(n, n)
    def forward(self, x):
        return F.relu(self.fc(x[:, :5]))
class Functional(Plain):
    def forward(self, x):
        return F.dropout(self.fc(x), 0.5, training=self.training)
class Always(Plain):
    def forward(self, x):
        return F.dropout(self.fc(x), 0.5)
class Deep(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.blocks = nn.ModuleList([Block(n) for _ in range(n)])
    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x
class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.norm = nn.BatchNorm1d(n)
    def forward(self, x):
        return self.norm(x)
class Unclear(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body
    def forward(self, x):
        return self.body(x)
class Endless(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.next = Endless(n - 1) if n else None
    def forward(self, x):
        return x
"""

MODELS = {
    "Plain(4)": False,
    "Functional(4)": True,
    "Always(4)": False,
    "Deep(4)": True,
    "Unclear(body)": None,
    "Endless(3)": False,
    "nn.Sequential(nn.Linear(4, 4), nn.ReLU())": False,
    "nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1))": True,
    "nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.0))": False,
    "nn.Sequential(nn.Linear(body, 4), nn.ReLU(body))": False,
    "nn.Sequential(nn.Linear(4, 4), layers[0])": None,
    "nn.ModuleList([nn.Linear(body, 4) for _ in layers])": False,
    "nn.ModuleDict({'a': nn.Dropout(body), 'b': layers})": True,
    "nn.Sequential(*[nn.Linear(4, 4), nn.ReLU()])": False,
    "nn.Sequential(*layers)": None,
    "nn.DataParallel(Deep(4))": True,
    "nn.LSTM(4, 4, num_layers=2)": False,
    "nn.LSTM(4, 4, num_layers=2, dropout=0.3)": True,
    "nn.InstanceNorm2d(4)": False,
    "nn.InstanceNorm2d(4, track_running_stats=True)": True,
    "nn.TransformerEncoderLayer(4, 4)": True,
    "nn.TransformerEncoderLayer(4, 4, dropout=0)": False,
    "torchvision.models.resnet18()": True,
    "AttentiveFP(8, 8, dropout=0.2)": True,
    "AttentiveFP(8, 8)": None,
    "elsewhere.Net()": None,
    "Plain(4) if body else Deep(4)": True,
    "Plain(4) if body else elsewhere.Net()": None,
}


@pytest.mark.parametrize(("code", "expected"), MODELS.items(), ids=MODELS)
def test_which_models_heed_their_mode(code: str, expected: bool | None) -> None:
    source = read(f"{SETUP}def f(body, layers):\n    look({code})\n")
    known = source.ask(facts.values)
    assert heeds_mode(known.interpreter, known.raw(looks(source)[0].node.args[0].value)) is expected
