"""The findings that every format is shown with."""

from __future__ import annotations

from collections.abc import Sequence

from stablint.finding import (
    Applicability,
    Confidence,
    Edit,
    Finding,
    Fix,
    Location,
    Position,
    Related,
    Severity,
)
from stablint.reporters.report import RunReport

TRAIN = """\
import torch

def loss(logits, target):
    p = torch.log(torch.softmax(logits, dim=1))
    return -(p * target).sum()

for x, y in loader:
\tout = {"ein 🤗": model(x)}["ein 🤗"]; loss(out, y).backward()
    optimizer.step()
"""
FILES: dict[tuple[str, int | None], str] = {
    ("train.py", None): TRAIN,
    ("models/net.py", None): "class Net:\n    def forward(self, x):\n        return x.softmax(1)\n",
    ("lab.ipynb", 3): "%matplotlib inline\nx = torch.log(torch.softmax(y, 1))\n",
    ("broken.py", None): "def f(:\n    pass\n",
}


def at(path: str, start: tuple[int, int], end: tuple[int, int], cell: int | None = None) -> Location:
    return Location(path, Position(*start), Position(*end), cell)


def log_softmax_fix(place: Location, text: str) -> Fix:
    return Fix("Use `log_softmax`, which is exact", Applicability.SAFE, (Edit(place, text),))


PLACE = at("train.py", (4, 9), (4, 48))
PLAIN = Finding(
    PLACE,
    "STB101",
    "log-of-softmax",
    "`torch.log(torch.softmax(...))` is -inf as soon as one probability underflows, which it does for logits "
    "that are 104 apart in float32",
    Severity.ERROR,
    related=(Related(at("models/net.py", (3, 16), (3, 28)), "the model already ends in a softmax"),),
    fix=log_softmax_fix(PLACE, "torch.log_softmax(logits, dim=1)"),
)
EMOJI = Finding(
    at("train.py", (8, 40), (8, 62)),
    "STB201",
    "missing-zero-grad",
    "gradients of `optimizer` are never zeroed in this loop",
    Severity.ERROR,
    Confidence.MEDIUM,
    fix=Fix(
        "Zero them before `backward`",
        Applicability.UNSAFE,
        (Edit(at("train.py", (8, 1), (8, 1)), "\toptimizer.zero_grad()\n"),),
    ),
)
LINES = Finding(
    at("train.py", (4, 5), (5, 31)),
    "STB102",
    "two-lines",
    "this takes two lines",
    Severity.WARNING,
)
CELL = at("lab.ipynb", (2, 5), (2, 34), 3)
NOTEBOOK = Finding(
    CELL,
    "STB101",
    "log-of-softmax",
    "is -inf as soon as one probability underflows",
    Severity.ERROR,
    fix=log_softmax_fix(CELL, "torch.log_softmax(y, 1)"),
)
SYNTAX = Finding(
    at("broken.py", (1, 7), (1, 7)), "STB901", "syntax-error", "expected a parameter", Severity.ERROR
)
UNREAD = Finding(
    at("data.py", (1, 1), (1, 1)),
    "STB900",
    "file-not-checked",
    "not checked: permission denied",
    Severity.ERROR,
)
HOSTILE = Finding(
    at("a\n::error::x\x1b[31m %0A,b:c\udcff.py", (3, 1), (3, 2)),
    "STB303",
    "hostile-name",
    "the name of this file is no accident",
    Severity.NOTE,
)
ALL = (HOSTILE, SYNTAX, UNREAD, NOTEBOOK, PLAIN, LINES, EMOJI)


def source_lines(path: str, cell: int | None) -> Sequence[str] | None:
    text = FILES.get((path, cell))
    return None if text is None else text.split("\n")


def report(*findings: Finding, color: bool = False) -> RunReport:
    return RunReport(
        findings=findings,
        files_checked=12,
        source_lines=source_lines,
        summary=lambda code: f"What {code} is about.",
        page=lambda code: f"# a-name ({code})\n\nWhat {code} is about.\n\n## Why it is bad\n\nIt is.\n",
        url=lambda code: f"https://example.org/rules/{code}",
        color=color,
        base="/project",
    )
