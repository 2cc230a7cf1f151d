"""Whom this node blames: records of faults in runs, blocks on evidence, and bans.

A ban is between two nodes and lasts until the pair has fresh base transfers and the operator
pardons the other one. It keeps the two from signing together, which is where a guess could be
tried; dealing shares is what makes fresh transfers, and goes on.
"""

from __future__ import annotations

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
from metanode.protocol.events.run import PLANS, SignPlan
from metanode.protocol.events.sessions import Run
from metanode.protocol.peers.peer_list import Pings
from metanode.protocol.tables.runner import Tables, TransitionError
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
    evidence = Evidence.from_plain(decode_canonical(abort.evidence))
    lane = next(n for n, session in enumerate(run.lanes) if session.abort is abort)
    found = []
    for index in abort.culprits:
        culprit = run.roster[index - 1]
        frames = run.frames.of(lane, culprit, evidence.slots) if abort.transferable else ()
        record = BlameRecord(
            version=VERSION,
            network_id=ctx.settings.network_id,
            time=int(ctx.now),
            accuser=ctx.me,
            culprit=culprit,
            event=run.event,
            attempt=run.attempt,
            digest=run.digest,
            members=run.members,
            lane=lane,
            plan=PLANS.encode(run.plan),
            kind=abort.kind,
            reason=evidence.reason,
            ban=abort.ban,
            transferable=False,
            evidence=abort.evidence,
            frames=frames,
        )
        if len(record.encode()) > RECORD_OCTETS:
            record = evolve(record, frames=(), evidence=b"")
        found.append(evolve(record, transferable=judge(record).convicted))
    return found


@define
class BlameBook:
    """The blame core of a node: ``lists`` by culprit, ``bans`` by banned peer."""

    ctx: Context
    pings: Pings
    lists: dict[bytes, BlameList] = field(factory=dict)
    bans: dict[bytes, Ban] = field(factory=dict)

    def on_abort(self, run: Run) -> tuple[bytes, ...]:
        """Record the culprits of a run, block and ban those who earned it; return the banned."""
        abort = run.abort
        if abort is None or self.ctx.me in (run.roster[i - 1] for i in abort.culprits):
            return ()
        banned = []
        for record in accusations(run, abort, self.ctx):
            self._keep(record)
            # Until a key is locked in nobody can be done without: a block would keep the founders
            # from making one for days, and a slot is all that a cheat costs them.
            if record.transferable and self.ctx.key is not None:
                self.pings.block(record.culprit, record.reason, record.frames)
            if record.ban:
                self.ban(record.culprit, epoch_of_transfers(run))
                banned.append(record.culprit)
        return tuple(banned)

    def pardon(self, peer: bytes) -> Ban:
        """Lift a ban at the operator's word and return it; UserError when it must stay."""
        key = self.ctx.key
        number = key.number if key is not None else 0
        ban = lift(self.ctx.tables, self.ctx.me, peer, self.bans.get(peer), number)
        del self.bans[peer]
        self.ctx.note("peer.pardoned", peer=peer.hex()[:16])
        return ban

    def report(self) -> dict[str, Any]:
        """Return all that is recorded, for the operator; nothing in it is secret."""
        return report_of(self.lists, self.bans)

    def _keep(self, record: BlameRecord) -> None:
        ctx, culprit = self.ctx, record.culprit
        kept = self.lists.get(culprit, BlameList(())).with_record(record)
        self.lists[culprit] = kept
        ctx.tables.fire(
            "block_list",
            "Blame",
            p=ctx.me,
            q=culprit,
            given={"run_fault": True},
            carry={"blamed": kept},
        )
        ctx.note(
            "peer.blamed",
            peer=culprit.hex()[:16],
            kind=record.kind,
            reason=record.reason,
            record=record.id,
            transferable=record.transferable,
        )

    def ban(self, peer: bytes, epoch: int) -> None:
        """Never sign with a peer again on the base transfers of an epoch, or an earlier one."""
        ctx, known = self.ctx, self.bans.get(peer)
        ban = Ban(max(epoch, known.epoch if known else 0), int(ctx.now))
        self.bans[peer] = ban
        ctx.tables.fire(
            "block_list",
            "Ban",
            p=ctx.me,
            q=peer,
            given={"ot_cheating": True},
            carry={"pair_banned": ban},
        )
        ctx.note("peer.banned", peer=peer.hex()[:16], epoch=ban.epoch)


def epoch_of_transfers(run: Run) -> int:
    """Return the key epoch whose base transfers the members of a run have.

    A dealing that failed has made none: it leaves those of the epoch before.
    """
    return run.plan.epoch if isinstance(run.plan, SignPlan) else run.plan.epoch - 1


def lift(tables: Tables, me: bytes, peer: bytes, ban: Ban | None, epoch: int) -> Ban:
    """Lift a ban because the operator pardons the peer, and return it.

    ``epoch`` is the one in force. UserError when there is no ban, or when the pair still has the
    base transfers of its time.
    """
    name = peer.hex()
    if ban is None:
        raise UserError(f"there is no ban of {name}: `blame` lists the bans")
    try:
        tables.fire(
            "block_list",
            "Pardon",
            p=me,
            q=peer,
            given={"fresh_transfers": epoch > ban.epoch, "pardoned": True},
        )
    except TransitionError as refusal:
        raise UserError(
            f"the ban of {name} cannot be lifted yet: it is of key epoch {ban.epoch}, and epoch "
            f"{epoch} is in force: run `keyrefresh`, then pardon"
        ) from refusal
    return ban


def report_of(lists: dict[bytes, BlameList], bans: dict[bytes, Ban]) -> dict[str, Any]:
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
