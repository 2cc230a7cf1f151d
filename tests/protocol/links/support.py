"""Shared by the handshake tests: nodes with link tables and a channel between two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from attrs import define, field

from metanode.identity import Identity
from metanode.protocol.links.handshake import Handshakes, Link, LinkTerms
from metanode.protocol.wire.codec import Codec
from spec.messages import HANDSHAKE_MESSAGES
from spec.parameters import MAINNET
from tests.support import entropy

NETWORK = bytes(range(32))
CODEC = Codec(HANDSHAKE_MESSAGES)


@define(eq=False)
class Node:
    """One node: an identity, a channel fingerprint and its link table."""

    name: str
    network: bytes = NETWORK
    identity: Identity = field(init=False)
    fingerprint: bytes = field(init=False)
    table: Handshakes = field(init=False)
    trace: list[list[dict[str, Any]]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        digest = hashlib.sha256(self.name.encode()).digest()
        self.identity = Identity.from_secret(int.from_bytes(digest, "big") % 2**255 + 1)
        self.fingerprint = hashlib.sha256(digest).digest()
        terms = LinkTerms(self.identity, self.network, self.fingerprint, MAINNET)
        self.table = Handshakes(terms, entropy(self.name), self.trace.append)

    @property
    def node_id(self) -> bytes:
        """The node's id."""
        return self.identity.node_id

    def connect(
        self, peer: Node, *, outbound: bool, now: float = 0.0
    ) -> tuple[Link, tuple[bytes, ...]]:
        """Start on a fresh channel with ``peer``, whose certificate TLS has checked."""
        return self.table.connect(
            outbound=outbound,
            host="1.2.3.4",
            certified_id=peer.node_id,
            peer_fingerprint=peer.fingerprint,
            now=now,
        )


def relay(
    first: Node,
    first_link: Link,
    second: Node,
    second_link: Link,
    to_second: Iterable[bytes],
    to_first: Iterable[bytes],
    now: float = 0.0,
) -> None:
    """Carry frames between two ends until nothing is on the way any more."""
    towards_second, towards_first = list(to_second), list(to_first)
    while towards_second or towards_first:
        if towards_second:
            towards_first += second.table.receive(second_link, towards_second.pop(0), now)
        if towards_first:
            towards_second += first.table.receive(first_link, towards_first.pop(0), now)


def linked(dialler: Node, listener: Node, now: float = 0.0) -> tuple[Link, Link]:
    """Run a whole handshake and return both ends."""
    dialled, first = dialler.connect(listener, outbound=True, now=now)
    accepted, second = listener.connect(dialler, outbound=False, now=now)
    relay(dialler, dialled, listener, accepted, first, second, now)
    return dialled, accepted


def ordered(*names: str) -> list[Node]:
    """Return nodes sorted by id, so that tests know who is the smaller."""
    return sorted((Node(name) for name in names), key=lambda node: node.node_id)
