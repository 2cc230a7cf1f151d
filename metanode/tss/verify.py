"""The release rule: a signature leaves the node only when two independent libraries accept it.

Accept = r and s in 1..n-1 AND s ≤ n/2 AND libsecp256k1 accepts AND fastecdsa accepts.

Two libraries, because a released signature cannot be called back, and because a verifier's faults
hide in inputs that no honest signer makes: a sum that is infinity or a doubling, an x of n or more.
The two share no code (libsecp256k1 in C with a field of its own, fastecdsa in Rust over a library
of big numbers), so a wrong acceptance takes a fault in both for the same input. Neither decides
alone: fastecdsa 4.0.0 accepts a nonce point at infinity, whose r is -h/d, and r = p - n + x, since
it compares r + n with x modulo p; libsecp256k1 takes keys in the hybrid form 06|07‖x‖y. The cases
are in ``spec/vectors/ecdsa_edge_cases.json``.

Every entry point takes the key in one of two SEC 1 forms, 33 octets 02|03‖x or 65 octets 04‖x‖y,
and the 32 octets of a digest. What is malformed is refused; nothing that a caller passes raises.
"""

from __future__ import annotations

from fastecdsa import ecdsa
from fastecdsa.curve import secp256k1
from fastecdsa.point import Point  # type: ignore[attr-defined]  # re-exported without __all__

from metanode.errors import LocalFault
from metanode.tss import curve
from metanode.tss.parameters import HASH_BYTES, POINT_BYTES, SCALAR_BYTES

_UNCOMPRESSED = 0x04
_UNCOMPRESSED_BYTES = 65


def verify_signature(public_key: bytes, digest: bytes, r: int, s: int) -> bool:
    """Return whether (r, s) may be released for ``digest`` under ``public_key``."""
    if type(digest) is not bytes or len(digest) != HASH_BYTES:
        return False
    if type(r) is not int or type(s) is not int:
        return False
    if not (0 < r < curve.ORDER and 0 < s <= curve.ORDER // 2):
        return False
    point = _parse_key(public_key)
    if point is None or not curve.ecdsa_accepts(point, digest, r, s):
        return False
    x, y = curve.affine(point)
    return bool(ecdsa.verify((r, s), digest, Point(x, y, secp256k1), secp256k1, prehashed=True))


def verify_compact(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """Apply the release rule to a signature of 64 octets, r‖s (IEEE P1363)."""
    if type(signature) is not bytes or len(signature) != 2 * SCALAR_BYTES:
        return False
    r = int.from_bytes(signature[:SCALAR_BYTES], "big")
    s = int.from_bytes(signature[SCALAR_BYTES:], "big")
    return verify_signature(public_key, digest, r, s)


def recovery_id(public_key: bytes, digest: bytes, r: int, s: int) -> int:
    """Return 0..3, with which a *verified* signature gives its public key back (SEC 1, 4.1.6)."""
    key = _parse_key(public_key)
    if key is None:
        raise LocalFault("a verified signature has a public key")
    inverse, hashed = curve.inverse(s), int.from_bytes(digest, "big") % curve.ORDER
    parts = [curve.public_mult(r * inverse % curve.ORDER, key)]
    if hashed:
        parts.append(curve.generator_mult(hashed * inverse))
    nonce = curve.combine([part for part in parts if part is not None])
    if nonce is None:
        raise LocalFault("the nonce of a verified signature is a point")
    x, y = curve.affine(nonce)
    return (y & 1) | (2 if x >= curve.ORDER else 0)


def _parse_key(data: bytes) -> curve.Point | None:
    """Return the point of a SEC 1 encoding; None for infinity, the hybrid form and all else."""
    if type(data) is not bytes:
        return None
    if len(data) == POINT_BYTES:
        return curve.parse_point(data)
    if len(data) != _UNCOMPRESSED_BYTES or data[0] != _UNCOMPRESSED:
        return None
    # The point that x and y's parity name must have this very y: else y is not below p, or (x, y)
    # is not on the curve.
    point = curve.parse_point(bytes([2 | (data[-1] & 1)]) + data[1:POINT_BYTES])
    if point is None or curve.affine(point)[1] != int.from_bytes(data[POINT_BYTES:], "big"):
        return None
    return point
