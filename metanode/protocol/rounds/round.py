"""A signing round at one node, from the offer to the certificate: what it does and when.

``tick`` moves the node's phase with the clock and with what ``hearing`` has heard.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define

from metanode.custody.payout import PayoutDocument
from metanode.protocol.context import Context, outpoint_ref
from metanode.protocol.events.sessions import Run
from metanode.protocol.events.votes import VoteBook, sign_vote
from metanode.protocol.rounds.candidate import Candidates
from metanode.protocol.rounds.inbox import Hearing, RoundBook, proposal_id_hash, share_proof_context
from metanode.protocol.rounds.threshold_set import prune_copies, signing_order, threshold_set
from metanode.protocol.tables.runner import TransitionError
from metanode.tss.share_proof import prove_share
from spec.messages import Certificate, LockedCandidate, Offer, Proposal, SigningSet, Vote


@define
class Rounds:
    """The round core of a node. ``begin`` starts the signing run of a certificate.

    ``began_in`` is the round in which the node was started; ``locks`` returns the locked candidates
    of open events; ``open_payout`` tells whether an earlier payout is not final yet; ``prepare``
    brings the event of a document to IN_PROGRESS.
    """

    ctx: Context
    hearing: Hearing
    candidates: Candidates
    votes: VoteBook
    locks: Callable[[], tuple[LockedCandidate, ...]]
    open_payout: Callable[[], bool]
    prepare: Callable[[bytes, int, bytes], None]
    recover: Callable[[bytes], None]
    begin: Callable[[Certificate, PayoutDocument], Run]
    drop: Callable[[bytes, int], None]
    began_in: int = 0

    # --- the clock ---

    def tick(self) -> None:
        """Move with the clock: begin, propose, close each phase at its share of the round."""
        ctx = self.ctx
        if not ctx.holds_share:
            return
        phase, number, share = self.phase(), ctx.round_number(), ctx.round_share()
        current = ctx.tables.view.get("round", ctx.me)
        if phase not in ("Idle", "Cooldown", "Keygen", "Regroup") and current != number:
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
        book = self.hearing.book(number)
        if ctx.me not in book.offers:
            if share < preset.offer_share:
                self._offer(book)
            return
        everyone = ctx.live_holders() <= set(book.offers)
        ready = everyone or share >= preset.offer_share
        if book.document is None and ready and share < preset.propose_share:
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
            prove_share(key.share.secret_share, key.public_share(ctx.me), context, ctx.entropy),
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
            self.hearing.judge(book, peer)

    def _after_proposals(self, share: float) -> None:
        book = self.hearing.book(self.ctx.round_number())
        accepted = self.hearing.accepted(book)
        late = share >= self.ctx.preset.propose_share
        if late and len(accepted) < self.ctx.epoch.quorum.threshold:
            self._deadline()
        elif late or self.ctx.live_holders() <= set(accepted):
            message = SigningSet(book.number, self.ctx.epoch.number, tuple(sorted(accepted)))
            if self._try("Matched", carry={"set_sent": message}, r=book.number):
                book.sets[self.ctx.me] = message
                for peer in tuple(book.sets):
                    self.hearing.judge_set(book, peer)

    def _after_sets(self, share: float) -> None:
        ctx, book = self.ctx, self.hearing.book(self.ctx.round_number())
        late = share >= ctx.preset.set_share
        if not late and not set(self.hearing.accepted(book)) <= set(book.sets):
            return
        key = ctx.epoch
        proofs = {peer: p.share_proof for peer, p in book.proposals.items()}
        in_view = {
            peer: frozenset(book.sets[peer].members)
            for peer in book.sets
            if ctx.tables.state("round", ctx.me, peer, book.number) == "in_view"
        }
        kept = prune_copies(key.seniority, proofs)
        spare = len(key.roster) - key.threshold
        turn = signing_order(key.seniority, book.number, spare)
        order = [peer for peer in turn if peer in kept]
        chosen = threshold_set(order, in_view, key.quorum.threshold)
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
            given={"set_is_mutual": True, **self._facts(vote)},
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
        ctx, book = self.ctx, self.hearing.book(self.ctx.round_number())
        if book.vote is None or book.document is None:
            return
        certificate = self.votes.certificate(book.vote, ctx.epoch.quorum.threshold)
        if certificate is not None:
            locked = LockedCandidate(book.document.encode(), certificate)
            if self._try(
                "Certified",
                carry={"lock": locked},
                given={"needs_all": False, **self._facts(book.vote)},
                r=book.number,
                e=book.vote.event,
                d=book.vote.digest,
            ):
                self.begin(certificate, book.document)
                return
        if self._conflict(book.vote):
            self._try("Mismatch", given={"votes_conflict": True}, r=book.number)
            self._recover(book)
            return
        if share >= ctx.preset.vote_share:
            self._deadline()

    def _conflict(self, mine: Vote) -> bool:
        """Return whether a member of the threshold set signed another checksum."""
        votes = self.votes.of(mine.event, mine.attempt)
        return any(member in votes and votes[member][0] != mine for member in mine.members)

    def finished(self, event: bytes, digest: bytes) -> None:
        """The signatures of an event are verified and stored: rest until the next round."""
        if self.phase() == "Signing":
            self._try("Signed", given={"signature_valid": True}, e=event, d=digest)

    def _deadline(self) -> None:
        number = self.ctx.tables.view.get("round", self.ctx.me)
        self.ctx.note("round.ended", round=number, phase=self.phase())
        self._try("Deadline", given={"deadline_passed": True})
        if isinstance(number, int):
            self._recover(self.hearing.book(number))

    def _recover(self, book: RoundBook) -> None:
        if book.document is not None:
            self.drop(book.document.event, book.number)
            self.recover(book.document.event)

    # --- helpers ---

    def _facts(self, vote: Vote) -> dict[str, Any]:
        return self.ctx.signing_facts("payout", vote.key_epoch, vote.event, vote.attempt)

    def _show_locks(self, book: RoundBook) -> None:
        """Note the votes behind the locks shown, so that a lock may move (SAFE-SIGN 4)."""
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
        self.hearing.forget(number)
        self.ctx.tables.view.forget("Attempt", range(number - 2, number + 3))
