"""Did each input fire what ``spec/inputs.py`` declares for it, and in that order?"""

from __future__ import annotations

from attrs import define

from model_checks.trace_log import Line
from spec.inputs import INPUTS, STEPS, position_after


@define
class Turns:
    """How far the inputs of one node have come since its last start."""

    kind: str = ""
    turn: tuple[int, int, int] = (0, 0, 0)
    position: int = 0
    last: str = ""

    def follow(self, line: Line) -> None:
        """Go on to a line's row; refuse the line if the text does not have the row there."""
        (number, step, _), before = line.turn, self.turn
        said = f"input {number} ({line.input})"
        if line.turn < before:
            raise line.refuse(f"{said}: turn {list(line.turn)} comes after turn {list(before)}")
        if number == before[0] and line.input != self.kind:
            raise line.refuse(f"{said}: the same input was a {self.kind} before")
        names = INPUTS[line.input].names
        if step >= len(names):
            raise line.refuse(f"{said}: it has {len(names)} steps, and no step {step}")
        if line.turn != before:
            self.kind, self.turn, self.position, self.last = line.input, line.turn, 0, ""
        trigger, triggers = f"{line.ran.table}.{line.ran.event}", STEPS[names[step]].triggers
        place = position_after(triggers, trigger, self.position)
        if place is None:
            allowed = ", ".join(triggers[self.position :])
            raise line.refuse(
                f"{said}, step {names[step]}: it fired {trigger} after {self.last or 'nothing'};"
                f" the text allows next: {allowed}"
            )
        self.position, self.last = place, trigger
