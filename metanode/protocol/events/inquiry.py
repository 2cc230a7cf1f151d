"""What a node lacks of open events, asked for; and the answers, which are what others have signed.

A message can be lost, or kept back by a liar. A node that waits too long for a vote asks the voter
for it, and f + 1 others, one of whom is honest; who waits for BEGIN asks its coordinator; and once
a round a node asks for the signatures of events that others may have finished without it. Whatever
comes back carries the signature of whoever said it first, so an answer claims nothing of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attrs import define, field

from metanode.errors import PeerFault
from metanode.protocol.context import Context
from metanode.protocol.events.coordinator import Coordinators
from metanode.protocol.events.event_book import FINISHED, EventBook
from metanode.protocol.events.purpose import Task
from metanode.protocol.events.votes import VoteBook, shown_fault, vote_of
from metanode.protocol.peers.crawler import Crawler
from metanode.protocol.rounds.inbox import Inbox
from metanode.protocol.rounds.threshold_set import in_turn
from metanode.protocol.tables.registry import admits, handles, message
from spec.messages import (
    CONFIRMS_ANSWERED,
    CONFIRMS_ASKED,
    HASH_OCTETS,
    Certificate,
    ConfirmAck,
    ConfirmReq,
    EventDigest,
    Vote,
)

SIGNED = ("payout", "sign", "lock_in", "succession")
"""The kinds of event that end in a signature."""

Pair = tuple[bytes, bytes]
"""An event and a digest."""


@define
class Question:
    """What one peer was asked, and when; ``wanted`` is the vote behind each pair, if votes are."""

    peer: bytes
    at: float
    wanted: Mapping[Pair, Vote | None]
    answered: bool = False


@define
class Inquiry:
    """Both sides of ConfirmReq and ConfirmAck at one node."""

    ctx: Context
    book: EventBook
    votes: VoteBook
    coordinators: Coordinators
    inbox: Inbox
    crawler: Crawler
    _questions: dict[bytes, Question] = field(factory=dict)
    _since: dict[tuple[bytes, int], float] = field(factory=dict)
    _tried: dict[bytes, bytes] = field(factory=dict)
    _answers: dict[bytes, int] = field(factory=dict)
    _sending: list[tuple[bytes, ConfirmReq]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    # --- asking ---

    @handles("confirms_asked")
    def ask(self) -> None:
        ctx, wanted = self.ctx, dict[bytes, dict[Pair, Vote | None]]()
        for peer in self.crawler.due():
            wanted[peer] = {}
        for vote, peers in self._votes_due():
            for peer in peers:
                wanted.setdefault(peer, {})[vote.event, vote.digest] = vote
        for pair, peers in self._signatures_due():
            for peer in peers:
                wanted.setdefault(peer, {}).setdefault(pair, None)
        self._sending = [(peer, self._question(peer, pairs)) for peer, pairs in wanted.items()]
        if self._sending:
            ctx.fire("peer.ConfirmReq")

    @message("confirm_asked")
    def confirm_asked(self, p: bytes) -> list[tuple[bytes, ConfirmReq]]:
        return self._sending

    def _question(self, peer: bytes, pairs: Mapping[Pair, Vote | None]) -> ConfirmReq:
        nonce = self.ctx.entropy(HASH_OCTETS)
        kept = dict(list(pairs.items())[:CONFIRMS_ASKED])
        self._questions[nonce] = Question(peer, self.ctx.steady, kept)
        self.crawler.asked(peer)
        return ConfirmReq(nonce, tuple(EventDigest(*pair) for pair in kept))

    def _votes_due(self) -> Iterator[tuple[Vote, Iterable[bytes]]]:
        """Yield the votes that have been waited for too long, each with those who may have them."""
        ctx = self.ctx
        patience = ctx.preset.confirm_share * ctx.preset.round_period_s
        lacking = [(task, peers) for task, peers in self._lacking() if peers]
        since = {(task.event, task.attempt): ctx.steady for task, _ in lacking}
        self._since = since | {key: at for key, at in self._since.items() if key in since}
        for task, peers in lacking:
            key = task.event, task.attempt
            if ctx.steady - self._since[key] >= patience:
                self._since[key] = ctx.steady
                yield task.vote, peers

    def _lacking(self) -> Iterator[tuple[Task, Iterable[bytes]]]:
        """Yield the attempts in which this node has voted and waits, with whom it would ask."""
        ctx, task = self.ctx, self._round_task()
        if task is not None and ctx.state("peer") == "ThresholdSet":
            yield task, self._who_knows(task)
        for task in self.coordinators.tasks.values():
            if ctx.state("session", task.event, task.attempt) != "acked":
                continue
            mine = task.coordinator == ctx.me
            yield task, self._who_knows(task) if mine else {task.coordinator} & ctx.links

    def _who_knows(self, task: Task) -> list[bytes]:
        """Return those whose votes are missing, and f + 1 others: one of these is honest."""
        up = [member for member in task.members if member in self.ctx.links]
        voters = set(self.votes.voters(task.vote))
        missing = [member for member in up if member not in voters]
        others = in_turn([member for member in up if member in voters], task.attempt)
        return [*missing, *others[: task.quorum.faulty + 1]] if missing else []

    def _round_task(self) -> Task | None:
        number = self.ctx.tables.view.get("round", self.ctx.me)
        return self.inbox.book(number).task if isinstance(number, int) else None

    def _signatures_due(self) -> Iterator[tuple[Pair, Iterable[bytes]]]:
        """Yield, once a round, the open events that this node has seen tried."""
        ctx, key = self.ctx, self.ctx.key
        self._note_tried()
        if not ctx.boundary:
            return
        self._answers.clear()
        # An answer of a busy peer may come late: that is no fault (F-09).
        limit = ctx.steady - max(ctx.preset.crawl_patience_s, ctx.preset.peer_forget_s)
        self._questions = {n: asked for n, asked in self._questions.items() if asked.at > limit}
        locked = self.book.open_locks().items()
        tried = self._tried | {event: lock.certificate.digest for event, lock in locked}
        missing = [
            (event, digest) for event, digest in sorted(tried.items())
            if self.book.status(event) not in FINISHED
        ]
        self._tried = dict(missing)
        if key is None or not missing:
            return
        up = [member for member in key.roster if member in ctx.links]
        number = ctx.round_number()
        asked = in_turn(up, number)[: key.quorum.faulty + 1]
        for pair in in_turn(missing, number * CONFIRMS_ASKED)[:CONFIRMS_ASKED]:
            yield pair, asked

    def _note_tried(self) -> None:
        """Remember what is tried now: who learns of the signature otherwise is not needed."""
        number = self.ctx.tables.view.get("round", self.ctx.me)
        document = self.inbox.book(number).document if isinstance(number, int) else None
        if document is not None:
            self._tried[document.event] = document.digest
        for task in self.coordinators.tasks.values():
            voted = self.ctx.me in self.votes.of(task.event, task.attempt)
            if voted and task.purpose in SIGNED:
                self._tried[task.event] = task.digest

    # --- answering ---

    @admits("confirm_req")
    def admit_question(self, sender: bytes, question: ConfirmReq) -> bool:
        """Take a question, unless this peer has had its answers in this round."""
        answers = self._answers[sender] = self._answers.get(sender, 0) + 1
        return answers <= self.ctx.preset.confirm_answers

    @handles("confirm_answered")
    def answer(self) -> None:
        self.ctx.fire("peer.ConfirmAck", to=self.ctx.received.sender)

    @handles("begin_told")
    def tell_begin(self) -> None:
        entry = self.ctx.received
        asked = {(pair.event, pair.digest) for pair in entry.message.asked}
        led = [t for t in self.coordinators.tasks.values() if (t.event, t.digest) in asked]
        for task in self.ctx.each(led[:CONFIRMS_ANSWERED]):
            self.ctx.tries("session.TellBegin", to=entry.sender, **task.about)

    @message("confirm_answered")
    def confirm_answered(self, p: bytes) -> ConfirmAck:
        question = self.ctx.received.message
        asked = [(pair.event, pair.digest) for pair in question.asked]
        return ConfirmAck(question.nonce, self.votes.newest(asked, CONFIRMS_ANSWERED))

    # --- what is answered ---

    @admits("confirm_ack")
    def admit_answer(self, sender: bytes, answer: ConfirmAck) -> bool:
        """Take the votes that were asked for; PeerFault for what nobody asked, or never signed.

        All of an answer is checked before any of it counts. The next tick goes on with what the
        votes have completed.
        """
        question = self._questions.get(answer.nonce)
        if question is None or question.peer != sender:
            raise PeerFault("an answer to a question that it was not asked", sender)
        if question.answered:
            return False  # a repetition
        wanted = [(question.wanted, shown) for shown in answer.votes]
        fresh = [shown for pairs, shown in wanted if self._is_wanted(pairs, shown, sender)]
        for shown in fresh:
            fault = shown_fault(shown, self.ctx.codec, self.ctx.settings.network_id)
            if fault is not None:
                raise PeerFault(f"an answer with votes that nobody cast: {fault}", sender)
        question.answered = True
        self.crawler.answered(sender)
        for shown in fresh:
            self.votes.take_shown(shown)
        return True

    def _is_wanted(
        self, pairs: Mapping[Pair, Vote | None], shown: Certificate, sender: bytes
    ) -> bool:
        """Return whether shown votes equal the one that this node cast, and waits for others of."""
        pair = shown.event, shown.digest
        if pair not in pairs:
            raise PeerFault("an answer with votes that it was not asked for", sender)
        return pairs[pair] == vote_of(shown)
