"""The bytes that a run is about: of files, or of standard input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stablint.static.positions import LineMap
from stablint.static.workers.reading import read_file


@dataclass(slots=True)
class Inputs:
    """Where bytes come from: `stdin` if it is given, else from files."""

    stdin: bytes | None = None
    _texts: dict[str, Mapping[int | None, LineMap]] = field(default_factory=dict)

    def read(self, path: str) -> bytes:
        """Return the bytes of a file; raise RefusedError for one that cannot be read."""
        return read_file(path) if self.stdin is None else self.stdin

    def lines(self, path: str, cell: int | None) -> Sequence[str] | None:
        """Return the lines of a file, or of a notebook's cell, as findings count them; None without text."""
        if path not in self._texts:
            self._texts[path] = self._read_texts(path)
        text = self._texts[path].get(cell)
        return None if text is None else [text.line(number + 1) for number in range(len(text.starts))]

    def _read_texts(self, path: str) -> Mapping[int | None, LineMap]:
        # Late, here and elsewhere in this package: they import libcst, which nobody should wait for.
        from stablint.fixes.passages import passages
        from stablint.static.source import SourceFile

        try:
            return passages(SourceFile(path, self.read(path)))
        except Exception:  # the finding says why there is nothing to show: it is no text, or gone
            return {}
