"""Hostile connections to a running node: each is closed and counted, and the node goes on."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest
from attrs import define, field

from metanode.errors import MetanodeError
from metanode.protocol.codec import Codec, encode_canonical
from metanode.protocol.endpoints import Endpoint
from metanode.protocol.envelope import SIGNATURE_TAG, seal
from metanode.protocol.framing import encode_frame
from metanode.protocol.handshake import VERSION
from metanode.protocol.identity import Identity
from metanode.runtime.certificates import make_credentials
from metanode.runtime.config import load_config
from metanode.runtime.keystore import load_identity, read_passphrase_file
from metanode.runtime.links import LinkCallbacks, LinkManager
from metanode.runtime.transport import STREAM_ERRORS, Channel, TcpNetwork, open_channel
from spec import messages as m
from spec.messages import HANDSHAKE_MESSAGES, MESSAGES, Hello
from spec.parameters import DEVNET
from tests.integration.support import SIZE, Live, wait_until

pytestmark = pytest.mark.xdist_group("network")
TARGET, MEMBER = 0, 3
FRAME_LIMIT = DEVNET.frame_octets
CODEC = Codec(MESSAGES)
MOMENT_S = 0.1


@define
class Attacker:
    """Knows the network and one identity, its own or a member's; attacks node ``TARGET``."""

    live: Live
    identity: Identity = field(factory=lambda: Identity.generate(os.urandom))

    @property
    def network_id(self) -> bytes:
        """The id of the network."""
        return load_config(self.live.network.homes[TARGET].config).network_id()

    @property
    def port(self) -> int:
        """The target's port."""
        status = self.live.status(TARGET)
        assert status is not None
        return int(status["port"])

    def refusals(self) -> dict[str, int]:
        """Return what the target says that it refused."""
        status = self.live.status(TARGET)
        assert status is not None
        return dict(status["refused"])

    def counted(self, before: dict[str, int], reason: str = "") -> bool:
        """Tell whether the target counts one more refusal with ``reason`` in it."""
        now = self.refusals()
        return any(reason in name and count > before.get(name, 0) for name, count in now.items())

    def tcp(self) -> socket.socket:
        """Return a plain connection to the target."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def before_the_handshake(self, attack: Callable[[Channel], Awaitable[None]]) -> None:
        """Run an attack on a TLS channel on which nobody has said hello."""

        async def run() -> None:
            credentials = make_credentials(self.identity, self.network_id)
            endpoint = Endpoint("127.0.0.1", self.port)
            channel = await open_channel(TcpNetwork(), credentials, endpoint, 10)
            try:
                await attack(channel)
                with anyio.fail_after(10):
                    await closed(channel)
            finally:
                await channel.close()

        self.live.run(run)

    def on_a_link(self, *frames: bytes, raw: bytes = b"", ends: bool = True) -> None:
        """Make a link as ``identity`` and send frames, or bytes that are none.

        Waits for the link's end if that must come, else a moment.
        """

        async def run() -> None:
            async def ignore(_node_id: bytes, _frame: bytes) -> None:
                return

            ended = anyio.Event()
            callbacks = LinkCallbacks(
                on_frame=ignore, on_up=lambda *_: None, on_down=lambda *_: ended.set()
            )
            credentials = make_credentials(self.identity, self.network_id)
            manager = LinkManager(credentials, DEVNET, callbacks, os.urandom)
            async with anyio.create_task_group() as tasks:
                manager.start(tasks)
                outcome = await manager.dial(Endpoint("127.0.0.1", self.port))
                assert outcome.node_id is not None, outcome.reason
                for frame in frames:
                    assert manager.send(outcome.node_id, frame)
                if raw:
                    [connection] = manager._peers[outcome.node_id]
                    await connection.channel.send(raw)
                with anyio.move_on_after(10 if ends else MOMENT_S):
                    await ended.wait()
                assert ended.is_set() or not ends
                tasks.cancel_scope.cancel()

        self.live.run(run)


async def closed(channel: Channel) -> None:
    """Wait until the other end hangs up."""
    try:
        while True:
            await channel.receive()
    except STREAM_ERRORS:
        return


@pytest.fixture
def stranger(live: Live) -> Attacker:
    """Somebody who knows the network's settings and has no stake."""
    return Attacker(live)


@pytest.fixture
def member(live: Live) -> Iterator[Attacker]:
    """A member gone bad: its node is stopped, its identity is in the attacker's hands."""
    home = live.network.homes[MEMBER]
    assert live.network.interrupt(MEMBER) == 0
    passphrase = read_passphrase_file(live.network.directory / "passphrase")
    yield Attacker(live, load_identity(home.identity, passphrase))
    live.network.start(MEMBER)
    wait_until("the member among the others", live.ready)


def still_well(live: Live, others: int = SIZE - 1) -> None:
    """Check that the target answers and is linked to the others."""
    wait_until("the target's links", lambda: linked(live) >= others, patience_s=20)


def linked(live: Live) -> int:
    """Return how many members the target is linked with."""
    status = live.status(TARGET)
    assert status is not None
    return len(set(status["links"]) & set(status["key"]["roster"]))


@pytest.mark.parametrize(
    "garbage",
    [b"\x00" * 64, b"\xff" * 4096, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"A" * 99],
    ids=["zeros", "ones", "http", "half-a-hello"],
)
def test_garbage_instead_of_tls(stranger: Attacker, garbage: bytes) -> None:
    """Catches a node that dies of bytes which are no TLS, or does not count them."""
    before = stranger.refusals()
    with stranger.tcp() as connection:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        try:
            while connection.recv(4096):
                pass
        except ConnectionResetError:
            pass
    wait_until("the refusal's count", lambda: stranger.counted(before), patience_s=20)
    still_well(stranger.live)


def test_half_open_connections_hold_nobody_up(stranger: Attacker) -> None:
    """Catches a node that waits for a peer which says nothing."""
    before = stranger.refusals()
    connections = [stranger.tcp() for _ in range(20)]
    try:
        still_well(stranger.live)
        stranger.on_a_link(ends=False)
    finally:
        for connection in connections:
            connection.close()
    wait_until("the count", lambda: stranger.counted(before, "hung up"), patience_s=20)


def test_tls_of_another_network(stranger: Attacker) -> None:
    """Catches a certificate authority that is not the network's."""
    before = stranger.refusals()
    credentials = make_credentials(stranger.identity, b"\x01" * 32)
    credentials.client_context.verify_mode = ssl.CERT_NONE  # or it would hang up first
    endpoint = Endpoint("127.0.0.1", stranger.port)
    with pytest.raises(MetanodeError):
        stranger.live.run(open_channel, TcpNetwork(), credentials, endpoint, 10)
    wait_until("the refusal's count", lambda: stranger.counted(before, "TLS"), patience_s=20)
    still_well(stranger.live)


def test_handshake_with_another_network_id(stranger: Attacker) -> None:
    """Catches a link between nodes that disagree on the network's settings."""
    before = stranger.refusals()
    codec = Codec(HANDSHAKE_MESSAGES)

    async def attack(channel: Channel) -> None:
        hello = Hello(VERSION, b"\x02" * 32, stranger.identity.node_id, os.urandom(32))
        await channel.send(encode_frame(codec.encode(hello), 4096))

    stranger.before_the_handshake(attack)
    wait_until("the refusal's count", lambda: stranger.counted(before), patience_s=20)
    still_well(stranger.live)


@pytest.mark.parametrize("prefix", [0, 4097, 0xFFFFFFFF])
def test_length_prefix_before_the_handshake(stranger: Attacker, prefix: int) -> None:
    """Catches a node that reserves memory for whatever a stranger announces."""
    before = stranger.refusals()

    async def attack(channel: Channel) -> None:
        await channel.send(prefix.to_bytes(4, "big") + b"x")

    stranger.before_the_handshake(attack)
    wait_until("the refusal's count", lambda: stranger.counted(before), patience_s=20)
    still_well(stranger.live)


def broken_signature(identity: Identity, network_id: bytes) -> bytes:
    """Return an envelope whose signature is that of another body."""
    body = CODEC.encode(m.Keepalive(()))
    signature = identity.sign(SIGNATURE_TAG, network_id, identity.node_id, body + b"x")
    return encode_canonical({"body": body, "sender": identity.node_id, "signature": signature})


def signed_junk(identity: Identity, network_id: bytes, body: bytes) -> bytes:
    """Return an envelope with a good signature over a body that is no message."""
    signature = identity.sign(SIGNATURE_TAG, network_id, identity.node_id, body)
    return encode_canonical({"body": body, "sender": identity.node_id, "signature": signature})


def test_a_member_with_broken_frames(member: Attacker) -> None:
    """Catches a link that survives a broken frame, or a node that does not."""
    identity, network_id = member.identity, member.network_id
    other = Identity.generate(os.urandom)
    good = seal(identity, network_id, CODEC, m.Keepalive(()))
    frames = {
        "bad signature": broken_signature(identity, network_id),
        "no envelope": encode_canonical({}),
        "no CBOR": b"\xff\xff\xff",
        "another's envelope": seal(other, network_id, CODEC, m.Keepalive(())),
        "signed for another network": seal(identity, b"\x03" * 32, CODEC, m.Keepalive(())),
        "a body that is no message": signed_junk(identity, network_id, b"\x00"),
        "an unknown kind": signed_junk(identity, network_id, encode_canonical({"kind": "x"})),
        "trailing octets": good + b"\x00",
    }
    for name, frame in frames.items():
        before = member.refusals()
        member.on_a_link(frame)
        wait_until(f"the count of: {name}", lambda old=before: member.counted(old), patience_s=20)
    for raw in (b"\x00\x00\x00\x00", (FRAME_LIMIT + 1).to_bytes(4, "big"), b"\xff\xff\xff\xff"):
        before = member.refusals()
        member.on_a_link(raw=raw)
        wait_until("the count of a prefix", lambda old=before: member.counted(old), patience_s=20)
    still_well(member.live, SIZE - 2)


def messages_out_of_place(live: Live, me: bytes) -> list[Any]:
    """Return one well-formed message of each kind, and more, that say what is not so."""
    status = live.status(TARGET)
    assert status is not None
    number, roster = status["round"], tuple(bytes.fromhex(p) for p in status["key"]["roster"])
    a, b = b"\x0a" * 32, b"\x0b" * 32
    vote = m.Vote(1, a, number, b, roster[:3])
    certificate = m.Certificate(1, a, number, b, roster[:3], ())
    now_ms = int(time.time() * 1000)
    return [
        m.Ping(now_ms, now_ms, "Idle", m.OutpointRef(a, 0), b, b"\x01" * 65),
        m.Ping(now_ms - 1, 0, "Nowhere", m.OutpointRef(a, 7), None, None),
        m.Keepalive(("127.0.0.1:1", "nowhere", "255.255.255.255:9")),
        m.Publish((m.OutpointRef(a, 1),)),
        m.Offer(number, 1, a, (m.OutpointRef(a, 1),), None),
        m.Offer(number + 1, 1, b, (), m.LockedCandidate(b"\x01", certificate)),
        m.Vote(9, b, number, a, ()),
        vote,
        m.Setup(1, a, number, "payout", b"\x00", roster, None),
        m.Setup(1, b, number, "keygen", b"", (), m.LockedCandidate(b"", certificate)),
        m.Begin(certificate),
        m.Release(a, 0, 1, b"\x00", True),
        m.Step(b, 3, 2, b"\x00" * 99, False),
        m.SignatureFound(a, b"\x00", roster[:3], (m.EcdsaSignature(b"\x01" * 64),)),
        m.Confirmation(1, 1, a),
        m.KeyLocked(1, 1, roster, me, b, (), b"\x02" * 64),
        m.Proposal(number + 1, 1, a, b, b"\x01" * 65),
        m.SigningSet(number + 1, 1, roster[:2]),
    ]


def test_a_member_with_messages_out_of_place(member: Attacker) -> None:
    """Catches a node that ends because a member says something at the wrong time."""
    for message in messages_out_of_place(member.live, member.identity.node_id):
        frame = seal(member.identity, member.network_id, CODEC, message)
        member.on_a_link(frame, frame, ends=False)
        assert member.live.status(TARGET) is not None, f"the node ended at {message}"
    still_well(member.live, SIZE - 2)
