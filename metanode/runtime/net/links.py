"""Links: established connections with other nodes, each with one writer and one reader.

``LinkManager`` owns every connection of the node. Whatever a peer does ends that peer's connection
at worst: frames are bounded, handshakes are timed, half-open connections are limited so that they
crowd out each other and nobody else, and a peer that does not read is dropped when its queue is
full. The link table decides about states and refusals (``metanode/protocol/links/handshake.py``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
from anyio.abc import AnyByteStream, TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from attrs import define, field, frozen

from metanode.errors import LocalFault, Malformed, PeerFault, Unavailable
from metanode.protocol.links.handshake import (
    MAX_LINKS_PER_PEER,
    OFFENCES,
    OWN_ID,
    Handshakes,
    Link,
    LinkTerms,
)
from metanode.protocol.peers.endpoints import Endpoint
from metanode.protocol.peers.mesh import NO_ROOM
from metanode.protocol.wire.framing import FrameReader, encode_frame
from metanode.runtime.net.certificates import Credentials
from metanode.runtime.net.transport import (
    OTHER_NETWORK,
    STREAM_ERRORS,
    Channel,
    HalfOpenPlaces,
    Network,
    TcpNetwork,
    open_channel,
    secure,
)
from spec.parameters import Preset

RETIRE_DELAY_S: Final = 1.0
"""Seconds that a superseded link lives on, until the winner is up at the other end too."""
REACHED_SELF: Final = OWN_ID
"""The outcome of dialling an endpoint of our own."""
BATCH_BYTES: Final = 65_536


@frozen
class DialOutcome:
    """How a dial ended: the node that answered, or why none did.

    Both are there when the node answered and no link with it is wanted.
    """

    node_id: bytes | None
    reason: str | None = None


@frozen
class LinkCallbacks:
    """What the node wants to hear; only ``on_frame`` may wait, and it holds back that link alone.

    ``on_up(node_id, host, dialled)`` comes with the first link to a peer, ``on_down(node_id,
    reason)`` with the end of the last. ``admit(host, outbound, node_id)`` returns why a link with
    that peer is not kept, or None; ``admit_connection(host)`` is asked before any work is spent on
    a connection that comes in. ``on_fault(node_id, host, reason)`` tells of bytes that are no
    protocol; the node id is None when the other end has not proved one.
    """

    on_frame: Callable[[bytes, bytes], Awaitable[None]]
    on_up: Callable[[bytes, str, Endpoint | None], None]
    on_down: Callable[[bytes, str], None]
    admit: Callable[[str, bool, bytes], str | None] = field(
        default=lambda host, outbound, node_id: None
    )
    admit_connection: Callable[[str], str | None] = field(default=lambda host: None)
    on_fault: Callable[[bytes | None, str, str], None] = field(default=lambda *_: None)
    on_trace: Callable[[list[dict[str, Any]]], None] | None = field(default=None)


@define
class LinkStatistics:
    """Counters since the start; ``refusals`` counts closed connections by reason."""

    frames_received: int = 0
    frames_sent: int = 0
    refusals: Counter[str] = field(factory=Counter)


@define(eq=False)
class _Connection:
    """One connection with everything its tasks share."""

    channel: Channel
    link: Link
    dialled: Endpoint | None
    reader: FrameReader
    queue: MemoryObjectSendStream[bytes]
    outgoing: MemoryObjectReceiveStream[bytes]
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    reason: str | None = None

    def drop(self, reason: str) -> None:
        """Stop the connection's tasks; the first reason stays."""
        if self.reason is None:
            self.reason = reason
        self.scope.cancel()


class LinkManager:
    """All connections of one node."""

    def __init__(
        self, credentials: Credentials, preset: Preset, callbacks: LinkCallbacks,
        entropy: Callable[[int], bytes], network: Network | None = None,
    ) -> None:
        """Take who we are, the constants, what to call, and where sockets come from."""
        self.statistics = LinkStatistics()
        self._credentials = credentials
        self._preset = preset
        self._callbacks = callbacks
        self._network = network or TcpNetwork()
        terms = LinkTerms(
            credentials.identity, credentials.network_id, credentials.fingerprint, preset
        )
        self._handshakes = Handshakes(terms, entropy, callbacks.on_trace)
        self._peers: dict[bytes, list[_Connection]] = {}
        self._half_open = HalfOpenPlaces(self.statistics.refusals)
        self._task_group: TaskGroup | None = None

    # ----------------------------------------------------------------------------- the node's side

    async def listen(self, host: str, port: int) -> int:
        """Bind and serve in the task group; returns the port. Raises UserError when it is taken."""
        tasks = self._tasks()
        listening = await self._network.listen(host, port)
        tasks.start_soon(listening.serve, self._incoming, tasks)
        return listening.port

    def start(self, task_group: TaskGroup) -> None:
        """Run connections in ``task_group``; cancelling it closes them all."""
        self._task_group = task_group

    async def dial(self, endpoint: Endpoint) -> DialOutcome:
        """Try to make a link; returns when the handshake is over, the link lives on."""
        try:
            channel = await open_channel(
                self._network, self._credentials, endpoint, self._preset.connect_timeout_s
            )
        except Unavailable as error:
            return DialOutcome(None, str(error))
        except Malformed as error:
            self.statistics.refusals[error.reason] += 1
            return DialOutcome(None, error.reason)
        connection, reason = await self._establish(channel, endpoint)
        if channel.peer_id == self._credentials.identity.node_id:
            reason = REACHED_SELF
        if connection is None:
            return DialOutcome(channel.peer_id if reason == NO_ROOM else None, reason)
        self._tasks().start_soon(self._run, connection)
        return DialOutcome(channel.peer_id)

    def send(self, node_id: bytes, frame: bytes) -> bool:
        """Queue a frame payload for a peer; returns False when there is no link that takes it.

        A full queue means that the peer does not read: its link is dropped.
        """
        connections = self._peers.get(node_id)
        if not connections:
            return False
        best = self._handshakes.best(connection.link for connection in connections)
        connection = next(each for each in connections if each.link is best)
        try:
            connection.queue.send_nowait(encode_frame(frame, self._preset.frame_octets))
        except anyio.WouldBlock:
            connection.drop("write queue full")
            return False
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return False
        return True

    def established(self) -> tuple[bytes, ...]:
        """Return the node ids with a link, sorted."""
        return tuple(sorted(self._peers))

    def connections(self, node_id: bytes) -> int:
        """Return how many connections with a peer are up: one, save while a duplicate retires."""
        return len(self._peers.get(node_id, ()))

    def close(self, node_id: bytes, reason: str) -> None:
        """Drop every link with a peer."""
        for connection in self._peers.get(node_id, ()):
            connection.drop(reason)

    # -------------------------------------------------------------------------- a connection's life

    def _tasks(self) -> TaskGroup:
        if self._task_group is None:
            raise LocalFault("LinkManager.start was not called")
        return self._task_group

    async def _incoming(self, stream: AnyByteStream, host: str) -> None:
        refusal = self._callbacks.admit_connection(host)
        if refusal is not None:
            self.statistics.refusals[refusal] += 1
            await anyio.aclose_forcefully(stream)
            return
        connection = None
        with self._half_open.place(host):
            try:
                channel = await secure(stream, host, self._credentials, is_server=True)
                connection, _ = await self._establish(channel, None)
            except Unavailable:
                self.statistics.refusals["hung up"] += 1
            except Malformed as error:
                self.statistics.refusals[error.reason] += 1
                if error.reason not in OTHER_NETWORK:
                    self._callbacks.on_fault(None, host, error.reason)
        if connection is None:
            # The scope may have been cancelled before anything owned the stream.
            await anyio.aclose_forcefully(stream)
        else:
            await self._run(connection)

    async def _establish(
        self, channel: Channel, dialled: Endpoint | None
    ) -> tuple[_Connection | None, str | None]:
        """Run the handshake; returns the registered connection, or None and the reason."""
        link, first = self._handshakes.connect(
            outbound=dialled is not None, host=channel.host, certified_id=channel.peer_id,
            peer_fingerprint=channel.peer_fingerprint, now=anyio.current_time(),
        )
        reader = FrameReader(self._preset.frame_octets_unauthenticated)
        reason: str | None = None
        try:
            with anyio.move_on_after(self._preset.cookie_lifetime_s) as timer:
                await self._shake_hands(channel, link, first, reader)
            if timer.cancelled_caught:
                self._handshakes.on_clock(link, anyio.current_time())
            if self._handshakes.established(link):
                reason = self._not_admitted(channel, link)
                if reason is None:
                    return self._register(channel, link, dialled, reader), None
        except STREAM_ERRORS:
            reason = "hung up"
        finally:
            if reason is not None or not self._handshakes.established(link):
                reason = link.refusal or reason or "ended"
                self.statistics.refusals[reason] += 1
                if reason in OFFENCES:
                    self._callbacks.on_fault(channel.peer_id, channel.host, reason)
                await self._discard(channel, link)
        return None, reason

    async def _shake_hands(
        self, channel: Channel, link: Link, first: tuple[bytes, ...], reader: FrameReader
    ) -> None:
        """Exchange handshake frames until the table says established or closed."""
        await self._send_payloads(channel, first)
        while True:
            # A peer may send its first frame of the protocol right behind the handshake: it stays
            # in the reader, because frames are cut one at a time.
            try:
                for frame in reader.frames():
                    answers = self._handshakes.receive(link, frame, anyio.current_time())
                    await self._send_payloads(channel, answers)
                    if self._handshakes.established(link) or self._handshakes.closed(link):
                        return
                reader.feed(await channel.receive())
            except Malformed:
                self._handshakes.garbage(link)
                return

    async def _send_payloads(self, channel: Channel, payloads: tuple[bytes, ...]) -> None:
        limit = self._preset.frame_octets_unauthenticated
        for payload in payloads:
            await channel.send(encode_frame(payload, limit))

    def _not_admitted(self, channel: Channel, link: Link) -> str | None:
        if channel.peer_id in self._peers:
            return None
        return self._callbacks.admit(channel.host, link.outbound, channel.peer_id)

    async def _discard(self, channel: Channel, link: Link) -> None:
        self._handshakes.end(link)
        self._handshakes.forget(link)
        with anyio.CancelScope(shield=True):
            await channel.close()

    def _register(
        self, channel: Channel, link: Link, dialled: Endpoint | None, reader: FrameReader
    ) -> _Connection:
        """Make an established link one of the peer's."""
        reader.raise_limit(self._preset.frame_octets)
        queue, outgoing = anyio.create_memory_object_stream[bytes](
            self._preset.write_queue_messages
        )
        connection = _Connection(channel, link, dialled, reader, queue, outgoing)
        siblings = self._peers.setdefault(channel.peer_id, [])
        siblings.append(connection)
        if len(siblings) == 1:
            self._callbacks.on_up(channel.peer_id, channel.host, dialled)
        elif len(siblings) > MAX_LINKS_PER_PEER:
            siblings[0].drop("too many links of one peer")
        return connection

    async def _run(self, connection: _Connection) -> None:
        """Read and write until the connection ends, whatever the end is."""
        reason = "ended"
        try:
            with connection.scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._write, connection)
                    tasks.start_soon(self._retire_losers, connection)
                    await self._read(connection)
                    tasks.cancel_scope.cancel()
            reason = connection.reason or reason
        finally:
            connection.queue.close()
            connection.outgoing.close()
            self._unregister(connection, reason)
            await self._discard(connection.channel, connection.link)

    def _unregister(self, connection: _Connection, reason: str) -> None:
        node_id = connection.channel.peer_id
        siblings = self._peers[node_id]
        siblings.remove(connection)
        if reason != "ended":
            self.statistics.refusals[reason] += 1
        if not siblings:
            del self._peers[node_id]
            self._callbacks.on_down(node_id, reason)

    async def _read(self, connection: _Connection) -> None:
        """Hand frames to the node until the link ends; the table says what closes it."""
        node_id, link = connection.channel.peer_id, connection.link
        link.heard_at = anyio.current_time()
        try:
            while True:
                for frame in connection.reader.frames():
                    link.heard_at = anyio.current_time()
                    self.statistics.frames_received += 1
                    await self._callbacks.on_frame(node_id, frame)
                remaining = link.heard_at + self._preset.idle_timeout_s - anyio.current_time()
                with anyio.move_on_after(max(remaining, 0)):
                    connection.reader.feed(await connection.channel.receive())
                silent = anyio.current_time() - link.heard_at >= self._preset.idle_timeout_s
                if silent and self._handshakes.on_clock(link, anyio.current_time()):
                    connection.drop("idle")
                    return
        except Malformed as error:
            self._handshakes.garbage(link)
            self._callbacks.on_fault(node_id, connection.channel.host, error.reason)
            connection.drop(error.reason)
        except PeerFault as error:
            connection.drop(error.reason)
        except STREAM_ERRORS:
            connection.drop("ended")

    async def _write(self, connection: _Connection) -> None:
        """Send what is queued, several frames at a time; no other task writes to the stream."""
        try:
            async for frame in connection.outgoing:
                batch = bytearray(frame)
                frames = 1
                while len(batch) < BATCH_BYTES:
                    try:
                        batch += connection.outgoing.receive_nowait()
                    except (anyio.WouldBlock, anyio.EndOfStream):
                        break
                    frames += 1
                await connection.channel.send(bytes(batch))
                self.statistics.frames_sent += frames
        except STREAM_ERRORS:
            connection.drop("ended")

    async def _retire_losers(self, connection: _Connection) -> None:
        """Some time after a link is up, drop those that it supersedes, or itself.

        Both ends send on the winner at once; the delay lets the other end see the winner before the
        loser goes, so that a peer is never without a link (F-29).
        """
        await anyio.sleep(RETIRE_DELAY_S)
        links, now = self._peers.get(connection.channel.peer_id, []), anyio.current_time()
        for other in list(links):
            for loser, winner in ((other, connection), (connection, other)):
                if loser is not winner and self._handshakes.on_clock(loser.link, now, winner.link):
                    loser.drop(loser.link.refusal or "ended")
