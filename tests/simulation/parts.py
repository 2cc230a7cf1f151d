"""The parts of a simulated network: machines, weather, crashes to come, and its constants."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from attrs import define, evolve, field, frozen

from metanode.custody.policy import CustodyPolicy
from metanode.custody.types import Outpoint
from metanode.devnet.types import DEVNET_HRP
from metanode.identity import Identity
from metanode.protocol.context import Settings
from metanode.protocol.node import NodeCore
from metanode.protocol.tables.effects import Effects
from metanode.protocol.wire.envelope import Envelope, open_envelope, seal
from spec.parameters import DEVNET
from tests.simulation.chain import CONFIRMATIONS, ChainClient
from tests.simulation.checkers import CODEC
from tests.simulation.disk import FakeDisk

START = 1_800_000_000.0
"""Unix time at which every simulation begins: a boundary of every round and keygen period."""

NETWORK_ID = hashlib.sha256(b"simulated network").digest()
STAKE = 10_000_000
TICK_S = 0.05
POLL_S = 0.25
RELINK_S = 1.0
FOUNDING_HEIGHT = 125
"""Height of the last block of the founding, in every run."""

POLICY = CustodyPolicy.of(DEVNET, fee_versions=1)
"""One fee for each payout, because each version costs its signatures: ``test_payout_ends`` and
``reorganisations`` have three.
"""
QUICK = evolve(
    DEVNET, name="quick", round_period_s=2, keygen_period_s=4, ping_period_s=1.0, session_idle_s=30
)
"""Two-second rounds: the latencies below are small against every share of them."""


COMMON = Settings(
    network_id=NETWORK_ID,
    preset=QUICK,
    members=4,
    threshold=3,
    byzantine=1,
    keygen_until=int(START),
    stake=Outpoint(bytes(32), 0),
    chain="devnet",
    hrp=DEVNET_HRP,
    confirmations=CONFIRMATIONS,
    custody=POLICY,
)
"""What all simulated nodes are set to; each network puts its own numbers in."""


@frozen(kw_only=True)
class Weather:
    """What links do to messages, each with a probability; latencies in seconds."""

    latency: tuple[float, float] = (0.002, 0.012)
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0


CALM = Weather()


@frozen(kw_only=True)
class Crash:
    """A crash to come: at the first effects of ``node`` that ``when`` accepts.

    ``point`` is ``before`` (nothing reached the disk), ``after`` (flushed, nothing sent) or
    ``amid`` (flushed, half of the messages sent).
    """

    node: int
    when: Callable[[Effects], bool]
    point: str = "after"
    restart_s: float | None = 1.0


@define
class Node:
    """One simulated machine: it keeps its disk; its core lives from a start to a crash."""

    number: int
    identity: Identity
    settings: Settings
    disk: FakeDisk
    chain: ChainClient
    offset: float = 0.0
    frozen: float | None = None
    core: NodeCore | None = None
    watcher: Callable[[Effects], None] = field(default=lambda effects: None)
    starts: int = 0

    @property
    def node_id(self) -> bytes:
        """The node's id."""
        return self.identity.node_id


Tamper = Callable[[bytes, object], Iterable[object]]
"""(recipient, message) → the messages that a dishonest node sends instead."""


def writes_cell(*cells: str) -> Callable[[Effects], bool]:
    """Return a crash condition: the effects write one of these cells."""
    return lambda effects: any(write.cell in cells for write in effects.writes)


def sends(*kinds: type) -> Callable[[Effects], bool]:
    """Return a crash condition: the effects send one of these messages."""
    return lambda effects: any(isinstance(send.message, kinds) for send in effects.sends)


@lru_cache(maxsize=1024)
def sealed(identity: Identity, message: object) -> bytes:
    """Seal a message; a broadcast is sealed once, because signatures are deterministic."""
    return seal(identity, NETWORK_ID, CODEC, message)


@lru_cache(maxsize=4096)
def opened(frame: bytes) -> tuple[bytes, Any, Envelope]:
    """Open a frame; what all its receivers would find is found once."""
    return open_envelope(NETWORK_ID, CODEC, frame)


@lru_cache
def identities_of(members: int) -> tuple[Identity, ...]:
    """Return the same identities in every run."""
    return tuple(
        Identity.generate(random.Random(f"identity {number}").randbytes)
        for number in range(members)
    )
