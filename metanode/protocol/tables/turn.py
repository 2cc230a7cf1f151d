"""The input at hand, and how far its declared steps have been run.

Whatever fires a row asks the turn first. So a node cannot do anything under an input that
``spec/inputs.py`` does not say, nor in another order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from attrs import define

from metanode.errors import LocalFault, check
from spec.inputs import INPUTS, STEPS, Input, position_after

Item = TypeVar("Item")


@define
class Turn:
    """One input: its kind, the step that runs, and the individual that it runs for."""

    entry: Input
    step: int = -1
    again: int = 0
    _position: int = 0

    @classmethod
    def of(cls, kind: str) -> Turn:
        """Return the turn of an input of this kind."""
        return cls(INPUTS[kind])

    def begin(self, step: int) -> None:
        """Go on to a step, by its place among those of the input."""
        check(step > self.step, "an input's steps only go on")
        self.step, self.again, self._position = step, 0, 0

    def each(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield individuals, for each of which the step's triggers begin anew."""
        for item in items:
            self.again, self._position = self.again + 1, 0
            yield item

    def advance(self, trigger: str) -> None:
        """Note that a row is about to run; a defect if the text does not have it here."""
        names = self.entry.names
        check(0 <= self.step < len(names), f"input {self.entry.kind} runs {trigger} in no step")
        triggers = STEPS[names[self.step]].triggers
        place = position_after(triggers, trigger, self._position)
        done = triggers[self._position : self._position + 1]
        if place is None:
            step = f"input {self.entry.kind}, step {names[self.step]}"
            raise LocalFault(f"{step}: {trigger} may not follow {done}")
        self._position = place
