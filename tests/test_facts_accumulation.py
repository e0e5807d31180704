"""What training loops add up, what functions return for a log, and what becomes of a value."""

import pytest
from term_text import looks, read, text

from stablint.static import facts
from stablint.static.facts.accumulation import Accumulation, graph_of, is_loss, leaves, summands
from stablint.static.facts.terms import Operation, Term

HEAD = """\
model = nn.Linear(8, 8)
opt = torch.optim.SGD(model.parameters(), 0.1)
def train(loader, total, losses, n, self):
"""


def found(body: str, tail: str = "") -> list[Accumulation]:
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    return list(read(HEAD + lines + tail).ask(facts.accumulations))


LOOP = "for x, y in loader:\n    loss = F.cross_entropy(model(x), y)\n    loss.backward()\n    opt.step()\n"

ADDED = {
    "total += loss": [("total", "loss")],
    "total = total + loss * 2": [("total", "total + loss * 2")],
    "total = loss + total": [("total", "loss + total")],
    "total = loss + 1": [],
    "total -= loss": [],
    "total = loss": [],
    "self.total += loss.item()": [("self.total", "loss.item()")],
    "losses.append(loss)": [("losses", "loss")],
    "losses['a'].append(loss)": [("losses", "loss")],
    "losses.append(loss, 1)": [],
    "losses.extend([loss])": [],
    "losses[0] += loss": [],
    "get().append(loss)": [],
    "if n: total += loss": [("total", "loss")],
    "with n:\n            losses.append(x)": [("losses", "x")],
    "for z in x:\n            total += z": [("total", "z")],
    "def g():\n            total += loss": [],
}


@pytest.mark.parametrize(("line", "expected"), ADDED.items(), ids=ADDED)
def test_what_is_added_in_a_training_loop(line: str, expected: list[tuple[str, str]]) -> None:
    source = read(f"{HEAD}    " + LOOP.replace("\n", "\n    ") + f"    {line}\n")
    assert [(one.path, source.code(one.value)) for one in source.ask(facts.accumulations)] == expected


def test_nothing_is_found_outside_of_training_loops() -> None:
    assert found("for x in loader:\n    total += x") == []
    assert found(LOOP + "total += 1") == []
    assert found("for x in loader:\n    total += model(x)\n" + LOOP) == []


RESET = {
    "total += loss\n    total = 0": True,
    "if n:\n        total = 0\n    total += loss": True,
    "total += loss\n    total, x = 0, 1": True,
    "total += loss\n    del total": True,
    "total.append(loss)\n    total.clear()": True,
    "total.append(loss)\n    if n: total.pop()": True,
    "total += loss": False,
    "total += loss\n    other = 0": False,
    "total.append(loss)\n    total.sort()": False,
}


@pytest.mark.parametrize(("lines", "expected"), RESET.items(), ids=RESET)
def test_whether_it_is_started_afresh(lines: str, expected: bool) -> None:
    (one, *_) = found(LOOP + f"    {lines}")
    assert one.is_reset is expected


def test_a_window_is_bounded() -> None:
    (one,) = found(
        "from collections import deque\nwindow = deque(maxlen=5)\n" + LOOP + "    window.append(loss)"
    )
    assert one.is_reset
    (other,) = found("from collections import deque\nwindow = deque()\n" + LOOP + "    window.append(loss)")
    assert not other.is_reset


def test_the_loop_is_the_innermost_that_back_propagates() -> None:
    epochs = "for epoch in range(n):\n    " + LOOP.replace("\n", "\n    ") + "total += loss"
    (one,) = found(epochs)
    assert [text(subject) for subject in one.subjects] == [
        "cross_entropy(linear(loader[EACH][0]), loader[EACH][1])"
    ]
    assert one.elsewhere == ()
    (first, second) = found(f"{LOOP}    total += loss\n{LOOP}    total += loss")
    assert first.subjects[0] is second.elsewhere[0]
    assert second.subjects[0] is first.elsewhere[0]


def term_of(code: str) -> Term:
    source = read(f"model = nn.Linear(8, 8)\ndef f(x, y, self):\n    return {code}\n")
    (function,) = source.ask(facts.syntax).functions
    outcome = source.ask(facts.values).interpreter.outcome(function)
    assert outcome is not None
    return outcome.returns


GRAPHS = {
    "F.mse_loss(model(x), y)": {"mse_loss", "linear"},
    "F.mse_loss(model(x).detach(), y)": {"mse_loss"},
    "F.mse_loss(model(x), y).item()": set(),
    "model(x).argmax(1) + model(y)": {"add", "linear"},
    "{'a': model(x), 'b': x.exp()}['b']": {"exp"},
    "model(x).float()": {"float", "linear"},
    "float(model(x))": set(),
}


@pytest.mark.parametrize(("code", "expected"), GRAPHS.items(), ids=GRAPHS)
def test_what_belongs_to_a_graph(code: str, expected: set[str]) -> None:
    assert {part.name for part in graph_of(term_of(code)) if isinstance(part, Operation)} == expected


SUMMANDS = {
    "a(x) + b(y) * 2": {"?a(x)", "?b(y)"},
    "F.mse_loss(x, y).mean() / 4": {"mse_loss(x, y)"},
    "F.mse_loss(x, y).item() + x.exp()": {"exp(x)"},
    "x.log()": {"log(x)"},
}


@pytest.mark.parametrize(("code", "expected"), SUMMANDS.items(), ids=SUMMANDS)
def test_summands(code: str, expected: set[str]) -> None:
    inner = {text(part) for part in summands(term_of(code))}
    assert expected <= inner
    assert "item(mse_loss(x, y))" not in inner


def test_losses() -> None:
    codes = ("F.mse_loss(x, y)", "nn.NLLLoss()(x, y)", "x.mean()", "x", "F.mse_loss(x, y) * 2")
    assert [is_loss(term_of(code)) for code in codes] == [True, True, False, False, False]


LEAVES = {
    "a + b * -c": ["a", "b", "c"],
    "a.mean() + b.item()": ["a", "b.item()"],
    "(a, [b, 1])": ["a", "b"],
    "{'k': a.cpu().sum()}": ["a"],
    "f(a)[0]": ["f(a)[0]"],
    "a.b": ["a.b"],
    "1 + 'x'": [],
}


@pytest.mark.parametrize(("code", "expected"), LEAVES.items(), ids=LEAVES)
def test_leaves(code: str, expected: list[str]) -> None:
    source = read(f"x = {code}")
    (binding,) = source.ask(facts.syntax).module.bindings["x"]
    assert binding.value is not None
    assert [source.code(leaf) for leaf in leaves(binding.value)] == expected


LOGS = {
    "logs = {'loss': loss, 'n': 1}\n    return loss, logs": [("logs", "loss"), ("logs", "1")],
    "metrics = dict(a=loss)\n    metrics['b'] = x\n    return metrics, loss": [
        ("metrics", "loss"),
        ("metrics", "x"),
    ],
    "stats = {'a': {'b': loss}}\n    return loss, flat(stats)": [("stats", "loss")],
    "logits = {'a': loss}\n    return loss, logits": [],
    "logs = {'a': loss}\n    return logs": [],
    "logs = {'a': loss}\n    other = {'b': x}\n    return loss, logs": [("logs", "loss")],
}


@pytest.mark.parametrize(("body", "expected"), LOGS.items(), ids=LOGS)
def test_what_is_returned_for_a_log(body: str, expected: list[tuple[str, str]]) -> None:
    source = read(f"def f(loss, x):\n    {body}\n")
    assert [(entry.name, source.code(entry.value)) for entry in source.ask(facts.log_entries)] == expected


def test_frameworks_that_detach_what_is_logged() -> None:
    source = read(
        "import pytorch_lightning as pl\nclass A(pl.LightningModule):\n    def step(self): pass\n"
        "class B(nn.Module):\n    def step(self): pass\ndef step(): pass"
    )
    scopes = source.ask(facts.syntax).functions
    assert [facts.logs.is_detached_by_framework(source, scope) for scope in scopes] == [True, False, False]


SHOWN = {
    "print(y)": True,
    "print(y.mean() * 2)": True,
    "logger.info(y)": True,
    "assert y > 0": True,
    "z = y.item()": True,
    "return y": False,
    "self.y = y": False,
    "y.sum().backward()": False,
    "self.losses.append(y)": False,
    "unknown(y)": False,
    "print(y); return y + 1": False,
    "return [y]": False,
    "return y.argmax()": True,
    "outs = [y]\n    n = len(outs)": False,  # the list is there for something
}


@pytest.mark.parametrize(("body", "expected"), SHOWN.items(), ids=SHOWN)
def test_whether_a_value_is_only_shown(body: str, expected: bool) -> None:
    source = read(f"def f(self, x):\n    y = x.log()\n    {body}\n")
    ((site, _),) = source.ask(facts.operations).named("log")
    assert source.ask(facts.uses).is_only_shown(site.raw) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return (x + 1) * 2", False),
        ("y = x + 1\n    return y * 2", False),
        ("y = x + 1\n    return y * 2, y.sum()", True),
        ("y = x + 1\n    return y, y * 2", True),
        ("y = x + 1\n    return y", True),
    ],
)
def test_whether_a_value_goes_to_more_than_one_place(body: str, expected: bool) -> None:
    source = read(f"def f(x):\n    {body}\n")
    site = source.ask(facts.operations).by_name["add"][0]
    assert source.ask(facts.uses).is_shared(site.raw) is expected


def test_what_is_yielded_or_returned_is_kept() -> None:
    source = read("def f(x):\n    yield look(x)\ndef g(x):\n    return look(x)\ndef h(x):\n    look(x)\n")
    uses, known = source.ask(facts.uses), source.ask(facts.values)
    assert [uses.is_kept(known.raw(site.node)) for site in looks(source)] == [True, True, False]
