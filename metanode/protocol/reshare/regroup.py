"""When new shares are due, with whom, and the attempts to make them.

They are due at the nightly hour, or when the operator asks. An attempt is a key generation in all
but its name: every member votes, the session runs, and what comes of it is a draft of the next
epoch. A member that spoils attempt after attempt is left out of the next one when T holders have
signed that they missed it (F-26) and the others can do without it (F-38); no block list is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import define, field, frozen

from metanode.hashing import tagged_hash
from metanode.protocol.context import Context, regroup_event, succession_event, whole
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.purpose import Purpose, Task
from metanode.protocol.events.run import RefreshPlan, ResharePlan, Run, instance_of
from metanode.protocol.keys.epoch import KeyEpoch, Member, members_plain
from metanode.protocol.peers.peer_list import PeerList
from metanode.protocol.reshare.handover import Handover
from metanode.protocol.reshare.wishes import Wish, Wishes
from metanode.protocol.tables.registry import admits, fact, handles, message
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.codec import encode_canonical
from metanode.tss.dealing import Dealing
from metanode.tss.refresh import RefreshSession
from metanode.tss.reshare import ReshareSession
from metanode.tss.session import FINISHED
from spec.messages import Certificate, Missed
from spec.parameters import quorum_fault


@frozen
class Plan:
    """One attempt: the epoch that it would follow, who deals, who will hold (in ascending order of
    ids), and their t and f.
    """

    follows: int
    dealers: tuple[bytes, ...]
    members: tuple[Member, ...]
    threshold: int
    byzantine: int

    @property
    def holders(self) -> tuple[bytes, ...]:
        """The ids of those who will hold shares."""
        return tuple(member.node_id for member in self.members)

    @property
    def parties(self) -> tuple[bytes, ...]:
        """Everybody who takes part, in ascending order."""
        return tuple(sorted({*self.dealers, *self.holders}))


@define
class Regroups(Purpose):
    """The attempts of one node; the purpose of regroups."""

    ctx: Context
    book: EventBook
    peers: PeerList
    wishes: Wishes
    handover: Handover
    kind: str = "regroup"
    _plans: dict[int, Plan] = field(factory=dict)
    _ended: Run | None = None
    _missed: dict[bytes, set[bytes]] = field(factory=dict)
    _failures: dict[bytes, set[int]] = field(factory=dict)
    _failed: set[int] = field(factory=set)
    _epoch_seen: int = 0

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    # --- what the tables are told, and say ---

    @fact
    def follows(self, k: int, h: int) -> bool:
        known = self.ctx.epoch_of(k) or self._plans.get(k)
        return known is not None and known.follows == h

    @fact
    def share_checked(self, p: bytes, h: int) -> bool:
        draft = None if self._ended is None else self._draft_of(self._ended)
        mine = draft is not None and draft.number == h and draft.keyshare is not None
        return p == self.ctx.me and mine and draft == self.ctx.drafts.get(h)

    @fact
    def overdue(self, p: bytes, q: bytes, h: int) -> bool:
        failures = self._failures.get(q, set())
        return h in failures and len(failures) >= self.ctx.preset.regroup_patience

    @message("missed")
    def missed(self, p: bytes, q: bytes, h: int) -> Missed:
        return Missed(h, q)

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
        task = self.rebuild(event, number)
        return () if task is None else (task,)

    def _may_try(self, number: int) -> bool:
        """Return whether this node would begin an attempt in a round: more seldom after failures.

        Each attempt that fails late leaves a share on every disk until the epoch is over.
        """
        self._begin_anew()
        spacing = 1 << min(max(0, len(self._failed) - self.ctx.preset.regroup_patience), 6)
        return tagged_hash("regroup-turn", whole(number))[0] % spacing == 0

    def rebuild(self, event: bytes, attempt: int) -> Task | None:
        """Return an attempt as this node would set it up, or None when there is none to make."""
        ctx, key = self.ctx, self.ctx.key
        if key is None or not 0 <= ctx.round_number() - attempt <= 1:
            return None
        if event != regroup_event(ctx.settings.network_id, key.key_id, attempt):
            return None
        stepped_back = ctx.holds_share and self.handover.holding(key.number) != "active"
        wish = self.wishes.wish()
        if wish is None or stepped_back or attempt <= key.number or self.handover.ready():
            return None
        plan = self._plan(wish, key)
        if plan is None or ctx.me not in plan.parties:
            return None
        if ctx.me in plan.dealers and not ctx.holds_share:
            return None  # its share is lost: the others miss it and leave it out
        document = self._document(plan, key)
        self._plans[attempt] = plan
        self._plans = {number: self._plans[number] for number in sorted(self._plans)[-4:]}
        return Task(
            purpose=self.kind, event=event, attempt=attempt, key_epoch=key.number,
            document=document, digest=tagged_hash("regroup-document", document),
            members=plan.parties, quorum=Quorum(plan.parties, len(plan.parties), 0), needs_all=True,
        )

    def oldest(self) -> int:
        """Return the attempt of the round before: an attempt may take two."""
        return self.ctx.round_number() - 1

    def concerns(self, event: bytes, document: bytes, attempt: int | None) -> bool:
        """Return whether an event is an attempt to make new shares of the key."""
        key = self.ctx.key
        if key is None or attempt is None:
            return False
        return event == regroup_event(self.ctx.settings.network_id, key.key_id, attempt)

    def _document(self, plan: Plan, key: KeyEpoch) -> bytes:
        return encode_canonical(
            {
                "byzantine": plan.byzantine,
                "dealers": list(plan.dealers),
                "follows": key.digest(self.ctx.settings.network_id),
                "members": members_plain(plan.members),
                "threshold": plan.threshold,
            }
        )

    def _plan(self, wish: Wish, key: KeyEpoch) -> Plan | None:
        """Return who deals and who will hold; the same at all nodes that know the same."""
        if wish.members is None:
            out = self._left_out(key)
            members = tuple(m for m in key.members if m.node_id not in out)
            dealers = tuple(member.node_id for member in members)
            return Plan(key.number, dealers, members, key.threshold, key.byzantine)
        known = {m.node_id: m for m in (*self.peers.staked(), *key.members)}
        if not all(member in known for member in wish.members):
            return None
        staying = [member for member in key.roster if member in wish.members]
        leaving = [member for member in key.seniority if member not in wish.members]
        missing = max(0, key.threshold - len(staying))
        return Plan(
            key.number,
            tuple(sorted([*staying, *leaving[:missing]])),
            tuple(known[member] for member in wish.members),
            wish.threshold,
            wish.byzantine,
        )

    def _left_out(self, key: KeyEpoch) -> set[bytes]:
        """Return those whom T holders missed, if the others can go on without them.

        A liar that withholds its messages from one member makes all others miss that member. So a
        member left out may be correct, and all liars may stay: f is not lowered (F-38).
        """
        out = {
            absent for absent, told in self._missed.items()
            if len(told & set(key.roster)) >= key.threshold
        }
        rest = len(key.roster) - len(out)
        return out if quorum_fault(rest, key.threshold, key.byzantine) is None else set()

    def going_on(self) -> bytes | None:
        """Return the event that is being worked at: the succession, or the newest attempt."""
        ctx, key = self.ctx, self.ctx.key
        if key is None:
            return None
        network_id = ctx.settings.network_id
        if self.handover.holding(key.number) == "fenced":
            return succession_event(network_id, key.key_id, key.number)
        newest = max((n for n in self._plans if n > key.number), default=None)
        return None if newest is None else regroup_event(network_id, key.key_id, newest)

    def run_plan(self, task: Task) -> RefreshPlan | ResharePlan:
        """Return the public parameters of an attempt's run."""
        key, plan = self.ctx.epoch, self._plans[task.attempt]
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
        plan, lane, key = self._plans.get(run.attempt), run.lanes[0], self.ctx.epoch
        if plan is None or not isinstance(lane, Dealing) or lane.package is None:
            return None
        voted_for = tagged_hash("regroup-document", self._document(plan, key)) == run.digest
        if lane.state != FINISHED or lane.package.epoch <= key.number or not voted_for:
            return None  # another epoch came into force meanwhile, or another wish
        return KeyEpoch(
            slot=key.slot, follows=plan.follows, members=plan.members, byzantine=plan.byzantine,
            package=lane.package, keyshare=lane.result,
        )

    # --- who was missed ---

    def ended(self, event: bytes, attempt: int, missed: Sequence[bytes]) -> None:
        """Count a failed attempt; miss the members that have spoilt several (F-26).

        Fires ``regroup.Miss``.
        """
        self.ctx.note(
            "regroup.failed", attempt=attempt, missed=[peer.hex()[:16] for peer in missed]
        )
        self._begin_anew()
        self._failed.add(attempt)
        for peer in missed:
            self._count(peer, attempt)

    @handles("unready_missed")
    def count_unready(self) -> None:
        for peer, number in self.ctx.each(self._unready()):
            self._failed.add(number)
            self._count(peer, number)

    def _unready(self) -> Iterator[tuple[bytes, int]]:
        """Yield members of drafts of two or more rounds ago that never said they have a share."""
        for draft in tuple(self.ctx.drafts.values()):
            if draft.number < self.ctx.round_number() - 1:
                for peer in self.handover.drafts.unready(draft):
                    yield peer, draft.number

    def _count(self, peer: bytes, attempt: int) -> None:
        """Count a failure of a holder, and miss it when they are too many."""
        ctx, key = self.ctx, self.ctx.key
        self._begin_anew()
        if key is None or attempt <= key.number or peer == ctx.me or peer not in key.roster:
            return
        self._failures.setdefault(peer, set()).add(attempt)
        told = self._missed.setdefault(peer, set())
        said = ctx.me in told or not ctx.holds_share
        if not said and ctx.tries("regroup.Miss", h=attempt, q=peer):
            told.add(ctx.me)

    @admits("missed")
    def hear(self, sender: bytes, word: Missed) -> bool:
        """Take a holder's word that it missed another one in an attempt to follow this epoch."""
        key = self.ctx.key
        self._begin_anew()
        if key is None or {sender, word.absent} - set(key.roster):
            return False
        told = self._missed.setdefault(word.absent, set())
        if sender in told or not key.number < word.epoch <= self.ctx.round_number():
            return False
        told.add(sender)
        return True

    def _begin_anew(self) -> None:
        """Forget the members missed before the epoch that is in force now."""
        key = self.ctx.key
        if key is not None and key.number != self._epoch_seen:
            self._epoch_seen = key.number
            self._missed, self._failures, self._failed = {}, {}, set()

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
            "missed": {peer.hex(): len(told) for peer, told in self._missed.items() if told},
        }
