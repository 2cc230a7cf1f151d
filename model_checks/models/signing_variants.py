"""What becomes of signing when a rule is missing: the rules of the published designs, and our own
first one, are refuted; two rules that are safe come to a stop.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import PEERS_AND_DIGESTS, Case, Counts, Model, ProofCase, one_event, quorum
from model_checks.models.shared import ALL_WORK, ANYBODY_ASKS, ONE_PAYOUT
from model_checks.models.signing import EAGER_LIARS, LEMMAS, MAY_VOTE_NEXT, NETWORK, PROVES
from spec.language.declarations import Definition

_LOCK_PERMITS = "lock_permits(p: Peer, e: Event, a: Attempt, d: Digest)"
_MAY_LOCK = "may_lock(p: Peer, e: Event, a: Attempt, d: Digest)"

NAIVE_RETRY = evolve(
    NETWORK,
    name="signing_naive_retry",
    doc="F-14: a retry forgets what was released",
    without=(
        *NETWORK.without,
        ("session.Ack", "lock_permits(p, e, a, d)"),
        ("peer.SetFound", "lock_permits(p, e, r, d)"),
    ),
)
NO_LOCK = evolve(
    NETWORK,
    name="signing_certificate_without_lock",
    doc="F-04: a certificate is enough to release, whatever was released before",
    definitions=(
        *NETWORK.definitions,
        Definition(_LOCK_PERMITS, "True", "nothing is remembered"),
        Definition(_MAY_LOCK, "enough_votes(e, a, d)", "a certificate, old or new"),
    ),
)
LATER_VOTE_FORGOTTEN = evolve(
    NETWORK,
    name="signing_later_vote_forgotten",
    doc="F-32: locks only move forward, and nothing else: our own first rule",
    definitions=(
        *NETWORK.definitions,
        Definition(
            _MAY_LOCK,
            "enough_votes(e, a, d) and lock_attempt[p, e] < a",
            "a vote for another digest in a later attempt is no promise",
        ),
    ),
)
LOCK_IN_MEMORY = evolve(
    NETWORK, name="signing_lock_in_memory", doc="the lock does not survive a crash",
    kept={"lock": "memory", "lock_attempt": "memory"},
)
_NO_MOVED_LOCK = tuple(p for p in EAGER_LIARS.properties if p.name != "LockMoves")
LOCK_NEVER_MOVES = evolve(
    EAGER_LIARS,
    name="signing_lock_never_moves",
    doc="safe, but two locks on different digests hold each other up for ever",
    definitions=(
        ALL_WORK,
        ONE_PAYOUT,
        *ANYBODY_ASKS,
        Definition(_LOCK_PERMITS, "lock[p, e] in (none, d)", "no certificate helps"),
        Definition(
            _MAY_LOCK,
            "enough_votes(e, a, d) and lock_attempt[p, e] < a and lock[p, e] in (none, d) "
            "and not any(a < b and voted[p, e, b] not in (none, d) for b in Attempt)",
            "nor moves the lock",
        ),
        Definition(MAY_VOTE_NEXT, "lock[p, e] in (none, d)", "the same"),
    ),
    properties=_NO_MOVED_LOCK,
)
FIRST_VOTE_FINAL = evolve(
    EAGER_LIARS,
    name="signing_first_vote_final",
    doc="safe, but votes for different digests hold each other up for ever",
    definitions=(
        ALL_WORK,
        ONE_PAYOUT,
        *ANYBODY_ASKS,
        Definition(
            _LOCK_PERMITS,
            "all(voted[p, e, b] in (none, d) for b in Attempt)",
            "the first vote decides all attempts",
        ),
        Definition(MAY_VOTE_NEXT, "all(voted[p, e, b] in (none, d) for b in Attempt)", "the same"),
    ),
    properties=_NO_MOVED_LOCK,
)

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NAIVE_RETRY, one_event(4, 2, 2), quorum(4, 1, 3), PEERS_AND_DIGESTS,
            refuted=("NoDoubleSign",), whole=False,
            pinned=Counts(
                distinct=49801, generated=997596, depth=15, reached={"CanSign": 7, "LiarsDecide":
                3, "LiarsVoteTwice": 2, "LockMoves": 10}, violated={"NoDoubleSign": 14},
            ),
        ),
        Case(
            NO_LOCK, one_event(4, 2, 2), quorum(4, 1, 3), PEERS_AND_DIGESTS,
            refuted=("NoDoubleSign",), whole=False,
            pinned=Counts(
                distinct=66045, generated=1526240, depth=15, reached={"CanSign": 7, "LiarsDecide":
                3, "LiarsVoteTwice": 2, "LockMoves": 10}, violated={"LocksMoveForward": 8,
                "NoDoubleSign": 14},
            ),
        ),
        Case(
            LATER_VOTE_FORGOTTEN, one_event(4, 2, 2), quorum(4, 1, 3), PEERS_AND_DIGESTS,
            refuted=("NoDoubleSign",), whole=False,
            pinned=Counts(
                distinct=49801, generated=851428, depth=15, reached={"CanSign": 7, "LiarsDecide":
                3, "LiarsVoteTwice": 2, "LockMoves": 10}, violated={"NoDoubleSign": 14},
            ),
        ),
        Case(
            LOCK_IN_MEMORY, one_event(4, 2, 2), quorum(4, 1, 3), PEERS_AND_DIGESTS,
            refuted=("NoDoubleSign",), whole=False,
            pinned=Counts(
                distinct=93144, generated=1842796, depth=16, reached={"CanSign": 7, "LiarsDecide":
                3, "LiarsVoteTwice": 2, "LockMoves": 10}, violated={"LocksMoveForward": 5,
                "NoDoubleSign": 15},
            ),
        ),
        Case(
            LOCK_NEVER_MOVES, one_event(4, 3, 2), quorum(4, 1, 3), PEERS_AND_DIGESTS,
            refuted=("NextAttemptOpen", "CanStillSign"),
            pinned=Counts(
                distinct=551222, generated=8917660, depth=37, reached={"CanSign": 6, "LiarsDecide":
                2, "LiarsVoteTwice": 0}, violated={"NextAttemptOpen": 6, "CanStillSign": 6},
                stuck={"CanStillSign": 84},
            ),
        ),
        Case(
            FIRST_VOTE_FINAL, one_event(4, 2, 2), quorum(4, 1, 3), PEERS_AND_DIGESTS,
            refuted=("NextAttemptOpen", "CanStillSign"),
            pinned=Counts(
                distinct=2585, generated=30464, depth=25, reached={"CanSign": 6, "LiarsDecide": 2,
                "LiarsVoteTwice": 0}, violated={"NextAttemptOpen": 2, "CanStillSign": 2},
                stuck={"CanStillSign": 8},
            ),
        ),
    ),
    controls=(
        ProofCase(
            NAIVE_RETRY, LEMMAS, PROVES,
            fails=(
                "NewerCertificateFences / session.Ack",
                "LaterVoteFences / session.Ack",
                "NewerCertificateFences / peer.SetFound",
                "LaterVoteFences / peer.SetFound",
            ),
        ),
        ProofCase(
            NO_LOCK, LEMMAS, PROVES,
            fails=(
                "NewerCertificateFences / session.Ack",
                "LaterVoteFences / session.Ack",
                "ReleaseWasLocked / session.Begin",
                "NewerCertificateFences / session.Begin",
                "MovedLockFences / session.Begin",
                "LaterVoteFences / session.Begin",
                "NewerCertificateFences / peer.SetFound",
                "LaterVoteFences / peer.SetFound",
                "ReleaseWasLocked / peer.Certified",
                "NewerCertificateFences / peer.Certified",
                "MovedLockFences / peer.Certified",
                "LaterVoteFences / peer.Certified",
            ),
        ),
        ProofCase(
            LATER_VOTE_FORGOTTEN, LEMMAS, PROVES,
            fails=(
                "NewerCertificateFences / session.Begin",
                "MovedLockFences / session.Begin",
                "LaterVoteFences / session.Begin",
                "NewerCertificateFences / peer.Certified",
                "MovedLockFences / peer.Certified",
                "LaterVoteFences / peer.Certified",
            ),
        ),
        ProofCase(LOCK_IN_MEMORY, LEMMAS, PROVES, fails=("ReleaseWasLocked / Crash",)),
    ),
)
