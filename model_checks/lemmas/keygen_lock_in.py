"""Why there is one key and everybody holds a share of it, for every n: F-27."""

from __future__ import annotations

from model_checks.system import Property

LEMMAS = (
    Property(
        "LockedInIsSigned",
        "all(implies(key[p, k] == locked_in, lock_in_valid[k]) for p in Peer for k in Key)",
        "lemma",
        "the key signed its own name",
    ),
    Property(
        "SignedOnce",
        "all(not (lock_in_valid[k] and lock_in_valid[j]) for k in Key for j in Key if k != j)",
        "lemma",
        "lock-in is one event for the network",
    ),
    Property(
        "CertifiedByAll",
        "all(implies(key[p, k] in (certified_by_all, locked_in), confirmed[q, k]) "
        "for p in Peer for q in Peer for k in Key)",
        "lemma",
        "all members confirmed, and what was sent stays sent",
    ),
)
