"""The books of the swaps: only the chain writes them."""

from __future__ import annotations

from typing import Any

from metanode.custody.ledger import Ledger
from metanode.custody.transfers import transfer_id
from metanode.custody.types import Outpoint
from tests.custody.support import ident
from tests.protocol.rounds.support import IDS, ME, Holder

PAYER = ident("the payout")


def coin(name: str) -> Outpoint:
    """Return the outpoint of a named deposit."""
    return Outpoint(ident(name), 0)


def state(node: Holder, name: str = "a deposit") -> str:
    """Return where the swap of a named deposit stands."""
    return node.ctx.state("swap", transfer_id(coin(name)))


def mined(confirmations: int = 1, **asks: Any) -> Holder:
    """Return a node on whose chain one deposit was just mined."""
    node = Holder.make(confirmations)
    node.mine()
    node.mine("a deposit", **asks)
    return node


def test_a_deposit_is_booked_when_it_is_deep_enough() -> None:
    """Catches a swap that is owed for a deposit which may still go away."""
    node = mined(confirmations=3)
    for _ in range(2):
        assert state(node) == "none_yet"
        assert node.refused("swap.Deposit", s=transfer_id(coin("a deposit")))
        node.mine()
    assert state(node) == "PendingRelease"
    assert node.notes() == ["deposit.confirmed"]
    node.mine()
    assert "swap.Deposit" not in node.rows()


def test_a_release_ends_as_a_release_and_a_refund_as_a_refund() -> None:
    """F-36: catches books that say one thing while the chain did the other."""
    for memo, booked, ends in (
        (None, "PendingRefund", "Refunded"),
        (b"what?", "PendingRefund", "Refunded"),
    ):
        node = mined(memo=memo)
        assert state(node) == booked
        node.mine(spends=[(coin("a deposit"), PAYER)])
        assert state(node) == ends
    node = mined()
    assert state(node) == "PendingRelease"
    node.mine(spends=[(coin("a deposit"), PAYER)])
    assert state(node) == "Completed"


def test_a_deposit_is_settled_when_its_payout_is_deep_enough() -> None:
    """Catches a swap that is closed by a payout which may still go away."""
    node = mined(confirmations=2)
    node.mine(spends=[(coin("a deposit"), PAYER)])
    assert state(node) == "PendingRelease"
    node.mine()
    assert state(node) == "Completed"
    assert not node.swaps.deposits


def test_a_deposit_whose_block_went_is_owed_no_more() -> None:
    """Catches a deposit that stays booked without being there; when it comes back it counts."""
    node = mined()
    gone, before = node.blocks[-1], node.blocks[-2]
    node.news(node.block(branch="other", parent=before), gone=[gone])
    assert state(node) == "none_yet"
    assert "swap.Removed" in node.rows()
    node.mine("a deposit")
    assert state(node) == "PendingRelease"


def test_a_deposit_that_moves_to_another_block_in_one_reorganisation_stays_booked() -> None:
    """Catches a swap that is dropped although its deposit is as deep as before."""
    node = mined()
    gone, before = node.blocks[-1], node.blocks[-2]
    node.news(node.block("a deposit", branch="other", parent=before), gone=[gone])
    assert state(node) == "PendingRelease"
    assert "swap.Removed" not in node.rows()


def test_what_is_settled_stays_settled() -> None:
    """Catches a swap that is paid twice because a block went."""
    node = mined()
    node.mine(spends=[(coin("a deposit"), PAYER)])
    gone = node.blocks[-2:]
    node.news(node.block(branch="other", parent=node.blocks[0]), gone=gone[::-1])
    assert state(node) == "Completed"
    node.mine("a deposit")
    assert state(node) == "Completed"


def test_a_node_that_was_away_books_all_that_happened() -> None:
    """Catches a deposit that was made and spent between two polls: its book would lack it."""
    node = Holder.make()
    first = node.block()
    second = node.block("a deposit", "another", parent=first)
    third = node.block(spends=[(coin("a deposit"), PAYER)], parent=second)
    node.news(first, second, third)
    assert (state(node), state(node, "another")) == ("Completed", "PendingRelease")


def test_a_restart_goes_on_with_the_books_of_the_store() -> None:
    """Catches a swap that is never settled because a restart forgot which coin it is about."""
    node = Holder.make()
    swap = transfer_id(coin("a deposit"))
    node.ctx.tables.view.put("swap", (IDS[ME], swap), "PendingRelease")
    node.mine("a deposit")
    assert "swap.Deposit" not in node.rows()
    node.windows.ledger, node.blocks = Ledger(node.ctx.settings.custody), []
    node.mine("a deposit")
    node.mine(spends=[(coin("a deposit"), PAYER)])
    assert state(node) == "Completed"


def test_what_cannot_be_paid_is_declined_once_and_never_owed() -> None:
    """Catches dust that is owed, or a line in the log for each block."""
    node = mined(amount=100)
    assert node.notes() == ["deposit.declined"]
    assert state(node) == "none_yet"
    assert node.refused("swap.Deposit", s=transfer_id(coin("a deposit")))
    gone, before = node.blocks[-1], node.blocks[-2]
    node.news(node.block("a deposit", amount=100, branch="x", parent=before), gone=[gone])
    assert not node.notes()
    assert not node.effects.trace


def test_a_deposit_that_went_while_the_node_was_down_is_no_debt_any_more() -> None:
    """Catches a book that says for ever that a deposit is to be paid which no block has."""
    node = Holder.make()
    swap = transfer_id(coin("a deposit"))
    node.ctx.tables.view.put("swap", (IDS[ME], swap), "PendingRelease")
    node.mine("another")
    assert state(node) == "PendingRelease", "the index may not be read to its end"
    node.mine()
    assert state(node) == "none_yet"
    assert node.rows() == ["swap.Removed"]
    node.mine()
    assert not node.rows()
