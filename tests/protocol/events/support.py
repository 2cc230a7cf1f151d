"""Coordinators and sessions of one node, with a purpose whose answers a test chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, evolve, field

from metanode.protocol.events.coordinator import Coordinators
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.purpose import Task
from metanode.protocol.events.run import Run, SignPlan
from metanode.protocol.events.sessions import Sessions
from metanode.protocol.events.signatures import Signatures
from metanode.protocol.events.votes import VoteBook
from metanode.protocol.tables.view import Quorum
from metanode.tss.abort import Abort, AbortKind
from metanode.tss.messages import Message
from spec import messages as m
from tests.protocol.support import DIGEST, EVENT, ROUND, Aim, Alone, booked, epoch_of, ids, signed

IDS = ids(4)
QUORUM = Quorum(IDS, 3, 1)


def task_of(attempt: int = ROUND, digest: bytes = DIGEST, **changes: Any) -> Task:
    """Return a task of four members."""
    task = Task(
        purpose="sign", event=EVENT, attempt=attempt, key_epoch=1, document=b"document",
        digest=digest, members=IDS, quorum=QUORUM,
    )
    return evolve(task, **changes)


def turn_of(attempt: int) -> int:
    """Return the place of the coordinator of an attempt."""
    return IDS.index(task_of(attempt).coordinator)


def setup_of(task: Task, **changes: Any) -> m.Setup:
    """Return the set-up of a task as its coordinator sends it."""
    setup = m.Setup(
        task.key_epoch, task.event, task.attempt, task.digest, task.purpose, task.document,
        task.members, None,
    )
    return evolve(setup, **changes)


@define
class NoBlame:
    """Blames nobody; remembers which runs ended badly, and does ``then`` what a test says."""

    ended: list[Run] = field(factory=list)
    then: Callable[[], None] = field(default=lambda: None)

    def on_abort(self, run: Run) -> tuple[bytes, ...]:
        self.ended.append(run)
        self.then()
        return ()


@define
class Events:
    """The cores of ``events/`` at one node that holds a share of an epoch of four."""

    node: Alone
    aim: Aim
    book: EventBook
    votes: VoteBook
    sessions: Sessions
    coordinators: Coordinators
    blames: NoBlame

    @classmethod
    def at(cls, number: int, *tasks: Task, **changes: Any) -> Events:
        """Return them at a node, where these tasks are to be done."""
        node, blames = Alone.of(number, **changes), NoBlame()
        aim = Aim(tasks={(task.event, task.attempt): task for task in tasks})
        book = booked(node, aim)
        votes = VoteBook(node.ctx)
        sessions = Sessions(node.ctx, book, book.purposes, blames)  # type: ignore[arg-type]
        coordinators = Coordinators(node.ctx, book, votes, book.purposes, sessions)
        node.cores += [votes, sessions, coordinators, Signatures(node.ctx, book, book.purposes)]
        node.ctx.use(epoch_of(1, 4, 3, 1))
        node.ctx.tables.view.put("holding", (node.ctx.me, 1), "active")
        node.ctx.links.update(IDS)
        return cls(node, aim, book, votes, sessions, coordinators, blames)

    def session(self, attempt: int = ROUND, event: bytes = EVENT) -> str:
        """Return the state of a session."""
        return self.node.ctx.state("session", event, attempt)


@define
class Lane:
    """A lane of a run that does what a test says."""

    session_id: bytes = bytes(32)
    state: str = "round-1"
    result: object = None
    abort: Abort | None = None
    waiting_for: tuple[int, ...] = ()
    first: tuple[Message, ...] = (Message(bytes(32), 1, 1, None, b"first"),)
    then: list[Message] = field(factory=list)
    heard: list[Message] = field(factory=list)
    started: int = 0

    def start(self) -> list[Message]:
        self.started += 1
        return list(self.first)

    def receive(self, message: Message) -> list[Message]:
        self.heard.append(message)
        return self.then

    def expire(self) -> None:
        self.state = "aborted"

    def finish(self) -> None:
        """Come to a result."""
        self.state, self.result = "finished", "a signature"

    def fail(self, kind: AbortKind, *culprits: int) -> None:
        """Come to an end without one."""
        self.state = "aborted"
        self.abort = Abort(kind, culprits, b"", transferable=False, ban=False)


def running(
    number: int, *signers: int, lanes: int = 1, attempt: int = ROUND, event: bytes = EVENT,
    begin: bool = True,
) -> tuple[Events, list[Lane], Run]:
    """Return a node where an attempt has its certificate, its lanes, and its run."""
    task = task_of(attempt, event=event)
    events = Events.at(number, task)
    made = [Lane() for _ in range(lanes)]
    run = enter(events, task, made, *signers)
    if begin:
        events.node.tick()
    return events, made, run


def enter(events: Events, task: Task, lanes: list[Lane], *signers: int) -> Run:
    """Let an attempt have its certificate and its lock, as ``session.Begin`` leaves them."""
    certificate = signed(
        signers, event=task.event, attempt=task.attempt, members=IDS, digest=task.digest
    )
    members = tuple(vote.voter for vote in certificate.votes)
    plan = SignPlan("sign", IDS, bytes(32), 1, IDS[0], bytes(32), (task.digest,))
    run = Run(
        "sign", 1, task.event, task.attempt, task.digest, members, IDS, QUORUM, tuple(lanes),
        plan=plan,
    )
    ctx = events.node.ctx
    put, key = ctx.tables.view.put, (ctx.me, task.event, task.attempt)
    put("session", key, "begun")
    put("session_digest", key, task.digest)
    put("status", key[:2], "IN_PROGRESS")
    put("lock", key[:2], task.digest)
    put("lock_attempt", key[:2], task.attempt)
    events.book.know(task.event, "sign")
    events.votes.taken_up(task.vote, task.quorum)
    events.aim.run = lambda _task, _certificate: run
    events.aim.tasks = {}
    events.sessions.enter(task, certificate)
    return run
