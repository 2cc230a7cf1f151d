"""Finds the epoch in force by the signatures of the key itself, under the name of each epoch.

A node that was away, or that joins, is shown these signatures. A node that joins has the public key
from its operator, and learns by it the holders of every epoch; nobody else's word counts.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field

from metanode.protocol.context import Context
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.keys.epoch import NONE_BEFORE, KeyEpoch
from metanode.protocol.keys.epoch_name import epoch_signed
from metanode.protocol.keys.keygen import Keygen
from metanode.protocol.reshare.handover import Handover
from metanode.protocol.tables.effects import Watch
from metanode.protocol.tables.registry import handles
from spec.messages import SignatureFound


@define
class EpochChain:
    """The signed epochs that one node knows, and the way from one into the next."""

    ctx: Context
    book: EventBook
    handover: Handover
    keygen: Keygen
    _epochs: dict[int, KeyEpoch] = field(factory=dict)
    _seen: set[bytes] = field(factory=set)

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    @handles("gone_over")
    def go_over(self) -> None:
        if self.ctx.key is None:
            self._remember(self.book.found.values())
            self._put_in_force(max(self._epochs, default=None))
        self.handover.go_over()

    def successors(self) -> list[KeyEpoch]:
        """Return the epochs that followed another one."""
        return [epoch for epoch in self._epochs.values() if epoch.follows != NONE_BEFORE]

    def restore(self, signatures: Iterable[SignatureFound]) -> None:
        """A node that holds no share any more knows the epoch in force from its store."""
        self._remember(signatures)
        if self.ctx.key is None:
            self._put_in_force(min(self._epochs, default=None))

    def _remember(self, signatures: Iterable[SignatureFound]) -> None:
        """Keep the epochs that the key, as this node believes in it, has named."""
        pinned = self._pinned()
        for found in signatures if pinned is not None else ():
            if found.event not in self._seen:
                self._seen.add(found.event)
                epoch = epoch_signed(self.ctx.settings.network_id, found)
                if epoch is not None and epoch.public_key == pinned:
                    self._epochs[epoch.number] = epoch

    def _pinned(self) -> bytes | None:
        """Return the public key that this node has reason to believe in."""
        if self.ctx.key is not None:
            return self.ctx.key.public_key
        made = self.keygen.announcement
        return made.public_key if made is not None else self.ctx.settings.joins

    def _put_in_force(self, number: int | None) -> None:
        if number is not None:
            epoch = self._epochs[number]
            self.ctx.use(epoch)
            self.ctx.ask(Watch(epoch.public_key))
            self.ctx.note("epoch.known", epoch=number, members=len(epoch.members))
