"""From one key epoch to the next: who is ready, the fence, the locks, the succession, the erasure.

The table ``regroup`` decides all of it. A *draft* is an epoch that may follow the one in force; it
is decided when the key itself has signed its document, with the shares of the epoch before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import define, evolve, field

from metanode.errors import LocalFault, PeerFault
from metanode.protocol.context import Context, succession_event
from metanode.protocol.events.event_book import EventBook, TakenOver
from metanode.protocol.events.purpose import Purpose, Task, signatures_of, signing_run
from metanode.protocol.events.run import Run
from metanode.protocol.events.votes import VoteBook
from metanode.protocol.inputs import Input, LinkUp, Received
from metanode.protocol.keys.epoch import NONE_BEFORE, KeyEpoch
from metanode.protocol.keys.epoch_name import epoch_named, epoch_signed, naming_event
from metanode.protocol.reshare.drafts import Drafts
from metanode.protocol.reshare.shown_locks import LockBooks, locks_hash
from metanode.protocol.reshare.wishes import Wishes
from metanode.protocol.tables.effects import EraseShare
from metanode.protocol.tables.registry import admits, attachment, fact, handles, message
from spec.messages import Certificate, HandedOver, LockShown, Ping, SharePrepared, SignatureFound


@define
class Handover(Purpose):
    """The handing over of the key at one node; the purpose of successions."""

    ctx: Context
    book: EventBook
    votes: VoteBook
    wishes: Wishes
    drafts: Drafts
    kind: str = "succession"
    books: LockBooks = field(init=False)
    _successors: dict[int, KeyEpoch] = field(factory=dict)
    _judged: dict[bytes, tuple[SignatureFound, KeyEpoch | None]] = field(factory=dict)
    _making: KeyEpoch | None = None
    _reminded: int = 0
    _told: dict[bytes, tuple[float, Input | None]] = field(factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        self.books = LockBooks(self.ctx, self.book)
        self.ctx.tables.bind(self)

    # --- what the tables are told ---

    @fact
    def roster_has(self, p: bytes, h: int) -> bool:
        epoch = self.ctx.epoch_of(h)
        return epoch is not None and p in epoch.roster

    @fact
    def succession_signed(self, h: int) -> bool:
        epoch = self.ctx.epoch_of(h)
        if epoch is None or epoch.follows == NONE_BEFORE:
            return False
        found = self.book.found.get(naming_event(self.ctx.settings.network_id, epoch))
        return found is not None and self._signed(found) == epoch

    def _signed(self, found: SignatureFound) -> KeyEpoch | None:
        """Return the epoch whose name a signature is about, if it verifies; what is kept is judged
        once.
        """
        known = self._judged.get(found.event)
        if known is not None and known[0] is found:
            return known[1]
        epoch = epoch_signed(self.ctx.settings.network_id, found)
        if self.book.found.get(found.event) is found:
            self._judged[found.event] = (found, epoch)
        return epoch

    # --- what is said and stored ---

    @attachment("holding")
    def share_made(self, p: bytes, h: int) -> KeyEpoch | None:
        making = self._making
        return making if making is not None and making.number == h else None

    @message("handed_over")
    def handed_over(self, p: bytes, k: int) -> HandedOver:
        epoch, shown = self._known(k), self.book.locks_to_show()
        statements = self.drafts.statements(epoch)
        return HandedOver(k, locks_hash(shown.values()), epoch.encode(), statements)

    # --- what the node knows ---

    def holding(self, number: int) -> str:
        """Return what became of this node's share of an epoch."""
        return self.ctx.state("regroup", number)

    def ready(self) -> list[KeyEpoch]:
        """Return the drafts that could be decided, the oldest first.

        A holder that has stepped back goes on, whatever becomes of the request that it did so for.
        """
        found = [d for d in self.ctx.drafts.values() if self.drafts.is_ready(d)]
        kept = [d for d in found if self.wishes.wanted(d) or self._went_too_far(d)]
        return sorted(kept, key=lambda draft: draft.number)

    def _went_too_far(self, draft: KeyEpoch) -> bool:
        if self.holding(draft.follows) != "fenced":
            return False
        return self._handed_over(draft) or self.holding(draft.number) == "prepared"

    def _handed_over(self, epoch: KeyEpoch) -> bool:
        return bool(self.ctx.tables.view.get("handed_over", self.ctx.me, epoch.number))

    # --- shares that were made ---

    def made(self, epoch: KeyEpoch) -> None:
        """New shares were made, and this node took part: put its own in store, then say so.

        Fires ``regroup.Prepare``.
        """
        ctx = self.ctx
        self.drafts.keep(evolve(epoch, keyshare=None))
        if epoch.keyshare is not None:
            self._making = epoch
            prepared = ctx.tries("regroup.Prepare", h=epoch.number)
            self._making = None
            if not prepared:
                ctx.note("epoch.not_prepared", epoch=epoch.number, reason=str(ctx.tables.refusal))
                return
            ctx.drafts[epoch.number] = epoch
            self.drafts.sign(epoch)
        ctx.note("epoch.prepared", epoch=epoch.number, members=len(epoch.members))

    # --- stepping back ---

    @handles("stepped_back")
    def step_back(self) -> None:
        ctx = self.ctx
        for draft in ctx.each(self.ready() if ctx.holds_share else ()):
            if not self._handed_over(draft):
                self._step_back(draft)

    @handles("handing_over")
    def follow_phase(self) -> None:
        ctx = self.ctx
        if ctx.state("peer") == "Regroup":
            ctx.tries("peer.RegroupOver")
        elif any(state == "fenced" for _, state in ctx.tables.view.entries("holding")):
            ctx.tries("peer.HandingOver")

    def _step_back(self, draft: KeyEpoch) -> None:
        """Fires ``regroup.Fence``, ``regroup.ShowLock`` and ``regroup.HandOver``."""
        ctx, old = self.ctx, self.ctx.epoch
        if ctx.tries("regroup.Fence", h=old.number, k=draft.number):
            self._reminded = ctx.round_number()
            ctx.note("epoch.fenced", epoch=old.number, next=draft.number)
        self._hand_over(old, draft)

    def _hand_over(self, old: KeyEpoch, new: KeyEpoch, to: bytes | None = None) -> None:
        """Show all locks to the members of the new epoch, then say that they are all.

        Fires ``regroup.ShowLock`` and ``regroup.HandOver``.
        """
        ctx, book = self.ctx, self.books.of(new.number)
        everybody = {*old.roster, *new.roster} - {ctx.me}
        told = sorted(everybody if to is None else {to} & everybody)
        targets = [peer for peer in told if peer in new.roster]
        alone = set(new.roster) == {ctx.me}
        shown = self.book.locks_to_show() if targets or alone else {}
        for event, candidate in shown.items():
            a, d = candidate.certificate.attempt, candidate.certificate.digest
            if alone or ctx.tries(
                "regroup.ShowLock", to=targets, h=old.number, k=new.number, e=event, a=a, d=d
            ):
                book.show(ctx.me, candidate)
        if not ctx.tries("regroup.HandOver", to=told or None, h=old.number, k=new.number):
            return
        book.hand_over(ctx.me, locks_hash(self.book.locks_to_show().values()))
        if to is None:
            ctx.note("epoch.handed_over", epoch=old.number, next=new.number, locks=len(shown))

    @admits("handed_over")
    def hear(self, sender: bytes, word: HandedOver) -> bool:
        """Take a holder's word that it stepped back and showed all its locks."""
        self.drafts.take(sender, SharePrepared(word.epoch, word.document), word.prepared)
        if not self.books.has_room(sender, word.epoch):
            return False
        self.books.of(word.epoch).hand_over(sender, word.locks)
        return True

    # --- the succession: the purpose ---

    def due(self) -> Iterable[Task]:
        """Return the attempt of this round, if there is one."""
        key = self.ctx.key
        if key is None:
            return ()
        task = self.rebuild(self._event_after(key), self.ctx.round_number())
        return () if task is None else (task,)

    def rebuild(self, event: bytes, attempt: int) -> Task | None:
        """Return the attempt at the succession as this node sees it, or None."""
        ctx, network_id = self.ctx, self.ctx.settings.network_id
        if not ctx.holds_share or event != self._event_after(ctx.epoch):
            return None
        if not 0 <= ctx.round_number() - attempt <= 1 or ctx.epoch.number in self._successors:
            return None
        locked = ctx.tables.view.get("lock", ctx.me, event)
        drafts = [d for d in self.ready() if self._handed_over(d)]
        fitting = [d for d in drafts if locked in (None, d.digest(network_id))]
        if not fitting:
            return None
        key, draft = ctx.epoch, fitting[0]
        return Task(
            purpose=self.kind, event=event, attempt=attempt, key_epoch=key.number,
            document=draft.encode(), digest=draft.digest(network_id), members=key.roster,
            quorum=key.quorum,
        )

    def oldest(self) -> int:
        """Return the attempt of this round."""
        return self.ctx.round_number()

    def begin(self, task: Task, certificate: Certificate) -> Run | None:
        """Return the run that signs the name of what follows, if this node has a share."""
        keyshare = self.ctx.epoch.keyshare
        return None if keyshare is None else signing_run(self.ctx, task, certificate, keyshare)

    def verifies(self, run: Run) -> bool:
        """Return whether a run has signed the name of a draft."""
        draft = self.named(run.digest)
        return draft is not None and self.verified(signatures_of(run, draft.encode()))

    def finished(self, run: Run) -> None:
        """Take the signature of a run: the draft is decided."""
        draft = self.named(run.digest)
        if draft is not None:
            self._decide(signatures_of(run, draft.encode()))

    def named(self, digest: bytes) -> KeyEpoch | None:
        """Return the draft whose name a succession session signs."""
        network_id = self.ctx.settings.network_id
        return next((d for d in self.ctx.drafts.values() if d.digest(network_id) == digest), None)

    def concerns(self, event: bytes, document: bytes, attempt: int | None) -> bool:
        """Return whether an event decides that the epoch of a document follows another one."""
        epoch = epoch_named(self.ctx.settings.network_id, event, document)
        return epoch is not None and epoch.follows != NONE_BEFORE

    def verified(self, found: SignatureFound) -> bool:
        """Return whether the key that this node believes in has signed an epoch's name."""
        epoch, key = self._signed(found), self.ctx.key
        known = self.ctx.settings.joins if key is None else key.public_key
        return epoch is not None and epoch.follows != NONE_BEFORE and epoch.public_key == known

    def heard(self, sender: bytes, found: SignatureFound) -> None:
        """Take the signed name of an epoch, even of one that follows an epoch not known here."""
        key, epoch = self.ctx.key, self._signed(found)
        if epoch is None:
            raise PeerFault("a signature under an epoch's name that does not verify", sender)
        if self.verified(found) and (key is None or epoch.number > key.number):
            self._decide(found)

    def tells(self, entry: Input) -> Iterable[tuple[bytes, bytes]]:
        """Yield the signed names of later epochs, for a peer that is behind or knows no key."""
        behind = self._behind(entry)
        if behind is None:
            return
        peer, number = behind
        later = sorted(n for n in self.ctx.epochs if n > number)
        for each in later if number else later[-1:]:  # a node that joins needs the newest
            yield naming_event(self.ctx.settings.network_id, self.ctx.epochs[each]), peer

    def _behind(self, entry: Input | None) -> tuple[bytes, int] | None:
        """Return the sender of a ping that is to be told of later epochs, now and then, and the
        epoch that it knows.
        """
        ctx, key = self.ctx, self.ctx.key
        if key is None or not isinstance(entry, Received) or not isinstance(entry.message, Ping):
            return None
        number, (before, told) = entry.message.key_epoch, self._told.get(entry.sender, (0.0, None))
        patient = ctx.steady - before < ctx.preset.stake_query_s and told is not entry
        if number >= key.number or patient:
            return None
        self._told[entry.sender] = (ctx.steady, entry)
        return entry.sender, number

    def _event_after(self, key: KeyEpoch) -> bytes:
        """Return the event that decides what follows an epoch."""
        return succession_event(self.ctx.settings.network_id, key.key_id, key.number)

    def _known(self, number: int) -> KeyEpoch:
        epoch = self.ctx.epoch_of(number)
        if epoch is None:
            raise LocalFault(f"epoch {number} is not known here")
        return epoch

    def _decide(self, found: SignatureFound) -> None:
        """The key has signed an epoch's name: keep that, tell everybody.

        Fires ``event.Create`` and ``event.Signature``. Nothing is left undone when the node stops
        here: ``go_over`` goes on from the tables.
        """
        self.book.take(found, self.kind)
        kept = self.book.found.get(found.event)
        epoch = None if kept is None else self._signed(kept)
        if epoch is not None:
            self.follow(epoch)

    def follow(self, epoch: KeyEpoch) -> None:
        """Note that an epoch is decided: the key signed its name.

        From now on its locks can be judged here, also while this node is still on its way there.
        """
        decided = self._successors[epoch.follows] = evolve(epoch, keyshare=None)
        self.ctx.epochs.setdefault(epoch.number, decided)

    # --- going over ---

    def go_over(self) -> None:
        """Go over to the epochs that follow, one after another, as far as the tables allow it now.

        Step ``gone_over``.
        """
        ctx = self.ctx
        while ctx.key is not None and (new := self._successors.get(ctx.key.number)) is not None:
            old = ctx.key
            for _ in ctx.each((new,)):
                self._go_over(old, new)
            if ctx.key is old:
                return

    def _go_over(self, old: KeyEpoch, new: KeyEpoch) -> None:
        ctx, mine = self.ctx, self.ctx.drafts.get(new.number)
        if (later := self._successors.get(new.number)) is not None:
            self._skip(new, later)
        if mine is not None and self.holding(new.number) == "prepared":
            if self.holding(old.number) == "active":
                self._step_back(mine)
            if not self._take_over(mine):
                return
            new = mine
        elif mine is not None and self.holding(new.number) in ("active", "fenced"):
            new = mine
        self._erase(old, new)
        ctx.use(new)
        ctx.epochs[old.number] = evolve(old, keyshare=None)
        self.drafts.forget(new.number)
        self.books.forget(new.number)
        ctx.note(
            "epoch.in_force", epoch=new.number, threshold=new.threshold,
            members=len(new.members), holder=ctx.holds_share,
        )

    def _skip(self, missed: KeyEpoch, later: KeyEpoch) -> None:
        """Erase a share that never came into force here: nobody hands over to that epoch any more.

        The later one was made without this node, which was away.
        """
        if self.holding(missed.number) == "prepared" and self.ctx.tries(
            "regroup.Erase", h=missed.number, k=later.number
        ):
            self._erase_file(missed)

    def _take_over(self, new: KeyEpoch) -> bool:
        """Take over what T holders handed over and begin to work; return whether it was enough.

        Fires ``event.Create``, ``regroup.TakeOver`` and ``regroup.Activate``.
        """
        ctx, (complete, enough) = self.ctx, self.books.complete(new.number)
        if not enough:
            return False
        newer = [
            (candidate, sender)
            for candidate, sender in self.books.of(new.number).newest(complete)
            if sender != ctx.me and self._is_newer(candidate.certificate)
        ]
        for candidate, _ in newer:
            self.book.create(candidate.certificate.event, "payout")
        for candidate, sender in newer:
            found = candidate.certificate
            e, a, d = found.event, found.attempt, found.digest
            self.votes.add_certificate(found)
            ctx.hear(LockShown(new.number, candidate), sender)  # old attempts are swept
            self.book.locking(TakenOver(candidate))
            ctx.tries("regroup.TakeOver", h=new.number, q=sender, e=e, a=a, d=d)
        return ctx.tries("regroup.Activate", h=new.number)

    def _is_newer(self, found: Certificate) -> bool:
        attempt = self.ctx.tables.view.get("lock_attempt", self.ctx.me, found.event)
        return not isinstance(attempt, int) or attempt < found.attempt

    def _erase(self, old: KeyEpoch, new: KeyEpoch) -> None:
        """Erase the share of the epoch before, and those of attempts that were not decided.

        Fires ``regroup.Erase``, ``regroup.ShowLock``, ``regroup.HandOver``, ``regroup.Outdone``.
        """
        ctx = self.ctx
        if ctx.tries("regroup.Erase", h=old.number, k=new.number):
            self._erase_file(old)
            if not self._handed_over(new):
                self._hand_over(old, new)  # it was away: others may wait for what it has
        elif ctx.me in new.roster and self.holding(new.number) in ("no_share", "prepared"):
            # An old disk was put back: there is no new share, so the old one stays.
            ctx.note("epoch.share_lost", epoch=new.number)
        for rival in tuple(ctx.drafts.values()):
            if ctx.tries("regroup.Outdone", h=rival.number, k=new.number):
                self._erase_file(rival)

    def _erase_file(self, epoch: KeyEpoch) -> None:
        self.ctx.ask(EraseShare(epoch.key_id, epoch.number, epoch.public_key))

    # --- who was away ---

    @handles("drafts_told")
    def tell_again(self) -> None:
        """Tell drafts to a peer that came up, and each round to holders that have not stepped back.

        A message to them was lost, or their operators have asked for the new shares only now.
        """
        ctx, entry = self.ctx, self.ctx.input
        peers = [entry.peer] if isinstance(entry, LinkUp) else self._not_stepped_back()
        told = [(peer, draft) for peer in peers for draft in ctx.drafts.values()]
        for peer, draft in ctx.each(told):
            ctx.tries("regroup.Tell", to=peer, h=draft.number)
            if self._handed_over(draft) and ctx.holds_share:
                self._hand_over(ctx.epoch, draft, to=peer)

    def _not_stepped_back(self) -> list[bytes]:
        ctx, number = self.ctx, self.ctx.round_number()
        if not ctx.holds_share or self._reminded >= number:
            return []
        if self.holding(ctx.epoch.number) != "fenced":
            return []
        self._reminded = number
        stepped_back = [self.books.of(number).stepped_back for number in ctx.drafts]
        return sorted({*ctx.epoch.roster}.difference({ctx.me}, *stepped_back))

    @handles("caught_up")
    def catch_up(self) -> None:
        ctx, behind, key = self.ctx, self._behind(self.ctx.input), self.ctx.key
        old = None if key is None else ctx.epochs.get(key.follows)
        if behind is None or key is None or old is None or behind[0] not in key.roster:
            return
        for _ in ctx.each((key,)):
            self._hand_over(old, key, to=behind[0])

    # --- start ---

    def restore(self, epochs: Sequence[KeyEpoch], successors: Iterable[KeyEpoch]) -> None:
        """Take up after a start: the shares of later epochs, and the epochs that were decided."""
        for epoch in successors:
            self.follow(epoch)
        for epoch in epochs:
            if self.holding(epoch.number) == "erased":
                self._erase_file(epoch)  # the crash may have come before the file was gone
            else:
                self.drafts.keep(epoch)
                self.drafts.sign(epoch)
