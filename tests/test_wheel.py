"""What is in the wheel, and what is not; it is built by the backend itself, without the network."""

import configparser
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path

import pytest

from stablint import __version__

pytest.importorskip("hatchling", reason="the wheel is built with hatchling, from the group dev")

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
PACKAGES = {"stablint": ROOT / "stablint", "stablint_rules": ROOT / "rules" / "stablint_rules"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=ROOT, env=environment, check=True, capture_output=True
    )
    [path] = folder.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def info(wheel: zipfile.ZipFile, name: str) -> str:
    return wheel.read(f"stablint-{__version__}.dist-info/{name}").decode()


def test_it_holds_both_packages_whole(wheel: zipfile.ZipFile) -> None:
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {
        f"{package}/{path.relative_to(folder).as_posix()}"
        for package, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == expected
    assert {name.rpartition(".")[2] for name in names} == {"py", "typed", "json"}


def test_it_says_that_it_is_typed(wheel: zipfile.ZipFile) -> None:
    assert {"stablint/py.typed", "stablint_rules/py.typed"} <= set(wheel.namelist())


def test_it_carries_the_licence(wheel: zipfile.ZipFile) -> None:
    assert info(wheel, "licenses/LICENSE") == ROOT.joinpath("LICENSE").read_text()
    metadata = message_from_string(info(wheel, "METADATA"))
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == ">=3.11"


def test_nothing_it_requires_is_torch(wheel: zipfile.ZipFile) -> None:
    required = message_from_string(info(wheel, "METADATA")).get_all("Requires-Dist") or []
    assert any(each.startswith("libcst") for each in required)
    assert not any(each.startswith(("torch", "numpy")) for each in required)


def test_its_entry_points_are_the_command_and_our_rules(wheel: zipfile.ZipFile) -> None:
    parser = configparser.ConfigParser()
    parser.read_string(info(wheel, "entry_points.txt"))
    points = {section: dict(parser[section]) for section in parser.sections()}
    assert points == {
        "console_scripts": {"stablint": "stablint.__main__:main"},
        "stablint.rules": {"builtin": "stablint_rules"},
    }


def test_it_works_where_nothing_else_of_the_repository_is(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    site = tmp_path / "site"
    wheel.extractall(site)
    model = tmp_path / "model.py"
    model.write_text("import torch\n\ndef loss(x):\n    return torch.log(torch.softmax(x, dim=1))\n")
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from stablint.__main__ import main; sys.exit(main())"
    run = subprocess.run(
        [sys.executable, "-P", "-c", code, str(site), "check", "--select", "log-of-softmax", "model.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert "STB301 [*] log-of-softmax" in run.stdout
