"""How a request to sign expires: holders renounce it, and when R have done so nobody can sign it.

A node whose time for a request is over, and which released no share for it, renounces it: on its
disk first, then to all. From then on it neither votes, locks nor releases for the event. R such
statements leave fewer than t who could sign, f liars among them: the event is EXPIRED (F-16). A
node that released a share does not renounce; it keeps the request open, and may still be told the
signature.

Requests for the key sign nothing themselves. They do not expire: who asks again gives them more
time, and an expired one could never be asked again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define, field

from metanode.protocol.context import Context
from metanode.protocol.payouts.settlement import Settlement
from metanode.protocol.requests.request import Request
from metanode.protocol.requests.requests import FINISHED, Requests
from metanode.protocol.tables.runner import Carried
from spec.messages import Renounced
from spec.parameters import refund_quorum

QUIET = ("PENDING", "FAILED")
"""Where no attempt is going on here."""

TOLD_AT_ONCE = 64
HEARD_PER_SENDER = 64
"""Statements about what nobody asked for here are kept for a while: the operator may be about to.
"""


@define
class Expiry:
    """Renounces what ran out of time at this node, and takes the statements of the others."""

    ctx: Context
    settlement: Settlement
    requests: Requests
    _heard: dict[bytes, dict[bytes, None]] = field(factory=dict)
    _answered: set[tuple[bytes, bytes]] = field(factory=set)

    # --- the clock ---

    def boundary(self, number: int) -> None:
        """A round begins: what was still tried has come to nothing.

        All are told again what is still open after 1, 2, 4, 8 ... rounds: it may be for years.
        """
        self._answered.clear()
        again = []
        for event, request in self._overdue():
            if self.settlement.status(event) == "IN_PROGRESS":
                self.settlement.recover(event)
            late = number - int(request.expires // self.ctx.preset.round_period_s)
            if self.requests.has_renounced(event) and late & (late - 1) == 0:
                again.append(event)
        for event in again[-TOLD_AT_ONCE:]:
            self._say(event)
            self._settle(event)

    def tick(self) -> None:
        """Renounce what ran out of time since, unless a share of this node is out."""
        for event, request in self._overdue():
            if self.requests.has_renounced(event) or self._has_released(event, request):
                continue
            if self.settlement.status(event) in QUIET:
                self._say(event)
                self.ctx.note("request.renounced", event_id=event.hex()[:16])
                self._settle(event)

    # --- other nodes ---

    def on_renounced(self, sender: bytes, message: Renounced) -> None:
        """Take the statement of a holder; it is told once a round what this node has to say."""
        ctx, event = self.ctx, message.event
        if ctx.key is None or sender not in ctx.key.roster:
            return
        request = self.requests.asked.get(event)
        if request is None or request.kind != "sign":
            heard = self._heard.setdefault(sender, {})
            heard[event] = None
            if len(heard) > HEARD_PER_SENDER:
                heard.pop(next(iter(heard)))
            return
        ctx.tables.view.deliver("renounced_said", sender, event)
        self._settle(event)
        self.requests.tell(sender, event)  # if it is signed
        if self._may_say(event) and (sender, event) not in self._answered:
            self._answered.add((sender, event))
            self._say(event, sender)

    def announce_to(self, peer: bytes) -> None:
        """Tell a peer that came up what this node has renounced, the newest of it."""
        renounced = [event for event in self.requests.asked if self._may_say(event)]
        for event in renounced[-TOLD_AT_ONCE:]:
            self._say(event, peer)

    # --- for the operator ---

    def describe(self, event: bytes) -> dict[str, Any] | None:
        """Return how far an event is from expiring, as JSON; None for what cannot expire."""
        request, key = self.requests.asked.get(event), self.ctx.key
        if request is None or request.kind != "sign" or key is None:
            return None
        numbers = (len(key.roster), key.quorum.threshold, key.quorum.faulty)
        view = self.ctx.tables.view
        return {
            "renounced": sum(bool(view.get("renounced_said", q, event)) for q in key.roster),
            "needed": refund_quorum(*numbers),
            "renounced_here": self.requests.has_renounced(event),
            "released_here": self._has_released(event, request),
            "same_holders": request.names(key.quorum),
        }

    # --- helpers ---

    def _overdue(self) -> Iterator[tuple[bytes, Request]]:
        for event, request in tuple(self.requests.asked.items()):
            if request.kind == "sign" and self.requests.is_overdue(event):
                yield event, request

    def _may_say(self, event: bytes) -> bool:
        status = self.settlement.status(event)
        return self.requests.has_renounced(event) and status in (*QUIET, "EXPIRED")

    def _has_released(self, event: bytes, request: Request) -> bool:
        view = self.ctx.tables.view
        return bool(view.get("released", self.ctx.me, event, request.fields["digest"]))

    def _say(self, event: bytes, to: bytes | None = None) -> None:
        statement: Carried = [(to, Renounced(event))]
        self.ctx.tables.fire(
            "event",
            "Renounce",
            p=self.ctx.me,
            e=event,
            given={"event_over": True},
            carry={"renounced_said": statement},
        )

    def _settle(self, event: bytes) -> None:
        """Let an event go if so many renounced it, this node among them, that none can sign it.

        They speak for the holders whom it names, so nobody is counted once others hold the key.
        """
        ctx, request = self.ctx, self.requests.asked[event]
        if self.settlement.status(event) in FINISHED or not self.requests.has_renounced(event):
            return
        if ctx.key is None or not request.names(ctx.key.quorum):
            return
        for sender in ctx.key.roster:
            if self._heard.get(sender, {}).pop(event, "") is None:
                ctx.tables.view.deliver("renounced_said", sender, event)
        over = {"event_over": True}
        if ctx.tables.may("event", "Expire", given=over, p=ctx.me, e=event):
            ctx.tables.fire("event", "Expire", given=over, p=ctx.me, e=event)
            ctx.note("request.expired", event_id=event.hex()[:16])
