"""Complaints: a dealing that is spoilt names its spoiler, and goes on if it was not (F-43).

A liar that hides a message from one member stops that member, and all others see is that the
stopped one is silent. So whoever misses a message says of whom, before all, and the accused shows
the message to all, sealed to the one that complained. What nobody but its receiver can read may be
rubbish: then the receiver opens it before all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from attrs import define, field, frozen

from metanode.errors import LocalFault, Malformed, PeerFault
from metanode.protocol.blame.book import BlameBook
from metanode.protocol.blame.record import BlameRecord, judge
from metanode.protocol.context import Context, regroup_event
from metanode.protocol.events.coordinator import Coordinators
from metanode.protocol.events.run import Run
from metanode.protocol.events.sessions import Sessions
from metanode.protocol.tables.registry import admits, fact, handles, message
from metanode.protocol.wire.codec import decode_canonical, encode_canonical
from metanode.protocol.wire.envelope import open_envelope, seal
from metanode.sealing import open_sealed, opened_before_all, opening_of, seal_to
from metanode.tss.dealing import Dealing
from spec.messages import Release, Step
from spec.night_messages import Answer, Complaint, Opened, Proven

KEPT_PER_SENDER = 512
"""Complaints and answers of one sender that are kept in a round or two: n members, four stages."""
FRAMES_LIMIT = 4


@frozen
class About:
    """What a complaint is about: who lacks whose message of a stage, in which run."""

    epoch: int
    instance: bytes
    stage: int
    complainer: bytes
    accused: bytes


@define
class Complaints:
    """The complaints of all members about the dealings of the newest attempts."""

    ctx: Context
    sessions: Sessions
    coordinators: Coordinators
    blames: BlameBook
    _made: dict[About, float] = field(factory=dict)
    _answers: dict[About, Answer] = field(factory=dict, repr=False)
    _answered: set[About] = field(factory=set)
    _void: set[About] = field(factory=set)
    _proven: dict[tuple[int, bytes], BlameRecord] = field(factory=dict, repr=False)
    _waits: dict[bytes, tuple[str, float]] = field(factory=dict)
    _at_hand: About | None = None

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    # --- what the tables are told ---

    @fact
    def lacks(self, p: bytes, q: bytes, h: int) -> bool:
        run = self._run(h)
        if run is None or q not in run.waiting_for:
            return False
        stage, since = self._waits.get(run.instance, ("", self.ctx.steady))
        preset = self.ctx.preset
        patience = preset.complaint_share * preset.round_period_s * preset.attempt_rounds
        return stage == run.lanes[0].state and self.ctx.steady - since >= patience

    @fact
    def part_sent(self, p: bytes, q: bytes, h: int) -> bool:
        about = self._at_hand
        return about is not None and (about.complainer, about.epoch) == (q, h) and bool(
            self._part(about)
        )

    @fact
    def answer_void(self, p: bytes, q: bytes, h: int) -> bool:
        about = self._at_hand
        if about is None or (about.accused, about.epoch) != (q, h):
            return False
        # An answer that comes when the run is over cannot be judged: opening it shows a secret.
        run = self._run(about.epoch)
        judged = run is not None and run.instance == about.instance and about in self._answers
        return judged and not self._frames(about)

    @fact
    def proof_held(self, p: bytes, q: bytes, h: int) -> bool:
        return (h, q) in self._proven

    # --- what is said ---

    @message("proof_shown")
    def proof_shown(self, p: bytes, q: bytes, h: int) -> Proven:
        return Proven(h, q, self._proven[h, q].encode())

    @message("complained")
    def complained(self, p: bytes, q: bytes, h: int) -> Complaint:
        run = self._known(h)
        stage, certificate = _stage(run), None
        if stage == 1:
            certificate = self.sessions.certificate(run.event, run.attempt)
        return Complaint(h, q, run.instance, stage, certificate)

    @message("answered")
    def answered(self, p: bytes, q: bytes, h: int) -> Answer:
        about = self._about_hand()
        text = encode_canonical(list(self._part(about)))
        sealed = seal_to(q, text, self.ctx.entropy)
        return Answer(h, q, about.instance, about.stage, sealed)

    @message("opened")
    def opened(self, p: bytes, q: bytes, h: int) -> Opened:
        about = self._about_hand()
        opening = opening_of(self.ctx.identity, self._answers[about].sealed, self.ctx.entropy)
        encoded = bytes(97) if opening is None else opening.encode()
        return Opened(h, q, about.instance, about.stage, encoded)

    # --- what happens ---

    @handles("complained")
    def complain(self) -> None:
        ctx, me = self.ctx, self.ctx.me
        runs = {run.instance: run for run in self.sessions.dealings() if run.purpose == "regroup"}
        self._waits = {key: wait for key, wait in self._waits.items() if key in runs}
        for run in runs.values():
            state = run.lanes[0].state
            if self._waits.get(run.instance, ("", 0.0))[0] != state:
                self._waits[run.instance] = (state, ctx.steady)
        due = [(run, accused) for run in runs.values() for accused in run.waiting_for]
        for run, accused in ctx.each(due):
            about = About(run.attempt, run.instance, _stage(run), me, accused)
            if about not in self._made and ctx.tries("regroup.Complain", h=run.attempt, q=accused):
                self._made[about] = ctx.steady
                ctx.note("dealing.complained", epoch=run.attempt, of=accused.hex()[:16])

    @admits("complaint")
    def hear(self, sender: bytes, word: Complaint) -> bool:
        """Note a complaint; it may bring the certificate."""
        about = About(word.epoch, word.instance, word.stage, sender, word.accused)
        if not self._is_now(word.epoch) or sender == word.accused or self._is_full(sender):
            return False
        self._made.setdefault(about, self.ctx.steady)
        if word.certificate is not None:
            self.coordinators.take_shown(sender, word.certificate)
        return True

    @handles("complaint_answered")
    def answer(self) -> None:
        """What this node could not show at once, because it lacked a message itself, it shows when
        it has sent it.
        """
        me = self.ctx.me
        owed = [a for a in self._made if a.accused == me and a not in self._answered]
        for about in self.ctx.each([a for a in owed if self._part(a)]):
            self._at_hand = about
            if self.ctx.tries("regroup.Answer", h=about.epoch, q=about.complainer):
                self._answered.add(about)
                self.ctx.note("dealing.answered", epoch=about.epoch, to=about.complainer.hex()[:16])
        self._at_hand = None

    @admits("answer")
    def take(self, sender: bytes, word: Answer) -> bool:
        """Keep what an accused shows; the frames that are for this node go to their run."""
        about = About(word.epoch, word.instance, word.stage, word.complainer, sender)
        if not self._is_now(word.epoch) or about in self._answers or self._is_full(sender):
            return False
        self._answers[about] = word
        if word.complainer == self.ctx.me:
            self._at_hand = about
            for frame, inner in self._frames(about):
                self.sessions.take(sender, inner, frame)
        return True

    @handles("answer_opened")
    def open(self) -> None:
        about, self._at_hand = self._at_hand, None
        if about is None:
            return
        for _ in self.ctx.each((about,)):
            self._at_hand = about
            if self.ctx.tries("regroup.Open", h=about.epoch, q=about.accused):
                self._void.add(about)
                self.ctx.note("dealing.opened", epoch=about.epoch, of=about.accused.hex()[:16])
        self._at_hand = None

    @admits("opened")
    def judge(self, sender: bytes, word: Opened) -> bool:
        """Look at what a member opens: an answer without a message is none."""
        about = About(word.epoch, word.instance, word.stage, sender, word.accused)
        answer = self._answers.get(about)
        if answer is None:
            return False
        honest, text = opened_before_all(sender, answer.sealed, word.opening)
        if not honest:
            raise PeerFault("an opening that shows nothing", sender)
        run = self._run(about.epoch)
        if run is None or run.instance != about.instance or self._read(about, text):
            return False
        self._void.add(about)
        return True

    def show_proof(self, epoch: int, culprit: bytes) -> None:
        """Show what convicts a member of an attempt that this node has just given up.

        Fires ``regroup.ShowProof``.
        """
        known = self.blames.lists.get(culprit)
        for record in known.records if known is not None else ():
            if self._convicts(record, culprit, epoch) and (epoch, culprit) not in self._proven:
                self._proven[epoch, culprit] = record
                self.ctx.tries("regroup.ShowProof", h=epoch, q=culprit)

    @admits("proven")
    def hear_proof(self, sender: bytes, word: Proven) -> bool:
        """Judge a record that a member shows; one that does not convict is its own fault."""
        if not self._is_now(word.epoch) or (word.epoch, word.accused) in self._proven:
            return False
        try:
            record = BlameRecord.decode(word.record)
        except Malformed as fault:
            raise PeerFault(f"a proof that is no record: {fault.reason}", sender) from fault
        if not self._convicts(record, word.accused, word.epoch):
            raise PeerFault("a proof that proves nothing", sender)
        self._proven[word.epoch, word.accused] = record
        return True

    def _convicts(self, record: BlameRecord, culprit: bytes, epoch: int) -> bool:
        ctx, key = self.ctx, self.ctx.key
        if key is None or (record.culprit, record.attempt) != (culprit, epoch):
            return False
        event = regroup_event(ctx.settings.network_id, key.key_id, epoch)
        ours = (record.network_id, record.event) == (ctx.settings.network_id, event)
        return ours and judge(record).convicted

    # --- who has spoilt an attempt ---

    def is_proven(self, epoch: int, accused: bytes) -> bool:
        """Return whether a proof against a member in an attempt is at hand."""
        return (epoch, accused) in self._proven

    def spoilers(self, epoch: int) -> list[bytes]:
        """Return those with an open complaint against them that excuses nobody else's silence.

        Who lacked a message of an earlier stage could not go on: then it is not the one.
        """
        still = [
            about for about in self._made
            if about.epoch == epoch and (about not in self._answers or about in self._void)
        ]
        found = {accused for attempt, accused in self._proven if attempt == epoch}
        for about in still:
            excused = any(
                other.complainer == about.accused and other.stage < about.stage
                and other.instance == about.instance for other in still
            )
            if not excused:
                found.add(about.accused)
        return sorted(found)

    def forget(self, before: int) -> None:
        """Drop what is about attempts that are over."""
        self._made = {about: at for about, at in self._made.items() if about.epoch >= before}
        self._answers = {a: word for a, word in self._answers.items() if a.epoch >= before}
        self._void = {about for about in self._void if about.epoch >= before}
        self._answered = {about for about in self._answered if about.epoch >= before}
        self._proven = {key: held for key, held in self._proven.items() if key[0] >= before}

    # --- helpers ---

    def _is_now(self, epoch: int) -> bool:
        return 0 <= self.ctx.round_number() - epoch <= 1

    def _is_full(self, sender: bytes) -> bool:
        own = sum(about.complainer == sender for about in self._made)
        return own + sum(about.accused == sender for about in self._answers) >= KEPT_PER_SENDER

    def _about_hand(self) -> About:
        if self._at_hand is None:
            raise LocalFault("no complaint is at hand")
        return self._at_hand

    def _run(self, epoch: int) -> Run | None:
        runs = self.sessions.dealings()
        return next((r for r in runs if r.purpose == "regroup" and r.attempt == epoch), None)

    def _known(self, epoch: int) -> Run:
        run = self._run(epoch)
        if run is None:
            raise LocalFault(f"no dealing of attempt {epoch} goes on")
        return run

    def _part(self, about: About) -> Sequence[bytes]:
        """Return the frames of what this node has sent in a stage to who complains."""
        run, ctx = self._run(about.epoch), self.ctx
        if run is None or run.instance != about.instance or about.complainer not in run.members:
            return ()
        to = (0, run.party(about.complainer))
        return [
            seal(ctx.identity, ctx.settings.network_id, ctx.codec, wire)
            for wire in run.sent if wire.stage == about.stage and wire.recipient in to
        ]

    def _frames(self, about: About) -> list[tuple[bytes, Any]]:
        """Return the messages that an answer to this node holds, or none at all."""
        text = open_sealed(self.ctx.identity, self._answers[about].sealed)
        return self._read(about, text)

    def _read(self, about: About, text: bytes | None) -> list[tuple[bytes, Any]]:
        """Return the messages in a text, if they are all of what the stage asks for."""
        run = self._run(about.epoch)
        if text is None or run is None or run.instance != about.instance:
            return []
        try:
            plain = decode_canonical(text)
            if type(plain) is not list or not 0 < len(plain) <= FRAMES_LIMIT:
                return []
            found = list(self._messages(about, plain))
        except Malformed:
            return []
        slots = {message.recipient == 0 for _, message in found}
        return found if slots == set(_slots(run, about)) else []

    def _messages(self, about: About, frames: Iterable[Any]) -> Iterator[tuple[bytes, Any]]:
        ctx, run = self.ctx, self._run(about.epoch)
        for frame in frames:
            if type(frame) is not bytes or run is None:
                raise Malformed("an answer holds what is no frame")
            sender, inner, _ = open_envelope(ctx.settings.network_id, ctx.codec, frame)
            if sender != about.accused or not isinstance(inner, Release | Step):
                raise Malformed("an answer holds another node's message")
            place = (inner.instance, inner.stage)
            to = (0, run.party(about.complainer))
            if place != (about.instance, about.stage) or inner.recipient not in to:
                raise Malformed("an answer holds a message of another stage")
            yield frame, inner


def _stage(run: Run) -> int:
    """Return the stage whose messages a dealing waits for."""
    state = run.lanes[0].state
    return int(state.removeprefix("round-")) if state.startswith("round-") else 0


def _slots(run: Run, about: About) -> list[bool]:
    """Return what the accused says in a stage to who complains: True is to all, False to it."""
    lane = run.lanes[0]
    if not isinstance(lane, Dealing):
        return []
    sender, to = run.party(about.accused), run.party(about.complainer)
    return [
        public for public, recipient in ((True, None), (False, to))
        if lane.says(about.stage, sender, recipient)
    ]
