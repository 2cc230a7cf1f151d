"""Cores alone: a context without a node around it, which takes in inputs as the node does.

Facts that other cores answer for are put in by ``provide``.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve

from metanode.custody.policy import CustodyPolicy
from metanode.custody.types import Outpoint
from metanode.errors import Equivocation, MetanodeError, PeerFault
from metanode.identity import Identity
from metanode.protocol.context import Context, Settings
from metanode.protocol.inputs import Input, Received
from metanode.protocol.keys.epoch import KeyEpoch, Member
from metanode.protocol.tables.effects import Note
from metanode.protocol.tables.registry import ADMISSION, STEP, homes_in
from metanode.protocol.tables.runner import Tables, TransitionError
from metanode.protocol.tables.turn import Turn
from metanode.protocol.tables.view import NodeView
from metanode.protocol.wire.codec import Codec
from metanode.protocol.wire.envelope import open_envelope, seal
from spec import messages as m
from spec.inputs import INPUTS
from spec.language.interpreter import Value
from spec.parameters import DEVNET
from spec.protocol import PROTOCOL
from tests.support import entropy
from tests.tss.support import deal

NETWORK = b"n" * 32
CODEC = Codec(m.MESSAGES)
NOW = 1_800_000_000.0
IDENTITIES = tuple(
    sorted((Identity.from_secret(number) for number in range(2, 7)), key=lambda i: i.node_id)
)
"""Five nodes, the smallest id first: the first four hold the key, and the first one is tested."""
ME, PEER, THIRD, FOURTH, STRANGER = (identity.node_id for identity in IDENTITIES)
SETTINGS = Settings(
    network_id=NETWORK,
    preset=DEVNET,
    members=4,
    threshold=3,
    byzantine=1,
    keygen_until=int(NOW),
    stake=Outpoint(bytes(32), 0),
    chain="devnet",
    hrp="bcrt",
    confirmations=1,
    custody=CustodyPolicy(service_fee_bps=50, minimum_deposit=50_000, refund_cost=5_000),
)


def epoch(number: int = 1, place: int = 0, seed: object = 0) -> KeyEpoch:
    """Return an epoch of the first four nodes, with the share of the one at this place."""
    share = evolve(deal(3, 4, seed)[place + 1], epoch=number)
    members = tuple(
        Member(identity.node_id, Outpoint(bytes([at + 1]) * 32, 0), 100)
        for at, identity in enumerate(IDENTITIES[:4])
    )
    return KeyEpoch(slot=1, members=members, byzantine=1, package=share.package, keyshare=share)


def context(*, key: KeyEpoch | None = None, now: float = NOW, **settings: Any) -> Context:
    """Return the context of the first node; a ``key`` is in force and its share works."""
    chosen = evolve(SETTINGS, **settings)
    tables = Tables(PROTOCOL, NodeView(PROTOCOL))
    ctx = Context(chosen, IDENTITIES[0], CODEC, tables, entropy("alone"), now=now)
    if key is not None:
        ctx.use(key)
        tables.view.put("holding", (ME, key.number), "active")
    return ctx


def provide(ctx: Context, **facts: Value) -> None:
    """Let facts that other cores answer for have these values, whatever their index."""
    for name, value in facts.items():
        ctx.tables.view.providers[name] = lambda *_index, value=value: value


def take_in(ctx: Context, entry: Input, *cores: object, after: float = 0.0) -> None:
    """Let cores take an input in, ``after`` so many seconds; the steps of others are left out."""
    homes = {(kind, name): method for core in cores for kind, name, method in homes_in(core)}
    text, fault = INPUTS[entry.kind], None
    ctx.at(ctx.now + after, entry)
    if isinstance(entry, Received):
        try:
            if not homes[ADMISSION, entry.kind](entry.sender, entry.message):
                return
            ctx.hear(entry.message, entry.sender)
        except Equivocation as found:
            entry.evidence = fault = found
    turn = ctx.tables.turn = Turn(text)
    for number, name in enumerate(text.names):
        turn.begin(number)
        try:
            homes.get((STEP, name), lambda: None)()
        except (TransitionError, PeerFault) as found:
            fault = fault or found
    ctx.tables.turn = None
    if isinstance(fault, MetanodeError):
        raise fault


def received(message: object, place: int = 1) -> Received:
    """Return a message as the node at this place has signed it."""
    frame = seal(IDENTITIES[place], NETWORK, CODEC, message)
    return Received(*open_envelope(NETWORK, CODEC, frame))


def notes(ctx: Context, event: str) -> list[dict[str, Any]]:
    """Return the notes of one kind that a context's cores have left."""
    found = (each for each in ctx.tables.effects.requests if isinstance(each, Note))
    return [dict(note.fields) for note in found if note.event == event]
