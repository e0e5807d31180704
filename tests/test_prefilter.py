"""A file that cannot concern torch is told from its bytes."""

import pytest
from notebooks import notebook

from stablint.static.prefilter import may_concern_torch


@pytest.mark.parametrize(
    "text",
    [
        "import torch\n",
        "from torch import nn\n",
        "import torchvision.transforms as T\n",
        "import pytorch_lightning as pl\n",
        "from lightning.pytorch import LightningModule\n",
        "import lightning as L\n",
        "from skorch import NeuralNet\n",
        "from transformers import Trainer\n",
        "from accelerate import Accelerator\n",
        "from fastai.vision.all import *\n",
        "from ignite.engine import Engine\n",
        "import deepspeed\n",
        "from .net import Net\nloss.backward()\n",
        "def step(optimizer):\n    optimizer.zero_grad()\n",
        "x = __import__('torch')\n",
    ],
)
def test_of_interest(text: str) -> None:
    assert may_concern_torch(text.encode())
    assert may_concern_torch(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert may_concern_torch(text.encode("utf-16"))


@pytest.mark.parametrize(
    "text",
    ["", "import numpy as np\n", "import tensorflow as tf\n", "x = 'for chosen orchids'\n", "backward = 1\n"],
)
def test_of_no_interest(text: str) -> None:
    assert not may_concern_torch(text.encode())


def test_notebooks() -> None:
    assert may_concern_torch(notebook("import torch").data)
    assert may_concern_torch(notebook("%%bash\npip install torch").data)
    assert not may_concern_torch(notebook("import numpy", ("markdown", "numbers")).data)
