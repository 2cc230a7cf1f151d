"""Who is refused: strangers that misbehaved or are blocked on evidence, and the addresses of such.

Holders are never refused (F-08): what they did is scored and shown, and their link stays. Only what
a peer did itself counts: what came over its own link, or what it has signed. A peer is scored by
its node id; who has not proved one, by its address. Identities cost nothing, so an identity that is
excluded costs its address a point too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from attrs import define, field

from metanode.protocol.peers.address_book import AddressBook
from metanode.protocol.peers.endpoints import ip_group, is_loopback
from metanode.protocol.peers.exclusion import ExclusionTable
from spec.parameters import Preset

EXCLUDED: Final = "excluded after misbehaviour"
BLOCKED: Final = "blocked on evidence"
SHOWN: Final = 100
"""Entries that the operator sees, of a table that may hold thousands; the newest come first."""


@define
class Standing:
    """``local``: the loopback is where our own network is, so that it names nobody.

    ``blocked`` are the peers of the block list, ``holders`` those who must not be refused,
    ``trusted`` the addresses of holders and those that the operator named: a liar behind the same
    address must not be able to keep those out.
    """

    preset: Preset
    book: AddressBook
    local: bool = False
    holders: frozenset[bytes] = frozenset()
    blocked: frozenset[bytes] = frozenset()
    trusted: frozenset[str] = frozenset()
    table: ExclusionTable = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.table = ExclusionTable(self.preset)

    def offend(
        self, now: float, why: str, node_id: bytes | None, host: str | None, points: int = 1
    ) -> bool:
        """Score misbehaviour; tells whether the peer is excluded by it and was not before."""
        if node_id is None:
            return host is not None and self._offend_address(now, why, host, points)
        key = node_id.hex()
        before = self.table.excluded(key, now)
        self.table.add(key, now, points, why)
        is_new = self.table.excluded(key, now) and not before
        if is_new and node_id not in self.holders and host is not None:
            self._offend_address(now, f"{key[:16]} there was excluded: {why}", host, 1)
        return is_new

    def _offend_address(self, now: float, why: str, host: str, points: int) -> bool:
        group = ip_group(host)
        if (self.local and is_loopback(host)) or group in self.trusted:
            return False
        before = self.table.excluded(group, now)
        self.table.add(group, now, points, why)
        return self.table.excluded(group, now) and not before

    def know(self, holders: frozenset[bytes], local: bool, hosts: Iterable[str]) -> None:
        """Take up who holds a share now, and find the addresses that are trusted: where holders
        listen, where they came from (``hosts``), and what the operator named.
        """
        self.holders, self.local = holders, local
        listening = (
            endpoint.host
            for endpoint, known in self.book.entries.items()
            if endpoint in self.book.pinned or known.node_id in holders
        )
        self.trusted = frozenset(ip_group(host) for host in (*listening, *hosts))

    def refuses(self, host: str | None, now: float, node_id: bytes | None) -> str | None:
        """Return why a link with a peer, or with an address, is not wanted, or None."""
        if node_id is not None:
            if node_id in self.holders:
                return None
            if node_id in self.blocked:
                return BLOCKED
            if self.table.excluded(node_id.hex(), now):
                return EXCLUDED
        if host is None or not self.table.excluded(ip_group(host), now):
            return None
        return None if ip_group(host) in self.trusted else EXCLUDED

    def pardon(self, key: str) -> bool:
        """Forget the score of a node id in hex, or of an address as it is shown."""
        return self.table.pardon(key)

    def report(self, now: float) -> list[dict[str, Any]]:
        """Return who has a score: who, of what, until when it is excluded, and whether it bites."""
        holders = {holder.hex() for holder in self.holders}
        return [
            {
                "who": entry.key,
                "points": entry.points,
                "why": entry.why,
                "at": round(entry.at),
                "until": None if entry.until is None else round(entry.until),
                "link": "kept: it holds a share" if entry.key in holders
                else "refused" if entry.until is not None else "allowed",
            }
            for entry in self.table.entries(now)[:SHOWN]
        ]
