"""Running the states of a rule along the paths of a training program.

Loops run twice, the second time from where the first round ended, so that what stands at the end of a body meets what
stands at its start.  A rule's transfer sees all states that can reach an event at once and so can ask for what holds
on every path.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from stablint.static.facts.events import Event
from stablint.static.facts.programs import Branch, Inlined, Leave, Loop, Program, Step

State = TypeVar("State", bound=Hashable)
States = frozenset[State]


@dataclass(frozen=True, slots=True)
class Flow(Generic[State]):
    """The states in which a path goes on, or leaves a loop or function."""

    on: States[State]
    returns: States[State] = frozenset()
    breaks: States[State] = frozenset()
    continues: States[State] = frozenset()

    def then(self, after: Flow[State]) -> Flow[State]:
        """Return where both steps lead, the second taken from where the first goes on."""
        return Flow(
            after.on,
            self.returns | after.returns,
            self.breaks | after.breaks,
            self.continues | after.continues,
        )


@dataclass(frozen=True, slots=True)
class Automaton(Generic[State]):
    """`transfer` says what an event makes of the states that reach it; `enter` what entering a loop does to a state.

    `enter` is told the body of the loop.
    """

    transfer: Callable[[States[State], Event], States[State]]
    enter: Callable[[State, Program], State] = lambda state, body: state

    def run(self, path: Program, states: States[State]) -> Flow[State]:
        """Run along a path."""
        flow: Flow[State] = Flow(states)
        for step in path:
            if not flow.on:
                break
            flow = flow.then(self._step(step, flow.on))
        return flow

    def _step(self, step: Step, states: States[State]) -> Flow[State]:
        match step:
            case Event():
                return Flow(self.transfer(states, step))
            case Leave(how="return"):
                return Flow(frozenset(), returns=states)
            case Leave(how="break"):
                return Flow(frozenset(), breaks=states)
            case Leave():
                return Flow(frozenset(), continues=states)
            case Branch(ways=ways):
                flows = [self.run(way, states) for way in ways]
                return Flow(*(frozenset().union(*parts) for parts in zip(*map(_parts, flows), strict=True)))
            case Loop(body=body):
                return self._rounds(body, states)
            case Inlined(body=body):
                inner = self.run(body, states)
                return Flow(inner.on | inner.returns)
            case _:
                return Flow(states)

    def _rounds(self, body: Program, states: States[State]) -> Flow[State]:
        entered = frozenset(self.enter(state, body) for state in states)
        first = self.run(body, entered)
        second = self.run(body, first.on | first.continues)
        on = entered | first.on | first.continues | first.breaks
        on |= second.on | second.continues | second.breaks
        return Flow(on, first.returns | second.returns)


def _parts(flow: Flow[State]) -> tuple[States[State], ...]:
    return flow.on, flow.returns, flow.breaks, flow.continues
