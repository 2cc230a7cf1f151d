"""Transactions that wait together: rivals for a coin, long chains, and a mempool that is full.

The same table on the embedded chain and on a real daemon, as in ``test_policy``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from tests.daemons.coins import FEE, signed
from tests.daemons.offers import ACCEPTED, HOME, Answer, answer, least_relay_fee, sent, spend
from tests.daemons.support import COIN, Chain, adapter

FINAL = 0xFFFFFFFF
COINS_TO_FILL = 80  # more than fill a mempool of eight megabytes, a sixteenth of a block each
PACKAGE = 25  # unconfirmed transactions that depend on each other
Make = Callable[[Chain], bytes]


def rival(fee: int, first_fee: int = 2 * FEE, sequence: int = FINAL - 2) -> Make:
    """Spend a coin that a waiting transaction spends."""

    def make(chain: Chain) -> bytes:
        coin = chain.coin()
        chain.send(spend(coin, first_fee, sequence=sequence, version=1))
        return spend(coin, fee)

    return make


def rival_of_a_package(fee: int) -> Make:
    """Spend a coin of a waiting transaction that has a dear child."""

    def make(chain: Chain) -> bytes:
        coin = chain.coin()
        (child,) = sent(chain, [coin], [coin.amount - FEE])
        sent(chain, [child], [child.amount - 5 * FEE])
        return spend(coin, fee)

    return make


def with_new_parent(chain: Chain) -> bytes:
    """Replace a transaction, and need another one that waits."""
    coin, other = chain.coin(), chain.coin()
    (unconfirmed,) = sent(chain, [other], [other.amount - FEE])
    chain.send(spend(coin))
    return signed([coin, unconfirmed], [(coin.amount, HOME)])[0]


def of_its_own_rival(chain: Chain) -> bytes:
    """Replace a transaction, and need it."""
    coin = chain.coin()
    (child,) = sent(chain, [coin], [coin.amount - FEE])
    return signed([coin, child], [(coin.amount, HOME)])[0]


def of_many(chain: Chain) -> bytes:
    """Replace five packages of 25 at once."""
    coins = [chain.coin() for _ in range(5)]
    for coin in coins:
        each = (coin.amount - FEE) // (PACKAGE - 1)
        for child in sent(chain, [coin], [each] * (PACKAGE - 1)):
            sent(chain, [child], [child.amount - FEE // 10])
    return signed(coins, [(coins[0].amount, HOME)])[0]


def chained(length: int) -> Make:
    """Be the last of so many that wait, each for the one before."""

    def make(chain: Chain) -> bytes:
        coin = chain.coin()
        for _ in range(length - 1):
            (coin,) = sent(chain, [coin], [coin.amount - FEE])
        return spend(coin)

    return make


def crowded(children: int) -> Make:
    """Be the last of so many that wait for one."""

    def make(chain: Chain) -> bytes:
        coin = chain.coin()
        made = sent(chain, [coin], [(coin.amount - FEE) // children] * children)
        for child in made[:-1]:
            sent(chain, [child], [child.amount - FEE])
        return spend(made[-1])

    return make


CONFLICT = (-26, "txn-mempool-conflict")
CHEAP = (-26, "insufficient fee, rejecting replacement")
LONG = (-26, "too-long-mempool-chain")

CASES: dict[str, tuple[Make, Answer]] = {
    "a dearer rival": (rival(5 * FEE), ACCEPTED),
    "a rival of the same fee": (rival(2 * FEE), CHEAP),
    "a rival that does not pay for its relay": (rival(2 * FEE + 50), CHEAP),
    "a rival of one that is final": (rival(5 * FEE, sequence=FINAL - 1), CONFLICT),
    "a rival that pays less than a package": (rival_of_a_package(5 * FEE), CHEAP),
    "a rival that pays for a package": (rival_of_a_package(7 * FEE), ACCEPTED),
    "a rival with a new unconfirmed coin": (
        with_new_parent, (-26, "replacement-adds-unconfirmed")
    ),
    "a rival of its own coin": (of_its_own_rival, (-26, "bad-txns-spends-conflicting-tx")),
    "a rival of 125": (of_many, (-26, "too many potential replacements")),
    "the 25th of a chain": (chained(25), ACCEPTED),
    "the 26th of a chain": (chained(26), LONG),
    "the 24th child": (crowded(24), ACCEPTED),
    "the 25th child, a small one": (crowded(25), ACCEPTED),
    "the 26th child": (crowded(26), LONG),
}
SINCE_FULL_REPLACEMENT = {"a rival of one that is final"}


@pytest.mark.parametrize("name", CASES)
def test_daemons_and_the_embedded_chain_judge_packages_alike(chain: Chain, name: str) -> None:
    """Catches an embedded chain that replaces, or lets wait, what no daemon does."""
    make, (code, reason) = CASES[name]
    if name in SINCE_FULL_REPLACEMENT and chain.call("getmempoolinfo").get("fullrbf"):
        pytest.skip("this daemon replaces whatever was not meant to be replaced")
    found, said = answer(chain, make(chain))
    assert (found, reason in said) == (code, True), said


@pytest.mark.anyio
async def test_a_full_mempool_drops_what_pays_least(each_chain: Chain) -> None:
    """Catches an embedded chain whose mempool is never full, and a payout that is lost with it.

    What was dropped is neither waiting nor replaced: it can be sent again when there is room.
    """
    chain = each_chain
    chain.stock(COINS_TO_FILL)
    coin = chain.coin()
    raw, txid = signed([coin], [(coin.amount - least_relay_fee(chain), HOME)])
    chain.send(raw)
    with chain.full_mempool():
        async with adapter(chain) as watcher:
            assert (await watcher.lookup(txid, [coin.outpoint])).state == "unknown"
            refused = await watcher.broadcast(raw, txid)
            assert refused.result == "rejected"
            assert refused.reason.startswith("mempool min fee not met, ")
        rate = chain.call("getmempoolinfo")["mempoolminfee"]
        assert rate > chain.call("getmempoolinfo")["minrelaytxfee"]
        enough = math.ceil(rate * COIN * 111 / 1000)
        assert answer(chain, spend(chain.coin(), enough)) == ACCEPTED
    async with adapter(chain) as watcher:
        assert (await watcher.broadcast(raw, txid)).result == "sent"
    chain.mine()
