"""The index of custody coins: undo, history, and that a refused block changes nothing."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from metanode.custody.errors import LedgerMismatch, OutsideWindow
from metanode.custody.ledger import Ledger, Spent
from metanode.custody.types import BlockSummary, Deposit, Spend
from metanode.errors import LocalFault
from tests.custody.support import block, coin, deposit, ident, policy


def test_deposit_then_spend() -> None:
    """Catches a spent deposit that is offered for payout again, and a past that changes."""
    ledger = Ledger(policy())
    paid = deposit("a", height=1)
    ledger.connect(block(1, deposits=(paid,)))
    spend = Spend(paid.outpoint, ident("payout"))
    change = coin("payout", height=2)
    ledger.connect(block(2, change=(change,), spends=(spend,)))
    assert ledger.snapshot(1).deposits == (paid,)
    assert ledger.snapshot(1).change == ()
    assert ledger.snapshot(2).deposits == ()
    assert ledger.snapshot(2).change == (change,)
    assert ledger.spent_by(paid.outpoint) == ident("payout")
    assert ledger.spent_at(paid.outpoint) == 2
    assert ledger.spent_by(change.outpoint) is None
    assert ledger.tip == (2, ident("block 2"))
    assert ledger.disconnect(ident("block 2")).spends == (spend,)
    assert ledger.snapshot(1).deposits == (paid,)
    assert ledger.spent_by(paid.outpoint) is None


def test_deposits_are_ordered_by_place() -> None:
    """Catches an order that depends on when a node heard of a deposit."""
    late, early = deposit("z", height=1, position=2), deposit("y", height=1, position=5)
    ledger = Ledger(policy())
    ledger.connect(block(1, deposits=(early, late)))
    first = deposit("x", height=2, position=1)
    ledger.connect(block(2, deposits=(first,)))
    assert ledger.snapshot(2).deposits == (late, early, first)


def test_coin_made_and_spent_in_one_block() -> None:
    """Catches a spend within a block that is refused, or a coin that stays behind."""
    ledger = Ledger(policy())
    paid = deposit("a", height=1)
    ledger.connect(block(1, deposits=(paid,), spends=(Spend(paid.outpoint, ident("p")),)))
    assert ledger.snapshot(1).deposits == ()
    ledger.disconnect(ident("block 1"))
    assert ledger.tip is None


@pytest.mark.parametrize(
    "bad",
    [
        block(3),
        block(2, parent=ident("elsewhere")),
        block(2, deposits=(deposit("a", height=2),)),  # the same coin again
        block(2, deposits=(deposit("b", height=1),)),  # names another height
        block(2, spends=(Spend(deposit("unknown").outpoint, ident("p")),)),
        block(2, spends=(Spend(deposit("a").outpoint, ident("p")),) * 2),
        block(2, deposits=(deposit("b", height=2),) * 2),
    ],
)
def test_bad_blocks_change_nothing(bad: BlockSummary) -> None:
    """Catches a block that is half applied before it is refused."""
    ledger = Ledger(policy())
    ledger.connect(block(1, deposits=(deposit("a"),)))
    before = ledger.snapshot(1)
    with pytest.raises(LedgerMismatch):
        ledger.connect(bad)
    assert ledger.tip == (1, ident("block 1"))
    assert ledger.snapshot(1) == before
    assert ledger.spent_by(deposit("a").outpoint) is None


def test_only_the_tip_can_be_disconnected() -> None:
    """Catches an undo out of order."""
    ledger = Ledger(policy())
    with pytest.raises(LedgerMismatch):
        ledger.disconnect(ident("block 1"))
    ledger.connect(block(1))
    ledger.connect(block(2))
    with pytest.raises(LedgerMismatch):
        ledger.disconnect(ident("block 1"))


def test_heights_outside_the_window() -> None:
    """Catches an answer about a block that the index does not hold."""
    ledger = Ledger(policy(fee_window_blocks=2), window_blocks=3)
    with pytest.raises(OutsideWindow):
        ledger.snapshot(1)
    for height in range(1, 6):
        ledger.connect(block(height))
    assert ledger.snapshot(4).hash == ident("block 4") == ledger.block_hash(4)
    assert ledger.block_hash(2) is ledger.block_hash(6) is None
    for height in (2, 3, 6):
        with pytest.raises(OutsideWindow):
            ledger.snapshot(height)


def test_a_reorganisation_through_the_whole_window_is_refused() -> None:
    """Catches an index that starts anew on another branch and keeps coins of the old one."""
    ledger = Ledger(policy(fee_window_blocks=1), window_blocks=1)
    ledger.connect(block(1, deposits=(deposit("a"),)))
    ledger.connect(block(2))
    ledger.disconnect(ident("block 2"))
    with pytest.raises(LedgerMismatch, match="deeper"):
        ledger.connect(block(2, branch="'"))


@pytest.mark.parametrize("missing", ["nothing", "block", "unspent", "spent"])
def test_what_was_kept_must_belong_together(missing: str) -> None:
    """Catches an index that is taken up without some of its coins: it would not pay or see them."""
    whole = Ledger(policy())
    kept, gone = deposit("a", height=1), deposit("b", height=1, position=2)
    whole.connect(block(1, deposits=(kept, gone)))
    whole.connect(block(2, spends=(Spend(gone.outpoint, ident("p")),)))
    whole.connect(block(3))
    blocks = [each for each in whole.blocks if (each.height, missing) != (2, "block")]
    unspent = [kept] if missing != "unspent" else []
    spent = [Spent(gone, ident("p"), 2)] if missing != "spent" else []
    again = Ledger(policy())
    if missing != "nothing":
        with pytest.raises(LedgerMismatch):
            again.restore(blocks, unspent, spent)
        return
    again.restore(blocks, unspent, spent)
    for ledger in (whole, again):
        ledger.disconnect(ident("block 3"))
        ledger.disconnect(ident("block 2"))
    assert again.snapshot(1) == whole.snapshot(1)
    assert again.blocks == whole.blocks
    assert set(again.coins) == {kept, gone}


def test_window_must_hold_the_fee_blocks() -> None:
    """Catches a fee rate that depends on how long a node has been up."""
    with pytest.raises(LocalFault):
        Ledger(policy(fee_window_blocks=12), window_blocks=11)


def test_fee_rate_is_a_bounded_median() -> None:
    """Catches a fee rate that one odd block, or an empty chain, can move."""
    rules = policy(fee_rate_floor=2, fee_rate_cap=50, fee_window_blocks=3)
    ledger = Ledger(rules)
    for height, rate in enumerate([0, 7, 9, 10_000, 10_000, 10_000], start=1):
        ledger.connect(block(height, fee_rate=rate))
    rates = [ledger.snapshot(height).fee_rate for height in range(3, 7)]
    assert rates == [7, 9, 50, 50]


def test_fee_rate_does_not_depend_on_where_the_index_begins() -> None:
    """Catches two members that started at different heights and build different payouts."""
    rules = policy(fee_window_blocks=3)
    early, late, genesis = Ledger(rules), Ledger(rules), Ledger(rules)
    for height in range(10):
        summary = block(height, fee_rate=10 * height)
        genesis.connect(summary)
        if height >= 2:
            early.connect(summary)
        if height >= 5:
            late.connect(summary)
    assert rules.index_start(7) == 5
    assert early.snapshot(7) == late.snapshot(7) == genesis.snapshot(7)
    with pytest.raises(OutsideWindow, match="starts too late"):
        late.snapshot(6)
    assert [genesis.snapshot(height).fee_rate for height in range(4)] == [1, 1, 10, 20]


@given(st.data())
def test_undo_is_exact(data: st.DataObject) -> None:
    """Catches any sequence of blocks after which connect and disconnect do not cancel out."""
    ledger = Ledger(policy(), window_blocks=50)
    history = []
    unspent: list[Deposit] = []
    for height in range(1, data.draw(st.integers(2, 12)) + 1):
        count = data.draw(st.integers(0, 3))
        made = [deposit(f"{height}/{i}", height=height, position=i) for i in range(count)]
        gone = data.draw(st.lists(st.sampled_from(unspent), unique=True)) if unspent else []
        spends = tuple(Spend(d.outpoint, ident(f"spend {height}")) for d in gone)
        ledger.connect(block(height, deposits=tuple(made), spends=spends))
        unspent = [d for d in unspent if d not in gone] + made
        history.append(ledger.snapshot(height))
    # The past is the same when seen from the tip, and again after undoing what came later.
    assert [ledger.snapshot(s.height) for s in history] == history
    for expected in reversed(history):
        assert ledger.snapshot(expected.height) == expected
        ledger.disconnect(expected.hash)
    assert ledger.tip is None


def test_new_coins_wait_until_they_may_be_spent() -> None:
    """Catches a payout that no chain takes, because a miner paid a deposit with new coins."""
    ledger = Ledger(policy())
    young, old = evolve(deposit("young"), matures=4), deposit("old")
    ledger.connect(block(1, deposits=(young, old)))
    for height in (2, 3, 4):
        ledger.connect(block(height))
    found = [ledger.snapshot(height).deposits for height in (1, 2, 3, 4)]
    assert [young in deposits for deposits in found] == [False, False, True, True]
    assert all(old in deposits for deposits in found)
