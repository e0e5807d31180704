"""Steps of training that helpers in other files make."""

from __future__ import annotations

import pytest
from projects import Memory, findings

HEAD = """\
import torch
import torch.nn.functional as F
from torch import nn
from steps import *

model = nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in loader:
"""
CODES = "STB101 STB102 STB103 STB104 STB105 STB106"

LOOPS = {
    "zero_grad elsewhere": (
        "def clear(o):\n    o.zero_grad()\n",
        "    clear(optimizer)\n    F.cross_entropy(model(x), y).backward()\n    optimizer.step()\n",
        0,
    ),
    "all of it elsewhere": (
        "def update(loss, o):\n    o.zero_grad()\n    loss.backward()\n    o.step()\n",
        "    update(F.cross_entropy(model(x), y), optimizer)\n",
        0,
    ),
    "zero_grad between": (
        "def clear(o):\n    o.zero_grad()\n",
        "    F.cross_entropy(model(x), y).backward()\n    clear(optimizer)\n    optimizer.step()\n",
        1,
    ),
    "in a class elsewhere": (
        "class Updater:\n    def __init__(self, o):\n        self.o = o\n    def step(self, loss):\n"
        "        self.o.zero_grad()\n        loss.backward()\n        self.o.step()\n",
        "    Updater(optimizer).step(F.cross_entropy(model(x), y))\n",
        0,
    ),
    "nobody knows what a helper does": (
        "from missing import clear\n",
        "    clear(optimizer)\n    F.cross_entropy(model(x), y).backward()\n    optimizer.step()\n",
        0,
    ),
}


@pytest.mark.parametrize(("steps", "loop", "count"), LOOPS.values(), ids=LOOPS)
def test_steps_of_training_in_another_file(steps: str, loop: str, count: int) -> None:
    found = findings(Memory({"steps.py": steps, "train.py": HEAD + loop}), codes=CODES)
    assert len(found) == count, found
