"""What the supervisor and its workers say to each other: JSON in frames, checked on reading, never pickle."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import msgspec

from stablint.static.plan import Plan
from stablint.static.result import FileResult

Take = Callable[[int], bytes]
"""Returns exactly n bytes, fewer only at the end of the stream."""

HEADER = struct.Struct(">I")
FRAME_LIMIT = 64 * 1024 * 1024
LOAD_LIMIT = 60.0
"""Seconds in which a worker must have imported what it needs, on however busy a machine."""


class BrokenFrameError(Exception):
    """The other side sent something that is not a message, or left in the middle of one."""


class Batch(msgspec.Struct, frozen=True):
    """To a worker: check these files, in this order."""

    files: tuple[str, ...]


class Loading(msgspec.Struct, frozen=True, tag=True):
    """From a worker: the next seconds go into importing, not into the file that is up."""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """From a worker: the importing is over."""


class Done(msgspec.Struct, frozen=True, tag=True):
    """From a worker: the file that was up is checked, the next one is up."""

    result: FileResult


Answer = Loading | Ready | Done
Message = Plan | Batch | Loading | Ready | Done


def pack(message: Message) -> bytes:
    """Return a message as a frame."""
    # Not msgspec's encoder: file names may hold lone surrogates, for which UTF-8 has no place.
    body = json.dumps(msgspec.to_builtins(message)).encode("ascii")
    return HEADER.pack(len(body)) + body


def read_plan(take: Take) -> Plan | None:
    """Read what a worker is told first; None where the stream ends."""
    plan: Plan | None = _read(take, Plan)
    return plan


def read_batch(take: Take) -> Batch | None:
    """Read the files that a worker is to check next; None where the stream ends."""
    batch: Batch | None = _read(take, Batch)
    return batch


def read_answer(take: Take) -> Answer | None:
    """Read a worker's answer; None where the stream ends."""
    answer: Answer | None = _read(take, Answer)
    return answer


def _read(take: Take, kind: Any) -> Any:
    header = take(HEADER.size)
    if not header:
        return None
    if len(header) < HEADER.size:
        raise BrokenFrameError("half a header")
    (size,) = HEADER.unpack(header)
    if size > FRAME_LIMIT:
        raise BrokenFrameError(f"a frame of {size} bytes")
    body = take(size)
    if len(body) < size:
        raise BrokenFrameError("half a frame")
    try:
        return msgspec.convert(json.loads(body), kind)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise BrokenFrameError(str(error)) from error
