"""Projects that mean harm, or are broken: every file is checked, and what cannot be known is unknown."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from projects import Memory, findings, shown

from stablint.cli.app import run
from stablint.static.project.project import LARGEST, Project
from stablint.static.source import SourceFile

NET = "def f():\n    return 1\n"
USE = "from net import f\nlook(f())\n"
UNKNOWN = ["net.f()"]

BROKEN: dict[str, tuple[dict[str, str | bytes], list[str]]] = {
    "syntax error": ({"net.py": "def f(:\n", "train.py": USE}, UNKNOWN),
    "not UTF-8": ({"net.py": b"# \xff\xfe\ndef f():\n    return 1\n", "train.py": USE}, UNKNOWN),
    "latin-1 that says so": (
        {"net.py": b"# coding: latin-1\n# \xe4\ndef f():\n    return 1\n", "train.py": USE},
        ["1"],
    ),
    "byte order mark": ({"net.py": b"\xef\xbb\xbfdef f():\n    return 1\n", "train.py": USE}, ["1"]),
    "NUL bytes": ({"net.py": b"def f():\n    return 1\n\0\0", "train.py": USE}, UNKNOWN),
    "binary": ({"net.py": bytes(range(256)), "train.py": USE}, UNKNOWN),
    "empty": ({"net.py": "", "train.py": USE}, UNKNOWN),
    "huge": ({"net.py": NET + "#" * LARGEST, "train.py": USE}, UNKNOWN),
    "brackets": ({"net.py": f"{NET}x = {'[' * 5000}{']' * 5000}\n", "train.py": USE}, UNKNOWN),
    "a folder called net.py": ({"net.py/": "", "train.py": USE}, UNKNOWN),
    "a folder called __init__.py": ({"net/__init__.py/": "", "net/x.py": NET, "train.py": USE}, UNKNOWN),
    "dots beyond the root": (
        {"train.py": f"from {'.' * 200}net import f\nlook(f())\n"},
        [f"{'.' * 200}net.f()"],
    ),
    "dots alone": ({"train.py": f"from {'.' * 90} import f\nlook(f())\n"}, [f"{'.' * 90}f()"]),
    "no name": ({"train.py": "from . import (f)\nlook(f())\n"}, [".f()"]),
    "own name": ({"train.py": "from train import f\nlook(f())\n"}, ["train.f()"]),
    "star of itself": ({"train.py": "from train import *\nfrom . import *\nlook(f())\n"}, ["?f()"]),
    "names with dots": ({"a.b.py": NET, "train.py": "from a.b import f\nlook(f())\n"}, ["a.b.f()"]),
    "unicode": ({"ñ.py": NET, "train.py": "from ñ import f\nlook(f())\n"}, ["1"]),
    "odd letters": ({"n\u0301.py": NET, "train.py": "import ﬁ\nlook(ﬁ.f())\n"}, ["ﬁ.f()"]),
    "keyword arguments that do not fit": (
        {"net.py": "def f(a):\n    return a\n", "train.py": "from net import f\nlook(f(1, 2, 3, b=4))\n"},
        ["1"],
    ),
    "a class that inherits itself": (
        {"net.py": "class A(A):\n    n = 1\n", "train.py": "from net import A\nlook(A.n, A().x)\n"},
        ["1", "A().x"],
    ),
    "decorators in a circle": (
        {"net.py": "@f\ndef f():\n    return 1\n", "train.py": USE},
        ["1"],
    ),
}


@pytest.mark.parametrize(("project", "expected"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_unknown(project: dict[str, str | bytes], expected: list[str]) -> None:
    assert shown(project) == expected


@pytest.mark.parametrize("error", [OSError("gone"), PermissionError("no"), ValueError("odd"), MemoryError()])
def test_files_that_cannot_be_read(error: Exception) -> None:
    memory = Memory({"net.py": NET, "train.py": USE})

    def read(path: str) -> bytes:
        raise error

    source = SourceFile("train.py", USE.encode())
    Project(read, memory.entries).adopt(source)
    assert findings_of(source) == []


def findings_of(source: SourceFile) -> list[str]:
    from stablint.registry import load_rules
    from stablint.rule import StaticRule
    from stablint.static.examine import examine

    rules = [rule() for rule in load_rules() if issubclass(rule, StaticRule)]
    return [str(one) for one in examine(source, rules)]


def test_a_file_that_changes_while_it_is_read() -> None:
    """The file as it was checked and as it was imported are two: findings elsewhere still have a place."""
    model = (
        "import torch.nn as nn\nimport torch.nn.functional as F\nclass Net(nn.Module):\n"
        "    def forward(self, x):\n        return F.softmax(x, dim=1)\n"
    )
    use = "import torch.nn.functional as F\nfrom net import Net\nloss = F.cross_entropy(Net()(x), y)\n"
    memory = Memory({"net.py": model, "train.py": use})
    memory.source("net.py")
    memory.data[os.path.abspath("net.py")] = b"\n\n" + model.encode()
    found = findings(memory, "train.py", "STB201")
    assert len(found) == 1
    assert "net.py:7" in found[0]


WIDE = 2000


def test_thousands_of_imports() -> None:
    lines = [f"from m{n} import f as f{n}" for n in range(WIDE)]
    project: dict[str, str | bytes] = {f"m{n}.py": NET for n in range(WIDE)}
    project["train.py"] = "\n".join([*lines, f"look(f7(), f{WIDE - 1}())\n"])
    began = time.perf_counter()
    assert shown(project) == ["1", "1"]
    assert time.perf_counter() - began < 20


def test_only_what_is_asked_for_is_opened() -> None:
    project: dict[str, str | bytes] = {f"m{n}.py": NET for n in range(100)}
    project["train.py"] = (
        "import torch\n" + "".join(f"from m{n} import f as f{n}\n" for n in range(100)) + "f7()\n"
    )
    memory = Memory(project)
    findings(memory)
    assert set(memory.opened) <= {"m7.py"}


def test_a_long_chain_of_imports() -> None:
    project: dict[str, str | bytes] = {
        f"m{n}.py": f"from m{n + 1} import f\ndef g():\n    return f()\n" for n in range(300)
    }
    project["m300.py"] = NET
    project["train.py"] = "from m0 import f, g\nlook(f(), g())\n"
    assert shown(project) == ["1", "1"]


def test_a_long_chain_of_calls() -> None:
    project: dict[str, str | bytes] = {
        f"m{n}.py": f"import m{n + 1}\ndef f():\n    return m{n + 1}.f()\n" for n in range(100)
    }
    project["m100.py"] = NET
    project["train.py"] = "import m0\nlook(m0.f())\n"
    assert shown(project) == ["1"]


def test_a_tree_of_stars() -> None:
    project: dict[str, str | bytes] = {
        f"m{n}.py": "".join(f"from m{other} import *\n" for other in range(40)) for n in range(40)
    }
    project["m39.py"] = NET
    project["train.py"] = "from m0 import *\nlook(f(), g())\n"
    began = time.perf_counter()
    assert shown(project)[0] == "1"
    assert time.perf_counter() - began < 20


SOFTMAX = """\
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return F.softmax(self.fc(x), dim=1)
"""
TRAIN = """\
import torch.nn as nn
from models.net import Net

model = Net()
criterion = nn.CrossEntropyLoss()


def step(x, y):
    return criterion(model(x), y)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    Path("models/__init__.py").write_text("")
    Path("models/net.py").write_text(SOFTMAX)
    Path("train.py").write_text(TRAIN)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[tuple[str, int, str, list[str]]]:
    """Of each finding the file, line, code and related places."""
    run(["check", *arguments, "--output-format", "json"])
    found = json.loads(capsys.readouterr().out)
    return [
        (
            one["filename"],
            one["location"]["row"],
            one["code"],
            [str(other) for other in one.get("related", [])],
        )
        for one in found
    ]


def test_the_answer_is_the_same_for_the_file_and_the_folder(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = said(capsys, "train.py")
    assert [(name, line, code) for name, line, code, _ in alone] == [("train.py", 9, "STB201")]
    assert any("net.py" in one for one in alone[0][3])
    assert said(capsys, ".") == alone
    assert said(capsys, "models", "train.py") == alone
    assert said(capsys, "train.py", "models/net.py") == alone
    assert said(capsys, "models") == []


def test_the_answer_is_the_same_with_workers(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = said(capsys, "train.py")
    for n in range(12):
        Path(f"other{n}.py").write_text(TRAIN.replace("criterion", f"criterion{n}"))
    every = said(capsys, ".", "--jobs", "2")
    assert [one for one in every if one[0] == "train.py"] == alone
    assert len(every) == 13
    assert said(capsys, ".", "--jobs", "1") == every


def test_fixes_see_the_project(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("models/net.py").write_text(SOFTMAX.replace("F.softmax(self.fc(x), dim=1)", "self.fc(x).squeeze(1)"))
    use = TRAIN.replace("nn.CrossEntropyLoss", "nn.BCELoss")
    Path("train.py").write_text(use)
    found = said(capsys, "train.py")
    assert [one[:3] for one in found] == [("train.py", 9, "STB208")]
    run(["check", "train.py", "--fix", "--unsafe-fixes"])
    assert "BCEWithLogitsLoss" in Path("train.py").read_text()
    capsys.readouterr()
    assert said(capsys, "train.py") == []


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("real").mkdir()
    Path("models/net.py").rename("real/net.py")
    Path("models/net.py").symlink_to("../real/net.py")
    Path("loop").symlink_to(".")
    Path("models/broken.py").symlink_to("nowhere.py")
    assert [one[:3] for one in said(capsys, "train.py")] == [("train.py", 9, "STB201")]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything can be read")
def test_no_permission(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("models/net.py").chmod(0)
    assert said(capsys, "train.py") == []
    Path("models").chmod(0)
    try:
        assert said(capsys, "train.py") == []
    finally:
        Path("models").chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="there are none")
def test_a_pipe_is_no_module(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("models/net.py").unlink()
    os.mkfifo("models/net.py")
    assert said(capsys, "train.py") == []
