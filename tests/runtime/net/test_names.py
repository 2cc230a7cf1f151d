"""Names and both families on real sockets; the resolver is the tests' own, not the machine's."""

from __future__ import annotations

import socket
from typing import Any

import anyio
import pytest

from metanode.errors import Unavailable, UserError
from metanode.protocol.peers.endpoints import Endpoint
from metanode.runtime.net import names
from metanode.runtime.net.names import loopback_fault, resolve, resolve_own
from metanode.runtime.net.transport import TcpNetwork

pytestmark = pytest.mark.anyio
NAME = Endpoint("peer.example.org", 7000)


def answers(
    monkeypatch: pytest.MonkeyPatch, *addresses: str, fault: Exception | None = None
) -> None:
    """Let the machine's resolver answer with these addresses, or fail."""

    async def getaddrinfo(host: str, port: int, **_options: Any) -> list[Any]:
        if fault is not None:
            raise fault
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    monkeypatch.setattr(names.anyio, "getaddrinfo", getaddrinfo)


async def test_a_name_resolves_to_all_its_addresses_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a peer that is dialled at one of its addresses only, or twice at one."""
    answers(monkeypatch, "20.1.1.1", "2600::1", "::ffff:20.1.1.1", "0.0.0.0", "fe80::1%eth0")
    assert await resolve(NAME) == (Endpoint("20.1.1.1", 7000), Endpoint("2600::1", 7000))


async def test_an_address_is_asked_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a look-up of what needs none."""
    answers(monkeypatch, fault=OSError("asked"))
    assert await resolve(Endpoint("20.1.1.1", 5)) == (Endpoint("20.1.1.1", 5),)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (socket.gaierror(-2, "Name or service not known"), "does not resolve (Name or service"),
        (UnicodeError("label too long"), "does not resolve (label too long)"),
        (None, "no address that anybody could dial"),
    ],
)
async def test_a_name_that_stands_for_nothing_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, fault: Exception | None, said: str
) -> None:
    """Catches a traceback of the resolver's, or a name that is dialled as nobody."""
    answers(monkeypatch, "224.0.0.1", fault=fault)
    with pytest.raises(Unavailable) as refused:
        await resolve(NAME)
    assert said in str(refused.value)


async def test_a_resolver_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a start that hangs on the DNS."""

    async def getaddrinfo(*_arguments: Any, **_options: Any) -> list[Any]:
        await anyio.sleep_forever()
        return []

    monkeypatch.setattr(names.anyio, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(names, "RESOLVE_TIMEOUT_S", 0.01)
    with pytest.raises(Unavailable, match="no answer about peer.example.org"):
        await resolve(NAME)


async def test_an_own_name_that_does_not_resolve_is_refused_in_one_line() -> None:
    """Catches a node that announces a name which nobody can dial."""

    async def nobody(_name: Endpoint) -> tuple[Endpoint, ...]:
        raise Unavailable("peer.example.org does not resolve (no such name)")

    with pytest.raises(UserError) as refused:
        await resolve_own("node.advertise", NAME, nobody)
    assert str(refused.value).startswith("node.advertise: peer.example.org does not resolve")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("preset", "listen", "advertise", "key"),
    [
        ("mainnet", "127.0.0.1", None, "node.listen"),
        ("mainnet", "::1", None, "node.listen"),
        ("mainnet", "localhost", None, "node.listen"),
        ("mainnet", "::", "127.0.0.1", "node.advertise"),
        ("mainnet", "::", None, None),
        ("mainnet", "10.0.0.1", "20.1.1.1", None),
        ("devnet", "127.0.0.1", None, None),
    ],
)
def test_a_mainnet_node_that_only_its_own_machine_reaches_is_warned(
    preset: str, listen: str, advertise: str | None, key: str | None
) -> None:
    """Catches the default of the template in a real network, and a warning about a trial."""
    told = None if advertise is None else Endpoint(advertise, 7000)
    fault = loopback_fault(preset, Endpoint(listen, 7000), told)
    assert (fault is None) == (key is None)
    assert fault is None or fault.startswith(f"{key} is ")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="the machine has one family only")
async def test_all_addresses_are_those_of_both_families() -> None:
    """Catches a node on [::] that IPv4 cannot reach."""
    hosts: list[str] = []

    async def note(stream: Any, host: str) -> None:
        hosts.append(host)
        await stream.aclose()

    listening = await TcpNetwork().listen("::", 0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listening.serve, note, tasks)
        for host in ("127.0.0.1", "::1"):
            stream = await anyio.connect_tcp(host, listening.port)
            await stream.aclose()
        with anyio.fail_after(10):
            while len(hosts) < 2:
                await anyio.sleep(0.005)
        tasks.cancel_scope.cancel()
    assert sorted(hosts) == ["127.0.0.1", "::1"]
