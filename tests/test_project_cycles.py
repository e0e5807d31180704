"""Files that import each other, and functions that call each other across files: it matters not where one begins."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence

import pytest
from projects import Memory, findings, looked

CIRCLES = {
    "imports alone": (
        "# file: a.py\nimport b\nX = 1\n# file: b.py\nimport a\nY = 2\nlook(a.X)\n# file: train.py\nimport a, b\n"
        "look(a.X, b.Y)\n",
        {"b.py": ["1"], "train.py": ["1", "2"]},
    ),
    "a name that comes back": (
        "# file: a.py\nfrom b import f\nlook(f())\n# file: b.py\nfrom a import f\nlook(f())\n"
        "# file: train.py\nfrom a import f\nlook(f())\n",
        {"a.py": ["b.f()"], "b.py": ["a.f()"], "train.py": ["a.f()"]},
    ),
    "stars": (
        "# file: a.py\nfrom b import *\ndef f():\n    return 1\nlook(g())\n# file: b.py\nfrom a import *\n"
        "def g():\n    return 2\nlook(f())\n# file: train.py\nfrom a import *\nlook(f(), g(), h())\n",
        {"a.py": ["2"], "b.py": ["1"], "train.py": ["1", "2", "?h()"]},
    ),
    "a file imports itself": (
        "# file: a.py\nimport a\nfrom a import f\ndef f():\n    return 1\nlook(a.f())\n# file: train.py\nimport a\n"
        "look(a.a.a.f())\n",
        {"a.py": ["a.f()"], "train.py": ["a.f()"]},
    ),
    "calls": (
        "# file: a.py\nfrom b import g\ndef f(x):\n    return g(x) + 1\n# file: b.py\nfrom a import f\n"
        "def g(x):\n    return f(x).log() if x else x\n# file: train.py\nfrom a import f\nfrom b import g\n"
        "look(f(1), g(1))\n",
        {"train.py": ["?f", "?g"]},
    ),
    "a call into a circle": (
        "# file: a.py\nfrom b import g\ndef f(x):\n    return g(x)\n# file: b.py\nimport a\ndef g(x):\n"
        "    return a.f(x)\ndef h(x):\n    return (g(x), 3)\n# file: train.py\nfrom b import h\nlook(h(1)[1])\n",
        {"train.py": ["3"]},
    ),
    "bases": (
        "# file: a.py\nfrom b import B\nclass A(B):\n    x = 1\n# file: b.py\nfrom a import A\nclass B(A):\n    y = 2\n"
        "# file: train.py\nfrom a import A\nlook(A.x, A.y)\n",
        {"train.py": ["1", "2"]},
    ),
}


@pytest.mark.parametrize(("code", "expected"), CIRCLES.values(), ids=CIRCLES)
def test_circles_end(code: str, expected: dict[str, list[str]]) -> None:
    for order in itertools.permutations(expected):
        memory = Memory(code)
        assert {path: looked(memory, path) for path in order} == expected


class Writer:
    """Writes small projects that are as tangled as can be."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.modules = ["a", "b", "c", "d"][: self.random.randint(2, 4)]
        self.names = ["f", "g", "X", "Y", "Net", "Base"]

    def project(self) -> dict[str, str]:
        """A project by path."""
        return {f"{module}.py": self.file(module) for module in self.modules}

    def file(self, module: str) -> str:
        """One file: imports, definitions in any order, looks."""
        others = [other for other in self.modules if other != module]
        lines = ["import torch", "import torch.nn as nn", "import torch.nn.functional as F"]
        lines += [self.imported(self.random.choice(others)) for _ in range(self.random.randint(1, 3))]
        for _ in range(self.random.randint(2, 5)):
            lines += self.definition(others)
        lines += [f"look({self.expression(others)})" for _ in range(3)]
        lines += ["def main(x, y):", "    model = Net()", "    loss = nn.CrossEntropyLoss()(model(x), y)"]
        return "\n".join([*lines, "    loss.backward()", "    return torch.log(g(x))", ""])

    def imported(self, other: str) -> str:
        """A line that imports something."""
        name = self.random.choice(self.names)
        return self.random.choice(
            [
                f"import {other}",
                f"from {other} import {name}",
                f"from {other} import *",
                f"import {other} as {name}",
            ]
        )

    def expression(self, others: Sequence[str]) -> str:
        """Something that may be known."""
        other = f"{self.random.choice(others)}." if self.random.random() < 0.6 else ""
        return other + self.random.choice(["f()", "g(1)", "X", "Y", "Net()", "Net().n", "Net()(1)", "Base.n"])

    def definition(self, others: Sequence[str]) -> list[str]:
        """A function, a class or a value, perhaps with an import in it."""
        within = [f"    {self.imported(self.random.choice(others))}"] if self.random.random() < 0.3 else []
        within = [line for line in within if "*" not in line]
        given = self.expression(others)
        match self.random.randint(0, 5):
            case 0:
                return ["def f():", *within, f"    return {given}"]
            case 1:
                return ["def g(x):", *within, f"    return F.softmax({given}, dim=1) if x else {given}"]
            case 2:
                return [f"X = {given}"]
            case 3:
                return [f"Y = {self.random.choice(['1', '2', given])}"]
            case 4:
                forward = self.random.choice([given, "F.softmax(self.layer(x), dim=1)", "super().forward(x)"])
                base = self.random.choice(["Base", "nn.Module", f"{self.random.choice(others)}.Base"])
                return [
                    f"class Net({base}):",
                    f"    n = {given}",
                    "    def __init__(self):",
                    "        super().__init__()",
                    f"        self.layer = {self.random.choice(['nn.Linear(2, 2)', given])}",
                    "    def forward(self, x):",
                    f"        return {forward}",
                ]
            case _:
                head = ["class Base(nn.Module):", f"    n = {self.random.randint(1, 9)}"]
                return [*head, "    def forward(self, x):", f"        return {given}"]


def orders(project: Mapping[str, str], seed: int) -> list[tuple[str, ...]]:
    """Some of the orders in which the files can be checked."""
    every = list(itertools.permutations(project))
    random.Random(seed).shuffle(every)
    return every[:5]


@pytest.mark.parametrize("seed", [*range(14), 42, 215, 651, 871, 891])
def test_the_order_of_files_does_not_matter(seed: int) -> None:
    project = Writer(seed).project()
    alone = {path: looked(Memory(project), path) for path in project}
    for order in orders(project, seed):
        memory = Memory(project)
        assert {path: looked(memory, path) for path in order} == alone, order


@pytest.mark.parametrize("seed", range(4))
def test_findings_are_those_of_each_file_alone(seed: int) -> None:
    project = Writer(1000 + seed).project()
    alone = {path: findings(Memory(project), path) for path in project}
    for order in orders(project, seed):
        memory = Memory(project)
        assert {path: findings(memory, path) for path in order} == alone, order
