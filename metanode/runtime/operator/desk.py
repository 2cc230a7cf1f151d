"""The operator's desk: requests are put to the core here, and its events and blame are shown.

Requests go through the same queue as every other input, so that nothing else touches the core, and
the answer waits until what was asked is on disk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import anyio
from attrs import frozen

from metanode.chains.base import Broadcasted
from metanode.errors import UserError
from metanode.protocol.node import NodeCore
from metanode.protocol.requests.request import Request

EVENT_HEX = 64
STEPS = ("check", "ask", "send")
Answer = TypeVar("Answer")
Send = Callable[[bytes, bytes], Awaitable[Broadcasted]]
"""From a signed transaction and its id to what became of it; UserError when nobody can say."""


@frozen
class Desk:
    """``put`` hands an input to the core; an input is taken when the effects of those before it
    have been carried out. ``send`` hands a transaction to the chain's daemon.
    """

    core: NodeCore
    put: Callable[[Callable[[float], None]], Awaitable[None]]
    send: Send | None = None

    async def ask(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Put a request: ``kind``, its fields, and ``check`` if nothing is to be changed.

        Returns the event as the operator's view describes it, or its id only after a check.
        UserError says why the node refuses.
        """
        fields = dict(wanted)
        kind, check = fields.pop("kind", None), fields.pop("check", False)
        if type(kind) is not str or type(check) is not bool:
            raise UserError('a request is {"kind": TEXT, its fields, and maybe "check": true}')
        core = self.core
        if check:
            request = await self._queued(lambda _now: core.requests.check(kind, fields))
        else:
            request = await self._queued(lambda now: core.on_request(now, kind, fields))
        event = request.event(core.settings.network_id)
        return {"event": event.hex()} if check else core.operator_view.event(event) or {}

    async def release(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Build a release; then, as ``step`` says, ask this node for what is not signed of it
        ("ask"), or send it ("send"), or change nothing ("check").

        Returns the release and the events of what is not signed. UserError says why the node
        refuses: it checks every coin, whatever the step.
        """
        fields = dict(wanted)
        step = fields.pop("step", None)
        if step not in STEPS:
            raise UserError(f"the step of a release is one of {', '.join(STEPS)}")
        core = self.core
        release = await self._queued(lambda _now: core.releases.check(fields))

        def request(now: float, place: int) -> Request:
            asks = step == "ask"
            return core.on_release(now, fields, place) if asks else core.releases.ask(fields, place)

        asked = [
            await self._queued(partial(request, place=place))
            for place in core.releases.missing(release)
        ]
        shown = core.releases.describe(release)
        network_id = core.settings.network_id
        shown["events"] = [each.event(network_id).hex() for each in asked]
        if step == "send":
            if shown["raw"] is None or self.send is None:
                raise UserError("the release is not signed yet: wait until it is")
            sent = await self.send(bytes.fromhex(shown["raw"]), release.txid)
            shown["sent"] = {"result": sent.result, "reason": sent.reason}
        return shown

    def held(self, rest: str) -> dict[str, Any] | None:
        """Return the coins that no round pays; there is one such page."""
        return None if rest else self.core.releases.held()

    async def pardon(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Lift the ban of a ``node_id`` (hex) and return it; UserError says why it stays."""
        name = wanted.get("node_id")
        try:
            peer = bytes.fromhex(name) if type(name) is str and len(wanted) == 1 else b""
        except ValueError:
            peer = b""
        if not peer:
            raise UserError('a pardon is {"node_id": HEX}')
        ban = await self._queued(lambda now: self.core.on_pardon(now, peer))
        return {"node_id": peer.hex(), "epoch": ban.epoch, "since": ban.since}

    def blame(self, rest: str) -> dict[str, Any] | None:
        """Return the peers that this node blames; there is one such page."""
        return None if rest else self.core.blames.report()

    async def _queued(self, work: Callable[[float], Answer]) -> Answer:
        """Do something to the core in its turn; its writes are on disk when this returns."""
        outcome: list[Answer | UserError] = []
        done = anyio.Event()

        def take(now: float) -> None:
            try:
                outcome.append(work(now))
            except UserError as refusal:
                outcome.append(refusal)

        await self.put(take)
        await self.put(lambda _now: done.set())
        await done.wait()
        answer = outcome[0]
        if isinstance(answer, UserError):
            raise answer
        return answer

    def events(self, name: str) -> dict[str, Any] | None:
        """Return all events, or the one of an id in hex; None for an unknown one."""
        if not name:
            return {"events": self.core.operator_view.events()}
        try:
            event = bytes.fromhex(name) if len(name) == EVENT_HEX else b""
        except ValueError:
            event = b""
        return self.core.operator_view.event(event) if event else None
