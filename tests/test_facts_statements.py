"""Where statements stand and how code is written: what rules ask before they offer a fix."""

import libcst as cst
import pytest
from term_text import looks, read, text

from stablint.static import facts
from stablint.static.facts import modes, paths, spelling, statements, writing
from stablint.static.facts.events import Kind
from stablint.static.facts.paths import events_in
from stablint.static.source import SourceFile


def marked(code: str) -> tuple[SourceFile, list[cst.CSTNode]]:
    """The file, and the statements that call `look`."""
    source = read(code)
    return source, [site.statement for site in looks(source)]


def test_statements_of_one_suite() -> None:
    source, (first, second, inside, joined) = marked("look(1)\nlook(2)\nif x:\n    look(3)\ny = 1; look(4)\n")
    assert statements.same_suite(source, first, second)
    assert not statements.same_suite(source, first, inside)
    assert not statements.same_suite(source, first, None)
    assert statements.same_suite(source, first, joined)


def test_the_text_of_a_statement_has_no_comment() -> None:
    source, (one, _) = marked("x = look(1)  # why\nlook(2); y = 3;\n")
    assert statements.text_of(source, one) == "x = look(1)"


GUARDS = {
    "if a:\n    if b: look(1)\n    else: pass": ["b", "a"],
    "if a: pass\nelif b: look(1)": ["b", "a"],
    "if a:\n    for x in y:\n        if i % 2 == 0:\n            look(1)": ["i % 2 == 0"],
    "for x in y: look(1)": [],
    "if a:\n    with b: look(1)": ["a"],
}


@pytest.mark.parametrize(("code", "expected"), GUARDS.items(), ids=GUARDS)
def test_guards(code: str, expected: list[str]) -> None:
    source, (statement,) = marked(code)
    assert statements.guards(source, statement) == expected
    assert statements.every_nth_round(source, statement) is any("%" in guard for guard in expected)


def test_loops_around_a_statement() -> None:
    source, (inside, alone) = marked("while a:\n    for x in y:\n        if b: look(1)\nlook(2)\n")
    loop = statements.innermost_loop(source, inside)
    assert loop is not None
    assert loop.kind == "for"
    assert statements.innermost_loop(source, alone) is None
    assert statements.innermost_loop(source, None) is None


def test_the_rest_of_a_loop() -> None:
    source, (first, nested) = marked(
        "for x in y:\n    look(1)\n    a = 1\n    if b:\n        look(2)\n        c = 2\n"
    )
    assert [type(one).__name__ for one in statements.rest_of_loop(source, first)] == [
        "SimpleStatementLine",
        "If",
    ]
    assert statements.rest_of_loop(source, nested) == []


def test_what_counts_the_rounds_of_a_loop() -> None:
    source = read("for i, (x, y) in z:\n    step += 1\n    n = 2\n    if x: m += 1\n\nwhile a:\n    k += 1\n")
    loops = [node for node in source.ask(facts.syntax).blocks if isinstance(node, cst.For | cst.While)]
    assert [statements.counters(source, loop) for loop in loops] == [{"i", "x", "y", "step"}, {"k"}]


def test_names_in_code() -> None:
    assert statements.names_in("a.b(c_1)[d] + 2") == {"a", "b", "c_1", "d"}


def test_expressions_that_only_show_something() -> None:
    assert (
        statements.bare_expressions(read("x\nx.y\nx[0]\nf(x)\n'text'\ndef f():\n    x\n").ask(facts.syntax))
        == 3
    )


WORKED_ON = {
    "x.clamp(0)": "x", "F.relu(x)": "x", "torch.relu(x)": "x", "f(x)": "x", "torch.relu(x + 1)": None,
    "x.y.relu()": None,
    "torch.zeros()": None, "f(input=x)": None, "x + 1": None,
}  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), WORKED_ON.items(), ids=WORKED_ON)
def test_the_name_that_a_call_works_on(code: str, expected: str | None) -> None:
    assert statements.worked_on(cst.parse_expression(code)) == expected


def test_assignments_to_attributes() -> None:
    source = read("a.grad = 1\nb.data = 2\nc.x = d.grad = 3\ngrad = 4\ne.grad += 5\n")
    found = statements.attribute_assignments(source, "grad", "data")
    assert [source.code(attribute) for _, attribute in found] == ["a.grad", "b.data", "d.grad"]
    assert list(statements.attribute_assignments(source, "other")) == []


def test_the_first_statement_of_a_loop() -> None:
    source = read("for x in y:\n    a = 1\n    b = 2\n\nwhile c: d = 3\n")
    loops = [node for node in source.ask(facts.syntax).blocks if isinstance(node, cst.For | cst.While)]
    first = statements.first_of(loops[0])
    assert first is not None
    assert source.code(first).strip() == "a = 1"
    assert statements.first_of(loops[1]) is None


def test_calls_in_the_body_of_a_loop() -> None:
    source, _ = marked("for x in look(1):\n    y = look(2)\nlook(3)\n")
    (loop,) = [node for node in source.ask(facts.syntax).blocks if isinstance(node, cst.For)]
    found = [statements.stands_in(source, site.node, loop) for site in looks(source)]
    assert found == [False, True, False]


SPELLED = {
    "import torch": "torch.nn.functional.softmax",
    "import torch.nn.functional": "torch.nn.functional.softmax",
    "import torch.nn.functional as F": "F.softmax",
    "from torch.nn import functional": "functional.softmax",
    "from torch.nn.functional import softmax": "softmax",
    "from torch.nn.functional import softmax as s": "s",
    "from torch import nn": "nn.functional.softmax",
    "import numpy": None,
    "import torch\ntorch = 1": None,
    "import torch.nn.functional as F\nimport fairseq as F": None,
}


@pytest.mark.parametrize(("imports", "expected"), SPELLED.items(), ids=SPELLED)
def test_the_shortest_way_to_say_a_name(imports: str, expected: str | None) -> None:
    source = SourceFile("a.py", f"{imports}\ndef f(x): pass\n".encode())
    (function,) = source.ask(facts.syntax).functions
    assert spelling.spelled(source, function, "torch.nn.functional.softmax") == expected


def test_a_name_that_means_something_else_in_the_function_is_not_used() -> None:
    source = SourceFile("a.py", b"import torch.nn.functional as F\ndef f(F):\n    def g(): pass\n")
    functions = source.ask(facts.syntax).functions
    assert [spelling.spelled(source, one, "torch.nn.functional.relu") for one in functions] == [None, None]


OPERANDS = {
    "torch.log(x + 1)": ["x + 1"],
    "(x + 1).log()": ["(x + 1)"],
    "nn.Softmax(1)(x)": ["x"],
    "torch.log(input=x)": ["x"],
    "torch.log(*x)": [],
    "x / y": ["x", "y"],
    "F.softmax(dim=1, input=x)": [],
}


@pytest.mark.parametrize(("code", "expected"), OPERANDS.items(), ids=OPERANDS)
def test_how_operands_are_written(code: str, expected: list[str]) -> None:
    source = read(f"def f(x, y):\n    return {code}\n")
    ((_, operation),) = source.ask(facts.operations).named("log", "softmax", "div")
    assert [source.code(operand) for operand in spelling.written_operands(operation)] == expected


ARGUMENTS = {
    "torch.softmax(x, 1)": "1",
    "x.softmax(1)": "1",
    "x.softmax(dim=2)": "2",
    "torch.softmax(x, dim=y)": "y",
    "torch.softmax(x)": None,
    "torch.softmax(x, *y)": None,
    "torch.softmax(x, dtype=y)": None,
}


@pytest.mark.parametrize(("code", "expected"), ARGUMENTS.items(), ids=ARGUMENTS)
def test_how_an_argument_is_written(code: str, expected: str | None) -> None:
    source = read(f"def f(x, y):\n    return {code}\n")
    ((_, operation),) = source.ask(facts.operations).named("softmax")
    written = spelling.written_argument(operation, 0, "dim")
    assert (source.code(written) if written is not None else None) == expected


def test_a_call_with_nothing_but_its_operand() -> None:
    source = read("def f(x, k):\n    x.log()\n    torch.log(x, out=k)\n    x.log_()\n    torch.log(x, **k)\n")
    found = [spelling.is_alone(operation) for _, operation in source.ask(facts.operations).named("log")]
    assert found == [True, False, False, False]


def test_renaming_a_call() -> None:
    def renamed(code: str) -> str | None:
        call = spelling.renamed(
            cst.parse_expression(code), {"Softmax": "LogSoftmax", "softmax": "log_softmax"}
        )
        return cst.Module([]).code_for_node(call) if call is not None else None

    assert renamed("F.softmax(x, dim=1)") == "F.log_softmax(x, dim=1)"
    assert renamed("nn.Softmax(1)(x)") == "nn.LogSoftmax(1)(x)"
    assert renamed("softmax(x)") is None
    assert renamed("x + 1") is None


def test_parentheses() -> None:
    source = read("a = (x + y)\nb = x\nc = -x\nd = 1 - x\n")
    module = source.ask(facts.syntax).module
    a, b, c, d = (module.bindings[name][0].value for name in "abcd")
    assert a is not None
    assert b is not None
    assert c is not None
    assert d is not None
    assert spelling.bare(source, a) == "x + y"
    assert [spelling.in_parentheses(source, one) for one in (a, b, c)] == ["(x + y)", "x", "(-x)"]
    assert [source.code(spelling.last_operand(one)) for one in (a, b, c, d)] == ["y", "x", "x", "x"]


TRAINER = """
class Trainer:
    def __init__(self, model):
        self.model, self.opt = model, torch.optim.SGD(model.parameters(), 0.1)
    def fit(self, loss, optimizer, scaler):
        self.model.eval()
        loss.backward()
        self.opt.step()
        scaler.step(optimizer)
"""


def test_how_the_objects_of_events_are_written() -> None:
    source = read(TRAINER)
    (root,) = source.ask(facts.training_paths)
    own, scaled = events_in(root.path, Kind.STEP)
    (mode,) = events_in(root.path, Kind.EVAL)
    assert writing.called_expression(source, mode) == "self.model"
    assert writing.written(source, own.target, own, root.scope) == "self.opt"
    assert writing.written(source, scaled.target, scaled, root.scope) == "optimizer"
    assert writing.written(source, scaled.scaler, scaled, root.scope) == "scaler"
    module = source.ask(facts.syntax).module
    assert writing.written(source, scaled.target, scaled, module) is None
    assert writing.spelled(scaled.target, root.scope) == "optimizer"
    assert scaled.target is not None
    assert text(scaled.target) == "optimizer"


ASKED = {
    "if self.training:\n            look(x)": True,
    "if not self.training:\n            return x\n        look(x)": True,
    "y = look(x) if self.training else x": True,
    "y = self.training and look(x)": True,
    "look(x)": False,
    "if x:\n            look(x)": False,
    "look(x)\n        if self.training: pass": False,
    "while is_train:\n            look(x)": True,
    "for y in x:\n            if mode == 'eval': continue\n            look(x)": True,
}


@pytest.mark.parametrize(("body", "expected"), ASKED.items(), ids=ASKED)
def test_whether_the_mode_is_asked(body: str, expected: bool) -> None:
    source = read(f"class A(nn.Module):\n    def forward(self, x):\n        {body}\n")
    (site,) = looks(source)
    assert modes.is_asked(source, site.node, site.statement, site.scope) is expected


def test_whether_the_mode_is_asked_where_a_function_is_called() -> None:
    for guard, expected in (("if self.training: ", True), ("", False)):
        source = read(
            "class A(nn.Module):\n    def noise(self, x):\n        return look(x)\n"
            f"    def forward(self, x):\n        {guard}self.noise(x)\n"
        )
        (site,) = looks(source)
        assert modes.is_asked(source, site.node, site.statement, site.scope) is expected


def test_values_of_a_mode() -> None:
    source = read("def f(self, p, is_training):\n    look(self.p * self.training, p, is_training)\n")
    values = source.ask(facts.values)
    (site,) = looks(source)
    assert [modes.is_of_mode(values.raw(one.value)) for one in site.node.args] == [True, False, True]


MODULI = {
    "if i % n == 0: look(1)": "n",
    "if (i + 1) % a.b != 0 or last: look(1)": "a.b",
    "if i > n: look(1)": None,
    "if i == n:\n    look(1)\n    i = 0": "n",
    "if i >= a.b:\n    i = 0\n    look(1)": "a.b",
    "if i == n:\n    look(1)\n    j = 0": None,
}


@pytest.mark.parametrize("code", MODULI)
def test_the_n_of_every_nth_round(code: str) -> None:
    source, (statement,) = marked(code)
    block = statements.block_of(source, statement)
    assert block is not None
    n = statements.modulus(source, block.node)
    assert (source.code(n) if n is not None else None) == MODULI[code]


TIMES = {
    "for _ in range(n): look(1)": "n",
    "for _ in range(1, n): look(1)": None,
    "for _ in n: look(1)": None,
}


@pytest.mark.parametrize("code", TIMES)
def test_the_n_of_a_loop(code: str) -> None:
    source, (statement,) = marked(code)
    loop = statements.innermost_loop(source, statement)
    assert loop is not None
    n = statements.times(loop.node)
    assert (source.code(n) if n is not None else None) == TIMES[code]


MOVED = {
    "P(t).cuda()": "P(t.cuda())",
    "nn.P(t + 1, False).to(d)[0]": None,
    "nn.P(t + 1, False).to(d).half()": "nn.P((t + 1).to(d).half(), False)",
    "P(f(t)) * 2 + 1": "P(f(t) * 2 + 1)",
    "(P(t) * 2).half()": None,
    "1 + P(t)": None,
    "P(t)": None,
    "P(*t).cuda()": None,
    "P(data=t).cuda()": None,
    "Q(t).cuda()": None,
}


@pytest.mark.parametrize(("code", "expected"), MOVED.items(), ids=MOVED)
def test_what_follows_a_call_is_moved_inside(code: str, expected: str | None) -> None:
    source = read(f"look({code})")
    node = looks(source)[0].node.args[0].value
    assert writing.moved_inside(source, node, "P") == expected


HEADERS = {
    "for x in loader: look(x)": "loader",
    "look(sum(f(x) for x in val_loader))": "",
    "with torch.no_grad(), f(x) as y: look(x)": "torch.no_grad(), f(x)",
    "while True: look(x)": "",
}


@pytest.mark.parametrize(("code", "expected"), HEADERS.items(), ids=HEADERS)
def test_what_a_loop_goes_over(code: str, expected: str) -> None:
    source = read(code)
    (site,) = looks(source)
    assert statements.header(source, site.block.node if site.block is not None else site.node) == expected


def test_the_outermost_statement_that_stands_in_certain_loops() -> None:
    source = read("for e in r:\n    with g:\n        for x in l:\n            look(x)\n")
    (site,) = looks(source)
    assert site.block is not None
    inner, with_block, outer = site.block.outward()
    assert statements.outermost_without(source, site.statement, [outer.node]) is with_block.node
    assert statements.outermost_without(source, site.statement, []) is outer.node
    assert statements.outermost_without(source, site.statement, [inner.node]) is site.statement


CHUNKS = {
    "for a in x.chunk(4): look(1)": "4",
    "for a, b in zip(torch.chunk(x, n, 1), y): look(1)": "n",
    "for i, a in enumerate(x.split(4)): look(1)": None,
    "while x: look(1)": None,
}


@pytest.mark.parametrize("code", CHUNKS)
def test_the_n_of_the_pieces(code: str) -> None:
    source, (statement,) = marked(code)
    loop = statements.innermost_loop(source, statement)
    assert loop is not None
    n = statements.chunks(loop.node)
    assert (source.code(n) if n is not None else None) == CHUNKS[code]


def test_the_test_of_a_branch() -> None:
    source, (inside,) = marked("if a % 2: look(1)")
    block = statements.block_of(source, inside)
    assert block is not None
    assert statements.test_of(source, block.node) == "a % 2"
    assert statements.test_of(source, inside) == ""


ENDS = {
    "for _ in range(n): look(1)": "n",
    "for _ in range(1, n): look(1)": "n",
    "for _ in trange(n, desc='x'): look(1)": "n",
    "for _ in n: look(1)": None,
    "while n: look(1)": None,
}


@pytest.mark.parametrize("code", ENDS)
def test_the_end_of_a_range(code: str) -> None:
    source, (statement,) = marked(code)
    loop = statements.innermost_loop(source, statement)
    assert loop is not None
    end = statements.end_of_range(loop.node)
    assert (source.code(end) if end is not None else None) == ENDS[code]


def test_what_the_head_of_a_loop_says() -> None:
    source, (inside,) = marked("for i, (x, y) in enumerate(loader): look(1)")
    loop = statements.innermost_loop(source, inside)
    assert loop is not None
    assert statements.loop_texts(source, loop.node).text == "i, (x, y) enumerate(loader)"
    assert statements.loop_texts(source, source.tree).text == " "


def test_the_events_of_a_round() -> None:
    source = read(
        "import torch\ndef go(model, loader, use):\n    opt = torch.optim.SGD(model.parameters())\n"
        "    for epoch in range(3):\n        opt.zero_grad()\n        for x in loader:\n"
        "            model(x).sum().backward()\n            if use:\n                opt.step()\n"
    )
    (outer,) = (loop for root in source.ask(facts.training_paths) for loop in paths.own_rounds(root.path)[:1])
    (inner,) = paths.inner_rounds(outer.body)
    assert [event.kind for event in paths.events_of_round(outer.body)] == [Kind.ZERO_GRAD]
    assert [event.kind for event in paths.events_of_round(inner.body, Kind.STEP)] == [Kind.STEP]


def test_the_assignments_of_functions_and_the_functions_of_a_run() -> None:
    source = read(
        "import torch\n"
        "def inner(opt):\n    done: int = 1\n    opt.step()\n"
        "def other():\n    left = 2\n"
        "def go(model):\n    opt = torch.optim.SGD(model.parameters())\n    a, b = c = model, opt\n    inner(opt)\n"
    )
    (root,) = (one for one in source.ask(facts.running_paths) if one.scope.name == "go")
    functions = paths.functions_in(root)
    assert {scope.name for scope in functions} == {"go", "inner"}
    found = [target for _, target, _ in statements.assignments(source, functions)]
    assert found == ["done", "opt"]


def test_the_condition_of_a_branch() -> None:
    source, (first, second, third, _) = marked(
        "if a:\n    look(1)\nelif b:\n    look(2)\nelse:\n    look(3)\nfor x in y:\n    look(4)\n"
    )
    blocks = [statements.block_of(source, one) for one in (first, second, third)]
    tests = [statements.tested(block) for block in blocks if block is not None]
    assert [source.code(test) for test in tests if test is not None] == ["a", "b", "b"]
    loops = [statements.block_of(source, site.statement) for site in looks(source)[3:]]
    assert [statements.tested(block) for block in loops if block is not None] == [None]


def test_whose_method_is_called() -> None:
    source = read("look(net.fc.forward(x), f(x))")
    calls = [argument.value for argument in looks(source)[0].node.args]
    found = [writing.owner(call) for call in calls if isinstance(call, cst.Call)]
    assert [source.code(node) if node is not None else None for node in found] == ["net.fc", None]
