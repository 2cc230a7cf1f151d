"""Peering: which endpoints are dialled, who is told about them, who is refused.

Sans-IO: the clock and the entropy are arguments, and :meth:`Peering.tick` returns what to do. The
rules and numbers are Nano's. Every table is bounded and nothing that a peer says can push out what
the operator said, what we reached ourselves, or a peer with a link.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, TypeVar

from attrs import define, frozen

from metanode.protocol.peers.address_book import AddressBook, Known, PeerRecord
from metanode.protocol.peers.endpoints import (
    LOOPBACK,
    PRIVATE,
    Endpoint,
    ip_group,
    is_dialable,
    network_kind,
    parse_endpoint,
    subnet_group,
)
from metanode.protocol.peers.mesh import NO_ROOM, Circle
from metanode.protocol.peers.names import Names, Resolve
from metanode.protocol.peers.operator_word import OperatorWord
from metanode.protocol.peers.own_address import OwnAddress
from metanode.protocol.peers.standing import Standing
from spec.parameters import Preset

Entropy = Callable[[int], bytes]
_Item = TypeVar("_Item")
_DRAW_BYTES: Final = 8

MAX_OWN: Final = 64
"""Endpoints remembered as our own; somebody who forwards ports to us could make up many."""
KEEPALIVES_READ_A_PERIOD: Final = 8
"""Per peer: a greeting, the two fan-outs, one to spare."""
KEEPALIVES_OF_A_FLOOD: Final = 64
"""Per peer and period: far more than news of a whole network could make a peer send."""


@frozen
class Dial:
    """Decision: try to connect to ``endpoint``."""

    endpoint: Endpoint


@frozen
class SendKeepalive:
    """Decision: send a keepalive with these endpoints to ``node_id``, seen at ``host``."""

    node_id: bytes
    endpoints: tuple[Endpoint, ...]
    host: str


@frozen
class Drop:
    """Decision: end the link with ``node_id``."""

    node_id: bytes
    reason: str = NO_ROOM


Decision = Dial | SendKeepalive | Drop | Resolve


@define
class _LinkedPeer:
    host: str
    outbound: bool
    since: float
    keepalives: int = 0

    def groups(self) -> tuple[Hashable, ...]:
        """Return what the link counts for: its way, its address, its subnet."""
        return self.outbound, ip_group(self.host), ("in", subnet_group(self.host))


def _due(at: float, longest_s: float, now: float) -> bool:
    """Tell whether a moment has come; one further off than any wait is from a clock set back."""
    return now >= at or at - now > longest_s


class Peering:
    """The peers this node knows and the links it has, as far as dialling is concerned."""

    def __init__(
        self, *, preset: Preset, listening: Endpoint | None, preconfigured: Iterable[Endpoint],
        entropy: Entropy, now: float, advertised: Endpoint | None = None,
        seeds: Iterable[Endpoint] = (),
    ) -> None:
        """Start with the operator's peers. ``listening`` is announced to others, or ``advertised``
        in its place; with neither nothing is.

        Names are resolved before they are dialled or announced. Private networks and the loopback
        are dialled when the operator's own endpoints lie there.
        """
        self.preset = preset
        self.circle = Circle()
        self.book = AddressBook(preset, self._fraction)
        self.names = Names(preset)
        self.own = OwnAddress(preset, listening, now)
        self.standing = Standing(preset, self.book)
        self._entropy = entropy
        peers, seeds = tuple(preconfigured), tuple(seeds)
        self.word = OperatorWord(
            self.book, self.names, self.own, frozenset(peers), frozenset(seeds) - frozenset(peers)
        )
        self._attempts: set[Endpoint] = set()
        self._linked: dict[bytes, _LinkedPeer] = {}
        self._counts: Counter[Hashable] = Counter()
        self._came_from: dict[bytes, str] = {}  # holders, also those that are gone just now
        self._own: set[Endpoint] = set()
        self._enough = False
        self._next_keepalive = self._next_crawl = self._news_at = now
        self.word.start(advertised, (*peers, *seeds), now)
        self._know()

    # ------------------------------------------------------------------------------ what happens

    def bound_to(self, port: int) -> None:
        """Note the port that the system chose, if it was left to it."""
        if self.own.listening is not None:
            self.own.listening = Endpoint(self.own.listening.host, port)

    def restore(self, records: Iterable[PeerRecord], now: float) -> None:
        """Take the peers of the store, whatever their age: somebody answered there once."""
        for record in records:
            if record.added:
                self.word.add(record.endpoint, now)
            elif record.node_id is not None and record.endpoint.address is not None:
                self.book.restore(record)

    def snapshot(self, now: float) -> tuple[PeerRecord, ...]:
        """Return what the peer store should keep: what the operator added, and the peers that we
        reached ourselves, holders first and then the newest.
        """
        self._see_links(now)
        return self.book.records(self.word.added)

    def link_up(
        self, node_id: bytes, host: str, dialled: Endpoint | None, now: float
    ) -> tuple[Decision, ...]:
        """Note a link (``dialled`` when we made it) and return the greeting keepalive."""
        self._unlink(node_id)
        peer = self._linked[node_id] = _LinkedPeer(host, dialled is not None, now)
        self._counts.update(peer.groups())
        if dialled is not None:
            self.dial_answered(dialled, node_id, now)
        else:
            self.own.inbound += 1
        return (self._keepalive(node_id, now, with_self=True),)

    def link_down(self, node_id: bytes, now: float) -> None:
        """Note that the last link to a peer is gone: dial again, at once if it had been stable.

        A link that ends soon counts as a failed attempt, or a peer that accepts and hangs up would
        be dialled in a tight loop.
        """
        peer = self._unlink(node_id)
        self.own.unlinked(node_id)
        stable = peer is not None and now - peer.since >= self.preset.stable_link_s
        for known in self.book.entries.values():
            if known.node_id == node_id:
                if peer is not None and known.reached_at >= peer.since:
                    known.seen_at = known.reached_at = now
                if stable:
                    known.failures, known.not_before = 0, now
                else:
                    self.book.back_off(known, now)

    def dial_answered(self, endpoint: Endpoint, node_id: bytes, now: float) -> None:
        """Note that a dial reached ``node_id``, also when the link was not kept (a duplicate)."""
        self._attempts.discard(endpoint)
        if endpoint in self.own.announced():
            self.own.tried(endpoint, node_id)
        peer = self._linked.get(node_id)
        since = now if peer is None else peer.since
        if self.book.answered(endpoint, node_id, now, since):
            # A newcomer: others hear of it now, not in a period.
            self._news_at = now
            self._next_keepalive = min(self._next_keepalive, now + self.preset.news_delay_s)

    def dial_reached_self(self, endpoint: Endpoint) -> None:
        """Note that an endpoint is our own: it is never dialled again."""
        self._attempts.discard(endpoint)
        self.own.tried(endpoint, True)
        self.book.drop(endpoint)
        if len(self._own) < MAX_OWN:
            self._own.add(endpoint)

    def dial_failed(self, endpoint: Endpoint, now: float) -> None:
        """Note a failed attempt: the next one waits twice as long, with jitter, up to a bound."""
        self._attempts.discard(endpoint)
        if endpoint in self.own.announced():
            self.own.tried(endpoint, False)
        self.book.failed(endpoint, now, self._linked)

    def keepalive_received(
        self, node_id: bytes, endpoints: Iterable[str], now: float, seen: str = ""
    ) -> tuple[str, ...]:
        """Learn endpoints from a linked peer's keepalive; returns the ones that were refused.

        At most ``keepalive_endpoints`` of them are read, and of one peer at most
        ``KEEPALIVES_READ_A_PERIOD`` keepalives a period. ``seen`` is our address as the peer sees
        it. Texts that are no endpoints, and floods, are offences.
        """
        peer = self._linked.get(node_id)
        if peer is None:
            return ()
        peer.keepalives += 1
        if peer.keepalives == KEEPALIVES_OF_A_FLOOD:
            self.standing.offend(now, "a flood of keepalives", node_id, peer.host)
        if peer.keepalives > KEEPALIVES_READ_A_PERIOD:
            return ()
        self.own.seen(node_id, peer.host, seen)
        refused, rubbish = [], False
        for text in tuple(endpoints)[: self.preset.keepalive_endpoints]:
            kinds = self.word.kinds
            try:
                endpoint = parse_endpoint(text)
                if endpoint.is_self_announcement:
                    endpoint = endpoint.seen_at(peer.host)
                    # Who comes from a private network says where in that network it listens.
                    kinds |= {network_kind(peer.host) or ""} & {PRIVATE}
            except ValueError:
                refused.append(text)
                rubbish = True
                continue
            if not is_dialable(endpoint, kinds):
                refused.append(text)
            elif endpoint not in self._own:
                self.book.hear(endpoint, node_id, now)
        if rubbish:
            self.standing.offend(now, "a keepalive with no endpoints", node_id, peer.host)
        return tuple(refused)

    # --------------------------------------------------------------------------------- questions

    def admits(
        self, host: str, outbound: bool, now: float, node_id: bytes | None = None
    ) -> str | None:
        """Return why no further link with ``host`` may be made, or None when it may.

        ``node_id`` is who has proved to be there, once that is known. A holder is never crowded
        out by others (``mesh.py``), nor excluded (F-08).
        The half-open connections are bounded by the transport, not here: they must not use up the
        places of authenticated peers behind the same address.
        """
        if node_id in self.circle.members:
            if self.circle.needs(node_id):
                return None
        elif (refusal := self.standing.refuses(host, now, node_id)) is not None:
            return refusal
        if node_id is not None:
            full = self.circle.refuses(self.preset, node_id, self._linked, outbound)
            if full is not None:
                return full
        most = self.preset.links_outbound if outbound else self.preset.links_inbound
        if self._counts[outbound] >= most:
            return "too many links"
        if LOOPBACK in self.word.kinds and network_kind(host) == LOOPBACK:
            return None
        if self._counts[ip_group(host)] >= self.preset.links_per_address:
            return "too many links with one IP"
        if self._counts["in", subnet_group(host)] >= self.preset.links_per_network:
            return "too many links with one subnet"
        return None

    @property
    def known(self) -> tuple[Endpoint, ...]:
        """Every endpoint that may be dialled, in the order it was learnt."""
        return tuple(self.book)

    def linked(self) -> dict[bytes, tuple[str, bool, float]]:
        """Return, by node id, the host of each link, whether we dialled, and since when."""
        return {n: (peer.host, peer.outbound, peer.since) for n, peer in self._linked.items()}

    def report(self, now: float) -> dict[str, Any]:
        """Return what the operator sees: own address, names in trouble, who is refused."""
        return {
            "address": self.own.report(len(self._linked)),
            "names": self.names.faults(),
            "exclusions": self.standing.report(now),
            "endpoints": {
                "known": len(self.book.entries), "reached": self.book.reached_nodes(),
                "added": [str(endpoint) for endpoint in self.word.added],
            },
        }

    # ----------------------------------------------------------------------------- what to do now

    def tick(self, now: float, known_weight_share: float = 0.0) -> tuple[Decision, ...]:
        """Return what is due: names to resolve, dials, keepalives, links to end.

        ``known_weight_share`` (0..1) is the share of the total stake whose holders are known; below
        ``weight_known_share`` the crawl is fast and dials the preconfigured peers too.
        """
        if self.circle.members != self.book.holders:
            self._know()
        enough = self._enough = known_weight_share >= self.preset.weight_known_share
        decisions: list[Decision] = [
            Drop(node_id, refusal)
            for node_id in self._linked
            if (refusal := self.standing.refuses(None, now, node_id)) is not None
        ]
        decisions += self.names.due(now, self._is_well)
        period = self.preset.crawl_slow_s if enough else self.preset.crawl_fast_s
        if _due(self._next_crawl, self.preset.crawl_slow_s, now):
            self._next_crawl = now + period
            self._see_links(now)
            self._know()
            self.book.forget_old(now, self._attempts)
            decisions += self._dials(now, enough)
            too_many = self.circle.excess(self.preset, len(self._linked))
            decisions += [Drop(peer) for peer in self._shuffled(sorted(self._linked))[:too_many]]
            if not enough and 0 <= now - self._news_at <= self.preset.keepalive_period_s:
                # News travels at the crawler's pace until enough weight is known.
                decisions += self._keepalives(now)
        if _due(self._next_keepalive, self.preset.keepalive_period_s, now):
            self._next_keepalive = now + self.preset.keepalive_period_s
            decisions += self._keepalives(now)
            for peer in self._linked.values():
                peer.keepalives = 0
        return tuple(decisions)

    def dial_now(self, now: float, known_weight_share: float = 0.0) -> tuple[Decision, ...]:
        """Return the dials that are possible at once, for endpoints just learnt."""
        return self._dials(now, known_weight_share >= self.preset.weight_known_share)

    def _dials(self, now: float, enough_weight: bool) -> tuple[Decision, ...]:
        dials: list[Decision] = []
        by_ip = Counter(ip_group(endpoint.host) for endpoint in self._attempts)
        seeks = self._seeks_holders()
        candidates = [*self._in_order(now, enough_weight), *self._own_probes(now)]
        doubtful = sum(e in self.book and self.book.rank(e) == 2 for e in self._attempts)
        for endpoint in candidates:
            if len(self._attempts) >= self.preset.attempts_at_once:
                break
            known = self.book.entries.get(endpoint)
            node_id = None if known is None else known.node_id
            needed = self.circle.needs(node_id)
            room = self.circle.room(self.preset, len(self._linked) + len(self._attempts))
            if known is not None and not (room or needed or (seeks and node_id is None)):
                continue
            # What may be made up leaves half of the attempts to what is not.
            is_doubtful = known is not None and self.book.rank(endpoint) == 2
            if is_doubtful and doubtful >= max(1, self.preset.attempts_at_once // 2):
                continue
            group = ip_group(endpoint.host)
            if by_ip[group] >= self.preset.attempts_per_address:
                continue
            if known is not None and not self._may_dial(endpoint, node_id, now):
                continue
            by_ip[group] += 1
            doubtful += is_doubtful
            self._attempts.add(endpoint)
            dials.append(Dial(endpoint))
        return tuple(dials)

    def _may_dial(self, endpoint: Endpoint, node_id: bytes | None, now: float) -> bool:
        if node_id not in self.circle.members:
            if self.standing.refuses(endpoint.host, now, node_id) is not None:
                return False
            node_id = None  # whoever is there has not proved it yet
        return self.admits(endpoint.host, outbound=True, now=now, node_id=node_id) is None

    def _in_order(self, now: float, enough_weight: bool) -> list[Endpoint]:
        """Return the endpoints to dial: the operator's word and holders, peers that we reached,
        and at last hearsay, in which the peers that told of it take turns.
        """
        ranks: tuple[list[Endpoint], ...] = ([], [], [])
        seeds_rest = enough_weight or self.book.reached_nodes() >= self.preset.degree_beyond
        for endpoint, known in self.book.entries.items():
            if endpoint in self._attempts or self._is_linked(known):
                continue
            if not _due(known.not_before, self.preset.backoff_longest_s, now):
                continue
            unknown = known.node_id is None
            if unknown and endpoint in self.book.pinned:
                seed = self.word.is_seed(endpoint)
                if enough_weight or (seed and seeds_rest):
                    continue
            ranks[self.book.rank(endpoint)].append(endpoint)
        turns: Counter[bytes | None] = Counter()
        in_turn: list[tuple[int, Endpoint]] = []
        for endpoint in self._shuffled(ranks[2]):
            teller = self.book.entries[endpoint].teller
            in_turn.append((turns[teller], endpoint))
            turns[teller] += 1
        in_turn.sort(key=lambda pair: pair[0])
        late = [endpoint for _, endpoint in in_turn]
        return [*self._shuffled(ranks[0]), *self._shuffled(ranks[1]), *late]

    def _own_probes(self, now: float) -> list[Endpoint]:
        """Return our own endpoints that are to be dialled, to see whether they lead here."""
        return [e for e in self.own.to_try(now) if e not in self._attempts and self._linked]

    def _is_well(self, name: Endpoint, addresses: tuple[Endpoint, ...]) -> bool:
        """Tell whether a name need not be resolved again: one of its addresses has not failed."""
        if name == self.word.announced_name:
            return False
        if self._enough:
            return True
        found = [self.book.entries[e] for e in addresses if e in self.book]
        return any(self._is_linked(known) or not known.failures for known in found)

    def _seeks_holders(self) -> bool:
        """Return whether there is a holder to be linked whose endpoint is not known here."""
        if not self.circle.inside:
            return False
        found = {known.node_id for known in self.book.entries.values()} | self._linked.keys()
        return bool(self.circle.members - found)

    def _keepalives(self, now: float) -> list[SendKeepalive]:
        root = math.sqrt(len(self._linked))
        peers = self._shuffled(sorted(self._linked))
        announce = math.ceil(self.preset.fanout_self * root)
        gossip = math.ceil(self.preset.fanout_random * root)
        decisions = [self._keepalive(node_id, now, with_self=True) for node_id in peers[:announce]]
        decisions += [
            self._keepalive(node_id, now, with_self=False)
            for node_id in peers[announce : announce + gossip]
        ]
        return [each for each in decisions if each.endpoints]  # nothing to say, nothing sent

    def _keepalive(self, node_id: bytes, now: float, with_self: bool) -> SendKeepalive:
        """Return a keepalive with endpoints that answered us lately, never the receiver's own.

        A holder is told of holders first: it must have a link with each of them.
        """
        own = self.own.announced() if with_self else ()
        others = self._shuffled(self.book.fresh(now, node_id, self._linked))
        if node_id in self.circle.members:
            members, entries = self.circle.members, self.book.entries
            others.sort(key=lambda e: entries[e].node_id not in members)
        told = (*own, *others)[: self.preset.keepalive_endpoints]
        return SendKeepalive(node_id, told, self._linked[node_id].host)

    # ------------------------------------------------------------------------------- bookkeeping

    def _know(self) -> None:
        """Take up who holds a share now, and what the operator has said."""
        members = self.book.holders = self.circle.members
        seen = self._came_from | {n: peer.host for n, peer in self._linked.items()}
        self._came_from = {n: host for n, host in seen.items() if n in members}
        self.standing.know(members, LOOPBACK in self.word.kinds, self._came_from.values())

    def _see_links(self, now: float) -> None:
        """Date the endpoints at which the peers with a link have answered since it came up."""
        for known in self.book.entries.values():
            peer = None if known.node_id is None else self._linked.get(known.node_id)
            if peer is not None and known.reached_at >= peer.since:
                known.seen_at = now

    def _unlink(self, node_id: bytes) -> _LinkedPeer | None:
        peer = self._linked.pop(node_id, None)
        if peer is not None:
            self._counts.subtract(peer.groups())
            self._counts += Counter()  # drops what is at zero
        return peer

    def _is_linked(self, known: Known) -> bool:
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
