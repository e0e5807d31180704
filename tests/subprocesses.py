"""Running stablint as users do: in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path


def stablint(
    *arguments: str, cwd: Path, path: Path | None = None, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m stablint`; `path` is one more folder to import from."""
    return python("-m", "stablint", *arguments, cwd=cwd, path=path, stdin=stdin)


def python(
    *arguments: str, cwd: Path, path: Path | None = None, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run Python with the import path of this process."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")
    }
    if path is not None:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [environment.get("PYTHONPATH"), str(path)]))
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )
