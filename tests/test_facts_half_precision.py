"""Which tensors are certainly in float16, and under which autocast code runs."""

import pytest
from term_text import looks, read

from stablint.static import facts

LAYERS = "    fc, scale, a = nn.Linear(8, 8), nn.Parameter(torch.ones(8)), nn.Linear(8, 8)(x)\n"


def is_half(code: str, manager: str = "") -> bool:
    """Whether what the code computes, perhaps inside a `with`, is known to be float16."""
    inside = f"    with {manager}:\n        look({code})\n" if manager else f"    look({code})\n"
    source = read(f"def f(x, y, n, device, dtype, self):\n{LAYERS}{inside}")
    (site,) = looks(source)
    value = source.ask(facts.values).of(site.node.args[0].value)
    return source.ask(facts.halves).made_half(value) is not None


CONVERTED = (
    "x.half()", "x.to(torch.float16)", "x.to(dtype=torch.half)", "x.type(torch.HalfTensor)", "x.half().to(device)",
    "x.half().cuda()[0].T", "x.half() * 2", "x.half() + y.half()", "x.half().exp().sum(-1)",
    "torch.zeros(3, dtype=torch.float16)", "torch.zeros_like(x.half())", "x.to(y.half())", "x.type_as(y.half())",
    "torch.cat([x.half(), y.half()])", "x.half() if n else y.half()", "torch.where(x > 0, x.half(), 0)",
)  # fmt: skip

OTHER = (
    "x", "x.half().float()", "x.half() * y", "x.half() * scale", "x.half().to(torch.float32)", "x.half().to(dtype)",
    "x.half() if n else x", "torch.zeros(3)", "torch.zeros(3, dtype=dtype)", "x.half().bfloat16()", "fc(x)",
    "x.half() + torch.rand(3)", "x.half().argmax()", "self.half",
)  # fmt: skip


@pytest.mark.parametrize("code", CONVERTED)
def test_converted_tensors_are_half(code: str) -> None:
    """Conversions, and what keeps the type of all its operands."""
    assert is_half(code)


@pytest.mark.parametrize("code", OTHER)
def test_other_tensors_are_not_known_to_be(code: str) -> None:
    """A wider operand widens, and what is unknown may be wider."""
    assert not is_half(code)


UNDER = ("fc(x)", "x @ y", "torch.sigmoid(fc(x))", "fc(x).relu().mean(-1)", "F.conv2d(x, y)", "fc(x) + fc(y)")
NOT_UNDER = (
    "x", "a", "x + y", "fc(x).softmax(-1)", "fc(x).sum()", "fc(x) ** 2", "fc(x).exp()", "1 / fc(x)", "fc(x) * scale",
    "fc(x).float()", "F.layer_norm(fc(x), (8,))",
)  # fmt: skip


@pytest.mark.parametrize("code", UNDER)
def test_products_under_autocast_are_half(code: str) -> None:
    """Layers and products, and what keeps their type."""
    assert is_half(code, "torch.autocast('cuda')")
    assert not is_half(code)


@pytest.mark.parametrize("code", NOT_UNDER)
def test_what_autocast_computes_in_single_is_not(code: str) -> None:
    """Sums, powers, exponentials; what was computed outside; what is of unknown type."""
    assert not is_half(code, "torch.autocast('cuda')")


MANAGERS = {
    "torch.autocast('cuda')": True, "torch.autocast(device_type='cuda', dtype=torch.float16)": True,
    "torch.cuda.amp.autocast()": True, "torch.cuda.amp.autocast(n)": True, "torch.autocast('cuda', enabled=n)": True,
    "torch.autocast('cuda', torch.float16)": True, "torch.autocast('cpu', dtype=torch.half)": True,
    "torch.autocast(device.type)": True, "torch.amp.autocast('cuda', dtype=None)": True,
    "torch.autocast('cuda', torch.half if n else torch.bfloat16)": True, "open(n), torch.autocast('cuda')": True,
    "torch.autocast('cuda', dtype=torch.bfloat16)": False, "torch.autocast('cpu')": False,
    "torch.autocast('cuda', enabled=False)": False, "torch.cuda.amp.autocast(False)": False,
    "torch.cpu.amp.autocast()": False, "torch.autocast('cuda', dtype=dtype)": False, "torch.no_grad()": False,
    "torch.autocast('cuda'), torch.autocast('cuda', enabled=False)": False,
}  # fmt: skip


@pytest.mark.parametrize(("manager", "expected"), MANAGERS.items())
def test_contexts(manager: str, expected: bool) -> None:
    """Which managers switch on autocast to float16."""
    assert is_half("fc(x)", manager) is expected


def is_under(code: str) -> list[bool]:
    """Whether each call of `look` in the code runs under autocast to float16."""
    source = read(code)
    under = source.ask(facts.autocasts)
    return [under.around(site.node) is not None for site in looks(source)]


def test_decorators_and_callers() -> None:
    """A decorator counts before the callers, and a caller reaches through methods."""
    assert is_under(
        """
@torch.autocast("cuda")
def decorated(x): look(x)

@torch.autocast("cuda", enabled=False)
def kept(x): look(x)

class Net(nn.Module):
    def forward(self, x): return self.part(x)
    def part(self, x): return look(x)
    def other(self, x): return look(x)

def train(x):
    net = Net()
    with torch.autocast("cuda"):
        net(x); kept(x)
    net.other(x)
    look(x)
"""
    ) == [True, False, True, False, False]


def test_trainers() -> None:
    """Lightning runs the methods of its modules under the autocast that its Trainer was told of."""
    code = """
import lightning.pytorch as pl
class Net(pl.LightningModule):
    def training_step(self, batch, index): return look(batch)
class Other(nn.Module):
    def forward(self, x): return look(x)
trainer = pl.Trainer(precision={})
"""
    assert is_under(code.format("'16-mixed'")) == [True, False]
    assert is_under(code.format("'bf16-mixed'")) == [False, False]


def test_accelerators() -> None:
    """An Accelerator is told once what its autocast means."""
    code = """
from accelerate import Accelerator
accelerator = Accelerator(mixed_precision={})
with accelerator.autocast(): look(1)
"""
    assert is_under(code.format("'fp16'")) == [True]
    assert is_under(code.format("'bf16'")) == [False]


def test_halved_models() -> None:
    """Layers of a converted model give float16, in the parts that it is made of, too."""
    source = read(
        """
class Part(nn.Module):
    def __init__(self): self.fc = nn.Linear(8, 8)
    def forward(self, x): return look(self.fc(x))

class Net(nn.Module):
    def __init__(self): self.part = Part()
    def forward(self, x): return self.part(x)

class Other(nn.Module):
    def __init__(self): self.fc = nn.Linear(8, 8)
    def forward(self, x): return look(self.fc(x))

net, other = Net().to("cuda", torch.float16), Other().cuda()
"""
    )
    halves, values = source.ask(facts.halves), source.ask(facts.values)
    made = [halves.made_half(values.of(site.node.args[0].value)) for site in looks(source)]
    assert [one is not None for one in made] == [True, False]
    assert [scope.name for scope in halves.classes] == ["Net", "Part"]


def test_layers_of_sequentials() -> None:
    """A layer inside a Sequential runs in the forward of the class that made it."""
    source = read(
        """
class Net(nn.Module):
    def __init__(self): self.body = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU())
    def forward(self, x): return look(self.body(x))

class Other(Net):
    def __init__(self): self.part = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    def forward(self, x): return look(self.part(x))

net = Net()
with torch.autocast("cuda"): net(x)
"""
    )
    halves, values = source.ask(facts.halves), source.ask(facts.values)
    made = [halves.made_half(values.of(site.node.args[0].value)) for site in looks(source)]
    assert [one is not None for one in made] == [True, False]
