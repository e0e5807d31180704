"""The order in which things happen in training: branches, loops, jumps, called functions."""

import pytest
from term_text import read, text

from stablint.static import facts
from stablint.static.facts.events import Kind
from stablint.static.facts.paths import Root, events_in, own_rounds, rounds_in, steps_by_optimizer
from stablint.static.facts.programs import Branch, Event, Inlined, Leave, Loop, Program, Step

WORDS = {Kind.ZERO_GRAD: "zero", Kind.SCHEDULER_STEP: "sched", Kind.SCALER_UPDATE: "update"}

SETUP = """\
model, net = nn.Linear(8, 8), nn.Linear(8, 8)
opt, opt_d = torch.optim.SGD(model.parameters(), 0.1), torch.optim.Adam(net.parameters())
sched, scaler = torch.optim.lr_scheduler.StepLR(opt, 1), torch.amp.GradScaler()
criterion = nn.CrossEntropyLoss()

"""


def roots(code: str) -> dict[str, Root]:
    return {root.scope.name: root for root in read(SETUP + code).ask(facts.training_paths)}


def shown(path: Program) -> str:
    """`zero [forward (backward | ) step]`: loops in square brackets, ways in round ones, called functions in braces."""
    return " ".join(filter(None, map(_shown, path)))


def _shown(step: Step) -> str:
    match step:
        case Event(kind=Kind.FORWARD | Kind.MADE):
            return ""
        case Event(kind=kind, graph=graph):
            return WORDS.get(kind, kind.name.lower()) + ("" if graph else "~")
        case Leave(how=how):
            return how
        case Loop(body=body):
            return f"[{shown(body)}]"
        case Branch(ways=ways):
            return f"({' | '.join(map(shown, ways))})"
        case Inlined(function=function, body=body):
            return f"{function.name}{{{shown(body)}}}"
        case _:
            return type(step).__name__


def of(body: str, rest: str = "") -> str:
    """The program of a function with this body."""
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    return shown(
        roots(f"{rest}\ndef f(x, y, n, loader):\n    loss = criterion(model(x), y)\n{lines}")["f"].path
    )


ORDERS = {
    "line by line": ("opt.zero_grad()\nloss.backward()\nopt.step()", "zero backward step"),
    "one line": ("opt.zero_grad(); loss.backward(); opt.step()", "zero backward step"),
    "inside an expression": ("print(opt.zero_grad(), loss.backward())\nopt.step()", "zero backward step"),
    "nothing": ("loss.backward()\nprint(x)\ny = x + 1", "backward"),
    "clip": (
        "loss.backward()\nnn.utils.clip_grad_norm_(model.parameters(), 1.0)\nopt.step()",
        "backward clip step",
    ),
    "clip to infinity": (
        "loss.backward()\nnn.utils.clip_grad_norm_(model.parameters(), math.inf)",
        "backward",
    ),
    "scaler": (
        "scaler.scale(loss).backward()\nscaler.unscale_(opt)\nscaler.step(opt)\nscaler.update()",
        "backward unscale step update",
    ),
    "scheduler": ("loss.backward()\nopt.step()\nsched.step()", "backward step sched"),
    "modes": (
        "model.eval()\nloss.backward()\nmodel.train()\nmodel.train(False)\nmodel.train(n)",
        "eval backward train eval train",
    ),
    "gradients by hand": (
        "loss.backward()\nfor p in model.parameters():\n    p.grad = None",
        "backward zero",
    ),
    "gradients zeroed by hand": (
        "loss.backward()\nfor p in model.parameters():\n    p.grad.zero_()",
        "backward zero",
    ),
    "gradients clamped by hand": (
        "loss.backward()\nfor p in model.parameters():\n    p.grad.data.clamp_(-1, 1)",
        "backward clip",
    ),
    "gradients replaced by hand": (
        "loss.backward()\nfor p in model.parameters():\n    p.grad = p.grad * 2",
        "backward opaque",
    ),
    "given away": ("loss.backward()\nengine(opt)\nprint(opt)", "backward opaque"),
    "unknown method": ("loss.backward()\nopt.unheard_of()\nopt.state_dict()", "backward opaque"),
    "torch.autograd.backward": ("torch.autograd.backward(loss)\nopt.step()", "backward step"),
    "if": ("loss.backward()\nif n:\n    opt.step()", "backward (step | )"),
    "else": ("loss.backward()\nif n:\n    opt.step()\nelse:\n    opt_d.step()", "backward (step | step)"),
    "elif": (
        "if n:\n    loss.backward()\nelif x:\n    opt.step()\nelse:\n    opt.zero_grad()",
        "(backward | (step | zero))",
    ),
    "if without events": ("if n:\n    x = 1\nloss.backward()", "backward"),
    "test with an event": ("if loss.backward():\n    opt.step()", "backward (step | )"),
    "conditional expression": ("loss.backward() if n else opt.step()", "(backward | step)"),
    "match": (
        "match n:\n    case 1:\n        loss.backward()\n    case _:\n        opt.step()",
        "(backward | step | )",
    ),
    "for": ("for x in loader:\n    loss.backward()\n    opt.step()\nopt.zero_grad()", "[backward step] zero"),
    "nested": (
        "for e in range(n):\n    for x in loader:\n        loss.backward()\n    opt.step()",
        "[[backward] step]",
    ),
    "while": ("while loss.backward():\n    opt.step()", "[backward step]"),
    "else of a loop": ("for x in loader:\n    loss.backward()\nelse:\n    opt.step()", "[backward] step"),
    "break and continue": (
        "for x in n:\n    loss.backward()\n    if x:\n        break\n    elif n:\n        continue\n    opt.step()",
        "[backward (break | (continue | )) step]",
    ),
    "return": ("if n:\n    return loss.backward()\nopt.step()", "(backward return | ) step"),
    "raise": ("loss.backward()\nif n:\n    raise ValueError(n)\nopt.step()", "backward (return | ) step"),
    "comprehension": ("loss.backward()\n[o.step() for o in (opt, opt_d)]", "backward [step]"),
    "dict comprehension": ("loss.backward()\nx = {o: o.step() for o in (opt, opt_d)}", "backward [step]"),
    "comprehension of two": (
        "loss.backward()\n[opt.step() for a in n for b in a if opt.zero_grad()]",
        "backward [[zero step]]",
    ),
    "with": ("with autocast():\n    loss.backward()\nopt.step()", "backward step"),
    "no_grad": (
        "loss.backward()\nwith torch.no_grad():\n    opt.step()\nopt.zero_grad()",
        "backward step~ zero",
    ),
    "set_grad_enabled": (
        "torch.set_grad_enabled(False)\nloss.backward()\ntorch.set_grad_enabled(True)\nopt.step()",
        "backward~ step",
    ),
    "try": ("try:\n    loss.backward()\nexcept ValueError:\n    pass\nopt.step()", "backward step"),
    "handler": (
        "try:\n    loss.backward()\nexcept ValueError:\n    opt.zero_grad()\nopt.step()",
        "(backward | zero) step",
    ),
    "finally": ("try:\n    loss.backward()\nfinally:\n    opt.zero_grad()\nopt.step()", "backward zero step"),
    "return inside try": (
        "try:\n    loss.backward()\n    if n:\n        return\nfinally:\n    opt.zero_grad()\nopt.step()",
        "backward (zero return | ) zero step",
    ),
    "break inside try": (
        "for x in loader:\n    try:\n        loss.backward()\n        break\n    finally:\n        opt.zero_grad()",
        "[backward zero break zero]",
    ),
    "break of a loop inside try": (
        "try:\n    for x in n:\n        loss.backward()\n        break\nfinally:\n    opt.zero_grad()",
        "[backward break] zero",
    ),
    "handler that leaves": (
        "try:\n    loss.backward()\nexcept A:\n    opt.step()\n    raise\nfinally:\n    opt.zero_grad()",
        "(backward | step zero return) zero",
    ),
    "lambda is not run": ("g = lambda: opt.step()\nloss.backward()", "backward"),
    "function is not run": ("def g():\n    opt.step()\nloss.backward()", "backward"),
    "closure": ("def g():\n    opt.zero_grad()\n    loss.backward()\nopt.step(g)", "g{zero backward} step"),
    "closure by keyword": ("def g():\n    loss.backward()\nopt.step(closure=g)", "g{backward} step"),
    "lambda as closure": ("opt.step(lambda: loss.backward())", "<lambda>{backward} step"),
    "closure given to a scaler": ("def g():\n    loss.backward()\nscaler.step(opt, g)", "g{backward} step"),
}


@pytest.mark.parametrize(("body", "expected"), ORDERS.values(), ids=ORDERS)
def test_order(body: str, expected: str) -> None:
    assert of(body) == expected


HELPERS = {
    "helper": (
        "def g(o):\n    o.zero_grad()",
        "g(opt)\nloss.backward()\nopt.step()",
        "g{zero} backward step",
    ),
    "helper of a helper": (
        "def g(o):\n    h(o)\ndef h(o):\n    o.step()",
        "loss.backward()\ng(opt)",
        "backward g{h{step}}",
    ),
    "recursive helper": ("def g(o):\n    o.step()\n    g(o)", "loss.backward()\ng(opt)", "backward g{step}"),
    "helper without events": ("def g(o):\n    print(o)", "loss.backward()\ng(opt)", "backward"),
    "helper that returns early": (
        "def g(o):\n    if o:\n        return\n    o.step()",
        "loss.backward()\ng(opt)",
        "backward g{(return | ) step}",
    ),
    "helper in a loop": (
        "def g(l):\n    l.backward()",
        "for x in loader:\n    g(loss)\nopt.step()",
        "[g{backward}] step",
    ),
    "helper under no_grad": (
        "def g(o):\n    o.step()\n    if o:\n        o.zero_grad()",
        "loss.backward()\nwith torch.no_grad():\n    g(opt)",
        "backward g{step~ (zero~ | )}",
    ),
    "decorated helper": (
        "@torch.no_grad()\ndef g(o):\n    o.step()",
        "loss.backward()\ng(opt)",
        "backward g{step~}",
    ),
    "one of two": (
        "def g(o): o.step()\ndef h(o): o.zero_grad()\nk = g if c else h",
        "loss.backward()\nk(opt)",
        "backward (g{step} | h{zero})",
    ),
    "method": (
        "class T:\n    def g(self, o):\n        o.step()\nt = T()",
        "loss.backward()\nt.g(opt)",
        "backward g{step}",
    ),
}


@pytest.mark.parametrize(("rest", "body", "expected"), HELPERS.values(), ids=HELPERS)
def test_calls_are_followed(rest: str, body: str, expected: str) -> None:
    assert of(body, rest) == expected


TRAINER = """
class Trainer:
    def __init__(self, model):
        self.model, self.opt = model, torch.optim.SGD(model.parameters(), 0.1)
    def step(self, x, y):
        loss = criterion(self.model(x), y)
        loss.backward()
        self.opt.step()
        return loss.item()
    def fit(self, loader):
        for x, y in loader:
            self.opt.zero_grad()
            self.step(x, y)
"""


def test_methods_of_a_trainer() -> None:
    found = roots(TRAINER)
    assert shown(found["step"].path) == "backward step return"
    assert shown(found["fit"].path) == "[zero step{backward step return}]"
    assert "__init__" not in found


def test_roots_are_where_something_is_stepped_or_back_propagated() -> None:
    code = "def f(): opt.step()\ndef g(l): l.backward()\ndef h(): opt.zero_grad()\ndef i(): f()\nf()"
    assert set(roots(code)) == {"f", "g", "i", ""}
    assert roots("def f(): opt.step()") == {}
    assert roots("import mxnet\ndef g(l): l.backward()") == {}


def test_events_name_their_objects() -> None:
    code = "def f(a, b):\n    opt.zero_grad()\n    scaler.scale(a).backward()\n    scaler.step(opt_d)\n    b.backward()"
    path = roots(code)["f"].path
    zero, scaled, step, plain = events_in(path)
    assert zero.target is not None
    assert text(zero.target).startswith("SGD(")
    assert step.target is not None
    assert text(step.target).startswith("Adam(")
    assert step.scaler is scaled.scaler is not None
    assert plain.scaler is None
    assert plain.subject is not None
    assert text(plain.subject) == "b"


def test_what_a_helper_is_given_replaces_its_parameters() -> None:
    code = "def g(o, l):\n    l.backward()\n    o.step()\ndef f(a, b):\n    g(opt, a)\n    g(opt_d, b)"
    steps = events_in(roots(code)["f"].path, Kind.STEP)
    subjects = [event.subject for event in events_in(roots(code)["f"].path, Kind.BACKWARD)]
    assert [text(event.target).split("(")[0] for event in steps if event.target] == ["SGD", "Adam"]
    assert [text(subject) for subject in subjects if subject] == ["a", "b"]


def test_loops_and_optimizers_of_a_path() -> None:
    code = (
        "def g(l):\n    for q in l:\n        q.backward()\n"
        "def f(l):\n    for x in l:\n        for y in l: opt.step()\n        g(l)\n    opt_d.step()\n    opt.step()"
    )
    path = roots(code)["f"].path
    assert [shown(rounds.body) for rounds in rounds_in(path)] == ["[step] g{[backward]}", "step", "backward"]
    assert [shown(rounds.body) for rounds in own_rounds(path)] == ["[step] g{[backward]}", "step"]
    assert [text(event.target).split("(")[0] for event in steps_by_optimizer(path) if event.target] == [
        "SGD",
        "Adam",
    ]


def test_a_way_through_many_calls_ends() -> None:
    chain = "".join(f"def f{i}(o):\n    f{i - 1}(o)\n    o.step()\n" for i in range(1, 20))
    path = roots(f"def f0(o):\n    o.step()\n{chain}def f(l):\n    l.backward()\n    f19(opt)")["f"].path
    assert 1 <= len(events_in(path, Kind.STEP)) < 19
    wide = "def f(l):\n    l.backward()\n" + "    g(opt)\n" * 500
    many = roots("def g(o):\n" + "    o.step()\n" * 50 + wide)["f"].path
    assert 1000 < len(events_in(many, Kind.STEP)) < 5000


def test_what_runs_without_training_has_a_path_too() -> None:
    source = read(
        "net = nn.Linear(8, 2)\n"
        "def test(x):\n    net.eval()\n    with torch.no_grad():\n        return net(x)\n"
        "def nothing(x):\n    return x\n"
    )
    assert source.ask(facts.training_paths) == ()
    (root,) = source.ask(facts.running_paths)
    events = [(event.kind.name, event.graph) for event in events_in(root.path)]
    assert (root.scope.name, events) == ("test", [("EVAL", True), ("FORWARD", False)])
