"""Endpoints: where a peer listens, written ``host:port`` or ``[ipv6]:port``.

Endpoints arrive from strangers, so parsing is strict and gives one canonical form. Host names are
only for the operator's configuration; gossip carries addresses. The groups at the end bound how
much of the node's attention one network can take.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from attrs import evolve, frozen

MAX_TEXT_CHARACTERS: Final = 280
MAX_PORT: Final = 65_535
_HOST_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", re.ASCII
)
_PORT: Final = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)
_IPV4_SUBNET_BITS: Final = 24
_IPV6_SITE_BITS: Final = 48
_IPV6_SUBNET_BITS: Final = 32

GLOBAL: Final = "global"
PRIVATE: Final = "private"
LOOPBACK: Final = "loopback"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@frozen(order=True)
class Endpoint:
    """A host (address in canonical form, or a lower-case name) and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return the canonical text, which :func:`parse_endpoint` reads back."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def address(self) -> Address | None:
        """The IP address, or None for a host name."""
        return _address(self.host)

    @property
    def is_self_announcement(self) -> bool:
        """Whether the host is unspecified: "me, at the address that you see", in a keepalive."""
        address = self.address
        return address is not None and address.is_unspecified

    def seen_at(self, host: str) -> Endpoint:
        """Return this endpoint with the host that the link shows."""
        return evolve(self, host=canonical_host(host))


@lru_cache(maxsize=1 << 14)
def _address(host: str) -> Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def canonical_host(host: str) -> str:
    """Return a host in its one form: IPv4 written inside IPv6 becomes IPv4, names are lower-case.

    Raises ValueError when it is neither an address nor a host name.
    """
    address = _address(host)
    if address is not None:
        return str(address)
    name = host.lower()
    # A last label of digits is an address that somebody wrote in another way (1.2.3, 0x7f.1).
    if _HOST_NAME.fullmatch(name) is None or name.rsplit(".", 1)[-1][:1].isdigit():
        raise ValueError(f"{host!r} is neither an address nor a host name")
    return name


@lru_cache(maxsize=1 << 14)
def parse_endpoint(text: str, allow_names: bool = False, any_port: bool = False) -> Endpoint:
    """Return the endpoint that ``text`` writes; ValueError says in short why it is none.

    Host names only when ``allow_names``; port 0, the system's choice, only when ``any_port``.
    """
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ValueError("an endpoint is not so long")
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if ":" in host and not bracketed:
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets, [host]:port")
    lowest = 0 if any_port else 1
    number = int(port) if colon and host and _PORT.fullmatch(port) else -1
    if not lowest <= number <= MAX_PORT:
        raise ValueError(f"{text!r} is not host:port with a port from {lowest} to {MAX_PORT}")
    host = host[1:-1] if bracketed else host
    if bracketed and ":" not in host:
        raise ValueError(f"{text!r}: brackets are for IPv6 addresses")
    endpoint = Endpoint(canonical_host(host), number)
    if endpoint.address is None and not allow_names:
        raise ValueError(f"{text!r}: an address is needed, not a host name")
    return endpoint


@lru_cache(maxsize=1 << 14)
def network_kind(host: str) -> str | None:
    """Return which kind of network ``host`` lies in: global, private or loopback.

    None where nobody can listen: a name, an unspecified, multicast, broadcast or reserved address.
    """
    address = _address(host)
    if address is None or address.is_unspecified or address.is_multicast:
        return None
    if address.is_loopback:
        return LOOPBACK
    if str(address) == "255.255.255.255":
        return None
    if address.is_private or address.is_link_local:
        return PRIVATE
    return GLOBAL if address.is_global and not address.is_reserved else None


def kinds_of(endpoints: Iterable[Endpoint]) -> frozenset[str]:
    """Return the kinds of network that a node with these endpoints takes part in.

    That is the public one, and those in which its operator's own endpoints lie.
    """
    kinds = {network_kind(endpoint.host) for endpoint in endpoints}
    return frozenset({GLOBAL, *(kind for kind in kinds if kind is not None)})


def is_dialable(endpoint: Endpoint, kinds: frozenset[str]) -> bool:
    """Tell whether an endpoint heard from a peer may be dialled by a node of these networks.

    Private networks and the loopback only where the operator is in them, or a stranger could point
    the node at services inside the operator's network.
    """
    return network_kind(endpoint.host) in kinds


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` is an address of the machine itself."""
    return network_kind(host) == LOOPBACK


def ip_group(host: str) -> str:
    """Return what counts as one IP: the IPv4 address, the /48 of an IPv6 address, or the name."""
    return _network(host, 32, _IPV6_SITE_BITS)


def subnet_group(host: str) -> str:
    """Return what counts as one subnet: the /24 of an IPv4 address, the /32 of an IPv6 one."""
    return _network(host, _IPV4_SUBNET_BITS, _IPV6_SUBNET_BITS)


@lru_cache(maxsize=1 << 14)
def _network(host: str, ipv4_bits: int, ipv6_bits: int) -> str:
    address = _address(host)
    if address is None:
        return host
    bits = ipv4_bits if address.version == 4 else ipv6_bits
    return str(ipaddress.ip_network((address, bits), strict=False))
