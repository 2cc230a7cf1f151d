"""The peer list, the block list and the blame book alone: a context, keys, and what comes in."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from metanode.custody.ledger import Ledger
from metanode.custody.types import Outpoint
from metanode.protocol.context import Context
from metanode.protocol.inputs import Input, Received
from metanode.protocol.keys.epoch import KeyEpoch, Member
from metanode.protocol.peers.stakes import Stakes
from metanode.protocol.tables.effects import Note
from metanode.protocol.wire.envelope import open_envelope, seal
from tests.protocol.support import CODEC, IDENTITIES, NETWORK_ID, START, Alone, ids
from tests.tss.support import deal

ME, PEER, THIRD, FOURTH = ids(4)
"""The first four nodes hold the key; the first one is tested."""


def epoch(number: int = 1, place: int = 0, seed: object = 0) -> KeyEpoch:
    """Return an epoch of the first four nodes, with the share of the one at this place."""
    share = evolve(deal(3, 4, seed)[place + 1], epoch=number)
    members = tuple(
        Member(identity.node_id, Outpoint(bytes([at + 1]) * 32, 0), 100)
        for at, identity in enumerate(IDENTITIES[:4])
    )
    return KeyEpoch(slot=1, members=members, byzantine=1, package=share.package, keyshare=share)


def context(*, key: KeyEpoch | None = None, now: float = START) -> Context:
    """Return the context of the first node; a ``key`` is in force and its share works."""
    ctx = Alone.of(0, now).ctx
    if key is not None:
        ctx.use(key)
        ctx.tables.view.put("holding", (ME, key.number), "active")
    return ctx


def stakes_of(ctx: Context) -> Stakes:
    """Return the stakes core of a node that has read no block."""
    ledger = Ledger(ctx.settings.custody)
    return Stakes(ctx, lambda: ledger)


def take_in(ctx: Context, entry: Input, *cores: object, after: float = 0.0) -> None:
    """Let cores take an input in, ``after`` so many seconds; the steps of others are left out."""
    fault = Alone(ctx, list(cores)).take_in(entry, ctx.now + after)
    if fault is not None:
        raise fault


def received(message: object, place: int = 1) -> Received:
    """Return a message as the node at this place has signed it."""
    frame = seal(IDENTITIES[place], NETWORK_ID, CODEC, message)
    return Received(*open_envelope(NETWORK_ID, CODEC, frame))


def notes(ctx: Context, event: str) -> list[dict[str, Any]]:
    """Return the notes of one kind that a context's cores have left."""
    found = (each for each in ctx.tables.effects.requests if isinstance(each, Note))
    return [dict(note.fields) for note in found if note.event == event]
