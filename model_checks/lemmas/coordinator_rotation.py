"""Why a session steps only under a certified lock, for every n."""

from __future__ import annotations

from model_checks.system import Property

LEMMAS = (
    Property(
        "LockIsCertified",
        "all(implies(lock[p, e] != none and lock_attempt[p, e] == a, "
        "any(certified(e, a, d) for d in Digest)) for p in Peer for e in Event for a in Attempt)",
        "lemma",
        "SAFE-SIGN 3: only with a certificate does a node lock",
    ),
)
