"""Where this node can be reached: what its operator says, what its peers see, and whether it works.

A node on all addresses announces its port alone; the other end puts the address there that it sees.
That serves direct peers. So each end also tells the other which address it sees, and what enough
peers of different networks agree on is announced as well.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from attrs import define, field

from metanode.protocol.peers.endpoints import (
    LOOPBACK,
    Endpoint,
    canonical_host,
    is_dialable,
    kinds_of,
    network_kind,
    subnet_group,
)
from spec.parameters import Preset

MAX_ANNOUNCED: Final = 3
"""Own endpoints in a keepalive; the rest of its places are for others."""


@define
class OwnAddress:
    """``listening`` is where the node is bound (None: it takes no links); ``advertised`` are the
    endpoints that its operator told it to announce instead.
    """

    preset: Preset
    listening: Endpoint | None
    now: float
    advertised: tuple[Endpoint, ...] = ()
    inbound: int = 0
    _seen: dict[bytes, tuple[str, str]] = field(factory=dict)
    _reached: dict[Endpoint, bool | bytes] = field(factory=dict)

    # --- what happens ---

    def seen(self, node_id: bytes, peer_host: str, host: str) -> None:
        """Note the address that a linked peer sees; anything but an address counts for nothing."""
        try:
            address = canonical_host(host)
        except ValueError:
            return
        if is_dialable(Endpoint(address, 1), kinds_of([Endpoint(peer_host, 1)])):
            self._seen[node_id] = (address, subnet_group(peer_host))

    def unlinked(self, node_id: bytes) -> None:
        """Forget what a peer saw."""
        self._seen.pop(node_id, None)

    def tried(self, endpoint: Endpoint, reached: bool | bytes) -> None:
        """Note what came of dialling an own endpoint: ourselves, nobody, or another node's id."""
        self._reached[endpoint] = reached

    # --- questions ---

    @property
    def learnt(self) -> str | None:
        """The address that most peers see and that enough networks agree on."""
        votes = Counter(address for address, _ in self._seen.values())
        if not votes:
            return None
        address, number = votes.most_common(1)[0]
        networks = {network for host, network in self._seen.values() if host == address}
        agreed = len(networks) >= self.preset.own_address_witnesses and 2 * number > len(self._seen)
        return address if agreed else None

    def announced(self) -> tuple[Endpoint, ...]:
        """Return what others are told about where this node listens."""
        own, learnt = self.listening, self.learnt
        if self.advertised:
            told = list(self.advertised[:MAX_ANNOUNCED])
        elif own is None or own.address is None:
            return ()  # nowhere, or a name that does not resolve
        elif learnt is None or network_kind(own.host) == LOOPBACK or learnt == own.host:
            told = [own]
        else:
            told = [own, Endpoint(learnt, own.port)]
        # Port 0 was left to the system: it is known once the node is bound.
        bound = 0 if own is None else own.port
        return tuple(Endpoint(e.host, e.port or bound) for e in told if e.port or bound)

    def to_try(self, now: float) -> tuple[Endpoint, ...]:
        """Return the own endpoints to be dialled once, as nobody has come in for long."""
        if self.inbound or now - self.now < self.preset.reachable_after_s:
            return ()
        return tuple(
            each
            for each in self.announced()
            if each not in self._reached and network_kind(each.host) is not None
        )

    def fault(self, linked: int) -> str | None:
        """Return why nobody seems to reach this node, with the mend, or None."""
        for endpoint in self.announced():
            reached = self._reached.get(endpoint)
            if isinstance(reached, bytes):
                return (
                    f"{endpoint} leads to another node, {reached.hex()[:16]}: correct "
                    "node.advertise, or the forwarding of the port"
                )
            if reached is False and linked and not self.inbound:
                return (
                    f"no peer has come in by {endpoint}, and this node does not reach itself "
                    "there: open the port to the other members, or correct node.advertise"
                )
        return None

    def report(self, linked: int) -> dict[str, Any]:
        """Return what the operator sees."""
        votes = Counter(address for address, _ in self._seen.values())
        return {
            "announced": [str(endpoint) for endpoint in self.announced()],
            "learnt": self.learnt,
            "seen_by_peers": dict(votes.most_common()),
            "inbound": self.inbound,
            "fault": self.fault(linked),
        }
