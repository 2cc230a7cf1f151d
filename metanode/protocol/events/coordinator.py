"""SETUP, ACK, BEGIN: how an event outside the signing rounds gets its certificate.

The coordinator of attempt a is roster[(epoch + a) mod n]; attempts grow with the clock, so a silent
coordinator is replaced (F-21). It asks all eligible members and begins with t of those who vote
(F-22), others in each attempt, or with all of them for a key generation. What it asks for is
rebuilt by everyone from their own view (F-17).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from metanode.errors import PeerFault
from metanode.protocol.context import WITHOUT_EPOCH, Context
from metanode.protocol.events.votes import VoteBook, certificate_fault, sign_vote
from metanode.protocol.keys.epoch import Member
from metanode.protocol.rounds.threshold_set import in_turn
from metanode.protocol.tables.runner import TransitionError
from metanode.protocol.tables.view import Quorum
from spec.messages import Begin, Certificate, LockedCandidate, Setup, Vote

SETUPS_PER_SENDER = 8


def coordinator_of(members: Sequence[bytes], key_epoch: int, attempt: int) -> bytes:
    """Return the member whose turn an attempt is."""
    return members[(key_epoch + attempt) % len(members)]


@frozen(kw_only=True)
class Task:
    """An attempt as this node itself would set it up."""

    purpose: str
    event: bytes
    attempt: int
    key_epoch: int
    document: bytes = field(repr=False)
    digest: bytes
    members: tuple[bytes, ...]
    quorum: Quorum
    needs_all: bool
    roster: tuple[Member, ...] = ()
    """The members with their stakes, for a key generation."""

    @property
    def coordinator(self) -> bytes:
        """The member whose turn this attempt is."""
        return coordinator_of(self.members, self.key_epoch, self.attempt)

    @property
    def vote(self) -> Vote:
        """The vote of this attempt: it names everything that the members agree on."""
        return Vote(self.key_epoch, self.event, self.attempt, self.digest, self.members)

    def facts(self, ctx: Context) -> dict[str, Any]:
        """Return with whose shares this attempt is signed, and whose votes it needs."""
        return {
            "needs_all": self.needs_all,
            **ctx.signing_facts(self.purpose, self.key_epoch, self.event, self.attempt),
        }

    @property
    def votes_needed(self) -> int:
        """How many equal votes make the certificate."""
        return len(self.members) if self.needs_all else self.quorum.threshold


Rebuild = Callable[[str, bytes, int], Task | None]
"""(purpose, event, attempt) → the task as seen from here, or None when there is nothing to do."""


@define
class Coordinators:
    """Both sides of SETUP, ACK, BEGIN. ``begin`` starts the run of a certificate.

    ``prepare`` brings an event to IN_PROGRESS, or raises a transition error; ``locked`` is the lock
    of an event with its certificate, to be shown; ``silences`` counts the runs that a
    member has spoilt lately, as this node saw it.
    """

    ctx: Context
    votes: VoteBook
    rebuild: Rebuild
    prepare: Callable[[bytes, int, bytes], None]
    locked: Callable[[bytes], LockedCandidate | None]
    recover: Callable[[bytes], None]
    begin: Callable[[Task, Certificate], None]
    silences: Callable[[bytes], int] = field(default=lambda _member: 0)
    _setups: dict[bytes, dict[tuple[bytes, int], Setup]] = field(factory=dict)
    _tasks: dict[tuple[bytes, int], Task] = field(factory=dict)
    _voted: dict[tuple[bytes, int], float] = field(factory=dict)
    _refusals: dict[tuple[bytes, int], str] = field(factory=dict)

    def propose(self, task: Task) -> None:
        """Coordinate a task if it is this node's turn and it has not done so yet."""
        ctx = self.ctx
        key = (task.event, task.attempt)
        if task.coordinator != ctx.me or key in self._tasks:
            return
        self._supersede(task)
        setup = Setup(
            task.key_epoch,
            task.event,
            task.attempt,
            task.purpose,
            task.document,
            task.members,
            self.locked(task.event),
        )
        try:
            ctx.tables.fire(
                "session",
                "Coordinate",
                p=ctx.me,
                e=task.event,
                a=task.attempt,
                d=task.digest,
                carry={"setup_sent": setup},
                quorum=task.quorum,
                given={"is_coordinator": True, "digest_rebuilt": True},
            )
        except TransitionError as refusal:
            self._refuse(task, refusal)
            return
        ctx.note("setup.sent", purpose=task.purpose, attempt=task.attempt)
        self._acknowledge(task)

    def on_setup(self, sender: bytes, message: Setup) -> None:
        """Take a set-up; it waits while this node's own view is not there yet.

        Each sender has room of its own: nobody can push out the coordinator's set-up.
        """
        fault = self._judge(sender, message)
        if fault is not None:
            raise PeerFault(fault, sender)
        if self._session(message) == "absent":
            waiting = self._setups.setdefault(sender, {})
            waiting[message.event, message.attempt] = message
            if len(waiting) > SETUPS_PER_SENDER:
                waiting.pop(next(iter(waiting)))

    def _session(self, message: Setup) -> str:
        return self.ctx.tables.state("session", self.ctx.me, message.event, message.attempt)

    def tick(self) -> None:
        """Look again at set-ups that this node could not judge, and at votes that came in."""
        for sender, waiting in self._setups.items():
            for key, message in tuple(waiting.items()):
                fault = self._judge(sender, message) if self._session(message) == "absent" else None
                if fault is not None:
                    self.ctx.note("setup.faulty", peer=sender.hex()[:16], reason=fault)
                if fault is not None or self._session(message) != "absent":
                    del waiting[key]
        for task in tuple(self._tasks.values()):
            self._convene(task)

    def on_vote(self, vote: Vote) -> None:
        """Look whether the votes of an attempt that this node coordinates are enough now."""
        task = self._tasks.get((vote.event, vote.attempt))
        if task is not None:
            self._convene(task)

    def on_begin(self, sender: bytes, message: Begin) -> None:
        """Take a certificate; only that of this attempt's coordinator, and only a valid one,
        begins.
        """
        certificate = message.certificate
        task = self._tasks.get((certificate.event, certificate.attempt))
        if task is None:
            return
        if sender != task.coordinator:
            raise PeerFault("BEGIN from a node that does not coordinate the attempt", sender)
        fault = certificate_fault(
            certificate, self.ctx.codec, self.ctx.settings.network_id, task.quorum, task.needs_all
        )
        if fault is None and len(certificate.votes) != task.votes_needed:
            fault = f"it names {len(certificate.votes)} members instead of {task.votes_needed}"
        if fault is not None:
            raise PeerFault(f"BEGIN without a certificate: {fault}", sender)
        if (certificate.digest, certificate.members) != (task.digest, task.members):
            return  # certified, but not what this node agreed to
        self.votes.add_certificate(certificate)
        self._enter(task, certificate)

    def latest(self, event: bytes) -> Task | None:
        """Return the latest attempt of an event that this node takes part in, if any."""
        found = [task for task in self._tasks.values() if task.event == event]
        return max(found, key=lambda task: task.attempt, default=None)

    def overdue(self, limits: Mapping[str, int]) -> tuple[Task, ...]:
        """Drop the attempts below the limit of their purpose; return the unfinished ones."""
        old = {k: t for k, t in self._tasks.items() if t.attempt < limits[t.purpose]}
        self._tasks = {k: t for k, t in self._tasks.items() if k not in old}
        self._voted = {k: at for k, at in self._voted.items() if k in self._tasks}
        for sender, waiting in self._setups.items():
            self._setups[sender] = {
                k: m
                for k, m in waiting.items()
                if m.attempt >= limits.get(m.purpose, m.attempt + 1)
            }
        self._refusals = {k: r for k, r in self._refusals.items() if k in self._tasks}
        return tuple(t for t in old.values() if self._state(t) not in ("finished", "expired"))

    def _state(self, task: Task) -> str:
        return self.ctx.tables.state("session", self.ctx.me, task.event, task.attempt)

    def _supersede(self, task: Task) -> None:
        """F-20: an attempt that has released nothing makes room for a higher one."""
        ctx = self.ctx
        for (_, event, attempt), state in ctx.tables.view.entries("session"):
            if event != task.event or not isinstance(attempt, int) or attempt >= task.attempt:
                continue
            if state in ("created", "acked", "begun"):
                ctx.tables.fire(
                    "session", "Supersede", p=ctx.me, e=task.event, a=attempt, b=task.attempt
                )
                self.recover(task.event)

    def _judge(self, sender: bytes, message: Setup) -> str | None:
        """Acknowledge a set-up if the tables allow it; return what its sender is to blame for."""
        ctx = self.ctx
        task = self.rebuild(message.purpose, message.event, message.attempt)
        if task is None:
            return None
        if message.locked is not None:
            certificate, network_id = message.locked.certificate, ctx.settings.network_id
            quorum = task.quorum
            if task.purpose not in WITHOUT_EPOCH:  # an old lock has the votes of its own epoch
                quorum = ctx.quorum_of(certificate.key_epoch) or quorum
            fault = certificate_fault(certificate, ctx.codec, network_id, quorum, task.needs_all)
            if fault is not None:
                return f"a set-up shows a lock without a certificate: {fault}"
            self.votes.add_certificate(certificate)
        if sender == task.coordinator:
            self._supersede(task)
        facts = {
            "from_coordinator": sender == task.coordinator,
            "members_valid": message.members == task.members and ctx.me in message.members,
            "digest_rebuilt": (
                message.document == task.document and message.key_epoch == task.key_epoch
            ),
            "is_coordinator": task.coordinator == ctx.me,
        }
        try:
            ctx.tables.fire(
                "session",
                "Setup",
                p=ctx.me,
                e=task.event,
                a=task.attempt,
                d=task.digest,
                given=facts,
                quorum=task.quorum,
            )
        except TransitionError as refusal:
            self._refuse(task, refusal)
            return None
        self._acknowledge(task)
        return None

    def _acknowledge(self, task: Task) -> None:
        ctx = self.ctx
        try:
            self.prepare(task.event, task.attempt, task.digest)
            ctx.tables.fire(
                "session",
                "Ack",
                p=ctx.me,
                e=task.event,
                a=task.attempt,
                d=task.digest,
                carry={"vote": task.vote},
                given=task.facts(ctx),
                quorum=task.quorum,
            )
        except TransitionError as refusal:
            self._refuse(task, refusal)
            return
        self._tasks[task.event, task.attempt] = task
        self._voted[task.event, task.attempt] = ctx.now
        self.votes.add(ctx.me, task.vote, sign_vote(ctx, task.vote).signature)
        self._convene(task)

    def _convene(self, task: Task) -> None:
        ctx = self.ctx
        state = ctx.tables.state("session", ctx.me, task.event, task.attempt)
        if task.coordinator != ctx.me or state != "acked":
            return
        voters = self.votes.voters(task.vote)
        grace = ctx.preset.convene_share * ctx.preset.round_period_s
        patient = ctx.now < self._voted[task.event, task.attempt] + grace
        if patient and not ctx.links & set(task.members) <= set(voters):
            return  # F-34: who votes first must not decide who signs
        certificate = self.votes.certificate(task.vote, task.votes_needed, self._order(task))
        if certificate is None:
            return
        ctx.tables.fire(
            "session",
            "Convene",
            p=ctx.me,
            e=task.event,
            a=task.attempt,
            d=task.digest,
            carry={
                "begin_sent": Begin(certificate),
                "lock": LockedCandidate(task.document, certificate),
            },
            given={"is_coordinator": True, **task.facts(ctx)},
            quorum=task.quorum,
        )
        self.begin(task, certificate)

    def _order(self, task: Task) -> tuple[bytes, ...]:
        """Return the members as they are chosen: this node, then in turn, the silent ones last.

        F-34: the turn alone would leave two liars who sit apart in every choice of t.
        """
        others = [m for m in in_turn(task.members, task.attempt) if m != self.ctx.me]
        return (self.ctx.me, *sorted(others, key=self.silences))

    def _enter(self, task: Task, certificate: Certificate) -> None:
        ctx = self.ctx
        member = ctx.me in {vote.voter for vote in certificate.votes}
        facts = {
            "from_coordinator": True,
            "is_member": member,
            "is_coordinator": False,
            **task.facts(ctx),
        }
        subject: dict[str, Any] = {"p": ctx.me, "e": task.event, "a": task.attempt}
        try:
            if not member:
                ctx.tables.fire("session", "NotChosen", given=facts, **subject)
                self.recover(task.event)  # if the chosen ones fail, this node is needed again
                return
            ctx.tables.fire(
                "session",
                "Begin",
                d=task.digest,
                given=facts,
                quorum=task.quorum,
                carry={"lock": LockedCandidate(task.document, certificate)},
                **subject,
            )
        except TransitionError as refusal:
            self._refuse(task, refusal)
            return
        self.begin(task, certificate)

    def _refuse(self, task: Task, refusal: TransitionError) -> None:
        """Say once why an attempt does not go on here; a set-up is looked at again and again."""
        key, reason = (task.event, task.attempt), str(refusal)
        if self._refusals.get(key) != reason:
            self._refusals[key] = reason
            self.ctx.note(
                "attempt.refused", purpose=task.purpose, attempt=task.attempt, reason=reason
            )
