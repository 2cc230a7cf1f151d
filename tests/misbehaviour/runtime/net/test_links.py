"""Hostile peers lose their own link, are counted, and the node goes on for everybody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import ByteStream

from metanode.errors import LocalFault, PeerFault
from metanode.identity import Identity
from metanode.protocol.links.handshake import VERSION, Handshakes, Link, LinkTerms
from metanode.protocol.wire.codec import Codec
from metanode.protocol.wire.framing import encode_frame
from metanode.runtime.net import transport
from metanode.runtime.net.certificates import make_credentials
from metanode.runtime.net.links import LinkManager
from metanode.runtime.net.transport import STREAM_ERRORS, Channel, TcpNetwork, open_channel
from spec.messages import HANDSHAKE_MESSAGES, Hello, Proof, Ready
from spec.parameters import MAINNET
from tests.runtime.net.support import HOST, NETWORK, RunningNode, identity, quick, running, until
from tests.support import entropy

pytestmark = pytest.mark.anyio
CODEC = Codec(HANDSHAKE_MESSAGES)
MALLORY: Identity = identity("mallory")


async def raw_channel(victim: RunningNode) -> Channel:
    """Return an authenticated TLS channel of Mallory's, with nothing said on it."""
    credentials = make_credentials(MALLORY, NETWORK)
    return await open_channel(TcpNetwork(), credentials, victim.endpoint, 5)


@asynccontextmanager
async def raw_link(victim: RunningNode) -> AsyncIterator[Channel]:
    """Yield a channel on which Mallory has finished the handshake by hand."""
    credentials = make_credentials(MALLORY, NETWORK)
    channel = await open_channel(TcpNetwork(), credentials, victim.endpoint, 5)
    table = Handshakes(
        LinkTerms(MALLORY, NETWORK, credentials.fingerprint, MAINNET), entropy("mallory")
    )
    link, frames = table.connect(
        outbound=True,
        host=HOST,
        certified_id=channel.peer_id,
        peer_fingerprint=channel.peer_fingerprint,
        now=0.0,
    )
    await shake(channel, table, link, frames)
    await until(lambda: MALLORY.node_id in victim.links.established())
    try:
        yield channel
    finally:
        await channel.close()


async def shake(channel: Channel, table: Handshakes, link: Link, frames: tuple[bytes, ...]) -> None:
    """Run the handshake over a raw channel."""
    buffer = bytearray()
    while True:
        for frame in frames:
            await channel.send(encode_frame(frame))
        frames = ()
        while len(buffer) >= 4 and len(buffer) >= 4 + int.from_bytes(buffer[:4], "big"):
            length = int.from_bytes(buffer[:4], "big")
            frames += table.receive(link, bytes(buffer[4 : 4 + length]), 0.0)
            del buffer[: 4 + length]
        if table.established(link):
            return
        if not frames:
            buffer += await channel.receive()


async def hung_up(channel: Channel) -> None:
    """Wait until the other end closes the channel."""
    with anyio.fail_after(5):
        try:
            while True:
                await channel.receive()
        except STREAM_ERRORS:
            await channel.close()


async def still_serving(victim: RunningNode, friend: RunningNode) -> None:
    """Check that the node makes links and takes frames as before."""
    before = len(victim.frames)
    assert (await friend.links.dial(victim.endpoint)).node_id == victim.node_id
    assert friend.links.send(victim.node_id, b"are you there")
    await until(lambda: len(victim.frames) > before)


HELLO = Hello(VERSION, NETWORK, MALLORY.node_id, b"\x01" * 32)
FIRST_WORDS = {
    "empty frame": (bytes(4), "malformed"),
    "oversized": ((4097).to_bytes(4, "big"), "malformed"),
    "gigantic": (b"\xff" * 4, "malformed"),
    "garbage": (encode_frame(b"garbage"), "malformed"),
    "deep nesting": (encode_frame(b"\x81" * 4000), "malformed"),
    "bignum": (encode_frame(bytes.fromhex("c249010000000000000000")), "malformed"),
    "wrong network": (
        encode_frame(CODEC.encode(Hello(VERSION, bytes(32), MALLORY.node_id, bytes(32)))),
        "wrong_network",
    ),
    "old version": (
        encode_frame(CODEC.encode(Hello(0, NETWORK, MALLORY.node_id, bytes(32)))),
        "old_version",
    ),
    "somebody else": (
        encode_frame(CODEC.encode(Hello(VERSION, NETWORK, identity("carol").node_id, bytes(32)))),
        "other_identity",
    ),
    "two hellos": (encode_frame(CODEC.encode(HELLO)) * 2, "second_hello"),
    "proof first": (encode_frame(CODEC.encode(Proof(bytes(32), bytes(64)))), "out_of_turn"),
    "ready first": (encode_frame(CODEC.encode(Ready())), "out_of_turn"),
    "bad signature": (
        encode_frame(CODEC.encode(HELLO)) + encode_frame(CODEC.encode(Proof(bytes(32), bytes(64)))),
        "proof_bad",
    ),
}


@pytest.mark.parametrize(("words", "label"), FIRST_WORDS.values(), ids=FIRST_WORDS.keys())
async def test_bad_first_words_close_the_link_and_are_counted(words: bytes, label: str) -> None:
    """Catches a handshake that survives, crashes the node, or is not counted by its reason."""
    async with running("alice", "bob") as (alice, bob):
        channel = await raw_channel(alice)
        await channel.send(words)
        await hung_up(channel)
        await until(lambda: alice.links.statistics.refusals[label] == 1)
        assert alice.ups == []
        mistake = label in ("wrong_network", "old_version")
        assert alice.faults == ([] if mistake else [(MALLORY.node_id, HOST, label)])
        await still_serving(alice, bob)


async def test_half_open_and_dripping_connections_are_timed_out_and_starve_nobody() -> None:
    """Catches half-open dials that hold the node (no byte, TCP only; one byte a time; TLS only)."""
    async with running("alice", "bob", preset=quick(cookie_lifetime_s=1.5)) as (alice, bob):
        silent = [await anyio.connect_tcp(HOST, alice.endpoint.port) for _ in range(8)]
        unspoken = [await raw_channel(alice) for _ in range(8)]
        dripping = await raw_channel(alice)

        async def drip() -> None:
            words = encode_frame(CODEC.encode(HELLO))
            try:
                for byte in words:
                    await dripping.send(bytes([byte]))
                    await anyio.sleep(0.05)
            except STREAM_ERRORS:
                return

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(drip)
            await still_serving(alice, bob)
            await until(lambda: alice.links.statistics.refusals["timeout"] == 9)
            tasks.cancel_scope.cancel()
        for stream in (*silent, *unspoken, dripping):
            await (stream.close() if isinstance(stream, Channel) else close(stream))


async def close(stream: ByteStream) -> None:
    """Close a plain TCP stream at once."""
    await anyio.aclose_forcefully(stream)


async def test_raw_tcp_garbage_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a node that falls over a port scanner: garbage, an early end, nothing at all."""
    monkeypatch.setattr(transport, "TLS_TIMEOUT_S", 0.3)
    async with running("alice", "bob") as (alice, bob):
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"", b"\x00" * 5000):
            stream = await anyio.connect_tcp(HOST, alice.endpoint.port)
            if words:
                await stream.send(words)
            await close(stream)
        silent = await anyio.connect_tcp(HOST, alice.endpoint.port)
        await until(lambda: sum(alice.links.statistics.refusals.values()) == 5)
        # What is no TLS is an offence of its address; to hang up or say nothing is none.
        assert {(who, host) for who, host, _ in alice.faults} == {(None, HOST)}
        assert len(alice.faults) == 2
        await still_serving(alice, bob)
        await close(silent)


LATER_WORDS = {
    "empty frame": bytes(4),
    "oversized": ((1 << 20) + 1).to_bytes(4, "big"),
    "gigantic": b"\xff" * 4,
}


@pytest.mark.parametrize("words", LATER_WORDS.values(), ids=LATER_WORDS.keys())
async def test_a_bad_frame_on_an_established_link_closes_it(words: bytes) -> None:
    """Catches a frame reader that forgives after the handshake."""
    async with running("alice", "bob") as (alice, bob):
        async with raw_link(alice) as channel:
            await channel.send(encode_frame(b"good") + words)
            await hung_up(channel)
        await until(lambda: alice.downs)
        assert alice.frames == [(MALLORY.node_id, b"good")]
        assert [(who, host) for who, host, _ in alice.faults] == [(MALLORY.node_id, HOST)]
        await still_serving(alice, bob)


async def test_a_dripping_peer_does_not_hold_a_link_for_ever() -> None:
    """Catches an idle timer that any byte resets: only whole frames count."""
    async with (
        running("alice", "bob", preset=quick(idle_timeout_s=0.3)) as (alice, _),
        raw_link(alice) as channel,
    ):
        with anyio.fail_after(5):
            try:
                await channel.send((1000).to_bytes(4, "big"))
                while True:
                    await channel.send(b"x")
                    await anyio.sleep(0.05)
            except STREAM_ERRORS:
                pass
        await until(lambda: alice.downs)
        assert alice.downs == [(MALLORY.node_id, "idle")]


async def test_a_peer_that_does_not_read_is_dropped_when_its_queue_is_full() -> None:
    """Catches a queue that grows with a slow peer, and a send that blocks the node (128)."""
    async with running("alice", "bob") as (alice, bob), raw_link(alice):
        frame = b"x" * 500_000
        sent = 0
        while alice.links.send(MALLORY.node_id, frame):
            sent += 1
            assert sent < 1000
            if sent % 20 == 0:
                await anyio.sleep(0)
        assert sent >= 128
        await until(lambda: alice.downs)
        assert alice.downs == [(MALLORY.node_id, "write queue full")]
        await still_serving(alice, bob)


async def test_a_peer_fault_in_the_handler_closes_that_link_only() -> None:
    """Catches misbehaviour found above the link that stops the node."""

    def judge(node_id: bytes, frame: bytes) -> None:
        if frame == b"evil":
            raise PeerFault("misbehaved", node_id)

    async with running("alice", "bob") as (alice, bob):
        alice.on_frame = judge
        async with raw_link(alice) as channel:
            await channel.send(encode_frame(b"evil") + encode_frame(b"more"))
            await hung_up(channel)
        await until(lambda: alice.downs)
        assert alice.downs == [(MALLORY.node_id, "misbehaved")]
        assert alice.frames == [(MALLORY.node_id, b"evil")]
        await still_serving(alice, bob)


async def test_one_peer_cannot_hold_many_links() -> None:
    """Catches a peer that opens links without end; the newest work, the oldest go."""
    async with running("alice") as (alice,):
        async with raw_link(alice), raw_link(alice), raw_link(alice), raw_link(alice):
            await until(lambda: alice.links.statistics.refusals["too many links of one peer"])
            assert alice.links.connections(MALLORY.node_id) == 3
            assert alice.ups == [MALLORY.node_id]
        await until(lambda: alice.downs)


async def test_a_relay_between_two_nodes_gets_no_link() -> None:
    """Catches F-28 end to end: X copies bytes between its channels with A and with B."""
    async with running("alice", "bob") as (alice, bob):
        to_alice, to_bob = await raw_channel(alice), await raw_channel(bob)

        async def copy(source: Channel, target: Channel) -> None:
            try:
                while True:
                    await target.send(await source.receive())
            except STREAM_ERRORS:
                return

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(copy, to_alice, to_bob)
            tasks.start_soon(copy, to_bob, to_alice)
            await until(
                lambda: (
                    sum(alice.links.statistics.refusals.values())
                    and sum(bob.links.statistics.refusals.values())
                )
            )
            tasks.cancel_scope.cancel()
        assert (alice.ups, bob.ups) == ([], [])
        labels = set(alice.links.statistics.refusals) | set(bob.links.statistics.refusals)
        assert "other_identity" in labels
        await to_alice.close()
        await to_bob.close()


async def test_dialling_a_node_of_another_network_fails_cleanly() -> None:
    """Catches a link, a hang or an exception across networks."""
    async with running("alice") as (alice,):
        stranger = RunningNode("stranger", network=bytes(32))
        async with anyio.create_task_group() as tasks:
            await stranger.start(tasks)
            assert (await alice.links.dial(stranger.endpoint)).node_id is None
            assert (await stranger.links.dial(alice.endpoint)).node_id is None
            assert (alice.ups, stranger.ups) == ([], [])
            # Another network is a mistake of whoever set it up, not misbehaviour.
            assert (alice.faults, stranger.faults) == ([], [])
            tasks.cancel_scope.cancel()


async def test_a_manager_that_was_not_started_says_so() -> None:
    """Catches misuse that would lose connections silently."""
    node = RunningNode("alice")
    with pytest.raises(LocalFault, match="start"):
        await LinkManager.listen(node.links, HOST, 0)
