"""Random training scripts, the same every time, with odd control flow: no torch could run them, but they are read."""

import random
from collections.abc import Callable

IMPORTS = (
    "import torch\nfrom torch import nn, optim\nimport torch.nn.functional as F",
    "import torch as t, torch.nn\nfrom torch.nn import *\nfrom torch.nn.functional import *",
    "import torch\nimport torch.nn as nn\ntry:\n    import apex\nexcept ImportError:\n    apex = None",
    "from torch import *\nfrom torch.optim import Adam as A\nfrom . import models\nfrom ..net import Net as Model",
    "from __future__ import annotations\nimport torch, math, numpy as np\nnn, F = torch.nn, torch.nn.functional",
)

LAYERS = (
    "nn.Linear(8, 8)", "nn.ReLU()", "nn.Softmax(dim=1)", "nn.BatchNorm1d(8, 0.8)", "nn.Dropout()", "nn.Sigmoid()",
    "nn.Sequential(nn.Linear(8, 8), nn.Tanh())", "nn.LSTM(8, 8)", "block(8)", "nn.Sequential(*layers)", "None",
    "nn.ModuleList([nn.Linear(8, 8) for _ in range(3)])", "[nn.Linear(8, 8)]", "{'a': nn.ReLU()}", "nn.Identity()",
)  # fmt: skip

EXPRESSIONS = (
    "model(x)", "net(x, *rest)", "self.layer(x)", "F.softmax(x, 1)", "torch.log(torch.softmax(x, -1))", "x.log()",
    "torch.sqrt((x - y) ** 2)", "x / x.norm()", "torch.exp(x).sum(1).log()", "torch.where(x > 0, x.log(), y)",
    "criterion(model(x), y)", "F.cross_entropy(x, y)", "nn.CrossEntropyLoss()(x, y)", "sum(losses) / len(losses)",
    "F.nll_loss(F.softmax(x, 1), y)", "F.dropout(x, 0.5)", "torch.cat([x, *losses], dim=0)", "x[..., None, :]",
    "[f(z) for z in x if z is not None]", "{k: v.detach() for k, v in x.items()}", "(z for z in x)", "lambda z: z + x",
    "x if y else (x := y)", "not x", "-x ** 2", "x @ y.T", "x.max(1)[1]", "super().forward(x)", "self", "x.grad.data",
    "f'{x:.3f} {loss.item()!r}'", "1e-8 + eps", "x[1:-1:2]", "await_this(x)", "*x, y", "x.a.b.c(x)(y)[0]", "...",
    "torch.tensor(loss)", "torch.no_grad()", "len(x)", "x < y < 1", "x and y or loss", "b'bytes'", "1j", "0xFF",
    "model.parameters()", "getattr(x, 'grad')", "train(x)", "step(x, y)", "partial(step, x)", "Model()", "type(x)(y)",
)  # fmt: skip

EVENTS = (
    "opt.zero_grad()", "opt.step()", "loss.backward()", "opt_d.step()", "opt_d.zero_grad(set_to_none=True)",
    "scaler.scale(loss).backward()", "scaler.step(opt)", "scaler.update()", "scaler.unscale_(opt)", "sched.step()",
    "sched.step(loss)", "model.eval()", "model.train()", "net.train(False)", "torch.set_grad_enabled(False)",
    "nn.utils.clip_grad_norm_(model.parameters(), 1.0)", "loss.backward(retain_graph=True)", "opt.step(closure)",
    "accelerator.backward(loss)", "self.opt.step()", "self.model.zero_grad()", "opts[0].step()", "opt.step(lambda: x)",
    "[o.step() for o in opts]", "[o.zero_grad() for o in (opt, opt_d)]", "for p in model.parameters(): p.grad = None",
    "for p in model.parameters(): p.data.add_(p.grad, alpha=-0.1)", "(loss_a + loss_b).backward()", "step(x, y)",
    "x.backward() if y else opt.step()", "opt and opt.step()", "losses.append(loss)", "total += loss", "del loss",
    "model.load_state_dict(state)", "model.apply(init)", "nn.init.zeros_(model.weight)",
    "opt.param_groups[0]['lr'] *= 2",
)  # fmt: skip

TARGETS = (
    "x", "loss", "y", "total", "self.x", "self.opt", "opt", "model", "x[0]", "x[0][1:2]", "x, y", "(x, [y, *rest])",
    "*rest, x", "losses", "x.grad", "x.data", "x.requires_grad", "x.a.b", "criterion", "x = y", "layers", "opts",
)  # fmt: skip

SETUPS = (
    "opt = optim.SGD(model.parameters(), lr=0.1)", "opt_d = torch.optim.Adam([*net.parameters()], 1e-3)",
    "sched = optim.lr_scheduler.StepLR(opt, 1)", "scaler = torch.cuda.amp.GradScaler()", "model = Model().cuda()",
    "model, net = Model(8), nn.Sequential(nn.Linear(8, 8), nn.Softmax(1))", "criterion = nn.CrossEntropyLoss()",
    "opts = [optim.Adam(m.parameters()) for m in (model, net)]", "layers = []", "losses, total = [], 0",
    "model = nn.DataParallel(model) if cuda else model", "loss = None", "opt = opt_d = None", "x = y = 0",
    "opts = {'a': opt, **opts}", "model = torch.compile(Model())",
)  # fmt: skip

OPERATORS = ("+=", "-=", "*=", "/=", "@=", "//=")

SMALL = (
    "pass", "assert x, y", "raise ValueError(x)", "global total", "import torch as t", "...", "x: torch.Tensor",
    "y: int = len(x)", "print(x, loss)", "logger.info(loss)",
)  # fmt: skip

LEAVING = ("return", "return x, loss", "yield x", "yield from x", "return loss")

CONDITIONS = (
    "x",
    "i % 4 == 0",
    "self.training",
    "x is None",
    "True",
    "(n := len(x)) > 1",
    "not opt",
    "model(x)",
)

SUBJECTS = ("x", "range(3)", "loader", "enumerate(loader)", "zip(x, y)", "[]", "layers", "model.parameters()")

LOOP_TARGETS = ("x", "i, (x, y)", "_", "x, *rest", "self.x", "opt")

MANAGERS = ("torch.no_grad()", "autocast() as x, open(y)", "torch.set_grad_enabled(x)", "torch.enable_grad()")

MAPPING = "{'a': x, **rest} | _"


class Writer:
    """Writes one program; `depth` keeps blocks from standing in one another for ever."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def pick(self, texts: tuple[str, ...]) -> str:
        return self.chance.choice(texts)

    def some(self, write: Callable[[], str], most: int) -> str:
        return "\n".join(write() for _ in range(self.chance.randint(1, most)))

    def program(self) -> str:
        parts = [self.pick(IMPORTS), *(self.model(name) for name in ("Model", "Net"))]
        parts += [self.function(name, 0) for name in ("step", "train", "evaluate", "block", "f")]
        parts += [self.pick(SETUPS) for _ in range(6)]
        self.chance.shuffle(parts)
        return "\n".join([*parts, self.suite(0, loop=False, function=False)]) + "\n"

    def model(self, name: str) -> str:
        base = self.pick(
            ("nn.Module", "nn.Sequential", "Net", "Model", "torch.autograd.Function", "base", "object")
        )
        made = self.some(lambda: f"self.{self.pick(('layer', 'x', 'net', 'opt'))} = {self.pick(LAYERS)}", 4)
        more = [
            self.function(method, 0, "self, ")
            for method in ("forward", self.pick(("step", "fit", "__call__")))
        ]
        init = f"def __init__(self, n=3, *args, **kwargs):\n{indented('super().__init__()' + chr(10) + made)}"
        decorated = (
            f"@{self.pick(('property', 'staticmethod', 'torch.no_grad()', 'cached_property', 'x.setter'))}\n"
        )
        body = "\n".join(
            [f"x: int = {self.pick(EXPRESSIONS[:20])}", init, *more, decorated + self.function("y", 1)]
        )
        return f"class {name}({base}):\n{indented(body)}"

    def function(self, name: str, depth: int, first: str = "") -> str:
        start = self.pick(
            ("", "", "", "@torch.no_grad()\n", "@torch.inference_mode\n", "@wraps(f)\n")
        ) + self.pick(("def", "def", "def", "async def"))
        rest = self.pick(
            (
                "x, y",
                "x, y=None, *rest",
                "x, /, y, *, eps=1e-8",
                "model, opt, x, y, **kw",
                "*args",
                "x: int = 1, y=2",
            )
        )
        return f"{start} {name}({first}{rest}):\n{indented(self.suite(depth + 1, loop=False, function=True))}"

    def suite(self, depth: int, loop: bool, function: bool) -> str:
        return self.some(lambda: self.statement(depth, loop, function), 4 if depth < 2 else 2)

    def statement(self, depth: int, loop: bool, function: bool) -> str:
        if depth < 4 and self.chance.random() < 0.35:
            return self.block(depth, loop, function)
        if self.chance.random() < 0.4:
            return self.pick(EVENTS)
        kinds = [
            lambda: f"{self.pick(TARGETS)} = {self.pick(EXPRESSIONS)}",
            lambda: f"x {self.pick(OPERATORS)} {self.pick(EXPRESSIONS[:30])}",
            lambda: self.pick(SETUPS),
            lambda: self.pick(EXPRESSIONS[:-10]),
            lambda: self.pick(SMALL),
            lambda: self.pick(("break", "continue")) if loop else "pass",
            lambda: self.pick(LEAVING) if function else "pass",
        ]
        return self.chance.choice(kinds)()

    def block(self, depth: int, loop: bool, function: bool) -> str:
        def inside(again: bool = loop) -> str:
            return indented(self.suite(depth + 1, again, function))

        condition, subject = self.pick(CONDITIONS), self.pick(SUBJECTS)
        target, manager = self.pick(LOOP_TARGETS), self.pick(MANAGERS)

        def case(pattern: str) -> str:
            return indented(f"case {pattern}:\n{inside()}")

        blocks = [
            lambda: f"if {condition}:\n{inside()}\nelif {condition}:\n{inside()}\nelse:\n{inside()}",
            lambda: f"if {condition}:\n{inside()}",
            lambda: f"for {target} in {subject}:\n{inside(True)}",
            lambda: f"for {target} in {subject}:\n{inside(True)}\nelse:\n{inside()}",
            lambda: f"while {condition}:\n{inside(True)}",
            lambda: f"with {manager}:\n{inside()}",
            lambda: f"try:\n{inside()}\nexcept (ValueError, KeyError) as x:\n{inside()}\nelse:\n{inside()}",
            lambda: f"try:\n{inside()}\nexcept Exception:\n{inside()}\nfinally:\n{inside()}",
            lambda: f"match x:\n{case('[y, *rest] if ' + condition)}\n{case(MAPPING)}",
            lambda: self.function(self.pick(("closure", "step", "inner")), depth),
            lambda: f"class Inner(nn.Module):\n{indented(self.function('forward', depth, 'self, '))}",
        ]
        return self.chance.choice(blocks)()


def indented(text: str) -> str:
    """The text one level further in."""
    return "\n".join(f"    {line}" for line in text.split("\n"))


def training_program(seed: int) -> str:
    """A script with models, optimizers and functions that do what training scripts do, in no sensible order."""
    return Writer(seed).program()
