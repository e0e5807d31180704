"""Reading a file that may be anything: a pipe, a device, a loop of links, a hundred megabytes."""

from __future__ import annotations

import errno
import os
import stat

READ_LIMIT = 50_000_000
"""Bytes of a file that are read at most; what may be parsed is far less, notebooks carry pictures."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_REASONS = {
    errno.ENOENT: "it does not exist",
    errno.ELOOP: "its links lead in a circle",
    errno.EACCES: "permission denied",
    errno.ENAMETOOLONG: "its name is too long",
}
# O_NONBLOCK: should a pipe take the file's place after the look at it, opening that would wait forever.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


class RefusedError(Exception):
    """A file that cannot be read, and why."""


def read_file(path: str) -> bytes:
    """Return the bytes of a regular file; raise RefusedError for anything else."""
    try:
        _refuse_odd(os.stat(path))
        descriptor = os.open(path, _FLAGS)
        with open(descriptor, "rb", buffering=0) as file:
            found = os.fstat(descriptor)
            _refuse_odd(found)
            # One byte more than it says it has: files grow, and those of /proc say 0.
            data = file.read(found.st_size + 1)
            while len(data) > found.st_size and (more := file.read(1 << 20)):
                data += more
                _refuse_large(len(data))
            return data
    except (OSError, ValueError) as error:
        raise RefusedError(_reason(path, error)) from error


def _refuse_odd(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise RefusedError(
            f"it is {_KINDS.get(stat.S_IFMT(found.st_mode), 'something odd')}, not a regular file"
        )
    _refuse_large(found.st_size)


def _refuse_large(size: int) -> None:
    if size > READ_LIMIT:
        raise RefusedError(f"it has more than {READ_LIMIT:,} bytes")


def _reason(path: str, error: OSError | ValueError) -> str:
    if isinstance(error, ValueError):
        return "its name cannot be that of a file"
    if error.errno == errno.ENOENT and os.path.lexists(path):
        return "it is a link to something that does not exist"
    return _REASONS.get(error.errno or 0) or f"reading it failed: {error.strerror or error}"
