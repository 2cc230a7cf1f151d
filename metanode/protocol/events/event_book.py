"""The events of a node: what each is about, where it stands, its lock, its finished signatures.

Everything that must survive is in the tables' disk cells; here are also the documents and messages
that are stored beside these cells and loaded again at a start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define, field, frozen

from metanode.protocol.context import Context
from metanode.protocol.events.purpose import Purpose, Purposes
from metanode.protocol.tables.registry import attachment, fact, message
from spec.messages import Certificate, LockedCandidate, SignatureFound

UNKNOWN = "unknown_kind"
FINISHED = ("SUCCESS", "EXPIRED")


@frozen
class TakenOver:
    """A lock taken over from the epoch before, where this node may have voted otherwise since.

    That vote promised that its old share signs nothing else; the old share never signs again.
    """

    candidate: LockedCandidate

    @property
    def certificate(self) -> Certificate:
        """The certificate behind the lock."""
        return self.candidate.certificate


@define
class EventBook:
    """The events that a node knows. ``deadlines`` say when they run out of time (unix s)."""

    ctx: Context
    purposes: Purposes
    kinds: dict[bytes, str] = field(factory=dict)
    locked: dict[bytes, LockedCandidate] = field(factory=dict)
    found: dict[bytes, SignatureFound] = field(factory=dict)
    deadlines: dict[bytes, float] = field(factory=dict)
    unfinished: dict[bytes, None] = field(factory=dict)
    """The events of locks that were not finished when they were last looked at."""
    _locking: dict[bytes, LockedCandidate | TakenOver] = field(factory=dict)
    _taking: dict[bytes, SignatureFound] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    # --- what the tables are told ---

    @fact
    def kind(self, e: bytes) -> str:
        return self.kinds.get(e, UNKNOWN)

    @fact
    def epoch_signs(self, h: int, e: bytes, a: int) -> bool:
        signers = self.ctx.attempts.get((e, a))
        return signers is not None and signers.epoch == h

    @fact
    def event_over(self, e: bytes) -> bool:
        deadline = self.deadlines.get(e)
        return deadline is not None and deadline <= self.ctx.now

    @fact
    def signature_valid(self, e: bytes, d: bytes) -> bool:
        found, purpose = self._taking.get(e) or self.found.get(e), self.purpose_of(e)
        if found is None or purpose is None or found.digest != d:
            return False
        return purpose.verified(found)

    # --- what is said and stored ---

    @message("announced")
    def announced(self, p: bytes, e: bytes, d: bytes) -> SignatureFound:
        return self._taking.get(e) or self.found[e]

    @attachment("signature_kept")
    def signature_kept(self, p: bytes, e: bytes, d: bytes) -> SignatureFound:
        return self._taking[e]

    @attachment("lock")
    def lock(self, p: bytes, e: bytes) -> LockedCandidate | TakenOver:
        locking = self._locking[e]
        self.hold(e, locking.candidate if isinstance(locking, TakenOver) else locking)
        return locking

    # --- events ---

    def status(self, event: bytes) -> str:
        """Return the status of an event."""
        return self.ctx.state("event", event)

    def purpose_of(self, event: bytes) -> Purpose | None:
        """Return the purpose of an event's kind, or None for one that is not decided by votes."""
        return self.purposes.by_kind.get(self.kinds.get(event, UNKNOWN))

    def know(self, event: bytes, kind: str) -> None:
        """Note what an event is about, as this node has derived it itself (F-17)."""
        self.kinds[event] = kind

    def create(self, event: bytes, kind: str) -> None:
        """Create an event that this node has derived itself, if it is new: ``event.Create``."""
        self.know(event, kind)
        if self.status(event) == "UNKNOWN":
            self.ctx.fire("event.Create", e=event)

    def recover(self, event: bytes) -> None:
        """The session of an event is lost or failed: it is tried again later, its lock is kept.

        Fires ``event.Recover`` or ``event.Retry``.
        """
        if self.status(event) == "IN_PROGRESS":
            self.ctx.fire("event.Recover", e=event)
        elif self.status(event) == "FAILED":
            self.ctx.tries("event.Retry", e=event)

    def prepare(self, event: bytes, kind: str, attempt: int, digest: bytes) -> bool:
        """Bring an event to IN_PROGRESS for an attempt; return whether it may be tried.

        Fires ``event.Create``, ``event.Recover`` or ``event.Retry``, and ``event.Setup``.
        """
        self.create(event, kind)
        self.recover(event)
        return self.ctx.tries("event.Setup", e=event, a=attempt, d=digest)

    # --- locks ---

    def locking(self, candidate: LockedCandidate | TakenOver) -> None:
        """Put the document and certificate at hand of a lock that a row is about to write."""
        self._locking[candidate.certificate.event] = candidate

    def hold(self, event: bytes, candidate: LockedCandidate) -> None:
        """Keep a lock that is on disk."""
        self.locked[event] = candidate
        self.unfinished.setdefault(event)

    def open_locks(self) -> Mapping[bytes, LockedCandidate]:
        """Return the locks of events that are not finished, the oldest first.

        What is finished stays so, and is not looked at again: a tick costs no more for each payout
        that was ever made.
        """
        for event in [event for event in self.unfinished if self.status(event) in FINISHED]:
            del self.unfinished[event]
        return {event: self.locked[event] for event in self.unfinished}

    def lock_of(self, event: bytes) -> LockedCandidate | None:
        """Return the lock of an event, to be shown."""
        return self.locked.get(event)

    def locks_to_show(self) -> Mapping[bytes, LockedCandidate]:
        """Return the locks that the next epoch must know, by event.

        Three kinds are left out: locks of payouts that are final on the chain (SAFE-SIGN 6), locks
        of events that are not signed with an epoch's shares, and locks of requests, because no
        other digest has the same event.
        """
        return {
            event: candidate
            for event, candidate in sorted(self.locked.items())
            if self.kinds.get(event) == "payout"
            and self.ctx.state("payout", event) != "COMPLETED"
        }

    # --- start ---

    def restore(self, locks: Sequence[LockedCandidate], found: Sequence[SignatureFound]) -> None:
        """Take locks and finished signatures from the store after a start."""
        for lock in locks:
            certificate = lock.certificate
            event, number = certificate.event, certificate.key_epoch
            self.hold(event, lock)
            kind = self.purposes.kind_of(event, lock.document, certificate.attempt)
            self.know(event, kind or UNKNOWN)
            if (quorum := self.ctx.quorum_of(number)) is not None:
                self.ctx.signed_by(event, certificate.attempt, number, quorum, shown=True)
        for signed in found:
            self.found[signed.event] = signed
            kind = self.purposes.kind_of(signed.event, signed.document)
            self.know(signed.event, kind or UNKNOWN)

    # --- finished signatures ---

    def take(self, found: SignatureFound, kind: str) -> bool:
        """Take finished signatures; return whether they verify and are new.

        Fires ``event.Create`` and ``event.Signature``: they are stored and announced to all.
        """
        event = found.event
        self.create(event, kind)
        if self.status(event) in FINISHED:
            return False
        self._taking[event] = found
        taken = self.ctx.tries("event.Signature", e=event, d=found.digest)
        del self._taking[event]
        if taken:
            self.found[event] = found
        return taken

    def tell(self, event: bytes, to: bytes | Sequence[bytes]) -> None:
        """Tell peers finished signatures again, which they may have missed: ``event.Announce``."""
        found = self.found.get(event)
        if found is not None:
            self.ctx.tries("event.Announce", to=to, e=event, d=found.digest)
