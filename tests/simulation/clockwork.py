"""Simulated time: one heap of entries, and failures that name their seed and how to replay them."""

from __future__ import annotations

import heapq
import os
import random
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from tests.simulation.parts import START, TICK_S

QUIET = ("round.not_yet", "ping.refused", "attempt.refused")
"""Notes that a failure's report leaves out."""


class SimulationFailure(AssertionError):
    """Something broke in a run; the message holds the seed and the line that replays it."""


@define(repr=False)
class Clockwork:
    """Runs what is to happen in the order of its time; ``replay`` is the line that repeats it."""

    seed: int
    begin: float = START
    replay: str = ""
    now: float = field(init=False)
    notes: list[tuple[float, int, Mapping[str, Any]]] = field(factory=list)
    _rng: random.Random = field(init=False)
    _heap: list[tuple[float, int, Callable[[], None]]] = field(factory=list)
    _entries: int = 0

    def __repr__(self) -> str:
        return f"<simulation, seed {self.seed}, {self.now - self.begin:.3f} s>"

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do something at a time in seconds since the begin of the simulation."""
        self._push(self.begin + time, action)

    def after(self, delay: float, action: Callable[[], None]) -> None:
        """Do something after a delay in seconds."""
        self._push(self.now + delay, action)

    def run(self, seconds: float) -> None:
        """Let simulated time pass."""
        self._until(self.now + seconds, lambda: False, TICK_S)

    def run_until(
        self,
        condition: Callable[[], bool],
        limit_s: float,
        what: str = "",
        *,
        exactly: bool = False,
    ) -> None:
        """Let time pass until a condition holds; SimulationFailure when it does not in time.

        The condition is looked at every ``TICK_S``, or after each single step (``exactly``).
        """
        if not self._until(self.now + limit_s, condition, 0.0 if exactly else TICK_S):
            self._fail(f"not within {limit_s} s: {what or 'the condition'}", None)

    def require(self, condition: object, text: str) -> None:
        """Fail, naming the seed, unless the condition holds."""
        if not condition:
            self._fail(text, None)

    def noted(self, event: str, number: int | None = None) -> list[Mapping[str, Any]]:
        """Return the notes of one kind, of one node or of all."""
        return [note for _, n, note in self.notes if note["event"] == event and number in (None, n)]

    def _push(self, time: float, action: Callable[[], None]) -> None:
        self._entries += 1
        heapq.heappush(self._heap, (time, self._entries, action))

    def _until(self, end: float, condition: Callable[[], bool], pause: float) -> bool:
        return bool(self._guarded(lambda: self._loop(end, condition, pause)))

    def _loop(self, end: float, condition: Callable[[], bool], pause: float) -> bool:
        look = self.now
        while self._heap and self._heap[0][0] <= end:
            if self._heap[0][0] >= look:
                look = self._heap[0][0] + pause
                if condition():
                    return True
            self.now, _, action = heapq.heappop(self._heap)
            action()
        self.now = end
        return condition()

    def _guarded(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except SimulationFailure:
            raise
        except Exception as fault:  # noqa: BLE001 - every failure must carry its seed
            return self._fail(f"{type(fault).__name__}: {fault}", fault)

    def _fail(self, text: str, cause: Exception | None) -> None:
        test = os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0]
        line = self.replay or f"python -m pytest '{test}'"
        lines = [
            f"  {time - self.begin:8.3f} node {number}: {dict(note)}"
            for time, number, note in self.notes
            if note["event"] not in QUIET
        ]
        last = "\n".join(lines[-40:])
        raise SimulationFailure(
            f"{text}\nseed {self.seed}, {self.now - self.begin:.3f} s; replay: {line}\n{last}"
        ) from cause
