"""The embedded chain's mempool: what is mined first, evicted, and taken back after a fork.

What it refuses, and why, stands beside a real daemon's answers in tests/daemons.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import define, field

from metanode.custody.types import Outpoint
from metanode.devnet.faucet import FAUCET_SCRIPT, SMALL_COINS, found_blocks, pay_from_faucet
from metanode.devnet.ledger import DevnetLedger
from metanode.devnet.mempool import Mempool
from metanode.devnet.rpc import DevnetRpc
from metanode.devnet.types import ChainTransaction, DevnetError
from metanode.devnet.validation import parse_transaction
from tests.devnet.support import COIN, NOW, founded_ledger, script_of, spend
from tests.simulation.chain import at_once
from tests.support import key_of

USER = key_of("user")
OTHER = key_of("other")
VBYTES = 111  # of a payment of one coin to one script, at most


@define
class Purse:
    """A chain, and confirmed coins of the user."""

    ledger: DevnetLedger = field(factory=lambda: founded_ledger()[0])
    coins: list[Outpoint] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        paid = pay_from_faucet(self.ledger, [(COIN, script_of(USER))] * 6)
        self.ledger.mine(FAUCET_SCRIPT)
        self.coins = [Outpoint(paid.txid, n) for n in range(6)]

    @property
    def mempool(self) -> Mempool:
        return self.ledger.mempool

    def pay(self, fee: int) -> ChainTransaction:
        """Put a payment of a whole coin into the mempool."""
        return self.follow(self.coins.pop(), COIN, fee)

    def follow(self, coin: Outpoint, amount: int, fee: int) -> ChainTransaction:
        """Pay a coin of the user to himself."""
        raw, _ = spend(USER, [(coin, amount)], [(amount - fee, script_of(USER))])
        transaction = parse_transaction(raw.hex())
        self.ledger.submit(transaction)
        return transaction

    def mined(self) -> set[bytes]:
        """Mine a block; return what it holds besides the coinbase."""
        node = self.ledger.mine(FAUCET_SCRIPT)
        return {each.txid for each in self.ledger.tree.transactions(node)[1:]}


def test_a_full_block_takes_the_dearest() -> None:
    """Catches an embedded chain on which every payout is mined, however little it pays."""
    purse = Purse()
    cheap, dear, middle = (purse.pay(fee).txid for fee in (1_000, 9_000, 3_000))
    purse.mempool.block_vbytes = 2 * VBYTES
    assert purse.mined() == {dear, middle}
    purse.mempool.block_vbytes = 0
    assert purse.mined() == set()
    purse.mempool.block_vbytes = VBYTES
    assert purse.mined() == {cheap}


def test_a_block_takes_no_child_without_its_parent() -> None:
    """Catches a block that no daemon connects: its dearest transaction needs one that waits."""
    purse = Purse()
    parent = purse.pay(1_000)
    child = purse.follow(Outpoint(parent.txid, 0), COIN - 1_000, 20_000)
    other = purse.pay(5_000)
    purse.mempool.block_vbytes = 2 * VBYTES
    assert purse.mined() == {parent.txid, child.txid}
    assert set(purse.mempool.entries) == {other.txid}


def test_a_block_takes_no_more_signature_checks_than_it_may() -> None:
    """Catches a block that its own chain refuses: 80,000 is the most that one may cost."""
    purse = Purse()
    bare = b"\x51\x21" + USER.public_key.format() + b"\x51\xae"
    for _ in range(6):
        coin = purse.coins.pop()
        raw, _ = spend(USER, [(coin, COIN)], [(10_000, bare)] * 190)
        purse.ledger.submit(parse_transaction(raw.hex()))
    assert len(purse.mined()) == 5
    assert len(purse.mined()) == 1


def test_a_full_mempool_evicts_what_pays_least() -> None:
    """Catches a payout that stays where a real daemon drops it, and a child that is left alone."""
    purse = Purse()
    cheap, dear, helped = (purse.pay(fee) for fee in (300, 9_000, 300))
    child = purse.follow(Outpoint(cheap.txid, 0), COIN - 300, 300)
    helper = purse.follow(Outpoint(helped.txid, 0), COIN - 300, 9_000)
    purse.mempool.raise_minimum(10_000)
    assert set(purse.mempool.entries) == {dear.txid, helped.txid, helper.txid}
    assert set(purse.mempool.spenders.values()) == set(purse.mempool.entries)
    with pytest.raises(DevnetError, match="mempool min fee not met, 300 < "):
        purse.ledger.submit(cheap)
    purse.mempool.raise_minimum(0)
    purse.ledger.submit(cheap)
    purse.ledger.submit(child)


def test_what_left_the_chain_need_not_pay_again() -> None:
    """Catches a payment that is lost in a fork because others pay more by now."""
    purse = Purse()
    purse.pay(300)
    node = purse.ledger.mine(FAUCET_SCRIPT)
    purse.mempool.raise_minimum(2_000)
    purse.ledger.invalidate(node.hash)
    assert len(purse.mempool.entries) == 1
    purse.ledger.reconsider(node.hash)
    purse.mempool.raise_minimum(10_000)
    purse.ledger.invalidate(node.hash)
    assert not purse.mempool.entries


def test_the_rules_are_those_of_the_chain_that_it_plays() -> None:
    """Catches one chain's dust and replacement for all: Litecoin asks ten times as much."""
    ledger = DevnetLedger(lambda: NOW, hrp="rltc")
    found_blocks(ledger, (), NOW)
    coin = Outpoint(pay_from_faucet(ledger, [(COIN, script_of(USER))]).txid, 0)
    ledger.mine(FAUCET_SCRIPT)
    for least in (2_939, 2_940):
        payments = [(least, script_of(OTHER)), (COIN - 10_000, script_of(USER))]
        raw, txid = spend(USER, [(coin, COIN)], payments)
        if least == 2_940:
            assert ledger.submit(parse_transaction(raw.hex())) == txid
        else:
            with pytest.raises(DevnetError, match="dust"):
                ledger.submit(parse_transaction(raw.hex()))
    raw, _ = spend(USER, [(coin, COIN)], [(COIN - 90_000, script_of(USER))])
    with pytest.raises(DevnetError, match="txn-mempool-conflict"):
        ledger.submit(parse_transaction(raw.hex()))


def test_the_faucet_pays_many_times_in_one_block() -> None:
    """Catches a faucet whose payments hang on each other: after 25 of them there is an end."""
    ledger, _ = founded_ledger()
    for _ in range(SMALL_COINS):
        made = pay_from_faucet(ledger, [(1_000_000, script_of(USER))])
        raw, _ = spend(USER, [(Outpoint(made.txid, 0), 1_000_000)], [(900_000, script_of(OTHER))])
        ledger.submit(parse_transaction(raw.hex()))
    assert ledger.mine(FAUCET_SCRIPT).transaction_count == 1 + 2 * SMALL_COINS


def test_a_client_fills_the_mempool_and_the_blocks() -> None:
    """Catches knobs of a test that turn nothing, or that change what they say."""
    purse = Purse()
    rpc = DevnetRpc(purse.ledger)

    def call(method: str, *params: object) -> Any:
        return at_once(rpc.call(method, list(params)))

    purse.pay(300)
    dear = purse.pay(9_000)
    assert call("getmempoolinfo")["mempoolminfee"] == Decimal("0.00001")
    call("devnet_mempoolminfee", Decimal("0.00005"))
    assert call("getmempoolinfo")["mempoolminfee"] == Decimal("0.00005")
    assert call("getrawmempool") == [dear.txid.hex()]
    call("devnet_blocksize", 0)
    assert purse.mined() == set()
    call("devnet_blocksize", 1_000)
    assert purse.mined() == {dear.txid}
    for method, wrong in (("devnet_blocksize", "1"), ("devnet_mempoolminfee", -1)):
        with pytest.raises(DevnetError):
            call(method, wrong)


def test_a_trial_says_the_reason_alone() -> None:
    """Catches details in what daemons keep to one word, and the code for coins that are missing."""
    purse = Purse()
    rpc = DevnetRpc(purse.ledger)
    coin = purse.coins.pop()

    def tried(raw: bytes) -> object:
        (answer,) = at_once(rpc.call("testmempoolaccept", [[raw.hex()]]))
        return answer.get("reject-reason")

    assert tried(spend(USER, [(coin, COIN)], [(COIN - 9, script_of(USER))])[0]) == (
        "min relay fee not met"
    )
    nowhere = Outpoint(bytes(range(32)), 0)
    assert tried(spend(USER, [(nowhere, COIN)], [(1_000, script_of(USER))])[0]) == "missing-inputs"
    assert tried(spend(USER, [(coin, COIN)], [(COIN - 900, script_of(USER))])[0]) is None
    assert not purse.mempool.entries
