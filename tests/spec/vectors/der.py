"""Signatures in DER, as public vectors have them, put to the release rule."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from metanode.tss.verify import verify_signature


def verify_der(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """Apply the release rule to a signature in strict DER (BIP66), without a hash-type octet."""
    try:
        return verify_signature(public_key, digest, *decode_dss_signature(signature))
    except (TypeError, ValueError):
        return False
