"""Coordinators and sessions of one node, with a purpose whose answers a test chooses."""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field

from metanode.protocol.events.coordinator import Coordinators
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.purpose import Task
from metanode.protocol.events.run import Run
from metanode.protocol.events.sessions import Sessions
from metanode.protocol.events.signatures import Signatures
from metanode.protocol.events.votes import VoteBook
from metanode.protocol.tables.view import Quorum
from spec import messages as m
from tests.protocol.support import DIGEST, EVENT, ROUND, Aim, Alone, booked, epoch_of, ids

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
    """Blames nobody; remembers which runs ended badly."""

    ended: list[Run] = field(factory=list)

    def on_abort(self, run: Run) -> tuple[bytes, ...]:
        self.ended.append(run)
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
