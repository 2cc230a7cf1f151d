"""Schnorr proofs of knowledge of a discrete logarithm (Schnorr 1989, Fiat-Shamir).

The prover shows x for X = x·G with R = k·G, e = H(context, X, R), s = k + e·x; the verifier checks
R = s·G - e·X. The context binds session, prover and purpose, so that no proof serves twice.

A tss_proof shows that a party holds the secret share behind its public share. Its context is
opaque; callers put share index, node id, key epoch and round into it, so that a proof copied from
another peer or an older round does not verify (finding F-10).
"""

from __future__ import annotations

from metanode.tss import curve, oracle
from metanode.tss.curve import Entropy, Point
from metanode.tss.oracle import Tag
from metanode.tss.parameters import HASH_BYTES, POINT_BYTES, PROOF_BYTES


def prove(tag: Tag, context: bytes, secret: int, public: bytes, entropy: Entropy) -> bytes:
    """Return the 65-byte proof R‖s of ``secret`` for the 33-byte ``public`` = secret·G.

    The nonce hashes fresh entropy together with the secret and the statement: a source that repeats
    itself cannot make two proofs share a nonce under different challenges.
    """
    fresh = curve.draw(entropy, HASH_BYTES)
    nonce = oracle.scalar(
        Tag.DLOG_NONCE, tag.value, context, public, curve.encode_scalar(secret), fresh
    )
    point = curve.encode_point(curve.generator_mult(nonce))
    challenge = oracle.scalar(tag, context, public, point)
    return point + curve.encode_scalar(nonce + curve.multiply(secret, challenge))


def verify(tag: Tag, context: bytes, public: bytes, point: Point, proof: bytes) -> bool:
    """Return whether ``proof`` holds for ``point``, whose encoding is ``public``; never raises."""
    if len(proof) != PROOF_BYTES:
        return False
    head = proof[:POINT_BYTES]
    response = curve.decode_scalar(proof[POINT_BYTES:])
    if response is None or response == 0:
        return False
    scaled = curve.public_mult(-oracle.scalar(tag, context, public, head), point)
    expected = None if scaled is None else curve.combine([curve.generator_mult(response), scaled])
    # Only a point's own encoding can be equal, so that the head needs no parsing.
    return expected is not None and curve.encode_point(expected) == head


def prove_share(secret_share: int, public_share: bytes, context: bytes, entropy: Entropy) -> bytes:
    """Return the 65-byte proof for ``public_share`` (33 bytes) bound to ``context``."""
    return prove(Tag.SHARE_PROOF, context, secret_share, public_share, entropy)


def verify_share(public_share: bytes, context: bytes, proof: bytes) -> bool:
    """Return whether ``proof`` holds for exactly this share and context; never raises."""
    point = curve.parse_point(public_share)
    if point is None:
        return False
    return verify(Tag.SHARE_PROOF, context, public_share, point, proof)
