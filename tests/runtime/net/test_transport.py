"""TLS channels between nodes of one network, on both backends."""

from __future__ import annotations

import ssl
from pathlib import Path

import anyio
import pytest
from anyio.abc import AnyByteStream
from anyio.streams.tls import TLSAttribute

from metanode.errors import Malformed, UserError
from metanode.protocol.peers.endpoints import Endpoint
from metanode.runtime.net.certificates import (
    ALPN,
    Credentials,
    make_credentials,
    verify_peer_certificate,
)
from metanode.runtime.net.transport import Channel, TcpNetwork, open_channel, secure
from tests.runtime.net.support import HOST, NETWORK, identity

pytestmark = pytest.mark.anyio


async def channels(client: Credentials, server: Credentials) -> tuple[Channel, Channel]:
    """Return both ends of one channel over the loopback."""
    network = TcpNetwork()
    accepted: list[Channel] = []
    listening = await network.listen(HOST, 0)

    async def accept(stream: AnyByteStream, host: str) -> None:
        accepted.append(await secure(stream, host, server, is_server=True))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listening.serve, accept, tasks)
        dialled = await open_channel(network, client, Endpoint(HOST, listening.port), 5)
        with anyio.fail_after(5):
            while not accepted:
                await anyio.sleep(0.005)
        tasks.cancel_scope.cancel()
    return dialled, accepted[0]


async def test_both_ends_know_each_others_identity_and_key() -> None:
    """Catches a channel whose ends see different identities or fingerprints."""
    alice = make_credentials(identity("alice"), NETWORK)
    bob = make_credentials(identity("bob"), NETWORK)
    dialled, accepted = await channels(alice, bob)
    assert dialled.peer_id == bob.identity.node_id
    assert accepted.peer_id == alice.identity.node_id
    assert dialled.peer_fingerprint == bob.fingerprint
    assert accepted.peer_fingerprint == alice.fingerprint
    assert accepted.host == HOST
    await accepted.send(b"hello")
    assert await dialled.receive() == b"hello"
    await dialled.close()
    with pytest.raises(anyio.EndOfStream):
        await accepted.receive()
    await accepted.close()


async def test_the_channel_is_tls_1_3_with_our_protocol() -> None:
    """Catches a downgrade, or a channel that speaks something else."""
    dialled, accepted = await channels(
        make_credentials(identity("alice"), NETWORK), make_credentials(identity("bob"), NETWORK)
    )
    for channel in (dialled, accepted):
        assert channel.stream.extra(TLSAttribute.tls_version) == "TLSv1.3"
        assert channel.stream.extra(TLSAttribute.alpn_protocol) == ALPN
        await channel.close()


async def test_a_port_in_use_is_named_in_one_line() -> None:
    """Catches a traceback where the operator needs a sentence."""
    network = TcpNetwork()
    listening = await network.listen(HOST, 0)

    async def never(stream: AnyByteStream, host: str) -> None:
        raise AssertionError

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listening.serve, never, tasks)
        with pytest.raises(UserError, match=f"port {listening.port} on {HOST} is in use"):
            await network.listen(HOST, listening.port)
        tasks.cancel_scope.cancel()


async def test_an_address_that_is_not_ours_is_named_too() -> None:
    """Catches another error for a host that cannot be bound."""
    with pytest.raises(UserError, match="cannot be opened"):
        await TcpNetwork().listen("192.0.2.1", 0)


def test_each_start_has_a_new_channel_key_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a private key left on the disk, and one key for two runs."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first = make_credentials(identity("alice"), NETWORK)
    second = make_credentials(identity("alice"), NETWORK)
    assert first.fingerprint != second.fingerprint
    assert list(tmp_path.iterdir()) == []


def test_both_sides_require_a_certificate_and_servers_give_no_tickets() -> None:
    """Catches a context that lets a nameless client in, or resumes without proof."""
    credentials = make_credentials(identity("alice"), NETWORK)
    for context in (credentials.server_context, credentials.client_context):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert credentials.server_context.num_tickets == 0


def test_the_secret_is_not_in_the_repr() -> None:
    """Catches a key in a log line."""
    credentials = make_credentials(identity("alice"), NETWORK)
    assert str(int.from_bytes(credentials.identity.secret_bytes(), "big")) not in repr(credentials)


def test_verification_needs_a_certificate() -> None:
    """Catches None taken for somebody."""
    with pytest.raises(Malformed, match="missing"):
        verify_peer_certificate(None, NETWORK)
