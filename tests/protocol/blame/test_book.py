"""The blame book of one node: what is recorded, whom it bans, and what lifts a ban."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from metanode.errors import UserError
from metanode.protocol.blame.book import RECORDS_PER_CULPRIT, Ban, BlameBook, BlameList
from metanode.protocol.blame.record import BlameRecord
from metanode.protocol.context import Context
from metanode.protocol.inputs import OperatorPardon
from metanode.protocol.peers.block_list import BlockList
from metanode.protocol.tables.runner import TransitionError
from tests.protocol.peers.support import ME, PEER, THIRD, context, epoch, notes, take_in
from tests.protocol.peers.test_block_list import RECORD
from tests.protocol.support import START as NOW

CHEAT = evolve(RECORD, ban=True, transferable=False, kind="ot_consistency", reason="columns")


def alone(**options: Any) -> tuple[Context, BlameBook]:
    """Return a node's blame book, with its block list, and nothing else of the node."""
    ctx = context(**options)
    return ctx, BlameBook(ctx, BlockList(ctx))


def judged(book: BlameBook, record: BlameRecord, number: int = 1) -> bool:
    """Let a run end of which this record was made; return whether its culprit is banned now."""
    book._judged = record
    book._blame(record)
    banned = book.bans.ban(record.culprit, number, book.ctx.now)
    book._judged = None
    return banned


def pardon(ctx: Context, book: BlameBook, peer: bytes = PEER) -> Ban:
    """Let the operator pardon a peer, as the node does."""
    ban = book.pardonable(peer)
    take_in(ctx, OperatorPardon(peer), book)
    return ban


def test_a_fault_is_recorded_and_a_cheat_is_banned_besides() -> None:
    """Catches a ban for a slip, a cheat that is not banned, and either without its record."""
    ctx, book = alone()
    assert not judged(book, RECORD)
    assert judged(book, evolve(CHEAT, culprit=THIRD))
    assert set(book.lists) == {PEER, THIRD}
    assert book.bans.by_peer == {THIRD: Ban(1, int(NOW))}
    stored = {w.cell: w.attachment for w in ctx.tables.effects.writes if w.index == (ME, THIRD)}
    assert stored == {"blamed": book.lists[THIRD], "pair_banned": Ban(1, int(NOW))}
    assert [note["reason"] for note in notes(ctx, "peer.blamed")] == ["dealt share", "columns"]


def test_nobody_is_blamed_or_banned_without_a_record_at_hand() -> None:
    """Catches a record, or a ban, of the run before."""
    ctx, book = alone()
    judged(book, CHEAT)
    ctx.tables.take()
    for event in ("Blame", "Ban"):
        for peer in (PEER, THIRD):
            assert not ctx.tries(f"block_list.{event}", q=peer)
    assert not book.bans.ban(PEER, 9, NOW)
    assert book.bans.by_peer[PEER].epoch == 1
    assert not ctx.tables.effects.writes


def test_records_are_bounded_and_proofs_stay() -> None:
    """Catches a store that a cheater fills, or from which it pushes the proof by cheating on."""
    _, book = alone()
    judged(book, RECORD)
    for number in range(3 * RECORDS_PER_CULPRIT):
        judged(book, evolve(CHEAT, time=RECORD.time + number))
    kept = book.lists[PEER].records
    assert len(kept) == RECORDS_PER_CULPRIT
    assert RECORD in kept


def test_a_ban_never_grows_younger() -> None:
    """Catches a second cheat on older transfers that makes the ban end sooner."""
    _, book = alone()
    assert judged(book, CHEAT, 5)
    assert judged(book, CHEAT, 3)
    assert book.bans.by_peer[PEER].epoch == 5


@pytest.mark.parametrize("number", [1, 2])
def test_a_ban_is_lifted_by_fresh_transfers_and_a_pardon_only(number: int) -> None:
    """Catches a pardon that lets a guess be tried on the old base transfers."""
    ctx, book = alone(key=epoch(number))
    with pytest.raises(UserError, match="no ban of"):
        pardon(ctx, book)
    judged(book, CHEAT, 1)
    if number == 1:
        with pytest.raises(UserError, match=r"epoch 1, and epoch 1 is in force: run `keyrefresh`"):
            pardon(ctx, book)
        with pytest.raises(TransitionError):
            take_in(ctx, OperatorPardon(PEER), book)
        assert ctx.tables.view.get("pair_banned", ME, PEER) is True
        return
    assert pardon(ctx, book) == Ban(1, int(NOW))
    assert ctx.tables.view.get("pair_banned", ME, PEER) is False
    assert not book.bans.by_peer
    assert notes(ctx, "peer.pardoned") == [{"peer": PEER.hex()[:16]}]


def test_a_share_that_is_not_in_force_makes_no_transfers_fresh() -> None:
    """Catches a pardon while the new shares are prepared only: the pair signs with the old ones."""
    ctx, book = alone(key=epoch(1))
    judged(book, CHEAT, 1)
    ctx.tables.view.put("holding", (ME, 2), "prepared")
    ctx.tables.view.put("holding", (PEER, 3), "active")
    with pytest.raises(UserError, match="epoch 1 is in force"):
        pardon(ctx, book)
    ctx.tables.view.put("holding", (ME, 2), "active")
    assert pardon(ctx, book).epoch == 1


def test_what_the_store_holds_comes_back() -> None:
    """Catches blame or a ban that a restart forgets."""
    ctx, book = alone(key=epoch(2))
    ctx.tables.view.put("pair_banned", (ME, PEER), True)
    book.restore({PEER: BlameList((RECORD,))}, {PEER: Ban(1, 5)})
    report = book.report()
    assert [record["culprit"] for record in report["records"]] == [PEER.hex()]
    assert report["bans"] == [{"node_id": PEER.hex(), "epoch": 1, "since": 5}]
    assert pardon(ctx, book) == Ban(1, 5)
