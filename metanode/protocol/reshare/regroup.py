"""When new shares are due, with whom, and the attempts to make them.

They are due at the nightly hour, or when the operator asks. An attempt is a key generation in all
but its name: every member votes, the session runs, and what comes of it is a draft of the next
epoch. A member that spoils attempt after attempt is left out of the next one when T holders have
signed that they missed it (F-26) and the others can bear that (F-38); nobody's block list is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import define, field, frozen

from metanode.hashing import tagged_hash
from metanode.protocol.context import Context, regroup_event, succession_event, whole
from metanode.protocol.events.coordinator import Task
from metanode.protocol.events.run import RefreshPlan, ResharePlan
from metanode.protocol.events.sessions import Run
from metanode.protocol.keys.epoch import KeyEpoch, Member, members_plain
from metanode.protocol.requests.request import Request
from metanode.protocol.requests.requests import Requests
from metanode.protocol.reshare.handover import Handover
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.codec import encode_canonical
from metanode.tss.dealing import Dealing
from metanode.tss.refresh import RefreshSession
from metanode.tss.reshare import ReshareSession
from spec.messages import Missed
from spec.parameters import quorum_fault

PURPOSE = "regroup"
KINDS = ("keyrefresh", "quorumchange")
"""The operator's requests for new shares."""


@frozen
class Wish:
    """New shares to follow ``epoch``; ``members`` None: for those who hold shares now."""

    epoch: int
    members: tuple[bytes, ...] | None = None
    threshold: int = 0
    byzantine: int = 0

    @classmethod
    def of(cls, request: Request) -> Wish:
        """Return what an operator's request asks for."""
        fields = request.fields
        if request.kind == "keyrefresh":
            return cls(fields["epoch"])
        members = tuple(fields["members"])
        return cls(fields["epoch"], members, fields["threshold"], fields["byzantine"])

    def is_met(self, key: KeyEpoch) -> bool:
        """Return whether an epoch is what was asked for, or as good."""
        now = (key.roster, key.threshold, key.byzantine)
        same = self.members is None or now == (self.members, self.threshold, self.byzantine)
        return key.number > self.epoch and same


@frozen
class Plan:
    """One attempt: who deals, who will hold (in ascending order of ids), and their t and f."""

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
class Regroups:
    """The attempts of one node.

    ``staked`` are the nodes whose stake is proved; ``requests`` are the operator's; ``create``
    makes an event known. ``events`` are those of this node's attempts since it was started.
    """

    ctx: Context
    staked: Callable[[], tuple[Member, ...]]
    requests: Requests
    create: Callable[[bytes], None]
    handover: Handover = field(init=False)
    events: set[bytes] = field(factory=set)
    _plans: dict[int, Plan] = field(factory=dict)
    _missed: dict[bytes, set[bytes]] = field(factory=dict)
    _failures: dict[bytes, set[int]] = field(factory=dict)
    _failed: set[int] = field(factory=set)
    _epoch_seen: int = 0

    # --- what is due ---

    def asked(self, key: KeyEpoch) -> list[Wish]:
        """Return what the operator asks for in the place of an epoch, the oldest request first."""
        found = [r for _, r in self.requests.open() if r.kind in KINDS]
        return [wish for wish in map(Wish.of, found) if wish.epoch == key.number]

    def settle_requests(self) -> None:
        """Tell the operator's requests that the epoch in force answers."""
        key = self.ctx.key
        for event, request in self.requests.open() if key is not None else ():
            if request.kind in KINDS and key is not None and Wish.of(request).is_met(key):
                self.requests.met(event)

    def wish(self) -> Wish | None:
        """Return what is due now: the operator's oldest wish, else the night's refresh."""
        key = self.ctx.key
        if key is None:
            return None
        asked = self.asked(key)
        if asked:
            return asked[0]
        return Wish(key.number) if self._night_is_due(key) else None

    def wanted(self, draft: KeyEpoch) -> bool:
        """Return whether a draft is what somebody here asked for, or the night."""
        key = self.ctx.key
        if key is None or draft.follows != key.number:
            return False
        wishes = [*self.asked(key), *([Wish(key.number)] if self._night_is_due(key) else [])]
        return any(self._answers(draft, wish, key) for wish in wishes)

    def _answers(self, draft: KeyEpoch, wish: Wish, key: KeyEpoch) -> bool:
        numbers = (draft.roster, draft.threshold, draft.byzantine)
        if wish.members is not None:
            return numbers == (wish.members, wish.threshold, wish.byzantine)
        same = (draft.threshold, draft.byzantine) == (key.threshold, key.byzantine)
        return same and set(draft.members) <= set(key.members)

    def _night_is_due(self, key: KeyEpoch) -> bool:
        """Return whether the nightly hour has passed since the shares in force were made."""
        preset = self.ctx.preset
        first = key.slot * preset.keygen_period_s
        made = key.number * preset.round_period_s if key.follows else first
        return made < self.ctx.now // preset.regroup_period_s * preset.regroup_period_s

    def parties(self) -> set[bytes]:
        """Return who takes part now without holding a share: messages of theirs are heard."""
        key = self.ctx.key
        wishes = [] if key is None else self.asked(key)
        return {member for wish in wishes for member in wish.members or ()}

    # --- an attempt ---

    def due(self) -> Task | None:
        """Return the attempt of this round as this node sees it, if there is one."""
        ctx = self.ctx
        if ctx.key is None:
            return None
        number = ctx.round_number()
        event = regroup_event(ctx.settings.network_id, ctx.key.key_id, number)
        if ctx.tables.state("event", ctx.me, event) == "UNKNOWN":
            if ctx.round_share() > ctx.preset.offer_share or not self._may_try(number):
                return None  # what begins late in a round has too little time
            self._count_unready(number)
        return self.task(PURPOSE, event, number)

    def _may_try(self, number: int) -> bool:
        """Return whether this node would begin an attempt in a round: more seldom after failures.

        Each attempt that fails late leaves a share on every disk until the epoch is over.
        """
        self._begin_anew()
        spacing = 1 << min(max(0, len(self._failed) - self.ctx.preset.regroup_patience), 6)
        return tagged_hash("regroup-turn", whole(number))[0] % spacing == 0

    def task(self, purpose: str, event: bytes, attempt: int) -> Task | None:
        """Return an attempt as this node would set it up, or None when there is none to make."""
        ctx, key = self.ctx, self.ctx.key
        if purpose != PURPOSE or key is None or not 0 <= ctx.round_number() - attempt <= 1:
            return None
        if event != regroup_event(ctx.settings.network_id, key.key_id, attempt):
            return None
        stepped_back = ctx.holds_share and self.handover.holding(key.number) != "active"
        wish = self.wish()
        if wish is None or stepped_back or attempt <= key.number or self.handover.ready():
            return None
        plan = self._plan(wish, key)
        if plan is None or ctx.me not in plan.parties:
            return None
        if ctx.me in plan.dealers and not ctx.holds_share:
            return None  # its share is lost: the others miss it and leave it out
        document = self._document(plan, key)
        self.create(event)
        self.events.add(event)
        self._plans[attempt] = plan
        self._plans = {number: self._plans[number] for number in sorted(self._plans)[-4:]}
        return Task(
            purpose=PURPOSE,
            event=event,
            attempt=attempt,
            key_epoch=key.number,
            document=document,
            digest=tagged_hash("regroup-document", document),
            members=plan.parties,
            quorum=Quorum(plan.parties, len(plan.parties), 0),
            needs_all=True,
        )

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
            return Plan(dealers, members, key.threshold, key.byzantine)
        known = {m.node_id: m for m in (*self.staked(), *key.members)}
        if not all(member in known for member in wish.members):
            return None
        staying = [member for member in key.roster if member in wish.members]
        leaving = [member for member in key.seniority if member not in wish.members]
        missing = max(0, key.threshold - len(staying))
        return Plan(
            tuple(sorted([*staying, *leaving[:missing]])),
            tuple(known[member] for member in wish.members),
            wish.threshold,
            wish.byzantine,
        )

    def _left_out(self, key: KeyEpoch) -> set[bytes]:
        """Return those whom T holders missed, if the others can go on without them.

        A liar that withholds its messages from one member has it missed by all, so who is left out
        may be correct and the liars may all stay: f is not lowered (F-38).
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

    def session(self, task: Task, instance: bytes) -> Dealing:
        """Return the session of an attempt that all its members voted for."""
        ctx, key, plan = self.ctx, self.ctx.epoch, self.run_plan(task)
        if isinstance(plan, RefreshPlan):
            return RefreshSession(
                key.share, instance, plan.roster, ctx.entropy, epoch=plan.epoch
            )
        dealing = key.keyshare is not None and key.index_of(ctx.me) in plan.dealers
        return ReshareSession(
            ctx.me,
            plan.old,
            plan.old_members,
            plan.dealers,
            plan.new_members,
            plan.threshold,
            instance,
            ctx.entropy,
            keyshare=key.share if dealing else None,
            epoch=plan.epoch,
        )

    def made(self, run: Run) -> None:
        """An attempt ended well here: keep what it made."""
        plan, key = self._plans.get(run.attempt), self.ctx.epoch
        lane = run.lanes[0]
        if plan is None or not isinstance(lane, Dealing) or lane.package is None:
            return
        if lane.package.epoch <= key.number or run.key_epoch != key.number:
            return  # another epoch came into force meanwhile
        self.handover.made(
            KeyEpoch(
                slot=key.slot,
                follows=key.number,
                members=plan.members,
                byzantine=plan.byzantine,
                package=lane.package,
                keyshare=lane.result,
            )
        )

    # --- who was missed ---

    def failed(self, attempt: int, absent: Sequence[bytes]) -> None:
        """An attempt came to nothing; ``absent`` are those whose part in it was missed here."""
        self.ctx.note(
            "regroup.failed", attempt=attempt, missed=[peer.hex()[:16] for peer in absent]
        )
        self._begin_anew()
        self._failed.add(attempt)
        for peer in absent:
            self._count(peer, attempt)

    def _count_unready(self, number: int) -> None:
        """Count those who took part and never said that they have their share."""
        for draft in self.handover.drafts.known.values():
            if draft.number < number - 1:
                self._failed.add(draft.number)
                for peer in self.handover.drafts.unready(draft):
                    self._count(peer, draft.number)

    def _count(self, peer: bytes, attempt: int) -> None:
        """Say that a member is missed when it has spoilt several attempts (F-26)."""
        ctx, key = self.ctx, self.ctx.key
        self._begin_anew()
        failures = self._failures.setdefault(peer, set())
        if key is None or attempt <= key.number or attempt in failures:
            return
        if peer == ctx.me or peer not in key.roster:
            return
        failures.add(attempt)
        if len(failures) != ctx.preset.regroup_patience or not ctx.holds_share:
            return
        if self.handover.holding(attempt) not in ("no_share", "prepared"):
            return
        ctx.tables.fire(
            "regroup", "Miss", p=ctx.me, h=attempt, q=peer,
            given={"first_epoch": False, "overdue": True}, quorum=key.quorum,
            carry={"missed": Missed(attempt, peer)},
        )
        self._missed.setdefault(peer, set()).add(ctx.me)

    def on_missed(self, sender: bytes, message: Missed) -> None:
        """Take a holder's word that it missed another one in an attempt to follow this epoch."""
        key = self.ctx.key
        self._begin_anew()
        if key is None or {sender, message.absent} - set(key.roster):
            return
        told = self._missed.setdefault(message.absent, set())
        if sender not in told and key.number < message.epoch <= self.ctx.round_number():
            self.ctx.tables.view.deliver("missed", sender, message.absent, message.epoch)
            told.add(sender)

    def _begin_anew(self) -> None:
        """Forget who was missed before the epoch that is in force now."""
        key = self.ctx.key
        if key is not None and key.number != self._epoch_seen:
            self._epoch_seen = key.number
            self._missed, self._failures, self._failed = {}, {}, set()

    def report(self) -> Mapping[str, object]:
        """Return what goes on, for the operator."""
        known = self.handover.drafts
        return {
            "due": self.wish() is not None,
            "drafts": [
                {"epoch": d.number, "ready": len(d.roster) - len(known.unready(d)),
                 "members": len(d.roster)}
                for d in known.known.values()
            ],
            "missed": {peer.hex(): len(told) for peer, told in self._missed.items()},
        }
