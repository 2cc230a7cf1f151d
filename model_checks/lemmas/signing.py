"""Why SAFE-SIGN never signs one event twice: for any n, t, f within SAFE-SIGN 1, any number of
events, attempts and digests, any order of attempts, crashes at any time.

The argument, in the order of the lemmas. A correct peer votes once in an attempt, so two
certificates of one attempt, which share a correct voter, are for one digest. A lock needs a
certificate of its attempt, a release needs that lock. The heart is ``NewerCertificateFences``: once
a digest k is certified in an attempt, for any other digest d and any earlier attempt, the peers that
ever released d there, or still could, are too few. For suppose they were enough. Enough releasers
share a correct peer with the certificate for k. That peer voted for k in a later attempt, so it
could not lock on d afterwards (``may_lock``); it was locked on d before, or had released it. Then
its vote for k was allowed only by a still earlier certificate for k, newer than the lock
(``LaterVoteWasShown``), and when *that* one came to be, the releasers of d were already too few.
"""

from __future__ import annotations

from model_checks.system import Property

_PEER = "for p in Peer for e in Event"
_ATTEMPT_DIGEST = "for a in Attempt for d in Digest"
_TWO_ATTEMPTS = "for a in Attempt for b in Attempt for d in Digest for k in Digest"
_LATER_VOTE_FOR_ANOTHER = "a < b and voted[p, e, b] == k and d != k"
_NEWER_CERTIFICATE = "any(a < c and certified(e, c, k) for c in Attempt)"
_HOLDS = "lock[p, e] == d and lock_attempt[p, e] == a"

CERTIFICATE_UNIQUE = Property(
    "CertificateUnique",
    "all(not (certified(e, a, d) and certified(e, a, k)) "
    "for e in Event for a in Attempt for d in Digest for k in Digest if d != k)",
    doc="in one attempt of an event at most one digest is certified",
)

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
        "LaterVoteWasShown",
        f"all(implies(({_HOLDS} or released_in[p, e, a, d]) and {_LATER_VOTE_FOR_ANOTHER}, "
        f"{_NEWER_CERTIFICATE}) {_PEER} {_TWO_ATTEMPTS})",
        "lemma",
        "SAFE-SIGN 4: who locked or released votes for another digest only when shown a "
        "certificate for it that is newer than the lock",
    ),
    Property(
        "NewerCertificateFences",
        "all(implies(a < b and d != k and certified(e, b, k), "
        "not (count(p for p in Peer if not faulty[p] and "
        f"(released_in[p, e, a, d] or ({_HOLDS}) or "
        "not any(a < c and voted[p, e, c] not in (none, d) for c in Attempt))) >= T - F)) "
        f"for e in Event {_TWO_ATTEMPTS})",
        "lemma",
        "a certificate leaves too few who released, or could yet release, another digest in an "
        "earlier attempt",
    ),
)
