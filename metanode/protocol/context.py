"""What the protocol cores of one node share: settings, identity, tables, the key, the clock's
reading.

Cores are sans-IO: they read the context, fire rows, and leave effects in ``tables.effects``; the
shell sets ``now`` before each input, carries the effects out afterwards, and owns every socket and
file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen

from metanode.custody.policy import CustodyPolicy
from metanode.custody.types import Outpoint
from metanode.errors import LocalFault
from metanode.hashing import tagged_hash
from metanode.identity import Identity
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.tables.runner import Call, Tables
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.codec import Codec
from spec.messages import Certificate, OutpointRef
from spec.parameters import Preset

WITHOUT_EPOCH = ("keygen", "lock_in", "regroup", "succession")
"""What makes shares or hands them over; everything else is signed with an epoch in force."""


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

    def keygen_window(self, now: float) -> bool:
        """Return whether keys are made by the clock, whatever there is already."""
        return self.keygen == "clock" and now < self.keygen_until


@define
class Context:
    """Shared by the cores of one node.

    ``now`` is unix time in seconds; ``links`` the peers with an established link; ``frame`` the
    envelope of the message at hand, kept where it may become evidence. ``key`` is the epoch in
    force; ``epochs`` are all that this node knows, by number: an old lock is judged by its own.
    """

    settings: Settings
    identity: Identity
    codec: Codec
    tables: Tables
    entropy: Callable[[int], bytes] = field(repr=False)
    now: float = 0.0
    key: KeyEpoch | None = None
    epochs: dict[int, KeyEpoch] = field(factory=dict)
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

    @property
    def holds_share(self) -> bool:
        """Whether this node has a share of the epoch in force."""
        return self.key is not None and self.key.keyshare is not None

    def use(self, epoch: KeyEpoch) -> None:
        """Put an epoch in force."""
        self.key = self.epochs[epoch.number] = epoch
        self.tables.view.quorum = epoch.quorum
        self.tables.view.know("Epoch", epoch.number)

    def quorum_of(self, epoch: int) -> Quorum | None:
        """Return the holders of an epoch with t and f, or None for one that is not known here."""
        known = self.epochs.get(epoch)
        return None if known is None else known.quorum

    def signing_facts(self, purpose: str, epoch: int, event: bytes, attempt: int) -> dict[str, Any]:
        """Return with which shares an attempt is signed, as facts for its rows."""
        return {
            "without_epoch": purpose in WITHOUT_EPOCH,
            "epoch_signs": {(epoch, event, attempt): True},
        }

    def makes_shares(self, certificate: Certificate) -> bool:
        """Return whether what a certificate is about is done without an epoch in force."""
        network_id, number, event = self.settings.network_id, certificate.attempt, certificate.event
        events = {keygen_event(network_id, number), lock_in_event(network_id)}
        if self.key is not None:
            key_id = self.key.key_id
            events.add(regroup_event(network_id, key_id, number))
            events.add(succession_event(network_id, key_id, certificate.key_epoch))
        return event in events

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


def regroup_event(network_id: bytes, key_id: bytes, epoch: int) -> bytes:
    """Return the event id of one attempt to make new shares: it has the number of what it makes."""
    return tagged_hash("regroup-event", network_id, key_id, whole(epoch))


def succession_event(network_id: bytes, key_id: bytes, epoch: int) -> bytes:
    """Return the event id of what follows an epoch: one, so that at most one epoch follows."""
    return tagged_hash("succession-event", network_id, key_id, whole(epoch))
