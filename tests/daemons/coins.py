"""Coins of the three kinds of one key, and transactions that spend them; no wallet is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from attrs import frozen
from btclib.hashes import hash160
from btclib.script.sig_hash import PrecomputedTxData, legacy, segwit_v0
from btclib.script.witness import Witness
from btclib.tx import OutPoint, Tx, TxIn, TxOut
from coincurve import PrivateKey

from metanode.custody.scripts import key_script
from metanode.custody.transaction import der_signature
from metanode.custody.types import Outpoint

Kind = Literal["p2pkh", "p2sh-p2wpkh", "p2wpkh"]
KINDS: tuple[Kind, ...] = ("p2pkh", "p2sh-p2wpkh", "p2wpkh")
FEE = 10_000  # base units: enough for every transaction here on each of the chains
REPLACEABLE = 0xFFFFFFFD
SIGHASH_ALL = 1


@frozen
class Coin:
    """An output that ``key`` can spend."""

    outpoint: Outpoint
    amount: int
    key: PrivateKey
    kind: Kind = "p2wpkh"


def script_of(key: PrivateKey, kind: Kind = "p2wpkh") -> bytes:
    """Return the locking script of a kind for a key."""
    public = key.public_key.format()
    if kind == "p2pkh":
        return b"\x76\xa9\x14" + hash160(public) + b"\x88\xac"
    if kind == "p2sh-p2wpkh":
        return b"\xa9\x14" + hash160(key_script(public)) + b"\x87"
    return key_script(public)


def signed(
    coins: Sequence[Coin], outputs: Sequence[tuple[int, bytes]], *, sequence: int = REPLACEABLE,
    version: int = 2, locktime: int = 0,
) -> tuple[bytes, bytes]:
    """Return (raw, txid) of what pays (amount, script) outputs; it opts in to replacement."""
    transaction = signed_tx(coins, outputs, sequence=sequence, version=version, locktime=locktime)
    return transaction.serialize(include_witness=True, check_validity=False), transaction.id


def signed_tx(
    coins: Sequence[Coin], outputs: Sequence[tuple[int, bytes]], *, sequence: int = REPLACEABLE,
    version: int = 2, locktime: int = 0,
) -> Tx:
    """Return what :func:`signed` serialises, for tests that bend it."""
    spent = [TxOut(c.amount, script_of(c.key, c.kind), check_validity=False) for c in coins]
    inputs = [
        TxIn(
            OutPoint(c.outpoint.txid, c.outpoint.index, check_validity=False), b"", sequence,
            check_validity=False,
        )
        for c in coins
    ]
    made = [TxOut(amount, script, check_validity=False) for amount, script in outputs]
    transaction = Tx(version, locktime, inputs, made, check_validity=False)
    shared = PrecomputedTxData(transaction, spent)
    parts = []
    for position, coin in enumerate(coins):
        public = coin.key.public_key.format()
        code = script_of(coin.key, "p2pkh")
        if coin.kind == "p2pkh":
            digest = legacy(code, transaction, position, SIGHASH_ALL)
        else:
            digest = segwit_v0(code, transaction, position, SIGHASH_ALL, coin.amount, shared)
        compact = coin.key.sign_recoverable(digest, hasher=None)
        r, s = int.from_bytes(compact[:32]), int.from_bytes(compact[32:64])
        parts.append((der_signature(r, s) + bytes([SIGHASH_ALL]), public))
    for spending, coin, (signature, public) in zip(transaction.vin, coins, parts, strict=True):
        if coin.kind == "p2pkh":
            spending.script_sig = _push(signature) + _push(public)
            continue
        spending.script_witness = Witness([signature, public])
        if coin.kind == "p2sh-p2wpkh":
            spending.script_sig = _push(key_script(public))
    return transaction


def _push(data: bytes) -> bytes:
    return bytes([len(data)]) + data
