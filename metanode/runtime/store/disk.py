"""The disk of a node: where each disk cell goes, in which order, and what comes back at a start.

SAFE-SIGN's cells go to the signing log, key shares to the keystore, everything else to the cell
store. One call of :meth:`Disk.flush` puts a batch of writes on disk before it returns: first the
share files, then the signing log, then the cell store, so that after a crash the log never knows
less than the store; then the history mark, by which a start sees that neither has gone back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, evolve

from metanode.errors import LocalFault, Malformed, UserError
from metanode.protocol.blame.book import Ban, BlameList
from metanode.protocol.events.event_book import TakenOver
from metanode.protocol.keys.epoch import KeyEpoch, decode_epoch
from metanode.protocol.keys.keygen import USABLE
from metanode.protocol.peers.block_list import Block
from metanode.protocol.requests.request import Request
from metanode.protocol.restored import Restored
from metanode.protocol.tables.effects import Write
from metanode.protocol.wire.codec import Codec
from metanode.runtime.operator.blame import bans_in, blames_in
from metanode.runtime.secrets.keystore import Keystore
from metanode.runtime.store.cells import MEND, TITLE, CellStore, CellWrite, decoded
from metanode.runtime.store.history_mark import HistoryMark
from metanode.runtime.store.signing_log import (
    Lock,
    Release,
    SessionUse,
    SigningLog,
    TakenLock,
    Vote,
)
from metanode.tss.keyshare import Keyshare
from spec import messages as m
from spec.language.interpreter import Index, Value
from spec.night_messages import Attendance
from spec.protocol import PROTOCOL

LOG_CELLS = ("voted", "lock", "lock_attempt", "released", "instance_used")
FIRST_VALUES = {
    name: {"False": False, "none": None}.get(cell.first, cell.first)
    for name, cell in PROTOCOL.cells.items()
    if cell.kept == "disk"
}


@define
class Disk:
    """The stores of one home; used from one thread at a time."""

    node_id: bytes
    log: SigningLog
    store: CellStore
    keystore: Keystore
    codec: Codec
    mark: HistoryMark

    def flush(self, writes: Sequence[Write]) -> None:
        """Put writes on disk; raises and keeps what was there when one is refused."""
        cells = [self._cell(write) for write in writes if write.cell not in LOG_CELLS]
        records = self._records([write for write in writes if write.cell in LOG_CELLS])
        if records:
            self.log.record(records)
        if cells:
            self.store.apply(cells)
        self.mark.put(self.log.stand.now, self.store.stand.now)

    def load(self) -> Restored:
        """Return everything that a node knows when it starts."""
        cells: dict[str, dict[Index, Value]] = {
            name: dict(values.items()) for name, values in self.store.load().items()
        }
        attached = self.store.load_attachments()
        history, me = self.log.load(), self.node_id
        cells["voted"] = {(me, e, a): d for (e, a), d in history.votes.items()}
        cells["lock"] = {(me, e): lock.digest for e, lock in history.locks.items()}
        cells["lock_attempt"] = {(me, e): lock.attempt for e, lock in history.locks.items()}
        cells["released"] = {(me, e, d): True for e, d in history.releases}
        cells["instance_used"] = {(me, i): True for i in history.sessions_used}
        states, holding = cells.get("key", {}), cells.get("holding", {})
        keys = [
            self._load_epoch(data, holding)
            for index, data in attached.get("key_share", {}).items()
            if states.get(index) in USABLE
        ]
        announcements = [
            self._message(data, m.KeyLocked)
            for index, data in attached.get("key", {}).items()
            if states.get(index) == "locked_in"
        ]
        return Restored(
            cells=cells,
            keys=keys,
            epochs=[
                self._load_epoch(data, holding) for data in attached.get("holding", {}).values()
            ],
            announcement=announcements[0] if announcements else None,
            locks=[
                m.LockedCandidate(lock.document, self._certificate(lock.certificate))
                for lock in history.locks.values()
            ],
            signatures=[
                self._message(data, m.SignatureFound)
                for data in attached.get("signature_kept", {}).values()
            ],
            blocks={
                peer: decoded(Block, data)
                for (_, peer), data in attached.get("block_until", {}).items()
                if isinstance(peer, bytes)
                and cells.get("standing", {}).get((me, peer)) == "blocked"
            },
            requests=[decoded(Request, data) for data in attached.get("asked", {}).values()],
            blames=blames_in(attached),
            bans=bans_in(cells, attached),
            attested={
                night: self._message(data, Attendance)
                for (_, night), data in attached.get("attested", {}).items()
                if isinstance(night, int)
            },
        )

    def close(self) -> None:
        """Close the stores."""
        self.log.close()
        self.store.close()
        self.mark.close()

    def _cell(self, write: Write) -> CellWrite:
        attachment = write.attachment
        data: bytes | None = None
        if isinstance(attachment, KeyEpoch):
            share = attachment.share
            self.keystore.save(share.to_bytes(), share.key_id, share.epoch, share.public_key)
            data = attachment.encode()
        elif isinstance(attachment, Block | Request | BlameList | Ban):
            data = attachment.encode()
        elif isinstance(attachment, m.KeyLocked | m.SignatureFound | Attendance):
            data = self.codec.encode(attachment)
        elif attachment is not None:
            raise LocalFault(f"nothing is known of storing a {type(attachment).__name__}")
        index = tuple(part for part in write.index if part is not None)
        return CellWrite(write.cell, index, write.before, write.after, data)

    def _records(self, writes: Sequence[Write]) -> list[Any]:
        """Return the signing records of a batch; lock and lock_attempt are one record.

        The attempt of a lock is what the row has written, not what is stored beside it.
        """
        records: list[Any] = []
        attempts: dict[Index, list[Any]] = {}
        for write in writes:
            if write.cell == "lock_attempt":
                attempts.setdefault(write.index, []).append(write.after)
        for write in writes:
            part: tuple[Any, ...] = write.index[1:]
            after: Any = write.after
            if write.cell == "voted":
                records.append(Vote(part[0], part[1], after))
            elif write.cell == "released":
                records.append(Release(part[0], part[1]))
            elif write.cell == "instance_used":
                records.append(SessionUse(part[0]))
            elif write.cell == "lock":
                candidate, kind = write.attachment, Lock
                if isinstance(candidate, TakenOver):
                    candidate, kind = candidate.candidate, TakenLock
                if not isinstance(candidate, m.LockedCandidate) or not attempts.get(write.index):
                    raise LocalFault("a lock is written with its attempt, document and certificate")
                attempt = attempts[write.index].pop(0)
                certificate = self.codec.encode(m.Begin(candidate.certificate))
                records.append(kind(part[0], attempt, after, certificate, candidate.document))
        return records

    def _certificate(self, data: bytes) -> m.Certificate:
        message = self._message(data, m.Begin)
        if not isinstance(message, m.Begin):
            raise LocalFault("a stored certificate is a BEGIN")
        return message.certificate

    def _message(self, data: bytes, kind: type[Any]) -> Any:
        try:
            message = self.codec.decode(data)
        except Malformed as fault:
            raise UserError(f"{TITLE} damaged ({fault}); {MEND}") from fault
        if type(message) is not kind:
            raise UserError(f"{TITLE} damaged (no {kind.__name__}); {MEND}")
        return message

    def _load_epoch(self, document: bytes, holding: Mapping[Index, Value]) -> KeyEpoch:
        """Return an epoch with this node's share of it, unless that was erased."""
        epoch = decode_epoch(document)
        if holding.get((self.node_id, epoch.number)) == "erased":
            return epoch
        share = self.keystore.load(epoch.key_id, epoch.number, epoch.public_key)
        return evolve(epoch, keyshare=Keyshare.from_bytes(share))
