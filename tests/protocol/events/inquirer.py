"""A holder of a round that asks for what it lacks, with all of its cores that matter here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metanode.protocol.events.coordinator import Coordinators
from metanode.protocol.events.inquiry import Inquiry
from metanode.protocol.events.votes import sign_vote
from metanode.protocol.peers.block_list import BlockList
from metanode.protocol.peers.crawler import Crawler
from metanode.protocol.peers.peer_list import PeerList
from spec import messages as m
from spec.parameters import MAINNET
from tests.protocol.rounds.support import IDS, Holder
from tests.protocol.support import Alone

PATIENCE = MAINNET.confirm_share
"""The share of a round for which a node waits before it asks."""


class Inquirer(Holder):
    """A holder that asks and answers."""

    inquiry: Inquiry
    crawler: Crawler

    @classmethod
    def ready(cls) -> Inquirer:
        """Return a holder that has voted in a round, of whose votes none but its own has come."""
        node = cls.make()
        assert isinstance(node, Inquirer)
        peers = PeerList(node.ctx, BlockList(node.ctx), node.candidates.stakes)
        node.crawler = Crawler(node.ctx, peers)
        sessions: Any = node.sessions
        led = Coordinators(node.ctx, node.book, node.votes, node.book.purposes, sessions)
        node.inquiry = Inquiry(
            node.ctx, node.book, node.votes, led, node.inbox, node.crawler
        )
        node.cores.append(node.inquiry)
        node.mine("a")
        node.voted()
        return node

    def questions(self) -> dict[int, m.ConfirmReq]:
        """Return what the last effects asked, by the place of whom they asked."""
        return {
            IDS.index(send.to): send.message for send in self.effects.sends
            if isinstance(send.message, m.ConfirmReq) and send.to is not None
        }

    def waits(self, periods: int = 1) -> dict[int, m.ConfirmReq]:
        """Let the clock go on until the node has waited for so long; return what it asks then."""
        now = self.ctx.now / MAINNET.round_period_s % 1.0
        self.tick(now)
        for number in range(1, periods + 1):
            self.tick(now + number * (PATIENCE + 0.001))
        return self.questions()

    def shown(self, *voters: int, **changes: Any) -> m.Certificate:
        """Return the node's own vote, as others have signed it too."""
        vote = self.vote_of(**changes)
        votes = tuple(sign_vote(Alone.of(place).ctx, vote) for place in voters)
        return m.Certificate(
            vote.key_epoch, vote.event, vote.attempt, vote.digest, vote.members, votes
        )

    def asks(self, place: int, pairs: Sequence[m.EventDigest], nonce: int = 0) -> Any:
        """Let another node ask; return the messages that go back to it."""
        self.hear(place, m.ConfirmReq(bytes([nonce]) * 32, tuple(pairs)))
        return [send.message for send in self.effects.sends if send.to == IDS[place]]
