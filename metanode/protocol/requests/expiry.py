"""How a request to sign expires: holders renounce it, and when R have done so nobody can sign it.

A node whose time for a request is over, and which released no share for it, renounces it: on its
disk first, then to all. From then on it neither votes, locks nor releases for the event. R such
statements leave fewer than t holders that could sign, even if f of them lie: the event is EXPIRED
(F-16). A node that released a share does not renounce; it keeps the request open, and may still be
told the signature.

Requests for the key sign nothing themselves. They do not expire: asking again gives them more time,
and an expired request could never be asked again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define, field

from metanode.protocol.context import Context
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.inputs import LinkUp, Received
from metanode.protocol.requests.request import Request
from metanode.protocol.requests.requests import Requests
from metanode.protocol.tables.registry import admits, handles, message
from spec.messages import Renounced
from spec.parameters import refund_quorum

TOLD_AT_ONCE = 64
HEARD_PER_SENDER = 64
"""Statements about an event that nobody asked for here are kept for a while: the operator may yet
ask for it."""


@define
class Expiry:
    """Renounces what ran out of time at this node, and takes the statements of the others."""

    ctx: Context
    book: EventBook
    requests: Requests
    _heard: dict[bytes, dict[bytes, None]] = field(factory=dict)
    _answered: set[tuple[bytes, bytes]] = field(factory=set)

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    @message("renounced_said")
    def renounced_said(self, p: bytes, e: bytes) -> Renounced:
        return Renounced(e)

    # --- the clock ---

    @handles("renounced_again")
    def say_again(self) -> None:
        """Say again what is still open after 1, 2, 4, 8 rounds: a request may be so for years."""
        ctx = self.ctx
        if not ctx.boundary:
            return
        self._answered.clear()
        late = {e: ctx.round_number() - self._round_of(request) for e, request in self._overdue()}
        said = [e for e in late if self.requests.has_renounced(e)]
        for event in ctx.each([e for e in said if late[e] & (late[e] - 1) == 0][-TOLD_AT_ONCE:]):
            ctx.tries("event.Renounce", e=event)

    @handles("renounced")
    def renounce(self) -> None:
        for event, _ in self.ctx.each(self._overdue()):
            if not self.requests.has_renounced(event) and self._renounce(event):
                self._settle(event)

    # --- other nodes ---

    @admits("renounced")
    def hear(self, sender: bytes, statement: Renounced) -> bool:
        """Take the statement of a holder; one about an event that nobody asked for here waits."""
        event = statement.event
        request = self.requests.asked.get(event)
        if request is not None and request.kind == "sign":
            return True
        heard = self._heard.setdefault(sender, {})
        heard[event] = None
        if len(heard) > HEARD_PER_SENDER:
            heard.pop(next(iter(heard)))
        return False

    @handles("expired")
    def settle(self) -> None:
        entry = self.ctx.input
        if isinstance(entry, Received) and isinstance(entry.message, Renounced):
            event = entry.message.event
            if self.requests.has_renounced(event) or self._renounce(event):
                self._settle(event)

    @handles("renounced_told")
    def tell(self) -> None:
        entry, peer = self.ctx.input, b""
        events: list[bytes] = []
        if isinstance(entry, LinkUp):  # the newest of what this node has renounced
            peer = entry.peer
            events = [event for event in self.requests.asked if self.requests.has_renounced(event)]
        elif isinstance(entry, Received):  # once a round what this node has to say
            peer, event = entry.sender, entry.message.event
            if (peer, event) not in self._answered and self.requests.has_renounced(event):
                self._answered.add((peer, event))
                events = [event]
        for event in self.ctx.each(events[-TOLD_AT_ONCE:]):
            self.ctx.tries("event.Renounce", to=peer, e=event)

    # --- for the operator ---

    def describe(self, event: bytes) -> dict[str, Any] | None:
        """Return how far an event is from expiring, as JSON; None for what cannot expire."""
        request, key = self.requests.asked.get(event), self.ctx.key
        if request is None or request.kind != "sign" or key is None:
            return None
        numbers = (len(key.roster), key.quorum.threshold, key.quorum.faulty)
        view, digest = self.ctx.tables.view, request.fields["digest"]
        return {
            "renounced": sum(bool(view.get("renounced_said", q, event)) for q in key.roster),
            "needed": refund_quorum(*numbers),
            "renounced_here": self.requests.has_renounced(event),
            "released_here": bool(view.get("released", self.ctx.me, event, digest)),
            "same_holders": request.names(key.quorum),
        }

    # --- helpers ---

    def _overdue(self) -> Iterator[tuple[bytes, Request]]:
        for event, request in tuple(self.requests.asked.items()):
            if request.kind == "sign" and self.requests.is_overdue(event):
                yield event, request

    def _round_of(self, request: Request) -> int:
        return int(request.expires // self.ctx.preset.round_period_s)

    def _renounce(self, event: bytes) -> bool:
        renounced = self.ctx.tries("event.Renounce", e=event)
        if renounced:
            self.ctx.note("request.renounced", event_id=event.hex()[:16])
        return renounced

    def _settle(self, event: bytes) -> None:
        """Let an event go if so many holders have renounced it that none can sign it."""
        key = self.ctx.key
        for sender in () if key is None else key.roster:
            if self._heard.get(sender, {}).pop(event, "") is None:
                self.ctx.hear(Renounced(event), sender)
        if self.ctx.tries("event.Expire", e=event):
            self.ctx.note("request.expired", event_id=event.hex()[:16])
