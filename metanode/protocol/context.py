"""What the protocol cores of one node share: settings, identity, tables, the key, the clock's
reading.

Cores are sans-IO: they read the context, fire rows, and leave effects in ``tables.effects``; the
shell sets ``now`` before each input, carries the effects out afterwards, and owns every socket and
file.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field, frozen

from metanode.custody.policy import CustodyPolicy
from metanode.custody.types import Outpoint
from metanode.errors import LocalFault
from metanode.protocol.codec import Codec
from metanode.protocol.hashing import tagged_hash
from metanode.protocol.identity import Identity
from metanode.protocol.machine import Call, Tables
from metanode.protocol.view import Quorum
from metanode.tss.keyshare import Keyshare
from spec.messages import OutpointRef
from spec.parameters import Preset


@frozen(kw_only=True)
class Settings:
    """What the configuration fixes for one network and one node."""

    network_id: bytes
    preset: Preset
    members: int
    threshold: int
    byzantine: int
    keygen_until: int
    stake: Outpoint
    chain: str
    hrp: str
    confirmations: int
    custody: CustodyPolicy
    keygen: str = "clock"
    """"clock": keys are made until ``keygen_until``; "command": when the operators ask."""

    def keygen_window(self, now: float) -> bool:
        """Return whether keys are made by the clock, whatever there is already."""
        return self.keygen == "clock" and now < self.keygen_until


@frozen
class Member:
    """A node in a roster: its id, its stake, and the stake's height, which is its seniority."""

    node_id: bytes
    stake: Outpoint
    height: int


@frozen(kw_only=True)
class KeyEpoch:
    """A key that counts, its holders, and this node's share of it.

    ``roster`` is in ascending order of node ids, which gives the party indices 1..n; ``seniority``
    has the same members, the oldest stake first.
    """

    slot: int
    number: int
    key_id: bytes
    public_key: bytes
    roster: tuple[bytes, ...]
    seniority: tuple[bytes, ...]
    quorum: Quorum
    keyshare: Keyshare = field(repr=False)

    def index_of(self, node_id: bytes) -> int:
        """Return the party index 1..n of a holder."""
        return self.roster.index(node_id) + 1

    def public_share(self, node_id: bytes) -> bytes:
        """Return the public share (33 bytes) of a holder."""
        return self.keyshare.public_shares[self.index_of(node_id) - 1]


@define
class Context:
    """Shared by the cores of one node.

    ``now`` is unix time in seconds; ``links`` the peers with an established link; ``frame`` the
    envelope of the message at hand, kept where it may become evidence.
    """

    settings: Settings
    identity: Identity
    codec: Codec
    tables: Tables
    entropy: Callable[[int], bytes] = field(repr=False)
    now: float = 0.0
    key: KeyEpoch | None = None
    links: set[bytes] = field(factory=set)
    frame: bytes = field(default=b"", repr=False)

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

    def note(self, event: str, **fields: object) -> None:
        """Leave a line for the log and the operator's progress display; never a secret."""
        self.tables.effects.calls.append(Call("note", {"event": event, **fields}))

    def call(self, name: str, **arguments: object) -> None:
        """Ask the shell for something that is neither a write nor a send."""
        self.tables.effects.calls.append(Call(name, arguments))


def whole(number: int) -> bytes:
    """Return a number as 8 octets, for hashing."""
    return number.to_bytes(8, "big")


def outpoint_ref(outpoint: Outpoint) -> OutpointRef:
    """Return an outpoint as it travels in messages."""
    return OutpointRef(outpoint.txid, outpoint.index)


def outpoint_of(reference: OutpointRef) -> Outpoint:
    """Return the outpoint that a message names."""
    return Outpoint(reference.txid, reference.index)


def keygen_event(network_id: bytes, slot: int) -> bytes:
    """Return the event id of the key generation of one slot."""
    return tagged_hash("keygen-event", network_id, whole(slot))


def lock_in_event(network_id: bytes) -> bytes:
    """Return the event id of the lock-in: one per network, so that at most one key is locked in."""
    return tagged_hash("lock-in-event", network_id)
