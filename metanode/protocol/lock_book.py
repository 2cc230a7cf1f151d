"""The locks that holders hand over for one epoch, by who showed them (F-24)."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field, frozen

from metanode.protocol.context import Context, whole
from metanode.protocol.hashing import tagged_hash
from metanode.protocol.votes import certificate_fault
from spec.messages import LockedCandidate

LOCKS_PER_HOLDER = 4096


@frozen
class TakenOver:
    """A lock taken over from the epoch before, where this node may have voted otherwise since.

    That vote promised that its old share signs nothing else; the old share is fenced for good.
    """

    candidate: LockedCandidate


def lock_fault(ctx: Context, candidate: LockedCandidate) -> str | None:
    """Return what is wrong with a lock of any epoch that is known here, or None."""
    certificate = candidate.certificate
    quorum = ctx.quorum_of(certificate.key_epoch)
    if quorum is None:
        return "it is of a key epoch that is not known here"
    return certificate_fault(certificate, ctx.codec, ctx.settings.network_id, quorum)


@define
class LockBook:
    """What each holder of the epoch before showed, and the hash over all that it has to show."""

    _shown: dict[bytes, dict[bytes, LockedCandidate]] = field(factory=dict)
    _handed: dict[bytes, bytes] = field(factory=dict)

    def __contains__(self, holder: bytes) -> bool:
        return holder in self._shown or holder in self._handed

    def show(self, holder: bytes, candidate: LockedCandidate) -> bool:
        """Keep a lock that a holder shows, the newest of each event; return whether it is news."""
        shown = self._shown.setdefault(holder, {})
        event = candidate.certificate.event
        known = shown.get(event)
        if known is not None and known.certificate.attempt >= candidate.certificate.attempt:
            return False
        if known is None and len(shown) >= LOCKS_PER_HOLDER:
            return False
        shown[event] = candidate
        return True

    def hand_over(self, holder: bytes, locks: bytes) -> None:
        """Note that a holder stepped back, with the hash over its locks."""
        self._handed[holder] = locks

    def hash_of(self, holder: bytes) -> bytes:
        """Return the hash over the locks that a holder has shown."""
        shown = self._shown.get(holder, {})
        parts = []
        for event in sorted(shown):
            certificate = shown[event].certificate
            parts += [event, whole(certificate.attempt), certificate.digest]
        return tagged_hash("locks-shown", *parts)

    def is_complete(self, holder: bytes) -> bool:
        """Return whether a holder stepped back and all that it showed is here."""
        return holder in self._handed and self._handed[holder] == self.hash_of(holder)

    def newest(self, holders: Iterable[bytes]) -> list[tuple[LockedCandidate, bytes]]:
        """Return the newest lock of each event among some holders, with one who showed it."""
        found: dict[bytes, tuple[LockedCandidate, bytes]] = {}
        for holder in holders:
            for event, candidate in self._shown.get(holder, {}).items():
                known = found.get(event)
                if known is None or known[0].certificate.attempt < candidate.certificate.attempt:
                    found[event] = (candidate, holder)
        return [found[event] for event in sorted(found)]
