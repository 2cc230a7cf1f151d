"""Runs the cryptographic sessions of this node: from a certificate to the result.

One run is one instance, which names all its public parameters. It has one lane for each session:
one for every ``LANES`` inputs of a transaction, one for a key generation. Messages of a run that
this node has not begun yet wait in a bounded buffer; those of a run that is over are ignored. A run
that signs together with a peer that this node has banned is neither begun nor continued.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field

from metanode.errors import PeerFault
from metanode.protocol.blame.book import BlameBook
from metanode.protocol.context import Context
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.purpose import Purposes, Task
from metanode.protocol.events.run import Run, SignPlan
from metanode.protocol.tables.registry import admits, fact, handles, message
from metanode.tss.messages import Message
from metanode.tss.session import ABORTED, FINISHED
from spec.messages import Certificate, Release, Step

EARLY_INSTANCES_PER_SENDER = 4
EARLY_PER_SENDER = 256
EARLY_OCTETS_PER_SENDER = 4 << 20
OVER_REMEMBERED = 256
OPEN = ("created", "acked", "begun", "stepping")
GOING, SILENT, FAULTY, VERIFIED = "going", "silent_run", "faulty", "verified"

Moved = tuple[bytes, Release | Step, bytes]
"""A message of a run with its sender, and the frame in which it came."""

Carried = list[tuple[bytes, Release | Step]]


@define
class Entered:
    """The verified certificate of an attempt; ``waits`` until its run is begun, or cannot be."""

    task: Task
    certificate: Certificate
    waits: bool = True


@define
class Sessions:
    """The runs of a node, from their certificates on."""

    ctx: Context
    book: EventBook
    purposes: Purposes
    blames: BlameBook
    _entered: dict[tuple[bytes, int], Entered] = field(factory=dict)
    _runs: dict[bytes, Run] = field(factory=dict)
    _moved: list[Moved] = field(factory=list)
    _early: dict[bytes, dict[bytes, list[Moved]]] = field(factory=dict)
    _over: dict[bytes, None] = field(factory=dict)
    _silences: dict[bytes, int] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    # --- what the tables are told ---

    @fact
    def is_member(self, p: bytes, e: bytes, a: int) -> bool:
        entered = self._entered.get((e, a))
        return entered is not None and p in {vote.voter for vote in entered.certificate.votes}

    @fact
    def run(self, e: bytes, a: int) -> str:
        runs = self._runs.values()
        run = next((run for run in runs if (run.event, run.attempt) == (e, a)), None)
        if run is None:
            return SILENT if self._is_late(e, a) else GOING
        fate, purpose = self._fate(run), self.purposes.by_kind[run.purpose]
        good = fate != FAULTY and run.results is not None and purpose.verifies(run)
        return VERIFIED if good else fate

    def _is_late(self, event: bytes, attempt: int) -> bool:
        purpose = self.book.purpose_of(event)
        return purpose is not None and attempt < purpose.oldest()

    def _fate(self, run: Run) -> str:
        """Return what has become of a run, its results aside."""
        if run.abort is not None or self._banned_in(run):
            return FAULTY
        idle = run.active < self.ctx.steady - self.ctx.preset.session_idle_s
        return SILENT if idle or self._is_late(run.event, run.attempt) else GOING

    def _banned_in(self, run: Run) -> bool:
        """Return whether a run would have this node sign with a peer that it has banned."""
        get, me = self.ctx.tables.view.get, self.ctx.me
        return isinstance(run.plan, SignPlan) and any(
            get("pair_banned", me, member) for member in run.members
        )

    # --- from a certificate to a run ---

    def enter(self, task: Task, certificate: Certificate) -> None:
        """Put the certificate of an attempt at hand, which the caller verified.

        When a row has begun its session (Convene, Begin or Certified), the run begins.
        """
        self._entered[task.event, task.attempt] = Entered(task, certificate)

    def certificate(self, event: bytes, attempt: int) -> Certificate:
        """Return the certificate of an attempt that is at hand."""
        return self._entered[event, attempt].certificate

    @handles("run_begun")
    def begin(self) -> None:
        ready = [
            entered
            for (event, attempt), entered in self._entered.items()
            if entered.waits and self.ctx.state("session", event, attempt) == "begun"
        ]
        for entered in self.ctx.each(ready):
            entered.waits = False
            task = entered.task
            run = self.purposes.by_kind[task.purpose].begin(task, entered.certificate)
            if run is not None:
                self._release(run)

    def _release(self, run: Run) -> None:
        """Release the share for a run, unless a banned peer is in it; then take what came early.

        The row records the release and the instance on disk; the shell flushes both before the
        first message leaves.
        """
        ctx = self.ctx
        run.active = run.started = ctx.steady
        self._runs[run.instance] = run
        if self._fate(run) != GOING:
            return
        about: dict[str, Any] = {
            "e": run.event, "a": run.attempt, "d": run.digest, "i": run.instance
        }
        if not ctx.tries("session.Release", **about):
            del self._runs[run.instance]
            ctx.note("session.refused", purpose=run.purpose, reason=str(ctx.tables.refusal))
            return
        ctx.note("session.begun", purpose=run.purpose, attempt=run.attempt)
        for sender, waiting in self._early.items():
            for moved in waiting.pop(run.instance, ()):
                try:
                    self._check(run, sender, moved[1])
                    self._moved.append(moved)
                except PeerFault as fault:  # must not keep the others' messages from being taken
                    ctx.note("session.early_fault", peer=sender.hex()[:16], reason=fault.reason)

    @message("share")
    def share(self, p: bytes, i: bytes) -> Carried:
        run = self._runs[i]
        lanes = enumerate(run.lanes)
        return [item for n, lane in lanes for item in self._wrap(run, Release, n, lane.start())]

    # --- messages of runs ---

    @admits("release")
    def admit_release(self, sender: bytes, message: Release) -> bool:
        """Take a first signing message: now, or when its run has begun here."""
        return self._admit(sender, message)

    @admits("step")
    def admit_step(self, sender: bytes, message: Step) -> bool:
        """Take a later signing message, as the first ones."""
        return self._admit(sender, message)

    def _admit(self, sender: bytes, message: Release | Step) -> bool:
        return self.take(sender, message, self.ctx.received.envelope.raw)

    def take(self, sender: bytes, message: Release | Step, frame: bytes) -> bool:
        """Take a signing message, whoever has passed its frame on; return whether its run goes on.
        """
        moved = (sender, message, frame)
        run = self._runs.get(message.instance)
        if run is not None:
            self._check(run, sender, message)
            self._moved.append(moved)
        elif message.instance not in self._over:
            self._wait(moved)
        return run is not None

    def _check(self, run: Run, sender: bytes, message: Release | Step) -> None:
        if sender not in run.members or sender == self.ctx.me:
            raise PeerFault("a signing message from outside the session", sender)
        if message.lane >= len(run.lanes):
            raise PeerFault("a signing message for a lane that does not exist", sender)
        if message.recipient not in (0, run.party(self.ctx.me)):
            raise PeerFault("a signing message for another party", sender)

    @handles("run_moved")
    def move(self) -> None:
        moved, self._moved = self._moved, []
        for sender, heard, frame in self.ctx.each(moved):
            run = self._runs.get(heard.instance)
            if run is None:
                continue
            lane, party = run.lanes[heard.lane], run.party(sender)
            if lane.state not in (FINISHED, ABORTED):
                run.frames.keep(sender, heard, frame)
            recipient = heard.recipient or None
            out = lane.receive(
                Message(lane.session_id, heard.stage, party, recipient, heard.payload)
            )
            run.active = self.ctx.steady
            run.out = self._wrap(run, Step, heard.lane, out)
            if run.out:
                self.ctx.tries("session.Step", e=run.event, a=run.attempt, i=run.instance)

    @message("stepped")
    def stepped(self, p: bytes, i: bytes) -> Carried:
        return self._runs[i].out

    # --- how runs end ---

    @handles("run_aborted")
    def abort(self) -> None:
        for run in self.ctx.each(self._ending()):
            about: dict[str, Any] = {"e": run.event, "a": run.attempt}
            ended = self.ctx.tries("session.Expire", **about) or self.ctx.tries(
                "session.Abort", **about
            )
            if not ended:
                continue
            culprits = [run.roster[i - 1] for i in run.abort.culprits] if run.abort else []
            missed = culprits or run.waiting_for
            banned = "banned" if self._banned_in(run) else ""
            self.ctx.note(
                "session.aborted",
                purpose=run.purpose,
                attempt=run.attempt,
                kind=run.abort.kind if run.abort else banned or "timeout",
                culprits=[culprit.hex()[:16] for culprit in culprits],
            )
            self._close(run)
            self.blames.on_abort(run)
            if not self.ctx.tries("event.ProtocolError", e=run.event):
                self.ctx.note("event.over", event_id=run.event.hex()[:16])
            self.purposes.by_kind[run.purpose].ended(run.event, run.attempt, missed)

    def _ending(self) -> Iterator[Run]:
        """Yield the runs that end without a result; the ban that one brings may end others."""
        seen: set[bytes] = set()

        def ends(run: Run) -> bool:
            return run.instance not in seen and self._fate(run) != GOING

        while (run := next(filter(ends, self._runs.values()), None)) is not None:
            seen.add(run.instance)
            yield run

    @handles("run_finished")
    def finish(self) -> None:
        for run in self.ctx.each([r for r in self._runs.values() if r.results is not None]):
            if not self.ctx.tries("session.Finish", e=run.event, a=run.attempt, d=run.digest):
                continue
            self._close(run)
            seconds = round(self.ctx.steady - run.started, 3)
            self.ctx.note(
                "session.finished", purpose=run.purpose, attempt=run.attempt, seconds=seconds
            )
            self.purposes.by_kind[run.purpose].finished(run)

    def drop(self, event: bytes, attempt: int) -> None:
        """End the session of an attempt whose time is over: ``session.Expire``."""
        if self.ctx.tries("session.Expire", e=event, a=attempt):
            for run in [r for r in self._runs.values() if (r.event, r.attempt) == (event, attempt)]:
                self._close(run)

    def _close(self, run: Run) -> None:
        missing = {party for lane in run.lanes for party in lane.waiting_for}
        missing |= set(run.abort.culprits) if run.abort else set()
        for member in run.members:
            if run.party(member) in missing:
                self._silences[member] = self._silences.get(member, 0) + 1
            elif run.results is not None:
                self._silences.pop(member, None)
        for lane in run.lanes:
            lane.expire()
        self._runs.pop(run.instance, None)
        self._over[run.instance] = None
        while len(self._over) > OVER_REMEMBERED:
            self._over.pop(next(iter(self._over)))

    @handles("restarted")
    def restart(self) -> None:
        for (_, event), status in self.ctx.each(self.ctx.tables.view.entries("status")):
            if status == "IN_PROGRESS":
                self.ctx.tries("event.Recover", e=event)

    # --- for others ---

    def silences(self, member: bytes) -> int:
        """Return how many runs a member has spoilt since its last good one."""
        return self._silences.get(member, 0)

    def running(self, event: bytes) -> Run | None:
        """Return the run of an event, if there is one."""
        return next((run for run in self._runs.values() if run.event == event), None)

    def dealings(self) -> list[Run]:
        """Return the runs that make shares."""
        return [run for run in self._runs.values() if not isinstance(run.plan, SignPlan)]

    def forget(self, oldest: Mapping[str, int]) -> None:
        """Drop the certificates of attempts that are over; ``oldest`` still go on, by purpose."""
        self._entered = {
            key: entered
            for key, entered in self._entered.items()
            if entered.task.attempt >= oldest[entered.task.purpose]
            or self.ctx.state("session", *key) in OPEN
        }

    # --- helpers ---

    def _wait(self, moved: Moved) -> None:
        """Keep a message of a run that this node has not begun; each sender has room of its own."""
        sender, message, _ = moved
        waiting = self._early.setdefault(sender, {})
        own = [kept for messages in waiting.values() for _, kept, _ in messages]
        octets = sum(len(kept.payload) for kept in own)
        if len(own) >= EARLY_PER_SENDER or octets >= EARLY_OCTETS_PER_SENDER:
            waiting.pop(next(iter(waiting)))
        waiting.setdefault(message.instance, []).append(moved)
        if len(waiting) > EARLY_INSTANCES_PER_SENDER:
            waiting.pop(next(iter(waiting)))

    def _wrap(
        self, run: Run, kind: type[Release] | type[Step], lane: int, out: Sequence[Message]
    ) -> Carried:
        carried: Carried = []
        others = [m for m in run.members if m != self.ctx.me]
        for each in out:
            to = each.recipient or 0
            wire = kind(run.instance, lane, each.round, each.payload, to)
            targets = others if each.recipient is None else [run.roster[each.recipient - 1]]
            carried += [(target, wire) for target in targets]
            if not isinstance(run.plan, SignPlan):
                run.sent.append(wire)
        return carried
