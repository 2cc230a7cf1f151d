"""What a node hears in a round: offers, proposals and signing sets, judged by the round table.

A round's number is in each of its messages; those of the next round wait, because clocks differ
(F-12).
"""

from __future__ import annotations

from typing import Any

from attrs import define, field

from metanode.custody.payout import PayoutDocument
from metanode.errors import Equivocation, PeerFault
from metanode.hashing import tagged_hash
from metanode.protocol.context import Context, whole
from metanode.protocol.reshare.shown_locks import lock_fault
from metanode.protocol.tables.runner import TransitionError
from metanode.tss.share_proof import verify_share
from spec.messages import Offer, Proposal, SigningSet, Vote


def proposal_id_hash(peer: bytes, round_number: int, epoch: int, document: bytes) -> bytes:
    """Return m[1]: the peer's id bound to document, round and key epoch, unambiguously (F-11)."""
    return tagged_hash("proposal", peer, whole(round_number), whole(epoch), document)


def share_proof_context(network_id: bytes, peer: bytes, epoch: int, round_number: int) -> bytes:
    """Return what a proposal's share proof is bound to: no copy or replay verifies (F-10)."""
    return tagged_hash("proposal-proof", network_id, peer, whole(epoch), whole(round_number))


@define
class RoundBook:
    """What was heard and built in one round."""

    number: int
    offers: dict[bytes, Offer] = field(factory=dict)
    proposals: dict[bytes, Proposal] = field(factory=dict)
    sets: dict[bytes, SigningSet] = field(factory=dict)
    frames: dict[tuple[str, bytes], bytes] = field(factory=dict)
    document: PayoutDocument | None = None
    vote: Vote | None = None


@define
class Hearing:
    """The books of the current rounds."""

    ctx: Context
    _books: dict[int, RoundBook] = field(factory=dict)

    def book(self, number: int) -> RoundBook:
        """Return the book of a round."""
        return self._books.setdefault(number, RoundBook(number))

    def forget(self, before: int) -> None:
        """Drop the books of rounds below ``before``."""
        self._books = {n: book for n, book in self._books.items() if n >= before}

    def on_offer(self, sender: bytes, message: Offer) -> None:
        """Take the offer of a holder; a lock that it shows must be certified."""
        if not self._expected(sender, message.round):
            return
        fault = None if message.locked is None else lock_fault(self.ctx, message.locked)
        if fault is not None:
            raise PeerFault(f"an offer shows a lock without a certificate: {fault}", sender)
        self.book(message.round).offers.setdefault(sender, message)
        self.ctx.tables.view.deliver("offered", sender, message.round)

    def on_proposal(self, sender: bytes, message: Proposal) -> None:
        """Take the proposal of a holder: the first counts, a different second one is evidence."""
        book = self._book_of(sender, message)
        if book is not None and self._is_first(book, book.proposals.get(sender), sender, message):
            book.proposals[sender] = message
            self.ctx.tables.view.deliver("proposed", sender, book.number, message.document_hash)
            self.judge(book, sender)

    def on_set(self, sender: bytes, message: SigningSet) -> None:
        """Take the signing set of a holder: the first counts, another second one is evidence."""
        book = self._book_of(sender, message)
        if book is not None and self._is_first(book, book.sets.get(sender), sender, message):
            book.sets[sender] = message
            self.ctx.tables.view.deliver("set_sent", sender, book.number)
            self.judge_set(book, sender)

    def _book_of(self, sender: bytes, message: Proposal | SigningSet) -> RoundBook | None:
        """Return the book that a message belongs to, or None when it is not for now."""
        expected = self._expected(sender, message.round)
        return (
            self.book(message.round)
            if expected and message.key_epoch == self.ctx.epoch.number
            else None
        )

    def _is_first(
        self,
        book: RoundBook,
        earlier: Proposal | SigningSet | None,
        sender: bytes,
        message: Proposal | SigningSet,
    ) -> bool:
        """Keep the frame of a first message; a repeated one is ignored, another one is evidence."""
        if earlier is None:
            book.frames[message.KIND, sender] = self.ctx.frame
            return True
        if earlier != message:
            self._equivocated(book, sender, message.KIND)
        return False

    def _expected(self, sender: bytes, number: int) -> bool:
        ctx = self.ctx
        if ctx.key is None or sender not in ctx.key.roster or sender == ctx.me:
            return False
        if not ctx.holds_share:
            return False  # who takes part in no round keeps nothing of it
        now = ctx.round_number()
        return now <= number <= now + ctx.preset.rounds_buffered

    def judge(self, book: RoundBook, peer: bytes) -> None:
        """Accept a proposal that equals ours; both hashes and the share proof are recomputed."""
        ctx, proposal, document = self.ctx, book.proposals[peer], book.document
        subject: dict[str, Any] = {"p": ctx.me, "q": peer, "r": book.number}
        if ctx.tables.state("round", ctx.me, peer, book.number) == "silent":
            ctx.tables.fire(
                "round",
                "Hear",
                **subject,
                d=proposal.document_hash,
                given={"in_roster": peer in ctx.epoch.roster},
            )
        if document is None or proposal.document_hash != document.digest:
            return
        if ctx.tables.view.get("pair_banned", ctx.me, peer):
            return  # never co-sign with it until the pair has fresh base transfers
        number = ctx.epoch.number
        wanted = proposal_id_hash(peer, book.number, number, document.encode())
        context = share_proof_context(ctx.settings.network_id, peer, number, book.number)
        proved = verify_share(ctx.epoch.public_share(peer), context, proposal.share_proof)
        facts = {"id_hash_matches": proposal.id_hash == wanted, "share_proof_valid": proved}
        try:
            ctx.tables.fire("round", "Accept", **subject, d=document.digest, given=facts)
        except TransitionError as refusal:
            ctx.note("round.proposal_refused", peer=peer.hex()[:16], reason=str(refusal))
            return
        self.judge_set(book, peer)

    def judge_set(self, book: RoundBook, peer: bytes) -> None:
        """Take the signing set of a peer whose proposal was accepted, if it is large enough."""
        ctx, message = self.ctx, book.sets.get(peer)
        if message is None or ctx.tables.state("round", ctx.me, peer, book.number) != "accepted":
            return
        named = set(message.members)
        large = (
            len(named) == len(message.members) >= ctx.epoch.quorum.threshold
            and named <= set(ctx.epoch.roster)
            and peer in named
        )
        if large:
            ctx.tables.fire(
                "round",
                "HearSet",
                p=ctx.me,
                q=peer,
                r=book.number,
                given={"set_large_enough": large},
            )

    def _equivocated(self, book: RoundBook, peer: bytes, kind: str) -> None:
        ctx = self.ctx
        if ctx.tables.state("round", ctx.me, peer, book.number) != "equivocated":
            ctx.tables.fire(
                "round", "Equivocate", p=ctx.me, q=peer, r=book.number, given={"two_bodies": True}
            )
        raise Equivocation(
            f"two {kind} messages in round {book.number}",
            peer,
            (book.frames[kind, peer], ctx.frame),
        )

    def accepted(self, book: RoundBook) -> list[bytes]:
        """Return the peers whose proposals equal ours."""
        state = self.ctx.tables.state
        return [
            peer
            for peer in book.proposals
            if state("round", self.ctx.me, peer, book.number) in ("accepted", "in_view")
        ]
