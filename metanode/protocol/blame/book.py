"""The peers that this node blames: records of faults in runs, blocks on evidence, and bans.

A ban is between two nodes and lasts until the pair has fresh base transfers and the operator
pardons the other one. It keeps the two from signing together, because a guess could be tried there.
They go on dealing shares together, because that makes the fresh transfers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, evolve, field, frozen

from metanode.errors import Malformed, UserError
from metanode.protocol.blame.record import (
    RECORD_OCTETS,
    VERSION,
    BlameRecord,
    decode_records,
    encode_records,
    judge,
)
from metanode.protocol.context import Context
from metanode.protocol.events.run import PLANS, Run, SignPlan
from metanode.protocol.inputs import OperatorPardon
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.peers.block_list import BlockList
from metanode.protocol.tables.registry import attachment, fact, handles
from metanode.protocol.tables.runner import Tables
from metanode.protocol.wire.codec import decode_canonical, encode_canonical
from metanode.tss.abort import Abort, Evidence

RECORDS_PER_CULPRIT = 8


@frozen
class BlameList:
    """What is kept of one culprit, the oldest first; an attachment of the cell ``blamed``."""

    records: tuple[BlameRecord, ...]

    def encode(self) -> bytes:
        """Return the canonical CBOR that is kept in store."""
        return encode_records(self.records)

    @classmethod
    def decode(cls, data: bytes) -> BlameList:
        """Return the list in ``data``; Malformed for anything else."""
        return cls(decode_records(data))

    def with_record(self, record: BlameRecord) -> BlameList:
        """Return the list with one more; proofs stay longer than words, new ones than old ones."""
        kept = sorted((*self.records, record), key=lambda r: (r.transferable, r.time))
        return BlameList(tuple(sorted(kept[-RECORDS_PER_CULPRIT:], key=lambda r: r.time)))


@frozen
class Ban:
    """Since which key epoch and time (unix seconds) a pair may not sign together.

    ``epoch`` is the one whose base transfers the pair had: any later one has fresh transfers.
    """

    epoch: int
    since: int

    def encode(self) -> bytes:
        """Return the canonical CBOR that is kept in store."""
        return encode_canonical({"epoch": self.epoch, "since": self.since})

    @classmethod
    def decode(cls, data: bytes) -> Ban:
        """Return the ban in ``data``; Malformed for anything else."""
        plain = decode_canonical(data)
        if type(plain) is not dict or set(plain) != {"epoch", "since"}:
            raise Malformed("not a ban")
        if any(type(value) is not int for value in plain.values()):
            raise Malformed("not a ban")
        return cls(plain["epoch"], plain["since"])


def accusations(run: Run, abort: Abort, ctx: Context) -> list[BlameRecord]:
    """Return a record for each culprit of an aborted run, judged as a stranger would."""
    if not abort.culprits:
        return []  # it may be that of one digest of a lane that has finished
    evidence = Evidence.from_plain(decode_canonical(abort.evidence))
    lane = next(n for n, session in enumerate(run.lanes) if session.abort is abort)
    found = []
    for index in abort.culprits:
        culprit = run.roster[index - 1]
        frames = run.frames.of(lane, culprit, evidence.slots) if abort.transferable else ()
        record = BlameRecord(
            version=VERSION, network_id=ctx.settings.network_id, time=int(ctx.now), accuser=ctx.me,
            culprit=culprit, event=run.event, attempt=run.attempt, digest=run.digest,
            members=run.members, lane=lane, plan=PLANS.encode(run.plan), kind=abort.kind,
            reason=evidence.reason, ban=abort.ban, transferable=False, evidence=abort.evidence,
            frames=frames,
        )
        if len(record.encode()) > RECORD_OCTETS:
            record = evolve(record, frames=(), evidence=b"")
        found.append(evolve(record, transferable=judge(record).convicted))
    return found


@define
class Bans:
    """The bans of a node by banned peer: also those of one that does not run."""

    tables: Tables
    by_peer: dict[bytes, Ban] = field(factory=dict)
    _banning: dict[bytes, Ban] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.tables.bind(self)

    @fact
    def fresh_transfers(self, p: bytes, q: bytes) -> bool:
        ban = self.by_peer.get(q)
        return ban is not None and self._in_force() > ban.epoch

    @attachment("pair_banned")
    def pair_banned(self, p: bytes, q: bytes) -> Ban | None:
        if q in self._banning:
            self.by_peer[q] = self._banning[q]
        return self._banning.get(q)

    def ban(self, peer: bytes, epoch: int, now: float) -> bool:
        """Ban a peer on the base transfers of an epoch, or an earlier one, if a row allows it."""
        known = self.by_peer.get(peer)
        self._banning[peer] = Ban(max(epoch, known.epoch if known else 0), int(now))
        banned = self.tables.tries("block_list.Ban", q=peer)
        del self._banning[peer]
        return banned

    def pardonable(self, peer: bytes) -> Ban:
        """Return a ban that may be lifted; UserError when there is none, or when it must stay."""
        name, ban = peer.hex(), self.by_peer.get(peer)
        if ban is None:
            raise UserError(f"there is no ban of {name}: `blame` lists the bans")
        if self.tables.why_not("block_list.Pardon", q=peer) is not None:
            raise UserError(
                f"the ban of {name} cannot be lifted yet: it is of key epoch {ban.epoch}, and "
                f"epoch {self._in_force()} is in force: run `keyrefresh`, then pardon"
            )
        return ban

    def lift(self, peer: bytes) -> None:
        """Lift a ban at the operator's word."""
        self.tables.fire("block_list.Pardon", q=peer)
        del self.by_peer[peer]

    def _in_force(self) -> int:
        """Return the number of the epoch whose share this node signs with, 0 for none."""
        held = self.tables.view.entries("holding")
        numbers = (h for (p, h), state in held if p == self.tables.me and state == "active")
        return max((h for h in numbers if isinstance(h, int)), default=0)


@define
class BlameBook:
    """The blame core of a node: ``lists`` by culprit, and its bans."""

    ctx: Context
    blocks: BlockList
    lists: dict[bytes, BlameList] = field(factory=dict)
    bans: Bans = field(init=False)
    _judged: BlameRecord | None = None

    def __attrs_post_init__(self) -> None:
        self.bans = Bans(self.ctx.tables)
        self.ctx.tables.bind(self)

    def restore(
        self, blames: Mapping[bytes, BlameList], bans: Mapping[bytes, Ban],
        epochs: Iterable[KeyEpoch] = (),
    ) -> None:
        """Take what the store holds. The shares of ``epochs`` were just read: none knows a ban."""
        self.lists.update(blames)
        self.bans.by_peer.update(bans)
        self._close_latches(epochs)

    def _close_latches(self, epochs: Iterable[KeyEpoch]) -> None:
        """Let no session, whoever makes it, use a share with a peer banned in its epoch or later.

        A pardon opens none: it asks for an epoch in force that is later than the ban's, whose
        share has a latch of its own.
        """
        for epoch in epochs:
            banned = [
                epoch.index_of(peer) for peer, ban in self.bans.by_peer.items()
                if peer in epoch.roster and epoch.number <= ban.epoch
            ]
            if epoch.keyshare is not None:
                epoch.keyshare.latch.close(banned)

    @fact
    def conduct(self, p: bytes, q: bytes) -> str:
        record = self._judged
        if record is None or record.culprit != q:
            return "blameless"
        return "cheating" if record.ban else "at_fault"

    @attachment("blamed")
    def blamed(self, p: bytes, q: bytes) -> BlameList | None:
        if self._judged is None:
            return None
        self.lists[q] = self.lists.get(q, BlameList(())).with_record(self._judged)
        return self.lists[q]

    def on_abort(self, run: Run) -> tuple[bytes, ...]:
        """Record the culprits of a run, block and ban those that earned it; return the banned.

        Part of the step ``run_aborted``.
        """
        ctx, abort = self.ctx, run.abort
        if abort is None or ctx.me in (run.roster[i - 1] for i in abort.culprits):
            return ()
        banned = []
        for record in ctx.each(accusations(run, abort, ctx)):
            self._judged = record
            self._blame(record)
            # Until a key is locked in nobody can be done without: a block would keep the founders
            # from making one for days, and a slot is all that a cheat costs them.
            if ctx.key is not None:
                self.blocks.convict(record)
            culprit = record.culprit
            if self.bans.ban(culprit, epoch_of_transfers(run), ctx.now):
                banned.append(culprit)
                epoch = self.bans.by_peer[culprit].epoch
                ctx.note("peer.banned", peer=culprit.hex()[:16], epoch=epoch)
        self._judged = None
        self._close_latches([*ctx.keys.values(), *ctx.epochs.values(), *ctx.drafts.values()])
        return tuple(banned)

    def _blame(self, record: BlameRecord) -> None:
        if self.ctx.tries("block_list.Blame", q=record.culprit):
            self.ctx.note(
                "peer.blamed", peer=record.culprit.hex()[:16], kind=record.kind,
                reason=record.reason, record=record.id, transferable=record.transferable,
            )

    def pardonable(self, peer: bytes) -> Ban:
        """Return a ban that may be lifted; UserError says why none is."""
        return self.bans.pardonable(peer)

    @handles("pardon")
    def on_pardon(self) -> None:
        entry = self.ctx.input
        if isinstance(entry, OperatorPardon):
            self.bans.lift(entry.peer)
            self.ctx.note("peer.pardoned", peer=entry.peer.hex()[:16])

    def report(self) -> dict[str, Any]:
        """Return all that is recorded, for the operator; nothing in it is secret."""
        return report_of(self.lists, self.bans.by_peer)


def epoch_of_transfers(run: Run) -> int:
    """Return the key epoch whose base transfers the members of a run have.

    A dealing that failed has made none: it leaves those of the epoch before.
    """
    return run.plan.epoch if isinstance(run.plan, SignPlan) else run.plan.epoch - 1


def report_of(lists: Mapping[bytes, BlameList], bans: Mapping[bytes, Ban]) -> dict[str, Any]:
    """Return records (the newest first) and bans as plain values."""
    records = [record for kept in lists.values() for record in kept.records]
    records.sort(key=lambda record: (-record.time, record.culprit))
    return {
        "records": [record.summary() for record in records],
        "bans": [
            {"node_id": peer.hex(), "epoch": ban.epoch, "since": ban.since}
            for peer, ban in sorted(bans.items())
        ],
    }
