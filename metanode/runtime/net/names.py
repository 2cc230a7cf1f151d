"""Host names: what they stand for, asked of the system's resolver, bounded in time and number."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from metanode.errors import Unavailable, UserError
from metanode.protocol.peers.endpoints import LOOPBACK, Endpoint, canonical_host, network_kind
from metanode.protocol.peers.names import MAX_ADDRESSES

RESOLVE_TIMEOUT_S: Final = 10.0

Resolver = Callable[[Endpoint], Awaitable[tuple[Endpoint, ...]]]
"""From a name with a port to the endpoints that it stands for; Unavailable says why there are none.
"""


async def resolve(name: Endpoint) -> tuple[Endpoint, ...]:
    """Return all addresses of a name, each with the name's port, both families.

    Raises Unavailable when it does not resolve, or not in time.
    """
    if name.address is not None:
        return (name,)
    try:
        with anyio.fail_after(RESOLVE_TIMEOUT_S):
            answers = await anyio.getaddrinfo(name.host, name.port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise Unavailable(f"no answer about {name.host} within {RESOLVE_TIMEOUT_S:g} s") from error
    except (OSError, UnicodeError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise Unavailable(f"{name.host} does not resolve ({cause})") from error
    found: dict[Endpoint, None] = {}
    for *_, address in answers:
        try:
            found[Endpoint(canonical_host(str(address[0])), name.port)] = None
        except ValueError:
            continue  # an address with a scope is this machine's business only
    usable = tuple(each for each in found if network_kind(each.host) is not None)
    if not usable:
        raise Unavailable(f"{name.host} has no address that anybody could dial")
    return usable[:MAX_ADDRESSES]


async def resolve_own(key: str, name: Endpoint, resolver: Resolver = resolve) -> None:
    """Raise UserError, with the mend, when the name that a node is to announce does not resolve."""
    try:
        await resolver(name)
    except Unavailable as fault:
        raise UserError(
            f"{key}: {fault}: correct the name or its DNS record, or write an address there"
        ) from fault


def loopback_fault(preset: str, listen: Endpoint, advertise: Endpoint | None) -> str | None:
    """Return what is wrong with a mainnet node that only its own machine can reach, or None."""
    if preset != "mainnet":
        return None
    for key, endpoint in (("node.advertise", advertise), ("node.listen", listen)):
        if endpoint is not None and _is_loopback(endpoint):
            return (
                f"{key} is {endpoint}, which only this machine can reach: "
                "give an address that the other members can dial"
            )
    return None


def _is_loopback(endpoint: Endpoint) -> bool:
    return endpoint.host == "localhost" or network_kind(endpoint.host) == LOOPBACK
