"""Transaction bytes and digests against BIP143's published P2WPKH vector and libsecp256k1."""

from __future__ import annotations

import pytest
from btclib.hashes import hash160
from btclib.script.engine import verify_transaction
from btclib.script.sig_hash import segwit_v0
from btclib.tx import Tx, TxOut

from metanode.chains.devnet_validation import STANDARD_FLAGS
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
from tests.custody.helpers import CUSTODY, CUSTODY_KEY, ident, public


def transaction(inputs: int = 3) -> UnsignedTransaction:
    """Return a transaction of custody coins."""
    spent = tuple(Input(Outpoint(ident(f"coin {i}"), i), 50_000 + i) for i in range(inputs))
    paid = (Output(60_000, key_script(public("payee"))), Output(0, data_script(bytes(32))))
    return UnsignedTransaction(spent, paid)


def sign_all(unsigned: UnsignedTransaction) -> list[tuple[int, int]]:
    """Sign each digest with the custody key."""
    signed = [CUSTODY_KEY.sign_recoverable(d, hasher=None) for d in unsigned.sighashes(CUSTODY)]
    return [(int.from_bytes(s[:32]), int.from_bytes(s[32:64])) for s in signed]


def test_digest_of_bip143() -> None:
    """Catches a change in the library's BIP143 digest, by the vector of the document itself."""
    # BIP143, "Native P2WPKH": the second input, 6 coins, SIGHASH_ALL.
    unsigned = (
        "0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000eeffff"
        "ffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202c"
        "b206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143b"
        "de42dbee7e4dbe6a21b2d50ce2f0167faa815988ac11000000"
    )
    code = bytes.fromhex("76a9141d0f172a0ecb48aee1be1f2687d2963ae33f71a188ac")
    digest = segwit_v0(code, Tx.parse(unsigned), 1, 1, 600_000_000)
    assert digest.hex() == "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670"


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
