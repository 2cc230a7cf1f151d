"""Messages that one node alone can read, and proofs of what was in them.

A message is sealed to the identity key of its receiver: a fresh point E, and the text under
ChaCha20-Poly1305 with a key that HKDF derives from E and the shared point. Nobody else can read it
on its way. If what is in it is not what it should be, the receiver opens it before others: it shows
the shared point with a proof that its key made it (Chaum and Pedersen, 1992), which gives away this
one text and nothing of the key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import frozen
from coincurve import PrivateKey, PublicKey
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from fastecdsa.curve import secp256k1

from metanode.hashing import tagged_hash
from metanode.identity import NODE_ID_BYTES, SECRET_BYTES, Identity

_ORDER: Final = secp256k1.q
_NONCE: Final = bytes(12)  # a key is used once: it comes from a fresh point
_INFO: Final = b"metanode/sealed/v1"
OPENING_BYTES: Final = NODE_ID_BYTES + 2 * SECRET_BYTES
SEALED_BYTES_MORE: Final = NODE_ID_BYTES + 16
"""What a sealed message is longer than its text: the point, and the tag."""


@frozen
class Opening:
    """What shows the text of a sealed message to others: 97 bytes.

    ``shared`` is the shared point (33 bytes), ``proof`` the challenge and the response (64 bytes).
    """

    shared: bytes
    proof: bytes

    def encode(self) -> bytes:
        """Return the bytes of an opening."""
        return self.shared + self.proof


def seal_to(node_id: bytes, text: bytes, entropy: Callable[[int], bytes]) -> bytes:
    """Return ``text`` so that only ``node_id`` can read it; ``entropy(n)`` gives n secret bytes.

    Raises ValueError when ``node_id`` is no point.
    """
    fresh = PrivateKey(entropy(SECRET_BYTES))
    point = fresh.public_key.format()
    shared = PublicKey(node_id).multiply(fresh.secret).format()
    return point + ChaCha20Poly1305(_key(point, node_id, shared)).encrypt(_NONCE, text, point)


def open_sealed(identity: Identity, sealed: bytes) -> bytes | None:
    """Return the text that was sealed to ``identity``; None for anything else."""
    shared = _shared(identity, sealed)
    return None if shared is None else _text(identity.node_id, sealed, shared)


def opening_of(
    identity: Identity, sealed: bytes, entropy: Callable[[int], bytes]
) -> Opening | None:
    """Return what shows others what is in a message that was sealed to ``identity``; None when
    there is no point in it, which everybody sees.
    """
    shared = _shared(identity, sealed)
    if shared is None:
        return None
    nonce = PrivateKey(entropy(SECRET_BYTES))
    point = sealed[:NODE_ID_BYTES]
    heads = (nonce.public_key.format(), PublicKey(point).multiply(nonce.secret).format())
    challenge = _challenge(identity.node_id, point, shared, *heads)
    secret = int.from_bytes(identity.secret_bytes(), "big")
    response = (int.from_bytes(nonce.secret, "big") + challenge * secret) % _ORDER
    return Opening(shared, _scalar(challenge) + _scalar(response))


def opened_before_all(node_id: bytes, sealed: bytes, opening: bytes) -> tuple[bool, bytes | None]:
    """Return whether an opening is honest, and the text that it shows; None is no text at all."""
    point, shared = sealed[:NODE_ID_BYTES], opening[:NODE_ID_BYTES]
    if _point(point) is None:
        return True, None
    if len(opening) != OPENING_BYTES:
        return False, None
    challenge = int.from_bytes(opening[NODE_ID_BYTES:-SECRET_BYTES], "big")
    response = int.from_bytes(opening[-SECRET_BYTES:], "big")
    if not (0 < challenge < _ORDER and 0 < response < _ORDER):
        return False, None
    try:
        bases = ((None, node_id), (point, shared))
        heads = [_head(base, result, challenge, response) for base, result in bases]
    except ValueError:
        return False, None
    if challenge != _challenge(node_id, point, shared, *heads):
        return False, None
    return True, _text(node_id, sealed, shared)


def _head(base: bytes | None, result: bytes, challenge: int, response: int) -> bytes:
    """Return response·base - challenge·result."""
    scaled = (
        PublicKey.from_secret(_scalar(response)) if base is None
        else PublicKey(base).multiply(_scalar(response))
    )
    taken = PublicKey(result).multiply(_scalar(_ORDER - challenge))
    return PublicKey.combine_keys([scaled, taken]).format()


def _shared(identity: Identity, sealed: bytes) -> bytes | None:
    point = _point(sealed[:NODE_ID_BYTES])
    return None if point is None else point.multiply(identity.secret_bytes()).format()


def _point(data: bytes) -> PublicKey | None:
    if len(data) != NODE_ID_BYTES:
        return None
    try:
        return PublicKey(data)
    except ValueError:
        return None


def _text(node_id: bytes, sealed: bytes, shared: bytes) -> bytes | None:
    point = sealed[:NODE_ID_BYTES]
    try:
        cipher = ChaCha20Poly1305(_key(point, node_id, shared))
        return cipher.decrypt(_NONCE, sealed[NODE_ID_BYTES:], point)
    except InvalidTag:
        return None


def _key(point: bytes, node_id: bytes, shared: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=point + node_id, info=_INFO).derive(shared)


def _challenge(*points: bytes) -> int:
    return int.from_bytes(tagged_hash("sealed-opening", *points), "big") % _ORDER


def _scalar(number: int) -> bytes:
    return number.to_bytes(SECRET_BYTES, "big")
