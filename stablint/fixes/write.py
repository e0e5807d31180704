"""Writing a fixed file so that, whatever happens meanwhile, it is the old one or the new one."""

from __future__ import annotations

import os
import stat
import tempfile

PREFIX = ".stablint-"
"""How the names of temporary files begin; one is left behind only by a run that was killed."""


class ChangedError(Exception):
    """The file is not what was read: somebody else wrote to it, and that must not be lost."""


def write_atomically(path: str, old: bytes, new: bytes) -> None:
    """Replace the contents `old` of a file by `new`: wholly or not at all, mode and owner kept.

    A symbolic link stays and its target is written.  A file with further hard links, or one whose owner
    cannot be kept, is written in place, so that it stays one file; a copy stands beside it meanwhile.
    """
    path = os.path.realpath(path)
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{path} is not a regular file")
    if not os.access(path, os.W_OK):
        raise PermissionError(f"{path} is read-only")
    if status.st_nlink > 1 or not _replace(path, status, old, new):
        _overwrite(path, old, new)


def _replace(path: str, status: os.stat_result, old: bytes, new: bytes) -> bool:
    """Write a new file and put it in the place of the old one; False if the owner would change."""
    temporary = _write_beside(path, new)
    try:
        if not _same_owner(temporary, status):
            return False
        os.chmod(temporary, stat.S_IMODE(status.st_mode))
        _check_unchanged(path, old)
        os.replace(temporary, path)
        temporary = ""
    finally:
        if temporary:
            os.unlink(temporary)
    _sync_folder(os.path.dirname(path))
    return True


def _overwrite(path: str, old: bytes, new: bytes) -> None:
    """Write into the file itself; if that is cut short, the copy with the old contents is still there."""
    _check_unchanged(path, old)
    copy = _write_beside(path, old)
    try:
        with open(path, "r+b") as file:
            file.write(new)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.add_note(f"what the file held before is in {copy}")
        raise
    os.unlink(copy)


def _write_beside(path: str, data: bytes) -> str:
    """Write a temporary file in the folder of `path`, down to the disk."""
    handle, temporary = tempfile.mkstemp(prefix=PREFIX, dir=os.path.dirname(path))
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        os.unlink(temporary)
        raise
    return temporary


def _same_owner(temporary: str, status: os.stat_result) -> bool:
    made = os.stat(temporary)
    if (made.st_uid, made.st_gid) == (status.st_uid, status.st_gid):
        return True
    try:
        os.chown(temporary, status.st_uid, status.st_gid)
    except OSError:
        return False
    return True


def _check_unchanged(path: str, old: bytes) -> None:
    with open(path, "rb") as file:
        if file.read() != old:
            raise ChangedError(path)


def _sync_folder(folder: str) -> None:
    """Make the new name last through a power cut, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
