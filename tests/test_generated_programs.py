"""No program, however odd, makes a fact or a rule fail, and none makes them take for ever."""

import ast
import math

import pytest
from generated_programs import training_program
from term_text import read

from stablint.finding import Finding
from stablint.registry import load_rules
from stablint.rule import StaticRule
from stablint.static import facts
from stablint.static.examine import examine
from stablint.static.source import SourceFile

RULES = [rule() for rule in load_rules() if issubclass(rule, StaticRule)]

SEEDS = range(100)


def source(code: str) -> SourceFile:
    return SourceFile("train.py", code.encode())


def findings(code: str) -> list[Finding]:
    return examine(source(code), RULES)


def failures(found: list[Finding]) -> list[str]:
    """What the run says of itself: a rule that raised, a file that was not checked."""
    return [f"{one.code} {one.message}" for one in found if one.code.startswith("STB9")]


@pytest.mark.parametrize("seed", SEEDS)
def test_no_rule_fails(seed: int) -> None:
    code = training_program(seed)
    ast.parse(code)
    assert failures(findings(code)) == []


def test_the_programs_concern_the_rules() -> None:
    found = {one.code for seed in range(20) for one in findings(training_program(seed))}
    assert len(found) >= 5


def test_a_program_is_the_same_every_time() -> None:
    assert training_program(3) == training_program(3)
    assert training_program(3) != training_program(4)
    assert findings(training_program(3)) == findings(training_program(3))


def test_every_expression_of_a_program_has_an_interval() -> None:
    count = 0
    for seed in range(10):
        values = source(training_program(seed)).ask(facts.values)
        for term in list(values.interpreter.terms.values()):
            resolved = values.resolve(term)
            held = facts.intervals.interval(resolved)
            assert held.low <= held.high
            assert not math.isnan(held.low)
            assert facts.gradients.carries_graph(resolved) in (True, False, None)
            count += 1
    assert count > 1000


GROWING = {
    "sums": "y = y + y",
    "products": "y = y * y",
    "powers": "y = y ** y",
    "residual blocks": "y = y + torch.relu(torch.sigmoid(y) * y)",
    "gates": "y = torch.where(y > 0, y, torch.exp(y))",
    "masks": "y = (y > 0) & (y < 1) | ~(y == y)",
    "softmaxes": "y = torch.exp(y) / torch.exp(y).sum()",
    "logarithms": "y = torch.log(torch.exp(y) + torch.exp(y))",
    "joins": "y = torch.cat([y, y])",
    "choices": "y = y or y if y else y and y",
    "pairs": "y = (y, y)[0] + max(y, y)",
    "lists": "items = [*items, *items, y]",
    "longer lists": "items = items + items",
    "extended lists": "items.extend(items)",
    "dictionaries": "table = {**table, 'a': y, **table}",
    "texts": "text = text + text",
    "numbers": "n = n * n",
    "calls": "y = twice(y)",
    "layers": "layers = nn.Sequential(layers, layers)",
    "losses": "loss = loss + loss",
}
"""What is twice as large after each round, if each part of it is counted as often as it occurs."""

DOUBLED = """\
def twice(z):
    return z + z

def grow(x, model, loader, optimizer):
    y, items, table, text, n, layers = x, [x], {}, "a", 2, nn.Linear(8, 8)
    loss, total = F.cross_entropy(model(x), x), 0
    for i in range(40):
        {step}
    a = torch.log(y) + torch.log1p(y) + torch.sqrt(y) + 1 / y + y.norm() + torch.softmax(y, 1)
    b = torch.log(torch.exp(y).sum() + 1e-8) + torch.log(1 - torch.sigmoid(y)) - (y ** 2).mean()
    for x in loader:
        total += loss
        loss.backward()
        optimizer.step()
    return F.cross_entropy(layers(y), b), F.nll_loss(y, a), F.dropout(y), items, table, text, n
"""


@pytest.mark.parametrize("step", GROWING.values(), ids=GROWING.keys())
def test_what_doubles_is_read_once(step: str) -> None:
    assert failures(examine(read(DOUBLED.replace("{step}", step)), RULES)) == []


def nested(head: str, depth: int, body: str) -> str:
    """The body inside so many blocks."""
    lines = [f"{'    ' * level}{head.replace('#', str(level))}" for level in range(depth)]
    return "\n".join([*lines, "    " * depth + body])


def in_a_row(line: str, count: int) -> str:
    return "\n".join(line.replace("#", str(number)).replace("@", str(number - 1)) for number in range(count))


NESTED = {
    "loops": nested("for i# in range(60):", 6, "torch.log(i0)"),
    "open loops": nested("for i# in x:", 30, "x = x.log()"),
    "comprehensions": "[" * 6 + "i" + " for i in range(60)]" * 6,
    "one comprehension": "[i" + " for i in range(60)" * 6 + "]",
    "branches": nested("if x > #:", 40, "x = x.log()"),
    "branches in a row": in_a_row("if x > #: x = x.log()", 200),
    "lines": in_a_row("x = torch.relu(x) + #", 1500),
    "functions": in_a_row("def f#(x): return f@(x) + f@(x)", 20) + "\nf19(1)",
    "lambdas": "f = lambda x: x\n" + "f = (lambda g: lambda x: g(g(x)))(f)\n" * 20 + "f(1)",
    "classes": in_a_row("class A#(A@, B#): pass\nclass B#(A@, B@): pass", 60) + "\nA59().x",
}
"""What is interpreted once for each round of what stands around it, if nothing is done about it."""


@pytest.mark.parametrize("code", NESTED.values(), ids=NESTED.keys())
def test_what_is_nested_is_read_a_few_times(code: str) -> None:
    ast.parse(code)
    assert failures(examine(read(f"x = torch.ones(3)\n{code}\n"), RULES)) == []
