"""From one key epoch to the next: who is ready, the fence, the locks, the succession, the erasure.

Everything here follows the table ``regroup``. What would follow the epoch in force is a *draft*;
it is decided when the key itself has signed its document, with the shares of the epoch before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, evolve, field

from metanode.protocol.context import Context, succession_event
from metanode.protocol.events.coordinator import Task
from metanode.protocol.events.votes import VoteBook
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.reshare.drafts import Drafts
from metanode.protocol.reshare.shown_locks import LockBooks, TakenOver, locks_hash
from spec.messages import (
    EcdsaSignature,
    HandedOver,
    LockedCandidate,
    LockShown,
    SharePrepared,
    SignatureFound,
)


@define
class Handover:
    """The handing over of the key at one node.

    ``locks`` are the locks that this node must show, by event; ``create`` makes an event known;
    ``wanted`` tells whether a draft is what this node's operator, or the night, asks for.
    """

    ctx: Context
    votes: VoteBook
    locks: Callable[[], Mapping[bytes, LockedCandidate]]
    create: Callable[[bytes], None]
    wanted: Callable[[KeyEpoch], bool]
    drafts: Drafts = field(init=False)
    books: LockBooks = field(init=False)
    _successors: dict[int, KeyEpoch] = field(factory=dict)
    _reminded: int = 0

    def __attrs_post_init__(self) -> None:
        self.drafts = Drafts(self.ctx, self.wanted)
        self.books = LockBooks(self.ctx, self.drafts)

    # --- what the node knows ---

    def holding(self, number: int) -> str:
        """Return what became of this node's share of an epoch."""
        return self.ctx.tables.state("regroup", self.ctx.me, number)

    def ready(self) -> list[KeyEpoch]:
        """Return the drafts that could be decided, the oldest first.

        Who has stepped back goes on, whatever becomes of the request that it stepped back for.
        """
        found = [d for d in self.drafts.known.values() if self.drafts.is_ready(d)]
        kept = [d for d in found if self.wanted(d) or self._went_too_far(d)]
        return sorted(kept, key=lambda draft: draft.number)

    def _went_too_far(self, draft: KeyEpoch) -> bool:
        if self.holding(draft.follows) != "fenced":
            return False
        handed_over = self.ctx.tables.view.get("handed_over", self.ctx.me, draft.number)
        return bool(handed_over) or self.holding(draft.number) == "prepared"

    # --- shares that were made ---

    def made(self, epoch: KeyEpoch) -> None:
        """New shares were made, and this node took part: put its own in store, then say so."""
        ctx = self.ctx
        key = ctx.key
        if key is None or epoch.follows != key.number:
            return
        if epoch.keyshare is not None:
            message = SharePrepared(epoch.number, epoch.encode())
            ctx.tables.fire(
                "regroup", "Prepare", p=ctx.me, h=epoch.number, quorum=epoch.quorum,
                given={**self._facts(epoch), "share_checked": True},
                carry={"holding": epoch, "ready_said": message},
            )
        self.drafts.keep(epoch)
        if epoch.keyshare is not None:
            self.drafts.sign(message)
        ctx.note("epoch.prepared", epoch=epoch.number, members=len(epoch.members))

    def on_prepared(self, sender: bytes, message: SharePrepared, signature: bytes) -> None:
        """Take a member's word that its share is on disk; the signature is its envelope's."""
        self.drafts.note(sender, message, signature)
        self.tick()

    # --- stepping back ---

    def tick(self) -> None:
        """Step back for a draft that is ready, and go on with what is decided."""
        self.settle()
        ctx = self.ctx
        if ctx.holds_share and self.holding(ctx.epoch.number) in ("active", "fenced"):
            for draft in self.ready():
                if not ctx.tables.view.get("handed_over", ctx.me, draft.number):
                    self._step_back(draft)
            self._remind()
        self._follow_phase()

    def _remind(self) -> None:
        """Tell the holders that have not stepped back yet once more in each round.

        A message was lost, or their operators have asked for the new shares only now.
        """
        ctx, number = self.ctx, self.ctx.round_number()
        if self.holding(ctx.epoch.number) == "fenced" and self._reminded < number:
            self._reminded = number
            told = ctx.tables.view.entries("handed_over")
            stepped_back = {peer for (peer, h), _ in told if h in self.drafts.known}
            for peer in sorted(set(ctx.epoch.roster) - stepped_back):
                self.on_link(peer)

    def _step_back(self, draft: KeyEpoch) -> None:
        ctx, old = self.ctx, self.ctx.epoch
        if self.holding(old.number) == "active":
            ctx.tables.fire(
                "regroup", "Fence", p=ctx.me, h=old.number, k=draft.number,
                given=self._facts(draft), quorum=draft.quorum,
            )
            self._reminded = ctx.round_number()
            ctx.note("epoch.fenced", epoch=old.number, next=draft.number)
        self._hand_over(old, draft)

    def _follow_phase(self) -> None:
        ctx = self.ctx
        states = [state for _, state in ctx.tables.view.entries("holding")]
        hands_over = "fenced" in states and "active" not in states
        phase = ctx.tables.state("peer", ctx.me)
        if hands_over and phase in ("Idle", "Cooldown"):
            ctx.tables.fire("peer", "HandingOver", p=ctx.me)
        elif phase == "Regroup" and not hands_over:
            ctx.tables.fire("peer", "RegroupOver", p=ctx.me)

    def _hand_over(self, old: KeyEpoch, new: KeyEpoch, to: bytes | None = None) -> None:
        """Show all locks to the members of the new epoch, then say that they are all."""
        ctx, book = self.ctx, self.books.of(new.number)
        everybody = {*old.roster, *new.roster} - {ctx.me}
        told = sorted(everybody if to is None else {to} & everybody)
        shown = self.locks()
        for event, candidate in shown.items():
            targets = [peer for peer in told if peer in new.roster]
            book.show(ctx.me, candidate)
            if targets:
                certificate = candidate.certificate
                ctx.tables.fire(
                    "regroup", "ShowLock", p=ctx.me, h=old.number, k=new.number, e=event,
                    a=certificate.attempt, d=certificate.digest, given=self._facts(new),
                    carry={"lock_shown": [(t, LockShown(new.number, candidate)) for t in targets]},
                )
        message = HandedOver(
            new.number, locks_hash(shown.values()), new.encode(), self.drafts.statements(new)
        )
        ctx.tables.fire(
            "regroup", "HandOver", p=ctx.me, h=old.number, k=new.number,
            given={**self._facts(new), "locks_all_shown": True}, quorum=new.quorum,
            carry={"handed_over": [(peer, message) for peer in told] or message},
        )
        book.hand_over(ctx.me, message.locks)
        if to is None:
            ctx.note("epoch.handed_over", epoch=old.number, next=new.number, locks=len(shown))

    def on_handed_over(self, sender: bytes, message: HandedOver) -> None:
        """Take a holder's word that it stepped back and showed all its locks."""
        statement = SharePrepared(message.epoch, message.document)
        self.drafts.take(sender, statement, message.prepared)
        self.books.on_handed_over(sender, message)
        self.tick()

    # --- the succession ---

    def task(self, purpose: str, event: bytes, attempt: int) -> Task | None:
        """Return the attempt at the succession as this node sees it, or None."""
        ctx = self.ctx
        if purpose != "succession" or not ctx.holds_share or event != self._event():
            return None
        if not 0 <= ctx.round_number() - attempt <= 1 or ctx.epoch.number in self._successors:
            return None
        locked = ctx.tables.view.get("lock", ctx.me, event)
        network_id = ctx.settings.network_id
        fitting = [
            draft
            for draft in self.ready()
            if ctx.tables.view.get("handed_over", ctx.me, draft.number)
            and locked in (None, draft.digest(network_id))
        ]
        if not fitting:
            return None
        self.create(event)
        key, draft = ctx.epoch, fitting[0]
        return Task(
            purpose="succession",
            event=event,
            attempt=attempt,
            key_epoch=key.number,
            document=draft.encode(),
            digest=draft.digest(network_id),
            members=key.roster,
            quorum=key.quorum,
            needs_all=False,
        )

    def due(self) -> Task | None:
        """Return the attempt of this round, if there is one."""
        if self.ctx.key is None:
            return None
        return self.task("succession", self._event(), self.ctx.round_number())

    def _event(self) -> bytes:
        key = self.ctx.epoch
        return succession_event(self.ctx.settings.network_id, key.key_id, key.number)

    def named(self, digest: bytes) -> KeyEpoch | None:
        """Return the draft whose name a succession session signs."""
        network_id = self.ctx.settings.network_id
        return next((d for d in self.drafts.known.values() if d.digest(network_id) == digest), None)

    def decided(self, epoch: KeyEpoch, signers: tuple[bytes, ...], rs: bytes) -> None:
        """The key has signed an epoch's name, which the caller verified: keep that, tell everybody.

        Nothing is left undone when the node stops here: ``settle`` goes on from the tables.
        """
        ctx = self.ctx
        event = succession_event(ctx.settings.network_id, epoch.key_id, epoch.follows)
        self.create(event)
        if ctx.tables.state("event", ctx.me, event) != "SUCCESS":
            found = SignatureFound(event, epoch.encode(), signers, (EcdsaSignature(rs),))
            ctx.tables.fire(
                "event", "Signature", p=ctx.me, e=event,
                d=epoch.digest(ctx.settings.network_id), given={"signature_valid": True},
                carry={"announced": found, "signature_kept": found},
            )
        self.follow(epoch)
        self.settle()

    def follow(self, epoch: KeyEpoch) -> None:
        """Note that an epoch is decided: the key signed its name.

        From now on its locks can be judged here, also while this node is still on its way there.
        """
        decided = self._successors[epoch.follows] = evolve(epoch, keyshare=None)
        self.ctx.epochs.setdefault(epoch.number, decided)

    # --- going over ---

    def settle(self) -> None:
        """Go over to the epoch that follows, as far as the tables allow it now."""
        ctx = self.ctx
        while ctx.key is not None and (new := self._successors.get(ctx.key.number)) is not None:
            old, mine = ctx.key, self.drafts.known.get(new.number)
            if (later := self._successors.get(new.number)) is not None:
                self._skip(new, later)
            if ctx.me in new.roster and mine is not None and self.holding(new.number) == "prepared":
                if self.holding(old.number) == "active":
                    self._step_back(mine)
                if not self._take_over(old, mine):
                    return
                new = mine
            elif self.holding(new.number) in ("active", "fenced"):
                new = mine if mine is not None else new
            self._erase(old, new)
            ctx.use(new)
            ctx.epochs[old.number] = evolve(old, keyshare=None)
            self.drafts.forget(new.number)
            self.books.forget(new.number)
            ctx.note("epoch.in_force", epoch=new.number, threshold=new.threshold,
                     members=len(new.members), holder=ctx.holds_share)

    def _skip(self, missed: KeyEpoch, later: KeyEpoch) -> None:
        """Erase a share that never came into force here: nobody hands over to that epoch any more.

        The later one was made without this node, which was away.
        """
        if self.holding(missed.number) == "prepared":
            self.ctx.tables.fire(
                "regroup", "Erase", p=self.ctx.me, h=missed.number, k=later.number,
                given=self._facts(later),
            )
            self._erase_file(missed)

    def _take_over(self, old: KeyEpoch, new: KeyEpoch) -> bool:
        """Take over what T holders handed over and begin to work; return whether it was enough."""
        ctx, book = self.ctx, self.books.of(new.number)
        complete = [q for q in old.roster if book.is_complete(q)]
        if len(complete) < old.threshold:
            return False
        for candidate, sender in book.newest(complete):
            certificate = candidate.certificate
            quorum = ctx.quorum_of(certificate.key_epoch)
            attempt = ctx.tables.view.get("lock_attempt", ctx.me, certificate.event)
            if quorum is None or sender == ctx.me:
                continue
            if isinstance(attempt, int) and attempt >= certificate.attempt:
                continue
            self.votes.add_certificate(certificate)
            self.create(certificate.event)
            ctx.tables.fire(
                "regroup", "TakeOver", p=ctx.me, h=new.number, q=sender, e=certificate.event,
                a=certificate.attempt, d=certificate.digest, quorum=quorum,
                given=self._facts(new), carry={"lock": TakenOver(candidate)},
            )
        ctx.tables.fire(
            "regroup", "Activate", p=ctx.me, h=new.number,
            given={**self._facts(new), "locks_taken": True},
        )
        return True

    def _erase(self, old: KeyEpoch, new: KeyEpoch) -> None:
        """Erase the share of the epoch before, and those of attempts that were not decided."""
        ctx = self.ctx
        lost = ctx.me in new.roster and self.holding(new.number) in ("no_share", "prepared")
        if lost:  # an old disk was put back: no new share, so the old one is not erased for it
            ctx.note("epoch.share_lost", epoch=new.number)
        elif self.holding(old.number) in ("prepared", "active", "fenced"):
            ctx.tables.fire(
                "regroup", "Erase", p=ctx.me, h=old.number, k=new.number, given=self._facts(new)
            )
            self._erase_file(old)
            if not ctx.tables.view.get("handed_over", ctx.me, new.number):
                self._hand_over(old, new)  # it was away: others may wait for what it has
        for rival in self.drafts.known.values():
            outdone = rival.follows == old.number and rival.number != new.number
            if outdone and self.holding(rival.number) == "prepared":
                facts = self._facts(new)
                facts["follows"] = {**facts["follows"], (rival.number, old.number): True}
                ctx.tables.fire(
                    "regroup", "Outdone", p=ctx.me, h=rival.number, k=new.number, given=facts
                )
                self._erase_file(rival)

    def _erase_file(self, epoch: KeyEpoch) -> None:
        self.ctx.call(
            "erase_share", key_id=epoch.key_id, epoch=epoch.number, public_key=epoch.public_key
        )

    def _facts(self, new: KeyEpoch) -> dict[str, Any]:
        """Return what the rows ask about an epoch and the one that it follows."""
        number = new.number
        return {
            "first_epoch": False,
            "follows": {(number, new.follows): True},
            "roster_has": {(member, number): True for member in new.roster},
            "succession": {(e.number,): True for e in self._successors.values()},
        }

    # --- who was away ---

    def on_link(self, peer: bytes) -> None:
        """Tell a peer that came up what it may have missed."""
        ctx = self.ctx
        for number, draft in self.drafts.known.items():
            if self.holding(number) == "prepared":
                message = SharePrepared(number, draft.encode())
                ctx.tables.fire(
                    "regroup", "Tell", p=ctx.me, h=number, given={"first_epoch": False},
                    carry={"ready_said": [(peer, message)]},
                )
            if ctx.tables.view.get("handed_over", ctx.me, number) and ctx.holds_share:
                self._hand_over(ctx.epoch, draft, to=peer)

    def catch_up(self, peer: bytes) -> None:
        """Hand over again to a member of the epoch in force that was away when it began."""
        ctx = self.ctx
        key = ctx.epoch
        old = ctx.epochs.get(key.follows)
        if old is not None and peer in key.roster and self.holding(old.number) == "erased":
            self._hand_over(old, key, to=peer)

    # --- start ---

    def restore(self, shares: list[KeyEpoch], successors: list[KeyEpoch]) -> None:
        """Take up after a start: the shares of later epochs, and the epochs that were decided."""
        for epoch in successors:
            self.follow(epoch)
        for epoch in shares:
            if self.holding(epoch.number) == "erased":
                self._erase_file(epoch)  # the crash may have come before the file was gone
            else:
                self.drafts.keep(epoch)
                self.drafts.sign(SharePrepared(epoch.number, epoch.encode()))
        self.settle()
