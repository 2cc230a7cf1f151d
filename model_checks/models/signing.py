"""Signing under SAFE-SIGN: attempts in any order, certificates, locks that move, crashes, F liars.

The rows are the ones that a node runs, for both ways to a certificate: a coordinator's SETUP, and
the checksums of a round. Where sessions, events and phases stand is left untracked, so that votes,
locks and releases come in any order that their own guards allow; that only adds runs, so what is
safe here is safe. Liars vote for anything at any time, and for different digests at once. What they
release is counted as if all of them released everything: that is what ``+ F`` stands for.

``signing_variants`` has the rules that must be refuted.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import PEERS_AND_DIGESTS, Case, Counts, Model, ProofCase, one_event, quorum
from model_checks.engines.provers import ATTEMPT_STEPS
from model_checks.models.shared import ALL_WORK, ANYBODY_ASKS, ONE_PAYOUT, promised
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Definition

_RELEASED = "count(p for p in Peer if not faulty[p] and released_in[p, e, {a}, {d}])"
_SIGNABLE = "any(" + _RELEASED.format(a="a", d="d") + " {enough} for e in Event for a in Attempt "
MAY_VOTE_NEXT = "may_vote_next(p: Peer, e: Event, d: Digest)"

# What a session or a round remembers of its digest and number is untracked with it. That a node
# votes only for a document that it has rebuilt is another rule (F-17).
_UNTRACKED_MEMORY = (
    ("session.Ack", "session_digest[p, e, a] == d"),
    ("session.Begin", "session_digest[p, e, a] == d"),
    ("session.Release", "session_digest[p, e, a] == d"),
    ("peer.SetFound", "round[p] == r"),
    ("peer.Certified", "round[p] == r"),
)

NETWORK = Network(
    name="signing",
    doc="one event, competing digests, attempts in any order",
    rows=(
        ("session", "Ack"),
        ("session", "Begin"),
        ("session", "Release"),
        ("peer", "SetFound"),
        ("peer", "Certified"),
    ),
    untracked=("session", "event", "peer"),
    cells=(Cell("faulty", "bool", ("Peer",), "False", "given", "p may say anything"),),
    rigid=("faulty",),
    assume=("count(p for p in Peer if faulty[p]) <= F",),
    given={
        "status[p, e]": "IN_PROGRESS",
        "session[p, e, a]": "absent",
        "coordinator[e, a]": "none",
        "is_member[p, e, a]": "True",
        "in_threshold_set[p, q, r]": "True",
        "proposed[p, r, d]": "True",
        "instance_used[p, i]": "False",
        "share[p, i]": "False",
    },
    without=_UNTRACKED_MEMORY,
    definitions=(
        ALL_WORK,
        ONE_PAYOUT,
        *ANYBODY_ASKS,
        Definition("threshold_set_known(p: Peer, r: Attempt)", "True", "some T, in any round"),
        Definition(
            MAY_VOTE_NEXT,
            "lock[p, e] in (none, d) or "
            "any(lock_attempt[p, e] < b and certified(e, b, d) for b in Attempt)",
            "lock_permits, for an attempt that is later than all that were tried",
        ),
    ),
    moves=(
        Move(
            "Forge(q: Peer, e: Event, a: Attempt, d: Digest)", ("faulty[q]",),
            {"vote[q, e, a, d]": "True"}, "a liar votes for everything",
        ),
    ),
    properties=(
        *promised("NoDoubleSign", "CertificateUnique", "NoDoubleSignLocal", "DurableBeforeSend"),
        Property(
            "LocksMoveForward",
            "all(lock_attempt[p, e] <= after(lock_attempt[p, e]) for p in Peer for e in Event)",
            "step",
            "SAFE-SIGN 3, and no crash undoes it",
        ),
        Property(
            "VotesAreFinal",
            "all(voted[p, e, a] in (none, after(voted[p, e, a])) "
            "for p in Peer for e in Event for a in Attempt)",
            "step",
            "SAFE-SIGN 3: one vote an attempt",
        ),
        Property(
            "NextAttemptOpen",
            "all(any(count(p for p in Peer if not faulty[p] and may_vote_next(p, e, d)) >= T "
            "for d in Digest) for e in Event)",
            doc="in an attempt later than all others, the correct peers may vote for one digest",
        ),
        Property(
            "CanSign", _SIGNABLE.format(enough="+ F >= T") + "for d in Digest)", "reachable",
            "correct members do release",
        ),
        Property(
            "LockMoves",
            "any(released_in[p, e, a, d] and released_in[p, e, b, k] for p in Peer for e in Event "
            "for a in Attempt for b in Attempt for d in Digest for k in Digest if d != k)",
            "reachable",
            "SAFE-SIGN 4 lets a lock move, even after a release",
        ),
        Property(
            "LiarsVoteTwice",
            "any(vote[p, e, a, d] and vote[p, e, a, k] for p in Peer for e in Event "
            "for a in Attempt for d in Digest for k in Digest if d != k)",
            "reachable",
            "the adversary's power: two votes in one attempt",
        ),
        Property(
            "LiarsDecide",
            "any(certified(e, a, d) and count(p for p in Peer if not faulty[p] and "
            "vote[p, e, a, d]) < T for e in Event for a in Attempt for d in Digest)",
            "reachable",
            "the adversary's power: its votes complete a certificate",
        ),
    ),
)

# For more attempts, and for progress: every liar votes for everything from the beginning. Votes are
# only ever read positively, so no liar can do better; and a correct peer's vote is the one it wrote
# down. A round's rows have the guards of a session's, which ``signing`` runs side by side. A member
# is who voted for what is certified: to add runs would be to add ways out. That no session stands
# in the way is shown by ``coordinator_rotation``.
_PROGRESS = Property(
    "CanStillSign",
    "implies(any(not any(a < b for b in Attempt) and "
    "all(faulty[p] or voted[p, e, a] == none for p in Peer) for e in Event for a in Attempt), "
    + _SIGNABLE.format(enough=">= T")
    + "for d in Digest))",
    "always_can",
    "whatever was voted, locked and released: the correct peers alone can sign in the next "
    "attempt, for which the last one stands",
)
EAGER_LIARS = evolve(
    NETWORK,
    name="signing_eager_liars",
    doc="the same with liars that vote for everything at once: small enough for three attempts",
    rows=(("session", "Ack"), ("session", "Begin"), ("session", "Release")),
    given={
        "vote[q, e, a, d]": "faulty[q] or voted[q, e, a] == d",
        **NETWORK.given,
        "is_member[p, e, a]": "any(voted[p, e, a] == x and certified(e, a, x) for x in Digest)",
    },
    without=tuple(dropped for dropped in _UNTRACKED_MEMORY if dropped[0].startswith("session")),
    moves=(),
    properties=(*NETWORK.properties, _PROGRESS),
)

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

PROVES = ("NoDoubleSign", "CertificateUnique")
"""The invariants that these lemmas prove for every size."""

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
        "ReleasedInSome",
        f"all(implies(released[p, e, d], any(released_in[p, e, a, d] for a in Attempt)) {_PEER} "
        "for d in Digest)",
        "lemma",
        "one row writes both",
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

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, one_event(4, 2, 2), quorum(4, 1, 3), PEERS_AND_DIGESTS,
            pinned=Counts(
                distinct=38627, generated=791286, depth=25, reached={"CanSign": 7, "LiarsDecide":
                3, "LiarsVoteTwice": 2, "LockMoves": 10},
            ),
        ),
        Case(
            EAGER_LIARS, one_event(4, 2, 2), quorum(4, 1, 3), PEERS_AND_DIGESTS,
            unreached=("LockMoves",),
            pinned=Counts(
                distinct=5386, generated=62752, depth=25, reached={"CanSign": 6, "LiarsDecide": 2,
                "LiarsVoteTwice": 0},
            ),
        ),
        Case(
            EAGER_LIARS, one_event(4, 3, 2), quorum(4, 1, 3), PEERS_AND_DIGESTS,
            pinned=Counts(
                distinct=567490, generated=9155978, depth=37, reached={"CanSign": 6, "LiarsDecide":
                2, "LiarsVoteTwice": 0, "LockMoves": 10},
            ),
        ),
        Case(
            EAGER_LIARS, one_event(3, 3, 2), quorum(3, 0, 2), PEERS_AND_DIGESTS,
            unreached=("LiarsDecide", "LiarsVoteTwice"),
            pinned=Counts(
                distinct=59781, generated=744410, depth=28, reached={"CanSign": 6, "LockMoves": 10},
            ),
        ),
        Case(
            EAGER_LIARS, one_event(5, 3, 2), quorum(5, 1, 4), PEERS_AND_DIGESTS,
            deep=True,
            pinned=Counts(
                distinct=3701589, generated=74470870, depth=46, reached={"CanSign": 9,
                "LiarsDecide": 3, "LiarsVoteTwice": 0, "LockMoves": 13},
            ),
        ),
        Case(
            NETWORK, one_event(5, 2, 2), quorum(5, 1, 3), PEERS_AND_DIGESTS,
            refuted=("NoDoubleSign",), whole=False, findings=("F-01",),
            pinned=Counts(
                distinct=414077, generated=7886509, depth=15, reached={"CanSign": 7, "LiarsDecide":
                3, "LiarsVoteTwice": 2, "LockMoves": 10}, violated={"CertificateUnique": 6,
                "NextAttemptOpen": 10, "NoDoubleSign": 14},
            ),
        ),
        Case(
            NETWORK, one_event(4, 2, 2), quorum(4, 0, 2), PEERS_AND_DIGESTS,
            refuted=("NoDoubleSign",), whole=False, findings=("F-01",),
            pinned=Counts(
                distinct=54743, generated=847604, depth=13, reached={"CanSign": 6, "LockMoves": 8},
                violated={"CertificateUnique": 4, "NoDoubleSign": 12},
            ),
        ),
    ),
    proofs=(
        ProofCase(
            NETWORK, LEMMAS, PROVES, implied=("NoDoubleSignLocal", "DurableBeforeSend"),
            obligations=72, steps=2 * ATTEMPT_STEPS,
            findings=("F-04", "F-14", "F-32"),
        ),
    ),
)
