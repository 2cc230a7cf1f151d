"""A signing round at one node: offers, proposals, signing sets, checksums, certificate.

``tick`` moves the node's phase with the clock; the other methods take the messages of the round. A
round's number is in each of its messages; those of the next round wait, because clocks differ
(F-12).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field

from metanode.custody.payout import PayoutDocument
from metanode.errors import Equivocation, PeerFault
from metanode.protocol.candidate import Candidates
from metanode.protocol.context import Context, outpoint_ref, whole
from metanode.protocol.hashing import tagged_hash
from metanode.protocol.machine import TransitionError
from metanode.protocol.session import Run
from metanode.protocol.threshold_set import prune_copies, threshold_set
from metanode.protocol.votes import VoteBook, certificate_fault, sign_vote
from metanode.tss.share_proof import prove_share, verify_share
from spec.messages import Certificate, LockedCandidate, Offer, Proposal, SigningSet, Vote


def proposal_id_hash(peer: bytes, round_number: int, epoch: int, document: bytes) -> bytes:
    """Return m[1]: the peer's id bound to its document, round and key epoch, unambiguously (F-11)."""
    return tagged_hash("proposal", peer, whole(round_number), whole(epoch), document)


def share_proof_context(network_id: bytes, peer: bytes, epoch: int, round_number: int) -> bytes:
    """Return what a proposal's share proof is bound to, so that no copy or replay verifies (F-10)."""
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
class Rounds:
    """The round core of a node. ``begin`` starts the signing run of a certificate.

    ``began_in`` is the round in which the node was started; ``locks`` returns the locked candidates
    of open events; ``open_payout`` tells whether an earlier payout is not final yet; ``prepare``
    brings the event of a document to IN_PROGRESS.
    """

    ctx: Context
    candidates: Candidates
    votes: VoteBook
    locks: Callable[[], tuple[LockedCandidate, ...]]
    open_payout: Callable[[], bool]
    prepare: Callable[[bytes, int, bytes], None]
    recover: Callable[[bytes], None]
    begin: Callable[[Certificate, PayoutDocument], Run]
    drop: Callable[[bytes, int], None]
    began_in: int = 0
    _books: dict[int, RoundBook] = field(factory=dict)

    def book(self, number: int) -> RoundBook:
        """Return the book of a round."""
        return self._books.setdefault(number, RoundBook(number))

    # --- the clock
    # -----------------------------------------------------------------------------------

    def tick(self) -> None:
        """Move with the clock: begin, propose, close each phase at its share of the round."""
        ctx = self.ctx
        if ctx.key is None:
            return
        phase, number, share = self.phase(), ctx.round_number(), ctx.round_share()
        current = ctx.tables.view.get("round", ctx.me)
        if phase not in ("Idle", "Cooldown", "Keygen") and current != number:
            self._deadline()
        elif phase == "Cooldown":
            if self._try("NextRound", r=number):
                self._clean(number)
                self.tick()
        elif phase == "Idle":
            self._start(number, share)
        elif phase == "Proposing":
            self._after_proposals(share)
        elif phase == "SetBuilding":
            self._after_sets(share)
        elif phase == "ThresholdSet":
            self._after_votes(share)
        elif phase == "Signing" and share >= ctx.preset.signing_share:
            self._deadline()

    def phase(self) -> str:
        """Return the node's phase."""
        return self.ctx.tables.state("peer", self.ctx.me)

    def _start(self, number: int, share: float) -> None:
        ctx, preset = self.ctx, self.ctx.preset
        book = self.book(number)
        if ctx.me not in book.offers:
            if share < preset.offer_share:
                self._offer(book)
            return
        everyone = ctx.live_holders() <= set(book.offers)
        if book.document is None and (everyone or share >= preset.offer_share):
            if share < preset.propose_share:
                self._propose(book)

    def _offer(self, book: RoundBook) -> None:
        ctx = self.ctx
        cutoff = self.candidates.cutoff()
        locks = self.locks()
        transfers = self.candidates.eligible() if cutoff and not self.open_payout() else ()
        if cutoff is None or not (transfers or locks):
            return
        offer = Offer(
            book.number,
            cutoff.snapshot.height,
            cutoff.snapshot.hash,
            tuple(outpoint_ref(t.deposit.outpoint) for t in transfers[:256]),
            max(locks, key=lambda c: c.certificate.attempt, default=None),
        )
        facts = {
            "transfer_eligible": True,
            "regroup_near": self._regroup_near(),
            "began_in_round": book.number <= self.began_in,
        }
        if self._try("Offer", carry={"offered": offer}, given=facts, r=book.number):
            book.offers[ctx.me] = offer

    def _regroup_near(self) -> bool:
        preset = self.ctx.preset
        return (
            self.ctx.now % preset.regroup_period_s
            > preset.regroup_period_s - 2 * preset.round_period_s
        )

    def _propose(self, book: RoundBook) -> None:
        ctx, key = self.ctx, self.ctx.epoch
        shown = [o.locked for o in book.offers.values() if o.locked is not None]
        document = self.candidates.choose(book.offers, [*self.locks(), *shown])
        if document is None:
            return
        context = share_proof_context(ctx.settings.network_id, ctx.me, key.number, book.number)
        proposal = Proposal(
            book.number,
            key.number,
            document.digest,
            proposal_id_hash(ctx.me, book.number, key.number, document.encode()),
            prove_share(key.keyshare.secret_share, key.public_share(ctx.me), context, ctx.entropy),
        )
        if not self._try(
            "RoundTick",
            carry={"proposed": proposal},
            given={"transfer_eligible": True},
            r=book.number,
            d=document.digest,
        ):
            return
        book.document = document
        book.proposals[ctx.me] = proposal
        ctx.note("round.proposed", round=book.number, transfers=len(document.transfers))
        for peer in tuple(book.proposals):
            self._judge(book, peer)

    def _after_proposals(self, share: float) -> None:
        book = self.book(self.ctx.round_number())
        accepted = self._accepted(book)
        late = share >= self.ctx.preset.propose_share
        if late and len(accepted) < self.ctx.epoch.quorum.threshold:
            self._deadline()
        elif late or self.ctx.live_holders() <= set(accepted):
            message = SigningSet(book.number, self.ctx.epoch.number, tuple(sorted(accepted)))
            if self._try("Matched", carry={"set_sent": message}, r=book.number):
                book.sets[self.ctx.me] = message
                for peer in tuple(book.sets):
                    self._judge_set(book, peer)

    def _after_sets(self, share: float) -> None:
        ctx, book = self.ctx, self.book(self.ctx.round_number())
        late = share >= ctx.preset.set_share
        if not late and not set(self._accepted(book)) <= set(book.sets):
            return
        key = ctx.epoch
        proofs = {peer: p.share_proof for peer, p in book.proposals.items()}
        in_view = {
            peer: frozenset(book.sets[peer].members)
            for peer in book.sets
            if ctx.tables.state("round", ctx.me, peer, book.number) == "in_view"
        }
        chosen = threshold_set(prune_copies(key.seniority, proofs), in_view, key.quorum.threshold)
        if chosen is None:
            if late:
                self._deadline()
        elif ctx.me not in chosen:
            self._try("SetElsewhere", given={"set_without_me": True}, r=book.number)
        else:
            self._vote(book, tuple(sorted(chosen)))

    def _vote(self, book: RoundBook, members: tuple[bytes, ...]) -> None:
        ctx, document = self.ctx, book.document
        if document is None:
            return
        vote = Vote(ctx.epoch.number, document.event, book.number, document.digest, members)
        try:
            self._show_locks(book)
            self.prepare(document.event, book.number, document.digest)
        except TransitionError as refusal:
            ctx.note("round.refused", round=book.number, reason=str(refusal))
            self._deadline()
            return
        if self._try(
            "SetFound",
            carry={"vote": vote},
            given={"set_is_mutual": True},
            r=book.number,
            e=document.event,
            d=document.digest,
        ):
            book.vote = vote
            self.votes.add(ctx.me, vote, sign_vote(ctx, vote).signature)
            self._after_votes(ctx.round_share())
        else:
            self._deadline()

    def _after_votes(self, share: float) -> None:
        ctx, book = self.ctx, self.book(self.ctx.round_number())
        if book.vote is None or book.document is None:
            return
        others = [vote for vote, _ in self.votes.of(book.vote.event, book.number).values()]
        if any(
            vote.digest != book.vote.digest or vote.members != book.vote.members for vote in others
        ):
            self._try("Mismatch", given={"votes_conflict": True}, r=book.number)
            self._recover(book)
            return
        certificate = self.votes.certificate(book.vote, ctx.epoch.quorum.threshold)
        if certificate is not None:
            locked = LockedCandidate(book.document.encode(), certificate)
            if self._try(
                "Certified",
                carry={"lock": locked},
                given={"needs_all": False},
                r=book.number,
                e=book.vote.event,
                d=book.vote.digest,
            ):
                self.begin(certificate, book.document)
                return
        if share >= ctx.preset.vote_share:
            self._deadline()

    def finished(self, event: bytes, digest: bytes) -> None:
        """The signatures of an event are verified and stored: rest until the next round."""
        if self.phase() == "Signing":
            self._try("Signed", given={"signature_valid": True}, e=event, d=digest)

    def _deadline(self) -> None:
        number = self.ctx.tables.view.get("round", self.ctx.me)
        self.ctx.note("round.ended", round=number, phase=self.phase())
        self._try("Deadline", given={"deadline_passed": True})
        if isinstance(number, int):
            self._recover(self.book(number))

    def _recover(self, book: RoundBook) -> None:
        if book.document is not None:
            self.drop(book.document.event, book.number)
            self.recover(book.document.event)

    # --- messages
    # ------------------------------------------------------------------------------------

    def on_offer(self, sender: bytes, message: Offer) -> None:
        """Take the offer of a holder; a lock that it shows must be certified."""
        if not self._expected(sender, message.round):
            return
        if message.locked is not None:
            fault = certificate_fault(
                message.locked.certificate,
                self.ctx.codec,
                self.ctx.settings.network_id,
                self.ctx.epoch.quorum,
            )
            if fault is not None:
                raise PeerFault(f"an offer shows a lock without a certificate: {fault}", sender)
        self.book(message.round).offers.setdefault(sender, message)
        self.ctx.tables.view.deliver("offered", sender, message.round)

    def on_proposal(self, sender: bytes, message: Proposal) -> None:
        """Take the proposal of a holder: the first counts, a different second one is evidence."""
        if not self._expected(sender, message.round) or message.key_epoch != self.ctx.epoch.number:
            return
        book = self.book(message.round)
        earlier = book.proposals.get(sender)
        if earlier is not None:
            if earlier != message:
                self._equivocated(book, sender, message.KIND)
            return
        book.proposals[sender] = message
        book.frames[message.KIND, sender] = self.ctx.frame
        self.ctx.tables.view.deliver("proposed", sender, message.round, message.document_hash)
        self._judge(book, sender)

    def on_set(self, sender: bytes, message: SigningSet) -> None:
        """Take the signing set of a holder."""
        if not self._expected(sender, message.round) or message.key_epoch != self.ctx.epoch.number:
            return
        book = self.book(message.round)
        earlier = book.sets.get(sender)
        if earlier is not None:
            if earlier != message:
                self._equivocated(book, sender, message.KIND)
            return
        book.sets[sender] = message
        book.frames[message.KIND, sender] = self.ctx.frame
        self.ctx.tables.view.deliver("set_sent", sender, message.round)
        self._judge_set(book, sender)

    def _expected(self, sender: bytes, number: int) -> bool:
        ctx = self.ctx
        if ctx.key is None or sender not in ctx.key.roster or sender == ctx.me:
            return False
        now = ctx.round_number()
        return now <= number <= now + ctx.preset.rounds_buffered

    def _judge(self, book: RoundBook, peer: bytes) -> None:
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
        self._judge_set(book, peer)

    def _judge_set(self, book: RoundBook, peer: bytes) -> None:
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

    # --- helpers
    # -------------------------------------------------------------------------------------

    def _accepted(self, book: RoundBook) -> list[bytes]:
        state = self.ctx.tables.state
        return [
            peer
            for peer in book.proposals
            if state("round", self.ctx.me, peer, book.number) in ("accepted", "in_view")
        ]

    def _show_locks(self, book: RoundBook) -> None:
        """Note the votes behind the locks that were shown, so that a lock may move (SAFE-SIGN 4)."""
        for offer in book.offers.values():
            if offer.locked is not None:
                self.votes.add_certificate(offer.locked.certificate)

    def _try(self, event: str, **arguments: Any) -> bool:
        try:
            self.ctx.tables.fire("peer", event, p=self.ctx.me, **arguments)
        except TransitionError as refusal:
            self.ctx.note("round.not_yet", event_name=event, reason=str(refusal))
            return False
        return True

    def _clean(self, number: int) -> None:
        self._books = {n: book for n, book in self._books.items() if n >= number}
        self.votes.forget(number - 2)
        self.ctx.tables.view.forget("Attempt", range(number - 2, number + 3))
