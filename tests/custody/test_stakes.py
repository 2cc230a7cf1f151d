"""Stakes in blocks: whether one held at a height, and what a reorganisation takes back."""

from __future__ import annotations

from attrs import evolve

from metanode.custody.ledger import Ledger
from metanode.custody.stakes import STAKES_FOLLOWED, Stake, StakeBook
from metanode.custody.types import Outpoint
from tests.custody.support import block, ident, policy, public

STAKE = Stake(Outpoint(ident("stake"), 0), public("owner"), 1000, 5, 50)


def ledger(*spent_at: int, tip: int = 12) -> Ledger:
    """Return an index of blocks 1 to ``tip`` in which the stake is spent at these heights."""
    made = Ledger(policy())
    made.stakes.know(STAKE)
    for height in range(1, tip + 1):
        gone = (STAKE.outpoint,) if height in spent_at else ()
        made.connect(evolve(block(height), time=100 * height, stakes=gone))
    return made


def test_a_stake_holds_from_its_block_until_it_is_spent() -> None:
    """Catches a stake that counts before it was made, or after it was spent."""
    held = [h for h in range(13) if ledger(9).stakes.held_at(STAKE.outpoint, h)]
    assert held == [5, 6, 7, 8]


def test_what_was_spent_since_says_nothing_about_a_block_before() -> None:
    """Catches nodes with different tips that disagree about one block."""
    early, late = ledger(9, tip=8), ledger(9, tip=12)
    for height in range(5, 9):
        assert early.stakes.held_at(STAKE.outpoint, height)
        assert late.stakes.held_at(STAKE.outpoint, height)


def test_a_reorganisation_gives_the_stake_back_or_asks_for_it_again() -> None:
    """Catches a stake that stays spent by a block that is gone, and one whose own block is gone."""
    made = ledger(9, tip=10)
    for _ in range(2):
        tip = made.tip
        assert tip is not None
        made.disconnect(tip[1])
    found = made.stakes.get(STAKE.outpoint)
    assert found == STAKE
    for _ in range(4):
        tip = made.tip
        assert tip is not None
        made.disconnect(tip[1])
    assert made.stakes.get(STAKE.outpoint) is None


def test_a_lost_stake_never_held_and_one_that_nobody_knows_did() -> None:
    """Catches a member that is rewarded though its stake is gone, and one that is not because this
    node has just been started.
    """
    book, other = StakeBook(), Outpoint(ident("other"), 1)
    assert book.held_at(other, 9)
    book.lose(other)
    assert not book.held_at(other, 9)
    book.know(evolve(STAKE, outpoint=other))
    assert book.held_at(other, 9), "the chain has it after all"
    book.lose(other)
    assert book.held_at(other, 9), "blocks know better"


def test_what_is_followed_is_bounded_and_old_spends_are_forgotten() -> None:
    """Catches a table that strangers fill."""
    book = StakeBook()
    for number in range(STAKES_FOLLOWED + 5):
        book.know(evolve(STAKE, outpoint=Outpoint(ident("s"), number)))
    assert len(book.all) == STAKES_FOLLOWED
    spent = StakeBook([evolve(STAKE, spent_at=7), evolve(STAKE, outpoint=Outpoint(ident("x"), 0))])
    spent.forget([STAKE.outpoint], 9)
    assert len(spent.all) == 2
    spent.forget([], 9)
    assert [stake.spent_at for stake in spent.all] == [None]


def test_the_median_time_is_that_of_eleven_blocks() -> None:
    """Catches an age by one block's clock, and a median of blocks that the index has not."""
    made = ledger(tip=14)
    assert made.median_time(14) == 100 * 9
    assert made.median_time(11) == 100 * 6
    assert made.median_time(10) is None, "block 0 would be one of them"
    assert made.median_time(15) is None
