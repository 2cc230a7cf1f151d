"""A disk that keeps exactly what the effects wrote, so that a crash loses everything else.

It repeats the refusals of the real stores (``runtime.store.disk``): a write whose ``before`` is
not what is there, a second vote in one attempt, a lock that goes back, a run used twice.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from attrs import define, evolve, field

from metanode.errors import LocalFault
from metanode.protocol.blame.book import Ban, BlameList
from metanode.protocol.events.event_book import TakenOver
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.keys.keygen import USABLE
from metanode.protocol.peers.block_list import Block
from metanode.protocol.requests.request import Request
from metanode.protocol.restored import Restored
from metanode.protocol.tables.effects import Write
from metanode.protocol.wire.codec import Codec
from metanode.tss.keyshare import Keyshare
from spec import messages as m
from spec.language.interpreter import Index, Value
from spec.protocol import PROTOCOL

FIRST: dict[str, Value] = {
    name: {"False": False, "none": None}.get(cell.first, cell.first)
    for name, cell in PROTOCOL.cells.items()
    if cell.kept == "disk"
}
CODEC = Codec(m.MESSAGES)
Stored = bytes | KeyEpoch | tuple[bytes, bytes]


@define
class FakeDisk:
    """Cells and attachments of one node; attachments are kept as bytes, like on a real disk."""

    cells: dict[str, dict[Index, Value]] = field(factory=dict)
    attachments: dict[str, dict[Index, Stored]] = field(factory=dict, repr=False)

    def get(self, cell: str, *index: Value) -> Value:
        """Return the value of a cell on the disk."""
        return self.cells.get(cell, {}).get(index, FIRST[cell])

    def flush(self, writes: Sequence[Write]) -> None:
        """Apply a batch as a whole; LocalFault when one of its writes is refused."""
        draft: dict[tuple[str, Index], Value] = {}
        for write in writes:
            current = draft.get((write.cell, write.index), self.get(write.cell, *write.index))
            if current != write.before or type(current) is not type(write.before):
                raise LocalFault(f"{write.cell}: {write.before!r} expected, {current!r} on disk")
            self._check(write)
            draft[write.cell, write.index] = write.after
        for (cell, index), value in draft.items():
            self.cells.setdefault(cell, {})[index] = value
        for write in writes:
            if write.attachment is not None:
                stored = _stored(write.attachment)
                self.attachments.setdefault(write.cell, {})[write.index] = stored

    def lock(self, event: bytes) -> m.LockedCandidate | None:
        """Return the lock of an event as it lies on the disk."""
        for (_, locked), stored in self.attachments.get("lock", {}).items():
            if locked == event and isinstance(stored, tuple):
                return m.LockedCandidate(stored[0], CODEC.decode(stored[1]).certificate)
        return None

    def usable_keys(self) -> list[KeyEpoch]:
        """Return the usable keys of key generations, without the shares that were erased."""
        states = self.cells.get("key", {})
        return self._epochs("key_share", lambda index: states.get(index) in USABLE)

    def epochs(self) -> list[KeyEpoch]:
        """Return every epoch that this disk has seen, whatever became of its shares."""
        kept = [*self.attachments.get("key_share", {}).values()]
        kept += self.attachments.get("holding", {}).values()
        return [key for key in kept if isinstance(key, KeyEpoch)]

    def _epochs(self, cell: str, wanted: Callable[[Index], bool]) -> list[KeyEpoch]:
        found = [
            (index[0], key)
            for index, key in self.attachments.get(cell, {}).items()
            if isinstance(key, KeyEpoch) and wanted(index)
        ]
        return [evolve(key, keyshare=self._read(me, key)) for me, key in found]

    def _read(self, me: bytes, key: KeyEpoch) -> Keyshare | None:
        """Return a share as a process reads it: a new object, whose latch is open."""
        erased = key.keyshare is None or self.get("holding", me, key.number) == "erased"
        return None if erased else evolve(key.keyshare)

    def load(self) -> Restored:
        """Return what a node finds when it starts."""
        cells, attached = copy.deepcopy(self.cells), self.attachments
        standing = cells.get("standing", {})
        locked_in = [
            data
            for index, data in attached.get("key", {}).items()
            if cells["key"].get(index) == "locked_in"
        ]
        return Restored(
            cells=cells,
            keys=self.usable_keys(),
            epochs=self._epochs("holding", lambda index: True),
            announcement=CODEC.decode(locked_in[0]) if locked_in else None,
            locks=[c for _, e in attached.get("lock", {}) if (c := self.lock(e)) is not None],
            signatures=[CODEC.decode(d) for d in attached.get("signature_kept", {}).values()],
            blocks={
                index[1]: Block.decode(data)
                for index, data in attached.get("block_until", {}).items()
                if standing.get(index) == "blocked"
            },
            requests=[Request.decode(data) for data in attached.get("asked", {}).values()],
            blames={i[1]: BlameList.decode(d) for i, d in attached.get("blamed", {}).items()},
            bans={
                index[1]: Ban.decode(data)
                for index, data in attached.get("pair_banned", {}).items()
                if cells["pair_banned"].get(index)
            },
            attested={i[1]: CODEC.decode(d) for i, d in attached.get("attested", {}).items()},
        )

    def clone(self) -> FakeDisk:
        """Return a copy that shares no container with this disk."""
        return FakeDisk(
            copy.deepcopy(self.cells), {c: dict(kept) for c, kept in self.attachments.items()}
        )

    def _check(self, write: Write) -> None:
        if write.cell == "voted" and write.before is not None and write.before != write.after:
            raise LocalFault("a second vote in one attempt")
        if write.cell == "instance_used" and write.before:
            raise LocalFault("a run is used twice")
        if write.cell == "lock":
            candidate, taken_over = write.attachment, isinstance(write.attachment, TakenOver)
            if isinstance(candidate, TakenOver):
                candidate = candidate.candidate
            if not isinstance(candidate, m.LockedCandidate):
                raise LocalFault("a lock is written with its document and certificate")
            known = self.get("lock_attempt", *write.index)
            if isinstance(known, int) and candidate.certificate.attempt < known:
                raise LocalFault("a lock goes back")
            if not taken_over:
                self._check_promises(write, candidate.certificate.attempt)

    def _check_promises(self, write: Write, attempt: int) -> None:
        """Refuse a lock of a digest that a later vote has promised against."""
        for (peer, event, voted), digest in self.cells.get("voted", {}).items():
            later = isinstance(voted, int) and voted > attempt
            if (peer, event) == write.index and later and digest not in (None, write.after):
                raise LocalFault("a lock after a later vote for another digest")


def _stored(attachment: object) -> Stored:
    if isinstance(attachment, KeyEpoch):
        return attachment
    if isinstance(attachment, TakenOver):
        return _stored(attachment.candidate)
    if isinstance(attachment, m.LockedCandidate):
        return attachment.document, CODEC.encode(m.Begin(attachment.certificate))
    if isinstance(attachment, Block | Request | BlameList | Ban):
        return attachment.encode()
    if isinstance(attachment, m.KeyLocked | m.SignatureFound | m.Attendance):
        return CODEC.encode(attachment)
    raise LocalFault(f"nothing is known of storing a {type(attachment).__name__}")
