"""Who may import whom: the contracts in pyproject.toml hold, and would be seen to be broken."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("importlinter")

ROOT = Path(__file__).parents[1]
VERDICT = (
    "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True, no_logo=True))"
)


def verdict(root: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "rules")])}
    command = [sys.executable, "-c", VERDICT]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def test_contracts_are_kept() -> None:
    run = verdict(ROOT)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("stablint/registry.py", "import stablint_rules", "The engine knows no rule"),
        ("stablint/static/source.py", "def f(): import torch", "Nothing imports torch"),
        ("stablint/finding.py", "import stablint.cli.app", "A room imports only from the rooms below it"),
    ],
)
def test_broken_contract_is_seen(file: str, line: str, contract: str, tmp_path: Path) -> None:
    without = shutil.ignore_patterns("__pycache__")
    for folder in ("stablint", "rules"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=without)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with tmp_path.joinpath(file).open("a") as module:
        module.write(f"\n{line}\n")
    run = verdict(tmp_path)
    assert run.returncode != 0
    assert f"{contract} BROKEN" in run.stdout
