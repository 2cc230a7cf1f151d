"""The embedded chain's mempool: what is mined first, evicted, and taken back after a fork.

What it refuses, and why, stands beside a real daemon's answers in tests/daemons.
"""

from __future__ import annotations

import pytest
from attrs import define, field

from metanode.custody.types import Outpoint
from metanode.devnet.faucet import FAUCET_SCRIPT, SMALL_COINS, pay_from_faucet
from metanode.devnet.ledger import DevnetLedger
from metanode.devnet.mempool import Mempool
from metanode.devnet.rpc import DevnetRpc
from metanode.devnet.types import ChainTransaction, DevnetError
from metanode.devnet.validation import parse_transaction
from spec.chains import family
from tests.devnet.support import COIN, founded_ledger, script_of, spend
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
    purse = Purse()
    ledger = purse.ledger
    ledger.mempool = Mempool(lambda ref: ledger.tree.coins.get(ref), family("rltc"))
    coin = purse.coins.pop()
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
