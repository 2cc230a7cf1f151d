"""Hostile connections to a running node: each is closed and counted, and the node goes on."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest

from metanode.errors import MetanodeError
from metanode.identity import Identity
from metanode.protocol.links.handshake import VERSION
from metanode.protocol.peers.endpoints import Endpoint
from metanode.protocol.wire.codec import Codec, encode_canonical
from metanode.protocol.wire.envelope import SIGNATURE_TAG, seal
from metanode.protocol.wire.framing import encode_frame
from metanode.runtime.net.certificates import make_credentials
from metanode.runtime.net.transport import Channel, TcpNetwork, open_channel
from spec import messages as m
from spec.messages import HANDSHAKE_MESSAGES, Hello
from spec.parameters import DEVNET
from tests.integration.attacker import CODEC, MEMBER, TARGET, Attacker, member_gone_bad
from tests.integration.support import SIZE, Live, metanode, wait_until


@pytest.fixture
def stranger(live: Live) -> Attacker:
    """Somebody who knows the network's settings and has no stake."""
    return Attacker(live)


@pytest.fixture(scope="module")
def member(live: Live) -> Iterator[Attacker]:
    """A member gone bad: its node is stopped, its identity is in the attacker's hands."""
    yield member_gone_bad(live)
    # What was said in its name was of rounds up to the next one. If the member spoke in one of
    # them too, it would contradict that, and be blocked for three days.
    spoken = round_of(live) + 1
    wait_until("a round in whose name nothing was said", lambda: round_of(live) > spoken)
    live.network.start(MEMBER)
    wait_until("the member among the others", live.ready)


def round_of(live: Live) -> int:
    """Return the round that the target is in."""
    status = live.status(TARGET)
    assert status is not None
    return int(status["round"])


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


def excluded(live: Live, who: Identity) -> dict[str, Any] | None:
    """Return what the target says of a peer's score, if it has one."""
    status = live.status(TARGET)
    assert status is not None
    found = {entry["who"]: entry for entry in status["exclusions"]}
    return found.get(who.node_id.hex())


def test_a_stranger_that_goes_on_is_excluded_and_shown_until_it_is_pardoned(
    stranger: Attacker,
) -> None:
    """Catches misbehaviour that costs a log line, and an operator who cannot mend a mistake."""
    live, identity = stranger.live, stranger.identity
    for _ in range(2):
        stranger.on_a_link(broken_signature(identity, stranger.network_id))
    wait_until("the exclusion", lambda: (excluded(live, identity) or {}).get("until"))
    entry = excluded(live, identity)
    assert entry is not None
    assert (entry["link"], entry["why"]) == ("refused", "envelope: signature is wrong")
    stranger.on_a_link()  # it ends at once
    home, name = live.network.homes[TARGET].path, identity.node_id.hex()
    listed = metanode("peers", "--home", home)
    assert listed.returncode == 0
    assert f"{name}: envelope: signature is wrong" in listed.stdout
    assert metanode("peers", "pardon", "--home", home, name).returncode == 0
    assert metanode("peers", "pardon", "--home", home, name).returncode == 1
    stranger.on_a_link(ends=False)
    still_well(live)


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
    for length in (0, DEVNET.frame_octets + 1, 0xFFFFFFFF):
        before = member.refusals()
        member.on_a_link(raw=length.to_bytes(4, "big"))
        wait_until("the count of a prefix", lambda old=before: member.counted(old), patience_s=20)
    entry = excluded(member.live, identity)
    assert entry is not None
    assert entry["link"] == "kept: it holds a share"
    member.on_a_link(ends=False)
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
        m.Ping(now_ms, now_ms, "Idle", m.OutpointRef(a, 0), b, b"\x01" * 65, 1, "ok"),
        m.Ping(now_ms - 1, 0, "Nowhere", m.OutpointRef(a, 7), None, None, 1 << 40, "no_share"),
        m.Keepalive(("127.0.0.1:1", "nowhere", "255.255.255.255:9")),
        m.Publish((m.OutpointRef(a, 1),)),
        m.Offer(number, 1, a, 0, (m.OutpointRef(a, 1),)),
        m.Offer(number + 1, 1, b, 0, (), m.LockedCandidate(b"\x01", certificate)),
        m.Vote(9, b, number, a, ()),
        vote,
        m.Setup(1, a, number, b, "payout", b"\x00", roster, None),
        m.Setup(1, b, number, a, "keygen", b"", (), m.LockedCandidate(b"", certificate)),
        m.Begin(certificate),
        m.Release(a, 0, 1, b"\x00", 0),
        m.Step(b, 3, 2, b"\x00" * 99, 2),
        m.SignatureFound(a, b, b"\x00", roster[:3], (m.EcdsaSignature(b"\x01" * 64),)),
        m.Confirmation(1, 1, a),
        m.KeyLocked(1, 1, roster, me, b, (), b"\x02" * 64),
        m.Proposal(number + 1, 1, a, b, b"\x01" * 65),
        m.SigningSet(number + 1, 1, roster[:2]),
        m.SharePrepared(number, b"\x00"),
        m.LockShown(number, m.LockedCandidate(b"\x01", certificate)),
        m.HandedOver(number, a, b"\x00", (m.SignedConfirmation(me, b"\x03" * 64),)),
        m.Missed(number, roster[0]),
        m.Renounced(a),
    ]


def test_a_member_with_messages_out_of_place(member: Attacker) -> None:
    """Catches a node that ends because a member says something at the wrong time."""
    for message in messages_out_of_place(member.live, member.identity.node_id):
        frame = seal(member.identity, member.network_id, CODEC, message)
        member.on_a_link(frame, frame, ends=False)
        assert member.live.status(TARGET) is not None, f"the node ended at {message}"
    still_well(member.live, SIZE - 2)
