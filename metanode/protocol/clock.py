"""A step of the wall clock: noticed by comparing it with a clock that no one sets.

Rounds, slots and nights are cut from wall time, because all peers must agree on them; every wait
runs on the steady clock. So a step costs no wait, and what it costs is told: once when the clock
begins to move, and once when it is even again. A clock that stands still is one that moves back.
"""

from __future__ import annotations

from typing import Any

from attrs import define

from metanode.protocol.context import Context


@define
class ClockWatch:
    """Compares the two clocks. ``moved_s`` is by how much the wall clock was set in all."""

    ctx: Context
    moved_s: float = 0.0
    moved_at: float | None = None
    """When it moved last, in unix time as it was afterwards."""
    _offset: float | None = None
    _looked: float = 0.0
    _moving: float | None = None
    _move: float = 0.0
    _latest: float = 0.0

    def begin(self, now: float, steady: float) -> None:
        """Take the readings at the start as even."""
        self._offset, self._looked, self._latest = now - steady, steady, now

    def look(self, now: float, steady: float) -> bool:
        """Compare; returns whether the wall clock went back by more than a round."""
        ctx, preset = self.ctx, self.ctx.preset
        if self._offset is None:
            self.begin(now, steady)
        before = now - steady if self._offset is None else self._offset
        even_s = 0.0 if self._moving is not None else max(0.0, steady - self._looked)
        moved, slack = now - steady - before, preset.clock_slew * even_s
        self._looked = steady
        if abs(moved) > preset.clock_step_s:
            self._offset = now - steady
            self.moved_s, self.moved_at, self._move = self.moved_s + moved, now, self._move + moved
            if self._moving is None:
                ctx.note("clock.stepped", by_s=round(moved, 1))
            self._moving = steady
        else:
            # What time servers correct by running the clock faster or slower is no step.
            self._offset = before + max(-slack, min(slack, moved))
        if self._moving is not None and steady - self._moving >= preset.clock_quiet_s:
            ctx.note("clock.even", moved_s=round(self._move, 1))
            self._moving, self._move = None, 0.0
        back = now < self._latest - preset.round_period_s
        self._latest = now if back else max(now, self._latest)
        return back

    def report(self) -> dict[str, Any]:
        """Return what an operator may know of the clock."""
        return {
            "moving": self._moving is not None,
            "moved_s": round(self.moved_s, 1),
            "moved_at": None if self.moved_at is None else round(self.moved_at),
        }
