"""Windows of blocks and the payouts in them: which part is next, and which coins are taken.

The deposits of a window are paid in parts, one after the other (F-40). A part is closed when this
node has its signatures, or when what is locked in it can never be mined (F-42). Its deposits are
taken as long as it may still be mined.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import define, field

from metanode.custody.document import PayoutDocument, decode_document, payout_event
from metanode.custody.ledger import Ledger
from metanode.custody.types import Outpoint
from metanode.errors import Malformed
from metanode.protocol.context import Context
from metanode.protocol.events.event_book import EventBook
from spec.messages import LockedCandidate

DOCUMENTS_KEPT = 256


def turn_of(number: int, choices: int) -> int:
    """Return whose turn it is in a round: the first one's in every other round, else each one's."""
    return 0 if number % 2 or not choices else number // 2 % choices


@define
class Windows:
    """The payouts of all windows, as far as this node knows them.

    ``signed`` are those with signatures that are not final, by event.
    """

    ctx: Context
    ledger: Ledger
    book: EventBook
    signed: dict[bytes, PayoutDocument] = field(factory=dict)
    _shown: dict[bytes, LockedCandidate] = field(factory=dict)
    _read: dict[bytes, PayoutDocument] = field(factory=dict)

    @property
    def settled(self) -> int:
        """The height of the newest block that this node treats as settled; -1 if there is none."""
        tip = self.ledger.tip
        return -1 if tip is None else tip[0] - self.ctx.settings.confirmations + 1

    def read(self, encoded: bytes) -> PayoutDocument | None:
        """Return a document of this network's key, or None for anything else."""
        if encoded not in self._read:
            try:
                document = decode_document(encoded)
            except Malformed:
                return None
            settings, key = self.ctx.settings, self.ctx.key
            if key is None or (document.network_id, document.chain, document.key_id) != (
                settings.network_id, settings.chain, key.key_id
            ):
                return None
            if document.public_key != key.public_key:
                return None
            if len(self._read) >= DOCUMENTS_KEPT:
                self._read.clear()
            self._read[encoded] = document
        return self._read[encoded]

    # --- parts ---

    def event(self, window: int, part: int) -> bytes:
        """Return the event of a part."""
        return payout_event(self.ctx.settings.network_id, self.ctx.epoch.key_id, window, part)

    def next_part(self, window: int) -> int:
        """Return the number of the first part of a window that is not closed."""
        part = 0
        while self._is_closed(self.event(window, part)):
            part += 1
        return part

    def show(self, candidate: LockedCandidate) -> None:
        """Note the lock of another node: it may close a part."""
        event = candidate.certificate.event
        known = self._shown.get(event)
        if known is None or known.certificate.attempt < candidate.certificate.attempt:
            self._shown[event] = candidate

    def lock_to_show(self, number: int) -> LockedCandidate | None:
        """Return the lock that this node shows in a round: one whose document is not signed yet.

        The newest is due first; the others have their turns, for one on a document that died lets
        everybody close its part.
        """
        kept = [
            candidate
            for event, candidate in self.book.open_locks().items()
            if self.book.kind(event) == "payout"
            and self.book.status(event) in ("PENDING", "IN_PROGRESS", "FAILED")
        ]
        kept.sort(key=lambda candidate: candidate.certificate.attempt, reverse=True)
        return kept[turn_of(number, len(kept))] if kept else None

    def locks(self, shown: Iterable[LockedCandidate] = ()) -> Iterator[PayoutDocument]:
        """Return what is locked and may still be signed, the newest lock first: what this node is
        locked on, and what others show.
        """
        own = self.book.open_locks().items()
        mine = (candidate for event, candidate in own if self.book.kind(event) == "payout")
        newest = sorted([*mine, *shown], key=lambda c: c.certificate.attempt, reverse=True)
        for candidate in newest:
            document = self._locked(candidate)
            if document is not None and self._is_open(document):
                yield document

    def _is_closed(self, event: bytes) -> bool:
        if self.book.status(event) == "SUCCESS":
            return True
        for candidate in (self.book.locked.get(event), self._shown.get(event)):
            document = None if candidate is None else self._locked(candidate)
            if document is not None and self.is_dead(document):
                return True
        return False

    def _locked(self, candidate: LockedCandidate) -> PayoutDocument | None:
        document, certificate = self.read(candidate.document), candidate.certificate
        found = document is not None and (document.event, document.digest)
        return document if found == (certificate.event, certificate.digest) else None

    def _is_open(self, document: PayoutDocument) -> bool:
        """Return whether a document is neither signed yet nor without a coin of its own."""
        if self.book.status(document.event) in ("SUCCESS", "EXPIRED"):
            return False
        ledger = self.ledger
        return all(
            ledger.coin(outpoint) is not None and ledger.spent_by(outpoint) is None
            for outpoint in document.inputs
        )

    # --- coins ---

    def taken(self) -> set[Outpoint]:
        """Return the coins of all payouts that are signed and may still be mined."""
        return {
            outpoint
            for document in self.signed.values()
            if not self.is_dead(document)
            for outpoint in document.inputs
        }

    def is_dead(self, document: PayoutDocument) -> bool:
        """Return whether a payout can never be mined: as deep as what counts as settled, another
        transaction has spent an input, or an input is not in the chain.
        """
        ledger, settled = self.ledger, self.settled
        for outpoint in document.inputs:
            if ledger.coin(outpoint) is None:
                if document.cutoff_height <= settled:
                    return True
                continue
            height = ledger.spent_at(outpoint)
            if (
                height is not None
                and height <= settled
                and ledger.spent_by(outpoint) not in document.txids
            ):
                return True
        return False

    def mined_at(self, document: PayoutDocument) -> int | None:
        """Return the height of the block that has a version of a payout, by the node's own index.
        """
        outpoint = document.inputs[0]
        mined = self.ledger.spent_by(outpoint) in document.txids
        return self.ledger.spent_at(outpoint) if mined else None
