"""What moved in the last minutes of a node: phases, rounds, links, queue. Kept in memory only.

The page draws it, and asks with a number for what came since: a page that is opened later sees what
one that was open all the time has seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from attrs import define, field

SAMPLE_S: Final = 1.0
"""Between two samples of what can be counted at any time."""
KEPT: Final = 3000
"""Movements of all kinds: at least the samples of a quarter of an hour, and what happened in it."""
LIFECYCLE: Final = "peer"
"""The table whose states are the phases."""
ROUND_OUTCOMES: Final = {"payout.signed": "signed", "round.ended": "ended"}
"""The notes with which a round comes to its end → how: with a signature, or without one."""


def _kept() -> deque[dict[str, Any]]:
    return deque(maxlen=KEPT)


@define
class Movements:
    """The newest movements, each with a number (from 1 on) and a time in unix seconds."""

    round_s: float
    last: int = 0
    _moves: deque[dict[str, Any]] = field(factory=_kept)
    _sampled: float | None = None

    def since(self, number: int) -> list[dict[str, Any]]:
        """Return the movements after a number, in their order."""
        if not 0 <= number <= self.last:
            return list(self._moves)
        newer = min(self.last - number, len(self._moves))
        return [self._moves[place] for place in range(len(self._moves) - newer, len(self._moves))]

    def rows(self, now: float, records: Iterable[Mapping[str, Any]]) -> None:
        """Take the rows that were executed: those of the lifecycle that lead to another phase."""
        for record in records:
            if record["table"] == LIFECYCLE and record["from"] != record["to"]:
                self._add(now, "phase", phase=record["to"])

    def note(self, now: float, event: str) -> None:
        """Take a note of the node: the end of a round, with the time since the round's start."""
        if event in ROUND_OUTCOMES:
            seconds = round(now % self.round_s, 3)
            self._add(now, "round", seconds=seconds, outcome=ROUND_OUTCOMES[event])

    def sample(self, now: float, links: int, queue: int, listed: int) -> None:
        """Take the numbers that can be counted at any time; what comes too soon is dropped.

        A clock that was put back is no reason to wait.
        """
        if self._sampled is None or not 0 <= now - self._sampled < SAMPLE_S:
            self._sampled = now
            self._add(now, "sample", links=links, queue=queue, listed=listed)

    def _add(self, now: float, kind: str, **fields: object) -> None:
        self.last += 1
        self._moves.append({"number": self.last, "at": round(now, 3), "kind": kind, **fields})
