"""The house rules that tools check: style, types, and who imports whom (test_contracts.py)."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

TOOLS = {
    "ruff": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--diff", "."],
    "mypy": ["mypy"],
    "pyright": ["pyright", "--pythonpath", sys.executable],
}


@pytest.mark.timeout(900)  # pyright takes its time on a busy machine
@pytest.mark.parametrize("name", TOOLS)
def test_the_tools_have_nothing_to_say(name: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", *TOOLS[name]],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert run.returncode == 0, run.stdout


def test_ci_runs_what_the_readme_says() -> None:
    readme, script = (ROOT.joinpath(name).read_text() for name in ("README.md", ".ci/run"))
    (command,) = [line for line in readme.splitlines() if line.endswith("python -m pytest")]
    steps = command.split(" && ")
    assert [line for line in script.replace(' "$@"', "").splitlines() if line in steps] == steps


def test_the_tools_see_what_is_wrong(tmp_path: Path) -> None:
    tmp_path.joinpath("wrong.py").write_text("import os\nx: int = 'one'\n")
    for tool in (["ruff", "check"], ["mypy"], ["pyright"]):
        run = subprocess.run([sys.executable, "-m", *tool, "wrong.py"], cwd=tmp_path, stdout=subprocess.PIPE)
        assert run.returncode == 1, tool
