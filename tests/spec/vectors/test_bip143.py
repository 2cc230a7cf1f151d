"""BIP-143: preimages and digests, the custody's transactions against them, the signatures."""

from __future__ import annotations

from typing import Any

import pytest
from btclib.script.sig_hash import segwit_v0
from btclib.tx import Tx
from coincurve import PrivateKey

from metanode.custody.scripts import data_script, key_script
from metanode.custody.transaction import (
    SIGHASH_ALL,
    Input,
    Output,
    UnsignedTransaction,
    der_signature,
)
from metanode.custody.types import Outpoint
from metanode.tss import curve
from metanode.tss.verify import verify_compact
from tests.spec.vectors.der import verify_der
from tests.spec.vectors.support import load
from tests.support import double_sha256

CASES = load("bip143.json")["cases"]
NONE, SINGLE, ANYONE_CAN_PAY = 2, 3, 0x80


def preimage(
    transaction: bytes, position: int, script_code: bytes, amount: int, hash_type: int
) -> bytes:
    """Return the ten fields of BIP-143, "Specification", in their order."""
    tx = Tx.parse(transaction)
    kind, alone = hash_type & 0x1F, bool(hash_type & ANYONE_CAN_PAY)
    previous, sequences, outputs = bytes(32), bytes(32), bytes(32)
    if not alone:
        previous = double_sha256(b"".join(i.prev_out.serialize() for i in tx.vin))
    if not alone and kind == SIGHASH_ALL:
        sequences = double_sha256(b"".join(i.sequence.to_bytes(4, "little") for i in tx.vin))
    if kind == SIGHASH_ALL:
        outputs = double_sha256(b"".join(o.serialize() for o in tx.vout))
    if kind == SINGLE and position < len(tx.vout):
        outputs = double_sha256(tx.vout[position].serialize())
    spending = tx.vin[position]
    return b"".join(
        (
            tx.version.to_bytes(4, "little"),
            previous,
            sequences,
            spending.prev_out.serialize(),
            bytes([len(script_code)]) + script_code,
            amount.to_bytes(8, "little"),
            spending.sequence.to_bytes(4, "little"),
            outputs,
            tx.lock_time.to_bytes(4, "little"),
            hash_type.to_bytes(4, "little"),
        )
    )


@pytest.mark.parametrize("case", CASES)
def test_preimages_and_digests(case: dict[str, Any]) -> None:
    """Catches a change in the library's digests, and a wrong digit in the file."""
    transaction, code = bytes.fromhex(case["transaction"]), bytes.fromhex(case["script_code"])
    where = case["input"], code, case["amount"], case["hash_type"]
    assert preimage(transaction, *where).hex() == case["preimage"]
    assert double_sha256(bytes.fromhex(case["preimage"])).hex() == case["digest"]
    by_library = segwit_v0(
        code, Tx.parse(transaction), case["input"], case["hash_type"], case["amount"]
    )
    assert by_library.hex() == case["digest"]


@pytest.mark.parametrize("case", CASES)
def test_signatures(case: dict[str, Any]) -> None:
    """Catches a verifier that refuses real signatures, or lets the one with a high s pass."""
    key, digest, signature = (
        bytes.fromhex(case[field]) for field in ("public_key", "digest", "signature")
    )
    assert verify_der(key, digest, signature) is case["low_s"]
    r = int.from_bytes(signature[4 : 4 + signature[3]], "big")
    s = int.from_bytes(signature[6 + signature[3] :], "big")
    compact = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert verify_compact(key, digest, compact) is case["low_s"]
    low = der_signature(r, s)
    assert verify_der(key, digest, low)
    assert (low == signature) is case["low_s"]
    if "private_key" in case:
        secret = PrivateKey(bytes.fromhex(case["private_key"]))
        assert curve.encode_point(curve.generator_mult(secret.to_int())) == key
        assert secret.sign(digest, hasher=None) == signature


def test_one_example_has_a_high_s() -> None:
    """Catches the loss of the case that the release rule must refuse."""
    assert [case["example"] for case in CASES if not case["low_s"]] == ["no FindAndDelete"]


def test_scripts_of_the_custody() -> None:
    """Catches a locking script or a script code of another key hash than the examples have."""
    rows = [case for case in CASES if case["example"].endswith("P2WPKH")]
    assert len(rows) == 2
    for case in rows:
        key_hash = key_script(bytes.fromhex(case["public_key"]))[2:]
        assert case["script_code"] == f"76a914{key_hash.hex()}88ac"


def test_digests_of_the_custody() -> None:
    """Catches a payout whose digests are not BIP-143's; the builder is held to it above."""
    key = bytes.fromhex(CASES[0]["public_key"])
    unsigned = UnsignedTransaction(
        tuple(Input(Outpoint(bytes([n]) * 32, n), 70_000 + n) for n in range(1, 4)),
        (Output(60_000, key_script(key)), Output(0, data_script(b"memo"))),
    )
    code = bytes.fromhex(CASES[0]["script_code"])
    for position, digest in enumerate(unsigned.sighashes(key)):
        amount = unsigned.inputs[position].amount
        wanted = preimage(unsigned.serialize(), position, code, amount, SIGHASH_ALL)
        assert digest == double_sha256(wanted)
