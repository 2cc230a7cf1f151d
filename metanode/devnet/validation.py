"""Transaction rules of the embedded chain: btclib's script engine, then relay policy."""

from __future__ import annotations

from collections.abc import Callable

from btclib.exceptions import BTClibException
from btclib.policy import is_dust
from btclib.script.engine import ALL_FLAGS, ScriptFlag, verify_transaction
from btclib.tx import Tx, TxOut

from metanode.devnet.types import ChainTransaction, DevnetError, Ref, RpcCode, UnspentCoin
from spec.parameters import COINBASE_MATURITY_BLOCKS

MIN_RELAY_FEE_RATE = 1  # sat/vB, Bitcoin Core's -minrelaytxfee
MAX_STANDARD_WEIGHT = 400_000  # policy/policy.h, MAX_STANDARD_TX_WEIGHT

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


def parse_transaction(raw_hex: object) -> ChainTransaction:
    """Parse a hexadecimal transaction; raises :class:`DevnetError` -22 when it is none."""
    try:
        return ChainTransaction.of(Tx.parse(bytes.fromhex(str(raw_hex))))
    except (BTClibException, ValueError) as fault:
        raise DevnetError(RpcCode.DESERIALIZATION_ERROR, f"TX decode failed: {fault}") from fault


def coins_spent(
    transaction: ChainTransaction, find: Callable[[Ref], UnspentCoin | None]
) -> list[UnspentCoin]:
    """Return the coins that the inputs name; raises :class:`DevnetError` -25 when one is gone."""
    coins = [coin for ref in transaction.spent() if (coin := find(ref)) is not None]
    if len(coins) != len(transaction.tx.vin):
        raise DevnetError(RpcCode.VERIFY_ERROR, "bad-txns-inputs-missingorspent")
    return coins


def check_scripts(
    transaction: ChainTransaction, find: Callable[[Ref], UnspentCoin | None], height: int
) -> int:
    """Check a transaction that would be mined at ``height``; return its fee in base units.

    ``find`` looks a coin up. Raises :class:`DevnetError` -25 for missing coins, -26 for coinbase
    coins that are too young, amounts that do not add up and scripts or signatures that fail.
    """
    spent: list[TxOut] = []
    for coin in coins_spent(transaction, find):
        age = None if coin.height is None else height - coin.height
        if coin.coinbase and age is not None and age < COINBASE_MATURITY_BLOCKS:
            raise DevnetError(RpcCode.VERIFY_REJECTED, "bad-txns-premature-spend-of-coinbase")
        spent.append(TxOut(coin.amount, coin.script, check_validity=False))
    fee = sum(o.value for o in spent) - sum(o.value for o in transaction.tx.vout)
    if fee < 0:
        raise DevnetError(RpcCode.VERIFY_REJECTED, "bad-txns-in-belowout")
    try:
        verify_transaction(spent, transaction.tx, STANDARD_FLAGS)
    except BTClibException as fault:
        message = f"mandatory-script-verify-flag-failed ({fault})"[:200]
        raise DevnetError(RpcCode.VERIFY_REJECTED, message) from fault
    return fee


def check_standard(transaction: ChainTransaction) -> None:
    """Apply the relay rules that need no coins: no coinbase, no locktime, size, dust."""
    tx = transaction.tx
    if tx.is_coinbase:
        raise DevnetError(RpcCode.VERIFY_REJECTED, "coinbase")
    if tx.version not in (1, 2):
        raise DevnetError(RpcCode.VERIFY_REJECTED, "version")
    if tx.weight > MAX_STANDARD_WEIGHT:
        raise DevnetError(RpcCode.VERIFY_REJECTED, "tx-size")
    if sum(1 for output in tx.vout if output.script_pub_key.script[:1] == b"\x6a") > 1:
        raise DevnetError(RpcCode.VERIFY_REJECTED, "multi-op-return")
    if any(is_dust(output) for output in tx.vout):
        raise DevnetError(RpcCode.VERIFY_REJECTED, "dust")


def check_relay_fee(transaction: ChainTransaction, fee: int) -> None:
    """Refuse a fee below the minimum relay rate."""
    if fee < MIN_RELAY_FEE_RATE * transaction.vsize:
        raise DevnetError(RpcCode.VERIFY_REJECTED, "min relay fee not met")
