"""Transaction bytes and digests against BIP143's published P2WPKH vector and libsecp256k1."""

from __future__ import annotations

import pytest
from btclib.hashes import hash160
from btclib.script.engine import verify_transaction
from btclib.tx import Tx, TxOut

from metanode.custody.errors import BadSignature
from metanode.custody.scripts import data_script, key_script
from metanode.custody.transaction import (
    CURVE_ORDER,
    Input,
    Output,
    UnsignedTransaction,
    der_signature,
    input_outpoints,
    virtual_size,
)
from metanode.custody.types import Outpoint
from metanode.devnet.validation import STANDARD_FLAGS
from tests.custody.support import CUSTODY, CUSTODY_KEY, ident, public


def transaction(inputs: int = 3) -> UnsignedTransaction:
    """Return a transaction of custody coins."""
    spent = tuple(Input(Outpoint(ident(f"coin {i}"), i), 50_000 + i) for i in range(inputs))
    paid = (Output(60_000, key_script(public("payee"))), Output(0, data_script(bytes(32))))
    return UnsignedTransaction(spent, paid)


def sign_all(unsigned: UnsignedTransaction) -> list[tuple[int, int]]:
    """Sign each digest with the custody key."""
    signed = [CUSTODY_KEY.sign_recoverable(d, hasher=None) for d in unsigned.sighashes(CUSTODY)]
    return [(int.from_bytes(s[:32]), int.from_bytes(s[32:64])) for s in signed]


def test_signed_transaction_runs_under_the_script_engine() -> None:
    """Catches a digest, a witness or an order of inputs that the chain would refuse."""
    unsigned = transaction()
    raw = unsigned.sign(CUSTODY, sign_all(unsigned))
    parsed = Tx.parse(raw)
    spent = [TxOut(i.amount, key_script(CUSTODY)) for i in unsigned.inputs]
    verify_transaction(spent, parsed, STANDARD_FLAGS)
    assert parsed.id == unsigned.txid
    assert parsed.vin[0].script_witness.stack[1] == CUSTODY
    assert hash160(CUSTODY) == key_script(CUSTODY)[2:]


def test_high_s_is_brought_low() -> None:
    """Catches a high s that reaches the network, where relay nodes refuse it."""
    unsigned = transaction(1)
    ((r, s),) = sign_all(unsigned)
    low = unsigned.sign(CUSTODY, [(r, s)])
    assert unsigned.sign(CUSTODY, [(r, CURVE_ORDER - s)]) == low


@pytest.mark.parametrize("count", [1, 2, 20, 60])
def test_virtual_size_is_never_too_small(count: int) -> None:
    """Catches a fee below the agreed rate: the estimate must bound the signed size closely."""
    unsigned = transaction(count)
    actual = Tx.parse(unsigned.sign(CUSTODY, sign_all(unsigned))).vsize
    estimate = virtual_size(count, [output.script for output in unsigned.outputs])
    assert actual <= estimate <= actual + count


def test_wrong_signatures_are_named() -> None:
    """Catches a signature that is put into a transaction without having been verified."""
    unsigned = transaction()
    good = sign_all(unsigned)
    with pytest.raises(BadSignature, match="2 signatures for 3"):
        unsigned.sign(CUSTODY, good[:2])
    with pytest.raises(BadSignature) as swapped:
        unsigned.sign(CUSTODY, [good[0], good[2], good[1]])
    assert swapped.value.index == 1
    for r, s in [(0, 1), (1, 0), (CURVE_ORDER, 1), (1, CURVE_ORDER), (-1, 1)]:
        with pytest.raises(BadSignature):
            der_signature(r, s)


def test_outpoints_of_bytes() -> None:
    """Catches an outpoint in wire order, and a crash on bytes that are no transaction."""
    unsigned = transaction()
    raw = unsigned.sign(CUSTODY, sign_all(unsigned))
    assert input_outpoints(raw) == tuple(i.outpoint for i in unsigned.inputs)
    with pytest.raises(ValueError, match="not a transaction"):
        input_outpoints(b"\x00" * 40)
