"""Which serialised blocks are taken apart: all that pay a key or spend its coins, few others."""

from __future__ import annotations

from metanode.chains.blockscan import is_header_of, may_concern
from metanode.devnet.faucet import FAUCET_SCRIPT
from metanode.devnet.validation import parse_transaction
from tests.devnet.support import COIN, founded_ledger, public, script_of, spend
from tests.support import key_of

CUSTODY, OTHER = key_of("custody"), key_of("user")
HEADER, INPUTS = bytes(80), b"\x01" + bytes(36)
COMMITMENT = bytes.fromhex("6a24aa21a9ed") + bytes(32)


def test_a_payment_and_a_spend_concern_their_key() -> None:
    """Catches a deposit that is not found, and a payout that nobody sees mined."""
    ledger, (stake,) = founded_ledger(((script_of(CUSTODY), COIN),))
    paying = next(node for node in ledger.tree.active if script_of(CUSTODY) in node.raw)
    assert is_header_of(paying.raw, paying.hash)
    assert may_concern(paying.raw, public(CUSTODY))
    assert not may_concern(paying.raw, public(OTHER))
    raw, _ = spend(CUSTODY, [(stake, COIN)], [(COIN - 1000, script_of(OTHER))])
    ledger.submit(parse_transaction(raw.hex()))
    ledger.mine(FAUCET_SCRIPT)
    spending = ledger.tree.tip.raw
    assert script_of(CUSTODY) not in spending
    assert may_concern(spending, public(CUSTODY))
    ledger.mine(FAUCET_SCRIPT)
    assert not may_concern(ledger.tree.tip.raw, public(CUSTODY))
    assert not is_header_of(ledger.tree.tip.raw, paying.hash)
    ledger.close()


def test_a_block_without_its_witnesses_is_taken_apart() -> None:
    """Catches a spend that is missed because the daemon leaves out witnesses (rpcserialversion=0).

    Whether it does so shows in the first transaction, however many there are.
    """
    for count in (b"\x01", b"\xfd\x00\x10", b"\xfe\x00\x00\x01\x00"):
        begin = HEADER + count + b"\x02\x00\x00\x00"
        assert not may_concern(begin + b"\x00\x01" + INPUTS + COMMITMENT, public(CUSTODY))
        assert may_concern(begin + INPUTS + COMMITMENT, public(CUSTODY))
        assert not may_concern(begin + INPUTS, public(CUSTODY)), "nothing could be left out"
