"""Hostile ends of a channel: no node is made to trust, hang or fall."""

from __future__ import annotations

import ssl
from collections import Counter
from typing import Any

import anyio
import pytest
from anyio.abc import AnyByteStream
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from metanode.errors import Malformed, Unavailable
from metanode.identity import Identity
from metanode.protocol.peers.endpoints import Endpoint
from metanode.runtime.net import certificates, transport
from metanode.runtime.net.certificates import (
    IDENTITY_EXTENSION,
    Credentials,
    make_credentials,
    sign_leaf,
    verify_peer_certificate,
)
from metanode.runtime.net.transport import HalfOpenPlaces, TcpNetwork, open_channel, secure
from tests.runtime.net.support import HOST, NETWORK, identity

OTHER_NETWORK = bytes(32)
AUTHORITY = certificates._network_authority(NETWORK)


def leaf(who: Identity, network: bytes = NETWORK) -> x509.Certificate:
    """Return a leaf certificate with a fresh channel key."""
    return sign_leaf(who, network, ec.generate_private_key(ec.SECP256R1()), *AUTHORITY)


def der(certificate: x509.Certificate) -> bytes:
    """Return the bytes of a certificate."""
    return certificate.public_bytes(Encoding.DER)


def with_extension(value: bytes) -> bytes:
    """Return a well signed leaf with another value in the identity extension."""
    builder = x509.CertificateBuilder(
        issuer_name=AUTHORITY[1].subject,
        subject_name=AUTHORITY[1].subject,
        public_key=ec.generate_private_key(ec.SECP256R1()).public_key(),
        serial_number=5,
        not_valid_before=AUTHORITY[1].not_valid_before_utc,
        not_valid_after=AUTHORITY[1].not_valid_after_utc,
        extensions=[
            x509.Extension(
                IDENTITY_EXTENSION, False, x509.UnrecognizedExtension(IDENTITY_EXTENSION, value)
            )
        ],
    )
    return der(builder.sign(AUTHORITY[0], None))


def identity_of(certificate: x509.Certificate) -> bytes:
    """Return the value of the identity extension."""
    extension = certificate.extensions.get_extension_for_oid(IDENTITY_EXTENSION).value
    return bytes(extension.value)  # type: ignore[attr-defined]  # it is an UnrecognizedExtension


def test_an_identity_is_bound_to_its_own_channel_key() -> None:
    """Catches a stolen extension: Alice's identity in a certificate with Mallory's key."""
    alice = leaf(identity("alice"))
    assert verify_peer_certificate(der(alice), NETWORK)[0] == identity("alice").node_id
    with pytest.raises(Malformed, match="signed"):
        verify_peer_certificate(with_extension(identity_of(alice)), NETWORK)


def test_an_identity_is_bound_to_its_network() -> None:
    """Catches a certificate of a test network that opens the real one."""
    with pytest.raises(Malformed, match="signed"):
        verify_peer_certificate(der(leaf(identity("alice"), OTHER_NETWORK)), NETWORK)


@pytest.mark.parametrize("value", [b"", bytes(96), bytes(97), bytes(98), b"\xff" * 97])
def test_bad_identities_are_refused(value: bytes) -> None:
    """Catches an exception or acceptance on a malformed extension."""
    with pytest.raises(Malformed):
        verify_peer_certificate(with_extension(value), NETWORK)


def test_a_certificate_without_identity_is_refused() -> None:
    """Catches trust in the network's authority, whose key everybody can derive."""
    with pytest.raises(Malformed, match="no identity"):
        verify_peer_certificate(der(AUTHORITY[1]), NETWORK)


@given(st.binary(max_size=200))
def test_noise_is_no_certificate(data: bytes) -> None:
    """Catches an exception of the parser's own."""
    with pytest.raises(Malformed):
        verify_peer_certificate(data, NETWORK)


GOOD = der(leaf(identity("alice")))


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_mutated_certificate_raises_malformed_or_keeps_its_identity(at: int, change: int) -> None:
    """Catches an exception of the parser's own on almost good bytes, and another identity."""
    mutated = bytearray(GOOD)
    mutated[at] ^= change
    try:
        node_id, _ = verify_peer_certificate(bytes(mutated), NETWORK)
    except Malformed:
        return
    assert node_id == identity("alice").node_id


async def refusals(client: Credentials, server: Credentials) -> list[str]:
    """Return why each end refused a channel between these two."""
    reasons: list[str] = []
    network = TcpNetwork()
    listening = await network.listen(HOST, 0)
    done = anyio.Event()

    async def accept(stream: AnyByteStream, host: str) -> None:
        try:
            channel = await secure(stream, host, server, is_server=True)
            await channel.close()
        except (Malformed, Unavailable) as error:
            reasons.append(f"server: {error}")
        done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listening.serve, accept, tasks)
        try:
            channel = await open_channel(network, client, Endpoint(HOST, listening.port), 5)
            with anyio.fail_after(5):
                await done.wait()
            await channel.close()
        except (Malformed, Unavailable) as error:
            reasons.append(f"client: {error}")
        with anyio.fail_after(5):
            await done.wait()
        tasks.cancel_scope.cancel()
    return reasons


@pytest.mark.anyio
async def test_nodes_of_two_networks_do_not_meet() -> None:
    """Catches a channel across networks."""
    ours = make_credentials(identity("alice"), NETWORK)
    theirs = make_credentials(identity("bob"), OTHER_NETWORK)
    assert any(each.startswith("client") for each in await refusals(ours, theirs))
    assert any(each.startswith("server") for each in await refusals(theirs, ours))


@pytest.mark.anyio
async def test_a_client_without_a_certificate_is_refused() -> None:
    """Catches a server that accepts an anonymous channel."""
    alice = make_credentials(identity("alice"), NETWORK)
    anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anonymous.check_hostname = False
    anonymous.verify_mode = ssl.CERT_NONE
    anonymous.set_alpn_protocols([certificates.ALPN])
    nobody = evolve(alice, client_context=anonymous)
    assert any(each.startswith("server") for each in await refusals(nobody, alice))


@pytest.mark.anyio
async def test_another_protocol_is_refused() -> None:
    """Catches a channel with an end that speaks something else (no common ALPN)."""
    alice = make_credentials(identity("alice"), NETWORK)
    bob = make_credentials(identity("bob"), NETWORK)
    bob.client_context.set_alpn_protocols(["http/1.1"])
    assert any("protocol" in each.lower() for each in await refusals(bob, alice))


@pytest.mark.anyio
async def test_a_port_that_answers_garbage_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a dial that waits for ever or raises something else."""
    monkeypatch.setattr(transport, "TLS_TIMEOUT_S", 0.2)
    alice = make_credentials(identity("alice"), NETWORK)
    answers: list[Any] = [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", None]
    for answer in answers:

        async def serve(stream: AnyByteStream, host: str, answer: Any = answer) -> None:
            async with stream:
                if answer is None:
                    await anyio.sleep(1)
                elif answer:
                    await stream.send(answer)
                    await anyio.sleep(0.05)

        network = TcpNetwork()
        listening = await network.listen(HOST, 0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listening.serve, serve, tasks)
            with pytest.raises((Malformed, Unavailable)):
                await open_channel(network, alice, Endpoint(HOST, listening.port), 5)
            tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_nobody_listening_is_unavailable() -> None:
    """Catches an OSError that reaches the node."""
    network = TcpNetwork()
    listening = await network.listen(HOST, 0)
    port = listening.port
    async with anyio.create_task_group() as tasks:
        tasks.cancel_scope.cancel()
        await listening.serve(lambda stream, host: anyio.sleep(0), tasks)
    with pytest.raises(Unavailable, match="does not answer"):
        alice = make_credentials(identity("alice"), NETWORK)
        await open_channel(network, alice, Endpoint(HOST, port), 5)


@pytest.mark.anyio
async def test_half_open_places_are_lost_by_the_busiest_address_first() -> None:
    """Catches F-30: one host's half-open dials that starve everybody else."""
    refused: Counter[str] = Counter()
    places = HalfOpenPlaces(refused, limit=4)
    ended: list[str] = []

    async def hold(host: str, name: str) -> None:
        with places.place(host):
            await anyio.sleep(5)
        ended.append(name)

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(hold, "6.6.6.6", f"attacker {number}")
            await anyio.sleep(0.01)
        tasks.start_soon(hold, "1.2.3.4", "honest")
        await anyio.sleep(0.01)
        for number in range(3, 20):
            tasks.start_soon(hold, "6.6.6.6", f"attacker {number}")
            await anyio.sleep(0.01)
        assert len(places) == 4
        assert "honest" not in ended
        assert ended[0] == "attacker 0"
        assert refused["too many half-open"] == 17
        tasks.cancel_scope.cancel()
