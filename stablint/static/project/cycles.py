"""Functions of several files that call each other in a circle, names that mean each other: they are unknown.

It must not matter which of them is asked for first.  So nothing is ever made of half a result: who asks for what is
being found out ends all that stands between, each unknown from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable


class CircleError(Exception):
    """Something is asked for by what it asks itself."""

    def __init__(self, at: Hashable) -> None:
        super().__init__("a circle")
        self.at = at


class Cycles:
    """What is being found out: each is asked for by the one before."""

    def __init__(self) -> None:
        self.running: list[Hashable] = []

    def is_running(self, one: Hashable, belongs: Callable[[Hashable], bool]) -> bool:
        """Whether something is being found out, and is asked for by parts of itself alone; else it is a circle."""
        if one not in self.running:
            return False
        if not all(map(belongs, self.running[self.running.index(one) + 1 :])):
            raise CircleError(one)
        return True
