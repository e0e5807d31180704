"""What a loss makes of the losses of its samples."""

import pytest
from term_text import looks, read

from stablint.static import facts
from stablint.static.facts import reductions
from stablint.static.facts.terms import Operation

REDUCTIONS = {
    "F.cross_entropy(x, y)": "mean",
    "F.cross_entropy(x, y, reduction='sum')": "sum",
    "F.cross_entropy(x, y, None, None, -100, None, 'none')": "none",
    "nn.MSELoss()(x, y)": "mean",
    "nn.MSELoss(reduction='sum')(x, y)": "sum",
    "F.mse_loss(x, y, reduction=how)": None,
    "F.mse_loss(x, y, size_average=False)": None,
    "F.mse_loss(x, y, **how)": None,
    "F.softmax(x, 1)": None,
}


@pytest.mark.parametrize("code", REDUCTIONS)
def test_how_a_loss_reduces(code: str) -> None:
    source = read(
        f"from torch import nn\nimport torch.nn.functional as F\ndef f(x, y, how):\n    look({code})"
    )
    (site,) = looks(source)
    loss = source.ask(facts.values).raw(site.node.args[0].value)
    assert isinstance(loss, Operation)
    assert reductions.reduction(loss) == REDUCTIONS[code]
