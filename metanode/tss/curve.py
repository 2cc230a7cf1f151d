"""secp256k1 for the threshold engine: every libsecp256k1 call of the package stands here.

Secrets meet the curve in two constant-time calls only: :func:`generator_mult` (k·G) and
:func:`ecdh` (SHA-256 of k·P), and each other in a third, :func:`multiply`. :func:`public_mult` is
variable time: both its arguments must be public. The library cannot represent the point at
infinity; here it is ``None`` and the type checker makes callers face it.

Between these calls scalars are Python integers, which is not constant time, and memory that cannot
be wiped. ``README.md`` beside this file has one row for each operation on a secret.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NewType

# Everything taken from the compiled module is typed by the wrappers below.
from coincurve._libsecp256k1 import ffi, lib  # type: ignore[import-not-found]  # ships no stubs
from coincurve.context import GLOBAL_CONTEXT

from metanode.errors import LocalFault

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Order n of the group (SEC 2, 2.4.1)."""

Entropy = Callable[[int], bytes]
"""Source of randomness: returns exactly as many uniform bytes as it is asked for."""
Point = NewType("Point", object)
"""A point other than infinity, in the library's internal form; never modified after it is made."""

_CONTEXT: Any = GLOBAL_CONTEXT.ctx
_NULL: Any = ffi.NULL
_new = ffi.new
_POINT = ffi.typeof("secp256k1_pubkey *")
_BYTES_32 = ffi.typeof("unsigned char[32]")
_BYTES_33 = ffi.typeof("unsigned char[33]")
_BYTES_65 = ffi.typeof("unsigned char[65]")
_SIZE = ffi.typeof("size_t *")
_COMPRESSED = 258
_POINT_BYTES = 33
_SCALAR_BYTES = 32
_SIGNS = (b"\x02", b"\x03")


def draw(entropy: Entropy, length_bytes: int) -> bytes:
    """Return ``length_bytes`` bytes; a source that answers with another length is a local fault."""
    data = entropy(length_bytes)
    if len(data) != length_bytes:
        raise LocalFault("entropy source returned a wrong number of bytes")
    return data


def random_scalar(entropy: Entropy) -> int:
    """Return a uniform scalar in 1..n-1, by rejection."""
    while True:
        value = int.from_bytes(draw(entropy, _SCALAR_BYTES), "big")
        if 0 < value < ORDER:
            return value


def encode_scalar(value: int) -> bytes:
    """Return the 32 big-endian bytes of ``value`` mod n."""
    return (value % ORDER).to_bytes(_SCALAR_BYTES, "big")


def decode_scalar(data: bytes) -> int | None:
    """Return the scalar in 0..n-1, or None when ``data`` is not its 32-byte encoding."""
    if len(data) != _SCALAR_BYTES:
        return None
    value = int.from_bytes(data, "big")
    return value if value < ORDER else None


def decode_scalars(data: bytes) -> tuple[int, ...] | None:
    """Return scalars that stand one after the other, or None when one is not in 0..n-1."""
    starts = range(0, len(data), _SCALAR_BYTES)
    found = [decode_scalar(data[start : start + _SCALAR_BYTES]) for start in starts]
    scalars = tuple(each for each in found if each is not None)
    return scalars if len(scalars) == len(found) else None


def multiply(secret: int, factor: int) -> int:
    """Return secret·factor mod n in constant time, whichever of the two is secret."""
    product = _new(_BYTES_32, encode_scalar(secret))
    # The call refuses a factor of zero and then leaves zero, which is the product.
    lib.secp256k1_ec_seckey_tweak_mul(_CONTEXT, product, encode_scalar(factor))
    return int.from_bytes(bytes(product), "big")


def inverse(value: int) -> int:
    """Return 1/value mod n for a PUBLIC value, which must not be 0 mod n (``ValueError``)."""
    return pow(value, -1, ORDER)


def parse_point(data: bytes) -> Point | None:
    """Return the point of a 33-byte compressed encoding, or None; infinity has no encoding."""
    if len(data) != _POINT_BYTES:
        return None
    point = _new(_POINT)
    return Point(point) if lib.secp256k1_ec_pubkey_parse(_CONTEXT, point, data, 33) else None


def parse_points(data: bytes) -> tuple[Point, ...] | None:
    """Return points that stand one after the other, or None when one has no such encoding."""
    starts = range(0, len(data), _POINT_BYTES)
    found = [parse_point(data[start : start + _POINT_BYTES]) for start in starts]
    points = tuple(each for each in found if each is not None)
    return points if len(points) == len(found) else None


def encode_point(point: Point) -> bytes:
    """Return the 33-byte compressed encoding."""
    out = _new(_BYTES_33)
    lib.secp256k1_ec_pubkey_serialize(_CONTEXT, out, _new(_SIZE, 33), point, _COMPRESSED)
    return bytes(out)


def affine(point: Point) -> tuple[int, int]:
    """Return the affine coordinates (x, y)."""
    out = _new(_BYTES_65)
    lib.secp256k1_ec_pubkey_serialize(_CONTEXT, out, _new(_SIZE, 65), point, 2)
    data = bytes(out)
    return int.from_bytes(data[1:33], "big"), int.from_bytes(data[33:], "big")


def generator_mult(scalar: int) -> Point:
    """Return scalar·G in constant time; a scalar of 0 mod n is a local fault (infinity)."""
    point = _new(_POINT)
    if not lib.secp256k1_ec_pubkey_create(_CONTEXT, point, encode_scalar(scalar)):
        raise LocalFault("zero times the generator has no encoding")
    return Point(point)


def combine(points: Sequence[Point]) -> Point | None:
    """Return the sum of one or more points; None is infinity."""
    total = _new(_POINT)
    done = lib.secp256k1_ec_pubkey_combine(_CONTEXT, total, points, len(points))
    return Point(total) if done else None


def negate(point: Point) -> Point:
    """Return -point."""
    copy: Any = point
    result = _new(_POINT, copy[0])
    lib.secp256k1_ec_pubkey_negate(_CONTEXT, result)
    return Point(result)


def public_mult(scalar: int, point: Point) -> Point | None:
    """Return scalar·point in VARIABLE time: both must be public; None is infinity."""
    copy: Any = point
    result = _new(_POINT, copy[0])
    done = lib.secp256k1_ec_pubkey_tweak_mul(_CONTEXT, result, encode_scalar(scalar))
    return Point(result) if done else None


def ecdh(scalar: int, point: Point) -> bytes:
    """Return SHA-256 of the compressed scalar·point, in constant time; ``scalar`` must not be 0."""
    out = _new(_BYTES_32)
    if not lib.secp256k1_ecdh(_CONTEXT, out, point, encode_scalar(scalar), _NULL, _NULL):
        raise LocalFault("zero times a point has no encoding")
    return bytes(out)


def secret_mult_equals(scalar: int, point: Point, expected: Point | None) -> bool:
    """Return whether secret scalar·point equals ``expected``, through ecdh; infinity never does."""
    if expected is None or scalar % ORDER == 0:
        return False
    wanted = hashlib.sha256(encode_point(expected)).digest()
    return hmac.compare_digest(ecdh(scalar, point), wanted)


def decode_ellswift(data: bytes) -> Point:
    """Return the point that 64 uniform bytes map to (BIP-324): nobody knows its logarithm."""
    point = _new(_POINT)
    if len(data) != 64 or not lib.secp256k1_ellswift_decode(_CONTEXT, point, data):
        raise LocalFault("ellswift needs 64 bytes")
    return Point(point)


class Workspace:
    """The steps of base transfers, taken by the hundred, on buffers that are made once.

    They are the calls of the functions above without the objects in between. A mask is 64 uniform
    bytes standing for the point of :func:`decode_ellswift`; a secret is a scalar's 32 bytes, not 0.
    One thread at a time.
    """

    __slots__ = ("_encoded", "_left", "_out", "_out_view", "_pair", "_right", "_size", "_sum")

    def __init__(self) -> None:
        self._left, self._right, self._sum = _new(_POINT), _new(_POINT), _new(_POINT)
        self._pair = _new("secp256k1_pubkey *[2]", [self._left, self._right])
        self._encoded, self._size = _new(_BYTES_33), _new(_SIZE, _POINT_BYTES)
        self._out = _new(_BYTES_32)
        self._out_view: Any = ffi.buffer(self._out)

    def random_point(self, entropy: Entropy) -> bytes:
        """Return a uniform point whose discrete logarithm nobody knows, by rejection on x."""
        while True:
            data = draw(entropy, _POINT_BYTES)
            encoded = _SIGNS[data[0] & 1] + data[1:]
            if lib.secp256k1_ec_pubkey_parse(_CONTEXT, self._left, encoded, _POINT_BYTES):
                return encoded

    def masked_generator(self, secret: bytes, mask: bytes) -> bytes | None:
        """Return the encoding of secret·G - mask, in constant time; None is infinity."""
        if not lib.secp256k1_ec_pubkey_create(_CONTEXT, self._left, secret):
            raise LocalFault("zero times the generator has no encoding")
        self._load_mask(mask)
        lib.secp256k1_ec_pubkey_negate(_CONTEXT, self._right)
        if not lib.secp256k1_ec_pubkey_combine(_CONTEXT, self._sum, self._pair, 2):
            return None
        lib.secp256k1_ec_pubkey_serialize(
            _CONTEXT, self._encoded, self._size, self._sum, _COMPRESSED
        )
        return bytes(self._encoded)

    def masked_ecdh(self, secret: bytes, encoded: bytes, mask: bytes) -> bytes | None:
        """Return :func:`ecdh` of secret and point + mask; None when there is no such point."""
        if not lib.secp256k1_ec_pubkey_parse(_CONTEXT, self._left, encoded, len(encoded)):
            return None
        self._load_mask(mask)
        if not lib.secp256k1_ec_pubkey_combine(_CONTEXT, self._sum, self._pair, 2):
            return None
        return self.ecdh(secret, Point(self._sum))

    def ecdh(self, secret: bytes, point: Point) -> bytes:
        """Return the same as :func:`ecdh`."""
        if not lib.secp256k1_ecdh(_CONTEXT, self._out, point, secret, _NULL, _NULL):
            raise LocalFault("zero times a point has no encoding")
        shared: bytes = self._out_view[:]
        return shared

    def _load_mask(self, mask: bytes) -> None:
        if len(mask) != 64 or not lib.secp256k1_ellswift_decode(_CONTEXT, self._right, mask):
            raise LocalFault("ellswift needs 64 bytes")


def offset_generator(point: Point, scalar: int) -> Point | None:
    """Return point + scalar·G for a secret scalar that may be 0; None is infinity."""
    if scalar % ORDER == 0:
        return point
    return combine([generator_mult(scalar), point])


def evaluate_polynomial(coefficients: Sequence[int], x: int) -> int:
    """Return Σ coefficients[k]·x^k mod n for secret coefficients."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (multiply(value, x) + coefficient) % ORDER
    return value


def evaluate_commitments(commitments: Sequence[Point], x: int) -> Point | None:
    """Return Σ x^k·commitments[k] for public commitments (Feldman); None is infinity."""
    value: Point | None = commitments[-1]
    for commitment in reversed(commitments[:-1]):
        scaled = None if value is None else public_mult(x, value)
        value = commitment if scaled is None else combine([scaled, commitment])
    return value


def lagrange_at_zero(party: int, parties: Iterable[int]) -> int:
    """Return the weight, public, of ``party``'s share when ``parties`` interpolate at 0."""
    numerator, denominator = 1, 1
    for other in parties:
        if other != party:
            numerator = numerator * other % ORDER
            denominator = denominator * (other - party) % ORDER
    return numerator * inverse(denominator) % ORDER


def ecdsa_accepts(public_key: Point, digest: bytes, r: int, s: int) -> bool:
    """Return whether libsecp256k1 accepts (r, s); it refuses high s and values out of range."""
    signature = _new("secp256k1_ecdsa_signature *")
    compact = r.to_bytes(_SCALAR_BYTES, "big") + s.to_bytes(_SCALAR_BYTES, "big")
    if not lib.secp256k1_ecdsa_signature_parse_compact(_CONTEXT, signature, compact):
        return False
    return bool(lib.secp256k1_ecdsa_verify(_CONTEXT, signature, digest, public_key))
