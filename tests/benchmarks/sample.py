"""The files that a benchmark reads: some of a folder's, the same on every machine."""

import ast
import hashlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sample:
    """Python files, copied side by side into one folder, so that no tool excludes any by its path."""

    folder: Path
    first: Path
    """A folder with the first of them alone."""
    files: int
    lines: int


def take_sample(folders: Sequence[Path], count: int, into: Path) -> Sample:
    """Copy `count` files that mention torch and can be parsed, chosen by the hash of their content."""
    chosen = sorted(_candidates(folders), key=lambda data: hashlib.sha256(data).digest())[:count]
    if not chosen:
        raise SystemExit(f"no Python file in {', '.join(map(str, folders))} mentions torch")
    return Sample(
        folder=_written(chosen, into / "all"),
        first=_written(chosen[:1], into / "first"),
        files=len(chosen),
        lines=sum(data.count(b"\n") for data in chosen),
    )


def take_whole(folder: Path) -> Sample:
    """Take a folder as it is: imports lead from file to file, as they do for users."""
    read = [path.read_bytes() for path in sorted(folder.rglob("*.py")) if path.is_file()]
    chosen = [data for data in read if b"torch" in data and _can_be_parsed(data)]
    return Sample(folder, folder, len(chosen), sum(data.count(b"\n") for data in chosen))


def _written(contents: Sequence[bytes], into: Path) -> Path:
    into.mkdir(parents=True)
    for number, data in enumerate(contents):
        into.joinpath(f"file_{number:04}.py").write_bytes(data)
    return into


def _candidates(folders: Sequence[Path]) -> Iterable[bytes]:
    paths = sorted(path for folder in folders for path in folder.rglob("*.py") if path.is_file())
    contents = {data for path in paths if b"torch" in (data := path.read_bytes())}
    return (data for data in contents if _can_be_parsed(data))


def _can_be_parsed(data: bytes) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(data)
        except (SyntaxError, ValueError):
            return False
    return True
