"""What is timed: commands that read a folder, each a fresh process in its own environment."""

import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PARSE = """
import importlib.metadata, pathlib, sys, threading
import libcst

def work():
    for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.py")):
        if b"torch" in (data := path.read_bytes()):
            libcst.parse_module(data)

threading.stack_size(512 << 20)
sys.setrecursionlimit(50_000)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""

ARGUMENTS = {"torchfix": ("-j", "1"), "torch-preflight": ("check", "-j", "1")}
"""The linters we compare with, by the name of their distribution, which is also that of their command."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A command; the folder to read is its last argument."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def parse_only() -> Contestant:
    """Return the floor: what parsing costs a program that does nothing else with the files."""
    return Contestant(
        f"libcst.parse_module {_version(sys.executable, 'libcst')}", (sys.executable, "-c", PARSE)
    )


def stablint(name: str = "stablint", path: Path | None = None) -> Contestant:
    """Return ourselves, as a user runs it but in one process; `path` is one more folder to import from."""
    version = _version(sys.executable, "stablint")
    command = (sys.executable, "-m", "stablint", "check", "-j", "1", "--no-cache")
    old = os.environ.get("PYTHONPATH")
    return Contestant(
        f"{name} {version}",
        command,
        {"PYTHONPATH": os.pathsep.join(filter(None, [old, str(path)]))} if path else {},
    )


def other(name: str, venvs: Path) -> Contestant:
    """Return another linter, with its default rules; it is installed into `venvs` unless it is there."""
    home = venvs / name
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    python = str(scripts / "python")
    if not scripts.exists():
        venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", name], check=True)
    return Contestant(f"{name} {_version(python, name)}", (str(scripts / name), *ARGUMENTS[name]))


def _version(python: str, distribution: str) -> str:
    code = f"import importlib.metadata; print(importlib.metadata.version({distribution!r}))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
