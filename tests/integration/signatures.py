"""What three libraries that have nothing in common say of a signature."""

from __future__ import annotations

from coincurve import PublicKey
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from fastecdsa import ecdsa
from fastecdsa.curve import secp256k1
from fastecdsa.point import Point


def verified_by_all(public_key: bytes, digest: bytes, der: bytes) -> bool:
    """Tell what libsecp256k1, OpenSSL and fastecdsa say of a signature; they must agree."""
    r, s = utils.decode_dss_signature(der)
    libsecp = PublicKey(public_key).verify(der, digest, hasher=None)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), public_key)
    try:
        key.verify(der, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        openssl = True
    except InvalidSignature:
        openssl = False
    numbers = key.public_numbers()
    point = Point(numbers.x, numbers.y, secp256k1)
    fast = ecdsa.verify((r, s), digest, point, curve=secp256k1, prehashed=True)
    assert libsecp == openssl == fast
    return bool(libsecp)
