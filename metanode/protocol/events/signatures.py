"""Finished signatures that come from others, of any purpose; those that verify are taken (F-15)."""

from __future__ import annotations

from attrs import define

from metanode.errors import PeerFault
from metanode.protocol.context import Context
from metanode.protocol.events.event_book import FINISHED, EventBook
from metanode.protocol.events.purpose import Purposes
from metanode.protocol.inputs import Received
from metanode.protocol.tables.registry import admits, handles
from spec.messages import CONFIRMS_ANSWERED, ConfirmReq, SignatureFound


@define
class Signatures:
    """Hands finished signatures to the purposes that they are of, and theirs to other peers."""

    ctx: Context
    book: EventBook
    purposes: Purposes

    @admits("signature_found")
    def admit(self, sender: bytes, found: SignatureFound) -> bool:
        """Take signatures of an event that some purpose knows by its document."""
        known = self.purposes.kind_of(found.event, found.document) is not None
        return known and self.book.status(found.event) not in FINISHED

    @handles("signature_taken")
    def take(self) -> None:
        entry, fault = self.ctx.input, None
        purposes = self.purposes.by_kind.values()
        items = [item for purpose in purposes for item in purpose.waiting()]
        if isinstance(entry, Received) and isinstance(entry.message, SignatureFound):
            items.append((entry.sender, entry.message))
        for sender, found in self.ctx.each(items):
            kind = self.purposes.kind_of(found.event, found.document)
            try:
                if kind is not None:
                    self.purposes.by_kind[kind].heard(sender, found)
            except PeerFault as wrong:  # must not keep the others from being taken
                fault = fault or wrong
        if fault is not None:
            raise fault

    @handles("signature_told")
    def tell(self) -> None:
        entry = self.ctx.input
        if entry is None:
            return
        if isinstance(entry, Received) and isinstance(entry.message, ConfirmReq):
            told = self._asked_for(entry.sender, entry.message)
        else:
            told = [pair for p in self.purposes.by_kind.values() for pair in p.tells(entry)]
        for event, peer in self.ctx.each(told):
            self.book.tell(event, peer)

    def _asked_for(self, sender: bytes, question: ConfirmReq) -> list[tuple[bytes, bytes]]:
        """Return the finished events among those that a peer asks about, with the peer."""
        found = [
            pair.event for pair in question.asked
            if pair.event in self.book.found and self.book.found[pair.event].digest == pair.digest
        ]
        return [(event, sender) for event in dict.fromkeys(found)][:CONFIRMS_ANSWERED]
