"""The benchmark that breaks files: what it breaks, what it leaves alone, and how it counts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_benchmarks import rows

SCRIPT = Path(__file__).parent / "benchmarks" / "mutation.py"

TRAIN = """\
import torch
from torch import nn
import torch.nn.functional as F


def train(model, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for inputs, labels in batches:
        optimizer.zero_grad()
        logits = model(inputs)
        loss = F.nll_loss(F.log_softmax(logits, dim=1), labels)
        loss.backward()
        optimizer.step()


def weigh(x):
    p = torch.sigmoid(x)
    return torch.log(p + 1e-8), torch.log(x + 1e-8)
"""
CLEARED_TWICE = TRAIN.replace("        loss.backward()", "        model.zero_grad()\n        loss.backward()")
FAULTY = TRAIN + "\n\ndef wrong(x):\n    return torch.log(torch.softmax(x, 1)), F.log_softmax(x, 1)\n"
OUTDATED = 'import torch\nprint "optimizer.zero_grad() log_softmax"\n'


NET = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return self.layer(x)
"""
PAIRED = """
import torch
import torch.nn.functional as F

net = Net()


def evaluate(inputs, labels):
    return F.cross_entropy(net(inputs), labels)
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three repositories: one clean file, one that clears twice, one that is faulty already or no Python of today."""
    for repo, text in (
        ("a+clean", TRAIN),
        ("b+twice", CLEARED_TWICE),
        ("c+faulty", FAULTY),
        ("d+old", OUTDATED),
    ):
        file = tmp_path / "corpus" / repo / "train.py"
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return tmp_path / "corpus"


def run(*arguments: str | Path) -> str:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_each_operator_is_counted(corpus: Path) -> None:
    table = run(
        corpus, "--operators", "remove-zero-grad", "log-of-softmax", "nll-of-softmax", "--without", "b+twice"
    )
    counted = rows(table)
    assert set(counted) == {"remove-zero-grad", "log-of-softmax", "nll-of-softmax", "together"}
    for name in set(counted) - {"together"}:
        assert counted[name][1:9] == ["1", "1", "0", "0", "0", "100%", "0", "0"], name
    assert [counted[name][9] for name in ("remove-zero-grad", "log-of-softmax")] == ["2 of 2", "1 of 2"]


def test_what_clears_twice_is_no_mutant(corpus: Path) -> None:
    outcomes = outcomes_of(corpus, "remove-zero-grad")
    assert [(one["path"], one["line"]) for one in outcomes] == [("a+clean/train.py", 9)]


def test_doubt_is_counted_apart(corpus: Path) -> None:
    outcomes = outcomes_of(corpus, "log-without-epsilon", "--without", "b+twice")
    assert [(one["line"], bool(one["doubt"])) for one in outcomes] == [(18, False), (18, True)]


def test_nothing_in_the_corpus_is_changed(corpus: Path) -> None:
    run(corpus)
    assert corpus.joinpath("a+clean", "train.py").read_text() == TRAIN
    assert [file.name for file in corpus.rglob("*") if file.is_file()] == ["train.py"] * 4


def test_model_of_another_file(corpus: Path) -> None:
    folder = corpus / "e+pair"
    folder.mkdir()
    folder.joinpath("net.py").write_text(NET)
    folder.joinpath("train.py").write_text("from net import Net\n" + PAIRED)
    folder.joinpath("both.py").write_text(NET + PAIRED)
    outcomes = outcomes_of(corpus, "other-file-returns-softmax")
    assert [(one["path"], one["verdict"]) for one in outcomes] == [
        ("e+pair/both.py", "found"),
        ("e+pair/train.py", "found"),
    ]
    assert folder.joinpath("net.py").read_text() == NET


def outcomes_of(corpus: Path, operator: str, *arguments: str) -> list[dict[str, object]]:
    output = corpus.parent / "outcomes.json"
    run(corpus, "--operators", operator, "--output", output, *arguments)
    found: list[dict[str, object]] = json.loads(output.read_text())
    return sorted(found, key=lambda one: (str(one["path"]), int(str(one["line"]))))
