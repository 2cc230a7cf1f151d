"""SETUP, ACK, BEGIN: how an event outside the signing rounds gets its certificate.

The coordinator of attempt a is roster[(epoch + a) mod n]; attempts grow with the clock, so a silent
coordinator is replaced (F-21). It asks all eligible members and begins with t of those who vote
(F-22), others in each attempt, or with all of them for a key generation. What it asks for is
rebuilt by everyone from their own view (F-17).
"""

from __future__ import annotations

from attrs import define, evolve, field

from metanode.errors import PeerFault
from metanode.protocol.context import Context
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.purpose import Purposes, Task
from metanode.protocol.events.sessions import OPEN, Sessions
from metanode.protocol.events.votes import VoteBook, certificate_fault
from metanode.protocol.rounds.threshold_set import in_turn
from metanode.protocol.tables.registry import admits, fact, handles, message
from metanode.protocol.tables.runner import TransitionError
from spec.messages import Begin, Certificate, LockedCandidate, Setup

SETUPS_PER_SENDER = 8
VOTES_KEPT = 2
"""The votes of so many attempts before the oldest one that still goes on are kept."""

Key = tuple[bytes, int]
"""An event and the number of an attempt."""


@define
class Coordinators:
    """Both sides of SETUP, ACK, BEGIN.

    ``tasks`` are attempts as this node would set them up; from its vote on, as it has voted for
    them. ``_asked`` is the newest set-up of each event that was looked at, also this node's own.
    """

    ctx: Context
    book: EventBook
    votes: VoteBook
    purposes: Purposes
    sessions: Sessions
    tasks: dict[Key, Task] = field(factory=dict)
    _asked: dict[bytes, Setup] = field(factory=dict)
    _setups: dict[bytes, dict[Key, Setup]] = field(factory=dict)
    _voted: dict[Key, float] = field(factory=dict)
    _refusals: dict[Key, str] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    # --- what the tables are told, and what is said ---

    @fact
    def coordinator(self, e: bytes, a: int) -> bytes | None:
        task = self.tasks.get((e, a))
        return None if task is None else task.coordinator

    @fact
    def members_valid(self, e: bytes, a: int) -> bool:
        task, asked = self.tasks.get((e, a)), self._asked.get(e)
        if task is None or asked is None or asked.attempt != a:
            return False
        return asked.members == task.members and self.ctx.me in task.members

    @fact
    def digest_rebuilt(self, e: bytes, d: bytes) -> bool:
        asked = self._asked.get(e)
        task = None if asked is None else self.tasks.get((e, asked.attempt))
        if asked is None or task is None:
            return False
        wanted = (task.purpose, task.key_epoch, task.digest, task.document)
        found = (asked.purpose, asked.key_epoch, asked.digest, asked.document)
        return found == wanted and task.digest == d

    @message("setup_sent")
    def setup_sent(self, p: bytes, e: bytes, a: int, d: bytes) -> Setup:
        return self._asked[e]

    @message("begin_sent")
    def begin_sent(self, p: bytes, e: bytes, a: int, d: bytes) -> Begin:
        return Begin(self.sessions.certificate(e, a))

    # --- SETUP and ACK ---

    @handles("attempt_proposed")
    def propose(self) -> None:
        for task in self.ctx.each(self.purposes.due()):
            if task.coordinator != self.ctx.me or self._state(task) != "absent":
                continue
            self._look_at(task, self._setup(task))
            if not self._take_up(task):
                continue
            if self.ctx.tries("session.Coordinate", **task.about):
                self.ctx.note("setup.sent", purpose=task.purpose, attempt=task.attempt)
                self._acknowledge(task)
            else:
                self._refuse(task)

    @admits("setup")
    def admit_setup(self, sender: bytes, message: Setup) -> bool:
        """Keep a set-up, which waits until this node's own view is there.

        Each sender has room of its own: nobody can push out the coordinator's set-up.
        """
        self.ctx.received.waits = True
        key = message.event, message.attempt
        if self.ctx.state("session", *key) == "absent":
            task = self.purposes.consider(message.purpose, *key, message.document)
            if task is not None:
                fault = self._lock_fault(task, message)
                if fault is not None:
                    raise PeerFault(fault, sender)
                message = evolve(message, locked=None)  # its votes are noted
            waiting = self._setups.setdefault(sender, {})
            waiting[key] = message
            if len(waiting) > SETUPS_PER_SENDER:
                waiting.pop(next(iter(waiting)))
        return True

    @handles("setup_judged")
    def judge(self) -> None:
        waiting = [(s, key) for s, setups in self._setups.items() for key in setups]
        for sender, key in self.ctx.each(waiting):
            message = self._setups[sender][key]
            fault = self._judge(sender, message) if self._is_absent(key) else None
            if fault is not None:
                self.ctx.note("setup.faulty", peer=sender.hex()[:16], reason=fault)
            if fault is not None or not self._is_absent(key):
                del self._setups[sender][key]

    def _judge(self, sender: bytes, message: Setup) -> str | None:
        """Acknowledge a set-up if the tables allow it; return what its sender is to blame for."""
        about = message.event, message.attempt, message.document
        task = self.purposes.consider(message.purpose, *about)
        if task is None:
            return None
        fault = self._lock_fault(task, message)
        if fault is not None:
            return fault
        self._look_at(task, message)
        if message.digest == task.digest:
            self.ctx.hear(message, sender)
        if sender == task.coordinator and not self._take_up(task):
            return None
        if self.ctx.tries("session.Setup", **task.about):
            self._acknowledge(task)
        else:
            self._refuse(task)
        return None

    def _lock_fault(self, task: Task, message: Setup) -> str | None:
        """Note the votes behind the lock that a set-up shows; return what is wrong with them."""
        if message.locked is None:
            return None
        certificate = message.locked.certificate
        if certificate.event != message.event:
            return "a set-up shows a lock of another event"
        makes_shares = self.ctx.quorum_of(task.key_epoch) != task.quorum
        quorum = task.quorum if makes_shares else None  # an old lock has its own epoch's votes
        fault = self.votes.show(certificate, quorum, needs_all=task.needs_all)
        return None if fault is None else f"a set-up shows a lock without a certificate: {fault}"

    def _look_at(self, task: Task, setup: Setup) -> None:
        self.tasks[task.event, task.attempt], self._asked[task.event] = task, setup

    def _setup(self, task: Task) -> Setup:
        return Setup(
            task.key_epoch, task.event, task.attempt, task.digest, task.purpose, task.document,
            task.members, self.book.lock_of(task.event),
        )

    def _take_up(self, task: Task) -> bool:
        """Bring an event to PENDING for an attempt; return whether this node knows who signs it.

        F-20: an attempt that has released nothing makes room for a higher one.
        """
        ctx, event = self.ctx, task.event
        if not self.votes.taken_up(task.vote, task.quorum):
            return False
        lower = [
            attempt
            for (_, other, attempt), state in ctx.tables.view.entries("session")
            if other == event and state in ("created", "acked", "begun")
            and isinstance(attempt, int) and attempt < task.attempt
        ]
        for attempt in lower:
            ctx.tries("session.Supersede", e=event, a=attempt, b=task.attempt)
        self.book.create(event, task.purpose)
        if lower or self.book.status(event) == "FAILED":
            self.book.recover(event)
        return True

    def _acknowledge(self, task: Task) -> None:
        ctx = self.ctx
        self.votes.voting(task.vote)
        if ctx.tries("event.Setup", **task.about) and ctx.tries("session.Ack", **task.about):
            self._voted[task.event, task.attempt] = ctx.steady
        else:
            self._refuse(task)

    # --- BEGIN ---

    @handles("convened")
    def convene(self) -> None:
        mine = [t for t in self.tasks.values() if t.coordinator == self.ctx.me]
        for task in self.ctx.each([t for t in mine if self._state(t) == "acked"]):
            certificate = self._certificate(task)
            if certificate is None:
                continue
            self._enter(task, certificate)
            if not self.ctx.tries("session.Convene", **task.about):
                self._refuse(task)

    def _certificate(self, task: Task) -> Certificate | None:
        """Return the certificate of the chosen members, once enough votes are there to choose from.

        F-34: the order in which votes come must not decide who signs.
        """
        ctx = self.ctx
        voters = set(self.votes.voters(task.vote))
        grace = ctx.preset.convene_share * ctx.preset.round_period_s
        patient = ctx.steady < self._voted[task.event, task.attempt] + grace
        if patient and not ctx.links & set(task.members) <= voters:
            return None
        return self.votes.certificate(task.vote, task.votes_needed, self._order(task))

    def _order(self, task: Task) -> tuple[bytes, ...]:
        """Return the members as they are chosen: this node, then in turn, the silent ones last.

        F-34: if only the turn counted, two liars that sit apart would be in every choice of t.
        """
        others = [m for m in in_turn(task.members, task.attempt) if m != self.ctx.me]
        return (self.ctx.me, *sorted(others, key=self.sessions.silences))

    def _enter(self, task: Task, certificate: Certificate) -> None:
        self.sessions.enter(task, certificate)
        self.book.locking(LockedCandidate(task.document, certificate))

    @admits("begin")
    def admit_begin(self, sender: bytes, message: Begin) -> bool:
        """Take a certificate; only that of this attempt's coordinator, and only a valid one,
        begins.
        """
        certificate = message.certificate
        task = self.tasks.get((certificate.event, certificate.attempt))
        if task is None or self._state(task) != "acked":
            return False
        if sender != task.coordinator:
            raise PeerFault("BEGIN from a node that does not coordinate the attempt", sender)
        return self.take(sender, task, certificate)

    def take_shown(self, sender: bytes, certificate: Certificate) -> bool:
        """Take the certificate that a member shows of an attempt of all members: it proves itself.
        """
        task = self.tasks.get((certificate.event, certificate.attempt))
        if task is None or not task.needs_all or self._state(task) != "acked":
            return False
        return self.take(sender, task, certificate)

    def take(self, sender: bytes, task: Task, certificate: Certificate) -> bool:
        """Begin an attempt with a certificate; PeerFault if it is none."""
        network_id = self.ctx.settings.network_id
        fault = certificate_fault(
            certificate, self.ctx.codec, network_id, task.quorum, task.needs_all
        )
        if fault is None and len(certificate.votes) != task.votes_needed:
            fault = f"it names {len(certificate.votes)} members instead of {task.votes_needed}"
        if fault is not None:
            raise PeerFault(f"BEGIN without a certificate: {fault}", sender)
        agreed = (task.key_epoch, task.digest, task.members)
        if (certificate.key_epoch, certificate.digest, certificate.members) != agreed:
            return False  # certified, but not what this node agreed to
        self.votes.add_certificate(certificate, task.quorum)
        self._enter(task, certificate)
        return True

    @handles("begun")
    def begin(self) -> None:
        certificate = self.ctx.received.message.certificate
        task = None if certificate is None else self.tasks.get(
            (certificate.event, certificate.attempt)
        )
        if task is None or self._state(task) != "acked":
            return
        if self.ctx.tries("session.Begin", **task.about):
            return
        refusal = self.ctx.tables.refusal
        if self.ctx.tries("session.NotChosen", **task.about):
            # If the chosen ones fail, this node is needed again.
            self.ctx.tries("event.Recover", e=task.event)
        else:
            self._refuse(task, refusal)

    # --- attempts that are over ---

    @handles("attempts_over")
    def give_up(self) -> None:
        if not self.ctx.boundary:
            return
        oldest = {kind: purpose.oldest() for kind, purpose in self.purposes.by_kind.items()}
        over = [task for task in self.tasks.values() if task.attempt < oldest[task.purpose]]
        for task in self.ctx.each([task for task in over if self._state(task) in OPEN]):
            run = self.sessions.running(task.event)
            voted = self.votes.of(task.event, task.attempt)
            silent = [member for member in task.members if member not in voted]
            missed = silent or (run.waiting_for if run is not None else [])
            self.sessions.drop(task.event, task.attempt)
            self.book.recover(task.event)
            self.purposes.by_kind[task.purpose].ended(task.event, task.attempt, missed)
        self._forget({(task.event, task.attempt) for task in over}, oldest)

    def _forget(self, over: set[Key], oldest: dict[str, int]) -> None:
        """Bound memory: drop attempts, and the set-ups and votes of those whose time is over."""
        self.tasks = {key: task for key, task in self.tasks.items() if key not in over}
        events = {event for event, _ in self.tasks}
        self._asked = {event: setup for event, setup in self._asked.items() if event in events}
        self._voted = {key: at for key, at in self._voted.items() if key in self.tasks}
        self._refusals = {key: why for key, why in self._refusals.items() if key in self.tasks}
        for sender, waiting in self._setups.items():
            self._setups[sender] = {
                key: setup
                for key, setup in waiting.items()
                if setup.attempt >= oldest.get(setup.purpose, setup.attempt + 1)
            }
        unknown = self.ctx.round_number() if self.ctx.key is not None else self.ctx.keygen_slot()

        def recent(event: bytes, attempt: int) -> bool:
            return attempt >= oldest.get(self.book.kind(event), unknown) - VOTES_KEPT

        self.votes.forget(recent)
        self.sessions.forget(oldest)
        locked, ctx = self.ctx.tables.view.get, self.ctx
        ctx.attempts = {
            (event, attempt): signers
            for (event, attempt), signers in ctx.attempts.items()
            if recent(event, attempt) or locked("lock_attempt", ctx.me, event) == attempt
        }

    def latest(self, event: bytes) -> Task | None:
        """Return the latest attempt of an event that this node takes part in, if any."""
        found = [self.tasks[key] for key in self._voted if key[0] == event]
        return max(found, key=lambda task: task.attempt, default=None)

    # --- helpers ---

    def _state(self, task: Task) -> str:
        return self.ctx.state("session", task.event, task.attempt)

    def _is_absent(self, key: Key) -> bool:
        return self.ctx.state("session", *key) == "absent"

    def _refuse(self, task: Task, refusal: TransitionError | None = None) -> None:
        """Say once why an attempt does not go on here; a set-up is looked at again and again."""
        key, reason = (task.event, task.attempt), str(refusal or self.ctx.tables.refusal)
        if self._refusals.get(key) != reason:
            self._refusals[key] = reason
            self.ctx.note(
                "attempt.refused", purpose=task.purpose, attempt=task.attempt, reason=reason
            )
