"""Exclusion: a peer that keeps misbehaving is not dialled or admitted for a growing time."""

from __future__ import annotations

import math
from collections import OrderedDict

from attrs import define

from spec.parameters import Preset


@define
class _Score:
    points: int = 0
    until: float = -math.inf


class ExclusionTable:
    """Misbehaviour scores by key (an IP group or a node id), bounded, oldest offence out first."""

    def __init__(self, preset: Preset) -> None:
        """Take the scores and times from ``preset``."""
        self._preset = preset
        self._scores: OrderedDict[str, _Score] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of keys with a score."""
        return len(self._scores)

    def add(self, key: str, now: float, points: int = 1) -> float:
        """Add points for misbehaviour; returns until when the key is excluded (unix seconds)."""
        score = self._scores.pop(key, None) or _Score()
        if len(self._scores) >= self._preset.exclusion_entries:
            self._scores.popitem(last=False)
        score.points += points
        first = self._preset.exclusion_score
        if score.points == first:
            score.until = now + self._preset.exclusion_first_s
        elif score.points > first:
            score.until = now + self._preset.exclusion_first_s * score.points * 2
        self._scores[key] = score
        return score.until

    def excluded(self, key: str, now: float) -> bool:
        """Tell whether the key is excluded now."""
        score = self._scores.get(key)
        return score is not None and now < score.until
