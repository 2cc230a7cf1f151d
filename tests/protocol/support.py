"""Cores of the protocol on their own: a context, stubs for the rest, and the driver's text."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from attrs import define, evolve, field

from metanode.custody.policy import CustodyPolicy
from metanode.custody.types import Outpoint
from metanode.errors import Equivocation, PeerFault
from metanode.identity import Identity
from metanode.protocol import inputs
from metanode.protocol.context import Context, Settings
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.purpose import Purposes, Task
from metanode.protocol.events.run import Run
from metanode.protocol.events.votes import sign_vote, vote_of
from metanode.protocol.keys.epoch import KeyEpoch, Member
from metanode.protocol.tables.effects import Effects, Note, Request
from metanode.protocol.tables.registry import ADMISSION, STEP, homes_in
from metanode.protocol.tables.runner import Tables
from metanode.protocol.tables.turn import Turn
from metanode.protocol.tables.view import NodeView, Quorum
from metanode.protocol.wire.codec import Codec
from metanode.protocol.wire.envelope import open_envelope, seal
from metanode.tss.keyshare import PublicPackage
from spec import messages as m
from spec.inputs import INPUTS
from spec.parameters import DEVNET
from spec.protocol import PROTOCOL
from tests.support import entropy

NETWORK_ID = hashlib.sha256(b"cores alone").digest()
START = 1_800_000_000.0
PRESET = evolve(DEVNET, name="alone", round_period_s=2, keygen_period_s=4, session_idle_s=30)
CODEC = Codec(m.MESSAGES)
SETTINGS = Settings(
    network_id=NETWORK_ID,
    preset=PRESET,
    members=4,
    threshold=3,
    byzantine=1,
    keygen_until=int(START),
    stake=Outpoint(bytes(32), 0),
    chain="devnet",
    hrp="bcrt",
    confirmations=3,
    custody=CustodyPolicy.of(DEVNET),
)
ROUND = int(START) // PRESET.round_period_s
EVENT, DIGEST, OTHER = (bytes([i]) * 32 for i in (1, 2, 3))


IDENTITIES = tuple(
    sorted(
        (Identity.generate(entropy(f"node {number}")) for number in range(8)),
        key=lambda identity: identity.node_id,
    )
)
"""The same in every run, in ascending order of their ids."""


def ids(count: int) -> tuple[bytes, ...]:
    """Return the ids of the first ones."""
    return tuple(identity.node_id for identity in IDENTITIES[:count])


def quorum_of(members: int, threshold: int, faulty: int) -> Quorum:
    """Return a quorum of the first identities."""
    return Quorum(ids(members), threshold, faulty)


def members_of(count: int) -> tuple[Member, ...]:
    """Return the first identities with stakes of one height."""
    return tuple(Member(node, Outpoint(node[1:], 0), 100) for node in ids(count))


def epoch_of(number: int, members: int, threshold: int, faulty: int, follows: int = 0) -> KeyEpoch:
    """Return an epoch without shares: who holds it, and its numbers."""
    point = ids(1)[0]
    package = PublicPackage(bytes(32), number, threshold, point, (point,) * members, bytes(32))
    return KeyEpoch(
        slot=1, follows=follows, members=members_of(members), byzantine=faulty, package=package
    )


def signed(
    voters: Iterable[int], *, digest: bytes = DIGEST, attempt: int = 5, event: bytes = EVENT,
    members: tuple[bytes, ...] = ids(4), key_epoch: int = 1,
) -> m.Certificate:
    """Return a certificate really signed by these nodes: more than f of them means collusion."""
    empty = m.Certificate(key_epoch, event, attempt, digest, members, ())
    votes = [sign_vote(Alone.of(number).ctx, vote_of(empty)) for number in sorted(voters)]
    return evolve(empty, votes=tuple(votes))


@define
class Alone:
    """One node of which only some cores are there; ``cores`` are those that have steps.

    ``taken`` are the effects that were taken from it, in their order.
    """

    ctx: Context
    cores: list[object] = field(factory=list)
    taken: list[Effects] = field(factory=list)

    @classmethod
    def of(cls, number: int = 0, now: float = START + 0.1, **changes: Any) -> Alone:
        """Return a node by its place among the ids, without any core."""
        tables = Tables(PROTOCOL, NodeView(PROTOCOL))
        settings, identity = evolve(SETTINGS, **changes), IDENTITIES[number]
        return cls(Context(settings, identity, CODEC, tables, entropy(f"{number}"), now))

    def told(self, **cells: object) -> None:
        """Let these given cells have one value, whatever their index."""
        for name, value in cells.items():
            self.ctx.tables.view.providers[name] = lambda *_index, value=value: value

    def receive(self, sender: int, message: Any, now: float | None = None) -> PeerFault | None:
        """Take a message that another node signed, as the driver does."""
        frame = seal(IDENTITIES[sender], NETWORK_ID, CODEC, message)
        node_id, heard, envelope = open_envelope(NETWORK_ID, CODEC, frame)
        return self.take_in(inputs.Received(node_id, heard, envelope), now)

    def take_in(self, entry: inputs.Input, now: float | None = None) -> PeerFault | None:
        """Run what the text says of an input, as far as the cores here go; return the fault."""
        ctx, fault = self.ctx, None
        ctx.at(ctx.now if now is None else now, entry)
        homes = {(k, n): f for core in self.cores for k, n, f in homes_in(core)}
        if isinstance(entry, inputs.Received):
            try:
                taken = homes.get((ADMISSION, entry.kind), lambda *_: True)
                if not taken(entry.sender, entry.message):
                    return None
                if not entry.waits:
                    ctx.hear(entry.message, entry.sender)
            except Equivocation as found:
                entry.evidence = fault = found
            except PeerFault as found:
                return found
        turn = ctx.tables.turn = Turn(INPUTS[entry.kind])
        for number, name in enumerate(turn.entry.names):
            turn.begin(number)
            try:
                homes.get((STEP, name), lambda: None)()
            except PeerFault as found:
                fault = fault or found
        ctx.tables.turn = None
        return fault

    def tick(self, now: float | None = None) -> None:
        """Move the clock."""
        self.take_in(inputs.Tick(), now)

    def take(self) -> Effects:
        """Return the effects since the last call."""
        self.taken.append(self.ctx.tables.take())
        return self.taken[-1]

    @property
    def requests(self) -> list[Request]:
        """What the node has asked of its shell."""
        self.take()
        return [each for effects in self.taken for each in effects.requests]

    def noted(self, event: str) -> list[Note]:
        """Return what the node has noted under a name."""
        return [e for e in self.requests if isinstance(e, Note) and e.event == event]

    def sent(self, kind: type) -> list[Any]:
        """Return the messages of a class that were sent since the last call."""
        return [send.message for send in self.take().sends if type(send.message) is kind]


@define
class Aim:
    """A purpose whose answers a test chooses."""

    kind: str = "sign"
    tasks: dict[tuple[bytes, int], Task] = field(factory=dict)
    first: int = ROUND
    run: Callable[[Task, m.Certificate], Run | None] = field(default=lambda _task, _made: None)
    good: bool = True
    done: list[tuple[str, bytes]] = field(factory=list)
    missed: list[bytes] = field(factory=list)

    def due(self) -> list[Task]:
        return list(self.tasks.values())

    def rebuild(self, event: bytes, attempt: int) -> Task | None:
        return self.tasks.get((event, attempt))

    def consider(self, event: bytes, attempt: int, document: bytes) -> Task | None:
        return self.rebuild(event, attempt)

    def oldest(self) -> int:
        return self.first

    def begin(self, task: Task, certificate: m.Certificate) -> Run | None:
        self.done.append(("begun", task.event))
        return self.run(task, certificate)

    def verifies(self, run: Run) -> bool:
        return self.good

    def finished(self, run: Run) -> None:
        self.done.append(("finished", run.event))

    def ended(self, event: bytes, attempt: int, missed: Sequence[bytes]) -> None:
        self.done.append(("ended", event))
        self.missed += missed

    def concerns(self, event: bytes, document: bytes, attempt: int | None) -> bool:
        return any(event == known for known, _ in self.tasks)

    def verified(self, found: m.SignatureFound) -> bool:
        return self.good

    def heard(self, sender: bytes, found: m.SignatureFound) -> None:
        self.done.append(("heard", found.event))
        if not self.good:
            raise PeerFault("no signature", sender)

    def waiting(self) -> list[tuple[bytes, m.SignatureFound]]:
        return []

    def tells(self, entry: inputs.Input) -> list[tuple[bytes, bytes]]:
        return []


def booked(node: Alone, *purposes: Any) -> EventBook:
    """Return the event book of a node with these purposes, for a core that is to be tested."""
    book = EventBook(node.ctx, Purposes(node.ctx))
    for purpose in purposes:
        book.purposes.add(purpose)
    node.cores.append(book)
    return book
