"""Endpoints have one canonical form."""

from __future__ import annotations

import pytest

from metanode.protocol.peers.endpoints import (
    Endpoint,
    ip_group,
    is_dialable,
    is_loopback,
    kinds_of,
    parse_endpoint,
    subnet_group,
)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1.2.3.4:5", "1.2.3.4:5"),
        ("[2001:DB8:0:0::1]:65535", "[2001:db8::1]:65535"),
        ("[::ffff:1.2.3.4]:80", "1.2.3.4:80"),
        ("[::]:7", "[::]:7"),
    ],
)
def test_addresses_have_one_form(text: str, canonical: str) -> None:
    """Catches one peer that is known under two names."""
    assert str(parse_endpoint(text)) == canonical
    assert parse_endpoint(canonical) == parse_endpoint(text)


def test_names_are_for_the_configuration() -> None:
    """Catches a stranger who makes the node resolve names."""
    assert parse_endpoint("Peer.Example.org:1", allow_names=True).host == "peer.example.org"
    with pytest.raises(ValueError, match="name"):
        parse_endpoint("peer.example.org:1")


def test_a_self_announcement_takes_the_address_of_the_link() -> None:
    """Catches a node behind a changing address that cannot say where it listens."""
    announced = parse_endpoint("[::]:7000")
    assert announced.is_self_announcement
    assert announced.seen_at("::ffff:9.9.9.9") == Endpoint("9.9.9.9", 7000)


def test_groups_bound_what_one_network_can_take() -> None:
    """Catches limits that an IPv6 site walks around with its addresses."""
    assert ip_group("1.2.3.4") != ip_group("1.2.3.5")
    assert ip_group("2001:db8:1:2::3") == ip_group("2001:db8:1:ffff::")
    assert ip_group("2001:db8:1::") != ip_group("2001:db8:2::")
    assert subnet_group("1.2.3.4") == subnet_group("1.2.3.250")
    assert subnet_group("1.2.3.4") != subnet_group("1.2.4.4")
    assert is_loopback("127.0.0.9")
    assert is_loopback("::1")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.1.1", "::1", "fe80::1"]
)
def test_private_addresses_are_dialled_in_local_networks_only(host: str) -> None:
    """Catches a stranger who points the node at services inside the operator's network."""
    assert not is_dialable(Endpoint(host, 1), kinds_of([]))
    assert is_dialable(Endpoint(host, 1), kinds_of([Endpoint(host, 2)]))


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1", "x.org"]
)
def test_some_hosts_are_never_dialled(host: str) -> None:
    """Catches a dial to everybody or to nobody."""
    own = kinds_of([Endpoint(host, 1), Endpoint("127.0.0.1", 1), Endpoint("10.0.0.1", 1)])
    assert not is_dialable(Endpoint(host, 1), own)


def test_public_addresses_are_dialled() -> None:
    """Catches a filter that lets nothing through."""
    assert is_dialable(Endpoint("8.8.8.8", 1), kinds_of([]))
    assert is_dialable(Endpoint("2606:4700::1", 1), kinds_of([]))


def test_a_private_network_opens_itself_and_not_the_loopback() -> None:
    """Catches a stranger in the operator's network who points the node at its own services."""
    inside = kinds_of([Endpoint("0.0.0.0", 7000), Endpoint("10.0.0.1", 7000)])
    assert is_dialable(Endpoint("192.168.1.1", 7000), inside)
    assert not is_dialable(Endpoint("127.0.0.1", 22), inside)
    assert not is_dialable(Endpoint("10.0.0.1", 1), kinds_of([Endpoint("127.0.0.1", 7000)]))
