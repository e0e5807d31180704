"""What is remembered: it is used while nothing that it rests on has changed, and never longer."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cached_projects import PLAN, Changes, Checked, python_files, write
from hostile_site import install_hostile_pack
from subprocesses import stablint

from stablint.cache import today
from stablint.cache.check import check_with_cache
from stablint.registry import load_rules
from stablint.static.plan import Plan
from stablint.static.project import project as projects
from stablint.static.workers.reading import read_file

SOFT = "import torch\ndef head(x):\n    return torch.softmax(x, dim=1)\n"
PLAIN = "import torch\ndef head(x):\n    return x\n"
LOSS = "import torch\nfrom net import head\ndef loss(x):\n    return torch.log(head(x))\n"
OTHER = "import torch\ndef other(x):\n    return torch.log(torch.softmax(x, dim=1))\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    top = tmp_path / "top"
    top.mkdir()
    monkeypatch.chdir(top)
    monkeypatch.setattr(projects, "LARGEST", len(LARGE))
    return top


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Checked:
    return Checked(monkeypatch)


def project(**texts: str) -> str:
    """Write files one after another; `a_b` is a/b.py, and `a_` is the file of the package."""
    names = {name: "/".join(part or "__init__" for part in name.split("_")) for name in texts}
    return "".join(f"# file: {names[name]}.py\n{text}" for name, text in texts.items())


LARGE = "#" * 5_000 + "\n"
BASE = project(net=SOFT, train=LOSS, other=OTHER)
PACKAGE = {"a_b": SOFT, "a_c": PLAIN, "train": LOSS.replace("net", "a")}

EDITS: dict[str, tuple[str, Changes, set[str]]] = {
    "nothing": (BASE, {}, set()),
    "the file itself": (BASE, {"train.py": LOSS + "# more\n"}, {"train.py"}),
    "an imported file": (BASE, {"net.py": PLAIN}, {"net.py", "train.py"}),
    "a comment in an imported file": (BASE, {"net.py": SOFT + "# more\n"}, {"net.py", "train.py"}),
    "a file that nobody imports": (BASE, {"other.py": PLAIN}, {"other.py"}),
    "an imported file that does not mention torch": (
        project(net="def head(x):\n    return x\n", train=LOSS),
        {"net.py": "def head(x):\n    return x.softmax(1)\n"},
        {"net.py", "train.py"},
    ),
    "two files away": (
        project(
            soft=SOFT, net="import torch\nimport soft\ndef head(x):\n    return soft.head(x)\n", train=LOSS
        ),
        {"soft.py": PLAIN},
        {"soft.py", "net.py", "train.py"},
    ),
    "__init__ leads elsewhere": (
        project(a_="from .b import head\n", **PACKAGE),
        {"a/__init__.py": "from .c import head\n"},
        {"a/__init__.py", "train.py"},
    ),
    "__init__ leads elsewhere, and the new file changes": (
        project(a_="from .c import head\n", **PACKAGE),
        {"a/__init__.py": "from .b import head\n", "a/b.py": SOFT + "# more\n"},
        {"a/__init__.py", "a/b.py", "train.py"},
    ),
    "what __init__ passes on": (
        project(a_="from .b import head\nfrom .c import head as tail\n", **PACKAGE),
        {"a/b.py": PLAIN},
        {"a/b.py", "train.py"},
    ),
    "what else __init__ passes on": (
        project(a_="from .b import head\nfrom .c import head as tail\n", **PACKAGE),
        {"a/c.py": SOFT},
        {"a/c.py"},
    ),
    "what else an __init__ passes on that mentions torch": (
        project(a_="import torch\nfrom .b import head\nfrom .c import head as tail\n", **PACKAGE),
        {"a/c.py": SOFT},
        {"a/c.py"},
    ),
    "what a star passes on": (
        project(a_="from .b import *\n", **PACKAGE),
        {"a/b.py": PLAIN},
        {"a/b.py", "train.py"},
    ),
    "a later star begins to bring the name": (
        project(
            a_="from .b import *\nfrom .c import *\n",
            **(PACKAGE | {"a_c": "import torch\ntail = 1\n"}),
        ),
        {"a/c.py": PLAIN},
        {"a/c.py", "train.py"},
    ),
    "one of two that a name may be": (
        project(
            a_="""\
try:
    from .b import head
except ImportError:
    from .c import head
def both(x):
    return head(x)
""",
            **PACKAGE,
            use="import torch\nfrom a import both\ndef loss(x):\n    return torch.log(both(x))\n",
        ),
        {"a/b.py": PLAIN},
        {"a/b.py", "train.py", "use.py"},
    ),
    "what the file needs of which only a constant is imported": (
        project(
            net=SOFT,
            train="import torch\nfrom net import head\nN = 3\ndef f(x):\n    return torch.log(head(x))\n",
            use="import torch\nfrom train import N\nprint(torch.ones(N))\n",
        ),
        {"net.py": PLAIN},
        {"net.py", "train.py"},
    ),
    "a circle of imports": (
        project(
            net="import torch\nimport train\ndef head(x):\n    return torch.softmax(x, dim=train.D)\n",
            train="import torch\nfrom net import head\nD = 1\ndef loss(x):\n    return torch.log(head(x))\n",
        ),
        {"net.py": PLAIN},
        {"net.py", "train.py"},
    ),
    "an import begins to lead somewhere": (
        project(train=LOSS),
        {"net.py": SOFT},
        {"net.py", "train.py"},
    ),
    "an import leads nowhere any more": (BASE, {"net.py": None}, {"train.py"}),
    "a package takes the place of a module": (
        BASE,
        {"net/__init__.py": PLAIN},
        {"net/__init__.py", "train.py"},
    ),
    "a folder takes the place of a module": (BASE, {"net.py": None, "net/": ""}, {"train.py"}),
    "a package below gets an __init__": (
        project(a_train=LOSS.replace("net", ".")),
        {"a/__init__.py": SOFT},
        {"a/__init__.py", "a/train.py"},
    ),
    "a second file of the name": (
        "# file: setup.py\n" + project(net=SOFT, tools_="", tools_train=LOSS),
        {"src/net.py": PLAIN},
        {"src/net.py", "tools/train.py"},
    ),
    "the second file of the name goes": (
        "# file: setup.py\n" + project(net=SOFT, src_net=PLAIN, tools_="", tools_train=LOSS),
        {"src/net.py": None},
        {"tools/train.py"},
    ),
    "a top of the project in between": (
        "# file: setup.cfg\n" + project(net=SOFT, q_tools_="", q_tools_train=LOSS, other=OTHER),
        {"q/pyproject.toml": ""},
        {"q/tools/train.py"},
    ),
    "the top of the project goes": (
        "# file: q/setup.cfg\n" + project(q_net=SOFT, q_tools_t_="", q_tools_t_train=LOSS, other=OTHER),
        {"q/setup.cfg": None},
        {"q/tools/t/train.py"},
    ),
    "an imported file can be parsed": (
        project(net="import torch\ndef head(\n", train=LOSS),
        {"net.py": SOFT},
        {"net.py", "train.py"},
    ),
    "an imported file cannot be parsed": (BASE, {"net.py": "import torch\n("}, {"net.py", "train.py"}),
    "an imported file that cannot be parsed is as bad as before": (
        project(net="import torch\ndef head(\n", train=LOSS),
        {},
        set(),
    ),
    "an imported file gets too large": (BASE, {"net.py": SOFT + LARGE}, {"net.py", "train.py"}),
    "an imported file was too large": (
        project(net=SOFT + LARGE, train=LOSS),
        {"net.py": SOFT},
        {"net.py", "train.py"},
    ),
    "a file begins to mention torch": (
        project(a="x = 1\n", b="y = 1\n"),
        {"a.py": OTHER},
        {"a.py"},
    ),
}


@pytest.mark.parametrize(("code", "changes", "expected"), EDITS.values(), ids=EDITS)
def test_what_is_checked_again(code: str, changes: Changes, expected: set[str], checked: Checked) -> None:
    write(code)
    assert checked() == python_files()
    assert checked() == []
    write(changes)
    assert set(checked()) == expected
    assert checked() == []


@pytest.mark.parametrize(("code", "changes", "_"), EDITS.values(), ids=EDITS)
def test_the_way_back(code: str, changes: Changes, _: set[str], checked: Checked) -> None:
    write(code)
    before = {path: Path(path).read_text() for path in python_files() if path in changes}
    checked()
    write(changes)
    checked()
    write({path: None for path, text in changes.items() if text and path not in before})
    write(before)
    checked()
    assert checked() == []


def test_the_rule_sees_what_the_tables_change(checked: Checked) -> None:
    write(BASE)
    assert checked.codes() == {"train.py": ["STB301"], "other.py": ["STB301"]}
    write({"net.py": PLAIN})
    assert checked.codes() == {"other.py": ["STB301"]}


def test_each_file_is_read_once(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    write(BASE)
    checked()
    read: list[str] = []

    def spy(path: str) -> bytes:
        read.append(os.path.relpath(path))
        return read_file(path)

    monkeypatch.setattr(today, "read_file", spy)
    checked.found(PLAN, python_files())
    assert sorted(read) == python_files()
    read.clear()
    checked.found(PLAN, ["other.py"])
    assert read == ["other.py"]  # and not what else is remembered


def test_other_files_stay_remembered(checked: Checked) -> None:
    write(BASE)
    checked()
    assert checked(names=["train.py"]) == []
    write({"other.py": PLAIN})
    assert checked(names=["train.py", "other.py"]) == ["other.py"]
    assert checked() == []


def test_a_file_that_was_checked_between_is_not_taken_for_the_old_one(checked: Checked) -> None:
    write(BASE)
    checked()
    write({"net.py": PLAIN})
    assert checked(names=["net.py", "other.py"]) == ["net.py"]
    assert checked() == ["train.py"]
    write({"net.py": SOFT, "more.py": LOSS})
    assert checked(names=["more.py"]) == ["more.py"]
    assert checked() == ["net.py", "train.py"]


def test_settings_have_their_own_memory(checked: Checked) -> None:
    write(BASE)
    plans = [
        PLAN,
        replace(PLAN, codes=("STB301", "STB302")),
        replace(PLAN, options={"log-of-softmax": {"severity": "note"}}),
        replace(PLAN, size_limit=70),
        replace(PLAN, prefilter=False),
        replace(PLAN, src=("elsewhere",)),
    ]
    for plan in plans:
        assert checked(plan) == python_files()
    for plan in plans:
        assert set(checked(plan)) <= ({"other.py", "train.py"} if plan.size_limit == 70 else set())


def test_rules_of_one_file(checked: Checked) -> None:
    write(BASE)
    checked()
    ignoring = replace(PLAN, file_codes={"train.py": ()})
    assert checked(ignoring) == ["train.py"]
    assert checked(PLAN) == ["train.py"]
    without = replace(PLAN, file_codes={"train.py": ("STB302",), "net.py": ("STB302",)})
    assert checked(without) == ["net.py", "train.py"]
    assert checked(without) == []
    assert checked(PLAN) == ["net.py", "train.py"]
    assert checked(ignoring) == ["train.py"]


def test_another_current_folder(checked: Checked, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(BASE)
    checked.folder = str(folder / ".cache")
    checked()
    inner = folder / "sub"
    inner.mkdir()
    monkeypatch.chdir(inner)
    names = ["../net.py", "../train.py"]
    assert checked(names=names) == names
    assert checked(names=names) == []


def test_files_outside_the_current_folder(
    checked: Checked, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(BASE)
    inner = folder / "sub"
    inner.mkdir()
    monkeypatch.chdir(inner)
    names = ["../train.py", str(folder / "other.py")]
    checked(names=names)
    assert checked(names=names) == []
    Path("../net.py").write_text(PLAIN)
    assert checked(names=names) == ["../train.py"]


def test_a_folder_by_a_link(checked: Checked) -> None:
    write("# file: real/net.py\n" + SOFT + "# file: real/train.py\n" + LOSS)
    os.symlink("real", "link")
    names = ["link/train.py", "real/train.py"]
    assert checked(names=names) == names
    assert checked(names=names) == []
    Path("real/net.py").write_text(PLAIN)
    assert checked(names=names) == names


def test_above_a_link_is_where_the_system_says(checked: Checked) -> None:
    write("# file: far/away/x.py\n" + OTHER + "# file: far/y.py\nx = 1\n# file: y.py\nx = 1\n")
    os.symlink("far/away", "link")
    names = ["link/../y.py"]
    checked(names=names)
    assert checked(names=names) == []
    Path("y.py").write_text(OTHER)  # the one that the name does not mean
    assert checked(names=names) == []
    Path("far/y.py").write_text(OTHER)
    assert checked(names=names) == names


def test_an_import_by_a_link(checked: Checked) -> None:
    write(project(soft=SOFT, plain=PLAIN, train=LOSS))
    os.symlink("soft.py", "net.py")
    checked(names=["train.py"])
    assert checked(names=["train.py"]) == []
    Path("net.py").unlink()
    os.symlink("plain.py", "net.py")
    assert checked(names=["train.py"]) == ["train.py"]
    Path("net.py").unlink()
    os.symlink("nothing.py", "net.py")
    assert checked(names=["train.py"]) == ["train.py"]
    assert checked(names=["train.py"]) == []


def test_what_was_not_checked_is_tried_again(checked: Checked) -> None:
    write(BASE)
    os.symlink("nowhere", "gone.py")
    small = replace(PLAN, size_limit=75)
    checked(small)
    assert checked(small) == ["gone.py", "train.py"]


def test_a_failure_is_tried_again(checked: Checked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_hostile_pack(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    load_rules.cache_clear()
    try:
        write(project(good="import torch\n", bad="import torch\n# do: raise\n"))
        plan = Plan(("BAD001",))
        found = checked.found(plan, python_files())
        assert [one.name for one in found["bad.py"]] == ["internal-error"]
        checked.found(plan, python_files())
        assert checked.looked_at == ["bad.py"]
    finally:
        load_rules.cache_clear()


def test_names_that_are_no_unicode(checked: Checked) -> None:
    odd = os.fsdecode(b"odd\xff.py")
    write(BASE + f"# file: {odd}\n" + OTHER)
    checked()
    assert checked() == []
    Path(odd).write_text(PLAIN)
    assert checked() == [odd]


def test_fixes_cells_and_places_elsewhere_come_back(checked: Checked) -> None:
    write(BASE)
    cell: dict[str, Any] = {
        "cell_type": "code",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
        "source": OTHER,
    }
    text = json.dumps({"cells": [cell, cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4})
    Path("book.ipynb").write_text(text)
    first = checked.found(PLAN, python_files())
    again = checked.found(PLAN, python_files())
    assert checked.looked_at == []
    assert again == first
    findings = [one for each in again.values() for one in each]
    assert any(one.fix is not None for one in findings)
    assert {one.location.cell for one in findings} == {None, 1, 2}
    assert any(other.location.path == "net.py" for one in findings for other in one.related)


def test_workers_tell_as_much(checked: Checked) -> None:
    many = {f"use{number}": LOSS for number in range(20)}
    write(project(net=SOFT, other=OTHER + "#" * 100_000 + "\n", **many))
    checked.found(PLAN, python_files(), jobs=2)
    assert checked.looked_at == python_files()
    checked.found(PLAN, python_files(), jobs=2)
    assert checked.looked_at == []
    write({"net.py": PLAIN})
    assert checked(jobs=2) == [path for path in python_files() if path != "other.py"]


def test_a_run_that_is_interrupted_is_not_lost(checked: Checked) -> None:
    write(BASE)
    results = check_with_cache(python_files(), PLAN, checked.folder)
    assert [next(results).path, next(results).path] == ["net.py", "other.py"]
    results.close()
    assert checked() == ["train.py"]


def test_what_is_not_there_any_more_is_forgotten(checked: Checked) -> None:
    write(BASE)
    checked()
    full = sum(path.stat().st_size for path in Path(".cache").glob("*.stablint"))
    write({"net.py": None, "train.py": None, "other.py": PLAIN})
    checked()
    assert sum(path.stat().st_size for path in Path(".cache").glob("*.stablint")) < full / 2


ACME_FILES = {
    "acme-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: acme\nVersion: 1\n",
    "acme-1.dist-info/entry_points.txt": "[stablint.rules]\nacme = acme\n",
}
RULE = '''\
"""A rule."""
from stablint.finding import Severity
from stablint.rule import Report, StaticRule

class Everything(StaticRule):
    """Flags everything."""
    code, severity, since = "ACM901", Severity.ERROR, "1"
    bad, good = ("import torch  # flagged",), ("",)

    def check(self, source):
        yield Report(source.tree.body[0], "old message")
'''


@pytest.mark.parametrize("place", ["acme.py", "acme/__init__.py"])
def test_the_code_of_a_rule_changes(place: str, folder: Path, tmp_path: Path) -> None:
    write("# file: x.py\nimport torch\n")
    site = tmp_path / "site"
    for name, text in {**ACME_FILES, place: RULE}.items():
        site.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        site.joinpath(name).write_text(text)
    os.symlink("nobody@nowhere", site.joinpath(place).parent / ".#lock.py")
    arguments = ["check", "--select", "ACM901", "--output-format", "concise"]
    assert b"old message" in stablint(*arguments, cwd=folder, path=site).stdout
    site.joinpath(place).write_text(RULE.replace("old message", "new one"))
    told = stablint(*arguments, cwd=folder, path=site)
    assert b"new one" in told.stdout
    assert told.stderr == b""
