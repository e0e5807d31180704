"""What calls mean for training, what objects are, and whether two are one."""

import libcst as cst
import pytest
from term_text import looks, read, text

from stablint.static import facts
from stablint.static.facts.evaluation import without_none
from stablint.static.facts.events import Kind, unscaled
from stablint.static.facts.gradient_fields import gradient_written, is_gradient
from stablint.static.facts.identity import clears, same_object
from stablint.static.facts.paths import events_in
from stablint.static.facts.roles import called, made_as, role
from stablint.static.facts.terms import Constant, Either, Term

SETUP = """\
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import StepLR
model, net = nn.Linear(8, 8), nn.Sequential(nn.Linear(8, 8))
opt, opt_d = SGD(model.parameters(), 0.1), SGD(net.parameters(), 0.1)
"""

ROLES = {
    "opt": "optimizer", "SGD(model.parameters())": "optimizer", "torch.optim.AdamW(p)": "optimizer",
    "self.optimizer": "optimizer",
    "opts[0]": "optimizer", "self.opt_d": "optimizer", "optim_g": "optimizer", "solver": "optimizer",
    "self.adam": "optimizer",
    "StepLR(opt, 1)": "scheduler", "self.scheduler": "scheduler", "lr_sched": "scheduler",
    "optimizer_scheduler": "scheduler",
    "torch.cuda.amp.GradScaler()": "scaler", "self.grad_scaler": "scaler", "model": "module",
    "nn.CrossEntropyLoss()": "module",
    "typed": "optimizer", "module": "module", "self.net": None, "x": None, "option": None, "adopt": None,
    "optical": None, "1": None,
    "None if x else opt": "optimizer", "x.step": None, "torch.optim": None, "get_optimizer()": "optimizer",
    "lambda: 1": None, "x + opt": None,
}  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), ROLES.items(), ids=ROLES)
def test_roles(code: str, expected: str | None) -> None:
    source = read(f"{SETUP}def f(self, x, typed: Optimizer, module: nn.Module):\n    look({code})\n")
    node = looks(source)[0].node.args[0].value
    assert role(source.ask(facts.values).raw(node), node) == expected


def terms(*codes: str) -> list[Term]:
    source = read(
        f"{SETUP}class A:\n    def f(self, x, y, opt_x, opt_y):\n        look({', '.join(codes)})\n"
    )
    values = source.ask(facts.values)
    return [values.raw(argument.value) for argument in looks(source)[0].node.args]


def test_what_an_object_was_made_or_annotated_as() -> None:
    found = [
        made_as(term)
        for term in terms("opt", "model", "nn.MSELoss()", "self.optimizer", "x", "torch.amp.GradScaler()")
    ]
    assert found == ["optimizer", "module", "module", None, None, "scaler"]


def test_what_the_code_calls_an_object() -> None:
    found = [
        called(term, None)
        for term in terms("self.opt.inner", "x", "self.opts[0]", "self.make(1)", "1", "opt")
    ]
    assert found == ["inner", "x", "opts", "make", "", ""]


SAME = {
    ("opt", "opt"): True, ("opt", "opt_d"): False, ("self.a", "self.a"): True, ("self.a", "self.b"): False,
    ("x", "x"): True,
    ("x", "y"): False, ("self.a[0]", "self.a[0]"): True, ("self.a[0]", "self.a[1]"): False,
    ("self.a[x]", "self.a[x]"): True,
    ("x.parameters()", "x.parameters()"): False, ("[opt, opt_d]", "[opt, opt_d]"): True,
    ("opt if x else opt_d", "opt_d"): False,
    ("opt", "opt if x else opt_d"): True, ("opt if x else None", "opt"): True,
    ("torch.randn(3)", "torch.randn(3)"): False,
    ("torch.exp(x)", "torch.exp(x)"): True, ("x + 1", "x + 1"): True, ("x + 1", "x + 2"): False,
}  # fmt: skip


@pytest.mark.parametrize(("pair", "expected"), SAME.items(), ids=[" / ".join(pair) for pair in SAME])
def test_whether_two_are_one(pair: tuple[str, str], expected: bool) -> None:
    assert same_object(*terms(*pair)) is expected


def test_nothing_is_no_object() -> None:
    (one,) = terms("opt")
    assert not same_object(None, one)
    assert not same_object(one, None)


CLEARS = {
    ("opt", "opt"): True, ("opt", "opt_d"): False, ("model", "opt"): True, ("model", "opt_d"): False,
    ("net", "opt_d"): True,
    ("self.opt", "self.opt"): True, ("self.opt_a", "self.opt_b"): False, ("x", "opt"): None,
    ("model", "self.opt"): None,
    ("opt_x", "opt_y"): False, ("opt_x", "x"): False, ("x", "y"): None, ("opt if x else opt_d", "opt"): True,
    ("opt", "self.opt"): None,
}  # fmt: skip


@pytest.mark.parametrize(("pair", "expected"), CLEARS.items(), ids=[" / ".join(pair) for pair in CLEARS])
def test_what_zero_grad_clears(pair: tuple[str, str], expected: bool | None) -> None:
    source = read(
        f"{SETUP}class A:\n    def f(self, x, y, opt_x, opt_y, loss):\n"
        f"        loss.backward()\n        {pair[0]}.zero_grad()\n        look({pair[1]})\n"
        if " " not in pair[0]
        else f"{SETUP}def f(x, loss):\n    loss.backward()\n    ({pair[0]}).zero_grad()\n    look({pair[1]})\n"
    )
    (root,) = [root for root in source.ask(facts.training_paths) if root.scope.name == "f"]
    (event,) = events_in(root.path, Kind.ZERO_GRAD)
    stepped = source.ask(facts.values).raw(looks(source)[0].node.args[0].value)
    assert clears(source, event, stepped) is expected


PARTS = """\
class Encoder(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.head = nn.Linear(size, 8)
def train(size, loss):
    encoder, other, inner = Encoder(size), Encoder(size), nn.Linear(8, 8)
    whole = nn.Sequential(inner)
    opt_head, opt_inner = SGD(encoder.head.parameters(), 0.1), SGD(inner.parameters(), 0.1)
    opt_encoder = SGD(encoder.parameters(), 0.1)
    loss.backward()
    {}.zero_grad()
    look({})
def main(args, loss):
    train(args.size, loss)
"""


@pytest.mark.parametrize(
    ("cleared", "stepped", "expected"),
    [
        ("encoder", "opt_head", None),  # which of the two encoders the head is of is not known
        ("whole", "opt_inner", None),
        ("other", "opt_inner", False),
        ("encoder", "opt_encoder", True),
        ("other", "opt_encoder", False),
    ],
)
def test_a_module_clears_what_is_inside(cleared: str, stepped: str, expected: bool | None) -> None:
    source = read(SETUP + PARTS.format(cleared, stepped))
    for root in source.ask(facts.training_paths):
        (event,) = events_in(root.path, Kind.ZERO_GRAD)
        step = source.ask(facts.values).raw(looks(source)[0].node.args[0].value)
        if root.scope.name == "train":
            assert clears(source, event, step) is expected


def test_the_parameters_of_an_object_stay_its_own_in_a_call() -> None:
    source = read(
        f"{SETUP}class Net(nn.Module): pass\ndef build(size):\n    a, b = Net(size), Net(size)\n"
        "    return a.parameters(), b.parameters()\ndef f(args):\n    one, two = build(args.size)\n    look(one, two)\n"
    )
    values = source.ask(facts.values)
    one, two = (values.raw(argument.value) for argument in looks(source)[0].node.args)
    assert not same_object(one, two)
    assert "Receiver" not in repr((one, two))


def test_clearing_everything_may_clear_anything() -> None:
    source = read(
        f"{SETUP}def f(loss):\n    loss.backward()\n    for p in model.parameters(): p.grad = None\n"
    )
    (root,) = source.ask(facts.training_paths)
    (event,) = events_in(root.path, Kind.ZERO_GRAD)
    (one,) = terms("opt")
    assert clears(source, event, one) is None
    assert clears(source, event, None) is None


GRADIENTS = {
    "p.grad": True,
    "p.grad.data": True,
    "self.w.grad": True,
    "p.data": False,
    "grad": False,
    "p.grad.x": False,
}


@pytest.mark.parametrize(("code", "expected"), GRADIENTS.items(), ids=GRADIENTS)
def test_what_is_a_gradient(code: str, expected: bool) -> None:
    assert is_gradient(cst.parse_expression(code)) is expected


WRITTEN = {
    "p.grad = None": "cleared", "p.grad = torch.zeros_like(p)": "cleared",
    "p.grad = Variable(torch.zeros(3))": "cleared",
    "p.grad = p.new_zeros(3)": "cleared", "p.grad = p.data.new(3).zero_()": "cleared", "del p.grad": "cleared",
    "p.grad = p.grad * 2": "replaced", "p.grad = g": "replaced", "p.data = None": None, "x = None": None,
    "p.grad.data = g": None,
    "print(p.grad)": None, "del p": None,
}  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), WRITTEN.items(), ids=WRITTEN)
def test_what_is_done_to_gradients_by_hand(code: str, expected: str | None) -> None:
    line = cst.parse_statement(code)
    assert isinstance(line, cst.SimpleStatementLine)
    assert gradient_written(line.body[0]) == expected


def test_the_loss_inside_a_scaled_loss() -> None:
    scaled, plain = terms("self.scaler.scale(x + 1)", "x + 1")
    assert text(unscaled(scaled)) == "add(x, 1)"
    assert unscaled(plain) is plain


def test_none_is_left_out_of_what_may_be() -> None:
    (either,) = terms("None if x else opt if y else opt_d")
    assert isinstance(either, Either)
    assert text(without_none(either)) == " | ".join(sorted(map(text, terms("opt", "opt_d"))))
    nothing = Constant(None)
    assert without_none(nothing) is nothing
