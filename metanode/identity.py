"""The node's identity: one secp256k1 key that signs everything the node says.

Signatures are ECDSA over a tagged hash, made by libsecp256k1 (through coincurve) with the
deterministic nonce of RFC 6979 and low s. A signature is accepted only when two independent
implementations, libsecp256k1 and fastecdsa, accept it, so that no two nodes can disagree on the
same bytes.

Sizes: node id 33 bytes (compressed point), signature 64 bytes (r and s, 32 bytes big-endian each).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from attrs import field, frozen
from coincurve import PrivateKey, PublicKey
from fastecdsa import ecdsa
from fastecdsa.curve import secp256k1
from fastecdsa.rust import Point

from metanode.errors import LocalFault
from metanode.hashing import tagged_hash

NODE_ID_BYTES: Final = 33
SIGNATURE_BYTES: Final = 64
SECRET_BYTES: Final = 32
_ORDER: Final = secp256k1.q
_HALF_BYTES: Final = SIGNATURE_BYTES // 2
_COMPRESSED_PREFIXES: Final = (2, 3)


@frozen
class Identity:
    """A secret key with the node id that belongs to it; the secret never shows in a repr."""

    node_id: bytes
    _secret: int = field(repr=False, eq=False)
    _key: PrivateKey = field(init=False, repr=False, eq=False)

    @_key.default
    def _private_key(self) -> PrivateKey:
        return PrivateKey(self.secret_bytes())

    @classmethod
    def from_secret(cls, secret: int) -> Identity:
        """Return the identity of ``secret``; raises LocalFault unless 0 < secret < group order."""
        if not 0 < secret < _ORDER:
            raise LocalFault("identity secret is out of range")
        public = PublicKey.from_secret(secret.to_bytes(SECRET_BYTES, "big"))
        return cls(public.format(compressed=True), secret)

    @classmethod
    def generate(cls, entropy: Callable[[int], bytes]) -> Identity:
        """Return a new identity; ``entropy(n)`` gives n secret random bytes."""
        while True:
            secret = int.from_bytes(entropy(SECRET_BYTES), "big")
            # Values outside the range are drawn again, not reduced: a reduction would be biased.
            if 0 < secret < _ORDER:
                return cls.from_secret(secret)

    def secret_bytes(self) -> bytes:
        """Return the secret, 32 bytes big-endian: for the key file only."""
        return self._secret.to_bytes(SECRET_BYTES, "big")

    def sign(self, tag: str, *parts: bytes) -> bytes:
        """Return the 64-byte signature over ``tagged_hash(tag, *parts)``."""
        return self._signature(tagged_hash(tag, *parts))

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        """Return (r, s) over a 32-byte digest: for coins of the node's own address only.

        What the node says to peers has a tagged hash, which is no transaction's digest.
        """
        signature = self._signature(digest)
        halves = signature[:_HALF_BYTES], signature[_HALF_BYTES:]
        return int.from_bytes(halves[0], "big"), int.from_bytes(halves[1], "big")

    def _signature(self, digest: bytes) -> bytes:
        # The recoverable form is r and s as they are, and one octet more.
        return bytes(self._key.sign_recoverable(digest, hasher=None)[:SIGNATURE_BYTES])


def verify(node_id: bytes, signature: bytes, tag: str, *parts: bytes) -> bool:
    """Tell whether ``signature`` is ``node_id``'s over ``tagged_hash(tag, *parts)``.

    Strict: exact lengths, a valid point, 0 < r < order, 0 < s <= order/2, and both implementations
    accept. Never raises for bad bytes.
    """
    if type(node_id) is not bytes or type(signature) is not bytes:
        return False
    if len(signature) != SIGNATURE_BYTES:
        return False
    return _accepted(node_id, signature, tagged_hash(tag, *parts))


@lru_cache(maxsize=1 << 14)
def _accepted(node_id: bytes, signature: bytes, digest: bytes) -> bool:
    """Tell whether both implementations accept a signature of 64 bytes.

    Votes come again and again, with each certificate and each lock that a peer shows: what has been
    found of them is kept.
    """
    keys = _public_key(node_id)
    if keys is None:
        return False
    r = int.from_bytes(signature[:_HALF_BYTES], "big")
    s = int.from_bytes(signature[_HALF_BYTES:], "big")
    if not (0 < r < _ORDER and 0 < s <= _ORDER // 2):
        return False
    libsecp_key, fastecdsa_point = keys
    if not libsecp_key.verify(_der(r, s), digest, hasher=None):
        return False
    return ecdsa.verify((r, s), digest, fastecdsa_point, curve=secp256k1, prehashed=True)


@lru_cache(maxsize=4096)
def _public_key(node_id: bytes) -> tuple[PublicKey, Point] | None:
    """Return the key in both libraries' forms, or None when the bytes are no compressed point."""
    if type(node_id) is not bytes or len(node_id) != NODE_ID_BYTES:
        return None
    if node_id[0] not in _COMPRESSED_PREFIXES:
        return None
    try:
        key = PublicKey(node_id)
        x, y = key.point()
        return key, Point(x, y, secp256k1)
    except ValueError:
        return None


def _der(r: int, s: int) -> bytes:
    """Return the DER form of (r, s) that libsecp256k1's binding takes."""

    def integer(value: int) -> bytes:
        # One more bit than the value needs, so that the sign bit is clear.
        body = value.to_bytes(value.bit_length() // 8 + 1, "big")
        return bytes((0x02, len(body))) + body

    content = integer(r) + integer(s)
    return bytes((0x30, len(content))) + content
