"""The address book: the endpoints that a node knows, and how it came to know each of them.

An endpoint is the operator's own word (a peer of the configuration, a seed, one that was added), a
place where a node has answered us, or hearsay. The first two are kept for good; hearsay is bounded
for each peer that tells of it, forgotten after a time, and never pushes anything else out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Final

from attrs import define, field, frozen

from metanode.protocol.peers.endpoints import Endpoint, network_kind
from spec.parameters import Preset

MAX_KNOWN: Final = 4096
"""Endpoints held; bounds the memory that gossip can take."""
MAX_REACHED: Final = 2048
"""Endpoints kept for good because somebody answered there, holders not counted."""
DOUBTFUL_FAILURES: Final = 4
"""Failed dials in a row after which an endpoint is dialled no sooner than hearsay."""


@frozen
class PeerRecord:
    """What the peer store keeps of an endpoint: who answered there, and when that last was.

    ``added``: the operator has added it while the node ran. ``node_id`` is None as long as nobody
    has answered.
    """

    endpoint: Endpoint
    seen_at: float
    node_id: bytes | None = None
    added: bool = False
    holder: bool = False


@define
class Known:
    """An endpoint that may be dialled.

    ``node_id`` is the node that answered there, at ``reached_at`` for the last time; ``teller`` is
    the peer whose word it is until then.
    """

    seen_at: float
    node_id: bytes | None = None
    reached_at: float = -math.inf
    teller: bytes | None = None
    failures: int = 0
    not_before: float = -math.inf


@define
class AddressBook:
    """Everything is bounded; ``fraction()`` is uniform in [0, 1) and spreads the waits."""

    preset: Preset
    fraction: Callable[[], float]
    holders: frozenset[bytes] = frozenset()
    entries: dict[Endpoint, Known] = field(factory=dict)
    pinned: set[Endpoint] = field(factory=set)
    _told: dict[bytes, dict[Endpoint, None]] = field(factory=dict)

    def __contains__(self, endpoint: Endpoint) -> bool:
        """Tell whether an endpoint is known."""
        return endpoint in self.entries

    def __iter__(self) -> Iterator[Endpoint]:
        """Yield the endpoints in the order they were learnt."""
        return iter(self.entries)

    # --- what is learnt ---

    def pin(self, endpoint: Endpoint, now: float) -> None:
        """Take the operator's word for an endpoint: it stays until it is unpinned."""
        self.pinned.add(endpoint)
        self._believe(endpoint, self.entries.setdefault(endpoint, Known(now)))

    def unpin(self, endpoint: Endpoint) -> None:
        """Drop the operator's word; an endpoint that never answered goes with it."""
        self.pinned.discard(endpoint)
        if (known := self.entries.get(endpoint)) is not None and known.node_id is None:
            self._remove(endpoint)

    def restore(self, record: PeerRecord) -> None:
        """Take a record of the store, whatever its age."""
        if len(self.entries) < MAX_KNOWN:
            known = self.entries.setdefault(record.endpoint, Known(record.seen_at))
            known.node_id, known.reached_at = record.node_id, record.seen_at
            self._believe(record.endpoint, known)

    def hear(self, endpoint: Endpoint, teller: bytes, now: float) -> bool:
        """Take a peer's word for an endpoint; tells whether there was room for it.

        A peer that has told of too many which do not answer gives up the oldest that was tried.
        """
        if (known := self.entries.get(endpoint)) is not None:
            known.seen_at = max(known.seen_at, now)
            return True
        told = self._told.get(teller, {})
        if len(told) >= self.preset.hearsay_per_source:
            tried = next((e for e in told if self.entries[e].failures), None)
            if tried is None:
                return False
            self._remove(tried)
        if len(self.entries) >= MAX_KNOWN:
            if told:  # its own word makes room first
                self._remove(next(iter(told)))
            elif not self._make_room():
                return False
        self.entries[endpoint] = Known(now, teller=teller)
        self._told.setdefault(teller, {})[endpoint] = None
        return True

    def answered(
        self, endpoint: Endpoint, node_id: bytes, now: float, linked_since: float
    ) -> bool:
        """Note that a node answered; tells whether it is news.

        Where the node answered before its present link began, in a network of the same kind, it
        listens no more: a peer that has moved loses its old endpoint.
        """
        known = self.entries.get(endpoint)
        if known is None:
            if len(self.entries) >= MAX_KNOWN and not self._make_room():
                return False
            known = self.entries[endpoint] = Known(now)
        news = known.node_id is None
        known.node_id, known.reached_at, known.seen_at = node_id, now, now
        known.failures = 0
        self._believe(endpoint, known)
        kind = _family(endpoint)
        for other, rest in list(self.entries.items()):
            if other == endpoint or rest.node_id != node_id or _family(other) != kind:
                continue
            if rest.reached_at < linked_since and other not in self.pinned:
                self._remove(other)
        self._bound_reached()
        return news

    def failed(self, endpoint: Endpoint, now: float, linked: Container[bytes]) -> None:
        """Note a failed dial; a place that its node has left for another one is forgotten."""
        known = self.entries.get(endpoint)
        if known is None:
            return
        self.back_off(known, now)
        if known.node_id is None or endpoint in self.pinned:
            return
        moved = known.node_id in linked or any(
            other.node_id == known.node_id and other.reached_at > known.reached_at
            for other in self.entries.values()
        )
        if moved:
            self._remove(endpoint)

    def back_off(self, known: Known, now: float) -> None:
        """Let the next dial wait twice as long as the last, with jitter, up to a bound."""
        doubled = self.preset.backoff_first_s * 2 ** min(known.failures, 30)
        known.failures += 1
        # Jitter keeps nodes that lost each other at one moment from meeting in one moment for ever.
        known.not_before = now + min(doubled, self.preset.backoff_longest_s) * (
            0.5 + 0.5 * self.fraction()
        )

    def drop(self, endpoint: Endpoint) -> None:
        """Forget an endpoint, whoever's word it is."""
        self.pinned.discard(endpoint)
        self._remove(endpoint)

    def forget_old(self, now: float, busy: Container[Endpoint]) -> None:
        """Drop hearsay that nobody has repeated for long, or that a clock set back has dated."""
        for endpoint in [each for told in self._told.values() for each in told]:
            age = now - self.entries[endpoint].seen_at
            if endpoint not in busy and not 0 <= age < self.preset.peer_forget_s:
                self._remove(endpoint)

    # --- questions ---

    def endpoints_of(self, node_id: bytes) -> list[Endpoint]:
        """Return where a node has answered, the latest first."""
        found = [(k.reached_at, e) for e, k in self.entries.items() if k.node_id == node_id]
        return [endpoint for _, endpoint in sorted(found, reverse=True)]

    def fresh(self, now: float, but: bytes, linked: Container[bytes]) -> list[Endpoint]:
        """Return what others may be told: where a node answered lately, one place a node."""
        latest: dict[bytes, Endpoint] = {}
        for endpoint, known in self.entries.items():
            node_id = known.node_id
            if node_id is None or node_id == but:
                continue
            lately = node_id in linked or 0 <= now - known.reached_at < self.preset.peer_forget_s
            rival = latest.get(node_id)
            if lately and (rival is None or self.entries[rival].reached_at < known.reached_at):
                latest[node_id] = endpoint
        return list(latest.values())

    def rank(self, endpoint: Endpoint) -> int:
        """Return how early an endpoint is dialled: 0 first, 2 with hearsay."""
        known = self.entries[endpoint]
        if endpoint in self.pinned or known.node_id in self.holders:
            return 0
        return 1 if known.node_id is not None and known.failures < DOUBTFUL_FAILURES else 2

    def reached_nodes(self) -> int:
        """Return how many nodes have answered."""
        return len({known.node_id for known in self.entries.values()} - {None})

    def records(self, added: Iterable[Endpoint]) -> tuple[PeerRecord, ...]:
        """Return what the store should keep: the operator's additions, holders, the newest."""
        own = frozenset(added)
        records = [
            PeerRecord(e, k.seen_at, k.node_id, e in own, k.node_id in self.holders)
            for e, k in self.entries.items()
            if k.node_id is not None and e not in own
        ]
        records.sort(key=lambda each: (not each.holder, -each.seen_at, each.endpoint))
        return (
            *(PeerRecord(endpoint, 0.0, None, True) for endpoint in sorted(own)), *records
        )

    # --- bounds ---

    def _believe(self, endpoint: Endpoint, known: Known) -> None:
        """Take an endpoint out of what is only a peer's word."""
        if known.teller is not None:
            self._untell(endpoint, known.teller)
            known.teller = None

    def _untell(self, endpoint: Endpoint, teller: bytes) -> None:
        told = self._told.get(teller, {})
        told.pop(endpoint, None)
        if not told:
            self._told.pop(teller, None)

    def _remove(self, endpoint: Endpoint) -> None:
        known = self.entries.pop(endpoint, None)
        if known is not None and known.teller is not None:
            self._untell(endpoint, known.teller)

    def _make_room(self) -> bool:
        """Drop the first word of the peer that has told most."""
        loudest = max(self._told.values(), key=len, default={})
        if not loudest:
            return False
        self._remove(next(iter(loudest)))
        return True

    def _bound_reached(self) -> None:
        """Keep the newest of the places that are neither a holder's nor the operator's word."""
        reached = [
            (known.seen_at, endpoint)
            for endpoint, known in self.entries.items()
            if known.node_id is not None
            and known.node_id not in self.holders
            and endpoint not in self.pinned
        ]
        if len(reached) > MAX_REACHED:
            self._remove(min(reached)[1])


def _family(endpoint: Endpoint) -> tuple[str | None, bool]:
    return network_kind(endpoint.host), ":" in endpoint.host
