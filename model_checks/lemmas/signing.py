"""Why SAFE-SIGN never signs one event twice: for any n, t, f within SAFE-SIGN 1, any number of
events, attempts and digests, any order of attempts, crashes at any time.

The argument, in the order of the lemmas. A correct peer votes once in an attempt, so two
certificates of one attempt, which share a correct voter, are for one digest. A lock needs a
certificate of its attempt; a release needs that lock. The heart is ``NewerCertificateFences``:
once a digest k is certified in an attempt, then for any other digest d and any earlier attempt a,
those who released d in a, or still could, are too few to sign. For suppose they were enough. They
share a correct peer p with the certificate for k. By its later vote for k, p is bound never to
lock on d in a any more (``may_lock``); so it was locked on d, or had released it, before that
vote. Then the vote was allowed only by a certificate for k newer than the lock
(``LaterVoteFences``), or by a lock that had moved to k (``MovedLockFences``), which took such a
certificate too; and when that earlier certificate came to be, those who could release d were
already too few. They never become more.
"""

from __future__ import annotations

from model_checks.system import Property

_PEER = "for p in Peer for e in Event"
_ATTEMPT_DIGEST = "for a in Attempt for d in Digest"
_TWO_ATTEMPTS = "for a in Attempt for b in Attempt for d in Digest for k in Digest"
_HOLDS = "(lock[p, e] == d and lock_attempt[p, e] == a)"
_COULD_RELEASE_D = (
    "(released_in[q, e, a, d] or (lock[q, e] == d and lock_attempt[q, e] == a) or "
    "not any(a < c and voted[q, e, c] not in (none, d) for c in Attempt))"
)
_ENOUGH_FOR_D = f"(count(q for q in Peer if not faulty[q] and {_COULD_RELEASE_D}) >= T - F)"
"""Enough correct peers released d in attempt a, or still could: no later vote forbids it."""

PROVES = ("NoDoubleSign", "NoDoubleSignLocal", "CertificateUnique")
"""The invariants of ``networks/signing.py`` that these lemmas prove for every size."""

LEMMAS = (
    Property(
        "VoteIsOnDisk",
        "all(implies(vote[p, e, a, d], faulty[p] or voted[p, e, a] == d) "
        f"{_PEER} {_ATTEMPT_DIGEST})",
        "lemma",
        "a correct peer's vote is the one that it wrote down for the attempt",
    ),
    Property(
        "AttemptHasLock",
        f"all(implies(lock[p, e] == none, lock_attempt[p, e] == none) {_PEER})",
        "lemma",
        "the lock and its attempt are written together",
    ),
    Property(
        "LockIsCertified",
        "all(implies(lock[p, e] == d, any(lock_attempt[p, e] == a and certified(e, a, d) "
        f"for a in Attempt)) {_PEER} for d in Digest)",
        "lemma",
        "SAFE-SIGN 3: only with a certificate does a node lock, and it writes down which",
    ),
    Property(
        "ReleaseWasLocked",
        "all(implies(released_in[p, e, a, d], certified(e, a, d) and lock_attempt[p, e] >= a) "
        f"{_PEER} {_ATTEMPT_DIGEST})",
        "lemma",
        "a release stands on a certificate, and locks only move to later attempts",
    ),
    Property(
        "NewerCertificateFences",
        "all(implies(a < b and d != k and certified(e, b, k), "
        f"not {_ENOUGH_FOR_D}) for e in Event {_TWO_ATTEMPTS})",
        "lemma",
        "a certificate leaves too few who released, or could yet release, another digest in an "
        "earlier attempt",
    ),
    Property(
        "MovedLockFences",
        "all(implies(released_in[p, e, a, d] and lock[p, e] == k and d != k, "
        f"not {_ENOUGH_FOR_D}) {_PEER} {_ATTEMPT_DIGEST} for k in Digest)",
        "lemma",
        "a lock only moves away from what was released when that can no longer be signed",
    ),
    Property(
        "LaterVoteFences",
        f"all(implies(({_HOLDS} or released_in[p, e, a, d]) and a < b and d != k "
        f"and voted[p, e, b] == k, not {_ENOUGH_FOR_D}) {_PEER} {_TWO_ATTEMPTS})",
        "lemma",
        "SAFE-SIGN 4: who locked or released votes for another digest only when shown a "
        "certificate for it that is newer than the lock",
    ),
)
