"""The examples of RFC 6979: the nonce, what it signs, and that the result may be released."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from coincurve import PrivateKey
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from metanode.tss import curve
from metanode.tss.verify import verify_signature
from tests.spec.vectors.support import load

CASES = load("rfc6979.json")["cases"]
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ORDERS = {"P-256": P256_ORDER, "secp256k1": curve.ORDER}
BITCOIN = [case for case in CASES if case["curve"] == "secp256k1"]


def number(case: dict[str, Any], field: str) -> int:
    """Return a field of 32 octets as a number."""
    return int.from_bytes(bytes.fromhex(case[field]), "big")


def nonce(secret: int, digest: bytes, order: int) -> int:
    """Return k of RFC 6979, section 3.2, for SHA-256 and an order of 256 bits."""

    def mac(key: bytes, *parts: bytes) -> bytes:
        return hmac.new(key, b"".join(parts), hashlib.sha256).digest()

    reduced = int.from_bytes(digest, "big") % order
    seed = secret.to_bytes(32, "big") + reduced.to_bytes(32, "big")
    key, value = bytes(32), b"\x01" * 32
    for separator in (b"\x00", b"\x01"):
        key = mac(key, value, separator, seed)
        value = mac(key, value)
    while True:
        value = mac(key, value)
        if 0 < int.from_bytes(value, "big") < order:
            return int.from_bytes(value, "big")
        key = mac(key, value, b"\x00")
        value = mac(key, value)


@pytest.mark.parametrize("case", CASES)
def test_nonces(case: dict[str, Any]) -> None:
    """Catches a wrong digit in a nonce; the RFC's own examples show that the function is right."""
    digest = hashlib.sha256(case["message"].encode()).digest()
    secret, order = number(case, "private_key"), ORDERS[case["curve"]]
    assert nonce(secret, digest, order) == number(case, "nonce")


@pytest.mark.parametrize("case", BITCOIN)
def test_signatures(case: dict[str, Any]) -> None:
    """Catches a wrong digit, and a verifier that refuses what signers make."""
    digest = hashlib.sha256(case["message"].encode()).digest()
    secret, k = number(case, "private_key"), number(case, "nonce")
    r = curve.affine(curve.generator_mult(k))[0] % curve.ORDER
    s = (int.from_bytes(digest, "big") + r * secret) * curve.inverse(k) % curve.ORDER
    s = min(s, curve.ORDER - s)
    assert (r, s) == ((number(case, "r"), number(case, "s")) if "r" in case else (r, s))
    made = PrivateKey(bytes.fromhex(case["private_key"])).sign_recoverable(digest, hasher=None)
    assert made[:64] == r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert verify_signature(curve.encode_point(curve.generator_mult(secret)), digest, r, s)


@pytest.mark.parametrize("case", [case for case in CASES if case["curve"] == "P-256"])
def test_signatures_of_the_rfc(case: dict[str, Any]) -> None:
    """Catches a wrong digit in r or s of the examples that are the RFC's own."""
    key = ec.derive_private_key(number(case, "private_key"), ec.SECP256R1())
    signed = utils.encode_dss_signature(number(case, "r"), number(case, "s"))
    key.public_key().verify(signed, case["message"].encode(), ec.ECDSA(hashes.SHA256()))
