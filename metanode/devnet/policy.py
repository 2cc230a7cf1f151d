"""What daemons relay and mine of all that a block may hold (Bitcoin Core's ``policy/policy.cpp``).

The checks come in the order of ``MemPoolAccept::PreChecks`` and have its reasons, so that a
transaction with two faults is refused here for the same one as by a real daemon.
"""

from __future__ import annotations

from collections.abc import Sequence

from btclib.consensus import WITNESS_SCALE_FACTOR
from btclib.fee import FeeRate
from btclib.policy import (
    DEFAULT_BYTES_PER_SIGOP,
    MAX_STANDARD_TX_SIGOPS_COST,
    are_inputs_standard,
    is_dust,
    is_witness_standard,
)
from btclib.script.engine import sig_op_cost
from btclib.script.solver import solver

from metanode.devnet.types import ChainTransaction, UnspentCoin, rejected
from metanode.devnet.validation import outputs_of

KILO = 1000  # daemons state fee rates by 1,000 virtual bytes
MIN_RELAY_FEE_RATE = 1  # sat/vB, -minrelaytxfee of Bitcoin Core below 30 and of Litecoin
INCREMENTAL_FEE_RATE = 1  # sat/vB, -incrementalrelayfee: what a replacement pays for its relay
MAX_STANDARD_WEIGHT = 400_000  # MAX_STANDARD_TX_WEIGHT
MIN_STANDARD_BYTES = 65  # MIN_STANDARD_TX_NONWITNESS_SIZE; 82 before Bitcoin Core 25
MAX_SCRIPT_SIG_BYTES = 1650  # MAX_STANDARD_SCRIPTSIG_SIZE
MAX_DATA_SCRIPT_BYTES = 83  # MAX_OP_RETURN_RELAY, before Bitcoin Core 30
MAX_FEE_RATE = 10_000  # sat/vB, DEFAULT_MAX_RAW_TX_FEE_RATE: a mistake of who sends it
MAX_BARE_KEYS = 3  # of a multisig output without a script hash


def check_standard(transaction: ChainTransaction, dust_rate: int) -> None:
    """Apply the rules that need no coins; ``dust_rate`` is in base units per virtual byte."""
    tx = transaction.tx
    if tx.is_coinbase:
        raise rejected("coinbase")
    if tx.version not in (1, 2):
        raise rejected("version")
    if tx.weight > MAX_STANDARD_WEIGHT:
        raise rejected("tx-size")
    for spending in tx.vin:
        if len(spending.script_sig) > MAX_SCRIPT_SIG_BYTES:
            raise rejected("scriptsig-size")
        if not _is_push_only(spending.script_sig):
            raise rejected("scriptsig-not-pushonly")
    data_outputs = 0
    rate = FeeRate(sats_per_kvbyte=dust_rate * KILO)
    for output in tx.vout:
        kind, solutions = solver(output.script_pub_key.script)
        too_many_keys = kind == "multisig" and solutions[-1][0] > MAX_BARE_KEYS
        if kind == "nonstandard" or too_many_keys:
            raise rejected("scriptpubkey")
        if kind == "nulldata":
            data_outputs += 1
            if len(output.script_pub_key.script) > MAX_DATA_SCRIPT_BYTES:
                raise rejected("scriptpubkey")
        elif is_dust(output, dust_relay_fee=rate):
            raise rejected("dust")
    if data_outputs > 1:
        raise rejected("multi-op-return")
    if len(tx.serialize(include_witness=False, check_validity=False)) < MIN_STANDARD_BYTES:
        raise rejected("tx-size-small")


def check_standard_inputs(transaction: ChainTransaction, coins: Sequence[UnspentCoin]) -> int:
    """Refuse to spend what is no standard output, or with a witness of odd size.

    Return the cost of the signature checks, which blocks and transactions have a bound for.
    """
    outputs = outputs_of(coins)
    if not are_inputs_standard(outputs, transaction.tx):
        raise rejected("bad-txns-nonstandard-inputs")
    if not is_witness_standard(outputs, transaction.tx):
        raise rejected("bad-witness-nonstandard")
    cost: int = sig_op_cost(outputs, transaction.tx)
    if cost > MAX_STANDARD_TX_SIGOPS_COST:
        raise rejected("bad-txns-too-many-sigops", str(cost))
    return cost


def check_relay_fee(vsize: int, checks: int, fee: int, pool_minimum: int) -> None:
    """Refuse a fee below ``pool_minimum``, base units per 1,000 vB, or below the relay rate.

    Signature checks of a cost that no such size would have count as the size that would.
    """
    vsize = max(vsize, -(-checks * DEFAULT_BYTES_PER_SIGOP // WITNESS_SCALE_FACTOR))
    wanted = pool_minimum * vsize // KILO
    if fee < wanted:
        raise rejected("mempool min fee not met", f"{fee} < {wanted}")
    wanted = MIN_RELAY_FEE_RATE * vsize
    if fee < wanted:
        raise rejected("min relay fee not met", f"{fee} < {wanted}")


def _is_push_only(script: bytes) -> bool:
    """Tell whether a script only pushes data (``CScript::IsPushOnly``)."""
    at = 0
    while at < len(script):
        code = script[at]
        at += 1
        if code > 0x60:
            return False
        size = code if code < 0x4C else 0
        if 0x4C <= code <= 0x4E:  # OP_PUSHDATA1, 2, 4
            width = 1 << (code - 0x4C)
            size = int.from_bytes(script[at : at + width], "little")
            at += width
        at += size
    return at == len(script)
