"""The block list of one node: what blocks a peer, for how long, and what it does not believe."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from metanode.errors import Equivocation, Malformed
from metanode.protocol.blame.record import VERSION, BlameRecord
from metanode.protocol.context import Context
from metanode.protocol.inputs import Tick
from metanode.protocol.peers.block_list import Block, BlockList
from metanode.protocol.wire.codec import encode_canonical
from spec import messages as m
from tests.protocol.peers.support import FOURTH, ME, PEER, THIRD, context, notes, received, take_in
from tests.protocol.support import NETWORK_ID as NETWORK
from tests.protocol.support import PRESET
from tests.protocol.support import START as NOW

HASH = b"h" * 32
PROPOSAL = m.Proposal(7, 1, HASH, HASH, bytes(65))
VOTE = m.Vote(1, HASH, 7, HASH, (ME, PEER, THIRD))
RECORD = BlameRecord(
    version=VERSION, network_id=NETWORK, time=int(NOW), accuser=ME, culprit=PEER, event=HASH,
    attempt=7, digest=HASH, members=(ME, PEER), lane=0, plan=b"", kind="share",
    reason="dealt share", ban=False, transferable=True, evidence=b"", frames=(b"one", b"other"),
)


def frame(message: object, place: int = 1) -> bytes:
    """Return a message as the node at this place has signed it."""
    return received(message, place).envelope.raw


def contradicted(
    ctx: Context, blocks: BlockList, first: object, second: object, *, place: int = 1,
    culprit: bytes = PEER,
) -> None:
    """Let a message come that contradicts another one, as some core has found."""
    entry = received(second, place)
    frames = (frame(first, place), entry.envelope.raw)
    entry.evidence = Equivocation("two of a kind", culprit, frames)
    ctx.at(ctx.now, entry)
    blocks.on_evidence()


def alone(**options: Any) -> tuple[Context, BlockList]:
    """Return a node's block list and nothing else of the node."""
    ctx = context(**options)
    return ctx, BlockList(ctx)


PAIRS = {
    "votes": (VOTE, evolve(VOTE, digest=b"x" * 32)),
    "members of a vote": (VOTE, evolve(VOTE, members=(ME, PEER))),
    "proposals": (PROPOSAL, evolve(PROPOSAL, document_hash=b"x" * 32)),
    "sets": (m.SigningSet(7, 1, (PEER, THIRD)), m.SigningSet(7, 1, (PEER, FOURTH))),
    "confirmations": (m.Confirmation(7, 1, HASH), m.Confirmation(7, 1, b"x" * 32)),
    "prepared shares": (m.SharePrepared(7, b"1"), m.SharePrepared(7, b"2")),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
def test_two_messages_where_one_is_allowed_block_their_sender(pair: tuple[object, object]) -> None:
    """F-05: catches a liar that goes on, and evidence that convinces nobody later."""
    ctx, blocks = alone()
    contradicted(ctx, blocks, *pair)
    assert blocks.is_blocked(PEER)
    (write, kept) = ctx.tables.effects.writes
    assert (write.cell, write.after) == ("standing", "blocked")
    assert kept.attachment == blocks.entries[PEER]
    assert kept.attachment.frames == (frame(pair[0]), frame(pair[1]))
    assert kept.attachment.until == ctx.now + PRESET.block_duration_s
    assert notes(ctx, "peer.blocked") == [{"peer": PEER.hex()[:16], "reason": "two of a kind"}]


UNPROVEN = {
    "twice the same": (VOTE, VOTE, {}),
    "of two attempts": (VOTE, evolve(VOTE, attempt=8), {}),
    "of two kinds": (VOTE, PROPOSAL, {}),
    "of a kind that may differ": (m.Keepalive(("1.2.3.4:5",)), m.Keepalive(()), {}),
    "signed by somebody else": (VOTE, evolve(VOTE, digest=b"x" * 32), {"place": 2}),
}


@pytest.mark.parametrize(("first", "second", "how"), UNPROVEN.values(), ids=UNPROVEN.keys())
def test_evidence_that_convinces_no_stranger_blocks_nobody(
    first: object, second: object, how: dict[str, Any]
) -> None:
    """F-07: catches a block on a core's word alone: a defect there would cost an honest peer."""
    ctx, blocks = alone()
    contradicted(ctx, blocks, first, second, **how)
    assert blocks.standing(PEER) == "clear"
    assert not blocks.entries
    assert not ctx.tables.effects.writes


def test_bytes_that_are_no_envelopes_block_nobody() -> None:
    """Catches evidence that ends the node, or that blocks without a signature."""
    ctx, blocks = alone()
    entry = received(VOTE)
    entry.evidence = Equivocation("made up", PEER, (b"one", b"other"))
    ctx.at(NOW, entry)
    blocks.on_evidence()
    assert not blocks.is_blocked(PEER)


def test_who_contradicts_himself_in_a_round_counts_nowhere_in_it() -> None:
    """Catches an equivocator whose first proposal still counts, also if he is blocked already."""
    ctx, blocks = alone()
    contradicted(ctx, blocks, PROPOSAL, evolve(PROPOSAL, document_hash=b"x" * 32))
    assert ctx.state("round", PEER, 7) == "equivocated"
    writes = len(ctx.tables.effects.writes)
    again = evolve(PROPOSAL, round=8)
    contradicted(ctx, blocks, again, evolve(again, document_hash=b"x" * 32))
    assert ctx.state("round", PEER, 8) == "equivocated"
    assert len(ctx.tables.effects.writes) == writes, "a liar does not order writes to the disk"


def test_a_message_without_evidence_blocks_nobody() -> None:
    """Catches a block for every vote."""
    ctx, blocks = alone()
    ctx.at(NOW, received(VOTE))
    blocks.on_evidence()
    assert not blocks.is_blocked(PEER)
    assert not ctx.tries("block_list.Block", q=PEER)


@pytest.mark.parametrize("convinces", [True, False])
def test_a_record_blocks_if_it_convinces_a_stranger(convinces: bool) -> None:
    """Catches a block on this node's word, and a proof that is of no use."""
    ctx, blocks = alone()
    blocks.convict(evolve(RECORD, transferable=convinces))
    assert blocks.is_blocked(PEER) == convinces
    assert not blocks.is_blocked(THIRD)
    assert not ctx.tries("block_list.Block", q=PEER), "the record is not at hand any more"


def test_new_evidence_extends_the_block() -> None:
    """Catches a cheat that goes free while it cheats on."""
    ctx, blocks = alone()
    blocks.convict(RECORD)
    ctx.now += 100.0
    blocks.convict(RECORD)
    assert blocks.entries[PEER].until == NOW + 100.0 + PRESET.block_duration_s


def test_a_block_runs_out_with_its_hour_and_not_before() -> None:
    """Catches a block for ever: 72 hours, by the clock; and one that is over at once."""
    ctx, blocks = alone()
    blocks.convict(RECORD)
    assert not ctx.tries("block_list.Over", q=PEER)
    take_in(ctx, Tick(), blocks, after=PRESET.block_duration_s - 1.0)
    assert blocks.is_blocked(PEER)
    take_in(ctx, Tick(), blocks, after=1.0)
    assert blocks.standing(PEER) == "clear"
    assert not blocks.entries


def test_blocks_come_back_from_the_store() -> None:
    """Catches evidence in the store that convinces nobody after a restart, and a lost hour."""
    block = Block("two proposals", NOW + 5.5, (b"first", b"second"))
    assert Block.decode(block.encode()) == evolve(block, until=int(NOW + 5.5))
    ctx, blocks = alone()
    ctx.tables.view.put("standing", (ME, PEER), "blocked")
    blocks.restore({PEER: block})
    take_in(ctx, Tick(), blocks, after=6.0)
    assert not blocks.is_blocked(PEER)
    for plain in ([], {"reason": "x"}, 7):
        with pytest.raises(Malformed):
            Block.decode(encode_canonical(plain))
