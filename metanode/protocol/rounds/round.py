"""A signing round at one node, from the offer to the certificate: what is due, and what is said.

The phase of the node says how far the round has come. Each step below looks at one phase; it
waits before a deadline only so that more peers are in time (F-12).
"""

from __future__ import annotations

from attrs import define, field

from metanode.protocol.context import Context, outpoint_ref
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.purpose import Task
from metanode.protocol.events.sessions import Sessions
from metanode.protocol.events.votes import VoteBook
from metanode.protocol.payouts.payouts import Payouts
from metanode.protocol.payouts.waiting import Waiting
from metanode.protocol.rounds.candidate import Candidates
from metanode.protocol.rounds.inbox import Inbox, proposal_id_hash, share_proof_context
from metanode.protocol.tables.registry import fact, handles, message
from metanode.tss.proofs import prove_share
from spec.messages import (
    FEE_RATE_LIMIT,
    TRANSFERS_LIMIT,
    LockedCandidate,
    Offer,
    Proposal,
    SigningSet,
)

ENDS = {
    "Proposing": "propose_share",
    "SetBuilding": "set_share",
    "ThresholdSet": "vote_share",
    "Signing": "signing_share",
}
"""The phases of a round, and at which share of it each of them ends."""
SPOKEN_KEPT = 64
"""Rounds that are remembered after a step of the clock; only the next few can matter."""


@define
class Rounds:
    """The round core of a node. ``began_in`` is the round in which the node was started."""

    ctx: Context
    book: EventBook
    votes: VoteBook
    inbox: Inbox
    candidates: Candidates
    payouts: Payouts
    waiting: Waiting
    sessions: Sessions
    began_in: int = 0
    spoken: set[int] = field(factory=set)
    """The newest rounds in which this node has spoken, also before the wall clock went back."""

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    def phase(self) -> str:
        """Return the node's phase."""
        return str(self.ctx.tables.view.get("phase", self.ctx.me))

    # --- what the tables are told ---

    @fact
    def began_in_round(self, p: bytes, r: int) -> bool:
        # A round that peers may have heard of ahead of time, before the clock was set back.
        ahead = self.began_in + self.ctx.preset.rounds_buffered
        return r <= self.began_in or (r <= ahead and r in self.spoken)

    @fact
    def transfer_eligible(self, p: bytes) -> bool:
        if self.candidates.cutoff() is None:
            return False
        return bool(self.candidates.eligible()) or any(self.candidates.windows.locks())

    @fact
    def regroup_near(self, p: bytes) -> bool:
        preset = self.ctx.preset
        margin = 2 * preset.round_period_s
        return self.ctx.now % preset.regroup_period_s > preset.regroup_period_s - margin

    @fact
    def deadline_passed(self, p: bytes) -> bool:
        if self._entered() != self.ctx.round_number():
            return True
        share: float = getattr(self.ctx.preset, ENDS[self.phase()])
        return self.ctx.round_share() >= share

    @fact
    def votes_conflict(self, p: bytes, r: int) -> bool:
        task = self.inbox.book(r).task
        if task is None:
            return False
        votes = self.votes.of(task.event, r)
        return any(q in votes and votes[q][0] != task.vote for q in task.members)

    # --- what is said, and kept in the book beside what is heard ---

    @message("offered")
    def offered(self, p: bytes, r: int) -> Offer | None:
        cutoff = self.candidates.cutoff()
        if cutoff is None:
            return None
        transfers = self.candidates.eligible()[:TRANSFERS_LIMIT]
        offer = self.inbox.book(r).offers[p] = Offer(
            r,
            cutoff.snapshot.height,
            cutoff.snapshot.hash,
            min(self.candidates.fee_floor, FEE_RATE_LIMIT - 1),
            tuple(outpoint_ref(transfer.deposit.outpoint) for transfer in transfers),
            self.candidates.windows.lock_to_show(r),
        )
        return offer

    @message("proposed")
    def proposed(self, p: bytes, r: int, d: bytes) -> Proposal | None:
        ctx, key, book = self.ctx, self.ctx.epoch, self.inbox.book(r)
        if book.document is None:
            return None
        context = share_proof_context(ctx.settings.network_id, p, key.number, r)
        proposal = book.proposals[p] = Proposal(
            r,
            key.number,
            book.document.digest,
            proposal_id_hash(p, r, key.number, book.document.encode()),
            prove_share(key.share.secret_share, key.public_share(p), context, ctx.entropy),
        )
        return proposal

    @message("set_sent")
    def set_sent(self, p: bytes, r: int) -> SigningSet:
        accepted = tuple(sorted(self.inbox.accepted(r)))
        said = self.inbox.book(r).sets[p] = SigningSet(r, self.ctx.epoch.number, accepted)
        return said

    # --- the steps of a round ---

    @handles("round_next")
    def round_next(self) -> None:
        number = self.ctx.round_number()
        if self.ctx.boundary and self.phase() not in ENDS:
            self.inbox.forget(number)
        if self.ctx.boundary:
            self.waiting.tell()
        cooled = self.phase() == "Cooldown" and self._entered() != number
        if cooled and self.ctx.tries("peer.NextRound", r=number):
            self.ctx.tables.view.forget("Attempt", range(number - 2, number + 3))

    @handles("offered")
    def offer(self) -> None:
        ctx = self.ctx
        if self.phase() != "Idle" or ctx.round_share() >= ctx.preset.offer_share:
            return
        number = ctx.round_number()
        if ctx.me not in self.inbox.book(number).offers and ctx.tries("peer.Offer", r=number):
            self.spoken.add(number)
            if len(self.spoken) > SPOKEN_KEPT:
                self.spoken.discard(min(self.spoken))

    @handles("round_proposed")
    def propose(self) -> None:
        ctx, preset, share = self.ctx, self.ctx.preset, self.ctx.round_share()
        if self.phase() != "Idle" or share >= preset.propose_share:
            return
        number = ctx.round_number()
        book = self.inbox.book(number)
        everyone = ctx.me in book.offers and ctx.live_holders() <= set(book.offers)
        if ctx.me not in book.offers or not (everyone or share >= preset.offer_share):
            return
        shown = [offer.locked for offer in book.offers.values() if offer.locked is not None]
        book.document = self.candidates.choose(number, book.offers, shown)
        if book.document is None:
            return
        if not ctx.tries("peer.RoundTick", r=number, d=book.document.digest):
            book.document = None
            self._not_yet("RoundTick")
            return
        ctx.note("round.proposed", round=number, transfers=len(book.document.transfers))

    @handles("matched")
    def match(self) -> None:
        ctx = self.ctx
        if self.phase() != "Proposing":
            return
        number = ctx.round_number()
        everyone = ctx.live_holders() <= set(self.inbox.accepted(number))
        if not everyone and ctx.round_share() < ctx.preset.propose_share:
            return
        ctx.tries("peer.Matched", r=number)

    @handles("set_settled")
    def settle(self) -> None:
        ctx = self.ctx
        if self.phase() != "SetBuilding":
            return
        number = ctx.round_number()
        book = self.inbox.book(number)
        everyone = set(self.inbox.accepted(number)) <= set(book.sets)
        if book.task is not None or not (everyone or ctx.round_share() >= ctx.preset.set_share):
            return
        chosen = self.inbox.threshold_set(number)
        if chosen is None or ctx.tries("peer.SetElsewhere", r=number) or book.document is None:
            return
        event, digest = book.document.event, book.document.digest
        if ctx.tables.view.get("voted", ctx.me, event, number) is not None:
            # The clock was set back: with other members, the same vote would be a second one.
            ctx.note("round.not_yet", event_name="SetFound", reason="voted in this round before")
            return
        book.task = task = Task(
            purpose=self.payouts.kind, event=event, attempt=number, key_epoch=ctx.epoch.number,
            document=book.document.encode(), digest=digest, members=tuple(sorted(chosen)),
            quorum=ctx.epoch.quorum,
        )
        for offer in book.offers.values():  # the votes behind a lock that is shown (SAFE-SIGN 4)
            if offer.locked is not None:
                self.votes.add_certificate(offer.locked.certificate)
        self.votes.voting(task.vote)
        if not (
            self.votes.taken_up(task.vote, task.quorum)
            and self.book.prepare(event, task.purpose, number, digest)
            and ctx.tries("peer.SetFound", e=event, r=number, d=digest)
        ):
            self._not_yet("SetFound")

    @handles("round_certified")
    def certify(self) -> None:
        ctx = self.ctx
        task = self._task() if self.phase() == "ThresholdSet" else None
        if task is None:
            return
        order, needed = task.members, task.votes_needed
        certificate = self.votes.certificate(task.vote, needed, order)
        if certificate is None:
            return
        event, attempt, digest = task.event, task.attempt, task.digest
        self.book.locking(LockedCandidate(task.document, certificate))
        if not ctx.tries("peer.Certified", e=event, r=attempt, d=digest):
            self._not_yet("Certified")
            return
        self.sessions.enter(task, certificate)
        if not ctx.tries("session.Certified", e=event, a=attempt, d=digest):
            self._not_yet("Certified")

    @handles("round_mismatch")
    def mismatch(self) -> None:
        task = self._task() if self.phase() == "ThresholdSet" else None
        if task is not None and self.ctx.tries("peer.Mismatch", r=task.attempt):
            self.ctx.tries("event.Recover", e=task.event)

    @handles("round_signed")
    def signed(self) -> None:
        task = self._task() if self.phase() == "Signing" else None
        found = None if task is None else self.book.found.get(task.event)
        if found is not None:
            self.ctx.tries("peer.Signed", e=found.event, d=found.digest)

    @handles("round_over")
    def over(self) -> None:
        phase = self.phase()
        if phase not in ENDS:
            return
        task = self._task()
        if self.ctx.tries("peer.Deadline"):
            self.ctx.note("round.ended", round=self._entered(), phase=phase)
            if task is not None:
                self.sessions.drop(task.event, task.attempt)
                self.book.recover(task.event)

    # --- helpers ---

    def _entered(self) -> int:
        """Return the round that this node is in, or was in last; -1 before the first."""
        number = self.ctx.tables.view.get("round", self.ctx.me)
        return number if isinstance(number, int) else -1

    def _task(self) -> Task | None:
        return self.inbox.book(self._entered()).task

    def _not_yet(self, event: str) -> None:
        self.ctx.note("round.not_yet", event_name=event, reason=str(self.ctx.tables.refusal))
