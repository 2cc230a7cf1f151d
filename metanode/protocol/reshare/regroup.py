"""When new shares are due, and the attempts to make them.

They are due at the nightly hour, or when the operator asks. An attempt is a key generation in all
but its name: every member votes, the session runs, and what comes of it is a draft of the next
epoch. A member that spoils attempt after attempt is left out of the next one when T holders have
signed that they missed it (F-26) and the others can do without it (F-38), or that it left
complaints unanswered (F-43); no block list is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import define, field

from metanode.hashing import tagged_hash
from metanode.protocol.context import Context, regroup_event, succession_event, whole
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.purpose import Purpose, Task
from metanode.protocol.events.run import RefreshPlan, ResharePlan, Run, instance_of
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.reshare.complaints import Complaints
from metanode.protocol.reshare.handover import Handover
from metanode.protocol.reshare.plans import Plan, Plans, document_digest
from metanode.protocol.reshare.wishes import Wishes
from metanode.protocol.tables.registry import admits, fact, handles, message
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.envelope import seal
from metanode.tss.dealing import Dealing
from metanode.tss.refresh import RefreshSession
from metanode.tss.reshare import ReshareSession
from metanode.tss.session import FINISHED
from spec.messages import Certificate, Missed
from spec.night_messages import Withheld


@define
class Regroups(Purpose):
    """The attempts of one node; the purpose of regroups."""

    ctx: Context
    book: EventBook
    wishes: Wishes
    handover: Handover
    plans: Plans
    complaints: Complaints
    kind: str = "regroup"
    _ended: Run | None = None
    _words: dict[tuple[type, bytes], dict[bytes, bytes]] = field(factory=dict)
    _failures: dict[tuple[type, bytes], set[int]] = field(factory=dict)
    _failed: set[int] = field(factory=set)
    _epoch_seen: int = 0

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    # --- what the tables are told, and say ---

    @fact
    def follows(self, k: int, h: int) -> bool:
        known = self.ctx.epoch_of(k) or self.plans.of(k)
        return known is not None and known.follows == h

    @fact
    def share_checked(self, p: bytes, h: int) -> bool:
        draft = None if self._ended is None else self._draft_of(self._ended)
        mine = draft is not None and draft.number == h and draft.keyshare is not None
        return p == self.ctx.me and mine and draft == self.ctx.drafts.get(h)

    @fact
    def overdue(self, p: bytes, q: bytes, h: int) -> bool:
        return self._is_often(Missed, q, h)

    @fact
    def unanswered(self, p: bytes, q: bytes, h: int) -> bool:
        return self.complaints.is_proven(h, q) or self._is_often(Withheld, q, h)

    def _is_often(self, kind: type, peer: bytes, attempt: int) -> bool:
        failures = self._failures.get((kind, peer), set())
        return attempt in failures and len(failures) >= self.ctx.preset.regroup_patience

    @message("missed")
    def missed(self, p: bytes, q: bytes, h: int) -> Missed:
        return Missed(h, q)

    @message("withheld")
    def withheld(self, p: bytes, q: bytes, h: int) -> Withheld:
        return Withheld(h, q)

    # --- an attempt: the purpose ---

    def due(self) -> Iterable[Task]:
        """Return the attempt of this round as this node sees it, if there is one."""
        ctx = self.ctx
        if ctx.key is None:
            return ()
        number = ctx.round_number()
        event = regroup_event(ctx.settings.network_id, ctx.key.key_id, number)
        late = ctx.round_share() > ctx.preset.offer_share  # it would have too little time
        if self.book.status(event) == "UNKNOWN" and (late or not self._may_try(number)):
            return ()
        if ctx.preset.attempt_rounds > 1 and self._goes_on(number):
            return ()
        task = self.rebuild(event, number)
        return () if task is None else (task,)

    def _may_try(self, number: int) -> bool:
        """Return whether this node would begin an attempt in a round: more seldom after failures.

        Each attempt that fails late leaves a share on every disk until the epoch is over. In the
        first round of a night, statements are on their way.
        """
        self._begin_anew()
        ctx, night = self.ctx, self.wishes.night()
        begins = None if night is None else night * ctx.preset.regroup_period_s
        early = begins is not None and number * ctx.preset.round_period_s < (
            begins + ctx.preset.round_period_s
        )
        if early and not self.wishes.asked(ctx.epoch):
            return False
        spacing = 1 << min(max(0, len(self._failed) - self.ctx.preset.regroup_patience), 6)
        return tagged_hash("regroup-turn", whole(number))[0] % spacing == 0

    def _goes_on(self, number: int) -> bool:
        """Return whether an earlier attempt is still at work: another would take its time."""
        ctx, key = self.ctx, self.ctx.epoch
        earlier = {n for n, _ in self.plans.kept if key.number < n < number}
        events = ((regroup_event(ctx.settings.network_id, key.key_id, n), n) for n in earlier)
        return any(ctx.state("session", event, n) == "begun" for event, n in events)

    def rebuild(self, event: bytes, attempt: int) -> Task | None:
        """Return an attempt as this node would set it up, or None when there is none to make."""
        return self._task(event, attempt, b"")

    def consider(self, event: bytes, attempt: int, document: bytes) -> Task | None:
        """Return another node's attempt, if this node comes to the same by what it shows."""
        return self._task(event, attempt, document)

    def _task(self, event: bytes, attempt: int, document: bytes) -> Task | None:
        ctx, key = self.ctx, self.ctx.key
        if key is None or not 0 <= ctx.round_number() - attempt <= 1:
            return None
        if event != regroup_event(ctx.settings.network_id, key.key_id, attempt):
            return None
        stepped_back = ctx.holds_share and self.handover.holding(key.number) != "active"
        wish = self.wishes.wish()
        if wish is None or stepped_back or attempt <= key.number or self.handover.ready():
            return None
        plan = self.plans.make(wish, key, self._said())
        if plan is not None and document and wish.members is None:
            plan = self.plans.judged(key, document, plan)
        if plan is None or ctx.me not in plan.parties:
            return None
        if ctx.me in plan.dealers and not ctx.holds_share:
            return None  # its share is lost: the others miss it and leave it out
        encoded = self._document(plan, key)
        digest = document_digest(encoded)
        self.plans.keep(attempt, plan, digest)
        return Task(
            purpose=self.kind, event=event, attempt=attempt, key_epoch=key.number,
            document=encoded, digest=digest, members=plan.parties,
            quorum=Quorum(plan.parties, len(plan.parties), 0), needs_all=True,
            leaders=plan.dealers,
        )

    def _said(self) -> list[bytes]:
        """Return the words of holders about those who spoilt attempts to follow this epoch."""
        self._begin_anew()
        return [frame for said in self._words.values() for _, frame in sorted(said.items())]

    def oldest(self) -> int:
        """Return the oldest attempt that may go on: one takes as many rounds as n asks for."""
        return self.ctx.round_number() - self.ctx.preset.attempt_rounds

    def concerns(self, event: bytes, document: bytes, attempt: int | None) -> bool:
        """Return whether an event is an attempt to make new shares of the key."""
        key = self.ctx.key
        if key is None or attempt is None:
            return False
        return event == regroup_event(self.ctx.settings.network_id, key.key_id, attempt)

    def _document(self, plan: Plan, key: KeyEpoch) -> bytes:
        return plan.document(key.digest(self.ctx.settings.network_id))

    def going_on(self) -> bytes | None:
        """Return the event that is being worked at: the succession, or the newest attempt."""
        ctx, key = self.ctx, self.ctx.key
        if key is None:
            return None
        network_id = ctx.settings.network_id
        if self.handover.holding(key.number) == "fenced":
            return succession_event(network_id, key.key_id, key.number)
        newest = max((n for n, _ in self.plans.kept if n > key.number), default=None)
        return None if newest is None else regroup_event(network_id, key.key_id, newest)

    def run_plan(self, task: Task) -> RefreshPlan | ResharePlan:
        """Return the public parameters of an attempt's run."""
        key, plan = self.ctx.epoch, self.plans.kept[task.attempt, task.digest]
        same = plan.dealers == plan.holders == key.roster and plan.threshold == key.threshold
        if same:
            return RefreshPlan(key.roster, key.package, task.attempt)
        dealers = tuple(key.index_of(dealer) for dealer in plan.dealers)
        return ResharePlan(
            key.package, key.roster, dealers, plan.holders, plan.threshold, task.attempt
        )

    def begin(self, task: Task, certificate: Certificate) -> Run | None:
        """Return the dealing that all members of an attempt voted for."""
        plan, members = self.run_plan(task), tuple(vote.voter for vote in certificate.votes)
        instance = instance_of(task.event, task.attempt, task.digest, plan, members)
        return Run(
            self.kind, task.key_epoch, task.event, task.attempt, task.digest, members, task.members,
            task.quorum, (self._dealing(plan, instance),), plan=plan,
        )

    def _dealing(self, plan: RefreshPlan | ResharePlan, instance: bytes) -> Dealing:
        ctx, key = self.ctx, self.ctx.epoch
        if isinstance(plan, RefreshPlan):
            return RefreshSession(key.share, instance, plan.roster, ctx.entropy, epoch=plan.epoch)
        dealing = key.keyshare is not None and key.index_of(ctx.me) in plan.dealers
        return ReshareSession(
            ctx.me, plan.old, plan.old_members, plan.dealers, plan.new_members, plan.threshold,
            instance, ctx.entropy, keyshare=key.share if dealing else None, epoch=plan.epoch,
        )

    def verifies(self, run: Run) -> bool:
        """Return whether a run has made shares of the key, also where this node gets none."""
        lane = run.lanes[0]
        made = lane.package if isinstance(lane, Dealing) and lane.state == FINISHED else None
        return made is not None and made.epoch == run.attempt

    def finished(self, run: Run) -> None:
        """An attempt ended well here: keep what it made.

        Fires ``regroup.Prepare`` and ``event.KeyMade``.
        """
        draft = self._draft_of(run)
        if draft is not None:
            self._ended = run
            self.handover.made(draft)
            self._ended = None
            self.ctx.tries("event.KeyMade", e=run.event)

    def _draft_of(self, run: Run) -> KeyEpoch | None:
        """Return the epoch that a run has made, with this node's share of it, if it gets one."""
        plan, lane = self.plans.kept.get((run.attempt, run.digest)), run.lanes[0]
        key = self.ctx.epoch
        if plan is None or not isinstance(lane, Dealing) or lane.package is None:
            return None
        voted_for = document_digest(self._document(plan, key)) == run.digest
        if lane.state != FINISHED or lane.package.epoch <= key.number or not voted_for:
            return None  # another epoch came into force meanwhile, or another wish
        return KeyEpoch(
            slot=key.slot, follows=plan.follows, members=plan.members, byzantine=plan.byzantine,
            package=lane.package, keyshare=lane.result, barred=plan.barred,
        )

    # --- who has spoilt attempts ---

    def ended(self, event: bytes, attempt: int, missed: Sequence[bytes]) -> None:
        """Count a failed attempt, and against whom: members who left complaints unanswered (F-43),
        else those that were waited for (F-26).

        Fires ``regroup.ShowProof``, ``regroup.Accuse`` and ``regroup.Miss``.
        """
        for peer in missed:
            self.complaints.show_proof(attempt, peer)
        spoilers = self.complaints.spoilers(attempt)
        self.ctx.note(
            "regroup.failed", attempt=attempt, missed=[peer.hex()[:16] for peer in missed],
            spoilt_by=[peer.hex()[:16] for peer in spoilers],
        )
        self._begin_anew()
        self._failed.add(attempt)
        for peer in spoilers:
            self._count(Withheld, peer, attempt)
        for peer in () if spoilers else missed:
            self._count(Missed, peer, attempt)
        self.complaints.forget(attempt - 1)

    @handles("unready_missed")
    def count_unready(self) -> None:
        for peer, number in self.ctx.each(self._unready()):
            self._failed.add(number)
            self._count(Missed, peer, number)

    def _unready(self) -> Iterator[tuple[bytes, int]]:
        """Yield members of drafts of two or more rounds ago that never said they have a share."""
        for draft in tuple(self.ctx.drafts.values()):
            if draft.number < self.ctx.round_number() - 1:
                for peer in self.handover.drafts.unready(draft):
                    yield peer, draft.number

    def _count(self, kind: type[Missed] | type[Withheld], peer: bytes, attempt: int) -> None:
        """Count a failure of a member, and say so when they are too many."""
        ctx, key = self.ctx, self.ctx.key
        self._begin_anew()
        known = key is not None and (peer in key.roster or kind is Missed)
        if key is None or attempt <= key.number or peer == ctx.me or not known:
            return
        self._failures.setdefault((kind, peer), set()).add(attempt)
        said = self._words.setdefault((kind, peer), {})
        if ctx.me in said or not ctx.holds_share:
            return
        trigger = "regroup.Miss" if kind is Missed else "regroup.Accuse"
        if ctx.tries(trigger, h=attempt, q=peer):
            word = kind(attempt, peer)
            frame = seal(ctx.identity, ctx.settings.network_id, ctx.codec, word)
            self._keep(said, ctx.me, frame)
            ctx.note(f"regroup.{kind.KIND}", epoch=attempt, of=peer.hex()[:16])

    @admits("missed")
    def hear(self, sender: bytes, word: Missed) -> bool:
        """Take a holder's word that it missed another member in an attempt to follow this epoch."""
        return self._take(sender, word, word.absent)

    @admits("withheld")
    def hear_withheld(self, sender: bytes, word: Withheld) -> bool:
        """Take a holder's word that another one left complaints unanswered."""
        return self._take(sender, word, word.accused)

    def _take(self, sender: bytes, word: Missed | Withheld, about: bytes) -> bool:
        key = self.ctx.key
        self._begin_anew()
        if key is None or sender not in key.roster or about == sender:
            return False
        if about not in key.roster and (
            isinstance(word, Withheld) or about not in self.plans.parties()
        ):
            return False
        said = self._words.setdefault((type(word), about), {})
        if sender in said or not key.number < word.epoch <= self.ctx.round_number():
            return False
        self._keep(said, sender, self.ctx.received.envelope.raw)
        return True

    def _keep(self, said: dict[bytes, bytes], holder: bytes, frame: bytes) -> None:
        """Keep a word; with the T-th one, attempts go on without somebody: none of them failed."""
        said[holder] = frame
        key = self.ctx.epoch
        if len(said.keys() & set(key.roster)) == key.threshold:
            self._failed = set()

    def _begin_anew(self) -> None:
        """Forget what was said of members before the epoch that is in force now."""
        key = self.ctx.key
        if key is not None and key.number != self._epoch_seen:
            self._epoch_seen = key.number
            self._words, self._failures, self._failed = {}, {}, set()

    def report(self) -> Mapping[str, object]:
        """Return what goes on, for the operator."""
        known = self.handover.drafts
        return {
            "due": self.wishes.wish() is not None,
            "drafts": [
                {"epoch": d.number, "ready": len(d.roster) - len(known.unready(d)),
                 "members": len(d.roster)}
                for d in self.ctx.drafts.values()
            ],
            "missed": self._said_about(Missed),
            "withheld": self._said_about(Withheld),
            **self.plans.report(),
        }

    def _said_about(self, wanted: type) -> dict[str, int]:
        found = ((peer, said) for (kind, peer), said in self._words.items() if kind is wanted)
        return {peer.hex(): len(said) for peer, said in found if said}
