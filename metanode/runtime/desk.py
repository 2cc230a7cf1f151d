"""The operator's desk: requests are put to the core here, and its events are shown.

Requests go through the same queue as every other input, so that nothing else touches the core, and
the answer waits until what was asked is on disk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
from attrs import frozen

from metanode.errors import UserError
from metanode.protocol.node import NodeCore
from metanode.protocol.request import Request

EVENT_HEX = 64


@frozen
class Desk:
    """``put`` hands an input to the core; an input is taken when the effects of those before it
    have been carried out.
    """

    core: NodeCore
    put: Callable[[Callable[[float], None]], Awaitable[None]]

    async def ask(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Put a request: ``kind``, its fields, and ``check`` if nothing is to be changed.

        Returns the event as :class:`metanode.protocol.events.Events` describes it, or its id only
        after a check. UserError says why the node refuses.
        """
        fields = dict(wanted)
        kind, check = fields.pop("kind", None), fields.pop("check", False)
        if type(kind) is not str or type(check) is not bool:
            raise UserError('a request is {"kind": TEXT, its fields, and maybe "check": true}')
        outcome: list[Request | UserError] = []
        done = anyio.Event()

        def take(now: float) -> None:
            self.core.ctx.now = now
            requests = self.core.requests
            try:
                outcome.append((requests.check if check else requests.ask)(kind, fields))
            except UserError as refusal:
                outcome.append(refusal)

        await self.put(take)
        await self.put(lambda _now: done.set())
        await done.wait()
        request = outcome[0]
        if isinstance(request, UserError):
            raise request
        event = request.event(self.core.settings.network_id)
        return {"event": event.hex()} if check else self.core.events.one(event) or {}

    def events(self, name: str) -> dict[str, Any] | None:
        """Return all events, or the one of an id in hex; None for an unknown one."""
        if not name:
            return {"events": self.core.events.all()}
        try:
            event = bytes.fromhex(name) if len(name) == EVENT_HEX else b""
        except ValueError:
            event = b""
        return self.core.events.one(event) if event else None
