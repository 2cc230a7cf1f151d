"""Channels: listening, dialling and the TLS handshake, on whichever anyio backend runs.

A channel is an authenticated TLS 1.3 stream: the certificate's identity has been checked, the
node_id handshake inside it has not happened yet. ``Network`` is the port through which sockets
come, so that a simulation can put in-memory streams in their place.
"""

from __future__ import annotations

import errno
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

import anyio
from anyio.abc import AnyByteStream, SocketAttribute, SocketListener, TaskGroup
from anyio.streams.tls import TLSAttribute, TLSStream
from attrs import define, field, frozen

from metanode.errors import Malformed, Unavailable, UserError
from metanode.protocol.peers.endpoints import Endpoint, canonical_host, ip_group
from metanode.runtime.net.certificates import ALPN, Credentials, verify_peer_certificate

TLS_TIMEOUT_S: Final = 10.0
"""Seconds for the TLS handshake alone; it takes milliseconds where a node lives."""
ACCEPT_RETRY_S: Final = 0.1
MAX_HALF_OPEN: Final = 128
"""Incoming connections whose handshake is under way; each costs one TLS handshake of CPU."""
READ_BYTES: Final = 65_536

STREAM_ERRORS: Final = (
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    # A peer that asks for a new TLS key makes the reader write while the writer writes.
    anyio.BusyResourceError,
    OSError,
)
"""What a stream may raise because of the other end or the net; ssl.SSLError is an OSError."""

OTHER_NETWORK: Final = frozenset({"TLS: CERTIFICATE_VERIFY_FAILED", "TLS: TLSV1_ALERT_UNKNOWN_CA"})
"""How a peer of another network fails: by mistake rather than by intent."""

Handler = Callable[[AnyByteStream, str], Coroutine[Any, Any, None]]


@frozen
class Channel:
    """An authenticated TLS stream; ``host`` is the address of the other end as we see it."""

    stream: TLSStream = field(repr=False)
    host: str
    peer_id: bytes
    peer_fingerprint: bytes
    is_server: bool

    async def send(self, data: bytes) -> None:
        """Send all of ``data``; only one task may be sending."""
        await self.stream.send(data)

    async def receive(self) -> bytes:
        """Return the next bytes; raises one of STREAM_ERRORS at the end."""
        return await self.stream.receive(READ_BYTES)

    async def close(self) -> None:
        """Close the socket at once; closing TLS politely would wait for the peer."""
        await anyio.aclose_forcefully(self.stream)


class Listening(Protocol):
    """A bound port."""

    @property
    def port(self) -> int:
        """The TCP port."""

    async def serve(self, handler: Handler, task_group: TaskGroup) -> None:
        """Run ``handler(stream, host)`` for each incoming stream until cancelled."""


class Network(Protocol):
    """Where streams come from."""

    async def listen(self, host: str, port: int) -> Listening:
        """Bind; port 0 takes a free one. Raises UserError when that cannot be done."""

    async def connect(self, endpoint: Endpoint) -> AnyByteStream:
        """Return a stream to ``endpoint``; raises OSError or Unavailable."""


class TcpListening:
    """TCP ports bound with anyio."""

    def __init__(self, listeners: list[SocketListener]) -> None:
        self._listeners = listeners

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self._listeners[0].extra(SocketAttribute.local_port))

    async def serve(self, handler: Handler, task_group: TaskGroup) -> None:
        """Run ``handler(stream, host)`` for each incoming connection until cancelled."""
        try:
            async with anyio.create_task_group() as accepting:
                for listener in self._listeners:
                    accepting.start_soon(self._accept, listener, handler, task_group)
        finally:
            with anyio.CancelScope(shield=True):
                for listener in self._listeners:
                    await anyio.aclose_forcefully(listener)

    async def _accept(
        self, listener: SocketListener, handler: Handler, task_group: TaskGroup
    ) -> None:
        while True:
            try:
                stream = await listener.accept()
            except OSError:
                # Out of descriptors, or the peer was gone before we looked: neither ends a node.
                await anyio.sleep(ACCEPT_RETRY_S)
                continue
            try:
                host = canonical_host(str(stream.extra(SocketAttribute.remote_address)[0]))
            except (OSError, ValueError, anyio.TypedAttributeLookupError):
                await anyio.aclose_forcefully(stream)
                continue
            task_group.start_soon(handler, stream, host)


class TcpNetwork:
    """The real network."""

    async def listen(self, host: str, port: int) -> TcpListening:
        """Bind ``host:port``; raises UserError naming the port when it is taken or not ours.

        ``::`` is all addresses of both families, where the machine has both.
        """
        everywhere = host in ("", "::")
        try:
            multi = await anyio.create_tcp_listener(
                local_host=None if everywhere else host, local_port=port
            )
        except OSError as error:
            raise UserError(_bind_fault(host, port, error)) from error
        sockets = [each for each in multi.listeners if isinstance(each, SocketListener)]
        return TcpListening(sockets)

    async def connect(self, endpoint: Endpoint) -> AnyByteStream:
        """Return a TCP stream; raises OSError when the endpoint does not answer."""
        return await anyio.connect_tcp(endpoint.host, endpoint.port)


def _bind_fault(host: str, port: int, error: OSError) -> str:
    where = f"port {port} on {host or 'all addresses'}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use: stop the other process or set another port"
    return f"{where} cannot be opened ({error.strerror or error}): set another host or port"


@define(eq=False)
class _Place:
    host: str
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)


class HalfOpenPlaces:
    """Bounds incoming connections that have not proved who they are.

    When all places are taken, the oldest connection of the busiest address loses its own: a peer
    that opens connections and never finishes crowds out itself, not its neighbours (F-30).
    """

    def __init__(self, refusals: Counter[str], limit: int = MAX_HALF_OPEN) -> None:
        """Take the counter to note evictions in, and the number of places."""
        self._refusals = refusals
        self._limit = limit
        self._places: list[_Place] = []

    def __len__(self) -> int:
        """Return the number of places taken."""
        return len(self._places)

    @contextmanager
    def place(self, host: str) -> Iterator[None]:
        """Hold a place inside the block; the block is cancelled when the place is lost."""
        if len(self._places) >= self._limit:
            busiest = Counter(ip_group(each.host) for each in self._places).most_common(1)[0][0]
            victim = next(each for each in self._places if ip_group(each.host) == busiest)
            self._places.remove(victim)
            self._refusals["too many half-open"] += 1
            victim.scope.cancel()
        taken = _Place(host)
        self._places.append(taken)
        try:
            with taken.scope:
                yield
        finally:
            if taken in self._places:
                self._places.remove(taken)


async def open_channel(
    network: Network, credentials: Credentials, endpoint: Endpoint, timeout_s: float
) -> Channel:
    """Dial ``endpoint`` and return the channel; ``timeout_s`` bounds the connecting.

    Raises Unavailable when nobody answers, Malformed when the other end is not of this network.
    """
    try:
        with anyio.fail_after(timeout_s):
            stream = await network.connect(endpoint)
    except (*STREAM_ERRORS, TimeoutError) as error:
        raise Unavailable(f"{endpoint} does not answer") from error
    return await secure(stream, endpoint.host, credentials, is_server=False)


async def secure(
    stream: AnyByteStream, host: str, credentials: Credentials, *, is_server: bool
) -> Channel:
    """Run TLS over ``stream`` and check the peer's certificate; closes the stream on any failure.

    Raises Malformed when the other end is no node of this network, Unavailable when it hangs up or
    is slow.
    """
    context = credentials.server_context if is_server else credentials.client_context
    secured = False
    try:
        with anyio.fail_after(TLS_TIMEOUT_S):
            tls = await TLSStream.wrap(
                stream, server_side=is_server, ssl_context=context, standard_compatible=False
            )
        if tls.extra(TLSAttribute.alpn_protocol) != ALPN:
            raise Malformed("no common application protocol")
        der = tls.extra(TLSAttribute.peer_certificate_binary, None)
        peer_id, fingerprint = verify_peer_certificate(der, credentials.network_id)
        secured = True
        return Channel(tls, host, peer_id, fingerprint, is_server)
    except ssl.SSLError as error:
        raise Malformed(f"TLS: {error.reason or 'handshake failed'}") from error
    except (*STREAM_ERRORS, TimeoutError) as error:
        raise Unavailable("the TLS handshake did not end") from error
    finally:
        if not secured:
            # A failed wrap leaves the socket open.
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(stream)
