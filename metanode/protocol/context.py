"""What the protocol cores of one node share: settings, identity, tables, the key, the clock's
reading.

Cores are sans-IO: they read the context, fire rows, and leave effects in ``tables.effects``; the
shell sets ``now`` before each input, carries the effects out afterwards, and owns every socket and
file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, TypeVar

from attrs import define, field, frozen

from metanode.custody.policy import CustodyPolicy
from metanode.custody.types import Outpoint
from metanode.errors import LocalFault
from metanode.hashing import tagged_hash
from metanode.identity import Identity
from metanode.protocol.inputs import Input, Received
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.requests.request import holders_id
from metanode.protocol.tables.effects import Note, Request
from metanode.protocol.tables.runner import Recipients, Tables
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.codec import Codec
from spec.language.assembly import Rule, cells_read
from spec.language.interpreter import Index, Value
from spec.messages import OutpointRef, index_of
from spec.parameters import Preset
from spec.protocol import PROTOCOL

Item = TypeVar("Item")

EVENTS_KEPT = 256
"""Names of events that are kept, of each kind: a tick asks for the same ones again and again."""

HEARD = frozenset(
    name for machine in PROTOCOL.machines.values() for rule in machine.rules
    for guard in rule.guards for name in cells_read(guard.formula)
    if PROTOCOL.cells[name].kept == "network"
)
"""The network cells that some guard reads: a node need not remember the senders of the others."""


@frozen(kw_only=True)
class Settings:
    """What the configuration fixes for one network and one node.

    ``joins`` is the public key (33 bytes) of the key that a later node wants a share of; None for
    a founder, who makes the key.
    """

    network_id: bytes
    preset: Preset
    members: int
    threshold: int
    byzantine: int
    keygen_until: int
    stake: Outpoint
    joins: bytes | None = None
    chain: str
    hrp: str
    confirmations: int
    custody: CustodyPolicy
    keygen: str = "clock"
    """"clock": keys are made until ``keygen_until``; "command": when the operators ask."""
    seats: int = 0
    """The holders that nights bring the roster up to; 0 is ``members``."""

    def keygen_window(self, now: float) -> bool:
        """Return whether keys are made by the clock, whatever there is already."""
        return self.keygen == "clock" and now < self.keygen_until


@frozen
class Signers:
    """Who signs one attempt of an event: the epoch's number, and its holders with t and f.

    ``shown``: a certificate of the attempt says so.
    """

    epoch: int
    quorum: Quorum
    shown: bool = False


@define
class Context:
    """Shared by the cores of one node.

    ``now`` is unix time in seconds, which may be set at any moment: only what peers must agree on
    goes by it. ``steady`` is a clock that goes forward evenly, for every wait. ``links`` are the
    peers with an established link; ``input`` is what is at hand. ``key`` is the epoch in force;
    ``epochs`` are all that this node knows, by number: an old lock is judged by its own. ``drafts``
    are epochs that may follow, ``keys`` what key generations made, by slot; ``attempts`` says by
    whom each attempt is signed (F-19), and ``named`` which holders a request to sign names
    (``holders_id``).
    ``boundary`` is whether the tick at hand is the first one of a round.
    """

    settings: Settings
    identity: Identity
    codec: Codec
    tables: Tables
    entropy: Callable[[int], bytes] = field(repr=False)
    now: float = 0.0
    key: KeyEpoch | None = None
    epochs: dict[int, KeyEpoch] = field(factory=dict)
    drafts: dict[int, KeyEpoch] = field(factory=dict)
    keys: dict[int, KeyEpoch] = field(factory=dict)
    attempts: dict[tuple[bytes, int], Signers] = field(factory=dict)
    named: dict[bytes, bytes] = field(factory=dict)
    links: set[bytes] = field(factory=set)
    input: Input | None = field(default=None, repr=False)
    boundary: bool = False
    _round_seen: int = -1
    _steady: float | None = None

    def __attrs_post_init__(self) -> None:
        self.tables.me = self.me
        self.tables.view.scopes = self.quorum_named

    @property
    def me(self) -> bytes:
        """This node's id: the individual p of every row that it runs."""
        return self.identity.node_id

    @property
    def preset(self) -> Preset:
        """The constants in force."""
        return self.settings.preset

    @property
    def epoch(self) -> KeyEpoch:
        """The key epoch in force; a defect if there is none."""
        if self.key is None:
            raise LocalFault("no key is locked in")
        return self.key

    @property
    def received(self) -> Received:
        """The message at hand; a defect if something else is."""
        if not isinstance(self.input, Received):
            raise LocalFault("no message is at hand")
        return self.input

    @property
    def holds_share(self) -> bool:
        """Whether this node has a share of the epoch in force."""
        return self.key is not None and self.key.keyshare is not None

    def use(self, epoch: KeyEpoch) -> None:
        """Put an epoch in force."""
        self.key = self.epochs[epoch.number] = epoch
        self.tables.view.quorum = epoch.quorum
        self.tables.view.know("Epoch", epoch.number)

    def epoch_of(self, number: int) -> KeyEpoch | None:
        """Return an epoch that is known here, or a draft that may become one."""
        return self.epochs.get(number) or self.drafts.get(number)

    def quorum_of(self, epoch: int) -> Quorum | None:
        """Return the holders of an epoch with t and f, or None for one that is not known here."""
        known = self.epochs.get(epoch)
        return None if known is None else known.quorum

    def quorum_named(self, sorts: tuple[str, ...], index: Index) -> Quorum | None:
        """Return those whom ``among`` names in a formula, or None if they are not known here."""
        if sorts == ("Event", "Attempt"):
            named: Any = index
            signers = self.attempts.get(named)
            return None if signers is None else signers.quorum
        (name,) = index
        found = None
        if isinstance(name, bytes):
            same = self.key is not None and self.named.get(name) == holders_id(self.key.quorum)
            found = self.key if same else None
        elif isinstance(name, int):
            found = self.keys.get(name) if sorts == ("Key",) else self.epoch_of(name)
        return None if found is None else found.quorum

    def signed_by(
        self, event: bytes, attempt: int, epoch: int, quorum: Quorum, *, shown: bool = False
    ) -> bool:
        """Note which epoch signs an attempt; return False if it is known to be another one.

        As long as this node has not voted in the attempt, it may change its mind; ``shown`` says
        that a certificate tells, which is final.
        """
        wanted = Signers(epoch, quorum, shown)
        known = self.attempts.get((event, attempt))
        voted = self.tables.view.get("voted", self.me, event, attempt) is not None
        if known is None or not (voted or known.shown):
            self.attempts[event, attempt] = wanted
            return True
        return (known.epoch, known.quorum) == (epoch, quorum)

    @property
    def steady(self) -> float:
        """Seconds on the clock that no one sets; where no shell tells it, the wall clock's."""
        return self.now if self._steady is None else self._steady

    def tell_time(self, now: float, steady: float | None) -> None:
        """Take both clocks' readings, for the input that comes next; None: there is only one."""
        self.now, self._steady = now, steady

    def round_number(self) -> int:
        """The number of the current round: the wall clock divided by the round period."""
        return int(self.now // self.preset.round_period_s)

    def round_share(self) -> float:
        """How much of the current round has passed, from 0 to 1."""
        return self.now / self.preset.round_period_s % 1.0

    def keygen_slot(self) -> int:
        """The number of the current keygen slot."""
        return int(self.now // self.preset.keygen_period_s)

    def slot_share(self) -> float:
        """How much of the current keygen slot has passed, from 0 to 1."""
        return self.now / self.preset.keygen_period_s % 1.0

    def live_holders(self) -> set[bytes]:
        """The holders of the key that this node has a link to, and itself."""
        return {p for p in self.epoch.roster if p in self.links or p == self.me}

    def at(self, now: float, entry: Input) -> None:
        """Take up an input."""
        self.now, self.input = now, entry
        self.boundary = entry.kind == "tick" and self.round_number() != self._round_seen
        if self.boundary:
            self._round_seen = self.round_number()

    # --- what the cores do ---

    def fire(self, trigger: str, *, to: Recipients = None, **parameters: Value) -> Rule:
        """Run a row about this node, as :meth:`Tables.fire`."""
        return self.tables.fire(trigger, to=to, **parameters)

    def tries(self, trigger: str, *, to: Recipients = None, **parameters: Value) -> bool:
        """Run a row about this node if its table allows it now; return whether it ran."""
        return self.tables.tries(trigger, to=to, **parameters)

    def state(self, table: str, *subject: Value) -> str:
        """Return the state of a record of this node."""
        return self.tables.state(table, *subject)

    def each(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield individuals, for each of which the triggers of the step at hand begin anew."""
        turn = self.tables.turn
        return iter(tuple(items)) if turn is None else turn.each(items)

    def hear(self, message: object, sender: bytes) -> None:
        """Note that ``sender`` has signed a message that counts here: by its own index."""
        cell = vars(type(message))["CELL"]
        if cell in HEARD:
            self.tables.view.deliver(cell, sender, *index_of(message))

    def note(self, event: str, **fields: object) -> None:
        """Leave a line for the log and the operator's progress display; never a secret."""
        self.ask(Note(event, fields))

    def ask(self, request: Request) -> None:
        """Ask the shell for something that is neither a write nor a send."""
        self.tables.effects.requests.append(request)


def whole(number: int) -> bytes:
    """Return a number as 8 octets, for hashing."""
    return number.to_bytes(8, "big")


def outpoint_ref(outpoint: Outpoint) -> OutpointRef:
    """Return an outpoint as it travels in messages."""
    return OutpointRef(outpoint.txid, outpoint.index)


def outpoint_of(reference: OutpointRef) -> Outpoint:
    """Return the outpoint that a message names."""
    return Outpoint(reference.txid, reference.index)


@lru_cache(EVENTS_KEPT)
def keygen_event(network_id: bytes, slot: int) -> bytes:
    """Return the event id of the key generation of one slot."""
    return tagged_hash("keygen-event", network_id, whole(slot))


@lru_cache(EVENTS_KEPT)
def lock_in_event(network_id: bytes) -> bytes:
    """Return the event id of the lock-in: one per network, so that at most one key is locked in."""
    return tagged_hash("lock-in-event", network_id)


@lru_cache(EVENTS_KEPT)
def regroup_event(network_id: bytes, key_id: bytes, epoch: int) -> bytes:
    """Return the event id of one attempt to make new shares: it has the number of what it makes."""
    return tagged_hash("regroup-event", network_id, key_id, whole(epoch))


@lru_cache(EVENTS_KEPT)
def succession_event(network_id: bytes, key_id: bytes, epoch: int) -> bytes:
    """Return the event id of what follows an epoch: one, so that at most one epoch follows."""
    return tagged_hash("succession-event", network_id, key_id, whole(epoch))
