"""Running stablint under an audit hook that also sees its worker processes."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Audited:
    """A process that has ended, and what it and its children did."""

    status: int
    out: str
    err: str
    events: list[list[object]]

    def imported(self) -> set[str]:
        """Return the top-level modules of which an import was tried."""
        return {str(event[1]).partition(".")[0] for event in self.events if event[0] == "import"}

    def executed(self) -> set[str]:
        """Return the files whose code was run."""
        return {str(event[1]) for event in self.events if event[0] == "exec"}

    def opened(self, *, writing: bool) -> set[str]:
        """Return the paths of the files that were opened to be read, or to be written."""
        return {
            str(event[1])
            for event in self.events
            if event[0] == "open"
            and isinstance(event[1], str)
            and bool(int(str(event[3])) & WRITING) is writing
        }

    def others(self) -> list[list[object]]:
        """Return what was done besides importing, executing and opening."""
        return [event for event in self.events if event[0] not in ("import", "exec", "open")]


def audited(
    *arguments: str, cwd: Path, log: Path, path: tuple[Path, ...] = (), stdin: bytes = b""
) -> Audited:
    """Run Python with these arguments; `path` are further folders to import from."""
    environment = os.environ | {"AUDIT_LOG": str(log), "PYTHONDONTWRITEBYTECODE": "1"}
    folders = [str(FIXTURES / "audit"), *map(str, path), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, folders))
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )
    events = [json.loads(line) for line in log.read_text().splitlines()]
    return Audited(done.returncode, done.stdout.decode(), done.stderr.decode(), events)
