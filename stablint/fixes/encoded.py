"""Editing a Python file in its own encoding; every byte outside the edited ranges stays."""

from __future__ import annotations

from collections.abc import Sequence

from stablint.fixes.refused import RefusedError
from stablint.fixes.splice import Splice
from stablint.static.source import SourceFile


def edit_file(source: SourceFile, splices: Sequence[Splice]) -> bytes:
    """Return the file's bytes with ordered splices made; refuse where that is not sure."""
    new, text_done = [source.decoded.bom], 0
    byte_done = len(source.decoded.bom)
    for splice in splices:
        for start, end, text in ((text_done, splice.start, None), (splice.start, splice.end, splice.text)):
            old = _encoded(source, source.text[start:end])
            if source.data[byte_done : byte_done + len(old)] != old:
                raise RefusedError(f"{source.decoded.encoding} does not say which bytes are which characters")
            byte_done += len(old)
            new.append(old if text is None else _encoded(source, text))
        text_done = splice.end
    return b"".join([*new, source.data[byte_done:]])


def _encoded(source: SourceFile, text: str) -> bytes:
    try:
        return text.encode(source.decoded.encoding)
    except (UnicodeError, LookupError) as error:
        raise RefusedError(
            f"the fixed text cannot be written in {source.decoded.encoding}: {error}"
        ) from None
