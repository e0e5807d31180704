"""The cache on disk: a folder that can be deleted at any time, with one file for each set of settings."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import time
import zlib

import msgspec

from stablint.cache.memory import Memory
from stablint.static.result import digest
from stablint.static.workers.reading import RefusedError, read_file

KEPT = 32
"""Files of so many different settings are kept, those that were used last."""
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Made by stablint; it can be deleted.\n"
"""See https://bford.info/cachedir/: backups leave such a folder out."""
_ENDING = ".stablint"
_OURS = re.compile(rf"[0-9a-f]+{_ENDING}")
"""Nothing else is deleted: the folder may be one that holds other things."""
_BEING_WRITTEN = ".stablint-new"
_ABANDONED = 3600.0
"""Seconds after which a file that is being written never will be."""


def load(folder: str, key: str) -> Memory:
    """Return what is remembered; nothing where the file is not there, or damaged, or of something else."""
    path = _path(folder, key)
    try:
        head, _, body = read_file(path).partition(b"\n")
        if head != digest(body).encode():
            return Memory()
        memory = _decoded(zlib.decompress(body))
    except (RefusedError, ValueError, RecursionError, zlib.error):  # msgspec's errors are ValueErrors
        return Memory()
    with contextlib.suppress(OSError):
        os.utime(path)
    return memory


def save(folder: str, key: str, memory: Memory) -> None:
    """Write what is remembered, all or nothing; where that is not possible, the next run does the work again."""
    body = zlib.compress(_encoded(memory), 1)  # paths come again and again: a tenth is left
    with contextlib.suppress(OSError, ValueError):  # ValueError: a name that no folder can have
        _prepare(folder)
        handle, temporary = tempfile.mkstemp(dir=folder, suffix=_BEING_WRITTEN)
        try:
            with open(handle, "wb") as file:
                file.write(digest(body).encode() + b"\n" + body)
            os.replace(temporary, _path(folder, key))
        except BaseException:
            os.unlink(temporary)
            raise
        _thin_out(folder)


def _encoded(memory: Memory) -> bytes:
    try:
        return msgspec.json.encode(memory)
    except UnicodeEncodeError:  # file names may hold lone surrogates, for which UTF-8 has no place
        return json.dumps(msgspec.to_builtins(memory), separators=(",", ":")).encode("ascii")


def _decoded(body: bytes) -> Memory:
    try:
        return msgspec.json.decode(body, type=Memory)
    except msgspec.DecodeError:  # lone surrogates, and what is not JSON at all
        return msgspec.convert(json.loads(body), Memory)


def _path(folder: str, key: str) -> str:
    return os.path.join(folder, key + _ENDING)


def _prepare(folder: str) -> None:
    """Make the folder; one that was there before, with other things in it, is left to whoever made it."""
    os.makedirs(folder, exist_ok=True)
    if os.listdir(folder):
        return
    for name, text in (("CACHEDIR.TAG", _TAG), (".gitignore", "*\n")):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)


def _thin_out(folder: str) -> None:
    """Delete what was not used for long, and what runs that were killed have left."""
    with os.scandir(folder) as found:
        times = {entry.path: (entry.name, entry.stat().st_mtime) for entry in found if entry.is_file()}
    ours = sorted((when, path) for path, (name, when) in times.items() if _OURS.fullmatch(name))
    old = [path for _, path in ours[:-KEPT]]
    late = time.time() - _ABANDONED
    old += [path for path, (name, when) in times.items() if name.endswith(_BEING_WRITTEN) and when < late]
    for path in old:
        os.unlink(path)
