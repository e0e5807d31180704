"""Loaders whose batches are trained on."""

import pytest
from term_text import read

from stablint.static import facts

LOOPS = {
    "for x in loader:\n        model(x).mean().backward()\n        optimizer.step()": True,
    "for i, (x, y) in enumerate(loader):\n        loss(model(x), y).backward()\n        optimizer.step()": True,
    "for x in loader:\n        scaler.scale(model(x).mean()).backward()\n        scaler.step(optimizer)": True,
    "for x in loader:\n        model(x).mean().backward()": False,
    "for x in loader:\n        print(model(x))\n    model(other).mean().backward()\n    optimizer.step()": False,
    "for x in other:\n        model(x).mean().backward()\n        optimizer.step()": False,
}


@pytest.mark.parametrize("loop", LOOPS)
def test_batches_reach_backward(loop: str) -> None:
    source = read(
        "from torch.utils.data import DataLoader\n"
        f"def train(model, optimizer, loss, scaler, other, loader):\n    {loop}\n"
        "def main(a, b, c, d, e, data):\n    train(a, b, c, d, e, DataLoader(data, 8))\n"
    )
    assert bool(source.ask(facts.feedings)) is LOOPS[loop]
