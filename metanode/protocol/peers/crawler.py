"""Who is online by weight: linked peers that have lately answered a question, and their stakes.

The crawler asks each peer that was linked, and again when its answer is old. An answer carries the
nonce of its question and the signature of the peer's own key, to which its stake is paid out: it
proves that the peer lives, and what it weighs. What others tell again proves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from metanode.protocol.context import Context
from metanode.protocol.peers.peer_list import PeerList


@define
class Crawler:
    """When each linked peer was asked, and when it answered, by this node's clock."""

    ctx: Context
    peers: PeerList
    _asked: dict[bytes, float] = field(factory=dict)
    _answered: dict[bytes, float] = field(factory=dict)
    _next: float = -math.inf

    def due(self) -> list[bytes]:
        """Return the peers to be asked now: fast until enough weight is known, slowly afterwards.

        A question that has stood for too long is unanswered: its peer is online no more.
        """
        ctx, preset = self.ctx, self.ctx.preset
        if ctx.steady < self._next <= ctx.steady + preset.crawl_slow_s:
            return []
        is_known = self.known_share() >= preset.weight_known_share
        self._next = ctx.steady + (preset.crawl_slow_s if is_known else preset.crawl_fast_s)
        old = ctx.steady - preset.crawl_patience_s
        silent = {peer for peer, at in self._asked.items() if at <= old}
        gone = {peer for peer in (*self._asked, *self._answered) if peer not in ctx.links}
        for peer in silent | gone:
            self._asked.pop(peer, None)
            self._answered.pop(peer, None)
        return [
            peer for peer in sorted(ctx.links)
            if peer not in self._asked and self._answered.get(peer, -math.inf) <= old
        ]

    def asked(self, peer: bytes) -> None:
        """Note a question; the oldest that is not answered counts."""
        self._asked.setdefault(peer, self.ctx.steady)

    def answered(self, peer: bytes) -> None:
        """Note an answer that was bound to its question."""
        self._asked.pop(peer, None)
        self._answered[peer] = self.ctx.steady

    # --- what follows from it ---

    def is_online(self, peer: bytes) -> bool:
        """Return whether a peer has proved that it is there; this node knows it of itself."""
        return peer == self.ctx.me or (peer in self._answered and peer in self.ctx.links)

    def known_share(self) -> float:
        """Return the share of the members' stake that is online, from 0 to 1 (F-31).

        The members are the holders of the epoch in force; before there is a key, the founders, of
        whom the listed ones are known. A member whose stake is not known counts as the heaviest.
        """
        weights, members = self._members()
        heaviest = max(weights.values(), default=0)
        total = sum(weights.values()) + (members - len(weights)) * heaviest
        online = sum(weight for peer, weight in weights.items() if self.is_online(peer))
        return online / total if total else 0.0

    def is_principal(self, peer: bytes) -> bool:
        """Return whether a peer has enough of the known stake for its word to be passed on."""
        known = sum(self.peers.weight(member.node_id) for member in self.peers.staked())
        weight = self.peers.weight(peer)
        return weight > 0 and weight >= self.ctx.preset.principal_share * known

    def report(self) -> dict[str, Any]:
        """Return what an operator may know of it: shares in percent."""
        minimum, share = self.ctx.preset.weight_known_share, self.known_share()
        return {
            "online_percent": round(100 * share, 1),
            "minimum_percent": round(100 * minimum, 1),
            "known": share >= minimum,
        }

    def describe(self, peer: bytes) -> dict[str, Any]:
        """Return what an operator may know of one peer's weight."""
        return {
            "weight": self.peers.weight(peer),
            "online": self.is_online(peer),
            "principal": self.is_principal(peer),
        }

    def _members(self) -> tuple[Mapping[bytes, int], int]:
        """Return the weights of the members that are known, and how many members there are."""
        key, weight = self.ctx.key, self.peers.weight
        if key is not None:
            known = {peer: weight(peer) for peer in key.roster if weight(peer)}
            return known, len(key.roster)
        staked = {member.node_id: weight(member.node_id) for member in self.peers.staked()}
        return staked, max(len(staked), self.ctx.settings.members)
