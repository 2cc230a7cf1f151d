"""What all must hear is passed on, once, in the envelope of the one who signed it.

Holders hear each other over their mesh; candidates and observers have a few links, so that pings,
sightings and finished signatures reach them from peer to peer. The rest of a round concerns holders
only and is never passed on: ``PASSED_ON`` in ``spec/inputs.py`` says what is.

A receiver takes such an envelope as from its signer, by the same rules, and passes it on if it was
news here. So a replay ends at the first honest peer, and rubbish costs its relayer the right to
pass anything on for the rest of the round.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Set
from typing import Final

from attrs import define, field

from metanode.errors import Malformed
from metanode.protocol.context import Context
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.inputs import Received
from metanode.protocol.peers.peer_list import PeerList
from metanode.protocol.tables.effects import PassOn
from metanode.protocol.wire.envelope import Envelope, verify_signed
from spec.inputs import HIDDEN_FROM_NOBODY, PASSED_ON
from spec.messages import Ping, SignatureFound
from spec.night_messages import Answer, Complaint

HEARD_LIMIT: Final = 4096
"""Peers that are known here, from which on no stranger is heard of from others."""


@define
class Tally:
    """How much came of each peer in the round at hand."""

    round: int = -1
    count: dict[bytes, int] = field(factory=dict)

    def over(self, number: int, peer: bytes, limit: int) -> bool:
        """Return whether a peer has used up what it may in this round."""
        self._turn(number)
        return self.count.get(peer, 0) >= limit

    def add(self, number: int, peer: bytes) -> None:
        """Count one more."""
        self._turn(number)
        self.count[peer] = self.count.get(peer, 0) + 1

    def _turn(self, number: int) -> None:
        if number != self.round:
            self.round, self.count = number, {}


@define
class DuplicateFilter:
    """The envelopes of the last minute, by their names: bounded, the oldest out first."""

    memory_s: float
    entries: int
    _until: OrderedDict[bytes, float] = field(factory=OrderedDict)

    def __len__(self) -> int:
        """Return how many envelopes are remembered."""
        return len(self._until)

    def has(self, digest: bytes, now: float) -> bool:
        """Return whether an envelope came in the last minute."""
        return now < self._until.get(digest, now)

    def note(self, digest: bytes, now: float) -> None:
        """Remember an envelope."""
        self._until.pop(digest, None)
        self._until[digest] = now + self.memory_s
        while self._until:
            oldest, until = next(iter(self._until.items()))
            if len(self._until) <= self.entries and now < until <= now + self.memory_s:
                break
            del self._until[oldest]


@define
class Flood:
    """Passes on, at one node, what is news here."""

    ctx: Context
    book: EventBook
    peers: PeerList
    seen: DuplicateFilter = field(init=False)
    _wasted: Tally = field(factory=Tally)
    _strangers: Tally = field(factory=Tally)
    _signed: Tally = field(factory=Tally)
    _pinged: Tally = field(factory=Tally)

    def __attrs_post_init__(self) -> None:
        preset = self.ctx.preset
        self.seen = DuplicateFilter(preset.flood_memory_s, preset.flood_entries)

    def expects(self, envelope: Envelope, relayer: bytes) -> bool:
        """Return whether what a peer passes on is worth the check of its signature."""
        ctx, preset, number = self.ctx, self.ctx.preset, self.ctx.round_number()
        signer = envelope.sender
        if signer == ctx.me or self.seen.has(envelope.digest(), ctx.steady):
            return False
        if self._wasted.over(number, relayer, preset.flood_wasted):
            return False
        if self._holds(signer) or signer in self.peers.heard:
            return True
        if len(self.peers.heard) >= HEARD_LIMIT:
            return False
        few = not self._strangers.over(number, relayer, preset.flood_strangers)
        self._strangers.add(number, relayer)
        return few

    def took(self, entry: Received, counted: bool) -> None:
        """Pass a message on that this node has taken in, if it is one of those and was news."""
        if entry.kind not in PASSED_ON:
            return
        self.seen.note(entry.envelope.digest(), self.ctx.steady)
        if not (counted and self._is_news(entry)):
            if entry.via is not None:
                self._wasted.add(self.ctx.round_number(), entry.via)
        elif (to := self._audience(entry)) and self._may_cost(entry):
            if not entry.checked:
                self.check(entry.envelope, entry.sender)
            self.ctx.ask(PassOn(entry.envelope.raw, to))

    def check(self, envelope: Envelope, peer: bytes) -> None:
        """Check an envelope's signature; raises Malformed, naming the peer that sent it."""
        network_id = self.ctx.settings.network_id
        if not verify_signed(network_id, envelope.sender, envelope.body, envelope.signature):
            raise Malformed("envelope: signature is wrong", peer)

    def _is_news(self, entry: Received) -> bool:
        """Return whether a message has changed what this node knows."""
        message = entry.message
        if isinstance(message, Ping):
            heard = self.peers.heard.get(entry.sender)
            known = self._holds(entry.sender) or self.peers.is_listed(entry.sender)
            return known and heard is not None and heard.sequence == message.sequence
        if isinstance(message, SignatureFound):
            found = self.book.found.get(message.event)
            return found is not None and found.digest == message.digest
        return True  # a sighting that is no news does not count

    def _may_cost(self, entry: Received) -> bool:
        """Return whether a signer's messages are passed on yet: of its pings, one a round."""
        number, signer = self.ctx.round_number(), entry.sender
        if entry.kind in HIDDEN_FROM_NOBODY:
            return True  # their core counts what it takes of each
        ping = isinstance(entry.message, Ping)
        tally, limit = (
            (self._pinged, 1) if ping else (self._signed, self.ctx.preset.flood_signer)
        )
        if tally.over(number, signer, limit):
            return False
        tally.add(number, signer)
        return True

    def _audience(self, entry: Received) -> tuple[bytes, ...]:
        """Return who may not have heard a message: what holders say, holders hear themselves.

        A complaint must reach the accused, and an answer who complained: with n of each, more would
        be n³ frames.
        """
        links, message = self.ctx.links - {entry.sender, entry.via}, entry.message
        if isinstance(message, Complaint):
            return tuple(links & {message.accused})
        if isinstance(message, Answer):
            return tuple(links & {message.complainer})
        if entry.kind not in HIDDEN_FROM_NOBODY:
            mesh = self._mesh(links | {self.ctx.me, entry.sender})
            if {self.ctx.me, entry.sender} <= mesh:
                links -= mesh
        return tuple(sorted(links))

    def _holds(self, peer: bytes) -> bool:
        return self.ctx.key is not None and peer in self.ctx.key.roster

    def _mesh(self, peers: Set[bytes]) -> Set[bytes]:
        """Return which of some peers hear all holders themselves.

        Before there is a key, so do all who may found it: they are linked with everybody, as long
        as no more are listed than are to found.
        """
        if self.ctx.key is not None:
            return peers & set(self.ctx.key.roster)
        founders = self.ctx.settings.members
        only_founders = len(self.peers.heard) <= founders or len(self.peers.members()) <= founders
        return peers if self.ctx.settings.joins is None and only_founders else set()
