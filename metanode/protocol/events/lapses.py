"""Events of which nothing can come any more: they end, or they would be pending on disk for ever.

A key generation and a regroup have one attempt each, which their event is named after. A request
for the key that names an epoch cannot be met when that has passed. What can be signed does not
lapse: it ends with a signature, or when enough holders have renounced it (F-16).
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field

from metanode.protocol.context import Context, keygen_event, regroup_event
from metanode.protocol.events.coordinator import Coordinators
from metanode.protocol.events.event_book import UNKNOWN, EventBook
from metanode.protocol.events.purpose import Purposes
from metanode.protocol.requests.requests import Requests
from metanode.protocol.tables.registry import handles

SLOTS_LOOKED_BACK = 10_000
"""Slots before a start whose events are looked for on disk: a month of them, on the mainnet."""


@define
class Lapses:
    """Lets events lapse at a node. ``_attempts`` has the kind and the number of each attempt."""

    ctx: Context
    book: EventBook
    purposes: Purposes
    coordinators: Coordinators
    requests: Requests
    _attempts: dict[bytes, tuple[str, int]] = field(factory=dict)

    @handles("lapsed")
    def lapse(self) -> None:
        if not self.ctx.boundary:
            return
        self._note_attempts()
        for event in self.ctx.each(self._over()):
            self.book.deadlines.setdefault(event, self.ctx.now)
            if self.ctx.tries("event.Lapse", e=event):
                self._attempts.pop(event, None)
                self.ctx.note("event.lapsed", event_id=event.hex()[:16], kind=self.book.kind(event))

    def _over(self) -> Iterator[bytes]:
        """Yield the open events whose time is over."""
        oldest = {kind: self.purposes.by_kind[kind].oldest() for kind in ("keygen", "regroup")}
        for event, (kind, attempt) in list(self._attempts.items()):
            if self.book.status(event) in ("PENDING", "FAILED") and attempt < oldest[kind]:
                yield event
            elif self.book.status(event) in ("SUCCESS", "EXPIRED"):
                del self._attempts[event]
        key = self.ctx.key
        for event, request in list(self.requests.asked.items()):
            epoch = request.fields.get("epoch") if request.kind != "sign" else None
            past = key is not None and isinstance(epoch, int) and epoch < key.number
            if past and self.requests.is_overdue(event):
                yield event

    def _note_attempts(self) -> None:
        network_id, slot = self.ctx.settings.network_id, self.ctx.keygen_slot()
        event = keygen_event(network_id, slot)
        if self.book.status(event) != "UNKNOWN":
            self._attempts[event] = ("keygen", slot)
        for task in self.coordinators.tasks.values():
            if task.needs_all:
                self._attempts[task.event] = (task.purpose, task.attempt)

    def restore(self) -> None:
        """Find out what the open events on disk were about: only their names are there."""
        ctx, network_id = self.ctx, self.ctx.settings.network_id
        statuses = ctx.tables.view.entries("status")
        left = {
            event for (_, event), status in statuses
            if isinstance(event, bytes) and status not in ("SUCCESS", "EXPIRED")
            and self.book.kind(event) == UNKNOWN
        }
        for (_, event, number), _digest in ctx.tables.view.entries("voted"):
            if event not in left or not isinstance(number, int) or ctx.key is None:
                continue
            if event == regroup_event(network_id, ctx.key.key_id, number):
                self._know(event, "regroup", number)
        slot = ctx.keygen_slot()
        for number in range(slot, max(-1, slot - SLOTS_LOOKED_BACK), -1) if left else ():
            if (event := keygen_event(network_id, number)) in left:
                self._know(event, "keygen", number)

    def _know(self, event: bytes, kind: str, number: int) -> None:
        self.book.know(event, kind)
        self._attempts[event] = (kind, number)
