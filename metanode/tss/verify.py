"""The release rule: a signature leaves the node only when two independent libraries accept it.

Accept = r and s in 1..n-1 AND s ≤ n/2 AND libsecp256k1 accepts AND fastecdsa accepts. No verifier
decides alone: fastecdsa 4.0.0, for one, accepts signatures whose nonce point is infinity, and
r = p - n + 1 for a nonce point with x = 1.
"""

from __future__ import annotations

from fastecdsa import ecdsa
from fastecdsa.curve import secp256k1
from fastecdsa.point import Point  # type: ignore[attr-defined]  # re-exported without __all__

from metanode.tss import curve
from metanode.tss.parameters import HASH_BYTES, POINT_BYTES


def verify_signature(public_key: bytes, digest: bytes, r: int, s: int) -> bool:
    """Return whether (r, s) may be released for a 32-byte ``digest`` under a 33-byte key.

    Inputs of a wrong type, length or range give False; nothing a caller passes raises.
    """
    if type(public_key) is not bytes or len(public_key) != POINT_BYTES:
        return False
    if type(digest) is not bytes or len(digest) != HASH_BYTES:
        return False
    if type(r) is not int or type(s) is not int:
        return False
    if not (0 < r < curve.ORDER and 0 < s <= curve.ORDER // 2):
        return False
    point = curve.parse_point(public_key)
    if point is None or not curve.ecdsa_accepts(point, digest, r, s):
        return False
    x, y = curve.affine(point)
    return bool(
        ecdsa.verify((r, s), digest, Point(x, y, secp256k1), secp256k1, prehashed=True)
    )
