"""Files and folders as they are now."""

from __future__ import annotations

import os

from stablint.cache.memory import Node
from stablint.static.project.folders import Folders
from stablint.static.result import digest
from stablint.static.workers.reading import RefusedError, read_file


class Today:
    """Says whether what was remembered is still so; each file is read once, and each question asked once."""

    def __init__(self) -> None:
        self._folders = Folders()
        self._digests: dict[str, str] = {}
        self._answers: dict[str, bool] = {}

    def holds(self, path: str, node: Node) -> bool:
        """Say whether a file has the same content, and whether its imports lead to the same files."""
        return node.digest == self._digest(path) and all(
            self._answer(question) is answer for question, answer in node.asked.items()
        )

    def _digest(self, path: str) -> str:
        """Return the digest of a file; empty where it cannot be read."""
        # What `link/..` means, only the file system knows.
        place = path if os.pardir in path.split(os.sep) else os.path.abspath(path)
        known = self._digests.get(place)
        if known is None:
            try:
                known = digest(read_file(place))
            except RefusedError:
                known = ""
            self._digests[place] = known
        return known

    def _answer(self, question: str) -> bool:
        known = self._answers.get(question)
        if known is None:
            known = self._answers[question] = self._folders.ask(question)
        return known
