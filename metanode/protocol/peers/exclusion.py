"""Exclusion: a peer that keeps misbehaving is not dialled or admitted for a growing time."""

from __future__ import annotations

import math
from collections import OrderedDict

from attrs import define, frozen

from spec.parameters import Preset


@define
class _Score:
    points: int = 0
    until: float = -math.inf
    at: float = -math.inf
    why: str = ""


@frozen
class Exclusion:
    """What the operator sees of a score: excluded ``until`` (unix s; None: not yet excluded)."""

    key: str
    points: int
    until: float | None
    at: float
    why: str


class ExclusionTable:
    """Misbehaviour scores by key (an IP group or a node id), bounded, oldest offence out first.

    The times are Nano's: an hour, then an hour for each two points. Two things are added, because a
    holder keeps its link and may go on: no exclusion is longer than a block, and an offence that no
    other follows within ``exclusion_forget_s`` is forgiven.
    """

    def __init__(self, preset: Preset) -> None:
        """Take the scores and times from ``preset``."""
        self._preset = preset
        self._scores: OrderedDict[str, _Score] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of keys with a score."""
        return len(self._scores)

    def add(self, key: str, now: float, points: int = 1, why: str = "") -> float:
        """Add points for misbehaviour; returns until when the key is excluded (unix seconds)."""
        score = self._scores.pop(key, None)
        if score is None or self._forgiven(score, now):
            score = _Score()
        if len(self._scores) >= self._preset.exclusion_entries:
            self._scores.popitem(last=False)
        score.points, score.at, score.why = score.points + points, now, why
        first = self._preset.exclusion_score
        if score.points >= first:
            times = 1 if score.points == first else score.points * 2
            longest = max(self._preset.block_duration_s, self._preset.exclusion_first_s)
            score.until = now + min(self._preset.exclusion_first_s * times, longest)
        self._scores[key] = score
        return score.until

    def excluded(self, key: str, now: float) -> bool:
        """Tell whether the key is excluded now."""
        score = self._scores.get(key)
        return score is not None and now < score.until

    def pardon(self, key: str) -> bool:
        """Forget a key's score; tells whether there was one."""
        return self._scores.pop(key, None) is not None

    def entries(self, now: float) -> tuple[Exclusion, ...]:
        """Return the scores that still count, the newest offence first."""
        return tuple(
            Exclusion(
                key, score.points, score.until if now < score.until else None, score.at, score.why
            )
            for key, score in reversed(self._scores.items())
            if not self._forgiven(score, now)
        )

    def _forgiven(self, score: _Score, now: float) -> bool:
        return now >= max(score.at + self._preset.exclusion_forget_s, score.until)
