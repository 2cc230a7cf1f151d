"""Signatures of the node's identity: RFC 6979, low s, agreed on by several libraries."""

from __future__ import annotations

import hashlib

import pytest
from coincurve import PrivateKey, PublicKey
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from metanode.errors import LocalFault
from metanode.hashing import tagged_hash
from metanode.identity import Identity, verify

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
GENERATOR = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")


def test_the_node_id_is_the_compressed_public_key() -> None:
    """Catches another encoding of the key; secret 1 is the generator itself."""
    assert Identity.from_secret(1).node_id == GENERATOR


def test_signatures_are_deterministic_low_s_and_bound_to_tag_and_parts() -> None:
    """Catches random nonces, high s, and a signature that passes for another statement."""
    identity = Identity.from_secret(0xC0FFEE)
    for number in range(20):
        part = bytes([number])
        signature = identity.sign("tag", part, b"x")
        assert signature == identity.sign("tag", part, b"x")
        assert 0 < int.from_bytes(signature[32:], "big") <= ORDER // 2
        assert verify(identity.node_id, signature, "tag", part, b"x")
        assert not verify(identity.node_id, signature, "tag2", part, b"x")
        assert not verify(identity.node_id, signature, "tag", part + b"x")
        assert not verify(GENERATOR, signature, "tag", part, b"x")


def test_openssl_accepts_the_signature() -> None:
    """Catches a signature that only the two libraries used here understand."""
    identity = Identity.from_secret(77)
    signature = identity.sign("t", b"m")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), identity.node_id)
    algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
    key.verify(utils.encode_dss_signature(r, s), tagged_hash("t", b"m"), algorithm)


def test_the_nonce_is_the_one_of_rfc_6979() -> None:
    """Catches a nonce not derived as the RFC says: libsecp256k1 makes the same signature."""
    secret = int.from_bytes(hashlib.sha256(b"secret").digest(), "big") % ORDER
    signature = Identity.from_secret(secret).sign("t", b"m")
    der = PrivateKey.from_int(secret).sign(tagged_hash("t", b"m"), hasher=None)
    r, s = utils.decode_dss_signature(der)
    assert signature == r.to_bytes(32, "big") + s.to_bytes(32, "big")


def test_generate_draws_again_instead_of_reducing() -> None:
    """Catches a biased or invalid secret."""
    draws = iter([bytes(32), ORDER.to_bytes(32, "big"), b"\xff" * 32, (5).to_bytes(32, "big")])
    assert Identity.generate(lambda length: next(draws)) == Identity.from_secret(5)
    assert next(draws, None) is None


def test_the_secret_stays_out_of_the_repr() -> None:
    """Catches a secret in a log line."""
    identity = Identity.from_secret(123456789)
    assert "123456789" not in repr(identity)
    assert identity.secret_bytes() == (123456789).to_bytes(32, "big")


@pytest.mark.parametrize("secret", [0, -1, ORDER, ORDER + 1])
def test_secrets_out_of_range_are_refused(secret: int) -> None:
    """Catches a key that has no or another public key."""
    with pytest.raises(LocalFault):
        Identity.from_secret(secret)


def test_the_node_id_parses_in_libsecp256k1() -> None:
    """Catches an id that is not a point."""
    assert PublicKey(Identity.from_secret(9).node_id).format() == Identity.from_secret(9).node_id
