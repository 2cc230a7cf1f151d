"""What a peer does over its link, before anybody reads what it says: repeats, and told faults.

A message counts once, so an honest peer has no reason to send the same frame again and again. And a
peer that misbehaves all the time must not fill the log as well.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from attrs import define, field

from metanode.hashing import tagged_hash

WINDOW_S: Final = 60.0
REPEATS_OF_A_REPLAY: Final = 128
"""How often a minute a peer may send one frame; a keepalive with the same news is sent 24 times."""
FRAMES_KEPT: Final = 64
PEERS_KEPT: Final = 4096
FAULTS_TOLD: Final = 5
"""Faults of one peer that are told in a minute; the others are counted."""


@define
class _Minute:
    began: float
    frames: OrderedDict[bytes, int] = field(factory=OrderedDict)
    faults: int = 0


@define
class Conduct:
    """A minute's record for each peer; bounded, the peer heard longest ago goes first."""

    _minutes: OrderedDict[bytes, _Minute] = field(factory=OrderedDict)

    def repeats(self, peer: bytes, frame: bytes, now: float) -> int:
        """Note a frame; return how often the peer has sent it in this minute beyond what it may."""
        frames = self._minute(peer, now).frames
        digest = tagged_hash("frame", frame)
        frames[digest] = frames.pop(digest, 0) + 1
        if len(frames) > FRAMES_KEPT:
            frames.popitem(last=False)
        return max(0, frames[digest] - REPEATS_OF_A_REPLAY)

    def is_told(self, peer: bytes, now: float) -> bool:
        """Note a fault; return whether it is worth a line of the log."""
        minute = self._minute(peer, now)
        minute.faults += 1
        return minute.faults <= FAULTS_TOLD

    def _minute(self, peer: bytes, now: float) -> _Minute:
        minute = self._minutes.pop(peer, None)
        if minute is None or not 0 <= now - minute.began < WINDOW_S:
            minute = _Minute(now)
        self._minutes[peer] = minute
        if len(self._minutes) > PEERS_KEPT:
            self._minutes.popitem(last=False)
        return minute
