"""Free coins of the embedded chain, and the founding of a chain whose stakes are already old.

The faucet's key is public: coins of this chain are worth nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from coincurve import PrivateKey

from metanode.custody.scripts import data_script, key_script
from metanode.custody.transaction import Input, Output
from metanode.custody.types import Outpoint
from metanode.devnet.ledger import DevnetLedger
from metanode.devnet.types import COIN, ChainTransaction, DevnetError, Ref, RpcCode
from metanode.devnet.validation import parse_transaction
from metanode.devnet.wallet import sign_with, spend
from metanode.errors import UserError
from metanode.runtime.store.files import sync_directory
from spec.parameters import COINBASE_MATURITY_BLOCKS

FAUCET_KEY = PrivateKey(hashlib.sha256(b"metanode devnet faucet").digest())
FAUCET_SCRIPT = key_script(FAUCET_KEY.public_key.format())

STAKE_AGE_S = 73 * 3600  # the network asks for 72 h; one more hour leaves room for slow starts
# Payments of one block come from as many coins: daemons take only 25 that depend on each other.
SMALL_COIN = COIN // 10
SMALL_COINS = 400
BLOCKS_OF_TODAY = 12  # eleven make the median time of the tip that of today; one to spare


def pay_from_faucet(
    ledger: DevnetLedger, payments: Sequence[tuple[int, bytes]], memo: bytes | None = None
) -> ChainTransaction:
    """Send (amount, script) payments, and a memo if given, from the faucet into the mempool.

    Raises :class:`DevnetError` -6 when the faucet has run dry, -26 for dust.
    """
    outputs = [Output(amount, script) for amount, script in payments]
    if memo is not None:
        outputs.append(Output(0, data_script(memo)))
    coins = (Input(Outpoint(*ref), amount) for ref, amount in _faucet_coins(ledger))
    # Change comes last, so that the payments have the indices 0, 1, ...
    unsigned = spend(FAUCET_KEY, coins, outputs)
    if unsigned is None:
        raise DevnetError(RpcCode.INSUFFICIENT_FUNDS, "the faucet has run dry: mine more blocks")
    transaction = parse_transaction(sign_with(FAUCET_KEY, unsigned).hex())
    ledger.submit(transaction)
    return transaction


def found_chain(
    directory: Path, stakes: Sequence[tuple[bytes, int]], now: int, stake_age_s: int = STAKE_AGE_S
) -> tuple[Outpoint, ...]:
    """Make a new chain in ``directory`` whose (script, amount) stakes are ``stake_age_s`` old.

    The blocks up to the stakes are dated back, the last ones are dated ``now`` (unix seconds), so
    that the median time of the tip is ``now`` and the age that nodes compute is real. Returns the
    stakes' outpoints in order. The folder appears complete or not at all; one that has something in
    it is refused with :class:`UserError`.
    """
    if directory.exists() and any(directory.iterdir()):
        raise UserError(f"{directory} is not empty: choose a new folder for the chain")
    draft = directory.with_name(directory.name + ".new")
    if draft.exists():
        shutil.rmtree(draft)  # left by a founding that was interrupted
    ledger = DevnetLedger(lambda: now, draft)
    try:
        outpoints = found_blocks(ledger, stakes, now, stake_age_s)
    finally:
        ledger.close()
    if directory.exists():
        directory.rmdir()
    os.replace(draft, directory)
    sync_directory(directory.parent)
    return outpoints


def found_blocks(
    ledger: DevnetLedger, stakes: Sequence[tuple[bytes, int]], now: int,
    stake_age_s: int = STAKE_AGE_S,
) -> tuple[Outpoint, ...]:
    """Mine the first blocks of :func:`found_chain` into an empty ledger."""
    # A block is later than the median of eleven, so times creep on: a second per six blocks.
    ledger.set_mock_time(now - stake_age_s - COINBASE_MATURITY_BLOCKS)
    for _ in range(COINBASE_MATURITY_BLOCKS + BLOCKS_OF_TODAY):
        ledger.mine(FAUCET_SCRIPT)
    pay_from_faucet(ledger, [(SMALL_COIN, FAUCET_SCRIPT)] * SMALL_COINS)
    outpoints: tuple[Outpoint, ...] = ()
    if stakes:
        payments = [(amount, script) for script, amount in stakes]
        transaction = pay_from_faucet(ledger, payments)
        outpoints = tuple(Outpoint(transaction.txid, i) for i in range(len(stakes)))
    ledger.mine(FAUCET_SCRIPT)
    ledger.set_mock_time(now)
    for _ in range(BLOCKS_OF_TODAY):
        ledger.mine(FAUCET_SCRIPT)
    ledger.set_mock_time(0)
    return outpoints


def _faucet_coins(ledger: DevnetLedger) -> Iterator[tuple[Ref, int]]:
    """Yield the faucet's spendable coins, the largest first, those of the mempool last."""
    next_height = ledger.tree.tip.height + 1
    mempool = ledger.mempool
    confirmed = [
        (ref, coin.amount)
        for ref, coin in ledger.tree.coins.items()
        if coin.script == FAUCET_SCRIPT
        and coin.amount > 0
        and ref not in mempool.spenders
        and (
            not coin.coinbase
            or (coin.height is not None and next_height - coin.height >= COINBASE_MATURITY_BLOCKS)
        )
    ]
    yield from sorted(confirmed, key=lambda item: -item[1])
    for txid, entry in list(mempool.entries.items()):
        for index, output in enumerate(entry.transaction.tx.vout):
            if (
                output.script_pub_key.script == FAUCET_SCRIPT
                and (txid, index) not in mempool.spenders
                and mempool.has_room(txid, 2)  # the next payment, and what its payee does
            ):
                yield (txid, index), output.value
