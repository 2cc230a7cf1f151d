"""The dialer: carries out what peering decides, and tells it what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from metanode.protocol.peers.endpoints import Endpoint, ip_group
from metanode.protocol.peers.mesh import NO_ROOM, Circle
from metanode.protocol.peers.peering import Decision, Dial, Drop, Peering, SendKeepalive
from metanode.runtime.net.links import REACHED_SELF, LinkManager
from metanode.runtime.net.peer_store import PeerStore

TICK_S: Final = 0.25
SendEndpoints = Callable[[bytes, tuple[str, ...]], None]
Clock = Callable[[], float]


class Dialer:
    """Keeps the node linked with its peers.

    The node forwards ``LinkCallbacks`` to :meth:`link_up`, :meth:`link_down` and received
    keepalives to :meth:`keepalive_received`; ``send_keepalive`` wraps endpoints into a signed
    message and sends it.
    """

    def __init__(
        self, peering: Peering, links: LinkManager, send_keepalive: SendEndpoints, clock: Clock,
        store: PeerStore | None = None,
    ) -> None:
        """Take the peering core and its surroundings; ``clock()`` is unix time in seconds."""
        self._peering = peering
        self._links = links
        self._send_keepalive = send_keepalive
        self._clock = clock
        self._store = store
        self._task_group: TaskGroup | None = None
        self.known_weight_share = 0.0

    async def run(self) -> None:
        """Dial and keep alive until cancelled; saves the peer store regularly and at the end."""
        if self._store is not None:
            records = await anyio.to_thread.run_sync(self._store.load)
            self._peering.restore(records, self._clock())
        next_save = self._clock() + self._peering.preset.peer_store_period_s
        try:
            async with anyio.create_task_group() as self._task_group:
                while True:
                    now = self._clock()
                    self._carry_out(self._peering.tick(now, self.known_weight_share))
                    if now >= next_save:
                        next_save = now + self._peering.preset.peer_store_period_s
                        await self._save()
                    await anyio.sleep(TICK_S)
        finally:
            self._task_group = None
            with anyio.CancelScope(shield=True):
                await self._save()

    def link_up(self, node_id: bytes, host: str, dialled: Endpoint | None) -> None:
        """Note a new link and greet the peer."""
        self._carry_out(self._peering.link_up(node_id, host, dialled, self._clock()))

    def link_down(self, node_id: bytes, reason: str) -> None:
        """Note the end of the last link to a peer."""
        self._peering.link_down(node_id, self._clock())

    def keepalive_received(self, node_id: bytes, endpoints: Iterable[str]) -> tuple[str, ...]:
        """Learn from a peer's keepalive and dial what is new; returns the refused endpoints."""
        now = self._clock()
        refused = self._peering.keepalive_received(node_id, endpoints, now)
        self._dial_more(now)
        return refused

    def admit(self, host: str, outbound: bool, node_id: bytes) -> str | None:
        """Return why a link with a peer is not kept, or None (for ``LinkCallbacks``)."""
        return self._peering.admits(host, outbound, self._clock(), node_id)

    def know(self, circle: Circle) -> None:
        """Take up who must be linked with whom, as the node knows it now."""
        self._peering.circle = circle

    def admit_connection(self, host: str) -> str | None:
        """Return why a connection is not worth a handshake, or None (for ``LinkCallbacks``)."""
        excluded = self._peering.exclusions.excluded(ip_group(host), self._clock())
        return "excluded after misbehaviour" if excluded else None

    def _dial_more(self, now: float) -> None:
        self._carry_out(self._peering.dial_now(now, self.known_weight_share))

    def _carry_out(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Dial(endpoint=endpoint):
                    self._start_dial(endpoint)
                case SendKeepalive(node_id=node_id, endpoints=endpoints):
                    self._send_keepalive(node_id, tuple(str(each) for each in endpoints))
                case Drop(node_id=node_id):
                    self._links.close(node_id, NO_ROOM)

    def _start_dial(self, endpoint: Endpoint) -> None:
        if self._task_group is None:
            self._peering.dial_failed(endpoint, -math.inf)
        else:
            self._task_group.start_soon(self._dial, endpoint)

    async def _dial(self, endpoint: Endpoint) -> None:
        outcome = await self._links.dial(endpoint)
        now = self._clock()
        if outcome.node_id is not None:
            self._peering.dial_answered(endpoint, outcome.node_id, now)
        elif outcome.reason == REACHED_SELF:
            self._peering.dial_reached_self(endpoint)
        else:
            self._peering.dial_failed(endpoint, now)
        self._dial_more(now)

    async def _save(self) -> None:
        if self._store is not None:
            records = self._peering.snapshot(self._clock())
            await anyio.to_thread.run_sync(self._store.save, records)
