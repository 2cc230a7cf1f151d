"""The dialer: carries out what peering decides, and tells it what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from metanode.errors import Unavailable
from metanode.protocol.peers.endpoints import Endpoint
from metanode.protocol.peers.mesh import Circle
from metanode.protocol.peers.names import Resolve
from metanode.protocol.peers.peering import Decision, Dial, Drop, Peering, SendKeepalive
from metanode.protocol.peers.standing import EXCLUDED
from metanode.runtime.net.links import REACHED_SELF, LinkManager
from metanode.runtime.net.names import Resolver, resolve
from metanode.runtime.net.peer_store import PeerStore
from spec.parameters import MAINNET

TICK_S: Final = 0.25
SendEndpoints = Callable[[bytes, tuple[str, ...], str], None]
Clock = Callable[[], float]
Say = Callable[[str, dict[str, Any]], None]
"""What the operator should know: an event and its fields."""


class Dialer:
    """Keeps the node linked with its peers.

    The node forwards ``LinkCallbacks`` to :meth:`link_up`, :meth:`link_down` and received
    keepalives to :meth:`keepalive_received`; ``send_keepalive`` wraps endpoints, and the address
    that we see of the peer, into a signed message and sends it.
    """

    def __init__(
        self, peering: Peering, links: LinkManager, send_keepalive: SendEndpoints, clock: Clock,
        store: PeerStore | None = None, resolver: Resolver = resolve,
        say: Say = lambda _event, _fields: None,
    ) -> None:
        """Take the peering core and its surroundings; ``clock()`` is unix time in seconds."""
        self.peering = peering
        self._links = links
        self._send_keepalive = send_keepalive
        self._clock = clock
        self._store = store
        self._resolver = resolver
        self._say = say
        self._said: str | None = None
        self._more = False
        self._task_group: TaskGroup | None = None
        self.known_weight_share = 0.0

    async def run(self) -> None:
        """Dial and keep alive until cancelled; saves the peer store regularly and at the end."""
        if self._store is not None:
            records = await anyio.to_thread.run_sync(self._store.load)
            self.peering.restore(records, self._clock())
        next_save = self._clock() + self.peering.preset.peer_store_period_s
        try:
            async with anyio.create_task_group() as self._task_group:
                while True:
                    now = self._clock()
                    self._carry_out(self.peering.tick(now, self.known_weight_share))
                    if self._more:  # at most once a tick, however much is heard
                        self._dial_now()
                    self._say_of_own_address()
                    if now >= next_save:
                        next_save = now + self.peering.preset.peer_store_period_s
                        await self.save()
                    await anyio.sleep(TICK_S * self.peering.preset.tick_s / MAINNET.tick_s)
        finally:
            self._task_group = None
            with anyio.CancelScope(shield=True):
                await self.save()

    def link_up(self, node_id: bytes, host: str, dialled: Endpoint | None) -> None:
        """Note a new link and greet the peer."""
        self._carry_out(self.peering.link_up(node_id, host, dialled, self._clock()))

    def link_down(self, node_id: bytes, reason: str) -> None:
        """Note the end of the last link to a peer."""
        self.peering.link_down(node_id, self._clock())

    def keepalive_received(
        self, node_id: bytes, endpoints: Iterable[str], seen: str = ""
    ) -> tuple[str, ...]:
        """Learn from a peer's keepalive and dial what is new; returns the refused endpoints."""
        now = self._clock()
        refused = self.peering.keepalive_received(node_id, endpoints, now, seen)
        self.dial_more()
        return refused

    def admit(self, host: str, outbound: bool, node_id: bytes) -> str | None:
        """Return why a link with a peer is not kept, or None (for ``LinkCallbacks``)."""
        return self.peering.admits(host, outbound, self._clock(), node_id)

    def know(self, circle: Circle, blocked: frozenset[bytes] = frozenset()) -> None:
        """Take up who must be linked with whom, and who is blocked, as the node knows it now."""
        self.peering.circle = circle
        self.peering.standing.blocked = blocked

    def admit_connection(self, host: str) -> str | None:
        """Return why a connection is not worth a handshake, or None (for ``LinkCallbacks``)."""
        return self.peering.standing.refuses(host, self._clock(), None)

    def misbehaved(self, node_id: bytes | None, host: str | None, why: str) -> None:
        """Score what a peer did; the link of a stranger that is excluded ends.

        ``host`` may be left out when the peer has a link.
        """
        peering, now = self.peering, self._clock()
        if node_id is not None and host is None:
            host = peering.linked().get(node_id, (None,))[0]
        if not peering.standing.offend(now, why, node_id, host):
            return
        who = host if node_id is None else node_id.hex()[:16]
        stays = node_id in peering.circle.members
        self._say("peer.misbehaves" if stays else "peer.excluded", {"peer": who, "reason": why})
        if node_id is not None and not stays:
            self._links.close(node_id, EXCLUDED)

    def dial_more(self) -> None:
        """Dial soon what may be dialled."""
        self._more = True

    async def ask_name(self, name: Endpoint) -> str | None:
        """Resolve a name and take the answer up; returns why it does not resolve, or None."""
        try:
            addresses = await self._resolver(name)
        except Unavailable as error:
            fault = str(error)
            if self.peering.names.unresolved(name, fault, self._clock()):
                self._say("name.unresolved", {"name": str(name), "reason": fault})
            return fault
        self.peering.word.resolved(name, addresses, self._clock())
        self.dial_more()
        return None

    def _carry_out(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Dial(endpoint=endpoint):
                    self._start_dial(endpoint)
                case SendKeepalive(node_id=node_id, endpoints=endpoints, host=host):
                    self._send_keepalive(node_id, tuple(str(each) for each in endpoints), host)
                case Drop(node_id=node_id, reason=reason):
                    self._links.close(node_id, reason)
                case Resolve(name=name):
                    if self._task_group is not None:
                        self._task_group.start_soon(self.ask_name, name)

    def _start_dial(self, endpoint: Endpoint) -> None:
        if self._task_group is None:
            self.peering.dial_failed(endpoint, -math.inf)
        else:
            self._task_group.start_soon(self._dial, endpoint)

    async def _dial(self, endpoint: Endpoint) -> None:
        outcome = await self._links.dial(endpoint)
        now = self._clock()
        if outcome.node_id is not None:
            self.peering.dial_answered(endpoint, outcome.node_id, now)
        elif outcome.reason == REACHED_SELF:
            self.peering.dial_reached_self(endpoint)
        else:
            self.peering.dial_failed(endpoint, now)
        # Where one attempt at a time is allowed, the next one waits for no tick.
        self._dial_now()

    def _dial_now(self) -> None:
        self._more = False
        self._carry_out(self.peering.dial_now(self._clock(), self.known_weight_share))

    def _say_of_own_address(self) -> None:
        """Say once what is wrong with the own address, and once that it is well again."""
        fault = self.peering.own.fault(len(self.peering.linked()))
        if fault != self._said:
            self._said = fault
            self._say("address.unreachable" if fault else "address.reached", {"reason": fault})

    async def save(self) -> None:
        """Replace the peer store."""
        if self._store is not None:
            records = self.peering.snapshot(self._clock())
            await anyio.to_thread.run_sync(self._store.save, records)
