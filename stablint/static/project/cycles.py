"""Functions of several files that call each other in a circle, and names that mean each other: they are unknown.

Tarjan's algorithm for strongly connected components, on the calls as they are met: which of the functions is asked
for first must not matter.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Cycles(Generic[T]):
    """The functions that are being interpreted, each with the outermost one that it leads back to."""

    def __init__(self) -> None:
        self.running: list[T] = []
        self._lowest: list[int] = []
        self._open: dict[T, int] = {}
        """Functions that are done and lead back to one that is not."""

    def enter(self, scope: T) -> None:
        """Begin with a function."""
        self.running.append(scope)
        self._lowest.append(len(self._lowest) + 1)

    def met(self, scope: T) -> None:
        """Note a call of a function that is being interpreted, or that leads back to one."""
        if not self._lowest:
            return
        lowest = self._open.get(scope)
        if lowest is None:
            if scope not in self.running:
                return
            lowest = self.running.index(scope)
        self._lowest[-1] = min(self._lowest[-1], lowest)

    def leave(self) -> bool:
        """End the function that was begun last; say whether it is in a circle."""
        scope = self.running.pop()
        lowest = self._lowest.pop()
        place = len(self.running)
        if lowest > place:
            return False
        if lowest < place:
            self._open[scope] = lowest
            self._lowest[-1] = min(self._lowest[-1], lowest)
        else:
            self._open = {one: to for one, to in self._open.items() if to < place}
        return True
