"""The locks that holders hand over for one epoch, by who showed them (F-24)."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field, frozen

from metanode.custody.document import decode_document, document_digest
from metanode.errors import Malformed, PeerFault
from metanode.hashing import tagged_hash
from metanode.protocol.context import Context, whole
from metanode.protocol.events.votes import certificate_fault
from metanode.protocol.reshare.drafts import DRAFTS_PER_MEMBER, Drafts
from spec.messages import HandedOver, LockedCandidate, LockShown

LOCKS_PER_HOLDER = 4096


@frozen
class TakenOver:
    """A lock taken over from the epoch before, where this node may have voted otherwise since.

    That vote promised that its old share signs nothing else; the old share is fenced for good.
    """

    candidate: LockedCandidate


def lock_fault(ctx: Context, candidate: LockedCandidate) -> str | None:
    """Return what is wrong with the lock of a payout, of any epoch that is known here, or None.

    It must be certified for its document: whoever takes it over has to show that to others.
    """
    certificate = candidate.certificate
    quorum = ctx.quorum_of(certificate.key_epoch)
    if quorum is None:
        return "it is of a key epoch that is not known here"
    if document_digest(candidate.document) != certificate.digest:
        return "it is for another document"
    try:
        if decode_document(candidate.document).event != certificate.event:
            return "it is for another event"
    except Malformed as malformed:
        return malformed.reason
    return certificate_fault(certificate, ctx.codec, ctx.settings.network_id, quorum)


def locks_hash(candidates: Iterable[LockedCandidate]) -> bytes:
    """Return the hash over locks, in any order: event, attempt and digest of each."""
    certificates = sorted((c.certificate for c in candidates), key=lambda found: found.event)
    parts = [part for c in certificates for part in (c.event, whole(c.attempt), c.digest)]
    return tagged_hash("locks-shown", *parts)


@define
class LockBook:
    """What each holder of the epoch before showed, and the hash over all that it has to show.

    A holder shows all its locks, then says so; when it says so again to a peer that was away, a
    payout may have been settled meanwhile, so that it shows fewer. Hence two ways to be complete:
    the hash fits all that a holder ever showed, or what it showed since it last said so. Who was
    complete once stays so.
    """

    _shown: dict[bytes, dict[bytes, LockedCandidate]] = field(factory=dict)
    _telling: dict[bytes, dict[bytes, LockedCandidate]] = field(factory=dict)
    _handed: dict[bytes, bytes] = field(factory=dict)
    _complete: set[bytes] = field(factory=set)

    def __contains__(self, holder: bytes) -> bool:
        return holder in self._shown or holder in self._handed

    def show(self, holder: bytes, candidate: LockedCandidate) -> bool:
        """Keep a lock that a holder shows, the newest of each event; return whether it is news."""
        shown = self._shown.setdefault(holder, {})
        event = candidate.certificate.event
        known = shown.get(event)
        if known is None and len(shown) >= LOCKS_PER_HOLDER:
            return False
        self._telling.setdefault(holder, {})[event] = candidate
        if known is not None and known.certificate.attempt >= candidate.certificate.attempt:
            return False
        shown[event] = candidate
        return True

    def hand_over(self, holder: bytes, locks: bytes) -> None:
        """Note that a holder stepped back, with the hash over its locks."""
        self._handed[holder] = locks
        told = self._telling.pop(holder, {})
        if locks in (locks_hash(told.values()), self.hash_of(holder)):
            self._complete.add(holder)

    def hash_of(self, holder: bytes) -> bytes:
        """Return the hash over the locks that a holder has shown."""
        return locks_hash(self._shown.get(holder, {}).values())

    def is_complete(self, holder: bytes) -> bool:
        """Return whether a holder stepped back and all that it showed is here."""
        if holder not in self._complete and self._handed.get(holder) == self.hash_of(holder):
            self._complete.add(holder)
        return holder in self._complete

    def newest(self, holders: Iterable[bytes]) -> list[tuple[LockedCandidate, bytes]]:
        """Return the newest lock of each event among some holders, with one who showed it."""
        found: dict[bytes, tuple[LockedCandidate, bytes]] = {}
        for holder in holders:
            for event, candidate in self._shown.get(holder, {}).items():
                known = found.get(event)
                if known is None or known[0].certificate.attempt < candidate.certificate.attempt:
                    found[event] = (candidate, holder)
        return [found[event] for event in sorted(found)]


@define
class LockBooks:
    """The books of the epochs that may follow the one in force, and of that one itself."""

    ctx: Context
    drafts: Drafts
    _books: dict[int, LockBook] = field(factory=dict)

    def of(self, number: int) -> LockBook:
        """Return the book of an epoch."""
        return self._books.setdefault(number, LockBook())

    def on_lock_shown(self, sender: bytes, message: LockShown) -> None:
        """Take a lock that a holder hands over; it must be certified in its own epoch."""
        ctx, certificate = self.ctx, message.locked.certificate
        if not self._has_room(sender, message.epoch):
            return
        fault = lock_fault(ctx, message.locked)
        if fault is not None:
            raise PeerFault(f"a lock is handed over that is none: {fault}", sender)
        if self.of(message.epoch).show(sender, message.locked):
            ctx.tables.view.deliver(
                "lock_shown", sender, message.epoch, certificate.event, certificate.attempt,
                certificate.digest,
            )

    def on_handed_over(self, sender: bytes, message: HandedOver) -> None:
        """Take a holder's word that it stepped back and showed all its locks."""
        if self._has_room(sender, message.epoch):
            self.of(message.epoch).hand_over(sender, message.locks)
            self.ctx.tables.view.deliver("handed_over", sender, message.epoch)

    def forget(self, before: int) -> None:
        """Drop the books of epochs below this one."""
        self._books = {n: book for n, book in self._books.items() if n >= before}

    def _has_room(self, sender: bytes, number: int) -> bool:
        """Return whether a node holds, or held, the epoch that this one follows.

        A holder has room for a few epochs that are not known here yet.
        """
        key = self.ctx.key
        if key is None or number < key.number:
            return False
        before = self.ctx.epochs.get(key.follows) if number == key.number else key
        if before is None or sender not in before.roster:
            return False
        opened = sum(sender in book for book in self._books.values())
        known = number in self.drafts.known or number in self._books
        return known or opened < DRAFTS_PER_MEMBER
