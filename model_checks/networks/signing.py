"""Signing under SAFE-SIGN: attempts in any order, certificates, locks that move, crashes, F liars.

The rows are the ones that a node runs, for both ways to a certificate: a coordinator's SETUP, and
the checksums of a round. Where sessions, events and phases stand is left untracked, so that votes,
locks and releases come in any order that their own guards allow; that only adds runs, so what is
safe here is safe. Liars vote for anything at any time, and for different digests at once. What they
release is counted as if all of them released everything: that is what ``+ F`` stands for.

The variants are the rules of the published designs, and our own first one; each must be refuted.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.networks.one_epoch import ALL_WORK
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Definition

_RELEASED = "count(p for p in Peer if not faulty[p] and released_in[p, e, {a}, {d}])"
_SIGNABLE = "any(" + _RELEASED.format(a="a", d="d") + " {enough} for e in Event for a in Attempt "
_LOCK_PERMITS = "lock_permits(p: Peer, e: Event, a: Attempt, d: Digest)"
_MAY_VOTE_NEXT = "may_vote_next(p: Peer, e: Event, d: Digest)"
_MAY_LOCK = "may_lock(p: Peer, e: Event, a: Attempt, d: Digest)"

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
        "from_coordinator[e, a]": "True",
        "is_coordinator[p, a]": "False",
        "is_member[p, e, a]": "True",
        "set_is_mutual[p, r]": "True",
        "proposed[p, r, d]": "True",
        "needs_all[e]": "False",
        "instance_used[p, i]": "False",
    },
    without=_UNTRACKED_MEMORY,
    definitions=(
        ALL_WORK,
        Definition(
            _MAY_VOTE_NEXT,
            "lock[p, e] in (none, d) or "
            "any(lock_attempt[p, e] < b and certified(e, b, d) for b in Attempt)",
            "lock_permits, for an attempt that is later than all that were tried",
        ),
    ),
    moves=(
        Move(
            "Forge(q: Peer, e: Event, a: Attempt, d: Digest)",
            ("faulty[q]",),
            {"vote[q, e, a, d]": "True"},
            "a liar votes for everything",
        ),
    ),
    properties=(
        Property(
            "NoDoubleSign",
            "all(not ("
            + _RELEASED.format(a="a", d="d")
            + " + F >= T and "
            + _RELEASED.format(a="b", d="k")
            + " + F >= T) for e in Event for a in Attempt for b in Attempt "
            "for d in Digest for k in Digest if d != k)",
            doc="of one event, at most one digest can gather T shares in an attempt",
        ),
        Property(
            "CertificateUnique",
            "all(not (certified(e, a, d) and certified(e, a, k)) for e in Event "
            "for a in Attempt for d in Digest for k in Digest if d != k)",
            doc="in one attempt of an event at most one digest is certified",
        ),
        Property(
            "NoDoubleSignLocal",
            "all(implies(released_in[p, e, a, d] and released_in[p, e, b, k] and d != k, "
            "certified(e, a, d) and certified(e, b, k) and a != b) for p in Peer for e in Event "
            "for a in Attempt for b in Attempt for d in Digest for k in Digest)",
            doc="a node that released two digests had a certificate for each of them",
        ),
        Property(
            "DurableBeforeSend",
            "all(implies(vote[p, e, a, d], faulty[p] or voted[p, e, a] == d) "
            "for p in Peer for e in Event for a in Attempt for d in Digest)",
            doc="a vote that is out stands in the log of its sender",
        ),
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
            "CanSign",
            _SIGNABLE.format(enough="+ F >= T") + "for d in Digest)",
            "reachable",
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

NAIVE_RETRY = evolve(
    NETWORK,
    name="signing_naive_retry",
    doc="F-14: a retry forgets what was released",
    without=(
        *_UNTRACKED_MEMORY,
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
    NETWORK,
    name="signing_lock_in_memory",
    doc="the lock does not survive a crash",
    kept={"lock": "memory", "lock_attempt": "memory"},
)
# For more attempts, and for progress: every liar votes for everything from the beginning. Votes are
# only ever read positively, so no liar can do better; and a correct peer's vote is the one it wrote
# down. A round's rows have the guards of a session's, which ``signing`` runs side by side. A member
# is who voted for what is certified: to add runs would be to add ways out. That no session stands
# in the way is shown by ``coordinator_rotation``.
_PROGRESS = Property(
    "Progress",
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
_NO_MOVED_LOCK = tuple(p for p in EAGER_LIARS.properties if p.name != "LockMoves")
LOCK_NEVER_MOVES = evolve(
    EAGER_LIARS,
    name="signing_lock_never_moves",
    doc="safe, but two locks on different digests hold each other up for ever",
    definitions=(
        ALL_WORK,
        Definition(_LOCK_PERMITS, "lock[p, e] in (none, d)", "no certificate helps"),
        Definition(
            _MAY_LOCK,
            "enough_votes(e, a, d) and lock_attempt[p, e] < a and lock[p, e] in (none, d) "
            "and not any(a < b and voted[p, e, b] not in (none, d) for b in Attempt)",
            "nor moves the lock",
        ),
        Definition(_MAY_VOTE_NEXT, "lock[p, e] in (none, d)", "the same"),
    ),
    properties=_NO_MOVED_LOCK,
)
FIRST_VOTE_FINAL = evolve(
    EAGER_LIARS,
    name="signing_first_vote_final",
    doc="safe, but votes for different digests hold each other up for ever",
    definitions=(
        ALL_WORK,
        Definition(
            _LOCK_PERMITS,
            "all(voted[p, e, b] in (none, d) for b in Attempt)",
            "the first vote decides all attempts",
        ),
        Definition(_MAY_VOTE_NEXT, "all(voted[p, e, b] in (none, d) for b in Attempt)", "the same"),
    ),
    properties=_NO_MOVED_LOCK,
)
