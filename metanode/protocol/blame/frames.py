"""The signed frames of one run, kept while it lasts: what an accusation may have to show."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from attrs import define, field

from metanode.tss.abort import Slot
from spec.messages import Release, Step

PER_SLOT = 2
"""One frame fills a slot, a second one with another payload is equivocation and ends the run."""


@define
class KeptFrames:
    """Frames by lane, sender and slot.

    A lane that is open takes one payload of a fixed size for each slot and ends with anything
    else, so there is never more here than the protocol has messages, and one frame.
    """

    _frames: dict[tuple[int, bytes], dict[Slot, dict[bytes, bytes]]] = field(factory=dict)

    def keep(self, sender: bytes, message: Release | Step, frame: bytes) -> None:
        """Keep the frame in which a message of an open lane came."""
        slots = self._frames.setdefault((message.lane, sender), {})
        kept = slots.setdefault((message.stage, message.recipient == 0), {})
        if len(kept) < PER_SLOT:
            kept.setdefault(hashlib.sha256(message.payload).digest(), frame)

    def of(self, lane: int, sender: bytes, slots: Iterable[Slot]) -> tuple[bytes, ...]:
        """Return what is kept of a sender for these slots."""
        kept = self._frames.get((lane, sender), {})
        return tuple(frame for slot in slots for frame in kept.get(slot, {}).values())
