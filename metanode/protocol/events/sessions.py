"""Runs the cryptographic sessions of this node: from a certificate to the result.

One run is one instance, which names all its public parameters. It has one lane for each thing to
sign (each input of a transaction), or a single lane for a key generation. Messages of a run that
this node has not begun yet wait in a bounded buffer; those of a run that is over are ignored. A run
that signs is never begun, nor gone on with, beside a peer that this node has banned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field

from metanode.errors import PeerFault
from metanode.protocol.context import Context
from metanode.protocol.events.run import Run, SignPlan
from metanode.protocol.tables.runner import TransitionError
from metanode.tss.messages import Message
from metanode.tss.session import ABORTED, FINISHED
from spec.messages import Release, Step

EARLY_INSTANCES_PER_SENDER = 4
EARLY_PER_SENDER = 256
EARLY_OCTETS_PER_SENDER = 4 << 20
OVER_REMEMBERED = 256
BANNED = "banned"


Outcome = Callable[[Run], None]
Early = tuple[Release | Step, bytes]
"""A message that came before its run, with the frame in which it came."""


@define
class Sessions:
    """The runs of a node; ``on_result`` and ``on_abort`` are told when one ends by itself."""

    ctx: Context
    on_result: Outcome
    on_abort: Outcome
    _runs: dict[bytes, Run] = field(factory=dict)
    _early: dict[bytes, dict[bytes, list[Early]]] = field(factory=dict)
    _over: dict[bytes, None] = field(factory=dict)
    _silences: dict[bytes, int] = field(factory=dict)

    def begin(self, run: Run) -> None:
        """Start a run whose session row is in ``begun``: release, then take the messages that
        waited.

        The release row records the release and the instance on disk; the shell flushes both before
        the first message leaves.
        """
        ctx = self.ctx
        run.active = run.started = ctx.now
        instance = run.instance
        if any(self._is_banned(member, run) for member in run.members):
            self._break_off(run)
            return
        refusal = ctx.tables.why_not("session", "Release", quorum=run.quorum, **self._release(run))
        if refusal is not None:
            raise refusal
        carried = [
            item
            for number, lane in enumerate(run.lanes)
            for item in self._wrap(run, Release, number, lane.start())
        ]
        ctx.tables.fire(
            "session", "Release", quorum=run.quorum, carry={"share": carried}, **self._release(run)
        )
        self._runs[instance] = run
        for sender, waiting in self._early.items():
            for message, frame in waiting.pop(instance, ()):
                try:
                    self._take(sender, message, frame)
                except PeerFault as fault:  # must not keep the others' messages from being taken
                    ctx.note("session.early_fault", peer=sender.hex()[:16], reason=fault.reason)
        if instance in self._runs:
            self._settle(run)

    def receive(self, sender: bytes, message: Release | Step) -> None:
        """Take a signing message from an authenticated peer; ``ctx.frame`` is what it came in."""
        self._take(sender, message, self.ctx.frame)

    def _take(self, sender: bytes, message: Release | Step, frame: bytes) -> None:
        run = self._runs.get(message.instance)
        if run is None:
            if message.instance not in self._over:
                self._wait(sender, message, frame)
            return
        if sender not in run.members or sender == self.ctx.me:
            raise PeerFault("a signing message from outside the session", sender)
        if message.lane >= len(run.lanes):
            raise PeerFault("a signing message for a lane that does not exist", sender)
        lane, mine = run.lanes[message.lane], run.party(self.ctx.me)
        if message.recipient not in (0, mine):
            raise PeerFault("a signing message for another party", sender)
        if lane.state not in (FINISHED, ABORTED):
            run.frames.keep(sender, message, frame)
        recipient = message.recipient or None
        out = lane.receive(
            Message(lane.session_id, message.stage, run.party(sender), recipient, message.payload)
        )
        run.active = self.ctx.now
        carried = self._wrap(run, Step, message.lane, out)
        if carried:
            self.ctx.tables.fire(
                "session",
                "Step",
                carry={"stepped": carried},
                p=self.ctx.me,
                e=run.event,
                a=run.attempt,
            )
        self._settle(run)

    def break_off(self, peer: bytes) -> None:
        """End every run that signs with a peer which has just been banned."""
        for run in [r for r in self._runs.values() if self._is_banned(peer, r)]:
            self._break_off(run)

    def _is_banned(self, peer: bytes, run: Run) -> bool:
        """Return whether a run would have this node sign with a peer that it has banned."""
        signs = isinstance(run.plan, SignPlan) and peer in run.members
        return signs and bool(self.ctx.tables.view.get("pair_banned", self.ctx.me, peer))

    def _break_off(self, run: Run) -> None:
        run.broken_off = BANNED
        self._abort(run)

    def _abort(self, run: Run) -> None:
        self.ctx.tables.fire(
            "session",
            "Abort",
            p=self.ctx.me,
            e=run.event,
            a=run.attempt,
            given={"peer_fault": True},
        )
        self._close(run)
        self.on_abort(run)

    def drop(self, event: bytes, attempt: int) -> None:
        """End the session of an attempt, whatever its state: its time is over."""
        self._expire(event, attempt)
        for run in [r for r in self._runs.values() if (r.event, r.attempt) == (event, attempt)]:
            self._close(run)

    def tick(self) -> None:
        """Expire the runs in which nothing moved for the idle time."""
        limit = self.ctx.now - self.ctx.preset.session_idle_s
        for run in [r for r in self._runs.values() if r.active < limit]:
            self._expire(run.event, run.attempt)
            self._close(run)
            self.on_abort(run)

    def silences(self, member: bytes) -> int:
        """Return how many runs a member has spoilt since its last good one."""
        return self._silences.get(member, 0)

    def running(self, event: bytes) -> Run | None:
        """Return the run of an event, if there is one."""
        return next((run for run in self._runs.values() if run.event == event), None)

    def _release(self, run: Run) -> dict[str, Any]:
        ctx = self.ctx
        return {
            "p": ctx.me,
            "e": run.event,
            "a": run.attempt,
            "d": run.digest,
            "i": run.instance,
            "given": {
                "is_member": ctx.me in run.members,
                **ctx.signing_facts(run.purpose, run.key_epoch, run.event, run.attempt),
            },
        }

    def _expire(self, event: bytes, attempt: int) -> None:
        try:
            self.ctx.tables.fire(
                "session", "Expire", p=self.ctx.me, e=event, a=attempt, given={"session_idle": True}
            )
        except TransitionError:
            return  # it never began here

    def _settle(self, run: Run) -> None:
        if run.abort is not None:
            self._abort(run)
        elif run.results is not None:
            self._close(run)
            self.on_result(run)

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

    def _wait(self, sender: bytes, message: Release | Step, frame: bytes) -> None:
        """Keep a message of a run that this node has not begun; each sender has room of its own."""
        waiting = self._early.setdefault(sender, {})
        own = [kept for messages in waiting.values() for kept in messages]
        octets = sum(len(kept.payload) for kept, _ in own)
        if len(own) >= EARLY_PER_SENDER or octets >= EARLY_OCTETS_PER_SENDER:
            waiting.pop(next(iter(waiting)))
        waiting.setdefault(message.instance, []).append((message, frame))
        if len(waiting) > EARLY_INSTANCES_PER_SENDER:
            waiting.pop(next(iter(waiting)))

    def _wrap(
        self, run: Run, kind: type[Release] | type[Step], lane: int, out: Sequence[Message]
    ) -> list[tuple[bytes | None, Release | Step]]:
        carried: list[tuple[bytes | None, Release | Step]] = []
        others = [m for m in run.members if m != self.ctx.me]
        for message in out:
            to = message.recipient or 0
            wire = kind(run.instance, lane, message.round, message.payload, to)
            targets = others if message.recipient is None else [run.roster[message.recipient - 1]]
            carried += [(target, wire) for target in targets]
        return carried
