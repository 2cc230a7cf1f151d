"""What a node says of each deposit that is not paid yet."""

from __future__ import annotations

import pytest

from metanode.protocol.tables.effects import Note
from spec.parameters import MAINNET
from tests.protocol.rounds.support import ROUND, Holder


def waiting(confirmations: int = 1, **asks: object) -> Holder:
    """Return a node with a chain on which one deposit waits."""
    node = Holder.make(confirmations)
    for _ in range(3):
        node.mine()
    node.mine("a deposit", **asks)
    return node


def reason(node: Holder) -> tuple[str, str]:
    """Return the reason of the only deposit."""
    (shown,) = node.waiting.report()
    return shown["waits_for"], shown["reason"]


def test_a_deposit_says_what_it_waits_for_until_it_is_paid() -> None:
    """Catches a deposit that waits and nobody can say why."""
    node = waiting(confirmations=3)
    assert reason(node) == ("confirmations", "it has 1 of 3 confirmations")
    node.mine()
    assert reason(node) == ("confirmations", "it has 2 of 3 confirmations")
    node.mine()
    assert reason(node)[0] == "round"
    document = node.certified()
    assert reason(node)[0] == "signature"
    node.hear(1, node.signatures(document))
    assert reason(node) == (
        "broadcast",
        f"payout {document.txids[0].hex()} is signed, and the chain does not have it yet",
    )
    node.answer(document.event, "unknown", "dust")
    assert reason(node)[0] == "daemon"
    assert "refuses it: dust" in reason(node)[1]
    node.answer(document.event, "pending")
    assert reason(node)[0] == "block"
    node.mine(spends=[(o, document.txids[0]) for o in document.inputs])
    assert node.waiting.report() == []


def test_what_cannot_be_paid_says_so() -> None:
    """Catches money that is held or ignored without a word."""
    node = waiting(memo=None, amount=9_999)
    assert reason(node)[0] == "ignored"
    assert "below the minimum deposit" in reason(node)[1]
    held = waiting(memo=b"pay:nonsense", refund_script=None)
    assert reason(held)[0] == "held"
    assert "no script to refund to" in reason(held)[1]


def test_new_coins_say_when_they_can_be_spent() -> None:
    """Catches a miner's deposit that is thought lost for a hundred blocks."""
    node = waiting(matures=203)
    assert reason(node) == (
        "maturity", "these are new coins, which can be spent from block 203 on"
    )


def test_an_unseen_deposit_says_when_it_counts() -> None:
    """Catches a deposit that was mined at once and seems to be forgotten."""
    node = Holder.make()
    for _ in range(3):
        node.mine()
    node.news(node.block("unseen"))
    assert reason(node)[0] == "sighting"
    assert f"in block {103 + MAINNET.unseen_depth_factor - 1}" in reason(node)[1]


def test_a_deposit_that_is_too_small_for_the_fees_says_so() -> None:
    """Catches a deposit that waits for lower fees and looks like any other."""
    node = waiting(amount=20_000)
    node.candidates.fee_floor = 90
    assert reason(node)[0] == "fees"
    assert "90 base units a vB" in reason(node)[1]
    node.candidates.fee_floor = 0
    assert reason(node)[0] == "round"


def test_a_reason_is_logged_when_it_changes_and_not_with_every_round() -> None:
    """Catches a log without the reason, or one that is full of it."""
    node = waiting(confirmations=2)
    told = []
    for number in range(1, 6):
        if number == 3:
            node.mine()
        node.tick(0.0, ROUND + number)
        told.append([
            note.fields["waits_for"]
            for note in node.effects.requests
            if isinstance(note, Note) and note.event == "deposit.waiting"
        ])
    assert told == [["confirmations"], [], ["round"], [], []]


@pytest.mark.parametrize("count", [3])
def test_only_so_many_are_listed(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """LimitsHeld: catches a status as long as the list of deposits."""
    monkeypatch.setattr("metanode.protocol.payouts.waiting.SHOWN", count)
    node = Holder.make()
    node.mine(*(f"deposit {number}" for number in range(9)))
    assert len(node.waiting.report()) == count


def test_without_a_key_nothing_waits() -> None:
    """Catches a status that fails before there is a key."""
    node = Holder.make(holds=False)
    assert node.waiting.report() == []
    assert node.windows.read(b"") is None
    assert node.windows.lock_to_show(ROUND) is None
