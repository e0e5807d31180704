"""The cache on disk: a folder that can be deleted at any time, with one file for each set of settings."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile

import msgspec

from stablint.cache.memory import Memory

FOLDER = ".stablint_cache"
KEPT = 12
"""Files of so many different settings are kept, the newest."""
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Made by stablint; it can be deleted.\n"
"""See https://bford.info/cachedir/: backups leave such a folder out."""


def load(folder: str, key: str) -> Memory:
    """Return what is remembered; nothing where the file is not there, or damaged, or of something else."""
    try:
        with open(_path(folder, key), "rb") as file:
            return msgspec.convert(json.loads(file.read()), Memory)
    except (OSError, ValueError, RecursionError, msgspec.ValidationError):
        return Memory()


def save(folder: str, key: str, memory: Memory) -> None:
    """Write what is remembered, all or nothing; where that is not possible, the next run does the work again."""
    # Not msgspec's encoder: file names may hold lone surrogates, for which UTF-8 has no place.
    body = json.dumps(msgspec.to_builtins(memory), separators=(",", ":")).encode("ascii")
    with contextlib.suppress(OSError):
        _prepare(folder)
        handle, temporary = tempfile.mkstemp(dir=folder, suffix=".new")
        try:
            with open(handle, "wb") as file:
                file.write(body)
            os.replace(temporary, _path(folder, key))
        except OSError:
            os.unlink(temporary)
        _thin_out(folder)


def _path(folder: str, key: str) -> str:
    return os.path.join(folder, f"{key}.json")


def _prepare(folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    for name, text in (("CACHEDIR.TAG", _TAG), (".gitignore", "*\n")):
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)


def _thin_out(folder: str) -> None:
    with os.scandir(folder) as found:
        kept = sorted(
            (entry for entry in found if entry.name.endswith(".json")),
            key=lambda entry: entry.stat().st_mtime,
            reverse=True,
        )
    for entry in kept[KEPT:]:
        os.unlink(entry.path)
