"""What a node hears in a round, and what it makes of it: offers, proposals, signing sets.

A round's number is in each of its messages; those of the next round wait, because clocks differ
(F-12). A message is kept when it is admitted, and judged when this node has a candidate of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import define, field

from metanode.custody.payout import PayoutDocument
from metanode.errors import Equivocation, PeerFault
from metanode.hashing import tagged_hash
from metanode.protocol.context import Context, whole
from metanode.protocol.events.purpose import Task
from metanode.protocol.inputs import Received
from metanode.protocol.reshare.shown_locks import lock_fault
from metanode.protocol.rounds.threshold_set import prune_copies, signing_order, threshold_set
from metanode.protocol.tables.registry import admits, fact, handles
from metanode.tss.proofs import verify_share
from spec.messages import Offer, Proposal, SigningSet


def proposal_id_hash(peer: bytes, round_number: int, epoch: int, document: bytes) -> bytes:
    """Return m[1]: the peer's id bound to document, round and key epoch, unambiguously (F-11)."""
    return tagged_hash("proposal", peer, whole(round_number), whole(epoch), document)


def share_proof_context(network_id: bytes, peer: bytes, epoch: int, round_number: int) -> bytes:
    """Return what a proposal's share proof is bound to: no copy or replay verifies (F-10)."""
    return tagged_hash("proposal-proof", network_id, peer, whole(epoch), whole(round_number))


@define
class RoundBook:
    """What was heard and built in one round.

    ``document`` is this node's own candidate; ``settled`` are peers, and the threshold set that
    their signing sets give; ``task`` is the attempt that this node has taken up since.
    """

    number: int
    offers: dict[bytes, Offer] = field(factory=dict)
    proposals: dict[bytes, Proposal] = field(factory=dict)
    sets: dict[bytes, SigningSet] = field(factory=dict)
    frames: dict[tuple[str, bytes], bytes] = field(factory=dict)
    document: PayoutDocument | None = None
    task: Task | None = None
    settled: tuple[frozenset[bytes], tuple[bytes, ...] | None] = (frozenset(), None)


@define
class Inbox:
    """The books of the current rounds."""

    ctx: Context
    _books: dict[int, RoundBook] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    def book(self, number: int) -> RoundBook:
        """Return the book of a round."""
        return self._books.setdefault(number, RoundBook(number))

    def forget(self, before: int) -> None:
        """Drop the books of rounds below ``before``."""
        self._books = {n: book for n, book in self._books.items() if n >= before}

    # --- what the tables are told ---

    @fact
    def id_hash_matches(self, p: bytes, q: bytes, r: int) -> bool:
        book, epoch = self.book(r), self.ctx.epoch
        proposal, document = book.proposals.get(q), book.document
        return (
            proposal is not None
            and document is not None
            and proposal.id_hash == proposal_id_hash(q, r, epoch.number, document.encode())
        )

    @fact
    def share_proof_valid(self, p: bytes, q: bytes, r: int) -> bool:
        proposal, epoch = self.book(r).proposals.get(q), self.ctx.epoch
        if proposal is None or q not in epoch.roster:
            return False
        context = share_proof_context(self.ctx.settings.network_id, q, epoch.number, r)
        return verify_share(epoch.public_share(q), context, proposal.share_proof)

    @fact
    def set_large_enough(self, p: bytes, q: bytes, r: int) -> bool:
        message, epoch = self.book(r).sets.get(q), self.ctx.epoch
        if message is None:
            return False
        named = set(message.members)
        return (
            len(named) == len(message.members) >= epoch.quorum.threshold
            and named <= set(epoch.roster)
            and q in named
        )

    @fact
    def in_threshold_set(self, p: bytes, q: bytes, r: int) -> bool:
        return q in (self.threshold_set(r) or ())

    # --- what comes in ---

    @admits("offer")
    def admit_offer(self, sender: bytes, message: Offer) -> bool:
        """Keep the first offer of a holder; a lock that it shows must be certified."""
        if not self.ctx.holds_share:
            return False  # a node that takes no part in rounds keeps nothing
        fault = None if message.locked is None else lock_fault(self.ctx, message.locked)
        if fault is not None:
            raise PeerFault(f"an offer shows a lock without a certificate: {fault}", sender)
        self.book(message.round).offers.setdefault(sender, message)
        return True

    @admits("proposal")
    def admit_proposal(self, sender: bytes, message: Proposal) -> bool:
        """Keep the first proposal of a holder; a different second one is evidence."""
        return self._admit(self.book(message.round).proposals, sender, message)

    @admits("signing_set")
    def admit_set(self, sender: bytes, message: SigningSet) -> bool:
        """Keep the first signing set of a holder; a different second one is evidence."""
        return self._admit(self.book(message.round).sets, sender, message)

    def _admit(self, kept: dict[bytes, Any], sender: bytes, message: Proposal | SigningSet) -> bool:
        ctx, entry = self.ctx, self.ctx.input
        if not ctx.holds_share or message.key_epoch != ctx.epoch.number:
            return False
        frame = entry.envelope.raw if isinstance(entry, Received) else b""
        frames, key = self.book(message.round).frames, (message.KIND, sender)
        earlier = kept.setdefault(sender, message)
        if earlier != message:
            found = f"two {message.KIND} messages in round {message.round}"
            raise Equivocation(found, sender, (frames[key], frame))
        if key in frames:
            return False  # a repetition
        frames[key] = frame
        return True

    @handles("proposal_heard")
    def proposal_heard(self) -> None:
        ctx, entry, number = self.ctx, self.ctx.input, self.ctx.round_number()
        peers: Iterable[bytes] = ()
        if isinstance(entry, Received) and isinstance(entry.message, Proposal):
            number, peers = entry.message.round, (entry.sender,)
        elif ctx.me in self.book(number).proposals and self._part(ctx.me, number) == "silent":
            peers = self.book(number).proposals
        book = self.book(number)
        for q in ctx.each(peers):
            ctx.tries("round.Hear", q=q, r=number, d=book.proposals[q].document_hash)
            if book.document is None:
                continue
            if not ctx.tries("round.Accept", q=q, r=number, d=book.document.digest):
                reason = str(ctx.tables.refusal)
                ctx.note("round.proposal_refused", peer=q.hex()[:16], reason=reason)

    @handles("set_heard")
    def set_heard(self) -> None:
        if self.ctx.tables.view.get("phase", self.ctx.me) not in ("Proposing", "SetBuilding"):
            return
        number = self.ctx.round_number()
        sets = [q for q in self.book(number).sets if self._part(q, number) == "accepted"]
        for q in self.ctx.each(sets):
            self.ctx.tries("round.HearSet", q=q, r=number)

    # --- what follows from it ---

    def accepted(self, number: int) -> list[bytes]:
        """Return the peers whose proposals equal ours."""
        proposals = self.book(number).proposals
        return [q for q in proposals if self._part(q, number) in ("accepted", "in_view")]

    def threshold_set(self, number: int) -> tuple[bytes, ...] | None:
        """Return who signs, in order of seniority, as the signing sets heard by now settle it.

        A pure function of them, kept until another one counts. A proof that did not convince here
        prunes nobody, or a senior peer could push a junior out with a copy of its proof (F-10).
        """
        book = self.book(number)
        heard = frozenset(q for q in book.sets if self._part(q, number) == "in_view")
        if book.settled[0] != heard:
            key = self.ctx.epoch
            proofs = {q: book.proposals[q].share_proof for q in heard}
            kept = prune_copies(key.seniority, proofs)
            turn = signing_order(key.seniority, number, len(key.roster) - key.threshold)
            order = [peer for peer in turn if peer in kept]
            sets = {q: frozenset(book.sets[q].members) for q in heard}
            book.settled = heard, threshold_set(order, sets, key.quorum.threshold)
        return book.settled[1]

    def _part(self, peer: bytes, number: int) -> str:
        return self.ctx.state("round", peer, number)
