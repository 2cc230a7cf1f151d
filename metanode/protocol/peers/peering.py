"""Peering: which endpoints are known, which are dialled, who is told about them.

Sans-IO: the clock and the entropy are arguments, and :meth:`Peering.tick` returns what to do. The
rules and numbers are Nano's. Every table is bounded and nothing that a peer says can push out a
preconfigured peer or a peer with a link.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from attrs import define, frozen

from metanode.protocol.peers.endpoints import (
    Endpoint,
    ip_group,
    is_dialable,
    is_loopback,
    parse_endpoint,
    subnet_group,
)
from metanode.protocol.peers.exclusion import ExclusionTable
from metanode.protocol.peers.mesh import Circle
from spec.parameters import Preset

Entropy = Callable[[int], bytes]
_Item = TypeVar("_Item")
_DRAW_BYTES: Final = 8

MAX_KNOWN: Final = 4096
"""Endpoints held; bounds the memory that gossip can take."""
MAX_OWN: Final = 64
"""Endpoints remembered as our own; somebody who forwards ports to us could make up many."""
KEEPALIVES_READ_A_PERIOD: Final = 8
"""Per peer: a greeting, the two fan-outs, one to spare."""


@frozen
class Dial:
    """Decision: try to connect to ``endpoint``."""

    endpoint: Endpoint


@frozen
class SendKeepalive:
    """Decision: send a keepalive with these endpoints to ``node_id``."""

    node_id: bytes
    endpoints: tuple[Endpoint, ...]


@frozen
class Drop:
    """Decision: end the link with ``node_id``, which is one too many."""

    node_id: bytes


Decision = Dial | SendKeepalive | Drop


@frozen
class PeerRecord:
    """What the peer store keeps of a peer: where it listens, when that last worked (unix s)."""

    endpoint: Endpoint
    seen_at: float


@define
class _Known:
    """An endpoint we may dial; ``node_id`` is the node that answered when we dialled it."""

    seen_at: float
    node_id: bytes | None = None
    failures: int = 0
    not_before: float = -math.inf


@define
class _LinkedPeer:
    host: str
    outbound: bool
    since: float
    keepalives: int = 0


def _due(at: float, longest_s: float, now: float) -> bool:
    """Tell whether a moment has come; one further off than any wait is from a clock set back."""
    return now >= at or at - now > longest_s


class Peering:
    """The peers this node knows and the links it has, as far as dialling is concerned."""

    def __init__(
        self, *, preset: Preset, listening: Endpoint | None, preconfigured: Iterable[Endpoint],
        entropy: Entropy, now: float, allow_private: bool = False,
    ) -> None:
        """Start with the operator's peers; ``listening`` is announced to others unless it is None.

        ``allow_private`` accepts private and loopback addresses from gossip and frees the
        loopback from the limits per address: for local networks.
        """
        self.preset = preset
        self.exclusions = ExclusionTable(preset)
        self.circle = Circle()
        self._allow_private = allow_private
        self._listening = listening
        self._preconfigured = tuple(dict.fromkeys(preconfigured))
        self._entropy = entropy
        self._known: dict[Endpoint, _Known] = {}
        self._attempts: set[Endpoint] = set()
        self._linked: dict[bytes, _LinkedPeer] = {}
        self._own: set[Endpoint] = set()
        self._next_keepalive = now
        self._next_crawl = now
        for endpoint in self._preconfigured:
            self._known[endpoint] = _Known(now)

    # ------------------------------------------------------------------------------ what happens

    def restore(self, records: Iterable[PeerRecord], now: float) -> None:
        """Take the peers of the store; forgotten ones and those dated in the future are dropped."""
        for record in records:
            if 0 <= now - record.seen_at < self.preset.peer_forget_s:
                self._learn(record.endpoint, record.seen_at)

    def snapshot(self, now: float) -> tuple[PeerRecord, ...]:
        """Return what the peer store should keep: peers that we reached ourselves, newest first."""
        records = [
            PeerRecord(endpoint, now if self._is_linked(known) else known.seen_at)
            for endpoint, known in self._known.items()
            if known.node_id is not None
        ]
        return tuple(sorted(records, key=lambda record: (-record.seen_at, record.endpoint)))

    def link_up(
        self, node_id: bytes, host: str, dialled: Endpoint | None, now: float
    ) -> tuple[Decision, ...]:
        """Note a link (``dialled`` when we made it) and return the greeting keepalive."""
        self._linked[node_id] = _LinkedPeer(host, dialled is not None, now)
        if dialled is not None:
            self._answered(dialled, node_id, now)
        return (SendKeepalive(node_id, self._endpoints_for(node_id, with_self=True)),)

    def link_down(self, node_id: bytes, now: float) -> None:
        """Note that the last link to a peer is gone: dial again, at once if it had been stable.

        A link that ends soon counts as a failed attempt, or a peer that accepts and hangs up would
        be dialled in a tight loop.
        """
        peer = self._linked.pop(node_id, None)
        stable = peer is not None and now - peer.since >= self.preset.stable_link_s
        for known in self._known.values():
            if known.node_id == node_id:
                known.seen_at = now
                if stable:
                    known.failures, known.not_before = 0, now
                else:
                    self._back_off(known, now)

    def dial_answered(self, endpoint: Endpoint, node_id: bytes, now: float) -> None:
        """Note that a dial reached ``node_id``, also when the link was not kept (a duplicate)."""
        self._answered(endpoint, node_id, now)

    def dial_reached_self(self, endpoint: Endpoint) -> None:
        """Note that an endpoint is our own: it is never dialled again."""
        self._attempts.discard(endpoint)
        self._known.pop(endpoint, None)
        if len(self._own) < MAX_OWN:
            self._own.add(endpoint)

    def dial_failed(self, endpoint: Endpoint, now: float) -> None:
        """Note a failed attempt: the next one waits twice as long, with jitter, up to a bound."""
        self._attempts.discard(endpoint)
        known = self._known.get(endpoint)
        if known is not None:
            self._back_off(known, now)

    def keepalive_received(
        self, node_id: bytes, endpoints: Iterable[str], now: float
    ) -> tuple[str, ...]:
        """Learn endpoints from a linked peer's keepalive; returns the ones that were refused.

        At most ``keepalive_endpoints`` of them are read, and of one peer at most
        ``KEEPALIVES_READ_A_PERIOD`` keepalives a period.
        """
        peer = self._linked.get(node_id)
        if peer is None or peer.keepalives >= KEEPALIVES_READ_A_PERIOD:
            return ()
        peer.keepalives += 1
        refused = []
        for text in tuple(endpoints)[: self.preset.keepalive_endpoints]:
            try:
                endpoint = parse_endpoint(text)
                if endpoint.is_self_announcement:
                    endpoint = endpoint.seen_at(peer.host)
            except ValueError:
                refused.append(text)
                continue
            if is_dialable(endpoint, self._allow_private):
                self._learn(endpoint, now)
            else:
                refused.append(text)
        return tuple(refused)

    # --------------------------------------------------------------------------------- questions

    def admits(
        self, host: str, outbound: bool, now: float, node_id: bytes | None = None
    ) -> str | None:
        """Return why no further link with ``host`` may be made, or None when it may.

        ``node_id`` is who has proved to be there, once that is known. A holder is never crowded
        out by others (``mesh.py``).
        The half-open connections are bounded by the transport, not here: they must not use up the
        places of authenticated peers behind the same address.
        """
        if self.exclusions.excluded(ip_group(host), now):
            return "excluded after misbehaviour"
        if self.circle.needs(node_id):
            return None
        if node_id is not None:
            refusal = self.circle.refuses(self.preset, node_id, self._linked, outbound)
            if refusal is not None:
                return refusal
        same_way = sum(peer.outbound == outbound for peer in self._linked.values())
        if same_way >= (self.preset.links_outbound if outbound else self.preset.links_inbound):
            return "too many links"
        if self._allow_private and is_loopback(host):
            return None
        by_ip = Counter(ip_group(peer.host) for peer in self._linked.values())
        if by_ip[ip_group(host)] >= self.preset.links_per_address:
            return "too many links with one IP"
        by_subnet = Counter(subnet_group(peer.host) for peer in self._linked.values())
        if by_subnet[subnet_group(host)] >= self.preset.links_per_network:
            return "too many links with one subnet"
        return None

    @property
    def known(self) -> tuple[Endpoint, ...]:
        """Every endpoint that may be dialled, in the order it was learnt."""
        return tuple(self._known)

    # ----------------------------------------------------------------------------- what to do now

    def tick(self, now: float, known_weight_share: float = 0.0) -> tuple[Decision, ...]:
        """Return what is due: dials and keepalives.

        ``known_weight_share`` (0..1) is the share of the total stake whose holders are known; below
        ``weight_known_share`` the crawl is fast and dials the preconfigured peers too.
        """
        decisions: list[Decision] = []
        enough = known_weight_share >= self.preset.weight_known_share
        period = self.preset.crawl_slow_s if enough else self.preset.crawl_fast_s
        if _due(self._next_crawl, self.preset.crawl_slow_s, now):
            self._next_crawl = now + period
            self._forget(now)
            decisions += self._dials(now, enough)
            too_many = self.circle.excess(self.preset, len(self._linked))
            decisions += [Drop(peer) for peer in self._shuffled(sorted(self._linked))[:too_many]]
            if not enough:  # news travels at the crawler's pace until enough weight is known
                decisions += self._keepalives()
        if _due(self._next_keepalive, self.preset.keepalive_period_s, now):
            self._next_keepalive = now + self.preset.keepalive_period_s
            decisions += self._keepalives()
            for peer in self._linked.values():
                peer.keepalives = 0
        return tuple(decisions)

    def dial_now(self, now: float, known_weight_share: float = 0.0) -> tuple[Decision, ...]:
        """Return the dials that are possible at once, for endpoints just learnt."""
        return self._dials(now, known_weight_share >= self.preset.weight_known_share)

    def _dials(self, now: float, enough_weight: bool) -> tuple[Decision, ...]:
        candidates = [
            endpoint
            for endpoint, known in self._known.items()
            if endpoint not in self._attempts
            and _due(known.not_before, self.preset.backoff_longest_s, now)
            and not self._is_linked(known)
            and not (enough_weight and known.node_id is None and endpoint in self._preconfigured)
        ]
        dials: list[Decision] = []
        by_ip = Counter(ip_group(endpoint.host) for endpoint in self._attempts)
        seeks = self._seeks_holders()
        # Holders come first: they are dialled however many links there are.
        needs = {e for e in candidates if self.circle.needs(self._known[e].node_id)}
        for endpoint in sorted(self._shuffled(candidates), key=lambda e: e not in needs):
            if len(self._attempts) >= self.preset.attempts_at_once:
                break
            room = self.circle.room(self.preset, len(self._linked) + len(self._attempts))
            unknown = self._known[endpoint].node_id is None
            if not (room or endpoint in needs or (seeks and unknown)):
                continue
            group = ip_group(endpoint.host)
            if by_ip[group] >= self.preset.attempts_per_address:
                continue
            node_id = self._known[endpoint].node_id if endpoint in needs else None
            if self.admits(endpoint.host, outbound=True, now=now, node_id=node_id) is not None:
                continue
            by_ip[group] += 1
            self._attempts.add(endpoint)
            dials.append(Dial(endpoint))
        return tuple(dials)

    def _seeks_holders(self) -> bool:
        """Return whether there is a holder to be linked whose endpoint is not known here."""
        if not self.circle.inside:
            return False
        found = {known.node_id for known in self._known.values()} | self._linked.keys()
        return bool(self.circle.members - found)

    def _keepalives(self) -> list[SendKeepalive]:
        root = math.sqrt(len(self._linked))
        peers = self._shuffled(sorted(self._linked))
        announce = math.ceil(self.preset.fanout_self * root)
        gossip = math.ceil(self.preset.fanout_random * root)
        decisions = [
            SendKeepalive(node_id, self._endpoints_for(node_id, with_self=True))
            for node_id in peers[:announce]
        ]
        decisions += [
            SendKeepalive(node_id, self._endpoints_for(node_id, with_self=False))
            for node_id in peers[announce : announce + gossip]
        ]
        return [each for each in decisions if each.endpoints]  # nothing to say, nothing sent

    def _endpoints_for(self, node_id: bytes, with_self: bool) -> tuple[Endpoint, ...]:
        """Return endpoints that we reached ourselves, never the receiver's own.

        A holder is told of holders first: it must have a link with each of them.
        """
        own = (self._listening,) if with_self and self._listening is not None else ()
        others = self._shuffled(
            endpoint
            for endpoint, known in self._known.items()
            if known.node_id not in (None, node_id) and endpoint.address is not None
        )
        if node_id in self.circle.members:
            others.sort(key=lambda e: self._known[e].node_id not in self.circle.members)
        return (*own, *others[: self.preset.keepalive_endpoints - len(own)])

    # ------------------------------------------------------------------------------- bookkeeping

    def _answered(self, endpoint: Endpoint, node_id: bytes, now: float) -> None:
        self._attempts.discard(endpoint)
        self._learn(endpoint, now)
        if (known := self._known.get(endpoint)) is not None:
            if known.node_id is None:  # a newcomer: others hear of it now, not in a period
                self._next_keepalive = min(self._next_keepalive, now + self.preset.news_delay_s)
            known.seen_at, known.node_id = now, node_id

    def _back_off(self, known: _Known, now: float) -> None:
        doubled = self.preset.backoff_first_s * 2 ** min(known.failures, 30)
        known.failures += 1
        # Jitter keeps nodes that lost each other at one moment from meeting in one moment for ever.
        known.not_before = now + min(doubled, self.preset.backoff_longest_s) * (
            0.5 + 0.5 * self._fraction()
        )

    def _learn(self, endpoint: Endpoint, seen_at: float) -> None:
        known = self._known.get(endpoint)
        if known is not None:
            known.seen_at = max(known.seen_at, seen_at)
            return
        if endpoint in self._own:
            return
        if len(self._known) >= MAX_KNOWN and not self._make_room():
            return
        self._known[endpoint] = _Known(seen_at)

    def _make_room(self) -> bool:
        """Drop the unlinked endpoint that nobody answered at, or was seen longest ago."""
        removable = [e for e, known in self._known.items() if self._is_removable(e, known)]
        if not removable:
            return False
        # Hearsay goes before what we reached ourselves, so that gossip cannot flush the table.
        victim = min(
            removable, key=lambda e: (self._known[e].node_id is not None, self._known[e].seen_at)
        )
        del self._known[victim]
        return True

    def _forget(self, now: float) -> None:
        for endpoint, known in list(self._known.items()):
            if self._is_linked(known):
                known.seen_at = now
            elif self._is_removable(endpoint, known) and not (
                0 <= now - known.seen_at < self.preset.peer_forget_s
            ):
                del self._known[endpoint]

    def _is_removable(self, endpoint: Endpoint, known: _Known) -> bool:
        return not (
            self._is_linked(known) or endpoint in self._preconfigured or endpoint in self._attempts
        )

    def _is_linked(self, known: _Known) -> bool:
        return known.node_id is not None and known.node_id in self._linked

    def _fraction(self) -> float:
        """Return a uniform number in [0, 1)."""
        drawn = int.from_bytes(self._entropy(_DRAW_BYTES), "big")
        return math.ldexp(drawn >> 11, -53)

    def _shuffled(self, items: Iterable[_Item]) -> list[_Item]:
        """Return the items in random order (Fisher-Yates)."""
        result = list(items)
        for last in range(len(result) - 1, 0, -1):
            chosen = int(self._fraction() * (last + 1))
            result[last], result[chosen] = result[chosen], result[last]
        return result
