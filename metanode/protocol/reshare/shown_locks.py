"""The locks that holders hand over for one epoch, by who showed them (F-24)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import define, field

from metanode.custody.document import decode_document, document_digest
from metanode.errors import Malformed, PeerFault
from metanode.hashing import tagged_hash
from metanode.protocol.context import Context, whole
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.votes import certificate_fault
from metanode.protocol.reshare.drafts import DRAFTS_PER_MEMBER
from metanode.protocol.tables.registry import admits, fact, message
from spec.messages import LockedCandidate, LockShown

LOCKS_PER_HOLDER = 4096
NOT_SHOWN = ("sign", "key_request", "keygen", "lock_in", "regroup", "succession")
"""Kinds of event whose locks nobody else needs: their id fixes the digest, or no epoch signs them.
"""


def lock_fault(ctx: Context, candidate: LockedCandidate) -> str | None:
    """Return what is wrong with the lock of a payout, of any epoch that is known here, or None.

    It must be certified for its document: a node that takes it over must be able to show that.
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
    the hash fits all that a holder ever showed, or what it showed since it last said so. A holder
    that was complete once stays so.
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

    @property
    def stepped_back(self) -> set[bytes]:
        """The holders that have stepped back."""
        return set(self._handed)

    def hash_of(self, holder: bytes) -> bytes:
        """Return the hash over the locks that a holder has shown."""
        return locks_hash(self.shown_by(holder).values())

    def is_complete(self, holder: bytes) -> bool:
        """Return whether a holder stepped back and all that it showed is here."""
        if holder not in self._complete and self._handed.get(holder) == self.hash_of(holder):
            self._complete.add(holder)
        return holder in self._complete

    def shown_by(self, holder: bytes) -> Mapping[bytes, LockedCandidate]:
        """Return the locks that a holder has shown, by event."""
        return self._shown.get(holder, {})

    def newest(self, holders: Iterable[bytes]) -> list[tuple[LockedCandidate, bytes]]:
        """Return the newest lock of each event among some holders, with one who showed it."""
        found: dict[bytes, tuple[LockedCandidate, bytes]] = {}
        for holder in holders:
            for event, candidate in self.shown_by(holder).items():
                known = found.get(event)
                if known is None or known[0].certificate.attempt < candidate.certificate.attempt:
                    found[event] = (candidate, holder)
        return [found[event] for event in sorted(found)]


@define
class LockBooks:
    """The books of the epochs that may follow the one in force, and of that one itself."""

    ctx: Context
    book: EventBook
    _books: dict[int, LockBook] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    @fact
    def locks_taken(self, p: bytes, h: int) -> bool:
        complete, enough = self.complete(h)
        get = self.ctx.tables.view.get
        for candidate, _ in self.of(h).newest(complete) if enough else ():
            certificate = candidate.certificate
            attempt = get("lock_attempt", p, certificate.event)
            if not isinstance(attempt, int) or attempt < certificate.attempt:
                return False
        return enough

    @fact
    def locks_all_shown(self, p: bytes, k: int) -> bool:
        epoch, view = self.ctx.epoch_of(k), self.ctx.tables.view
        if epoch is None:
            return False
        shown, others = self.of(k).shown_by(p), {*epoch.roster} - {p}
        for (holder, event), digest in view.entries("lock") if others else ():
            if holder != p or digest is None or not isinstance(event, bytes):
                continue
            known = shown[event].certificate if event in shown else None
            now = (digest, view.get("lock_attempt", p, event))
            same = known is not None and (known.digest, known.attempt) == now
            if not same and self._must_be_shown(event):
                return False
        return True

    def _must_be_shown(self, event: bytes) -> bool:
        """Return whether the next epoch must know a lock; also one of what is not known here."""
        settled = self.ctx.state("payout", event) == "COMPLETED"
        return not settled and self.book.kind(event) not in NOT_SHOWN

    def complete(self, number: int) -> tuple[list[bytes], bool]:
        """Return who has handed over all its locks to an epoch, and whether they are T holders."""
        epoch = self.ctx.epoch_of(number)
        old = None if epoch is None else self.ctx.epochs.get(epoch.follows)
        if old is None:
            return [], False
        book = self.of(number)
        complete = [holder for holder in old.roster if book.is_complete(holder)]
        return complete, len(complete) >= old.threshold

    @message("lock_shown")
    def lock_shown(self, p: bytes, k: int, e: bytes, a: int, d: bytes) -> LockShown:
        return LockShown(k, self.book.locks_to_show()[e])

    def of(self, number: int) -> LockBook:
        """Return the book of an epoch."""
        return self._books.setdefault(number, LockBook())

    @admits("lock_shown")
    def hear(self, sender: bytes, shown: LockShown) -> bool:
        """Take a lock that a holder hands over; it must be certified in its own epoch."""
        if not self.has_room(sender, shown.epoch):
            return False
        fault = lock_fault(self.ctx, shown.locked)
        if fault is not None:
            raise PeerFault(f"a lock is handed over that is none: {fault}", sender)
        return self.of(shown.epoch).show(sender, shown.locked)

    def forget(self, before: int) -> None:
        """Drop the books of epochs below this one."""
        self._books = {n: book for n, book in self._books.items() if n >= before}

    def has_room(self, sender: bytes, number: int) -> bool:
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
        known = number in self.ctx.drafts or number in self._books
        return known or opened < DRAFTS_PER_MEMBER
