"""What must hold after every step of a simulation, named as in the protocol's list of invariants.

The checkers look from outside: at what honest nodes put on their disks, at what leaves them, and at
the chain. They share no code with the guards that they check, except for verifying signatures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import define, field

from metanode.protocol.context import keygen_event, regroup_event
from metanode.protocol.events.event_book import TakenOver
from metanode.protocol.events.run import instance_of
from metanode.protocol.events.votes import certificate_fault
from metanode.protocol.keys.epoch import FIRST_EPOCH, KeyEpoch
from metanode.protocol.tables.effects import Send, Write
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.codec import Codec
from metanode.tss.keyshare import confirmation_digest
from spec import messages as m
from spec.language.declarations import ANY, SAME
from spec.tables.event import TABLE as EVENT_TABLE
from tests.simulation.plans import candidates

if TYPE_CHECKING:
    from tests.simulation.chain import Users
    from tests.simulation.disk import FakeDisk

CODEC = Codec(m.MESSAGES)


class Violated(AssertionError):
    """An invariant does not hold; the message begins with its name."""


def require(condition: object, invariant: str, text: str) -> None:
    """Raise :class:`Violated` unless the condition holds."""
    if not condition:
        raise Violated(f"{invariant}: {text}")


def status_moves() -> set[tuple[str, str]]:
    """Return every (from, to) of the event table."""
    moves = set()
    for row in EVENT_TABLE.rows:
        sources = row.source if isinstance(row.source, tuple) else (row.source,)
        if sources != (ANY,):
            moves |= {(s, s if row.target == SAME else row.target) for s in sources}
    return moves


STATUS_MOVES = status_moves()


@define
class Checkers:
    """The invariants of one network; ``honest`` names the nodes that must keep them."""

    network_id: bytes
    quorum: Quorum
    honest: set[bytes]
    disks: Mapping[bytes, FakeDisk]
    releases: dict[bytes, dict[bytes, set[bytes]]] = field(factory=dict)
    votes: dict[tuple[bytes, bytes, int], m.Vote] = field(factory=dict)
    certified: dict[tuple[bytes, int], bytes] = field(factory=dict)
    locked_keys: dict[bytes, bytes] = field(factory=dict)
    sessions: set[tuple[bytes, bytes]] = field(factory=set)
    counts: dict[str, int] = field(factory=dict)
    epochs: dict[int, KeyEpoch] = field(factory=dict)
    followed: dict[int, int] = field(factory=dict)
    expired: set[bytes] = field(factory=set)
    _shares: dict[tuple[bytes, bytes, int], set[bytes]] = field(factory=dict)

    def on_flush(self, node: bytes, writes: Sequence[Write]) -> None:
        """Look at a batch that has just become durable."""
        if node not in self.honest:
            return
        for write in writes:
            after = write.after
            if write.cell == "released" and after:
                self._released(node, write.index[1], write.index[2])
            elif write.cell == "lock" and isinstance(after, bytes):
                self._locked(write.index[1], write.attachment, after)
            elif write.cell == "lock_attempt":
                grew = write.before is None or int(after) > int(write.before)
                require(grew, "LockMovesForward", f"{write.before} -> {after}")
            elif write.cell == "status":
                move = (str(write.before), str(after))
                require(move in STATUS_MOVES, "StatusMonotone", f"{move[0]} -> {move[1]}")
                if after == "EXPIRED":
                    self.expired.add(write.index[1])
                self._not_both(write.index[1])
            elif write.cell == "renounced":
                self._not_both(write.index[1])
            elif write.cell == "key" and after == "locked_in":
                self._locked_in(node, write.attachment)
            elif write.cell in ("key_share", "holding"):
                self._holding(node, write)

    def before_send(self, node: bytes, sends: Iterable[Send]) -> None:
        """Look at messages that are about to leave a node."""
        if node not in self.honest:
            return
        disk = self.disks[node]
        for send in sends:
            match send.message:
                case m.Vote() as vote:
                    self._vote(node, disk, vote)
                case m.Release() | m.Step() as step:
                    self._step(node, disk, step)
                case m.SignatureFound() as found:
                    kept = any(i[1] == found.event for i in disk.cells.get("signature_kept", {}))
                    require(kept, "DurableBeforeSend", "signatures leave before they are kept")
                case m.Renounced() as told:
                    kept = disk.get("renounced", node, told.event)
                    require(kept, "DurableBeforeSend", "renounced to others, not on disk")
                case m.Confirmation() as told:
                    mine = [k for k in disk.usable_keys() if k.slot == told.key]
                    fits = mine and confirmation_digest(mine[0].keyshare) == told.digest
                    require(fits, "DurableBeforeSend", "a share is confirmed that is not kept")
                case m.SharePrepared() as told:
                    held = disk.get("holding", node, told.epoch)
                    require(held == "prepared", "DurableBeforeSend", "a share that is not kept")
                case m.HandedOver() as told:
                    before = self.epochs[told.epoch].follows
                    held = disk.get("holding", node, before)
                    stepped = held in ("fenced", "erased")
                    require(stepped, "DurableBeforeSend", f"handed over while {held}")
                case m.KeyLocked() as locked:
                    state = disk.get("key", node, locked.key)
                    require(state == "locked_in", "DurableBeforeSend", "a key that is not locked")

    def on_chain(self, users: Users) -> None:
        """Look at the chain: no deposit is spent twice, nobody is paid twice or at both ends."""
        for deposit in users.deposits:
            paid, other = users.received(deposit.script), users.received(deposit.other)
            require(len(paid) <= 1, "NoSlotReuse", f"{deposit.outpoint} was paid {len(paid)} times")
            require(not other, "NoPayAndRefund", f"{deposit.outpoint} went to the wrong script")
        spends: dict[tuple[bytes, int], bytes] = {}
        for node in users.ledger.tree.active:
            for transaction in users.ledger.tree.transactions(node)[1:]:
                for ref in transaction.spent():
                    require(ref not in spends, "NoSlotReuse", f"{ref[0].hex()} is spent twice")
                    spends[ref] = transaction.txid

    def finish(self, users: Users) -> None:
        """Liveness at the end of a calm run: every deposit was settled once, for a fair charge."""
        self.on_chain(users)
        for deposit in users.deposits:
            paid = users.received(deposit.script)
            require(len(paid) == 1, "SwapSettles", f"{deposit.kind} of {deposit.outpoint} is open")
            charge = deposit.amount - paid[0]
            limit = deposit.amount // 20 + 10_000
            require(0 < charge <= limit, "SwapSettles", f"{deposit.amount} was charged {charge}")

    def _released(self, node: bytes, event: bytes, digest: bytes) -> None:
        by_digest = self.releases.setdefault(event, {})
        by_digest.setdefault(digest, set()).add(node)
        kept = self.disks[node].lock(event)
        epoch = kept.certificate.key_epoch if kept is not None else FIRST_EPOCH
        self._shares.setdefault((event, digest, epoch), set()).add(node)
        # Shares of one epoch alone make a signature.
        enough = {
            d for (e, d, number), who in self._shares.items()
            if e == event and len(who) + self._quorum(number).faulty
            >= self._quorum(number).threshold
        }
        require(len(enough) <= 1, "NoDoubleSign", f"{len(enough)} digests of {event.hex()[:16]}")
        self._not_both(event)
        lock = self.disks[node].get("lock", node, event)
        require(lock == digest, "NoDoubleSignLocal", "a share is released without its lock")

    def _not_both(self, event: bytes) -> None:
        """F-16: what is expired somewhere is signed nowhere, and too few shares are out for it."""
        by_digest = self.releases.get(event, {})
        signers = set().union(*by_digest.values())
        # What lapses makes shares, which nobody refunds: of an event that expires, some renounced.
        renounced = any(self.disks[node].get("renounced", node, event) for node in self.honest)
        expired = event in self.expired and renounced
        for node in self.honest:
            gone = self.disks[node].get("renounced", node, event)
            require(not (gone and node in signers), "RenouncedNeverReleases", event.hex()[:16])
            status = self.disks[node].get("status", node, event)
            both = expired and status == "SUCCESS"
            require(not both, "NoPayAndRefund", f"{event.hex()[:16]} is expired and signed")
        if expired:
            most = max(map(len, by_digest.values()), default=0) + self.quorum.faulty
            enough = most >= self.quorum.threshold
            require(not enough, "NoPayAndRefund", f"{event.hex()[:16]}: {most} shares can be out")

    def _quorum(self, epoch: int) -> Quorum:
        known = self.epochs.get(epoch)
        return self.quorum if known is None or epoch == FIRST_EPOCH else known.quorum

    def _holding(self, node: bytes, write: Write) -> None:
        """Look at what became of a share: one epoch follows another, and the key stays there."""
        if isinstance(write.attachment, KeyEpoch):
            self.epochs[write.attachment.number] = write.attachment
        number = write.index[1]
        if write.after == "active" and number in self.epochs and number != FIRST_EPOCH:
            before = self.epochs[number].follows
            first = self.followed.setdefault(before, number)
            require(first == number, "OneFollows", f"{first} and {number} follow {before}")
            fenced = self.disks[node].get("holding", node, before) != "active"
            require(fenced, "OneShareWorks", f"{number} is active beside {before}")
        if write.after == "erased":
            held = {
                epoch.number: sum(
                    self.disks[member].get("holding", member, epoch.number)
                    in ("prepared", "active", "fenced")
                    for member in epoch.roster
                )
                for epoch in self.epochs.values()
            }
            enough = [n for n, count in held.items() if count >= self.epochs[n].threshold]
            require(enough, "KeyAvailable", f"shares on disk by epoch: {held}")

    def _locked(self, event: bytes, candidate: object, digest: bytes) -> None:
        if isinstance(candidate, TakenOver):
            candidate = candidate.candidate
        require(isinstance(candidate, m.LockedCandidate), "LockHasCertificate", "nothing with it")
        certificate = candidate.certificate
        same = (certificate.event, certificate.digest) == (event, digest)
        require(same, "LockHasCertificate", "a certificate for something else")
        key = (event, certificate.attempt)
        first = self.certified.setdefault(key, digest)
        require(first == digest, "CertificateUnique", f"two digests in attempt {key[1]}")

    def _locked_in(self, node: bytes, announcement: object) -> None:
        require(isinstance(announcement, m.KeyLocked), "LockInAgreement", "no announcement")
        self.locked_keys[node] = announcement.public_key
        names = set(self.locked_keys.values())
        require(len(names) == 1, "LockInAgreement", f"{len(names)} keys are locked in")
        members = {item.member for item in announcement.confirmations}
        complete = members == set(announcement.roster)
        require(complete, "LockInAgreement", f"confirmed by {len(members)} members only")

    def _vote(self, node: bytes, disk: FakeDisk, vote: m.Vote) -> None:
        durable = disk.get("voted", node, vote.event, vote.attempt) == vote.digest
        require(durable, "DurableBeforeSend", "a vote leaves before it is on disk")
        first = self.votes.setdefault((node, vote.event, vote.attempt), vote)
        require(first == vote, "OneVotePerAttempt", f"attempt {vote.attempt}: two signed votes")

    def _step(self, node: bytes, disk: FakeDisk, step: m.Release | m.Step) -> None:
        self.counts["steps"] = self.counts.get("steps", 0) + 1
        used = disk.get("instance_used", node, step.instance)
        require(used, "DurableBeforeSend", "a signing message leaves before its run is recorded")
        if (node, step.instance) in self.sessions:
            return
        certificate = self._certificate_of(node, disk, step.instance)
        require(certificate is not None, "NoStepBeforeBegin", "a run without its certificate")
        released = disk.get("released", node, certificate.event, certificate.digest)
        require(released, "DurableBeforeSend", "a share leaves before its release is recorded")
        quorum, needs_all = self._quorum(certificate.key_epoch), False
        if certificate.event == keygen_event(self.network_id, certificate.attempt):
            needs_all = True
        elif self._is_regroup(certificate):
            quorum = Quorum(certificate.members, len(certificate.members), 0)
        fault = certificate_fault(certificate, CODEC, self.network_id, quorum, needs_all)
        require(fault is None, "NoStepBeforeBegin", f"a run with a bad certificate: {fault}")
        self.sessions.add((node, step.instance))

    def _is_regroup(self, certificate: m.Certificate) -> bool:
        names = {epoch.key_id for epoch in self.epochs.values()}
        wanted = {regroup_event(self.network_id, name, certificate.attempt) for name in names}
        return certificate.event in wanted

    def _certificate_of(
        self, node: bytes, disk: FakeDisk, instance: bytes
    ) -> m.Certificate | None:
        for _, event in disk.attachments.get("lock", {}):
            lock = disk.lock(event)
            if lock is None:
                continue
            found = lock.certificate
            members = tuple(vote.voter for vote in found.votes)
            known = {(e.key_id, e.number): e for d in self.disks.values() for e in d.epochs()}
            plans = candidates(lock, self.quorum, list(known.values()))
            names = (instance_of(event, found.attempt, found.digest, p, members) for p in plans)
            if instance in names:
                require(node in members, "NoForgedMember", "a run that the node is no member of")
                return found
        return None
