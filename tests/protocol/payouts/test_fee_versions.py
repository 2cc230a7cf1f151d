"""One payout at several fees: when the next version is sent, and which one the chain has."""

from __future__ import annotations

from metanode.protocol.tables.effects import Broadcast
from tests.protocol.payouts.support import spends, state, waiting


def test_a_payout_that_waits_too_long_is_sent_at_the_next_fee() -> None:
    """F-41: catches a payout that waits for ever since fees rose, or one outbid at once."""
    node = waiting()
    document = node.paid()
    patience = node.ctx.preset.fee_patience_blocks
    for version in range(1, len(document.versions)):
        for _ in range(patience - 1):
            node.mine()
            node.answer(document.event, "pending", version=version - 1)
            assert state(node, document) == "BROADCAST"
        node.mine()
        node.answer(document.event, "pending", version=version - 1)
        assert node.rows()[-1] == "payout.Outbid"
        assert [sent.txid for sent in node.asked(Broadcast)] == [document.txids[version]]
        assert node.payouts.report()[0]["version"] == version
    for _ in range(2 * patience):
        node.mine()
        node.answer(document.event, "pending", version=len(document.versions) - 1)
    assert state(node, document) == "BROADCAST", "there is no dearer one"
    node.mine(spends=spends(document, document.txids[0]))
    node.answer(document.event, "unknown")
    assert state(node, document) == "COMPLETED", "the chain took the first one after all"


def test_a_payout_that_offers_too_little_is_sent_at_the_next_fee_at_once() -> None:
    """F-41: catches a payout below what daemons demand, which nothing would ever bring in."""
    node = waiting()
    document = node.paid()
    for version in range(1, len(document.versions)):
        node.answer(document.event, "unknown", "min relay fee not met, 282 < 1410")
        assert node.rows() == ["payout.Outbid"]
        assert state(node, document) == "SIGNED", "the next one is not refused yet"
        assert [sent.txid for sent in node.asked(Broadcast)] == [document.txids[version]]
    node.answer(document.event, "unknown", "min relay fee not met, 282 < 1410")
    assert state(node, document) == "REFUSED", "there is no dearer one"
    node.answer(document.event, "pending", version=version)
    assert state(node, document) == "BROADCAST"


def test_a_restart_goes_on_with_the_version_that_the_chain_has() -> None:
    """Catches a node that sends the cheapest again and takes the refusal for its payout's end."""
    node = waiting()
    document = node.paid()
    node.answer(document.event, "pending", version=1)
    assert node.payouts.report()[0]["version"] == 1
    node.answer(document.event, "replaced")
    assert [sent.txid for sent in node.asked(Broadcast)] == [document.txids[1]]


def test_an_index_that_catches_up_is_not_time_that_a_payout_has_waited() -> None:
    """Catches a restart whose first blocks, all at once, make each payout offer twice its fee."""
    node = waiting()
    document = node.paid()
    node.asked(Broadcast)
    patience = node.ctx.preset.fee_patience_blocks
    missed = [node.block()]
    for _ in range(3 * patience):
        missed.append(node.block(parent=missed[-1]))
    node.news(*missed)
    node.answer(document.event, "pending")
    assert state(node, document) == "BROADCAST"
    assert not node.asked(Broadcast)
    for _ in range(patience - 1):
        node.mine()
    node.answer(document.event, "pending")
    assert node.payouts.report()[0]["version"] == 1, "from then on each block counts"


def test_what_the_daemon_has_in_a_block_is_never_outbid_and_is_what_became_final() -> None:
    """Catches a node whose index is late: it outbids what is mined, or reports another version."""
    node = waiting()
    document = node.paid()
    for _ in range(node.ctx.preset.fee_patience_blocks):
        node.mine()
    node.answer(document.event, "pending")
    assert node.payouts.report()[0]["version"] == 1
    for _ in range(2 * node.ctx.preset.fee_patience_blocks):
        node.mine()
    node.asked(Broadcast)
    for found in ("included", "final"):
        node.answer(document.event, found, version=0)
        assert not node.asked(Broadcast)
        assert node.payouts.report()[0]["txid"] == document.txids[0].hex()
    assert state(node, document) == "COMPLETED"
