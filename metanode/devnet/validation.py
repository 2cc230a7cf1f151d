"""What a block of the embedded chain may hold: amounts, maturity, locktimes, btclib's scripts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen
from btclib.exceptions import BTClibException
from btclib.script.engine import ALL_FLAGS, ScriptFlag, verify_transaction
from btclib.tx import Tx, TxOut
from btclib.tx.coin import Coin
from btclib.tx.tx_context import assert_sequence_locks, is_final

from metanode.devnet.types import ChainTransaction, DevnetError, Ref, RpcCode, UnspentCoin, rejected
from spec.parameters import COINBASE_MATURITY_BLOCKS

MAX_MONEY = 21_000_000 * 100_000_000
NULL_REF: Ref = (bytes(32), 0xFFFFFFFF)  # what a coinbase spends
MAX_STRIPPED_BYTES = 1_000_000  # consensus/consensus.h, MAX_BLOCK_WEIGHT / WITNESS_SCALE_FACTOR

# btclib's ALL_FLAGS are the consensus rules only. Without the rest a signature with a high s, for
# one, would pass here and be refused by every real node.
STANDARD_FLAGS = (
    ALL_FLAGS
    | ScriptFlag.LOW_S
    | ScriptFlag.STRICTENC
    | ScriptFlag.NULLFAIL
    | ScriptFlag.MINIMALDATA
    | ScriptFlag.CLEANSTACK
    | ScriptFlag.WITNESS_PUBKEYTYPE
)


@frozen
class Place:
    """Where a transaction would be mined: the block's height, and median times by height."""

    height: int
    median_time: Callable[[int], int]

    @property
    def time(self) -> int:
        """Return the time that locktimes are compared with: the median of the block before."""
        return self.median_time(self.height - 1)


def parse_transaction(raw_hex: object) -> ChainTransaction:
    """Parse a hexadecimal transaction; raises :class:`DevnetError` -22 when it is none."""
    try:
        parsed = Tx.parse(bytes.fromhex(str(raw_hex)), check_validity=False)
        return ChainTransaction.of(parsed)
    except (BTClibException, ValueError) as fault:
        raise DevnetError(RpcCode.DESERIALIZATION_ERROR, f"TX decode failed: {fault}") from fault


def check_form(transaction: ChainTransaction) -> None:
    """Check what needs no coins (``CheckTransaction``); raises :class:`DevnetError` -26."""
    tx = transaction.tx
    if not tx.vin or not tx.vout:
        raise rejected("bad-txns-vin-empty" if not tx.vin else "bad-txns-vout-empty")
    if len(tx.serialize(include_witness=False, check_validity=False)) > MAX_STRIPPED_BYTES:
        raise rejected("bad-txns-oversize")
    total = 0
    for output in tx.vout:
        if output.value < 0:
            raise rejected("bad-txns-vout-negative")
        if output.value > MAX_MONEY:
            raise rejected("bad-txns-vout-toolarge")
        total += output.value
        if total > MAX_MONEY:
            raise rejected("bad-txns-txouttotal-toolarge")
    if len(set(transaction.spent())) != len(tx.vin):
        raise rejected("bad-txns-inputs-duplicate")
    if not tx.is_coinbase and NULL_REF in transaction.spent():
        raise rejected("bad-txns-prevout-null")


def check_final(transaction: ChainTransaction, place: Place, reason: str) -> None:
    """Refuse a transaction whose locktime is not over at ``place``, for ``reason``."""
    if not is_final(transaction.tx, place.height, place.time):
        raise rejected(reason)


def coins_spent(
    transaction: ChainTransaction, find: Callable[[Ref], UnspentCoin | None]
) -> list[UnspentCoin]:
    """Return the coins that the inputs name; raises :class:`DevnetError` -25 when one is gone."""
    coins = [coin for ref in transaction.spent() if (coin := find(ref)) is not None]
    if len(coins) != len(transaction.tx.vin):
        raise DevnetError(RpcCode.VERIFY_ERROR, "bad-txns-inputs-missingorspent")
    return coins


def check_sequence(
    transaction: ChainTransaction, coins: Sequence[UnspentCoin], place: Place, reason: str
) -> None:
    """Refuse a transaction with a relative locktime (BIP68) that is not over, for ``reason``."""
    spent = [
        # An unconfirmed coin would be mined in the same block.
        Coin(output, place.height if coin.height is None else coin.height, coin.coinbase,
             check_validity=False)
        for coin, output in zip(coins, outputs_of(coins), strict=True)
    ]
    try:
        assert_sequence_locks(
            transaction.tx, spent, place.height, place.time, place.median_time
        )
    except BTClibException as fault:
        raise rejected(reason) from fault


def check_amounts(
    transaction: ChainTransaction, coins: Sequence[UnspentCoin], height: int
) -> int:
    """Return the fee of a transaction that would be mined at ``height``.

    Raises :class:`DevnetError` -26 for coinbase coins that are too young and for amounts that do
    not add up.
    """
    for coin in coins:
        depth = 0 if coin.height is None else height - coin.height
        if coin.coinbase and depth < COINBASE_MATURITY_BLOCKS:
            detail = f"tried to spend coinbase at depth {depth}"
            raise rejected("bad-txns-premature-spend-of-coinbase", detail)
    paid_in = sum(coin.amount for coin in coins)
    paid_out = sum(output.value for output in transaction.tx.vout)
    if paid_in < paid_out:
        detail = f"value in ({paid_in}) < value out ({paid_out})"
        raise rejected("bad-txns-in-belowout", detail)
    return paid_in - paid_out


def check_scripts(transaction: ChainTransaction, coins: Sequence[UnspentCoin]) -> None:
    """Run the scripts of all inputs; raises :class:`DevnetError` -26 when one fails."""
    try:
        verify_transaction(outputs_of(coins), transaction.tx, STANDARD_FLAGS)
    except BTClibException as fault:
        raise rejected(f"mandatory-script-verify-flag-failed ({fault})"[:200]) from fault


def check_in_block(
    transaction: ChainTransaction, find: Callable[[Ref], UnspentCoin | None], place: Place
) -> int:
    """Check a transaction in a block by all rules of consensus; return its fee in base units."""
    check_form(transaction)
    check_final(transaction, place, "bad-txns-nonfinal")
    coins = coins_spent(transaction, find)
    fee = check_amounts(transaction, coins, place.height)
    check_sequence(transaction, coins, place, "bad-txns-nonfinal")
    check_scripts(transaction, coins)
    return fee


def outputs_of(coins: Sequence[UnspentCoin]) -> list[TxOut]:
    """Return coins as btclib's outputs."""
    return [TxOut(coin.amount, coin.script, check_validity=False) for coin in coins]
