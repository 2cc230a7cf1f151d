"""The makers of a key without the rest of their nodes: keygen and lock-in at several of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from attrs import define, field

from metanode.errors import PeerFault
from metanode.protocol.events.coordinator import Coordinators
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.sessions import Sessions
from metanode.protocol.events.signatures import Signatures
from metanode.protocol.events.votes import VoteBook
from metanode.protocol.keys.epoch import Member
from metanode.protocol.keys.keygen import Keygen
from metanode.protocol.keys.lock_in import LockIn
from spec.protocol import PROTOCOL
from tests.protocol.events.support import NoBlame
from tests.protocol.support import IDENTITIES, START, Alone, booked, ids, members_of

Change = Callable[[int, Any], Iterable[object]]
"""(recipient, message) → what is sent in its place."""


@define
class Listed:
    """A peer list in which these members stand."""

    known: tuple[Member, ...]

    def members(self) -> tuple[Member, ...]:
        return self.known


@define
class Asked:
    """What operators ask for."""

    kinds: list[str] = field(factory=list)
    met: set[bytes] = field(factory=set)

    def open(self, kind: str) -> list[str]:
        return [each for each in self.kinds if each == kind]

    def is_met(self, event: bytes) -> bool:
        return event in self.met


@define
class Maker:
    """One node that makes keys with others."""

    node: Alone
    book: EventBook
    votes: VoteBook
    sessions: Sessions
    coordinators: Coordinators
    keygen: Keygen
    lock_in: LockIn
    peers: Listed
    asked: Asked

    @classmethod
    def at(cls, number: int, now: float = START + 0.1, **changes: Any) -> Maker:
        """Return a maker by its place among the ids."""
        node, blames = Alone.of(number, now, **changes), NoBlame()
        peers, asked = Listed(members_of(4)), Asked()
        book = booked(node)
        votes, purposes = VoteBook(node.ctx), book.purposes
        sessions = Sessions(node.ctx, book, purposes, blames)  # type: ignore[arg-type]
        coordinators = Coordinators(node.ctx, book, votes, purposes, sessions)
        keygen = Keygen(node.ctx, book, peers, asked)  # type: ignore[arg-type]
        lock_in = LockIn(node.ctx, book, keygen)
        for purpose in (keygen, lock_in):
            purposes.add(purpose)
        signatures = Signatures(node.ctx, book, purposes)
        node.cores += [votes, sessions, coordinators, signatures, keygen, lock_in]
        node.ctx.links.update(ids(4))
        node.told(follows=False, roster_has=True)
        return cls(
            node, book, votes, sessions, coordinators, keygen, lock_in, peers, asked
        )

    def state(self, slot: int) -> str:
        """Return the state of a key."""
        return self.node.ctx.state("keygen", slot)

    def restarted(self) -> Maker:
        """Return the node as it starts again with what is on its disk."""
        again = Maker.at(IDENTITIES.index(self.node.ctx.identity), self.node.ctx.now)
        for cell in PROTOCOL.cells.values():
            if cell.kept == "disk":
                for index, value in self.node.ctx.tables.view.entries(cell.name):
                    again.node.ctx.tables.view.put(cell.name, index, value)
        again.keygen.restore([*self.node.ctx.keys.values()], self.keygen.announcement)
        again.book.restore([*self.book.locked.values()], [*self.book.found.values()])
        return again


@define
class Makers:
    """Four of them, and the messages between them, which come at once and in order."""

    nodes: list[Maker]
    change: dict[int, Change] = field(factory=dict)
    faults: list[tuple[int, PeerFault]] = field(factory=list)
    sent: list[tuple[int, Any]] = field(factory=list)
    _queue: deque[tuple[int, int, Any]] = field(factory=deque)

    @classmethod
    def of(cls, change: dict[int, Change] | None = None, **changes: Any) -> Makers:
        """Return four makers at the beginning of a slot; some of them may lie."""
        return cls([Maker.at(number, **changes) for number in range(4)], change or {})

    @property
    def now(self) -> float:
        """The clock of them all."""
        return self.nodes[0].node.ctx.now

    def run(self, seconds: float, step: float = 0.1, only: Iterable[int] = range(4)) -> None:
        """Let the clock of some go on, and deliver what all send."""
        for _ in range(round(seconds / step)):
            now = self.now + step
            for maker in self.nodes:
                maker.node.ctx.now = now
            for number in only:
                self.nodes[number].node.tick(now)
            self.deliver(only)

    def inject(self, sender: int, message: Any, to: int) -> PeerFault | None:
        """Let one node send something to another, and deliver what comes of it."""
        found = self.nodes[to].node.receive(sender, message)
        self.deliver()
        return found

    def deliver(self, only: Iterable[int] = range(4)) -> None:
        """Deliver until nothing is on its way."""
        up = set(only)
        while self._collect(up):
            sender, to, message = self._queue.popleft()
            if to not in up:
                continue
            fault = self.nodes[to].node.receive(sender, message)
            if fault is not None:
                self.faults.append((sender, fault))

    def _collect(self, up: set[int]) -> bool:
        for number in sorted(up):
            for send in self.nodes[number].node.take().sends:
                self.sent.append((number, send.message))
                everybody = [n for n in range(4) if n != number]
                targets = everybody if send.to is None else [ids(4).index(send.to)]
                change = self.change.get(number, lambda _to, message: [message])
                for to in targets:
                    self._queue += [(number, to, m) for m in change(to, send.message)]
        return bool(self._queue)

    def noted(self, event: str) -> list[int]:
        """Return the nodes that noted something, once for each time."""
        return [n for n, maker in enumerate(self.nodes) for _ in maker.node.noted(event)]

    def with_key(self) -> list[int]:
        """Return the nodes that have a key in force."""
        return [n for n, maker in enumerate(self.nodes) if maker.node.ctx.key is not None]

