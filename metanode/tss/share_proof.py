"""tss_proof: a party shows that it holds the secret share behind its public share.

The statement is bound to an opaque context; callers put the share index, node id, key epoch and
round into it, so that a proof copied from another peer or an older round does not verify (finding
F-10).
"""

from __future__ import annotations

from metanode.tss import curve, proofs
from metanode.tss.curve import Entropy
from metanode.tss.oracle import Tag


def prove_share(secret_share: int, public_share: bytes, context: bytes, entropy: Entropy) -> bytes:
    """Return the 65-byte proof for ``public_share`` (33 bytes) bound to ``context``."""
    return proofs.prove(Tag.SHARE_PROOF, context, secret_share, public_share, entropy)


def verify_share(public_share: bytes, context: bytes, proof: bytes) -> bool:
    """Return whether ``proof`` holds for exactly this share and context; never raises."""
    point = curve.parse_point(public_share)
    if point is None:
        return False
    return proofs.verify(Tag.SHARE_PROOF, context, public_share, point, proof)
